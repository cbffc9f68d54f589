//! 256-bit vectors, for processors that have no wider ones.

use core::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_add_epi64, _mm256_andnot_si256,
    _mm256_broadcastsi128_si256, _mm256_castsi128_si256, _mm256_castsi256_pd, _mm256_castsi256_ps,
    _mm256_cmpeq_epi32, _mm256_cmpeq_epi64, _mm256_cmpgt_epi64, _mm256_inserti128_si256, _mm256_load_si256,
    _mm256_loadu_si256, _mm256_movemask_pd, _mm256_movemask_ps, _mm256_or_si256, _mm256_set1_epi32,
    _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_xor_si256,
};
use core::sync::atomic::Ordering::Relaxed;

use credence_memory::Line;

use super::{Width, bytes, has_avx2};
use crate::table::hosts::Block;
use crate::table::leaf::Kind;
use crate::table::{NO_MATCH, Table};

/// Answers a batch. To be called only when [`has_avx2`] says so.
pub(in crate::table) fn match_batch(table: &Table, addrs: &[u128], out: &mut [u32]) {
    debug_assert!(has_avx2());
    // SAFETY: the caller has asked the processor.
    unsafe { with_vectors(table, addrs, out) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn with_vectors(table: &Table, addrs: &[u128], out: &mut [u32]) {
    table.match_batch::<Avx2>(addrs, out);
}

struct Avx2;

impl Width for Avx2 {
    #[inline(always)]
    fn rank(node: &Line, key: u64) -> u32 {
        // SAFETY: see [`Width`]; so in all that follows.
        let key = unsafe { _mm256_set1_epi64x((key ^ SIGN).cast_signed()) };
        let low = above(key, load(bytes::<0>(node)));
        let high = above(key, load(bytes::<32>(node)));
        (low | high << 4).count_ones()
    }

    #[inline(always)]
    fn matches(leaf: &Line, kind: usize, wanted: u32) -> u32 {
        let windows = widened(leaf, kind);
        // SAFETY: as above.
        let every = unsafe { _mm256_set1_epi32(wanted.cast_signed()) };
        // SAFETY: as above.
        let ones = unsafe { _mm256_set1_epi32(-1) };
        // SAFETY: as above.
        let differ = unsafe { _mm256_xor_si256(windows, every) };
        // SAFETY: as above.
        let below = unsafe { _mm256_add_epi32(windows, ones) };
        // SAFETY: as above.
        let free = unsafe { _mm256_xor_si256(windows, below) };
        // Where the window and what is wanted differ above the sentinel.
        // SAFETY: as above.
        let above = unsafe { _mm256_andnot_si256(free, differ) };
        // SAFETY: as above.
        let none = unsafe { _mm256_setzero_si256() };
        // SAFETY: as above.
        let equal = unsafe { _mm256_cmpeq_epi32(above, none) };
        // SAFETY: as above.
        let lanes = unsafe { _mm256_castsi256_ps(equal) };
        // SAFETY: as above.
        let mask = unsafe { _mm256_movemask_ps(lanes) };
        mask.cast_unsigned() | ninth(leaf, kind, wanted)
    }

    #[inline(always)]
    fn wide_matches(leaf: &Line, wanted: u64) -> u32 {
        // SAFETY: the second to the fifth of a line's eight words, which are not written while it can be reached.
        let windows: __m256i = unsafe { _mm256_loadu_si256(bytes::<8>(leaf).cast()) };
        // SAFETY: as above.
        let every = unsafe { _mm256_set1_epi64x(wanted.cast_signed()) };
        // SAFETY: as above.
        let ones = unsafe { _mm256_set1_epi64x(-1) };
        // SAFETY: as above.
        let differ = unsafe { _mm256_xor_si256(windows, every) };
        // SAFETY: as above.
        let below = unsafe { _mm256_add_epi64(windows, ones) };
        // SAFETY: as above.
        let free = unsafe { _mm256_xor_si256(windows, below) };
        // SAFETY: as above.
        let above = unsafe { _mm256_andnot_si256(free, differ) };
        // SAFETY: as above.
        let none = unsafe { _mm256_setzero_si256() };
        // SAFETY: as above.
        let equal = unsafe { _mm256_cmpeq_epi64(above, none) };
        // SAFETY: as above.
        let lanes = unsafe { _mm256_castsi256_pd(equal) };
        // SAFETY: as above.
        unsafe { _mm256_movemask_pd(lanes) }.cast_unsigned()
    }

    /// Which of the few hosts it is, is found word by word: the block has no room behind it that a vector could load.
    #[inline(always)]
    fn host(lines: &[Line], unit: u32, host: u64) -> u32 {
        Block::new(lines, unit).find(host).unwrap_or(NO_MATCH)
    }
}

/// The highest bit: there are comparisons of signed numbers only.
const SIGN: u64 = 1 << 63;

/// 32 aligned bytes: half a line, or places for its bytes.
#[inline(always)]
fn load(from: *const u8) -> __m256i {
    // SAFETY: as many aligned bytes stand there; a line is not written while it can be reached.
    unsafe { _mm256_load_si256(from.cast()) }
}

/// A bit for each of four bounds that is below a key with its highest bit turned.
#[inline(always)]
fn above(key: __m256i, bounds: __m256i) -> u32 {
    // SAFETY: as in `rank`; so in all that follows.
    let sign = unsafe { _mm256_set1_epi64x(SIGN.cast_signed()) };
    // SAFETY: as above.
    let bounds = unsafe { _mm256_xor_si256(bounds, sign) };
    // SAFETY: as above.
    let below = unsafe { _mm256_cmpgt_epi64(key, bounds) };
    // SAFETY: as above.
    let lanes = unsafe { _mm256_castsi256_pd(below) };
    // SAFETY: as above.
    unsafe { _mm256_movemask_pd(lanes) }.cast_unsigned()
}

/// The bit of the ninth entry, which leaves of the narrowest windows have alone, and for which a vector has no lane.
#[inline(always)]
fn ninth(leaf: &Line, kind: usize, wanted: u32) -> u32 {
    let window = leaf.0[3].load(Relaxed) as u32 & 0xffff;
    let contains = window ^ wanted <= window ^ window.wrapping_sub(1);
    u32::from(contains & (kind == Kind::W16 as usize)) << 8
}

/// Which bytes make up the windows of each kind but the last, in eight lanes of 32 bits: of those from byte 8 on and from
/// byte 16 on, and of those from byte 24 on. Lanes without an entry repeat the last one.
const SPREAD: &[Spread; 4] = &[spread(Kind::W16), spread(Kind::W24), spread(Kind::W32), spread(Kind::W32)];

#[repr(align(32))]
struct Spread {
    front: [u8; 32],
    back: [u8; 32],
}

/// No byte: the lane is left clear.
const NONE: u8 = 0x80;

const fn spread(kind: Kind) -> Spread {
    let mut spread = Spread { front: [NONE; 32], back: [NONE; 32] };
    let mut at = 0;
    while at < 32 {
        let (lane, byte) = (at / 4, at % 4);
        let place = if lane < kind.capacity() { lane } else { kind.capacity() - 1 };
        let wanted = match kind {
            Kind::W16 | Kind::W24 if byte < 2 => 8 + 2 * place + byte,
            Kind::W24 if byte == 2 => 24 + place,
            Kind::W32 | Kind::W64 => 8 + 4 * place + byte,
            _ => 0,
        };
        // The half of the vector decides from where on it has sixteen bytes of the line.
        let front = if at < 16 { 8 } else { 16 };
        if wanted >= front + 16 {
            spread.back[at] = (wanted - 24) as u8;
        } else if wanted != 0 {
            spread.front[at] = (wanted - front) as u8;
        }
        at += 1;
    }
    spread
}

/// The first eight windows of a leaf of any kind but the last, each in a lane of its own.
#[inline(always)]
fn widened(leaf: &Line, kind: usize) -> __m256i {
    let spread = &SPREAD[kind];
    let (low, high) = (sixteen(bytes::<8>(leaf)), sixteen(bytes::<16>(leaf)));
    // SAFETY: see [`Width`]; so in all that follows.
    let front = unsafe { _mm256_castsi128_si256(low) };
    // SAFETY: as above.
    let front = unsafe { _mm256_inserti128_si256::<1>(front, high) };
    // SAFETY: as above.
    let back = unsafe { _mm256_broadcastsi128_si256(sixteen(bytes::<24>(leaf))) };
    // SAFETY: as above.
    let front = unsafe { _mm256_shuffle_epi8(front, load(spread.front.as_ptr())) };
    // SAFETY: as above.
    let back = unsafe { _mm256_shuffle_epi8(back, load(spread.back.as_ptr())) };
    // SAFETY: as above.
    unsafe { _mm256_or_si256(front, back) }
}

#[inline(always)]
fn sixteen(from: *const u8) -> __m128i {
    // SAFETY: part of a line, which is not written while it can be reached.
    unsafe { _mm_loadu_si128(from.cast()) }
}
