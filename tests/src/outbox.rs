//! The back-channel: what a gateway sees reaches the platform's log, once, whatever ends in the middle of it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use credence_law::party::{Function, act_id};
use credence_law::{Object, Rules, Signed};
use credence_platform::example::{Place, make_world, read_world};
use credence_platform::keys;
use credence_platform::serve::now;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::{Ran, credence, platform, run};
use crate::gateway::running::{exchange, fetch, wait_for};

/// The member of the example that the gateway belongs to; it hands out /56 of 2001:db8:1000::/36.
const OWN: u128 = 0x2001_0db8_1000 << 80;
/// An address of another member's.
const OTHER: &str = "2001:db8:2000:1::5";

/// An example world with a platform and a gateway that knows its rules.
pub(crate) struct World {
    directory: TempDir,
    address: SocketAddr,
    platform: Option<Child>,
    follower: Option<Child>,
}

impl World {
    /// Everything made, and nothing running.
    pub(crate) fn new(rule: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let made = Place::new(&directory.path().join("made"));
        fs::create_dir(directory.path().join("made")).unwrap();
        let (world, entries) = make_world(&made, now()).unwrap();
        let rules: Vec<PathBuf> =
            (0..entries.len()).map(|number| directory.path().join(format!("rule-{number}"))).collect();
        for (path, entry) in rules.iter().zip(&entries) {
            fs::write(path, entry.sent.as_ref().unwrap()).unwrap();
        }
        let served = directory.path().join("served");
        fs::create_dir(&served).unwrap();
        fs::copy(made.operator(), Place::new(&served).operator()).unwrap();
        let mut init = Command::new(platform());
        init.arg("init").arg("--dir").arg(&served).arg("--begin").args(&rules);
        Ran::of(init.output().unwrap()).expect(0);
        // Taken once, so that the platform comes back where it was.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "[sync]\nstate = {state:?}\nurl = \"http://{address}\"\nworld = \"{world}\"\nallow_example = true\nrefresh_s = 1\n[sync.outbox]\nrule = {rule:?}\nplatforms = [\"http://{address}\"]\n\
             world = \"{world}\"\nrules = {rules:?}\nmember = 1\nkey = {key:?}\n",
            state = directory.path().join("state"),
            key = made.member(1, Function::Alerts),
        );
        fs::write(directory.path().join("credence.toml"), config).unwrap();
        Self { directory, address, platform: None, follower: None }
    }

    /// Where the platform is served.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A file of this name in the world's directory; `made` has everybody's keys.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("credence.toml")
    }

    /// The keys of a gateway's configuration by which it tells the platform.
    pub(crate) fn keys(&self) -> String {
        fs::read_to_string(self.config()).unwrap()
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("follower.log")
    }

    pub(crate) fn serve(&mut self) {
        let mut serve = Command::new(platform());
        serve.arg("serve").arg("--dir").arg(self.directory.path().join("served"));
        serve
            .args(["--listen", &self.address.to_string(), "--attest-after", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.platform = Some(serve.spawn().unwrap());
        let is_up = wait_for(|| TcpStream::connect(self.address).is_ok().then_some(()));
        assert!(is_up.is_some(), "the platform does not come up");
    }

    /// Starts the process that talks to others, as a gateway does.
    fn follow(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut follow = Command::new(credence());
        follow.args(["sync", "--part", "follower", "--config"]).arg(self.config());
        follow.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        self.follower = Some(follow.spawn().unwrap());
    }

    /// What the gateway would say of a confirmed scan by this address. A process that was killed hears nothing.
    fn alert(&mut self, source: impl Into<Ipv6Addr>) {
        let line = json!({
            "timestamp": Timestamp::from_second(now() as i64).unwrap().to_string(), "event_type": "alert", "src_ip": source.into().to_string(),
            "credence": {
                "verdict": "rate_limit", "basis": "local_score", "confirmed": true,
                "terms": [{"rule": "targets", "points": -240}],
            },
        });
        let order = json!({"order": "alert", "line": line.to_string()});
        if let Some(follower) = &mut self.follower {
            let _ = writeln!(follower.stdin.as_mut().unwrap(), "{order}");
        }
    }

    /// Without a chance to tidy up.
    fn kill(process: &mut Option<Child>) {
        if let Some(mut process) = process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// The acts of a subject that everybody can read.
    fn acts(&self, subject: &str) -> Vec<Value> {
        let (status, body) = fetch(self.address, &format!("/subjects/{subject}"));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["acts"].as_array().unwrap().clone()
    }

    #[track_caller]
    pub(crate) fn stands_once(&self, subject: &str, measure: &str) {
        let stands = wait_for(|| (!self.acts(subject).is_empty()).then_some(()));
        assert!(stands.is_some(), "{}", fs::read_to_string(self.log()).unwrap_or_default());
        let acts = self.acts(subject);
        assert_eq!(acts.len(), 1, "{acts:?}");
        assert_eq!((&acts[0]["kind"], &acts[0]["measure"]), (&json!("own_alert"), &json!(measure)));
        assert_eq!((&acts[0]["item"], &acts[0]["evidence"]), (&json!("scanning"), &json!("confirmed")));
    }

    /// Waits until the process that follows knows so many rules.
    #[track_caller]
    fn goes_by(&self, rules: u8) {
        let told = format!("new rules have come into force rules={rules}");
        let log = || fs::read_to_string(self.log()).unwrap_or_default();
        assert!(wait_for(|| log().contains(&told).then_some(())).is_some(), "{}", log());
    }

    /// What `credence outbox` says.
    fn outbox(&self, words: &[&str]) -> Ran {
        let config = self.config();
        let config = config.to_str().unwrap();
        run([&["outbox", "--config", config, "--format", "json"], words].concat())
    }

    /// The drafts, by kind and state.
    fn drafts(&self) -> Vec<(String, String)> {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        let drafts = self.outbox(&["list", "--all"]).expect(0).json();
        drafts.as_array().unwrap().iter().map(|it| (word(&it["kind"]), word(&it["state"]))).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        Self::kill(&mut self.follower);
        Self::kill(&mut self.platform);
    }
}

/// The subject of that number: one of the member's subscribers.
fn subject(number: u128) -> String {
    format!("{}/56", Ipv6Addr::from(OWN + (number << 72)))
}

/// An address in it.
fn host(number: u128) -> Ipv6Addr {
    Ipv6Addr::from(OWN + (number << 72) + (0xab << 64) + 5)
}

#[test]
fn an_own_customers_alert_reaches_the_log_once_through_every_outage() {
    let mut world = World::new("automatic");
    world.serve();
    world.follow();
    world.alert(host(1));
    world.stands_once(&subject(1), "rate_limit");
    // It may stand in the log before the answer is here; then the draft is signed as the next one is to be.
    let is_taken = wait_for(|| world.drafts().iter().all(|(_, state)| state == "taken").then_some(()));
    assert!(is_taken.is_some(), "{:?}", world.drafts());

    World::kill(&mut world.platform);
    world.alert(host(2));
    let is_signed = wait_for(|| world.drafts().contains(&signed()).then_some(()));
    assert!(is_signed.is_some(), "{:?}", world.drafts());
    World::kill(&mut world.follower);
    assert!(world.drafts().contains(&signed()), "it is on disk");
    world.follow();
    world.serve();
    world.stands_once(&subject(2), "rate_limit");
    world.alert(host(2));
    world.alert(host(1));
    world.alert(host(3));
    world.stands_once(&subject(3), "rate_limit");
    world.stands_once(&subject(1), "rate_limit");
    world.stands_once(&subject(2), "rate_limit");
    names_nobody(&world.log());
}

/// Nobody but the member has its key: it is asked, and states what it has signed itself.
#[test]
fn a_member_states_its_own_word_when_the_platform_asks() {
    let mut world = World::new("automatic");
    world.serve();
    world.follow();
    world.alert(host(1));
    world.stands_once(&subject(1), "rate_limit");
    let asked = |world: &World| fetch(world.address, "/feed/proposals/1").0;
    let has_stated = |world: &World| {
        let log = fs::read_to_string(world.log()).unwrap_or_default();
        log.contains("this member has stated what it says rows=1").then_some(())
    };
    assert!(wait_for(|| has_stated(&world)).is_some(), "{}", fs::read_to_string(world.log()).unwrap());
    assert!(wait_for(|| (asked(&world) == 404).then_some(())).is_some(), "it is asked no more");
    assert_eq!(fetch(world.address, "/feed/proposals/2").0, 404, "who says nothing is asked for nothing");
    assert_eq!(fetch(world.address, "/feed/proposals/nobody").0, 404);
    names_nobody(&world.log());
}

/// A gateway closes the pipe at its end, whoever else was told to end with it: what is in it is stored first.
#[test]
fn what_a_gateway_said_last_is_stored_when_it_ends() {
    let mut world = World::new("ask");
    world.follow();
    // Before it has made its socket it hears no signal.
    let is_there = wait_for(|| world.path("state/outbox.sock").exists().then_some(()));
    assert!(is_there.is_some());
    let pid = world.follower.as_ref().unwrap().id().to_string();
    (0..20).for_each(|number| world.alert(host(number)));
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    (20..40).for_each(|number| world.alert(host(number)));
    let mut follower = world.follower.take().unwrap();
    drop(follower.stdin.take());
    let ended = wait_for(|| follower.try_wait().unwrap());
    assert_eq!(ended.and_then(|ended| ended.code()), Some(0), "{}", fs::read_to_string(world.log()).unwrap());
    assert_eq!(world.drafts().len(), 40);
}

/// Who follows a world needs no files with its rules, and judges by new ones as soon as they are in force there.
#[test]
fn a_gateway_that_follows_drafts_by_the_rules_of_the_feed() {
    let mut world = World::new("automatic");
    let keys = world.keys();
    let without: Vec<_> = keys.lines().filter(|line| !line.starts_with("rules = ")).collect();
    fs::write(world.config(), format!("interface = \"lo\"\n{}\n", without.join("\n"))).unwrap();
    let config = world.config();
    let checked = || run(["check", "--config", config.to_str().unwrap()]).expect(0).stdout;
    assert!(checked().contains(", by the rules of the feed;"), "{}", checked());
    world.serve();
    world.follow();
    world.goes_by(4);
    world.alert(host(1));
    world.stands_once(&subject(1), "rate_limit");

    // From now on the member hands out less to each.
    let first = Signed::decode(&fs::read(world.path("rule-1")).unwrap()).unwrap();
    let Rules::Registry(mut registry) = Object::<Rules>::decode(first.bytes()).unwrap().body else {
        panic!("no registry");
    };
    (registry.version, registry.previous) = (2, Some(act_id(first.bytes())));
    registry.members[0].holdings[0].delegated = Some(60);
    let named = read_world(&Place::new(&world.path("made"))).unwrap();
    let roots =
        [1, 2].map(|number| keys::read(&world.path(&format!("made/parties/root/{number}.key"))).unwrap());
    let next = Signed::with(Object::new(named, Rules::Registry(registry)).encode(), &roots);
    let (status, body) = exchange(world.address, "POST /acts", &next.encode());
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    world.goes_by(5);
    world.alert(host(2));
    let narrower = format!("{}/60", Ipv6Addr::from((u128::from(host(2)) >> 68) << 68));
    world.stands_once(&narrower, "rate_limit");
    // Without a process that follows, drafts are read by the rules that it has kept.
    let is_taken = wait_for(|| world.drafts().iter().all(|(_, state)| state == "taken").then_some(()));
    assert!(is_taken.is_some(), "{:?}", world.drafts());
    World::kill(&mut world.follower);
    assert_eq!(world.drafts().len(), 2);
    names_nobody(&world.log());
}

fn signed() -> (String, String) {
    ("own_alert".to_owned(), "signed".to_owned())
}

/// Neither a source nor its subject is in any log.
#[track_caller]
fn names_nobody(log: &Path) {
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("has taken it"), "{log}");
    assert!(!log.contains("2001:db8") && !log.contains("ab::5"), "{log}");
}

#[test]
fn a_report_goes_out_when_the_operator_sends_it() {
    let mut world = World::new("automatic");
    world.serve();
    world.follow();
    world.alert(OTHER.parse::<Ipv6Addr>().unwrap());
    let state = |world: &World| world.drafts().first().map(|(kind, state)| format!("{kind} {state}"));
    let is =
        |world: &World, wanted: &str| wait_for(|| (state(world).as_deref() == Some(wanted)).then_some(()));
    assert!(
        is(&world, "report waiting").is_some(),
        "{:?} {}",
        state(&world),
        fs::read_to_string(world.log()).unwrap()
    );
    let shown = world.outbox(&["show", "1"]).expect(0).json();
    assert_eq!(shown[0]["subject"], "2001:db8:2000:1::/64");
    assert!(shown[0]["evidence"][0].as_str().unwrap().contains(OTHER));
    let config = world.config();
    let text = |words: &[&str]| {
        run([&["outbox", "--config", config.to_str().unwrap()], words].concat()).expect(0).stdout
    };
    let list = text(&["list"]);
    assert!(list.contains("report") && list.contains("2001:db8:2000:1::/64  waiting"), "{list}");
    let told = text(&["show", "1"]);
    assert!(told.contains("item       scanning") && told.contains(OTHER), "{told}");
    world.outbox(&["edit", "1", "--item", "listed"]).expect(1).told(&["not in the catalogue"]);
    world.outbox(&["edit", "1", "--item", "flooding"]).expect(0);
    world.outbox(&["drop", "7"]).expect(1).told(&["no draft of this number"]);
    world.outbox(&["send", "1"]).expect(0);
    assert!(is(&world, "report taken").is_some(), "{:?}", state(&world));
    assert_eq!(world.acts("2001:db8:2000:1::/64"), [] as [Value; 0], "a report is not for everybody");
    // Where nothing follows, the command opens the spool itself.
    World::kill(&mut world.follower);
    assert_eq!(world.drafts(), [("report".to_owned(), "taken".to_owned())]);
    world.outbox(&["send", "1"]).expect(1);
}

/// The process is killed at any moment, again and again, while alerts come in and acts go out.
#[test]
fn whatever_moment_it_is_killed_at_nothing_on_disk_is_lost_or_doubled() {
    const SUBJECTS: u128 = 24;
    let mut world = World::new("automatic");
    world.serve();
    for number in 0..SUBJECTS {
        world.follow();
        world.alert(host(number));
        world.alert(host((number * 7) % SUBJECTS));
        // From before it has read anything to when everything was done.
        thread::sleep(Duration::from_millis(20 * u64::try_from(number % 12).unwrap()));
        World::kill(&mut world.follower);
        if number % 8 == 5 {
            World::kill(&mut world.platform);
            world.serve();
        }
    }
    let kept = world.drafts().len();
    assert!(kept > 3, "it was always killed before anything was on disk");
    world.follow();
    (0..SUBJECTS).for_each(|number| world.alert(host(number)));
    (0..SUBJECTS).for_each(|number| world.stands_once(&subject(number), "rate_limit"));
    // An act may stand in the log before its answer is here.
    let is_done = || world.drafts().iter().all(|(_, state)| state == "taken").then_some(());
    assert!(wait_for(is_done).is_some(), "{:?}", world.drafts());
    let drafts = world.drafts();
    let states: BTreeSet<_> = drafts.iter().map(|(_, state)| state.as_str()).collect();
    assert_eq!((drafts.len(), states), (24, BTreeSet::from(["taken"])));
    names_nobody(&world.log());
}

#[test]
fn a_key_that_others_can_read_is_told_and_nothing_is_sent() {
    use std::os::unix::fs::PermissionsExt;

    let mut world = World::new("ask");
    let key = Place::new(&world.directory.path().join("made")).member(1, Function::Alerts);
    fs::set_permissions(key, fs::Permissions::from_mode(0o640)).unwrap();
    world.follow();
    let told = || fs::read_to_string(world.log()).unwrap_or_default().contains("chmod 600").then_some(());
    assert!(wait_for(told).is_some());
    assert_eq!(world.outbox(&["list"]).expect(0).json(), json!([]));
    assert!(!world.directory.path().join("state/outbox.redb").exists(), "who only looks makes no spool");
    let config = world.config();
    run(["check", "--config", config.to_str().unwrap()])
        .expect(1)
        .told(&["nothing could be told", "chmod 600"]);
}
