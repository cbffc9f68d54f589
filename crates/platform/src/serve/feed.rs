//! The feed as it is offered, and kept in step with the journal.

mod rounds;

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use credence_credit::ActId;
use credence_feed::{Entry, Loose, pack_shard};
use credence_law::Signed;
use credence_law::party::Party;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

pub(super) use self::rounds::rounds;
use super::door::{Refused, absent};
use super::{Platform, now};
use crate::bucket::{ASKED_EACH_TIME, FOR_EVER};
use crate::disk::Folder;
use crate::example::{Parties, Place};
use crate::feed::{Feed, HEAD, Offered, due};
use crate::keys::{hex, unhex};
use crate::published::replace;
use crate::store::{Shelved, Store};

/// How many entries of the journal are read together.
const READS: u32 = 256;
/// The longest that somebody listens for what is new, in seconds; then they ask again.
const LISTENS_MAX: u64 = 300;
const BYTES: &str = "application/octet-stream";

/// The feed of a platform, the bytes that it has read from the journal, and who listens.
#[derive(Debug)]
pub(super) struct Fed {
    feed: Feed,
    sent: HashMap<ActId, Loose>,
    /// How many rules the desk had when they were read last.
    rules: usize,
    /// Who makes manifests here: the parties of an example world. Others are asked to make theirs.
    parties: Option<Parties>,
    since: HashMap<Party, u64>,
    /// Whether something was published that nobody was shown so far.
    is_unshown: bool,
    /// The names of files that other processes on the same database find there.
    shelved: HashSet<[u8; 32]>,
}

impl Fed {
    /// What is put together.
    pub(super) const fn feed(&mut self) -> &mut Feed {
        &mut self.feed
    }
}

/// The feed while a round works on it, which may be on a thread where it holds nobody up.
type Held = OwnedMutexGuard<Option<Fed>>;

/// What is published, for whoever asks, and whoever listens for what is new: nobody waits for a round.
pub(super) type Bell = watch::Sender<Option<Arc<Offered>>>;

impl Platform {
    /// What is published of the feed.
    pub(super) fn offered(&self) -> Option<Arc<Offered>> {
        self.bell.borrow().clone()
    }

    /// Begins the feed, if the operator's key is at hand to sign it.
    pub(super) async fn begin_feed(&self) -> anyhow::Result<()> {
        let Some(key) = self.settings.offices.operator() else { return Ok(()) };
        let Some(directory) = &self.settings.feed else { return Ok(()) };
        if self.read(|desk| desk.law().is_err()) {
            return Ok(());
        }
        let rules = self.read(|desk| desk.rules().to_vec());
        let shelved = self.fetch(directory).await?;
        let disk =
            Folder::new(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        let feed = Feed::open(disk, self.world, key.clone(), self.rules(&rules).await?)?;
        let parties = self.settings.parties.as_ref();
        let parties = parties.map(|place| Parties::new(Place::new(place), self.world, now()));
        let rules = rules.len();
        *self.fed.lock().await = Some(Fed {
            feed,
            sent: HashMap::new(),
            rules,
            parties,
            since: HashMap::new(),
            is_unshown: true,
            shelved,
        });
        Ok(())
    }

    /// The rules at these places of the journal.
    pub(super) async fn rules(&self, places: &[u64]) -> anyhow::Result<Vec<Entry>> {
        rules(&self.store, places).await
    }

    /// The acts at these places of the journal, which rise.
    pub(super) async fn acts(&self, places: &[u64]) -> anyhow::Result<HashMap<ActId, Loose>> {
        let mut acts = HashMap::new();
        let mut rest = places;
        while let Some(&first) = rest.first() {
            let entries = self.store.read(first, READS).await?;
            let behind = entries.last().map_or(first, |last| last.place) + 1;
            let (here, further) = rest.split_at(rest.partition_point(|place| *place < behind));
            for entry in entries.into_iter().filter(|entry| here.binary_search(&entry.place).is_ok()) {
                let Some(sent) = entry.sent else { continue };
                let signed = Signed::decode(&sent)?;
                acts.insert(entry.id, Loose { place: entry.place, accepted: entry.accepted, signed });
            }
            rest = further;
        }
        Ok(acts)
    }

    /// Publishes what is in force, if it is something else than before.
    async fn feed(self: &Arc<Self>) -> anyhow::Result<()> {
        let mut held = Arc::clone(&self.fed).lock_owned().await;
        let Some(fed) = held.as_mut() else { return Ok(()) };
        let rules = self.read(|desk| desk.rules().to_vec());
        if rules.len() != fed.rules {
            fed.feed.adopt(self.rules(&rules).await?)?;
            fed.rules = rules.len();
        }
        let (at, (size, _)) = (now(), self.checkpoint());
        let wanted = self.beside(held, move |platform, fed| {
            let wanted = platform.read(|desk| fed.feed.wants(desk, size, at))?;
            let ids: HashSet<_> = wanted.iter().map(|(id, _)| *id).collect();
            fed.sent.retain(|id, _| ids.contains(id));
            let mut missing: Vec<_> =
                wanted.into_iter().filter(|(id, _)| !fed.sent.contains_key(id)).collect();
            missing.sort_unstable_by_key(|(_, place)| *place);
            Ok(missing.into_iter().map(|(_, place)| place).collect::<Vec<_>>())
        });
        let (mut held, missing) = wanted.await?;
        if let Some(fed) = held.as_mut() {
            fed.sent.extend(self.acts(&missing).await?);
        }
        let published = self.beside(held, move |platform, fed| {
            let root = platform.read(|desk| desk.log().root(size)).unwrap_or_default();
            let parts = platform.read(|desk| fed.feed.parts(desk.book(), &fed.sent, at));
            fed.feed.put_out(parts, (size, root), at)
        });
        let (mut held, published) = published.await?;
        let Some(fed) = held.as_mut() else { return Ok(()) };
        fed.is_unshown |= published.is_some();
        if fed.is_unshown {
            let offered = fed.feed.offered();
            if let Some(offered) = &offered
                && !self.shelve(offered, &mut fed.shelved).await?
            {
                // It is begun anew behind that one.
                *held = None;
                anyhow::bail!("another process has published a newer head");
            }
            self.bell.send_replace(offered);
            fed.is_unshown = false;
        }
        Ok(())
    }

    /// Fetches what was published last, by whatever process, into a directory. Returns the names of its files.
    async fn fetch(&self, directory: &std::path::Path) -> anyhow::Result<HashSet<[u8; 32]>> {
        let mut names = HashSet::new();
        if self.roles.own().is_none() {
            return Ok(names);
        }
        std::fs::create_dir_all(directory)?;
        let Some(head) = self.store.shelved().await? else { return Ok(names) };
        for name in self.store.shelved_names().await? {
            let path = directory.join(hex(&name));
            if !path.exists()
                && let Some(bytes) = self.store.shelved_file(&name).await?
            {
                replace(&path, &bytes)?;
            }
            names.insert(name);
        }
        replace(&directory.join(HEAD), &head.head)?;
        Ok(names)
    }

    /// Puts what is published where whoever leads next finds it, before anybody is shown it. Whether there is no newer head.
    async fn shelve(&self, offered: &Offered, there: &mut HashSet<[u8; 32]>) -> anyhow::Result<bool> {
        if self.roles.own().is_none() {
            return Ok(true);
        }
        let new = offered.files().iter().filter(|(name, _)| !there.contains(*name));
        let new: Vec<_> = new.map(|(name, bytes)| (*name, bytes.to_vec())).collect();
        let gone: Vec<_> = there.iter().filter(|name| offered.file(name).is_none()).copied().collect();
        let head = Shelved { version: offered.version(), head: offered.head().to_vec() };
        let is_newer = self.way.writer().await?.shelve(&head, &new, &gone).await?;
        if is_newer {
            *there = offered.files().keys().copied().collect();
        }
        Ok(is_newer || self.store.shelved().await?.as_ref() == Some(&head))
    }

    /// Works on the feed on a thread where signatures, packing and files hold nobody up who asks for something.
    pub(super) async fn beside<T: Send + 'static>(
        self: &Arc<Self>,
        mut held: Held,
        work: impl FnOnce(&Self, &mut Fed) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<(Held, T)> {
        let platform = Arc::clone(self);
        spawn_blocking(move || {
            let fed = held.as_mut().context("there is no feed")?;
            let done = work(&platform, fed)?;
            Ok((held, done))
        })
        .await?
    }

    /// Makes the manifests that are due, where the parties' keys are here, and asks for them elsewhere. The rows are packed before
    /// they are stated here, so that no round has to.
    async fn attest(self: &Arc<Self>) -> anyhow::Result<()> {
        let at = now();
        let held = Arc::clone(&self.fed).lock_owned().await;
        if held.is_none() {
            return Ok(());
        }
        let due = self.beside(held, move |platform, fed| {
            let (waits, Fed { feed, parties, since, .. }) = (platform.settings.attest_after, fed);
            let due = platform.read(|desk| due(feed, desk.book(), desk.law()?, since, (at, waits)))?;
            Ok((due, parties.is_some()))
        });
        let (held, (due, are_here)) = due.await?;
        drop(held);
        if !are_here {
            return self.ask(due).await;
        }
        for (party, shard) in due {
            let (packed, rows) = (shard.clone(), shard);
            let packed = spawn_blocking(move || pack_shard(&packed)).await?;
            let held = Arc::clone(&self.fed).lock_owned().await;
            let signed = self.beside(held, move |_, fed| {
                fed.feed.keep_packed(&rows, packed)?;
                fed.feed.propose(party, &rows);
                fed.parties.as_mut().context("nobody's keys are here")?.manifest(party, &rows, now())
            });
            let (held, manifest) = signed.await?;
            drop(held);
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
/// When it cannot be read, or one of them has no payload there: none of them is ever erased.
pub async fn rules(store: &Store, places: &[u64]) -> anyhow::Result<Vec<Entry>> {
    let mut rules = Vec::new();
    for place in places {
        let entry = store.read(*place, 1).await?.pop().filter(|entry| entry.place == *place);
        let (accepted, sent) =
            entry.and_then(|entry| Some((entry.accepted, entry.sent?))).with_context(|| {
                format!(
                    "the journal lacks entry {place}, a rule or the draft of one: restore one that has it"
                )
            })?;
        rules.push(Entry { accepted, signed: Signed::decode(&sent)? });
    }
    Ok(rules)
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
    let Some(offered) = platform.offered() else { return absent() };
    let tag = offered.tag();
    let has = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let headers = [(ETAG, tag), (CACHE_CONTROL, ASKED_EACH_TIME), (CONTENT_TYPE, BYTES)];
    if has {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, offered.head()).into_response()
    }
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
    let entry = platform.offered().and_then(|offered| offered.rule(number));
    entry.map_or_else(absent, |entry| {
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
    let found = unhex(&name).and_then(|hash| platform.offered()?.file(&hash));
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
        // Before there is a feed there is no version of it.
        let (session, serial) = bell.borrow_and_update().as_ref().map_or((0, 0), |offered| offered.version());
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
