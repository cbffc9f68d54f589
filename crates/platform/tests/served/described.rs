//! What the document of the interface says, and what is answered.

use std::collections::BTreeSet;

use credence_feed::Shard;
use credence_law::acts::{Manifest, Preamble, Purpose};
use credence_law::party::{Function, Party};
use credence_platform::access::ENDPOINTS;
use credence_platform::serve::now;
use serde_json::{Value, json};

use super::witnesses::List;
use super::world::{Answer, Server, Site, id, preamble};

/// The document of a server, and what was seen of it.
struct Described {
    document: Value,
    seen: BTreeSet<(String, String)>,
}

impl Described {
    fn of(server: &Server) -> Self {
        Self { document: server.get("/openapi.json").json(), seen: BTreeSet::new() }
    }

    /// All that is described: methods with paths.
    fn operations(&self) -> BTreeSet<(String, String)> {
        let paths = self.document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
        });
        operations.collect()
    }

    /// That an answer is one that the document knows, in status, kind and shape.
    #[track_caller]
    fn check(&mut self, method: &str, path: &str, answer: &Answer, status: u16) {
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        self.seen.insert((method.to_owned(), path.to_owned()));
        let operation = &self.document["paths"][path][method.to_lowercase()];
        let content = operation["responses"][status.to_string()]["content"].as_object();
        let content = content.unwrap_or_else(|| panic!("{method} {path} does not know {status}"));
        let kind = answer.head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap();
        let (kind, _) = kind.split_once(';').unwrap_or((kind, ""));
        let known = content.get(kind).unwrap_or_else(|| panic!("{method} {path} does not know {kind}"));
        if kind == "application/json" {
            let mut schema = known["schema"].clone();
            schema["components"] = self.document["components"].clone();
            let schema = jsonschema::validator_for(&schema).unwrap();
            let faults: Vec<_> = schema.iter_errors(&answer.json()).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{method} {path} {status}: {faults:?} in {}", answer.text());
        }
    }
}

#[test]
fn every_route_is_described_and_every_described_route_is_in_the_table() {
    let site = Site::new();
    let described = Described::of(&site.serve());
    let listed = ENDPOINTS
        .iter()
        .map(|endpoint| (endpoint.method.to_owned(), endpoint.path.replace("{*", "{")))
        .collect::<BTreeSet<_>>();
    assert_eq!(described.operations(), listed);
    assert!(described.document["info"]["description"].as_str().unwrap().contains("Idempotency-Key"));
}

#[test]
fn answers_are_as_they_are_described() {
    let site = Site::new();
    let witness = List::new(&site);
    let server = site.serve();
    let mut described = Described::of(&server);
    let (good, mut forged) = (site.alert(1, 0x20), site.alert(2, 0x21).encode());
    *forged.last_mut().unwrap() ^= 1;
    described.check("POST", "/acts", &server.hand_in(&good), 201);
    described.check("POST", "/acts", &server.hand_in(&good), 200);
    described.check("POST", "/acts", &server.ask("POST", "/acts", b"").unwrap(), 400);
    described.check("POST", "/acts", &server.ask("POST", "/acts", &forged).unwrap(), 401);
    let several = json!({ "acts": ["AAAA"] }).to_string();
    let several = server.ask_with("POST", "/acts", "Content-Type: application/json\r\n", several.as_bytes());
    described.check("POST", "/acts", &several.unwrap(), 200);

    // The first head is published beside, once the server answers.
    server.has_published();
    let (name, none) = (id(&good).to_string(), "0".repeat(64));
    for (path, concrete, statuses) in [
        ("/acts/{id}", [format!("/acts/{name}"), format!("/acts/{none}")], [200, 404]),
        ("/log/proof/{id}", [format!("/log/proof/{name}"), format!("/log/proof/{none}")], [200, 404]),
        (
            "/log/consistency/{before}/{size}",
            ["2/5", "5/9"].map(|at| format!("/log/consistency/{at}")),
            [200, 404],
        ),
        ("/log/{tile}", ["tile/0/000.p/5", "nothing"].map(|at| format!("/log/{at}")), [200, 404]),
        (
            "/exercises/{subject}",
            ["2001:db8:1020::1", "nobody"].map(|at| format!("/exercises/{at}")),
            [200, 400],
        ),
        ("/feed/rules/{number}", ["0", "9"].map(|at| format!("/feed/rules/{at}")), [200, 404]),
        ("/feed/files/{name}", [&none, "nothing"].map(|at| format!("/feed/files/{at}")), [404, 404]),
        ("/feed/proposals/{party}", ["body", "nobody"].map(|at| format!("/feed/proposals/{at}")), [404, 404]),
        ("/feed/events", ["0", "1"].map(|at| format!("/feed/events?seconds={at}")), [200, 200]),
        (
            "/subjects/{subject}",
            ["2001:db8:1020::1", "nobody"].map(|at| format!("/subjects/{at}")),
            [200, 400],
        ),
    ] {
        for (concrete, status) in concrete.iter().zip(statuses) {
            described.check("GET", path, &server.get(concrete), status);
        }
    }
    let preamble =
        Preamble { expires: now() + 3_600, ..preamble(Party::Body, now() * 1_000, Purpose::Governance) };
    let manifest = Manifest { preamble, count: 0, digest: Shard::default().digest() };
    let seat = site.signed(manifest, Function::Decisions, &[1]);
    let mut forged = seat.encode();
    *forged.last_mut().unwrap() ^= 1;
    // Nobody is asked here: the parties of an example make theirs by themselves.
    for (party, sent, status) in
        [("body", &seat.encode(), 409), ("body", &forged, 401), ("nobody", &forged, 404)]
    {
        let sent = server.ask("POST", &format!("/feed/proposals/{party}"), sent).unwrap();
        described.check("POST", "/feed/proposals/{party}", &sent, status);
    }
    described.check("GET", "/log/checkpoint/witnessed", &server.get("/log/checkpoint/witnessed"), 404);
    let seen = witness.cosigned(&server.get("/log/checkpoint").body);
    let other = witness.cosigned(&Site::new().serve().get("/log/checkpoint").body);
    for (seen, status) in [(&seen, 200), (&other, 409), (&Vec::new(), 401)] {
        described.check(
            "POST",
            "/log/cosignatures",
            &server.ask("POST", "/log/cosignatures", seen).unwrap(),
            status,
        );
    }
    described.check("GET", "/log/checkpoint/witnessed", &server.get("/log/checkpoint/witnessed"), 200);
    for path in
        ["/exercises", "/feed/head", "/log/checkpoint", "/healthz", "/readyz", "/metrics", "/openapi.json"]
    {
        described.check("GET", path, &server.get(path), 200);
    }
    let (own, other) = (site.place().member(1, Function::Alerts), site.place().member(2, Function::Alerts));
    let operator = site.place().operator();
    for (path, concrete, refused) in [
        ("/files/{subject}", "/files/2001:db8:1020::/48", &operator),
        ("/members/{member}/acts", "/members/1/acts", &other),
        ("/members/{member}/concerns", "/members/1/concerns", &other),
    ] {
        described.check("GET", path, &server.get_signed(site.world, &own, concrete), 200);
        described.check("GET", path, &server.get(concrete), 401);
        described.check("GET", path, &server.get_signed(site.world, refused, concrete), 403);
    }
    let nonsense = server.get_signed(site.world, &own, "/files/nonsense");
    described.check("GET", "/files/{subject}", &nonsense, 400);
    assert_eq!(described.seen, described.operations(), "each route was asked for");
}
