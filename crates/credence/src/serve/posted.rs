//! What has become of alerts that others may have to hear of, as the follower tells it.

use std::collections::BTreeMap;

use credence_engine::metrics::Outbox;
use credence_sync::outbox::{Outcome, State, Tally};
use credence_sync::pipe::Posted;

/// What the metrics page says of it. Words that are in no list are passed over; `unheard` are alerts that did not get that far.
pub(super) fn outbox(posted: &Posted, unheard: u64) -> Outbox {
    let refusals = Tally::default().refusals().map(|(word, _)| word).collect::<Vec<_>>();
    Outbox {
        drafts: counted(&posted.drafts, &State::NAMES),
        waiting_since_s: posted.waiting_since,
        outcomes: counted(&posted.outcomes, &Outcome::NAMES),
        answers: counted(&posted.answers, &Tally::ANSWERS),
        refusals: counted(&posted.refusals, &refusals),
        unheard,
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
        let told = |words: &[&str]| words.iter().map(|word| ((*word).to_owned(), 3)).collect();
        let posted = Posted {
            drafts: told(&["waiting", "2001:db8::/32"]),
            outcomes: told(&["merged", "anything"]),
            answers: told(&["taken"]),
            refusals: told(&["unheld", "member 7"]),
            waiting_since: 9,
        };
        let outbox = outbox(&posted, 5);
        let more = |counted: &[(&'static str, u64)]| {
            counted.iter().filter(|(_, count)| *count > 0).map(|(word, _)| *word).collect::<Vec<_>>()
        };
        assert_eq!((more(&outbox.drafts), more(&outbox.outcomes)), (vec!["waiting"], vec!["merged"]));
        assert_eq!((more(&outbox.answers), more(&outbox.refusals)), (vec!["taken"], vec!["unheld"]));
        assert_eq!((outbox.drafts.len(), outbox.waiting_since_s, outbox.unheard), (6, 9, 5));
    }
}
