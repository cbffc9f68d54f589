//! Where the operator's own judgement enters: the rungs of the ladder and the rates from which behaviour counts.

use serde::{Deserialize, Serialize};

/// How scores become verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Score at which an unrated source starts. It must not be below `ladder.observe_below`: an unrated source never
    /// fares worse than if credence were absent.
    pub neutral: u16,
    /// The rungs.
    pub ladder: Ladder,
    /// From which rates on behaviour counts.
    pub thresholds: Thresholds,
}

/// Scores below which each verdict begins. Each rung lies below the one before: the least that serves comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ladder {
    /// From this score on a rated source is protected while a limiter is active.
    pub incentive_from: u16,
    /// Below: count and report.
    pub observe_below: u16,
    /// Below: mark.
    pub mark_below: u16,
    /// Below: limit the rate. Behaviour alone goes no further; only lists and acts can drop.
    pub rate_limit_below: u16,
}

/// Rates and counts of a single address from which behaviour counts. Wider prefixes have four times as much a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Flows begun a second. A busy browser begins some dozens.
    pub flows_per_s: u32,
    /// Packets a second. 20,000 full frames are 240 Mbit/s.
    pub packets_per_s: u32,
    /// Openings judged, over some eight seconds, before their share of answers counts.
    pub openings: u32,
    /// Destinations tried in vain, over 8 to 16 seconds.
    pub targets: u32,
    /// Ports tried in vain, over 8 to 16 seconds.
    pub ports: u32,
    /// Flows with anomalies a second.
    pub odd_flows_per_s: u32,
}

/// Why a policy cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A number is no score.
    #[error("{key} is {value}; a score lies between 0 and 1000")]
    NoScore {
        /// Key of the configuration.
        key: &'static str,
        /// What it holds.
        value: u16,
    },
    /// The rungs are out of order.
    #[error("{lower} must not be above {upper}: each rung of the ladder lies below the one before")]
    RungOrder {
        /// Key of the rung that should lie lower.
        lower: &'static str,
        /// Key of the rung that should lie higher.
        upper: &'static str,
    },
    /// A threshold of 0 would hold everything against everyone.
    #[error("{key} must be at least 1")]
    ThresholdZero {
        /// Key of the configuration.
        key: &'static str,
    },
}

impl Default for Policy {
    fn default() -> Self {
        Self { neutral: 600, ladder: Ladder::default(), thresholds: Thresholds::default() }
    }
}

impl Default for Ladder {
    fn default() -> Self {
        Self { incentive_from: 800, observe_below: 500, mark_below: 350, rate_limit_below: 200 }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            flows_per_s: 200,
            packets_per_s: 20_000,
            openings: 20,
            targets: 20,
            ports: 20,
            odd_flows_per_s: 4,
        }
    }
}

impl Policy {
    /// Checks what serde cannot.
    ///
    /// # Errors
    /// The first key that is out of bounds or out of order.
    pub fn validate(&self) -> Result<(), PolicyError> {
        let rungs = [
            ("policy.ladder.rate_limit_below", self.ladder.rate_limit_below),
            ("policy.ladder.mark_below", self.ladder.mark_below),
            ("policy.ladder.observe_below", self.ladder.observe_below),
            ("policy.neutral", self.neutral),
            ("policy.ladder.incentive_from", self.ladder.incentive_from),
        ];
        if let Some(&(key, value)) = rungs.iter().find(|r| r.1 > 1000) {
            return Err(PolicyError::NoScore { key, value });
        }
        if let Some(w) = rungs.windows(2).find(|w| w[0].1 > w[1].1) {
            return Err(PolicyError::RungOrder { lower: w[0].0, upper: w[1].0 });
        }
        let t = &self.thresholds;
        let thresholds = [
            ("policy.thresholds.flows_per_s", t.flows_per_s),
            ("policy.thresholds.packets_per_s", t.packets_per_s),
            ("policy.thresholds.openings", t.openings),
            ("policy.thresholds.targets", t.targets),
            ("policy.thresholds.ports", t.ports),
            ("policy.thresholds.odd_flows_per_s", t.odd_flows_per_s),
        ];
        match thresholds.iter().find(|t| t.1 == 0) {
            Some(&(key, _)) => Err(PolicyError::ThresholdZero { key }),
            None => Ok(()),
        }
    }
}
