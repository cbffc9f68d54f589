//! How far the circle has come in which an act is made, enforced, complained about, and taken back.

use std::collections::BTreeMap;

use serde::Serialize;

/// A step of the circle. The names are a contract, and so is their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Two members have reported a network that another holds.
    Reported,
    /// The coordinating body has decided to drop what it sends.
    Decided,
    /// The engine's cache says so.
    Published,
    /// A packet of the network got the verdict.
    Enforced,
    /// Somebody in the network has complained.
    Complained,
    /// A packet of the network got the milder verdict that holds while the complaint is heard.
    Relieved,
    /// The coordinating body has found the complaint right.
    Corrected,
    /// A packet of the network is told what it was told before.
    Lifted,
}

impl Step {
    /// The word for it, for people and programs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Decided => "decided",
            Self::Published => "published",
            Self::Enforced => "enforced",
            Self::Complained => "complained",
            Self::Relieved => "relieved",
            Self::Corrected => "corrected",
            Self::Lifted => "lifted",
        }
    }
}

/// A step, and when it was reached.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Reached {
    pub(super) step: &'static str,
    /// Milliseconds since the tour began.
    pub(super) at_ms: u64,
}

/// Whom the circle is about, and what the line said of its flows meanwhile.
#[derive(Debug, Serialize)]
pub(super) struct Subject {
    pub(super) prefix: String,
    /// Alerts by verdict, also those that were not written.
    pub(super) alerts: BTreeMap<&'static str, u64>,
}

/// What became of the circle.
#[derive(Debug, Serialize)]
pub(in crate::demo) struct Circle {
    pub(super) circle: Vec<Reached>,
    pub(super) subject: Subject,
    /// Where the portal was.
    pub(super) portal: String,
}
