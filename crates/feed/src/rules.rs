//! The rules of a world as a feed tells them: one by one, in the order in which they came into force.

use credence_credit::ActId;
use credence_credit::guard::NeverBlock;
use credence_law::layout::{DecodeError, Layout, fields};
use credence_law::party::{World, act_id};
use credence_law::{AdoptError, Book, Law, Object, Refusal, Rules, Signed, Trust};
use credence_prefix::Prefix;
use sha2::{Digest, Sha256};

use crate::reject::Reject;

fields! {
    /// A rule, or the draft by which it was laid open for comment.
    pub struct Entry {
        /// When it was accepted, in Unix seconds.
        pub accepted: u64,
        /// The object.
        pub signed: Signed,
    }
}

/// The rules in force, and how they came to be.
#[derive(Debug)]
pub struct Rulebook {
    trust: Trust,
    /// Drafts, for what members have adopted.
    drafts: Book,
    entries: Vec<Entry>,
    digest: Sha256,
}

/// The most entries: a registry a day for some forty years.
const ENTRIES_MAX: u32 = 1 << 14;

impl Rulebook {
    /// Begins with the root of a world that is known by its hash.
    ///
    /// # Errors
    /// When it is another root, or not signed as it says.
    pub fn begin(root: Entry, pinned: World) -> Result<Self, Reject> {
        let trust = Trust::begin(&root.signed, pinned, NeverBlock::default())
            .map_err(|fault| Reject::Rule(0, fault))?;
        let mut begun =
            Self { trust, drafts: Book::of_public_acts(), entries: Vec::new(), digest: Sha256::new() };
        begun.note(root);
        Ok(begun)
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// When it does not come into force. Nothing has changed then.
    pub fn follow(&mut self, entry: Entry) -> Result<(), Reject> {
        let number = self.len();
        let fault = |fault| Reject::Rule(number, fault);
        if number >= ENTRIES_MAX || self.entries.last().is_some_and(|last| entry.accepted < last.accepted) {
            return Err(Reject::TooLarge);
        }
        if Object::<Rules>::decode(entry.signed.bytes()).is_ok() {
            self.trust.adopt(&entry.signed, &self.drafts, entry.accepted).map_err(fault)?;
        } else {
            let law = self.trust.law().map_err(fault)?;
            let refused = |refusal: Refusal| fault(AdoptError::Refused(refusal));
            let accepted = law.examine(&entry.signed, &self.drafts, entry.accepted).map_err(refused)?;
            self.drafts.enter(accepted);
        }
        self.note(entry);
        Ok(())
    }

    fn note(&mut self, entry: Entry) {
        self.digest.update(entry.accepted.to_be_bytes());
        self.digest.update(entry.id().0);
        self.entries.push(entry);
    }

    /// How many entries there are.
    pub const fn len(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Never: it begins with a root.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The SHA-256 over all entries, of each when it was accepted in eight bytes, and its identity.
    pub fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    /// The rules in force.
    ///
    /// # Errors
    /// When there is not one of each kind yet.
    pub fn law(&self) -> Result<&Law, Reject> {
        self.trust.law().map_err(|fault| Reject::Rule(self.len(), fault))
    }

    /// What members of a world hold that was made to try things out; nothing in any other.
    ///
    /// # Errors
    /// When there is not a rule of each kind yet.
    pub fn staged(&self) -> Result<Vec<Prefix>, Reject> {
        if !self.is_example() {
            return Ok(Vec::new());
        }
        let members = &self.law()?.register().registry().members;
        Ok(members.iter().flat_map(|member| &member.holdings).map(|holding| holding.prefix).collect())
    }

    /// Whether the world was made to try things out.
    pub const fn is_example(&self) -> bool {
        self.trust.root().is_example
    }
}

impl Entry {
    /// Its identity.
    pub fn id(&self) -> ActId {
        act_id(self.signed.bytes())
    }

    /// Its bytes, as they travel.
    pub fn encode(&self) -> Vec<u8> {
        self.to_bytes()
    }

    /// Reads what [`encode`](Self::encode) has written.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_bytes(bytes)
    }
}
