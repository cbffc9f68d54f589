//! The drafts on disk: in one file, each change of it whole or not there.
//!
//! Two tables hold drafts by their numbers: those that are not finished, and those that are. A record is four bytes with the CRC
//! of the rest, and JSON, so that a bit that a disk has lost is told and not believed. A third table holds the layout's version
//! and the numbers that only go up. A change is synced to disk before it counts.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::account::Row;
use super::draft::Draft;
use super::{Changes, DAY};

/// The name of the file in the state directory.
const FILE: &str = "outbox.redb";
/// Owner writes, group reads: the evidence names sources.
const FILE_MODE: u32 = 0o640;
/// The same for the directory, which the group may list.
const DIRECTORY_MODE: u32 = 0o750;
/// The version of this layout. One that knew of no accounts is read, and is this one from then on.
const VERSION: u64 = 2;
/// How long finished drafts are kept, in seconds: as long as a complaint about what they said can be heard, and then some.
const KEPT_S: u64 = 180 * DAY;
/// Finished drafts that are kept, at most: half a year at a hundred a day.
const KEPT_MAX: u64 = 20_000;

/// Pages that are kept in memory, in bytes.
const CACHE_LEN: usize = 1 << 20;

const WAITING: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("drafts");
const FINISHED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("finished");
const ACCOUNTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("accounts");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// Why the spool cannot be used. What is in it stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The directory or the file cannot be made.
    #[error("{path} cannot be opened: {source}; check that this user may write there")]
    Open {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{0} is in use by another process; `credence outbox` talks to it through its socket")]
    Busy(PathBuf),
    /// The file was damaged.
    #[error("{path} is damaged ({what}); move it away to begin anew, and keep it: what was signed is in it")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A later version wrote the file.
    #[error("{path} has layout {found}, and this version writes {VERSION}; use the version that wrote it")]
    Version {
        /// Which file.
        path: PathBuf,
        /// The layout.
        found: u64,
    },
    /// It could not be written.
    #[error("the outbox cannot be written: {0}; nothing is sent until it can")]
    Write(String),
}

/// What was on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Drafts that are not finished, and those that were finished lately.
    pub drafts: Vec<Draft>,
    /// The number of the last draft.
    pub last_draft: u64,
    /// The number of the last act.
    pub last_act: u64,
    /// Accounts of periods that are not told of yet.
    pub rows: Vec<Row>,
    /// Until when periods are closed, in Unix seconds.
    pub closed: u64,
}

/// The drafts on disk.
#[derive(Debug)]
pub struct Spool {
    file: PathBuf,
    database: Database,
}

impl Spool {
    /// Opens the spool in a directory, which is made if it is not there, with mode 0750; the file has 0640.
    ///
    /// # Errors
    /// When it cannot be opened, or holds what this version did not write.
    pub fn open(directory: &Path) -> Result<Self, SpoolError> {
        let failed = |path: &Path, source| SpoolError::Open { path: path.to_owned(), source };
        let made = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory);
        made.map_err(|source| failed(directory, source))?;
        let path = directory.join(FILE);
        if !fs::exists(&path).map_err(|source| failed(&path, source))? {
            make(directory, &path).map_err(|source| failed(&path, source))?;
        }
        let spool = Self::at(&path, OpenOptions::new().read(true).write(true))?;
        spool.begin()?;
        Ok(spool)
    }

    /// Whether there is a spool in a directory. Whoever only wants to look makes none, since it would be theirs.
    pub fn is_there(directory: &Path) -> bool {
        fs::exists(directory.join(FILE)).unwrap_or(true)
    }

    /// The database in a file. Every page is looked at, so that a damaged file is told now and not in the middle of something.
    fn at(path: &Path, options: &OpenOptions) -> Result<Self, SpoolError> {
        let file = options.open(path);
        let file = file.map_err(|source| SpoolError::Open { path: path.to_owned(), source })?;
        let damaged = |what: String| SpoolError::Damaged { path: path.to_owned(), what };
        if path.ends_with(FILE) && fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
            return Err(damaged("it is empty".to_owned()));
        }
        let database = FileBackend::new(file).and_then(|file| {
            let mut options = Database::builder();
            options.set_cache_size(CACHE_LEN).set_check_integrity_on_open(true).create_with_backend(file)
        });
        let database = database.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => SpoolError::Busy(path.to_owned()),
            error => damaged(error.to_string()),
        })?;
        Ok(Self { file: path.to_owned(), database })
    }

    /// Makes the tables where there are none, and looks at the version.
    fn begin(&self) -> Result<(), SpoolError> {
        let found = self.written(|transaction| {
            transaction.open_table(WAITING)?;
            transaction.open_table(FINISHED)?;
            transaction.open_table(ACCOUNTS)?;
            let mut numbers = transaction.open_table(NUMBERS)?;
            let found = numbers.get("version")?.map(|version| version.value());
            if found.is_none_or(|found| found < VERSION) {
                numbers.insert("version", VERSION)?;
                return Ok(VERSION);
            }
            Ok(found.unwrap_or(VERSION))
        })?;
        if found == VERSION { Ok(()) } else { Err(SpoolError::Version { path: self.file.clone(), found }) }
    }

    /// What an outbox begins with: all drafts that are not finished, and those that were opened from this moment on (Unix seconds).
    ///
    /// # Errors
    /// When a record is damaged.
    pub fn read(&self, since: u64) -> Result<Kept, SpoolError> {
        let mut drafts = self.drafts(WAITING)?;
        drafts.extend(self.finished()?.into_iter().filter(|draft| draft.opened >= since));
        drafts.sort_unstable_by_key(|draft| draft.number);
        let number = |name: &str| -> Result<u64, redb::Error> {
            let numbers = self.database.begin_read()?.open_table(NUMBERS)?;
            Ok(numbers.get(name)?.map(|number| number.value()).unwrap_or_default())
        };
        let number = |name| number(name).map_err(|error| self.damaged(error.to_string()));
        let (last_draft, last_act) = (number("last_draft")?, number("last_act")?);
        Ok(Kept { drafts, last_draft, last_act, rows: self.rows()?, closed: number("closed")? })
    }

    /// Drafts that are finished, in the order of their numbers.
    ///
    /// # Errors
    /// When a record is damaged.
    pub fn finished(&self) -> Result<Vec<Draft>, SpoolError> {
        self.drafts(FINISHED)
    }

    fn rows(&self) -> Result<Vec<Row>, SpoolError> {
        let read = || -> Result<Vec<Option<Row>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(ACCOUNTS)?;
            let records = table.iter()?.map(|record| {
                let (name, bytes) = record?;
                Ok(unpack(bytes.value()).filter(|row: &Row| row.line.name() == name.value()))
            });
            records.collect()
        };
        let rows = read().map_err(|error| self.damaged(error.to_string()))?;
        let whole = rows.into_iter().collect::<Option<Vec<_>>>();
        whole.ok_or_else(|| self.damaged("an account does not match its checksum".to_owned()))
    }

    fn drafts(&self, table: TableDefinition<'_, u64, &[u8]>) -> Result<Vec<Draft>, SpoolError> {
        let read = || -> Result<Vec<(u64, Option<Draft>)>, redb::Error> {
            let table = self.database.begin_read()?.open_table(table)?;
            let records = table.iter()?.map(|record| {
                let (number, bytes) = record?;
                Ok((
                    number.value(),
                    unpack(bytes.value()).filter(|draft: &Draft| draft.number == number.value()),
                ))
            });
            records.collect()
        };
        let records = read().map_err(|error| self.damaged(error.to_string()))?;
        let whole = records.into_iter().map(|(number, draft)| {
            draft.ok_or_else(|| self.damaged(format!("draft {number} does not match its checksum")))
        });
        whole.collect()
    }

    fn damaged(&self, what: String) -> SpoolError {
        SpoolError::Damaged { path: self.file.clone(), what }
    }

    /// Writes changes, and returns when they are on disk. Finished drafts that are older than half a year at `now` (Unix seconds), or
    /// more than there is room for, go.
    ///
    /// # Errors
    /// When they cannot be written; then nothing of them is there.
    pub fn store(&self, changes: &Changes<'_>, now: u64) -> Result<(), SpoolError> {
        self.written(|transaction| {
            let mut waiting = transaction.open_table(WAITING)?;
            let mut finished = transaction.open_table(FINISHED)?;
            for draft in &changes.drafts {
                if draft.is_finished() {
                    waiting.remove(draft.number)?;
                    finished.insert(draft.number, pack(draft).as_slice())?;
                } else {
                    waiting.insert(draft.number, pack(draft).as_slice())?;
                }
            }
            forget(&mut finished, now)?;
            let mut accounts = transaction.open_table(ACCOUNTS)?;
            for (line, row) in &changes.rows {
                match row {
                    Some(row) => accounts.insert(line.name().as_str(), pack(row).as_slice())?,
                    None => accounts.remove(line.name().as_str())?,
                };
            }
            let mut numbers = transaction.open_table(NUMBERS)?;
            numbers.insert("last_draft", changes.last_draft)?;
            numbers.insert("last_act", changes.last_act)?;
            numbers.insert("closed", changes.closed)?;
            Ok(())
        })
    }

    fn written<T>(
        &self,
        write: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, SpoolError> {
        let done = || {
            let mut transaction = self.database.begin_write()?;
            // So that a start after a crash never has to choose between two states: what was acknowledged is the one there is.
            transaction.set_two_phase_commit(true);
            let done = write(&transaction)?;
            transaction.commit()?;
            Ok::<_, redb::Error>(done)
        };
        done().map_err(|error| SpoolError::Write(error.to_string()))
    }
}

/// Makes an empty spool under a name of its own, and gives it its name when it is whole. A process that is killed while it makes
/// one leaves nothing that could be taken for the spool.
fn make(directory: &Path, path: &Path) -> io::Result<()> {
    let fresh = directory.join(format!("{FILE}.{}", process::id()));
    let _ = fs::remove_file(&fresh);
    let mut options = OpenOptions::new();
    let made = Spool::at(&fresh, options.read(true).write(true).create_new(true).mode(FILE_MODE));
    made.and_then(|spool| spool.begin()).map_err(io::Error::other)?;
    let named = match fs::hard_link(&fresh, path) {
        // Somebody else was as far a moment before.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        named => named,
    };
    fs::remove_file(&fresh)?;
    named?;
    File::open(directory)?.sync_all()
}

/// Lets the oldest finished drafts go.
fn forget(finished: &mut Table<'_, u64, &[u8]>, now: u64) -> Result<(), redb::Error> {
    loop {
        let oldest = finished.first()?.map(|(number, bytes)| {
            let opened = unpack(bytes.value()).map_or(0, |draft: Draft| draft.opened);
            (number.value(), opened)
        });
        let Some((number, opened)) = oldest else { return Ok(()) };
        if finished.len()? <= KEPT_MAX && opened.saturating_add(KEPT_S) >= now {
            return Ok(());
        }
        finished.remove(number)?;
    }
}

/// A draft or a row with its checksum before it.
fn pack(record: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(record).expect("drafts and rows have text for keys");
    [crc32fast::hash(&json).to_be_bytes().as_slice(), &json].concat()
}

/// What these bytes hold, if none of them was lost.
fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (sum, json) = bytes.split_first_chunk()?;
    let is_whole = crc32fast::hash(json) == u32::from_be_bytes(*sum);
    is_whole.then(|| serde_json::from_slice(json).ok())?
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::super::world::{NOW_MS, footing, key, law, scan};
    use super::super::{Limits, Outbox, Outcome, Rule, Turn};
    use super::*;

    const NOW: u64 = NOW_MS / 1_000;

    /// An outbox with a draft of each of some subjects, one of them signed, and its spool.
    fn filled(directory: &Path) -> (Spool, Outbox) {
        let (law, key) = (law(), key(1, 0));
        let spool = Spool::open(directory).unwrap();
        let mut outbox = Outbox::new(Rule::Automatic, Limits::default(), spool.read(0).unwrap());
        let footing = footing(&law, &key, NOW_MS);
        for source in ["2a00:1:0:100::1", "2a00:1:0:200::1", "2a00:2::1"] {
            assert_eq!(outbox.see(&scan(source, NOW_MS), &footing, [1; 32]), Outcome::Drafted);
        }
        while outbox.turn(&footing) == Turn::Store {
            spool.store(&outbox.changes(), NOW).unwrap();
            outbox.stored();
        }
        (spool, outbox)
    }

    #[test]
    fn what_was_stored_is_read_back_and_readable_by_few() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("state");
        assert!(!Spool::is_there(&inside));
        let (spool, outbox) = filled(&inside);
        let kept = spool.read(0).unwrap();
        assert_eq!(kept.drafts, outbox.drafts().cloned().collect::<Vec<_>>());
        assert_eq!((kept.last_draft, kept.last_act), (3, NOW_MS));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&inside), mode(&inside.join(FILE))), (0o750, 0o640));
        assert!(Spool::is_there(&inside) && matches!(Spool::open(&inside), Err(SpoolError::Busy(_))));
        drop(spool);
        assert_eq!(Spool::open(&inside).unwrap().read(0).unwrap(), kept);
    }

    /// A file that was begun and not finished used to be taken for a damaged spool.
    #[test]
    fn what_a_killed_process_left_half_made_is_no_spool() {
        let directory = tempfile::tempdir().unwrap();
        let mine = directory.path().join(format!("{FILE}.{}", process::id()));
        for left in [mine, directory.path().join(format!("{FILE}.1"))] {
            fs::write(left, [0; 4_096]).unwrap();
        }
        drop(filled(directory.path()));
        assert_eq!(Spool::open(directory.path()).unwrap().read(0).unwrap().drafts.len(), 3);
        fs::write(directory.path().join(FILE), "").unwrap();
        assert!(matches!(Spool::open(directory.path()), Err(SpoolError::Damaged { .. })), "an empty file");
    }

    #[test]
    fn finished_drafts_are_kept_for_half_a_year() {
        let directory = tempfile::tempdir().unwrap();
        let (spool, mut outbox) = filled(directory.path());
        outbox.drop(3).unwrap();
        spool.store(&outbox.changes(), NOW).unwrap();
        outbox.stored();
        assert_eq!(spool.finished().unwrap().len(), 1);
        assert_eq!(
            spool.read(NOW + 1).unwrap().drafts.len(),
            2,
            "and is no part of what is still to be done"
        );
        spool.store(&outbox.changes(), NOW + KEPT_S).unwrap();
        assert_eq!(spool.finished().unwrap().len(), 1);
        spool.store(&outbox.changes(), NOW + KEPT_S + 1).unwrap();
        assert_eq!(spool.finished().unwrap(), []);
    }

    #[test]
    fn a_later_layout_is_told_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (spool, _) = filled(directory.path());
        let later = |transaction: &redb::WriteTransaction| {
            transaction.open_table(NUMBERS)?.insert("version", VERSION + 1)?;
            Ok(())
        };
        spool.written(later).unwrap();
        drop(spool);
        for _ in 0..2 {
            let told = Spool::open(directory.path()).unwrap_err();
            assert!(matches!(told, SpoolError::Version { found: 3, .. }), "{told}");
        }
    }

    #[test]
    fn a_record_that_lost_a_bit_is_told() {
        let draft = filled(tempfile::tempdir().unwrap().path()).1.drafts().next().unwrap().clone();
        let good = pack(&draft);
        assert_eq!(unpack(&good), Some(draft));
        for place in 0..good.len() {
            let mut bytes = good.clone();
            bytes[place] ^= 1 << (place % 8);
            assert_eq!(unpack::<Draft>(&bytes), None, "byte {place}");
        }
        assert_eq!(unpack::<Draft>(&good[..3]), None);
    }

    /// Bits that a disk has lost are told, or lie where nothing is; nothing else is ever read.
    #[test]
    fn a_file_that_lost_a_bit_is_told_or_reads_as_before() {
        let directory = tempfile::tempdir().unwrap();
        let (spool, _) = filled(directory.path());
        let kept = spool.read(0).unwrap();
        drop(spool);
        let path = directory.path().join(FILE);
        let good = fs::read(&path).unwrap();
        let used = good.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(place, _)| place);
        let mut told = 0;
        for place in used.step_by(211) {
            let mut bytes = good.clone();
            bytes[place] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            match Spool::open(directory.path()).and_then(|spool| spool.read(0)) {
                Ok(read) => assert_eq!(read, kept, "byte {place}"),
                Err(_) => told += 1,
            }
        }
        assert!(told > 10, "{told}");
    }
}
