//! Mistakes in a configuration, told so that they can be mended without a manual.

use std::fmt;

use indicatif::{DecimalBytes, HumanCount};

use super::spelling::meant;
use super::{Backend, CarriedBy, Config, FlowTimeouts};

/// More threads than any host has cores; a larger number is a slip.
const WORKERS_MAX: u32 = 1024;

/// The most members of a fan-out group of packet sockets.
const QUEUES_MAX: u32 = 256;

/// Below this even a household's gateway would push flows out all the time.
const CAPACITY_MIN: u32 = 1 << 10;

/// 34 GB; what needs more needs more gateways.
const CAPACITY_MAX: u32 = 1 << 28;

/// Memory of a flow at most, in bytes: its two halves, its share of the index, and its bit among the flows
/// touched.
pub(crate) const FLOW_BYTES: u64 = 128;

/// A day. Longer silences would keep flows whose ends have long rebooted.
const TIMEOUT_S_MAX: u32 = 86_400;

/// More lines than a disk log should take; who wants all alerts of a flood replays a capture.
const LINES_PER_SECOND_MAX: u32 = 100_000;

/// The longest name of an interface: the kernel's `IFNAMSIZ` without the zero at its end.
const INTERFACE_LEN_MAX: usize = 15;

/// Everything that is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistakes {
    file: String,
    texts: Vec<String>,
}

impl Mistakes {
    /// Mistakes of the file called `file`, at least one.
    pub(super) fn new(file: String, texts: Vec<String>) -> Self {
        Self { file, texts }
    }

    /// One sentence a mistake, without the name of the file.
    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.texts.as_slice() {
            [only] => write!(f, "{}: {only}", self.file),
            many => {
                write!(f, "{} has {} mistakes:", self.file, many.len())?;
                many.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
            }
        }
    }
}

impl std::error::Error for Mistakes {}

/// A key and, where it was typed, its line.
pub(super) struct Place<'k> {
    pub(super) key: &'k str,
    pub(super) line: Option<usize>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.key)?;
        self.line.map_or(Ok(()), |line| write!(f, " at line {line}"))
    }
}

/// The sentence for a text that is no TOML.
pub(super) fn syntax(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(text.len(), |span| span.start).min(text.len());
    let before = &text.as_bytes()[..at];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
    format!("is no TOML at line {line}, column {column}: {}", error.message().replace('\n', ", "))
}

/// The sentence for what serde says of the key with the path `place` on `line`.
pub(super) fn wording(message: &str, place: Option<&str>, line: usize) -> String {
    let Some(path) = place else { return format!("line {line}: {message}") };
    let place = Place { key: path, line: Some(line) };
    let mut quoted = message.split('`').skip(1).step_by(2);
    let typed = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    if message.starts_with("unknown field") {
        let section = path.rfind('.').map_or("", |dot| &path[..=dot]);
        return match meant(typed, &known) {
            Some(key) => format!("unknown key {place}: did you mean `{section}{key}`?"),
            None => format!("unknown key {place}: the keys here are {}", known.join(", ")),
        };
    }
    if message.starts_with("unknown variant") {
        return match meant(typed, &known) {
            Some(word) => format!("{place} is \"{typed}\": did you mean \"{word}\"?"),
            None => format!("{place} is \"{typed}\", and must be one of {}", known.join(", ")),
        };
    }
    let invalid = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((found, expected)) = invalid.and_then(|rest| rest.split_once(", expected ")) {
        return format!("{place} is {found}, and must be {}", plain(expected));
    }
    if message.contains("socket address") {
        return format!(
            "{place} is no address with a port; write it like \"127.0.0.1:9469\" or \"[::1]:9469\""
        );
    }
    format!("{place}: {message}")
}

/// What serde expected, in words that do not name Rust's types.
fn plain(expected: &str) -> String {
    let up_to = |most: u64| format!("a whole number from 0 to {}", HumanCount(most));
    match expected {
        "u16" => up_to(u16::MAX.into()),
        "u32" => up_to(u32::MAX.into()),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list in brackets".to_owned(),
        "path string" => "a path in quotes".to_owned(),
        "socket address" => "an address with a port, like \"127.0.0.1:9469\"".to_owned(),
        other if other.starts_with("struct ") => "a section".to_owned(),
        other => other.to_owned(),
    }
}

impl Config {
    /// What no type can refuse: keys out of bounds or at odds with each other, each with what is wrong.
    /// `cores` is the number of cores that this process may use.
    pub(super) fn unsound(&self, cores: usize) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if let Some(name) = &self.interface
            && (name.is_empty() || name.len() > INTERFACE_LEN_MAX || name.contains(['/', ' ', '\t', '\n']))
        {
            let fault = format!("is {name:?}, which no interface is called; `ip link` lists those there are");
            faults.push(("interface", fault));
        }
        faults.extend(self.unsound_backend().map(|fault| ("backend", fault)));
        self.enforce.unsound(self.interface.as_deref(), &mut faults);
        if self.enforce.is_on() && self.enforce.carrier == CarriedBy::Nftables {
            faults.extend(self.beyond_nftables());
        }
        self.emergency.unsound(self.policy, &mut faults);
        self.sandbox.unsound(&mut faults);
        if self.workers > WORKERS_MAX {
            let fault = format!("is {}, and must be at most {WORKERS_MAX}; 0 takes one a core", self.workers);
            faults.push(("workers", fault));
        }
        faults.extend(self.unsound_queues(cores).map(|fault| ("queues", fault)));
        faults.extend(self.unsound_capacity().map(|fault| ("flows.capacity", fault)));
        faults.extend(self.flows.timeouts.unsound());
        if let Err(error) = self.policy.validate() {
            faults.push(("policy", format!("does not hold together: {error}")));
        }
        if !(1..=LINES_PER_SECOND_MAX).contains(&self.alerts.lines_per_second) {
            let (lines, most) = (self.alerts.lines_per_second, HumanCount(LINES_PER_SECOND_MAX.into()));
            let fault =
                format!("is {lines}, and must be from 1 to {most}; leave `alerts.path` out to write none");
            faults.push(("alerts.lines_per_second", fault));
        }
        if !self.metrics.listen.ip().is_loopback() && !self.metrics.allow_remote {
            let cure = "listen on 127.0.0.1 or [::1], or set `metrics.allow_remote = true`";
            let fault =
                format!("is {}, which other hosts can reach without a password; {cure}", self.metrics.listen);
            faults.push(("metrics.listen", fault));
        }
        faults
    }

    /// What `AF_XDP` takes reaches nobody else on this host.
    fn unsound_backend(&self) -> Option<String> {
        (self.backend == Backend::AfXdp && self.enforce.is_on()).then(|| {
            "is \"af_xdp\" while `enforce.mode` is not \"off\"; frames that it takes go no further, so that there is nothing \
             to enforce on, and an interface has room for one XDP program: take \"af_packet\", or leave `enforce` off"
                .to_owned()
        })
    }

    fn unsound_queues(&self, cores: usize) -> Option<String> {
        let (queues, workers) = (self.queues.0, self.worker_count(cores));
        if !(1..=QUEUES_MAX).contains(&queues) {
            return Some(format!("is {queues}, and must be from 1 to {QUEUES_MAX}"));
        }
        (queues != 1 && queues as usize != workers).then(|| {
            format!(
                "is {queues} while there are {workers} workers; it must be 1 or as many as there are workers"
            )
        })
    }

    fn unsound_capacity(&self) -> Option<String> {
        let capacity = self.flows.capacity;
        let told = |flows: u32| {
            let memory = DecimalBytes(u64::from(flows) * FLOW_BYTES);
            format!("{} ({memory})", HumanCount(flows.into()))
        };
        (!(CAPACITY_MIN..=CAPACITY_MAX).contains(&capacity)).then(|| {
            let (least, most) = (told(CAPACITY_MIN), told(CAPACITY_MAX));
            let typed = told(capacity);
            format!("is {typed} at {FLOW_BYTES} bytes a flow, and must be from {least} to {most}")
        })
    }
}

impl FlowTimeouts {
    fn unsound(&self) -> impl Iterator<Item = (&'static str, String)> {
        let typed = [
            ("flows.timeouts.established_s", self.established_s),
            ("flows.timeouts.closed_s", self.closed_s),
            ("flows.timeouts.paired_s", self.paired_s),
            ("flows.timeouts.unanswered_s", self.unanswered_s),
        ];
        let outside = typed.into_iter().filter(|(_, seconds)| !(1..=TIMEOUT_S_MAX).contains(seconds));
        outside.map(|(key, seconds)| {
            (key, format!("is {seconds}, and must be from 1 to {TIMEOUT_S_MAX} seconds"))
        })
    }
}
