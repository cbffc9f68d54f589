//! nftables, for hosts where the kernel or the driver takes no XDP program.
//!
//! What it does to a packet is what the program in `bpf/` does, by rules of the kernel's own. What it cannot do: a bridge,
//! chains of headers that are too long, a sample of what was dropped, and anything but *static* when the engine fails, since
//! rules know no sign of life. Sets are exchanged whole.
//!
//! `flatten` makes ranges of the cache that do not overlap. `rules` writes the rules and `counters` reads what they counted, in
//! bytes from the IPv6 header on. `elements` and `netlink` bring what is many and what is urgent past the program `nft`.
//! [`Nftables`] is the gateway's side of all this; the other is [`carry`], in a process of its own, since the gateway gives up
//! its privileges and may start no program. `message` is what they say to each other.

mod carrier;
mod counters;
mod elements;
mod flatten;
mod gateway;
mod message;
mod netlink;
mod rules;
mod subjects;
mod tool;

pub use carrier::carry;
pub use gateway::{Listing, Listings, NftError, Nftables, Tally, clear, remove_tables, try_out};
pub use rules::OPINIONS_MAX;
