//! Credit files with their history: who sees them, and who is seen to look.

use credence_credit::{Learned, Measure};
use credence_law::acts::{Applied, Block, Ground, Lifting, Preamble, Purpose};
use credence_law::party::{Function, MemberId, Party};

use super::accessible::check;
use super::browser::{Browser, Look};
use super::officers::{choose, session, sign_in};
use super::world::{Site, id, preamble};

pub(super) const BEHIND_PROXY: &[&str] = &["--behind-proxy", "--rate", "100000", "--burst", "100000"];

#[test]
fn a_subject_sees_its_own_file_and_who_looked_and_a_stranger_nothing_that_is_over() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new();
    let server = site.serve_with(BEHIND_PROXY);
    let alert = site.alert(1, 0x20);
    assert_eq!(server.hand_in(&alert).status, 201);
    let preamble = preamble(Party::Member(MemberId(1)), 2, Purpose::Relief);
    let lifting = Lifting { preamble, lifts: id(&alert), ground: Ground::Remedied };
    assert_eq!(server.hand_in(&site.signed(lifting, Function::Alerts, &[1])).status, 201);

    // A member looks by rule, and is written down.
    sign_in(&mut browser, &site, &server, &site.place().member(3, Function::Alerts));
    browser.follow("Look into a credit file");
    browser.picture("file-form-wide");
    check(&mut browser, "the form for a file");
    browser.fill("address", "2001:db8:1020:3::9");
    choose(&mut browser, "purpose", "Deciding on a matter");
    browser.follow("Look");
    let words = browser.words();
    for told in ["2001:db8:1020:3::/64", "Lifted before its time", "Lake Campus (member 3), key for alerts"] {
        assert!(words.contains(told), "{told:?} is not in:\n{words}");
    }

    // A stranger learns what is in force now, which is nothing, and no more.
    browser.come_from("2001:db8:5020::1");
    browser.visit(&server.url("/?address=2001:db8:1020:3::9"));
    let words = browser.words();
    assert!(words.contains("No act in force") && !words.contains("Lifted"), "{words}");
    assert!(words.contains("Acts that are over, and fade −130"), "the account adds up all the same: {words}");
    browser.visit(&server.url("/file"));
    let words = browser.words();
    assert!(
        words.contains("2001:db8:5020::/64") && !words.contains("Lake Campus"),
        "its own file alone: {words}"
    );

    browser.come_from("2001:db8:1020:3::77");
    browser.look(Look::WIDE);
    browser.visit(&server.url("/file"));
    browser.picture("file-wide");
    let words = browser.words();
    for told in [
        "Your own credit file",
        "520 of 1000 normal",
        "between 520 and 520, last 520",
        "Lifted before its time",
        "Lake Campus (member 3), key for alerts Deciding on a matter 2001:db8:1020:3::/64",
        "the subject Its own file 2001:db8:1020:3::/64",
    ] {
        assert!(words.contains(told), "{told:?} is not in:\n{words}");
    }
    let picture = browser.read("document.querySelector('svg.chart').getAttribute('aria-label')");
    assert_eq!(picture, "Score over the last 90 days: between 520 and 520, last 520.");
    assert_eq!(browser.evaluate("document.querySelectorAll('details tbody tr').length"), 13);
    check(&mut browser, "a credit file");
    browser.look(Look::NARROW.dark());
    browser.picture("file-narrow-dark");
}

/// Each cell: who asks with which key, and whether a file is shown.
#[test]
fn files_are_for_members_and_officers_by_rule() {
    let site = Site::new();
    let server = site.serve();
    let place = site.place();
    let path = "/desk/file?address=2001:db8:1020::/48&purpose=1";
    assert_eq!(server.get(path).status, 303, "a stranger");
    assert_eq!(server.get("/file").status, 403, "from an address that is nobody's");
    for (key, expected) in [
        (place.member(1, Function::Alerts), 200),
        (place.member(2, Function::Votes), 200),
        (place.member(2, Function::Decisions), 200),
        (place.adviser(0), 200),
        (place.operator(), 403),
    ] {
        let cookie = session(&site, &server, &key);
        assert_eq!(server.ask_with("GET", path, &cookie, b"").unwrap().status, expected, "{}", key.display());
        let aimless = server.ask_with("GET", "/desk/file?address=2001:db8:1020::/48", &cookie, b"").unwrap();
        assert!(!aimless.text().contains("Who looked"), "without a purpose nothing is shown");
    }
}

/// Whoever lets a machine ask is written down like whoever reads a page.
#[test]
fn a_machines_look_is_seen_as_well() {
    let site = Site::new();
    let server = site.serve_with(BEHIND_PROXY);
    let key = site.place().member(2, Function::Alerts);
    for _ in 0..2 {
        assert_eq!(server.get_signed(site.world, &key, "/files/2001:db8:1020:3::/64").status, 200);
    }
    let from = "X-Forwarded-For: 2001:db8:1020:3::77\r\n";
    let page = server.ask_with("GET", "/file", from, b"").unwrap().text();
    assert_eq!(page.matches("Desert Mobile (member 2), key for alerts").count(), 1, "once within the hour");
    assert!(page.contains("Asked by a machine"), "{page}");
}

/// Accounts are summed up by who gives them, and move no score; one that its issuer took back counts no more.
#[test]
fn what_networks_did_is_summed_up_in_a_subjects_answer() {
    let (site, subject) = (Site::new(), "2001:db8:1020::/48");
    let server = site.serve();
    let alert = site.alert(1, 0x20);
    assert_eq!(server.hand_in(&alert).status, 201);
    let before = server.get(&format!("/subjects/{subject}")).json();
    let account = |member: u16, number: u64, measure, packets| {
        let preamble = preamble(Party::Member(MemberId(member)), number, Purpose::Account);
        let Preamble { issued, .. } = preamble;
        let applied = Applied {
            preamble,
            subject: Block { prefix: subject.parse().unwrap(), learned: Learned::Default },
            measure,
            because: id(&alert),
            from: issued - 3_600 * number,
            until: issued - 60,
            packets,
            bytes: packets * 60,
        };
        site.signed(applied, Function::Alerts, &[member])
    };
    let wrong = account(3, 3, Measure::RateLimit, 1 << 40);
    for account in [
        account(2, 1, Measure::RateLimit, 100),
        account(2, 2, Measure::RateLimit, 250),
        account(2, 3, Measure::Incentive, 7),
        account(3, 1, Measure::RateLimit, u64::MAX / 60),
        account(3, 2, Measure::RateLimit, u64::MAX / 60),
        wrong.clone(),
    ] {
        assert_eq!(server.hand_in(&account).status, 201);
    }
    let preamble = preamble(Party::Member(MemberId(3)), 4, Purpose::Relief);
    let lifting = Lifting { preamble, lifts: id(&wrong), ground: Ground::Error };
    assert_eq!(server.hand_in(&site.signed(lifting, Function::Alerts, &[3])).status, 201);
    let after = server.get(&format!("/subjects/{subject}")).json();
    for same in ["score", "status", "acts", "past"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    let sums: Vec<_> = after["applied"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sum| {
            assert_eq!((&sum["because"], &sum["prefix"]), (&id(&alert).to_string().into(), &subject.into()));
            let word = |key: &str| sum[key].as_str().unwrap().to_owned();
            let count = |key: &str| sum[key].as_u64().unwrap();
            (word("issuer"), word("measure"), count("accounts"), count("packets"), count("bytes"))
        })
        .collect();
    let expected = |issuer: &str, measure: &str, accounts, packets, bytes| {
        (issuer.to_owned(), measure.to_owned(), accounts, packets, bytes)
    };
    let most = u64::MAX / 60;
    assert_eq!(
        sums,
        [
            expected("member 2", "incentive", 1, 7, 420),
            expected("member 2", "rate_limit", 2, 350, 21_000),
            expected("member 3", "rate_limit", 2, 2 * most, u64::MAX),
        ]
    );
}
