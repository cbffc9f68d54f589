//! The member's word kept alive: what it said itself is stated anew whenever the platform asks for it.
//!
//! An act counts for an hour by itself, and for as long as its issuer's manifests list it after that. The platform says what the
//! member's acts come to; what is signed here is only what follows from acts with the member's own signatures.

use std::time::Duration;

use credence_engine::clock::unix_s;
use credence_feed::State;
use credence_sync::fetch::{Fetched, Fetcher, Place, Refused, Validators};
use credence_sync::outbox::{ANSWER_LEN_MAX, Answer, Hand, PROPOSAL_LEN_MAX};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

/// How often the platform is asked whether it wants to be told something.
const ASKED_EVERY: Duration = Duration::from_secs(10);

/// What is in force by the feed, for whoever signs.
pub(super) type InForce = watch::Receiver<Option<State>>;

/// Answers for as long as the process lives. Of each of `platforms`: where it asks, and where acts are handed in.
pub(super) async fn keep(hand: Hand, fetcher: Fetcher, platforms: Vec<(Place, Place)>, in_force: InForce) {
    let mut stated = None;
    let mut said = None;
    loop {
        sleep(ASKED_EVERY).await;
        let Some(state) = in_force.borrow().clone() else { continue };
        for platform in &platforms {
            match answer(&hand, &fetcher, platform, &state, stated).await {
                Ok(None) => {}
                Ok(digest) => stated = digest,
                // The next one may be reached.
                Err(Trouble::Away) => continue,
                Err(Trouble::Said(trouble)) => {
                    // Once, and not every ten seconds.
                    if said.as_ref() != Some(&trouble) {
                        warn!("this member's manifest was not made: {trouble}");
                    }
                    said = Some(trouble);
                }
            }
            break;
        }
    }
}

/// Why nothing is stated.
enum Trouble {
    /// The platform does not answer.
    Away,
    /// For this reason.
    Said(String),
}

/// Answers what one platform asks, if that is not what was answered last.
async fn answer(
    hand: &Hand,
    fetcher: &Fetcher,
    (asks, acts): &(Place, Place),
    state: &State,
    stated: Option<[u8; 32]>,
) -> Result<Option<[u8; 32]>, Trouble> {
    let asked = match fetcher.fetch(asks, PROPOSAL_LEN_MAX, &Validators::default()).await {
        Ok(Fetched::Body { bytes, .. }) => bytes,
        Ok(Fetched::Unchanged) => return Ok(None),
        // Nothing is asked.
        Err(failure) if failure.why == Refused::Absent => return Ok(None),
        Err(_) => return Err(Trouble::Away),
    };
    let told = |trouble: &dyn std::fmt::Display| Trouble::Said(trouble.to_string());
    let statement = hand.sign(&asked, (state.rules(), state), unix_s()).map_err(|reject| told(&reject))?;
    let (status, body) =
        fetcher.post(acts, statement.bytes, ANSWER_LEN_MAX).await.map_err(|_| Trouble::Away)?;
    match Answer::read(status, &body, &statement.id) {
        Answer::Taken(_) => {
            if stated != Some(statement.digest) {
                info!(rows = statement.rows, "this member has stated what it says");
            }
            Ok(Some(statement.digest))
        }
        Answer::Refused(reason) => Err(told(&format_args!("the platform has refused it: {}", reason.name()))),
        Answer::Later { .. } | Answer::Silence => Err(Trouble::Away),
    }
}
