//! Flow, credit and policy to a verdict with its terms, in integers.
//!
//! - [`Facts`]: all that may count, and nothing else: no name, no nationality, no supplier is among them.
//! - [`assess`]: facts and [`Policy`] to an [`Assessment`]: a score that is the exact sum of its terms, a verdict, and
//!   whose word decided.
//! - [`judge`]: the same without the terms, for a packet path that shows them to nobody.
//! - [`Policy`]: where the ladder's rungs are, and from which rates on behaviour counts.
//!
//! Pure arithmetic: no clock, no floating point, no state. The same facts give the same assessment on every machine.
#![forbid(unsafe_code)]

mod assess;
mod policy;
mod severity;
mod term;

pub use assess::{Assessment, Basis, Facts, Judgement, Ruling, Standing, Verdict, assess, judge};
pub use policy::{Ladder, Policy, PolicyError, Thresholds};
pub use severity::Severity;
pub use term::{RULES, Rule, Term, Terms};
