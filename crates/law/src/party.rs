//! Who acts, and with which key.

use core::fmt;

use credence_credit::ActId;
use sha2::{Digest, Sha256};

use crate::layout::{DecodeError, Fault, Input, Layout, listed};

/// The SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The identity of an object: the hash of its bytes, signatures not included.
pub fn act_id(bytes: &[u8]) -> ActId {
    ActId(sha256(bytes))
}

impl Layout for ActId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.array().map(Self)
    }
}

/// The world that an object belongs to: the hash of its first trust root. What is signed in one world means nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World(pub [u8; 32]);

impl Layout for World {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.array().map(Self)
    }
}

impl World {
    /// Reads what is written of it: 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

/// The bytes that twice as many hexadecimal digits tell.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// Hexadecimal, lower case, 64 digits: what a gateway's configuration names.
impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&ActId(self.0), f)
    }
}

/// The number of a member in the registry. It says nothing about the member, and no rule looks at more than whether two are the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(pub u16);

impl Layout for MemberId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        u16::take(input).map(Self)
    }
}

/// Whoever can act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Party {
    /// A member: it holds address space, publishes alerts about it, reports, votes, and has a seat where decisions are made.
    Member(MemberId),
    /// The coordinating body, in which each member has one seat.
    Body,
    /// A member of the committee that gives opinions.
    Adviser(u16),
    /// Whoever carries out decisions from day to day, by standing rules.
    Executive,
    /// Whoever runs the platform.
    Operator,
}

impl Party {
    /// The member, if it is one.
    pub const fn member(self) -> Option<MemberId> {
        match self {
            Self::Member(id) => Some(id),
            _ => None,
        }
    }
}

/// A byte for the kind, and the number in two, which is 0 where there is one of the kind.
impl Layout for Party {
    fn put(&self, out: &mut Vec<u8>) {
        let (kind, number): (u8, u16) = match *self {
            Self::Member(id) => (0, id.0),
            Self::Body => (1, 0),
            Self::Adviser(number) => (2, number),
            Self::Executive => (3, 0),
            Self::Operator => (4, 0),
        };
        (kind, number).put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.checked(|(kind, number): (u8, u16)| match (kind, number) {
            (0, _) => Ok(Self::Member(MemberId(number))),
            (1, 0) => Ok(Self::Body),
            (2, _) => Ok(Self::Adviser(number)),
            (3, 0) => Ok(Self::Executive),
            (4, 0) => Ok(Self::Operator),
            _ => Err(Fault::Number(u64::from(kind) << 16 | u64::from(number))),
        })
    }
}

/// For people: "member 7", "the coordinating body".
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(MemberId(number)) => write!(f, "member {number}"),
            Self::Body => f.write_str("the coordinating body"),
            Self::Adviser(number) => write!(f, "adviser {number}"),
            Self::Executive => f.write_str("the executive"),
            Self::Operator => f.write_str("the operator"),
        }
    }
}

/// What a key may sign. Each key has one function, so that whoever makes the rules cannot decide by them with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// The adoption of registries, catalogues and standards.
    Rules,
    /// Alerts, reports, and what follows from a member's own acts.
    Alerts,
    /// Proposals of restrictions, and votes.
    Votes,
    /// A member's seat in the coordinating body.
    Decisions,
    /// Opinions.
    Advice,
    /// Day-to-day execution by standing rules, such as interim relief.
    Execution,
    /// The platform's own statements: what it has seen, and in which order.
    Operation,
}

impl Function {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Rules,
        Self::Alerts,
        Self::Votes,
        Self::Decisions,
        Self::Advice,
        Self::Execution,
        Self::Operation,
    ];

    /// The word in files and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Alerts => "alerts",
            Self::Votes => "votes",
            Self::Decisions => "decisions",
            Self::Advice => "advice",
            Self::Execution => "execution",
            Self::Operation => "operation",
        }
    }

    /// Whether a party may have keys for this function.
    pub const fn belongs_to(self, party: Party) -> bool {
        match party {
            Party::Member(_) => matches!(self, Self::Rules | Self::Alerts | Self::Votes | Self::Decisions),
            // It acts by the seats of members.
            Party::Body => false,
            Party::Adviser(_) => matches!(self, Self::Advice),
            Party::Executive => matches!(self, Self::Execution),
            Party::Operator => matches!(self, Self::Operation),
        }
    }
}

listed! { Function: Function::ALL }

/// Names a public key: the first half of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 16]);

impl KeyId {
    /// The name of an Ed25519 public key.
    pub fn of(public: &[u8; 32]) -> Self {
        let hash = sha256(public);
        Self(hash[..16].try_into().expect("it is longer"))
    }
}

/// Hexadecimal, lower case, 32 digits.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Layout for KeyId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.array().map(Self)
    }
}
