//! What can be told to a run, and what of it is under way: updates of credit, an emergency, requests at the door.

use std::mem;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use credence_credit::{Cache, Guards, Keeper};
use credence_engine::clock::unix_s;
use credence_sync::pipe::{Order, Report};
use tracing::{error, info, warn};

use super::carrier::Carrier;
use super::door::{Answer, Asked, Request};
use super::emergency::Emergency;
use super::following::Follower;
use crate::config::{Config, OnFail};
use crate::moment::utc;
use crate::serve::status::Status;

/// What can be told to a run.
pub(super) struct Controls {
    status: Arc<Status>,
    guards: Guards,
    /// The credit in force.
    keeper: Keeper,
    carrier: Option<Carrier>,
    emergency: Emergency,
    /// Where requests arrive.
    door: Option<Receiver<Asked>>,
    /// The process that fetches, where there is something to fetch.
    follower: Option<Follower>,
    /// Alerts that it is to hear of.
    alerts: Option<Receiver<String>>,
    /// An update of credit that waits for the operator.
    held: Option<Keeper>,
    /// Whether the kernel goes on with the records that it has when there are none any more: where snapshots are configured and
    /// `enforce.on_failure.data_absent` is `static`.
    keeps_last: bool,
    /// The records that it goes on with, when it does.
    last: Option<Keeper>,
}

impl Controls {
    /// The controls of the engine of `status`, which runs with `config`; `alarm` is what its lines look at.
    pub(super) fn new(
        config: &Config,
        (guards, keeper): (Guards, Keeper),
        status: Arc<Status>,
        alarm: Arc<AtomicBool>,
        carrier: Option<Carrier>,
        door: Option<Receiver<Asked>>,
    ) -> Self {
        let longest = Duration::from_secs(config.emergency.longest_s.into());
        let emergency = Emergency::new(alarm, status.state(), longest);
        let is_static = config.enforce.on_failure.data_absent == OnFail::Static;
        let keeps_last = is_static && !config.credit.snapshots.is_empty();
        Self {
            status,
            guards,
            keeper,
            carrier,
            emergency,
            door,
            follower: None,
            alerts: None,
            held: None,
            keeps_last,
            last: None,
        }
    }

    /// Heeds what `follower` reports from now on, and lets it hear of `alerts`.
    pub(super) fn following(self, follower: Option<Follower>, alerts: Receiver<String>) -> Self {
        Self { follower, alerts: Some(alerts), ..self }
    }

    /// The guards by which credit is judged.
    pub(super) const fn guards(&self) -> &Guards {
        &self.guards
    }

    /// Does what is due at `now`, a time since the start, and answers the requests that came.
    pub(super) fn look(&mut self, now: Duration) {
        self.tend();
        self.emergency.observe(now, self.carrier.as_ref());
        while let Some(report) = self.follower.as_ref().and_then(Follower::report) {
            self.heed(report);
        }
        if let (Some(follower), Some(alerts)) = (&mut self.follower, &self.alerts) {
            for line in alerts.try_iter() {
                // What the pipe has no room for is counted there.
                follower.order(&Order::Alert { line });
            }
        }
        while let Some(asked) = self.door.as_ref().and_then(|door| door.try_recv().ok()) {
            let answer = self.answer(asked.request, now);
            // Whoever asked may have left.
            let _ = asked.answer.send(answer);
        }
    }

    /// Takes in what the process that fetches has to tell.
    fn heed(&mut self, report: Report) {
        match report {
            Report::Outbox(posted) => self.status.followed().post(posted),
            Report::Started { count } => self.status.followed().starts.store(count, Ordering::Relaxed),
            _ => {}
        }
    }

    /// Keeps what the kernel has in step with the clock, and frees what nobody reads any more.
    fn tend(&mut self) {
        let in_kernel = self.last.as_mut().unwrap_or(&mut self.keeper);
        if let Some(carrier) = &mut self.carrier {
            carrier.follow_clock(in_kernel);
            if in_kernel.waits() {
                carrier.settle();
            }
        }
        if in_kernel.waits() {
            in_kernel.reclaim();
        }
    }

    /// Takes an update of credit: it takes effect, or waits for the operator.
    pub(super) fn update(&mut self, next: Keeper) {
        self.hold(None);
        match self.holds(next.cache()) {
            None => {
                self.apply(next);
            }
            Some(why) => {
                warn!("the credit snapshots wait for `credence control accept`, the old ones stay: {why}");
                self.hold(Some(next));
            }
        }
    }

    /// Notes that a reload came to nothing.
    pub(super) fn failed(&self) {
        self.status.state().reload_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Why an update waits for the operator, if it does. Where nothing is enforced, nobody would be hit.
    fn holds(&self, cache: &Cache) -> Option<String> {
        let carrier = self.carrier.as_ref()?;
        let holds = carrier.holds(self.keeper.cache(), cache);
        let why: Vec<String> = holds.iter().map(ToString::to_string).collect();
        (!why.is_empty()).then(|| why.join("; "))
    }

    /// Lets an update wait, or none, and returns the one that waited.
    fn hold(&mut self, update: Option<Keeper>) -> Option<Keeper> {
        self.status.state().update_held.store(update.is_some(), Ordering::Relaxed);
        mem::replace(&mut self.held, update)
    }

    /// Puts an update in force, in the kernel first; whether it is.
    fn apply(&mut self, mut next: Keeper) -> bool {
        if self.keeps_last && next.cache().is_empty() {
            warn!("no record of credit is left; the kernel goes on with those it has, each to its own end");
            let before = mem::replace(&mut self.keeper, next);
            self.last.get_or_insert(before);
            self.keeper.publish();
            return true;
        }
        let before = self.keeper.cache().len();
        if let Some(changed) = self.change(&next) {
            let records = self.keeper.cache().len();
            info!(before, records, changed, "credit snapshots were read again, and changed in place");
            return true;
        }
        if let Some(carrier) = &mut self.carrier
            && let Err(fault) = carrier.publish(&mut next)
        {
            self.failed();
            error!("the credit snapshots were not taken over, the old ones stay: {fault}");
            return false;
        }
        (self.keeper, self.last) = (next, None);
        self.keeper.publish();
        info!(before, records = self.keeper.cache().len(), "credit snapshots were read again");
        true
    }

    /// Makes the credit in force say what `next` does, change by change where that is little; how many changes that took, if it
    /// was done.
    fn change(&mut self, next: &Keeper) -> Option<usize> {
        let is_following = self.carrier.as_ref().is_none_or(Carrier::is_following);
        if self.last.is_some() || !is_following {
            return None;
        }
        let changes = self.keeper.changes_to(next)?;
        let count = changes.len();
        let made = match &mut self.carrier {
            Some(carrier) => carrier.change(&mut self.keeper, changes, next),
            None => self.keeper.apply(changes, &mut ()).map_err(Into::into),
        };
        made.inspect_err(|fault| warn!("credit is put in force whole: {fault}")).ok().map(|()| count)
    }

    fn answer(&mut self, request: Request, now: Duration) -> Answer {
        match request {
            Request::Status => Answer::done(self.how_things_stand(now)),
            Request::Emergency { seconds } => {
                let lasts = Duration::from_secs(seconds);
                match self.emergency.declare(lasts, now, self.carrier.as_ref()) {
                    Ok(text) => Answer::done(text),
                    Err(text) => Answer::refused(text),
                }
            }
            Request::Calm if self.emergency.end(self.carrier.as_ref()) => {
                Answer::done("the usual policy is in force")
            }
            Request::Calm => Answer::refused("there is no emergency"),
            Request::Accept => match self.hold(None).map(|update| self.apply(update)) {
                Some(true) => Answer::done("the update is in force"),
                Some(false) => Answer::refused("the update could not be taken over; the log says why"),
                None => Answer::refused("no update waits"),
            },
            Request::Explain { address } => Answer::done(self.explain(address)),
            Request::Discard => match self.hold(None) {
                Some(_) => Answer::done("the update is forgotten; what was in force stays"),
                None => Answer::refused("no update waits"),
            },
        }
    }

    /// What is in force for an address, and how often the kernel acted on it.
    fn explain(&self, address: Ipv6Addr) -> String {
        let cache = self.last.as_ref().unwrap_or(&self.keeper).cache();
        let ruling = cache.effective(address.to_bits(), unix_s()).ruling;
        let Some(number) = ruling else { return format!("{address}: no record rules it") };
        let record = cache.record(number);
        let (measure, prefix) = (cache.entry(number).allowed().name(), record.prefix);
        let (issuer, expires) = (cache.issuer(record.issuer), utc(record.expires));
        let done = match self.carrier.as_ref().map(|carrier| carrier.hits(number)) {
            None => "nothing is enforced here".to_owned(),
            Some(None) => "nftables does not count by record".to_owned(),
            Some(Some(hits)) => format!("the kernel acted on {hits} packets by it since it was put in force"),
        };
        format!(
            "{address}: {measure} by the record of {prefix} from {}, until {expires}; {done}",
            issuer.name()
        )
    }

    fn how_things_stand(&self, now: Duration) -> String {
        let ready = if self.status.is_ready() { "ready" } else { "not ready" };
        let records = self.keeper.cache().len();
        let held = if self.held.is_some() { "an update of credit waits" } else { "no update waits" };
        let emergency = self
            .emergency
            .left(now)
            .map_or("no emergency".to_owned(), |left| format!("emergency for another {} s", left.as_secs()));
        let kernel =
            self.carrier.as_ref().map_or("nothing is enforced".to_owned(), |carrier| carrier.kernel().told());
        format!("{ready}; {records} records of credit; {held}; {emergency}; {kernel}")
    }
}
