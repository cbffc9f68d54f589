//! One round of asking for what is new.
//!
//! The order is that of The Update Framework (its specification, section 5): the rules first, so that keys that were revoked sign
//! nothing any more; then the head, checked against what was believed before; then the public log; and only then the files that
//! the head names, each with its length known beforehand.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use credence_feed::log::{is_consistent, stated};
use credence_feed::tiles::{TILE_BYTES_MAX, TiledProof};
use credence_feed::witness::cosignatures;
use credence_feed::{
    Delta, Entry, FileRef, HEAD_BYTES_MAX, Head, Reject, Rulebook, SKEW, SnapshotList, State,
};
use credence_law::{BYTES_MAX, Signed};
use serde::Deserialize;

use super::{Follower, Held, Trusted};

/// The largest proof of the log, in bytes of JSON: some sixty hashes.
const PROOF_BYTES_MAX: usize = 1 << 14;
/// The largest checkpoint, in bytes: a line for each of many witnesses.
const CHECKPOINT_BYTES_MAX: usize = 1 << 16;
/// What all files of a state may have together, in bytes.
pub(super) const FILES_BYTES_MAX: u64 = 512 << 20;
/// How old what witnesses have said may be, in seconds.
const WITNESSED_MAX: u64 = 86_400;

/// Something that a mirror is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A rule by its number.
    Rule(u32),
    /// The newest head.
    Head,
    /// The newest checkpoint that witnesses have seen.
    Witnessed,
    /// The proof that the log of the second size begins with that of the first.
    Consistency(u64, u64),
    /// A tile of the log's hashes by its path, where such a proof is not to be had: from a mirror that serves files alone.
    Tile(String),
    /// A file.
    File(FileRef),
}

impl Ask {
    /// Where it is, from a mirror's address on.
    pub fn path(&self) -> String {
        match self {
            Self::Rule(number) => format!("feed/rules/{number}"),
            Self::Head => "feed/head".to_owned(),
            Self::Witnessed => "log/checkpoint/witnessed".to_owned(),
            Self::Consistency(before, size) => format!("log/consistency/{before}/{size}"),
            Self::Tile(path) => format!("log/{path}"),
            Self::File(file) => format!("feed/files/{}", file.name()),
        }
    }

    /// How many bytes it has at most; nobody reads more.
    pub const fn bytes_max(&self) -> usize {
        match self {
            Self::Rule(_) => BYTES_MAX + (1 << 17),
            Self::Head => HEAD_BYTES_MAX,
            Self::Witnessed => CHECKPOINT_BYTES_MAX,
            Self::Consistency(..) => PROOF_BYTES_MAX,
            Self::Tile(_) => TILE_BYTES_MAX,
            Self::File(file) => file.len as usize,
        }
    }
}

/// What a mirror answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This.
    Bytes(Vec<u8>),
    /// It has no such thing.
    Missing,
}

/// What a round has come to.
#[derive(Debug)]
pub enum Done {
    /// Nothing is new.
    Same,
    /// This is.
    New(Box<Next>),
}

/// What will be believed, once it was written down.
#[derive(Debug)]
pub struct Next {
    /// What is never to be older again.
    pub trusted: Trusted,
    /// The head, as it was signed.
    pub head: Signed,
    /// What is in force; none where it is what was in force before.
    pub state: Option<State>,
}

/// How many entries a log has, and its root.
type Length = (u64, [u8; 32]);
/// Two lengths of one log, the shorter one first.
type Lengths = (Length, Length);

/// Where a round stands.
#[derive(Debug)]
enum Stage {
    Rules,
    Head,
    Witnessed,
    /// That the log goes on from what was known of it, and that what witnesses have seen is the same log.
    Log(VecDeque<Lengths>),
    /// The same, from tiles.
    Tiles(VecDeque<Lengths>, TiledProof),
    Deltas(VecDeque<FileRef>, Vec<Delta>),
    List,
    Shards(SnapshotList, VecDeque<FileRef>, BTreeMap<[u8; 32], Vec<u8>>),
    Over,
}

/// One round.
#[derive(Debug)]
pub struct Refresh<'a> {
    follower: &'a Follower,
    now: u64,
    stage: Stage,
    /// Rules with new ones behind, if there are new ones.
    rules: Option<Rulebook>,
    /// All rules, as soon as no more come.
    known: Option<Arc<Rulebook>>,
    /// The same, if some of them are new and nobody was told yet.
    fresh: Option<Arc<Rulebook>>,
    /// Whether the rules were begun anew already.
    is_anew: bool,
    head: Option<(Signed, Head)>,
    witnessed: u64,
}

impl<'a> Refresh<'a> {
    pub(super) fn new(follower: &'a Follower, now: u64) -> Self {
        Self {
            follower,
            now,
            stage: Stage::Rules,
            rules: None,
            known: follower.rules.clone(),
            fresh: None,
            is_anew: false,
            head: None,
            witnessed: follower.trusted.witnessed,
        }
    }

    /// What is to be asked for now; nothing when it is over.
    pub fn ask(&self) -> Option<Ask> {
        match &self.stage {
            Stage::Rules => Some(Ask::Rule(self.rules_len())),
            Stage::Head => Some(Ask::Head),
            Stage::Witnessed => Some(Ask::Witnessed),
            Stage::Log(lengths) => {
                lengths.front().map(|((before, _), (size, _))| Ask::Consistency(*before, *size))
            }
            Stage::Tiles(_, proof) => proof.wants().map(Ask::Tile),
            Stage::Deltas(files, _) | Stage::Shards(_, files, _) => files.front().cloned().map(Ask::File),
            Stage::List => self.head.as_ref().map(|(_, head)| Ask::File(head.snapshot.clone())),
            Stage::Over => None,
        }
    }

    /// The rules, if some have come into force in this round. They stay known whatever comes of it, and are told once.
    pub const fn take_rules(&mut self) -> Option<Arc<Rulebook>> {
        self.fresh.take()
    }

    fn rules_len(&self) -> u32 {
        let known = self.known.as_ref().map_or(0, |rules| rules.len());
        self.rules.as_ref().map_or(known, Rulebook::len)
    }

    /// Takes the answer to what was asked for. It is over with what it returns, or goes on.
    ///
    /// # Errors
    /// Why the answer is not believed. The round is over then, and nothing has changed but the rules that were taken.
    pub fn answer(&mut self, answer: Answer) -> Result<Option<Done>, Reject> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let bytes = match answer {
            Answer::Bytes(bytes) => Some(bytes),
            Answer::Missing => None,
        };
        match stage {
            Stage::Rules => self.rule(bytes),
            Stage::Head => self.opened(&bytes.ok_or(Reject::Hash)?),
            Stage::Witnessed => self.seen(bytes.as_deref()),
            Stage::Log(lengths) => self.proved(lengths, bytes.as_deref()),
            Stage::Tiles(lengths, proof) => self.tiled(lengths, proof, Some(bytes.ok_or(Reject::Log)?)),
            Stage::Deltas(files, read) => self.delta(files, read, bytes),
            Stage::List => self.list(&bytes.ok_or(Reject::Hash)?),
            Stage::Shards(list, files, read) => self.shard(list, files, read, bytes.ok_or(Reject::Hash)?),
            Stage::Over => Err(Reject::State),
        }
    }

    /// A rule, or that there is none behind those that are known.
    fn rule(&mut self, bytes: Option<Vec<u8>>) -> Result<Option<Done>, Reject> {
        let followed = bytes.map(|bytes| self.follow(&bytes));
        if let Some(Ok(())) = followed {
            self.stage = Stage::Rules;
            return Ok(None);
        }
        // Those before one that does not come into force are known all the same.
        if let Some(rules) = self.rules.take() {
            let rules = Arc::new(rules);
            self.known = Some(Arc::clone(&rules));
            self.fresh = Some(rules);
        }
        followed.unwrap_or(Ok(()))?;
        if self.known.as_ref().is_none_or(|known| known.len() < self.follower.trusted.rules) {
            return Err(Reject::Rules);
        }
        self.stage = Stage::Head;
        Ok(None)
    }

    fn follow(&mut self, bytes: &[u8]) -> Result<(), Reject> {
        let entry = Entry::decode(bytes)?;
        if entry.accepted > self.now.saturating_add(SKEW) {
            return Err(Reject::Future);
        }
        match (&mut self.rules, &self.known) {
            (Some(rules), _) => rules.follow(entry),
            (None, None) => {
                self.rules = Some(Rulebook::begin(entry, self.follower.pinned.world)?);
                Ok(())
            }
            (None, Some(known)) => {
                let mut rules = again(known, self.follower)?;
                rules.follow(entry)?;
                self.rules = Some(rules);
                Ok(())
            }
        }
    }

    fn rulebook(&self) -> Result<&Arc<Rulebook>, Reject> {
        self.known.as_ref().ok_or(Reject::Rules)
    }

    /// The head: whether it is of this time, and goes on from what is believed.
    fn opened(&mut self, bytes: &[u8]) -> Result<Option<Done>, Reject> {
        let rules = Arc::clone(self.rulebook()?);
        if rules.is_example() && !self.follower.pinned.allow_example {
            return Err(Reject::World);
        }
        let signed = Signed::decode(bytes)?;
        let head = Head::open(&signed, rules.law()?)?;
        let trusted = &self.follower.trusted;
        let (known, found) = (trusted.version(), (head.session, head.serial));
        if found < known || head.issued < trusted.issued || head.rules < trusted.rules {
            return Err(Reject::Rollback { known: known.1, found: found.1 });
        }
        head.is_current(self.now)?;
        if found == known && Head::hash(&signed) != trusted.head {
            return Err(Reject::Equivocation(head.serial));
        }
        let held = self.follower.held.as_ref();
        if found == known && held.is_some_and(|held| held.state.root() == head.root) {
            return Ok(Some(Done::Same));
        }
        let is_next = head.session == trusted.session && Some(head.serial) == trusted.serial.checked_add(1);
        if is_next && head.previous != trusted.head {
            return Err(Reject::Equivocation(trusted.serial));
        }
        if head.rules != rules.len() || head.rules_digest != rules.digest() {
            return self.other_rules(&head, &rules);
        }
        let is_longer = head.log_size > trusted.log_size;
        let is_same = head.log_size == trusted.log_size && head.log_root == trusted.log_root;
        if trusted.log_size > 0 && !is_longer && !is_same {
            return Err(Reject::Log);
        }
        self.head = Some((signed, head));
        if self.follower.pinned.witness_quorum > 0 {
            self.stage = Stage::Witnessed;
            return Ok(None);
        }
        self.prove(self.goes_on_from_known()?.into_iter().collect())
    }

    /// What has to be shown of the log: that it goes on from what was known of it.
    fn goes_on_from_known(&self) -> Result<Option<Lengths>, Reject> {
        let (trusted, head) = (&self.follower.trusted, self.log()?);
        let known = (trusted.log_size, trusted.log_root);
        Ok((0 < known.0 && known.0 < head.0).then_some((known, head)))
    }

    /// The log as the head states it.
    fn log(&self) -> Result<Length, Reject> {
        self.head.as_ref().map(|(_, head)| (head.log_size, head.log_root)).ok_or(Reject::State)
    }

    /// The rules are others than the head is about. Once, all of them are asked for again: a mirror may have lied about when they
    /// came into force.
    fn other_rules(&mut self, head: &Head, rules: &Rulebook) -> Result<Option<Done>, Reject> {
        // One more came into force since they were asked for.
        if self.is_anew || head.rules != rules.len() {
            return Err(Reject::Rules);
        }
        (self.is_anew, self.known) = (true, None);
        self.stage = Stage::Rules;
        Ok(None)
    }

    /// What witnesses have seen of the log.
    fn seen(&mut self, bytes: Option<&[u8]>) -> Result<Option<Done>, Reject> {
        let pinned = &self.follower.pinned;
        let needed = pinned.witness_quorum;
        let few = |found| Reject::Witnesses { found, needed };
        let bytes = bytes.ok_or_else(|| few(0))?;
        let (origin, size, root) = stated(bytes).ok_or(Reject::Log)?;
        let said = cosignatures(bytes, &pinned.witnesses).ok_or(Reject::Log)?;
        let recent = |time: u64| self.now <= time.saturating_add(WITNESSED_MAX);
        let found = said.iter().filter(|said| recent(said.time)).count();
        if found < needed {
            return Err(few(found));
        }
        let (head, witnessed) = (self.log()?, (size, root));
        if origin != pinned.origin || size < self.follower.trusted.witnessed {
            return Err(Reject::Log);
        }
        self.witnessed = size;
        // The log has grown since the head was made, or witnesses are behind it.
        let both = match size.cmp(&head.0) {
            Ordering::Equal if root != head.1 => return Err(Reject::Log),
            Ordering::Less if size > 0 => Some((witnessed, head)),
            Ordering::Greater if head.0 > 0 => Some((head, witnessed)),
            _ => None,
        };
        self.prove(self.goes_on_from_known()?.into_iter().chain(both).collect())
    }

    fn prove(&mut self, lengths: VecDeque<Lengths>) -> Result<Option<Done>, Reject> {
        if lengths.is_empty() {
            return self.ways();
        }
        self.stage = Stage::Log(lengths);
        Ok(None)
    }

    /// The proof that one log is the beginning of another. Where there is none, tiles may show it.
    fn proved(&mut self, lengths: VecDeque<Lengths>, bytes: Option<&[u8]>) -> Result<Option<Done>, Reject> {
        let Some(bytes) = bytes else {
            let ((before, _), log) = *lengths.front().ok_or(Reject::State)?;
            return self.tiled(lengths, TiledProof::new(before, log).ok_or(Reject::Log)?, None);
        };
        let proof: Proof = serde_json::from_slice(bytes).map_err(|_| Reject::Log)?;
        let path: Option<Vec<[u8; 32]>> = proof.path.iter().map(|hash| unhex(hash)).collect();
        self.goes_on(lengths, &path.ok_or(Reject::Log)?)
    }

    /// A tile, as soon as one has come.
    fn tiled(
        &mut self,
        lengths: VecDeque<Lengths>,
        mut proof: TiledProof,
        bytes: Option<Vec<u8>>,
    ) -> Result<Option<Done>, Reject> {
        bytes.into_iter().for_each(|bytes| proof.take(bytes));
        if proof.wants().is_none() {
            return self.goes_on(lengths, &proof.proof().ok_or(Reject::Log)?);
        }
        self.stage = Stage::Tiles(lengths, proof);
        Ok(None)
    }

    /// That one log is the beginning of another.
    fn goes_on(
        &mut self,
        mut lengths: VecDeque<Lengths>,
        proof: &[[u8; 32]],
    ) -> Result<Option<Done>, Reject> {
        let ((before, was), (size, root)) = lengths.pop_front().ok_or(Reject::State)?;
        if !is_consistent(proof, size, &root, (before, &was)) {
            return Err(Reject::Log);
        }
        self.prove(lengths)
    }

    /// The files that lead to the head.
    fn ways(&mut self) -> Result<Option<Done>, Reject> {
        let (_, head) = self.head.as_ref().ok_or(Reject::State)?;
        let held = self.follower.held.as_ref().filter(|held| held.session == head.session);
        let is_same = |held: &&Held| {
            let rules = self.known.as_ref();
            held.state.root() == head.root
                && rules.is_some_and(|rules| Arc::ptr_eq(rules, held.state.rules()))
        };
        if held.is_some_and(|held| is_same(&held)) {
            return self.end(None);
        }
        let way = held.and_then(|held| head.way_from(held.serial));
        self.stage = match way.filter(|way| bytes(way.iter().copied()) <= FILES_BYTES_MAX) {
            Some(way) => Stage::Deltas(way.into_iter().cloned().collect(), Vec::new()),
            None => Stage::List,
        };
        Ok(None)
    }

    fn delta(
        &mut self,
        mut files: VecDeque<FileRef>,
        mut read: Vec<Delta>,
        bytes: Option<Vec<u8>>,
    ) -> Result<Option<Done>, Reject> {
        // Whatever is wrong with a delta, the whole state may still be had.
        let delta = bytes.zip(files.pop_front()).map(|(bytes, file)| {
            file.check(&bytes)?;
            Delta::decode(&bytes)
        });
        match delta {
            Some(Ok(delta)) => read.push(delta),
            _ => {
                self.stage = Stage::List;
                return Ok(None);
            }
        }
        if !files.is_empty() {
            self.stage = Stage::Deltas(files, read);
            return Ok(None);
        }
        match self.changed(read) {
            Ok(state) => self.end(Some(state)),
            Err(_) => {
                self.stage = Stage::List;
                Ok(None)
            }
        }
    }

    /// The state to which deltas lead.
    fn changed(&self, deltas: Vec<Delta>) -> Result<State, Reject> {
        let Held { state, serial, .. } = self.follower.held.as_ref().ok_or(Reject::State)?;
        let (_, head) = self.head.as_ref().ok_or(Reject::State)?;
        let (mut parts, mut serial) = (state.parts(), *serial);
        for delta in deltas {
            let to = delta.to;
            delta.apply(serial, &mut parts)?;
            serial = to;
        }
        let next = State::check(self.rulebook()?, parts, Some(state), head.issued)?;
        if next.root() == head.root { Ok(next) } else { Err(Reject::State) }
    }

    fn list(&mut self, read: &[u8]) -> Result<Option<Done>, Reject> {
        let (_, head) = self.head.as_ref().ok_or(Reject::State)?;
        head.snapshot.check(read)?;
        let list = SnapshotList::decode(read)?;
        if bytes(list.shards.0.iter().map(|shard| &shard.file)) > FILES_BYTES_MAX {
            return Err(Reject::TooLarge);
        }
        let files: VecDeque<_> = list.shards.0.iter().map(|shard| shard.file.clone()).collect();
        if files.is_empty() {
            return self.built(list, &BTreeMap::new());
        }
        self.stage = Stage::Shards(list, files, BTreeMap::new());
        Ok(None)
    }

    fn shard(
        &mut self,
        list: SnapshotList,
        mut files: VecDeque<FileRef>,
        mut read: BTreeMap<[u8; 32], Vec<u8>>,
        bytes: Vec<u8>,
    ) -> Result<Option<Done>, Reject> {
        let file = files.pop_front().ok_or(Reject::State)?;
        file.check(&bytes)?;
        read.insert(file.hash, bytes);
        if files.is_empty() {
            return self.built(list, &read);
        }
        self.stage = Stage::Shards(list, files, read);
        Ok(None)
    }

    fn built(
        &mut self,
        list: SnapshotList,
        read: &BTreeMap<[u8; 32], Vec<u8>>,
    ) -> Result<Option<Done>, Reject> {
        let (_, head) = self.head.as_ref().ok_or(Reject::State)?;
        let before = self.follower.held.as_ref().map(|held| &held.state);
        let file = |file: &FileRef| read.get(&file.hash).map(|bytes| &bytes[..]);
        let state = list.build(self.rulebook()?, before, file, head.issued)?;
        if state.root() != head.root {
            return Err(Reject::State);
        }
        self.end(Some(state))
    }

    fn end(&mut self, state: Option<State>) -> Result<Option<Done>, Reject> {
        let (signed, head) = self.head.take().ok_or(Reject::State)?;
        let trusted = Trusted::of(&signed, &head, self.witnessed);
        Ok(Some(Done::New(Box::new(Next { trusted, head: signed, state }))))
    }
}

/// The proof of consistency, as the log answers it.
#[derive(Deserialize)]
struct Proof {
    path: Vec<String>,
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Vec<u8> = digits.0.iter().map(byte).collect::<Option<_>>()?;
    if digits.1.is_empty() { bytes.try_into().ok() } else { None }
}

fn bytes<'f>(files: impl Iterator<Item = &'f FileRef>) -> u64 {
    files.map(|file| u64::from(file.len)).sum()
}

/// The same rules once more, so that one can follow.
fn again(known: &Rulebook, follower: &Follower) -> Result<Rulebook, Reject> {
    let mut entries = known.entries().iter().cloned();
    let root = entries.next().ok_or(Reject::Rules)?;
    let mut rules = Rulebook::begin(root, follower.pinned.world)?;
    entries.try_for_each(|entry| rules.follow(entry))?;
    Ok(rules)
}
