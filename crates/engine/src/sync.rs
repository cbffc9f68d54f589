//! The locks of this crate, which a model checker can take the place of.
//!
//! With `--cfg loom` they are those of [loom](https://docs.rs/loom), for the modules named `*_model.rs`, which `cargo xtask
//! test` runs. Outside a model they do not work, so that nothing else can be tested in such a build.

#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(all(test, loom))]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
