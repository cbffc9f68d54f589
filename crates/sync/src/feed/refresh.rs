//! One round of asking for what is new.
//!
//! The order is that of The Update Framework (its specification, section 5): the rules first, so that keys that were revoked sign
//! nothing any more; then the head, checked against what was believed before; then the public log; and only then the files that
//! the head names, each with its length known beforehand.

mod files;
mod log;

use std::collections::VecDeque;
use std::sync::Arc;

use credence_feed::tiles::{TILE_BYTES_MAX, TiledProof};
use credence_feed::{
    Entry, FileRef, HEAD_BYTES_MAX, Head, Reject, Rulebook, SKEW, SnapshotList, State, is_operator_replaced,
};
use credence_law::{BYTES_MAX, Signed};

use super::evidence::{Deceit, Evidence};
use super::journal::Came;
use super::{Follower, Trusted};
pub(super) use files::len;
use log::Lengths;

/// The largest proof of the log, in bytes of JSON: some sixty hashes.
const PROOF_BYTES_MAX: usize = 1 << 14;
/// The largest checkpoint, in bytes: a line for each of many witnesses.
const CHECKPOINT_BYTES_MAX: usize = 1 << 16;
/// What all files of a state may have together, in bytes.
pub(super) const FILES_BYTES_MAX: u64 = 512 << 20;

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
    /// The files that it was had by, which are kept as they came.
    pub(super) came: Came,
}

/// Files that were read, in the order in which they came.
type Read = Vec<(FileRef, Vec<u8>)>;
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
    Deltas(VecDeque<FileRef>, Read),
    List,
    Shards(SnapshotList, VecDeque<FileRef>, Read),
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
    /// What witnesses have signed, and tiles of the log: for evidence.
    checkpoint: Option<Vec<u8>>,
    tiles: Vec<(String, Vec<u8>)>,
    evidence: Option<Evidence>,
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
            checkpoint: None,
            tiles: Vec::new(),
            evidence: None,
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

    /// What was signed and cannot be true together, if a refusal rests on that. It is told once.
    pub const fn take_evidence(&mut self) -> Option<Evidence> {
        self.evidence.take()
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
            Stage::Witnessed => self.seen(bytes),
            Stage::Log(lengths) => self.goes_on(lengths, bytes.as_deref()),
            Stage::Tiles(lengths, proof) => self.tile(lengths, proof, bytes),
            Stage::Deltas(files, read) => self.delta(files, read, bytes),
            Stage::List => self.list(bytes.ok_or(Reject::Hash)?),
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
        let was_known = self.known.is_some();
        // Those before one that does not come into force are known all the same. Fewer than were known are not: a mirror that
        // shows old rules would give keys back that were revoked since.
        if let Some(rules) = self.rules.take() {
            let rules = Arc::new(rules);
            let known = self.follower.rules.as_ref().map(|known| known.digest());
            if rules.len() >= self.follower.rules_least() && known != Some(rules.digest()) {
                self.fresh = Some(Arc::clone(&rules));
            }
            self.known = Some(rules);
        }
        match followed {
            // When a rule came into force nobody has signed: whoever told of the one before may have made it later than this one.
            Some(Err(_)) if was_known && !self.is_anew => return Ok(self.anew()),
            followed => followed.unwrap_or(Ok(()))?,
        }
        if self.known.as_ref().is_none_or(|known| known.len() < self.follower.rules_least()) {
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
                let mut rules = first(known, known.len(), self.follower)?;
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
        let head = match self.follower.believed(&signed, &rules) {
            Some(head) => head,
            None => Head::open(&signed, rules.law()?)?,
        };
        let hash = Head::hash(&signed);
        self.head = Some((signed, head.clone()));
        self.follows(&head, &hash, &rules)?;
        head.is_current(self.now)?;
        let held = self.follower.held.as_ref();
        if hash == self.follower.trusted.head && held.is_some_and(|held| held.state.root() == head.root) {
            return Ok(Some(Done::Same));
        }
        if head.rules != rules.len() || head.rules_digest != rules.digest() {
            // Once, all rules are asked for again, unless one more came into force since they were asked for: a mirror may have
            // lied about when they came into force.
            let is_over = self.is_anew || head.rules != rules.len();
            return if is_over { Err(Reject::Rules) } else { Ok(self.anew()) };
        }
        self.log_goes_on()
    }

    /// That a head goes on from what is believed: neither older nor another one, unless the operator has other keys since. Whoever had
    /// the old ones may have gone far ahead with them.
    fn follows(&mut self, head: &Head, hash: &[u8; 32], rules: &Rulebook) -> Result<(), Reject> {
        let trusted = &self.follower.trusted;
        let (known, found) = (trusted.version(), (head.session, head.serial));
        let is_next = known.0 == found.0 && known.1.checked_add(1) == Some(found.1);
        let (deceit, reject) = if known == found && *hash != trusted.head {
            (Some(Deceit::Heads), Reject::Equivocation(known.1))
        } else if found < known || head.issued < trusted.issued || head.rules < trusted.rules {
            (None, Reject::Rollback { known: known.1, found: found.1 })
        } else if is_next && head.previous != trusted.head {
            (Some(Deceit::Past), Reject::Equivocation(known.1))
        } else {
            return Ok(());
        };
        if self.is_operator_replaced(rules) {
            return Ok(());
        }
        Err(match deceit {
            Some(deceit) => self.deceived(deceit, reject),
            None => reject,
        })
    }

    /// Whether none of the keys is the operator's any more that could have signed what is believed.
    fn is_operator_replaced(&self, rules: &Rulebook) -> bool {
        let known = self.follower.trusted.rules;
        if known == rules.len() {
            // No rule has come since. Whoever shows an old head again and again is not worth all their signatures each time.
            return false;
        }
        let then = first(rules, known, self.follower);
        then.is_ok_and(|then| {
            then.law().is_ok_and(|then| rules.law().is_ok_and(|now| is_operator_replaced(then, now)))
        })
    }

    /// Notes what was signed and cannot be true together, where all of it is at hand, and gives the reason back.
    fn deceived(&mut self, deceit: Deceit, reject: Reject) -> Reject {
        let known = self.follower.head.as_ref().map(|head| ("known head".to_owned(), head.encode()));
        let head = self.head.as_ref().map(|(signed, _)| ("head".to_owned(), signed.encode()));
        let checkpoint = self.checkpoint.take().map(|bytes| ("checkpoint".to_owned(), bytes));
        let objects: Vec<_> = [known, head, checkpoint].into_iter().flatten().collect();
        if objects.len() > 1 {
            let objects = objects.into_iter().chain(std::mem::take(&mut self.tiles)).collect();
            self.evidence = Some(Evidence { deceit, objects });
        }
        reject
    }

    /// Begins once more with the first rule.
    fn anew(&mut self) -> Option<Done> {
        (self.is_anew, self.known) = (true, None);
        self.stage = Stage::Rules;
        None
    }
}

/// The first so many of some rules once more, so that another can follow.
fn first(rules: &Rulebook, count: u32, follower: &Follower) -> Result<Rulebook, Reject> {
    let mut entries = rules.entries().iter().take(count as usize).cloned();
    let root = entries.next().ok_or(Reject::Rules)?;
    let mut rules = Rulebook::begin(root, follower.pinned.world)?;
    entries.try_for_each(|entry| rules.follow(entry))?;
    Ok(rules)
}
