//! What is known of the process that fetches credit from others.

use prometheus::{IntCounterVec, Opts};

use super::{Delays, Page};

/// What is known of the process that fetches credit from others.
#[derive(Clone, Debug, Default)]
pub struct Following {
    /// How often it was started.
    pub starts: u64,
    /// Whether nobody starts it any more though the gateway goes on.
    pub is_cut_off: bool,
    /// Lines of its that were no word.
    pub garbage: u64,
    /// Orders that it did not take.
    pub untold: u64,
    /// The lists that it fetches.
    pub lists: Vec<FollowedList>,
    /// Since when the word of each party that signs here is not kept alive, Unix seconds; 0 while it is.
    pub unstated: Vec<(&'static str, u64)>,
    /// How long changes of the feed took, where one is followed.
    pub delays: Option<Delays>,
}

/// What is known of a list that is fetched.
#[derive(Clone, Debug, Default)]
pub struct FollowedList {
    /// The operator's name for it.
    pub name: String,
    /// When it was had last, Unix seconds; 0 for never.
    pub checked_s: u64,
    /// Seconds after that from which it is stale.
    pub stale_after_s: u64,
    /// Seconds from one question for it to the next.
    pub refresh_s: u64,
    /// How often it had changed.
    pub changed: u64,
    /// How often it had not.
    pub unchanged: u64,
    /// How often one of its places did not give it, by every reason there is.
    pub refused: Vec<(&'static str, u64)>,
    /// Its records in force.
    pub records: u64,
    /// Whether a copy waits for the operator.
    pub is_held: bool,
    /// The number of the version that came last.
    pub serial: u64,
    /// Files of evidence against whoever publishes it, where that can be: of a feed.
    pub evidence: Option<u64>,
}

impl Page {
    pub(super) fn following(&self, f: &Following) -> prometheus::Result<()> {
        let help = "Starts of the process that fetches from others; one is usual, each more is a death.";
        self.counter("credence_sync_starts_total", help, f.starts)?;
        let help =
            "Whether nothing is fetched any more, since whoever starts the process that fetches has died.";
        self.gauge("credence_sync_cut_off", help, u64::from(f.is_cut_off))?;
        let help = "Lines from the process that fetches that were none of its words.";
        self.counter("credence_sync_garbage_lines_total", help, f.garbage)?;
        let help = "Orders that the process that fetches did not take.";
        self.counter("credence_sync_untold_orders_total", help, f.untold)?;
        let each =
            |of: fn(&FollowedList) -> u64| f.lists.iter().map(move |list| (list.name.as_str(), of(list)));
        let help = "When a list was had last, changed or not, Unix time; 0 for never.";
        let checked = each(|list| list.checked_s);
        self.gauges("credence_sync_last_success_timestamp_seconds", help, "source", checked)?;
        let help = "Seconds without success from which a list is stale, as configured.";
        self.gauges("credence_sync_stale_after_seconds", help, "source", each(|list| list.stale_after_s))?;
        let help = "Seconds from one question for a list to the next, as configured; a doorbell is faster.";
        self.gauges("credence_sync_refresh_seconds", help, "source", each(|list| list.refresh_s))?;
        let help = "Records of a list in force.";
        self.gauges("credence_sync_records", help, "source", each(|list| list.records))?;
        let help = "Whether a copy of a list waits for the operator.";
        self.gauges("credence_sync_held", help, "source", each(|list| u64::from(list.is_held)))?;
        let help = "Number of the version of a list that came last; of a list it says nothing but that it is another.";
        self.gauges("credence_sync_serial", help, "source", each(|list| list.serial))?;
        let help = "Files of evidence that what a feed's operator has signed cannot all be true.";
        let evidence = f.lists.iter().filter_map(|list| Some((list.name.as_str(), list.evidence?)));
        self.gauges("credence_sync_evidence", help, "source", evidence)?;
        let help = "Since when what the platform asks this party to sign is not signed, or no platform answers; 0 while it is.";
        self.gauges(
            "credence_sync_unstated_since_timestamp_seconds",
            help,
            "party",
            f.unstated.iter().copied(),
        )?;
        let help = "How often a list was had, by whether it had changed.";
        let had = IntCounterVec::new(Opts::new("credence_sync_checks_total", help), &["source", "result"])?;
        let help = "How often a place did not give a list, by why.";
        let options = Opts::new("credence_sync_refusals_total", help);
        let refused = IntCounterVec::new(options, &["source", "reason"])?;
        for list in &f.lists {
            for (result, count) in [("changed", list.changed), ("unchanged", list.unchanged)] {
                had.with_label_values(&[list.name.as_str(), result]).inc_by(count);
            }
            for (reason, count) in &list.refused {
                refused.with_label_values(&[list.name.as_str(), reason]).inc_by(*count);
            }
        }
        self.register(had)?;
        self.register(refused)?;
        f.delays.iter().try_for_each(|delays| self.delays(delays))
    }
}
