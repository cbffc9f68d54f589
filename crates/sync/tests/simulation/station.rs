//! The platform's own disk, which loses with the power whatever was not told to stay.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use credence_platform::disk::Disk;

use crate::dice::Dice;

/// How often a disk that forgets is told to keep names until it keeps all that it has.
const FLUSHED: u64 = 5;

/// Files in memory that outlive the process, and the power as far as they were told to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Station(Arc<Mutex<Spindle>>);

/// A file, whatever its name is.
#[derive(Debug)]
struct Written {
    bytes: Vec<u8>,
    is_kept: bool,
}

#[derive(Debug, Default)]
struct Spindle {
    files: BTreeMap<u64, Written>,
    number: u64,
    /// The names as a process sees them, and as they are on the disk.
    names: BTreeMap<String, u64>,
    kept: BTreeMap<String, u64>,
    /// After how many more steps the power is gone.
    stops_after: Option<u32>,
    /// Whether nothing that is told to stay does before the disk sees fit, and how often names were told to.
    forgets: bool,
    told: u64,
}

impl Station {
    /// A disk that says that things stay, and keeps them when it sees fit.
    pub(crate) fn that_forgets(self, forgets: bool) -> Self {
        self.spindle().forgets = forgets;
        self
    }

    /// Lets the power go after so many more steps; none of the later ones is made.
    pub(crate) fn stop_after(&self, steps: u32) {
        self.spindle().stops_after = Some(steps);
    }

    /// The power was gone, and is there again. Of what was not told to stay any part does.
    pub(crate) fn lose_power(&self, dice: &mut Dice) {
        let spindle = &mut *self.spindle();
        spindle.stops_after = None;
        let all: BTreeSet<String> = spindle.names.keys().chain(spindle.kept.keys()).cloned().collect();
        let mut left = BTreeMap::new();
        for name in all {
            let (now, kept) = (spindle.names.get(&name), spindle.kept.get(&name));
            let is_now = now == kept || dice.happens(500);
            left.extend(if is_now { now } else { kept }.map(|number| (name, *number)));
        }
        for file in spindle.files.values_mut().filter(|file| !file.is_kept) {
            let share = dice.below(3) as usize;
            file.bytes.truncate(file.bytes.len() * share / 2);
            file.is_kept = true;
        }
        (spindle.kept, spindle.names) = (left.clone(), left);
        spindle.sweep();
    }

    /// Half of a file is gone, which one a number says.
    pub(crate) fn rot(&self, number: usize) {
        let spindle = &mut *self.spindle();
        let Some(rotten) = number.checked_rem(spindle.names.len()) else { return };
        if let Some(file) =
            spindle.names.values().nth(rotten).and_then(|number| spindle.files.get_mut(number))
        {
            file.bytes.truncate(file.bytes.len() / 2);
        }
    }

    fn spindle(&self) -> MutexGuard<'_, Spindle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a step, if there is power.
    fn step(&self) -> io::Result<MutexGuard<'_, Spindle>> {
        let mut spindle = self.spindle();
        match &mut spindle.stops_after {
            Some(0) => return Err(io::Error::other("the power is gone")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(spindle)
    }
}

impl Spindle {
    fn of(&mut self, name: &str) -> io::Result<&mut Written> {
        let number = self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        self.files.get_mut(number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Forgets files without a name.
    fn sweep(&mut self) {
        let named: BTreeSet<u64> = self.names.values().chain(self.kept.values()).copied().collect();
        self.files.retain(|number, _| named.contains(number));
    }
}

impl Disk for Station {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.spindle().of(name).map(|file| file.bytes.clone())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.spindle().names.keys().cloned().collect())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let spindle = &mut *self.step()?;
        spindle.number += 1;
        spindle.files.insert(spindle.number, Written { bytes: bytes.to_vec(), is_kept: false });
        spindle.names.insert(name.to_owned(), spindle.number);
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let spindle = &mut *self.step()?;
        let forgets = spindle.forgets;
        spindle.of(name)?.is_kept |= !forgets;
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let spindle = &mut *self.step()?;
        let number = spindle.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        spindle.names.insert(to.to_owned(), number);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let spindle = &mut *self.step()?;
        spindle.names.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        let spindle = &mut *self.step()?;
        spindle.told += 1;
        if !spindle.forgets {
            spindle.kept = spindle.names.clone();
        } else if spindle.told.is_multiple_of(FLUSHED) {
            spindle.kept = spindle.names.clone();
            spindle.files.values_mut().for_each(|file| file.is_kept = true);
        }
        spindle.sweep();
        Ok(())
    }
}
