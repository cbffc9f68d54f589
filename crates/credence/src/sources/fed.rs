//! The feed among the sources: kept as what was checked of it, so that what is new is checked by what has changed.

use std::path::PathBuf;
use std::sync::Arc;

use credence_credit::{Amendment, Guards, Header, Issuer, Snapshot};
use credence_feed::Reject;
use credence_law::book::Issuers;
use credence_law::party::World;
use credence_prefix::Prefix;
use credence_sync::feed::{Copies, Copy, Folder, Held, Unkept};
use tracing::warn;

/// What a feed says at one moment.
#[derive(Debug)]
pub(super) struct Fed {
    held: Arc<Held>,
    records: usize,
    /// How it differs from what was in force when it was read, if that is known.
    amendments: Option<Vec<Amendment>>,
}

impl Fed {
    /// What is held, after what was in force before.
    ///
    /// # Errors
    /// When its records break a rule of snapshots.
    fn of(held: Held, before: Option<&Self>) -> Result<Self, Reject> {
        let held = Arc::new(held);
        if let Some(before) = before
            && let Some(amendments) = before.held.state.amendments(&held.state)?
        {
            let comes = amendments.iter().filter(|it| it.after.is_some()).count();
            let goes = amendments.iter().filter(|it| it.before.is_some()).count();
            return Ok(Self { held, records: before.records + comes - goes, amendments: Some(amendments) });
        }
        let records = held.snapshot()?.records().len();
        Ok(Self { held, records, amendments: None })
    }

    /// How many records there are.
    pub(super) const fn records(&self) -> usize {
        self.records
    }

    /// Which version it is.
    pub(super) fn header(&self) -> Header {
        self.held.header()
    }

    /// All records.
    ///
    /// # Errors
    /// When they break a rule of snapshots.
    pub(super) fn snapshot(&self) -> Result<Snapshot, Reject> {
        self.held.snapshot()
    }

    /// What is another in it than in what was in force when it was read, and the issuers of both; none where anything may be.
    pub(super) fn amendments(&self) -> Option<(Vec<Issuer>, &[Amendment])> {
        let issuers = Issuers::of(self.held.state.rules().law().ok()?.register());
        Some((issuers.names().to_vec(), self.amendments.as_deref()?))
    }

    /// The same without what led here.
    pub(super) fn settled(self) -> Self {
        Self { amendments: None, ..self }
    }
}

/// The feed that is followed.
#[derive(Debug)]
pub(super) struct Feed {
    /// Where what is in force by it is kept.
    folder: PathBuf,
    copies: Copies,
    /// The version in force: nothing older is ever taken.
    version: (u64, u64),
    /// What members of an example world hold that is followed all the same: addresses for examples, which its records may name.
    staged: Vec<Prefix>,
}

impl Feed {
    /// The feed of a world, of which nothing was read yet.
    pub(super) const fn new(world: World, folder: PathBuf) -> Self {
        Self { folder, copies: Copies::of(world), version: (0, 0), staged: Vec::new() }
    }

    /// The guards, as they are for what is followed.
    pub(super) fn guards(&self, guards: &Guards) -> Guards {
        if self.staged.is_empty() { guards.clone() } else { guards.clone().staged(self.staged.clone()) }
    }

    /// Notes which version is in force.
    pub(super) const fn is_at(&mut self, header: Header) {
        self.version = (header.session, header.serial);
    }

    /// What lies on the disk, with every signature checked once more: whoever put it there has met strangers. What `before`, which is in
    /// force, has in common with it was checked then.
    pub(super) fn read(&mut self, which: Copy, before: Option<&Fed>) -> Option<Fed> {
        let folder = Folder::to_read(&self.folder);
        let mut read = || -> Result<Option<(Vec<Prefix>, Fed)>, Unkept> {
            let known = before.map(|before| &*before.held);
            let Some(held) = self.copies.read(&folder, which, known)? else { return Ok(None) };
            Ok(Some((held.state.rules().staged()?, Fed::of(held, before)?)))
        };
        // Whoever keeps it may have put another in its place in between.
        let (staged, fed) = read().or_else(|_| read()).unwrap_or_else(|fault| {
            warn!("what the feed says is passed over: {fault}");
            None
        })?;
        self.staged = staged;
        let version = (fed.header().session, fed.header().serial);
        if version < self.version {
            warn!("what lies on the disk of the feed is older than what is in force, and is passed over");
            return None;
        }
        Some(fed)
    }
}
