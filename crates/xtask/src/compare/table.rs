//! The outcome as a table and as JSON.

use serde_json::{Value, json};

use super::contenders::{Contender, Job};
use super::measured::Cost;

/// What came of one program.
pub(super) enum Outcome {
    /// Its costs, one for each capture, in their order.
    Measured(Vec<Cost>),
    /// It is not installed.
    Absent,
    /// It ran and failed.
    Failed(String),
}

/// A row: a program and what came of it.
pub(super) struct Row {
    pub(super) contender: &'static Contender,
    pub(super) outcome: Outcome,
}

/// All rows over all captures; each capture is named by its number of flows.
pub(super) struct Outcomes {
    pub(super) packets: usize,
    pub(super) prefixes: usize,
    pub(super) runs: usize,
    pub(super) flows: Vec<usize>,
    pub(super) rows: Vec<Row>,
}

impl Outcomes {
    /// How many times the cost of credence at the same job this cost is, over the capture of this number.
    fn ratio(&self, job: Job, capture: usize, cost: &Cost) -> Option<f64> {
        let ours = self.rows.iter().find(|row| row.contender.name == job.ours())?;
        let Outcome::Measured(costs) = &ours.outcome else { return None };
        Some(cost.cpu_ns / costs.get(capture)?.cpu_ns)
    }

    /// A table a job, for people.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{} packets, {} prefixes, median of {} runs; processor time of all threads, net of start-up\n",
            self.packets, self.prefixes, self.runs
        );
        for job in Job::ALL {
            for (capture, flows) in self.flows.iter().enumerate() {
                text.push_str(&self.section(job, capture, *flows));
            }
        }
        text.push_str(&self.notes());
        text
    }

    fn section(&self, job: Job, capture: usize, flows: usize) -> String {
        let mut text = format!(
            "\n{:<22} {:>11} {:>8} {:>8} {:>9} {:>9} {:>9}\n",
            format!("{}, {flows} flows", job.name()),
            "ns a packet",
            "Mpps",
            "times",
            "wall ns",
            "peak MB",
            "start s"
        );
        for row in self.rows.iter().filter(|row| row.contender.job == job) {
            let Outcome::Measured(costs) = &row.outcome else { continue };
            let cost = &costs[capture];
            let times = self.ratio(job, capture, cost).map_or("-".into(), |ratio| format!("{ratio:.1}"));
            text.push_str(&format!(
                "{:<22} {:>11.1} {:>8.2} {times:>8} {:>9.1} {:>9} {:>9.2}\n",
                row.contender.name,
                cost.cpu_ns,
                cost.mpps(),
                cost.wall_ns,
                cost.peak_bytes / 1_000_000,
                cost.start.as_secs_f64()
            ));
        }
        text
    }

    /// What is missing, and why.
    fn notes(&self) -> String {
        let note = |row: &Row| match &row.outcome {
            Outcome::Measured(_) => None,
            Outcome::Absent => {
                Some(format!("{} is not installed: {}\n", row.contender.name, row.contender.cure()))
            }
            Outcome::Failed(why) => Some(format!("{} failed: {why}\n", row.contender.name)),
        };
        let notes: String = self.rows.iter().filter_map(note).collect();
        if notes.is_empty() { notes } else { format!("\n{notes}") }
    }

    /// One object, for programs.
    pub(super) fn json(&self) -> Value {
        let rows: Vec<_> = self.rows.iter().map(|row| self.row(row)).collect();
        json!({
            "packets": self.packets,
            "prefixes": self.prefixes,
            "runs": self.runs,
            "programs": rows,
        })
    }

    fn row(&self, row: &Row) -> Value {
        let Contender { name, job, .. } = row.contender;
        match &row.outcome {
            Outcome::Absent => json!({ "name": name, "job": job.name(), "absent": row.contender.cure() }),
            Outcome::Failed(why) => json!({ "name": name, "job": job.name(), "failed": why }),
            Outcome::Measured(costs) => {
                let figures = costs.iter().enumerate().map(|(capture, cost)| {
                    json!({
                        "flows": self.flows[capture],
                        "cpu_ns": cost.cpu_ns,
                        "wall_ns": cost.wall_ns,
                        "mpps": cost.mpps(),
                        "times": self.ratio(*job, capture, cost),
                        "peak_bytes": cost.peak_bytes,
                        "start_s": cost.start.as_secs_f64(),
                    })
                });
                json!({ "name": name, "job": job.name(), "captures": figures.collect::<Vec<_>>() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::contenders::CONTENDERS;
    use super::*;

    fn outcomes() -> Outcomes {
        let cost =
            |cpu_ns| Cost { cpu_ns, wall_ns: cpu_ns, start: Duration::from_secs(1), peak_bytes: 5_000_000 };
        let outcome = |contender: &Contender| match contender.name {
            "credence" => Outcome::Measured(vec![cost(50.0)]),
            "Suricata, reputation" => Outcome::Measured(vec![cost(2000.0)]),
            "nfpcapd" => Outcome::Failed("no such option".into()),
            _ => Outcome::Absent,
        };
        let rows =
            CONTENDERS.iter().map(|contender| Row { contender, outcome: outcome(contender) }).collect();
        Outcomes { packets: 100, prefixes: 10, runs: 3, flows: vec![7], rows }
    }

    #[test]
    fn ratios_are_to_credence_at_the_same_job() {
        let text = outcomes().text();
        let row = text.lines().find(|line| line.starts_with("Suricata, reputation")).unwrap();
        assert_eq!(row.split_whitespace().collect::<Vec<_>>()[2..5], ["2000.0", "0.50", "40.0"]);
        let json = outcomes().json();
        let figures = |name: &str| {
            let program = json["programs"].as_array().unwrap().iter().find(|program| program["name"] == name);
            program.unwrap()["captures"][0].clone()
        };
        assert_eq!(figures("Suricata, reputation")["times"], 40.0);
        assert_eq!(figures("credence")["times"], 1.0);
    }

    #[test]
    fn what_is_missing_is_named_with_its_cure_and_what_failed_with_its_reason() {
        let text = outcomes().text();
        assert!(text.contains("softflowd is not installed: apt-get install softflowd"), "{text}");
        assert!(text.contains("nfpcapd failed: no such option"), "{text}");
        assert!(outcomes().json().to_string().contains("apt-get install softflowd"));
    }
}
