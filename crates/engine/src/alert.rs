//! Alerts as JSON lines in the shape of Suricata's EVE, so that existing pipelines read them. `deploy/alert.schema.json`
//! is the schema.
//!
//! They are outputs for the operator: full source address, unless anonymised. A source that keeps offending gets one line
//! a minute for each verdict, one more when it is first confirmed, with the number of those left out; in all there are at most so many lines a second. What is
//! left out is counted, so that lines and suppressed ones add up to the alerts raised.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::net::Ipv6Addr;
use std::sync::Arc;

use credence_credit::{Anonymiser, Cache, Record};
use credence_flow::{FlowKey, Level};
use credence_score::{RULES, Term, Verdict};
use dashmap::DashMap;
use jiff::Timestamp;
use serde::Serialize;

use crate::config::Lists;
use crate::counters::Counter;
use crate::event::{Dropped, Event};

/// How long a source is quiet after an alert of the same verdict, in nanoseconds of packet time.
const QUIET_NS: u64 = 60_000_000_000;
/// Sources remembered at most; beyond, alerts are limited by rate alone.
const SOURCES_MAX: usize = 1 << 16;
/// ICMPv6.
const ICMPV6: u8 = 58;

/// What is known of a source that raised alerts, for suppression and for operators to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offender {
    /// Time of its last written alert, Unix nanoseconds.
    pub written_ns: u64,
    /// The hardest verdict since it was first seen.
    pub verdict: Verdict,
    /// Score of its last alert.
    pub score: u16,
    /// Alerts raised.
    pub alerts: u64,
    /// Alerts not written since the last written one.
    pub suppressed: u64,
    /// Whether a line of its quiet minute tells of a source that proved that it receives.
    pub confirmed: bool,
}

/// The sources that raised alerts, by /64. Shared with whoever shows them.
pub type Offenders = Arc<DashMap<u128, Offender>>;

/// Writes alerts.
pub struct AlertWriter<W: Write> {
    out: W,
    offenders: Offenders,
    lists: Arc<Lists>,
    anonymiser: Option<Anonymiser>,
    /// Whether verdicts are carried out.
    enforced: bool,
    lines_per_s_max: u64,
    second: u64,
    lines_in_second: u64,
    /// The second in which quiet sources were last forgotten.
    swept_second: u64,
    tally: Arc<AlertTally>,
}

/// What became of alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AlertCounts {
    /// Lines written.
    pub written: u64,
    /// Alerts left out because their source had one of the same verdict within the minute.
    pub suppressed: u64,
    /// Alerts left out because there were too many lines in the second.
    pub over_rate: u64,
}

/// The counters of an alert writer, which alone adds to them.
#[derive(Debug, Default)]
pub struct AlertTally {
    written: Counter,
    suppressed: Counter,
    over_rate: Counter,
}

impl AlertTally {
    /// What became of alerts so far.
    pub fn counts(&self) -> AlertCounts {
        AlertCounts {
            written: self.written.value(),
            suppressed: self.suppressed.value(),
            over_rate: self.over_rate.value(),
        }
    }
}

impl<W: Write> AlertWriter<W> {
    /// A writer onto `out` of at most `lines_per_s_max` lines in a second of packet time.
    pub fn new(out: W, lists: Arc<Lists>, anonymiser: Option<Anonymiser>, lines_per_s_max: u64) -> Self {
        Self {
            out,
            offenders: Offenders::default(),
            lists,
            anonymiser,
            enforced: false,
            lines_per_s_max,
            second: 0,
            lines_in_second: 0,
            swept_second: 0,
            tally: Arc::default(),
        }
    }

    /// The same where verdicts are carried out, or are not.
    pub fn enforcing(self, enforced: bool) -> Self {
        Self { enforced, ..self }
    }

    /// The sources that raised alerts.
    pub fn offenders(&self) -> Offenders {
        Arc::clone(&self.offenders)
    }

    /// What becomes of alerts, for whoever wants to read it while they are written.
    pub fn tally(&self) -> Arc<AlertTally> {
        Arc::clone(&self.tally)
    }

    /// Writes an alert, or counts why not. `cache` is the one that the event's credit is from.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn write(&mut self, event: &Event, cache: &Cache) -> io::Result<()> {
        let Some(suppressed) = self.admit(event) else { return Ok(()) };
        let line = self.line(event, cache, suppressed);
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }

    /// Writes that a packet did not pass, or counts why not.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn write_drop(&mut self, dropped: &Dropped) -> io::Result<()> {
        if !self.has_room(dropped.ts_ns) {
            return Ok(());
        }
        let shown = |addr| self.anonymiser.as_ref().map_or(addr, |a| a.address(addr));
        let (source, destination) = (shown(dropped.source), shown(dropped.destination));
        let line = DropLine {
            timestamp: timestamp(dropped.ts_ns),
            event_type: "drop",
            src_ip: Ipv6Addr::from(source),
            dest_ip: Ipv6Addr::from(destination),
            proto: protocol(dropped.protocol),
            ip_v: 6,
            direction: self.lists.direction(dropped.source, dropped.destination).name(),
            drop: Drop { len: dropped.bytes, reason: dropped.reason },
            credence: Sampled {
                verdict: dropped.verdict.name(),
                enforced: self.enforced,
                sample: dropped.sample,
            },
        };
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }

    /// Sends what is buffered on its way.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Whether to write the alert: the number of those of its source left out before it.
    fn admit(&mut self, event: &Event) -> Option<u64> {
        let source = Level::Subnet.prefix(event.key.src);
        let (verdict, score) = (event.assessment.verdict, event.assessment.score.value());
        let mut known = self.offenders.get_mut(&source);
        if let Some(offender) = known.as_deref_mut() {
            offender.alerts += 1;
            offender.score = score;
            let quiet = event.ts_ns < offender.written_ns.saturating_add(QUIET_NS);
            // What can be forged does not keep quiet what cannot: only the latter may be told to others.
            let is_known = verdict <= offender.verdict && event.confirmed <= offender.confirmed;
            if quiet && is_known {
                offender.suppressed += 1;
                self.tally.suppressed.add(1);
                return None;
            }
        }
        drop(known);
        if !self.has_room(event.ts_ns) {
            return None;
        }
        let mut known = self.offenders.get_mut(&source);
        let mut before = 0;
        match known.as_deref_mut() {
            Some(offender) => {
                before = std::mem::take(&mut offender.suppressed);
                let quiet = event.ts_ns < offender.written_ns.saturating_add(QUIET_NS);
                offender.confirmed = event.confirmed || quiet && offender.confirmed;
                offender.written_ns = event.ts_ns;
                offender.verdict = verdict.max(offender.verdict);
            }
            None => {
                drop(known);
                let confirmed = event.confirmed;
                let offender =
                    Offender { written_ns: event.ts_ns, verdict, score, alerts: 1, suppressed: 0, confirmed };
                self.remember(source, offender);
            }
        }
        Some(before)
    }

    /// Whether a line of this time (Unix nanoseconds) is written; counted either way.
    fn has_room(&mut self, ts_ns: u64) -> bool {
        let second = ts_ns / 1_000_000_000;
        if second != self.second {
            (self.second, self.lines_in_second) = (second, 0);
        }
        let has_room = self.lines_in_second < self.lines_per_s_max;
        if has_room {
            self.lines_in_second += 1;
            self.tally.written.add(1);
        } else {
            self.tally.over_rate.add(1);
        }
        has_room
    }

    /// Remembers a source. When there are too many, those that are quiet make room, at most once a second: a flood of
    /// sources must not make each alert cost a walk over all.
    fn remember(&mut self, source: u128, offender: Offender) {
        if self.offenders.len() >= SOURCES_MAX && self.swept_second != self.second {
            self.swept_second = self.second;
            self.offenders.retain(|_, old| old.written_ns.saturating_add(QUIET_NS) > offender.written_ns);
        }
        if self.offenders.len() < SOURCES_MAX {
            self.offenders.insert(source, offender);
        }
    }

    fn line(&self, event: &Event, cache: &Cache, suppressed: u64) -> Line {
        let shown = |addr| self.anonymiser.as_ref().map_or(addr, |a| a.address(addr));
        let assessment = &event.assessment;
        // Everything below is made of what may be shown: the flow's number, too, would betray a guessed address.
        let key = FlowKey { src: shown(event.key.src), dst: shown(event.key.dst), ..event.key };
        let icmp = key.proto == ICMPV6;
        Line {
            timestamp: timestamp(event.ts_ns),
            flow_id: flow_id(&key),
            event_type: "alert",
            src_ip: Ipv6Addr::from(key.src),
            src_port: (!icmp).then_some(key.sport),
            dest_ip: Ipv6Addr::from(key.dst),
            dest_port: (!icmp).then_some(key.dport),
            proto: protocol(key.proto),
            ip_v: 6,
            icmp_type: icmp.then_some(key.sport),
            icmp_code: icmp.then_some(key.dport),
            direction: self.lists.direction(event.key.src, event.key.dst).name(),
            alert: Signature {
                action: "allowed",
                gid: 1,
                signature_id: 1 + assessment.basis as u32,
                rev: 1,
                signature: signature(assessment.basis),
                category: assessment.verdict.name(),
                severity: severity(assessment.verdict),
            },
            credence: Reasoning {
                score: assessment.score.value(),
                verdict: assessment.verdict.name(),
                basis: assessment.basis.name(),
                rules: RULES,
                terms: assessment.terms.as_slice().iter().map(TermLine::of).collect(),
                confirmed: event.confirmed,
                anomalies: event.anomalies.iter().map(credence_wire::Anomaly::name).collect(),
                credit: event.credit.as_ref().map(|record| self.credit_line(record, cache)),
                enforced: self.enforced && assessment.verdict >= Verdict::Mark,
                suppressed,
                frame: event.frame,
            },
        }
    }

    /// The record that the verdict rests on. With anonymised addresses a prefix would give the source away.
    fn credit_line(&self, record: &Record, cache: &Cache) -> CreditLine {
        CreditLine {
            prefix: self.anonymiser.is_none().then(|| record.prefix.to_string()),
            score: record.rating.score().map(credence_credit::Score::value),
            status: record.rating.status().map(credence_credit::Status::name),
            measure: record.measure.name(),
            authority: record.authority.name(),
            evidence: record.evidence.name(),
            reasons: record.reasons.iter().map(credence_credit::Reason::name).collect(),
            issuer: cache.issuer(record.issuer).name().to_owned(),
            expires: record.expires,
        }
    }
}

/// ISO 8601 with microseconds and offset, as EVE has it.
fn timestamp(ts_ns: u64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(ts_ns)).unwrap_or(Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%S.%6f+0000").to_string()
}

/// A number for the flow, the same in every alert about it and in every run; 53 bits, so that JSON readers keep it whole.
fn flow_id(key: &FlowKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() >> 11
}

fn protocol(proto: u8) -> String {
    let known = match proto {
        6 => "TCP",
        17 => "UDP",
        33 => "DCCP",
        47 => "GRE",
        50 => "ESP",
        ICMPV6 => "IPv6-ICMP",
        132 => "SCTP",
        136 => "UDPLite",
        _ => return proto.to_string(),
    };
    known.to_owned()
}

const fn signature(basis: credence_score::Basis) -> &'static str {
    use credence_score::Basis as B;
    match basis {
        B::NeverBlock => "CREDENCE source on the never-block list",
        B::OperatorAllow => "CREDENCE source on the operator's allow list",
        B::OperatorDeny => "CREDENCE source on the operator's deny list",
        B::Restriction => "CREDENCE source under a restriction by all members",
        B::Decision => "CREDENCE source under a decision of the coordinating body",
        B::OwnAlert => "CREDENCE source under an alert by its holder",
        B::LocalScore => "CREDENCE flow scored low",
    }
}

/// EVE counts from 1, the most severe.
const fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Drop => 1,
        Verdict::RateLimit => 2,
        _ => 3,
    }
}

#[derive(Serialize)]
struct Line {
    timestamp: String,
    flow_id: u64,
    event_type: &'static str,
    src_ip: Ipv6Addr,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_port: Option<u16>,
    dest_ip: Ipv6Addr,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_port: Option<u16>,
    proto: String,
    ip_v: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_type: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_code: Option<u16>,
    direction: &'static str,
    alert: Signature,
    credence: Reasoning,
}

/// A packet that did not pass, in the shape of EVE's event `drop`.
#[derive(Serialize)]
struct DropLine {
    timestamp: String,
    event_type: &'static str,
    src_ip: Ipv6Addr,
    dest_ip: Ipv6Addr,
    proto: String,
    ip_v: u8,
    direction: &'static str,
    drop: Drop,
    credence: Sampled,
}

#[derive(Serialize)]
struct Drop {
    len: u32,
    reason: &'static str,
}

#[derive(Serialize)]
struct Sampled {
    verdict: &'static str,
    enforced: bool,
    sample: u32,
}

#[derive(Serialize)]
struct Signature {
    action: &'static str,
    gid: u32,
    signature_id: u32,
    rev: u32,
    signature: &'static str,
    category: &'static str,
    severity: u8,
}

#[derive(Serialize)]
struct Reasoning {
    score: u16,
    verdict: &'static str,
    basis: &'static str,
    rules: &'static str,
    terms: Vec<TermLine>,
    confirmed: bool,
    anomalies: Vec<&'static str>,
    credit: Option<CreditLine>,
    enforced: bool,
    suppressed: u64,
    frame: u64,
}

/// A term of a score as outputs show it.
#[derive(Clone, Debug, Serialize)]
pub struct TermLine {
    /// Name of the rule.
    pub rule: &'static str,
    /// Points, negative for a loss.
    pub points: i32,
    /// What was measured.
    pub measured: u64,
    /// Length of the source prefix that was measured, for what a source does across flows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_len: Option<u8>,
}

impl TermLine {
    /// The output form of a term.
    pub fn of(term: &Term) -> Self {
        Self {
            rule: term.rule.name(),
            points: term.points,
            measured: term.measured,
            prefix_len: term.level.map(Level::prefix_len),
        }
    }
}

#[derive(Serialize)]
struct CreditLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    score: Option<u16>,
    status: Option<&'static str>,
    measure: &'static str,
    authority: &'static str,
    evidence: &'static str,
    reasons: Vec<&'static str>,
    issuer: String,
    expires: u64,
}

#[cfg(test)]
#[path = "alert_tests.rs"]
mod tests;
