//! The worker loop: the whole line a packet travels, its counters and its outbox.
mod alert;
mod best;
mod chain;
pub mod clock;
mod config;
mod counters;
mod event;
mod flows;
mod line;
mod mailbox;
pub mod metrics;
mod record;
mod run;
#[cfg(test)]
mod scene;
mod standing;
mod step;
mod sync;

pub use alert::{AlertCounts, AlertTally, AlertWriter, Offender, Offenders, TermLine};
pub use best::{BestSources, Regarded};
pub use chain::Chain;
pub use config::{Direction, Keyed, LineConfig, Lists, set};
pub use counters::{Counter, Counters, MALFORMED, NOT_IPV6, Own, PerKind, Totals};
pub use event::{Collected, Dropped, Enforce, Event, Opinion};
pub use flows::{FlowWriter, HEADER};
pub use line::Worker;
pub use record::{Listener, Output, Recorder};
pub use run::{Engine, Pace, RunError};
pub use standing::standing;
pub use step::{Closing, Cut, Exchange, StepClock};
