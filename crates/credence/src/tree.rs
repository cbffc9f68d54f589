//! The files in which the kernel tells of itself, below a root that tests can choose.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What was found, or in a few words why nothing could be.
pub(crate) type Fact<T> = Result<T, String>;

/// The most that is read of one file: many times the longest of those that are read as text.
const TEXT_MAX: u64 = 1 << 20;

/// `/proc` and `/sys`.
pub(crate) struct Tree(PathBuf);

impl Tree {
    /// The files below `root`, which is `/` except in tests.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// Where the file `path`, such as `/proc/mounts`, lies.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// The text of a file, without the space around it.
    pub(crate) fn text(&self, path: &str) -> Fact<String> {
        let mut text = String::new();
        let read = File::open(self.at(path)).and_then(|file| file.take(TEXT_MAX).read_to_string(&mut text));
        read.map_err(|error| format!("{path} cannot be read: {error}"))?;
        Ok(text.trim().to_owned())
    }

    /// The number that a file consists of.
    pub(crate) fn number<T: FromStr>(&self, path: &str) -> Fact<T> {
        let text = self.text(path)?;
        text.parse().map_err(|_| format!("{path} is \"{text}\", which is no number in range"))
    }

    /// What stands behind `key` on its line of a file.
    pub(crate) fn value(&self, path: &str, key: &str) -> Fact<String> {
        let text = self.text(path)?;
        let value = text.lines().find_map(|line| line.strip_prefix(key));
        value.map(|value| value.trim().to_owned()).ok_or_else(|| format!("{path} has no {key}"))
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.at(path).exists()
    }

    /// The names in a directory in their order; none where there is no directory.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// The last part of what a symbolic link points to.
    pub(crate) fn linked_name(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.at(path)).ok()?;
        Some(Path::new(&target).file_name()?.to_str()?.to_owned())
    }
}

/// The numbers of a list such as `0-3,8`, as the kernel writes processors and nodes.
pub(crate) fn listed(list: &str) -> Fact<Vec<u32>> {
    /// Far beyond what any kernel is built for.
    const MOST: u32 = 1 << 16;
    let no_list = || format!("\"{list}\" is no list of processors");
    let mut numbers = Vec::new();
    for range in list.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number =
            |text: &str| text.parse::<u32>().ok().filter(|number| *number < MOST).ok_or_else(no_list);
        numbers.extend(number(first)?..=number(last)?);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read_as_the_kernel_writes_them() {
        assert_eq!(listed("0-3,8\n"), Ok(vec![0, 1, 2, 3, 8]));
        assert_eq!(listed("5"), Ok(vec![5]));
        assert_eq!(listed(""), Ok(vec![]));
        for list in ["a", "1-", "0-4294967295", "-1"] {
            assert!(listed(list).is_err(), "{list}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_by_its_name() {
        let directory = tempfile::TempDir::new().unwrap();
        fs::write(directory.path().join("status"), "CapEff:\t00ff\nmode\n").unwrap();
        let tree = Tree::new(directory.path());
        assert_eq!(tree.value("/status", "CapEff:"), Ok("00ff".to_owned()));
        assert_eq!(tree.value("/status", "CapBnd:"), Err("/status has no CapBnd:".to_owned()));
        assert!(tree.text("/no/such").unwrap_err().starts_with("/no/such cannot be read: "));
        assert!(tree.number::<u32>("/status").unwrap_err().contains("no number in range"));
        assert_eq!((tree.names("/"), tree.names("/no")), (vec!["status".to_owned()], vec![]));
    }
}
