//! A live table on standard error: redrawn in place on a terminal, a line a second elsewhere.
//!
//! It shows full source addresses, since the terminal is the operator's own.

use std::fmt::Write as _;
use std::net::Ipv6Addr;
use std::time::Duration;

use credence_engine::{Offender, Offenders, Totals};
use credence_score::Verdict;
use credence_wire::Anomaly;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::outputs::tell;

/// Time between two pictures on a terminal: fast enough to be live, slow enough to be read.
const REDRAWN_EVERY: Duration = Duration::from_millis(500);

/// Time between two lines elsewhere.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Sources and anomalies shown.
const SHOWN: usize = 5;

/// Where the table is drawn.
pub(crate) struct View {
    bar: ProgressBar,
    every: Duration,
    last: Picture,
}

/// What was drawn last, for rates.
#[derive(Default)]
struct Picture {
    at: Duration,
    received: u64,
}

impl View {
    /// A table on standard error, empty until the first [`Self::update`].
    pub(crate) fn start() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template here is valid"));
        let every = if bar.is_hidden() { LINE_EVERY } else { REDRAWN_EVERY };
        Self { bar, every, last: Picture::default() }
    }

    /// Draws what is known at `now`, a time since the start, when it is time for that.
    pub(crate) fn update(&mut self, now: Duration, totals: &Totals, offenders: &Offenders) {
        let since = now.saturating_sub(self.last.at);
        if since < self.every {
            return;
        }
        let per_s = rate(totals.received.saturating_sub(self.last.received), since);
        self.last = Picture { at: now, received: totals.received };
        if self.bar.is_hidden() {
            tell(line(now, per_s, totals));
        } else {
            self.bar.set_message(table(now, per_s, totals, &worst(offenders)));
        }
    }

    /// Says something above the table.
    pub(crate) fn say(&self, text: &str) {
        if self.bar.is_hidden() {
            tell(text);
        } else {
            self.bar.println(text);
        }
    }

    /// Takes the table off a terminal.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// So many in `since`, each second.
fn rate(count: u64, since: Duration) -> u64 {
    u64::try_from(u128::from(count) * 1000 / since.as_millis().max(1)).unwrap_or(u64::MAX)
}

/// The sources that fare worst, by /64: the hardest verdict first, then the lowest score, then the most
/// alerts.
pub(crate) fn worst(offenders: &Offenders) -> Vec<(u128, Offender)> {
    let mut all: Vec<_> = offenders.iter().map(|entry| (*entry.key(), *entry.value())).collect();
    all.sort_unstable_by_key(|(source, o)| {
        (std::cmp::Reverse(o.verdict), o.score, std::cmp::Reverse(o.alerts), *source)
    });
    all.truncate(SHOWN);
    all
}

fn heading(now: Duration, per_s: u64, totals: &Totals) -> String {
    format!(
        "{:>3} s   {} packets/s   {} packets   {} flows   {} alerts",
        now.as_secs(),
        HumanCount(per_s),
        HumanCount(totals.received),
        HumanCount(totals.flows_live),
        HumanCount(totals.alerts)
    )
}

fn line(now: Duration, per_s: u64, totals: &Totals) -> String {
    let verdicts = Verdict::ALL.iter().zip(totals.verdict_packets.0).filter(|(_, packets)| *packets > 0);
    let verdicts: Vec<_> =
        verdicts.map(|(verdict, packets)| format!("{} {packets}", verdict.name())).collect();
    format!("{}   {}", heading(now, per_s, totals), verdicts.join(", "))
}

fn table(now: Duration, per_s: u64, totals: &Totals, worst: &[(u128, Offender)]) -> String {
    let mut text = heading(now, per_s, totals);
    text.push_str("\n\npackets by verdict");
    for (verdict, packets) in Verdict::ALL.iter().zip(totals.verdict_packets.0) {
        let _ = write!(text, "\n  {:<12}{:>12}", verdict.name(), HumanCount(packets).to_string());
    }
    text.push_str("\n\nsources that fare worst (/64)                score  verdict       alerts");
    for (source, offender) in worst {
        let (address, verdict) = (Ipv6Addr::from(*source).to_string(), offender.verdict.name());
        let _ = write!(text, "\n  {address:<43}{:>5}  {verdict:<10}{:>10}", offender.score, offender.alerts);
    }
    text.push_str("\n\npackets with anomalies");
    for (name, packets) in frequent(totals) {
        let _ = write!(text, "\n  {:>12}  {name}", HumanCount(packets).to_string());
    }
    text
}

/// The anomalies that most packets showed.
fn frequent(totals: &Totals) -> Vec<(&'static str, u64)> {
    let mut seen: Vec<_> =
        Anomaly::ALL.iter().map(|anomaly| anomaly.name()).zip(totals.anomalies.0).collect();
    seen.retain(|(_, packets)| *packets > 0);
    seen.sort_unstable_by_key(|(name, packets)| (std::cmp::Reverse(*packets), *name));
    seen.truncate(SHOWN);
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offender(verdict: Verdict, score: u16, alerts: u64) -> Offender {
        Offender { written_ns: 0, verdict, score, alerts, suppressed: 0, confirmed: false }
    }

    #[test]
    fn the_worst_sources_come_first_and_only_a_few() {
        let offenders = Offenders::default();
        for (source, offender) in [
            (1, offender(Verdict::Observe, 0, 99)),
            (2, offender(Verdict::Drop, 50, 1)),
            (3, offender(Verdict::Drop, 40, 1)),
            (4, offender(Verdict::Drop, 50, 7)),
            (5, offender(Verdict::Mark, 300, 1)),
            (6, offender(Verdict::RateLimit, 100, 1)),
        ] {
            offenders.insert(source, offender);
        }
        let order: Vec<_> = worst(&offenders).iter().map(|(source, _)| *source).collect();
        assert_eq!(order, [3, 4, 2, 6, 5]);
    }

    #[test]
    fn rates_are_of_a_second() {
        assert_eq!(rate(500, Duration::from_millis(500)), 1000);
        assert_eq!(rate(7, Duration::ZERO), 7000);
    }

    #[test]
    fn the_table_shows_every_verdict_and_what_was_seen() {
        let mut totals = Totals { received: 1_234_567, flows_live: 89, alerts: 3, ..Totals::default() };
        totals.verdict_packets.0[5] = 42;
        totals.anomalies.0[2] = 7;
        totals.anomalies.0[0] = 7;
        totals.anomalies.0[1] = 8;
        let source = 0x2001_0db8_u128 << 96;
        let text = table(Duration::from_secs(9), 1000, &totals, &[(source, offender(Verdict::Drop, 40, 2))]);
        assert!(
            text.starts_with("  9 s   1,000 packets/s   1,234,567 packets   89 flows   3 alerts\n"),
            "{text}"
        );
        for verdict in Verdict::ALL {
            assert!(text.contains(&format!("\n  {:<12}", verdict.name())), "{text}");
        }
        assert!(text.contains("2001:db8::  ") && text.contains("   40  drop "), "{text}");
        let shown: Vec<_> = frequent(&totals);
        assert_eq!(shown[0], (Anomaly::ALL[1].name(), 8));
        assert_eq!(shown.len(), 3);
        let plain = line(Duration::from_secs(9), 1000, &totals);
        assert!(plain.ends_with("drop 42") && !plain.contains('\n'), "{plain}");
    }
}
