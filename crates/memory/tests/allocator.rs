//! What is free goes back to the system when it should, and not before.

#![cfg(all(feature = "allocator", target_os = "linux", not(miri)))]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::hint::black_box;

use credence_memory::allocator::{self, MiMalloc};

#[global_allocator]
static GLOBAL: MiMalloc = MiMalloc;

/// Bytes taken for a moment.
const TAKEN: usize = 64 << 20;

/// Memory of this process that is in the machine, in bytes.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Takes memory in pieces such as lists have, writes to all of it, and lets it go.
fn take_for_a_moment() {
    let pieces: Vec<Vec<u8>> = (0..TAKEN >> 20).map(|_| vec![1; 1 << 20]).collect();
    black_box(&pieces);
}

/// One after the other in one test, since all is about the whole process.
#[test]
fn what_is_free_is_kept_for_the_next_and_not_where_much_is_taken_for_a_moment() {
    allocator::give_back_at_once();
    let before = resident();
    let held = || resident().saturating_sub(before);
    take_for_a_moment();
    assert!(held() < TAKEN / 4, "{} bytes were not given back at once", held());
    allocator::keep_for_next();
    take_for_a_moment();
    assert!(held() > TAKEN / 2, "{} bytes were kept", held());
    let during = allocator::at_once(|| {
        let kept = held();
        take_for_a_moment();
        (kept, held())
    });
    assert!(during.0 < TAKEN / 4, "{} bytes kept from before were not given back", during.0);
    assert!(during.1 < TAKEN / 4, "{} bytes were not given back at once", during.1);
    take_for_a_moment();
    assert!(held() > TAKEN / 2, "{} bytes are kept as before", held());
}
