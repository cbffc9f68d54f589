//! `credence doctor`: what this host can do, and for each shortcoming the command that mends it.
//!
//! Facts are gathered in one place (`host`, `interface`) and judged in another (`judge`), which knows no system. A check
//! that cannot be made says so and why. Nothing is changed: what is tried is undone at once, and touches no traffic.
//!
//! With `--format json` the answer is one object: `works` (whether nothing is missing that the configuration needs),
//! `missing`, `could_be_better` and `unknown` (how many findings of each), and `findings`, a list of objects with `name`,
//! `interface` (null for what concerns the host), `state` (`good`, `could_be_better`, `missing`, `unknown`), `needed`,
//! `found` (a sentence) and `cures` (a list of commands, to be run in their order).

mod ethtool;
mod finding;
mod host;
mod interface;
mod judge;
mod link;
mod needs;

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::config::Config;
use crate::exit::{Exit, HostCannot};
use crate::outputs::{Format, json, print};
use crate::tree::Tree;
use finding::{Finding, State, shell_word};
use host::HostFacts;
use interface::InterfaceFacts;
use needs::Needs;

/// Arguments of `credence doctor`.
#[derive(clap::Args)]
pub(crate) struct DoctorArgs {
    /// Look at this interface; may be repeated. By default the configured one, or all that are up
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,

    /// Judge by what this configuration needs, instead of by the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The answer. The names of the members are a contract.
#[derive(Serialize)]
struct Report {
    works: bool,
    missing: usize,
    could_be_better: usize,
    unknown: usize,
    findings: Vec<Finding>,
}

/// Prints what this host can do.
///
/// # Errors
/// [`HostCannot`] when something is missing that the configuration needs; when the configuration is wrong.
pub(crate) fn doctor(args: &DoctorArgs) -> anyhow::Result<Exit> {
    let config = args.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let needs = Needs::of(&config, args.config.as_deref());
    let report = Report::of(findings(&Tree::new("/"), &needs, &args.interface));
    print(|out| match args.format {
        Format::Text => report.write_text(out),
        Format::Json => json(out, &report),
    })?;
    match report.fatal().as_slice() {
        [] => Ok(Exit::Done),
        fatal => Err(HostCannot(format!("missing and needed: {}", fatal.join(", "))).into()),
    }
}

/// Everything that is found of the host and of the interfaces in question.
fn findings(tree: &Tree, needs: &Needs, asked: &[String]) -> Vec<Finding> {
    let program =
        env::current_exe().map_or_else(|_| "credence".to_owned(), |path| path.display().to_string());
    let host = HostFacts::gather(tree);
    let allowed = host.processors.as_ref().map(|processors| processors.allowed.clone()).map_err(Clone::clone);
    let mut findings = judge::host::findings(&host, needs, &shell_word(&program));
    let named = if asked.is_empty() { needs.interfaces.as_slice() } else { asked };
    let names = match named {
        [] => interface::in_use(tree).unwrap_or_else(|why| {
            findings.push(Finding::unknown("interfaces", why).cure("ip link show"));
            Vec::new()
        }),
        named => named.to_vec(),
    };
    let interfaces: Vec<_> = names.iter().map(|name| InterfaceFacts::gather(tree, name)).collect();
    if !named.is_empty() {
        findings.extend(judge::interface::legs(&interfaces));
    }
    findings.extend(interfaces.iter().flat_map(|facts| judge::interface::findings(facts, needs, &allowed)));
    findings
}

impl Report {
    fn of(findings: Vec<Finding>) -> Self {
        let count = |state| findings.iter().filter(|finding| finding.state == state).count();
        Self {
            works: !findings.iter().any(Finding::is_fatal),
            missing: count(State::Missing),
            could_be_better: count(State::CouldBeBetter),
            unknown: count(State::Unknown),
            findings,
        }
    }

    /// What is missing and needed, by name and interface.
    fn fatal(&self) -> Vec<String> {
        let fatal = self.findings.iter().filter(|finding| finding.is_fatal());
        let told = |finding: &Finding| match &finding.interface {
            Some(interface) => format!("{} of {interface}", finding.name),
            None => finding.name.to_owned(),
        };
        fatal.map(told).collect()
    }

    /// Writes the findings for people: the host, then each interface, a line a finding with the commands below it.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut heading = None;
        for finding in &self.findings {
            let interface = finding.interface.as_deref().unwrap_or("this host");
            if heading != Some(interface) {
                let gap = if heading.is_some() { "\n" } else { "" };
                writeln!(out, "{gap}{interface}")?;
                heading = Some(interface);
            }
            writeln!(out, "  {:<15}  {:<22}  {}", finding.state.word(), finding.name, finding.found)?;
            for command in &finding.cures {
                writeln!(out, "{:43}$ {command}", "")?;
            }
        }
        let works = if self.works {
            "nothing that the configuration needs is missing"
        } else {
            "credence cannot run"
        };
        let Self { missing, could_be_better, unknown, .. } = self;
        writeln!(out, "\n{works}; {missing} missing, {could_be_better} could be better, {unknown} unknown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_for_people_is_aligned_with_commands_below() {
        let report = Report::of(vec![
            Finding::good("kernel", "Linux 6.12"),
            Finding::missing("capture privilege", "CAP_NET_RAW is not held").needed(true).cure("setcap x"),
            Finding::could_be_better("receive ring", "256 of at most 4096 entries")
                .cure("ethtool -G eth0 rx 4096")
                .on("eth0"),
            Finding::unknown("RSS hash key", "the driver does not tell its key").on("eth0"),
        ]);
        let mut text = Vec::new();
        report.write_text(&mut text).unwrap();
        insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r"
        this host
          good             kernel                  Linux 6.12
          MISSING          capture privilege       CAP_NET_RAW is not held
                                                   $ setcap x

        eth0
          could be better  receive ring            256 of at most 4096 entries
                                                   $ ethtool -G eth0 rx 4096
          unknown          RSS hash key            the driver does not tell its key

        credence cannot run; 1 missing, 1 could be better, 1 unknown
        ");
        assert_eq!(report.fatal(), ["capture privilege"]);
    }

    #[test]
    fn what_is_missing_and_not_needed_stops_nothing() {
        let report = Report::of(vec![Finding::missing("XDP program", "none")]);
        assert!(report.works && report.missing == 1 && report.fatal().is_empty());
    }
}
