//! The operator's exceptions, read again whenever their file changes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use credence_credit::Snapshot;
use credence_score::Ladder;
use tracing::error;

use crate::config::{Config, Exceptions};

/// How often there is a look at the file.
const EVERY: Duration = Duration::from_secs(1);

/// What tells a version of the file from another without reading it: its number on the disk, its length, and when it was written.
type Version = (u64, u64, i64, i64);

/// A file that is kept an eye on.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    ladder: Ladder,
    /// The version that was read last; none of a file that is not there.
    version: Option<Version>,
    /// When there was a look last, a time since the start.
    looked: Duration,
    is_faulty: bool,
}

impl Watched {
    /// The file that `config` names, if it names one, which was read just now.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let (path, ladder) = (config.credit.exceptions.clone()?, config.policy.ladder);
        let version = version(&path);
        Some(Self { path, ladder, version, looked: Duration::ZERO, is_faulty: false })
    }

    /// What the file says, if it has changed since the last look and says anything; what it does not say right is told, and what
    /// it said before stays. `is_asked` looks at once, and reads it whether it has changed or not.
    pub(super) fn look(&mut self, now: Duration, is_asked: bool) -> Option<Snapshot> {
        if !is_asked && now.saturating_sub(self.looked) < EVERY {
            return None;
        }
        self.looked = now;
        // Asked before it is read: what is written while it is read is found the next time.
        let version = version(&self.path);
        if !is_asked && version == self.version {
            return None;
        }
        self.version = version;
        let read = Exceptions::read(&self.path, self.ladder);
        self.is_faulty = read.is_err();
        read.inspect_err(|mistakes| {
            error!("the exceptions were not taken over, those before stay: {mistakes}");
        })
        .ok()
    }

    /// Whether the file says something else than what is in force, and says it wrong.
    pub(super) const fn is_faulty(&self) -> bool {
        self.is_faulty
    }
}

fn version(path: &Path) -> Option<Version> {
    let found = fs::metadata(path).ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_once_and_a_mistake_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("exceptions.toml");
        let write = |text: &str| {
            let new = directory.path().join("new");
            fs::write(&new, text).unwrap();
            fs::rename(new, &path).unwrap();
        };
        write("[allow]\n'2a00::/32' = {}\n");
        let text = format!("credit.exceptions = '{}'", path.display());
        let mut watched = Watched::of(&Config::parse("gateway.toml", &text, 1).unwrap()).unwrap();
        let mut seconds = 0;
        let mut looked = |watched: &mut Watched| {
            seconds += 1;
            watched.look(Duration::from_secs(seconds), false).map(|snapshot| snapshot.records().len())
        };
        assert_eq!(looked(&mut watched), None);
        write("[allow]\n'2a00::/32' = {}\n'2a01::/32' = {}\n");
        assert_eq!((looked(&mut watched), looked(&mut watched)), (Some(2), None));
        for broken in ["[allow", "[allow]\n'192.0.2.0/24' = {}", "\u{0}", "[alow]"] {
            write(broken);
            assert_eq!((looked(&mut watched), watched.is_faulty()), (None, true), "{broken:?}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!((looked(&mut watched), watched.is_faulty()), (None, true), "gone is no empty file");
        write("");
        assert_eq!((looked(&mut watched), watched.is_faulty()), (Some(0), false));
        assert!(watched.look(Duration::from_secs(seconds), true).is_some(), "asked for");
    }
}
