//! Acts that are made to practise: they go all the way, and are told in one place alone.

use std::fs;

use credence_law::party::Function;
use credence_platform::envelope::{CREDIT_FILE, open};
use credence_platform::keys;
use serde_json::Value;

use super::exports::exported;
use super::life::act;
use super::world::{Server, Site, run, told};

/// The identities that a page of acts lists.
fn listed(page: &Value) -> Vec<&str> {
    page["acts"].as_array().unwrap().iter().map(|act| act["id"].as_str().unwrap()).collect()
}

/// Two reports, an opinion and a decision, all of them exercises.
fn drill(site: &Site, server: &Server) -> [String; 4] {
    let place = site.place();
    let evidence = site.path().join("evidence.pcap");
    fs::write(&evidence, "what was made up").unwrap();
    let evidence = evidence.to_str().unwrap();
    let said =
        ["--exercise", "--prefix", "2001:db8:4020::/48", "--item", "botnet_control", "--evidence", evidence];
    let [one, two] = [1_u16, 2].map(|member| {
        let key = place.member(member, Function::Alerts);
        act(site, server, "report", &member.to_string(), &[&key], &said)
    });
    let advisers = [0, 1].map(|number| place.adviser(number));
    let on = ["--exercise", "--on", &one, "--on", &two];
    let opinion = act(site, server, "opinion", "adviser-0", &[&advisers[0], &advisers[1]], &on);
    let seats = [1, 3, 5].map(|member| place.member(member, Function::Decisions));
    let sources = [format!("{one}:1"), format!("{two}:2")];
    let cited = ["--source", &sources[0], "--source", &sources[1], "--opinion", &opinion];
    let decided = [&said[..], &cited, &["--measure", "drop", "--score", "120"]].concat();
    let decision = act(site, server, "decision", "body", &[&seats[0], &seats[1], &seats[2]], &decided);
    [one, two, opinion, decision]
}

#[test]
fn an_exercise_is_told_among_exercises_and_nowhere_else() {
    let site = Site::new();
    let server = site.serve();
    let place = site.place();
    let [one, two, opinion, decision] = drill(&site, &server);

    let all = server.get("/exercises").json();
    assert_eq!((&all["is_exercise"], listed(&all)), (&true.into(), vec![&*opinion, &*decision]));
    let by_officer = server.get_signed(site.world, &place.adviser(0), "/exercises").json();
    assert_eq!(listed(&by_officer), [&*one, &*two, &*opinion, &*decision]);
    let by_reporter = place.member(1, Function::Alerts);
    let by_reporter = server.get_signed(site.world, &by_reporter, "/exercises?after=4").json();
    assert_eq!(listed(&by_reporter), [&*opinion, &*decision], "the other's report is the other's");
    let drilled = server.get("/exercises/2001:db8:4020::1").json();
    assert_eq!((&drilled["is_exercise"], &drilled["score"]), (&true.into(), &260.into()));
    assert_eq!(
        (&drilled["acts"][0]["id"], &drilled["acts"][0]["measure"]),
        (&(*decision).into(), &"drop".into())
    );

    // Whoever may read the bytes finds the mark among those that are signed.
    let bytes = server.get(&format!("/acts/{decision}")).body;
    assert_eq!(bytes[4 + 6], 1, "the seventh byte of an object");
    assert_eq!(server.get(&format!("/acts/{one}")).status, 404);
    assert_eq!(server.get_signed(site.world, &place.adviser(0), &format!("/acts/{one}")).status, 200);

    let subject = server.get("/subjects/2001:db8:4020::1").json();
    assert_eq!((&subject["is_exercise"], &subject["score"]), (&false.into(), &Value::Null));
    let holder = place.member(4, Function::Alerts);
    let elsewhere = [
        "/subjects/2001:db8:4020::1",
        "/files/2001:db8:4020::/48",
        "/members/4/concerns",
        "/?address=2001:db8:4020::1",
    ];
    for path in elsewhere {
        let answer = server.get_signed(site.world, &holder, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        for id in [&one, &two, &opinion, &decision] {
            assert!(!answer.text().contains(id.as_str()), "{id} is told by {path}");
        }
    }
    let record = server.get("/metrics").text();
    for figure in ["reports_open", "decided_seconds_median", "clocks_overdue"] {
        assert!(record.contains(&format!("credence_platform_{figure} 0\n")), "{record}");
    }
    let page = server.get(&format!("/act/{decision}")).text();
    assert!(page.contains("<h1>Exercise: Decision") && !page.contains("To object"), "{page}");
    assert_eq!(server.get("/log").text().matches("Exercise: <a").count(), 2);
    server.stop();

    let key = keys::read(&place.operator()).unwrap().verifying_key();
    let envelope = exported(&["member", "--dir", site.dir(), "--member", "4"]);
    assert_eq!(open(CREDIT_FILE, &envelope, &key).unwrap()["files"], serde_json::json!([]));
    let again = site.serve();
    assert_eq!(again.get("/exercises").json(), all, "it is there after a start as before");
}

/// Whatever a drill names must be one, and the other way round.
#[test]
fn nothing_in_earnest_rests_on_an_exercise() {
    let site = Site::new();
    let server = site.serve();
    let [.., decision] = drill(&site, &server);
    let seats = [1, 3, 5].map(|member| site.place().member(member, Function::Decisions));
    let out = site.path().join("act");
    let (world, out) = (site.world.to_string(), out.to_str().unwrap());
    let lift = |more: &[&str]| {
        let mut arguments =
            vec!["act", "lifting", "--world", &world, "--as", "body", "-o", out, "--lifts", &decision];
        seats.iter().for_each(|key| arguments.extend(["--key", key.to_str().unwrap()]));
        arguments.extend(more);
        let made = run(&arguments);
        assert!(made.status.success(), "{}", told(&made));
        server.ask("POST", "/acts", &fs::read(out).unwrap()).unwrap()
    };
    let earnest = lift(&[]);
    assert_eq!((earnest.status, &earnest.json()["refusal"]), (422, &"unknown_act".into()));
    assert_eq!(lift(&["--exercise"]).status, 201);
    assert_eq!(server.get("/exercises/2001:db8:4020::1").json()["acts"], serde_json::json!([]));
}
