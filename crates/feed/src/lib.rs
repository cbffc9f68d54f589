//! The signed feed that gateways follow: its bytes, how it is put together, and everything that is checked before a record of it
//! is believed.
//!
//! A feed is a directory of files. One is small and changes, the **head**: it is signed by the platform's operator, lasts some
//! minutes, and states the root of everything that is in force. All others never change and are known by the hash of their bytes:
//! the rules of the world one by one, the rows of each issuer in a shard under the issuer's own manifest, the acts that travel by
//! themselves, and deltas that lead from one state to another: over one version, and in roll-ups over many, for those who were away.
//!
//! ```text
//! head                  Head, signed by the operator; served as it is
//! rules/<n>             Entry: the n-th rule, from the world's root on
//! files/<hash>          a SnapshotList, a shard, or a Delta
//! ```
//!
//! The operator decides nothing: what a record says stands because its issuer has signed for it, a decision because a quorum of
//! seats has, a restriction because each member's vote is there. The operator can be late, and is noticed after minutes; it can show
//! different things to different people, and the public log whose size and root each head states shows that.
//!
//! A shard, its file, a head and deltas with all their bytes are in `vectors/`, for programs in other languages.
//!
//! Reading order: [`Row`] and [`Shard`], what an issuer states; [`Rulebook`], by which rules; [`State`], what is in force, checked;
//! [`Head`], [`SnapshotList`] and [`Delta`], how it travels; [`Rows`] and [`publish`], how it is put together; [`Reject`], why it is not
//! believed. Nothing here reads a clock, opens a file or a socket, or keeps a key.

mod each;
mod files;
mod head;
pub mod log;
mod pack;
pub mod proposal;
pub mod publish;
mod reject;
mod roll_up;
mod row;
mod rows;
mod rules;
mod shard;
mod state;
pub mod tiles;
mod tree;
#[cfg(test)]
mod vectors;
pub mod way;
pub mod witness;

pub use files::{Delta, Many, Packed, ShardDelta, ShardRef, SnapshotList};
pub use head::{
    DELTAS_MAX, DeltaRef, FileRef, HEAD_BYTES_MAX, HEAD_LASTS_MAX, Head, SKEW, is_operator_replaced,
    operators, subject,
};
pub use pack::{pack_shard, unpack_shard};
pub use reject::Reject;
pub use row::{Key, Row};
pub use rows::{Issuer, Rows, Stated};
pub use rules::{Entry, Rulebook};
pub use shard::{BITS_MAX, Changes, Shard};
pub use state::{LOOSE_MAX, Loose, Parts, State, Turn, UNLISTED_LASTS};
pub use tree::Tree;
pub use witness::Witness;
