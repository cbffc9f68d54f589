//! The circle: an act on the alert platform becomes a verdict on the line, is complained about, and is taken back.
//!
//! The platform runs in this process as it does by itself, with its rules, its log and its portal, in an example world. What its
//! members say is staged; what becomes of it is not: every act passes the platform's checks, the records go from its journal into
//! the cache that the engine is reading, and a step counts as seen when the line has judged a packet by it.

mod circle;
mod embedded;
mod live;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use credence_credit::{ActId, Measure, Published, Score};
use credence_engine::clock::unix_ns;
use credence_engine::{Event, Recorder};
use credence_platform::example::CAMPUS;
use credence_prefix::Prefix;
use credence_score::Verdict;

pub(super) use self::circle::Circle;
use self::circle::{Reached, Step, Subject};
use self::embedded::Embedded;
use self::live::Live;
use super::{Scene, TICK};
use crate::outputs::tell;

/// The network that the circle is about: a visitor of the customer's web server, who does nothing but read pages, and whose site
/// a member of the example world holds.
const SUBJECT: Prefix = Prefix::containing(0x3fff_0200_0001 << 80, 48);
/// The visitor.
const VISITOR: Ipv6Addr = Ipv6Addr::new(0x3fff, 0x200, 1, 1, 0x0200, 0x5eff, 0xfe00, 1);
/// The members who report it.
const REPORTERS: [u16; 2] = [1, 2];
/// What its holder says of it from the beginning: to be observed.
const BEFORE: (Measure, u16) = (Measure::Observe, 480);
/// The score by the decision.
const DECIDED: u16 = 120;
/// How many parts of the tour's time pass between two acts, at most [`REST_MAX`]: the circle is closed by its middle.
const RESTS: u32 = 20;
/// The longest time between two acts: long enough to read a line.
const REST_MAX: Duration = Duration::from_secs(1);

/// What the line said of a flow of the subject.
struct Sighting {
    /// Time of the packet, Unix nanoseconds.
    ts_ns: u64,
    verdict: Verdict,
}

/// The tour was over before the circle was closed.
#[derive(Debug, thiserror::Error)]
#[error("the tour is over")]
struct Ended;

/// A circle that can be shown.
pub(super) struct Tour {
    platform: Embedded,
    live: Live,
    portal: String,
    heard: (Sender<Sighting>, Receiver<Sighting>),
}

impl Tour {
    /// Makes the example world with its platform, and publishes in `credit` what its acts come to at `now` (Unix seconds); none on
    /// a host that has no room for it, which is said.
    pub(super) fn open(credit: &Published, now: u64) -> Option<Self> {
        Self::try_open(credit, now)
            .inspect_err(|fault| tell(format_args!("the alert platform is left out: {fault:#}")))
            .ok()
    }

    fn try_open(credit: &Published, now: u64) -> anyhow::Result<Self> {
        let mut platform = Embedded::start()?;
        let score = Score::new(BEFORE.1)?;
        platform.submit(|parties, now| parties.alert(CAMPUS, SUBJECT, (BEFORE.0, score), now))?;
        let live = Live::publish(credit, &platform, now)?;
        let portal = format!("http://{}/", platform.address());
        Ok(Self { platform, live, portal, heard: channel() })
    }

    /// Says what happens beside the table, and where it counts.
    pub(super) fn introduce(&self) {
        tell(format_args!(
            "beside it the alert platform runs with an example world: {SUBJECT}, whence a visitor comes, is reported, dropped, heard \
             and corrected. Records of example worlds count nowhere but in this tour"
        ));
        tell(format_args!("the portal is on {}, where {SUBJECT} can be looked up", self.portal));
    }

    /// A recorder that lets this tour hear what the line says of its subject.
    pub(super) fn listen(&self, recorder: Recorder) -> Recorder {
        let heard = self.heard.0.clone();
        recorder.heard_by(Box::new(move |event: &Event| {
            if SUBJECT.contains(event.key.src) {
                // A tour that is over has stopped listening.
                let _ = heard.send(Sighting { ts_ns: event.ts_ns, verdict: event.assessment.verdict });
            }
        }))
    }

    /// Lets the circle happen while the line works, and says so step by step. One that is not closed in time ends where it is.
    ///
    /// # Errors
    /// When the platform takes back what it stands for.
    pub(super) fn show(self, scene: &Scene<'_>, say: &Sender<String>) -> anyhow::Result<Circle> {
        let subject = Subject { prefix: SUBJECT.to_string(), alerts: BTreeMap::new() };
        let circle = Circle { circle: Vec::new(), subject, portal: self.portal.clone() };
        let mut showing = Showing { tour: self, scene, say, circle };
        match showing.story().and_then(|()| showing.stay()) {
            Err(fault) if !fault.is::<Ended>() => Err(fault),
            _ => Ok(showing.circle),
        }
    }
}

/// A circle that is being shown.
struct Showing<'s> {
    tour: Tour,
    scene: &'s Scene<'s>,
    say: &'s Sender<String>,
    circle: Circle,
}

impl Showing<'_> {
    fn story(&mut self) -> anyhow::Result<()> {
        let act = self.decide()?;
        let published = self.publish()?;
        self.reach(Step::Published, None, "the decision's record is in the cache that the engine reads");
        self.see(Step::Enforced, published, "by the decision", |verdict| verdict == Verdict::Drop)?;
        self.rest()?;
        let complaint = self.tour.platform.complain(act, VISITOR)?;
        let text = format!(
            "whoever answers from inside the network objects to act {} (complaint {})",
            brief(act),
            brief(complaint)
        );
        self.reach(Step::Complained, None, &text);
        let published = self.publish()?;
        let why = "while the complaint is heard";
        self.see(Step::Relieved, published, why, |verdict| verdict == Verdict::RateLimit)?;
        self.rest()?;
        let outcome = self.tour.platform.submit(|parties, now| parties.uphold(complaint, act, now))?;
        let text = format!("the coordinating body finds the complaint right (act {})", brief(outcome));
        self.reach(Step::Corrected, None, &text);
        let published = self.publish()?;
        let why = "as before: only its holder's own alert speaks of it";
        self.see(Step::Lifted, published, why, |verdict| verdict < Verdict::RateLimit)
    }

    /// Two reports, an opinion, and the decision that rests on them.
    fn decide(&mut self) -> anyhow::Result<ActId> {
        self.rest()?;
        let platform = &mut self.tour.platform;
        let mut reports = Vec::with_capacity(REPORTERS.len());
        for member in REPORTERS {
            let report = platform.submit(|parties, now| parties.report(member, SUBJECT, now))?;
            reports.push((report, member));
        }
        let named: Vec<_> =
            reports.iter().map(|(report, member)| format!("{} by member {member}", brief(*report))).collect();
        let text = format!(
            "{SUBJECT}, which member {CAMPUS} holds, for attacks on passwords ({}); nothing follows yet",
            named.join(", ")
        );
        self.reach(Step::Reported, None, &text);
        self.rest()?;
        let platform = &mut self.tour.platform;
        let opinion = platform.submit(|parties, now| parties.opinion(&reports, now))?;
        let score = Score::new(DECIDED)?;
        let cited = (&reports[..], opinion);
        let act = platform.submit(|parties, now| parties.decision(SUBJECT, score, cited, now))?;
        let text = format!(
            "three of five seats, after the advisers' opinion {}, to drop what comes from there (act {})",
            brief(opinion),
            brief(act)
        );
        self.reach(Step::Decided, None, &text);
        Ok(act)
    }

    /// Brings the platform's records of now into the cache that the engine reads. Returns when that was done, in Unix nanoseconds.
    ///
    /// The law, the cache and the packets have one clock: the capture is played at its own pace with the times of now.
    fn publish(&mut self) -> anyhow::Result<u64> {
        self.tour.live.follow(&self.tour.platform)?;
        Ok(unix_ns())
    }

    /// Waits until the line has given such a verdict to a packet that came after `since` (Unix nanoseconds).
    fn see(
        &mut self,
        step: Step,
        since: u64,
        why: &str,
        wanted: impl Fn(Verdict) -> bool,
    ) -> anyhow::Result<()> {
        loop {
            let Some(sighting) = self.hear(TICK)? else { continue };
            if sighting.ts_ns >= since && wanted(sighting.verdict) {
                let text =
                    format!("a packet from {SUBJECT} has the verdict {}, {why}", sighting.verdict.name());
                self.reach(step, Some(sighting.ts_ns), &text);
                return Ok(());
            }
        }
    }

    /// Keeps the portal open until the tour is over.
    fn stay(&mut self) -> anyhow::Result<()> {
        loop {
            self.hear(TICK)?;
        }
    }

    /// Lets some time pass.
    fn rest(&mut self) -> anyhow::Result<()> {
        let until = self.scene.clock.elapsed() + REST_MAX.min(self.scene.length / RESTS);
        loop {
            let left = until.saturating_sub(self.scene.clock.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            self.hear(left.min(TICK))?;
        }
    }

    /// What the line says of the subject next, if it says anything in so much time.
    fn hear(&mut self, time: Duration) -> anyhow::Result<Option<Sighting>> {
        if self.scene.stop.load(Ordering::Relaxed) {
            return Err(Ended.into());
        }
        match self.tour.heard.1.recv_timeout(time) {
            Ok(sighting) => {
                *self.circle.subject.alerts.entry(sighting.verdict.name()).or_default() += 1;
                Ok(Some(sighting))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Ended.into()),
        }
    }

    /// Notes a step, reached now or at the time of a packet, in Unix nanoseconds. Packets are heard of up to a second later.
    fn reach(&mut self, step: Step, at_ns: Option<u64>, text: &str) {
        let ago = at_ns.map_or(0, |at_ns| unix_ns().saturating_sub(at_ns));
        let at = self.scene.clock.elapsed().saturating_sub(Duration::from_nanos(ago));
        let last = self.circle.circle.last().map_or(0, |reached| reached.at_ms);
        // Packets have the system's clock, which may be set meanwhile; steps follow each other all the same.
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX).max(last);
        self.circle.circle.push(Reached { step: step.name(), at_ms });
        // Nobody hears it when the tour is over.
        let _ = self.say.send(format!("{:>5.1} s   {}: {text}", at_ms as f64 / 1e3, step.name()));
    }
}

/// An act's identity, as far as one reads it.
fn brief(act: ActId) -> String {
    format!("{:.8}", act.to_string())
}
