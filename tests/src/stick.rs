//! A feed that is carried: exported by the platform into a directory, followed from there by a gateway, and believed no more than
//! over the network.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

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

impl Site {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let world = directory.path().join("world");
        ran(platform(), &["init", "--dir", &world.display().to_string()]).expect(0);
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut serve = Command::new(platform());
        serve.args(["serve", "--attest-after", "0", "--listen", &address.to_string(), "--dir"]).arg(&world);
        let serving = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let site = Self { directory, address, serving };
        let is_up = wait_for(|| TcpStream::connect(address).is_ok().then_some(()));
        assert!(is_up.is_some(), "the platform does not come up");
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
        let head = exchange(self.address, "GET /feed/head", b"");
        let made = ["act", "alert", "--world", &name, "--as", "1", "--key", &key, "--prefix", prefix];
        fs::write(self.path("seen"), "evidence").unwrap();
        let seen = self.path("seen").display().to_string();
        let said = ["--item", "scanning", "--evidence", &seen, "-o", &act];
        let made: Vec<&str> = made.into_iter().chain(said).collect();
        ran(platform(), &made).expect(0);
        let (status, answer) = exchange(self.address, "POST /acts", &fs::read(&act).unwrap());
        assert!(matches!(status, 200 | 201), "{}", String::from_utf8_lossy(&answer));
        let is_new = wait_for(|| (exchange(self.address, "GET /feed/head", b"") != head).then_some(()));
        assert!(is_new.is_some(), "the feed does not go on");
    }

    /// Exports the feed; its serial.
    fn export(&self) -> u64 {
        let [world, stick] = ["world", "stick"].map(|name| self.path(name).display().to_string());
        let told = ran(platform(), &["export", "feed", "--dir", &world, &stick]).expect(0).stdout;
        let told: Value = serde_json::from_str(&told).unwrap();
        told["serial"].as_u64().unwrap()
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
