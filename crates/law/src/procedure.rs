//! How long everything takes: the rules for clocks, which members adopt like all others.

use credence_credit::ActId;

use crate::acts::Purpose;
use crate::layout::fields;

/// Seconds of a day.
const DAY: u64 = 86_400;

fields! {
    /// The times that an act's life has, in days where nothing else is said.
    pub struct Procedure {
        /// Its number; each version's is one more than that of the version before, and 0 is the one that worlds begin with.
        pub version: u32,
        /// The version before; none for the first that members adopt.
        pub previous: Option<ActId>,
        /// For advisers, from a report to their opinion.
        pub opinion: u16,
        /// For the coordinating body, from an opinion to its decision.
        pub decision: u16,
        /// For members, to comment on a draft, at least.
        pub comment: u16,
        /// For issuer and subject, to settle a complaint between them.
        pub consultation: u16,
        /// For advisers, to help both to a settlement.
        pub mediation: u16,
        /// For the coordinating body, to rule on a complaint.
        pub adjudication: u16,
        /// For somebody else, to see that a repair was done.
        pub confirmation: u16,
        /// For a holder whose repair was seen, to show that it lasts, at least.
        pub probation: u16,
        /// Probation that was as long counts as a clean record besides.
        pub clean: u16,
        /// Before an act ends, to renew it or let it go.
        pub renewal: u16,
        /// For members, to answer a call for help, in hours.
        pub answer_hours: u16,
        /// How long an act is kept after it has ended, for each purpose in the order of that list.
        pub kept: Vec<u16>,
    }
}

impl Procedure {
    /// The procedure that every world begins with, until its members adopt another.
    ///
    /// A complaint takes five weeks at most before somebody is overdue. Records that warn or give account go half a year after
    /// their end, and what shows how matters were decided two years after.
    pub fn first() -> Self {
        Self {
            version: 0,
            previous: None,
            opinion: 7,
            decision: 7,
            comment: 30,
            consultation: 7,
            mediation: 14,
            adjudication: 14,
            confirmation: 30,
            probation: 30,
            clean: 90,
            renewal: 7,
            answer_hours: 24,
            kept: vec![180, 730, 730, 180],
        }
    }

    /// Whether everybody gets some time for everything, and there is a time to keep for each purpose.
    pub fn is_valid(&self) -> bool {
        let days = [
            self.opinion,
            self.decision,
            self.comment,
            self.consultation,
            self.mediation,
            self.adjudication,
            self.confirmation,
            self.probation,
            self.clean,
            self.renewal,
            self.answer_hours,
        ];
        !days.contains(&0) && self.kept.len() == Purpose::ALL.len()
    }

    /// How long something is kept for this purpose after its end, in seconds.
    pub fn kept(&self, purpose: Purpose) -> u64 {
        self.kept.get(purpose as usize).copied().map_or(0, days)
    }
}

/// Days in seconds.
pub(crate) const fn days(days: u16) -> u64 {
    days as u64 * DAY
}

/// Hours in seconds.
pub(crate) const fn hours(hours: u16) -> u64 {
    hours as u64 * 3_600
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn the_first_procedure_is_valid_and_one_without_time_for_something_is_not() {
        let first = Procedure::first();
        assert!(first.is_valid());
        assert_eq!(Procedure::from_bytes(&first.to_bytes()), Ok(first.clone()));
        assert!(!Procedure { adjudication: 0, ..first.clone() }.is_valid());
        assert!(!Procedure { kept: vec![1; 3], ..first.clone() }.is_valid());
        assert_eq!(first.kept(Purpose::Governance), 730 * DAY);
    }
}
