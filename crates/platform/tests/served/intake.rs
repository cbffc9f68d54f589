//! What is taken in, at which price, and what is turned away before it costs anything.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credence_law::acts::{OwnAlert, Preamble, Purpose};
use credence_law::party::{Function, MemberId, Party, World};
use credence_law::{Act, Object, Signed};
use credence_platform::keys;
use credence_platform::serve::now;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use super::world::{Answer, Server, Site, claim, preamble};

fn metric(server: &Server, name: &str) -> u64 {
    let page = server.get("/metrics").text();
    let line = page.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

const LOOKED_AT: &str = "credence_platform_signatures_looked_at_total";

fn alert(preamble: Preamble) -> OwnAlert {
    let claim = claim("2001:db8:1020::/48".parse().unwrap());
    let (rating, measure) = (credence_credit::Rating::Unrated, credence_credit::Measure::Observe);
    OwnAlert { preamble, claim, rating, measure }
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["refusal"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn all_that_costs_less_is_looked_at_before_a_signature_is() {
    let site = Site::new();
    let server = site.serve();
    let good = || preamble(Party::Member(MemberId(1)), 1, Purpose::Warning);
    let signed = |preamble| site.signed(alert(preamble), Function::Alerts, &[1]);
    let key = keys::read(&site.place().member(1, Function::Alerts)).unwrap();
    let elsewhere = Signed::with(Object::new(World([9; 32]), Act::from(alert(good()))).encode(), &[key]);
    let strange = SigningKey::from_bytes(&[9; 32]);
    let by_nobody =
        |keys: &[SigningKey]| Signed::with(Object::new(site.world, Act::from(alert(good()))).encode(), keys);
    let (issued, expires) = (now() + 400, now() + 900);
    let cheap = [
        (elsewhere, "world"),
        (signed(Preamble { issued, expires, ..good() }), "future"),
        (signed(Preamble { issued: now() - 400, ..good() }), "stale"),
        (signed(Preamble { issued: now() - 60, expires: now() - 1, ..good() }), "expired"),
        (signed(Preamble { issuer: Party::Member(MemberId(9)), ..good() }), "unknown_issuer"),
        (signed(Preamble { issuer: Party::Adviser(3), ..good() }), "unknown_issuer"),
        (by_nobody(&[]), "unsigned"),
        (by_nobody(&[strange]), "unknown_key"),
    ];
    for (signed, expected) in &cheap {
        assert_eq!(told(&server.hand_in(signed)).1, *expected);
    }
    let large = vec![0; 1 << 25];
    assert_eq!(told(&server.ask("POST", "/acts", &large).unwrap()), (413, "large".to_owned()));
    assert_eq!(told(&server.ask("POST", "/acts", b"CRED").unwrap()), (400, "malformed".to_owned()));
    assert_eq!(metric(&server, LOOKED_AT), 0, "each of them could be told without");

    let mut forged = signed(good()).encode();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(told(&server.ask("POST", "/acts", &forged).unwrap()), (401, "bad_signature".to_owned()));
    assert_eq!(metric(&server, LOOKED_AT), 1);
    let good = signed(good());
    assert_eq!((server.hand_in(&good).status, metric(&server, LOOKED_AT)), (201, 2));
    assert_eq!((server.hand_in(&good).status, metric(&server, LOOKED_AT)), (200, 2), "it is known");
}

#[test]
fn a_member_that_sends_too_much_waits_and_others_do_not() {
    let site = Site::new();
    let server = site.serve_with(&["--rate", "1", "--burst", "3"]);
    let by = |member, number| {
        let preamble = preamble(Party::Member(MemberId(member)), number, Purpose::Warning);
        let mut act = alert(preamble);
        act.claim.subject.prefix = format!("2001:db8:{member}020::/48").parse().unwrap();
        server.hand_in(&site.signed(act, Function::Alerts, &[member]))
    };
    let answers: Vec<_> = (1..=8).map(|number| by(1, number)).collect();
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    assert!((3..=6).contains(&taken), "three at once and one a second: {taken}");
    let waits = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert!(waits.head.contains("retry-after: 1"), "{}", waits.head);
    assert_eq!((told(waits).1.as_str(), waits.json()["retry_after"].as_u64()), ("quota", Some(1)));
    assert_eq!(by(2, 1).status, 201, "others are as before");
}

/// Whoever names a member without its keys pays for it, and the member does not.
#[test]
fn nobody_uses_up_the_allowance_of_a_member_without_its_keys() {
    let site = Site::new();
    let server = site.serve_with(&["--rate", "1", "--burst", "2", "--strangers", "1", "--behind-proxy"]);
    let from = |address: &str, body: &[u8]| {
        let more = format!("X-Forwarded-For: 2001:db8::bad, {address}\r\n");
        told(&server.ask_with("POST", "/acts", &more, body).unwrap())
    };
    let mut forged = site.alert(1, 1).encode();
    *forged.last_mut().unwrap() ^= 1;
    let answers: Vec<_> = (0..12).map(|_| from("2001:db8:f::1", &forged)).collect();
    assert_eq!(answers[0], (401, "bad_signature".to_owned()));
    assert!(answers.contains(&(429, "strangers".to_owned())), "{answers:?}");
    let neighbours: Vec<_> = (0..3).map(|_| from("2001:db8:f::2", &forged).0).collect();
    assert!(neighbours.contains(&429), "it is the same network: {neighbours:?}");
    assert_eq!(from("2001:db8:e::1", &site.alert(1, 1).encode()).0, 201, "the member has all it had");
}

fn together(server: &Server, acts: &[Vec<u8>]) -> Answer {
    let acts: Vec<_> = acts.iter().map(|act| STANDARD.encode(act)).collect();
    let body = json!({ "acts": acts }).to_string();
    server.ask_with("POST", "/acts", "Content-Type: application/json\r\n", body.as_bytes()).unwrap()
}

#[test]
fn acts_handed_in_together_are_written_down_together() {
    let site = Site::new();
    let server = site.serve();
    let mut acts: Vec<_> = (1..=100).map(|number| site.alert(number, number as u16).encode()).collect();
    *acts[40].last_mut().unwrap() ^= 1;
    let answer = together(&server, &acts);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let results = answer.json()["results"].as_array().unwrap().clone();
    let status = |value: &Value| value["status"].as_u64().unwrap();
    assert_eq!(results.iter().map(status).filter(|status| *status == 201).count(), 99);
    assert_eq!((status(&results[40]), results[40]["refusal"].as_str()), (401, Some("bad_signature")));
    assert_eq!((results[39]["place"].as_u64(), results[41]["place"].as_u64()), (Some(43), Some(44)));
    assert_eq!(metric(&server, "credence_platform_commits_total"), 1);
    let again = together(&server, &acts[..40]);
    let places = |results: &[Value]| results.iter().map(|told| told["place"].clone()).collect::<Vec<_>>();
    assert_eq!(places(again.json()["results"].as_array().unwrap()), places(&results[..40]));
    assert_eq!(metric(&server, "credence_platform_commits_total"), 1, "nothing was new");

    let none = together(&server, &[]);
    assert_eq!(told(&none), (400, "malformed".to_owned()), "{}", none.text());
    assert_eq!(told(&together(&server, &vec![Vec::new(); 257])).0, 400);
    let wrong =
        server.ask_with("POST", "/acts", "Content-Type: application/json\r\n", b"{\"acts\":[1]}").unwrap();
    assert_eq!(told(&wrong).0, 400);
}
