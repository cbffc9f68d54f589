//! The section `[enforce]`: what is carried out in the kernel, and what happens when that goes wrong.

use std::time::Duration;

use credence_credit::Measure;
use credence_enforce::{Failure, Policy, Rate, Setup, Spared, Stand};
use serde::{Deserialize, Serialize};

use super::{Config, ListedPrefix};

/// What is carried out in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Enforce {
    /// Whether verdicts are carried out. Default `off`: a fresh install touches no packet.
    pub(crate) mode: Mode,
    /// How the gateway stands. Default `router`.
    pub(crate) stand: Standing,
    /// What in the kernel carries verdicts out. Default `auto`.
    pub(crate) carrier: CarriedBy,
    /// The other interface of a bridge; frames that pass `interface` go out of this one, and the other way. No default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) other_leg: Option<String>,
    /// Credit records that the kernel has room for, up to 8,388,608; 48 bytes each, taken at the start and twice, so
    /// that a new set is written beside the one in force. Default 1,048,576.
    pub(crate) records: u32,
    /// What happens to traffic when something fails.
    pub(crate) on_failure: OnFailure,
    /// Age of the newest credit snapshot, in seconds, from which it counts as stale; 0 for never. Default 0: lists that an
    /// operator keeps do not age.
    pub(crate) data_stale_after_s: u32,
    /// The least that happens to packets with more than eight extension headers, or with headers that are cut, and to frames of
    /// which the IPv6 header that they promise cannot be read. Default `none`: they pass, and are counted.
    pub(crate) unknown_chain: Measure,
    /// The differentiated services code point that marked packets get, from 0 to 63. Default 8: the class CS1, lower than best
    /// effort (RFC 8622 has a better one, 1, where a network knows it).
    pub(crate) mark_dscp: u8,
    /// The mark of the kernel's own that marked packets get on a router, for `ip rule` and `tc`. Default 0: none.
    pub(crate) mark_packet: u32,
    /// What a subject may send whose rate a record limits. Default 1,000 kbit/s: enough for mail and a complaint, and no
    /// flood.
    pub(crate) listed_kbit_per_s: u32,
    /// What an address may send whose rate its behaviour limits. Default 1,000 kbit/s; good credit has four times as much.
    pub(crate) behaviour_kbit_per_s: u32,
    /// What a blocked /64 may send to each of `lists.portals` together. Default 128 kbit/s: a form with a few pages.
    pub(crate) portal_kbit_per_s: u32,
    /// How long the verdict on a behaviour holds after it was last seen, in seconds, from 1 to 3,600. Default 60.
    pub(crate) behaviour_holds_s: u32,
    /// One in so many packets that did not pass is written beside the alerts; 0 for none. Default 1,000.
    pub(crate) sample: u32,
}

impl Default for Enforce {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            stand: Standing::default(),
            carrier: CarriedBy::default(),
            other_leg: None,
            records: 1 << 20,
            on_failure: OnFailure::default(),
            data_stale_after_s: 0,
            unknown_chain: Measure::None,
            mark_dscp: 8,
            mark_packet: 0,
            listed_kbit_per_s: 1_000,
            behaviour_kbit_per_s: 1_000,
            portal_kbit_per_s: 128,
            behaviour_holds_s: 60,
            sample: 1_000,
        }
    }
}

/// Whether verdicts are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Nothing is loaded into the kernel.
    #[default]
    Off,
    /// Everything is decided and counted in the kernel, and nothing done.
    DryRun,
    /// Verdicts are carried out.
    On,
}

/// How the gateway stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// On a routing host: what passes goes up to its routing.
    #[default]
    Router,
    /// Between two interfaces: what passes goes out of the other.
    Bridge,
    /// On a mirror port: nothing is held up.
    Tap,
}

/// What in the kernel carries verdicts out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CarriedBy {
    /// XDP, and where the kernel or the driver takes no such program, nftables, if its limits allow what is asked for.
    #[default]
    Auto,
    /// XDP or nothing.
    Xdp,
    /// nftables, on a router or tap: records are exchanged whole, what is dropped is not sampled, chains of headers that are too
    /// long are not told apart, and every key of `on_failure` must be `static`.
    Nftables,
}

/// What happens to traffic when something fails: `open` lets everything pass, `static` enforces what was published last,
/// each record to its own end, `closed` stops everything but neighbour discovery and `lists.never_block`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OnFailure {
    /// The engine ended, was killed or was stopped: no sign of life for 100 ms. Default `open`.
    pub(crate) engine_down: OnFail,
    /// The engine lives, and one of its threads has stood still for a second. Default `open`.
    pub(crate) worker_stuck: OnFail,
    /// The newest snapshot is older than `data_stale_after_s`. Default `static`.
    pub(crate) data_stale: Stale,
    /// There is no credit record at all although some are configured, and no feed says that there is none. Default `open`.
    pub(crate) data_absent: OnFail,
}

/// What happens to traffic, `open` unless it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnFail {
    /// Everything passes.
    #[default]
    Open,
    /// What was published last is enforced.
    Static,
    /// Nothing passes.
    Closed,
}

/// What happens to traffic, `static` unless it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Stale(pub(crate) OnFail);

impl Default for Stale {
    fn default() -> Self {
        Self(OnFail::Static)
    }
}

impl Mode {
    /// The word in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::DryRun => "dry_run",
            Self::On => "on",
        }
    }
}

impl Standing {
    /// The word in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Bridge => "bridge",
            Self::Tap => "tap",
        }
    }
}

impl CarriedBy {
    /// The word in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Xdp => "xdp",
            Self::Nftables => "nftables",
        }
    }
}

impl OnFail {
    /// The word in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Static => "static",
            Self::Closed => "closed",
        }
    }
}

impl From<OnFail> for Failure {
    fn from(on_fail: OnFail) -> Self {
        match on_fail {
            OnFail::Open => Self::Open,
            OnFail::Static => Self::Static,
            OnFail::Closed => Self::Closed,
        }
    }
}

impl From<Standing> for Stand {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Router => Self::Router,
            Standing::Bridge => Self::Bridge,
            Standing::Tap => Self::Tap,
        }
    }
}

/// The most records: what a prefix map of the kernel's image takes in a few hundred megabytes.
const RECORDS_MAX: u32 = 1 << 23;
/// The fewest: below this nothing is saved.
const RECORDS_MIN: u32 = 1 << 10;
/// The longest that a verdict on a behaviour may hold: whoever is better after an hour must not wait for it longer.
const BEHAVIOUR_HOLDS_MAX_S: u32 = 3_600;
/// Code points are numbers of six bits (RFC 2474).
const DSCP_MAX: u8 = 63;

impl Enforce {
    /// Whether a program is loaded into the kernel.
    pub(crate) fn is_on(&self) -> bool {
        self.mode != Mode::Off
    }

    /// Whether anything happens to packets.
    pub(crate) fn carries_out(&self) -> bool {
        self.mode == Mode::On && self.stand != Standing::Tap
    }

    /// Whether the program stays on its interfaces when this process ends: a bridge would go dark without it, and what is to
    /// be enforced or stopped then needs someone who does it.
    pub(crate) fn outlives(&self) -> bool {
        self.stand == Standing::Bridge || self.on_failure.engine_down != OnFail::Open
    }

    /// What rules of nftables cannot do of this, with the keys to blame: they know no sign of life, carry nothing from leg to leg
    /// and do not tell how long a chain of headers is.
    pub(super) fn beyond_nftables(&self) -> Vec<(&'static str, String)> {
        let mut beyond = Vec::new();
        if self.stand == Standing::Bridge {
            beyond.push((
                "enforce.stand",
                "is \"bridge\", which takes XDP; nftables stands as a router".to_owned(),
            ));
        }
        let OnFailure { engine_down, worker_stuck, data_stale, data_absent } = self.on_failure;
        let failures = [
            ("enforce.on_failure.engine_down", engine_down),
            ("enforce.on_failure.worker_stuck", worker_stuck),
            ("enforce.on_failure.data_stale", data_stale.0),
            ("enforce.on_failure.data_absent", data_absent),
        ];
        for (key, then) in failures {
            // On a tap nothing is held up, whatever fails.
            if then != OnFail::Static && self.stand != Standing::Tap {
                let fault =
                    format!("is \"{}\", and rules of nftables stay: it must be \"static\"", then.name());
                beyond.push((key, fault));
            }
        }
        if self.unknown_chain != Measure::None {
            let asked = self.unknown_chain;
            let fault = format!("is \"{asked}\", and nftables cannot tell such packets: it must be \"none\"");
            beyond.push(("enforce.unknown_chain", fault));
        }
        beyond
    }

    /// What is told to the program.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            silence: self.on_failure.engine_down.into(),
            stand: self.stand.into(),
            dry_run: self.mode == Mode::DryRun,
            unknown: self.unknown_chain,
            dscp: Some(self.mark_dscp),
            mark: self.mark_packet,
            sample: self.sample,
            told_rate: rate(self.behaviour_kbit_per_s),
            heard_rate: rate(self.portal_kbit_per_s),
            ..Policy::default()
        }
    }

    /// What no type can refuse.
    pub(super) fn unsound(&self, interface: Option<&str>, faults: &mut Vec<(&'static str, String)>) {
        if !(RECORDS_MIN..=RECORDS_MAX).contains(&self.records) {
            let fault = format!("is {}, and must be from {RECORDS_MIN} to {RECORDS_MAX}", self.records);
            faults.push(("enforce.records", fault));
        }
        if self.mark_dscp > DSCP_MAX {
            let fault = format!("is {}, and must be at most {DSCP_MAX}", self.mark_dscp);
            faults.push(("enforce.mark_dscp", fault));
        }
        if !(1..=BEHAVIOUR_HOLDS_MAX_S).contains(&self.behaviour_holds_s) {
            let held = self.behaviour_holds_s;
            let fault = format!("is {held}, and must be from 1 to {BEHAVIOUR_HOLDS_MAX_S}");
            faults.push(("enforce.behaviour_holds_s", fault));
        }
        let rates = [
            ("enforce.listed_kbit_per_s", self.listed_kbit_per_s),
            ("enforce.behaviour_kbit_per_s", self.behaviour_kbit_per_s),
            ("enforce.portal_kbit_per_s", self.portal_kbit_per_s),
        ];
        let none = rates.into_iter().filter(|(_, rate)| *rate == 0);
        faults.extend(
            none.map(|(key, _)| (key, "is 0; a rate of nothing is a block, which `drop` says".into())),
        );
        match (self.stand, &self.other_leg) {
            (Standing::Bridge, None) => {
                let fault =
                    "is missing: a bridge has two legs; give `other_leg = \"NAME\"` beside `interface`";
                faults.push(("enforce.other_leg", fault.to_owned()));
            }
            (Standing::Bridge, Some(other)) if interface == Some(other) => {
                faults.push(("enforce.other_leg", "is `interface` itself; a bridge needs two".to_owned()));
            }
            _ => {}
        }
    }
}

impl Config {
    /// What the kernel's program is loaded with.
    pub(crate) fn enforcement(&self) -> Setup {
        let prefixes = |list: &[ListedPrefix]| list.iter().map(ListedPrefix::prefix).collect();
        Setup {
            records: self.enforce.records,
            rate: rate(self.enforce.listed_kbit_per_s),
            good_from: self.policy.ladder.incentive_from,
            opinions_last: Duration::from_secs(self.enforce.behaviour_holds_s.into()),
            spared: Spared {
                sources: self.guards().never_block().prefixes().to_vec(),
                portals: prefixes(&self.lists.portals),
            },
            ..Setup::default()
        }
    }
}

/// So many kilobits a second, with half a second's worth at once and no less than 64 KiB.
pub(super) fn rate(kbit_per_s: u32) -> Rate {
    let bytes_per_s = u64::from(kbit_per_s) * 125;
    Rate { bytes_per_s, burst_bytes: (bytes_per_s / 2).max(1 << 16) }
}
