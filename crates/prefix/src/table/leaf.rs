//! A leaf: the prefixes of a range of keys, in one cache line.
//!
//! Entries are *ternary*: a key's bits but the highest, a sentinel bit behind the last of those that count, zeros. A leaf
//! lies in one half of the keys, so that the highest bit need not be told and a whole key has room for its sentinel in 64
//! bits. Prefix `p` contains key `k` exactly when `k ^ p` has no bit above the sentinel, that is `k ^ p <= p ^ (p - 1)`.
//! The prefixes of a leaf share their upper bits and end in the same zeros, so that a line stores those once, and of each
//! entry only a window of 16, 24, 32 or 64 bits. With the base in front of its window an entry is one number again, to
//! compare with a key that has been shifted as far.
//!
//! The line, least significant bit first:
//!
//! | bits | what |
//! |---|---|
//! | 0–5 | shift: where the window begins in the ternary word |
//! | 6–7 | kind: windows of 16, 24, 32 or 64 bits, for 9, 8, 7 or 5 entries |
//! | 8–11 | number of entries |
//! | 15 | in which half of the keys they are |
//! | 16… | base: what stands above the window, as many bits as it leaves of 64 |
//! | 64…, of 64 bits 32… | windows, most specific first, packed |
//! | …511 | record numbers or links, 32 bits each, in the opposite order: that of the first entry ends the line |
//!
//! Places without an entry repeat the last one, which changes no answer. A leaf without entries has a base that no key has.

use core::sync::atomic::Ordering::Relaxed;

use credence_memory::Line;

use super::word::LINK;

/// One prefix of a stage: over the upper or the lower 64 bits of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The first key.
    pub(crate) start: u64,
    /// The length within the stage, 0 to 64.
    pub(crate) len: u8,
    /// A record number, or a link.
    pub(crate) id: u32,
}

impl Entry {
    pub(crate) const fn last(&self) -> u64 {
        match self.len {
            0 => u64::MAX,
            len => self.start | (u64::MAX >> (len - 1) >> 1),
        }
    }

    pub(crate) const fn is_link(&self) -> bool {
        self.id & LINK != 0
    }

    /// Ascending from the widest to the most specific; a link comes behind the record of the same /64.
    pub(crate) const fn order(&self) -> (u64, u8, bool) {
        (self.start, self.len, self.is_link())
    }

    /// What stands from bit `shift` of the ternary word on.
    #[inline(always)]
    const fn window(&self, shift: u32) -> u64 {
        (self.start << 1 | 1 << (64 - self.len)) >> shift
    }
}

/// The forms of a line, narrowest window first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    W16,
    W24,
    W32,
    W64,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::W16, Self::W24, Self::W32, Self::W64];

    #[inline(always)]
    pub(crate) const fn of(header: u64) -> Self {
        Self::ALL[kind_number(header)]
    }

    /// Bits of a window.
    #[inline(always)]
    pub(crate) const fn width(self) -> u32 {
        [16, 24, 32, 64][self as usize]
    }

    /// Bytes of a window.
    pub(crate) const fn bytes(self) -> usize {
        self.width() as usize / 8
    }

    /// Entries that a line holds.
    #[inline(always)]
    pub(crate) const fn capacity(self) -> usize {
        [9, 8, 7, 5][self as usize]
    }

    /// The byte at which the window of this place begins.
    pub(crate) const fn at(self, place: usize) -> usize {
        [8, 8, 8, 4][self as usize] + self.bytes() * place
    }
}

/// The place in [`Kind::ALL`] of the kind of a leaf of this header.
#[inline(always)]
pub(crate) const fn kind_number(header: u64) -> usize {
    (header >> KIND_AT) as usize % Kind::ALL.len()
}

/// The most entries of any leaf.
pub(crate) const ENTRIES_MAX: usize = Kind::W16.capacity();

/// Whether entries fit into a line, kept up to date as they are added.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fit {
    count: usize,
    first: u64,
    /// Bits of keys in which any entry differs from the first.
    spread: u64,
    /// The least and the greatest length.
    shortest: u8,
    longest: u8,
}

impl Fit {
    pub(crate) fn add(&mut self, entry: &Entry) {
        if self.count == 0 {
            (self.first, self.shortest, self.longest) = (entry.start, entry.len, entry.len);
        }
        self.count += 1;
        self.spread |= entry.start ^ self.first;
        self.shortest = self.shortest.min(entry.len);
        self.longest = self.longest.max(entry.len);
    }

    /// How many entries were added.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// The narrowest kind that holds all, with the shift of its window.
    fn kind(&self) -> Option<(Kind, u32)> {
        if self.count == 0 {
            return Some((Kind::W16, 63));
        }
        Kind::ALL.into_iter().find_map(|kind| Some((kind, self.shift(kind)?)))
    }

    /// Whether any kind holds all. Of those with room for so many, the widest does if any.
    pub(crate) fn is_possible(&self) -> bool {
        const WIDEST: [Kind; ENTRIES_MAX + 1] = {
            let mut widest = [Kind::W64; ENTRIES_MAX + 1];
            (widest[6], widest[7]) = (Kind::W32, Kind::W32);
            (widest[8], widest[9]) = (Kind::W24, Kind::W16);
            widest
        };
        self.count == 0 || WIDEST.get(self.count).is_some_and(|&kind| self.shift(kind).is_some())
    }

    /// The shift of the window, if a line of this kind holds all, of which there are some.
    fn shift(&self, kind: Kind) -> Option<u32> {
        // Bits of the ternary word: the lowest sentinel, and the highest bit that differs or is a sentinel.
        let (low, high) = (64 - u32::from(self.longest), 64 - u32::from(self.shortest));
        let top = high.max(64 - self.spread.leading_zeros());
        let shift = low.min(64 - kind.width());
        (self.count <= kind.capacity() && top < shift + kind.width()).then_some(shift)
    }
}

impl FromIterator<Entry> for Fit {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut fit = Self::default();
        entries.into_iter().for_each(|entry| fit.add(&entry));
        fit
    }
}

const SHIFT: u64 = 0x3f;
const KIND_AT: u32 = 6;
const COUNT_AT: u32 = 8;
const HALF_AT: u32 = 15;
const BASE_AT: u32 = 16;
/// The byte at which the base begins.
pub(crate) const BASE_BYTE: usize = BASE_AT as usize / 8;

/// The words of a leaf with these entries, in ascending order; none when they do not fit.
pub(crate) fn encode(entries: &[Entry]) -> Option<[u64; 8]> {
    entries.iter().copied().collect::<Fit>().encode(entries)
}

impl Fit {
    /// As [`encode`], for the entries that were added.
    pub(crate) fn encode(&self, entries: &[Entry]) -> Option<[u64; 8]> {
        let (kind, shift) = self.kind()?;
        // Shifted by 63 a key is less than any base but zero.
        let last = entries.first().map_or(EMPTY, |last| (last.window(shift), last.id));
        let header = u64::from(shift)
            | (kind as u64) << KIND_AT
            | (entries.len() as u64) << COUNT_AT
            | (self.first >> 63) << HALF_AT
            | above(last.0, kind) << BASE_AT;
        let mut places = [last; ENTRIES_MAX];
        for (place, entry) in places.iter_mut().zip(entries.iter().rev()) {
            *place = (entry.window(shift), entry.id);
        }
        Some(match kind {
            Kind::W16 => line::<0>(header, &places),
            Kind::W24 => line::<1>(header, &places),
            Kind::W32 => line::<2>(header, &places),
            Kind::W64 => line::<3>(header, &places),
        })
    }
}

/// What stands in each place of a leaf without entries: with a base that no key has at [`Fit::kind`]'s shift.
const EMPTY: (u64, u32) = (1 << Kind::W16.width() | 1, 0);

/// What stands above the window.
#[inline(always)]
const fn above(word: u64, kind: Kind) -> u64 {
    word >> (kind.width() - 1) >> 1
}

/// A line with these words and numbers in the places of a kind.
#[inline(always)]
fn line<const KIND: usize>(header: u64, places: &[(u64, u32); ENTRIES_MAX]) -> [u64; 8] {
    let kind = const { Kind::ALL[KIND] };
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(&header.to_le_bytes());
    for (place, &(word, id)) in places[..kind.capacity()].iter().enumerate() {
        bytes[kind.at(place)..][..kind.bytes()].copy_from_slice(&word.to_le_bytes()[..kind.bytes()]);
        bytes[4 * id_at(place)..][..4].copy_from_slice(&id.to_le_bytes());
    }
    let (words, _) = bytes.as_chunks::<8>();
    core::array::from_fn(|word| u64::from_le_bytes(words[word]))
}

/// Where the number of a place stands, in numbers.
#[inline(always)]
const fn id_at(place: usize) -> usize {
    15 - place
}

/// The entries of a leaf, appended to `entries` in ascending order.
pub(crate) fn decode(words: &[u64; 8], entries: &mut Vec<Entry>) {
    match Kind::of(words[0]) {
        Kind::W16 => append::<0>(words, entries),
        Kind::W24 => append::<1>(words, entries),
        Kind::W32 => append::<2>(words, entries),
        Kind::W64 => append::<3>(words, entries),
    }
}

/// As [`decode`], for one kind: what that is, no entry asks.
fn append<const KIND: usize>(words: &[u64; 8], entries: &mut Vec<Entry>) {
    let kind = const { Kind::ALL[KIND] };
    let shift = (words[0] & SHIFT) as u32;
    let half = (words[0] >> HALF_AT & 1) << 63;
    let base = base(words[0], kind) << (kind.width() - 1) << 1;
    entries.extend((0..count(words).min(kind.capacity())).rev().map(|place| {
        let word = base | window(words, kind, place);
        let len = 64 - (shift + word.trailing_zeros()) as u8;
        let start = half | (word & (word - 1)) << shift >> 1;
        Entry { start, len, id: id(words, place) }
    }));
}

/// How many entries a leaf has.
pub(crate) const fn count(words: &[u64; 8]) -> usize {
    (words[0] >> COUNT_AT & 0xf) as usize
}

/// How many entries a leaf of this header has, and how many it has room for.
pub(crate) const fn room(header: u64) -> (usize, usize) {
    ((header >> COUNT_AT & 0xf) as usize, Kind::of(header).capacity())
}

/// What stands above the windows of a leaf of this header.
#[inline(always)]
const fn base(header: u64, kind: Kind) -> u64 {
    header >> BASE_AT & above(u64::MAX, kind)
}

#[inline(always)]
fn window(words: &[u64; 8], kind: Kind, place: usize) -> u64 {
    let (word, bit) = (kind.at(place) / 8, kind.at(place) % 8 * 8);
    let mut window = words[word] >> bit;
    if bit + kind.width() as usize > 64 {
        window |= words[word + 1] << (64 - bit);
    }
    window & u64::MAX >> (64 - kind.width())
}

#[inline(always)]
const fn id(words: &[u64; 8], place: usize) -> u32 {
    let at = id_at(place);
    (words[at / 2] >> (32 * (at % 2))) as u32
}

/// What a key is compared with in a leaf of this header: the key's own window, and whether it has the leaf's base.
#[inline(always)]
pub(crate) const fn aim(header: u64, kind: Kind, key: u64) -> (u64, bool) {
    let word = key << 1 >> (header & SHIFT);
    let is_half = key >> 63 == header >> HALF_AT & 1;
    (word & u64::MAX >> (64 - kind.width()), is_half & (above(word, kind) == base(header, kind)))
}

/// A bit for each entry that contains `key`, the most specific first.
#[inline(always)]
fn matches(words: &[u64; 8], key: u64) -> u32 {
    let kind = Kind::of(words[0]);
    let (wanted, based) = aim(words[0], kind, key);
    if !based {
        return 0;
    }
    match kind {
        Kind::W16 => compare_16(words, wanted),
        Kind::W24 => compare::<1, 8>(words, wanted),
        Kind::W32 => compare::<2, 7>(words, wanted),
        Kind::W64 => compare::<3, 5>(words, wanted),
    }
}

#[inline(always)]
fn compare<const KIND: usize, const N: usize>(words: &[u64; 8], wanted: u64) -> u32 {
    let kind = const { Kind::ALL[KIND] };
    (0..N).fold(0, |mask, place| {
        let own = window(words, kind, place);
        mask | u32::from(wanted ^ own <= own ^ own.wrapping_sub(1)) << place
    })
}

/// As [`compare`] for windows of 16 bits, four to a word. No window is zero, so that none borrows from the next.
#[inline(always)]
fn compare_16(words: &[u64; 8], wanted: u64) -> u32 {
    const ONES: u64 = 0x0001_0001_0001_0001;
    const REST: u64 = 0x7fff * ONES;
    let wanted = wanted * ONES;
    let equal = |windows: u64| {
        let differ = (windows ^ wanted) & !(windows ^ (windows - ONES));
        // The top bit of each window that does not differ above its sentinel, brought together.
        let tops = !(((differ & REST) + REST) | differ | REST);
        ((tops >> 15).wrapping_mul(0x1_0002_0004_0008) >> 48 & 0xf) as u32
    };
    // Of the third word only one window is one of a leaf of this kind; what is beside it must not borrow either.
    let ninth = words[3] & 0xffff | ONES << 16;
    equal(words[1]) | equal(words[2]) << 4 | (equal(ninth) & 1) << 8
}

/// The number of the most specific entry that contains `key`, or `otherwise`.
#[inline(always)]
pub(crate) fn find(words: &[u64; 8], key: u64, otherwise: u32) -> u32 {
    match matches(words, key) {
        0 => otherwise,
        mask => id(words, mask.trailing_zeros() as usize),
    }
}

/// As [`find`], among the entries that are records.
pub(crate) fn find_record(words: &[u64; 8], key: u64, otherwise: u32) -> u32 {
    let mut mask = matches(words, key);
    while mask != 0 {
        let found = id(words, mask.trailing_zeros() as usize);
        if found & LINK == 0 {
            return found;
        }
        mask &= mask - 1;
    }
    otherwise
}

/// Copies a leaf out of the table. It does not change while it can be reached.
#[inline(always)]
pub(crate) fn load(line: &Line) -> [u64; 8] {
    core::array::from_fn(|word| line.0[word].load(Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::NO_MATCH;

    /// A few pseudo-random bits, the same each time.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        *state ^ *state >> 29
    }

    /// Entries in one half of the keys, close enough together that some fit each kind.
    fn entries(state: &mut u64) -> Vec<Entry> {
        let (base, keep) = (random(state), random(state) % 64);
        let mut list: Vec<Entry> = (0..random(state) % 12)
            .map(|id| {
                let (len, near) = (1 + (random(state) % 64) as u8, random(state) >> keep >> 1);
                let mask = u64::MAX << (64 - len);
                let link = if len == 64 && random(state).is_multiple_of(4) { LINK } else { 0 };
                Entry { start: (base ^ near) & mask, len, id: id as u32 | link }
            })
            .collect();
        list.sort_unstable_by_key(Entry::order);
        list.dedup_by_key(|entry| entry.order());
        list
    }

    #[test]
    fn lines_give_back_their_entries_and_answer_as_a_scan() {
        let (mut state, mut kinds) = (1, [0; 4]);
        let (lists, of_each) = if cfg!(miri) { (500, 0) } else { (200_000, 1_000) }; // an interpreter takes an hour for all
        for _ in 0..lists {
            let list = entries(&mut state);
            let Some(words) = encode(&list) else { continue };
            kinds[Kind::of(words[0]) as usize] += 1;
            let mut decoded = Vec::new();
            decode(&words, &mut decoded);
            assert_eq!(decoded, list);
            assert_eq!(count(&words), list.len());
            let edges = list
                .iter()
                .flat_map(|e| [e.start, e.last(), e.start.wrapping_sub(1), e.last().wrapping_add(1)]);
            for key in edges.chain([0, u64::MAX, random(&mut state)]) {
                let best = |records: bool| {
                    let holds = |e: &&Entry| e.start <= key && key <= e.last() && !(records && e.is_link());
                    list.iter().filter(holds).max_by_key(|e| (e.len, e.is_link())).map_or(NO_MATCH, |e| e.id)
                };
                assert_eq!(find(&words, key, NO_MATCH), best(false), "{key:#x} in {list:x?}");
                assert_eq!(find_record(&words, key, NO_MATCH), best(true));
            }
        }
        assert!(kinds.iter().all(|&count| count > of_each), "{kinds:?}");
    }

    #[test]
    fn what_is_possible_can_be_encoded_and_nothing_else() {
        let (mut state, mut possible) = (7, [0; 2]);
        for _ in 0..if cfg!(miri) { 200 } else { 50_000 } {
            let list = entries(&mut state);
            let fits = list.iter().copied().collect::<Fit>().is_possible();
            assert_eq!(fits, encode(&list).is_some(), "{list:x?}");
            possible[usize::from(fits)] += 1;
        }
        assert!(possible.iter().all(|&lists| lists > 10), "{possible:?}");
    }

    #[test]
    fn whatever_fits_the_widest_kind_fits() {
        let far = [Entry { start: 0, len: 64, id: 1 }, Entry { start: u64::MAX >> 1, len: 64, id: 2 }];
        assert!(encode(&far).is_some());
        let halves = [far[0], Entry { start: 1 << 63, len: 64, id: 3 }];
        assert!(encode(&halves).is_none(), "a leaf lies in one half of the keys");
    }
}
