//! The section `[sync]`: what is fetched from others, by a process of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Outbox;

/// What is fetched from others. Nothing is where no list is named; where one is, `credence run` starts a second process for it,
/// the only one that talks to the Internet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sync {
    /// The directory in which fetched copies are kept, so that a restart begins with them. Default `/var/lib/credence/sync`.
    pub(crate) state: PathBuf,
    /// Lists, each under a name of its own, which `credence explain` shows as its issuer's: letters, digits, `-` and `_`. At most
    /// 16. Default none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) lists: BTreeMap<String, List>,
    /// What others are told.
    pub(crate) outbox: Outbox,
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            state: PathBuf::from("/var/lib/credence/sync"),
            lists: BTreeMap::new(),
            outbox: Outbox::default(),
        }
    }
}

/// A list that is fetched again and again.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct List {
    /// Where it is, the best place first; the others are asked when that fails. There is no default.
    pub(crate) urls: Vec<String>,
}

/// More lists than an operator can keep an eye on, and each costs some thirty series on the metrics page.
const LISTS_MAX: usize = 16;

/// The longest name of a list, in bytes; it names files.
const NAME_LEN_MAX: usize = 32;

impl Sync {
    /// Whether there is anything to fetch or to tell.
    pub(crate) fn is_on(&self) -> bool {
        !self.lists.is_empty() || self.outbox.is_on()
    }

    /// What no type can refuse, each with the path of its key.
    pub(super) fn unsound(&self) -> Vec<(String, String)> {
        let mut faults = self.outbox.unsound();
        if self.lists.len() > LISTS_MAX {
            let count = self.lists.len();
            faults.push(("sync".to_owned(), format!("names {count} lists, and {LISTS_MAX} are the most")));
        }
        for (name, list) in &self.lists {
            let key = format!("sync.lists.{name}");
            if !is_name(name) {
                let fault = format!(
                    "is no name for a list; take up to {NAME_LEN_MAX} letters, digits, `-` and `_`, since files are named after it"
                );
                faults.push((key.clone(), fault));
            }
            if list.urls.is_empty() {
                faults.push((key, "has no `urls`; name the place it is fetched from".to_owned()));
            }
        }
        faults
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_name_files() {
        for name in ["drop_v6", "a", "A-1"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "../a", "a/b", "a.b", "é", "a b", "a\0", &"a".repeat(33)] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
