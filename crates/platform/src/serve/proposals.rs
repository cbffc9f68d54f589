//! What issuers are asked to state: their own words, which nobody but them can sign for.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use credence_feed::proposal::{Proposal, grounds};
use credence_feed::{Many, Shard};
use credence_law::party::{MemberId, Party};

use super::door::{Refused, absent};
use super::feed::Fed;
use super::{Platform, now};

/// After how many seconds a proposal that nobody has signed is made anew, so that it is never too old to be signed.
const RENEWED: u64 = 30;

/// What is asked of issuers.
#[derive(Debug, Default)]
pub(super) struct Proposals(RwLock<HashMap<Party, Asked>>);

/// What is asked of an issuer: after which manifest to state which rows, and since when.
#[derive(Debug)]
struct Asked {
    after: u64,
    digest: [u8; 32],
    at: u64,
    bytes: Bytes,
}

/// A proposal that lacks its acts, with their places in the journal.
type Open = (Proposal, [u8; 32], Vec<u64>);

impl Proposals {
    fn of(&self, party: Party) -> Option<Bytes> {
        let asked = self.0.read().unwrap_or_else(PoisonError::into_inner);
        asked.get(&party).map(|asked| asked.bytes.clone())
    }

    fn is_fresh(&self, proposal: &Proposal, digest: &[u8; 32]) -> bool {
        let asked = self.0.read().unwrap_or_else(PoisonError::into_inner);
        asked.get(&proposal.party).is_some_and(|asked| {
            (asked.after, asked.digest) == (proposal.after, *digest)
                && proposal.at < asked.at.saturating_add(RENEWED)
        })
    }
}

impl Platform {
    /// Asks issuers to state what is `due`, and nobody else.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(super) async fn ask(self: &Arc<Self>, due: Vec<(Party, Shard)>) -> anyhow::Result<()> {
        let parties: Vec<_> = due.iter().map(|(party, _)| *party).collect();
        self.proposals
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|party, _| parties.contains(party));
        let held = Arc::clone(&self.fed).lock_owned().await;
        let opened = self.beside(held, move |platform, fed| {
            let opened = due.into_iter().map(|(party, shard)| platform.open_proposal(fed, party, &shard));
            opened.collect::<anyhow::Result<Vec<_>>>()
        });
        let (held, opened) = opened.await?;
        drop(held);
        for (mut proposal, digest, places) in opened.into_iter().flatten() {
            let mut acts: Vec<_> = self.acts(&places).await?.into_values().collect();
            acts.sort_unstable_by_key(|act| act.place);
            proposal.acts = Many(acts);
            let asked =
                Asked { after: proposal.after, digest, at: proposal.at, bytes: proposal.encode().into() };
            self.proposals.0.write().unwrap_or_else(PoisonError::into_inner).insert(proposal.party, asked);
        }
        Ok(())
    }

    /// What a party is asked to state, if it is not asked so already.
    fn open_proposal(&self, fed: &mut Fed, party: Party, shard: &Shard) -> anyhow::Result<Option<Open>> {
        let (feed, at) = (fed.feed(), now());
        let (proposal, rows) = Proposal::towards(shard, (party, feed.stated(party)), at)?;
        let digest = rows.digest();
        if self.proposals.is_fresh(&proposal, &digest) {
            return Ok(None);
        }
        feed.propose(party, &rows);
        let mut places = self.read(|desk| {
            let acts = grounds(desk.book(), &proposal.put.0, at);
            acts.iter().filter_map(|id| Some(desk.receipt(id)?.place)).collect::<Vec<_>>()
        });
        places.sort_unstable();
        Ok(Some((proposal, digest, places)))
    }
}

/// What an issuer is asked to state
///
/// Changes of the rows that its last manifest states, with the acts that they come from, as long as there is something new to state
/// or the manifest is about to end. Whoever has the issuer's key compares them with what it has signed itself, makes a manifest, and
/// hands that in like any act.
#[utoipa::path(
    get,
    path = "/feed/proposals/{party}",
    params(("party" = String, Path, description = "A member's number, or `body`")),
    responses((status = 200, body = [u8], content_type = "application/octet-stream"), (status = 404, body = Refused)),
)]
pub(super) async fn proposal(State(platform): State<Arc<Platform>>, Path(party): Path<String>) -> Response {
    let party = match party.as_str() {
        "body" => Some(Party::Body),
        number => number.parse().ok().map(|number| Party::Member(MemberId(number))),
    };
    let asked = party.and_then(|party| platform.proposals.of(party));
    asked.map_or_else(absent, |bytes| {
        ([(CACHE_CONTROL, "no-cache"), (CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
    })
}
