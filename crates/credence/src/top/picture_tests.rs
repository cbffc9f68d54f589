//! Pictures of gateways that fare well and badly.

use std::time::Duration;

use super::*;
use crate::serve::subjects::{Good, Subject};
use crate::top::exposition::Samples;

/// A page of a gateway that has received so many packets.
fn page(packets: u64) -> String {
    format!(
        r#"# HELP credence_received_packets_total Frames taken from the source.
credence_build_info{{version="1.2.3"}} 1
process_start_time_seconds 1799990000
credence_workers 2
credence_received_packets_total {packets}
credence_received_bytes_total {bytes}
credence_flows 123456
credence_flows_created_total {flows}
credence_alerts_raised_total 7
credence_verdict_packets_total{{verdict="drop"}} {drop}
credence_verdict_packets_total{{verdict="pass"}} {pass}
credence_kernel_drops_total 0
credence_shed_packets_total{{reason="ring_full"}} {shed}
credence_malformed_packets_total{{reason="short"}} 0
credence_malformed_packets_total{{reason="version"}} 3
credence_credit_records 4007
credence_credit_records_kept{{reason="too_wide"}} 1
credence_credit_generation 2
credence_credit_created_timestamp_seconds 1799999400
"#,
        bytes = packets * 1000,
        flows = packets / 10,
        pass = packets / 4 * 3,
        drop = packets / 4,
        shed = packets / 1000,
    )
}

/// A look at a page, so many seconds after the first.
fn look(seconds: u64, page: &str) -> Look {
    Look {
        at: Duration::from_secs(seconds),
        unix_s: 1_800_000_000 + seconds,
        samples: Samples::read(page),
        subjects: None,
        fault: String::new(),
    }
}

fn picture(before: Option<&Look>, now: &Look, fault: Option<&str>) -> String {
    Between::new(before, now).lines("http://127.0.0.1:9469", fault).join("\n")
}

#[test]
fn a_gateway_at_work_is_shown_whole() {
    let enforcing = r#"
credence_enforce_info{mode="on",stand="router"} 1
credence_enforce_packets_total{verdict="drop",reason="deny_list"} COUNT
credence_enforce_packets_total{verdict="pass",reason="none"} 0
credence_enforce_bytes_total{verdict="drop",reason="deny_list"} COUNT00
"#;
    let page_with = |packets: u64| page(packets) + &enforcing.replace("COUNT", &packets.to_string());
    let before = look(0, &page_with(1_000_000));
    let worst = Subject {
        prefix: "2001:db8:0:7::/64".to_owned(),
        verdict: "drop".to_owned(),
        score: 40,
        alerts: 12,
        last_s: 1_799_999_942,
    };
    let best = Good { prefix: "2001:db8:0:9::/64".to_owned(), score: 910, last_s: 1_799_999_990 };
    let subjects = Some(Subjects { window_s: 600, worst: vec![worst], best: vec![best] });
    let now = Look { subjects, ..look(2, &page_with(3_000_000)) };
    insta::assert_snapshot!(picture(Some(&before), &now, None), @r"
    credence 1.2.3 at http://127.0.0.1:9469   ready   up 2 h   workers 2

    traffic         packets/s        bit/s        flows  new flows/s     alerts/s
                    1,000,000        8.0 G      123,456      100,000            0

    verdicts                     packets/s    share           packets
      pass                         750,000   75.0 %         2,250,000
      drop                         250,000   25.0 %           750,000

    without verdict               frames/s                     frames
      kernel                             0                          0
      shed, ring_full                1,000                      3,000
      malformed, version                 0                          3

    in the kernel, on as router          packets/s    bit/s   packets
      drop, deny_list                    1,000,000    800 M     3.0 M

    credit      4,007 records, 1 never enforced; snapshot 10 min old; generation 2

    worst sources of 10 min      score  verdict      alerts        last
      2001:db8:0:7::/64             40  drop             12    60 s ago
    best sources of 10 min
      2001:db8:0:9::/64            910                         12 s ago
    ");
}

#[test]
fn the_first_look_has_no_rates_and_a_gateway_in_trouble_says_so() {
    let troubled = Look { fault: "not ready: a worker stands still".to_owned(), ..look(0, &page(40)) };
    insta::assert_snapshot!(picture(None, &troubled, Some("it does not answer")), @r"
    credence 1.2.3 at http://127.0.0.1:9469   NOT READY   up 2 h   workers 2
      it does not answer
      not ready: a worker stands still

    traffic         packets/s        bit/s        flows  new flows/s     alerts/s
                            -            -      123,456            -            -

    verdicts                     packets/s    share           packets
      pass                               -        -                30
      drop                               -        -                10

    without verdict               frames/s                     frames
      kernel                             -                          0
      shed, ring_full                    -                          0
      malformed, version                 -                          3

    credit      4,007 records, 1 never enforced; snapshot 10 min old; generation 2

    worst and best sources are told on a loopback address only
    ");
}

#[test]
fn a_gateway_that_was_started_anew_has_no_rates() {
    let before = look(0, &page(1_000));
    let anew = look(1, &page(40).replace("1799990000", "1799999999"));
    assert!(Between::new(Some(&before), &anew).rate("credence_received_packets_total").is_none());
    let later = look(1, &page(2_000));
    assert_eq!(Between::new(Some(&before), &later).rate("credence_received_packets_total"), Some(1_000.0));
    assert_eq!(Between::new(Some(&later), &later).rate("credence_received_packets_total"), None);
}

#[test]
fn numbers_are_told_short_and_times_in_their_largest_unit() {
    for (number, short) in [
        (0.0, "0"),
        (999.4, "999"),
        (999.6, "1.0 k"),
        (99_960.0, "100 k"),
        (9.8e9, "9.8 G"),
        (5e13, "50.0 T"),
    ] {
        assert_eq!(scaled(Some(number)), short);
    }
    for (seconds, short) in [(119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 d")] {
        assert_eq!(told(seconds), short);
    }
    assert_eq!((whole(None), whole(Some(1234567.4))), ("-".to_owned(), "1,234,567".to_owned()));
    assert_eq!(
        (share(Some(1.0), Some(3.0)), share(Some(0.0), Some(0.0))),
        ("33.3 %".to_owned(), "-".to_owned())
    );
    assert_eq!(whole(Some(f64::NAN)), "0");
}

#[test]
fn nothing_that_a_page_says_moves_the_cursor() {
    assert_eq!(clipped("a\x1b[2Jb\r\nc", 80), "a[2Jbc");
    assert_eq!(clipped("äbcd", 3), "äbc");
}
