//! What gateways ended of is not tried for ever.
//!
//! Before a state is offered it is written down that it is, and for which gateway; when that has put it in force, or lets it wait for the
//! operator, that is taken back. A gateway that is gone without a word may have died of what it was offered, although every signature
//! was right: of a fault of its own, or of too little memory. Then the next one is offered it once more, and no other. What comes after it
//! may be as bad, and is tried again after a pause that grows with each gateway that ends so. All the while what was in force stays.

use std::io;

use credence_law::layout::{Layout, fields};

use super::keep::{Disk, Unkept};

/// Where that stands.
const TRIED: &str = "tried";
/// How many gateways may end without a word before a state is held back.
const TRIES_MAX: u32 = 2;
/// How long another state is held back then, in seconds, and at most after more of them.
const PAUSE: (u64, u64) = (600, 86_400);

fields! {
    /// What was offered last and not answered.
    pub struct Tried {
        /// The state's root.
        pub root: [u8; 32],
        /// The gateway to which it was offered.
        pub gateway: u64,
        /// To how many gateways in a row something was offered that they did not answer, this one included.
        pub gateways: u32,
        /// When, in Unix seconds.
        pub at: u64,
    }
}

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
        let read = disk.read(TRIED, 1 << 10).map_err(Unkept::from);
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
        let Some(tried) = self.tried.as_ref().filter(|tried| tried.gateway != self.gateway) else {
            return true;
        };
        let Some(more) = tried.gateways.checked_sub(TRIES_MAX) else { return true };
        let pause = PAUSE.0.saturating_mul(1 << more.min(32)).min(PAUSE.1);
        tried.root != *root && tried.at.saturating_add(pause) <= now
    }

    /// Notes that the state of this root is about to be offered at `now`, in Unix seconds.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub(super) fn begin(&mut self, disk: &mut impl Disk, root: [u8; 32], now: u64) -> io::Result<()> {
        let before = self.tried.as_ref();
        let others = before.map_or(0, |tried| tried.gateways - u32::from(tried.gateway == self.gateway));
        let tried = Tried { root, gateway: self.gateway, gateways: others.saturating_add(1), at: now };
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
