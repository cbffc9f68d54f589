//! What became of what came in and of what went out, counted under words of closed lists.

use std::collections::BTreeMap;

use credence_law::Refusal;

use super::answer::{Answer, Reason};

/// What became of something that the gateway told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A draft was opened.
    Drafted,
    /// There is a draft of the same already, or there was one a while ago.
    Merged,
    /// The operator wants nothing sent.
    Off,
    /// The evidence could be forged; it stays here.
    Unconfirmed,
    /// The operator lets the source do as it does.
    Allowed,
    /// It shows nothing that stands in the catalogue.
    Nothing,
    /// The rules are not known yet.
    Lawless,
    /// The law would refuse it.
    Refused(Refusal),
    /// As many drafts wait as there may be.
    Full,
    /// As many drafts were opened in the day as may be.
    Quota,
    /// It cannot be read.
    Unreadable,
}

impl Outcome {
    /// The words for all of them.
    pub const NAMES: [&'static str; 11] = [
        "drafted",
        "merged",
        "off",
        "unconfirmed",
        "allowed",
        "nothing",
        "lawless",
        "refused",
        "full",
        "quota",
        "unreadable",
    ];

    /// The word in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drafted => "drafted",
            Self::Merged => "merged",
            Self::Off => "off",
            Self::Unconfirmed => "unconfirmed",
            Self::Allowed => "allowed",
            Self::Nothing => "nothing",
            Self::Lawless => "lawless",
            Self::Refused(_) => "refused",
            Self::Full => "full",
            Self::Quota => "quota",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    outcomes: BTreeMap<&'static str, u64>,
    answers: BTreeMap<&'static str, u64>,
    refusals: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Words for answers.
    pub const ANSWERS: [&'static str; 4] = ["taken", "refused", "later", "silence"];

    /// Counts what became of something that came in.
    pub fn came(&mut self, outcome: Outcome) {
        *self.outcomes.entry(outcome.name()).or_default() += 1;
        if let Outcome::Refused(refusal) = outcome {
            self.refused(Reason::Law(refusal));
        }
    }

    pub(super) fn answered(&mut self, answer: &Answer) {
        let [taken, refused, later, silence] = Self::ANSWERS;
        let word = match answer {
            Answer::Taken(_) => taken,
            Answer::Refused(reason) => {
                self.refused(*reason);
                refused
            }
            Answer::Later { .. } => later,
            Answer::Silence => silence,
        };
        *self.answers.entry(word).or_default() += 1;
    }

    pub(super) fn refused(&mut self, reason: Reason) {
        *self.refusals.entry(reason.name()).or_default() += 1;
    }

    /// Each outcome's word and how often it was, those that never were included, so that the series are there from the start.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        all(&self.outcomes, Outcome::NAMES.into_iter())
    }

    /// Each kind of answer and how often it came.
    pub fn answers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        all(&self.answers, Self::ANSWERS.into_iter())
    }

    /// Each reason for a refusal, by the platform or by the law before anything was sent, and how often it was met.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let reasons = Refusal::ALL.iter().map(|refusal| Reason::Law(*refusal)).chain([Reason::Other]);
        all(&self.refusals, reasons.map(Reason::name))
    }
}

fn all<'t>(
    counted: &'t BTreeMap<&'static str, u64>,
    words: impl Iterator<Item = &'static str> + 't,
) -> impl Iterator<Item = (&'static str, u64)> + 't {
    words.map(|word| (word, counted.get(word).copied().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_stands_under_its_word_and_the_rest_at_zero() {
        let mut tally = Tally::default();
        tally.came(Outcome::Merged);
        tally.came(Outcome::Refused(Refusal::Unheld));
        tally.answered(&Answer::Refused(Reason::Other));
        let counted =
            |of: Vec<(&'static str, u64)>| of.into_iter().filter(|each| each.1 > 0).collect::<Vec<_>>();
        assert_eq!(counted(tally.outcomes().collect()), [("merged", 1), ("refused", 1)]);
        assert_eq!(counted(tally.answers().collect()), [("refused", 1)]);
        assert_eq!(counted(tally.refusals().collect()), [("unheld", 1), ("other", 1)]);
        assert_eq!(tally.refusals().count(), Refusal::ALL.len() + 1);
    }
}
