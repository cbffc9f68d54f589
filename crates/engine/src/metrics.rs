//! Counters as a Prometheus page, made when it is scraped.
//!
//! No label holds a value taken from a packet or from a member: the number of series is fixed when the program starts.

mod delays;
mod following;
mod outbox;

use std::time::Duration;

use credence_credit::{Cache, KeepReason};
use credence_score::{Basis, Verdict};
use credence_wire::Anomaly;
use prometheus::core::Collector;
use prometheus::{
    Counter, Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::alert::AlertCounts;
use crate::counters::{MALFORMED, NOT_IPV6, Totals};
pub use delays::Delays;
pub use following::{FollowedList, Following};
pub use outbox::Outbox;

/// Everything a page is made of.
#[derive(Clone, Debug)]
pub struct Scrape<'a> {
    /// Sums over workers.
    pub totals: &'a Totals,
    /// The credit cache in use.
    pub cache: &'a Cache,
    /// What became of alerts.
    pub alerts: AlertCounts,
    /// Failures to write alerts or flows.
    pub output_failures: u64,
    /// Alert lines given up because nothing could be written for too long.
    pub lines_lost: u64,
    /// Worker threads.
    pub workers: usize,
    /// Flows that all workers together hold at most.
    pub flow_capacity: u64,
    /// Whether frames still get through to every worker.
    pub ready: bool,
    /// Whether the link of each source of frames is up, in their order.
    pub links: Vec<bool>,
    /// When the emergency ends, Unix seconds; 0 when there is none.
    pub emergency_ends_s: u64,
    /// Whether an update of credit waits for the operator.
    pub update_held: bool,
    /// Whether the file of exceptions has a mistake, so that what it said before is in force.
    pub exceptions_faulty: bool,
    /// Reloads of which nothing was taken over.
    pub reload_failures: u64,
    /// What is carried out in the kernel, if anything is.
    pub enforcement: Option<Enforcement>,
    /// What is known of the process that fetches credit, if anything is fetched.
    pub following: Option<Following>,
    /// What has become of alerts that others may have to hear of, if they may.
    pub outbox: Option<Outbox>,
    /// What the kernel tells of the process.
    pub process: Process,
    /// When the process started, Unix seconds.
    pub started_s: u64,
    /// Version of the program.
    pub version: &'a str,
}

/// What the kernel tells of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Processor time in user and kernel mode.
    pub cpu: Duration,
    /// Memory that is not elsewhere, in bytes.
    pub resident_bytes: u64,
    /// Open files, sockets and all else that has a descriptor.
    pub open_files: u64,
}

/// What is carried out in the kernel.
#[derive(Clone, Debug)]
pub struct Enforcement {
    /// Whether verdicts are carried out or only counted, in the word of the configuration.
    pub mode: &'static str,
    /// How the gateway stands, in the word of the configuration.
    pub stand: &'static str,
    /// What in the kernel carries verdicts out, in the word of the configuration.
    pub carrier: &'static str,
    /// Every state that the kernel can be told, and whether it is this one.
    pub conditions: Vec<(&'static str, bool)>,
    /// Whether what carries verdicts out is missing on an interface.
    pub off: bool,
    /// Records that the kernel has.
    pub records: u64,
    /// Records that asked for a limiter and got none.
    pub unlimited: u64,
    /// How often records were published to the kernel.
    pub publications: u64,
    /// Opinions that the kernel did not take.
    pub untold: u64,
    /// Requests that the kernel or its tools refused while the engine ran.
    pub failures: u64,
    /// Packets and bytes by what happened to them and why.
    pub did: Vec<Did>,
}

/// What happened to packets in the kernel for one reason.
#[derive(Clone, Copy, Debug)]
pub struct Did {
    /// What happened.
    pub verdict: &'static str,
    /// Why.
    pub reason: &'static str,
    /// Packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
}

/// The content type of a page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page.
///
/// # Errors
/// When two metrics have the same name, which is a mistake of this module.
pub fn render(scrape: &Scrape<'_>) -> prometheus::Result<String> {
    let page = Page(Registry::new());
    page.frames(scrape.totals)?;
    page.verdicts(scrape.totals)?;
    page.flows(scrape.totals, scrape.flow_capacity)?;
    page.sources(scrape.totals)?;
    page.alerts(scrape)?;
    page.credit(scrape.cache)?;
    if let Some(enforcement) = &scrape.enforcement {
        page.enforcement(enforcement)?;
    }
    if let Some(following) = &scrape.following {
        page.following(following)?;
    }
    if let Some(outbox) = &scrape.outbox {
        page.outbox(outbox)?;
    }
    page.control(scrape)?;
    page.readiness(scrape)?;
    page.process(scrape)?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&page.0.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// A page in the making.
struct Page(Registry);

impl Page {
    fn frames(&self, t: &Totals) -> prometheus::Result<()> {
        self.counter("credence_received_packets_total", "Frames taken from the source.", t.received)?;
        self.counter(
            "credence_received_bytes_total",
            "Bytes of these frames on the wire.",
            t.received_bytes,
        )?;
        self.counter("credence_scored_packets_total", "IPv6 packets that got a verdict.", t.scored)?;
        self.counter(
            "credence_kernel_drops_total",
            "Frames that the kernel lost before they could be received.",
            t.kernel_drops,
        )?;
        self.counter("credence_reordered_packets_total", "Frames older than one before them.", t.reordered)?;
        self.counter(
            "credence_tunnelled_packets_total",
            "Packets in a tunnel or with one inside.",
            t.tunnelled,
        )?;
        self.counter("credence_fragment_packets_total", "Packets with a fragment header.", t.fragments)?;
        let shed = [("ring_full", t.shed), ("fault", t.faulted)];
        self.counters("credence_shed_packets_total", "Frames given up unscored.", "reason", shed)?;
        let help = "How often a worker failed and began anew with empty tables; please report it.";
        self.counter("credence_worker_restarts_total", help, t.restarts)?;
        let not_ipv6 = NOT_IPV6.iter().zip(t.not_ipv6.0).map(|((_, name), n)| (*name, n));
        self.counters("credence_not_ipv6_packets_total", "Frames without IPv6.", "reason", not_ipv6)?;
        let malformed = MALFORMED.iter().zip(t.malformed.0).map(|((_, name), n)| (*name, n));
        let help = "Frames whose IPv6 header cannot be read.";
        self.counters("credence_malformed_packets_total", help, "reason", malformed)?;
        let anomalies = Anomaly::ALL.iter().zip(t.anomalies.0).map(|(a, n)| (a.name(), n));
        let help = "Packets that showed an anomaly; one packet can show several.";
        self.counters("credence_anomalous_packets_total", help, "anomaly", anomalies)
    }

    fn verdicts(&self, t: &Totals) -> prometheus::Result<()> {
        let packets = Verdict::ALL.iter().zip(t.verdict_packets.0).map(|(v, n)| (v.name(), n));
        self.counters("credence_verdict_packets_total", "Packets by verdict.", "verdict", packets)?;
        let bytes = Verdict::ALL.iter().zip(t.verdict_bytes.0).map(|(v, n)| (v.name(), n));
        self.counters("credence_verdict_bytes_total", "Bytes on the wire by verdict.", "verdict", bytes)?;
        let scorings = Basis::ALL.iter().zip(t.scorings.0).map(|(b, n)| (b.name(), n));
        self.counters(
            "credence_scorings_total",
            "Scorings of flows by whose word decided.",
            "basis",
            scorings,
        )
    }

    fn flows(&self, t: &Totals, capacity: u64) -> prometheus::Result<()> {
        self.gauge("credence_flows", "Flows held now.", t.flows_live)?;
        self.gauge("credence_flows_max", "Flows that the tables have room for.", capacity)?;
        self.gauge(
            "credence_flow_memory_bytes",
            "Memory of the flow tables, fixed at the start.",
            t.flow_bytes,
        )?;
        self.counter("credence_flows_created_total", "Flows begun.", t.flows_created)?;
        self.counter("credence_flows_expired_total", "Flows that ended by idleness.", t.flows_expired)?;
        self.counter("credence_flows_evicted_total", "Flows pushed out of a full table.", t.flows_evicted)?;
        let help = "Packets scored without flow state because the table was full.";
        self.counter("credence_flows_refused_packets_total", help, t.flows_refused)?;
        let help = "Flows whose source proved that it receives what is sent to it.";
        self.counter("credence_flows_confirmed_total", help, t.flows_confirmed)
    }

    fn sources(&self, t: &Totals) -> prometheus::Result<()> {
        let help = "Memory of source aggregates and fragments, fixed at the start.";
        self.gauge("credence_source_memory_bytes", help, t.source_bytes)?;
        let help = "Active source prefixes forgotten for want of room.";
        self.counter("credence_sources_displaced_total", help, t.sources_displaced)?;
        let help = "Flow reports not counted towards their source for want of room.";
        self.counter("credence_sources_lost_total", help, t.sources_lost)?;
        let help =
            "Reports of what sources did in a step that a worker was too far behind to take from another.";
        let lost = [("mailbox_full", t.step_reports_lost)];
        self.counters("credence_step_reports_lost_total", help, "reason", lost)?;
        let help = "Datagrams in pieces forgotten early for want of room.";
        self.counter("credence_datagrams_displaced_total", help, t.fragments_displaced)?;
        let help = "Steps of packet time closed, summed over workers.";
        self.counter("credence_steps_total", help, t.steps)
    }

    fn alerts(&self, s: &Scrape<'_>) -> prometheus::Result<()> {
        self.counter("credence_alerts_raised_total", "Alerts raised by workers.", s.totals.alerts)?;
        self.counter("credence_alerts_written_total", "Alert lines written.", s.alerts.written)?;
        let left_out = [
            ("source_quiet", s.alerts.suppressed),
            ("rate", s.alerts.over_rate),
            ("outbox_full", s.totals.alerts_lost),
        ];
        self.counters("credence_alerts_suppressed_total", "Alerts not written.", "reason", left_out)?;
        let help = "Opinions of sources by their score alone, for the kernel to enforce.";
        self.counter("credence_opinions_total", help, s.totals.opinions)?;
        let help = "Opinions of sources that never reached whoever enforces them.";
        let lost = [("outbox_full", s.totals.opinions_lost)];
        self.counters("credence_opinions_lost_total", help, "reason", lost)?;
        let help = "Failures to write alerts or flows.";
        self.counter("credence_output_failures_total", help, s.output_failures)?;
        let help = "Alert lines given up because nothing could be written for too long.";
        self.counter("credence_alert_lines_lost_total", help, s.lines_lost)
    }

    fn credit(&self, cache: &Cache) -> prometheus::Result<()> {
        self.gauge("credence_credit_records", "Records in the credit cache.", cache.len() as u64)?;
        self.gauge("credence_credit_memory_bytes", "Memory of the credit cache.", cache.bytes() as u64)?;
        let help = "Which publication of the credit cache is in use; rises with each.";
        self.gauge("credence_credit_generation", help, u64::from(cache.generation()))?;
        let newest = cache.sources().iter().map(|source| source.created).max().unwrap_or(0);
        let help = "When the newest snapshot in the credit cache was made, Unix time; 0 without one.";
        self.gauge("credence_credit_created_timestamp_seconds", help, newest)?;
        let kept = KeepReason::ALL.map(|reason| (reason.name(), cache.kept(reason)));
        let help = "Records kept and shown but never enforced.";
        self.gauges("credence_credit_records_kept", help, "reason", kept)
    }

    fn enforcement(&self, e: &Enforcement) -> prometheus::Result<()> {
        let by = ["verdict", "reason"];
        let help = "Packets by what the kernel did with them and why; in a dry run or on a tap, what it would have done.";
        let packets = IntCounterVec::new(Opts::new("credence_enforce_packets_total", help), &by)?;
        let help = "Bytes on the wire of these packets.";
        let bytes = IntCounterVec::new(Opts::new("credence_enforce_bytes_total", help), &by)?;
        for did in &e.did {
            packets.with_label_values(&[did.verdict, did.reason]).inc_by(did.packets);
            bytes.with_label_values(&[did.verdict, did.reason]).inc_by(did.bytes);
        }
        self.register(packets)?;
        self.register(bytes)?;
        let help =
            "Always 1; how and by what verdicts are carried out and how the gateway stands are the labels.";
        let info = IntGaugeVec::new(Opts::new("credence_enforce_info", help), &["mode", "stand", "carrier"])?;
        info.with_label_values(&[e.mode, e.stand, e.carrier]).set(1);
        self.register(info)?;
        let conditions = e.conditions.iter().map(|(name, is)| (*name, u64::from(*is)));
        let help = "1 for the state that the kernel was told last.";
        self.gauges("credence_enforce_condition", help, "condition", conditions)?;
        let help = "Whether the program is missing on an interface, which may be gone; verdicts are not carried out there.";
        self.gauge("credence_enforce_off", help, u64::from(e.off))?;
        self.gauge("credence_enforce_records", "Credit records in the kernel.", e.records)?;
        let help = "Records whose subjects' rate is not limited for want of a limiter.";
        self.gauge("credence_enforce_unlimited_records", help, e.unlimited)?;
        let help = "Publications of credit records to the kernel.";
        self.counter("credence_enforce_publications_total", help, e.publications)?;
        let help = "Opinions of sources that the kernel did not take.";
        self.counter("credence_enforce_untold_opinions_total", help, e.untold)?;
        let help =
            "Requests to the kernel's rules that were refused: exchanges of records, opinions, counters.";
        self.counter("credence_enforce_failures_total", help, e.failures)
    }

    fn control(&self, s: &Scrape<'_>) -> prometheus::Result<()> {
        let is_emergency = u64::from(s.emergency_ends_s > 0);
        self.gauge("credence_emergency", "Whether the policy of an emergency is in force.", is_emergency)?;
        let help = "When the emergency ends, Unix time; 0 when there is none.";
        self.gauge("credence_emergency_ends_timestamp_seconds", help, s.emergency_ends_s)?;
        let help = "Whether an update of credit waits for the operator.";
        self.gauge("credence_credit_update_held", help, u64::from(s.update_held))?;
        let help = "Whether the file of exceptions has a mistake, so that what it said before is in force.";
        self.gauge("credence_credit_exceptions_faulty", help, u64::from(s.exceptions_faulty))?;
        let help = "Reloads of which nothing was taken over.";
        self.counter("credence_reload_failures_total", help, s.reload_failures)
    }

    fn readiness(&self, s: &Scrape<'_>) -> prometheus::Result<()> {
        let help = "Whether frames, or the word that there are none, get through to every worker.";
        self.gauge("credence_ready", help, u64::from(s.ready))?;
        let help =
            "Whether the link of a source of frames is up; sources are numbered as queues are, from 0.";
        let up = IntGaugeVec::new(Opts::new("credence_link_up", help), &["source"])?;
        for (number, is_up) in s.links.iter().enumerate() {
            up.with_label_values(&[number.to_string()]).set(i64::from(*is_up));
        }
        self.register(up)
    }

    fn process(&self, s: &Scrape<'_>) -> prometheus::Result<()> {
        self.gauge("credence_workers", "Worker threads.", s.workers as u64)?;
        let help = "When the process started, Unix time.";
        self.gauge("process_start_time_seconds", help, s.started_s)?;
        let cpu = Counter::new("process_cpu_seconds_total", "Processor time in user and kernel mode.")?;
        cpu.inc_by(s.process.cpu.as_secs_f64());
        self.register(cpu)?;
        let help = "Memory of the process that is not elsewhere.";
        self.gauge("process_resident_memory_bytes", help, s.process.resident_bytes)?;
        self.gauge("process_open_fds", "Open files and sockets.", s.process.open_files)?;
        self.gauges("credence_build_info", "Always 1; the version is the label.", "version", [(s.version, 1)])
    }

    fn counter(&self, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(value);
        self.register(counter)
    }

    fn counters<'l>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'l str, u64)>,
    ) -> prometheus::Result<()> {
        let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
        for (value, n) in values {
            counters.with_label_values(&[value]).inc_by(n);
        }
        self.register(counters)
    }

    fn gauge(&self, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        self.register(gauge)
    }

    fn gauges<'l>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'l str, u64)>,
    ) -> prometheus::Result<()> {
        let gauges = IntGaugeVec::new(Opts::new(name, help), &[label])?;
        for (value, n) in values {
            gauges.with_label_values(&[value]).set(i64::try_from(n).unwrap_or(i64::MAX));
        }
        self.register(gauges)
    }

    fn register(&self, metric: impl Collector + 'static) -> prometheus::Result<()> {
        self.0.register(Box::new(metric))
    }
}
