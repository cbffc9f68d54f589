//! What has become of alerts that others may have to hear of.

use super::Page;

/// What has become of alerts that others may have to hear of. Words are from closed lists.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    /// Drafts that are not finished, by their state.
    pub drafts: Vec<(&'static str, u64)>,
    /// When the oldest of those that wait for the operator was opened, Unix seconds; 0 where none waits.
    pub waiting_since_s: u64,
    /// What became of alerts.
    pub outcomes: Vec<(&'static str, u64)>,
    /// What the platform answered.
    pub answers: Vec<(&'static str, u64)>,
    /// Why something was refused, here or there.
    pub refusals: Vec<(&'static str, u64)>,
    /// Alerts that there was no room for on the way to the outbox.
    pub unheard: u64,
}

impl Page {
    pub(super) fn outbox(&self, o: &Outbox) -> prometheus::Result<()> {
        let help = "Drafts of what would be told to others, by how far they have come.";
        self.gauges("credence_outbox_drafts", help, "state", o.drafts.iter().copied())?;
        let help = "When the oldest draft that waits for the operator was opened; 0 where none waits.";
        self.gauge("credence_outbox_waiting_since_timestamp_seconds", help, o.waiting_since_s)?;
        let help = "Alerts by what the outbox made of them.";
        self.counters("credence_outbox_alerts_total", help, "outcome", o.outcomes.iter().copied())?;
        let help = "Answers of the platform to what was handed in; silence is none, or another's.";
        self.counters("credence_outbox_answers_total", help, "answer", o.answers.iter().copied())?;
        let help = "Refusals by the platform, or by the law before anything was sent.";
        self.counters("credence_outbox_refusals_total", help, "reason", o.refusals.iter().copied())?;
        let help = "Alerts that there was no room for on the way to the outbox.";
        self.counter("credence_outbox_unheard_alerts_total", help, o.unheard)
    }
}
