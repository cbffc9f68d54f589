//! What issuers are asked to state: their own words, which nobody but them can sign for.
//!
//! A member answers with a manifest like any act. The coordinating body's needs the signatures of several seats, each on a host of its
//! own: they are gathered here under the very bytes that are asked for, and the manifest goes in with the last that it takes. What is
//! gathered is in memory alone; seats are asked again by whoever leads next.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use credence_feed::proposal::{Proposal, grounds};
use credence_feed::{Many, Shard};
use credence_law::acts::Manifest;
use credence_law::party::{MemberId, Party, act_id};
use credence_law::{Act, Object, Refusal, Signed};

use super::door::{Refused, absent};
use super::feed::Fed;
use super::intake::Answer;
use super::peer::Peer;
use super::submit::Told;
use super::{Platform, now};
use crate::desk::Rejection;

/// After how many seconds a proposal that nobody has signed is made anew, so that it is never too old to be signed.
const RENEWED: u64 = 30;

/// For how many seconds another one does not take the place of a proposal that somebody has signed: the other seats, which ask every ten
/// seconds, have to come to the same bytes, however often there is something new meanwhile.
const GATHERED: u64 = 60;

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
    /// The manifest that comes of it, with the signatures so far.
    manifest: Signed,
}

/// A proposal that lacks its acts, with their places in the journal, and the manifest that comes of it.
type Open = (Proposal, Vec<u64>, Manifest);

impl Proposals {
    fn of(&self, party: Party) -> Option<Bytes> {
        let asked = self.0.read().unwrap_or_else(PoisonError::into_inner);
        asked.get(&party).map(|asked| asked.bytes.clone())
    }

    fn is_fresh(&self, proposal: &Proposal, digest: &[u8; 32]) -> bool {
        let asked = self.0.read().unwrap_or_else(PoisonError::into_inner);
        asked.get(&proposal.party).is_some_and(|asked| {
            let is_signed = asked.manifest.claims().next().is_some();
            let lasts = if is_signed { GATHERED } else { RENEWED };
            asked.after == proposal.after
                && (asked.digest == *digest || is_signed)
                && proposal.at < asked.at.saturating_add(lasts)
        })
    }

    /// Adds signatures to what a party is asked for; all that there are now, or none where it is asked for something else.
    fn gather(&self, party: Party, signed: &Signed) -> Option<Signed> {
        let mut asked = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let manifest = &mut asked.get_mut(&party)?.manifest;
        manifest.join(signed).then(|| manifest.clone())
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
        for (mut proposal, places, manifest) in opened.into_iter().flatten() {
            let mut acts: Vec<_> = self.acts(&places).await?.into_values().collect();
            acts.sort_unstable_by_key(|act| act.place);
            proposal.acts = Many(acts);
            let (digest, bytes) = (manifest.digest, proposal.encode().into());
            let manifest = Signed::with(Object::new(self.world, Act::from(manifest)).encode(), []);
            let asked = Asked { after: proposal.after, digest, at: proposal.at, bytes, manifest };
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
        let (mut places, manifest) = self.read(|desk| {
            let acts = grounds(desk.book(), &proposal.put.0, at);
            let places: Vec<_> = acts.iter().filter_map(|id| Some(desk.receipt(id)?.place)).collect();
            desk.law().map(|law| (places, proposal.manifest(law, &rows)))
        })?;
        places.sort_unstable();
        Ok(Some((proposal, places, manifest)))
    }

    /// Takes a manifest in that is asked for, or keeps its signatures until there are enough.
    async fn signed(&self, party: Party, sent: Vec<u8>, network: IpAddr) -> Told {
        let answer = self.hand_in_one(sent.clone(), network).await;
        // The law's last word on an act: each signature that it has is right, and by a key that may sign it.
        let is_partial = matches!(answer, Answer::Rejected(Rejection::Refused(Refusal::TooFewSignatures)));
        let signed = Signed::decode(&sent).ok().filter(|_| is_partial);
        let Some(signed) = signed else { return Told::from(&answer) };
        let Some(all) = self.proposals.gather(party, &signed) else { return Told::overtaken() };
        let id = act_id(all.bytes());
        match self.hand_in_one(all.encode(), network).await {
            Answer::Rejected(Rejection::Refused(Refusal::TooFewSignatures)) => {
                Told::gathered(id, all.claims().count())
            }
            answer => Told::from(&answer),
        }
    }
}

/// The party of this name.
fn named(party: &str) -> Option<Party> {
    match party {
        "body" => Some(Party::Body),
        number => number.parse().ok().map(|number| Party::Member(MemberId(number))),
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
    let asked = named(&party).and_then(|party| platform.proposals.of(party));
    asked.map_or_else(absent, |bytes| {
        ([(CACHE_CONTROL, "no-cache"), (CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
    })
}

/// Signs what an issuer is asked to state
///
/// The manifest that comes of the proposal, with one signature or more. Those of seats of the coordinating body are gathered as long
/// as the proposal stands, and the manifest is taken with the last that it needs; 202 says that more are needed.
#[utoipa::path(
    post,
    path = "/feed/proposals/{party}",
    params(("party" = String, Path, description = "A member's number, or `body`")),
    request_body(description = "The signed bytes of the manifest", content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "It was taken before", body = Told),
        (status = 201, description = "It was taken", body = Told),
        (status = 202, description = "It needs the signatures of others as well", body = Told),
        (status = 400, body = Told),
        (status = 401, body = Told),
        (status = 404, body = Refused),
        (status = 409, description = "It was overtaken, or is not what is asked for", body = Told),
        (status = 413, description = "It is longer than 65,536 bytes"),
        (status = 422, body = Told),
        (status = 429, body = Told),
        (status = 503, body = Told),
    ),
)]
pub(super) async fn sign(
    State(platform): State<Arc<Platform>>,
    Peer(network): Peer,
    Path(party): Path<String>,
    body: Bytes,
) -> Response {
    let Some(party) = named(&party) else { return absent() };
    platform.signed(party, body.into(), network).await.into_response()
}
