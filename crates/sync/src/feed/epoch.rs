//! Which epoch of the public log is followed.
//!
//! A platform that has lost entries for good goes on under another name of its log, and in a new session of its feed. What was
//! known of the log before says nothing of that one, so that nobody can tell it from a fork but by the operator's own word: a
//! gateway follows another epoch when its configuration says so, and not before. From then on it believes no head of the sessions
//! that it knew, whoever shows one, and never goes back.

use std::io;

use super::keep::{Disk, Unkept, keep_known, known};
use super::trusted::Trusted;

/// Where the number of the epoch stands; none is the first.
const EPOCH: &str = "epoch";

/// Why another epoch is not turned to.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// A later one is followed already.
    #[error(
        "epoch {known} of the public log is followed here already, and none before it ever again; set `sync.epoch = {known}`, or follow with an empty `sync.state`"
    )]
    Back {
        /// The one that is followed.
        known: u32,
    },
    /// What was kept cannot be read.
    #[error(transparent)]
    Unkept(#[from] Unkept),
    /// It cannot be written down.
    #[error("the epoch of the public log cannot be written down: {0}")]
    Disk(#[from] io::Error),
}

/// Turns to an epoch, from 1 on, if it is not the one that is followed; whether that was so. What was known of the log is forgotten then, and
/// what is in force stays. Rules never go back, and neither does time.
///
/// # Errors
/// When it is an earlier one, or the disk fails: then the one before is still followed.
pub fn turn_to(disk: &mut impl Disk, epoch: u32) -> Result<bool, EpochError> {
    let before = followed(disk)?;
    if epoch < before {
        return Err(EpochError::Back { known: before });
    }
    if epoch == before {
        return Ok(false);
    }
    let trusted = known(disk)?;
    if trusted != Trusted::default() {
        // A restart in between does the same once more.
        keep_known(disk, &trusted.in_another_epoch())?;
    }
    disk.write(EPOCH, format!("{epoch}\n").as_bytes())?;
    Ok(true)
}

/// The epoch that is followed.
fn followed(disk: &impl Disk) -> Result<u32, Unkept> {
    let Some(bytes) = disk.read(EPOCH, 16)? else { return Ok(1) };
    let number = str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok());
    number.filter(|epoch| *epoch > 0).ok_or(Unkept::Damaged(EPOCH))
}
