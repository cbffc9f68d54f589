//! How soon what members decide is what happens to packets: one decision, complaint and outcome after the other, with the platform's
//! doorbell and without it.

use std::env;
use std::net::{Ipv6Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use credence_credit::ActId;
use credence_platform::example::VISITORS;
use credence_prefix::Prefix;

use super::fed::{Alliance, VISITOR};
use super::live::Site;
use super::network::{CLIENT, Client, GATEWAY, between, ip, now};
use super::traffic::{Arrivals, SLACK, send_for};

/// What is promised with a doorbell.
const PROMISED: Duration = Duration::from_secs(1);
/// How long nobody asks without one, which is what is promised then, and that with more time.
const ASKED_EACH: Duration = Duration::from_secs(1);
const ASKED_EACH_AT_LENGTH: Duration = Duration::from_secs(3);
/// How many times each, and how many when there is time.
const TURNS: usize = 10;
const TURNS_AT_LENGTH: usize = 100;
/// How long the client sends at most.
const SENT_FOR: Duration = Duration::from_secs(900);
/// New flows of others, of which those that a decision hits have to be a small share for it to need no operator.
const OTHERS_EVERY: Duration = Duration::from_millis(8);
/// What a relieved source may send, in kbit/s: a tenth of what it does.
const RELIEVED: u32 = 64;

/// The client: datagrams from a visitor, and new flows from its own address all the time.
fn send() {
    ip(&format!("addr replace {VISITOR}/128 dev lan nodad"));
    thread::spawn(|| {
        loop {
            let socket = UdpSocket::bind(format!("[{CLIENT}]:0")).unwrap();
            // A refusal is none of this one's.
            let _ = socket.send_to(b"other", format!("[{GATEWAY}]:9"));
            thread::sleep(OTHERS_EVERY);
        }
    });
    // The first flows are others'.
    thread::sleep(Duration::from_secs(4));
    send_for(&[VISITOR], SENT_FOR);
}

/// How long each of a kind of steps took, in the order in which they were made.
#[derive(Default)]
struct Took([Vec<Duration>; 3]);

/// What the steps are.
const STEPS: [&str; 3] = ["decision to drop", "relief upon a complaint", "complaint that was won"];

impl Took {
    /// Says what it came to, and holds the longest to what is promised.
    fn judge(mut self, how: &str, promised: Duration) {
        for (step, took) in STEPS.iter().zip(&mut self.0) {
            took.sort();
            let at = |share: usize| took[(took.len() * share).div_ceil(100) - 1];
            let (half, most, max) = (at(50), at(99), at(100));
            println!("{step}, {how}: {} times, p50 {half:?}, p99 {most:?}, at most {max:?}", took.len());
            assert!(max < promised * SLACK, "{step}, {how}: {took:?}");
        }
    }
}

/// A platform and a gateway, with what arrives behind that.
struct Story {
    alliance: Alliance,
    arrivals: Arrivals,
    took: Took,
}

impl Story {
    /// One decision, the complaint about it, and its outcome; each from when the platform has it on disk to the first packet that meets
    /// it.
    fn turn(&mut self) {
        let began = now();
        let act = self.alliance.decide(Prefix::containing(VISITORS.first(), 48));
        let decided = now();
        let last = self.arrivals.last(VISITOR, began);
        self.took.0[0].push(last.saturating_duration_since(decided));

        let began = now();
        let complaint = self.alliance.complain(act, VISITOR.parse::<Ipv6Addr>().unwrap());
        let complained = now();
        let first = self.arrivals.first(VISITOR, began);
        self.took.0[1].push(first.saturating_duration_since(complained));

        // What a limiter has saved up is spent once something is missing.
        self.arrivals.misses(VISITOR, first);
        let upheld = self.uphold(complaint, act);
        let steady = self.arrivals.steady(VISITOR, upheld);
        self.took.0[2].push(steady.saturating_duration_since(upheld));
    }

    fn uphold(&mut self, complaint: ActId, act: ActId) -> Instant {
        self.alliance.submit(|parties, now| parties.uphold(complaint, act, now));
        now()
    }
}

fn told(client: &Client, has_bell: bool) {
    let at_length = env::var_os("CREDENCE_AT_LENGTH").is_some_and(|value| value == "1");
    let asked_each = if at_length { ASKED_EACH_AT_LENGTH } else { ASKED_EACH };
    ip(&format!("route replace {VISITOR}/128 dev wan"));
    let alliance = Alliance::start();
    let followed = if has_bell { alliance.followed() } else { alliance.followed_without_bell(asked_each) };
    let enforced = format!("[enforce]\nmode = \"on\"\nlisted_kbit_per_s = {RELIEVED}\n");
    let site = Site::new(&format!("{enforced}{followed}"));
    let mut running = site.start();
    let asked = "credence_sync_last_success_timestamp_seconds{source=\"feed\"}";
    running.metrics_when(|numbers| numbers.get(asked).is_some_and(|at_s| *at_s > 0));
    let arrivals = Arrivals::noted();
    let _playing = client.begin();
    arrivals.steady(VISITOR, now());
    let mut story = Story { alliance, arrivals, took: Took::default() };
    for _ in 0..if at_length { TURNS_AT_LENGTH } else { TURNS } {
        story.turn();
    }
    let (how, promised) = if has_bell {
        ("by the doorbell".to_owned(), PROMISED)
    } else {
        (format!("asked each {} s", asked_each.as_secs()), asked_each)
    };
    story.took.judge(&how, promised);
    running.signal("TERM");
    running.end().expect(0);
}

#[test]
fn a_doorbell_brings_each_decision_and_each_correction_to_the_wire_within_a_second_at_length() {
    between(
        "gateway::soon::a_doorbell_brings_each_decision_and_each_correction_to_the_wire_within_a_second_at_length",
        |client| told(client, true),
        send,
    );
}

#[test]
fn without_a_doorbell_each_comes_with_the_next_question_at_length() {
    between(
        "gateway::soon::without_a_doorbell_each_comes_with_the_next_question_at_length",
        |client| told(client, false),
        send,
    );
}
