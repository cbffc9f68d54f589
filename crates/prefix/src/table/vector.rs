//! Look-ups with vectors: a node is one or two loads and comparisons, a leaf is compared whole.
//!
//! Which of them a processor has is asked at run time. The answers are those of plain instructions.

#![allow(unsafe_code)] // vector loads of lines, and the call of code for a processor that was asked for it

mod avx2;
mod avx512;

use core::hint::select_unpredictable;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use credence_memory::Line;

use super::batch::{Kernel, WIDE};
use super::leaf::Kind;
use super::word::Word;

pub(super) use self::avx2::match_batch as match_batch_avx2;
pub(super) use self::avx512::match_batch as match_batch_avx512;

/// Whether this processor has what [`match_batch_avx2`] uses.
#[inline]
pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
}

/// Whether this processor has what [`match_batch_avx512`] uses.
#[inline]
pub(super) fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vbmi")
}

/// What differs between vectors of one width and another. The functions of those who implement it may run only where the
/// processor has their instructions; everything that calls them is inlined into a function that says so.
trait Width {
    /// As [`Kernel::rank`].
    fn rank(node: &Line, key: u64) -> u32;
    /// A bit for each window of a leaf of this kind that contains `wanted`; any bits for [`Kind::W64`].
    fn matches(leaf: &Line, kind: usize, wanted: u32) -> u32;
    /// A bit for each window of a leaf of [`Kind::W64`] that contains `wanted`.
    fn wide_matches(leaf: &Line, wanted: u64) -> u32;
    /// As [`Kernel::host`].
    fn host(lines: &[Line], unit: u32, host: u64) -> u32;
}

/// Bits of a window of the narrowest kind, less one; each kind after it but the last has eight more.
const WIDTH_MINUS_ONE: u32 = Kind::W16.width() - 1;

/// The bits of a window of each kind but the last, in a lane of 32.
const WINDOW: [u32; 4] = [0xffff, 0xff_ffff, u32::MAX, u32::MAX];

/// The bytes of a line from `FROM` on.
#[inline(always)]
fn bytes<const FROM: usize>(line: &Line) -> *const u8 {
    core::ptr::from_ref(line).cast::<u8>().wrapping_add(FROM)
}

/// A word of the table by its number.
#[inline(always)]
fn word(lines: &[Line], at: usize) -> &AtomicU64 {
    debug_assert!(at / 8 < lines.len());
    // SAFETY: places come from words and nodes that the table's writer made, which name parts of the table only; the tests
    // walk with plain instructions, which check each place, over the same tables. A line is eight words.
    unsafe { &*lines.as_ptr().cast::<AtomicU64>().wrapping_add(at) }
}

impl<W: Width> Kernel for W {
    #[inline(always)]
    fn line(lines: &[Line], at: u32) -> &Line {
        debug_assert!((at as usize) < lines.len());
        // SAFETY: as in `word`.
        unsafe { lines.get_unchecked(at as usize) }
    }

    #[inline(always)]
    fn word(lines: &[Line], at: usize) -> Word {
        Word(word(lines, at).load(Acquire))
    }

    #[inline(always)]
    fn rank(node: &Line, key: u64) -> u32 {
        W::rank(node, key)
    }

    #[inline(always)]
    fn find(leaf: &Line, key: u64, otherwise: u32) -> u32 {
        let header = leaf.0[0].load(Relaxed);
        let kind = (header & 3) as usize;
        let shift = (header >> 2) as u32;
        let based = key.wrapping_shr(shift.wrapping_add(WIDTH_MINUS_ONE + 8 * kind as u32)) == header >> 15;
        let wanted = (key << 1).wrapping_shr(shift) as u32 & WINDOW[kind];
        let mask = select_unpredictable(based, W::matches(leaf, kind, wanted), 0);
        // Without a match that is 32, and the place some other of the line's.
        let at = (7 + kind + mask.trailing_zeros() as usize) % 16;
        // SAFETY: one of the sixteen 32-bit numbers of the line, which is not written while it can be reached.
        let found = unsafe { bytes::<0>(leaf).cast::<u32>().wrapping_add(at).read() };
        // Which of the two cannot be predicted.
        let found = select_unpredictable(mask == 0, otherwise, found);
        select_unpredictable(kind == Kind::W64 as usize, WIDE, found)
    }

    #[inline(always)]
    fn find_wide(leaf: &Line, key: u64, otherwise: u32) -> u32 {
        // The window begins at the lowest bit, and leaves one bit of a key above.
        let is_based = key >> 63 == leaf.0[0].load(Relaxed) >> 15;
        let mask = select_unpredictable(is_based, W::wide_matches(leaf, key << 1), 0);
        let at = (12 + mask.trailing_zeros() as usize) % 16;
        // SAFETY: as in `find`.
        let found = unsafe { bytes::<0>(leaf).cast::<u32>().wrapping_add(at).read() };
        select_unpredictable(mask == 0, otherwise, found)
    }

    #[inline(always)]
    fn host(lines: &[Line], unit: u32, host: u64) -> u32 {
        W::host(lines, unit, host)
    }
}
