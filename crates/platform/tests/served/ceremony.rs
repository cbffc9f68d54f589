//! A world in earnest, from the keys of its root to a member's first alert.

use std::fs;
use std::path::{Path, PathBuf};

use credence_law::party::act_id;
use credence_law::{Object, Signed};
use credence_platform::keys;

use super::world::{Site, program, run, told};

/// What is said after `word` on a line of its own.
fn said<'a>(text: &'a str, word: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    line.unwrap_or_else(|| panic!("no {word:?} in {text}")).trim()
}

#[track_caller]
fn done(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{}", told(&output));
    told(&output)
}

/// A party's new key, and its public half.
fn new_key(path: &Path) -> String {
    said(&done(&["key", "new", path.to_str().unwrap()]), "public ").to_owned()
}

/// Everything that a world's first registry needs, in a directory; returns the files that begin the world.
fn founded(directory: &Path) -> Vec<PathBuf> {
    let file = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let root = file("root");
    let held = done(&["ceremony", "--dir", &root, "--name", "a world", "--keys", "3", "--threshold", "2"]);
    let world = said(&held, "world ");
    assert_eq!(held.lines().filter(|line| line.starts_with("root-")).count(), 3, "{held}");
    let office = |name: &str| format!("{name}={}", new_key(&directory.join(format!("{name}.key"))));
    let (advisers, executive) = (["Panel 1", "Panel 2"].map(&office), office("Relief"));
    let operator = format!("Operations={}", new_key(&directory.join("world/operator.key")));
    let registry = file("registry");
    let offices = [
        "--adviser",
        &advisers[0],
        "--adviser",
        &advisers[1],
        "--executive",
        &executive,
        "--operator",
        &operator,
    ];
    done(&[&["member", "found", "--world", world, "-o", &registry], &offices[..]].concat());
    for id in 1..=3 {
        let functions = ["rules", "alerts", "votes", "decisions"];
        let keys = functions
            .map(|word| format!("{word}={}", new_key(&directory.join(format!("member-{id}/{word}.key")))));
        let (id, holds) = (id.to_string(), format!("2a0{id}:100::/32=56"));
        let mut admit = vec!["member", "admit", "--registry", &registry, "-o", &registry, "--id", &id];
        admit.extend([
            "--name",
            "A network",
            "--organisation",
            &id,
            "--complaints",
            "mailto:noc@example.net",
        ]);
        admit.extend(["--holds", &holds]);
        keys.iter().for_each(|key| admit.extend(["--key", key]));
        let admitted = done(&admit);
        assert_eq!(admitted.contains("cannot be adopted yet"), id != "3", "three make a quorum: {admitted}");
    }
    let roots = [1, 3].map(|number| file(&format!("root/root-{number}.key")));
    done(&["key", "sign", &registry, "--key", &roots[0], "--key", &roots[1]]);
    ["root/root", "registry", "root/catalogue", "root/standard"].map(|name| directory.join(name)).into()
}

#[test]
fn a_world_in_earnest_begins_with_keys_that_nobody_else_has_seen() {
    let directory = tempfile::tempdir().unwrap();
    let files = founded(directory.path());
    let world = directory.path().join("world");
    let begin: Vec<&str> = files.iter().map(|path| path.to_str().unwrap()).collect();
    let dir = world.to_str().unwrap();
    let begun = done(&[&["init", "--dir", dir, "--begin"], &begin[..]].concat());
    assert!(begun.starts_with("a world is in"), "{begun}");
    let verified = done(&["verify", "--dir", dir]);
    assert!(verified.contains("4 entries"), "{verified}");
    // The root's keys, and the members', lie elsewhere.
    let kept: Vec<_> = fs::read_dir(&world).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(kept.iter().filter(|name| name.to_string_lossy().ends_with(".key")).count(), 1, "{kept:?}");
    let registry = Signed::decode(&fs::read(&files[1]).unwrap()).unwrap();
    let object = Object::<credence_law::Rules>::decode(registry.bytes()).unwrap();
    assert_eq!(said(&begun, "world "), object.world.to_string());

    // One more member makes the next version, which names this one.
    let next = directory.path().join("next");
    let holds = "2a09:100::/32";
    let alone = format!("rules={}", new_key(&directory.path().join("late.key")));
    let mut admit =
        vec!["member", "admit", "--registry", begin[1], "-o", next.to_str().unwrap(), "--id", "4"];
    admit.extend([
        "--name",
        "Late",
        "--organisation",
        "4",
        "--complaints",
        "",
        "--holds",
        holds,
        "--key",
        &alone,
    ]);
    done(&admit);
    let next = Signed::decode(&fs::read(&next).unwrap()).unwrap();
    let credence_law::Rules::Registry(next) = Object::decode(next.bytes()).unwrap().body else {
        unreachable!()
    };
    assert_eq!((next.version, next.previous), (2, Some(act_id(registry.bytes()))));
}

#[test]
fn what_is_wrong_with_a_ceremony_is_said_before_a_key_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("root");
    for (keys, threshold) in [("3", "1"), ("3", "4"), ("65", "3"), ("0", "2")] {
        let held = program()
            .args([
                "ceremony",
                "--dir",
                dir.to_str().unwrap(),
                "--name",
                "w",
                "--keys",
                keys,
                "--threshold",
                threshold,
            ])
            .output();
        assert!(!held.unwrap().status.success(), "{threshold} of {keys}");
        assert!(!dir.exists());
    }
    let key = directory.path().join("a.key");
    let public = new_key(&key);
    let shown = done(&["key", "show", key.to_str().unwrap()]);
    assert_eq!(said(&shown, "public "), public);
    let secret = keys::hex(&keys::read(&key).unwrap().to_bytes());
    assert!(!shown.contains(&secret), "the secret half stays where it is");
    let forged = Site::new();
    let missing = directory.path().join("nothing");
    let missing = missing.to_str().unwrap();
    let again = run(&["init", "--dir", forged.dir(), "--begin", missing, missing, missing, missing]);
    assert!(!again.status.success() && told(&again).contains("holds a world already"), "{}", told(&again));
}
