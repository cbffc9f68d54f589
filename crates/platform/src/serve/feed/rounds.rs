//! The feed kept in step, round by round.

use std::sync::Weak;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tracing::{error, warn};

use crate::serve::Platform;

/// How long is waited for more when something has changed, so that one head tells all that came together.
const GATHERS: Duration = Duration::from_millis(20);
/// How long is rested after a round that took long, at most; after others as long as they took.
const RESTS_MAX: Duration = Duration::from_millis(100);
/// How often it is looked whether time alone has changed something.
const ROUND: Duration = Duration::from_secs(5);
/// How long is waited at most until a feed that could not be begun is tried again: what was published is read for that, and checked.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether a manifest is due.
const STATES: Duration = Duration::from_secs(1);

/// What comes of beginning the feed: it cannot be where the disk does not give what was published, or the journal lacks rules by which that
/// goes. Whoever mends either, or hands the rules in again, need not start the platform anew.
#[derive(Debug)]
struct Beginning {
    /// When it is tried next, and how long is waited after that.
    next: Instant,
    pause: Duration,
    /// What stood against it last.
    said: String,
}

impl Default for Beginning {
    fn default() -> Self {
        Self { next: Instant::now(), pause: ROUND, said: String::new() }
    }
}

impl Beginning {
    /// Whether that was it; what stands against it is told once.
    fn end(&mut self, begun: anyhow::Result<()>) -> bool {
        let Err(fault) = begun else { return true };
        let fault = format!("{fault:#}");
        if fault != self.said {
            error!(
                "there is no feed, and gateways are told of nothing; it is tried again by itself: {fault}"
            );
            self.said = fault;
        }
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        false
    }
}

/// Keeps the feed in step, as long as there is a platform.
pub(in crate::serve) async fn rounds(platform: Weak<Platform>) {
    let Some(mut written) = platform.upgrade().map(|platform| platform.written.subscribe()) else { return };
    tokio::spawn(manifests(Weak::clone(&platform)));
    let (mut has_begun, mut beginning) = (false, Beginning::default());
    loop {
        let begun = Instant::now();
        {
            let Some(platform) = platform.upgrade() else { return };
            if !platform.roles.leads() {
                let mut role = platform.roles.changes();
                *platform.fed.lock().await = None;
                platform.metrics.lacks_feed(false);
                (has_begun, beginning) = (false, Beginning::default());
                drop(platform);
                // Whoever leads begins where the one before has ended.
                let _ = timeout(ROUND, role.changed()).await;
                continue;
            }
            if !has_begun && beginning.next <= begun {
                has_begun = beginning.end(platform.begin_feed().await);
                platform.metrics.lacks_feed(!has_begun);
            }
            if let Err(fault) = platform.feed().await {
                platform.metrics.unfed();
                has_begun = platform.fed.lock().await.is_some();
                error!("nothing new is published: {fault:#}");
            }
        }
        let took = begun.elapsed();
        // Whether it was an entry or the time makes no difference.
        let _ = timeout(ROUND, written.changed()).await;
        sleep(took.clamp(GATHERS, RESTS_MAX)).await;
        written.mark_unchanged();
    }
}

/// Makes manifests, as long as there is a platform. Nothing waits for one: what is new travels act by act until then.
async fn manifests(platform: Weak<Platform>) {
    loop {
        {
            let Some(platform) = platform.upgrade() else { return };
            if let Err(fault) = platform.attest().await {
                warn!("manifests could not be made: {fault:#}");
            }
        }
        // What was stated is published by then, and not stated again.
        sleep(STATES).await;
    }
}
