//! Fetching lists for as long as somebody listens: the thin shell around schedule, judge and shelf.

use std::sync::Arc;

use credence_credit::Snapshot;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::schedule::{Chance, Moment, Schedule, may_stay};
use super::shelf::{Notes, Shelf};
use super::{Plan, judge};
use crate::fetch::{Failure, Fetched, Fetcher, Refused, Validators};
use crate::pipe::{Order, Report};
use crate::tried::Tried;

/// What happens to a follower.
#[derive(Debug)]
pub enum Event {
    /// The gateway wants something.
    Order(Order),
    /// There is something to tell it.
    Report(Report),
    /// Nobody gives orders any more.
    End,
}

/// What the machine is asked for: the time and chance.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Unix seconds.
    pub unix_s: fn() -> u64,
    /// Any number, each time another.
    pub chance: fn() -> u32,
}

/// Lists that are kept.
#[derive(Clone, Debug)]
pub struct Lists {
    fetcher: Fetcher,
    shelf: Shelf,
    machine: Machine,
    begun: Instant,
    gateway: Option<u64>,
}

impl Lists {
    /// Keeps copies on `shelf` of what `fetcher` gets.
    pub fn new(fetcher: Fetcher, shelf: Shelf, machine: Machine) -> Self {
        Self { fetcher, shelf, machine, begun: Instant::now(), gateway: None }
    }

    /// The same for the gateway of this number, which no other has: what two others have ended of is not offered to it.
    #[must_use]
    pub const fn of_gateway(mut self, gateway: u64) -> Self {
        self.gateway = Some(gateway);
        self
    }

    /// Where copies are kept.
    pub const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// What a start finds: how fresh each list is, and what still waits to be taken.
    pub fn found(&self, plans: &[Plan]) -> Vec<Report> {
        let of = |plan: &Plan| {
            let (source, notes) = (plan.name.clone(), self.shelf.notes(&plan.name));
            let known = Report::Known { source, checked_s: notes.checked_s };
            [Some(known), self.shelf.offer(&plan.name).map(|serial| self.offer(&plan.name, serial))]
        };
        plans.iter().flat_map(of).flatten().collect()
    }

    /// Asks for `plan`'s list whenever it is due, and tells `events` what came of it, until nobody listens.
    pub async fn keep(self, plan: Arc<Plan>, events: Sender<Event>) {
        let checked_s = Some(self.shelf.notes(&plan.name).checked_s).filter(|checked_s| *checked_s > 0);
        let places = plan.places.len();
        let mut schedule = Schedule::new(plan.refresh, places, checked_s, self.now(), self.chance());
        loop {
            sleep_until(self.begun + schedule.due()).await;
            let (reports, failure) = self.ask(&plan, schedule.place()).await;
            match failure {
                None => schedule.succeeded(self.now(), self.chance()),
                Some(failure) => schedule.failed(failure.rest, self.now(), self.chance()),
            }
            for report in reports {
                if events.send(Event::Report(report)).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Asks each place for `plan`'s list, until one gives it.
    pub async fn once(&self, plan: &Plan) -> Vec<Report> {
        let mut reports = Vec::new();
        for place in 0..plan.places.len() {
            let (report, failure) = self.ask(plan, place).await;
            reports.extend(report);
            if failure.is_none() {
                break;
            }
        }
        reports
    }

    /// Does what the gateway wants done about a copy.
    pub fn heed(&self, order: &Order) {
        let (source, serial, done) = match order {
            Order::Take { source, serial } => (source, *serial, self.shelf.take(source, *serial)),
            Order::Hold { source, serial } => (source, *serial, self.shelf.hold(source, *serial)),
            Order::Leave { source, serial } => (source, *serial, self.shelf.leave(source, *serial)),
            // That is not about a list.
            Order::Alert { .. } | Order::Applied(_) => return,
        };
        // Whoever answers lives.
        let is_of = |tried: &Tried| tried.offered == offered(serial);
        let answered = match self.shelf.tried(source) {
            Some(tried) if is_of(&tried) => self.shelf.answered(source),
            _ => Ok(()),
        };
        if let Err(error) = done.and(answered) {
            warn!("the copy {serial} of the list {source} is not where it belongs: {error}");
        }
    }

    /// What the gateway is told of the copy of a list that lies there for it: that it is offered, or that it is not, since others may have
    /// ended of it. That it is offered stands on the disk before it is.
    fn offer(&self, source: &str, serial: u64) -> Report {
        let refused = |why| Report::Refused { source: source.to_owned(), place: 0, why };
        if let Some(gateway) = self.gateway {
            let (before, now) = (self.shelf.tried(source), (self.machine.unix_s)());
            let (before, offered) = (before.as_ref(), offered(serial));
            if !Tried::bears(before, &offered, gateway, now) {
                let why = Refused::Quarantined;
                warn!(
                    "the copy {serial} of the list {source} is not offered to the gateway: {why}; what was in force stays"
                );
                return refused(why);
            }
            if let Err(error) = self.shelf.tries(source, &Tried::next(before, offered, gateway, now)) {
                warn!(
                    "it cannot be written down that the list {source} is offered: {error}; it is offered later"
                );
                return refused(Refused::Unkept);
            }
        }
        let was_held = serial == self.shelf.notes(source).held;
        Report::Offered { source: source.to_owned(), serial, was_held }
    }

    /// The copy of a list that lies there, was not offered to the gateway, and can be by now.
    fn withheld(&self, source: &str) -> Option<u64> {
        let (gateway, serial, tried) = (self.gateway?, self.shelf.offer(source)?, self.shelf.tried(source));
        let is_told = tried.as_ref().map_or_else(
            || self.shelf.notes(source).held == serial,
            |tried| tried.gateway == gateway && tried.offered == offered(serial),
        );
        let bears = || Tried::bears(tried.as_ref(), &offered(serial), gateway, (self.machine.unix_s)());
        (!is_told && bears()).then_some(serial)
    }

    /// Asks one place; what there is to tell of it, and why it failed if it did.
    async fn ask(&self, plan: &Plan, place: usize) -> (Vec<Report>, Option<Failure>) {
        let source = plan.name.clone();
        match self.attempt(plan, place).await {
            Ok(new) => {
                let checked =
                    Report::Checked { source, at_s: (self.machine.unix_s)(), is_new: new.is_some() };
                let offered = new.or_else(|| self.withheld(&plan.name));
                let offered = offered.map(|serial| self.offer(&plan.name, serial));
                ([Some(checked), offered].into_iter().flatten().collect(), None)
            }
            Err(failure) => {
                warn!("the list {source} is not taken from {}: {}", plan.places[place].shown(), failure.why);
                (vec![Report::Refused { source, place, why: failure.why }], Some(failure))
            }
        }
    }

    /// Fetches, judges and shelves; the number of the new copy, if there is one.
    async fn attempt(&self, plan: &Plan, place: usize) -> Result<Option<u64>, Failure> {
        let (name, before) = (&plan.name, self.shelf.notes(&plan.name));
        let may_stay = may_stay(before.created_s, plan.lifetime, (self.machine.unix_s)());
        let known = if may_stay { before.validators.clone() } else { Validators::default() };
        let fetched = self.fetcher.fetch(&plan.places[place], plan.bytes_max, &known).await?;
        let now_s = (self.machine.unix_s)();
        let unkept = |error: std::io::Error| {
            warn!("the list {name} cannot be kept: {error}");
            Refused::Unkept
        };
        let Fetched::Body { bytes, validators } = fetched else {
            // Read again: the gateway may have had something noted meanwhile.
            let notes = Notes { checked_s: now_s, ..self.shelf.notes(name) };
            self.shelf.note(name, &notes).map_err(unkept)?;
            return Ok(None);
        };
        let serial = before.serial + 1;
        let snapshot = judge::judge(&bytes, plan, serial, now_s)?;
        // A publisher without validators sends the same again and again.
        let is_same = |last: &Snapshot| judge::is_same(last, &snapshot, plan.lifetime);
        if may_stay && self.shelf.last(name, before.serial).as_ref().is_some_and(is_same) {
            self.shelf
                .note(name, &Notes { checked_s: now_s, validators, ..self.shelf.notes(name) })
                .map_err(unkept)?;
            return Ok(None);
        }
        let notes = Notes { serial, created_s: now_s, checked_s: now_s, held: 0, validators };
        self.shelf.put(name, &snapshot, &notes).map_err(unkept)?;
        info!(records = snapshot.records().len(), "the list {name} came from {}", plan.places[place].shown());
        Ok(Some(serial))
    }

    fn now(&self) -> Moment {
        Moment { elapsed: self.begun.elapsed(), unix_s: (self.machine.unix_s)() }
    }

    fn chance(&self) -> Chance {
        Chance((self.machine.chance)())
    }
}

/// The copy of a list of this number, as [`Tried`] names it.
fn offered(serial: u64) -> [u8; 32] {
    let mut name = [0; 32];
    name[24..].copy_from_slice(&serial.to_be_bytes());
    name
}

#[cfg(test)]
mod tests;
