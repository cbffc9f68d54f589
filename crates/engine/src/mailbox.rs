//! How workers that never wait for each other learn what all sources do.

use std::sync::{Arc, PoisonError};

use credence_flow::{Delta, merge};

use crate::sync::{Mutex, MutexGuard};

/// Lists that one worker has not taken in before it must catch up: about a minute of steps of one other worker.
const WAITING_MAX: usize = 64;

/// A mailbox a worker. Each posts its deltas to all others and takes what they have posted; who is late is heard later.
pub(crate) struct Mailboxes(Vec<Mutex<Mailbox>>);

/// What waits for one worker.
#[derive(Default)]
struct Mailbox {
    waiting: Vec<Arc<[Delta]>>,
    /// Lists that found the mailbox full.
    lost: u64,
}

impl Mailboxes {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Mutex::default()).collect())
    }

    /// Posts one worker's deltas and returns them merged with all that was posted to it. The locks are held to push or to
    /// take a pointer, once a step.
    pub(crate) fn exchange(&self, own: usize, deltas: &[Delta]) -> Vec<Delta> {
        let deltas: Arc<[Delta]> = deltas.into();
        let mut heard = vec![Arc::clone(&deltas)];
        for number in 0..self.0.len() {
            let mut mailbox = self.open(number);
            if number == own {
                heard.append(&mut mailbox.waiting);
            } else if mailbox.waiting.len() < WAITING_MAX {
                mailbox.waiting.push(Arc::clone(&deltas));
            } else {
                mailbox.lost += 1;
            }
        }
        merge(&heard)
    }

    /// Lists that this worker never hears of, since it was too far behind when they were posted.
    pub(crate) fn lost(&self, own: usize) -> u64 {
        self.open(own).lost
    }

    fn open(&self, number: usize) -> MutexGuard<'_, Mailbox> {
        self.0[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, loom))]
#[path = "mailbox_model.rs"]
mod model;

#[cfg(all(test, not(loom)))]
mod tests {
    use credence_flow::Level;

    use super::*;

    #[test]
    fn lists_that_find_a_mailbox_full_are_counted_and_those_before_them_are_heard() {
        let mailboxes = Mailboxes::new(2);
        let list = |n: usize| vec![Delta::none(Level::Host, n as u128)];
        (0..WAITING_MAX + 3).for_each(|n| _ = mailboxes.exchange(0, &list(n)));
        assert_eq!((mailboxes.lost(0), mailboxes.lost(1)), (0, 3));
        let heard = mailboxes.exchange(1, &[]);
        assert!(heard.iter().map(|delta| delta.prefix).eq(0..WAITING_MAX as u128));
        assert!(mailboxes.exchange(1, &[]).is_empty(), "each list is heard once");
        assert_eq!(mailboxes.lost(1), 3);
    }
}
