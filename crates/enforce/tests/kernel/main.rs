//! The kernel's program, judged frame by frame against what user space says of the same frames.
//!
//! Needs the privilege to load programs. Without it, each test says so, and fails unless `CREDENCE_SKIP_PRIVILEGED` is 1.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that unwraps fails with a place and a cause")]

mod bridge;
mod exceptions;
mod joining;
mod links;
mod lists;
mod live;
mod packets;
mod policy;
mod swaps;
mod world;
