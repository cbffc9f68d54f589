//! How the institution itself has done, for everybody to see.

use std::collections::BTreeSet;

use credence_credit::ActId;

use super::Book;
use super::clocks::{COMPLAINT, CORRECTION, DECISION, OUTCOME, PROPOSAL, REPORT};
use crate::acts::Act;
use crate::check::{Acts, Law};
use crate::cycle::standing::{self, State};
use crate::cycle::{complaint, report};

/// The institution's own record at a moment: a function of the acts that are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Institution {
    /// Reports on other members' subjects.
    pub reports: Reports,
    /// From the first report that a decision rests on to the decision.
    pub decided_in: Durations,
    /// Complaints of subjects.
    pub complaints: Complaints,
    /// From a complaint to how it ended.
    pub heard_in: Durations,
    /// From an alert or a decision that was wrong to its correction.
    pub corrected_in: Durations,
    /// Alerts and decisions that were made.
    pub judged: usize,
    /// How many of those were wrong.
    pub overturned: usize,
    /// Clocks of any kind whose time has passed.
    pub overdue: usize,
}

/// What became of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Reports {
    /// Nobody has decided on them so far.
    pub open: usize,
    /// A decision rests on them.
    pub decided: usize,
    /// They have become too old, or were taken back.
    pub lapsed: usize,
}

/// What became of complaints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Complaints {
    /// They are heard.
    pub open: usize,
    /// They are heard, and the coordinating body should have ruled.
    pub overdue: usize,
    /// Their subjects were right.
    pub upheld: usize,
    /// Their subjects were right in part.
    pub settled: usize,
    /// Their subjects were not right.
    pub rejected: usize,
    /// They were taken back.
    pub withdrawn: usize,
}

/// How long something has taken, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Durations {
    /// How often.
    pub count: usize,
    /// Half of it took no longer; 0 when there was none.
    pub median: u64,
    /// None of it took longer; 0 when there was none.
    pub longest: u64,
}

impl Durations {
    fn of(mut seconds: Vec<u64>) -> Self {
        seconds.sort_unstable();
        let count = seconds.len();
        let at = |place: usize| seconds.get(place).copied().unwrap_or(0);
        Self { count, median: at(count.saturating_sub(1) / 2), longest: at(count.saturating_sub(1)) }
    }
}

impl Institution {
    /// The share of alerts and decisions that were wrong, in thousandths, rounded down; 0 when there are none.
    pub fn overturned_share(&self) -> u16 {
        (self.overturned * 1_000).checked_div(self.judged).unwrap_or(0) as u16
    }
}

impl Book {
    /// The institution's own record at `now`, in Unix seconds. What was erased is not in it.
    ///
    /// Linear in the number of reports, decisions, complaints and other matters that there are or were, and not in that of alerts.
    pub fn institution(&self, law: &Law, now: u64) -> Institution {
        let (complaints, heard_in) = self.hearings(law, now);
        let (judged, corrected) = self.judged(now);
        let decided = self.of_kind(DECISION).filter_map(|id| self.deciding(&id, now)).collect();
        let overdue = self.matters(law, now).filter(|due| due.is_overdue(now)).count();
        Institution {
            reports: self.reports(now),
            decided_in: Durations::of(decided),
            complaints,
            heard_in: Durations::of(heard_in),
            overturned: corrected.len(),
            corrected_in: Durations::of(corrected),
            judged,
            overdue,
        }
    }

    fn reports(&self, now: u64) -> Reports {
        let mut reports = Reports::default();
        for running in self.of_kind(REPORT).filter_map(|id| report::at(self, &id, now)) {
            match running.state {
                report::State::Reported | report::State::Opined => reports.open += 1,
                report::State::Decided => reports.decided += 1,
                report::State::Lapsed => reports.lapsed += 1,
            }
        }
        reports
    }

    /// What became of complaints, and how long those took that ended with a ruling.
    fn hearings(&self, law: &Law, now: u64) -> (Complaints, Vec<u64>) {
        let (mut complaints, mut took) = (Complaints::default(), Vec::new());
        for id in self.of_kind(COMPLAINT) {
            let Some(running) = complaint::at(law, self, &id, now) else { continue };
            let count = match running.state {
                complaint::State::Upheld => &mut complaints.upheld,
                complaint::State::Settled => &mut complaints.settled,
                complaint::State::Rejected => &mut complaints.rejected,
                complaint::State::Withdrawn => &mut complaints.withdrawn,
                _ => {
                    let due = complaint::due(law, self, id, now);
                    complaints.overdue += usize::from(due.is_some_and(|due| due.is_overdue(now)));
                    &mut complaints.open
                }
            };
            *count += 1;
            if !running.state.is_open() && running.state != complaint::State::Withdrawn {
                took.extend(self.issued(&id).map(|filed| running.since.saturating_sub(filed)));
            }
        }
        (complaints, took)
    }

    /// How many alerts and decisions there are, and how long those stood that were wrong. Only what somebody has corrected or
    /// ruled on can have been wrong, and that is little of all there is.
    fn judged(&self, now: u64) -> (usize, Vec<u64>) {
        let mended = self.of_kind(CORRECTION).chain(self.of_kind(OUTCOME));
        let mended: BTreeSet<_> = mended.filter_map(|id| self.mended(&id)).collect();
        let corrected = mended.iter().filter_map(|id| {
            let running = standing::at(self, id, now).filter(|running| running.state == State::Corrected)?;
            Some(running.since.saturating_sub(self.issued(id)?))
        });
        let proposals = self.kinds.get(&PROPOSAL).map_or(0, Vec::len);
        (self.ending.len() - proposals, corrected.collect())
    }

    /// The alert or decision that a correction or a ruling is about.
    fn mended(&self, id: &ActId) -> Option<ActId> {
        let about = match self.act(id)? {
            Act::Correction(correction) => correction.corrects,
            Act::Outcome(outcome) => outcome.act,
            _ => return None,
        };
        matches!(self.act(&about)?, Act::OwnAlert(_) | Act::Decision(_)).then_some(about)
    }

    /// How long the first report of a decision has waited for it.
    fn deciding(&self, id: &ActId, now: u64) -> Option<u64> {
        let Act::Decision(decision) = self.act(id).filter(|act| act.preamble().issued <= now)? else {
            return None;
        };
        let first = decision.sources.iter().filter_map(|source| self.issued(&source.report)).min()?;
        Some(decision.preamble.issued.saturating_sub(first))
    }

    fn issued(&self, id: &ActId) -> Option<u64> {
        Some(self.act(id)?.preamble().issued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_lower_of_two() {
        let of = |seconds: &[u64]| Durations::of(seconds.to_vec());
        assert_eq!(of(&[]), Durations::default());
        assert_eq!(of(&[9, 1]), Durations { count: 2, median: 1, longest: 9 });
        assert_eq!(of(&[9, 1, 5]), Durations { count: 3, median: 5, longest: 9 });
    }
}
