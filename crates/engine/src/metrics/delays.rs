//! How long it took until what members said was in force here.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts};

use super::Page;

/// Seconds up to which delays are counted together: some about a doorbell's, some about a poll's, and those of days.
const BOUNDS_S: [f64; 15] =
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0];

/// How long it took until changes of a feed were in force here, as counted so far.
#[derive(Clone, Debug)]
pub struct Delays {
    correct: Histogram,
    enforce: Histogram,
}

impl Delays {
    /// Of the feed of this name, nothing counted yet.
    ///
    /// # Errors
    /// Never but for a mistake of this module.
    pub fn of(source: &str) -> prometheus::Result<Self> {
        let histogram = |name, help| {
            let options = HistogramOpts::new(name, help).const_label("source", source);
            Histogram::with_opts(options.buckets(BOUNDS_S.to_vec()))
        };
        let correct = "From when the platform took in what takes a record back or makes it milder until that was in force here; the \
                       platform's moment has whole seconds and its own clock, so that up to a second is too much, and less than nothing counts as 0. \
                       Where nobody had stated the record, it is the moment of the head that came without it.";
        let enforce = "From when the platform took in what makes a record or makes it harder until that was in force here, measured as \
                       credence_sync_time_to_correct_seconds is.";
        Ok(Self {
            correct: histogram("credence_sync_time_to_correct_seconds", correct)?,
            enforce: histogram("credence_sync_time_to_enforce_seconds", enforce)?,
        })
    }

    /// Counts a change that took so long.
    pub fn count(&self, is_milder: bool, took: Duration) {
        (if is_milder { &self.correct } else { &self.enforce }).observe(took.as_secs_f64());
    }
}

impl Page {
    pub(super) fn delays(&self, delays: &Delays) -> prometheus::Result<()> {
        self.register(delays.correct.clone())?;
        self.register(delays.enforce.clone())
    }
}
