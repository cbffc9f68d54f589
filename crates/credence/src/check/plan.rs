//! What a configuration would do on this host.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use credence_capture::LiveConfig;
use credence_credit::guard::NEVER_BLOCK;
use credence_credit::{Cache, KeepReason, Keeper, Published};
use credence_engine::clock::unix_s;
use credence_engine::{LineConfig, Own, Worker};
use credence_score::{Policy, Verdict};
use credence_sync::fetch::Place;
use serde::Serialize;

use super::followed::Followed;
use super::outbox::Outbox;
use super::seat::Seat;
use super::{bytes, count};
use crate::config::{Backend, CarriedBy, Config, FLOW_BYTES, Sandbox, Standing, WhenFull, cores};
use crate::sandbox::User;
use crate::sources::Sources;

/// What the kernel takes for a record: 16 bytes of image and 32 of measure, each twice.
const KERNEL_RECORD_BYTES: u64 = 2 * (16 + 32);

/// Batches on their way to one worker where a reader feeds several: 66 of 400 KiB.
const HANDOVER_BYTES: u64 = 66 * 400 * 1024;

/// What would be done. The names of the members are a contract.
#[derive(Serialize)]
pub(super) struct Plan {
    interface: Option<Interface>,
    backend: &'static str,
    workers: usize,
    queues: u32,
    flows: u32,
    when_full: WhenFull,
    memory: Memory,
    lists: ListLengths,
    credit: Credit,
    exceptions: Option<String>,
    /// The feed of a platform, if one would be followed.
    feed: Option<Followed>,
    /// What would be fetched, by the names of the lists.
    lists_fetched: BTreeMap<String, Fetched>,
    policy: Policy,
    alerts: Alerts,
    metrics: String,
    /// Whether any packet would be held up, marked or dropped.
    enforced: bool,
    enforcement: Enforcement,
    outbox: Outbox,
    /// The seat of the coordinating body, if one would be held.
    #[serde(skip_serializing_if = "Option::is_none")]
    seat: Option<Seat>,
    sandbox: Sandbox,
}

/// What would be carried out in the kernel.
#[derive(Serialize)]
struct Enforcement {
    mode: &'static str,
    stand: &'static str,
    carrier: &'static str,
    /// Whether nftables stands in where XDP cannot be had.
    may_fall_back: bool,
    /// The interfaces that the program would be joined to.
    legs: Vec<String>,
    /// Whether the program would stay on them when the process ends.
    outlives: bool,
    engine_down: &'static str,
    worker_stuck: &'static str,
    data_stale: &'static str,
    data_absent: &'static str,
    /// Memory of the kernel's maps, in bytes.
    memory: u64,
}

#[derive(Serialize)]
struct Interface {
    name: String,
    /// Whether this host, or rather this network namespace, has it.
    exists: bool,
}

/// Memory that is taken at the start, in bytes.
#[derive(Serialize)]
struct Memory {
    flow_tables: u64,
    sources: u64,
    rings: u64,
    handover: u64,
    credit: u64,
    total: u64,
}

/// Prefixes listed.
#[derive(Serialize)]
struct ListLengths {
    own: usize,
    never_block: usize,
    /// Prefixes that are on every never-block list.
    never_block_fixed: usize,
    tunnel_endpoints: usize,
}

#[derive(Serialize)]
struct Credit {
    snapshots: usize,
    records: usize,
    enforceable: u64,
    /// Records that are kept and shown and never enforced, by reason.
    kept: BTreeMap<&'static str, u64>,
    expired: usize,
}

#[derive(Serialize)]
struct Alerts {
    path: Option<String>,
    from: &'static str,
    lines_per_second: u32,
}

impl Plan {
    /// The plan of `config`, and the credit it would start with. What is wrong is added to `problems`, what
    /// is odd to `warnings`.
    ///
    /// # Errors
    /// When the snapshots together or a list are too large.
    pub(super) fn of(
        config: &Config,
        problems: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) -> anyhow::Result<(Self, Published)> {
        let (guards, workers) = (config.guards(), config.worker_count(cores()));
        let line = config.line(&guards, workers)?;
        let published = Published::default();
        let keeper = Sources::begin(config, problems).keeper([], &guards, &published)?;
        keeper.publish();
        let credit = Credit::of(keeper.cache(), warnings);
        let memory = Memory::of(config, &line, workers, &keeper);
        memory.compare(available(), warnings);
        let plan = Self {
            interface: interface(config, warnings),
            backend: config.backend.name(),
            workers,
            queues: config.queues.0,
            flows: config.flows.capacity,
            when_full: config.flows.when_full,
            memory,
            lists: ListLengths::of(config),
            credit,
            exceptions: config.credit.exceptions.as_ref().map(|path| path.display().to_string()),
            feed: Followed::of(config, warnings),
            lists_fetched: fetched(config, warnings),
            policy: config.policy,
            alerts: Alerts::of(config, problems),
            metrics: format!("http://{}/metrics", config.metrics.listen),
            enforced: config.enforce.carries_out(),
            enforcement: Enforcement::of(config, keeper.cache().len(), problems, warnings),
            outbox: Outbox::of(config, problems),
            seat: Seat::of(config, problems),
            sandbox: sandbox(config, warnings),
        };
        Ok((plan, published))
    }

    /// Writes the plan for people, a subject a line.
    ///
    /// # Errors
    /// When `out` refuses.
    pub(super) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let queues = if self.queues == 1 { "1 queue".to_owned() } else { format!("{} queues", self.queues) };
        let full = match self.when_full {
            WhenFull::EvictUnconfirmed => "pushes unconfirmed flows out",
            WhenFull::Refuse => "refuses new flows",
        };
        let ladder = &self.policy.ladder;
        let rows = [
            (
                "interface",
                self.interface
                    .as_ref()
                    .map_or_else(|| "none: --interface names one".to_owned(), Interface::told),
            ),
            ("backend", self.backend.to_owned()),
            ("workers", format!("{}, fed by {queues}", self.workers)),
            ("flows", format!("{} at most; a full table {full}", count(self.flows.into()))),
            ("memory", self.memory.told()),
            ("lists", self.lists.told()),
            ("credit", self.credit.told()),
            ("exceptions", self.exceptions.clone().unwrap_or_else(|| "none".to_owned())),
            ("followed", self.feed.as_ref().map_or_else(|| "no platform".to_owned(), Followed::told)),
            ("fetched", told(&self.lists_fetched)),
            ("unrated", format!("sources start at {}", self.policy.neutral)),
            (
                "ladder",
                format!(
                    "incentive from {}, observe below {}, mark below {}, rate limit below {}; only lists and acts drop",
                    ladder.incentive_from, ladder.observe_below, ladder.mark_below, ladder.rate_limit_below
                ),
            ),
            ("alerts", self.alerts.told()),
            ("metrics", self.metrics.clone()),
            ("enforced", self.enforcement.told(self.enforced)),
            ("told", self.outbox.told()),
            ("seat", self.seat.as_ref().map_or_else(|| "none".to_owned(), Seat::told)),
            ("sandbox", self.sandbox.told()),
        ];
        rows.iter().try_for_each(|(name, told)| writeln!(out, "{name:<11} {told}"))
    }
}

/// A list that would be fetched.
#[derive(Serialize)]
struct Fetched {
    /// Its places, without what may be secret.
    from: Vec<String>,
    refresh_s: u64,
    expires_s: u64,
    measure: &'static str,
}

/// Who asks more often than this for a list is shut out by many who publish one, in seconds.
const REFRESH_MIN_S: u64 = 300;

/// What would be fetched; a list that is asked for too often is a second thought worth.
fn fetched(config: &Config, warnings: &mut Vec<String>) -> BTreeMap<String, Fetched> {
    let lists = config.sync.plans().into_iter().map(|plan| {
        let fetched = Fetched {
            from: plan.places.iter().map(Place::shown).collect(),
            refresh_s: plan.refresh.as_secs(),
            expires_s: plan.lifetime.as_secs(),
            measure: plan.measure.name(),
        };
        if fetched.refresh_s < REFRESH_MIN_S {
            warnings.push(format!(
                "the list {} is asked for every {} s; publishers shut out who asks more often than every few minutes",
                plan.name, fetched.refresh_s
            ));
        }
        if plan.lifetime < plan.refresh * 2 {
            warnings.push(format!(
                "records of the list {} last {} s and it is asked for every {} s, so that one failure lets them end",
                plan.name, fetched.expires_s, fetched.refresh_s
            ));
        }
        (plan.name, fetched)
    });
    lists.collect()
}

fn told(fetched: &BTreeMap<String, Fetched>) -> String {
    if fetched.is_empty() {
        return "nothing".to_owned();
    }
    let one = |(name, list): (&String, &Fetched)| {
        let places = list.from.join(", ");
        format!("{name} from {places} every {} s, to {}", count(list.refresh_s), list.measure)
    };
    fetched.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The configured interface; one that this host lacks is no fault of the configuration.
fn interface(config: &Config, warnings: &mut Vec<String>) -> Option<Interface> {
    let Some(name) = &config.interface else {
        warnings.push("no interface is configured; `credence run` will need --interface NAME".to_owned());
        return None;
    };
    let there = interfaces();
    let exists = there.contains(name);
    if !exists {
        warnings.push(format!("this host has no interface {name}; it has {}", there.join(", ")));
    }
    Some(Interface { name: name.clone(), exists })
}

/// What would be given up; a user that this host lacks is no fault of the configuration.
fn sandbox(config: &Config, warnings: &mut Vec<String>) -> Sandbox {
    let user = config.sandbox.user.as_deref();
    warnings.extend(user.and_then(|user| User::named(user).err()).map(|error| error.to_string()));
    config.sandbox.clone()
}

/// The interfaces of this network namespace, as the kernel lists them.
fn interfaces() -> Vec<String> {
    let listed = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    // Two lines of heading, then a line an interface that begins with its name.
    listed.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

/// Memory that the kernel says could be taken, in bytes.
fn available() -> Option<u64> {
    let told = fs::read_to_string("/proc/meminfo").ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

impl Interface {
    fn told(&self) -> String {
        format!("{}{}", self.name, if self.exists { "" } else { " (not on this host)" })
    }
}

impl Memory {
    fn of(config: &Config, line: &LineConfig, workers: usize, keeper: &Keeper) -> Self {
        // A line with a flow table of one flow says what the rest of a line takes.
        let own = Arc::new(Own::default());
        drop(Worker::new(
            Arc::new(LineConfig { flows: 1, ..line.clone() }),
            Published::default().reader(),
            Arc::clone(&own),
        ));
        let (workers_u64, queues) = (workers as u64, u64::from(config.queues.0));
        let LiveConfig { block_bytes, blocks, .. } = config.capture("");
        let ring = if config.backend == Backend::Pnet { 0 } else { (block_bytes * blocks) as u64 };
        let handover = if queues == 1 && workers > 1 { workers_u64 * HANDOVER_BYTES } else { 0 };
        let mut memory = Self {
            flow_tables: u64::from(line.flows) * workers_u64 * FLOW_BYTES,
            sources: own.source_bytes.value() * workers_u64,
            rings: ring * queues,
            handover,
            credit: keeper.bytes() as u64,
            total: 0,
        };
        memory.total = memory.flow_tables + memory.sources + memory.rings + memory.handover + memory.credit;
        memory
    }

    fn compare(&self, available: Option<u64>, warnings: &mut Vec<String>) {
        if let Some(available) = available.filter(|available| self.total > *available) {
            let (total, available) = (bytes(self.total), bytes(available));
            warnings.push(format!(
                "{total} will be taken and this host has {available} to spare; lower `flows.capacity`"
            ));
        }
    }

    fn told(&self) -> String {
        format!(
            "{}: flow tables {}, sources {}, rings {}, hand-over {}, credit {}",
            bytes(self.total),
            bytes(self.flow_tables),
            bytes(self.sources),
            bytes(self.rings),
            bytes(self.handover),
            bytes(self.credit)
        )
    }
}

impl ListLengths {
    fn of(config: &Config) -> Self {
        let lists = &config.lists;
        Self {
            own: lists.own.len(),
            never_block: lists.never_block.len(),
            never_block_fixed: NEVER_BLOCK.len(),
            tunnel_endpoints: lists.tunnel_endpoints.len(),
        }
    }

    fn told(&self) -> String {
        let Self { own, never_block, never_block_fixed, tunnel_endpoints } = self;
        format!(
            "own {own}, never block {never_block} and {never_block_fixed} fixed, tunnel endpoints {tunnel_endpoints}"
        )
    }
}

impl Credit {
    fn of(cache: &Cache, warnings: &mut Vec<String>) -> Self {
        let now = unix_s();
        let kept = KeepReason::ALL.map(|reason| (reason.name(), cache.kept(reason)));
        let expired = cache.iter().filter(|(_, record)| !record.is_live(now)).count();
        if expired > 0 {
            warnings.push(format!(
                "{} of {} credit records are over",
                count(expired as u64),
                count(cache.len() as u64)
            ));
        }
        let all_kept: u64 = kept.iter().map(|(_, records)| records).sum();
        Self {
            snapshots: cache.sources().len(),
            records: cache.len(),
            enforceable: cache.len() as u64 - all_kept,
            kept: kept.into_iter().filter(|(_, records)| *records > 0).collect(),
            expired,
        }
    }

    fn told(&self) -> String {
        let mut told = format!(
            "{} records from {} snapshots, of which {} may be enforced",
            count(self.records as u64),
            self.snapshots,
            count(self.enforceable)
        );
        for (reason, records) in &self.kept {
            told += &format!(", {} kept as {reason}", count(*records));
        }
        if self.expired > 0 {
            told += &format!("; {} are over", count(self.expired as u64));
        }
        told
    }
}

impl Enforcement {
    fn of(config: &Config, records: usize, problems: &mut Vec<String>, warnings: &mut Vec<String>) -> Self {
        let enforce = &config.enforce;
        let is_bridge = enforce.stand == Standing::Bridge;
        if enforce.is_on() && records > enforce.records as usize {
            problems.push(format!(
                "the kernel has room for {} records and there are {}; raise `enforce.records`",
                count(enforce.records.into()),
                count(records as u64)
            ));
        }
        if !is_bridge && enforce.other_leg.is_some() {
            warnings.push("`enforce.other_leg` means nothing without `stand = \"bridge\"`".to_owned());
        }
        let is_program = enforce.is_on() && enforce.carrier != CarriedBy::Nftables;
        let other = enforce.other_leg.clone().filter(|_| is_bridge);
        Self {
            mode: enforce.mode.name(),
            stand: enforce.stand.name(),
            carrier: enforce.carrier.name(),
            may_fall_back: enforce.carrier == CarriedBy::Auto && config.beyond_nftables().is_empty(),
            legs: config.interface.clone().into_iter().chain(other).collect(),
            outlives: enforce.outlives(),
            engine_down: enforce.on_failure.engine_down.name(),
            worker_stuck: enforce.on_failure.worker_stuck.name(),
            data_stale: enforce.on_failure.data_stale.0.name(),
            data_absent: enforce.on_failure.data_absent.name(),
            memory: if is_program { u64::from(enforce.records) * KERNEL_RECORD_BYTES } else { 0 },
        }
    }

    fn told(&self, is_carried_out: bool) -> String {
        if self.mode == "off" {
            return "nothing: `credence run` observes".to_owned();
        }
        let doing = if is_carried_out {
            "verdicts, in the kernel"
        } else {
            "nothing: verdicts are counted in the kernel"
        };
        let stays = if self.outlives { "; it stays in force when the engine ends" } else { "" };
        let by = match self.carrier {
            "nftables" => "nftables",
            _ if self.may_fall_back => "XDP, or nftables where that cannot be had",
            _ => "XDP",
        };
        format!(
            "{doing}, by {by}, as a {} on {}; engine down: {}, worker stuck: {}, data stale: {}, data absent: {}{stays}; {} of kernel memory",
            self.stand,
            self.legs.join(" and "),
            self.engine_down,
            self.worker_stuck,
            self.data_stale,
            self.data_absent,
            bytes(self.memory)
        )
    }
}

impl Alerts {
    fn of(config: &Config, problems: &mut Vec<String>) -> Self {
        let alerts = &config.alerts;
        problems.extend(alerts.path.as_deref().and_then(unwritable));
        let path = alerts.path.as_ref().map(|path| path.display().to_string());
        Self { path, from: Verdict::from(alerts.from).name(), lines_per_second: alerts.lines_per_second }
    }

    fn told(&self) -> String {
        let path = self.path.as_deref().unwrap_or("counted and not written");
        format!("{path}, from {} on, {} lines a second at most", self.from, self.lines_per_second)
    }
}

/// Why alerts could not be appended to `path`, as far as can be told without making it.
fn unwritable(path: &Path) -> Option<String> {
    let name = path.display();
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => None,
        Ok(_) => Some(format!("`alerts.path` is {name}, which is no regular file; name a file")),
        Err(_) => {
            let directory =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let is_there = fs::metadata(directory).is_ok_and(|metadata| metadata.is_dir());
            (!is_there)
                .then(|| format!("`alerts.path` is {name}, whose directory is not there; make it first"))
        }
    }
}
