//! Reads a metrics page: the text format of Prometheus, version 0.0.4, as far as counters and gauges go.

use std::collections::BTreeMap;

/// A sample: its labels in the order of their names, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

impl Sample {
    /// The value of a label, empty where there is none of that name.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// The samples of a page by the names of their metrics, each metric's in the order of the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Samples(BTreeMap<String, Vec<Sample>>);

impl Samples {
    /// The samples of a page. Comments are left out, and so are lines that are none of the format: what one exporter adds
    /// must not hide what all have.
    pub(super) fn read(page: &str) -> Self {
        let mut samples = Self::default();
        for line in page.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if let Some((name, sample)) = sample(line) {
                samples.0.entry(name).or_default().push(sample);
            }
        }
        samples
    }

    /// The samples of a metric.
    pub(super) fn of(&self, metric: &str) -> &[Sample] {
        self.0.get(metric).map_or(&[], Vec::as_slice)
    }

    /// The sum of a metric's samples; none where the page has no such metric.
    pub(super) fn sum(&self, metric: &str) -> Option<f64> {
        let samples = self.0.get(metric)?;
        Some(samples.iter().map(|sample| sample.value).sum())
    }
}

/// The sample on a line, with the name of its metric. A time behind the value is left out.
fn sample(line: &str) -> Option<(String, Sample)> {
    let name_len =
        line.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'))?;
    let (name, rest) = line.split_at(name_len);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then(|| (name.to_owned(), Sample { labels, value }))
}

/// The labels before the closing brace, and what stands behind that.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, behind) = unquoted(quoted)?;
        labels.insert(name.trim().to_owned(), value);
        rest = behind;
    }
}

/// The text before the closing quotation mark, without its escapes, and what stands behind that.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use credence_credit::Cache;
    use credence_engine::metrics::{Process, Scrape, render};
    use credence_engine::{AlertCounts, Totals};
    use credence_score::Verdict;

    use super::*;

    #[test]
    fn the_real_page_is_read_to_its_last_sample() {
        let mut totals = Totals { received: 7, ..Totals::default() };
        totals.verdict_packets.0[5] = 3;
        let scrape = Scrape {
            totals: &totals,
            cache: &Cache::default(),
            alerts: AlertCounts::default(),
            output_failures: 0,
            lines_lost: 0,
            workers: 2,
            flow_capacity: 0,
            ready: true,
            links: vec![true, false],
            emergency_ends_s: 0,
            update_held: false,
            exceptions_faulty: false,
            reload_failures: 0,
            enforcement: None,
            following: None,
            outbox: None,
            process: Process { cpu: Duration::from_millis(1_500), ..Process::default() },
            started_s: 1_800_000_000,
            version: "1.2.3",
        };
        let page = render(&scrape).unwrap();
        let samples = Samples::read(&page);
        let lines = page.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(samples.0.values().map(Vec::len).sum::<usize>(), lines);
        assert_eq!(samples.sum("credence_received_packets_total"), Some(7.0));
        assert_eq!(samples.sum("process_cpu_seconds_total"), Some(1.5));
        assert_eq!(samples.sum("credence_link_up"), Some(1.0), "one of two");
        let verdicts = samples.of("credence_verdict_packets_total");
        assert_eq!(verdicts.len(), Verdict::ALL.len());
        let dropped = verdicts.iter().find(|sample| sample.label("verdict") == "drop");
        assert_eq!(dropped.map(|sample| sample.value), Some(3.0));
        assert_eq!(samples.of("credence_build_info")[0].label("version"), "1.2.3");
        assert_eq!(samples.sum("process_start_time_seconds"), Some(1_800_000_000.0));
    }

    #[track_caller]
    fn check(line: &str, labels: &[(&str, &str)], value: f64) {
        let (name, sample) = sample(line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!((name.as_str(), sample.value), ("m", value));
        let found: Vec<_> =
            sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, labels, "{line}");
    }

    #[test]
    fn every_spelling_of_the_format_is_read() {
        check("m 1", &[], 1.0);
        check("m{} 1.5e3", &[], 1500.0);
        check("m{a=\"b\"} 1 1395066363000", &[("a", "b")], 1.0);
        check("m{a=\"b,c}\", d=\"e\",} 2", &[("a", "b,c}"), ("d", "e")], 2.0);
        check("m{a=\"q\\\"s\\\\n\\n\"} +Inf", &[("a", "q\"s\\n\n")], f64::INFINITY);
    }

    #[test]
    fn what_is_no_sample_is_left_out() {
        for line in ["", "m", "m{", "m{a} 1", "m{a=\"b} 1", "m{a=\"b\"}", "m one", "{a=\"b\"} 1", "m{a=\"\\"]
        {
            assert_eq!(sample(line), None, "{line}");
        }
        let samples = Samples::read("# HELP m\n???\nm 1\n\nm 2\n");
        assert_eq!((samples.sum("m"), samples.sum("n"), samples.of("n").len()), (Some(3.0), None, 0));
    }
}
