//! The law, as data: what parties say of credit, who may say it, and the checks that everybody makes alike.
//!
//! Everything that can change what happens to traffic is a signed act. Reading order:
//!
//! * [`layout`]: how values stand in bytes; [`Object`]: an act or a rule in its world, whose exact bytes are what is signed;
//!   [`Signed`]: those bytes with their signatures;
//! * [`party`]: who acts, and with which keys; [`registry`]: who the members are, and what they hold;
//! * [`catalogue`]: what may be recorded at all; [`standard`]: how records become a score;
//! * [`acts`]: what parties say;
//! * [`Trust`]: how rules come into force, from a pinned root on;
//! * [`check`]: whether an act stands, with a [`Refusal`] where it does not;
//! * [`cycle`]: the lives of acts, with the clocks that [`procedure`] sets;
//! * [`book`]: what follows from all acts together, down to the records that gateways enforce.
//!
//! What this crate refuses to do: it reads no clock, opens no file and no socket, keeps no secret key, and asks nobody. Bytes
//! of the layout and what becomes of them are in `vectors/`, for programs in other languages.

pub mod acts;
mod adopt;
pub mod book;
pub mod catalogue;
pub mod check;
pub mod cycle;
pub mod layout;
mod object;
pub mod party;
pub mod procedure;
mod refusal;
pub mod registry;
mod rules;
mod sign;
pub mod standard;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod world;

pub use acts::Act;
pub use adopt::{AdoptError, Trust};
pub use book::{Book, CreditFile, Institution};
pub use check::{Accepted, Acts, Law};
pub use cycle::{Due, Matter, Turn, standing::State};
pub use object::{Body, Extension, Object};
pub use refusal::Refusal;
pub use rules::{ADOPTION, Root, Rules};
pub use sign::{BYTES_MAX, SIGNATURES_MAX, Signed};
