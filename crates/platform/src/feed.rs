//! The feed that gateways follow: what is in force, put together anew whenever something has changed, and checked before it is
//! published by the very code with which gateways check it.

mod keep;
pub mod mirror;
mod offered;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use anyhow::Context;
use axum::body::Bytes;
use credence_credit::ActId;
use credence_feed::publish::{self, LeftOut};
use credence_feed::{Delta, HEAD_LASTS_MAX, Rows, Stated, way};
use credence_feed::{DeltaRef, Entry, FileRef, Head, Loose, Parts, Rulebook, Shard, SnapshotList, State};
use credence_law::party::{Party, World};
use credence_law::{Act, Acts, Book, Law, Signed};
use ed25519_dalek::SigningKey;
use tracing::warn;

pub(crate) use self::keep::HEAD;
pub use self::offered::Offered;
use crate::desk::Desk;
use crate::disk::Disk;

/// After how many seconds a head is made anew although nothing has changed, so that nobody ever holds one that is over.
const RENEWED: u64 = 120;
/// Over how many versions deltas lead at most: single ones, and roll-ups of eight of the kind before, for those who were away.
const SPANS: [u64; 4] = [1, 8, 64, 512];
/// How many deltas of each kind a head names: with all kinds together they lead on from some eight thousand versions back.
const WAYS: usize = 16;
/// What a way to the newest version may cost however small the whole state is, in bytes.
const WAY_LEAST: u64 = 1 << 16;
/// How many rows proposed to issuers are remembered, so that a manifest made of any of them is understood.
const PROPOSALS: usize = 8;

/// What a head states of the public log.
pub type Checkpoint = (u64, [u8; 32]);

/// The acts that are to travel by themselves, by identity and place; whoever publishes brings their bytes.
pub type Wanted = Vec<(ActId, u64)>;

/// A feed, and what has been published of it.
#[derive(Debug)]
pub struct Feed {
    disk: Box<dyn Disk>,
    world: World,
    key: SigningKey,
    rules: Arc<Rulebook>,
    published: Option<Published>,
    /// Files by their names.
    files: HashMap<[u8; 32], Bytes>,
    /// Shards' files by the digests of their rows.
    packed: HashMap<[u8; 32], FileRef>,
    /// Deltas and roll-ups to the newest version, in the order of where they begin.
    ways: Vec<DeltaRef>,
    /// What issuers could state, and have to say besides.
    rows: Rows,
    /// Rows that issuers were asked to state, with their digests, the newest last.
    proposals: HashMap<Party, VecDeque<([u8; 32], Shard)>>,
    /// Files that no head leads to any more, and since when.
    fading: HashMap<[u8; 32], u64>,
}

/// A head with its state.
#[derive(Clone, Debug)]
struct Published {
    signed: Signed,
    head: Head,
    state: State,
}

impl Feed {
    /// A feed on a disk, which goes on from what was published there. The rules begin with the world's root.
    ///
    /// # Errors
    /// When the rules do not stand, or are not those that were published and perhaps more.
    pub fn open(
        disk: impl Disk + 'static,
        world: World,
        key: SigningKey,
        rules: Vec<Entry>,
    ) -> anyhow::Result<Self> {
        let mut feed = Self {
            disk: Box::new(disk),
            world,
            key,
            rules: rulebook(world, rules)?,
            published: None,
            files: HashMap::new(),
            packed: HashMap::new(),
            ways: Vec::new(),
            rows: Rows::default(),
            proposals: HashMap::new(),
            fading: HashMap::new(),
        };
        feed.load()?;
        feed.tidy();
        Ok(feed)
    }

    /// The rules that it goes by.
    pub fn rules(&self) -> &Arc<Rulebook> {
        &self.rules
    }

    /// Follows new rules.
    ///
    /// # Errors
    /// When they do not stand.
    pub fn adopt(&mut self, rules: Vec<Entry>) -> anyhow::Result<()> {
        self.rules = rulebook(self.world, rules)?;
        Ok(())
    }

    /// The newest head, as it is served, with its session and serial.
    pub fn head(&self) -> Option<(Bytes, u64, u64)> {
        let Published { signed, head, .. } = self.published.as_ref()?;
        Some((signed.encode().into(), head.session, head.serial))
    }

    /// A file by its name.
    pub fn file(&self, hash: &[u8; 32]) -> Option<Bytes> {
        self.files.get(hash).cloned()
    }

    /// What is published of an issuer.
    pub fn stated(&self, party: Party) -> Option<(&credence_law::acts::Manifest, &Shard)> {
        self.published.as_ref()?.state.shard(party)
    }

    /// Asks an issuer to state these rows, which are remembered, so that a manifest made of them is understood.
    pub fn propose(&mut self, party: Party, shard: &Shard) {
        let (digest, proposals) = (shard.digest(), self.proposals.entry(party).or_default());
        if !proposals.iter().any(|(known, _)| *known == digest) {
            proposals.push_back((digest, shard.clone()));
            if proposals.len() > PROPOSALS {
                proposals.pop_front();
            }
        }
    }

    /// The rows that issuers state at `at`, in Unix seconds, with the newest manifest of each that states rows which are known here;
    /// none for one that was published already.
    fn issued(&self, book: &Book, at: u64) -> BTreeMap<Party, (Option<ActId>, Shard)> {
        let mut issued = BTreeMap::new();
        for (party, _, _) in self.published.iter().flat_map(|published| published.state.issued()) {
            if let Some((manifest, shard)) = self.stated(party)
                && at < manifest.preamble.expires
            {
                issued.insert(party, (None, shard.clone()));
            }
        }
        for (party, id) in book.manifests() {
            let Some(Act::Manifest(stated)) = book.act(&id) else { continue };
            let known = self.stated(party);
            let number = known.map_or(0, |(manifest, _)| manifest.preamble.number);
            if stated.preamble.number <= number || stated.preamble.expires <= at {
                continue;
            }
            let known =
                known.filter(|(manifest, _)| manifest.digest == stated.digest).map(|(_, shard)| shard);
            let mut proposed = self.proposals.get(&party).into_iter().flatten();
            let proposed = || proposed.find(|(digest, _)| *digest == stated.digest).map(|(_, shard)| shard);
            if let Some(shard) = known.or_else(proposed) {
                issued.insert(party, (Some(id), shard.clone()));
            }
        }
        issued
    }

    /// What has to be read from the journal before [`publish`](Self::publish): acts that travel by themselves, and manifests.
    ///
    /// # Errors
    /// Before there is a rule of each kind.
    pub fn wants(&mut self, desk: &Desk, on_disk: u64, at: u64) -> anyhow::Result<Wanted> {
        let issued = self.issued(desk.book(), at);
        let stated = issued.iter().map(|(party, (_, shard))| (*party, shard)).collect();
        self.rows.follow(desk.book(), desk.law()?, &stated, at)?;
        let loose = self.rows.loose(desk.book(), at);
        let manifests = issued.values().filter_map(|(id, _)| *id);
        let placed = |id: ActId| Some((id, desk.receipt(&id)?.place));
        let placed = loose.into_iter().chain(manifests).filter_map(placed);
        Ok(placed.filter(|(_, place)| *place < on_disk).collect())
    }

    /// Publishes what is in force at `at`, in Unix seconds, if something has changed or the last head is old. `sent` are the acts
    /// that [`wants`](Self::wants) has asked for. Returns the new serial.
    ///
    /// # Errors
    /// When what is in force would not be believed by a gateway, or cannot be written down.
    pub fn publish(
        &mut self,
        book: &Book,
        sent: &HashMap<ActId, Loose>,
        checkpoint: Checkpoint,
        at: u64,
    ) -> anyhow::Result<Option<u64>> {
        let parts = self.parts(book, sent, at);
        self.put_out(parts, checkpoint, at)
    }

    /// What the state at `at`, in Unix seconds, is made of, before it was checked.
    pub fn parts(&self, book: &Book, sent: &HashMap<ActId, Loose>, at: u64) -> Parts {
        let published = self.published.iter().flat_map(|published| published.state.issued());
        let published: BTreeMap<_, _> = published.map(|(party, manifest, _)| (party, manifest)).collect();
        let issued = self.issued(book, at).into_iter().filter_map(|(party, (id, shard))| {
            let manifest = match id {
                Some(id) => &sent.get(&id)?.signed,
                None => published.get(&party)?,
            };
            Some((party, (manifest.clone(), shard)))
        });
        let issued = issued.collect();
        let is_loose = |(id, _): &(&ActId, &Loose)| !matches!(book.act(id), None | Some(Act::Manifest(_)));
        let loose = sent.iter().filter(is_loose).map(|(_, loose)| (loose.place, loose.clone())).collect();
        Parts { issued, loose }
    }

    /// Checks a state as every gateway will, and publishes it as [`publish`](Self::publish) does.
    ///
    /// # Errors
    /// As there.
    pub fn put_out(&mut self, parts: Parts, checkpoint: Checkpoint, at: u64) -> anyhow::Result<Option<u64>> {
        let before = self.published.as_ref();
        let (state, left_out) = publish::next(&self.rules, before.map(|before| &before.state), parts, at)?;
        tell(&left_out);
        let is_old = before.is_none_or(|before| before.head.issued.saturating_add(RENEWED) <= at);
        let is_same = before.is_some_and(|before| {
            before.state.root() == state.root() && before.head.rules == self.rules.len()
        });
        if is_same && !is_old {
            return Ok(None);
        }
        self.release(state, is_same, checkpoint, at).map(Some)
    }

    /// Makes the head of a state, and puts all of it out.
    fn release(
        &mut self,
        state: State,
        is_same: bool,
        (log_size, log_root): Checkpoint,
        at: u64,
    ) -> anyhow::Result<u64> {
        let before = self.published.clone();
        let (session, serial) = match &before {
            Some(before) => (before.head.session, before.head.serial + 1),
            None => (at, 1),
        };
        let snapshot = match &before {
            Some(before) if is_same => before.head.snapshot.clone(),
            _ => self.pack(&state)?,
        };
        if let Some(before) = &before {
            let step = Delta::between((before.head.serial, &before.state), (serial, &state));
            state.settle();
            let file = self.put(step.encode())?;
            self.ways.push(DeltaRef { from: before.head.serial, to: serial, file });
            self.roll_up(serial)?;
        }
        let shards = state.issued().filter_map(|(_, _, shard)| self.packed.get(&shard.digest()));
        let whole = u64::from(snapshot.len) + shards.map(|file| u64::from(file.len)).sum::<u64>();
        self.forget(serial, whole.max(WAY_LEAST));
        let head = Head {
            session,
            serial,
            previous: before.as_ref().map_or([0; 32], |before| Head::hash(&before.signed)),
            issued: at,
            expires: at + HEAD_LASTS_MAX,
            log_size,
            log_root,
            rules: self.rules.len(),
            rules_digest: self.rules.digest(),
            root: state.root(),
            snapshot,
            deltas: self.ways.clone(),
        };
        let signed = Signed::with(head.clone().object(self.world).encode(), [&self.key]);
        // What a gateway would not believe goes nowhere.
        Head::open(&signed, self.rules.law()?)?;
        self.keep_head(&signed)?;
        self.published = Some(Published { signed, head, state });
        self.sweep(at);
        Ok(serial)
    }

    /// Packs a state, as far as it is not packed yet.
    fn pack(&mut self, state: &State) -> anyhow::Result<FileRef> {
        let (list, files) = SnapshotList::of(state, |digest| self.packed.get(digest).cloned());
        for (digest, bytes) in files {
            let file = self.put(bytes)?;
            self.packed.insert(digest, file);
        }
        self.put(list.encode())
    }

    /// Puts one delta in the place of eight where as many of a kind are over, at the same versions after every start.
    fn roll_up(&mut self, serial: u64) -> anyhow::Result<()> {
        for (kind, span) in
            (0_usize..).zip(SPANS).skip(1).take_while(|(_, span)| serial.is_multiple_of(*span))
        {
            let is_part =
                |way: &&DeltaRef| kind_of(way) == kind - 1 && way.from >= serial.saturating_sub(span);
            let parts: Vec<_> = self.ways.iter().filter(is_part).cloned().collect();
            // Where one was let go of, those behind it are rolled up.
            let mut begins = serial;
            let linked =
                parts.iter().rev().take_while(|way| way.to == std::mem::replace(&mut begins, way.from));
            let parts = &parts[parts.len() - linked.count()..];
            if parts.len() < 2 {
                continue;
            }
            let mut deltas = parts.iter().map(|way| Delta::decode(&self.files[&way.file.hash]));
            let first = deltas.next().context("there are two at least")??;
            let whole = deltas.try_fold(first, |whole, next| whole.then(next?))?;
            let (from, to, file) = (whole.from, whole.to, self.put(whole.encode())?);
            self.ways.push(DeltaRef { from, to, file });
        }
        Ok(())
    }

    /// Lets go of ways that nobody is better off with: there are newer ones enough of their kind, or the whole state is no longer than
    /// what is left of the way, `most` bytes.
    fn forget(&mut self, serial: u64, most: u64) {
        self.ways.sort_unstable_by_key(|way| (way.from, way.to));
        let mut left = [WAYS; SPANS.len()];
        let mut newest: Vec<_> = std::mem::take(&mut self.ways);
        newest.reverse();
        newest.retain(|way| {
            let left = &mut left[kind_of(way)];
            std::mem::replace(left, left.saturating_sub(1)) > 0
        });
        newest.reverse();
        let costs = way::costs(&newest, serial);
        let kept = newest.into_iter().zip(costs).filter(|(_, cost)| cost.is_some_and(|cost| cost <= most));
        self.ways = kept.map(|(way, _)| way).collect();
    }
}

/// Of which kind a way is, by how many versions it leads over.
fn kind_of(way: &DeltaRef) -> usize {
    SPANS.partition_point(|span| *span < way.to - way.from).min(SPANS.len() - 1)
}

/// The rules, one after the other.
fn rulebook(world: World, rules: Vec<Entry>) -> anyhow::Result<Arc<Rulebook>> {
    let mut rules = rules.into_iter();
    let mut book = Rulebook::begin(rules.next().context("a world begins with a root")?, world)?;
    rules.try_for_each(|entry| book.follow(entry))?;
    Ok(Arc::new(book))
}

/// Tells the operator what no gateway will be told.
fn tell(left_out: &LeftOut) {
    for (place, refusal) in &left_out.acts {
        warn!(place, reason = refusal.name(), "an act does not stand any more, and is left out of the feed");
    }
    for party in &left_out.issuers {
        warn!(%party, "a manifest does not stand any more; what it states is left out of the feed");
    }
}

/// The issuers that should make a manifest now, with the rows that they have to state: those of which something else is in force than
/// their manifest states since `since`, or something that nobody is told before it is stated, or whose manifest ends soon.
pub fn due(
    feed: &mut Feed,
    book: &Book,
    law: &Law,
    since: &mut HashMap<Party, u64>,
    (at, waits): (u64, u64),
) -> anyhow::Result<Vec<(Party, Shard)>> {
    let published = feed.published.as_ref().map(|published| published.state.clone());
    let issued = published.iter().flat_map(State::issued);
    let stated: Stated<'_> = issued.map(|(party, _, shard)| (party, shard)).collect();
    feed.rows.follow(book, law, &stated, at)?;
    let mut due = Vec::new();
    for (party, issuer) in feed.rows.issuers().filter(|(_, issuer)| !issuer.is_silent()) {
        let is_due = if issuer.is_stated() {
            since.remove(&party);
            let stated = feed.stated(party);
            stated.is_none_or(|(manifest, _)| manifest.preamble.expires <= at + MANIFEST_RENEWED)
        } else {
            let changed = *since.entry(party).or_insert(at);
            changed + waits <= at || issuer.is_unheard() || issuer.new_rows() > publish::UNLISTED_MAX / 4
        };
        if is_due {
            due.push((party, issuer.now().clone()));
        }
    }
    Ok(due)
}

/// How long before its end a manifest is made anew, in seconds.
const MANIFEST_RENEWED: u64 = 1_800;
