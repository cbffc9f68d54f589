//! Which files may hold unsafe code, and why.
//!
//! The compiler refuses `unsafe` wherever it is not lifted; this check refuses to lift it quietly. A file that needs it is
//! written into [`LIST`] with its reason, where a reviewer sees the list grow.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Files that may hold unsafe code, with the reason.
const LIST: &[(&str, &str)] = &[
    (
        "crates/capture/src/sys/device.rs",
        "requests about an interface, which the standard library does not have",
    ),
    ("crates/capture/src/sys/descriptor.rs", "sockets of other families, their options and readiness"),
    (
        "crates/capture/src/sys/mapping.rs",
        "the blocks of a packet ring, which the kernel hands over and takes back",
    ),
    ("crates/capture/src/sys/shared.rs", "memory that the kernel and the process both change"),
    ("crates/capture/src/sys/socket.rs", "the interface that a packet socket is bound to"),
    ("crates/capture/src/sys/xsk.rs", "the chunks and rings of an AF_XDP socket"),
    ("crates/capture/tests/live/tun.rs", "a tun device for the tests of live capture"),
    (
        "crates/credence/src/doctor/ethtool.rs",
        "what drivers tell of devices, by the request that ethtool makes",
    ),
    ("crates/memory/src/allocator.rs", "an option of the allocator, which only its own library takes"),
    ("crates/memory/src/bytes.rs", "vector instructions that compare sixteen bytes"),
    ("crates/memory/src/huge.rs", "the request for huge pages"),
    ("crates/memory/src/lines.rs", "the mapping that a table's lines lie in"),
    ("crates/memory/src/prefetch.rs", "the processor's prefetch instruction"),
    ("crates/prefix/src/table/vector.rs", "vector loads of a table's lines"),
    ("crates/prefix/src/table/vector/avx2.rs", "256-bit vectors"),
    ("crates/prefix/src/table/vector/avx512.rs", "512-bit vectors"),
    (
        "crates/xtask/src/sys.rs",
        "system calls of the chores: namespaces, socket options, signals to groups, what a child took",
    ),
    ("tests/src/gateway/frozen.rs", "a thread of another process that is made to stand still"),
];

/// Where the workspace keeps its sources.
const SOURCES: &[&str] = &["crates", "benches", "tests", "fuzz"];

/// Compares the sources with the list.
///
/// # Errors
/// When a file holds unsafe code and is not in the list, when a listed file holds none, and when files cannot be read.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut found = BTreeSet::new();
    for directory in SOURCES {
        collect(root, &root.join(directory), &mut found)?;
    }
    let complaints = compare(&found, LIST);
    if complaints.is_empty() {
        eprintln!("{} files hold unsafe code, all listed with their reason", found.len());
        return Ok(());
    }
    bail!("{}", complaints.join("; "))
}

fn compare(found: &BTreeSet<String>, list: &[(&str, &str)]) -> Vec<String> {
    let unlisted = found.iter().filter(|file| list.iter().all(|(listed, _)| listed != file)).map(|file| {
        format!("{file} holds unsafe code: do without, or list it with its reason in {}", file!())
    });
    let outdated = list
        .iter()
        .filter(|(listed, _)| !found.contains(*listed))
        .map(|(listed, _)| format!("{listed} is listed and holds no unsafe code: take it off the list"));
    unlisted.chain(outdated).collect()
}

/// Adds every Rust file below `directory` that holds unsafe code, by its path from the root.
fn collect(root: &Path, directory: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(root, &path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            if holds_unsafe(&source) {
                found.insert(path.strip_prefix(root)?.to_string_lossy().into_owned());
            }
        }
    }
    Ok(())
}

/// Whether the keyword stands in the code, not in comments, not in strings, not as part of a longer name; or whether the
/// file lifts the lint, which is the step before.
fn holds_unsafe(source: &str) -> bool {
    let code = without_comments_and_strings(source);
    let keyword =
        code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == "unsafe");
    let dense: String = code.split_whitespace().collect();
    keyword
        || ["allow(unsafe_code", "expect(unsafe_code", "warn(unsafe_code"]
            .iter()
            .any(|lift| dense.contains(lift))
}

/// The source with comments and string literals blanked.
fn without_comments_and_strings(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(letter) = rest.chars().next() {
        let skipped = blank_len(rest, code.chars().next_back());
        if skipped > 0 {
            code.push(' ');
            rest = rest.get(skipped..).unwrap_or("");
        } else {
            code.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    code
}

/// Length of the comment, string or character literal that `rest` starts with, or 0.
fn blank_len(rest: &str, before: Option<char>) -> usize {
    let within_name = before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        block_comment_len(rest)
    } else if rest.starts_with('"') {
        quoted_len(rest)
    } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
        // The two ways to write the quotation mark as a character: it opens no string.
        rest[1..].find('\'').map_or(rest.len(), |at| at + 2)
    } else if !within_name && rest.starts_with('r') {
        raw_string_len(rest)
    } else if !within_name && rest.starts_with("br") {
        match raw_string_len(&rest[1..]) {
            0 => 0,
            len => len + 1,
        }
    } else {
        0
    }
}

/// Block comments nest.
fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted_len(rest: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string_len(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|&letter| letter == '#').count();
    let body = 1 + hashes;
    if !rest[body..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    rest[body + 1..].find(&end).map_or(rest.len(), |at| body + 1 + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: bool) {
        assert_eq!(holds_unsafe(source), expected, "{source}");
    }

    #[test]
    fn the_keyword_is_found_in_code_alone() {
        check("fn f() { unsafe { g() } }", true);
        check("unsafe impl Send for X {}", true);
        check("/* a */ unsafe /* b */ fn f() {}", true);
        check("#![deny(unsafe_code)]", false);
        check("#![allow(unsafe_code)]", true);
        check("#[expect(\n    unsafe_code,\n    reason = \"none\"\n)]", true);
        check("#![forbid(unsafe_op_in_unsafe_fn)]", false);
        check("// unsafe\nlet not_unsafe = 1;", false);
        check("/* /* nested */ unsafe */ fn f() {}", false);
        check("let s = \"unsafe \\\" unsafe\";", false);
        check("let s = r#\"a \" unsafe\"#;", false);
        check("let s = br\"unsafe\";", false);
        check("let c = '\"'; unsafe { g() }", true);
        check("let c = '\\\"'; unsafe { g() }", true);
        check("let s = \"closed\"; unsafe { g() }", true);
        check("fn f<'a>(s: &'a str) { unsafe { g(s) } }", true);
        check("let s = \"open", false);
    }

    #[test]
    fn both_directions_are_compared() {
        let found = BTreeSet::from(["a.rs".to_owned(), "b.rs".to_owned()]);
        let complaints = compare(&found, &[("b.rs", "why"), ("c.rs", "why")]);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(complaints[0].starts_with("a.rs holds") && complaints[1].starts_with("c.rs is listed"));
        assert!(compare(&found, &[("a.rs", "why"), ("b.rs", "why")]).is_empty());
    }
}
