//! The coordinating body's word: its seats sign each for itself, on a host of its own, and together they state what was decided.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use credence_credit::{ActId, Score};
use credence_feed::proposal::Proposal;
use credence_feed::{FileRef, Head, SnapshotList};
use credence_law::party::{Function, Party, act_id};
use credence_law::{Act, Object, Signed};
use credence_platform::example::{Parties, Place, VISITORS, read_world};
use credence_platform::serve::now;
use credence_prefix::Prefix;

use crate::binary::credence;
use crate::gateway::running::{exchange, fetch, wait_for};
use crate::outbox::World;

/// A world whose platform has nobody's keys but its operator's, and the agents of some seats.
struct Council {
    world: World,
    agents: Vec<(u16, Child)>,
}

impl Council {
    fn new() -> Self {
        let mut world = World::new("off");
        world.serve();
        Self { world, agents: Vec::new() }
    }

    fn made(&self) -> Place {
        Place::new(&self.world.path("made"))
    }

    fn log(&self, seat: u16) -> PathBuf {
        self.world.path(&format!("seat-{seat}.log"))
    }

    /// Starts the agent of a member's seat, which is asked at `platform` and follows the feed of the platform itself.
    fn sit(&mut self, seat: u16, platform: SocketAddr) {
        let config = format!(
            "[sync]\nstate = {state:?}\nurl = \"http://{url}\"\nworld = \"{world}\"\nallow_example = true\nrefresh_s = 1\n\
             [sync.seat]\nplatforms = [\"http://{platform}\"]\nkey = {key:?}\n",
            state = self.world.path(&format!("seat-{seat}")),
            url = self.world.address(),
            world = read_world(&self.made()).unwrap(),
            key = self.made().member(seat, Function::Decisions),
        );
        let path = self.world.path(&format!("seat-{seat}.toml"));
        fs::write(&path, config).unwrap();
        let log = File::create(self.log(seat)).unwrap();
        let mut agent = Command::new(credence());
        agent.args(["sync", "--config"]).arg(path).stdin(Stdio::null());
        agent.stdout(log.try_clone().unwrap()).stderr(log);
        self.agents.push((seat, agent.spawn().unwrap()));
    }

    /// Waits until a seat says so; it asks each ten seconds.
    #[track_caller]
    fn says(&self, seat: u16, text: &str) {
        let said = || fs::read_to_string(self.log(seat)).unwrap_or_default();
        let has_said = (0..3).any(|_| wait_for(|| said().contains(text).then_some(())).is_some());
        assert!(has_said, "seat {seat} does not say {text:?}:\n{}", said());
    }

    fn hand_in(&self, signed: &Signed) -> ActId {
        let (status, body) = exchange(self.world.address(), "POST /acts", &signed.encode());
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
        act_id(signed.bytes())
    }

    /// Two members' reports, the advisers' opinion, and the decision.
    fn decide(&self) {
        let subject = Prefix::containing(VISITORS.first(), 48);
        let mut parties = Parties::new(self.made(), read_world(&self.made()).unwrap(), now());
        let reports = [1, 2].map(|member| {
            let report = parties.report(member, subject, now()).unwrap();
            (self.hand_in(&report), member)
        });
        let opinion = self.hand_in(&parties.opinion(&reports, now()).unwrap());
        let score = Score::new(120).unwrap();
        self.hand_in(&parties.decision(subject, score, (&reports, opinion), now()).unwrap());
    }

    /// The coordinating body's manifest in the feed: how many rows it states, and how many have signed it.
    fn stated(&self) -> Option<(u32, usize)> {
        let file = |path: &str| exchange(self.world.address(), &format!("GET {path}"), b"").1;
        let head = Signed::decode(&file("/feed/head")).unwrap();
        let list: FileRef = Object::<Head>::decode(head.bytes()).unwrap().body.snapshot;
        let list = SnapshotList::decode(&file(&format!("/feed/files/{}", list.name()))).ok()?;
        let body = list.shards.0.into_iter().find(|shard| shard.party == Party::Body)?;
        let Act::Manifest(manifest) = Object::<Act>::decode(body.manifest.bytes()).unwrap().body else {
            panic!("no manifest");
        };
        Some((manifest.count, body.manifest.claims().count()))
    }

    fn is_asked(&self) -> bool {
        fetch(self.world.address(), "/feed/proposals/body").0 == 200
    }
}

impl Drop for Council {
    fn drop(&mut self) {
        for (_, agent) in &mut self.agents {
            // It may have ended.
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

/// What stands between a seat and the platform, and has the body's decision last a day longer; where it is, and how many signatures it was
/// given.
fn liar(platform: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, given) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let signatures = Arc::clone(&given);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = String::new();
            let mut reader = BufReader::new(&stream);
            while reader.read_line(&mut request).is_ok_and(|len| len > 2) {}
            signatures.fetch_add(usize::from(request.starts_with("POST")), Ordering::Relaxed);
            let (status, mut body) = exchange(platform, "GET /feed/proposals/body", b"");
            if status == 200 {
                let mut asked = Proposal::decode(&body).unwrap();
                asked.put.0[0].expires += 86_400;
                body = asked.encode();
            }
            let head = format!(
                "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            // Whoever asked may be gone.
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
            let _ = stream.read(&mut [0; 1]);
        }
    });
    (address, given)
}

/// Three of five seats are needed. Two are away; of the three that are there one is lied to, and does not sign; then one of the others comes.
#[test]
fn three_seats_of_five_state_what_was_decided_and_one_that_is_lied_to_does_not_sign() {
    let mut council = Council::new();
    let platform = council.world.address();
    let (lies, given) = liar(platform);
    council.sit(1, platform);
    council.sit(4, platform);
    council.sit(2, lies);
    council.decide();
    assert!(wait_for(|| council.is_asked().then_some(())).is_some(), "nobody is asked");
    council
        .says(1, "this seat has signed what the coordinating body says; other seats have to as well rows=1");
    council
        .says(4, "this seat has signed what the coordinating body says; other seats have to as well rows=1");
    council.says(2, "this seat has not signed the manifest that is asked for: the rows of the coordinating body are not those");
    council.says(1, r#"{"report":"unstated","is_seat":true,"since_s":0}"#);
    council.says(2, r#"{"report":"unstated","is_seat":true,"since_s":1"#);
    assert!(council.is_asked(), "two are not enough");
    assert_eq!((council.stated(), given.load(Ordering::Relaxed)), (None, 0));

    council.sit(5, platform);
    council.says(5, "this seat has signed, and the coordinating body has stated what it says rows=1");
    let stated = wait_for(|| council.stated());
    assert_eq!(stated, Some((1, 3)), "one row, signed by three seats");
    assert!(wait_for(|| (!council.is_asked()).then_some(())).is_some(), "it is asked no more");
}
