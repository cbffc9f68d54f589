//! Look-ups with vectors: a node is one or two loads and comparisons, a leaf is compared whole.
//!
//! Which of them a processor has is asked at run time. The answers are those of plain instructions.

#![allow(unsafe_code)] // vector loads of lines, and the call of code for a processor that was asked for it

mod avx2;
mod avx512;

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Acquire;

use credence_memory::Line;

use super::batch::{Kernel, LANES};
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
    /// As [`Kernel::find_each`].
    fn find_each(lines: &[Line], addrs: &[u128], words: &[Word; LANES], out: &mut [u32]);
    /// As [`Kernel::host`].
    fn host(lines: &[Line], unit: u32, host: u64) -> u32;
}

/// The record number or link of a leaf's first entry of the mask, or `otherwise`.
#[inline(always)]
fn number(leaf: &Line, mask: u32, otherwise: u32) -> u32 {
    // Sixteen without a match.
    let place = (mask | 1 << 16).trailing_zeros();
    let at = (15 ^ place) % 16;
    // SAFETY: one of the sixteen 32-bit numbers of the line, which is not written while it can be reached.
    let found = unsafe { bytes::<0>(leaf).cast::<u32>().wrapping_add(at as usize).read() };
    // Which of the two cannot be predicted, and a comparison would become a branch.
    let none = (place >> 4).wrapping_neg();
    found ^ (found ^ otherwise) & none
}

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

/// A line by the number of its first word.
#[inline(always)]
fn line(lines: &[Line], at: u32) -> &Line {
    debug_assert!(at as usize / 8 < lines.len() && at.is_multiple_of(8));
    // SAFETY: as in `word`; the place is that of a line's first word.
    unsafe { &*lines.as_ptr().cast::<AtomicU64>().wrapping_add(at as usize).cast::<Line>() }
}

impl<W: Width> Kernel for W {
    #[inline(always)]
    fn line(lines: &[Line], at: u32) -> &Line {
        line(lines, at)
    }

    #[inline(always)]
    fn word(lines: &[Line], at: u32) -> Word {
        Word(word(lines, at as usize).load(Acquire))
    }

    #[inline(always)]
    fn rank(node: &Line, key: u64) -> u32 {
        W::rank(node, key)
    }

    #[inline(always)]
    fn find_each(lines: &[Line], addrs: &[u128], words: &[Word; LANES], out: &mut [u32]) {
        W::find_each(lines, addrs, words, out);
    }

    #[inline(always)]
    fn host(lines: &[Line], unit: u32, host: u64) -> u32 {
        W::host(lines, unit, host)
    }
}
