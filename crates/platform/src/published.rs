//! What was published last, noted beside the journal and not in it.
//!
//! A log that was published must never become another one, and a database that somebody has set back to yesterday would let it:
//! new acts would take the places of those that were lost. So the newest checkpoint lies in a file of its own, and a journal that
//! is shorter than it, or that says otherwise, is not served. Whoever has really lost entries begins a new **epoch**: the
//! log goes on under another name, so that no place of the old one is ever given twice, and everybody sees that it happened.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
pub use credence_feed::log::origin;
use signed_note::Note;
use tlog_tiles::Checkpoint;

use crate::disk::{Disk, Folder};
use crate::log::{Log, Signer};

/// The newest checkpoint of a world's directory, and its epoch.
#[derive(Clone, Debug)]
pub struct Published {
    directory: PathBuf,
}

/// Whether a log is what was published of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It begins with that.
    Good,
    /// It has fewer entries: so many were published.
    Short(u64),
    /// It has others.
    Other,
}

impl Published {
    /// In this directory.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    fn checkpoint(&self) -> PathBuf {
        self.directory.join("published")
    }

    fn epoch_file(&self) -> PathBuf {
        self.directory.join("epoch")
    }

    /// Which epoch of the log it is, from 1 on.
    ///
    /// # Errors
    /// When the file that says so says no number.
    pub fn epoch(&self) -> anyhow::Result<u32> {
        let path = self.epoch_file();
        if !path.exists() {
            return Ok(1);
        }
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let epoch = text.trim().parse().ok().filter(|epoch| *epoch > 0);
        epoch.with_context(|| format!("{} holds no number from 1 on", path.display()))
    }

    /// Begins the next epoch, of which nothing is published yet. Returns its number.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn begin_epoch(&self) -> anyhow::Result<u32> {
        let next = self.epoch()?.checked_add(1).context("there is no further epoch")?;
        replace(&self.epoch_file(), format!("{next}\n").as_bytes())?;
        match fs::remove_file(self.checkpoint()) {
            Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => Err(fault.into()),
            _ => Ok(next),
        }
    }

    /// The checkpoint that was published last; none where none was.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn last(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let path = self.checkpoint();
        match fs::read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(fault).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    /// Notes what is published now. It is on the disk when this returns, and no failure of the machine brings an older one back.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, checkpoint: &[u8]) -> anyhow::Result<()> {
        replace(&self.checkpoint(), checkpoint)
    }

    /// Checks a log against what was published of it, and notes what is published of it now.
    ///
    /// # Errors
    /// When it is not the log that was published.
    pub fn go_on(&self, signer: &Signer, log: &Log) -> anyhow::Result<()> {
        if let Some(last) = self.last()? {
            match standing(&last, signer, log)? {
                Standing::Good => {}
                Standing::Short(size) => bail!(
                    "the journal has {} entries, and {size} were published: entries are missing. Restore a newer backup; if there \
                     is none, `credence-platform restore --new-epoch` goes on under another name",
                    log.len()
                ),
                Standing::Other => {
                    bail!("the journal does not begin with what was published: it is another one")
                }
            }
        }
        self.note(&signer.checkpoint(log))
    }
}

/// How a log stands to a checkpoint that was published of it.
///
/// # Errors
/// When it is no checkpoint, or one of a log of another name.
pub fn standing(checkpoint: &[u8], signer: &Signer, log: &Log) -> anyhow::Result<Standing> {
    let note = Note::from_bytes(checkpoint).ok().context("what was published last is no signed note")?;
    let read =
        Checkpoint::from_bytes(note.text()).ok().context("what was published last is no checkpoint")?;
    ensure!(
        read.origin() == signer.origin(),
        "what was published last is of {}, and this log is {}",
        read.origin(),
        signer.origin()
    );
    let root = log.root(read.size());
    Ok(root.map_or(Standing::Short(read.size()), |root| {
        if root == read.hash().0 { Standing::Good } else { Standing::Other }
    }))
}

/// Puts a file in the place of the old one, on the disk when this returns: there is always one that is whole, and no failure of the
/// machine brings the old one back.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let written = match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(directory), Some(name)) => Folder::new(directory).and_then(|disk| disk.replace(name, bytes)),
        _ => Err(std::io::ErrorKind::InvalidFilename.into()),
    };
    written.with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use credence_law::party::World;
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::log::Leaf;

    fn log(digests: &[u8]) -> Log {
        let mut log = Log::default();
        digests.iter().for_each(|digest| log.append(Leaf { accepted: 1, digest: [*digest; 32] }));
        log
    }

    #[test]
    fn a_log_goes_on_and_never_back() {
        let directory = tempfile::tempdir().unwrap();
        let published = Published::new(directory.path());
        let signer = |epoch| Signer::new(&origin(World([1; 32]), epoch), &SigningKey::from_bytes(&[1; 32]));
        let go_on = |epoch, digests: &[u8]| {
            published.go_on(&signer(epoch), &log(digests)).map_err(|fault| fault.to_string())
        };
        assert_eq!(published.epoch().unwrap(), 1);
        assert_eq!(go_on(1, &[1, 2, 3]), Ok(()));
        assert_eq!(go_on(1, &[1, 2, 3, 4]), Ok(()));
        assert!(go_on(1, &[1, 2, 3]).unwrap_err().contains("3 entries, and 4 were published"));
        assert!(go_on(1, &[1, 2, 3, 5, 6]).unwrap_err().contains("another one"));
        assert!(go_on(2, &[1, 2, 3, 4]).unwrap_err().contains("and this log is"), "another epoch's");
        assert_eq!(published.begin_epoch().unwrap(), 2);
        assert_eq!((published.epoch().unwrap(), published.last().unwrap()), (2, None));
        assert_eq!(go_on(2, &[1, 2, 3]), Ok(()));
        fs::write(directory.path().join("epoch"), "0").unwrap();
        assert!(published.epoch().is_err());
    }
}
