//! Look-ups with 512-bit vectors: a node is one load and one comparison.

#![allow(unsafe_code)] // vector loads of lines, and the call of code for a processor that was asked for it

use core::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_and_si512, _mm512_cmplt_epu64_mask, _mm512_load_si512,
    _mm512_permutexvar_epi8, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_ternarylogic_epi32,
    _mm512_testn_epi32_mask,
};
use core::hint::select_unpredictable;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use credence_memory::Line;

use super::Table;
use super::batch::Kernel;
use super::leaf::{self, Kind};
use super::word::Word;

/// Whether this processor has what [`match_batch`] uses.
#[inline]
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vbmi")
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

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2,popcnt")]
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
    fn find(leaf: &Line, key: u64, otherwise: u32) -> u32 {
        let header = leaf.0[0].load(Relaxed);
        let kind = (header & 3) as usize;
        if kind == Kind::W64 as usize {
            return find_wide(leaf, key, otherwise); // one leaf in hundreds
        }
        let shift = (header >> 2) as u32;
        let based = key.wrapping_shr(shift.wrapping_add(WIDTH_MINUS_ONE + 8 * kind as u32)) == header >> 15;
        let wanted = (key << 1).wrapping_shr(shift) as u32 & WINDOW[kind];
        let mask = select_unpredictable(based, matches(widened(leaf, kind), wanted), 0);
        // Without a match that is 32, and the place some other of the line's.
        let at = (7 + kind + mask.trailing_zeros() as usize) % 16;
        // SAFETY: one of the sixteen 32-bit numbers of the line, which is not written while it can be reached.
        let found = unsafe { bytes::<0>(leaf).cast::<u32>().wrapping_add(at).read() };
        // Which of the two cannot be predicted.
        select_unpredictable(mask == 0, otherwise, found)
    }
}

/// As [`Kernel::find`], for a leaf of [`Kind::W64`].
#[cold]
fn find_wide(leaf: &Line, key: u64, otherwise: u32) -> u32 {
    leaf::find(&leaf::load(leaf), key, otherwise)
}

/// A bit for each of sixteen windows that contains `wanted`.
#[inline(always)]
fn matches(windows: __m512i, wanted: u32) -> u32 {
    // SAFETY: see [`Avx512`]; so in all that follows.
    let wanted = unsafe { _mm512_set1_epi32(wanted.cast_signed()) };
    // SAFETY: as above.
    let ones = unsafe { _mm512_set1_epi32(-1) };
    // SAFETY: as above.
    let below = unsafe { _mm512_add_epi32(windows, ones) };
    // Where the window and what is wanted differ above the sentinel: (w ^ k) & !(w ^ (w - 1)), by its truth table.
    // SAFETY: as above.
    let differ = unsafe { _mm512_ternarylogic_epi32::<0b0010_0100>(windows, wanted, below) };
    // SAFETY: as above.
    u32::from(unsafe { _mm512_testn_epi32_mask(differ, differ) })
}

/// Bits of a window of the narrowest kind, less one; each kind after it but the last has eight more.
const WIDTH_MINUS_ONE: u32 = Kind::W16.width() - 1;

/// The bits of a window of each kind but the last, in a lane of 32.
const WINDOW: [u32; 4] = [0xffff, 0xff_ffff, u32::MAX, u32::MAX];

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
    // SAFETY: see [`Avx512`].
    let spread = unsafe { _mm512_permutexvar_epi8(places, line) };
    // SAFETY: as above.
    let window = unsafe { _mm512_set1_epi32(WINDOW[kind].cast_signed()) };
    // SAFETY: as above.
    unsafe { _mm512_and_si512(spread, window) }
}
