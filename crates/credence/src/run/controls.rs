//! What can be told to a run, and what of it is under way: updates of credit, an emergency, requests at the door.

mod credit;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use credence_credit::{Guards, Keeper};
use credence_enforce::Met;
use credence_engine::clock::unix_s;
use credence_sync::pipe::Order;

use self::credit::Offers;
use super::accounts::Accounts;
use super::carrier::Carrier;
use super::door::{Answer, Asked, Request};
use super::emergency::Emergency;
use super::exceptions::Watched;
use super::following::Follower;
use crate::config::{Config, OnFail};
use crate::moment::utc;
use crate::serve::status::Status;
use crate::sources::{Part, Sources, Update};

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
    /// What the credit in force is made of.
    sources: Sources,
    /// The operator's exceptions, where there are any.
    exceptions: Option<Watched>,
    /// Copies of lists that wait to be looked at.
    offers: Offers,
    /// What the kernel has done, where others are told of it.
    accounts: Option<Accounts>,
    /// Updates of credit that wait for the operator, and why.
    held: BTreeMap<Part, (Update, String)>,
    /// Whether the kernel goes on with the records that it has when there are none any more and no feed has said so: where snapshots
    /// are configured and `enforce.on_failure.data_absent` is `static`.
    keeps_last: bool,
    /// The records that it goes on with, when it does.
    last: Option<Keeper>,
}

impl Controls {
    /// The controls of the engine of `status`, which runs with `config`; `alarm` is what its lines look at.
    pub(super) fn new(
        config: &Config,
        (guards, sources, keeper): (Guards, Sources, Keeper),
        status: Arc<Status>,
        alarm: Arc<AtomicBool>,
        carrier: Option<Carrier>,
        door: Option<Receiver<Asked>>,
    ) -> Self {
        let longest = Duration::from_secs(config.emergency.longest_s.into());
        let emergency = Emergency::new(alarm, status.state(), longest);
        let is_static = config.enforce.on_failure.data_absent == OnFail::Static;
        let keeps_last = is_static && config.has_credit();
        let mut this = Self {
            status,
            guards,
            keeper,
            carrier,
            emergency,
            door,
            follower: None,
            alerts: None,
            sources,
            exceptions: Watched::of(config),
            offers: Offers::default(),
            accounts: Accounts::of(config.sync.outbox.accounts_s(), config.enforce.carries_out()),
            held: BTreeMap::new(),
            keeps_last,
            last: None,
        };
        this.sources.forget_files();
        this
    }

    /// Heeds what `follower` reports from now on, and lets it hear of `alerts`.
    pub(super) fn following(self, follower: Option<Follower>, alerts: Receiver<String>) -> Self {
        Self { follower, alerts: Some(alerts), ..self }
    }

    /// Does what is due at `now`, a time since the start, and answers the requests that came.
    pub(super) fn look(&mut self, now: Duration) {
        self.tend();
        self.emergency.observe(now, self.carrier.as_ref());
        self.look_at_exceptions(now, false);
        while let Some(report) = self.follower.as_ref().and_then(Follower::report) {
            self.heed(report);
        }
        self.look_at_offers(now);
        if let (Some(follower), Some(alerts)) = (&mut self.follower, &self.alerts) {
            for line in alerts.try_iter() {
                // What the pipe has no room for is counted there.
                follower.order(&Order::Alert { line });
            }
        }
        self.account(now);
        while let Some(asked) = self.door.as_ref().and_then(|door| door.try_recv().ok()) {
            let answer = self.answer(asked.request, now);
            // Whoever asked may have left.
            let _ = asked.answer.send(answer);
        }
    }

    /// Tells the follower what it was not told yet, once nothing new can come, and waits until it has that on disk.
    pub(super) fn end(&mut self) {
        if let Some(carrier) = &mut self.carrier {
            carrier.leave();
        }
        let Some(follower) = self.follower.take() else { return };
        let mut last: Vec<_> =
            self.alerts.iter().flat_map(Receiver::try_iter).map(|line| Order::Alert { line }).collect();
        if let (Some(accounts), Some(carrier)) = (&mut self.accounts, &self.carrier) {
            let in_kernel = self.last.as_ref().unwrap_or(&self.keeper).cache();
            last.extend(accounts.end(carrier, in_kernel).map(Order::Applied));
        }
        follower.end(&last);
    }

    /// Keeps what the kernel has on its interfaces and in step with the clock, and frees what nobody reads any more.
    fn tend(&mut self) {
        let in_kernel = self.last.as_mut().unwrap_or(&mut self.keeper);
        if let Some(carrier) = &mut self.carrier {
            carrier.follow_interfaces();
            if carrier.follow_clock(in_kernel)
                && let Some(accounts) = &mut self.accounts
            {
                accounts.exchanged(carrier, in_kernel.cache());
            }
            if in_kernel.waits() {
                carrier.settle();
            }
        }
        if in_kernel.waits() {
            in_kernel.reclaim();
        }
    }

    /// Tells the follower what the kernel has done, where that is due.
    fn account(&mut self, now: Duration) {
        let in_kernel = self.last.as_ref().unwrap_or(&self.keeper).cache();
        if let (Some(accounts), Some(carrier), Some(follower)) =
            (&mut self.accounts, &self.carrier, &mut self.follower)
        {
            accounts.look(now, carrier, in_kernel, follower);
        }
    }

    /// Notes that a reload came to nothing.
    pub(super) fn failed(&self) {
        self.status.state().reload_failures.fetch_add(1, Ordering::Relaxed);
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
            Request::Accept | Request::Discard if self.held.is_empty() => Answer::refused("no update waits"),
            Request::Accept if self.accept() => Answer::done("the update is in force"),
            Request::Accept => Answer::refused("the update could not be taken over; the log says why"),
            Request::Discard => {
                self.discard();
                Answer::done("the update is forgotten; what was in force stays")
            }
            Request::Explain { address } => Answer::done(self.explain(address)),
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
        let done = match self.carrier.as_ref().map(|carrier| carrier.met(number)) {
            None => "nothing is enforced here".to_owned(),
            Some(None) => "nftables does not count by record".to_owned(),
            Some(Some(Met { packets, .. })) => {
                format!("the kernel acted on {packets} packets by it since it was put in force")
            }
        };
        format!(
            "{address}: {measure} by the record of {prefix} from {}, until {expires}; {done}",
            issuer.name()
        )
    }

    fn how_things_stand(&self, now: Duration) -> String {
        let ready = if self.status.is_ready() { "ready" } else { "not ready" };
        let records = self.keeper.cache().len();
        let why: Vec<&str> = self.held.values().map(|(_, why)| why.as_str()).collect();
        let held = match why.as_slice() {
            [] => "no update waits".to_owned(),
            why => format!("an update of credit waits: {}", why.join("; ")),
        };
        let emergency = self
            .emergency
            .left(now)
            .map_or("no emergency".to_owned(), |left| format!("emergency for another {} s", left.as_secs()));
        let kernel =
            self.carrier.as_ref().map_or("nothing is enforced".to_owned(), |carrier| carrier.kernel().told());
        format!("{ready}; {records} records of credit; {held}; {emergency}; {kernel}")
    }
}
