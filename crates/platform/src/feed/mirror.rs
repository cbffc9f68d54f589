//! A feed as plain files, as a mirror has it: for any server of files, or a stick that is carried to where no network is.
//!
//! What lies there is believed no more than what comes over the network: whoever follows it checks everything, and the head is over
//! after minutes as it is anywhere. Instead of proofs between any two sizes of the log there are its tiles.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use credence_feed::tiles::tiles_since;
use credence_feed::{Entry, FileRef, Head, SnapshotList};
use credence_law::{Law, Signed};

use crate::log::Log;
use crate::published::replace;

/// How often a head is read that is replaced while its files are copied.
const TRIES: usize = 5;
/// How long files stay that the head names no more: as long as somebody may follow the head before.
const FADES: Duration = Duration::from_secs(credence_feed::HEAD_LASTS_MAX);

/// What a mirror has its files from.
#[derive(Debug)]
pub struct Source<'a> {
    /// The directory that the feed is published in.
    pub feed: &'a Path,
    /// All rules that it goes by.
    pub rules: &'a [Entry],
    /// The rules in force.
    pub law: &'a Law,
    /// The public log.
    pub log: &'a Log,
    /// The newest checkpoint that a witness has seen, and its size.
    pub witnessed: Option<(u64, Vec<u8>)>,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirrored {
    /// The session of the head.
    pub session: u64,
    /// Its serial.
    pub serial: u64,
    /// Until when it can be believed, in Unix seconds.
    pub expires: u64,
}

/// Files with their bytes.
type Files = Vec<(FileRef, Vec<u8>)>;

impl Source<'_> {
    /// Writes everything that a gateway asks a mirror for into a directory, the head last. What lies there already and is the same
    /// stays.
    ///
    /// # Errors
    /// When nothing is published, or it cannot be written.
    pub fn write(&self, to: &Path) -> anyhow::Result<Mirrored> {
        let directories = ["feed/rules", "feed/files", "log/checkpoint", "log/tile"];
        for directory in directories.map(|name| to.join(name)) {
            fs::create_dir_all(&directory)
                .with_context(|| format!("{} cannot be made", directory.display()))?;
        }
        let (signed, head, files) = self.files()?;
        for (file, bytes) in &files {
            once(&to.join("feed/files").join(file.name()), bytes)?;
        }
        let rules = self.rules.get(..head.rules as usize).context("the journal lacks rules of the head")?;
        for (number, entry) in rules.iter().enumerate() {
            replace(&to.join(format!("feed/rules/{number}")), &entry.encode())?;
        }
        self.write_log(head.log_size, to)?;
        replace(&to.join("feed/head"), &signed.encode())?;
        let named: HashSet<String> = files.iter().map(|(file, _)| file.name()).collect();
        sweep(&to.join("feed/files"), &named)?;
        Ok(Mirrored { session: head.session, serial: head.serial, expires: head.expires })
    }

    /// The head, and the files that it names. It is replaced every now and then, and files fade after it.
    fn files(&self) -> anyhow::Result<(Signed, Head, Files)> {
        let mut read = self.files_now();
        for _ in 1..TRIES {
            if read.is_ok() {
                break;
            }
            read = self.files_now();
        }
        read
    }

    fn files_now(&self) -> anyhow::Result<(Signed, Head, Files)> {
        let path = self.feed.join("head");
        let bytes = fs::read(&path)
            .with_context(|| format!("there is no feed yet: {} cannot be read", path.display()))?;
        let signed = Signed::decode(&bytes)?;
        let head = Head::open(&signed, self.law)?;
        let (list, list_bytes) = (head.snapshot.clone(), self.read(&head.snapshot)?);
        let shards = SnapshotList::decode(&list_bytes)?.shards.0.into_iter().map(|shard| shard.file);
        let ways = head.deltas.iter().map(|way| way.file.clone());
        let mut files = vec![(list, list_bytes)];
        for file in shards.chain(ways) {
            let bytes = self.read(&file)?;
            files.push((file, bytes));
        }
        Ok((signed, head, files))
    }

    fn read(&self, file: &FileRef) -> anyhow::Result<Vec<u8>> {
        let path = self.feed.join(file.name());
        let bytes = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        file.check(&bytes)?;
        Ok(bytes)
    }

    /// The log's tiles at the size of the head and at that which witnesses have seen, and what they have said.
    fn write_log(&self, size: u64, to: &Path) -> anyhow::Result<()> {
        ensure!(size <= self.log.len(), "the journal is shorter than the head says; export again");
        let seen = self.witnessed.as_ref().map(|(size, _)| *size);
        for tile in [Some(size), seen].into_iter().flatten().flat_map(|size| tiles_since(0, size)) {
            let path = to.join("log").join(&tile);
            let bytes = self.log.tile(&tile).context("the log lacks a tile of its own")?;
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)
                    .with_context(|| format!("{} cannot be made", directory.display()))?;
            }
            once(&path, &bytes)?;
        }
        match &self.witnessed {
            Some((_, note)) => replace(&to.join("log/checkpoint/witnessed"), note),
            None => Ok(()),
        }
    }
}

/// Writes a file that never changes, unless it is there.
fn once(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|known| known == bytes) { Ok(()) } else { replace(path, bytes) }
}

/// Takes away files that the head names no more, once they are old enough.
fn sweep(directory: &Path, named: &HashSet<String>) -> anyhow::Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("{} cannot be read", directory.display()))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_file = name
            .to_str()
            .is_some_and(|name| crate::keys::unhex::<32>(name).is_some() && !named.contains(name));
        let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|at| at.elapsed().ok());
        if is_file && age.is_some_and(|age| age > FADES) {
            fs::remove_file(entry.path())
                .with_context(|| format!("{} cannot be removed", entry.path().display()))?;
        }
    }
    Ok(())
}
