//! What comes in: alerts from the gateway, and the operator's word.

use credence_credit::Measure;
use credence_law::Refusal;

use super::act::{Footing, may_pass_anew};
use super::delivery::Tries;
use super::draft::{Draft, Says, Seen, State, Topic};
use super::sighting::Sighting;
use super::tally::Outcome;
use super::{DAY, Held, Outbox, Rule};

/// How long a draft waits for the operator, in seconds: soon after, its evidence is too old for the law.
const PATIENCE_S: u64 = 45 * DAY;

/// Why the operator's word was not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is none.
    #[error(
        "there is no draft of this number that is not finished; `credence outbox list` shows those there are"
    )]
    NoDraft,
    /// It has come too far, or not far enough.
    #[error("the draft is {0}, and this is for drafts that wait or were refused")]
    State(&'static str),
    /// It may have been taken.
    #[error("the draft was signed and may stand in the log already; once it does, a lifting takes it back")]
    Signed,
    /// There is another of the same subject and item.
    #[error("draft {0} is of the same subject and item; drop one of the two")]
    Same(u64),
    /// It is no matter of opinion.
    #[error(
        "this draft is an account of what was done here, which cannot say something else; drop it or send it"
    )]
    Account,
    /// The law would refuse it.
    #[error("the law would refuse it: {0}")]
    Law(Refusal),
}

/// What the operator changes in a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Edit {
    /// The item of the catalogue.
    pub item: Option<u16>,
    /// What an own alert asks for.
    pub measure: Option<Measure>,
    /// When it was last seen, in Unix seconds.
    pub until: Option<u64>,
}

impl Outbox {
    /// Takes in an alert of the gateway, with 32 random bytes for the case that a draft is opened.
    pub fn see(&mut self, sighting: &Sighting, footing: &Footing<'_>, salt: [u8; 32]) -> Outcome {
        let outcome = self.consider(sighting, footing, salt);
        self.tally.came(outcome);
        outcome
    }

    /// Notes something that came in and could not be looked at.
    pub fn passed_over(&mut self, outcome: Outcome) {
        self.tally.came(outcome);
    }

    fn consider(&mut self, sighting: &Sighting, footing: &Footing<'_>, salt: [u8; 32]) -> Outcome {
        if self.rule == Rule::Off {
            return Outcome::Off;
        }
        if sighting.allowed {
            return Outcome::Allowed;
        }
        if !sighting.confirmed {
            return Outcome::Unconfirmed;
        }
        let Some(reason) = sighting.reason else { return Outcome::Nothing };
        let (subject, learned, is_own) = match footing.subject(sighting.source) {
            Ok(subject) => subject,
            Err(refusal) => return Outcome::Refused(refusal),
        };
        let seen = Seen {
            item: reason as u16,
            measure: sighting.measure,
            from: sighting.seen,
            until: sighting.seen,
            alerts: 1,
            evidence: format!("{}\n", sighting.line),
            salt,
        };
        let says = if is_own { Says::OwnAlert(seen) } else { Says::Report(seen) };
        let goes_by_itself = is_own && self.rule == Rule::Automatic;
        let state = if goes_by_itself { State::Ready } else { State::Waiting };
        self.open(Draft { number: 0, opened: footing.now(), subject, learned, says, state }, footing)
    }

    /// Opens a draft, or lets it go into the one that there is of the same.
    fn open(&mut self, draft: Draft, footing: &Footing<'_>) -> Outcome {
        if self.is_known(&draft, footing.now()) {
            return Outcome::Merged;
        }
        let (day, opened) = self.opened;
        if day >= footing.now() / DAY && opened >= self.limits.drafts_per_day {
            return Outcome::Quota;
        }
        if let Err(refusal) = footing.sign(&draft, footing.now_ms)
            && !may_pass_anew(refusal)
        {
            return Outcome::Refused(refusal);
        }
        if !self.has_room() {
            return Outcome::Full;
        }
        self.last_draft += 1;
        let number = self.last_draft;
        self.count_opened(draft.opened);
        self.topics.extend(draft.topic().map(|topic| (topic, Held::By(number))));
        self.tries.insert(number, Tries::default());
        self.drafts.insert(number, Draft { number, ..draft });
        self.changed.insert(number);
        Outcome::Drafted
    }

    /// Whether there is a draft of the same, or was one within the window. One that is not signed yet takes the new one in.
    fn is_known(&mut self, draft: &Draft, now: u64) -> bool {
        let number = match draft.topic().and_then(|topic| self.topics.get(&topic)) {
            None => return false,
            Some(Held::Until(end)) => return now < *end,
            Some(Held::By(number)) => *number,
        };
        let Some(held) = self.drafts.get_mut(&number) else { return false };
        let is_open = matches!(held.state, State::Waiting | State::Ready);
        if is_open
            && let (Some(held), Some(seen)) = (held.says.seen_mut(), draft.says.seen())
            && held.merge(seen)
        {
            self.changed.insert(number);
        }
        true
    }

    /// Whether there is room for one more draft. The oldest of those that were refused makes room.
    fn has_room(&mut self) -> bool {
        let finished = self.drafts.values().filter(|draft| draft.is_finished()).count();
        if self.drafts.len() - finished < self.limits.drafts_max {
            return true;
        }
        let refused = |draft: &&mut Draft| matches!(draft.state, State::Refused { .. });
        let Some(oldest) = self.drafts.values_mut().find(refused) else { return false };
        oldest.state = State::Dropped;
        self.changed.insert(oldest.number);
        true
    }

    /// Lets go what nobody has decided on for too long, and topics whose window is over.
    pub(super) fn tidy(&mut self, now: u64) {
        for draft in self.drafts.values_mut() {
            let is_idle = matches!(draft.state, State::Waiting | State::Refused { .. });
            if is_idle && draft.opened.saturating_add(PATIENCE_S) < now {
                draft.state = State::Dropped;
                self.changed.insert(draft.number);
            }
        }
        self.topics
            .retain(|_, held| matches!(held, Held::By(_)) || matches!(held, Held::Until(end) if now < *end));
    }

    /// Sends a draft that waits or was refused.
    ///
    /// # Errors
    /// When there is none, or it has come too far.
    pub fn send(&mut self, number: u64) -> Result<(), Denied> {
        self.idle(number)?.state = State::Ready;
        self.tries.insert(number, Tries::default());
        self.changed.insert(number);
        Ok(())
    }

    /// Drops a draft that was not signed.
    ///
    /// # Errors
    /// When there is none, or it may have been sent.
    pub fn drop(&mut self, number: u64) -> Result<(), Denied> {
        let draft = self.drafts.get_mut(&number).ok_or(Denied::NoDraft)?;
        match draft.state {
            State::Waiting | State::Ready | State::Refused { .. } => draft.state = State::Dropped,
            State::Signed(_) => return Err(Denied::Signed),
            State::Taken(_) | State::Dropped => return Err(Denied::NoDraft),
        }
        self.changed.insert(number);
        Ok(())
    }

    /// Changes a draft that waits or was refused; it waits then.
    ///
    /// # Errors
    /// When there is none, it has come too far, or what would come of it is against the law.
    pub fn edit(&mut self, number: u64, edit: Edit, footing: &Footing<'_>) -> Result<(), Denied> {
        let mut draft = self.idle(number)?.clone();
        let before = draft.topic().ok_or(Denied::Account)?;
        let seen = draft.says.seen_mut().ok_or(Denied::Account)?;
        seen.item = edit.item.unwrap_or(seen.item);
        seen.measure = edit.measure.unwrap_or(seen.measure);
        seen.until = edit.until.unwrap_or(seen.until);
        draft.state = State::Waiting;
        let after: Topic = draft.topic().ok_or(Denied::Account)?;
        if let Some(Held::By(other)) = self.topics.get(&after)
            && *other != number
        {
            return Err(Denied::Same(*other));
        }
        footing.sign(&draft, footing.now_ms).map_err(Denied::Law)?;
        self.topics.remove(&before);
        self.topics.insert(after, Held::By(number));
        self.drafts.insert(number, draft);
        self.changed.insert(number);
        Ok(())
    }

    /// A draft that waits for the operator.
    fn idle(&mut self, number: u64) -> Result<&mut Draft, Denied> {
        let draft = self.drafts.get_mut(&number).ok_or(Denied::NoDraft)?;
        match &draft.state {
            State::Waiting | State::Refused { .. } => Ok(draft),
            State::Taken(_) | State::Dropped => Err(Denied::NoDraft),
            state => Err(Denied::State(state.name())),
        }
    }
}

#[cfg(test)]
mod tests;
