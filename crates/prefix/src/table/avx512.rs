//! Look-ups with 512-bit vectors: a node is one load and one comparison.

#![allow(unsafe_code)] // vector loads of lines, and the call of code for a processor that was asked for it

use core::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_loadl_epi64, _mm_loadu_si128, _mm256_add_epi16, _mm256_add_epi32,
    _mm256_add_epi64, _mm256_cmple_epu16_mask, _mm256_cmple_epu32_mask, _mm256_cmple_epu64_mask,
    _mm256_cvtepu8_epi32, _mm256_cvtepu16_epi32, _mm256_loadu_si256, _mm256_or_si256, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_slli_epi32, _mm256_xor_si256, _mm512_cmplt_epu64_mask,
    _mm512_load_si512, _mm512_set1_epi64,
};
use core::hint::select_unpredictable;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use credence_memory::Line;

use super::Table;
use super::batch::Kernel;
use super::leaf::{Kind, aim};
use super::word::Word;

/// Whether this processor has what [`match_batch`] uses.
#[inline]
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
}

/// Answers a batch. To be called only when [`is_there`] says so.
pub(super) fn match_batch(table: &Table, addrs: &[u128], out: &mut [u32]) {
    debug_assert!(is_there());
    // SAFETY: the caller has asked the processor.
    unsafe { with_vectors(table, addrs, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2,popcnt")]
fn with_vectors(table: &Table, addrs: &[u128], out: &mut [u32]) {
    table.match_batch::<Avx512>(addrs, out);
}

/// 512-bit vectors for nodes, 256-bit ones for leaves. Its functions may run only where [`is_there`] says so.
struct Avx512;

/// The bytes of a line from `FROM` on.
#[inline(always)]
fn bytes<const FROM: usize>(line: &Line) -> *const u8 {
    core::ptr::from_ref(line).cast::<u8>().wrapping_add(FROM)
}

impl Kernel for Avx512 {
    #[inline(always)]
    fn line(lines: &[Line], at: u32) -> &Line {
        debug_assert!((at as usize) < lines.len());
        // SAFETY: places come from words and nodes that the table's writer made, which name lines of the table only; the
        // tests walk with plain instructions, which check each place, over the same tables.
        unsafe { lines.get_unchecked(at as usize) }
    }

    #[inline(always)]
    fn word(lines: &[Line], at: usize) -> Word {
        debug_assert!(at / 8 < lines.len());
        let word = lines.as_ptr().cast::<AtomicU64>().wrapping_add(at);
        // SAFETY: as above; a line is eight of these.
        Word(unsafe { &*word }.load(Acquire))
    }

    #[inline(always)]
    fn rank(node: &Line, key: u64) -> u32 {
        // SAFETY: a line is 64 aligned bytes; a node is written before it can be reached, and not while it can.
        let bounds: __m512i = unsafe { _mm512_load_si512(bytes::<0>(node).cast()) };
        // SAFETY: see the type.
        let key = unsafe { _mm512_set1_epi64(key.cast_signed()) };
        // SAFETY: see the type.
        unsafe { _mm512_cmplt_epu64_mask(bounds, key) }.count_ones()
    }

    #[inline(always)]
    fn find_common(leaf: &Line, key: u64, otherwise: u32) -> u32 {
        let (wanted, based) = aim(leaf.0[0].load(Relaxed), Kind::W16, key);
        let mask = compare_16(windows(leaf), wanted);
        select(leaf, Kind::W16, if based { mask } else { 0 }, otherwise)
    }

    #[inline(always)]
    fn find(leaf: &Line, key: u64, otherwise: u32) -> u32 {
        let header = leaf.0[0].load(Relaxed);
        let kind = Kind::of(header);
        let (wanted, based) = aim(header, kind, key);
        let mask = match kind {
            Kind::W16 => compare_16(windows(leaf), wanted),
            Kind::W24 => compare_32(windows_24(leaf), wanted),
            Kind::W32 => compare_32(windows(leaf), wanted) & 0x7f,
            Kind::W64 => compare_64(windows(leaf), wanted),
        };
        select(leaf, kind, if based { mask } else { 0 }, otherwise)
    }
}

/// The number of the first entry of `mask`, or `otherwise`.
#[inline(always)]
fn select(leaf: &Line, kind: Kind, mask: u32, otherwise: u32) -> u32 {
    let at = 16 - kind.capacity() + (mask | 1 << (kind.capacity() - 1)).trailing_zeros() as usize;
    // SAFETY: at most the sixteenth 32-bit number of the line, which is not written while it can be reached.
    let found = unsafe { bytes::<0>(leaf).cast::<u32>().wrapping_add(at).read() };
    // Which of the two cannot be predicted.
    select_unpredictable(mask == 0, otherwise, found)
}

/// The 32 bytes behind the header.
#[inline(always)]
fn windows(leaf: &Line) -> __m256i {
    // SAFETY: bytes 8 to 39 of the line's 64, which is not written while it can be reached.
    unsafe { _mm256_loadu_si256(bytes::<8>(leaf).cast()) }
}

/// Eight windows of 24 bits, widened: the lower 16 bits of all, then the upper 8 of all.
#[inline(always)]
fn windows_24(leaf: &Line) -> __m256i {
    // SAFETY: bytes 8 to 23 of the line.
    let low: __m128i = unsafe { _mm_loadu_si128(bytes::<8>(leaf).cast()) };
    // SAFETY: bytes 24 to 31 of the line.
    let high: __m128i = unsafe { _mm_loadl_epi64(bytes::<24>(leaf).cast()) };
    // SAFETY: see [`Avx512`]; so in all that follows.
    let low = unsafe { _mm256_cvtepu16_epi32(low) };
    // SAFETY: as above.
    let high = unsafe { _mm256_cvtepu8_epi32(high) };
    // SAFETY: as above.
    let high = unsafe { _mm256_slli_epi32::<16>(high) };
    // SAFETY: as above.
    unsafe { _mm256_or_si256(low, high) }
}

macro_rules! compare {
    ($name:ident, $int:ty, $set:ident, $add:ident, $le:ident, $valid:literal) => {
        /// A bit for each window that contains `wanted`.
        #[inline(always)]
        fn $name(windows: __m256i, wanted: u64) -> u32 {
            // SAFETY: see [`Avx512`]; so in all that follows.
            let wanted = unsafe { $set(wanted as $int) };
            // SAFETY: as above.
            let ones = unsafe { $set(-1) };
            // SAFETY: as above.
            let below = unsafe { $add(windows, ones) };
            // SAFETY: as above.
            let differ = unsafe { _mm256_xor_si256(windows, wanted) };
            // SAFETY: as above.
            let tail = unsafe { _mm256_xor_si256(windows, below) };
            // SAFETY: as above.
            u32::from(unsafe { $le(differ, tail) }) & $valid
        }
    };
}

compare!(compare_16, i16, _mm256_set1_epi16, _mm256_add_epi16, _mm256_cmple_epu16_mask, 0x1ff);
compare!(compare_32, i32, _mm256_set1_epi32, _mm256_add_epi32, _mm256_cmple_epu32_mask, 0xff);
compare!(compare_64, i64, _mm256_set1_epi64x, _mm256_add_epi64, _mm256_cmple_epu64_mask, 0xf);
