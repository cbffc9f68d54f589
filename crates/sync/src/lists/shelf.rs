//! Copies of lists on disk: for each the one in use, the one that is offered, and notes.
//!
//! ```text
//! NAME.snapshot   what the gateway took, and begins with
//! NAME.offered    what came since and was not taken yet
//! NAME.json       when the list was had last, under which number, and what to ask by
//! NAME.tried      that a copy is offered to a gateway which has not answered yet
//! ```
//!
//! Each file is replaced in one step and is on the disk before the next step is taken, so that after a crash at any point there
//! is the state before it or the one after: at worst a list is fetched once more. What cannot be read counts as missing.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use credence_credit::{Snapshot, file};
use credence_law::layout::Layout;
use serde::{Deserialize, Serialize};

use crate::fetch::Validators;
use crate::tried::{TRIED_BYTES_MAX, Tried};

/// Owner writes, group reads.
const MODE: u32 = 0o640;

/// The longest notes that are read, in bytes: twice what two validators of full length take.
const NOTES_LEN_MAX: u64 = 2_048;

/// What is known of a list beside its copies.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notes {
    /// The number of the copy that came last; 0 for none.
    pub serial: u64,
    /// When that copy was made, in Unix seconds.
    pub created_s: u64,
    /// When the list was had last, changed or not, in Unix seconds; 0 for never.
    pub checked_s: u64,
    /// The number of the copy that waits for the operator; 0 for none.
    pub held: u64,
    /// What to ask by whether there is a newer one.
    pub validators: Validators,
}

/// A directory of copies.
#[derive(Clone, Debug)]
pub struct Shelf(PathBuf);

impl Shelf {
    /// The copies in `directory`, which is there.
    pub const fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// The copy of the list `name` that was taken.
    pub fn taken(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.snapshot"))
    }

    /// The copy of the list `name` that is offered.
    pub fn offered(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.offered"))
    }

    /// The notes on a list. Of a copy that is not there any more only the time is kept, so that all of it is asked for.
    pub fn notes(&self, name: &str) -> Notes {
        let notes = read_notes(&self.notes_path(name)).unwrap_or_default();
        let is_there =
            [self.offered(name), self.taken(name)].iter().any(|copy| serial(copy) == Some(notes.serial));
        if is_there { notes } else { Notes { validators: Validators::default(), ..notes } }
    }

    /// The copy of that number, offered or taken, if it is there.
    pub fn last(&self, name: &str, number: u64) -> Option<Snapshot> {
        let copies = [self.offered(name), self.taken(name)];
        copies.iter().filter_map(|copy| file::read(copy).ok()).find(|copy| copy.header().serial == number)
    }

    /// The number of the copy that is offered, if there is one.
    pub fn offer(&self, name: &str) -> Option<u64> {
        serial(&self.offered(name))
    }

    /// Notes that the copy of that number waits for the operator; whether it is offered.
    ///
    /// # Errors
    /// When that cannot be kept.
    pub fn hold(&self, name: &str, number: u64) -> io::Result<bool> {
        if self.offer(name) != Some(number) {
            return Ok(false);
        }
        self.note(name, &Notes { held: number, ..self.notes(name) }).map(|()| true)
    }

    /// Offers a copy. The notes follow it: a crash between the two has the list fetched once more.
    ///
    /// # Errors
    /// When it cannot be kept; what was there stays.
    pub fn put(&self, name: &str, snapshot: &Snapshot, notes: &Notes) -> io::Result<()> {
        file::write(&self.offered(name), snapshot).map_err(io::Error::other)?;
        self.note(name, notes)
    }

    /// Writes notes.
    ///
    /// # Errors
    /// When they cannot be kept; those before stay.
    pub fn note(&self, name: &str, notes: &Notes) -> io::Result<()> {
        self.write(&self.notes_path(name), &serde_json::to_vec(notes)?)
    }

    /// Which copy of a list was offered to a gateway that has not answered; what cannot be read counts as none.
    pub(super) fn tried(&self, name: &str) -> Option<Tried> {
        Tried::from_bytes(&read_most(&self.tried_path(name), TRIED_BYTES_MAX)?).ok()
    }

    /// Writes down which copy of a list is offered to a gateway.
    ///
    /// # Errors
    /// When that cannot be kept.
    pub(super) fn tries(&self, name: &str, tried: &Tried) -> io::Result<()> {
        self.write(&self.tried_path(name), &tried.to_bytes())
    }

    /// Forgets that a copy was offered: the gateway has answered.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn answered(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.tried_path(name))?;
        self.sync()
    }

    /// Replaces a file in one step.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".notes-").suffix(".part").tempfile_in(&self.0)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(Permissions::from_mode(MODE))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        self.sync()
    }

    /// Lets the copy that is offered under that number take the place of the one in use; whether it is offered.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn take(&self, name: &str, number: u64) -> io::Result<bool> {
        if self.offer(name) != Some(number) {
            return Ok(false);
        }
        fs::rename(self.offered(name), self.taken(name))?;
        self.sync().map(|()| true)
    }

    /// Throws the copy away that is offered under that number; whether it was offered.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn leave(&self, name: &str, number: u64) -> io::Result<bool> {
        if self.offer(name) != Some(number) {
            return Ok(false);
        }
        fs::remove_file(self.offered(name))?;
        self.sync().map(|()| true)
    }

    fn notes_path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.json"))
    }

    fn tried_path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.tried"))
    }

    /// Names are on the disk only when their directory is.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

fn read_notes(path: &Path) -> Option<Notes> {
    serde_json::from_slice(&read_most(path, NOTES_LEN_MAX)?).ok()
}

fn read_most(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The number of a copy, where it can be read whole.
fn serial(copy: &Path) -> Option<u64> {
    file::read(copy).ok().map(|snapshot| snapshot.header().serial)
}

#[cfg(test)]
mod tests {
    use credence_credit::{Header, Issuer};

    use super::*;

    fn snapshot(serial: u64) -> Snapshot {
        let header = Header { session: 0, serial, created: serial };
        Snapshot::new(header, vec![Issuer::new("list").unwrap()], Vec::new()).unwrap()
    }

    fn notes(serial: u64) -> Notes {
        let validators = Validators { etag: Some(format!("\"{serial}\"")), last_modified: None };
        Notes { serial, created_s: serial, checked_s: 100 + serial, held: 0, validators }
    }

    fn shelf() -> (tempfile::TempDir, Shelf) {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(directory.path().to_owned());
        (directory, shelf)
    }

    #[test]
    fn a_copy_is_offered_and_then_taken() {
        let (_directory, shelf) = shelf();
        assert_eq!((shelf.notes("list"), shelf.offer("list")), (Notes::default(), None));
        shelf.put("list", &snapshot(1), &notes(1)).unwrap();
        assert_eq!((shelf.notes("list"), shelf.offer("list")), (notes(1), Some(1)));
        assert!(!shelf.taken("list").exists());
        assert!(shelf.take("list", 1).unwrap() && !shelf.take("list", 1).unwrap());
        assert_eq!((serial(&shelf.taken("list")), shelf.offer("list")), (Some(1), None));
        assert_eq!(shelf.notes("list"), notes(1), "its validators are those of the copy in use");
        assert_eq!(shelf.offer("other"), None);
        assert_eq!(fs::metadata(shelf.notes_path("list")).unwrap().permissions().mode() & 0o777, MODE);
    }

    #[test]
    fn what_is_offered_since_is_not_what_was_taken() {
        let (_directory, shelf) = shelf();
        shelf.put("list", &snapshot(1), &notes(1)).unwrap();
        shelf.put("list", &snapshot(2), &notes(2)).unwrap();
        assert!(!shelf.take("list", 1).unwrap() && !shelf.leave("list", 1).unwrap());
        assert_eq!(shelf.offer("list"), Some(2));
        assert!(shelf.leave("list", 2).unwrap());
        assert_eq!(shelf.offer("list"), None);
        let asks = Notes { validators: Validators::default(), ..notes(2) };
        assert_eq!(shelf.notes("list"), asks, "what was thrown away is asked for whole");
    }

    #[test]
    fn what_waits_for_the_operator_is_noted_until_another_copy_comes() {
        let (_directory, shelf) = shelf();
        shelf.put("list", &snapshot(1), &notes(1)).unwrap();
        assert!(!shelf.hold("list", 2).unwrap() && shelf.hold("list", 1).unwrap());
        assert_eq!(shelf.notes("list"), Notes { held: 1, ..notes(1) });
        shelf.put("list", &snapshot(2), &notes(2)).unwrap();
        assert_eq!(shelf.notes("list").held, 0);
    }

    #[test]
    fn whatever_is_damaged_counts_as_missing() {
        let (_directory, shelf) = shelf();
        shelf.put("list", &snapshot(1), &notes(1)).unwrap();
        assert!(shelf.take("list", 1).unwrap());
        let whole = fs::read(shelf.notes_path("list")).unwrap();
        for cut in 0..whole.len() {
            fs::write(shelf.notes_path("list"), &whole[..cut]).unwrap();
            assert_eq!(shelf.notes("list"), Notes::default(), "{cut}");
        }
        fs::write(shelf.notes_path("list"), "x".repeat(1 << 20)).unwrap();
        assert_eq!(shelf.notes("list"), Notes::default());
        fs::write(shelf.notes_path("list"), &whole).unwrap();
        assert_eq!(shelf.notes("list"), notes(1));
        let mut copy = fs::read(shelf.taken("list")).unwrap();
        *copy.last_mut().unwrap() ^= 1;
        fs::write(shelf.taken("list"), copy).unwrap();
        assert!(shelf.notes("list").validators.is_empty(), "a damaged copy is fetched anew");
    }

    /// What a crash between any two steps leaves behind.
    #[test]
    fn a_crash_at_any_step_has_the_list_fetched_once_more_at_worst() {
        let (_directory, shelf) = shelf();
        shelf.put("list", &snapshot(1), &notes(1)).unwrap();
        assert!(shelf.take("list", 1).unwrap());
        // Between the copy and its notes.
        file::write(&shelf.offered("list"), &snapshot(2)).unwrap();
        assert_eq!((shelf.notes("list"), shelf.offer("list")), (notes(1), Some(2)));
        // Between the notes of a copy and its taking.
        shelf.note("list", &notes(2)).unwrap();
        assert_eq!((shelf.notes("list"), shelf.offer("list")), (notes(2), Some(2)));
    }
}
