//! Keeps a gateway's credit in step with others.
//!
//! A gateway that parses the packets of strangers does not talk to the Internet. What does is a process of its own, the
//! *follower*: `credence sync`, which `credence run` starts before it gives up its privileges. The two share a directory and
//! two pipes:
//!
//! ```text
//!  publishers ── HTTPS ──▶ follower ── files in the state directory ──▶ gateway
//!                             │ ▲                                          │ ▲
//!                             │ └────────── Order, a line of JSON ─────────┘ │
//!                             └──────────── Report, a line of JSON ──────────┘
//! ```
//!
//! * [`fetch`]: one file over HTTP, from whoever answers there;
//! * [`lists`]: lists of others, fetched again and again under the operator's own authority;
//! * [`outbox`]: what the gateway tells others;
//! * [`hand`]: what a member, or a seat of the coordinating body, states of its acts when it is asked;
//! * [`pipe`]: the two closed sets of words, and a reader that a babbling other end cannot hurt.
//!
//! What this crate refuses to do: its logic reads no clock and draws no random number, both are arguments; whatever the
//! follower says or leaves on disk is checked once more by the gateway, since it has met strangers.

pub mod feed;
pub mod fetch;
pub mod hand;
pub mod lists;
pub mod outbox;
pub mod pipe;
mod tried;
