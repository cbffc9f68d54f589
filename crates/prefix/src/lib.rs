//! Longest-prefix match over IPv6, published to readers that never wait.
//!
//! Three forms of one map, each for its own plane:
//!
//! - [`Trie`] is what the control plane edits: exact, ordered, and able to list every prefix that covers an address.
//! - [`Table`] is what the packet path walks: immutable, compact, answering a batch in a few nanoseconds an address.
//!   It answers with a record number and knows nothing of what the record says.
//! - [`Publisher`] owns a trie, derives tables from it and hands each to every [`Reader`] by one pointer swap, so that
//!   a reader sees one version or the next, never something between.
//!
//! All three treat addresses as `u128` in host order. Nothing here allocates on look-up, recurses, or does more than
//! a bounded number of steps for any set of prefixes: the trie at most 129, the table at most two searches of eleven
//! cache lines.

mod live;
mod prefix;
mod sync;
mod table;
mod trie;

#[cfg(test)]
mod tests;

pub use credence_memory::Line;
pub use live::{Elsewhere, Epochs, Mirror, Pin, Publisher, Reader};
pub use prefix::{Prefix, PrefixError};
pub use table::{Instructions, MAGIC, MAX_PREFIXES, MAX_RECORD, NO_MATCH, Table, TableError};
pub use trie::{Around, Covering, Iter, Trie};
