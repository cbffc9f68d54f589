//! What the member states of its own acts, when the platform asks for it.

use credence_credit::ActId;
use credence_feed::proposal::Proposal;
use credence_feed::{Reject, Rulebook, State};
use credence_law::party::{MemberId, Party, act_id};
use credence_law::{Act, Book, Object, Signed};
use ed25519_dalek::SigningKey;

/// The largest proposal that is read, in bytes.
pub const PROPOSAL_LEN_MAX: u64 = 1 << 25;

/// What signs for the member: a copy of its key.
pub struct Hand {
    pub(super) key: SigningKey,
    pub(super) member: MemberId,
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
    /// Its signed bytes.
    pub bytes: Vec<u8>,
}

impl Hand {
    /// Signs what the platform asks the member to state, if all that is new in it is the member's own word. `state` is what is in force
    /// by the feed that is followed here, `now` the time in Unix seconds.
    ///
    /// # Errors
    /// Why nothing is signed.
    pub fn sign(
        &self,
        asked: &[u8],
        (rules, state): (&Rulebook, &State),
        now: u64,
    ) -> Result<Statement, Reject> {
        let (law, party) = (rules.law()?, Party::Member(self.member));
        let asked = Proposal::decode(asked)?;
        let rows = asked.agreed(law, (party, state.shard(party)), now)?;
        let manifest = asked.manifest(law, &rows);
        let digest = manifest.digest;
        let signed = Signed::with(Object::new(law.world, Act::from(manifest)).encode(), [&self.key]);
        law.examine(&signed, &Book::default(), now.max(asked.at))
            .map_err(|refusal| Reject::Manifest(party, refusal))?;
        Ok(Statement { id: act_id(signed.bytes()), rows: rows.len(), digest, bytes: signed.encode() })
    }
}
