//! A small internet of network namespaces: made, recorded and taken down again, also when something fails.
//!
//! `left` and `right` are hosts, `gate` routes between them; the recorder listens on one of the gate's interfaces:
//!
//! ```text
//!  left l0 ──────── g0 gate g1 ──────── r0 right
//!  2001:db8:1::10   :1::1   :2::1   2001:db8:2::10
//!  192.0.2.10/25    .1      .129    192.0.2.138/25
//! ```

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::actors;
use super::frames::{Recording, read_recording};
use super::kernel::{LEFT, RIGHT};
use crate::{process, sys};

/// What every namespace of this program starts with; the process id follows.
const PREFIX: &str = "credence-lab-";

/// Time limit of one `ip` command.
const IP_LIMIT: Duration = Duration::from_secs(10);

/// A network namespace, deleted with this value.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with its loopback up.
    pub(crate) fn new(role: &str) -> Result<Self> {
        let name = format!("{PREFIX}{}-{role}", std::process::id());
        process::run(Command::new("ip").args(["netns", "add", &name]), IP_LIMIT)?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Runs `ip` inside, with arguments as one would type them.
    pub(crate) fn ip(&self, arguments: &str) -> Result<()> {
        let mut command = Command::new("ip");
        command.args(["-n", &self.name]).args(arguments.split_whitespace());
        process::run(&mut command, IP_LIMIT)
    }

    /// Sets a kernel parameter below `net` inside, its key with slashes.
    pub(crate) fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let (path, value) = (format!("/proc/sys/net/{key}"), value.to_owned());
        self.enter(move || fs::write(&path, value).with_context(|| path.clone()))
    }

    /// Runs `work` on a thread inside this namespace: sockets it opens belong here.
    pub(crate) fn spawn<T, F>(&self, work: F) -> JoinHandle<Result<T>>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T> + Send + 'static,
    {
        let path = format!("/run/netns/{}", self.name);
        thread::spawn(move || {
            let namespace = File::open(&path).with_context(|| path.clone())?;
            sys::enter_namespace(&namespace).context("cannot enter a network namespace")?;
            work()
        })
    }

    /// Runs `work` inside and waits for it.
    pub(crate) fn enter<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T> + Send + 'static,
    {
        join(self.spawn(work))
    }

    /// Gives the namespace an interface's addresses; those of IPv6 are usable at once.
    pub(crate) fn up(&self, interface: &str, addresses: &[&str]) -> Result<()> {
        // One packet a frame, as on a wire, instead of the 64 KiB that a virtual link is content with.
        self.ip(&format!("link set {interface} gso_max_segs 1"))?;
        self.ip(&format!("link set {interface} up"))?;
        for address in addresses {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            self.ip(&format!("address add {address} dev {interface} {nodad}"))?;
        }
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

fn delete(name: &str) {
    let status = Command::new("ip").args(["netns", "delete", name]).status();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!("xtask: cannot delete the network namespace {name}; `ip netns delete {name}` does");
    }
}

/// Waits for a thread of a namespace.
pub(crate) fn join<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread of the lab panicked"))?
}

/// Deletes what an earlier run that was killed left behind.
pub(crate) fn sweep() -> Result<()> {
    let Ok(entries) = fs::read_dir("/run/netns") else { return Ok(()) };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists()) {
            delete(&name);
        }
    }
    Ok(())
}

/// Two hosts and the router between them.
pub(crate) struct Lab {
    pub(crate) left: Namespace,
    pub(crate) gate: Namespace,
    pub(crate) right: Namespace,
}

impl Lab {
    /// Builds the lab as drawn above, and returns once packets pass from end to end.
    pub(crate) fn new() -> Result<Self> {
        let lab = Self::without_addresses()?;
        for (namespace, interface) in
            [(&lab.left, "l0"), (&lab.gate, "g0"), (&lab.gate, "g1"), (&lab.right, "r0")]
        {
            namespace.sysctl(&format!("ipv6/conf/{interface}/accept_dad"), "0")?;
        }
        lab.gate.up("g0", &["2001:db8:1::1/64", "192.0.2.1/25"])?;
        lab.gate.up("g1", &["2001:db8:2::1/64", "192.0.2.129/25"])?;
        lab.left.up("l0", &["2001:db8:1::10/64", "192.0.2.10/25"])?;
        lab.right.up("r0", &["2001:db8:2::10/64", "192.0.2.138/25"])?;
        lab.left.ip("-6 route add default via 2001:db8:1::1")?;
        lab.left.ip("-4 route add default via 192.0.2.1")?;
        lab.right.ip("-6 route add default via 2001:db8:2::1")?;
        lab.right.ip("-4 route add default via 192.0.2.129")?;
        lab.gate.ip("-6 route add 2001:db8:1::/48 via 2001:db8:1::10")?;
        lab.gate.ip("-6 route add 2001:db8:2::/48 via 2001:db8:2::10")?;
        lab.left.enter(|| actors::await_echo(LEFT, RIGHT))?;
        Ok(lab)
    }

    /// Namespaces, cables and kernel parameters alone: no interface is up yet.
    pub(crate) fn without_addresses() -> Result<Self> {
        let (left, gate, right) =
            (Namespace::new("left")?, Namespace::new("gate")?, Namespace::new("right")?);
        for (host, near, far) in [(&left, "l0", "g0"), (&right, "r0", "g1")] {
            let cable = format!("link add {near} type veth peer name {far} netns {}", gate.name);
            host.ip(&cable)?;
        }
        for host in [&left, &right] {
            // Sources anywhere in a prefix that is routed to this host, without an address each.
            host.sysctl("ipv6/ip_nonlocal_bind", "1")?;
            host.sysctl("ipv6/icmp/ratelimit", "0")?;
        }
        gate.sysctl("ipv6/conf/all/forwarding", "1")?;
        gate.sysctl("ipv6/icmp/ratelimit", "0")?;
        gate.sysctl("ipv4/ip_forward", "1")?;
        Ok(Self { left, gate, right })
    }
}

/// A running `tcpdump`.
pub(crate) struct Recorder {
    child: Child,
    messages: BufReader<ChildStderr>,
    file: PathBuf,
}

impl Recorder {
    /// Starts to record `interface` of `namespace` and returns once it listens; `options` are tcpdump's own.
    pub(crate) fn start(namespace: &Namespace, interface: &str, options: &str) -> Result<Self> {
        let file = std::env::temp_dir().join(format!("{}.pcap", namespace.name));
        let mut child = Command::new("ip")
            .args(["netns", "exec", &namespace.name, "tcpdump", "-i", interface, "-w"])
            .arg(&file)
            .args("-U --immediate-mode -B 16384 -Z root --time-stamp-precision=nano".split(' '))
            .args(options.split_whitespace())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start tcpdump")?;
        let messages = child.stderr.take().context("the messages of tcpdump are piped")?;
        let mut recorder = Self { child, messages: BufReader::new(messages), file };
        recorder.wait_until_listening()?;
        Ok(recorder)
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let mut line = String::new();
        while self.messages.read_line(&mut line)? > 0 {
            if line.contains("listening on") {
                return Ok(());
            }
        }
        bail!("tcpdump did not start to listen: {line}")
    }

    /// Ends the recording and returns its frames.
    ///
    /// # Errors
    /// When tcpdump lost frames or wrote nothing.
    pub(crate) fn stop(mut self) -> Result<Recording> {
        process::pause(Duration::from_millis(300))?;
        sys::signal_child(self.child.id(), libc::SIGINT);
        let mut lost = None;
        for line in self.messages.by_ref().lines() {
            if let Some(count) = line?.strip_suffix(" packets dropped by kernel") {
                lost = Some(count.to_owned());
            }
        }
        ensure!(lost.as_deref() == Some("0"), "tcpdump lost frames: {lost:?}");
        ensure!(self.child.wait()?.success(), "tcpdump failed");
        let recording = read_recording(&self.file)?.in_order();
        ensure!(!recording.frames.is_empty(), "tcpdump saw no frame");
        Ok(recording)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            sys::signal_child(self.child.id(), libc::SIGKILL);
            // A recorder that is dropped early belongs to a failure that is already told.
            let _ = self.child.wait();
        }
        let _ = fs::remove_file(&self.file);
    }
}
