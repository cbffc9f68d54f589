//! Which state was offered to gateways that have not answered, on the disk of a feed; see [`Tried`].

use std::io;

use credence_law::layout::Layout;

use super::keep::{Disk, Unkept};
use crate::tried::{TRIED_BYTES_MAX, Tried};

/// Where that stands.
const TRIED: &str = "tried";

/// What gateways were offered and have not answered, for one of them.
#[derive(Debug)]
pub(super) struct Tries {
    gateway: u64,
    tried: Option<Tried>,
}

impl Tries {
    /// What is known of it on a disk, for the gateway of this number, which no other has.
    ///
    /// # Errors
    /// When it cannot be read. It is as if nothing was tried then.
    pub(super) fn read(disk: &impl Disk, gateway: u64) -> (Self, Option<Unkept>) {
        let read = disk.read(TRIED, TRIED_BYTES_MAX).map_err(Unkept::from);
        let tried = read.and_then(|bytes| {
            bytes.map(|bytes| Tried::from_bytes(&bytes)).transpose().map_err(|_| Unkept::Damaged(TRIED))
        });
        match tried {
            Ok(tried) => (Self { gateway, tried }, None),
            Err(fault) => (Self { gateway, tried: None }, Some(fault)),
        }
    }

    /// Whether the state of this root can be offered at `now`, in Unix seconds.
    pub(super) fn bears(&self, root: &[u8; 32], now: u64) -> bool {
        Tried::bears(self.tried.as_ref(), root, self.gateway, now)
    }

    /// Notes that the state of this root is about to be offered at `now`, in Unix seconds.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub(super) fn begin(&mut self, disk: &mut impl Disk, root: [u8; 32], now: u64) -> io::Result<()> {
        let tried = Tried::next(self.tried.as_ref(), root, self.gateway, now);
        disk.write(TRIED, &tried.to_bytes())?;
        self.tried = Some(tried);
        Ok(())
    }

    /// Notes that the gateway has answered, and lives.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub(super) fn end(&mut self, disk: &mut impl Disk) -> io::Result<()> {
        if self.tried.is_some() {
            disk.remove(TRIED)?;
            self.tried = None;
        }
        Ok(())
    }
}
