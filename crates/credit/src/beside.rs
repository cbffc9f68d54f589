//! Work on two cores.
//!
//! Checking a whole feed and building its cache is work for most of a second, which falls into halves that need nothing of each other.
//! Two cores and no more: the others have packets to look after.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder, ScopedJoinHandle};

/// Does `one` and `other`, the first on another thread where this process may use a second core and there is a thread to be had. Where
/// there is none, or it has not begun by the time that `other` is done, all is done here: on a single core nothing waits.
///
/// # Panics
/// When one of the two does.
pub fn both<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    both_on(thread::available_parallelism().is_ok_and(|cores| cores > NonZero::<usize>::MIN), one, other)
}

/// The same, where it is known whether there is a second core.
fn both_on<A: Send, B>(
    has_second: bool,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B,
) -> (A, B) {
    let waiting = Mutex::new(Some(one));
    let take = || waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
    thread::scope(|scope| {
        let work = || take().map(|one| one());
        let beside = has_second.then(|| Builder::new().name("beside".to_owned()).spawn_scoped(scope, work));
        let second = other();
        let here = take().map(|one| one());
        // Joined even where it found nothing to do. A handle that is dropped detaches its thread, and in the C library that may free what
        // another thread has been given since, if this one ends at that very moment (glibc, bug 19951).
        let there = match beside.and_then(Result::ok).map(ScopedJoinHandle::join) {
            Some(Ok(there)) => there,
            Some(Err(panic)) => resume_unwind(panic),
            None => None,
        };
        (here.or(there).expect("whoever took it has done it"), second)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread::current;

    use super::*;

    #[test]
    fn both_are_done_at_once_where_there_is_a_second_core() {
        // Neither passes before the other has come.
        let meet = Barrier::new(2);
        let here = current().id();
        let (there, own) = both_on(
            true,
            || {
                meet.wait();
                current().id()
            },
            || {
                meet.wait();
                current().id()
            },
        );
        assert_eq!(own, here);
        assert_ne!(there, here);
    }

    #[test]
    fn on_a_single_core_all_is_done_here() {
        let here = current().id();
        assert_eq!(both_on(false, || current().id(), || current().id()), (here, here));
    }

    #[test]
    fn a_panic_beside_is_one_here() {
        let caught = std::panic::catch_unwind(|| {
            both_on(true, || panic!("beside"), || thread::sleep(std::time::Duration::from_millis(50)))
        });
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"beside"));
    }
}
