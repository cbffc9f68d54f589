//! What is kept on disk: what is trusted, the rules, and the signed bytes of what is in force, which are checked again when they are
//! read.
//!
//! Each file is written whole beside the old one, reaches the disk, and takes its place. What is trusted is written before what is in
//! force is used, and after a failure in between what is in force is an older version, which is never taken for the newest.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_feed::{Entry, FileRef, Head, Reject, Rulebook, SnapshotList};
use credence_law::party::World;
use credence_law::{Object, Signed};

use super::refresh::FILES_BYTES_MAX;
use super::{Held, Next, Trusted};

/// Where what is trusted stands.
const TRUSTED: &str = "trusted";
/// The rules, one behind the other with their lengths.
const RULES: &str = "rules";
/// What is in force: the length of its head in four bytes, the head as it was signed, and the list of the rest, as it was packed
/// here. In one file, so that they belong together after every failure.
const HELD: &str = "held";
/// What the gateway has put in force, in the same form: what a start begins with, so that a restart is no way past a guard.
const TAKEN: &str = "taken";
/// There while something waits for the operator, or was forgotten by them and comes again with whatever comes next: a restart, which
/// forgets the flows that it would hit, is no way past.
const WAITS: &str = "waits";

/// A place for files. Names are short and plain.
pub trait Disk {
    /// The bytes of a file; none where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is larger than `most` bytes.
    fn read(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>>;

    /// Puts a file in the place of the one of this name. It is whole and on the disk when this returns.
    ///
    /// # Errors
    /// When it is not; the old one stays.
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Takes a file away.
    ///
    /// # Errors
    /// When that fails.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// The names of all files.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn names(&self) -> io::Result<Vec<String>>;
}

/// A directory.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// This directory, which is made where it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self(path.to_owned()))
    }

    /// This directory, for whoever reads it alone.
    pub fn to_read(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Disk for Folder {
    fn read(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.0.join(name)) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a file is larger than it can be"));
        }
        Ok(Some(bytes))
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut beside = tempfile::Builder::new().prefix(".").tempfile_in(&self.0)?;
        beside.write_all(bytes)?;
        beside.as_file().sync_all()?;
        beside.persist(self.0.join(name)).map_err(|fault| fault.error)?;
        // The name is on the disk as well.
        File::open(&self.0)?.sync_all()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().into_string().ok());
        fs::read_dir(&self.0)?.filter_map(|entry| name(entry).transpose()).collect()
    }
}

/// What was kept.
#[derive(Debug, Default)]
pub struct Kept {
    /// What is never to be older again.
    pub trusted: Trusted,
    /// The rules.
    pub rules: Option<Arc<Rulebook>>,
    /// What is in force.
    pub held: Option<Held>,
}

/// Which of two copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// What the gateway has put in force.
    Taken,
    /// What has come last.
    Offered,
}

/// Why something that was kept is not used: it is had again from a mirror.
#[derive(Debug, thiserror::Error)]
pub enum Unkept {
    /// The disk does not give it.
    #[error("what was kept cannot be read: {0}")]
    Disk(#[from] io::Error),
    /// The bytes are not those that were written.
    #[error("the file `{0}` is damaged")]
    Damaged(&'static str),
    /// It does not stand.
    #[error("what was kept does not stand: {0}")]
    Rejected(#[from] Reject),
}

impl Kept {
    /// Reads what was kept of a world, and checks it as if it had just come. What is damaged is left out, and told.
    pub fn read(disk: &impl Disk, world: World) -> (Self, Vec<Unkept>) {
        let (mut kept, mut faults) = (Self::default(), Vec::new());
        match trusted(disk) {
            Ok(trusted) => kept.trusted = trusted,
            Err(fault) => faults.push(fault),
        }
        match rules(disk, world, None) {
            Ok(rules) => kept.rules = rules,
            Err(fault) => faults.push(fault),
        }
        if let Some(rules) = &kept.rules {
            match held(disk, rules, HELD, None) {
                Ok(Some((trusted, held))) => {
                    // Where what was trusted is damaged, this much of it stands by the head's own signatures.
                    if kept.trusted.version() < trusted.version() {
                        kept.trusted = trusted;
                    }
                    kept.held = Some(held);
                }
                Ok(None) => {}
                Err(fault) => faults.push(fault),
            }
        }
        (kept, faults)
    }

    /// What the gateway has put in force of a world, or what is offered to it, checked as if it had just come, but for what was
    /// checked `before`; none where there is nothing.
    ///
    /// # Errors
    /// When it cannot be read, or does not stand.
    pub fn of(
        disk: &impl Disk,
        world: World,
        which: Copy,
        before: Option<&Held>,
    ) -> Result<Option<Held>, Unkept> {
        let name = match which {
            Copy::Taken => TAKEN,
            Copy::Offered => HELD,
        };
        let Some(rules) = rules(disk, world, before.map(|held| held.state.rules()))? else { return Ok(None) };
        let held = held(disk, &rules, name, before)?;
        Ok(held.map(|(_, held)| held))
    }
}

fn trusted(disk: &impl Disk) -> Result<Trusted, Unkept> {
    let Some(bytes) = disk.read(TRUSTED, 1 << 12)? else { return Ok(Trusted::default()) };
    Trusted::decode(&bytes).ok_or(Unkept::Damaged(TRUSTED))
}

/// The rules, of which those that are `known` were checked before.
fn rules(
    disk: &impl Disk,
    world: World,
    known: Option<&Arc<Rulebook>>,
) -> Result<Option<Arc<Rulebook>>, Unkept> {
    let Some(bytes) = disk.read(RULES, FILES_BYTES_MAX)? else { return Ok(None) };
    if let Some(known) = known.filter(|known| rules_bytes(known) == bytes) {
        return Ok(Some(Arc::clone(known)));
    }
    let mut rest = &bytes[..];
    let mut book: Option<Rulebook> = None;
    while let Some((len, behind)) = rest.split_first_chunk() {
        let len = u32::from_be_bytes(*len) as usize;
        let (entry, behind) = behind.split_at_checked(len).ok_or(Unkept::Damaged(RULES))?;
        let entry = Entry::decode(entry).map_err(Reject::from)?;
        match &mut book {
            None => book = Some(Rulebook::begin(entry, world)?),
            Some(book) => book.follow(entry)?,
        }
        rest = behind;
    }
    if rest.is_empty() { Ok(book.map(Arc::new)) } else { Err(Unkept::Damaged(RULES)) }
}

/// The head and the list that a file holds.
fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*len) as usize)
}

fn held(
    disk: &impl Disk,
    rules: &Arc<Rulebook>,
    name: &'static str,
    before: Option<&Held>,
) -> Result<Option<(Trusted, Held)>, Unkept> {
    let Some(bytes) = disk.read(name, FILES_BYTES_MAX)? else { return Ok(None) };
    let (head, list) = parts(&bytes).ok_or(Unkept::Damaged(name))?;
    let signed = Signed::decode(head).map_err(Reject::from)?;
    let head = Head::open(&signed, rules.law()?)?;
    let list = SnapshotList::decode(list)?;
    let mut files = HashMap::new();
    for shard in &list.shards.0 {
        let bytes = disk.read(&shard.file.name(), u64::from(shard.file.len))?.ok_or(Unkept::Damaged(name))?;
        files.insert(shard.file.hash, bytes);
    }
    let file = |file: &FileRef| files.get(&file.hash).map(|bytes| &bytes[..]);
    let state = list.build(rules, before.map(|held| &held.state), file, head.issued)?;
    if state.root() != head.root {
        return Err(Reject::State.into());
    }
    let held = Held { session: head.session, serial: head.serial, state };
    Ok(Some((Trusted::of(&signed, &head, 0), held)))
}

/// Writes rules down.
///
/// # Errors
/// When they are not on the disk.
pub fn keep_rules(disk: &mut impl Disk, rules: &Rulebook) -> io::Result<()> {
    disk.write(RULES, &rules_bytes(rules))
}

/// The file of rules.
fn rules_bytes(rules: &Rulebook) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in rules.entries() {
        let entry = entry.encode();
        bytes.extend((entry.len() as u32).to_be_bytes());
        bytes.extend(entry);
    }
    bytes
}

/// Writes down what is never to be older again. What rests on it may be used when this returns.
///
/// # Errors
/// When it is not on the disk.
pub fn keep_trusted(disk: &mut impl Disk, next: &Next) -> io::Result<()> {
    disk.write(TRUSTED, &next.trusted.encode())
}

/// Writes down what is in force, so that a start needs no mirror. Until it is whole, a start finds what was kept before, or nothing.
///
/// # Errors
/// When it is not on the disk.
pub fn keep_state(disk: &mut impl Disk, head: &Signed, held: &Held) -> io::Result<()> {
    let names: HashSet<String> = disk.names()?.into_iter().collect();
    let (list, files) = SnapshotList::of(&held.state, |_| None);
    for (_, bytes) in files {
        let name = FileRef::of(&bytes).name();
        // One whose bytes have changed beneath it is written anew, or no gateway would ever read it again.
        let is_whole =
            || disk.read(&name, bytes.len() as u64).is_ok_and(|kept| kept.as_ref() == Some(&bytes));
        if !names.contains(&name) || !is_whole() {
            disk.write(&name, &bytes)?;
        }
    }
    let head = head.encode();
    let held = [&(head.len() as u32).to_be_bytes()[..], &head, &list.encode()].concat();
    disk.write(HELD, &held)?;
    let mut named: HashSet<String> = list.shards.0.iter().map(|shard| shard.file.name()).collect();
    let taken = disk.read(TAKEN, FILES_BYTES_MAX)?;
    if let Some(list) = taken.as_deref().and_then(parts).and_then(|(_, list)| SnapshotList::decode(list).ok())
    {
        named.extend(list.shards.0.iter().map(|shard| shard.file.name()));
    }
    let is_stale = |name: &&String| name.len() == 64 && !named.contains(*name);
    names.iter().filter(is_stale).try_for_each(|name| disk.remove(name))
}

/// Notes that the gateway has put in force the state of this root, if that is what came last.
///
/// # Errors
/// When it is not on the disk.
pub fn keep_taken(disk: &mut impl Disk, root: &[u8; 32]) -> io::Result<()> {
    let Some(bytes) = disk.read(HELD, FILES_BYTES_MAX)? else { return Ok(()) };
    let head = parts(&bytes).and_then(|(head, _)| Signed::decode(head).ok());
    let head = head.and_then(|signed| Object::<Head>::decode(signed.bytes()).ok());
    if head.is_some_and(|head| head.body.root == *root) {
        disk.write(TAKEN, &bytes)?;
        if does_wait(disk)? {
            disk.remove(WAITS)?;
        }
    }
    Ok(())
}

/// Notes that what has come waits for the operator, until something is put in force.
///
/// # Errors
/// When it is not on the disk.
pub fn keep_waiting(disk: &mut impl Disk) -> io::Result<()> {
    disk.write(WAITS, b"")
}

/// Whether something waited for the operator when a process before ended, and nothing was put in force since.
///
/// # Errors
/// When the disk does not say.
pub fn does_wait(disk: &impl Disk) -> io::Result<bool> {
    Ok(disk.read(WAITS, 1)?.is_some())
}
