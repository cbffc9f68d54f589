//! The rules of Prometheus, judged by its own tool.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::programs::{PROMTOOL, succeeds};
use super::{deployed, text};

/// The rules, by file.
const RULES: [&str; 3] = ["recording.rules.yml", "alert.rules.yml", "platform.rules.yml"];
/// Their tests.
const TESTS: [&str; 3] = ["rules.test.yml", "rules.days.test.yml", "platform.rules.test.yml"];
/// What is scraped: gateways, and platforms.
const SCRAPES: [&str; 2] = ["scrape.yml", "platform.scrape.yml"];

/// Names of the alerts.
fn alerts() -> Vec<String> {
    let rules = RULES.map(|name| text(&format!("prometheus/{name}"))).concat();
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

#[test]
fn promtool_takes_the_rules_and_the_scrape_configuration() {
    let Some(promtool) = PROMTOOL.find() else { return };
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("prometheus.yml");
    let rules = RULES.map(|name| format!("  - {}\n", deployed("prometheus").join(name).display())).concat();
    for scrape in SCRAPES.map(|name| text(&format!("prometheus/{name}"))) {
        fs::write(&config, format!("rule_files:\n{rules}{scrape}")).unwrap();
        let told = succeeds(Command::new(&promtool).args(["check", "config", "--lint-fatal"]).arg(&config));
        assert_eq!(told.matches(" rules found").count(), RULES.len(), "{told}");
    }
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    let Some(promtool) = PROMTOOL.find() else { return };
    let mut test = Command::new(promtool);
    succeeds(test.args(["test", "rules"]).args(TESTS).current_dir(deployed("prometheus")));
    let tests = TESTS.map(|name| text(&format!("prometheus/{name}"))).concat();
    for alert in alerts() {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "no test lets {alert} fire");
    }
}
