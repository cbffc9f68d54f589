//! The arrows between the crates, held to the map in the project's README.
//!
//! What the map says is read from cargo itself, so that a dependency added in passing fails here, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each crate of the product may use, directly, of the others.
const ARROWS: &[(&str, &[&str])] = &[
    ("credence-memory", &[]),
    ("credence-wire", &[]),
    ("credence-prefix", &["credence-memory"]),
    ("credence-credit", &["credence-memory", "credence-prefix"]),
    ("credence-law", &["credence-prefix", "credence-credit"]),
    ("credence-feed", &["credence-prefix", "credence-credit", "credence-law"]),
    ("credence-sync", &["credence-prefix", "credence-credit", "credence-law", "credence-feed"]),
    ("credence-platform", &["credence-prefix", "credence-credit", "credence-law", "credence-feed"]),
    ("credence-flow", &["credence-wire", "credence-memory"]),
    ("credence-score", &["credence-flow", "credence-credit"]),
    ("credence-capture", &["credence-memory"]),
    (
        "credence-engine",
        &[
            "credence-memory",
            "credence-wire",
            "credence-prefix",
            "credence-credit",
            "credence-flow",
            "credence-score",
            "credence-capture",
        ],
    ),
    ("credence-enforce", &["credence-memory", "credence-prefix", "credence-credit", "credence-capture"]),
    (
        "credence",
        &[
            "credence-memory",
            "credence-wire",
            "credence-prefix",
            "credence-credit",
            "credence-law",
            "credence-feed",
            "credence-sync",
            "credence-platform",
            "credence-flow",
            "credence-score",
            "credence-capture",
            "credence-engine",
            "credence-enforce",
        ],
    ),
    ("xtask", &[]),
];

/// Runtimes that would put an await on the line a packet travels.
const ASYNC_RUNTIMES: &[&str] = &["tokio", "async-std", "smol", "futures-executor"];

/// Packages by id, with their names and their normal dependencies as cargo resolved them.
struct Graph {
    names: BTreeMap<String, String>,
    normal: BTreeMap<String, Vec<String>>,
    members: Vec<String>,
}

impl Graph {
    fn load() -> Self {
        // For this platform only: cargo has not downloaded what other platforms need, and must not ask the network.
        let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", &platform])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self::from_metadata(&serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON"))
    }

    fn from_metadata(metadata: &Value) -> Self {
        let packages = list(&metadata["packages"]);
        let names = packages.map(|package| (text(&package["id"]), text(&package["name"]))).collect();
        let nodes = list(&metadata["resolve"]["nodes"]);
        let normal = nodes.map(|node| (text(&node["id"]), normal_dependencies(node))).collect();
        Self { names, normal, members: list(&metadata["workspace_members"]).map(text).collect() }
    }

    /// The id of the workspace member called `name`.
    fn member(&self, name: &str) -> Option<&String> {
        self.members.iter().find(|id| self.names[*id] == name)
    }

    /// Names of the members that the member `id` uses directly.
    fn arrows(&self, id: &String) -> BTreeSet<&str> {
        let to_members = self.normal[id].iter().filter(|used| self.members.contains(used));
        to_members.map(|used| self.names[used].as_str()).collect()
    }

    /// Names of everything that `id` uses, directly or not.
    fn reachable(&self, id: &String) -> BTreeSet<&str> {
        let (mut seen, mut open) = (BTreeSet::from([id]), vec![id]);
        while let Some(next) = open.pop() {
            open.extend(self.normal[next].iter().filter(|used| seen.insert(used)));
        }
        seen.into_iter().map(|id| self.names[id].as_str()).collect()
    }
}

/// Ids of the dependencies of a node that are no development or build dependencies.
fn normal_dependencies(node: &Value) -> Vec<String> {
    let is_normal = |used: &&Value| list(&used["dep_kinds"]).any(|kind| kind["kind"].is_null());
    list(&node["deps"]).filter(is_normal).map(|used| text(&used["pkg"])).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("cargo metadata has a list here").iter()
}

fn text(value: &Value) -> String {
    value.as_str().expect("cargo metadata has a string here").to_owned()
}

#[test]
fn crates_use_each_other_as_the_map_says() {
    let graph = Graph::load();
    for (name, allowed) in ARROWS {
        let id =
            graph.member(name).unwrap_or_else(|| panic!("{name} is on the map and not in the workspace"));
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        let astray: Vec<_> = graph.arrows(id).difference(&allowed).copied().collect();
        assert!(astray.is_empty(), "{name} uses {astray:?}, which the map does not allow");
    }
}

#[test]
fn every_crate_is_on_the_map() {
    let graph = Graph::load();
    // Members that use everything by design, and that nothing uses.
    let outside = ["credence-tests", "credence-benches"];
    for id in &graph.members {
        let name = graph.names[id].as_str();
        let on_map = ARROWS.iter().any(|(on_map, _)| *on_map == name);
        assert!(on_map || outside.contains(&name), "{name} is in the workspace and not on the map");
        let backwards: Vec<_> = graph.arrows(id).into_iter().filter(|used| outside.contains(used)).collect();
        assert!(backwards.is_empty(), "{name} uses {backwards:?}");
    }
}

#[test]
fn no_async_runtime_is_on_the_line_of_a_packet() {
    let graph = Graph::load();
    let engine = graph.member("credence-engine").expect("the engine is in the workspace");
    let reachable = graph.reachable(engine);
    assert!(reachable.contains("credence-wire"), "the walk starts at the engine");
    let found: Vec<_> = ASYNC_RUNTIMES.iter().filter(|runtime| reachable.contains(**runtime)).collect();
    assert!(found.is_empty(), "the engine reaches {found:?}");
}

#[test]
fn a_runtime_behind_another_crate_is_found_and_one_for_tests_is_not() {
    let graph = Graph::from_metadata(&serde_json::json!({
        "packages": [
            { "id": "e", "name": "engine" }, { "id": "m", "name": "middle" },
            { "id": "t", "name": "tokio" }, { "id": "s", "name": "smol" },
        ],
        "workspace_members": ["e"],
        "resolve": { "nodes": [
            { "id": "e", "deps": [
                { "pkg": "m", "dep_kinds": [{ "kind": "dev" }, { "kind": null }] },
                { "pkg": "s", "dep_kinds": [{ "kind": "dev" }] },
            ] },
            { "id": "m", "deps": [{ "pkg": "t", "dep_kinds": [{ "kind": null }] }] },
            { "id": "t", "deps": [] }, { "id": "s", "deps": [] },
        ] },
    }));
    let engine = graph.member("engine").unwrap();
    assert_eq!(graph.reachable(engine), BTreeSet::from(["engine", "middle", "tokio"]));
    assert!(graph.arrows(engine).is_empty());
}
