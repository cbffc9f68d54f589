//! Every alert that the committed captures give, held to the schema that is delivered.

use jsonschema::Validator;
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{captures, root, run};

fn schema() -> Validator {
    let text = std::fs::read_to_string(root().join("deploy/alert.schema.json")).expect("the schema is there");
    let schema: Value = serde_json::from_str(&text).expect("the schema is JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema can be used")
}

/// The alerts of all captures together, scored with a list that names every address and with these options.
fn alerts(options: &[&str]) -> Vec<Value> {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (list, snapshot, out) = (path("list.txt"), path("watch"), path("alerts.json"));
    // Halves of the space: as wide as it gets, and observing limits nobody.
    std::fs::write(&list, "::/1\n8000::/1\n").unwrap();
    let import = ["credit", "import", "--from", "cidr", &list, "-o", &snapshot, "--score", "400"];
    run(import.into_iter().chain(["--measure", "observe"])).expect(0);
    let captures: Vec<_> = captures().iter().map(|path| path.display().to_string()).collect();
    let replay = ["replay", "--alerts", &out, "--credit", &snapshot].into_iter();
    run(replay.chain(options.iter().copied()).chain(captures.iter().map(String::as_str))).expect(0);
    let lines = std::fs::read_to_string(out).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
}

#[test]
fn every_capture_gives_alerts_that_keep_the_schema() {
    let schema = schema();
    for options in [&[][..], &["--tunnels", "inner", "--anonymise"]] {
        let alerts = alerts(options);
        assert!(alerts.len() > 50, "{} alerts are few for so many captures", alerts.len());
        for alert in &alerts {
            let faults: Vec<_> = schema.iter_errors(alert).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{faults:?} in {alert}");
        }
        let has = |wanted: &dyn Fn(&Value) -> bool| alerts.iter().any(wanted);
        assert!(has(&|alert| alert["icmp_type"].is_u64()), "ICMPv6 has types and no ports");
        assert!(has(&|alert| alert["src_port"].is_u64()), "others have ports");
        assert!(has(&|alert| alert["credence"]["credit"].is_object()), "some rest on a record");
        assert!(
            has(&|alert| !alert["credence"]["anomalies"].as_array().unwrap().is_empty()),
            "some show anomalies"
        );
    }
}
