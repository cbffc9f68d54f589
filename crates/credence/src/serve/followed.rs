//! What is known of the process that fetches, counted where it is heard.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use credence_engine::metrics::{Following, Outbox};
use credence_sync::outbox::{Outcome, State, Tally};
use credence_sync::pipe::Posted;

/// What was heard of the follower.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// How often it was started; 0 where nothing is fetched.
    pub(crate) starts: AtomicU64,
    /// Lines that were no word.
    pub(crate) garbage: AtomicU64,
    /// Orders that it did not take.
    pub(crate) untold: AtomicU64,
    /// What has become of alerts.
    posted: Mutex<Option<Posted>>,
}

impl Followed {
    /// Notes what has become of alerts.
    pub(crate) fn post(&self, posted: Posted) {
        *self.posted.lock().unwrap_or_else(PoisonError::into_inner) = Some(posted);
    }

    /// What the metrics page says of the outbox; nothing where there is none. Words that are in no list are passed
    /// over. `unheard` are alerts that did not get that far.
    pub(super) fn outbox(&self, unheard: u64) -> Option<Outbox> {
        let posted = self.posted.lock().unwrap_or_else(PoisonError::into_inner);
        let posted = posted.as_ref()?;
        let refusals = Tally::default().refusals().map(|(word, _)| word).collect::<Vec<_>>();
        Some(Outbox {
            drafts: counted(&posted.drafts, &State::NAMES),
            waiting_since_s: posted.waiting_since,
            outcomes: counted(&posted.outcomes, &Outcome::NAMES),
            answers: counted(&posted.answers, &Tally::ANSWERS),
            refusals: counted(&posted.refusals, &refusals),
            unheard,
        })
    }

    /// What the metrics page says of it; nothing before it was started.
    pub(super) fn told(&self) -> Option<Following> {
        let [starts, garbage, untold] = [&self.starts, &self.garbage, &self.untold].map(|n| n.load(Relaxed));
        (starts > 0).then_some(Following { starts, garbage, untold })
    }
}

/// The counts under the words of a closed list, those that were not told at 0.
fn counted(told: &BTreeMap<String, u64>, words: &[&'static str]) -> Vec<(&'static str, u64)> {
    words.iter().map(|word| (*word, told.get(*word).copied().unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_word_that_there_is_and_no_other() {
        let followed = Followed::default();
        assert!(followed.outbox(0).is_none());
        let told = |words: &[&str]| words.iter().map(|word| ((*word).to_owned(), 3)).collect();
        followed.post(Posted {
            drafts: told(&["waiting", "2001:db8::/32"]),
            outcomes: told(&["merged", "anything"]),
            answers: told(&["taken"]),
            refusals: told(&["unheld", "member 7"]),
            waiting_since: 9,
        });
        let outbox = followed.outbox(5).unwrap();
        let more = |counted: &[(&'static str, u64)]| {
            counted.iter().filter(|(_, count)| *count > 0).map(|(word, _)| *word).collect::<Vec<_>>()
        };
        assert_eq!((more(&outbox.drafts), more(&outbox.outcomes)), (vec!["waiting"], vec!["merged"]));
        assert_eq!((more(&outbox.answers), more(&outbox.refusals)), (vec!["taken"], vec!["unheld"]));
        assert_eq!((outbox.drafts.len(), outbox.waiting_since_s, outbox.unheard), (6, 9, 5));
    }
}
