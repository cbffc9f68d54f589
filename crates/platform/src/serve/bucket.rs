//! The feed and the log, copied to a bucket as they go on.

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::Bytes;
use credence_feed::tiles::tiles_since;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::{Platform, now};
use crate::bucket::{Bucket, Conditions, Place, Whole};
use crate::keys::hex;

/// How often it is looked whether something is to be taken away, when nothing is new.
const ROUND: Duration = Duration::from_secs(60);
/// How long is rested after a failure at first, and at most; each rest is twice as long as the one before.
const RESTS: Duration = Duration::from_secs(1);
const RESTS_MAX: Duration = Duration::from_secs(60);

impl Platform {
    /// Everything that a mirror has now; none before there is a head. `before` is how long the log was when all its tiles were last there.
    fn whole(&self, before: u64) -> Option<(Whole, u64)> {
        let offered = self.offered()?;
        let (witnessed_size, witnessed) = self.witnessed().unzip();
        let size = offered.log_size();
        let mut files: Vec<(String, Bytes)> = offered
            .files()
            .iter()
            .map(|(hash, bytes)| (format!("feed/files/{}", hex(hash)), bytes.clone()))
            .collect();
        self.read(|desk| {
            let mut tiles = tiles_since(before, size);
            tiles.extend(witnessed_size.into_iter().flat_map(|size| tiles_since(before, size)));
            for path in tiles {
                // Every tile that is not there yet is one of a log that is on disk.
                let Some(tile) = desk.log().tile(&path) else { continue };
                files.push((format!("log/{path}"), tile.into()));
            }
        });
        let (head, version, rules) = (offered.head(), offered.version(), Arc::clone(offered.rules()));
        Some((Whole { head, version, rules, files, witnessed }, size))
    }

    /// Opens the bucket, and says what it makes of conditions.
    async fn open_bucket(&self, place: &Place) -> anyhow::Result<Bucket> {
        let bucket = Bucket::open(place.clone(), self.signer.origin()).await?;
        let conditions = bucket.conditions();
        match conditions {
            Conditions::Heeded => info!("the bucket heeds conditions: no head is written over a newer one"),
            Conditions::Ignored => warn!(
                "the bucket writes over what it was told not to: nothing but the journal's lock keeps two processes apart"
            ),
            Conditions::Refused => warn!(
                "the bucket takes no write with a condition: nothing but the journal's lock keeps two processes apart"
            ),
        }
        self.metrics.bucket.conditions(conditions);
        Ok(bucket)
    }

    /// Copies what is published now. Returns how long the log is whose tiles are all there.
    async fn copy(&self, place: &Place, bucket: &mut Option<Bucket>, before: u64) -> anyhow::Result<u64> {
        let bucket = match bucket {
            Some(bucket) => bucket,
            None => bucket.insert(self.open_bucket(place).await?),
        };
        let Some((whole, size)) = self.whole(before) else { return Ok(before) };
        let written = bucket.put_out(&whole, now()).await?;
        self.metrics.bucket.written(written as u64, now());
        Ok(size)
    }
}

/// Keeps a bucket in step with what is published, as long as there is a platform. Whatever becomes of it, the platform serves on.
pub(super) async fn rounds(platform: Weak<Platform>, place: Place) {
    let Some(mut bell) = platform.upgrade().map(|platform| platform.bell.subscribe()) else { return };
    let (mut bucket, mut before, mut rest) = (None, 0, RESTS);
    loop {
        bell.mark_unchanged();
        let Some(platform) = platform.upgrade() else { return };
        if !platform.roles.leads() {
            (bucket, before) = (None, 0);
            let mut role = platform.roles.changes();
            drop(platform);
            // Whoever leads looks at what is there.
            let _ = timeout(ROUND, role.changed()).await;
            continue;
        }
        match platform.copy(&place, &mut bucket, before).await {
            Ok(size) => {
                (before, rest) = (size, RESTS);
                drop(platform);
                // Whether it was a head or the time makes no difference.
                let _ = timeout(ROUND, bell.changed()).await;
            }
            Err(fault) => {
                platform.metrics.bucket.failed();
                // What is there is looked at anew: it may be another store by then, or an empty one.
                (bucket, before) = (None, 0);
                warn!("the bucket is behind: {fault:#}; it is tried again in {} s", rest.as_secs());
                drop(platform);
                sleep(rest).await;
                rest = RESTS_MAX.min(rest * 2);
            }
        }
    }
}
