//! Members and officers at their desks, in a real browser, with their keys outside it.

use std::path::{Path, PathBuf};

use credence_law::acts::{Purpose, Report};
use credence_law::party::{Function, MemberId, Party};

use super::accessible::{check, tabbed};
use super::browser::{Browser, Look};
use super::world::{Server, Site, claim, id, preamble, run, told};

/// What the program prints on standard output.
#[track_caller]
pub(super) fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{}", told(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Signs in with a key.
#[track_caller]
pub(super) fn sign_in(browser: &mut Browser, site: &Site, server: &Server, key: &Path) {
    browser.visit(&server.url("/sign-in"));
    let challenge = browser.read("document.querySelector('[name=challenge]').value");
    let world = site.world.to_string();
    let answer =
        printed(&["sign", "challenge", &challenge, "--world", &world, "--key", key.to_str().unwrap()]);
    browser.fill("answer", &answer);
    browser.follow("Sign in now");
}

/// Takes the bytes that the page offers out of the browser, signs them with these keys, and hands them in.
#[track_caller]
pub(super) fn sign_and_hand_in(browser: &mut Browser, site: &Site, keys: &[PathBuf]) {
    let bytes = browser.download("a[download]");
    let file = site.path().join("prepared.act");
    std::fs::write(&file, bytes).unwrap();
    let world = site.world.to_string();
    let mut arguments = vec!["sign", "act", file.to_str().unwrap(), "--world", &world];
    keys.iter().for_each(|key| arguments.extend(["--key", key.to_str().unwrap()]));
    let signed = printed(&arguments);
    browser.fill("signed", &signed);
    browser.follow("Hand in");
}

/// The identity on a receipt.
#[track_caller]
pub(super) fn receipt(browser: &mut Browser) -> String {
    let words = browser.words();
    assert!(words.contains("Accepted") && words.contains("stands in the log"), "{words}");
    browser.read("document.querySelector('dd.digits').innerText")
}

/// Chooses, in the field of this identity, what has these words.
#[track_caller]
pub(super) fn choose(browser: &mut Browser, field: &str, words: &str) {
    let chosen = browser.evaluate(&format!(
        "(() => {{ const e = document.getElementById({field:?}); \
         const o = [...e.options].find(o => o.text.startsWith({words:?})); if (o) e.value = o.value; return !!o; }})()"
    ));
    assert!(chosen == true, "{words:?} is not among the choices of {field}");
}

pub(super) fn evidence(site: &Site) -> String {
    let file = site.path().join("seen.pcap");
    std::fs::write(&file, "what was seen").unwrap();
    printed(&["sign", "evidence", file.to_str().unwrap()])
}

/// Fills in what is said of a subject.
fn say(browser: &mut Browser, prefix: &str, item: &str, commitment: &str) {
    browser.fill("prefix", prefix);
    choose(browser, "item", item);
    browser.fill("commitment", commitment);
}

#[test]
fn a_member_signs_in_prepares_an_alert_and_is_told_what_is_wrong() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new();
    let server = site.serve();
    browser.visit(&server.url("/desk"));
    assert!(browser.words().contains("There is no password"), "a stranger is asked who they are");
    browser.picture("sign-in-wide");
    check(&mut browser, "sign in");
    let key = site.place().member(1, Function::Alerts);
    sign_in(&mut browser, &site, &server, &key);
    let words = browser.words();
    assert!(words.contains("Fjord Fibre (member 1), key for alerts"), "{words}");
    browser.picture("desk-wide");
    check(&mut browser, "a desk");
    let cookie = &browser.tell("Network.getCookies", serde_json::json!({}))["cookies"][0];
    let guards = (&cookie["httpOnly"], &cookie["secure"], &cookie["sameSite"], &cookie["path"]);
    assert_eq!(guards, (&true.into(), &true.into(), &"Strict".into(), &"/".into()), "{cookie}");

    browser.follow("Alert others of your own addresses");
    browser.picture("form-wide");
    check(&mut browser, "a form");
    let hostile = "<img src=x onerror=alert(1)>\u{202e}";
    say(&mut browser, "2001:db8:1020::1/48", "flooding", hostile);
    browser.fill("score", "1001");
    browser.follow("Prepare");
    let words = browser.words();
    for told in
        ["3 fields are not right yet", "Did you mean 2001:db8:1020::/48?", "64 hexadecimal", "from 0 to 1000"]
    {
        assert!(words.contains(told), "{told:?} is not in:\n{words}");
    }
    assert_eq!(
        browser.read("document.getElementById('commitment').value"),
        hostile,
        "what was typed is kept"
    );
    assert!(browser.read("document.getElementById('item').selectedOptions[0].text").starts_with("flooding"));
    let beside = "document.getElementById(document.getElementById('score').getAttribute('aria-describedby')).innerText";
    assert!(browser.read(beside).contains("from 0 to 1000"));
    browser.picture("form-faults-wide");
    browser.look(Look::NARROW.dark());
    browser.picture("form-faults-narrow-dark");
    browser.look(Look::WIDE);
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("422")), "{complaints:#?}");
    check(&mut browser, "a form with faults");

    browser.fill("prefix", "2001:db8:1020::/48");
    browser.fill("commitment", &evidence(&site));
    browser.fill("score", "400");
    browser.follow("Prepare");
    assert!(browser.words().contains("400 of 1000, watch"), "{}", browser.words());
    browser.picture("draft-wide");
    check(&mut browser, "a draft");
    sign_and_hand_in(&mut browser, &site, &[key]);
    browser.picture("receipt-wide");
    check(&mut browser, "a receipt");
    let id = receipt(&mut browser);
    assert_eq!(server.get(&format!("/act/{id}")).status, 200);

    // Another member's addresses are not theirs to warn of.
    browser.visit(&server.url("/desk/new/alert"));
    say(&mut browser, "2001:db8:4020::/48", "scanning", &evidence(&site));
    browser.fill("score", "400");
    browser.follow("Prepare");
    sign_and_hand_in(&mut browser, &site, &[site.place().member(1, Function::Alerts)]);
    let words = browser.words();
    assert!(words.contains("Not accepted") && words.contains("does not hold the prefix"), "{words}");
    browser.picture("refusal-wide");

    browser.visit(&server.url("/desk"));
    browser.follow("Sign out");
    browser.visit(&server.url("/desk"));
    assert!(browser.words().contains("There is no password"), "{}", browser.words());
}

#[test]
fn reports_become_a_decision_at_three_desks() {
    let Some(mut browser) = Browser::start() else { return };
    let site = Site::new();
    let server = site.serve();
    let place = site.place();
    let mut reports = Vec::new();
    for member in [1, 2] {
        let key = place.member(member, Function::Alerts);
        sign_in(&mut browser, &site, &server, &key);
        browser.follow("Report another member’s addresses");
        say(&mut browser, "2001:db8:4020::/48", "botnet control", &evidence(&site));
        browser.follow("Prepare");
        sign_and_hand_in(&mut browser, &site, &[key]);
        reports.push(receipt(&mut browser));
        assert!(browser.words().contains("Not everybody"), "a report is not for everybody");
    }

    let advisers = [0, 1].map(|number| place.adviser(number));
    sign_in(&mut browser, &site, &server, &advisers[0]);
    let words = browser.words();
    assert!(words.contains("A report waits for an opinion") && words.contains("in 6 days"), "{words}");
    browser.picture("inbox-wide");
    check(&mut browser, "an inbox");
    browser.look(Look::NARROW);
    browser.picture("inbox-narrow");
    let names = tabbed(&mut browser, 60);
    assert!(names.iter().any(|name| name == "Give an opinion"), "{names:?}");
    browser.look(Look::WIDE);
    browser.follow("Give an opinion");
    let mut all = reports.clone();
    all.sort_unstable();
    let filled = |browser: &mut Browser| {
        let value = browser.read("document.getElementById('reports').value");
        let mut lines: Vec<_> = value.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(filled(&mut browser), all, "both reports on the subject");
    browser.fill("reasons", &evidence(&site));
    browser.follow("Prepare");
    assert!(browser.words().contains("It takes 2 advisers"), "{}", browser.words());
    sign_and_hand_in(&mut browser, &site, &advisers);
    let opinion = receipt(&mut browser);

    let seats = [1, 3, 5].map(|member| place.member(member, Function::Decisions));
    sign_in(&mut browser, &site, &server, &seats[0]);
    assert!(browser.words().contains("A report waits for a decision"), "{}", browser.words());
    browser.follow("Decide");
    assert_eq!(filled(&mut browser), all);
    assert_eq!(browser.read("document.getElementById('opinion').value"), opinion);
    browser.fill("score", "120");
    choose(&mut browser, "measure", "Gateways may discard");
    browser.follow("Prepare");
    assert!(browser.words().contains("It takes 3 seats"), "{}", browser.words());
    sign_and_hand_in(&mut browser, &site, &seats[..2]);
    assert!(browser.words().contains("fewer have signed it than this act takes"), "{}", browser.words());
    browser.visit(&server.url("/desk/new/decision"));
    browser.fill("reports", &reports.join("\n"));
    browser.fill("opinion", &opinion);
    browser.fill("score", "120");
    choose(&mut browser, "measure", "Gateways may discard");
    browser.follow("Prepare");
    sign_and_hand_in(&mut browser, &site, &seats);
    let decision = receipt(&mut browser);
    assert_eq!(server.get("/subjects/2001:db8:4020::1").json()["acts"][0]["id"], decision);
    // Neither the page of the address nor that of the act tells who has reported it.
    for path in ["/?address=2001:db8:4020::1".to_owned(), format!("/act/{decision}")] {
        browser.visit(&server.url(&path));
        let words = browser.words();
        assert!(words.contains("Gateways may discard the traffic"), "{words}");
        for hidden in ["member 1)", "member 2)", &reports[0], &reports[1]] {
            assert!(!words.contains(hidden), "{hidden} is on {path}:\n{words}");
        }
    }

    let votes = place.member(2, Function::Votes);
    sign_in(&mut browser, &site, &server, &votes);
    browser.follow("Propose a restriction to all");
    browser.fill("decision", &decision);
    choose(&mut browser, "measure", "Gateways may discard");
    browser.follow("Prepare");
    sign_and_hand_in(&mut browser, &site, std::slice::from_ref(&votes));
    let proposal = receipt(&mut browser);
    browser.visit(&server.url("/desk"));
    assert!(browser.words().contains("A restriction is voted on"), "{}", browser.words());
    browser.follow("Vote");
    assert_eq!(browser.read("document.getElementById('proposal').value"), proposal);
    browser.follow("Prepare");
    sign_and_hand_in(&mut browser, &site, &[votes]);
    receipt(&mut browser);

    sign_in(&mut browser, &site, &server, &seats[1]);
    browser.follow("Lift an act before its time");
    browser.fill("act", &decision);
    choose(&mut browser, "ground", "what was wrong has been mended");
    browser.follow("Prepare");
    sign_and_hand_in(&mut browser, &site, &seats);
    receipt(&mut browser);
    browser.visit(&server.url(&format!("/act/{decision}")));
    assert!(browser.words().contains("Lifted before its time"), "{}", browser.words());
    browser.visit(&server.url("/record"));
    assert!(browser.words().contains("To decide, from the first report"), "{}", browser.words());
    browser.picture("record-filled-wide");
}

/// Each key opens the forms of its function, and no session none.
#[test]
fn a_desk_offers_what_its_key_can_sign() {
    let site = Site::new();
    let server = site.serve();
    let place = site.place();
    let all =
        ["alert", "report", "opinion", "decision", "proposal", "vote", "outcome", "correction", "lifting"];
    let cells: [(PathBuf, &[&str]); 6] = [
        (place.member(1, Function::Alerts), &["alert", "report", "correction", "lifting"]),
        (place.member(1, Function::Votes), &["proposal", "vote"]),
        (place.member(1, Function::Decisions), &["decision", "outcome", "correction", "lifting"]),
        (place.adviser(0), &["opinion"]),
        (place.member(1, Function::Rules), &[]),
        (place.operator(), &[]),
    ];
    for kind in all {
        let stranger = server.get(&format!("/desk/new/{kind}"));
        assert!(stranger.status == 303 && stranger.head.contains("location: /sign-in"), "{}", stranger.head);
    }
    for (key, offered) in cells {
        let cookie = session(&site, &server, &key);
        for kind in all {
            let answer = server.ask_with("GET", &format!("/desk/new/{kind}"), &cookie, b"").unwrap();
            let expected = if offered.contains(&kind) { 200 } else { 404 };
            assert_eq!(answer.status, expected, "{kind} with {}", key.display());
        }
    }
}

/// A report is read by whoever made it, by the holder of the addresses and by those who judge it; a canary among them all.
#[test]
fn a_report_is_read_by_those_concerned_alone() {
    let site = Site::new();
    let server = site.serve();
    let place = site.place();
    let preamble = preamble(Party::Member(MemberId(1)), 1, Purpose::Warning);
    let claim = claim("2001:db8:4020::/48".parse().unwrap());
    let report = site.signed(Report { preamble, claim }, Function::Alerts, &[1]);
    assert_eq!(server.hand_in(&report).status, 201);
    let path = format!("/desk/act/{}", id(&report));
    assert_eq!(server.get(&path).status, 303, "a stranger");
    for (key, expected) in [
        (place.member(1, Function::Alerts), 200),
        (place.member(4, Function::Alerts), 200),
        (place.member(4, Function::Votes), 200),
        (place.member(2, Function::Decisions), 200),
        (place.adviser(1), 200),
        (place.member(2, Function::Alerts), 404),
        (place.member(3, Function::Votes), 404),
    ] {
        let answer = server.ask_with("GET", &path, &session(&site, &server, &key), b"").unwrap();
        assert_eq!(answer.status, expected, "{}", key.display());
        assert_eq!(answer.text().contains("Fjord Fibre"), expected == 200, "{}", key.display());
    }
}

/// Signs in without a browser, and returns the header that goes with each request from then on.
#[track_caller]
pub(super) fn session(site: &Site, server: &Server, key: &Path) -> String {
    let answer = answered(site, server, key);
    let opened = server.ask_with("POST", "/sign-in", FORM, answer.as_bytes()).unwrap();
    assert_eq!(opened.status, 303, "{}", opened.text());
    let cookie = opened.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    format!("Cookie: {}\r\n{FORM}", cookie.unwrap().split(';').next().unwrap())
}

/// What the form of the sign-in page sends with a key's answer.
fn answered(site: &Site, server: &Server, key: &Path) -> String {
    let page = server.get("/sign-in").text();
    let challenge = page.split("name=\"challenge\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let world = site.world.to_string();
    let answer =
        printed(&["sign", "challenge", challenge, "--world", &world, "--key", key.to_str().unwrap()]);
    format!(
        "challenge={challenge}&answer={}",
        answer.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
    )
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[test]
fn an_answer_opens_one_session_and_a_form_from_elsewhere_does_nothing() {
    let site = Site::new();
    let server = site.serve();
    let key = site.place().member(1, Function::Alerts);
    let sent = answered(&site, &server, &key);
    assert_eq!(server.ask_with("POST", "/sign-in", FORM, sent.as_bytes()).unwrap().status, 303);
    let again = server.ask_with("POST", "/sign-in", FORM, sent.as_bytes()).unwrap();
    assert!(again.status == 401 && again.text().contains("another challenge"), "{}", again.text());
    let (_, signature) = sent.split_once("&answer=").unwrap();
    let other = answered(&site, &server, &key);
    let mixed = format!("{}&answer={signature}", other.split_once("&answer=").unwrap().0);
    assert_eq!(server.ask_with("POST", "/sign-in", FORM, mixed.as_bytes()).unwrap().status, 401);
    assert_eq!(server.ask_with("POST", "/sign-in", FORM, b"challenge=&answer=%00").unwrap().status, 401);

    let unknown = site.path().join("unknown.key");
    credence_platform::keys::make(&unknown).unwrap();
    let stranger =
        server.ask_with("POST", "/sign-in", FORM, answered(&site, &server, &unknown).as_bytes()).unwrap();
    assert!(stranger.status == 401 && stranger.text().contains("does not have"), "{}", stranger.text());

    let cookie = session(&site, &server, &key);
    for (path, sent) in [
        ("/desk/hand-in", "signed=AAAA"),
        ("/desk/hand-in", "csrf=0000&signed=AAAA"),
        ("/desk/new/alert", "prefix=2001:db8::/48"),
        ("/sign-out", "csrf="),
    ] {
        let answer = server.ask_with("POST", path, &cookie, sent.as_bytes()).unwrap();
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    assert_eq!(server.ask_with("GET", "/desk", &cookie, b"").unwrap().status, 200, "and the session goes on");
    let forged = format!("Cookie: __Host-credence={}\r\n", "0".repeat(64));
    assert_eq!(server.ask_with("GET", "/desk", &forged, b"").unwrap().status, 303);
}
