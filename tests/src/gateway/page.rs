//! The pages that a running engine serves.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::running::{Running, balances, fetch, sum, wait_for};
use crate::binary::run;
use crate::deploy::programs::PROMTOOL;

/// A tour that lasts longer than any of these tests.
fn tour() -> Running {
    Running::start(["demo", "--seconds", "600"])
}

/// Requires that Prometheus' own tool finds nothing to object to on a page.
#[track_caller]
pub(super) fn is_sound(promtool: PathBuf, page: &str) {
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && told.is_empty(), "{}", String::from_utf8_lossy(&told));
}

#[test]
fn prometheus_finds_nothing_to_object_to() {
    let Some(promtool) = PROMTOOL.find() else { return };
    let mut running = tour();
    running.metrics_when(|numbers| sum(numbers, "credence_alerts_written_total") > 0);
    let (status, page) = fetch(running.address(), "/metrics");
    assert_eq!(status, 200);
    is_sound(promtool, &page);
}

#[test]
fn the_page_accounts_for_everything_and_names_nobody() {
    let mut running = tour();
    let numbers = running.metrics_when(|numbers| {
        balances(numbers)
            && sum(numbers, "credence_received_packets_total") > 500
            && sum(numbers, "credence_flows") > 0
    });
    // The feed's, a holder's alert, and while it is in force the decision.
    assert!((4_008..=4_009).contains(&sum(&numbers, "credence_credit_records")), "{numbers:?}");
    assert_eq!(sum(&numbers, "credence_credit_records_kept"), 2);
    assert_eq!(
        sum(&numbers, "credence_verdict_packets_total"),
        sum(&numbers, "credence_scored_packets_total")
    );
    assert!(numbers.len() < 2_000, "{} series", numbers.len());
    for name in numbers.keys() {
        assert!(!name.contains("2001:db8") && !name.contains("3fff:"), "{name}");
    }
    let later = running.metrics_when(|later| sum(later, "credence_received_packets_total") > 1_000);
    assert_eq!(later.len(), numbers.len(), "the number of series is fixed");
    for (name, before) in numbers.iter().filter(|(name, _)| name.contains("_total")) {
        assert!(later[name] >= *before, "{name} fell");
    }
}

#[test]
fn supervisors_are_answered() {
    let mut running = tour();
    let address = running.address();
    assert_eq!(fetch(address, "/healthz"), (200, "ok\n".to_owned()));
    let ready = wait_for(|| (fetch(address, "/readyz") == (200, "ready\n".to_owned())).then_some(()));
    assert!(ready.is_some(), "{}", running.stderr());
    assert_eq!(fetch(address, "/").0, 404);
}

#[test]
fn a_client_that_never_finishes_is_let_go() {
    let mut running = tour();
    let address = running.address();
    let mut slow = TcpStream::connect(address).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut rest = [0; 64];
    // A byte a second, as if the request never came to its end.
    let ended = (0..12).find(|_| {
        let sent = slow.write_all(b"x");
        match slow.read(&mut rest) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                sent.is_err()
            }
            _ => true,
        }
    });
    assert!(ended.is_some_and(|seconds| seconds < 8), "{ended:?}");
    assert_eq!(fetch(address, "/healthz").0, 200);
}

#[test]
fn an_address_in_use_is_told_with_its_cure() {
    let mut running = tour();
    let address = running.address().to_string();
    let ran = run(["demo", "--seconds", "1", "--listen", &address]).expect(3);
    ran.told(&["cannot listen on", &address, "ss -ltnp", "port 0"]);
}
