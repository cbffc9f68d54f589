//! A feed that is carried: exported by the platform into a directory, followed from there by a gateway, and believed no more than
//! over the network.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use credence_feed::Head;
use credence_law::{Object, Signed};
use credence_platform::example::{Place, read_world};
use credence_platform::keys;
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Ran, credence, platform};
use crate::gateway::running::{exchange, wait_for};

/// An example world whose platform runs, with a gateway's configuration that follows a directory.
struct Site {
    directory: TempDir,
    address: SocketAddr,
    serving: Child,
}

impl Drop for Site {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.serving.kill();
        let _ = self.serving.wait();
    }
}

fn ran(program: &Path, arguments: &[&str]) -> Ran {
    Ran::of(Command::new(program).args(arguments).output().unwrap())
}

/// Starts a platform, and waits until it answers.
fn serve(world: &Path, address: SocketAddr) -> Child {
    let mut serve = Command::new(platform());
    serve.args(["serve", "--attest-after", "0", "--listen", &address.to_string(), "--dir"]).arg(world);
    let serving = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_up = wait_for(|| TcpStream::connect(address).is_ok().then_some(()));
    assert!(is_up.is_some(), "the platform does not come up");
    serving
}

impl Site {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let world = directory.path().join("world");
        ran(platform(), &["init", "--dir", &world.display().to_string()]).expect(0);
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let serving = serve(&world, address);
        let site = Self { directory, address, serving };
        let config = format!(
            "[sync]\nstate = {:?}\nurl = \"file://{}\"\nworld = \"{}\"\nallow_example = true\n",
            site.path("state"),
            site.path("stick").display(),
            read_world(&Place::new(&world)).unwrap(),
        );
        fs::write(site.path("credence.toml"), config).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A member's alert about a site of its own, and waits until the feed has it.
    fn alert(&self, prefix: &str) {
        let [world, act] = ["world", "act"].map(|name| self.path(name).display().to_string());
        let name = read_world(&Place::new(&self.path("world"))).unwrap().to_string();
        let key = format!("{world}/parties/member-1/alerts.key");
        let made = ["act", "alert", "--world", &name, "--as", "1", "--key", &key, "--prefix", prefix];
        fs::write(self.path("seen"), "evidence").unwrap();
        let seen = self.path("seen").display().to_string();
        let said = ["--item", "scanning", "--evidence", &seen, "-o", &act];
        let made: Vec<&str> = made.into_iter().chain(said).collect();
        ran(platform(), &made).expect(0);
        let (_, answer) = exchange(self.address, "POST /acts", &fs::read(&act).unwrap());
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let place = answer["place"].as_u64().unwrap_or_else(|| panic!("{answer}"));
        let has_it = || self.head().filter(|head| place < head.log_size).map(drop);
        assert!(wait_for(has_it).is_some(), "the feed does not go on");
    }

    /// The head that the platform has put out last.
    fn head(&self) -> Option<Head> {
        let signed = Signed::decode(&fs::read(self.path("world/feed/head")).ok()?).unwrap();
        Some(Object::decode(signed.bytes()).unwrap().body)
    }

    /// Exports the feed; its serial.
    fn export(&self) -> u64 {
        let [world, stick] = ["world", "stick"].map(|name| self.path(name).display().to_string());
        let told = ran(platform(), &["export", "feed", "--dir", &world, &stick]).expect(0).stdout;
        let told: Value = serde_json::from_str(&told).unwrap();
        told["serial"].as_u64().unwrap()
    }

    /// The platform loses everything that is not in a backup, and goes on under another name of its log.
    fn go_on_from(&mut self, backup: &str) {
        self.serving.kill().unwrap();
        self.serving.wait().unwrap();
        // Sessions of a feed are named by the second in which they began.
        thread::sleep(Duration::from_millis(1_100));
        let world = self.path("world");
        for file in fs::read_dir(&world).unwrap().flatten().map(|file| file.path()) {
            if file.file_name().unwrap().to_string_lossy().starts_with("journal") {
                fs::remove_file(file).unwrap();
            }
        }
        ran(platform(), &["restore", "--dir", &world.display().to_string(), "--new-epoch", backup]).expect(0);
        self.serving = serve(&world, self.address);
    }

    /// Asks once, and what came of it.
    fn sync(&self, code: i32) -> Value {
        let config = self.path("credence.toml").display().to_string();
        let ran = ran(credence(), &["sync", "--once", "--format", "json", "--config", &config]).expect(code);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    fn evidence(&self) -> Ran {
        let config = self.path("credence.toml").display().to_string();
        ran(credence(), &["feed", "evidence", "--config", &config]).expect(0)
    }
}

#[test]
fn a_feed_is_carried_on_a_stick_and_checked_as_ever() {
    let site = Site::new();
    site.alert("2001:db8:1020::/48");
    let first = site.export();
    let old = fs::read(site.path("stick/feed/head")).unwrap();
    let told = site.sync(0);
    assert_eq!((&told["feed"]["had"], &told["feed"]["serial"]), (&true.into(), &first.into()), "{told}");
    assert_eq!(told["feed"]["records"], 1, "{told}");
    // It goes on, its log by tiles, and nothing goes back.
    site.alert("2001:db8:1021::/48");
    let second = site.export();
    assert!(second > first);
    let told = site.sync(0);
    assert_eq!((&told["feed"]["serial"], &told["feed"]["records"]), (&second.into(), &2.into()), "{told}");
    let new = fs::read(site.path("stick/feed/head")).unwrap();
    fs::write(site.path("stick/feed/head"), &old).unwrap();
    let told = site.sync(1);
    assert_eq!(told["feed"]["refused"], serde_json::json!(["rollback"]), "{told}");
    assert_eq!(told["feed"]["serial"], second, "{told}");
    // What is damaged or gone is told.
    let mut flipped = new.clone();
    flipped[60] ^= 1;
    fs::write(site.path("stick/feed/head"), flipped).unwrap();
    let refused = site.sync(1)["feed"]["refused"].to_string();
    assert!(["[\"signature\"]", "[\"world\"]"].contains(&refused.as_str()), "{refused}");
    fs::remove_file(site.path("stick/feed/head")).unwrap();
    assert_eq!(site.sync(1)["feed"]["refused"], serde_json::json!(["hash"]));
    assert!(site.evidence().stdout.starts_with("nothing"), "what a mirror does is no evidence");
    // The operator signs another head of the same version: both are kept, and can be shown.
    let operator = keys::read(&Place::new(&site.path("world")).operator()).unwrap();
    let mut head = Object::<Head>::decode(Signed::decode(&new).unwrap().bytes()).unwrap();
    head.body.expires -= 1;
    fs::write(site.path("stick/feed/head"), Signed::with(head.encode(), [&operator]).encode()).unwrap();
    let told = site.sync(1);
    assert_eq!(told["feed"]["refused"], serde_json::json!(["equivocation"]));
    assert_eq!(told["feed"]["evidence"], 1, "{told}");
    let shown = site.evidence().stdout;
    assert!(shown.contains("two heads of one version") && shown.contains("file://"), "{shown}");
    assert_eq!(shown.matches("signed by the operator").count(), 2, "{shown}");
    // The honest one is still the one that is known.
    fs::write(site.path("stick/feed/head"), &new).unwrap();
    assert_eq!(site.sync(0)["feed"]["serial"], second);
}

/// Its members have said by another way what has happened; the operator of the gateway writes it down.
#[test]
fn another_epoch_is_followed_when_the_operator_says_so() {
    let mut site = Site::new();
    site.alert("2001:db8:1020::/48");
    let [world, backup] = ["world", "backup"].map(|name| site.path(name).display().to_string());
    ran(platform(), &["backup", "--dir", &world, &backup]).expect(0);
    for lost in ["2001:db8:1021::/48", "2001:db8:1022::/48"] {
        site.alert(lost);
    }
    site.export();
    assert_eq!(site.sync(0)["feed"]["records"], 3);
    site.go_on_from(&backup);
    site.alert("2001:db8:1023::/48");
    site.export();
    let told = site.sync(1);
    assert_eq!(told["feed"]["refused"], serde_json::json!(["log"]), "{told}");
    assert_eq!((&told["feed"]["records"], &told["feed"]["evidence"]), (&3.into(), &1.into()), "{told}");
    let config = fs::read_to_string(site.path("credence.toml")).unwrap();
    let in_epoch = |epoch: u32| {
        let config = config.replace("allow_example", &format!("epoch = {epoch}\nallow_example"));
        fs::write(site.path("credence.toml"), config).unwrap();
    };
    in_epoch(2);
    let told = site.sync(0);
    assert_eq!((&told["feed"]["records"], &told["feed"]["evidence"]), (&2.into(), &1.into()), "{told}");
    site.alert("2001:db8:1024::/48");
    site.export();
    assert_eq!(site.sync(0)["feed"]["records"], 3);
    in_epoch(1);
    let config = site.path("credence.toml").display().to_string();
    let refused = ran(credence(), &["sync", "--once", "--config", &config]);
    assert_ne!(refused.code, 0, "{}", refused.stdout);
    assert!(refused.stderr.contains("set `sync.epoch = 2`"), "{}", refused.stderr);
}
