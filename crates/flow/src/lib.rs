//! Flows in a fixed-capacity table, fragments, and nested source aggregates.
//!
//! - [`FlowKey`]: what makes two packets one flow, and two flows one pair.
//! - [`FlowTable`]: unidirectional flows in memory that is taken once; bounded probes; lazy expiry; a declared policy when
//!   full. A flow's source is *confirmed* only when it has returned a value that it can know only by receiving.
//! - [`Fragments`]: which flow a piece belongs to, and whether pieces overlap.
//! - [`Deltas`] and [`Aggregates`]: what a source does across its flows, step by step.
//!
//! No clock and no randomness: time and seeds are arguments. Nothing here keeps payload, and nothing grows.
#![forbid(unsafe_code)]

mod flow;
mod fragment;
mod hash;
mod key;
mod sighting;
mod source;
mod table;
mod touched;

pub use credence_wire::{Anomalies, Anomaly};
pub use flow::{Counted, Finished, Flow, FlowRecord, JUDGED_AFTER_NS, Opening, Pending, Scoring, Timeouts};
pub use fragment::{Attributed, FRAGMENT_TIMEOUT_NS, Fragments};
pub use key::FlowKey;
pub use sighting::Sighting;
pub use source::{Aggregates, Behaviour, Delta, Deltas, Level, STEP_NS, SketchSeed, merge, merge_into};
pub use table::{
    Candidates, FlowTable, FullPolicy, Now, PROBES_MAX, Placed, REORDER_NS, Slot, TableConfig, TableCounters,
};
pub use touched::Touched;
