//! Arrays that ask for huge pages.

#![allow(unsafe_code)] // one system call, below

/// The size from which an array can hold a whole huge page wherever it begins: twice 2 MiB.
const WORTH_BYTES: usize = 4 << 20;

/// An array of `len` times `value`, in huge pages where the host gives them.
///
/// The request goes out before the memory is touched for the first time, so that pages are made large and not collapsed
/// later. A host without transparent huge pages, or with them switched off, gives plain pages; so does one that has none
/// to spare.
///
/// # Panics
/// When so many elements are more than an address space. Too little memory ends the process, as for any vector.
pub fn filled<T: Clone>(value: T, len: usize) -> Box<[T]> {
    let mut array = room(len);
    array.resize(len, value);
    array.into_boxed_slice()
}

/// An empty array with room for `len` elements, in huge pages where the host gives them. It costs address space; memory
/// is taken as elements come.
///
/// # Panics
/// As [`filled`] does.
pub fn room<T>(len: usize) -> Vec<T> {
    let array = Vec::with_capacity(len);
    advise(&array);
    array
}

/// Asks the kernel for huge pages behind the capacity of `array`, if that is large enough to hold one.
fn advise<T>(array: &Vec<T>) {
    /// The kernel takes addresses of whole pages; 4 KiB and 64 KiB pages both divide this.
    const PAGE: usize = 1 << 16;
    let bytes = array.capacity() * size_of::<T>();
    if bytes >= WORTH_BYTES {
        let start = array.as_ptr().addr();
        let skipped = start.next_multiple_of(PAGE) - start;
        let whole = (bytes - skipped) / PAGE * PAGE;
        let from = array.as_ptr().cast::<u8>().wrapping_add(skipped);
        ask(from, whole);
    }
}

/// Asks the kernel for huge pages behind `bytes` bytes. A refusal means plain pages.
#[cfg(all(target_os = "linux", not(miri)))]
fn ask(from: *const u8, bytes: usize) {
    // SAFETY: the advice changes no byte of the range, nor whether it can be read or written, whoever owns it.
    let _ = unsafe { libc::madvise(from.cast_mut().cast(), bytes, libc::MADV_HUGEPAGE) };
}

/// Elsewhere there is nobody to ask.
#[cfg(not(all(target_os = "linux", not(miri))))]
const fn ask(_: *const u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_filled_whatever_its_size() {
        let sizes = [0, 1, 1_000, WORTH_BYTES / 8, WORTH_BYTES / 8 * 3 + 5];
        let small = if cfg!(miri) { 3 } else { sizes.len() }; // an interpreter takes minutes for the others
        for &len in &sizes[..small] {
            let array = filled(7_u64, len);
            assert_eq!(array.len(), len);
            assert!(array.iter().all(|&value| value == 7));
        }
    }

    #[test]
    fn room_is_filled_without_moving() {
        let len = if cfg!(miri) { 1_000 } else { WORTH_BYTES }; // an interpreter takes minutes for more
        let mut array = room(len);
        array.push(1_u8);
        let start = array.as_ptr();
        array.resize(len, 2);
        assert_eq!((array.as_ptr(), array[0], array[len - 1]), (start, 1, 2));
    }
}
