//! What signs a party's manifests when the platform asks for them, and only what is the party's own word.
//!
//! A member signs alone. The coordinating body speaks by its seats, of which as many as its quorum have to sign the very same bytes; each
//! has its key on a host of its own, judges for itself, and knows of the others only what the platform has gathered. What is asked for
//! makes the bytes: whoever agrees to one proposal comes to the same manifest.
//!
//! **No number twice.** What was signed last is on disk before a signature leaves, and nothing else is ever signed under its number, nor
//! under a lower one: otherwise who asks could have two manifests of one number, and show each to others.

use std::io;
use std::path::Path;

use credence_credit::ActId;
use credence_feed::proposal::Proposal;
use credence_feed::{Reject, State};
use credence_law::layout::{Layout, fields};
use credence_law::party::{MemberId, Party, act_id};
use credence_law::{Act, Book, Object, Refusal, Signed};
use ed25519_dalek::SigningKey;

use crate::feed::Disk;
use crate::outbox::{VoiceError, read_key};

/// The largest proposal that is read, in bytes.
pub const PROPOSAL_LEN_MAX: u64 = 1 << 25;
/// The longest note of what was signed last, in bytes.
const NOTE_LEN_MAX: u64 = 1 << 10;

fields! {
    /// What was signed last.
    pub struct Last {
        /// Its number.
        pub number: u64,
        /// Its identity: the hash of the bytes that were signed.
        pub id: ActId,
    }
}

/// What signs for a party: a copy of its key, and what it has signed last.
#[derive(Debug)]
pub struct Hand<D> {
    key: SigningKey,
    party: Party,
    disk: D,
    last: Option<Last>,
}

/// A manifest that can be handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its identity.
    pub id: ActId,
    /// How many rows it states.
    pub rows: u32,
    /// The digest of its rows.
    pub digest: [u8; 32],
    /// Its bytes with the signature of this hand.
    pub bytes: Vec<u8>,
}

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsigned {
    /// There is nothing to sign with.
    #[error(transparent)]
    Key(#[from] VoiceError),
    /// It is not the party's own word, or not the one of now.
    #[error(transparent)]
    Reject(#[from] Reject),
    /// Something else was signed under the number.
    #[error(
        "number {0} was signed here before, under something else: whoever asks shows different things to different people"
    )]
    Twice(u64),
    /// A higher number was signed.
    #[error(
        "it has number {asked}, and {last} was signed here before: the platform's clock was set back, or this is an old question"
    )]
    Behind {
        /// The number that was signed.
        last: u64,
        /// The number that is asked for.
        asked: u64,
    },
    /// What was signed last cannot be read.
    #[error(
        "the note of what was signed last is damaged: remove it when every manifest with this key is over, an hour after the last"
    )]
    Damaged,
    /// What is signed cannot be written down.
    #[error("what is signed cannot be written down first: {0}")]
    Unkept(#[from] io::Error),
}

impl<D: Disk> Hand<D> {
    /// What signs for a member with its key for alerts. `disk` is a place where nothing else is kept.
    ///
    /// # Errors
    /// When it cannot be read there what was signed last.
    pub(crate) fn of_member(member: MemberId, key: SigningKey, disk: D) -> Result<Self, Unsigned> {
        Self::new(Party::Member(member), key, disk)
    }

    /// What signs for the coordinating body by one of its seats, whose key for decisions is in a file. `disk` is as for a member.
    ///
    /// # Errors
    /// When there is no key in the file, others can read it, or it cannot be read what was signed last.
    pub fn of_seat(key: &Path, disk: D) -> Result<Self, Unsigned> {
        Self::new(Party::Body, read_key(key)?, disk)
    }

    fn new(party: Party, key: SigningKey, disk: D) -> Result<Self, Unsigned> {
        let bytes = disk.read(&note(party), NOTE_LEN_MAX)?;
        let last = bytes.map(|bytes| Last::from_bytes(&bytes)).transpose();
        Ok(Self { key, party, last: last.map_err(|_| Unsigned::Damaged)?, disk })
    }

    /// Signs what the platform asks the party to state, if all that is new in it is the party's own word and nothing in it was taken
    /// back. `state` is what is in force by the feed that is followed here, `now` the time in Unix seconds.
    ///
    /// # Errors
    /// Why nothing is signed.
    pub fn sign(&mut self, asked: &[u8], state: &State, now: u64) -> Result<Statement, Unsigned> {
        let (law, party) = (state.rules().law()?, self.party);
        let asked = Proposal::decode(asked)?;
        let rows = asked.agreed(state, party, now)?;
        let manifest = asked.manifest(law, &rows);
        let (number, digest) = (manifest.preamble.number, manifest.digest);
        let signed = Signed::with(Object::new(law.world, Act::from(manifest)).encode(), [&self.key]);
        match law.examine(&signed, &Book::default(), now.max(asked.at)) {
            Ok(_) => {}
            // The last of all checks: other seats have to sign as well.
            Err(Refusal::TooFewSignatures) if party == Party::Body => {}
            Err(refusal) => return Err(Reject::Manifest(party, refusal).into()),
        }
        let id = act_id(signed.bytes());
        self.note(Last { number, id })?;
        Ok(Statement { id, rows: rows.len(), digest, bytes: signed.encode() })
    }

    /// Writes down what is about to be signed, if nothing stands against it.
    fn note(&mut self, next: Last) -> Result<(), Unsigned> {
        match &self.last {
            Some(last) if *last == next => return Ok(()),
            Some(last) if last.number == next.number => return Err(Unsigned::Twice(next.number)),
            Some(last) if last.number > next.number => {
                return Err(Unsigned::Behind { last: last.number, asked: next.number });
            }
            _ => {}
        }
        self.disk.write(&note(self.party), &next.to_bytes())?;
        self.last = Some(next);
        Ok(())
    }
}

/// The file that says what was signed last.
fn note(party: Party) -> String {
    if party == Party::Body { "seat".to_owned() } else { "member".to_owned() }
}
