//! A gateway and a client, each in a network namespace of its own, joined by a pair of interfaces.
//!
//! A test that needs them is started again inside: once as the gateway, and once as the client whenever the
//! gateway's part asks for that.

use std::env;
use std::fs;
use std::process::{Child, Command, Stdio, id};
use std::time::Instant;

/// The gateway's interface.
pub(super) const WAN: &str = "wan";
/// The address of the gateway on the link to the client.
pub(super) const GATEWAY: &str = "2001:db8:77::1";
/// The address of the client.
pub(super) const CLIENT: &str = "2001:db8:77::2";

/// Tells the test, when it runs once more, which part is its own.
const ROLE: &str = "CREDENCE_TEST_ROLE";
/// The namespace of the client, for the gateway.
const CLIENT_NAMESPACE: &str = "CREDENCE_TEST_CLIENT";

/// What the kernel calls the capabilities that the tests need, with their numbers (capabilities(7)).
const CAPABILITIES: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13), ("CAP_SYS_ADMIN", 21)];

/// The client, seen from the gateway.
pub(super) struct Client {
    test: &'static str,
    namespace: String,
}

impl Client {
    /// Lets the client play its part to its end.
    pub(super) fn act(&self) {
        let status = again(&self.namespace, self.test, "client").status().expect("the test runs once more");
        assert!(status.success(), "the client of {} failed, see above", self.test);
    }

    /// Lets the client begin its part.
    pub(super) fn begin(&self) -> Playing {
        Playing(again(&self.namespace, self.test, "client").spawn().expect("the test runs once more"))
    }

    /// The client's namespace.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// A client that plays its part until this value is dropped.
pub(super) struct Playing(Child);

impl Drop for Playing {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `gateway` and, when that says so, `client`, each in its namespace. `test` is the test's own name.
///
/// Without the privilege or the program `ip` this fails and says what is missing, unless the variable
/// `CREDENCE_SKIP_PRIVILEGED` is 1.
pub(super) fn between(test: &'static str, gateway: impl FnOnce(&Client), client: impl FnOnce()) {
    match env::var(ROLE).as_deref() {
        Ok("client") => return client(),
        Ok(_) => {
            let namespace = env::var(CLIENT_NAMESPACE).expect("the gateway knows its client");
            return gateway(&Client { test, namespace });
        }
        Err(_) => {}
    }
    if let Some(missing) = missing() {
        let skip = env::var_os("CREDENCE_SKIP_PRIVILEGED").is_some_and(|value| value == "1");
        assert!(skip, "{test} needs {missing}; set CREDENCE_SKIP_PRIVILEGED=1 to do without this test");
        println!("{test} is skipped: it needs {missing}");
        return;
    }
    let pair = Pair::new(test);
    let mut inside = again(&pair.gateway, test, "gateway");
    let status = inside.env(CLIENT_NAMESPACE, &pair.client).status().expect("the test runs once more");
    assert!(status.success(), "{test} failed inside its network namespace, see above");
}

/// The command that runs this very test in a namespace.
fn again(namespace: &str, test: &str, role: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(env::current_exe().expect("a program"));
    command.args(["--exact", test, "--nocapture"]).env(ROLE, role).stdin(Stdio::null());
    command
}

/// What the tests need and do not have.
fn missing() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let effective = u64::from_str_radix(effective.trim(), 16).unwrap();
    let lacking = CAPABILITIES.iter().filter(|(_, number)| effective & (1 << number) == 0);
    let lacking: Vec<&str> = lacking.map(|(name, _)| *name).collect();
    if !lacking.is_empty() {
        return Some(format!("{} (run it as root)", lacking.join(", ")));
    }
    let ip = Command::new("ip").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    (!ip.is_ok_and(|status| status.success())).then(|| "the program ip of iproute2".to_owned())
}

/// Two namespaces that are deleted with this value, however the test ends.
struct Pair {
    gateway: String,
    client: String,
}

impl Pair {
    fn new(test: &str) -> Self {
        // The process is one a test under some runners and shared by all tests under others.
        let story = test.rsplit("::").next().unwrap_or(test);
        let name = |side: &str| format!("credence-{}-{story}-{side}", id());
        let pair = Self { gateway: name("g"), client: name("c") };
        for namespace in [&pair.gateway, &pair.client] {
            ip(&format!("netns add {namespace}"));
            ip(&format!("-n {namespace} link set lo up"));
        }
        let (gateway, client) = (&pair.gateway, &pair.client);
        ip(&format!("-n {gateway} link add {WAN} type veth peer name lan netns {client}"));
        for (namespace, interface, address) in [(gateway, WAN, GATEWAY), (client, "lan", CLIENT)] {
            ip(&format!("-n {namespace} addr add {address}/64 dev {interface} nodad"));
            ip(&format!("-n {namespace} link set {interface} up"));
        }
        pair
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for namespace in [&self.gateway, &self.client] {
            // A panic here would hide the one that may be under way.
            drop(Command::new("ip").args(["netns", "del", namespace]).status());
        }
    }
}

/// This moment.
#[expect(clippy::disallowed_methods, reason = "these tests measure how long a gateway takes")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Runs `ip`, and requires that it succeeds.
pub(super) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {told}");
}
