//! The sections `[emergency]` and `[control]`: a stricter policy for a stated time, and by which door it is asked for.

use std::path::PathBuf;

use credence_credit::Measure;
use credence_enforce::Policy as KernelPolicy;
use credence_score::{Ladder, Policy};
use serde::{Deserialize, Serialize};

use super::enforce::rate;

/// What changes while `credence control emergency` is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Emergency {
    /// Scores below which each verdict begins. Default: 500, 450 and 350 instead of 500, 350 and 200; an unrated source without
    /// bad behaviour still passes.
    pub(crate) ladder: Ladder,
    /// As `enforce.unknown_chain`. Default `drop`.
    pub(crate) unknown_chain: Measure,
    /// As `enforce.behaviour_kbit_per_s`. Default 250.
    pub(crate) behaviour_kbit_per_s: u32,
    /// How long one may last at most, in seconds, from 1 to 86,400. Default 3,600: whoever needs longer says so again.
    pub(crate) longest_s: u32,
}

impl Default for Emergency {
    fn default() -> Self {
        let ladder = Ladder { mark_below: 450, rate_limit_below: 350, ..Ladder::default() };
        Self { ladder, unknown_chain: Measure::Drop, behaviour_kbit_per_s: 250, longest_s: 3_600 }
    }
}

/// The door by which a running gateway is told something.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Control {
    /// A Unix socket, made with mode 0600, on which `credence control` is answered. Default none: signals are all there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) socket: Option<PathBuf>,
}

/// A day: nobody calls that an emergency any more.
const LONGEST_MAX_S: u32 = 86_400;

impl Emergency {
    /// What the kernel's program is told instead of `usual`.
    pub(crate) fn stricter(&self, usual: KernelPolicy) -> KernelPolicy {
        KernelPolicy {
            unknown: usual.unknown.max(self.unknown_chain),
            told_rate: rate(self.behaviour_kbit_per_s),
            ..usual
        }
    }

    /// What no type can refuse, beside a `policy` for ordinary times.
    pub(super) fn unsound(&self, policy: Policy, faults: &mut Vec<(&'static str, String)>) {
        if let Err(error) = (Policy { ladder: self.ladder, ..policy }).validate() {
            faults.push(("emergency.ladder", format!("does not hold together with `policy`: {error}")));
        }
        if self.behaviour_kbit_per_s == 0 {
            let fault = "is 0; a rate of nothing is a block, which `drop` says".to_owned();
            faults.push(("emergency.behaviour_kbit_per_s", fault));
        }
        if !(1..=LONGEST_MAX_S).contains(&self.longest_s) {
            let fault = format!("is {}, and must be from 1 to {LONGEST_MAX_S}", self.longest_s);
            faults.push(("emergency.longest_s", fault));
        }
    }
}
