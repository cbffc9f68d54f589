//! The feed as it is offered, and kept in step with the journal.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use credence_credit::ActId;
use credence_feed::{Entry, Loose};
use credence_law::Signed;
use credence_law::party::Party;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::{error, warn};

use super::door::{Refused, absent};
use super::{Platform, now};
use crate::example::{Parties, Place};
use crate::feed::{Feed, due};
use crate::keys::unhex;
use crate::store::Store;

/// How long is waited for more when something has changed, so that one head tells all that came together.
const GATHERS: Duration = Duration::from_millis(20);
/// How many times as long as a round takes is rested after it, and how long at most: whoever hands in comes first.
const RESTS: u32 = 9;
const RESTS_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether time alone has changed something.
const ROUND: Duration = Duration::from_secs(5);
/// The longest that somebody listens for what is new, in seconds; then they ask again.
const LISTENS_MAX: u64 = 300;
/// What never changes may be kept for ever.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const BYTES: &str = "application/octet-stream";

/// The feed of a platform, the bytes that it has read from the journal, and who listens.
#[derive(Debug)]
pub(super) struct Fed {
    feed: Feed,
    sent: HashMap<ActId, Loose>,
    /// Who makes manifests here: the parties of an example world, and how long they wait before they state something new.
    parties: Option<(Parties, u64)>,
    since: HashMap<Party, u64>,
}

/// The serial that is published, for whoever listens: its session, and itself.
pub(super) type Bell = watch::Sender<(u64, u64)>;

impl Platform {
    /// Begins the feed, if the operator's key is at hand to sign it.
    pub(super) async fn begin_feed(&self) -> anyhow::Result<()> {
        let Some(key) = self.settings.offices.operator() else { return Ok(()) };
        let Some(directory) = &self.settings.feed else { return Ok(()) };
        if self.read(|desk| desk.law().is_err()) {
            return Ok(());
        }
        let feed = Feed::open(directory.clone(), self.world, key.clone(), self.rules().await?)?;
        let parties = self.settings.attests.as_ref().map(|(place, waits)| {
            let parties = Parties::new(Place::new(place), self.world, now());
            (parties, *waits)
        });
        *self.fed.lock().await = Some(Fed { feed, sent: HashMap::new(), parties, since: HashMap::new() });
        Ok(())
    }

    /// All rules, from the journal.
    async fn rules(&self) -> anyhow::Result<Vec<Entry>> {
        rules(&self.store, &self.read(|desk| desk.rules().to_vec())).await
    }

    /// Publishes what is in force, if it is something else than before.
    pub(super) async fn feed(&self) -> anyhow::Result<()> {
        let mut fed = self.fed.lock().await;
        let Some(fed) = fed.as_mut() else { return Ok(()) };
        if self.read(|desk| desk.rules().len()) != fed.feed.rules().len() as usize {
            let rules = self.rules().await?;
            if rules.len() != fed.feed.rules().len() as usize {
                fed.feed.adopt(rules)?;
            }
        }
        let at = now();
        let (size, _) = self.checkpoint();
        let wanted = self.read(|desk| fed.feed.wants(desk, size, at))?;
        for (id, place) in &wanted {
            if !fed.sent.contains_key(id)
                && let Some(entry) = self.store.read(*place, 1).await?.pop().filter(|entry| entry.id == *id)
                && let Some(sent) = entry.sent
            {
                let signed = Signed::decode(&sent)?;
                fed.sent.insert(*id, Loose { place: *place, accepted: entry.accepted, signed });
            }
        }
        let wanted: std::collections::HashSet<_> = wanted.into_iter().map(|(id, _)| id).collect();
        fed.sent.retain(|id, _| wanted.contains(id));
        let published = self.read(|desk| {
            let root = desk.log().root(size).unwrap_or_default();
            fed.feed.publish(desk.book(), &fed.sent, (size, root), at)
        })?;
        if let (Some(_), Some((_, session, serial))) = (published, fed.feed.head()) {
            self.bell.send_replace((session, serial));
        }
        Ok(())
    }

    /// Makes the manifests that are due, where the parties' keys are here.
    async fn attest(&self) -> anyhow::Result<()> {
        let at = now();
        let manifests = {
            let mut fed = self.fed.lock().await;
            let Some(Fed { feed, parties: Some((parties, waits)), since, .. }) = fed.as_mut() else {
                return Ok(());
            };
            let due = self.read(|desk| due(feed, desk.book(), desk.law()?, since, (at, *waits)))?;
            let sign = |(party, shard)| parties.manifest(party, &shard, at);
            due.into_iter().map(sign).collect::<anyhow::Result<Vec<_>>>()?
        };
        for manifest in manifests {
            if let Err(fault) = self.submit(&manifest).await {
                warn!(%fault, "a manifest was not taken");
            }
        }
        Ok(())
    }
}

/// The rules at these places of a journal.
///
/// # Errors
/// When it cannot be read.
pub async fn rules(store: &Store, places: &[u64]) -> anyhow::Result<Vec<Entry>> {
    let mut rules = Vec::new();
    for place in places {
        let entry = store.read(*place, 1).await?.pop().filter(|entry| entry.place == *place);
        // A draft that was kept long enough is gone; what was adopted by it stands by its signatures.
        if let Some((accepted, sent)) = entry.and_then(|entry| Some((entry.accepted, entry.sent?))) {
            rules.push(Entry { accepted, signed: Signed::decode(&sent)? });
        }
    }
    Ok(rules)
}

/// Keeps the feed in step, as long as there is a platform.
pub(super) async fn rounds(platform: Weak<Platform>) {
    let Some(mut written) = platform.upgrade().map(|platform| platform.written.subscribe()) else { return };
    if let Some(platform) = platform.upgrade()
        && let Err(fault) = platform.begin_feed().await
    {
        error!("there is no feed: {fault:#}");
    }
    loop {
        let Some(platform) = platform.upgrade() else { return };
        let begun = Instant::now();
        if let Err(fault) = platform.attest().await {
            warn!("manifests could not be made: {fault:#}");
        }
        match platform.feed().await {
            Ok(()) => {}
            Err(fault) => {
                platform.metrics.unfed();
                error!("nothing new is published: {fault:#}");
            }
        }
        drop(platform);
        let rest = (begun.elapsed() * RESTS).clamp(GATHERS, RESTS_MAX);
        // Whether it was an entry or the time makes no difference.
        let _ = tokio::time::timeout(ROUND, written.changed()).await;
        tokio::time::sleep(rest).await;
        written.mark_unchanged();
    }
}

/// The newest head of the feed
///
/// What gateways begin with: signed by the operator, it states everything that is in force. It is believed for ten minutes at most.
#[utoipa::path(
    get,
    path = "/feed/head",
    responses(
        (status = 200, body = [u8], content_type = "application/octet-stream"),
        (status = 304, description = "It is the one whose ETag was sent"),
        (status = 404, body = Refused),
    ),
)]
pub(super) async fn head(State(platform): State<Arc<Platform>>, headers: HeaderMap) -> Response {
    let head = platform.fed.lock().await.as_ref().and_then(|fed| fed.feed.head());
    let Some((head, session, serial)) = head else { return absent() };
    let tag = format!("\"{session}-{serial}\"");
    let has = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let headers = [(ETAG, tag.as_str()), (CACHE_CONTROL, "no-cache"), (CONTENT_TYPE, BYTES)];
    if has { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, head).into_response() }
}

/// A rule by its number
///
/// From the world's root, number 0, on, in the order in which they came into force, with the drafts by which they were laid open.
#[utoipa::path(
    get,
    path = "/feed/rules/{number}",
    params(("number" = u32, Path, description = "Its number, from 0 on")),
    responses((status = 200, body = [u8], content_type = "application/octet-stream"), (status = 404, body = Refused)),
)]
pub(super) async fn rule(State(platform): State<Arc<Platform>>, Path(number): Path<u32>) -> Response {
    let fed = platform.fed.lock().await;
    let entry = fed.as_ref().and_then(|fed| fed.feed.rules().entries().get(number as usize)?.encode().into());
    entry.map_or_else(absent, |entry: Vec<u8>| {
        ([(CACHE_CONTROL, FOR_EVER), (CONTENT_TYPE, BYTES)], entry).into_response()
    })
}

/// A file of the feed
///
/// Named by the SHA-256 of its bytes, so that it never changes. Parts of it are asked for with `Range`.
#[utoipa::path(
    get,
    path = "/feed/files/{name}",
    params(("name" = String, Path, description = "64 hexadecimal digits")),
    responses(
        (status = 200, body = [u8], content_type = "application/octet-stream"),
        (status = 206, body = [u8], content_type = "application/octet-stream"),
        (status = 404, body = Refused),
        (status = 416, description = "There is no such part"),
    ),
)]
pub(super) async fn file(
    State(platform): State<Arc<Platform>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let found = match unhex(&name) {
        Some(hash) => platform.fed.lock().await.as_ref().and_then(|fed| fed.feed.file(&hash)),
        None => None,
    };
    let Some(bytes) = found else { return absent() };
    let kept = [(CACHE_CONTROL, FOR_EVER), (CONTENT_TYPE, BYTES), (ACCEPT_RANGES, "bytes")];
    let Some(range) = headers.get(RANGE) else { return (kept, bytes).into_response() };
    let Some((first, end)) = range.to_str().ok().and_then(|range| part(range, bytes.len())) else {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    };
    let said = [(CONTENT_RANGE, format!("bytes {first}-{}/{}", end - 1, bytes.len()))];
    (StatusCode::PARTIAL_CONTENT, kept, said, bytes.slice(first..end)).into_response()
}

/// Where a part of `len` bytes begins and ends that is asked for as in RFC 9110 section 14.1.2: one range, with its first byte.
fn part(range: &str, len: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let end = len.checked_sub(1)?;
    let last = if last.is_empty() { end } else { last.parse::<usize>().ok()?.min(end) };
    (first <= last).then_some((first, last + 1))
}

/// What is new, as it happens
///
/// Server-sent events, each of kind `head` with the session and the serial of a head that was published, one behind the other. They
/// are a doorbell and state nothing: whoever hears one asks for the head.
#[utoipa::path(
    get,
    path = "/feed/events",
    params(("seconds" = Option<u64>, Query, description = "For how long, 300 at most and if nothing is said; 0 for what is published now")),
    responses((status = 200, body = String, content_type = "text/event-stream")),
)]
pub(super) async fn events(
    State(platform): State<Arc<Platform>>,
    Query(asked): Query<HashMap<String, u64>>,
) -> Response {
    let mut bell = platform.bell.subscribe();
    bell.mark_changed();
    let seconds = asked.get("seconds").map_or(LISTENS_MAX, |seconds| LISTENS_MAX.min(*seconds));
    let until = Instant::now() + Duration::from_secs(seconds).max(Duration::from_millis(1));
    let rings = futures_util::stream::unfold(bell, move |mut bell| async move {
        timeout_at(until, bell.changed()).await.ok()?.ok()?;
        let (session, serial) = *bell.borrow_and_update();
        let event = Event::default().event("head").data(format!("{session} {serial}"));
        Some((Ok::<_, Infallible>(event), bell))
    });
    Sse::new(rings).keep_alive(KeepAlive::default()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_that_are_there() {
        assert_eq!(part("bytes=0-", 10), Some((0, 10)));
        assert_eq!(part("bytes=3-4", 10), Some((3, 5)));
        assert_eq!(part("bytes=3-400", 10), Some((3, 10)));
        for wrong in ["bytes=10-", "bytes=4-3", "bytes=-3", "bytes=a-b", "items=0-1", "", "bytes=0-1,3-4"] {
            assert_eq!(part(wrong, 10), None, "{wrong}");
        }
        assert_eq!(part("bytes=0-5", 0), None);
    }
}
