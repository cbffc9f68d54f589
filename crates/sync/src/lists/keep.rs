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
}

impl Lists {
    /// Keeps copies on `shelf` of what `fetcher` gets.
    pub fn new(fetcher: Fetcher, shelf: Shelf, machine: Machine) -> Self {
        Self { fetcher, shelf, machine, begun: Instant::now() }
    }

    /// Where copies are kept.
    pub const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// What a start finds: how fresh each list is, and what still waits to be taken.
    pub fn found(&self, plans: &[Plan]) -> Vec<Report> {
        let of = |plan: &Plan| {
            let (source, notes) = (plan.name.clone(), self.shelf.notes(&plan.name));
            let known = Report::Known { source: source.clone(), checked_s: notes.checked_s };
            let offered = |serial| Report::Offered { source, serial, was_held: serial == notes.held };
            let offered = self.shelf.offer(&plan.name).map(offered);
            [Some(known), offered]
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
        if let Err(error) = done {
            warn!("the copy {serial} of the list {source} is not where it belongs: {error}");
        }
    }

    /// Asks one place; what there is to tell of it, and why it failed if it did.
    async fn ask(&self, plan: &Plan, place: usize) -> (Vec<Report>, Option<Failure>) {
        let source = plan.name.clone();
        match self.attempt(plan, place).await {
            Ok(offered) => {
                let checked = Report::Checked {
                    source: source.clone(),
                    at_s: (self.machine.unix_s)(),
                    is_new: offered.is_some(),
                };
                let offered = offered.map(|serial| Report::Offered { source, serial, was_held: false });
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use credence_credit::import::ListFormat;
    use credence_credit::{Issuer, Measure, Score};

    use super::*;
    use crate::fetch::{Patience, Place};

    thread_local! {
        /// The wall clock of a test, all of which runs on its thread.
        static NOW_S: Cell<u64> = const { Cell::new(1_800_000_000) };
    }

    /// A list of this many sites.
    fn body(sites: u16) -> String {
        (0..sites).map(|site| format!("2a00:{site:x}::/32\n")).collect()
    }

    /// The list `list` at a server that does `meanwhile` while it is asked, and answers by what it was asked.
    fn plan(
        answer: impl Fn(usize, &str) -> String + Send + 'static,
        meanwhile: impl Fn(usize) + Send + 'static,
    ) -> Plan {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (mut stream, mut request, mut byte) = (stream.unwrap(), Vec::new(), [0]);
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    request.push(byte[0]);
                }
                meanwhile(number);
                stream.write_all(answer(number, &String::from_utf8(request).unwrap()).as_bytes()).unwrap();
            }
        });
        Plan {
            name: "list".to_owned(),
            places: vec![Place::parse(&place, false).unwrap()],
            form: ListFormat::Cidr,
            score: Score::WORST,
            measure: Measure::Drop,
            issuer: Issuer::new("list").unwrap(),
            refresh: Duration::from_secs(60),
            lifetime: Duration::from_secs(1_000),
            bytes_max: 1 << 20,
        }
    }

    fn ok(tag: &str, body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\n{tag}Content-Length: {}\r\n\r\n{body}", body.len())
    }

    fn lists(shelf: &Shelf) -> Lists {
        let machine = Machine { unix_s: || NOW_S.get(), chance: || 0 };
        Lists::new(Fetcher::new(Patience::default()).unwrap(), shelf.clone(), machine)
    }

    fn run<T>(of: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(of)
    }

    /// The number of the copy that was offered in a round, none where nothing had changed.
    async fn round(lists: &Lists, plan: &Plan) -> Option<u64> {
        match lists.once(plan).await.as_slice() {
            [Report::Checked { is_new: false, .. }] => None,
            [Report::Checked { is_new: true, .. }, Report::Offered { serial, was_held: false, .. }] => {
                Some(*serial)
            }
            reports => panic!("{reports:?}"),
        }
    }

    #[test]
    fn a_list_is_asked_for_whole_again_when_half_of_its_life_is_over() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(directory.path().to_owned());
        let answer = |_, request: &str| match request.contains("if-none-match") {
            true => "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(),
            false => ok("ETag: \"1\"\r\n", &body(3)),
        };
        let plan = plan(answer, |_| {});
        run(async {
            let lists = lists(&shelf);
            assert_eq!(round(&lists, &plan).await, Some(1));
            assert_eq!(round(&lists, &plan).await, None);
            let ends = |number| shelf.last("list", number).unwrap().records()[0].expires;
            let (begun, first) = (NOW_S.get(), ends(1));
            NOW_S.set(begun + 499);
            assert_eq!(round(&lists, &plan).await, None);
            NOW_S.set(begun + 500);
            assert_eq!(round(&lists, &plan).await, Some(2));
            assert_eq!(ends(2), first + 500);
            assert_eq!(shelf.notes("list").checked_s, begun + 500);
        });
    }

    #[test]
    fn a_server_without_validators_is_no_reason_to_offer_the_same_again() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(directory.path().to_owned());
        let plan = plan(|number, _| ok("", &body(if number < 2 { 3 } else { 4 })), |_| {});
        run(async {
            let lists = lists(&shelf);
            assert_eq!(round(&lists, &plan).await, Some(1));
            assert_eq!(round(&lists, &plan).await, None);
            assert_eq!(round(&lists, &plan).await, Some(2));
        });
    }

    #[test]
    fn what_the_gateway_has_noted_while_a_server_was_asked_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(directory.path().to_owned());
        let noted = shelf.clone();
        let hold = move |number| {
            if number == 1 {
                assert!(noted.hold("list", 1).unwrap());
            }
        };
        let plan = plan(|_, _| ok("", &body(3)), hold);
        run(async {
            let lists = lists(&shelf);
            assert_eq!(round(&lists, &plan).await, Some(1));
            assert_eq!(round(&lists, &plan).await, None);
            assert_eq!(shelf.notes("list").held, 1);
            let held = Report::Offered { source: "list".to_owned(), serial: 1, was_held: true };
            assert_eq!(lists.found(std::slice::from_ref(&plan))[1], held);
        });
    }

    #[test]
    fn a_copy_that_is_refused_leaves_the_one_before_and_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(directory.path().to_owned());
        let plan = plan(|number, _| ok("", if number == 0 { "2a00::/32\n" } else { "<html>" }), |_| {});
        run(async {
            let lists = lists(&shelf);
            assert_eq!(round(&lists, &plan).await, Some(1));
            let before = shelf.notes("list");
            let refused = Report::Refused { source: "list".to_owned(), place: 0, why: Refused::Page };
            assert_eq!(lists.once(&plan).await, [refused]);
            assert_eq!((shelf.notes("list"), shelf.offer("list")), (before, Some(1)));
        });
    }
}
