//! A network namespace of a test's own.

use std::env;
use std::fs;
use std::process::{self, Command, Stdio};

/// What the kernel calls the capabilities that the tests need, with their numbers (capabilities(7)).
const CAPABILITIES: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13), ("CAP_SYS_ADMIN", 21)];

/// Tells the test, when it runs itself a second time, that it is inside its namespace.
const INSIDE: &str = "CREDENCE_TEST_NAMESPACE";

/// Runs `body` inside a fresh network namespace: the test's own program is started there a second time, for
/// that test alone, and its outcome becomes the test's. `wrapper` is a command to start it under.
///
/// Without the privilege or the program `ip` this fails and says what is missing, unless the variable
/// `CREDENCE_SKIP_PRIVILEGED` is 1.
pub(crate) fn inside(test: &str, wrapper: &[&str], body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return body();
    }
    if let Some(missing) = missing() {
        let skip = env::var_os("CREDENCE_SKIP_PRIVILEGED").is_some_and(|value| value == "1");
        assert!(skip, "{test} needs {missing}; set CREDENCE_SKIP_PRIVILEGED=1 to do without this test");
        println!("{test} is skipped: it needs {missing}");
        return;
    }
    let namespace = Namespace::new(test);
    let program = env::current_exe().unwrap();
    let status = Command::new("ip")
        .args(["netns", "exec", &namespace.name])
        .args(wrapper)
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, &namespace.name)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed inside its network namespace, see above");
}

/// What the tests need and do not have.
fn missing() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let effective = u64::from_str_radix(effective.trim(), 16).unwrap();
    let lacking: Vec<&str> = CAPABILITIES
        .iter()
        .filter(|(_, number)| effective & (1 << number) == 0)
        .map(|(name, _)| *name)
        .collect();
    if !lacking.is_empty() {
        return Some(format!("{} (run it as root)", lacking.join(", ")));
    }
    let ip = Command::new("ip").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    (!ip.is_ok_and(|status| status.success())).then(|| "the program ip of iproute2".to_owned())
}

/// A namespace that is deleted with this value, however the test ends.
struct Namespace {
    name: String,
}

impl Namespace {
    fn new(test: &str) -> Self {
        // The process is one a test under some runners and shared by all tests under others.
        let name = format!("credence-{}-{test}", process::id());
        ip(&["netns", "add", &name]);
        Self { name }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A panic here would hide the one that may be under way.
        drop(Command::new("ip").args(["netns", "del", &self.name]).status());
    }
}

/// Runs `ip` in the namespace of the process, and requires that it succeeds.
pub(crate) fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {told}", arguments.join(" "));
}
