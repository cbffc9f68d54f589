//! Alert lines and their published schema.

use jsonschema::Validator;
use serde_json::Value;

use super::{Desk, replay_to, text};
use crate::binary::root;

/// The schema, with the formats of addresses checked.
fn schema() -> Validator {
    let schema =
        std::fs::read_to_string(root().join("deploy/alert.schema.json")).expect("the schema is there");
    let schema: Value = serde_json::from_str(&schema).expect("the schema is JSON");
    jsonschema::meta::validate(&schema).expect("the schema is a schema");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema can be used")
}

/// The alerts of a capture that holds every kind of misbehaviour, with credit for some sources.
fn alerts(options: &[&str]) -> Vec<Value> {
    let desk = Desk::new();
    let deny = desk.snapshot("deny.snap", "3fff:666:1::/48\n", &["--score", "50"]);
    let watch = desk.snapshot("watch.snap", "2001:db8::/32\n", &["--score", "400", "--measure", "observe"]);
    let credit = ["--credit", text(&deny), "--credit", text(&watch)];
    replay_to(
        &desk,
        &["demo.pcap.zst", "icmp-odd.pcap", "extension-chains.pcap"],
        &[&credit, options].concat(),
    )
    .expect(0);
    desk.text("alerts.jsonl").lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}

#[test]
fn every_line_keeps_the_schema() {
    let schema = schema();
    for options in [&[][..], &["--anonymise"], &["--tunnels", "inner", "--own", "2001:db8::/32"]] {
        let alerts = alerts(options);
        assert!(alerts.len() > 5, "{alerts:?}");
        for alert in &alerts {
            let faults: Vec<_> = schema.iter_errors(alert).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{faults:?} in {alert}");
        }
        assert!(alerts.iter().any(|alert| !alert["credence"]["credit"].is_null()), "some rest on a record");
    }
}

#[test]
fn the_terms_of_every_line_add_up_to_its_score() {
    for alert in alerts(&[]) {
        let terms = alert["credence"]["terms"].as_array().unwrap();
        let points: i64 = terms.iter().map(|term| term["points"].as_i64().unwrap()).sum();
        assert_eq!(alert["credence"]["score"], points, "{alert}");
    }
}

#[test]
fn the_schema_refuses_what_is_not_in_it() {
    let schema = schema();
    let good = alerts(&[]).swap_remove(0);
    let broken: [fn(&mut Value); 6] = [
        |alert| alert["credence"]["passport"] = "X1".into(),
        |alert| alert["credence"]["terms"][0]["because"] = "so".into(),
        |alert| alert["credence"]["score"] = 1_001.into(),
        |alert| alert["src_ip"] = "192.0.2.1".into(),
        |alert| alert["direction"] = "sideways".into(),
        |alert| drop(alert.as_object_mut().expect("an object").remove("timestamp")),
    ];
    for (number, breaks) in broken.iter().enumerate() {
        let mut alert = good.clone();
        breaks(&mut alert);
        assert!(schema.is_valid(&good) && !schema.is_valid(&alert), "change {number} went unnoticed");
    }
}
