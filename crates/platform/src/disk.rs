//! Small files that survive a failure of the machine.
//!
//! A file that was written lies in the machine's memory, and so does a name that was given to it, until each was told to reach the
//! disk. What a power failure leaves of the rest is anything: the old file, an empty one, or none. So a file is written beside the old
//! one, reaches the disk, takes its place, and then the names reach the disk. The steps are apart, so that a simulated disk loses
//! whatever was not told to stay.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A place for files. Names are short and plain.
pub trait Disk: Debug + Send {
    /// The bytes of a file.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// The names of all files.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Writes a file, whatever it was.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Lets what was written of a file reach the disk.
    ///
    /// # Errors
    /// When that is not sure.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Gives a file the name of another one, which is gone then.
    ///
    /// # Errors
    /// When it cannot be renamed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a file away.
    ///
    /// # Errors
    /// When there is none, or it stays.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Lets all names reach the disk.
    ///
    /// # Errors
    /// When that is not sure.
    fn sync_names(&self) -> io::Result<()>;

    /// Writes a file beside the old one, lets it reach the disk and puts it in its place. The name may not be on the disk yet: then a
    /// failure of the machine leaves the old one.
    ///
    /// # Errors
    /// When one of that fails. The old one is there then, or the new one, and whole.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let beside = format!("{name}.new");
        self.write(&beside, bytes)?;
        self.sync(&beside)?;
        self.rename(&beside, name)
    }

    /// Puts a file in the place of the old one. When this returns no failure of the machine brings the old one back.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.put(name, bytes)?;
        self.sync_names()
    }
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
}

impl Disk for Folder {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(name))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().into_string().ok());
        fs::read_dir(&self.0)?.filter_map(|entry| name(entry).transpose()).collect()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.0.join(name), bytes)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        File::open(self.0.join(name))?.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}
