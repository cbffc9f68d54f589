//! What is taken, and what follows from it.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

use credence_credit::ActId;
use credence_credit::guard::NeverBlock;
use credence_law::layout::DecodeError;
use credence_law::party::{World, act_id};
use credence_law::{Accepted, Act, AdoptError, BYTES_MAX, Body, Book, Law, Refusal, Signed, Trust};

use crate::log::{Leaf, Log};

/// The largest act, in bytes with its signatures. Rules may be larger.
pub const ACT_BYTES_MAX: usize = 1 << 16;
/// Kinds of objects from this one on are acts; those below are rules.
const FIRST_ACT: u8 = 16;
/// Where an object's kind stands; behind it, whether it is an exercise.
const KIND_AT: usize = 5;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The place in the log, from 0 on.
    pub place: u64,
    /// When it was accepted, in Unix seconds.
    pub accepted: u64,
    /// The identity of the object.
    pub id: ActId,
    /// What hides it in the log, if it is not public.
    pub salt: Option<[u8; 32]>,
    /// The object with its signatures, until it is erased.
    pub sent: Option<Vec<u8>>,
}

/// Why something is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The law is against it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The rule does not come into force.
    #[error(transparent)]
    Rules(#[from] AdoptError),
    /// More bytes than anything of its kind has.
    #[error("it has {0} bytes, and nothing of this kind has as many")]
    Large(usize),
    /// The clock stands before what was accepted last.
    #[error("the platform's clock was set back; it takes nothing until it is past the last entry")]
    Clock,
    /// The journal does not begin with this world's root, or has a gap.
    #[error("entry {0} of the journal does not follow from those before it: {1}")]
    Journal(u64, String),
}

/// What was made of something handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its identity.
    pub id: ActId,
    /// Its place in the log.
    pub place: u64,
    /// When it was accepted, in Unix seconds.
    pub accepted: u64,
}

/// The state that follows from the journal.
#[derive(Debug)]
pub struct Desk {
    trust: Trust,
    book: Book,
    /// Acts of exercises, which nothing follows from.
    drills: Book,
    log: Log,
    receipts: HashMap<ActId, Receipt>,
    /// Places of rules, and of the drafts by which they were laid open.
    rules: Vec<u64>,
    /// Entries without a payload that no erasure has named so far.
    bare: BTreeSet<ActId>,
    /// Places of entries whose payload is to go from the journal.
    doomed: Vec<u64>,
}

impl Desk {
    /// The desk of a world at its beginning, by the journal's first entry.
    ///
    /// # Errors
    /// When that is not the root of the world.
    pub fn begin(first: &Entry, world: World) -> Result<Self, Rejection> {
        let sent = first.sent.as_deref().unwrap_or_default();
        let root = Signed::decode(sent).map_err(Refusal::from)?;
        let trust = Trust::begin(&root, world, NeverBlock::default())?;
        let mut desk = Self {
            trust,
            book: Book::default(),
            drills: Book::of_exercises(),
            log: Log::default(),
            receipts: HashMap::new(),
            rules: vec![first.place],
            bare: BTreeSet::new(),
            doomed: Vec::new(),
        };
        desk.note(first)?;
        Ok(desk)
    }

    /// Takes an entry of the journal as it was taken once, with all checks. What was erased since is passed over: whatever
    /// rested on it was erased with it, so that what follows from the rest is the same.
    ///
    /// # Errors
    /// When it would not be taken, or is out of its place.
    pub fn replay(&mut self, entry: &Entry) -> Result<(), Rejection> {
        self.follow(entry, entry.sent.as_deref().map(Signed::decode))
    }

    /// Takes entries as [`replay`](Self::replay) takes one after the other. Signatures are most of the work, and so many threads
    /// share it: those by keys that are known before the first entry are looked at ahead.
    ///
    /// They are checked one by one all the same. A check of many together (as `ed25519_dalek::verify_batch` has it) is by
    /// another equation, and would take what a gateway refuses.
    ///
    /// # Errors
    /// At the first that would not be taken, or is out of its place. Those before it are taken.
    pub fn replay_all(&mut self, entries: &[Entry], threads: NonZero<usize>) -> Result<(), Rejection> {
        let mut signed: Vec<_> =
            entries.iter().map(|entry| entry.sent.as_deref().map(Signed::decode)).collect();
        let trust = &self.trust;
        let look = |part: &mut [Option<Result<Signed, DecodeError>>]| {
            let acts = part.iter_mut().flatten().flatten().filter(|signed| is_act(signed));
            acts.for_each(|signed| signed.look_ahead(|key| trust.key(key)));
        };
        thread::scope(|scope| {
            let parts = signed.chunks_mut(entries.len().div_ceil(threads.get()).max(1));
            let looking: Vec<_> = parts.map(|part| scope.spawn(move || look(part))).collect();
            looking.into_iter().for_each(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        });
        entries.iter().zip(signed).try_for_each(|(entry, signed)| self.follow(entry, signed))
    }

    /// Takes an entry, whose payload was read.
    fn follow(
        &mut self,
        entry: &Entry,
        signed: Option<Result<Signed, DecodeError>>,
    ) -> Result<(), Rejection> {
        if let Some(signed) = signed {
            let signed = signed.map_err(Refusal::from)?;
            if act_id(signed.bytes()) != entry.id {
                return Err(Rejection::Journal(entry.place, "it is another object".to_owned()));
            }
            self.take(&signed, entry.accepted)
                .map_err(|fault| Rejection::Journal(entry.place, fault.to_string()))?;
        } else {
            self.bare.insert(entry.id);
            self.book.erase([entry.id]);
            self.drills.erase([entry.id]);
        }
        self.note(entry)
    }

    /// Entries whose payload is gone without a word: no erasure names them. There are none in a journal that nobody has
    /// tampered with.
    pub fn unexplained(&self) -> impl Iterator<Item = &ActId> {
        self.bare.iter()
    }

    /// The places of entries whose payload is to go from the journal: each erasure that is taken adds what it names. They are
    /// told once, and again by whoever reads the journal anew while it still holds them.
    pub fn take_doomed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.doomed)
    }

    /// Takes back places whose payload could not be taken out of the journal.
    pub fn doom(&mut self, places: Vec<u64>) {
        self.doomed.extend(places);
    }

    /// Checks something that is handed in at `now` (Unix seconds) and takes it. Returns the entry for the journal; none for what was
    /// taken before.
    ///
    /// `salt` are 32 random bytes, for what is not public.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn receive(
        &mut self,
        sent: &[u8],
        now: u64,
        salt: [u8; 32],
    ) -> Result<(Receipt, Option<Entry>), Rejection> {
        let signed = shape(sent)?;
        let id = act_id(signed.bytes());
        if let Some(receipt) = self.receipts.get(&id) {
            return Ok((*receipt, None));
        }
        if self
            .log
            .len()
            .checked_sub(1)
            .and_then(|last| self.log.leaf(last))
            .is_some_and(|last| now < last.accepted)
        {
            return Err(Rejection::Clock);
        }
        let is_public = if is_act(&signed) {
            // What a stranger hands in must be new; a journal's acts were.
            let accepted = self.law()?.submit(&signed, self.acts(&signed), now)?;
            self.enter(accepted, is_exercise(&signed))
        } else {
            self.take(&signed, now)?
        };
        let salt = (!is_public).then_some(salt);
        let entry = Entry { place: self.log.len(), accepted: now, id, salt, sent: Some(sent.to_vec()) };
        self.note(&entry)?;
        Ok((self.receipts[&id], Some(entry)))
    }

    /// Takes an object; whether everybody may read it.
    fn take(&mut self, signed: &Signed, now: u64) -> Result<bool, Rejection> {
        if !is_act(signed) {
            self.trust.adopt(signed, &self.book, now)?;
            self.rules.push(self.log.len());
            return Ok(true);
        }
        let accepted = self.law()?.examine(signed, self.acts(signed), now)?;
        Ok(self.enter(accepted, is_exercise(signed)))
    }

    /// The acts that an object stands among.
    fn acts(&self, signed: &Signed) -> &Book {
        if is_exercise(signed) { &self.drills } else { &self.book }
    }

    /// Enters an act that was checked; whether everybody may read it.
    fn enter(&mut self, accepted: Accepted, is_exercise: bool) -> bool {
        let is_public = is_public(&accepted.act);
        if matches!(accepted.act, Act::Draft(_)) && !is_exercise {
            self.rules.push(self.log.len());
        }
        if let Act::Erasure(erasure) = &accepted.act {
            let still_there = erasure.acts.iter().filter(|id| !self.bare.remove(id));
            self.doomed.extend(still_there.filter_map(|id| Some(self.receipts.get(id)?.place)));
        }
        let book = if is_exercise { &mut self.drills } else { &mut self.book };
        book.enter(accepted);
        is_public
    }

    /// Puts an entry into the log.
    fn note(&mut self, entry: &Entry) -> Result<(), Rejection> {
        if entry.place != self.log.len() {
            return Err(Rejection::Journal(entry.place, format!("place {} is due", self.log.len())));
        }
        self.log.append(Leaf::of(entry.accepted, &entry.id, entry.salt.as_ref()));
        let receipt = Receipt { id: entry.id, place: entry.place, accepted: entry.accepted };
        self.receipts.insert(entry.id, receipt);
        Ok(())
    }

    /// The rules in force.
    ///
    /// # Errors
    /// Before there is a rule of each kind.
    pub fn law(&self) -> Result<&Law, AdoptError> {
        self.trust.law()
    }

    /// The places of all rules, and of the drafts by which they were laid open, in order.
    pub fn rules(&self) -> &[u64] {
        &self.rules
    }

    /// All acts.
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// All acts of exercises: a feed of its own, which no gateway follows.
    pub const fn drills(&self) -> &Book {
        &self.drills
    }

    /// The book that an act stands in, in earnest or as an exercise.
    pub fn book_with(&self, id: &ActId) -> Option<&Book> {
        [&self.book, &self.drills].into_iter().find(|book| book.accepted(id).is_some())
    }

    /// An act, in earnest or as an exercise.
    pub fn accepted(&self, id: &ActId) -> Option<&Accepted> {
        self.book_with(id)?.accepted(id)
    }

    /// The log.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// What was made of an object.
    pub fn receipt(&self, id: &ActId) -> Option<&Receipt> {
        self.receipts.get(id)
    }

    /// An act that everybody may read.
    pub fn public(&self, id: &ActId) -> Option<&Accepted> {
        self.accepted(id).filter(|accepted| is_public(&accepted.act))
    }
}

/// Something as it was handed in, if it is of the right shape and size.
///
/// # Errors
/// When it is not.
pub(crate) fn shape(sent: &[u8]) -> Result<Signed, Rejection> {
    if sent.len() > BYTES_MAX {
        return Err(Rejection::Large(sent.len()));
    }
    let signed = Signed::decode(sent).map_err(Refusal::from)?;
    if is_act(&signed) && sent.len() > ACT_BYTES_MAX {
        return Err(Rejection::Large(sent.len()));
    }
    Ok(signed)
}

/// Whether an act says it is an exercise.
fn is_exercise(signed: &Signed) -> bool {
    is_act(signed) && signed.bytes().get(KIND_AT + 1) == Some(&1)
}

/// Whether an object says it is an act, and no rule.
pub(crate) fn is_act(signed: &Signed) -> bool {
    signed.bytes().get(KIND_AT).is_some_and(|&kind| kind >= FIRST_ACT)
}

/// Whether everybody may read an act. Reports name who reported whom, and complaints who complains: those concerned and the
/// officers see them.
pub const fn is_public(act: &Act) -> bool {
    !matches!(act, Act::Report(_) | Act::Complaint(_))
}

/// The word for a kind of act.
pub fn kind_name(act: &Act) -> &'static str {
    match act.kind() {
        16 => "own_alert",
        17 => "report",
        18 => "opinion",
        19 => "decision",
        20 => "proposal",
        21 => "vote",
        22 => "applied",
        23 => "correction",
        24 => "lifting",
        25 => "complaint",
        26 => "relief",
        27 => "outcome",
        28 => "repair",
        29 => "security_alert",
        30 => "manifest",
        31 => "confirmation",
        32 => "draft",
        33 => "comment",
        34 => "call",
        35 => "answer",
        _ => "erasure",
    }
}

#[cfg(test)]
mod tests;
