//! A gateway's disk, and what happens to it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use credence_sync::feed::{Disk, Trusted};

use crate::dice::Dice;

/// Files in memory that outlive the processes which have them open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drive(Rc<RefCell<Platter>>);

#[derive(Debug, Default)]
struct Platter {
    files: BTreeMap<String, Vec<u8>>,
    /// After how many more changes the machine stops.
    stops_after: Option<u32>,
    /// Nothing can be written, as when it is full.
    is_full: bool,
}

impl Drive {
    /// Stops the machine after so many more changes; none of the later ones reaches the disk.
    pub(crate) fn stop_after(&self, changes: u32) {
        self.0.borrow_mut().stops_after = Some(changes);
    }

    /// Whether the machine has stopped.
    pub(crate) fn has_stopped(&self) -> bool {
        self.0.borrow().stops_after == Some(0)
    }

    /// The machine is there again.
    pub(crate) fn start(&self) {
        self.0.borrow_mut().stops_after = None;
    }

    pub(crate) fn fill(&self, is_full: bool) {
        self.0.borrow_mut().is_full = is_full;
    }

    /// A bit of some file is another one from now on; which file, if there is any.
    pub(crate) fn rot(&self, dice: &mut Dice) -> Option<String> {
        let mut platter = self.0.borrow_mut();
        let names: Vec<String> = platter.files.keys().cloned().collect();
        let name = (!names.is_empty()).then(|| dice.one(&names))?;
        let bytes = platter.files.get_mut(&name)?;
        let bit = (!bytes.is_empty()).then(|| dice.below(bytes.len() as u64 * 8) as usize)?;
        bytes[bit / 8] ^= 1 << (bit % 8);
        Some(name)
    }

    /// Whether what is never to be older again stands there as it was written.
    pub(crate) fn has_trusted(&self) -> bool {
        self.0.borrow().files.get("trusted").is_some_and(|bytes| Trusted::decode(bytes).is_some())
    }

    /// All files as they are now.
    pub(crate) fn image(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.borrow().files.clone()
    }

    /// Somebody puts files of another time back.
    pub(crate) fn set_back(&self, image: BTreeMap<String, Vec<u8>>) {
        self.0.borrow_mut().files = image;
    }
}

impl Platter {
    /// Makes room for a change, if there can be one.
    fn change(&mut self) -> io::Result<&mut BTreeMap<String, Vec<u8>>> {
        if self.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match &mut self.stops_after {
            Some(0) => return Err(io::Error::other("the machine has stopped")),
            Some(left) => *left -= 1,
            None => {}
        }
        if self.stops_after == Some(0) {
            return Err(io::Error::other("the machine stops"));
        }
        Ok(&mut self.files)
    }
}

impl Disk for Drive {
    fn read(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let found = self.0.borrow().files.get(name).cloned();
        match found {
            Some(bytes) if bytes.len() as u64 > most => Err(io::ErrorKind::InvalidData.into()),
            found => Ok(found),
        }
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        platter.change()?.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut platter = self.0.borrow_mut();
        let found = platter.change()?.remove(name);
        found.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().files.keys().cloned().collect())
    }
}
