//! A `credence` that runs while a test talks to it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;

use crate::binary::{Ran, credence};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks at something that is awaited.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A process that is ended with this value.
pub(crate) struct Running {
    child: Child,
    stderr: Arc<Mutex<String>>,
    stdout: Option<JoinHandle<String>>,
    listener: Option<JoinHandle<()>>,
    /// What it writes for the time being. It is killed, and cannot take that away itself.
    _scratch: TempDir,
}

impl Running {
    /// Starts `credence` with these arguments.
    pub(crate) fn start<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(credence());
        command.args(args);
        Self::spawn(&mut command)
    }

    /// Starts a command that ends up as `credence`.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let scratch = TempDir::new().expect("a directory");
        command.env("TMPDIR", scratch.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let (mut out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let stdout = thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).expect("text");
            text
        });
        let stderr = Arc::<Mutex<String>>::default();
        let heard = Arc::clone(&stderr);
        let listener = thread::spawn(move || {
            for line in BufReader::new(err).lines() {
                let line = line.expect("text");
                *heard.lock().unwrap() += &format!("{line}\n");
            }
        });
        Self { child, stderr, stdout: Some(stdout), listener: Some(listener), _scratch: scratch }
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What was said on standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until standard error holds `word`.
    #[track_caller]
    pub(crate) fn hears(&mut self, word: &str) {
        let stderr = Arc::clone(&self.stderr);
        let heard = wait_for(|| stderr.lock().unwrap().contains(word).then_some(()));
        assert!(heard.is_some(), "{word:?} was never said:\n{}", self.stderr());
    }

    /// The address of the metrics page, which is said at the start.
    #[track_caller]
    pub(crate) fn address(&mut self) -> SocketAddr {
        self.hears("/metrics");
        let said = self.stderr();
        let (_, rest) = said.split_once("http://").expect("an address");
        rest.split_once("/metrics").expect("a path").0.parse().expect("an address with a port")
    }

    /// The numbers on the metrics page, by name and labels.
    #[track_caller]
    pub(crate) fn metrics(&mut self) -> BTreeMap<String, u64> {
        numbers(&fetch(self.address(), "/metrics").1)
    }

    /// Waits until the numbers on the metrics page are as `wanted`, and returns them.
    #[track_caller]
    pub(crate) fn metrics_when(
        &mut self,
        wanted: impl Fn(&BTreeMap<String, u64>) -> bool,
    ) -> BTreeMap<String, u64> {
        let address = self.address();
        let found =
            wait_for(|| Some(numbers(&fetch(address, "/metrics").1)).filter(|numbers| wanted(numbers)));
        found.unwrap_or_else(|| panic!("the metrics never became as awaited: {:#?}", self.metrics()))
    }

    /// Sends the signal of that name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }

    /// What came of the run, which must end by itself.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let child = &mut self.child;
        let status = wait_for(|| child.try_wait().expect("a child can be waited for"));
        let Some(status) = status else { panic!("the process did not end:\n{}", self.stderr()) };
        let stdout = self.stdout.take().unwrap().join().expect("standard output is text");
        self.listener.take().unwrap().join().expect("standard error is text");
        Ran { code: status.code().unwrap_or(-1), stdout, stderr: self.stderr() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again, until there is something or patience ends.
pub(crate) fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let looks = PATIENCE.as_millis() / LOOK_AGAIN.as_millis();
    (0..looks).find_map(|_| {
        look().or_else(|| {
            thread::sleep(LOOK_AGAIN);
            None
        })
    })
}

/// Status and body of the page at `path`.
#[track_caller]
pub(crate) fn fetch(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, body) = exchange(address, &format!("GET {path}"), b"");
    // A body of bytes is looked at by its status alone.
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// What is answered to a method and a path with this body: the status and the bytes.
pub(crate) fn exchange(address: SocketAddr, request: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("the page is served");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "{request} HTTP/1.1\r\nHost: gateway\r\n{length}Connection: close\r\n\r\n").unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let ends = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head and a body");
    let head = String::from_utf8_lossy(&answer[..ends]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_off(ends + 4))
}

/// The samples of a metrics page, in whole numbers.
fn numbers(page: &str) -> BTreeMap<String, u64> {
    let samples = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            (name.to_owned(), value as u64)
        })
        .collect()
}

/// The sum of all samples of a metric, whatever their labels.
pub(crate) fn sum(numbers: &BTreeMap<String, u64>, metric: &str) -> u64 {
    let is_of =
        |name: &str| name.strip_prefix(metric).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
    let found: Vec<u64> = numbers.iter().filter(|(name, _)| is_of(name)).map(|(_, value)| *value).collect();
    assert!(!found.is_empty(), "there is no {metric} in {numbers:?}");
    found.iter().sum()
}

/// Whether every frame is accounted for on the metrics page.
pub(crate) fn balances(numbers: &BTreeMap<String, u64>) -> bool {
    let accounted = [
        "credence_scored_packets_total",
        "credence_not_ipv6_packets_total",
        "credence_malformed_packets_total",
        "credence_shed_packets_total",
    ];
    let all: u64 = accounted.iter().map(|metric| sum(numbers, metric)).sum();
    sum(numbers, "credence_received_packets_total") == all
}
