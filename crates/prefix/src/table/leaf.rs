//! A leaf: the prefixes of a range of keys, in one cache line.
//!
//! Entries are *ternary*: a key's bits, a sentinel bit behind the last of them, zeros. With one more bit than a key has,
//! so that a whole key has room for its sentinel, prefix `p` contains key `k` exactly when `k ^ p` has no bit above the
//! sentinel, that is `k ^ p <= p ^ (p - 1)`. The prefixes of a leaf share their upper bits and end in the same zeros, so
//! that a line stores those once, and of each entry only a window of 16, 24, 32 or 64 bits.
//!
//! The line, as eight 64-bit words, least significant bit first:
//!
//! | bits | what |
//! |---|---|
//! | 0–1 | kind: windows of 16, 24, 32 or 64 bits, for 9, 8, 7 or 4 entries |
//! | 2–7 | shift: where the window begins in the 65-bit word |
//! | 8–11 | number of entries |
//! | 15–63 | base: what stands above the window |
//! | 64… | windows, most specific first, packed; of 24 bits the lower 16 of all, then the upper 8 of all |
//! | …511 | record numbers or links, 32 bits each, in the same order, the last entry's place ending the line |
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

    /// What stands in a window that begins at `shift`.
    #[inline(always)]
    const fn window(&self, shift: u32) -> u64 {
        match shift {
            0 => self.ternary() as u64,
            _ => self.start >> (shift - 1) | 1 << ((64 - self.len as u32) - shift),
        }
    }

    /// The 65-bit word: the key's bits above the lowest bit, then the sentinel.
    const fn ternary(&self) -> u128 {
        (self.start as u128) << 1 | 1 << (64 - self.len)
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
        Self::ALL[(header & 3) as usize]
    }

    /// Bits of a window.
    #[inline(always)]
    pub(crate) const fn width(self) -> u32 {
        [16, 24, 32, 64][self as usize]
    }

    /// Entries that a line holds.
    #[inline(always)]
    pub(crate) const fn capacity(self) -> usize {
        [9, 8, 7, 4][self as usize]
    }
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
            return Some((Kind::W16, 48));
        }
        Kind::ALL.into_iter().find_map(|kind| Some((kind, self.shift(kind)?)))
    }

    /// Whether any kind holds all. Of those with room for so many, the widest does if any.
    pub(crate) fn is_possible(&self) -> bool {
        const WIDEST: [Kind; ENTRIES_MAX + 1] = {
            let mut widest = [Kind::W64; ENTRIES_MAX + 1];
            (widest[5], widest[6], widest[7], widest[8]) = (Kind::W32, Kind::W32, Kind::W32, Kind::W24);
            widest[9] = Kind::W16;
            widest
        };
        self.count == 0 || WIDEST.get(self.count).is_some_and(|&kind| self.shift(kind).is_some())
    }

    /// The shift of the window, if a line of this kind holds all, of which there are some.
    fn shift(&self, kind: Kind) -> Option<u32> {
        // Bits of the 65-bit word: the lowest sentinel, and the highest bit that differs or is a sentinel.
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

const SHIFT_AT: u32 = 2;
const COUNT_AT: u32 = 8;
const BASE_AT: u32 = 15;

/// The words of a leaf with these entries, in ascending order; none when they do not fit.
pub(crate) fn encode(entries: &[Entry]) -> Option<[u64; 8]> {
    entries.iter().copied().collect::<Fit>().encode(entries)
}

impl Fit {
    /// As [`encode`], for the entries that were added.
    pub(crate) fn encode(&self, entries: &[Entry]) -> Option<[u64; 8]> {
        let (kind, shift) = self.kind()?;
        let mut words = [0; 8];
        words[0] = kind as u64 | u64::from(shift) << SHIFT_AT | (entries.len() as u64) << COUNT_AT;
        let Some(last) = entries.first() else {
            words[0] |= NO_BASE << BASE_AT;
            return Some(words);
        };
        words[0] |= (last.start >> (shift + kind.width() - 1)) << BASE_AT;
        let mut places = [(last.window(shift), last.id); ENTRIES_MAX];
        for (place, entry) in places.iter_mut().zip(entries.iter().rev()) {
            *place = (entry.window(shift), entry.id);
        }
        match kind {
            Kind::W16 => put::<9>(&mut words, kind, &places),
            Kind::W24 => put::<8>(&mut words, kind, &places),
            Kind::W32 => put::<7>(&mut words, kind, &places),
            Kind::W64 => put::<4>(&mut words, kind, &places),
        }
        Some(words)
    }
}

/// The base of a leaf without entries. Above a window of 16 bits at shift 48 a key has one bit, so that none has this.
const NO_BASE: u64 = 2;

/// Fills the `N` places of a kind with windows and numbers.
#[inline(always)]
fn put<const N: usize>(words: &mut [u64; 8], kind: Kind, places: &[(u64, u32); ENTRIES_MAX]) {
    for (place, &(window, id)) in places[..N].iter().enumerate() {
        put_window(words, kind, place, window);
        let at = 16 - N + place;
        words[at / 2] |= u64::from(id) << (32 * (at % 2));
    }
}

#[inline(always)]
fn put_window(words: &mut [u64; 8], kind: Kind, place: usize, window: u64) {
    match kind {
        Kind::W16 => words[1 + place / 4] |= (window & 0xffff) << (16 * (place % 4)),
        Kind::W24 => {
            words[1 + place / 4] |= (window & 0xffff) << (16 * (place % 4));
            words[3] |= (window >> 16 & 0xff) << (8 * place);
        }
        Kind::W32 => words[1 + place / 2] |= (window & 0xffff_ffff) << (32 * (place % 2)),
        Kind::W64 => words[1 + place] = window,
    }
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
    let kind = Kind::ALL[KIND];
    let (shift, base) = ((words[0] >> SHIFT_AT & 0x3f) as u32, words[0] >> BASE_AT);
    // A key has a bit less than the 65-bit word: the one below the window, where only a sentinel can stand.
    let base = base << (shift + kind.width() - 1);
    entries.extend((0..count(words).min(kind.capacity())).rev().map(|place| {
        let kind = Kind::ALL[KIND];
        let window = window(words, kind, place);
        let len = 64 - (shift + window.trailing_zeros()) as u8;
        let start = base | (window & (window - 1)) << shift >> 1;
        Entry { start, len, id: id(words, kind, place) }
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

#[inline(always)]
fn window(words: &[u64; 8], kind: Kind, place: usize) -> u64 {
    match kind {
        Kind::W16 => words[1 + place / 4] >> (16 * (place % 4)) & 0xffff,
        Kind::W24 => {
            (words[1 + place / 4] >> (16 * (place % 4)) & 0xffff) | (words[3] >> (8 * place) & 0xff) << 16
        }
        Kind::W32 => words[1 + place / 2] >> (32 * (place % 2)) & 0xffff_ffff,
        Kind::W64 => words[1 + place],
    }
}

#[inline(always)]
const fn id(words: &[u64; 8], kind: Kind, place: usize) -> u32 {
    let at = 16 - kind.capacity() + place;
    (words[at / 2] >> (32 * (at % 2))) as u32
}

/// What a key is compared with in a leaf of this header: the key's own window, and whether it has the leaf's base.
#[inline(always)]
pub(crate) const fn aim(header: u64, kind: Kind, key: u64) -> (u64, bool) {
    let shift = (header >> SHIFT_AT & 0x3f) as u32;
    let window = (key << 1) >> shift & (u64::MAX >> (64 - kind.width()));
    (window, key.wrapping_shr(shift + kind.width() - 1) == header >> BASE_AT)
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
        Kind::W24 => compare::<8>(words, kind, wanted),
        Kind::W32 => compare::<7>(words, kind, wanted),
        Kind::W64 => compare::<4>(words, kind, wanted),
    }
}

#[inline(always)]
fn compare<const N: usize>(words: &[u64; 8], kind: Kind, wanted: u64) -> u32 {
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
        mask => id(words, Kind::of(words[0]), mask.trailing_zeros() as usize),
    }
}

/// As [`find`], among the entries that are records.
pub(crate) fn find_record(words: &[u64; 8], key: u64, otherwise: u32) -> u32 {
    let kind = Kind::of(words[0]);
    let mut mask = matches(words, key);
    while mask != 0 {
        let found = id(words, kind, mask.trailing_zeros() as usize);
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
