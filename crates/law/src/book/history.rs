//! How a subject's credit came to be what it is.

use credence_credit::{ActId, Rating};
use credence_prefix::Prefix;

use super::Book;
use crate::check::{Acts, Law};
use crate::standard::Entry;

impl Book {
    /// How good a subject's credit was at each of `moments` (Unix seconds), by the newest standard: what was made later had not
    /// happened then.
    pub fn history(&self, law: &Law, subject: Prefix, moments: &[u64]) -> Vec<Rating> {
        let found: Vec<ActId> = self.about(subject).map(|accepted| accepted.id).collect();
        let (standard, catalogue) = law.newest();
        let rating = |&moment: &u64| {
            let made = |id: &&ActId| self.act(id).is_some_and(|act| act.preamble().issued <= moment);
            let entries: Vec<Entry> =
                found.iter().filter(made).flat_map(|id| self.entries(law, id, moment)).collect();
            standard.assess(catalogue, &entries, moment).rating
        };
        moments.iter().map(rating).collect()
    }
}
