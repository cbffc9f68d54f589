//! 256-bit vectors, for processors that have no wider ones.

use core::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_andnot_si256, _mm256_castsi128_si256,
    _mm256_castsi256_pd, _mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_cmpgt_epi64,
    _mm256_inserti128_si256, _mm256_load_si256, _mm256_movemask_pd, _mm256_movemask_ps, _mm256_set1_epi32,
    _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_xor_si256,
};
use core::hint::select_unpredictable;
use core::sync::atomic::Ordering::Relaxed;

use credence_memory::Line;

use super::{Width, bytes, has_avx2, line, number};
use crate::table::batch::LANES;
use crate::table::hosts::Block;
use crate::table::leaf::{self, Kind};
use crate::table::walk::halves;
use crate::table::word::Word;
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
    fn find_each(lines: &[Line], addrs: &[u128], words: &[Word; LANES], out: &mut [u32]) {
        for ((out, &addr), &word) in out.iter_mut().zip(addrs).zip(words) {
            *out = find(line(lines, word.at()), halves(addr).0, word.answer());
        }
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

/// As [`leaf::find`]. Leaves of the widest kind, of which there are few, are searched entry by entry.
#[inline(always)]
fn find(leaf: &Line, key: u64, otherwise: u32) -> u32 {
    let header = leaf.0[0].load(Relaxed);
    let kind = Kind::of(header);
    if kind == Kind::W64 {
        return leaf::find(&leaf::load(leaf), key, otherwise);
    }
    let (wanted, is_based) = leaf::aim(header, kind, key);
    let mask = select_unpredictable(is_based, matches(leaf, kind, wanted as u32), 0);
    number(leaf, mask, otherwise)
}

/// A bit for each window of a leaf of any kind but the widest that contains `wanted`.
#[inline(always)]
fn matches(leaf: &Line, kind: Kind, wanted: u32) -> u32 {
    let windows = widened(leaf, kind);
    // SAFETY: as in `rank`; so in all that follows.
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

/// The bit of the ninth entry, which leaves of the narrowest windows have alone, and for which a vector has no lane.
#[inline(always)]
fn ninth(leaf: &Line, kind: Kind, wanted: u32) -> u32 {
    let window = leaf.0[3].load(Relaxed) as u32 & 0xffff;
    let contains = window ^ wanted <= window ^ window.wrapping_sub(1);
    u32::from(contains & (kind == Kind::W16)) << 8
}

/// Which bytes make up the windows of each kind but the last, in eight lanes of 32 bits: of the sixteen from byte 8 on, and of
/// those from byte `second` on. Lanes without an entry repeat the last one.
const SPREAD: &[Spread; 4] = &[spread(Kind::W16), spread(Kind::W24), spread(Kind::W32), spread(Kind::W32)];

#[repr(align(32))]
struct Spread {
    bytes: [u8; 32],
    second: usize,
}

const FIRST: usize = 8;

/// No byte: it is left clear.
const NONE: u8 = 0x80;

const fn spread(kind: Kind) -> Spread {
    let mut spread = Spread { bytes: [NONE; 32], second: kind.at(4) };
    let mut at = 0;
    while at < 32 {
        let (lane, byte) = (at / 4, at % 4);
        let place = if lane < kind.capacity() { lane } else { kind.capacity() - 1 };
        if byte < kind.bytes() {
            let byte = kind.at(place) + byte - if at < 16 { FIRST } else { spread.second };
            assert!(byte < 16, "within its half");
            spread.bytes[at] = byte as u8;
        }
        at += 1;
    }
    spread
}

/// The first eight windows of a leaf of any kind but the widest, each in a lane of its own.
#[inline(always)]
fn widened(leaf: &Line, kind: Kind) -> __m256i {
    let spread = &SPREAD[kind as usize];
    let (low, high) = (sixteen(bytes::<FIRST>(leaf)), sixteen(bytes::<0>(leaf).wrapping_add(spread.second)));
    // SAFETY: see [`Width`]; so in all that follows.
    let halves = unsafe { _mm256_castsi128_si256(low) };
    // SAFETY: as above.
    let halves = unsafe { _mm256_inserti128_si256::<1>(halves, high) };
    // SAFETY: as above.
    unsafe { _mm256_shuffle_epi8(halves, load(spread.bytes.as_ptr())) }
}

#[inline(always)]
fn sixteen(from: *const u8) -> __m128i {
    // SAFETY: part of a line, which is not written while it can be reached.
    unsafe { _mm_loadu_si128(from.cast()) }
}
