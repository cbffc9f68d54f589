//! What the gateway tells others: alerts about its own member's subjects, reports about others', and accounts of what it did.
//!
//! An alert of the gateway becomes a draft by the operator's [`Rule`]; several about one subject and item become one. A draft is
//! signed with the member's key when it is to be sent, and what was signed is on disk before it leaves. Reading order:
//!
//! * [`Sighting`]: an alert line, with what it shows;
//! * [`Draft`]: what would be said, and how far it has come;
//! * [`Footing`]: the rules, the key and the time that drafts are judged and signed by;
//! * [`Member`]: where those come from, and the [hand](crate::hand) with which it states what its acts come to;
//! * [`Outbox`]: all drafts, and what is to be done next, without clock, disk or network;
//! * [`Count`]: what the gateway has done, of which accounts are made by the period;
//! * [`Answer`]: what came back;
//! * [`Spool`]: the drafts on disk;
//! * [`Command`]: what the operator asks for.
//!
//! **Never lost, never doubled.** The bytes of an act are stored before they are sent, and the same bytes are sent until there
//! is an answer: an act is named by their hash, and the platform answers what it has taken before with its first receipt. So
//! sending again is also how the log is asked whether it has an act, and for reports, which nobody else may read, the only way.
//! An act is signed anew only when the old bytes cannot be taken any more: when the platform says that their number has passed,
//! or when it has refused them and either no earlier try went unanswered, or twice the five minutes are over in which it takes
//! an act that was made at some moment, by whichever clock.
//!
//! **Numbers.** An issuer's acts have numbers that go up, and several gateways of a member share them without knowing of each
//! other. A number is the moment of signing in milliseconds, or one more than this gateway's last. Who comes late is told
//! `replayed` and signs anew, which is safe; after some of those in a row the numbers leap ahead, doubling each time, so that a
//! program of the member with a clock of its own cannot shut its gateways out.
//!
//! What this refuses to do: it sends no evidence, no address longer than what its holder hands out, nothing that rests on what
//! can be forged, and nothing that the law would refuse.

mod account;
mod act;
mod answer;
mod command;
mod delivery;
mod draft;
mod form;
#[cfg(test)]
mod histories;
mod intake;
mod member;
mod sighting;
mod spool;
mod tally;
#[cfg(test)]
mod world;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use account::{Count, Line, Row, Uncounted, named_in, told_every_s};
pub use act::{Footing, commitment};
pub use answer::{ANSWER_LEN_MAX, Answer, Reason};
pub use command::{Command, REPLY_LEN_MAX, Reply, Shown};
pub use delivery::Turn;
pub use draft::{Dispatch, Done, Draft, EVIDENCE_LEN_MAX, Receipt, Says, Seen, State};
pub use intake::{Denied, Edit};
pub(crate) use member::read_key;
pub use member::{Member, Voice, VoiceError};
pub use sighting::{LINE_LEN_MAX, Sighting, Unreadable};
pub use spool::{Kept, Spool, SpoolError};
pub use tally::{Outcome, Tally};

use credence_credit::ActRef;
use credence_prefix::Prefix;
use delivery::{Pause, Tries};
use draft::Topic;
use serde::{Deserialize, Serialize};

use crate::pipe::Posted;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// What becomes of the gateway's alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Nothing leaves, and nothing is drafted.
    #[default]
    Off,
    /// Everything waits for the operator.
    Ask,
    /// Alerts about the member's own subjects go out by themselves; reports wait for the operator.
    Automatic,
}

/// What the outbox may hold, and for how long one of a kind is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Drafts that are not finished, at most. Beyond, those that were refused make room, and then new ones are not taken.
    pub drafts_max: usize,
    /// Drafts that are opened in a day, at most.
    pub drafts_per_day: u32,
    /// How long nothing more is drafted of a subject and item after a draft was opened, in seconds.
    pub window_s: u64,
    /// How long the periods are that accounts are given of, in seconds; 0 for no accounts.
    pub account_s: u64,
}

impl Default for Limits {
    /// 4,096 drafts of at most 8 KiB are 32 MiB; an operator reads no thousand a day.
    fn default() -> Self {
        Self { drafts_max: 4_096, drafts_per_day: 1_000, window_s: DAY, account_s: 0 }
    }
}

/// All drafts that are not finished, and what is to be done next.
///
/// Whoever drives it stores the [`changes`](Self::changes) when it is told to, and says that they are
/// [`stored`](Self::stored); nothing is sent before.
#[derive(Debug)]
pub struct Outbox {
    rule: Rule,
    limits: Limits,
    drafts: BTreeMap<u64, Draft>,
    /// The draft of each topic, and until when (Unix seconds) a finished one is enough. As many as there are drafts, and those
    /// that were finished within the window: two days' allowance.
    topics: HashMap<Topic, Held>,
    /// Drafts that differ from what is on disk.
    changed: BTreeSet<u64>,
    /// The number of the last draft.
    last_draft: u64,
    /// The number of the last act that was signed here.
    last_act: u64,
    /// The day (since the Unix epoch) in which drafts are counted, and how many were opened.
    opened: (u64, u32),
    tries: HashMap<u64, Tries>,
    /// What was done in periods that are not told of yet.
    rows: BTreeMap<Line, Row>,
    /// Rows that differ from what is on disk.
    rows_changed: BTreeSet<Line>,
    /// Until when periods are closed, in Unix seconds.
    closed: u64,
    /// Acts that rows are to name and that the platform was not heard of yet.
    unnamed: BTreeMap<(Prefix, ActRef), Tries>,
    unaccounted: u64,
    pause: Pause,
    tally: Tally,
}

/// What holds a topic.
#[derive(Clone, Copy, Debug)]
enum Held {
    /// A draft that is not finished.
    By(u64),
    /// One that was, until this moment in Unix seconds.
    Until(u64),
}

/// What is to be written to disk, all of it or nothing.
#[derive(Debug)]
pub struct Changes<'a> {
    /// Drafts as they are now.
    pub drafts: Vec<&'a Draft>,
    /// The number of the last draft.
    pub last_draft: u64,
    /// The number of the last act.
    pub last_act: u64,
    /// Rows of accounts as they are now; nothing for one that is gone.
    pub rows: Vec<(Line, Option<&'a Row>)>,
    /// Until when periods are closed, in Unix seconds.
    pub closed: u64,
}

impl Outbox {
    /// An outbox with what is on disk. Of what was signed it is not known whether it was sent.
    pub fn new(rule: Rule, limits: Limits, kept: Kept) -> Self {
        let mut outbox = Self {
            rule,
            limits,
            drafts: BTreeMap::new(),
            topics: HashMap::new(),
            changed: BTreeSet::new(),
            last_draft: kept.last_draft,
            last_act: kept.last_act,
            opened: (0, 0),
            tries: HashMap::new(),
            rows: kept.rows.into_iter().map(|row| (row.line, row)).collect(),
            rows_changed: BTreeSet::new(),
            closed: kept.closed,
            unnamed: BTreeMap::new(),
            unaccounted: 0,
            pause: Pause::default(),
            tally: Tally::default(),
        };
        for draft in kept.drafts {
            if let Some(topic) = draft.topic() {
                outbox.count_opened(draft.opened);
                let until = draft.opened.saturating_add(limits.window_s);
                let held = if draft.is_finished() { Held::Until(until) } else { Held::By(draft.number) };
                outbox.topics.insert(topic, held);
            }
            if draft.is_finished() {
                continue;
            }
            outbox.tries.insert(draft.number, Tries::after_restart());
            outbox.drafts.insert(draft.number, draft);
        }
        outbox.unnamed = outbox.nameless();
        outbox
    }

    /// What differs from what is on disk.
    pub fn changes(&self) -> Changes<'_> {
        let drafts = self.changed.iter().filter_map(|number| self.drafts.get(number)).collect();
        let rows = self.rows_changed.iter().map(|line| (*line, self.rows.get(line))).collect();
        Changes { drafts, last_draft: self.last_draft, last_act: self.last_act, rows, closed: self.closed }
    }

    /// Whether anything differs from what is on disk.
    fn is_changed(&self) -> bool {
        !self.changed.is_empty() || !self.rows_changed.is_empty()
    }

    /// Notes that the [`changes`](Self::changes) are on disk. Finished drafts leave the memory.
    pub fn stored(&mut self) {
        self.rows_changed.clear();
        for number in std::mem::take(&mut self.changed) {
            let Some(draft) = self.drafts.get(&number).filter(|draft| draft.is_finished()) else { continue };
            let until = draft.opened.saturating_add(self.limits.window_s);
            self.topics.extend(draft.topic().map(|topic| (topic, Held::Until(until))));
            self.tries.remove(&number);
            self.drafts.remove(&number);
        }
    }

    /// The drafts that are not finished, in the order of their numbers.
    pub fn drafts(&self) -> impl Iterator<Item = &Draft> {
        self.drafts.values()
    }

    /// What became of what came in and of what went out.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What the gateway is told of it.
    pub fn posted(&self) -> Posted {
        let counted = |words: &mut dyn Iterator<Item = (&'static str, u64)>| {
            words.filter(|(_, count)| *count > 0).map(|(word, count)| (word.to_owned(), count)).collect()
        };
        let mut drafts = BTreeMap::<String, u64>::new();
        for draft in self.drafts.values() {
            *drafts.entry(draft.state.name().to_owned()).or_default() += 1;
        }
        let waiting = self.drafts.values().filter(|draft| draft.state == State::Waiting);
        Posted {
            drafts,
            waiting_since: waiting.map(|draft| draft.opened).min().unwrap_or_default(),
            outcomes: counted(&mut self.tally.outcomes()),
            answers: counted(&mut self.tally.answers()),
            refusals: counted(&mut self.tally.refusals()),
        }
    }

    /// Counts a draft that was opened at a moment in Unix seconds.
    fn count_opened(&mut self, at: u64) {
        let day = at / DAY;
        match self.opened {
            (counted, ref mut count) if counted == day => *count += 1,
            (counted, _) if counted > day => {}
            _ => self.opened = (day, 1),
        }
    }
}
