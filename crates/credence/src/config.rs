//! The configuration of `credence run`: every key with its unit, its default, and why that is the default.
//!
//! [`Config`] is what was typed, [`Config::read`] finds every mistake in it and not only the first, and the
//! functions at the end of this file say what it means to the engine. A key left out has its default; a key
//! that nobody knows is a mistake, since it is usually a known one misspelt.

mod emergency;
mod enforce;
mod exceptions;
mod mistakes;
mod outbox;
mod prefixes;
mod reader;
mod sandbox;
mod seat;
mod spelling;
mod sync;

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use credence_capture::{Backend as CaptureBackend, LiveConfig};
use credence_credit::Guards;
use credence_credit::guard::NeverBlock;
use credence_engine::{Keyed, LineConfig, Lists, set};
use credence_flow::{FullPolicy, SketchSeed, Timeouts};
use credence_prefix::TableError;
use credence_score::{Policy, Verdict};
use serde::{Deserialize, Serialize};

pub(crate) use emergency::{Control, Emergency};
pub(crate) use enforce::{CarriedBy, Enforce, Mode, OnFail, OnFailure, Standing};
pub(crate) use exceptions::Exceptions;
pub(crate) use mistakes::FLOW_BYTES;
pub(crate) use outbox::Outbox;
pub(crate) use prefixes::ListedPrefix;
pub(crate) use sandbox::Sandbox;
pub(crate) use seat::Seat;
pub(crate) use sync::{FEED, List, Sync};

/// A gateway's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Name of the network interface to listen on, such as `eth0`. There is no default, because no guess is
    /// right on a gateway with several; `credence run --interface` can give it instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interface: Option<String>,
    /// Where frames come from. Default `auto`: the ring, which is some 35 times cheaper, wherever the kernel
    /// grants one.
    pub(crate) backend: Backend,
    /// Worker threads, at most 1,024. Default 0: one for each core that this process may use.
    pub(crate) workers: u32,
    /// On which cores the threads run where the host has several NUMA nodes. Default `near`: those of the node that the
    /// interface lies at, and so memory of that node, unless whoever starts the process binds it or there are more workers than
    /// the node has cores. On a host with one node nothing changes.
    pub(crate) cores: Cores,
    /// How many queues the kernel spreads the interface's frames over: 1, or as many as there are workers, of
    /// which each then reads its own. Default 1: one reader feeds all workers, which is enough for most links.
    /// Several are for links that one reader cannot keep up with. Either way both directions and all fragments of
    /// an address pair meet on one worker; with several that takes a kernel that lets this process load a
    /// program, and the log says so where it does not. With `af_xdp` the queues are the device's own, and must be
    /// as many as it receives on.
    pub(crate) queues: Queues,
    /// The flow table.
    pub(crate) flows: Flows,
    /// The operator's lists of prefixes.
    pub(crate) lists: PrefixLists,
    /// Where credit comes from.
    pub(crate) credit: Credit,
    /// What is fetched from others.
    pub(crate) sync: Sync,
    /// How scores become verdicts.
    pub(crate) policy: Policy,
    /// What is carried out in the kernel.
    pub(crate) enforce: Enforce,
    /// What changes in an emergency.
    pub(crate) emergency: Emergency,
    /// The door by which a running gateway is told something.
    pub(crate) control: Control,
    /// Where alerts go.
    pub(crate) alerts: Alerts,
    /// The page for Prometheus, and whether the process is well.
    pub(crate) metrics: Metrics,
    /// What the process gives up once everything is open.
    pub(crate) sandbox: Sandbox,
}

/// Where frames come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Backend {
    /// The ring, and where the kernel does not grant one, the data link of the crate `pnet`.
    #[default]
    Auto,
    /// The memory-mapped `AF_PACKET` ring or nothing.
    AfPacket,
    /// The data link of the crate `pnet`.
    Pnet,
    /// `AF_XDP` sockets, for an interface at a mirror port or tap: the IPv6 frames that arrive there do not reach this
    /// host's own network.
    AfXdp,
}

/// On which cores the threads run where the host has several NUMA nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cores {
    /// On those of the interface's node.
    #[default]
    Near,
    /// On any that the process may use.
    Any,
}

/// How many queues the interface's frames are spread over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Queues(pub(crate) u32);

impl Default for Queues {
    fn default() -> Self {
        Self(1)
    }
}

/// The flow table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Flows {
    /// Flows held at most, all workers together. Memory for all of them is taken at the start, at most 128
    /// bytes each. Default 1,048,576, some 134 MB: a busy 10 Gbit/s link holds a few hundred thousand, and a
    /// flood needs room to be seen in.
    pub(crate) capacity: u32,
    /// What happens to a new flow when the table is full. Default `evict_unconfirmed`: a flow whose source
    /// has not proved that it receives makes room, so that a flood with forged sources does not push out
    /// conversations.
    pub(crate) when_full: WhenFull,
    /// How long a flow may be silent before its next packet begins a new one.
    pub(crate) timeouts: FlowTimeouts,
}

impl Default for Flows {
    fn default() -> Self {
        Self { capacity: 1 << 20, when_full: WhenFull::default(), timeouts: FlowTimeouts::default() }
    }
}

/// What happens to a new flow when the table is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenFull {
    /// The unconfirmed flow that was idle longest makes room.
    #[default]
    EvictUnconfirmed,
    /// The new flow is scored packet by packet, without state.
    Refuse,
}

/// How long a flow may be silent, in seconds, from 1 to 86,400.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FlowTimeouts {
    /// A TCP flow whose source has proved that it receives. Default 300: it bridges the pauses of interactive
    /// use; a longer silence costs a new flow record and nothing else.
    pub(crate) established_s: u32,
    /// A TCP flow after FIN or RST. Default 15: the last segments and their repetitions arrive within that.
    pub(crate) closed_s: u32,
    /// A flow of any other protocol that was answered. Default 60: applications keep such flows open by
    /// sending at least twice a minute.
    pub(crate) paired_s: u32,
    /// Anything else. Default 30: what is not answered by then is a scan, a flood or a loss, and should not
    /// hold memory.
    pub(crate) unanswered_s: u32,
}

impl Default for FlowTimeouts {
    fn default() -> Self {
        Self { established_s: 300, closed_s: 15, paired_s: 60, unanswered_s: 30 }
    }
}

/// The operator's lists of prefixes, such as `"2001:db8::/32"`. Bits behind the length must be zero.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PrefixLists {
    /// Prefixes of the operator and its customers. Alerts say by them which way a flow goes; no score depends
    /// on them. Default none: then every flow is in transit.
    pub(crate) own: Vec<ListedPrefix>,
    /// Sources whose traffic passes whatever anyone says: management, resolvers, routing neighbours. Default
    /// none; link-local, multicast, unique local and translator prefixes are on the list in any case.
    pub(crate) never_block: Vec<ListedPrefix>,
    /// Where the blocked complain: destinations to which their traffic passes all the same, at a low rate. Default none.
    pub(crate) portals: Vec<ListedPrefix>,
    /// Ends of tunnels that the operator runs. Flows inside them are told apart by their inner header.
    /// Default none, since anyone can forge the inner header of a tunnel that nobody vouches for.
    pub(crate) tunnel_endpoints: Vec<ListedPrefix>,
}

/// Where credit comes from.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Credit {
    /// Snapshot files made by `credence credit import`. They are read again on SIGHUP. Default none: then
    /// every source is unrated, and flows are scored by what they do.
    pub(crate) snapshots: Vec<PathBuf>,
    /// A file of exceptions, in which this network allows, denies or asserts a score, whatever others say. It is read again
    /// whenever it changes; a mistake in it keeps what was said last. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exceptions: Option<PathBuf>,
}

impl Credit {
    /// The files that are read again while a gateway runs.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.snapshots.iter().chain(&self.exceptions).map(PathBuf::as_path)
    }
}

/// Where alerts go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Alerts {
    /// File to which alerts are appended as JSON lines, made with mode 0640 because they name sources.
    /// Default none: alerts are counted and not written, since full addresses should not reach a disk
    /// unasked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    /// The mildest verdict that raises an alert. Default `observe`, the first rung that means anything.
    pub(crate) from: AlertFrom,
    /// Lines written in a second at most, from 1 to 100,000; what is beyond is counted. Default 100: enough
    /// to work with, and a flood of alerts fills no disk.
    pub(crate) lines_per_second: u32,
}

impl Default for Alerts {
    fn default() -> Self {
        Self { path: None, from: AlertFrom::default(), lines_per_second: 100 }
    }
}

/// The mildest verdict that raises an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlertFrom {
    /// Passes, counted and reported.
    #[default]
    Observe,
    /// Passes with a mark.
    Mark,
    /// Passes within a rate.
    RateLimit,
    /// Is discarded.
    Drop,
}

/// The page for Prometheus, and whether the process is well.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Metrics {
    /// Address and port of `/metrics`, `/healthz` and `/readyz`; port 0 takes a free one and says which.
    /// Default `127.0.0.1:9469`: plain HTTP belongs on loopback, and the port is free of well-known
    /// exporters.
    pub(crate) listen: SocketAddr,
    /// Whether `listen` may be reachable from other hosts. Default false: counters tell how busy a network
    /// is.
    pub(crate) allow_remote: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9469)), allow_remote: false }
    }
}

impl Config {
    /// Worker threads of a host on which this process may use `cores` cores.
    pub(crate) fn worker_count(&self, cores: usize) -> usize {
        if self.workers == 0 { cores.max(1) } else { self.workers as usize }
    }

    /// What rules of nftables cannot do of what is asked for, with the keys to blame.
    pub(crate) fn beyond_nftables(&self) -> Vec<(&'static str, String)> {
        let mut beyond = self.enforce.beyond_nftables();
        let period_s = self.sync.outbox.accounts_s();
        if period_s > 0 && self.enforce.carries_out() {
            let fault = format!("is {period_s}, and rules of nftables do not count by record: it must be 0");
            beyond.push(("sync.outbox.accounts_s", fault));
        }
        beyond
    }

    /// The guards that judge credit records, with the operator's never-block list.
    pub(crate) fn guards(&self) -> Guards {
        Guards::new(NeverBlock::new(self.lists.never_block.iter().map(ListedPrefix::prefix)))
    }

    /// The line of each of `workers` workers. Its hash seeds are new at each call, so that nobody outside can
    /// choose colliding keys.
    ///
    /// # Errors
    /// When a list is longer than the prefix map can number.
    pub(crate) fn line(&self, guards: &Guards, workers: usize) -> Result<LineConfig, TableError> {
        let prefixes = |list: &[ListedPrefix]| list.iter().map(ListedPrefix::prefix).collect::<Vec<_>>();
        let lists = Lists::new(guards.never_block().prefixes(), &prefixes(&self.lists.own))?;
        let keyed = match prefixes(&self.lists.tunnel_endpoints).as_slice() {
            [] => Keyed::Outer,
            ends => Keyed::InnerAt(Arc::new(set(ends)?)),
        };
        Ok(LineConfig {
            keyed,
            flows: self.flows.capacity.div_ceil(u32::try_from(workers).unwrap_or(u32::MAX)),
            full: self.flows.when_full.into(),
            timeouts: (&self.flows.timeouts).into(),
            policy: self.policy,
            emergency: self.emergency.ladder,
            alert_from: self.alerts.from.into(),
            lists: Arc::new(lists),
            enforced: self.enforce.is_on(),
            seed: RandomState::new().hash_one(0),
            sketch: SketchSeed(RandomState::new().hash_one(1)),
            prefault: true,
            restarts: true,
            ..LineConfig::default()
        })
    }

    /// The capture on `interface`.
    pub(crate) fn capture(&self, interface: &str) -> LiveConfig {
        let backend = self.backend.into();
        LiveConfig { backend, queues: self.queues.0 as usize, ..LiveConfig::new(interface) }
    }

    /// Whether any credit is to come from anywhere.
    pub(crate) fn has_credit(&self) -> bool {
        !self.credit.snapshots.is_empty() || self.sync.is_on()
    }

    /// Sections and keys in which `self` differs from `running` and that only a restart brings into force.
    pub(crate) fn restart_needed(&self, running: &Self) -> Vec<&'static str> {
        let compared = [
            ("interface", self.interface != running.interface),
            ("backend", self.backend != running.backend),
            ("workers", self.workers != running.workers),
            ("cores", self.cores != running.cores),
            ("queues", self.queues != running.queues),
            ("flows", self.flows != running.flows),
            ("lists", self.lists != running.lists),
            ("credit.exceptions", self.credit.exceptions != running.credit.exceptions),
            ("sync", self.sync != running.sync),
            ("policy", self.policy != running.policy),
            ("enforce", self.enforce != running.enforce),
            ("emergency", self.emergency != running.emergency),
            ("control", self.control != running.control),
            ("alerts", self.alerts != running.alerts),
            ("metrics", self.metrics != running.metrics),
            ("sandbox", self.sandbox != running.sandbox),
        ];
        compared.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

impl Backend {
    /// The word in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::AfPacket => "af_packet",
            Self::Pnet => "pnet",
            Self::AfXdp => "af_xdp",
        }
    }
}

impl From<Backend> for CaptureBackend {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Auto => Self::Auto,
            Backend::AfPacket => Self::AfPacket,
            Backend::Pnet => Self::Pnet,
            Backend::AfXdp => Self::AfXdp,
        }
    }
}

impl From<WhenFull> for FullPolicy {
    fn from(when_full: WhenFull) -> Self {
        match when_full {
            WhenFull::EvictUnconfirmed => Self::EvictUnconfirmed,
            WhenFull::Refuse => Self::Refuse,
        }
    }
}

impl From<&FlowTimeouts> for Timeouts {
    fn from(timeouts: &FlowTimeouts) -> Self {
        let ns = |seconds: u32| u64::from(seconds) * 1_000_000_000;
        Self {
            established_ns: ns(timeouts.established_s),
            closed_ns: ns(timeouts.closed_s),
            paired_ns: ns(timeouts.paired_s),
            unanswered_ns: ns(timeouts.unanswered_s),
        }
    }
}

impl From<AlertFrom> for Verdict {
    fn from(from: AlertFrom) -> Self {
        match from {
            AlertFrom::Observe => Self::Observe,
            AlertFrom::Mark => Self::Mark,
            AlertFrom::RateLimit => Self::RateLimit,
            AlertFrom::Drop => Self::Drop,
        }
    }
}

#[cfg(test)]
mod tests;
