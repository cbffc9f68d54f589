//! The rules by which acts are judged, as objects of their own: they are signed and adopted like everything else.

use credence_credit::ActId;

use crate::catalogue::{Catalogue, Supplement};
use crate::layout::{DecodeError, Input, Layout, Text, fields};
use crate::object::Body;
use crate::party::World;
use crate::procedure::Procedure;
use crate::registry::Registry;
use crate::standard::Standard;

fields! {
    /// Where all trust comes from: keys that are kept offline. They sign the first registry and the root that follows.
    pub struct Root {
        /// Its number; each version's is one more than that of the version before.
        pub version: u32,
        /// The version before; none for the first, whose hash names the world.
        pub previous: Option<ActId>,
        /// What the world is called.
        pub name: Text,
        /// Whether the world was made to try things out. A gateway enforces nothing from it unless told to.
        pub is_example: bool,
        /// The Ed25519 public keys.
        pub keys: Vec<[u8; 32]>,
        /// How many of them must sign.
        pub threshold: u16,
        /// When it ends, in Unix seconds.
        pub expires: u64,
    }
}

/// The share of members that must sign a new registry, catalogue or standard: two of three.
pub const ADOPTION: (usize, usize) = (2, 3);

/// A rule, as an object holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Where trust comes from.
    Root(Root),
    /// Who the members are.
    Registry(Registry),
    /// What may be recorded.
    Catalogue(Catalogue),
    /// What one member records besides.
    Supplement(Supplement),
    /// How records become a score.
    Standard(Standard),
    /// How long everything takes.
    Procedure(Procedure),
}

impl Body for Rules {
    fn kind(&self) -> u8 {
        match self {
            Self::Root(_) => 1,
            Self::Registry(_) => 2,
            Self::Catalogue(_) => 3,
            Self::Supplement(_) => 4,
            Self::Standard(_) => 5,
            Self::Procedure(_) => 6,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Root(rule) => rule.put(out),
            Self::Registry(rule) => rule.put(out),
            Self::Catalogue(rule) => rule.put(out),
            Self::Supplement(rule) => rule.put(out),
            Self::Standard(rule) => rule.put(out),
            Self::Procedure(rule) => rule.put(out),
        }
    }

    fn read(kind: u8, input: &mut Input<'_>) -> Option<Result<Self, DecodeError>> {
        Some(match kind {
            1 => Root::take(input).map(Self::Root),
            2 => Registry::take(input).map(Self::Registry),
            3 => Catalogue::take(input).map(Self::Catalogue),
            4 => Supplement::take(input).map(Self::Supplement),
            5 => Standard::take(input).map(Self::Standard),
            6 => Procedure::take(input).map(Self::Procedure),
            _ => return None,
        })
    }
}

impl Rules {
    /// Its number, and the version before.
    pub const fn version(&self) -> (u32, Option<ActId>) {
        match self {
            Self::Root(rule) => (rule.version, rule.previous),
            Self::Registry(rule) => (rule.version, rule.previous),
            Self::Catalogue(rule) => (rule.version, rule.previous),
            Self::Supplement(rule) => (rule.version, None),
            Self::Standard(rule) => (rule.version, rule.previous),
            Self::Procedure(rule) => (rule.version, rule.previous),
        }
    }
}

impl World {
    /// What stands for the world in its first root, whose hash cannot be known before it is written.
    pub const UNBORN: Self = Self([0; 32]);
}
