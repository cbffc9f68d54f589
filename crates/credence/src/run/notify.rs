//! What the service manager is told: that the gateway is ready, gets on, reads its configuration again, or stops.
//!
//! The protocol is that of sd_notify(3): datagrams to the socket that the variable `NOTIFY_SOCKET` names. Where nobody has
//! set it, nothing is sent. The watchdog is fed by the progress of the reader and of every worker, not by the thread that
//! feeds it: a process that merely runs is restarted like one that hangs.

use std::env;
use std::time::Duration;

use credence_engine::Totals;
use sd_notify::NotifyState;
use tracing::warn;

use crate::serve::status::Status;

/// Meals of the watchdog in the time after which it bites. Half of that time is the habit; with a quarter, a meal may be
/// missed on a machine that does much else.
const MEALS: u32 = 4;

/// How often the line of `systemctl status` is written anew.
const DESCRIBED_EVERY: Duration = Duration::from_secs(10);

/// Tells the service manager.
pub(super) struct Notify {
    /// Whether there is one that listens.
    is_heard: bool,
    /// Whether it could not be told something, which is said once.
    has_failed: bool,
    due: Due,
    described: Totals,
}

/// When what is due to be told.
#[derive(Debug, Default)]
struct Due {
    /// Time between two meals of the watchdog, if there is one.
    fed_every: Option<Duration>,
    is_ready: bool,
    fed_at: Option<Duration>,
    described_at: Option<Duration>,
}

/// What is to be told at one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Tell {
    ready: bool,
    fed: bool,
    /// The line, about what happened in so long a time.
    described: Option<Duration>,
}

impl Notify {
    /// Tells whom the environment names, and feeds the watchdog that it asks for.
    pub(super) fn from_environment() -> Self {
        let fed_every = sd_notify::watchdog_enabled().map(|bites_after| bites_after / MEALS);
        Self {
            is_heard: env::var_os("NOTIFY_SOCKET").is_some(),
            has_failed: false,
            due: Due { fed_every, ..Due::default() },
            described: Totals::default(),
        }
    }

    /// Tells what is due at `now`, a time since the start, of an engine whose records are in force.
    pub(super) fn look(&mut self, now: Duration, status: &Status) {
        if !self.is_heard {
            return;
        }
        let gets_on = status.is_ready();
        let tell = self.due.at(now, gets_on);
        let line = tell.described.map(|since| self.describe(status, gets_on, since));
        let states = [
            tell.ready.then_some(NotifyState::Ready),
            tell.fed.then_some(NotifyState::Watchdog),
            line.as_deref().map(NotifyState::Status),
        ];
        self.send(&states.into_iter().flatten().collect::<Vec<_>>());
    }

    /// Tells that the configuration is read again, and since when (`CLOCK_MONOTONIC`, as the manager wants it). To whom the
    /// start was not told yet, that is part of it.
    pub(super) fn reloading(&mut self) {
        if !self.due.is_ready {
            return;
        }
        let since = NotifyState::monotonic_usec_now().ok();
        self.send(&std::iter::once(NotifyState::Reloading).chain(since).collect::<Vec<_>>());
    }

    /// Tells that it was read, whether it was taken over or not.
    pub(super) fn reloaded(&mut self) {
        if self.due.is_ready {
            self.send(&[NotifyState::Ready]);
        }
    }

    /// Tells that the engine has come to its end.
    pub(super) fn stopping(&mut self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// The line of `systemctl status`, about the time `since` the one before. No address is in it.
    fn describe(&mut self, status: &Status, gets_on: bool, since: Duration) -> String {
        let totals = status.engine().totals();
        let millis = since.as_millis().max(1);
        let packets = u128::from(totals.received.saturating_sub(self.described.received));
        let trouble = match (gets_on, status.pulse().is_down()) {
            (false, _) => "NOT READY, a thread stands still: ",
            (true, true) => "the interface is down: ",
            (true, false) => "",
        };
        let line = format!(
            "{trouble}{} packets/s, {} flows, {} credit records, {} alerts",
            packets * 1_000 / millis,
            totals.flows_live,
            status.credit().current().len(),
            status.alert_counts().written,
        );
        self.described = totals;
        line
    }

    fn send(&mut self, states: &[NotifyState<'_>]) {
        if states.is_empty() {
            return;
        }
        if let Err(error) = sd_notify::notify(states)
            && !self.has_failed
        {
            self.has_failed = true;
            warn!(%error, "the service manager cannot be told; it may take this process for dead");
        }
    }
}

impl Due {
    /// What is due at `now`, when the engine gets on or does not.
    fn at(&mut self, now: Duration, gets_on: bool) -> Tell {
        let ready = gets_on && !self.is_ready;
        self.is_ready |= ready;
        let fed = gets_on && self.fed_every.is_some_and(|every| has_passed(every, self.fed_at, now));
        if fed {
            self.fed_at = Some(now);
        }
        // Nothing is said of an engine that has not begun: the manager shows that itself.
        let is_described = self.is_ready && has_passed(DESCRIBED_EVERY, self.described_at, now);
        let since = now.saturating_sub(self.described_at.unwrap_or_default());
        if is_described {
            self.described_at = Some(now);
        }
        Tell { ready, fed, described: is_described.then_some(since) }
    }
}

/// Whether so much time has passed since, or there is no since.
fn has_passed(time: Duration, since: Option<Duration>, now: Duration) -> bool {
    since.is_none_or(|since| now.saturating_sub(since) >= time)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told at looks 100 ms apart, of an engine that gets on as given at each.
    fn told(bites_after: Option<Duration>, course: impl IntoIterator<Item = bool>) -> Vec<Tell> {
        let mut due = Due { fed_every: bites_after.map(|time| time / MEALS), ..Due::default() };
        let looks = (1..).map(|number| Duration::from_millis(100) * number);
        looks.zip(course).map(|(now, gets_on)| due.at(now, gets_on)).collect()
    }

    fn places(told: &[Tell], of: impl Fn(&Tell) -> bool) -> Vec<usize> {
        (0..told.len()).filter(|place| of(&told[*place])).collect()
    }

    #[test]
    fn readiness_is_told_once_and_not_before_there_is_any() {
        let told = told(None, [false, false, true, true, false, true]);
        assert_eq!(places(&told, |tell| tell.ready), [2]);
        assert_eq!(places(&told, |tell| tell.fed), [0_usize; 0], "nobody asked for a watchdog's meals");
    }

    #[test]
    fn the_watchdog_is_fed_four_times_in_its_time() {
        let told = told(Some(Duration::from_secs(2)), [true; 21]);
        assert_eq!(places(&told, |tell| tell.fed), [0, 5, 10, 15, 20]);
    }

    #[test]
    fn whoever_stands_still_feeds_nobody_and_feeds_at_once_when_it_gets_on() {
        let course = (0..60).map(|look| !(10..43).contains(&look));
        let fed = places(&told(Some(Duration::from_secs(2)), course), |tell| tell.fed);
        assert_eq!(fed, [0, 5, 43, 48, 53, 58]);
    }

    #[test]
    fn the_line_is_written_every_ten_seconds_also_of_an_engine_that_stands_still() {
        let told = told(None, std::iter::once(true).chain([false; 220]));
        assert_eq!(places(&told, |tell| tell.described.is_some()), [0, 100, 200]);
        assert_eq!(told[100].described, Some(DESCRIBED_EVERY));
        assert_eq!(told[0].described, Some(Duration::from_millis(100)), "since the start");
    }
}
