//! The vocabulary of credit, and the bounds on what credit may do to traffic.
//!
//! Reading order, from the smallest word to the whole:
//!
//! * [`Score`], [`Status`], [`Rating`]: how good a subject's credit is, with *unrated* as a state of its own;
//! * [`Measure`], [`EvidenceClass`], [`Authority`], [`Precedence`]: what may follow, on what ground, and whose word
//!   wins;
//! * [`Reason`] and [`Reasons`]: the closed list of things a record may cite;
//! * [`Subject`]: an address together with the block that one holder has, and how that was learned;
//! * [`Record`]: one statement about one prefix;
//! * [`Snapshot`]: a whole set of records at one moment, ordered and checked; [`mod@file`] keeps one on disk, [`export()`]
//!   writes it for other tools, [`Diff`] compares two;
//! * [`import`]: other people's lists become a snapshot;
//! * [`guard`]: what may never be enforced, however well it is signed or written;
//! * [`cache`]: the look-up that the packet path reads, published to readers that never wait;
//! * [`Anonymiser`]: what stands for addresses in outputs that are shown to others;
//! * [`both`]: how the control plane does large things on two cores.
//!
//! What this crate refuses to do: it reads no clock (each function that needs the time takes it in Unix seconds), it
//! opens no socket, and apart from [`mod@file`] no file. A record that it hands out has been checked; there is no way to
//! hold a half valid one.

mod anonymise;
mod beside;
pub mod cache;
mod diff;
mod export;
pub mod file;
pub mod guard;
pub mod import;
mod issuer;
mod law;
mod reason;
mod record;
mod score;
mod snapshot;
mod subject;

pub use anonymise::{Anonymiser, AnonymiserKey, KeyError};
pub use beside::both;
pub use cache::{Amended, Amendment, Cache, Changes, Entry, Follower, Keeper, Published, Reader, Standing};
pub use diff::{Diff, diff};
pub use export::{ExportFormat, export};
pub use guard::{Guarded, Guards, KeepReason};
pub use issuer::{Issuer, IssuerError, IssuerId};
pub use law::{Authority, EvidenceClass, Measure, Precedence, UnknownWord};
pub use reason::{Reason, Reasons};
pub use record::{ActId, ActRef, Record};
pub use score::{Rating, Score, ScoreError, Status};
pub use snapshot::{Header, RECORDS_MAX, Snapshot, SnapshotError};
pub use subject::{Learned, Subject};
