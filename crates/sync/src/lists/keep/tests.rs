//! Each of these is a publisher, or a gateway, that does something unusual.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use credence_credit::import::ListFormat;
use credence_credit::{Issuer, Measure, Score};

use super::*;
use crate::fetch::{Patience, Place};

thread_local! {
    /// The wall clock of a test, all of which runs on its thread.
    static NOW_S: Cell<u64> = const { Cell::new(1_800_000_000) };
}

/// A list of this many sites.
fn body(sites: u16) -> String {
    (0..sites).map(|site| format!("2a00:{site:x}::/32\n")).collect()
}

/// The list `list` at a server that does `meanwhile` while it is asked, and answers by what it was asked.
fn plan(
    answer: impl Fn(usize, &str) -> String + Send + 'static,
    meanwhile: impl Fn(usize) + Send + 'static,
) -> Plan {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (mut stream, mut request, mut byte) = (stream.unwrap(), Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                request.push(byte[0]);
            }
            meanwhile(number);
            stream.write_all(answer(number, &String::from_utf8(request).unwrap()).as_bytes()).unwrap();
        }
    });
    Plan {
        name: "list".to_owned(),
        places: vec![Place::parse(&place, false).unwrap()],
        form: ListFormat::Cidr,
        score: Score::WORST,
        measure: Measure::Drop,
        issuer: Issuer::new("list").unwrap(),
        refresh: Duration::from_secs(60),
        lifetime: Duration::from_secs(1_000),
        bytes_max: 1 << 20,
    }
}

fn ok(tag: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{tag}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn lists(shelf: &Shelf) -> Lists {
    let machine = Machine { unix_s: || NOW_S.get(), chance: || 0 };
    Lists::new(Fetcher::new(Patience::default()).unwrap(), shelf.clone(), machine)
}

fn run<T>(of: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(of)
}

/// The number of the copy that was offered in a round, none where nothing had changed.
async fn round(lists: &Lists, plan: &Plan) -> Option<u64> {
    match lists.once(plan).await.as_slice() {
        [Report::Checked { is_new: false, .. }] => None,
        [Report::Checked { is_new: true, .. }, Report::Offered { serial, was_held: false, .. }] => {
            Some(*serial)
        }
        reports => panic!("{reports:?}"),
    }
}

#[test]
fn a_list_is_asked_for_whole_again_when_half_of_its_life_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(directory.path().to_owned());
    let answer = |_, request: &str| match request.contains("if-none-match") {
        true => "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(),
        false => ok("ETag: \"1\"\r\n", &body(3)),
    };
    let plan = plan(answer, |_| {});
    run(async {
        let lists = lists(&shelf);
        assert_eq!(round(&lists, &plan).await, Some(1));
        assert_eq!(round(&lists, &plan).await, None);
        let ends = |number| shelf.last("list", number).unwrap().records()[0].expires;
        let (begun, first) = (NOW_S.get(), ends(1));
        NOW_S.set(begun + 499);
        assert_eq!(round(&lists, &plan).await, None);
        NOW_S.set(begun + 500);
        assert_eq!(round(&lists, &plan).await, Some(2));
        assert_eq!(ends(2), first + 500);
        assert_eq!(shelf.notes("list").checked_s, begun + 500);
    });
}

#[test]
fn a_server_without_validators_is_no_reason_to_offer_the_same_again() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(directory.path().to_owned());
    let plan = plan(|number, _| ok("", &body(if number < 2 { 3 } else { 4 })), |_| {});
    run(async {
        let lists = lists(&shelf);
        assert_eq!(round(&lists, &plan).await, Some(1));
        assert_eq!(round(&lists, &plan).await, None);
        assert_eq!(round(&lists, &plan).await, Some(2));
    });
}

#[test]
fn what_the_gateway_has_noted_while_a_server_was_asked_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(directory.path().to_owned());
    let noted = shelf.clone();
    let hold = move |number| {
        if number == 1 {
            assert!(noted.hold("list", 1).unwrap());
        }
    };
    let plan = plan(|_, _| ok("", &body(3)), hold);
    run(async {
        let lists = lists(&shelf);
        assert_eq!(round(&lists, &plan).await, Some(1));
        assert_eq!(round(&lists, &plan).await, None);
        assert_eq!(shelf.notes("list").held, 1);
        let held = Report::Offered { source: "list".to_owned(), serial: 1, was_held: true };
        assert_eq!(lists.found(std::slice::from_ref(&plan))[1], held);
    });
}

/// A list whose every copy is another one, and how a gateway that follows it is told of copies.
fn told(reports: &[Report]) -> Vec<(u64, bool)> {
    let of = |report: &Report| match report {
        Report::Offered { serial, was_held, .. } => Some((*serial, *was_held)),
        Report::Refused { why: Refused::Quarantined, .. } => Some((0, false)),
        Report::Checked { .. } | Report::Known { .. } => None,
        other => panic!("{other:?}"),
    };
    reports.iter().filter_map(of).collect()
}

/// What a gateway does not answer is offered to one more, and to no third; what comes after it, later. An answer ends that.
#[test]
fn what_two_gateways_ended_of_is_offered_to_no_third_one() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(directory.path().to_owned());
    let versions = Arc::new(AtomicU16::new(1));
    let served = Arc::clone(&versions);
    let plan = plan(move |_, _| ok("", &body(served.load(Relaxed))), |_| {});
    let plan = Plan { lifetime: Duration::from_secs(1 << 20), ..plan };
    let plans = std::slice::from_ref(&plan);
    let next = || {
        versions.fetch_add(1, Relaxed);
    };
    let withheld = [(0, false)];
    run(async {
        let gateway = |number| lists(&shelf).of_gateway(number);
        // The first takes a copy; the next one takes it from the disk, and dies of what comes.
        let first = gateway(1);
        assert_eq!(told(&first.once(&plan).await), [(1, false)]);
        first.heed(&Order::Take { source: plan.name.clone(), serial: 1 });
        assert_eq!(shelf.tried("list"), None);
        next();
        assert_eq!(told(&first.once(&plan).await), [(2, false)]);
        assert_eq!(told(&first.once(&plan).await), [], "one that was offered is not offered again");
        // An answer about another copy is none about this one.
        first.heed(&Order::Leave { source: plan.name.clone(), serial: 1 });
        assert_eq!(told(&gateway(2).found(plans)), [(2, false)]);
        let third = gateway(3);
        assert_eq!(told(&third.found(plans)), withheld);
        assert_eq!(shelf.last("list", 1).unwrap().records().len(), 1, "it begins with what was in force");
        assert_eq!(told(&third.once(&plan).await), [], "that is said once");
        // What comes after it may be as bad.
        next();
        assert_eq!(told(&third.once(&plan).await), withheld);
        NOW_S.set(NOW_S.get() + 599);
        assert_eq!(told(&third.once(&plan).await), []);
        NOW_S.set(NOW_S.get() + 1);
        assert_eq!(told(&third.once(&plan).await), [(3, false)]);
        // It was, and the pause grows.
        let fourth = gateway(4);
        assert_eq!(told(&fourth.found(plans)), withheld);
        next();
        assert_eq!(told(&fourth.once(&plan).await), withheld);
        NOW_S.set(NOW_S.get() + 1_199);
        assert_eq!(told(&fourth.once(&plan).await), []);
        NOW_S.set(NOW_S.get() + 1);
        assert_eq!(told(&fourth.once(&plan).await), [(4, false)]);
        // That one waits for the operator, after a start as well.
        fourth.heed(&Order::Hold { source: plan.name.clone(), serial: 4 });
        assert_eq!(told(&fourth.once(&plan).await), []);
        for number in 5..9 {
            let next = gateway(number);
            assert_eq!(told(&next.found(plans)), [(4, true)]);
            next.heed(&Order::Hold { source: plan.name.clone(), serial: 4 });
        }
        // Who asks by hand is told what there is.
        assert_eq!(told(&lists(&shelf).found(plans)), [(4, true)]);
    });
}

#[test]
fn what_cannot_be_written_down_is_offered_later() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(directory.path().to_owned());
    let plan = plan(|_, _| ok("", &body(3)), |_| {});
    let in_the_way = directory.path().join("list.tried");
    run(async {
        let lists = lists(&shelf).of_gateway(1);
        std::fs::create_dir(&in_the_way).unwrap();
        let reports = lists.once(&plan).await;
        assert!(matches!(reports[1], Report::Refused { why: Refused::Unkept, .. }), "{reports:?}");
        std::fs::remove_dir(&in_the_way).unwrap();
        assert_eq!(told(&lists.once(&plan).await), [(1, false)]);
    });
}

#[test]
fn a_copy_that_is_refused_leaves_the_one_before_and_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(directory.path().to_owned());
    let plan = plan(|number, _| ok("", if number == 0 { "2a00::/32\n" } else { "<html>" }), |_| {});
    run(async {
        let lists = lists(&shelf);
        assert_eq!(round(&lists, &plan).await, Some(1));
        let before = shelf.notes("list");
        let refused = Report::Refused { source: "list".to_owned(), place: 0, why: Refused::Page };
        assert_eq!(lists.once(&plan).await, [refused]);
        assert_eq!((shelf.notes("list"), shelf.offer("list")), (before, Some(1)));
    });
}
