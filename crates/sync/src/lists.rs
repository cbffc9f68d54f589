//! Lists of others, fetched again and again under the operator's own authority.
//!
//! A copy goes three steps. It is *fetched* when its [`schedule`] says so and [`judge`]d; what passes is *offered*: it lies on the
//! [`shelf`] beside the copy in use, and the gateway is told. The gateway looks at it once more, holds it against what is in
//! force, and *takes* it or leaves it to its operator. Only what was taken is what the next start begins with, so that a restart
//! is no way past a guard.
//!
//! On any doubt the copy before stays, until its own records end.

pub mod judge;
mod keep;
pub mod schedule;
pub mod shelf;

use std::time::Duration;

use credence_credit::import::ListFormat;
use credence_credit::{Issuer, Measure, Score};

use crate::fetch::Place;
pub use keep::{Event, Lists, Machine};

/// What is to be done about one list.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name, which names files as well: ASCII letters, digits, `-` and `_`.
    pub name: String,
    /// Where it is, the best place first; at least one.
    pub places: Vec<Place>,
    /// How it is written.
    pub form: ListFormat,
    /// What is on it scores so much, where it does not say.
    pub score: Score,
    /// What is asked for, where it does not say.
    pub measure: Measure,
    /// Under whose name its records are shown.
    pub issuer: Issuer,
    /// How often it is asked for.
    pub refresh: Duration,
    /// How long its records last, where it does not say.
    pub lifetime: Duration,
    /// The most bytes that are taken.
    pub bytes_max: u64,
}
