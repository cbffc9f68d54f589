//! The programs that are compared, how each is told to do its job, and which package brings it.

use std::ffi::OsString;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::files;

/// What a program is asked to do with each packet. Only programs with the same job stand beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Look sources up in a list of prefixes and alert on the bad ones.
    Reputation,
    /// Write a record of each flow.
    Flows,
}

impl Job {
    pub(super) const ALL: [Self; 2] = [Self::Reputation, Self::Flows];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Reputation => "reputation",
            Self::Flows => "flows",
        }
    }

    /// The row that the others of this job are divided by.
    pub(super) const fn ours(self) -> &'static str {
        match self {
            Self::Reputation => "credence",
            Self::Flows => "credence --flows",
        }
    }
}

/// A program with its settings: a row of the table.
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) job: Job,
    program: Program,
    prepare: fn(&Ground, &Path) -> Result<()>,
    arguments: fn(&Ground, &Path) -> Vec<OsString>,
}

/// Where a program comes from.
enum Program {
    /// This workspace.
    Ours,
    /// The system: the program, and how to come by it.
    System(&'static str, &'static str),
}

/// What a run finds: inputs, a directory for outputs, and a place to send to.
pub(super) struct Ground {
    pub(super) credence: PathBuf,
    /// The directory of [`files`].
    pub(super) inputs: PathBuf,
    /// A directory for what programs write.
    pub(super) outputs: PathBuf,
    /// Takes datagrams, which nobody reads: a full buffer costs their sender as much as an empty one.
    pub(super) collector: UdpSocket,
}

/// Every row, credence first within its job.
pub(super) const CONTENDERS: &[Contender] = &[
    Contender {
        name: "credence",
        job: Job::Reputation,
        program: Program::Ours,
        prepare: nothing,
        arguments: |ground, capture| replay(ground, capture, &[]),
    },
    Contender {
        name: "credence, 2 workers",
        job: Job::Reputation,
        program: Program::Ours,
        prepare: nothing,
        arguments: |ground, capture| replay(ground, capture, &["--workers", "2"]),
    },
    Contender {
        name: "Suricata, reputation",
        job: Job::Reputation,
        program: SURICATA,
        prepare: configure_suricata,
        arguments: |ground, capture| suricata(ground, capture, "reputation.rules"),
    },
    Contender {
        name: "Suricata, no rule",
        job: Job::Reputation,
        program: SURICATA,
        prepare: configure_suricata,
        arguments: |ground, capture| suricata(ground, capture, "no.rules"),
    },
    Contender {
        name: "credence --flows",
        job: Job::Flows,
        program: Program::Ours,
        prepare: nothing,
        arguments: |ground, capture| {
            replay(ground, capture, &["--flows", &ground.output("flows.tsv").to_string_lossy()])
        },
    },
    Contender {
        name: "yaf",
        job: Job::Flows,
        program: Program::System("yaf", "no package of Debian; built from the sources of CERT NetSA"),
        prepare: nothing,
        arguments: |ground, capture| {
            words(&["--in", &text(capture), "--out", &text(&ground.output("yaf.ipfix"))])
        },
    },
    Contender {
        name: "nfpcapd",
        job: Job::Flows,
        program: Program::System("nfpcapd", "apt-get install nfdump"),
        prepare: |ground, _| Ok(fs::create_dir_all(ground.output("nfpcapd"))?),
        arguments: |ground, capture| {
            // Room for every flow of the largest capture; the table is not grown otherwise.
            words(&["-r", &text(capture), "-w", &text(&ground.output("nfpcapd")), "-B", "2097152"])
        },
    },
    Contender {
        name: "softflowd",
        job: Job::Flows,
        program: Program::System("softflowd", "apt-get install softflowd"),
        prepare: |ground, capture| Ok(symlink(capture, ground.output(SHORT))?),
        arguments: |ground, _| softflowd(ground),
    },
];

const SURICATA: Program = Program::System(
    "suricata",
    "apt-get install suricata; on Debian 12 from backports: apt-get install -t bookworm-backports suricata",
);

impl Contender {
    /// Whether the program is there: on this host, or built from here.
    pub(super) fn is_there(&self) -> bool {
        match self.program {
            Program::Ours => true,
            Program::System(program, _) => found(program),
        }
    }

    /// Whether it is credence: without it there is nothing to compare with.
    pub(super) const fn is_ours(&self) -> bool {
        matches!(self.program, Program::Ours)
    }

    /// How to come by the program.
    pub(super) const fn cure(&self) -> &'static str {
        match self.program {
            Program::Ours => "cargo build --release",
            Program::System(_, cure) => cure,
        }
    }

    /// The command that reads `capture`.
    ///
    /// # Errors
    /// When a configuration cannot be written.
    pub(super) fn command(&self, ground: &Ground, capture: &Path) -> Result<Command> {
        (self.prepare)(ground, capture)?;
        let mut command = match self.program {
            Program::Ours => Command::new(&ground.credence),
            Program::System(program, _) => Command::new(program),
        };
        command.args((self.arguments)(ground, capture)).current_dir(&ground.outputs);
        Ok(command)
    }
}

impl Ground {
    fn output(&self, name: &str) -> PathBuf {
        self.outputs.join(name)
    }

    fn input(&self, name: &str) -> PathBuf {
        self.inputs.join(name)
    }
}

/// Whether a program is on the path. Asking it for its version would run it, and not all have such a question.
fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

#[expect(clippy::unnecessary_wraps, reason = "stands where others write files")]
const fn nothing(_: &Ground, _: &Path) -> Result<()> {
    Ok(())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// Alerts are written whatever the job, and every source is looked up: credence has no cheaper way to go.
fn replay(ground: &Ground, capture: &Path, more: &[&str]) -> Vec<OsString> {
    let (alerts, credit) = (text(&ground.output("alerts.jsonl")), text(&ground.input(files::SNAPSHOT)));
    let capture = text(capture);
    let mut all = words(&["replay", &capture, "--format", "json", "--alerts", &alerts, "--credit", &credit]);
    all.extend(words(&["--flows-capacity", "2097152"]));
    all.extend(words(more));
    all
}

/// One thread for packets, as credence has; its threads for housekeeping come on top.
fn suricata(ground: &Ground, capture: &Path, rules: &str) -> Vec<OsString> {
    let (config, rules) = (text(&ground.output("suricata.yaml")), text(&ground.output(rules)));
    let (capture, log) = (text(capture), text(&ground.outputs));
    words(&["-c", &config, "-r", &capture, "-S", &rules, "-l", &log, "--runmode", "single"])
}

/// What a user would set for a million flows and no more: room for them, the list, and alerts as JSON lines.
fn configure_suricata(ground: &Ground, _: &Path) -> Result<()> {
    let config = format!(
        "%YAML 1.1\n---\n\
         vars:\n  address-groups:\n    HOME_NET: \"[2001:db8::/32]\"\n    EXTERNAL_NET: any\n\
         logging:\n  default-log-level: warning\n  outputs:\n  - console:\n      enabled: yes\n\
         outputs:\n- eve-log:\n    enabled: yes\n    filetype: regular\n    filename: suricata-alerts.jsonl\n    types: [alert]\n\
         stats:\n  enabled: no\n\
         flow:\n  memcap: 4gb\n  hash-size: 1048576\n  prealloc: 10000\n\
         host:\n  memcap: 1gb\n  hash-size: 65536\n\
         stream:\n  memcap: 1gb\n\
         reputation-categories-file: {}\n\
         default-reputation-path: {}\n\
         reputation-files:\n- {}\n",
        ground.output("categories.txt").display(),
        ground.inputs.display(),
        files::REPUTATION
    );
    fs::write(ground.output("suricata.yaml"), config)?;
    fs::write(ground.output("categories.txt"), "1,Listed,listed prefixes\n")?;
    let rule = "alert ip any any -> any any (msg:\"bad source\"; iprep:src,Listed,>,50; sid:1; rev:1;)\n";
    fs::write(ground.output("reputation.rules"), rule)?;
    Ok(fs::write(ground.output("no.rules"), "")?)
}

/// A name for the capture that softflowd 1.1 bears: a path of more than some 16 letters runs into its other settings, and
/// it waits forever.
const SHORT: &str = "in.pcap";

/// IPFIX to a socket of this host that nobody reads, with room for every flow.
fn softflowd(ground: &Ground) -> Vec<OsString> {
    let collector = ground.collector.local_addr().map(|addr| addr.to_string()).unwrap_or_default();
    let mut all = words(&["-r", SHORT, "-n", &collector, "-v", "10", "-6", "-m", "2097152", "-d"]);
    all.extend(words(&["-p", "pid", "-c", "ctl"]));
    all
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn every_job_has_its_own_row_to_compare_with() {
        for job in Job::ALL {
            let first = CONTENDERS.iter().find(|contender| contender.job == job).unwrap();
            assert_eq!(first.name, job.ours());
            assert!(first.is_there());
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert!(found("sh"));
        assert!(!found("no-such-program"));
    }

    #[test]
    fn every_command_names_its_capture() {
        let directory = tempfile::tempdir().unwrap();
        let ground = Ground {
            credence: "credence".into(),
            inputs: directory.path().into(),
            outputs: directory.path().into(),
            collector: UdpSocket::bind("127.0.0.1:0").unwrap(),
        };
        for contender in CONTENDERS {
            let capture = Path::new("/captures/one.pcap");
            let command = contender.command(&ground, capture).unwrap();
            let is_capture = |word: &OsStr| {
                word == capture
                    || fs::read_link(directory.path().join(word)).is_ok_and(|link| link == capture)
            };
            assert!(command.get_args().any(is_capture), "{}", contender.name);
        }
    }
}
