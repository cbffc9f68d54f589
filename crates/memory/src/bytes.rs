//! Sixteen bytes compared at once.

#![allow(unsafe_code)] // one call of a function that wants vectors, below

/// A bit for each of `bytes`, the first in the lowest, that is `byte`.
#[inline(always)]
pub fn equal_bytes(bytes: [u8; 16], byte: u8) -> u32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        // SAFETY: these instructions, SSE2, are in every x86-64 processor.
        unsafe { in_vectors(bytes, byte) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    in_words(bytes, byte)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[target_feature(enable = "sse2")]
#[inline]
fn in_vectors(bytes: [u8; 16], byte: u8) -> u32 {
    use core::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    let wide = u128::from_le_bytes(bytes);
    let bytes = _mm_set_epi64x((wide >> 64) as i64, wide as i64);
    _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8))) as u32
}

/// The same in plain words of eight bytes.
#[cfg(any(test, not(all(target_arch = "x86_64", not(miri)))))]
fn in_words(bytes: [u8; 16], byte: u8) -> u32 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let equal = |word: u64| {
        let word = word ^ (ONES * u64::from(byte));
        // Adding carries into the highest bit of each byte that has another one set; what stays clear was zero.
        let zeros = !(((word & !HIGHS) + !HIGHS) | word | !HIGHS);
        // Gathers the lowest bits of eight bytes: each product lands in another bit of the highest byte.
        ((zeros >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
    };
    let wide = u128::from_le_bytes(bytes);
    equal(wide as u64) | (equal((wide >> 64) as u64) << 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that are often equal, and often neighbours.
    fn some_bytes(seed: u64) -> [u8; 16] {
        let mixed = u128::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes();
        let near = [0, 1, 2, 3, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff];
        mixed.map(|byte| if seed.is_multiple_of(3) { byte } else { near[usize::from(byte) % near.len()] })
    }

    #[test]
    fn bytes_are_compared_as_one_by_one() {
        for bytes in (0..200).map(some_bytes) {
            for byte in bytes.into_iter().chain([0, 5]) {
                let equal = |(at, held): (u32, u8)| u32::from(held == byte) << at;
                let expected = (0..).zip(bytes).map(equal).sum();
                assert_eq!(equal_bytes(bytes, byte), expected, "{bytes:x?} {byte:x}");
                assert_eq!(in_words(bytes, byte), expected, "{bytes:x?} {byte:x}");
            }
        }
    }
}
