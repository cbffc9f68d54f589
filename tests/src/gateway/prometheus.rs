//! A real Prometheus that scrapes a real gateway under load, and an alert platform: every panel and every rule finds data.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use credence_credit::{Measure, Score};
use credence_platform::example::{CAMPUS, VISITORS};
use credence_prefix::Prefix;
use serde_json::Value;
use tempfile::TempDir;

use super::fed::Alliance;
use super::following::{Publisher, drop_list};
use super::live::Site;
use super::network::{CLIENT, Client, GATEWAY, between, ip, now};
use super::page::is_sound;
use super::running::{Running, fetch, sum, wait_for};
use crate::deploy::dashboards::{Expression, OF_GATEWAYS, OF_PLATFORMS, expressions};
use crate::deploy::programs::{PROMETHEUS, PROMTOOL};
use crate::deploy::text;
use crate::outbox::World;

/// A source that is on the operator's deny list.
const LISTED: &str = "2001:db8:77::66";
/// How long the client sends at most.
const SENT_FOR: Duration = Duration::from_secs(120);
/// The window of rates, which Grafana makes four scrapes at least.
const RATE_INTERVAL: &str = "10s";

/// Expressions that are empty while all is well, and what shows that they can be otherwise.
const EMPTY_WHEN_WELL: [(&str, &str); 5] = [
    ("CredenceGatewaysAbsent", "there is a gateway; a unit test of the rules takes it away"),
    ("credence / health: Alerts of these rules", "no alert fires; the series is Prometheus' own"),
    ("credence / platform: Bucket behind by", "there is no bucket; tests of buckets find when one was whole"),
    ("credence / platform: What the bucket makes of conditions", "as above, and what it makes of them"),
    ("CredencePlatformBucketUnconditional", "as above; a unit test of the rules has such a bucket"),
];

/// What is deployed about a kind of process.
struct Deployed {
    job: &'static str,
    scrape: &'static str,
    /// Where it listens by that.
    at: &'static str,
    rules: &'static [&'static str],
    dashboards: &'static [&'static str],
}

const GATEWAYS: Deployed = Deployed {
    job: "credence",
    scrape: "scrape.yml",
    at: "127.0.0.1:9469",
    rules: &["recording.rules.yml", "alert.rules.yml"],
    dashboards: OF_GATEWAYS,
};
const PLATFORMS: Deployed = Deployed {
    job: "credence-platform",
    scrape: "platform.scrape.yml",
    at: "127.0.0.1:9700",
    rules: &["platform.rules.yml"],
    dashboards: OF_PLATFORMS,
};

/// The client: datagrams from two sources, of which one is listed.
fn send() {
    ip(&format!("addr replace {LISTED}/64 dev lan nodad"));
    let sockets = [CLIENT, LISTED].map(|source| {
        let socket = UdpSocket::bind(format!("[{source}]:0")).unwrap();
        socket.connect(format!("[{GATEWAY}]:9")).unwrap();
        socket
    });
    let began = now();
    while began.elapsed() < SENT_FOR {
        for socket in &sockets {
            // A refusal that came back for an earlier datagram is none of this one's.
            let _ = socket.send(b"load");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// A Prometheus that is ended with this value.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Prometheus {
    /// Scrapes what listens at `target` by the deployed configuration and rules, but every second.
    fn start(deployed: &Deployed, target: SocketAddr) -> Option<Self> {
        let program = PROMETHEUS.find()?;
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        for name in deployed.rules {
            let rules = text(&format!("prometheus/{name}")).replace("interval: 15s", "interval: 1s");
            fs::write(path(name), rules).unwrap();
        }
        let scrape = text(&format!("prometheus/{}", deployed.scrape))
            .replace(deployed.at, &target.to_string())
            .replace("scrape_interval: 15s", "scrape_interval: 1s")
            .replace("scrape_timeout: 10s", "scrape_timeout: 1s")
            .replace("scrape_timeout: 4s", "scrape_timeout: 1s");
        let rules = deployed.rules.join(", ");
        let rest = format!("global:\n  evaluation_interval: 1s\nrule_files: [{rules}]\n");
        fs::write(path("prometheus.yml"), format!("{rest}{scrape}")).unwrap();
        // The namespace is this test's own, so that nobody else takes the port meanwhile.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", path("prometheus.yml")))
            .arg(format!("--storage.tsdb.path={}", path("data")))
            .args([&format!("--web.listen-address={address}"), "--log.level=warn"])
            .stdin(Stdio::null())
            .spawn()
            .expect("Prometheus starts");
        Some(Self { child, address, _directory: directory })
    }

    /// What it answers at `path`, if it answers.
    fn ask(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        // By the older protocol answers come in one piece.
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// The samples that `expression` has now.
    ///
    /// # Errors
    /// With its answer when it does not take the expression.
    fn samples(&self, expression: &str) -> Result<Vec<Value>, Value> {
        let Some(answer) = self.ask(&format!("/api/v1/query?query={}", encoded(expression))) else {
            return Ok(Vec::new());
        };
        match answer["data"]["result"].as_array() {
            Some(samples) => Ok(samples.clone()),
            None => Err(answer),
        }
    }

    /// Waits until `expression` has samples, all of them numbers; says what is wrong when it never has.
    fn finds(&self, expression: &str) -> Result<(), String> {
        let is_number = |sample: &Value| sample["value"][1].as_str().is_some_and(|value| value != "NaN");
        let mut last = Ok(Vec::new());
        let found = wait_for(|| {
            last = self.samples(expression);
            match &last {
                Ok(samples) => (!samples.is_empty() && samples.iter().all(is_number)).then_some(()),
                // What is not taken now will never be.
                Err(_) => Some(()),
            }
        });
        match (found, last) {
            (Some(()), Ok(_)) => Ok(()),
            (_, last) => Err(format!("{expression}: {last:?}")),
        }
    }

    /// The rules, once they have been evaluated.
    fn rules(&self) -> Vec<Value> {
        let evaluated = wait_for(|| {
            let answer = self.ask("/api/v1/rules")?;
            let groups = answer["data"]["groups"].as_array()?.clone();
            let rules: Vec<_> =
                groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect();
            (!rules.is_empty() && rules.iter().all(|rule| rule["health"] != "unknown")).then_some(rules)
        });
        evaluated.expect("rules are evaluated")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A text as part of an address (RFC 3986, section 2.1).
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// An expression as Grafana sends it.
fn filled(expression: &str, job: &str) -> String {
    [("$job", job), ("$instance", ".*"), ("$__rate_interval", RATE_INTERVAL), ("$__range", "1m")]
        .iter()
        .fold(expression.to_owned(), |text, (variable, value)| text.replace(variable, value))
}

/// An alert's condition such that it tells whether it holds, instead of being empty where it does not.
fn answered(condition: &str) -> String {
    [" > ", " < ", " == "].iter().fold(condition.to_owned(), |text, comparison| {
        text.replace(comparison, &format!("{comparison}bool "))
    })
}

fn word<'v>(of: &'v Value, name: &str) -> &'v str {
    of[name].as_str().unwrap_or_else(|| panic!("no {name} in {of}"))
}

/// Everything that is asked for, by name: panels, variables, recording rules, and the conditions of alerts.
fn asked(deployed: &Deployed, rules: &[Value]) -> Vec<(String, String)> {
    let of_panel = |each: Expression| (each.name, filled(&each.text, deployed.job));
    let of_rule = |rule: &Value| {
        let query = word(rule, "query");
        let text = if rule["type"] == "alerting" { answered(query) } else { query.to_owned() };
        (word(rule, "name").to_owned(), text)
    };
    expressions(deployed.dashboards).into_iter().map(of_panel).chain(rules.iter().map(of_rule)).collect()
}

#[test]
fn every_panel_and_every_rule_finds_data() {
    between("gateway::prometheus::every_panel_and_every_rule_finds_data", scraped, send);
}

fn scraped(client: &Client) {
    let publisher = Publisher::start();
    publisher.says(drop_list(&[]));
    let mut alliance = Alliance::start();
    let others = World::new("ask");
    let keys = others.keys();
    let outbox = &keys[keys.find("[sync.outbox]").expect("they are told something")..];
    let followed = publisher.followed();
    let list = &followed[followed.find("[sync.lists").expect("a list is followed")..];
    let site = Site::new(&format!(
        "workers = 2\ncredit.snapshots = [\"DIR/deny\"]\nalerts.path = \"DIR/alerts.json\"\n[enforce]\nmode = \"dry_run\"\n{}{list}{outbox}",
        // A feed, beside a list and others who are told.
        alliance.followed()
    ));
    site.snapshot("deny", &format!("{LISTED}/128\n2001:db8:99::/48\n"));
    let mut running = site.start();
    let _playing = client.begin();
    let Some(prometheus) = Prometheus::start(&GATEWAYS, running.address()) else { return };
    // The first scrape comes five seconds after the start, which is a quarter of the patience.
    prometheus.finds("up == 1").expect("the gateway is scraped");
    prometheus.finds(&format!("rate(credence_received_packets_total[{RATE_INTERVAL}]) > 0")).expect("load");
    decided_and_taken_back(&mut alliance, &mut running);
    let asked = finds_everything(&prometheus, &GATEWAYS);
    everything_is_shown(running.address(), &asked);
    assert!(sum(&running.metrics(), "credence_enforce_packets_total") > 0, "there was load");
    running.signal("TERM");
    running.end().expect(0);
}

/// Asks for everything that is deployed, and requires that each finds data; returns what that was.
fn finds_everything(prometheus: &Prometheus, deployed: &Deployed) -> Vec<(String, String)> {
    let rules = prometheus.rules();
    judge_rules(&rules);
    let asked = asked(deployed, &rules);
    let is_excused = |name: &str| EMPTY_WHEN_WELL.iter().any(|(excused, _)| *excused == name);
    let mut missing = Vec::new();
    for (name, expression) in &asked {
        let found = match is_excused(name) {
            true => prometheus.samples(expression).map(drop).map_err(|answer| answer.to_string()),
            false => prometheus.finds(expression),
        };
        missing.extend(found.err().map(|told| format!("{name}: {told}")));
    }
    assert!(missing.is_empty(), "no data:\n{}", missing.join("\n"));
    println!("{} expressions found data", asked.len());
    asked
}

#[test]
fn every_panel_and_every_rule_about_a_platform_finds_data() {
    between(
        "gateway::prometheus::every_panel_and_every_rule_about_a_platform_finds_data",
        |_| {
            // Nobody is behind the bus.
            let mut alliance =
                Alliance::start_with(|settings| settings.bus = Some("nats://127.0.0.1:1".to_owned()));
            let Some(prometheus) = Prometheus::start(&PLATFORMS, alliance.address()) else { return };
            prometheus.finds("up == 1").expect("the platform is scraped");
            alliance.decide(Prefix::containing(VISITORS.first(), 48));
            let mut stream = TcpStream::connect(alliance.address()).unwrap();
            stream.write_all(b"POST /acts HTTP/1.0\r\nContent-Length: 3\r\n\r\nbad").unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
            let asked = finds_everything(&prometheus, &PLATFORMS);
            everything_is_shown(alliance.address(), &asked);
            prometheus.finds("credence_platform_bus_failures_total > 0").expect("nobody is behind the bus");
        },
        || {},
    );
}

/// A member says something of an address that sends nothing here, and takes it back.
fn decided_and_taken_back(alliance: &mut Alliance, running: &mut Running) {
    let has = |running: &mut Running, count: u64| {
        running.metrics_when(|numbers| numbers.get("credence_sync_records{source=\"feed\"}") == Some(&count));
    };
    let subject = Prefix::containing(VISITORS.first(), 48);
    let said = (Measure::RateLimit, Score::new(400).unwrap());
    let alert = alliance.submit(|parties, now| parties.alert(CAMPUS, subject, said, now));
    has(running, 1);
    alliance.submit(|parties, now| parties.lift(CAMPUS, alert, now));
    has(running, 0);
}

/// What holds for each rule by itself.
fn judge_rules(rules: &[Value]) {
    for rule in rules {
        let name = word(rule, "name");
        assert_eq!(rule["health"], "ok", "{name}: {}", rule["lastError"]);
        if rule["type"] != "alerting" {
            continue;
        }
        assert_ne!(rule["state"], "firing", "{name} fires although all is well");
        assert!(["critical", "warning", "info"].contains(&word(&rule["labels"], "severity")), "{name}");
        for annotation in ["summary", "description"] {
            assert!(word(&rule["annotations"], annotation).len() > 20, "{name} has no {annotation}");
        }
    }
}

/// Whether every metric of the page stands in a panel or a rule: what nobody looks at need not be there.
fn everything_is_shown(address: SocketAddr, asked: &[(String, String)]) {
    let (_, page) = fetch(address, "/metrics");
    if let Some(promtool) = PROMTOOL.find() {
        is_sound(promtool, &page);
    }
    let metrics = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for metric in metrics {
        let is_it = |word: &str| word.strip_suffix("_bucket").unwrap_or(word) == metric;
        let stands_in = |text: &str| text.split(|c: char| !(c == '_' || c.is_alphanumeric())).any(is_it);
        assert!(asked.iter().any(|(_, text)| stands_in(text)), "{metric} is in no panel and no rule");
    }
}
