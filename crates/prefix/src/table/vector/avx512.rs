//! 512-bit vectors: a node is one load and one comparison.

use core::arch::x86_64::{
    __m256i, __m512i, _mm256_cmpeq_epi16_mask, _mm256_maskz_loadu_epi16, _mm256_set1_epi16, _mm512_add_epi32,
    _mm512_add_epi64, _mm512_cmpeq_epi64_mask, _mm512_cmplt_epu64_mask, _mm512_load_si512,
    _mm512_mask_set1_epi32, _mm512_maskz_loadu_epi64, _mm512_maskz_set1_epi32, _mm512_permutexvar_epi8,
    _mm512_set1_epi64, _mm512_ternarylogic_epi32, _mm512_ternarylogic_epi64, _mm512_testn_epi32_mask,
    _mm512_testn_epi64_mask,
};
use core::hint::select_unpredictable;
use core::sync::atomic::Ordering::Relaxed;

use credence_memory::Line;

use super::{Width, bytes, has_avx512, line, number, word};
use crate::table::batch::{LANES, ones};
use crate::table::leaf::{BASE_BYTE, ENTRIES_MAX, Kind, kind_number};
use crate::table::walk::halves;
use crate::table::word::Word;
use crate::table::{NO_MATCH, Table};

/// Answers a batch. To be called only when [`has_avx512`] says so.
pub(in crate::table) fn match_batch(table: &Table, addrs: &[u128], out: &mut [u32]) {
    debug_assert!(has_avx512());
    // SAFETY: the caller has asked the processor.
    unsafe { with_vectors(table, addrs, out) }
}

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2,popcnt")]
fn with_vectors(table: &Table, addrs: &[u128], out: &mut [u32]) {
    table.match_batch::<Avx512>(addrs, out);
}

/// Where an entry `w` and what is wanted `k` differ above the sentinel: `(w ^ k) & !(w ^ (w - 1))`, by its truth table.
const DIFFER: i32 = 0b0010_0100;

struct Avx512;

impl Width for Avx512 {
    #[inline(always)]
    fn rank(node: &Line, key: u64) -> u32 {
        // SAFETY: a line is 64 aligned bytes; a node is written before it can be reached, and not while it can.
        let bounds: __m512i = unsafe { _mm512_load_si512(bytes::<0>(node).cast()) };
        // SAFETY: see [`Width`]; so in all that follows.
        let key = unsafe { _mm512_set1_epi64(key.cast_signed()) };
        // SAFETY: as above.
        unsafe { _mm512_cmplt_epu64_mask(bounds, key) }.count_ones()
    }

    /// In steps for all: what waits for an answer waits in the core's scheduler, which holds few searches whole.
    #[inline(always)]
    fn find_each(lines: &[Line], addrs: &[u128], words: &[Word; LANES], out: &mut [u32]) {
        let mut masks = [0; LANES];
        for ((mask, &addr), &word) in masks.iter_mut().zip(addrs).zip(words) {
            *mask = compare(line(lines, word.at()), halves(addr).0);
        }
        let mut wide = 0;
        for (lane, mask) in masks.iter_mut().enumerate() {
            wide |= u64::from(*mask & WIDE != 0) << lane;
            *mask &= if *mask & BASE == 0 { 0 } else { WINDOWS };
        }
        for ((out, &mask), &word) in out.iter_mut().zip(&masks).zip(words) {
            *out = number(line(lines, word.at()), mask.into(), word.answer());
        }
        for lane in ones(wide) {
            let (word, key) = (words[lane], halves(addrs[lane]).0);
            let leaf = line(lines, word.at());
            out[lane] = number(leaf, compare_wide(leaf, key).into(), word.answer());
        }
    }

    #[inline(always)]
    fn host(lines: &[Line], unit: u32, host: u64) -> u32 {
        let at = unit as usize * 2;
        let header = word(lines, at).load(Relaxed);
        let (small, large) = (header as u32 & 0xff, header as u32 >> 8 & 0xff);
        let behind = at + 1 + large as usize;
        // The block holds at most sixteen small ones and eight others, and no lane beyond it is loaded.
        let smalls = equal_small(core::ptr::from_ref(word(lines, behind)).cast(), small, host as u16);
        let larges = equal_large(core::ptr::from_ref(word(lines, at + 1)), large, host);
        let is_small = host >> 16 == 0;
        let mask = select_unpredictable(is_small, smalls, larges);
        if mask == 0 {
            return NO_MATCH;
        }
        let place = mask.trailing_zeros() + select_unpredictable(is_small, 0, small);
        let ids = behind + small.div_ceil(4) as usize;
        (word(lines, ids + place as usize / 2).load(Relaxed) >> (32 * (place % 2))) as u32
    }
}

/// A bit for each of the first `count` numbers at `from` that is `wanted`.
#[inline(always)]
fn equal_small(from: *const i16, count: u32, wanted: u16) -> u32 {
    let lanes = (u32::MAX >> (16 - count.min(16)) >> 16) as u16;
    // SAFETY: so many numbers stand there, and no other lane is loaded; they are not written while they can be reached.
    let all: __m256i = unsafe { _mm256_maskz_loadu_epi16(lanes, from) };
    // SAFETY: as in `rank`.
    let wanted = unsafe { _mm256_set1_epi16(wanted.cast_signed()) };
    // SAFETY: as in `rank`.
    u32::from(unsafe { _mm256_cmpeq_epi16_mask(all, wanted) } & lanes)
}

/// As [`equal_small`], of whole words.
#[inline(always)]
fn equal_large(from: *const core::sync::atomic::AtomicU64, count: u32, wanted: u64) -> u32 {
    let lanes = (0xff_u32 >> (8 - count.min(8))) as u8;
    // SAFETY: as above.
    let all: __m512i = unsafe { _mm512_maskz_loadu_epi64(lanes, from.cast()) };
    // SAFETY: as in `rank`.
    let wanted = unsafe { _mm512_set1_epi64(wanted.cast_signed()) };
    // SAFETY: as in `rank`.
    u32::from(unsafe { _mm512_cmpeq_epi64_mask(all, wanted) } & lanes)
}

/// What a comparison says: a bit for each window that contains the key's, the most specific first; whether the base is the key's;
/// and whether the leaf is of the widest kind and none of that is said.
const WINDOWS: u16 = (1 << ENTRIES_MAX) - 1;
const BASE: u16 = 1 << ENTRIES_MAX;
const WIDE: u16 = 1 << (ENTRIES_MAX + 1);

/// Compares a key with the entries of a leaf. In each lane are the lower 32 bits of an entry, its window and as much of the base as
/// there is room for, in another the upper 32 bits of all.
#[inline(always)]
fn compare(leaf: &Line, key: u64) -> u16 {
    let header = leaf.0[0].load(Relaxed) as u32;
    let entries = widened(leaf, header);
    let wanted = (key << 1).wrapping_shr(header);
    // SAFETY: see [`Width`]; so in all that follows.
    let lower = unsafe { _mm512_maskz_set1_epi32(WINDOWS, wanted as i32) };
    // SAFETY: as above.
    let wanted = unsafe { _mm512_mask_set1_epi32(lower, BASE, (wanted >> 32) as i32) };
    // All that is beside windows must be equal to the last bit.
    // SAFETY: as above.
    let one = unsafe { _mm512_maskz_set1_epi32(WINDOWS, -1) };
    // SAFETY: as above.
    let below = unsafe { _mm512_add_epi32(entries, one) };
    // SAFETY: as above.
    let differ = unsafe { _mm512_ternarylogic_epi32::<DIFFER>(entries, wanted, below) };
    // SAFETY: as above.
    unsafe { _mm512_testn_epi32_mask(differ, differ) }
}

/// A bit for each entry of a leaf of the widest kind that contains `key`, the most specific first. Its windows are whole entries.
#[inline(always)]
fn compare_wide(leaf: &Line, key: u64) -> u8 {
    const LANES: u8 = (1 << Kind::W64.capacity()) - 1;
    let windows = bytes::<{ Kind::W64.at(0) }>(leaf).cast();
    // SAFETY: so many windows stand there, and no other lane is loaded; they are not written while they can be reached.
    let entries: __m512i = unsafe { _mm512_maskz_loadu_epi64(LANES, windows) };
    // SAFETY: see [`Width`]; so in all that follows.
    let wanted = unsafe { _mm512_set1_epi64((key << 1).cast_signed()) };
    // SAFETY: as above.
    let ones = unsafe { _mm512_set1_epi64(-1) };
    // SAFETY: as above.
    let below = unsafe { _mm512_add_epi64(entries, ones) };
    // SAFETY: as above.
    let differ = unsafe { _mm512_ternarylogic_epi64::<DIFFER>(entries, wanted, below) };
    // SAFETY: as above.
    unsafe { _mm512_testn_epi64_mask(differ, differ) & LANES }
}

/// Which bytes of a line make up what each kind is compared by, in lanes of 32 bits: the entries of all kinds but the last, lanes
/// without one repeating it; the base; and what is zero in a leaf of the last kind alone.
const SPREAD: &[Spread; 4] = &[spread(Kind::W16), spread(Kind::W24), spread(Kind::W32), spread(Kind::W64)];

#[repr(align(64))]
struct Spread([u8; 64]);

const fn spread(kind: Kind) -> Spread {
    let is_wide = matches!(kind, Kind::W64);
    let mut bytes = [0; 64];
    let mut at = 0;
    while at < 64 {
        let (lane, byte) = (at / 4, at % 4);
        bytes[at] = if lane < ENTRIES_MAX && !is_wide {
            let place = if lane < kind.capacity() { lane } else { kind.capacity() - 1 };
            if byte < kind.bytes() { kind.at(place) + byte } else { BASE_BYTE + byte - kind.bytes() }
        } else if lane == ENTRIES_MAX && !is_wide {
            BASE_BYTE + 4 + byte - kind.bytes()
        } else if is_wide {
            // Such a leaf has no base.
            BASE_BYTE + byte % 2
        } else {
            // No window is zero.
            kind.at(0) + if byte < kind.bytes() { byte } else { 0 }
        } as u8;
        at += 1;
    }
    Spread(bytes)
}

/// What the entries of a leaf of this header are compared by.
#[inline(always)]
fn widened(leaf: &Line, header: u32) -> __m512i {
    // SAFETY: a line is 64 aligned bytes, which are not written while it can be reached.
    let line: __m512i = unsafe { _mm512_load_si512(bytes::<0>(leaf).cast()) };
    let places = &SPREAD[kind_number(header.into())];
    // SAFETY: 64 aligned bytes.
    let places = unsafe { _mm512_load_si512(places.0.as_ptr().cast()) };
    // SAFETY: see [`Width`].
    unsafe { _mm512_permutexvar_epi8(places, line) }
}
