//! The alert that teaches most, and why it was raised.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use credence_score::{Rule, Verdict};
use serde_json::Value;

/// Every rule that a term can cite.
const RULES: [Rule; 12] = [
    Rule::Credit,
    Rule::Unrated,
    Rule::AnomalyEvasive,
    Rule::AnomalyInvalid,
    Rule::AnomalyUnusual,
    Rule::FlowRate,
    Rule::PacketRate,
    Rule::Unanswered,
    Rule::Targets,
    Rule::Ports,
    Rule::AnomalyRate,
    Rule::Floor,
];

/// Takes alert lines and keeps one: that with the most terms, and among those the hardest.
#[derive(Clone, Default)]
pub(super) struct Hardest(Arc<Mutex<Option<Value>>>);

impl Hardest {
    /// The alert that was kept.
    pub(super) fn alert(&self) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for Hardest {
    /// Takes whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let alert: Value = serde_json::from_slice(line)?;
            if kept.as_ref().is_none_or(|kept| rank(&alert) > rank(kept)) {
                *kept = Some(alert);
            }
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How much an alert teaches.
fn rank(alert: &Value) -> (usize, Option<usize>) {
    let terms = alert["credence"]["terms"].as_array().map_or(0, Vec::len);
    (terms, Verdict::ALL.iter().position(|verdict| alert["credence"]["verdict"] == verdict.name()))
}

/// Writes why an alert was raised: the terms, which add up to the score, and whose word decided.
pub(super) fn explain(out: &mut dyn Write, alert: &Value) -> io::Result<()> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let why = &alert["credence"];
    writeln!(out, "why {} got the verdict {}", word(&alert["src_ip"]), word(&why["verdict"]))?;
    for term in why["terms"].as_array().into_iter().flatten() {
        let (name, points) = (word(&term["rule"]), term["points"].as_i64().unwrap_or_default());
        let meaning = RULES.iter().find(|rule| rule.name() == name).map_or("", |rule| rule.meaning());
        let measured = match (term["measured"].as_u64().unwrap_or_default(), term["prefix_len"].as_u64()) {
            (measured, Some(len)) => format!(" ({measured}, of its /{len})"),
            (0, None) => String::new(),
            (measured, None) => format!(" ({measured})"),
        };
        writeln!(out, "  {points:>6}  {name:<16} {meaning}{measured}")?;
    }
    let score = why["score"].as_u64().unwrap_or_default();
    writeln!(out, "  {score:>6}  the score, their sum; rules {}", word(&why["rules"]))?;
    writeln!(out, "  decided by {}: {}", word(&why["basis"]), word(&alert["alert"]["signature"]))?;
    if let Some(credit) = why["credit"].as_object() {
        let (prefix, issuer) = (word(&credit["prefix"]), word(&credit["issuer"]));
        let measure = word(&credit["measure"]);
        writeln!(out, "  record of {prefix} by {issuer}: score {}, asks for {measure}", credit["score"])?;
    }
    writeln!(out, "  enforced: no, the tour only observes")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn alert(verdict: &str, points: &[(&str, i64)]) -> Value {
        let terms: Vec<_> = points
            .iter()
            .map(|(rule, points)| json!({"rule": rule, "points": points, "measured": 7}))
            .collect();
        json!({
            "src_ip": "2001:db8::1",
            "alert": { "signature": "CREDENCE flow scored low" },
            "credence": { "score": 350, "verdict": verdict, "basis": "local_score", "rules": "r/1", "terms": terms, "credit": null },
        })
    }

    #[test]
    fn more_terms_win_and_then_the_harder_verdict() {
        let mut hardest = Hardest::default();
        assert_eq!(hardest.alert(), None);
        let (one, two) = (&[("unrated", 600)][..], &[("unrated", 600), ("targets", -250)][..]);
        for (alert, kept) in [
            (alert("observe", one), "observe"),
            (alert("drop", one), "drop"),
            (alert("mark", one), "drop"),
            (alert("mark", two), "mark"),
            (alert("drop", one), "mark"),
        ] {
            hardest.write_all(format!("{alert}\n").as_bytes()).unwrap();
            assert_eq!(hardest.alert().unwrap()["credence"]["verdict"], kept);
        }
    }

    #[test]
    fn an_explanation_shows_terms_that_add_up() {
        let mut text = Vec::new();
        explain(&mut text, &alert("mark", &[("unrated", 600), ("targets", -250)])).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("why 2001:db8::1 got the verdict mark\n"), "{text}");
        for part in
            ["     600  unrated", "    -250  targets", "     350  the score", "decided by local_score"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        for rule in RULES {
            assert!(!rule.meaning().is_empty());
        }
    }

    #[test]
    fn what_is_no_alert_is_refused() {
        assert!(Hardest::default().write(b"{half\n").is_err());
    }
}
