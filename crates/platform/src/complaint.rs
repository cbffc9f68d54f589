//! Complaints of those who are no members: whoever answers from inside a prefix has a say over it.
//!
//! A challenge names an act, a block of addresses and a moment, under a secret of the platform. What comes back with it from an
//! address inside the block, over a connection that takes packets in both directions, shows that its sender receives what is
//! sent there. Nothing is kept between the two, so that asking for challenges costs the platform nothing.

use core::fmt;
use std::net::Ipv6Addr;

use credence_credit::{ActId, Learned, Subject};
use credence_law::acts::{Block, Complaint, Control, Erased, Erasure, Ground, Preamble, Purpose, Relief};
use credence_law::party::{Party, unhex};
use credence_law::{Act, Acts, Law, Object, Refusal, Signed};
use credence_prefix::Prefix;
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};

use crate::desk::Desk;
use crate::keys::hex;

/// How long a challenge can be answered, in seconds: time to carry it to a machine inside the block.
pub const CHALLENGE_LASTS: u64 = 3_600;
/// How long a complaint and what follows from it last, in seconds; that is longer than a hearing takes by far.
const YEAR: u64 = 365 * 86_400;
/// The act in 32 bytes, the first address in sixteen and the length in one, the moment in eight, the seal in 32.
const CHALLENGE_LEN: usize = 32 + 16 + 1 + 8 + 32;

/// Why a challenge is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// It was not issued here.
    #[error("this challenge was not issued here, or was changed; ask for a new one")]
    Unknown,
    /// It was issued too long ago.
    #[error("this challenge is more than an hour old; ask for a new one")]
    Late,
    /// The answer comes from elsewhere.
    #[error("the answer must come from an address inside the block that the complaint is for")]
    Outside,
    /// The law has no room for it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody hears it now.
    #[error(
        "complaints cannot be taken at the moment; come again, or ask the member that holds the addresses"
    )]
    Closed,
    /// The law says nothing yet.
    #[error("the world has no rules yet")]
    Lawless,
}

/// What seals challenges: 32 random bytes that live as long as the process.
#[derive(Clone)]
pub struct Challenger([u8; 32]);

impl Challenger {
    /// A challenger with this secret.
    pub const fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// What must be shown of a challenge to be one of this platform's. All fields have fixed lengths, so that no two challenges
    /// have the same bytes under the seal, and the secret stands on both sides of them.
    fn seal(&self, fields: &[u8]) -> [u8; 32] {
        let hash = Sha256::new().chain_update(self.0).chain_update(b"credence challenge");
        hash.chain_update(fields).chain_update(self.0).finalize().into()
    }

    fn challenge(&self, against: &ActId, subject: Prefix, now: u64) -> Challenge {
        let mut bytes = [against.0.as_slice(), &subject.first().to_be_bytes(), &[subject.len()]].concat();
        bytes.extend(now.to_be_bytes());
        let seal = self.seal(&bytes);
        bytes.extend(seal);
        Challenge { text: hex(&bytes), subject, until: now.saturating_add(CHALLENGE_LASTS) }
    }

    /// The act and the block that a challenge was issued for, if it is answered in time from inside the block.
    fn open(&self, challenge: &str, from: Ipv6Addr, now: u64) -> Result<(ActId, Prefix), Unproved> {
        let bytes = unhex::<CHALLENGE_LEN>(challenge.trim()).ok_or(Unproved::Unknown)?;
        let (fields, seal) = bytes.split_at(CHALLENGE_LEN - 32);
        // Every byte is looked at, so that time tells nothing of which was wrong.
        let differs =
            self.seal(fields).iter().zip(seal).fold(0, |differs, (one, other)| differs | (one ^ other));
        if differs != 0 {
            return Err(Unproved::Unknown);
        }
        let number = |range: core::ops::Range<usize>| {
            fields[range].iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
        };
        let issued = number(49..57) as u64;
        if now >= issued.saturating_add(CHALLENGE_LASTS) || issued > now {
            return Err(Unproved::Late);
        }
        let subject = Prefix::containing(number(32..48), fields[48]);
        if !subject.contains(from.to_bits()) {
            return Err(Unproved::Outside);
        }
        Ok((ActId(core::array::from_fn(|place| fields[place])), subject))
    }
}

/// Says nothing of the secret.
impl fmt::Debug for Challenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenger")
    }
}

/// What is to be sent back from inside a block of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The text that is sent back as it is.
    pub text: String,
    /// From inside which block.
    pub subject: Prefix,
    /// Until when, in Unix seconds.
    pub until: u64,
}

/// What somebody says who answers a challenge.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The challenge.
    pub challenge: &'a str,
    /// Where the answer came from.
    pub from: Ipv6Addr,
    /// Why the act should not stand.
    pub ground: Ground,
    /// A commitment to what was written: the SHA-256 of 32 secret bytes and of the text. It makes the complaint's identity one that
    /// nobody can guess, who has it can follow the hearing.
    pub commitment: [u8; 32],
}

impl Desk {
    /// A challenge at `now` (Unix seconds) for a complaint about a public act by somebody with a say over `address`: over the
    /// /64 that it lies in, or over what the act names where that is narrower.
    ///
    /// # Errors
    /// When there is no such act in force, or it is about other addresses.
    pub fn challenge(
        &self,
        challenger: &Challenger,
        against: &ActId,
        address: Ipv6Addr,
        now: u64,
    ) -> Result<Challenge, Unproved> {
        let act = self.public(against).ok_or(Refusal::UnknownAct)?;
        let about = act.act.subject().ok_or(Refusal::UnknownAct)?.prefix;
        if !self.book().state(against, now).is_some_and(credence_law::State::is_in_force) {
            return Err(Refusal::Expired.into());
        }
        if !about.contains(address.to_bits()) {
            return Err(Refusal::OtherSubject.into());
        }
        let len = Subject::DEFAULT_LEN.max(about.len());
        Ok(challenger.challenge(against, Prefix::containing(address.to_bits(), len), now))
    }

    /// The complaint of whoever has answered a challenge at `now` (Unix seconds), signed with the operator's key and ready to be
    /// handed in. Its identity is what the complainant follows it by.
    ///
    /// # Errors
    /// When the challenge is not answered, or the complaint would not be taken.
    pub fn complain(
        &self,
        challenger: &Challenger,
        answered: &Answered<'_>,
        operator: &SigningKey,
        now: u64,
    ) -> Result<Signed, Unproved> {
        let (against, prefix) = challenger.open(answered.challenge, answered.from, now)?;
        let law = self.law().map_err(|_| Unproved::Lawless)?;
        let complaint = Complaint {
            preamble: self.preamble(law, Party::Operator, Purpose::Relief, now),
            against,
            subject: Block { prefix, learned: Learned::Default },
            ground: answered.ground,
            control: Control::Answered,
            commitment: answered.commitment,
        };
        let signed = sign(law, complaint, operator);
        law.submit(&signed, self.book(), now)?;
        Ok(signed)
    }

    /// The relief that gateways are owed at `now` (Unix seconds), which cannot read complaints: one act for each complaint that
    /// has made another milder, to be handed in one after the other.
    pub fn owed_relief(&self, executive: &SigningKey, now: u64) -> Option<Signed> {
        let law = self.law().ok()?;
        let (complaint, act) = self.book().unpublished_reliefs(law, now).into_iter().next()?;
        let preamble = self.preamble(law, Party::Executive, Purpose::Relief, now);
        Some(sign(law, Relief { preamble, complaint, act }, executive))
    }

    /// The erasure that is due at `now` (Unix seconds), if anything was kept as long as it may be.
    pub fn owed_erasure(&self, operator: &SigningKey, now: u64) -> Option<Signed> {
        let law = self.law().ok()?;
        let acts: Vec<_> = self.book().erasable(law, now).into_iter().collect();
        let preamble = self.preamble(law, Party::Operator, Purpose::Account, now);
        (!acts.is_empty()).then(|| sign(law, Erasure { preamble, acts, ground: Erased::Retention }, operator))
    }

    /// What an act of the platform's own offices begins with. Numbers rise with the moment, and by one where two are made in a
    /// second.
    fn preamble(&self, law: &Law, issuer: Party, purpose: Purpose, now: u64) -> Preamble {
        let number = self.book().last_number(issuer).saturating_add(1).max(now);
        let registry = law.register().registry().version;
        Preamble { issuer, number, issued: now, expires: now.saturating_add(YEAR), registry, purpose }
    }
}

fn sign(law: &Law, act: impl Into<Act>, key: &SigningKey) -> Signed {
    Signed::with(Object::new(law.world, act.into()).encode(), [key])
}

#[cfg(test)]
mod tests;
