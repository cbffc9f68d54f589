//! The cache that the tour's engine reads, changed while it is read.

use anyhow::Context;
use credence_credit::{Guards, Header, Keeper, Published, Snapshot};

use super::embedded::Embedded;
use crate::demo::feed;

/// A cache of the made-up feed and of the platform's records.
pub(super) struct Live {
    keeper: Keeper,
    guards: Guards,
    /// When the feed was made, in Unix seconds.
    made: u64,
}

impl Live {
    /// Publishes the feed made at `now` (Unix seconds) with what the platform says.
    ///
    /// Only here are records of an example world enforced, and only on traffic that is staged like them: the guards let them name
    /// what members of that world hold, and nothing else for examples.
    pub(super) fn publish(published: &Published, platform: &Embedded, now: u64) -> anyhow::Result<Self> {
        let guards = Guards::default().staged(platform.holdings()?);
        let keeper = Keeper::build(published, snapshots(platform, now)?, &guards)?;
        keeper.publish();
        Ok(Self { keeper, guards, made: now })
    }

    /// Changes the cache so that it says what the platform says now.
    pub(super) fn follow(&mut self, platform: &Embedded) -> anyhow::Result<()> {
        let next = Keeper::build(&Published::default(), snapshots(platform, self.made)?, &self.guards)?;
        let changes = self.keeper.changes_to(&next).context("a step of the tour changes too much at once")?;
        Ok(self.keeper.apply(changes, &mut ())?)
    }
}

fn snapshots(platform: &Embedded, made: u64) -> anyhow::Result<Vec<Snapshot>> {
    let (issuers, records) = platform.records()?;
    Ok(vec![feed::snapshot(made)?, Snapshot::new(Header::default(), issuers, records)?])
}
