//! How workers that never wait for each other learn what all sources do.

use std::sync::{Arc, PoisonError};

use credence_flow::{Delta, merge};

use crate::sync::Mutex;

/// Lists that one worker has not taken in before it must catch up: about a minute of steps of one other worker.
const WAITING_MAX: usize = 64;

/// A mailbox a worker. Each posts its deltas to all others and takes what they have posted; who is late is heard later.
pub(crate) struct Mailboxes(Vec<Mutex<Vec<Arc<[Delta]>>>>);

impl Mailboxes {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Mutex::default()).collect())
    }

    /// Posts one worker's deltas and returns them merged with all that was posted to it. The locks are held to push or to
    /// take a pointer, once a step.
    pub(crate) fn exchange(&self, own: usize, deltas: Vec<Delta>) -> Vec<Delta> {
        let deltas: Arc<[Delta]> = deltas.into();
        let mut heard = vec![Arc::clone(&deltas)];
        for (number, mailbox) in self.0.iter().enumerate() {
            let mut waiting = mailbox.lock().unwrap_or_else(PoisonError::into_inner);
            if number == own {
                heard.append(&mut waiting);
            } else if waiting.len() < WAITING_MAX {
                waiting.push(Arc::clone(&deltas));
            }
        }
        merge(heard)
    }
}

#[cfg(all(test, loom))]
#[path = "mailbox_model.rs"]
mod model;
