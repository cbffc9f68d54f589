//! What is kept on disk: what is trusted, the rules, and the signed bytes of what is in force, which are checked again when they are
//! read.
//!
//! Each file is written whole beside the old one, reaches the disk, and takes its place. What is trusted is written before what is in
//! force is used, and after a failure in between what is in force is an older version, which is never taken for the newest.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_feed::{Entry, FileRef, HEAD_BYTES_MAX, Head, Reject, Rulebook, State};
use credence_law::Signed;
use credence_law::layout::Layout;
use credence_law::party::World;

use super::journal::{Came, Journal};
use super::refresh::FILES_BYTES_MAX;
use super::{Held, Next, Trusted};

/// Where what is trusted stands.
const TRUSTED: &str = "trusted";
/// The head that is trusted, as it was signed, so that it can be shown to others when there is another one.
const HEAD: &str = "head";
/// The rules, one behind the other with their lengths.
const RULES: &str = "rules";
/// What is in force: its head as it was signed, and by which files it is had. In one file, so that they belong together after every
/// failure.
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

/// Owner writes, group reads.
const MODE: u32 = 0o640;

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
        let mode = fs::Permissions::from_mode(MODE);
        let mut beside = tempfile::Builder::new().prefix(".").permissions(mode).tempfile_in(&self.0)?;
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
    /// The head that is trusted, as it was signed.
    pub head: Option<Signed>,
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

impl Copy {
    /// The file that says which files it is had by.
    const fn name(self) -> &'static str {
        match self {
            Self::Taken => TAKEN,
            Self::Offered => HELD,
        }
    }
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
        match known(disk) {
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
        match trusted_head(disk, &kept.trusted) {
            Ok(head) => kept.head = head,
            Err(fault) => faults.push(fault),
        }
        (kept, faults)
    }

    /// What the gateway has put in force of a world, or what is offered to it, checked as if it had just come, but for what was
    /// checked `before`; none where there is nothing. Where it goes on from there, no more is read than what is new.
    ///
    /// # Errors
    /// When it cannot be read, or does not stand.
    pub fn of(
        disk: &impl Disk,
        world: World,
        which: Copy,
        before: Option<&Held>,
    ) -> Result<Option<Held>, Unkept> {
        let Some(rules) = rules(disk, world, before.map(|held| held.state.rules()))? else { return Ok(None) };
        let held = held(disk, &rules, which.name(), before)?;
        Ok(held.map(|(_, held)| held))
    }

    /// Whether such a copy is had from `before` by what has changed, so that [`of`](Self::of) takes little time and memory: unless another
    /// one takes its place in between.
    pub fn is_near(disk: &impl Disk, which: Copy, before: &Held) -> bool {
        let journal = Journal::read(disk, which.name()).ok().flatten();
        journal.is_some_and(|journal| journal.passed(&before.state).is_some())
    }
}

/// What is never to be older again.
pub(super) fn known(disk: &impl Disk) -> Result<Trusted, Unkept> {
    let Some(bytes) = disk.read(TRUSTED, 1 << 12)? else { return Ok(Trusted::default()) };
    Trusted::decode(&bytes).ok_or(Unkept::Damaged(TRUSTED))
}

/// The head that is trusted; none where another one is there, since the process ended between the two.
fn trusted_head(disk: &impl Disk, trusted: &Trusted) -> Result<Option<Signed>, Unkept> {
    let Some(bytes) = disk.read(HEAD, HEAD_BYTES_MAX as u64)? else { return Ok(None) };
    let signed = Signed::decode(&bytes).map_err(Reject::from)?;
    Ok((Head::hash(&signed) == trusted.head).then_some(signed))
}

/// The rules of a world that were kept, checked as if they had just come; none where there are none.
///
/// # Errors
/// When they cannot be read, or do not stand.
pub fn kept_rules(disk: &impl Disk, world: World) -> Result<Option<Arc<Rulebook>>, Unkept> {
    rules(disk, world, None)
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

/// What the file of this name says is in force, checked by these rules; what `before` has checked by them is not checked again.
fn held(
    disk: &impl Disk,
    rules: &Arc<Rulebook>,
    name: &'static str,
    before: Option<&Held>,
) -> Result<Option<(Trusted, Held)>, Unkept> {
    let Some(journal) = Journal::read(disk, name)? else { return Ok(None) };
    let head = Head::open(&journal.head, rules.law()?)?;
    let before = before.map(|held| &held.state).filter(|before| Arc::ptr_eq(before.rules(), rules));
    let state = State::check(rules, journal.parts(disk, before)?, before, head.issued)?;
    if state.root() != head.root {
        return Err(Reject::State.into());
    }
    let (session, serial) = (head.session, head.serial);
    let held = Held { session, serial, state, came: Arc::new(Came::Nothing) };
    Ok(Some((Trusted::of(&journal.head, &head, 0), held)))
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
    disk.write(HEAD, &next.head.encode())?;
    keep_known(disk, &next.trusted)
}

/// Writes down what is never to be older again, without its head.
pub(super) fn keep_known(disk: &mut impl Disk, trusted: &Trusted) -> io::Result<()> {
    disk.write(TRUSTED, &trusted.encode())
}

/// Writes down what is in force, so that a start needs no mirror. Until it is whole, a start finds what was kept before, or nothing.
///
/// # Errors
/// When it is not on the disk.
pub fn keep_state(disk: &mut impl Disk, head: &Signed, held: &Held) -> io::Result<()> {
    // One that cannot be read is begun anew.
    let before = Journal::read(disk, HELD).ok().flatten();
    let journal = Journal::lead(before, (head, &held.state, &held.came), disk)?;
    disk.write(HELD, &journal.to_bytes())?;
    let taken = Journal::read(disk, TAKEN).ok().flatten();
    let named: HashSet<String> =
        journal.files().chain(taken.iter().flat_map(Journal::files)).map(FileRef::name).collect();
    let is_stale = |name: &&String| name.len() == 64 && !named.contains(*name);
    disk.names()?.iter().filter(is_stale).try_for_each(|name| disk.remove(name))
}

/// Notes that the gateway has put in force the state of this root, if that is what came last.
///
/// # Errors
/// When it is not on the disk.
pub fn keep_taken(disk: &mut impl Disk, root: &[u8; 32]) -> io::Result<()> {
    let Some(bytes) = disk.read(HELD, FILES_BYTES_MAX)? else { return Ok(()) };
    if Journal::read(disk, HELD).ok().flatten().is_some_and(|journal| journal.states(root)) {
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
