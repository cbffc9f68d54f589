//! Verdicts, carried out in the kernel where frames arrive.
//!
//! The program in `bpf/` looks the source of each frame up in an image of the prefix map, in the format that the crate
//! `credence-prefix` specifies, and does what the record that rules it asks for. [`Xdp`] loads it and joins it to
//! interfaces, [`Records`] keeps its image and measures in step with the credit cache, [`Control`] says what happens when
//! the engine gives no sign of life, and [`Counts`] tells what was done.
//!
//! What is published is swapped in by one store: a frame is judged by the records of before or by those of after, and what
//! the kernel may still be reading is written to again only when all frames that were under way have left.
//!
//! Where the kernel or the driver takes no such program, [`nft`] does the same by rules of nftables, within limits.
//!
//! Each record ends at its own time, in the kernel and without anyone's help: when the engine is dead, none is enforced
//! beyond its end.

#![cfg(target_os = "linux")]

mod abi;
mod bridge;
mod clock;
mod control;
mod counts;
mod events;
mod grace;
mod limiters;
mod links;
pub mod nft;
mod records;
mod spared;
mod told;
mod xdp;

pub use abi::{Failure, Reason, Stand};
pub use bridge::Copies;
pub use clock::{Moment, boot_ns, unix_ns};
pub use control::{Control, Policy};
pub use counts::{Count, Counts};
pub use events::{Event, Events};
pub use limiters::Rate;
pub use links::{Attachment, Place, detach, unpin};
pub use records::{Met, PublishError, Records};
pub use spared::Spared;
pub use told::{Opinion, Told};
pub use xdp::{LoadError, PINS, Setup, Xdp};
