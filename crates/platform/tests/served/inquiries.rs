//! What anybody can ask, and what nobody is told.

use credence_law::acts::{Purpose, Report};
use credence_law::party::{Function, MemberId, Party};
use credence_platform::keys::{hex, unhex};
use credence_platform::log::{Leaf, is_included};

use super::world::{Site, claim, id, preamble};

#[test]
fn an_alert_is_taken_shown_and_proved() {
    let site = Site::new();
    let server = site.serve();
    let alert = site.alert(1, 0x20);
    let taken = server.hand_in(&alert);
    assert_eq!(taken.status, 201, "{}", taken.text());
    let name = id(&alert).to_string();
    assert_eq!((taken.json()["id"].as_str(), taken.json()["place"].as_u64()), (Some(&*name), Some(4)));

    let asked = server.get("/subjects/2001:db8:1020:3::9").json();
    assert_eq!(asked["subject"], "2001:db8:1020:3::/64");
    assert_eq!((asked["score"].as_u64(), asked["status"].as_str()), (Some(520), Some("normal")));
    let act = &asked["acts"][0];
    assert_eq!((act["id"].as_str(), act["points"].as_i64()), (Some(&*name), Some(-130)));
    assert_eq!((act["kind"].as_str(), act["measure"].as_str()), (Some("own_alert"), Some("rate_limit")));
    assert_eq!(asked["holder"]["complaints"], "https://complaints.example/1");
    assert_eq!(server.get("/subjects/2001:db8:1021::1").json()["score"], serde_json::Value::Null);

    let proof = server.get(&format!("/log/proof/{name}")).json();
    let hash = |value: &serde_json::Value| unhex(value.as_str().unwrap()).unwrap();
    let path: Vec<_> = proof["path"].as_array().unwrap().iter().map(hash).collect();
    let (size, root) = (proof["size"].as_u64().unwrap(), hash(&proof["root"]));
    let checkpoint = server.get("/log/checkpoint").text();
    assert_eq!(checkpoint.lines().nth(1), Some(&*size.to_string()), "{checkpoint}");
    let accepted: jiff::Timestamp = taken.json()["accepted"].as_str().unwrap().parse().unwrap();
    let leaf = Leaf::of(accepted.as_second() as u64, &id(&alert), None);
    assert_eq!(proof["leaf"], hex(&leaf.bytes()));
    assert!(is_included(&path, size, &root, 4, &leaf));
    assert_eq!(server.get(&format!("/acts/{name}")).body, alert.encode());
    assert_eq!(server.get("/log/tile/0/000.p/5").body.len(), 5 * 32);
}

#[test]
fn what_is_refused_says_why_and_is_counted() {
    let site = Site::new();
    let server = site.serve();
    let refused = |body: &[u8]| {
        let answer = server.ask("POST", "/acts", body).unwrap();
        (answer.status, answer.json()["refusal"].as_str().unwrap().to_owned())
    };
    assert_eq!(refused(b"GET / HTTP/1.1"), (400, "malformed".to_owned()));
    assert_eq!(refused(&vec![0; (1 << 16) + 40]), (400, "malformed".to_owned()));
    let alert = site.alert(2, 0x20);
    let mut forged = alert.encode();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&forged), (401, "bad_signature".to_owned()));
    let others = site.signed(
        credence_law::acts::OwnAlert {
            preamble: preamble(Party::Member(MemberId(2)), 1, Purpose::Warning),
            claim: claim("2001:db8:1020::/48".parse().unwrap()),
            rating: credence_credit::Rating::Unrated,
            measure: credence_credit::Measure::Observe,
        },
        Function::Alerts,
        &[2],
    );
    assert_eq!(refused(&others.encode()), (422, "outside_holdings".to_owned()));
    assert_eq!(server.hand_in(&alert).status, 201);
    assert_eq!(refused(&site.alert(1, 0x21).encode()), (409, "replayed".to_owned()), "an older number");
    let again = server.hand_in(&alert);
    assert_eq!(
        (again.status, again.json()["place"].as_u64()),
        (200, Some(4)),
        "the same act is the same act"
    );
    let metrics = server.get("/metrics").text();
    for line in [
        "credence_platform_refused_total{reason=\"malformed\"} 2",
        "credence_platform_refused_total{reason=\"outside_holdings\"} 1",
        "credence_platform_taken_total 1",
        "credence_platform_repeated_total 1",
        "credence_platform_log_entries 5",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

/// Whoever looks a subject up learns nothing of who reported it, nor that anybody did.
#[test]
fn a_report_is_in_the_log_and_nowhere_to_be_read() {
    let site = Site::new();
    let server = site.serve();
    let preamble = preamble(Party::Member(MemberId(3)), 1, Purpose::Warning);
    let prefix = "2001:db8:1020::/48".parse().unwrap();
    let report = site.signed(Report { preamble, claim: claim(prefix) }, Function::Alerts, &[3]);
    assert_eq!(server.hand_in(&report).status, 201);
    let name = id(&report).to_string();
    let tile = server.get("/log/tile/0/000.p/5");
    assert_eq!(tile.status, 200, "there is an entry for it");
    for path in [format!("/acts/{name}"), format!("/log/proof/{name}")] {
        let (answer, none) = (server.get(&path), server.get(&path.replace(&name, &"0".repeat(64))));
        assert_eq!(
            (answer.status, answer.text()),
            (404, none.text()),
            "{path} is as if there was no such act"
        );
    }
    // How many reports there are is the institution's own record; whose they are, and about whom, is nobody's business.
    for (path, hidden) in [
        ("/subjects/2001:db8:1020::/48", "report"),
        ("/?address=2001:db8:1020::/48", "report"),
        ("/log/checkpoint", "2001:db8:1020"),
        ("/metrics", "2001:db8:1020"),
        ("/record", "2001:db8:1020"),
    ] {
        let text = server.get(path).text();
        assert!(
            !text.contains(&name) && !text.contains("member 3") && !text.contains(hidden),
            "{path}: {text}"
        );
    }
}

#[test]
fn pages_hold_no_script_and_hostile_text_is_text() {
    let site = Site::new();
    let server = site.serve();
    let page = server.get("/?address=%3Cscript%3Ealert(1)%3C/script%3E%22%27");
    assert_eq!(page.status, 400);
    assert!(!page.text().contains("<script"), "{}", page.text());
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    let page = server.get("/?address=2001:db8:1020::1");
    assert!(page.status == 200 && page.text().contains("unrated") && page.text().contains("Example world"));
    assert_eq!(server.get("/subjects/nonsense").status, 400);
    assert_eq!((server.get("/healthz").status, server.get("/readyz").status), (200, 200));
    for path in ["/acts/xyz", "/log/tile/9/000", "/log/nothing", "/nothing"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}
