//! What came of a run over frames, in numbers: for people at any hour, and for programs.

use std::io::{self, Write};
use std::time::Duration;

use credence_credit::{Cache, KeepReason};
use credence_engine::{AlertCounts, MALFORMED, NOT_IPV6, Totals};
use credence_score::Verdict;
use credence_wire::Anomaly;
use indicatif::{DecimalBytes, HumanCount};
use serde::{Serialize, Serializer};

/// The numbers of a run. The names of the members are a contract.
#[derive(Serialize)]
pub(crate) struct Summary {
    /// Frames received: scored, not IPv6, malformed or shed.
    packets: u64,
    /// Their bytes on the wire.
    bytes: u64,
    scored: u64,
    verdicts: Counts,
    drops: Drops,
    /// Flows begun.
    flows: u64,
    flows_evicted: u64,
    flows_confirmed: u64,
    /// Packets scored without flow state because the table was full.
    packets_without_flow: u64,
    /// Alert lines written.
    alerts: u64,
    alerts_suppressed: Counts,
    /// Reports of what sources did in a step that a worker was too far behind to take from another.
    step_reports_lost: Counts,
    /// Packets that showed an anomaly, by its name; those that never came are left out.
    anomalies: Counts,
    credit_records: u64,
    /// Credit records that are shown and never enforced, by reason.
    credit_records_kept: Counts,
    workers: usize,
    seconds: f64,
    packets_per_second: u64,
    /// The run was ended before its input was.
    interrupted: bool,
}

/// Frames that got no verdict, by reason.
#[derive(Serialize)]
struct Drops {
    not_ipv6: Counts,
    malformed: Counts,
    shed: Counts,
}

/// Numbers by name, in a fixed order.
struct Counts(Vec<(&'static str, u64)>);

impl Counts {
    fn of(names: impl IntoIterator<Item = &'static str>, counts: impl IntoIterator<Item = u64>) -> Self {
        Self(names.into_iter().zip(counts).collect())
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    fn non_zero(mut self) -> Self {
        self.0.retain(|(_, count)| *count > 0);
        self
    }

    /// Those that are not 0, as `ipv4 3, arp 1`.
    fn listed(&self) -> String {
        let present = self.0.iter().filter(|(_, count)| *count > 0);
        present.map(|(name, count)| format!("{name} {}", HumanCount(*count))).collect::<Vec<_>>().join(", ")
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(self.0.iter().copied())
    }
}

/// What a summary is made of besides the engine's counters.
pub(crate) struct Run<'a> {
    pub(crate) alerts: AlertCounts,
    pub(crate) cache: &'a Cache,
    pub(crate) workers: usize,
    pub(crate) elapsed: Duration,
    pub(crate) interrupted: bool,
}

impl Summary {
    /// The summary of a run.
    pub(crate) fn of(totals: &Totals, run: &Run<'_>) -> Self {
        let seconds = run.elapsed.as_secs_f64();
        let AlertCounts { written, suppressed, over_rate } = run.alerts;
        let kept = KeepReason::ALL.map(|reason| (reason.name(), run.cache.kept(reason)));
        Self {
            packets: totals.received,
            bytes: totals.received_bytes,
            scored: totals.scored,
            verdicts: Counts::of(Verdict::ALL.map(Verdict::name), totals.verdict_packets.0),
            drops: Drops {
                not_ipv6: Counts::of(NOT_IPV6.map(|kind| kind.1), totals.not_ipv6.0),
                malformed: Counts::of(MALFORMED.map(|kind| kind.1), totals.malformed.0),
                shed: Counts::of(["ring_full"], [totals.shed]),
            },
            flows: totals.flows_created,
            flows_evicted: totals.flows_evicted,
            flows_confirmed: totals.flows_confirmed,
            packets_without_flow: totals.flows_refused,
            alerts: written,
            alerts_suppressed: Counts::of(
                ["source_quiet", "rate", "outbox_full"],
                [suppressed, over_rate, totals.alerts_lost],
            ),
            step_reports_lost: Counts::of(["mailbox_full"], [totals.step_reports_lost]),
            anomalies: Counts::of(Anomaly::ALL.iter().map(|anomaly| anomaly.name()), totals.anomalies.0)
                .non_zero(),
            credit_records: run.cache.len() as u64,
            credit_records_kept: Counts(kept.to_vec()).non_zero(),
            workers: run.workers,
            seconds: (seconds * 1e6).round() / 1e6,
            // A float turned into an integer is cut off at the integer's ends.
            packets_per_second: (totals.received as f64 / seconds.max(1e-6)) as u64,
            interrupted: run.interrupted,
        }
    }

    /// Writes the summary for people: a number a line, what it is, and of what it is made.
    ///
    /// # Errors
    /// When `out` refuses.
    pub(crate) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.rows();
        let width = rows.iter().map(|(_, number, _)| number.len()).max().unwrap_or(0);
        for (name, number, note) in &rows {
            let line = format!("{name:<16}{number:>width$}   {note}");
            writeln!(out, "{}", line.trim_end())?;
        }
        if self.interrupted {
            writeln!(out, "ended early: the rest of the input was not read")?;
        }
        Ok(())
    }

    /// Name, number and note of each line.
    fn rows(&self) -> Vec<(String, String, String)> {
        let row =
            |name: &str, number: u64, note: String| (name.to_owned(), HumanCount(number).to_string(), note);
        let mut rows = vec![row("packets", self.packets, self.speed())];
        rows.push(row("  scored", self.scored, String::new()));
        let drops = [
            ("not IPv6", &self.drops.not_ipv6),
            ("malformed", &self.drops.malformed),
            ("shed", &self.drops.shed),
        ];
        for (name, counts) in drops {
            rows.push(row(&format!("  {name}"), counts.sum(), counts.listed()));
        }
        rows.push(("verdicts".to_owned(), String::new(), String::new()));
        for (name, count) in &self.verdicts.0 {
            rows.push(row(&format!("  {name}"), *count, String::new()));
        }
        rows.push(row("flows", self.flows, self.flow_note()));
        let suppressed = &self.alerts_suppressed;
        let left_out = format!("and {} suppressed: {}", HumanCount(suppressed.sum()), suppressed.listed());
        rows.push(row("alerts", self.alerts, if suppressed.sum() > 0 { left_out } else { String::new() }));
        let lost = &self.step_reports_lost;
        if lost.sum() > 0 {
            rows.push(row("reports lost", lost.sum(), lost.listed()));
        }
        let kept = &self.credit_records_kept;
        let never = format!("of which never enforced: {}", kept.listed());
        rows.push(row(
            "credit records",
            self.credit_records,
            if kept.sum() > 0 { never } else { String::new() },
        ));
        if !self.anomalies.0.is_empty() {
            rows.push(("anomalies".to_owned(), String::new(), String::new()));
        }
        for (name, count) in &self.anomalies.0 {
            rows.push((String::new(), HumanCount(*count).to_string(), (*name).to_owned()));
        }
        rows
    }

    fn speed(&self) -> String {
        let workers =
            if self.workers == 1 { "1 worker".to_owned() } else { format!("{} workers", self.workers) };
        let bytes = DecimalBytes(self.bytes);
        format!("{bytes} in {:.3} s, {}/s, {workers}", self.seconds, HumanCount(self.packets_per_second))
    }

    fn flow_note(&self) -> String {
        let parts = [
            (self.flows_confirmed, "with a confirmed source"),
            (self.flows_evicted, "pushed out of a full table"),
            (self.packets_without_flow, "packets found no room"),
        ];
        let present = parts.iter().filter(|(count, _)| *count > 0);
        present.map(|(count, what)| format!("{} {what}", HumanCount(*count))).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let mut totals =
            Totals { received: 1_234_567, received_bytes: 2_000_000, scored: 1_234_560, ..Totals::default() };
        totals.not_ipv6.0 = [4, 3, 0, 0];
        totals.verdict_packets.0[1] = 1_234_560;
        totals.anomalies.0[0] = 2;
        totals.flows_created = 9;
        totals.step_reports_lost = 4;
        let alerts = AlertCounts { written: 5, suppressed: 1, over_rate: 0 };
        let cache = Cache::default();
        let elapsed = Duration::from_millis(500);
        Summary::of(&totals, &Run { alerts, cache: &cache, workers: 2, elapsed, interrupted: false })
    }

    #[test]
    fn programs_find_the_contracts_members() {
        let json = serde_json::to_value(summary()).unwrap();
        assert_eq!(json["packets"], 1_234_567);
        assert_eq!(json["flows"], 9);
        assert_eq!(json["alerts"], 5);
        assert_eq!(json["verdicts"]["pass"], 1_234_560);
        assert_eq!(json["verdicts"]["drop"], 0);
        assert_eq!(json["drops"]["not_ipv6"]["ipv4"], 4);
        assert_eq!(json["drops"]["shed"]["ring_full"], 0);
        assert_eq!(json["step_reports_lost"]["mailbox_full"], 4);
        assert_eq!(json["packets_per_second"], 2_469_134);
        assert_eq!(json["anomalies"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn people_read_aligned_numbers() {
        let mut text = Vec::new();
        summary().write_text(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "packets         1,234,567   2.00 MB in 0.500 s, 2,469,134/s, 2 workers");
        assert_eq!(lines[2], "  not IPv6              7   ipv4 4, arp 3");
        assert_eq!(lines[4], "  shed                  0");
        assert!(lines.contains(&"reports lost            4   mailbox_full 4"), "{text}");
        assert!(lines.contains(&"alerts                  5   and 1 suppressed: source_quiet 1"), "{text}");
    }
}
