//! What goes out: signing, sending, and what an answer means.

use credence_credit::ActId;
use credence_law::Refusal;
use credence_law::check::SKEW;

use super::Outbox;
use super::act::{Footing, may_pass_anew};
use super::answer::{Answer, Reason};
use super::draft::{Draft, State};

/// Acts that are signed and not answered, at most: one that gets no answer does not hold up the others, and an outage does not
/// have everything signed in vain.
const IN_FLIGHT_MAX: usize = 8;
/// The first pause, in milliseconds. Each in a row is twice as long as the one before.
const PAUSE_MIN_MS: u64 = 1_000;
/// The longest pause, in milliseconds: five minutes, the time in which an act is taken.
const PAUSE_MAX_MS: u64 = 300_000;
/// The longest pause that the platform may ask for, in milliseconds.
const ASKED_MAX_MS: u64 = 3_600_000;
/// From when on after its making, in seconds, an act is too old for the platform even if their clocks differ as far as the law lets
/// them and an earlier try came late.
const OVER_S: u64 = 2 * SKEW + 60;
/// Refusals for a number that has passed, after which numbers leap ahead.
const CONTENDED: u32 = 3;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The changes are to be stored before anything else.
    Store,
    /// An act is to be handed in, and what comes back to be told.
    Send {
        /// Whose act it is.
        draft: u64,
        /// The identity of the act.
        id: ActId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Nothing, before this moment in Unix milliseconds or before something comes in.
    Rest {
        /// The moment; none where nothing waits.
        until_ms: Option<u64>,
    },
}

/// What was tried with a draft.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tries {
    /// Tries that led to nothing, in a row.
    pub(super) failed: u32,
    /// Refusals for a number that has passed, in a row.
    replayed: u32,
    /// Whether what was signed may have been taken although nobody said so.
    in_doubt: bool,
    /// Before this moment, in Unix milliseconds, it is not tried again.
    pub(super) next_ms: u64,
}

impl Tries {
    /// Of a draft that was read from disk: what was signed may have been sent.
    pub(super) const fn after_restart() -> Self {
        Self { failed: 0, replayed: 0, in_doubt: true, next_ms: 0 }
    }
}

/// While the platform does not answer, or has too much to do, nothing is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    failed: u32,
    until_ms: u64,
}

/// A pause after so many failures in a row: between half and one and a half of its length, as `random` has it, so that gateways
/// that lost the platform together do not come back together.
pub(super) const fn pause_ms(failed: u32, random: u64) -> u64 {
    let doublings = if failed > 9 { 9 } else { failed.saturating_sub(1) };
    let length = PAUSE_MIN_MS << doublings;
    let length = if length > PAUSE_MAX_MS { PAUSE_MAX_MS } else { length };
    length / 2 + random % length
}

/// By how much a number leaps ahead of the time, in milliseconds.
const fn leap_ms(replayed: u32) -> u64 {
    match replayed.checked_sub(CONTENDED) {
        None | Some(0) => 0,
        Some(more) => PAUSE_MIN_MS << if more > 50 { 50 } else { more },
    }
}

/// Whether a moment has come. One that lies further away than any pause was set by a clock that was wrong.
pub(super) const fn is_due(at_ms: u64, now_ms: u64) -> bool {
    at_ms <= now_ms || at_ms - now_ms > 2 * ASKED_MAX_MS
}

impl Outbox {
    /// What is to be done next. Signs what is due; nothing is handed out before everything is on disk.
    pub fn turn(&mut self, footing: &Footing<'_>) -> Turn {
        self.tidy(footing.now());
        self.close(footing);
        if self.is_changed() {
            return Turn::Store;
        }
        if !is_due(self.pause.until_ms, footing.now_ms) {
            return Turn::Rest { until_ms: Some(self.pause.until_ms) };
        }
        let signed = self.due(footing.now_ms, |state| matches!(state, State::Signed(_))).into_iter().next();
        self.sign_next(signed.map(|(failed, _)| failed), footing);
        if self.is_changed() {
            return Turn::Store;
        }
        if let Some((number, Draft { state: State::Signed(dispatch), .. })) =
            signed.and_then(|(_, number)| Some((number, self.drafts.get(&number)?)))
        {
            return Turn::Send { draft: number, id: dispatch.id, bytes: dispatch.bytes.clone() };
        }
        let moving =
            self.drafts.values().filter(|draft| matches!(draft.state, State::Ready | State::Signed(_)));
        let nexts = moving.filter_map(|draft| self.tries.get(&draft.number)).map(|tries| tries.next_ms);
        Turn::Rest { until_ms: nexts.filter(|next| !is_due(*next, footing.now_ms)).min() }
    }

    /// Drafts in such a state that are due: those that were tried least first, each with how often that was.
    fn due(&self, now_ms: u64, is: impl Fn(&State) -> bool) -> Vec<(u32, u64)> {
        let drafts = self.drafts.values().filter(|draft| is(&draft.state));
        let tried = drafts.filter_map(|draft| Some((self.tries.get(&draft.number)?, draft.number)));
        let due = tried.filter(|(tries, _)| is_due(tries.next_ms, now_ms));
        let mut due: Vec<_> = due.map(|(tries, number)| (tries.failed, number)).collect();
        due.sort_unstable();
        due
    }

    /// Signs one draft that was tried less often than what was signed before, so that nothing that gets no answer holds up the
    /// rest.
    fn sign_next(&mut self, signed: Option<u32>, footing: &Footing<'_>) {
        let in_flight = self.drafts.values().filter(|draft| matches!(draft.state, State::Signed(_))).count();
        if in_flight >= IN_FLIGHT_MAX {
            return;
        }
        let ready = self.due(footing.now_ms, |state| *state == State::Ready);
        let fresher = ready.into_iter().filter(|(failed, _)| signed.is_none_or(|signed| *failed < signed));
        for (_, number) in fresher {
            if self.sign(number, footing) {
                return;
            }
        }
    }

    /// Signs a draft; whether that could be done.
    fn sign(&mut self, number: u64, footing: &Footing<'_>) -> bool {
        let (Some(draft), Some(tries)) = (self.drafts.get_mut(&number), self.tries.get_mut(&number)) else {
            return false;
        };
        let first = footing.now_ms.max(self.last_act.saturating_add(1));
        let act = first.saturating_add(leap_ms(tries.replayed));
        match footing.sign(draft, act) {
            Ok(dispatch) => {
                draft.state = State::Signed(dispatch);
                tries.in_doubt = false;
                self.last_act = act;
                self.changed.insert(number);
                true
            }
            Err(refusal) => {
                self.tally.refused(Reason::Law(refusal));
                if may_pass_anew(refusal) {
                    tries.failed = tries.failed.saturating_add(1);
                    tries.next_ms = footing.now_ms.saturating_add(pause_ms(tries.failed, number));
                } else {
                    draft.state = State::Refused { reason: refusal.name().to_owned() };
                    self.changed.insert(number);
                }
                false
            }
        }
    }

    /// Notes what came back for a draft's act, at `now_ms` in Unix milliseconds; `random` spreads the next try.
    pub fn answered(&mut self, number: u64, answer: Answer, now_ms: u64, random: u64) {
        self.tally.answered(&answer);
        let (Some(draft), Some(tries)) = (self.drafts.get_mut(&number), self.tries.get_mut(&number)) else {
            return;
        };
        let State::Signed(dispatch) = &draft.state else { return };
        match answer {
            Answer::Taken(receipt) => {
                draft.state = State::Taken(receipt);
                self.pause = Pause::default();
                self.changed.insert(number);
            }
            Answer::Later { wait_ms } => {
                // What could not be written down may be on its way to the disk all the same.
                tries.in_doubt = true;
                let asked = wait_ms.unwrap_or_default().min(ASKED_MAX_MS);
                self.pause.failed = self.pause.failed.saturating_add(1);
                let pause = asked.saturating_add(pause_ms(self.pause.failed, random));
                self.pause.until_ms = now_ms.saturating_add(pause);
            }
            Answer::Silence => {
                tries.in_doubt = true;
                tries.failed = tries.failed.saturating_add(1);
                tries.next_ms = now_ms.saturating_add(pause_ms(tries.failed, random));
                self.pause.failed = self.pause.failed.saturating_add(1);
                self.pause.until_ms = now_ms.saturating_add(pause_ms(self.pause.failed, random));
            }
            Answer::Refused(reason) => {
                self.pause = Pause::default();
                let is_replayed = reason == Reason::Law(Refusal::Replayed);
                let is_over = now_ms / 1_000 >= dispatch.issued.saturating_add(OVER_S);
                tries.failed = tries.failed.saturating_add(1);
                // The first time there is nothing to wait for: whoever was late is in time now.
                let pause = if tries.failed == 1 { 0 } else { pause_ms(tries.failed, random) };
                tries.next_ms = now_ms.saturating_add(pause);
                if tries.in_doubt && !is_replayed && !is_over {
                    return;
                }
                tries.replayed = if is_replayed { tries.replayed.saturating_add(1) } else { 0 };
                draft.state = match reason {
                    Reason::Law(refusal) if may_pass_anew(refusal) => State::Ready,
                    reason => State::Refused { reason: reason.name().to_owned() },
                };
                self.changed.insert(number);
            }
        }
    }
}

#[cfg(test)]
mod tests;
