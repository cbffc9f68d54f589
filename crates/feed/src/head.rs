//! The one small file of a feed that changes.

use std::collections::BTreeMap;

use credence_law::layout::{DecodeError, Input, Layout, fields};
use credence_law::party::{Function, KeyId, World};
use credence_law::registry::Key;
use credence_law::{Body, Law, Object, Signed};
use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};

use crate::reject::Reject;
use crate::way;

/// How long a head lasts at most, in seconds: whoever is shown an old one for longer notices.
pub const HEAD_LASTS_MAX: u64 = 600;
/// By how much clocks may differ, in seconds.
pub const SKEW: u64 = credence_law::check::SKEW;
/// The largest head, in bytes.
pub const HEAD_BYTES_MAX: usize = 1 << 20;
/// The most deltas that a head names.
pub const DELTAS_MAX: usize = 256;

fields! {
    /// A file by what is in it.
    pub struct FileRef {
        /// The SHA-256 of its bytes.
        pub hash: [u8; 32],
        /// How many bytes.
        pub len: u32,
    }

    /// A file that leads from one serial, and from each between, to another.
    pub struct DeltaRef {
        /// From which on.
        pub from: u64,
        /// To which.
        pub to: u64,
        /// Where.
        pub file: FileRef,
    }

    /// What is in force, in short: everything else follows from it and is checked against it.
    pub struct Head {
        /// The run of serials; a new one starts over, as in RFC 8182 section 3.3.1.
        pub session: u64,
        /// The version of the feed in its session, from 1 on.
        pub serial: u64,
        /// The SHA-256 of the head before, as it was signed; zeros for a session's first.
        pub previous: [u8; 32],
        /// When it was made, in Unix seconds. At that moment everything in it stood.
        pub issued: u64,
        /// Until when it can be believed, in Unix seconds; at most ten minutes more.
        pub expires: u64,
        /// How many entries the public log had.
        pub log_size: u64,
        /// The log's root.
        pub log_root: [u8; 32],
        /// How many entries the rules have.
        pub rules: u32,
        /// The SHA-256 over the rules: of each when it came into force in eight bytes, and its identity.
        pub rules_digest: [u8; 32],
        /// The root of the state.
        pub root: [u8; 32],
        /// The file from which the whole state can be had.
        pub snapshot: FileRef,
        /// Files that lead here from earlier states, in the order of where they begin.
        pub deltas: Vec<DeltaRef>,
    }
}

impl FileRef {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { hash: Sha256::digest(bytes).into(), len: bytes.len() as u32 }
    }

    /// That these are the bytes.
    ///
    /// # Errors
    /// When they are others.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Reject> {
        let is_it = bytes.len() == self.len as usize && Sha256::digest(bytes).as_slice() == self.hash;
        if is_it { Ok(()) } else { Err(Reject::Hash) }
    }

    /// The file's name: its hash in 64 hexadecimal digits, so that no name from elsewhere ever reaches a disk.
    pub fn name(&self) -> String {
        let digits = self.hash.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
    }
}

/// The subject at which a bus tells of a world's heads: of each its session and its serial in decimal digits, one behind the other.
pub fn subject(world: World) -> String {
    format!("credence.{world}.head")
}

/// The number of a head among objects.
const HEAD: u8 = 64;

impl Body for Head {
    fn kind(&self) -> u8 {
        HEAD
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.put(out);
    }

    fn read(kind: u8, input: &mut Input<'_>) -> Option<Result<Self, DecodeError>> {
        (kind == HEAD).then(|| Self::take(input))
    }
}

/// The operator's keys that were not revoked, as far as they are `wanted`.
pub fn operators(law: &Law, wanted: impl Fn(&Key) -> bool) -> BTreeMap<KeyId, VerifyingKey> {
    let register = law.register();
    let keys = register.registry().operator.keys.iter();
    keys.filter(|key| key.function == Function::Operation && wanted(key))
        .map(|key| KeyId::of(&key.public))
        .filter(|id| !register.is_revoked(*id))
        .filter_map(|id| Some((id, register.speaker(id)?.0)))
        .collect()
}

/// Whether by the newer of two states of the rules none of the keys is the operator's any more that were so by the older one:
/// whoever had them may have gone ahead as far as numbers go, and can sign nothing any more.
pub fn is_operator_replaced(before: &Law, now: &Law) -> bool {
    let now = operators(now, |_| true);
    operators(before, |_| true).keys().all(|key| !now.contains_key(key))
}

impl Head {
    /// What is signed, in a world.
    pub fn object(self, world: World) -> Object<Self> {
        Object::new(world, self)
    }

    /// The SHA-256 of a head as it was signed, by which the next one names it.
    pub fn hash(signed: &Signed) -> [u8; 32] {
        Sha256::digest(signed.bytes()).into()
    }

    /// Reads a head that as many of the operator's keys have signed as the registry asks for. Each key counts once, and those of
    /// others not at all.
    ///
    /// # Errors
    /// When there are too few of them, or it is no head of this world, or not of a shape that heads have.
    pub fn open(signed: &Signed, law: &Law) -> Result<Self, Reject> {
        let Object { world, exercise, body: head, .. } = Object::<Self>::decode(signed.bytes())?;
        if world != law.world || exercise {
            return Err(Reject::World);
        }
        let keys = operators(law, |key| key.from <= head.issued && head.issued < key.until);
        let needed = usize::from(law.register().registry().operation_quorum);
        let found = signed.count(&keys);
        if found < needed {
            return Err(Reject::Unsigned { found, needed });
        }
        if head.expires <= head.issued || head.expires - head.issued > HEAD_LASTS_MAX {
            return Err(Reject::Lifetime);
        }
        if head.deltas.len() > DELTAS_MAX || head.serial == 0 {
            return Err(Reject::TooLarge);
        }
        Ok(head)
    }

    /// That it is of this time, by a clock that says `now`, in Unix seconds.
    ///
    /// # Errors
    /// When it is over, or from the future.
    pub const fn is_current(&self, now: u64) -> Result<(), Reject> {
        if now >= self.expires {
            return Err(Reject::Expired);
        }
        if self.issued > now.saturating_add(SKEW) { Err(Reject::Future) } else { Ok(()) }
    }

    /// The files that lead here from a serial, in their order, by the [way](crate::way) that costs least; none where there is no way.
    pub fn way_from(&self, serial: u64) -> Option<Vec<&FileRef>> {
        let costs = way::costs(&self.deltas, self.serial);
        let (mut at, mut files) = (serial, Vec::new());
        while at != self.serial {
            let ways = self.deltas.iter().zip(&costs).filter(|(delta, _)| delta.leads_from(at));
            let (next, _) =
                ways.filter_map(|(delta, cost)| Some((delta, (*cost)?))).min_by_key(|way| way.1)?;
            files.push(&next.file);
            at = next.to;
        }
        Some(files)
    }
}
