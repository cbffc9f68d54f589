//! What the kernel has done by each record, summed up by the period for whoever tells others.
//!
//! The kernel counts by number, and numbers come and go with the records: what a number counted is taken over when its record
//! leaves, when all records are exchanged, and now and then in between. Frames that are judged while that is done, within some
//! microseconds, are in no account. When the gateway ends, the program is off its interfaces before it is asked for the last time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use credence_credit::{ActRef, Cache, Measure};
use credence_enforce::Met;
use credence_engine::clock::{unix_ms, unix_s};
use credence_prefix::Prefix;
use credence_sync::outbox::{Count, told_every_s};
use credence_sync::pipe::Order;
use tracing::warn;

use super::carrier::Carrier;
use super::following::Follower;

/// Sums that are kept at most: those of a period and of the one before that are not told yet. Some 4 MiB.
const SUMS_MAX: usize = 32_768;

/// What is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    begins: u64,
    subject: Prefix,
    act: ActRef,
    measure: Measure,
}

/// What a line has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    from: u64,
    until: u64,
    met: Met,
    is_told: bool,
}

/// The sums of a gateway that gives accounts.
#[derive(Debug)]
pub(super) struct Accounts {
    /// How long periods are, in seconds.
    period_s: u64,
    /// Which start of the gateway this is.
    run: u64,
    sums: BTreeMap<Line, Sum>,
    /// By number: what had met its record when that was looked at last.
    seen: HashMap<u32, Met>,
    /// When the kernel was asked last, a time since the start.
    asked: Duration,
    /// Whether there is more to tell.
    is_behind: bool,
    /// Sums that there was no room for.
    lost: u64,
}

impl Accounts {
    /// None where nobody is told, or nothing is held up, which is nothing to tell.
    pub(super) fn of(period_s: u64, carries_out: bool) -> Option<Self> {
        (period_s > 0 && carries_out).then(|| Self {
            period_s,
            run: unix_ms(),
            sums: BTreeMap::new(),
            seen: HashMap::new(),
            asked: Duration::ZERO,
            is_behind: false,
            lost: 0,
        })
    }

    /// Asks the kernel, where that is due at `now`, a time since the start, and tells what has become more.
    pub(super) fn look(&mut self, now: Duration, carrier: &Carrier, cache: &Cache, follower: &mut Follower) {
        let now_s = unix_s();
        if now.saturating_sub(self.asked) >= Duration::from_secs(told_every_s(self.period_s)) {
            self.asked = now;
            self.take_all(|number| carrier.met(number), cache, now_s);
            self.is_behind = true;
        }
        if self.is_behind {
            self.is_behind = !self.tell(|order| follower.order(order), now_s);
        }
    }

    /// Takes over what the kernel has counted to the end, and all that was not told yet.
    pub(super) fn end(&mut self, carrier: &Carrier, cache: &Cache) -> impl Iterator<Item = Count> {
        self.take_all(|number| carrier.met(number), cache, unix_s());
        let untold = self.sums.iter().filter(|(_, sum)| !sum.is_told);
        untold.map(|(line, sum)| count(self.run, self.period_s, line, sum))
    }

    /// Takes over what records have counted that left.
    pub(super) fn left(&mut self, left: &[u32], carrier: &Carrier, cache: &Cache) {
        self.take_left(left, |number| carrier.met(number), cache, unix_s());
    }

    /// Takes over what the records before have counted, all of which have just been exchanged; `cache` is that of before.
    pub(super) fn exchanged(&mut self, carrier: &Carrier, cache: &Cache) {
        self.take_all(|number| carrier.met_before(number), cache, unix_s());
        self.seen.clear();
    }

    fn take_all(&mut self, met: impl Fn(u32) -> Option<Met>, cache: &Cache, now: u64) {
        for number in 0..cache.numbers() {
            self.take(number, met(number), cache, now);
        }
    }

    fn take_left(&mut self, left: &[u32], met: impl Fn(u32) -> Option<Met>, cache: &Cache, now: u64) {
        for &number in left {
            self.take(number, met(number), cache, now);
            self.seen.remove(&number);
        }
    }

    fn take(&mut self, number: u32, met: Option<Met>, cache: &Cache, now: u64) {
        let Some(met) = met.filter(|met| met.packets > 0) else { return };
        let before = self.seen.insert(number, met).unwrap_or_default();
        let more = Met {
            packets: met.packets.saturating_sub(before.packets),
            bytes: met.bytes.saturating_sub(before.bytes),
        };
        let (record, measure) = (cache.record(number), cache.entry(number).allowed());
        let is_done =
            matches!(measure, Measure::Incentive | Measure::Mark | Measure::RateLimit | Measure::Drop);
        // What no act asked for is the operator's own matter.
        let Some(act) = record.act.filter(|_| is_done && more.packets > 0) else { return };
        let begins = now - now % self.period_s;
        self.add(Line { begins, subject: record.prefix, act, measure }, more, now);
    }

    fn add(&mut self, line: Line, more: Met, now: u64) {
        if !self.sums.contains_key(&line) && self.sums.len() >= SUMS_MAX {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        let none = Sum { from: now, until: now, met: Met::default(), is_told: false };
        let sum = self.sums.entry(line).or_insert(none);
        sum.met.packets = sum.met.packets.saturating_add(more.packets);
        sum.met.bytes = sum.met.bytes.saturating_add(more.bytes);
        (sum.until, sum.is_told) = (now.max(sum.until), false);
    }

    /// Tells what has become more since it was told, as far as the follower has room, and whether that was all; what is over and
    /// told is let go.
    fn tell(&mut self, mut order: impl FnMut(&Order) -> bool, now: u64) -> bool {
        let mut is_all = true;
        for (line, sum) in &mut self.sums {
            if !sum.is_told && !order(&Order::Applied(count(self.run, self.period_s, line, sum))) {
                is_all = false;
                break;
            }
            sum.is_told = true;
        }
        let begins = now - now % self.period_s;
        self.sums.retain(|line, sum| !sum.is_told || line.begins >= begins);
        if std::mem::take(&mut self.lost) > 0 {
            warn!("more subjects met measures than are summed up; what the rest met is in no account");
        }
        is_all
    }
}

fn count(run: u64, period_s: u64, line: &Line, sum: &Sum) -> Count {
    Count {
        run,
        begins: line.begins,
        ends: line.begins.saturating_add(period_s),
        subject: line.subject,
        act: line.act,
        measure: line.measure,
        from: sum.from,
        until: sum.until,
        packets: sum.met.packets,
        bytes: sum.met.bytes,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use credence_credit::{
        Authority, EvidenceClass, Guards, Header, Issuer, IssuerId, Rating, Reason, Record, Score, Snapshot,
    };

    use super::*;

    /// A whole hour.
    const BEGINS: u64 = 1_800_000_000;
    const HOUR: u64 = 3_600;

    fn accounts() -> Accounts {
        Accounts::of(HOUR, true).unwrap()
    }

    /// A cache with a decision about each of three subjects, in the order of their numbers, from acts of this beginning on.
    fn cache(measure: Measure, act: Option<u8>) -> Cache {
        let records = (1..=3).map(|number| Record {
            prefix: format!("2a00:{number}::/32").parse().unwrap(),
            rating: Rating::of(Score::new(100).unwrap()),
            measure,
            reasons: Reason::Scanning.into(),
            issuer: IssuerId(0),
            evidence: EvidenceClass::Confirmed,
            authority: Authority::Decision,
            signatures: 3,
            expires: BEGINS + 10 * HOUR,
            act: act.map(|act| ActRef([act + number; 8])),
        });
        let header = Header { session: 1, serial: 1, created: BEGINS };
        let issuers = vec![Issuer::new("body").unwrap()];
        let snapshot = Snapshot::new(header, issuers, records.collect()).unwrap();
        Cache::build(vec![snapshot], &Guards::default()).unwrap()
    }

    const fn met(packets: u64) -> Option<Met> {
        Some(Met { packets, bytes: packets * 60 })
    }

    /// A line: its period, the second group of its subject, and its act.
    type Line = (u64, u8, u8);

    /// What the follower has heard last of each line: packets and bytes.
    #[derive(Default)]
    struct Heard(RefCell<BTreeMap<Line, (u64, u64)>>);

    impl Heard {
        fn hear(&self, order: &Order) -> bool {
            let Order::Applied(count) = order else { panic!("{order:?}") };
            let subject = (count.subject.first() >> 96) as u8;
            let key = (count.begins, subject, count.act.0[0]);
            self.0.borrow_mut().insert(key, (count.packets, count.bytes));
            true
        }

        fn packets(&self) -> Vec<(Line, u64)> {
            self.0.borrow().iter().map(|(key, (packets, _))| (*key, *packets)).collect()
        }
    }

    #[test]
    fn counters_of_the_kernel_become_sums_by_act_and_period() {
        let (mut accounts, cache, heard) = (accounts(), cache(Measure::Drop, Some(0x10)), Heard::default());
        let counters = [7, 0, 9];
        accounts.take_all(|number| met(counters[number as usize]), &cache, BEGINS + 10);
        accounts.take_all(|number| met(counters[number as usize]), &cache, BEGINS + 20);
        assert!(accounts.tell(|order| heard.hear(order), BEGINS + 20));
        assert_eq!(heard.packets(), [((BEGINS, 1, 0x11), 7), ((BEGINS, 3, 0x13), 9)]);
        assert_eq!(heard.0.borrow()[&(BEGINS, 3, 0x13)].1, 540);
        // The kernel counts on, and the next period begins.
        accounts.take_all(|number| met(counters[number as usize] + 100), &cache, BEGINS + HOUR);
        assert!(accounts.tell(|order| heard.hear(order), BEGINS + HOUR));
        let later = [
            ((BEGINS + HOUR, 1, 0x11), 100),
            ((BEGINS + HOUR, 2, 0x12), 100),
            ((BEGINS + HOUR, 3, 0x13), 100),
        ];
        assert_eq!(heard.packets()[2..], later);
        assert_eq!(accounts.sums.len(), 3, "what is over and told is let go");
    }

    #[test]
    fn a_number_that_another_record_has_counts_from_nothing() {
        let (mut accounts, heard) = (accounts(), Heard::default());
        let (before, after) = (cache(Measure::Drop, Some(0x10)), cache(Measure::RateLimit, Some(0x20)));
        accounts.take_all(|_| met(100), &before, BEGINS);
        // The last few of a record that leaves are counted, and the number is somebody else's from then on.
        accounts.take_left(&[0], |_| met(130), &before, BEGINS);
        accounts.take_all(|number| met(if number == 0 { 40 } else { 100 }), &after, BEGINS);
        accounts.tell(|order| heard.hear(order), BEGINS);
        let sums = heard.packets();
        assert_eq!(sums[..2], [((BEGINS, 1, 0x11), 130), ((BEGINS, 1, 0x21), 40)]);
        assert_eq!(sums.iter().map(|(_, packets)| packets).sum::<u64>(), 130 + 40 + 100 + 100);
    }

    #[test]
    fn what_finds_no_room_in_the_pipe_is_told_later() {
        let (mut accounts, cache, heard) = (accounts(), cache(Measure::Mark, Some(0x10)), Heard::default());
        accounts.take_all(|_| met(5), &cache, BEGINS);
        let mut room = 1;
        let mut narrow = |order: &Order| {
            room -= 1;
            room >= 0 && heard.hear(order)
        };
        assert!(!accounts.tell(&mut narrow, BEGINS + HOUR));
        assert_eq!(
            (heard.packets().len(), accounts.sums.len()),
            (1, 2),
            "what was not told is kept over its period's end"
        );
        assert!(accounts.tell(|order| heard.hear(order), BEGINS + HOUR));
        assert_eq!((heard.packets().len(), accounts.sums.len()), (3, 0));
    }

    #[test]
    fn what_no_act_asks_for_or_nothing_is_done_by_is_in_no_account() {
        for (measure, act) in [(Measure::Drop, None), (Measure::Observe, Some(1)), (Measure::None, Some(1))] {
            let mut accounts = accounts();
            accounts.take_all(|_| met(500), &cache(measure, act), BEGINS);
            assert!(accounts.sums.is_empty(), "{measure:?}");
        }
        assert!(Accounts::of(0, true).is_none() && Accounts::of(HOUR, false).is_none());
    }
}
