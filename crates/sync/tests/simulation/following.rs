//! Gateways follow: their rounds, what they make of what is offered, and what is checked then.

use std::ops::ControlFlow;

use credence_credit::Header;
use credence_sync::feed::{Offer, Told};

use crate::checks::{self, Checked};
use crate::dice::Dice;
use crate::gateway::Looked;
use crate::model::Known;
use crate::platform::unix;
use crate::world::{CALM_ROUNDS, Event, MINUTE, SECOND, Simulation, Way};

impl Simulation {
    /// The next round of a gateway is due when its own timers say so.
    pub(crate) fn awaits(&mut self, id: usize) {
        let gateway = &self.gateways[id];
        if let Some(due_ms) = gateway.due_ms() {
            self.at(due_ms, Event::Poll(id, gateway.life));
        }
    }

    pub(crate) fn ring(&mut self, id: usize, life: u64) {
        let random = self.dice.next();
        if self.gateways[id].life == life {
            self.gateways[id].ring(self.now_ms, random);
            self.awaits(id);
        }
    }

    pub(crate) fn poll(&mut self, id: usize, life: u64) {
        let gateway = &mut self.gateways[id];
        let is_due = gateway.due_ms().is_some_and(|due_ms| due_ms <= self.now_ms);
        if gateway.life != life || gateway.is_busy || !is_due {
            return;
        }
        gateway.is_busy = true;
        let slow = !self.is_calm && self.dice.happens(50);
        let takes = if slow { self.dice.within(SECOND, 30 * SECOND) } else { self.dice.within(20, 500) };
        self.at(self.now_ms + takes, Event::Over(id, life, self.now_ms));
    }

    /// A round is over that began then: what was asked for in it was answered in between.
    pub(crate) fn over(&mut self, id: usize, life: u64, began_ms: u64) -> Checked {
        if self.gateways[id].life != life {
            return Ok(());
        }
        self.gateways[id].is_busy = false;
        let Some((mut round, server)) = self.gateways[id].begin(began_ms) else { return Ok(()) };
        let (mut asks, takes) = (0, self.now_ms - began_ms);
        let asked = loop {
            asks += 1;
            let at_ms = began_ms + takes * asks / (asks + 4);
            let way = Way { is_parted: self.parted[id][server], is_calm: self.is_calm, at_ms };
            let mood = server.checked_sub(1).map(|mirror| self.moods[mirror]);
            let answered = way.answer(&self.platform, mood, round.ask(), &mut self.dice);
            match round.answer(answered) {
                ControlFlow::Continue(next) => round = next,
                ControlFlow::Break(asked) => break asked,
            }
        };
        let why = asked.doubt().map(|doubt| format!("{doubt:?}"));
        let random = self.dice.next();
        let Some(told) = self.gateways[id].end(asked, self.now_ms, random) else { return Ok(()) };
        let newest = self.gateways[id].rounds.as_ref().map(|rounds| rounds.follower().trusted().version());
        match &told {
            Ok(Told::Fresh(_)) => self.note("fresh", format_args!("{id} {newest:?}")),
            Ok(Told::New(offer)) => self.note("new", format_args!("{id} {newest:?} {}", offer.serial)),
            Ok(Told::Refused(place, refused)) => {
                let word = format!("refused_{refused:?}");
                self.note(&word, format_args!("{id} {place} {why:?}"));
            }
            Err(error) => self.note("unkept", format_args!("{id} {error}")),
        }
        if let (Ok(Told::Fresh(_) | Told::New(_)), Some(newest)) = (&told, newest)
            && let Some(place) = self.versions.get(&newest)
        {
            checks::fresh(&self.gateways[id], self.platform.history[*place].at_ms, began_ms)?;
        }
        checks::monotone(&mut self.gateways[id])?;
        if self.gateways[id].drive.has_stopped() {
            self.stop(id, "stopped_writing");
            return Ok(());
        }
        if let Ok(Told::New(offer)) = told {
            let soon = self.dice.within(1, 400);
            self.at(self.now_ms + soon, Event::Look(id, life, offer));
        }
        self.awaits(id);
        let from = self.dice.below(1_000) as usize;
        checks::moment(&self.gateways[id], self.now_ms, (from, 4))?;
        self.calm_round(id, began_ms)
    }

    pub(crate) fn look(&mut self, id: usize, life: u64, offer: Offer) -> Checked {
        if self.gateways[id].life != life {
            return Ok(());
        }
        let forged = self.forged();
        let looked = self.gateways[id].look(offer, self.now_ms, forged);
        self.looked(id, looked)
    }

    /// What follows from a look at what was offered.
    pub(crate) fn looked(&mut self, id: usize, looked: Looked) -> Checked {
        let life = self.gateways[id].life;
        match looked {
            Looked::Applied(before) => {
                let gateway = &mut self.gateways[id];
                let header = gateway.header.unwrap();
                if let Some(rounds) = &mut gateway.rounds
                    && rounds.taken(header.serial).is_err()
                {
                    *self.met.entry("untaken".to_owned()).or_default() += 1;
                }
                let known = self.known(header);
                self.note("applied", format_args!("{id} {} {}", header.session, header.serial));
                let (gateway, seen) = (&self.gateways[id], &self.seen[id]);
                checks::update(gateway, (&self.model, known), (&before, seen), self.now_ms)?;
                checks::moment(gateway, self.now_ms, (0, usize::MAX))?;
            }
            Looked::Held => {
                self.note("held", format_args!("{id}"));
                if let Some(rounds) = &mut self.gateways[id].rounds {
                    // Where that cannot be written down, the operator is asked once more after the next start, or not.
                    let _ = rounds.waits();
                }
                let thinks = if self.is_calm { 1 } else { self.dice.wait(30 * MINUTE) };
                self.at(self.now_ms + thinks, Event::Operator(id, life));
            }
            Looked::Passed => self.note("passed", format_args!("{id}")),
        }
        if self.gateways[id].drive.has_stopped() {
            self.stop(id, "stopped_writing");
        }
        Ok(())
    }

    /// What was known when a version was put out; nothing where it never was.
    pub(crate) fn known(&self, header: Header) -> Known {
        let place = self.versions.get(&(header.session, header.serial));
        place.map_or((0, 0), |place| {
            let one = &self.platform.history[*place];
            (one.log_size, unix(one.at_ms))
        })
    }

    pub(crate) fn operator(&mut self, id: usize, life: u64) -> Checked {
        if self.gateways[id].life != life || self.gateways[id].waits.is_none() {
            return Ok(());
        }
        if !self.is_calm && self.dice.happens(250) {
            self.gateways[id].waits = None;
            self.note("discarded", format_args!("{id}"));
            return Ok(());
        }
        self.note("accepted", format_args!("{id}"));
        let looked = self.gateways[id].accept();
        self.looked(id, looked)
    }

    /// Flows pass, from sites of all members.
    pub(crate) fn flows(&mut self, id: usize) {
        self.at(self.now_ms + 2 * MINUTE, Event::Flows(id));
        let source = |dice: &mut Dice| {
            let prefix = crate::cast::site(1 + dice.below(10) as u16, dice.below(40), 64);
            prefix.first() | u128::from(dice.below(1 << 40))
        };
        let sources: Vec<u128> = (0..50).map(|_| source(&mut self.dice)).collect();
        if self.gateways[id].rounds.is_some() {
            self.gateways[id].saw(&sources, self.now_ms);
            self.seen[id].saw(&sources, self.now_ms);
        }
    }

    /// When all is calm a gateway is at the newest after three rounds, and says what everybody has said.
    pub(crate) fn calm_round(&mut self, id: usize, began_ms: u64) -> Checked {
        if !self.is_calm {
            return Ok(());
        }
        let gateway = &mut self.gateways[id];
        gateway.calm_rounds += 1;
        let newest = self.platform.history.iter().rfind(|one| one.at_ms + 2 * SECOND < began_ms);
        let root = newest.map_or([0; 32], |newest| newest.root);
        let later = self.platform.history.iter().filter(|one| one.at_ms + 2 * SECOND >= began_ms);
        let is_later = gateway
            .rounds
            .as_ref()
            .and_then(|rounds| rounds.follower().held())
            .is_some_and(|held| later.into_iter().any(|one| one.root == held.state.root()));
        if gateway.calm_rounds == CALM_ROUNDS && !is_later {
            checks::alive(gateway, root, CALM_ROUNDS)?;
        }
        if gateway.calm_rounds > CALM_ROUNDS && gateway.waits.is_none() {
            let header = gateway.header.unwrap_or_default();
            checks::equal(&self.gateways[id], (&self.model, self.known(header)), self.now_ms)?;
        }
        Ok(())
    }
}
