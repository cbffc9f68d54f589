//! Accounts: what the gateway has done to whom, summed up over a period and told to the subject's credit file.
//!
//! The gateway tells again and again what it has counted in a period so far, and a row holds the newest: a line that was lost is
//! made good by the next, and one that comes twice changes nothing. When the period is over, its rows become drafts in the very
//! change of the disk that closes it. What is lost is what a gateway that was killed had not told yet: accounts are lower bounds.

use std::collections::BTreeMap;

use credence_credit::{ActId, ActRef, Measure};
use credence_prefix::Prefix;
use serde::{Deserialize, Serialize};

use super::act::Footing;
use super::delivery::{Tries, is_due, pause_ms};
use super::draft::{Done, Draft, Says, State};
use super::{DAY, Outbox, form};

/// Rows that are kept at most: 16 MiB of a kilobyte each.
const ROWS_MAX: usize = 16_384;
/// The longest time between two tellings of the gateway, in seconds.
const TOLD_EVERY_S: u64 = 60;
/// Fewer packets in a period than these are nobody's business: they would tell when somebody was there, and not what was done.
const PACKETS_MIN: u64 = 100;

/// What a gateway has done by one record in a period so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// A number that this start of the gateway has and no other: what it counts begins anew with each.
    pub run: u64,
    /// When the period begins, in Unix seconds.
    pub begins: u64,
    /// When it ends, in Unix seconds.
    pub ends: u64,
    /// Whom the record is about.
    #[serde(with = "form::prefix")]
    pub subject: Prefix,
    /// The act that it comes from.
    pub act: ActRef,
    /// What was done.
    pub measure: Measure,
    /// When that was counted first, in Unix seconds.
    pub from: u64,
    /// When it was counted last, in Unix seconds.
    pub until: u64,
    /// Packets that met it.
    pub packets: u64,
    /// Bytes of those on the wire.
    pub bytes: u64,
}

/// How often the gateway tells what it has counted in periods of this length, both in seconds: thirty times.
pub const fn told_every_s(account_s: u64) -> u64 {
    let often = account_s / 30;
    if often > TOLD_EVERY_S {
        TOLD_EVERY_S
    } else if often == 0 {
        1
    } else {
        often
    }
}

/// How long after its end a period is closed, in seconds, so that what was told last is in it.
const fn grace_s(account_s: u64) -> u64 {
    2 * told_every_s(account_s) + 1
}

/// Why a count is in no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncounted {
    /// The operator wants no accounts.
    #[error("accounts are off")]
    Off,
    /// It says what no gateway of this configuration says.
    #[error("it is of another period, or of nothing that is done to traffic")]
    Strange,
    /// The period was closed before.
    #[error("its period is closed")]
    Late,
    /// There are as many rows as there may be.
    #[error("more than {ROWS_MAX} subjects wait to be told of")]
    Full,
}

/// The act of that beginning among those that a platform says to be in force for a subject: the answer to `/subjects/PREFIX`.
pub fn named_in(answer: &[u8], act: ActRef) -> Option<ActId> {
    #[derive(Deserialize)]
    struct Subject {
        acts: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        #[serde(deserialize_with = "form::id::deserialize")]
        id: ActId,
    }
    let subject: Subject = serde_json::from_slice(answer).ok()?;
    subject.acts.into_iter().map(|named| named.id).find(|id| id.short() == act)
}

/// What rows are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    /// When the period ends, in Unix seconds.
    pub(super) ends: u64,
    #[serde(with = "form::prefix")]
    subject: Prefix,
    act: ActRef,
    measure: Measure,
}

/// What is known of one line of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Which line.
    pub(super) line: Line,
    /// The whole identity of the act, once the platform has said it.
    because: Option<ActId>,
    from: u64,
    until: u64,
    /// Whose counts the next two are.
    run: u64,
    packets: u64,
    bytes: u64,
    /// Packets and bytes of the gateway's starts before.
    before: (u64, u64),
}

impl Row {
    const fn packets(&self) -> u64 {
        self.before.0.saturating_add(self.packets)
    }

    /// Takes in what a start of the gateway has counted so far; whether that is more.
    fn take(&mut self, count: &Count) -> bool {
        if self.run != count.run {
            let bytes = self.before.1.saturating_add(self.bytes);
            (self.before, self.run) = ((self.packets(), bytes), count.run);
            (self.packets, self.bytes) = (0, 0);
        }
        let is_more = count.packets > self.packets;
        self.packets = self.packets.max(count.packets);
        self.bytes = self.bytes.max(count.bytes);
        self.from = self.from.min(count.from);
        self.until = self.until.max(count.until);
        is_more
    }
}

impl Line {
    /// How it is named on disk.
    pub(super) fn name(&self) -> String {
        format!("{:020} {} {} {}", self.ends, self.subject, self.act, self.measure.name())
    }
}

impl Outbox {
    /// Takes in what the gateway has done by a record so far.
    ///
    /// # Errors
    /// When it is in no account.
    pub fn applied(&mut self, count: &Count) -> Result<(), Uncounted> {
        let period_s = self.limits.account_s;
        if period_s == 0 {
            return Err(Uncounted::Off);
        }
        let is_done =
            matches!(count.measure, Measure::Incentive | Measure::Mark | Measure::RateLimit | Measure::Drop);
        let is_period =
            count.begins.is_multiple_of(period_s) && count.ends == count.begins.saturating_add(period_s);
        let is_within = count.begins <= count.from && count.from <= count.until && count.until <= count.ends;
        if !(is_done && is_period && is_within) {
            return Err(Uncounted::Strange);
        }
        // A longer period that began before is of the same packets in part.
        if count.begins < self.closed {
            return Err(Uncounted::Late);
        }
        let Count { ends, subject, act, measure, .. } = *count;
        let line = Line { ends, subject, act, measure };
        if !self.rows.contains_key(&line) && self.rows.len() >= ROWS_MAX {
            return Err(Uncounted::Full);
        }
        let row = self.rows.entry(line).or_insert_with(|| Row {
            line,
            because: None,
            from: count.from,
            until: count.until,
            run: count.run,
            packets: 0,
            bytes: 0,
            before: (0, 0),
        });
        if row.take(count) {
            self.rows_changed.insert(line);
        }
        if row.because.is_none() {
            self.unnamed.entry((subject, act)).or_default();
        }
        Ok(())
    }

    /// The acts that rows are to name and do not.
    pub(super) fn nameless(&self) -> BTreeMap<(Prefix, ActRef), Tries> {
        let nameless = self.rows.values().filter(|row| row.because.is_none());
        nameless.map(|row| ((row.line.subject, row.line.act), Tries::default())).collect()
    }

    /// An act that an account is to name and that only the platform knows whole, with its subject; none where none is due at
    /// `now_ms`, in Unix milliseconds.
    pub fn to_name(&self, now_ms: u64) -> Option<(Prefix, ActRef)> {
        self.unnamed.iter().find(|(_, tries)| is_due(tries.next_ms, now_ms)).map(|(act, _)| *act)
    }

    /// Notes which act it is, or that the platform did not say, at `now_ms` in Unix milliseconds; `random` spreads the next try.
    pub fn named(&mut self, (subject, act): (Prefix, ActRef), id: Option<ActId>, now_ms: u64, random: u64) {
        let Some(id) = id.filter(|id| id.short() == act) else {
            if let Some(tries) = self.unnamed.get_mut(&(subject, act)) {
                tries.failed = tries.failed.saturating_add(1);
                tries.next_ms = now_ms.saturating_add(pause_ms(tries.failed, random));
            }
            return;
        };
        self.unnamed.remove(&(subject, act));
        let rows = self.rows.values_mut().filter(|row| row.line.subject == subject && row.line.act == act);
        for row in rows {
            row.because = Some(id);
            self.rows_changed.insert(row.line);
        }
    }

    /// Makes drafts of the periods that are over, as far as there is room. Accounts never take more than half of it.
    pub(super) fn close(&mut self, footing: &Footing<'_>) {
        let now = footing.now();
        let (is_off, grace_s) = (self.limits.account_s == 0, grace_s(self.limits.account_s));
        let is_over = |line: &Line| is_off || line.ends.saturating_add(grace_s) <= now;
        if self.rows.first_key_value().is_none_or(|(line, _)| !is_over(line)) {
            return;
        }
        let mut due: Vec<(u64, Line)> = self
            .rows
            .values()
            .take_while(|row| is_over(&row.line))
            .map(|row| (row.packets(), row.line))
            .collect();
        due.sort_unstable_by(|left, right| right.cmp(left));
        let under_way = self.drafts.values().filter(|draft| draft.is_account() && !draft.is_finished());
        let mut room = (self.limits.drafts_max / 2).saturating_sub(under_way.count());
        for (packets, line) in due {
            self.closed = self.closed.max(line.ends);
            let because = self.rows.get(&line).and_then(|row| row.because);
            let is_nameless = because.is_none() && line.ends.saturating_add(DAY) <= now;
            if is_off || packets < PACKETS_MIN || is_nameless {
                self.unaccounted += u64::from(is_nameless && packets >= PACKETS_MIN);
                self.strike(line);
            } else if because.is_some() && room > 0 {
                room -= 1;
                self.account(line, footing);
            }
        }
        // What nobody asks for any more need not be asked for either.
        let before = std::mem::take(&mut self.unnamed);
        self.unnamed = self.nameless();
        for (act, tries) in before {
            self.unnamed.entry(act).and_modify(|known| *known = tries);
        }
    }

    /// Accounts that could not be given, since the platform did not say which act it was.
    pub const fn unaccounted(&self) -> u64 {
        self.unaccounted
    }

    /// Opens the draft of a line, and takes the line out.
    fn account(&mut self, line: Line, footing: &Footing<'_>) {
        let Some(row) = self.strike(line) else { return };
        let Some(because) = row.because else { return };
        self.last_draft += 1;
        let number = self.last_draft;
        let done = Done {
            measure: line.measure,
            because,
            from: row.from,
            until: row.until,
            packets: row.packets(),
            bytes: row.before.1.saturating_add(row.bytes),
        };
        let draft = Draft {
            number,
            opened: footing.now(),
            subject: line.subject,
            learned: footing.learned(line.subject),
            says: Says::Applied(done),
            state: State::Ready,
        };
        self.tries.insert(number, Tries::default());
        self.drafts.insert(number, draft);
        self.changed.insert(number);
    }

    fn strike(&mut self, line: Line) -> Option<Row> {
        self.rows_changed.insert(line);
        self.rows.remove(&line)
    }
}

#[cfg(test)]
mod tests;
