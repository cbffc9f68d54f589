//! 512-bit vectors: a node is one load and one comparison.

use core::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi64, _mm256_cmpeq_epi16_mask, _mm256_loadu_si256,
    _mm256_maskz_loadu_epi16, _mm256_set1_epi16, _mm256_set1_epi64x, _mm256_ternarylogic_epi64,
    _mm256_testn_epi64_mask, _mm512_add_epi32, _mm512_and_si512, _mm512_cmpeq_epi64_mask,
    _mm512_cmplt_epu64_mask, _mm512_load_si512, _mm512_maskz_loadu_epi64, _mm512_permutexvar_epi8,
    _mm512_set1_epi32, _mm512_set1_epi64, _mm512_ternarylogic_epi32, _mm512_testn_epi32_mask,
};
use core::hint::select_unpredictable;
use core::sync::atomic::Ordering::Relaxed;

use credence_memory::Line;

use super::{WINDOW, Width, bytes, has_avx512, word};
use crate::table::leaf::Kind;
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

/// Where a window `w` and what is wanted `k` differ above the sentinel: `(w ^ k) & !(w ^ (w - 1))`, by its truth table.
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

    #[inline(always)]
    fn matches(leaf: &Line, kind: usize, wanted: u32) -> u32 {
        let windows = widened(leaf, kind);
        // SAFETY: as above.
        let wanted = unsafe { _mm512_set1_epi32(wanted.cast_signed()) };
        // SAFETY: as above.
        let ones = unsafe { _mm512_set1_epi32(-1) };
        // SAFETY: as above.
        let below = unsafe { _mm512_add_epi32(windows, ones) };
        // SAFETY: as above.
        let differ = unsafe { _mm512_ternarylogic_epi32::<DIFFER>(windows, wanted, below) };
        // SAFETY: as above.
        u32::from(unsafe { _mm512_testn_epi32_mask(differ, differ) })
    }

    #[inline(always)]
    fn wide_matches(leaf: &Line, wanted: u64) -> u32 {
        // SAFETY: the second to the fifth of a line's eight words, which are not written while it can be reached.
        let windows: __m256i = unsafe { _mm256_loadu_si256(bytes::<8>(leaf).cast()) };
        // SAFETY: as in `rank`.
        let wanted = unsafe { _mm256_set1_epi64x(wanted.cast_signed()) };
        // SAFETY: as in `rank`.
        let ones = unsafe { _mm256_set1_epi64x(-1) };
        // SAFETY: as in `rank`.
        let below = unsafe { _mm256_add_epi64(windows, ones) };
        // SAFETY: as in `rank`.
        let differ = unsafe { _mm256_ternarylogic_epi64::<DIFFER>(windows, wanted, below) };
        // SAFETY: as in `rank`.
        u32::from(unsafe { _mm256_testn_epi64_mask(differ, differ) })
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

/// Which bytes of a line make up the windows of each kind but the last, in sixteen lanes of 32 bits; lanes without an entry
/// repeat the last one, and [`WINDOW`] clears what a window does not have.
const SPREAD: &[Spread; 4] = &[spread(Kind::W16), spread(Kind::W24), spread(Kind::W32), spread(Kind::W32)];

#[repr(align(64))]
struct Spread([u8; 64]);

const fn spread(kind: Kind) -> Spread {
    let mut bytes = [0; 64];
    let mut at = 0;
    while at < 64 {
        let (lane, byte) = (at / 4, at % 4);
        let place = if lane < kind.capacity() { lane } else { kind.capacity() - 1 };
        bytes[at] = match kind {
            Kind::W16 => 8 + 2 * place + byte % 2,
            Kind::W24 if byte < 2 => 8 + 2 * place + byte,
            Kind::W24 => 24 + place,
            Kind::W32 | Kind::W64 => 8 + 4 * place + byte,
        } as u8;
        at += 1;
    }
    Spread(bytes)
}

/// The windows of a leaf of any kind but the last, each in a lane of its own.
#[inline(always)]
fn widened(leaf: &Line, kind: usize) -> __m512i {
    // SAFETY: a line is 64 aligned bytes, which are not written while it can be reached.
    let line: __m512i = unsafe { _mm512_load_si512(bytes::<0>(leaf).cast()) };
    // SAFETY: 64 aligned bytes.
    let places = unsafe { _mm512_load_si512(SPREAD[kind].0.as_ptr().cast()) };
    // SAFETY: see [`Width`].
    let spread = unsafe { _mm512_permutexvar_epi8(places, line) };
    // SAFETY: as above.
    let window = unsafe { _mm512_set1_epi32(WINDOW[kind].cast_signed()) };
    // SAFETY: as above.
    unsafe { _mm512_and_si512(spread, window) }
}
