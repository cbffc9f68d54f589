//! The atomics of this crate, which a model checker can take the place of.
//!
//! With `--cfg loom` they are those of [loom](https://docs.rs/loom), which runs a model once for every order in which its
//! threads could get on and for every value that a load could return. `cargo xtask test` does so for the modules named
//! `*_model.rs`. Outside a model these types do not work, so that nothing else can be tested in such a build.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::{Arc, Mutex};

#[cfg(loom)]
pub(crate) use self::model::fence;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::{Arc, Mutex};

#[cfg(loom)]
mod model {
    use loom::sync::atomic::{AtomicU64, Ordering};

    loom::lazy_static! {
        static ref FENCES: AtomicU64 = AtomicU64::new(0);
    }

    /// A fence before which threads may switch. Loom's own always goes with the step before it, so that no other thread
    /// would ever come between a store and the fence behind it; a word that all fences write to parts them.
    pub(crate) fn fence(ordering: Ordering) {
        FENCES.fetch_add(1, Ordering::Relaxed);
        loom::sync::atomic::fence(ordering);
    }
}
