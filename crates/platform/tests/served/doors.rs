//! Who may ask for what, cell by cell.

use std::path::PathBuf;

use credence_law::acts::{Purpose, Report};
use credence_law::party::{Function, MemberId, Party, World};
use credence_platform::access::ENDPOINTS;
use credence_platform::keys;
use credence_platform::request::{Asked, sign};
use credence_platform::serve::now;

use super::world::{Server, Site, claim, id, preamble, run, told};

/// All who ask, in the order of the table's columns. Member 1 owns what is asked for.
const ROLES: [&str; 7] = ["stranger", "owner", "another member", "seat", "adviser", "executive", "operator"];

/// What each is answered. An owner's other keys are its own as well; a seat is another member's, with its key for decisions.
const CELLS: &[(&str, &str, [u16; 7])] = &[
    ("/files/{*subject}", "/files/2001:db8:1020::/48", [401, 200, 200, 200, 200, 200, 403]),
    ("/members/{member}/acts", "/members/1/acts", [401, 200, 403, 403, 403, 403, 403]),
    ("/members/{member}/concerns", "/members/1/concerns", [401, 200, 403, 200, 200, 200, 403]),
];

/// Who reads a report that member 3 has made about member 1's addresses.
const REPORT: [u16; 7] = [404, 200, 404, 200, 200, 200, 404];

fn key(site: &Site, role: &str) -> Option<PathBuf> {
    let place = site.place();
    Some(match role {
        "owner" => place.member(1, Function::Votes),
        "another member" => place.member(2, Function::Alerts),
        "seat" => place.member(4, Function::Decisions),
        "adviser" => place.adviser(2),
        "executive" => site.path().join("parties/executive/execution.key"),
        "operator" => place.operator(),
        _ => return None,
    })
}

fn asked_by(site: &Site, server: &Server, role: &str, path: &str) -> super::world::Answer {
    key(site, role).map_or_else(|| server.get(path), |key| server.get_signed(site.world, &key, path))
}

/// Member 3's report about member 1's addresses. Returns its identity.
fn report(site: &Site, server: &Server) -> String {
    let preamble = preamble(Party::Member(MemberId(3)), 1, Purpose::Warning);
    let claim = claim("2001:db8:1020::/48".parse().unwrap());
    let report = site.signed(Report { preamble, claim }, Function::Alerts, &[3]);
    assert_eq!(server.hand_in(&report).status, 201);
    id(&report).to_string()
}

#[test]
fn each_role_is_answered_as_the_table_says() {
    let site = Site::new();
    let server = site.serve();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| !endpoint.is_open()) {
        assert!(CELLS.iter().any(|(path, ..)| *path == endpoint.path), "{} has no row", endpoint.path);
    }
    let report = format!("/acts/{}", report(&site, &server));
    let rows = CELLS.iter().map(|(_, path, statuses)| (*path, statuses)).chain([(&*report, &REPORT)]);
    for (path, statuses) in rows {
        for (role, expected) in ROLES.iter().zip(statuses) {
            let answer = asked_by(&site, &server, role, path);
            assert_eq!(answer.status, *expected, "{role} asks for {path}: {}", answer.text());
        }
    }
    let open = ENDPOINTS.iter().filter(|endpoint| endpoint.is_open() && endpoint.method == "GET");
    for path in open.map(|endpoint| endpoint.path.replace(['{', '}', '*'], "")) {
        // Whoever listens for what is new says for how long.
        let path = if path == "/feed/events" { path + "?seconds=0" } else { path };
        for role in ROLES {
            let status = asked_by(&site, &server, role, &path).status;
            assert!(status != 401 && status != 403, "{role} asks for {path}: {status}");
        }
    }
    assert_eq!(server.ask("DELETE", "/acts", b"").unwrap().status, 405);
}

/// A canary: who reported, and that somebody did, is nowhere to be read but where it must be.
#[test]
fn a_report_is_listed_for_those_concerned_alone() {
    let site = Site::new();
    let server = site.serve();
    let name = report(&site, &server);
    let sees = |role, path: &str| {
        let text = asked_by(&site, &server, role, path).text();
        assert_eq!(text.contains(&name), text.contains("member 3"), "{text}");
        text.contains(&name)
    };
    let seen = ["owner", "another member", "seat"].map(|role| sees(role, "/files/2001:db8:1020::/48"));
    assert_eq!(seen, [true, false, true]);
    assert!(sees("owner", "/members/1/concerns") && !sees("owner", "/members/1/acts"));
    let reporter = site.place().member(3, Function::Alerts);
    let own = server.get_signed(site.world, &reporter, "/members/3/acts").json();
    assert_eq!((own["acts"][0]["id"].as_str(), &own["next"]), (Some(&*name), &serde_json::Value::Null));
    let behind = server.get_signed(site.world, &reporter, "/members/3/acts?after=4").json();
    assert_eq!(behind["acts"].as_array().unwrap().len(), 0, "{behind}");
}

#[test]
fn a_signed_request_is_good_for_what_it_says_and_once() {
    let site = Site::new();
    let server = site.serve();
    let key = keys::read(&site.place().member(1, Function::Alerts)).unwrap();
    let ask = |path: &str, [input, signature]: &[String; 2]| {
        let more = format!("Signature-Input: {input}\r\nSignature: {signature}\r\n");
        let answer = server.ask_with("GET", path, &more, b"").unwrap();
        (answer.status, answer.json()["refusal"].as_str().unwrap_or_default().to_owned())
    };
    let path = "/members/1/acts";
    let asked = Asked { method: "GET", path, query: "" };
    let signed = |world, asked: &Asked<'_>, created| sign(&key, world, asked, created, rand::random());
    let refused = |word: &str| (401, word.to_owned());
    let good = signed(site.world, &asked, now());
    assert_eq!(ask(path, &good), (200, String::new()));
    assert_eq!(ask(path, &good), refused("replayed"));
    assert_eq!(ask("/members/1/concerns", &signed(site.world, &asked, now())), refused("bad_signature"));
    assert_eq!(ask("/members/1/acts?after=0", &signed(site.world, &asked, now())), refused("bad_signature"));
    let post = Asked { method: "POST", ..asked };
    assert_eq!(ask(path, &signed(site.world, &post, now())), refused("bad_signature"));
    assert_eq!(ask(path, &signed(World([7; 32]), &asked, now())), refused("world"));
    assert_eq!(ask(path, &signed(site.world, &asked, now() - 400)), refused("stale"));
    assert_eq!(ask(path, &signed(site.world, &asked, now() + 400)), refused("future"));
    let strange = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    assert_eq!(ask(path, &sign(&strange, site.world, &asked, now(), [0; 16])), refused("unknown_key"));
    let [input, _] = signed(site.world, &asked, now());
    assert_eq!(ask(path, &[input, String::new()]), refused("malformed"));
    assert_eq!(ask("/healthz", &good), refused("bad_signature"), "it is looked at wherever there is one");
}

#[test]
fn the_command_line_signs_requests() {
    let site = Site::new();
    let server = site.serve();
    let (world, key) = (site.world.to_string(), site.place().member(1, Function::Rules));
    let path = "/members/1/acts?after=7";
    let made = run(&["request", "--world", &world, "--key", key.to_str().unwrap(), path]);
    assert!(made.status.success(), "{}", told(&made));
    let more = String::from_utf8(made.stdout).unwrap().replace('\n', "\r\n");
    assert_eq!(server.ask_with("GET", path, &more, b"").unwrap().status, 200);
}
