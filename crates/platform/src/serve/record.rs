//! The institution's own record, kept for as long as it is new enough.
//!
//! It follows from all reports, decisions and complaints that there are, so that it is not computed for each who asks: never
//! twice for the same log within a minute, and never so often that it takes more than a fiftieth of the time. While few acts are
//! there it is always of this moment.

use std::sync::Arc;
use std::time::Duration;

use credence_law::Institution;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::{Platform, now};

/// How long a record of a log that has not grown is new enough: only clocks have gone on.
const UNCHANGED: Duration = Duration::from_secs(60);
/// How many times as long as it took the record is kept at least.
const KEPT_TIMES: u32 = 50;

/// The record that was computed last.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<Computed>>);

#[derive(Debug)]
struct Computed {
    record: Arc<Institution>,
    /// How many entries the log had.
    entries: u64,
    /// When, and how long it took, since the platform began.
    at: Duration,
    took: Duration,
}

impl Computed {
    /// Whether it may still be told when the log has so many entries.
    fn is_new_enough(&self, entries: u64, at: Duration) -> bool {
        let age = at.saturating_sub(self.at);
        age < self.took * KEPT_TIMES || entries == self.entries && age < UNCHANGED
    }
}

impl Platform {
    /// The institution's own record, of this moment or of one not long ago; none while the world has no rules.
    pub(crate) async fn record(self: Arc<Self>) -> Option<Arc<Institution>> {
        // Whoever asks while it is computed waits for that.
        let mut kept = self.kept.0.lock().await;
        let entries = self.read(|desk| desk.log().len());
        if let Some(computed) =
            kept.as_ref().filter(|kept| kept.is_new_enough(entries, self.started.elapsed()))
        {
            return Some(Arc::clone(&computed.record));
        }
        let platform = Arc::clone(&self);
        *kept = spawn_blocking(move || platform.compute()).await.ok().flatten();
        kept.as_ref().map(|computed| Arc::clone(&computed.record))
    }

    fn compute(&self) -> Option<Computed> {
        let begun = self.started.elapsed();
        let (record, entries) = self.read(|desk| {
            let record = desk.book().institution(desk.law().ok()?, now());
            Some((record, desk.log().len()))
        })?;
        let at = self.started.elapsed();
        Some(Computed { record: Arc::new(record), entries, at, took: at.saturating_sub(begun) })
    }
}

#[cfg(test)]
mod tests {
    use credence_law::Book;
    use credence_law::book::Institution;

    use super::*;
    use crate::desk::Desk;
    use crate::example::{Place, make_world};

    fn nothing() -> Institution {
        let directory = tempfile::tempdir().unwrap();
        let (world, entries) = make_world(&Place::new(directory.path()), 1_800_000_000).unwrap();
        let mut desk = Desk::begin(&entries[0], world).unwrap();
        entries[1..].iter().for_each(|entry| desk.replay(entry).unwrap());
        Book::default().institution(desk.law().unwrap(), 1_800_000_000)
    }

    #[test]
    fn a_record_is_kept_by_what_it_took_and_for_a_minute_while_nothing_is_new() {
        let ms = Duration::from_millis;
        let computed = Computed { record: Arc::new(nothing()), entries: 9, at: ms(1_000), took: ms(10) };
        for (entries, at, is_new_enough) in
            [(9, 1_000, true), (10, 1_499, true), (10, 1_500, false), (9, 60_999, true), (9, 61_000, false)]
        {
            assert_eq!(computed.is_new_enough(entries, ms(at)), is_new_enough, "{entries} at {at}");
        }
    }
}
