//! What the operator asks of the outbox, and what is answered: a line of JSON each.

use credence_credit::{Measure, Reason};
use serde::{Deserialize, Serialize};

use super::act::Footing;
use super::draft::{Done, Draft, Says, State};
use super::intake::Edit;
use super::{Outbox, Spool, SpoolError};

/// The longest answer, in bytes: every draft that there can be, without its evidence.
pub const REPLY_LEN_MAX: usize = 1 << 24;

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Which drafts there are.
    List {
        /// Those that are finished as well.
        all: bool,
    },
    /// A draft with its evidence.
    Show {
        /// Which one.
        draft: u64,
    },
    /// A draft says something else.
    Edit {
        /// Which one.
        draft: u64,
        /// The item of the catalogue.
        item: Option<u16>,
        /// What an own alert asks for.
        measure: Option<Measure>,
        /// When it was last seen, in Unix seconds.
        until: Option<u64>,
    },
    /// Drafts go out.
    Send {
        /// Which ones.
        drafts: Vec<u64>,
    },
    /// Nobody is told.
    Drop {
        /// Which ones.
        drafts: Vec<u64>,
    },
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What could not be done, a sentence each.
    pub faults: Vec<String>,
    /// The drafts that were asked for, or that it was done to.
    pub drafts: Vec<Shown>,
}

/// A draft as people and programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its number.
    pub draft: u64,
    /// What it would be: `own_alert`, `report` or `applied`.
    pub kind: String,
    /// How far it has come: `waiting`, `ready`, `signed`, `taken`, `refused` or `dropped`.
    pub state: String,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Whom it is about.
    pub subject: String,
    /// The item of the catalogue; none for an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What an own alert asks for, or what was done.
    pub measure: String,
    /// From when, in Unix seconds.
    pub from: u64,
    /// Until when, in Unix seconds.
    pub until: u64,
    /// Alerts that it stands for.
    pub alerts: u64,
    /// The act on whose word something was done, and to how much of the subject's traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Done>,
    /// The act, once it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<String>,
    /// Its place in the log, once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u64>,
    /// The alerts, for who asks for this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

impl Shown {
    /// A draft without its evidence.
    pub fn of(draft: &Draft) -> Self {
        let (refusal, act, place) = match &draft.state {
            State::Signed(dispatch) => (None, Some(dispatch.id.to_string()), None),
            State::Taken(receipt) => (None, Some(receipt.id.to_string()), Some(receipt.place)),
            State::Refused { reason } => (Some(reason.clone()), None, None),
            State::Waiting | State::Ready | State::Dropped => (None, None, None),
        };
        let (item, measure, (from, until), alerts, done) = match &draft.says {
            Says::OwnAlert(seen) | Says::Report(seen) => {
                (Some(item_name(seen.item)), seen.measure, (seen.from, seen.until), seen.alerts, None)
            }
            Says::Applied(done) => (None, done.measure, (done.from, done.until), 0, Some(*done)),
        };
        Self {
            draft: draft.number,
            kind: draft.says.name().to_owned(),
            state: draft.state.name().to_owned(),
            refusal,
            subject: draft.subject.to_string(),
            item,
            measure: measure.name().to_owned(),
            from,
            until,
            alerts,
            done,
            act,
            place,
            evidence: Vec::new(),
        }
    }

    fn whole(draft: &Draft) -> Self {
        let lines = draft.says.seen().into_iter().flat_map(|seen| seen.evidence.lines());
        Self { evidence: lines.map(str::to_owned).collect(), ..Self::of(draft) }
    }
}

/// The item's word, or its number where it is a member's own.
fn item_name(item: u16) -> String {
    let known = Reason::ALL.into_iter().find(|reason| *reason as u16 == item);
    known.map_or_else(|| item.to_string(), |reason| reason.name().to_owned())
}

impl Outbox {
    /// Does what the operator asks for. What it changes is still to be stored.
    ///
    /// # Errors
    /// When what is finished cannot be read from the spool.
    pub fn obey(
        &mut self,
        command: &Command,
        spool: &Spool,
        footing: &Footing<'_>,
    ) -> Result<Reply, SpoolError> {
        let mut reply = Reply::default();
        match command {
            Command::List { all } => {
                let finished = if *all { spool.finished()? } else { Vec::new() };
                let mut drafts: Vec<_> = finished.iter().chain(self.drafts()).map(Shown::of).collect();
                drafts.sort_unstable_by_key(|shown| shown.draft);
                reply.drafts = drafts;
            }
            Command::Show { draft } => {
                let held = self.drafts.get(draft).cloned();
                let found = match held {
                    None => spool.finished()?.into_iter().find(|finished| finished.number == *draft),
                    held => held,
                };
                match found {
                    Some(found) => reply.drafts.push(Shown::whole(&found)),
                    None => reply
                        .faults
                        .push(format!("there is no draft {draft}; `list --all` shows those there are")),
                }
            }
            Command::Edit { draft, item, measure, until } => {
                let edit = Edit { item: *item, measure: *measure, until: *until };
                let edited = self.edit(*draft, edit, footing);
                self.tell(&mut reply, *draft, edited);
            }
            Command::Send { drafts } => {
                for draft in drafts {
                    let sent = self.send(*draft);
                    self.tell(&mut reply, *draft, sent);
                }
            }
            Command::Drop { drafts } => {
                for draft in drafts {
                    let dropped = self.drop(*draft);
                    self.tell(&mut reply, *draft, dropped);
                }
            }
        }
        Ok(reply)
    }

    fn tell(&self, reply: &mut Reply, number: u64, done: Result<(), super::Denied>) {
        match (done, self.drafts.get(&number)) {
            (Ok(()), Some(draft)) => reply.drafts.push(Shown::of(draft)),
            (Ok(()), None) => {}
            (Err(denied), _) => reply.faults.push(format!("{number}: {denied}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::{NOW_MS, footing, key, law, scan};
    use super::super::{Kept, Limits, Rule};
    use super::*;

    #[test]
    fn the_operator_sees_and_decides() {
        let (directory, law, key) = (tempfile::tempdir().unwrap(), law(), key(1, 0));
        let (spool, footing) = (Spool::open(directory.path()).unwrap(), footing(&law, &key, NOW_MS));
        let mut outbox = Outbox::new(Rule::Ask, Limits::default(), Kept::default());
        for subject in 1..=3 {
            outbox.see(&scan(&format!("2a00:1:{subject}::1"), NOW_MS), &footing, [0; 32]);
        }
        let mut ask = |command: Command| {
            let line = serde_json::to_string(&command).unwrap();
            let reply = outbox.obey(&serde_json::from_str(&line).unwrap(), &spool, &footing).unwrap();
            spool.store(&outbox.changes(), NOW_MS / 1_000).unwrap();
            outbox.stored();
            let line = serde_json::to_string(&reply).unwrap();
            assert_eq!(serde_json::from_str::<Reply>(&line).unwrap(), reply);
            reply
        };
        let states = |reply: &Reply| {
            reply.drafts.iter().map(|shown| (shown.draft, shown.state.clone())).collect::<Vec<_>>()
        };
        let state = |draft: u64, state: &str| (draft, state.to_owned());
        let shown = ask(Command::Show { draft: 2 }).drafts.remove(0);
        assert_eq!((shown.subject.as_str(), shown.item.as_deref()), ("2a00:1:2::/56", Some("scanning")));
        assert_eq!(shown.evidence.len(), 1);
        let dropped = ask(Command::Drop { drafts: vec![1, 9] });
        assert_eq!((states(&dropped), dropped.faults.len()), (vec![state(1, "dropped")], 1));
        assert_eq!(states(&ask(Command::Send { drafts: vec![2] })), [state(2, "ready")]);
        let edit = Command::Edit { draft: 3, item: Some(1), measure: None, until: None };
        assert_eq!(ask(edit).drafts[0].item.as_deref(), Some("flooding"));
        assert_eq!(states(&ask(Command::List { all: false })), [state(2, "ready"), state(3, "waiting")]);
        let all = ask(Command::List { all: true });
        assert_eq!(states(&all), [state(1, "dropped"), state(2, "ready"), state(3, "waiting")]);
        assert!(all.drafts.iter().all(|shown| shown.evidence.is_empty()));
        assert_eq!(ask(Command::Show { draft: 1 }).drafts.len(), 1);
        assert_eq!(ask(Command::Show { draft: 7 }).faults.len(), 1);
    }
}
