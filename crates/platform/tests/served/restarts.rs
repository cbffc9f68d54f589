//! What was acknowledged is there, once, whatever happens to the process.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use credence_platform::store::Address;

use super::world::{Site, id, run, told};

#[test]
fn a_stopped_platform_goes_on_where_it_was() {
    let site = Site::new();
    let server = site.serve();
    for number in 1..=5 {
        assert_eq!(server.hand_in(&site.alert(number, number as u16)).status, 201);
    }
    let before = (server.get("/log/checkpoint").text(), server.get("/subjects/2001:db8:1001::/48").text());
    server.stop();
    let server = site.serve();
    let after = (server.get("/log/checkpoint").text(), server.get("/subjects/2001:db8:1001::/48").text());
    assert_eq!(after, before);
    assert_eq!(server.hand_in(&site.alert(6, 6)).json()["place"], 9);
}

/// Two platforms on one journal would each number what the other takes.
#[test]
fn a_second_process_does_not_write_beside_the_first() {
    let site = Site::new();
    let server = site.serve();
    if matches!(Address::of(site.path()).unwrap(), Address::Server(_)) {
        let twin = site.twin();
        let second = twin.serve();
        assert!(second.get("/readyz").text().contains("stands by"));
        assert_eq!(second.hand_in(&site.alert(1, 1)).status, 201, "it is handed on to the first");
        assert_eq!(server.hand_in(&site.alert(1, 1)).status, 200);
        return;
    }
    let second = run(&["serve", "--dir", site.dir(), "--listen", "127.0.0.1:0"]);
    assert!(
        !second.status.success() && told(&second).contains("another process writes to this journal"),
        "{}",
        told(&second)
    );
    assert_eq!(server.hand_in(&site.alert(1, 1)).status, 201, "the first goes on");
    let verified = run(&["verify", "--dir", site.dir()]);
    assert!(verified.status.success(), "whoever reads is in nobody's way: {}", told(&verified));
}

/// It was killed by the signal once, since nobody waited for signals yet when it said that it listens.
#[test]
fn a_platform_that_is_stopped_as_soon_as_it_listens_ends_in_order() {
    let site = Site::new();
    for _ in 0..5 {
        site.serve().stop();
    }
}

/// Kills the platform at moments that nobody chose while alerts come in, and counts what was acknowledged: 20 times, or as often
/// as `CREDENCE_KILLS` says.
#[test]
fn what_was_acknowledged_is_there_once_after_every_kill() {
    let site = Site::new();
    let acknowledged = Mutex::new(Vec::new());
    let mut number = 0;
    let rounds =
        std::env::var("CREDENCE_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20_u64);
    for round in 0..rounds {
        let server = site.serve();
        // Ready before it is asked, so that kills fall into the work.
        let alerts: Vec<_> = (0..100)
            .map(|place| site.alert(number + place + 1, (round * 100 + place) as u16 % 4_096))
            .collect();
        number += 100;
        let before = acknowledged.lock().unwrap().len();
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                for alert in &alerts {
                    let Ok(answer) = server.ask("POST", "/acts", &alert.encode()) else { return };
                    assert_eq!(answer.status, 201, "{}", answer.text());
                    acknowledged.lock().unwrap().push(id(alert));
                }
            });
            // Counted in what was done, so that a busy machine is killed in its work as well.
            let due = before + 2 + round as usize % 9;
            while acknowledged.lock().unwrap().len() < due && !asking.is_finished() {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(round * 37 % 50));
            let killed = std::process::Command::new("kill").args(["-9", &server.process_id()]).status();
            assert!(killed.unwrap().success());
        });
        server.kill();
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    let server = site.serve();
    for id in &acknowledged {
        assert_eq!(server.get(&format!("/acts/{id}")).status, 200, "{id} was acknowledged and is gone");
    }
    server.stop();
    println!("{} acts were acknowledged in {rounds} rounds", acknowledged.len());
    assert!(acknowledged.len() as u64 > 5 * rounds, "{} acts in {rounds} rounds", acknowledged.len());
    let verified = run(&["verify", "--dir", site.dir()]);
    assert!(verified.status.success(), "{}", told(&verified));
}

/// A feed that cannot go on from what was published is told, and begun as soon as it can be.
#[test]
fn a_feed_that_cannot_be_begun_is_told_and_tried_again() {
    let site = Site::new();
    let place = site.path().join("feed");
    std::fs::write(&place, "no directory").unwrap();
    let server = site.serve();
    let missing = |is: u8| {
        let told = format!("\ncredence_platform_feed_missing {is}\n");
        let is_told = (0..300).any(|_| {
            thread::sleep(Duration::from_millis(100));
            server.get("/metrics").text().contains(&told)
        });
        assert!(is_told, "it does not become {is}");
    };
    missing(1);
    assert_eq!(server.get("/feed/head").status, 404);
    // What is handed in is taken all the while.
    assert_eq!(server.hand_in(&site.alert(1, 0x20)).status, 201);
    std::fs::remove_file(&place).unwrap();
    missing(0);
    server.has_published();
}
