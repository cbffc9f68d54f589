//! A party's word kept alive: what it said itself is stated anew whenever the platform asks for it.
//!
//! An act counts for an hour by itself, and for as long as its issuer's manifests list it after that. The platform says what a
//! member's acts come to, or the coordinating body's; what is signed here is only what follows from acts with that party's own
//! signatures, and what no act contradicts that the feed shows. A member's manifest goes in like any act. A seat's signature goes
//! where it was asked for, and the manifest goes in when enough seats have signed.

use std::time::Duration;

use anyhow::Context;
use credence_credit::ActId;
use credence_engine::clock::unix_s;
use credence_feed::State;
use credence_sync::feed::Folder;
use credence_sync::fetch::{Fetched, Fetcher, Place, Refused, Validators};
use credence_sync::hand::{Hand, PROPOSAL_LEN_MAX, Statement};
use credence_sync::outbox::{ANSWER_LEN_MAX, Answer};
use credence_sync::pipe::Report;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use super::outbox::Desk;
use super::report;
use crate::config::Config;

/// How often the platform is asked whether it wants to be told something.
const ASKED_EVERY: Duration = Duration::from_secs(10);
/// A platform's answers to a signature: others are needed as well, and something else is asked for by now.
const GATHERED: u16 = 202;
const OVERTAKEN: u16 = 409;

/// What is in force by the feed, for whoever signs.
pub(super) type InForce = watch::Receiver<Option<State>>;

/// One who signs for a party.
pub(super) struct Agent {
    hand: Hand<Folder>,
    /// Of each platform: where it asks, and where it is answered.
    platforms: Vec<(Place, Place)>,
    /// Whether others have to sign as well.
    is_seat: bool,
    /// What was handed in last, and the rows that were said to be stated last.
    sent: Option<ActId>,
    told: Option<[u8; 32]>,
    /// Since when something is not signed, as the gateway was told.
    unstated_s: Option<u64>,
}

/// All who sign here: for the member that `desk` speaks for, and for a seat. To be called before the process is confined; what stands
/// against one is told and keeps nobody from following.
pub(super) fn open(config: &Config, desk: Option<&Desk>) -> Vec<Agent> {
    let agent = |hand, platforms, is_seat| Agent {
        hand,
        platforms,
        is_seat,
        sent: None,
        told: None,
        unstated_s: None,
    };
    let folder = || {
        let place = super::stated(&config.sync.state);
        Folder::new(&place).with_context(|| format!("{} cannot be made", place.display()))
    };
    let member = desk.map(|desk| {
        let hand = folder().and_then(|folder| desk.hand(folder));
        hand.map(|hand| agent(hand, config.sync.outbox.asking(), false))
            .context("what this member says ends after an hour")
    });
    let seat = config.sync.seat.as_ref().map(|seat| {
        let hand = folder().and_then(|folder| Ok(Hand::of_seat(seat.key()?, folder)?));
        hand.map(|hand| agent(hand, seat.asking(), true)).context("nothing is signed for the seat")
    });
    if desk.is_none() && config.sync.outbox.is_on() {
        tell_unstated(false, unix_s());
    }
    let opened = [(false, member), (true, seat)].into_iter();
    let opened = opened.filter_map(|(is_seat, opened)| {
        opened?
            .inspect_err(|error| {
                warn!("{error:#}");
                tell_unstated(is_seat, unix_s());
            })
            .ok()
    });
    opened.collect()
}

/// Tells the gateway since when a party's word is not kept alive. A gateway that is gone ends this process some other way.
fn tell_unstated(is_seat: bool, since_s: u64) {
    let _ = report(&Report::Unstated { is_seat, since_s });
}

/// Why nothing is stated.
enum Trouble {
    /// No platform answers, or what is in force is not known yet.
    Away,
    /// For this reason.
    Said(String),
}

impl Agent {
    /// Answers for as long as the process lives.
    pub(super) async fn keep(mut self, fetcher: Fetcher, in_force: InForce) {
        let mut said = None;
        loop {
            sleep(ASKED_EVERY).await;
            let state = in_force.borrow().clone();
            let answered = self.answer_one(&fetcher, state.as_ref()).await;
            self.note(answered.is_ok());
            match answered {
                Ok(()) => said = None,
                Err(Trouble::Away) => {}
                Err(Trouble::Said(trouble)) => {
                    // Once, and not every ten seconds.
                    if said.as_ref() != Some(&trouble) {
                        let who = if self.is_seat { "this seat" } else { "this member" };
                        warn!("{who} has not signed the manifest that is asked for: {trouble}");
                    }
                    said = Some(trouble);
                }
            }
        }
    }

    /// Tells the gateway whether all is signed that was asked for, if that is another thing than before.
    fn note(&mut self, is_stated: bool) {
        let since_s = match self.unstated_s {
            _ if is_stated => 0,
            Some(since_s) if since_s > 0 => since_s,
            _ => unix_s(),
        };
        if self.unstated_s.replace(since_s) != Some(since_s) {
            tell_unstated(self.is_seat, since_s);
        }
    }

    /// Answers the first platform that can be reached, once it is known what is in force.
    async fn answer_one(&mut self, fetcher: &Fetcher, state: Option<&State>) -> Result<(), Trouble> {
        let state = state.ok_or(Trouble::Away)?;
        for platform in self.platforms.clone() {
            match self.answer(fetcher, &platform, state).await {
                // The next one may be reached.
                Err(Trouble::Away) => {}
                answered => return answered,
            }
        }
        Err(Trouble::Away)
    }

    /// Answers what one platform asks, if that is not what was answered last.
    async fn answer(
        &mut self,
        fetcher: &Fetcher,
        (asks, answers): &(Place, Place),
        state: &State,
    ) -> Result<(), Trouble> {
        let asked = match fetcher.fetch(asks, PROPOSAL_LEN_MAX, &Validators::default()).await {
            Ok(Fetched::Body { bytes, .. }) => bytes,
            Ok(Fetched::Unchanged) => return Ok(()),
            // Nothing is asked.
            Err(failure) if failure.why == Refused::Absent => return Ok(()),
            Err(_) => return Err(Trouble::Away),
        };
        let told = |trouble: &dyn std::fmt::Display| Trouble::Said(trouble.to_string());
        let statement = self.hand.sign(&asked, state, unix_s()).map_err(|unsigned| told(&unsigned))?;
        if self.sent == Some(statement.id) {
            return Ok(());
        }
        let (status, body) = fetcher
            .post(answers, statement.bytes.clone(), ANSWER_LEN_MAX)
            .await
            .map_err(|_| Trouble::Away)?;
        match (status, Answer::read(status, &body, &statement.id)) {
            (_, Answer::Taken(_)) => self.tell(&statement, true),
            (GATHERED, _) if self.is_seat => self.tell(&statement, false),
            (OVERTAKEN, _) if self.is_seat => {
                return Err(told(&"the platform asks for something else than it has shown here"));
            }
            (_, Answer::Refused(reason)) => {
                return Err(told(&format_args!("the platform has refused it: {}", reason.name())));
            }
            (_, Answer::Later { .. }) => return Err(Trouble::Away),
            (status, Answer::Silence) => {
                return Err(told(&format_args!(
                    "what answers with status {status} there is no platform of this version"
                )));
            }
        }
        self.sent = Some(statement.id);
        Ok(())
    }

    /// Tells what was stated, or signed for others to sign as well, where that says something else than before.
    fn tell(&mut self, statement: &Statement, is_taken: bool) {
        let rows = statement.rows;
        if self.told.replace(statement.digest) == Some(statement.digest) {
            return;
        }
        let told = match (self.is_seat, is_taken) {
            (false, _) => "this member has stated what it says",
            (true, true) => "this seat has signed, and the coordinating body has stated what it says",
            (true, false) => {
                "this seat has signed what the coordinating body says; other seats have to as well"
            }
        };
        info!(rows, "{told}");
    }
}
