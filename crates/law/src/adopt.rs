//! How rules come into force: a root that was pinned, and from there on what members adopt.
//!
//! The first registry, catalogue and standard are signed by the root. What follows takes two thirds of the members of the registry
//! in force, each with its key for rules; or the root again, whose keys lie offline, for the day on which members' keys are lost. A
//! root is followed by one that the threshold of the old and of the new have signed, as in section 5.3 of the specification of The
//! Update Framework. Versions go up one by one, and each names the one before. A catalogue, a standard or a procedure that
//! members adopt was laid open for comment before, byte for byte, and the time for that has passed.

use std::collections::{BTreeMap, BTreeSet};

use credence_credit::ActId;
use credence_credit::guard::NeverBlock;
use ed25519_dalek::VerifyingKey;

use crate::check::{Acts, Law};
use crate::cycle::draft;
use crate::object::Object;
use crate::party::{Function, KeyId, Party, World, act_id};
use crate::procedure::Procedure;
use crate::refusal::Refusal;
use crate::registry::{Register, RegistryError};
use crate::rules::{ADOPTION, Root, Rules};
use crate::sign::Signed;

/// Why a rule does not come into force. Those before stay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// As acts are refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The registry is at odds with itself.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It does not follow what is in force.
    #[error("this is version {found}, and version {due} is due, which names the one before it")]
    Succession {
        /// The version that would follow.
        due: u32,
        /// The version that came.
        found: u32,
    },
    /// The root is not the one that is trusted.
    #[error("this is the root of world {found}; the configuration trusts {pinned}")]
    Pinned {
        /// The world of this root.
        found: World,
        /// The world that is trusted.
        pinned: World,
    },
    /// A root that nobody could ever replace.
    #[error(
        "a root needs from one to all of its different keys to sign, and every key must be an Ed25519 key"
    )]
    Root,
    /// A catalogue, standard or procedure at odds with itself, or with another.
    #[error(
        "its items are out of order, the standard has no rule for one of them, or the procedure no time for something"
    )]
    Rules,
    /// Members adopt what nobody could comment on.
    #[error(
        "it was not laid open for comment, or the time for that has not passed: hand in a draft of these very bytes"
    )]
    Comment,
    /// Acts cannot be judged yet.
    #[error("a {0} is needed before that; it comes first")]
    Before(&'static str),
}

/// The rules in force, and where they come from.
#[derive(Debug)]
pub struct Trust {
    root: Root,
    root_id: ActId,
    /// The identities of the registry, catalogue and standard in force, which the next ones name.
    last: BTreeMap<&'static str, ActId>,
    law: Law,
}

impl Trust {
    /// Begins with a world's first root, which is known by its hash.
    ///
    /// # Errors
    /// When it is another root, or not signed as it says itself.
    pub fn begin(root: &Signed, pinned: World, protected: NeverBlock) -> Result<Self, AdoptError> {
        let root_id = act_id(root.bytes());
        let found = World(root_id.0);
        if found != pinned {
            return Err(AdoptError::Pinned { found, pinned });
        }
        let first = decode_root(root, World::UNBORN)?;
        follows(None, 0, (first.version, first.previous))?;
        check_root(&first, root)?;
        let law = Law {
            world: pinned,
            is_example: first.is_example,
            registers: BTreeMap::new(),
            catalogues: BTreeMap::new(),
            supplements: BTreeMap::new(),
            standards: BTreeMap::new(),
            procedures: BTreeMap::from([(0, Procedure::first())]),
            adopted: BTreeMap::new(),
            protected,
        };
        Ok(Self { root: first, root_id, last: BTreeMap::new(), law })
    }

    /// The root in force.
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// The key of this name, as far as registries so far have it.
    pub fn key(&self, id: KeyId) -> Option<VerifyingKey> {
        Some(self.law.speaker(id)?.0)
    }

    /// The rules in force, once there is one of each.
    ///
    /// # Errors
    /// When one is missing.
    pub fn law(&self) -> Result<&Law, AdoptError> {
        let missing =
            ["registry", "catalogue", "standard"].into_iter().find(|kind| !self.last.contains_key(kind));
        missing.map_or(Ok(&self.law), |kind| Err(AdoptError::Before(kind)))
    }

    /// Brings a rule into force at `now`, in Unix seconds. Whether it was laid open for comment is seen from `acts`.
    ///
    /// # Errors
    /// When it is not signed as it must be, was not laid open, does not follow, or is at odds with itself.
    pub fn adopt(&mut self, signed: &Signed, acts: &impl Acts, now: u64) -> Result<(), AdoptError> {
        let object = Object::<Rules>::decode(signed.bytes()).map_err(Refusal::from)?;
        if object.world != self.law.world {
            return Err(Refusal::World.into());
        }
        let id = act_id(signed.bytes());
        match object.body {
            Rules::Root(root) => self.replace_root(root, id, signed),
            Rules::Supplement(supplement) => {
                let party = Party::Member(supplement.member);
                let signers = self.rule_makers(signed, now)?;
                if signers.iter().any(|signer| *signer != party) {
                    return Err(Refusal::WrongSigner.into());
                }
                let before = self.law.supplements.get(&supplement.member).map_or(0, |before| before.version);
                follows(None, before, (supplement.version, None))?;
                if !supplement.is_valid() {
                    return Err(AdoptError::Rules);
                }
                self.law.supplements.insert(supplement.member, supplement);
                Ok(())
            }
            rules => {
                let is_commented = matches!(rules, Rules::Registry(_)) || self.is_commented(&id, acts, now);
                if !self.is_roots(signed, now) {
                    self.may_adopt(signed, now)?;
                    if !is_commented {
                        return Err(AdoptError::Comment);
                    }
                }
                self.replace(rules, id, now)
            }
        }
    }

    /// Whether members have had their time to comment on rules of this identity.
    fn is_commented(&self, id: &ActId, acts: &impl Acts, now: u64) -> bool {
        let is_ready = |draft: &ActId| {
            let running = draft::at(&self.law, acts, draft, now);
            running.is_some_and(|running| running.state == draft::State::Ready)
        };
        !self.law.registers.is_empty() && acts.drafts(id).iter().any(is_ready)
    }

    /// Puts a registry, catalogue, standard or procedure in force.
    fn replace(&mut self, rules: Rules, id: ActId, now: u64) -> Result<(), AdoptError> {
        let version = rules.version();
        let kind = match rules {
            Rules::Registry(registry) => {
                let register = Register::new(registry)?;
                self.due("registry", last(&self.law.registers), version)?;
                self.law.registers.insert(version.0, register);
                "registry"
            }
            Rules::Catalogue(catalogue) => {
                self.due("catalogue", last(&self.law.catalogues), version)?;
                if !catalogue.is_valid() {
                    return Err(AdoptError::Rules);
                }
                self.law.catalogues.insert(version.0, catalogue);
                "catalogue"
            }
            Rules::Standard(standard) => {
                self.due("standard", last(&self.law.standards), version)?;
                let catalogue = self.law.catalogues.get(&standard.catalogue);
                let catalogue = catalogue.ok_or(AdoptError::Before("catalogue"))?;
                if !standard.is_valid(catalogue) {
                    return Err(AdoptError::Rules);
                }
                self.law.standards.insert(version.0, standard);
                "standard"
            }
            Rules::Procedure(procedure) => {
                let before = self.law.procedure(u64::MAX).version;
                self.due("procedure", before, version)?;
                if !procedure.is_valid() {
                    return Err(AdoptError::Rules);
                }
                self.law.procedures.insert(now, procedure);
                "procedure"
            }
            Rules::Root(_) | Rules::Supplement(_) => unreachable!("these come into force in their own ways"),
        };
        self.law.adopted.insert(id, now);
        self.last.insert(kind, id);
        Ok(())
    }

    fn due(&self, kind: &str, before: u32, found: (u32, Option<ActId>)) -> Result<(), AdoptError> {
        follows(self.last.get(kind).copied(), before, found)
    }

    /// Whether as many of the root's keys have signed as it takes, in its time.
    fn is_roots(&self, signed: &Signed, now: u64) -> bool {
        now < self.root.expires && signed_by(&self.root, signed)
    }

    /// That two thirds of the members have signed.
    fn may_adopt(&self, signed: &Signed, now: u64) -> Result<(), AdoptError> {
        let makers: BTreeSet<_> = self.rule_makers(signed, now)?.into_iter().collect();
        let members = self.law.register().registry().members.len();
        let enough = makers.len() * ADOPTION.1 >= members * ADOPTION.0;
        if enough { Ok(()) } else { Err(Refusal::TooFewSignatures.into()) }
    }

    /// The members whose keys for rules have signed.
    fn rule_makers(&self, signed: &Signed, now: u64) -> Result<Vec<Party>, AdoptError> {
        if self.law.registers.is_empty() {
            return Err(Refusal::TooFewSignatures.into());
        }
        let register = self.law.register();
        if signed.claims().any(|key| register.is_revoked(key)) {
            return Err(Refusal::RevokedKey.into());
        }
        let speakers = signed.verify(|key| register.speaker(key))?;
        if speakers.iter().any(|speaker| speaker.function != Function::Rules) {
            return Err(Refusal::WrongSigner.into());
        }
        if speakers.iter().any(|speaker| !speaker.is_valid(now)) {
            return Err(Refusal::KeyTime.into());
        }
        Ok(speakers.into_iter().map(|speaker| speaker.party).collect())
    }

    fn replace_root(&mut self, root: Root, id: ActId, signed: &Signed) -> Result<(), AdoptError> {
        follows(Some(self.root_id), self.root.version, (root.version, root.previous))?;
        if root.is_example != self.root.is_example {
            return Err(AdoptError::Root);
        }
        check_root(&root, signed)?;
        if !signed_by(&self.root, signed) {
            return Err(Refusal::TooFewSignatures.into());
        }
        (self.root, self.root_id) = (root, id);
        Ok(())
    }
}

/// The highest version of some rules; 0 for none.
fn last<T>(versions: &BTreeMap<u32, T>) -> u32 {
    versions.last_key_value().map_or(0, |(version, _)| *version)
}

/// That a version is the next, and names the one before.
fn follows(last: Option<ActId>, before: u32, found: (u32, Option<ActId>)) -> Result<(), AdoptError> {
    let due = before.saturating_add(1);
    if found == (due, last) { Ok(()) } else { Err(AdoptError::Succession { due, found: found.0 }) }
}

fn decode_root(signed: &Signed, world: World) -> Result<Root, AdoptError> {
    let object = Object::<Rules>::decode(signed.bytes()).map_err(Refusal::from)?;
    match object.body {
        Rules::Root(root) if object.world == world => Ok(root),
        _ => Err(Refusal::World.into()),
    }
}

/// That a root can be followed by another one, and that its own keys have signed it.
fn check_root(root: &Root, signed: &Signed) -> Result<(), AdoptError> {
    let distinct: BTreeSet<_> = root.keys.iter().collect();
    let usable = root.keys.iter().all(|key| verifying(key).is_some());
    let in_reach = 1 <= root.threshold && usize::from(root.threshold) <= root.keys.len();
    if !usable || !in_reach || distinct.len() != root.keys.len() {
        return Err(AdoptError::Root);
    }
    if signed_by(root, signed) { Ok(()) } else { Err(Refusal::TooFewSignatures.into()) }
}

fn verifying(key: &[u8; 32]) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak())
}

/// Whether as many of a root's keys have signed as it takes. Signatures of other keys are not looked at, since two roots' keys sign
/// the one that follows.
fn signed_by(root: &Root, signed: &Signed) -> bool {
    let own: BTreeMap<KeyId, VerifyingKey> =
        root.keys.iter().filter_map(|key| Some((KeyId::of(key), verifying(key)?))).collect();
    signed.count(&own) >= root.threshold.into()
}

#[cfg(test)]
mod tests;
