//! How what is in force lies on the disk: a whole state, and what has come since.
//!
//! Files lie there as they came from a mirror, under the names of their hashes; nothing is packed again. One file says which of them
//! belong together. After each delta it names the state's root, so that whoever has that state already reads no more than what is new.

use std::collections::HashMap;
use std::io;

use credence_feed::{Delta, FileRef, Head, Parts, SnapshotList, State};
use credence_law::layout::{Layout, fields};
use credence_law::{Object, Signed};

use super::keep::{Disk, Unkept};
use super::refresh::{FILES_BYTES_MAX, len};

/// How often something is added to a whole state before it is written anew.
const STEPS_MAX: usize = 256;
/// What may be added to a state however small it is, in bytes.
const STEPS_LEAST: u64 = 1 << 16;

/// The files by which something was had.
#[derive(Debug)]
pub(super) enum Came {
    /// None: it was there.
    Nothing,
    /// All of it: the list, and the shards.
    Whole(Vec<(FileRef, Vec<u8>)>),
    /// What leads there from a state.
    Deltas {
        /// That state's root.
        from: [u8; 32],
        /// Delta by delta.
        files: Vec<(FileRef, Vec<u8>)>,
    },
}

fields! {
    /// What belongs together.
    pub struct Journal {
        /// The head, as it was signed.
        pub head: Signed,
        /// A whole state's files: the list, and the shards.
        pub whole: Vec<FileRef>,
        /// That state's root.
        pub root: [u8; 32],
        /// What has come since.
        pub steps: Vec<Step>,
    }

    /// What has come in one round.
    pub struct Step {
        /// Delta by delta.
        pub deltas: Vec<FileRef>,
        /// The root of the state to which they lead.
        pub root: [u8; 32],
    }
}

impl Journal {
    /// The one that a file holds; none where there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub(super) fn read(disk: &impl Disk, name: &'static str) -> Result<Option<Self>, Unkept> {
        let Some(bytes) = disk.read(name, FILES_BYTES_MAX)? else { return Ok(None) };
        let journal = Self::from_bytes(&bytes).map_err(|_| Unkept::Damaged(name))?;
        if len(journal.files()) > 2 * FILES_BYTES_MAX {
            return Err(Unkept::Damaged(name));
        }
        Ok(Some(journal))
    }

    /// All files that it names.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileRef> {
        self.whole.iter().chain(self.steps.iter().flat_map(|step| &step.deltas))
    }

    /// Whether its head states this root.
    pub(super) fn states(&self, root: &[u8; 32]) -> bool {
        Object::<Head>::decode(self.head.bytes()).is_ok_and(|head| head.body.root == *root)
    }

    /// The root of the state to which all of it leads.
    fn end(&self) -> [u8; 32] {
        self.steps.last().map_or(self.root, |step| step.root)
    }

    /// Whether it is better begun anew than added to.
    fn is_long(&self) -> bool {
        let steps = self.steps.iter().flat_map(|step| &step.deltas);
        self.steps.len() >= STEPS_MAX || len(steps) > len(self.whole.iter()).max(STEPS_LEAST)
    }

    /// The journal that leads to a state under this head, after this one if there was one, with its files on the disk.
    ///
    /// # Errors
    /// When they are not.
    pub(super) fn lead(
        before: Option<Self>,
        (head, state, came): (&Signed, &State, &Came),
        disk: &mut impl Disk,
    ) -> io::Result<Self> {
        let (head, root) = (head.clone(), state.root());
        if let Some(before) = before {
            // Files that rotted are begun anew, or no start would ever read what they lead to.
            if before.end() == root && before.files().all(|file| bytes(disk, file).is_ok()) {
                return Ok(Self { head, ..before });
            }
            if let Came::Deltas { from, files } = came
                && before.end() == *from
                && !before.is_long()
            {
                write(disk, files)?;
                let deltas = files.iter().map(|(file, _)| file.clone()).collect();
                let steps = before.steps.into_iter().chain([Step { deltas, root }]).collect();
                return Ok(Self { head, steps, ..before });
            }
        }
        let packed;
        let files = match came {
            Came::Whole(files) => files,
            Came::Nothing | Came::Deltas { .. } => {
                packed = pack(state);
                &packed
            }
        };
        write(disk, files)?;
        Ok(Self {
            head,
            whole: files.iter().map(|(file, _)| file.clone()).collect(),
            root,
            steps: Vec::new(),
        })
    }

    /// After how many steps, at most, all of it has led to this state; none where it does not pass there.
    pub(super) fn passed(&self, state: &State) -> Option<usize> {
        let known = state.root();
        let roots = std::iter::once(&self.root).chain(self.steps.iter().map(|step| &step.root));
        roots.zip(0..).filter(|(root, _)| **root == known).map(|(_, steps)| steps).max()
    }

    /// What the state is made of to which all of it leads, on the way from `before` if that passes there. Nothing of it is checked.
    ///
    /// # Errors
    /// When a file is not there, or another one.
    pub(super) fn parts(&self, disk: &impl Disk, before: Option<&State>) -> Result<Parts, Unkept> {
        let passed = before.and_then(|before| Some((before, self.passed(before)?)));
        let (mut parts, steps) = match passed {
            Some((before, passed)) => (before.parts(), self.steps.get(passed..).unwrap_or_default()),
            None => (self.begin(disk)?, &self.steps[..]),
        };
        for file in steps.iter().flat_map(|step| &step.deltas) {
            let delta = Delta::decode(&bytes(disk, file)?)?;
            // From which version it leads says the journal's order, and where it leads the root.
            let from = delta.from;
            delta.apply(from, &mut parts)?;
        }
        Ok(parts)
    }

    /// The whole state that it begins with.
    fn begin(&self, disk: &impl Disk) -> Result<Parts, Unkept> {
        let (list, _) = self.whole.split_first().ok_or(Unkept::Damaged("held"))?;
        let list = SnapshotList::decode(&bytes(disk, list)?)?;
        let mut files = HashMap::new();
        for shard in &list.shards.0 {
            files.insert(shard.file.hash, bytes(disk, &shard.file)?);
        }
        Ok(list.parts(|file| files.get(&file.hash).map(|bytes| &bytes[..]))?)
    }
}

/// A whole state's files.
fn pack(state: &State) -> Vec<(FileRef, Vec<u8>)> {
    let (list, shards) = SnapshotList::of(state, |_| None);
    let files = std::iter::once(list.encode()).chain(shards.into_iter().map(|(_, bytes)| bytes));
    files.map(|bytes| (FileRef::of(&bytes), bytes)).collect()
}

/// Writes those of some files that are not there, or not whole.
fn write(disk: &mut impl Disk, files: &[(FileRef, Vec<u8>)]) -> io::Result<()> {
    for (file, came) in files {
        if bytes(disk, file).is_err() {
            disk.write(&file.name(), came)?;
        }
    }
    Ok(())
}

/// A file's bytes.
fn bytes(disk: &impl Disk, file: &FileRef) -> Result<Vec<u8>, Unkept> {
    let found = disk.read(&file.name(), u64::from(file.len))?.ok_or(Unkept::Damaged("held"))?;
    file.check(&found)?;
    Ok(found)
}
