//! What is shown of a gateway, as lines of text: a pure function of two looks at it.

use std::fmt::Write;

use credence_score::Verdict;
use indicatif::HumanCount;

use super::exposition::Sample;
use super::gateway::Look;
use crate::serve::subjects::Subjects;

/// What stands where nothing is known yet.
const UNKNOWN: &str = "-";
/// Reasons shown of each kind of drop.
const REASONS: usize = 8;

/// Two looks at a gateway, of which the first may be missing or of a process that has ended since.
pub(super) struct Between<'a> {
    before: Option<&'a Look>,
    now: &'a Look,
}

impl<'a> Between<'a> {
    /// What happened between two looks.
    pub(super) fn new(before: Option<&'a Look>, now: &'a Look) -> Self {
        // Counters of a process that was started anew do not go on from the old ones.
        let start = |look: &Look| look.samples.sum("process_start_time_seconds");
        Self { before: before.filter(|before| start(before) == start(now) && before.at < now.at), now }
    }

    /// How much a metric grows in a second; none before the second look, and where the gateway has no such metric.
    fn rate(&self, metric: &str) -> Option<f64> {
        let before = self.before?;
        self.per_second(before.samples.sum(metric)?, self.now.samples.sum(metric)?)
    }

    /// How much a metric's sample with the labels of `sample` grows in a second.
    fn rate_of(&self, metric: &str, sample: &Sample) -> Option<f64> {
        let before = self.before?.samples.of(metric).iter().find(|before| before.labels == sample.labels)?;
        self.per_second(before.value, sample.value)
    }

    fn per_second(&self, before: f64, now: f64) -> Option<f64> {
        let since = self.now.at.checked_sub(self.before?.at)?;
        Some((now - before).max(0.0) / since.as_secs_f64())
    }

    /// The picture: what stands at `url`, a subject a block. `fault` is why there is nothing newer.
    pub(super) fn lines(&self, url: &str, fault: Option<&str>) -> Vec<String> {
        let mut lines = vec![self.heading(url)];
        lines.extend(self.complaints(fault));
        let blocks =
            [self.traffic(), self.verdicts(), self.drops(), self.enforced(), self.credit(), self.subjects()];
        for block in blocks.into_iter().filter(|block| !block.is_empty()) {
            lines.push(String::new());
            lines.extend(block);
        }
        lines
    }

    fn heading(&self, url: &str) -> String {
        let samples = &self.now.samples;
        let version = samples.of("credence_build_info").first().map_or(UNKNOWN, |info| info.label("version"));
        let ready = if self.now.fault.is_empty() { "ready" } else { "NOT READY" };
        let workers = whole(samples.sum("credence_workers"));
        let up =
            samples.sum("process_start_time_seconds").map_or(UNKNOWN.to_owned(), |start| self.since(start));
        format!("credence {version} at {url}   {ready}   up {up}   workers {workers}")
    }

    /// What is wrong with the gateway itself, and with asking it.
    fn complaints(&self, fault: Option<&str>) -> Vec<String> {
        let own = Some(self.now.fault.as_str()).filter(|fault| !fault.is_empty());
        fault.into_iter().chain(own).map(|fault| format!("  {fault}")).collect()
    }

    fn traffic(&self) -> Vec<String> {
        let bits = self.rate("credence_received_bytes_total").map(|bytes| bytes * 8.0);
        let row = [
            whole(self.rate("credence_received_packets_total")),
            scaled(bits),
            whole(self.now.samples.sum("credence_flows")),
            whole(self.rate("credence_flows_created_total")),
            whole(self.rate("credence_alerts_raised_total")),
        ];
        let heading = ["packets/s", "bit/s", "flows", "new flows/s", "alerts/s"];
        vec![columns("traffic", heading), columns("", row.each_ref().map(String::as_str))]
    }

    fn verdicts(&self) -> Vec<String> {
        let (packets, all) = ("credence_verdict_packets_total", self.rate("credence_verdict_packets_total"));
        let mut lines = vec![format!("{:<24}{:>14}{:>9}{:>18}", "verdicts", "packets/s", "share", "packets")];
        let mut ladder: Vec<_> = self.now.samples.of(packets).iter().collect();
        ladder.sort_by_key(|sample| rung(sample.label("verdict")));
        lines.extend(ladder.into_iter().map(|sample| {
            let rate = self.rate_of(packets, sample);
            let (per_s, share, total) = (whole(rate), share(rate, all), whole(Some(sample.value)));
            format!("  {:<22}{per_s:>14}{share:>9}{total:>18}", sample.label("verdict"))
        }));
        lines
    }

    /// Frames that got no verdict, by reason. The kernel's loss and what was shed are shown even when there is none.
    fn drops(&self) -> Vec<String> {
        let mut lines = vec![format!("{:<24}{:>14}{:>27}", "without verdict", "frames/s", "frames")];
        let kernel = "credence_kernel_drops_total";
        lines.extend(
            self.now.samples.of(kernel).iter().map(|sample| self.drop_line("kernel", kernel, sample)),
        );
        for (what, metric, always) in [
            ("shed", "credence_shed_packets_total", true),
            ("malformed", "credence_malformed_packets_total", false),
        ] {
            let shown = self.now.samples.of(metric).iter().filter(|sample| always || sample.value > 0.0);
            lines.extend(shown.take(REASONS).map(|sample| {
                let name = format!("{what}, {}", sample.label("reason"));
                self.drop_line(&name, metric, sample)
            }));
        }
        lines
    }

    fn drop_line(&self, name: &str, metric: &str, sample: &Sample) -> String {
        let (per_s, total) = (whole(self.rate_of(metric, sample)), whole(Some(sample.value)));
        format!("  {name:<22}{per_s:>14}{total:>27}")
    }

    /// What the kernel did, where verdicts are carried out there.
    fn enforced(&self) -> Vec<String> {
        let (packets, bytes) = ("credence_enforce_packets_total", "credence_enforce_bytes_total");
        let samples = self.now.samples.of(packets);
        let Some(info) = self.now.samples.of("credence_enforce_info").first() else { return Vec::new() };
        let title = format!("in the kernel, {} as {}", info.label("mode"), info.label("stand"));
        let mut lines = vec![format!("{title:<34}{:>12}{:>9}{:>10}", "packets/s", "bit/s", "packets")];
        let mut seen: Vec<_> = samples.iter().filter(|sample| sample.value > 0.0).collect();
        seen.sort_by(|a, b| b.value.total_cmp(&a.value));
        lines.extend(seen.into_iter().take(REASONS).map(|sample| {
            let of_same = |bytes: &&Sample| bytes.labels == sample.labels;
            let bits = self.now.samples.of(bytes).iter().find(of_same);
            let bits = scaled(bits.and_then(|sample| self.rate_of(bytes, sample)).map(|bytes| bytes * 8.0));
            let name = format!("{}, {}", sample.label("verdict"), sample.label("reason"));
            let (per_s, total) = (whole(self.rate_of(packets, sample)), scaled(Some(sample.value)));
            format!("  {name:<32}{per_s:>12}{bits:>9}{total:>10}")
        }));
        lines
    }

    fn credit(&self) -> Vec<String> {
        let samples = &self.now.samples;
        let records = whole(samples.sum("credence_credit_records"));
        let made = match samples.sum("credence_credit_created_timestamp_seconds") {
            Some(made) if made > 0.0 => format!("snapshot {} old", self.since(made)),
            _ => "no snapshot".to_owned(),
        };
        let kept = whole(samples.sum("credence_credit_records_kept"));
        let generation = whole(samples.sum("credence_credit_generation"));
        let told = format!("{records} records, {kept} never enforced; {made}; generation {generation}");
        vec![format!("{:<12}{told}", "credit")]
    }

    fn subjects(&self) -> Vec<String> {
        let Some(Subjects { window_s, worst, best }) = &self.now.subjects else {
            return vec!["worst and best sources are told on a loopback address only".to_owned()];
        };
        let title = format!("worst sources of {}", told(*window_s));
        let mut lines =
            vec![format!("{title:<28}{:>6}  {:<11}{:>8}  {:>10}", "score", "verdict", "alerts", "last")];
        lines.extend(worst.iter().map(|subject| {
            let last = format!("{} ago", told(self.now.unix_s.saturating_sub(subject.last_s)));
            let (prefix, verdict) = (&subject.prefix, &subject.verdict);
            format!("  {prefix:<26}{:>6}  {verdict:<11}{:>8}  {last:>10}", subject.score, subject.alerts)
        }));
        if worst.is_empty() {
            lines.push("  none raised an alert".to_owned());
        }
        lines.push(format!("best sources of {}", told(*window_s)));
        lines.extend(best.iter().map(|good| {
            let last = format!("{} ago", told(self.now.unix_s.saturating_sub(good.last_s)));
            format!("  {:<26}{:>6}  {:<11}{:>8}  {last:>10}", good.prefix, good.score, "", "")
        }));
        if best.is_empty() {
            lines.push("  none fares better than a source of which nothing is known".to_owned());
        }
        lines
    }

    /// The time since a moment in Unix seconds.
    fn since(&self, unix_s: f64) -> String {
        told(self.now.unix_s.saturating_sub(unix_s as u64))
    }
}

/// The place of a verdict on the ladder, mildest first; one that this version does not know comes last.
fn rung(verdict: &str) -> usize {
    Verdict::ALL.iter().position(|known| known.name() == verdict).unwrap_or(Verdict::ALL.len())
}

/// A name and columns of figures.
fn columns(name: &str, figures: [&str; 5]) -> String {
    figures.iter().fold(format!("{name:<12}"), |mut line, figure| {
        let _ = write!(line, "{figure:>13}");
        line
    })
}

/// A number without fraction, in groups of three digits.
fn whole(number: Option<f64>) -> String {
    // A value that is no count of anything, such as infinity, ends at the largest there is.
    number.map_or(UNKNOWN.to_owned(), |number| HumanCount(number.round() as u64).to_string())
}

/// A number with three digits and the letter of its thousands.
fn scaled(number: Option<f64>) -> String {
    let Some(mut number) = number else { return UNKNOWN.to_owned() };
    for letter in ["", " k", " M", " G"] {
        if number < 999.5 {
            let digits = if letter.is_empty() || number >= 99.95 { 0 } else { 1 };
            return format!("{number:.digits$}{letter}");
        }
        number /= 1000.0;
    }
    format!("{number:.1} T")
}

/// The part that `rate` is of `all`.
fn share(rate: Option<f64>, all: Option<f64>) -> String {
    match (rate, all) {
        (Some(rate), Some(all)) if all > 0.0 => format!("{:.1} %", rate / all * 100.0),
        _ => UNKNOWN.to_owned(),
    }
}

/// A time in its largest unit, and no finer than helps.
fn told(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The line as a terminal may have it: nothing in it moves the cursor, and it is `width` letters long at most.
pub(super) fn clipped(line: &str, width: usize) -> String {
    line.chars().filter(|letter| !letter.is_control()).take(width).collect()
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
