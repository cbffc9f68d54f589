//! What issuers could state and what has to travel besides, followed act by act, against all of it found anew each time.

use std::collections::{BTreeMap, BTreeSet};

use credence_credit::{ActId, Authority};
use credence_feed::{Row, Rows, Shard, Stated, UNLISTED_LASTS};
use credence_law::book::Issuers;
use credence_law::party::Party;
use credence_law::{Act, Acts, Book, Law};
use proptest::prelude::*;

use crate::stage::{Publisher, member};

/// Something that happens at a publisher.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A member speaks of one of its sites.
    Alert(u16, u16),
    /// A member takes back one of the alerts so far.
    Lift(u16),
    Decide,
    /// Somebody complains of one of the decisions so far, and is relieved.
    Complain(u16),
    /// Issuers state what has been in force for so many seconds.
    Attest(u64),
    Publish,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1_u16..=5, 0_u16..6).prop_map(|(member, site)| Step::Alert(member, site)),
        3 => any::<u16>().prop_map(Step::Lift),
        2 => Just(Step::Decide),
        2 => any::<u16>().prop_map(Step::Complain),
        3 => prop_oneof![Just(0), Just(600)].prop_map(Step::Attest),
        8 => Just(Step::Publish),
        6 => prop_oneof![1_u64..30, 300_u64..4_000, Just(7 * 86_400)].prop_map(Step::Pass),
    ]
}

/// A publisher with what was said so far, and the rows as they were followed.
struct Followed {
    publisher: Publisher,
    alerts: Vec<(u16, ActId)>,
    decisions: Vec<ActId>,
    rows: Rows,
    /// How often an act had to travel, and how often an issuer had stated everything.
    seen: (usize, usize),
}

impl Followed {
    fn new() -> Self {
        let (alerts, decisions) = (Vec::new(), Vec::new());
        Self { publisher: Publisher::new(), alerts, decisions, rows: Rows::default(), seen: (0, 0) }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Alert(member, site) => self.alerts.push((member, self.publisher.alert(member, site))),
            Step::Lift(which) if !self.alerts.is_empty() => {
                let (member, act) = self.alerts.swap_remove(usize::from(which) % self.alerts.len());
                self.publisher.lift(member, act);
            }
            Step::Decide => self.decisions.push(self.publisher.decide().1),
            Step::Complain(which) if !self.decisions.is_empty() => {
                let act = self.decisions.swap_remove(usize::from(which) % self.decisions.len());
                let state = self.publisher.desk.book().state(&act, self.publisher.now);
                if state.is_some_and(credence_law::State::is_in_force) {
                    self.publisher.complain(act);
                }
            }
            Step::Attest(waits) => drop(self.publisher.attest(waits)),
            Step::Publish => drop(self.publisher.publish()),
            Step::Pass(seconds) => self.publisher.now += seconds,
            Step::Lift(_) | Step::Complain(_) => {}
        }
    }

    fn check(&mut self) {
        let (desk, now) = (&self.publisher.desk, self.publisher.now);
        let (book, law) = (desk.book(), desk.law().unwrap());
        let parties = (1..=5).map(member).chain([Party::Body]);
        let stated = parties.filter_map(|party| Some((party, self.publisher.feed.stated(party)?.1)));
        let stated: Stated<'_> = stated.collect();
        self.rows.follow(book, law, &stated, now).unwrap();
        let (all, silent) = (rows(book, law, now), Shard::default());
        for (party, issuer) in self.rows.issuers() {
            let followed: Vec<Row> = issuer.now().in_order();
            let anew = all.get(&party).cloned().unwrap_or_default();
            assert_eq!(followed, anew, "{party}");
            let before = stated.get(&party).copied().unwrap_or(&silent);
            let changes = before.changes_to(&Shard::new(&anew).unwrap());
            assert_eq!(issuer.new_rows(), changes.put.len(), "{party}");
            let is_stated = changes.put.is_empty() && changes.gone.is_empty();
            assert_eq!(issuer.is_stated(), is_stated, "{party}");
            self.seen.1 += usize::from(is_stated && !issuer.is_silent());
        }
        assert!(all.keys().all(|party| self.rows.issuers().any(|(known, _)| known == *party)));
        let loose = self.rows.loose(book, now);
        assert_eq!(loose, travelling(book, law, &stated, now));
        assert_eq!(self.rows.loose(book, now), loose, "asking changes nothing");
        self.seen.0 += loose.len();
    }
}

/// The rows of each issuer, from all acts.
fn rows(book: &Book, law: &Law, at: u64) -> BTreeMap<Party, Vec<Row>> {
    let issuers = Issuers::of(law.register());
    let parties: BTreeMap<_, _> =
        (1..=5).map(member).chain([Party::Body]).map(|party| (issuers.id(party), party)).collect();
    let mut rows: BTreeMap<Party, Vec<Row>> = BTreeMap::new();
    for record in book.records(law, at).1 {
        rows.entry(parties[&record.issuer]).or_default().extend(Row::of(&record));
    }
    rows
}

/// The acts that have to travel by themselves, from all acts.
fn travelling(book: &Book, law: &Law, stated: &Stated<'_>, at: u64) -> BTreeSet<ActId> {
    let rows = rows(book, law, at);
    let now = |party: &Party, key| rows.get(party)?.iter().find(|row| row.key() == key).cloned();
    let mut wanted = BTreeSet::new();
    for accepted in book.acts() {
        let (id, act) = (&accepted.id, &accepted.act);
        let authority = match act {
            Act::OwnAlert(_) => Authority::OwnAlert,
            Act::Decision(_) => Authority::Decision,
            _ => continue,
        };
        let party = act.issuer();
        let key = (act.subject().unwrap().prefix, authority);
        let listed = stated.get(&party).and_then(|shard| shard.row(key));
        let (speaks, is_listed) =
            (now(&party, key), listed.as_ref().is_some_and(|row| row.act == id.short()));
        let is_said = speaks.as_ref().is_some_and(|row| row.act == id.short()) || is_listed;
        let is_new = at < act.preamble().issued + UNLISTED_LASTS;
        let is_over = speaks.is_none() && listed.as_ref().is_some_and(|row| row.expires <= at);
        if speaks != listed && is_said && (is_listed || is_new) && !is_over {
            wanted.insert(*id);
        }
    }
    // With all that they rest on, and all that was said of them; what was said of an act that is over changes nothing.
    let is_live = |id: &ActId| book.act(id).is_some_and(|act| at < act.preamble().expires);
    wanted.retain(is_live);
    loop {
        let mut more = BTreeSet::new();
        for accepted in book.acts() {
            let is_said_of = |id: &ActId| accepted.act.cites().contains(id) && !makes_more(&accepted.act);
            if wanted.contains(&accepted.id) {
                more.extend(accepted.act.cites());
            } else if wanted.iter().any(is_said_of) {
                more.insert(accepted.id);
            }
        }
        more.retain(|id| book.act(id).is_some_and(is_public) && is_live(id));
        if more.is_subset(&wanted) {
            return wanted;
        }
        wanted.extend(more);
    }
}

const fn is_public(act: &Act) -> bool {
    !matches!(act, Act::Report(_) | Act::Complaint(_))
}

/// Whether an act that names another says something of its own, and leaves the other as it is.
const fn makes_more(act: &Act) -> bool {
    !matches!(act, Act::Correction(_) | Act::Lifting(_) | Act::Relief(_) | Act::Outcome(_) | Act::Vote(_))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn what_is_followed_is_what_is_found_anew(steps in proptest::collection::vec((step(), any::<bool>()), 10..60)) {
        let mut followed = Followed::new();
        for (step, is_looked_at) in steps {
            followed.step(step);
            if is_looked_at {
                followed.check();
            }
        }
        followed.check();
    }
}

/// A history in which everything happens, so that the property is about something.
#[test]
fn acts_travel_until_they_are_stated() {
    let mut followed = Followed::new();
    for step in [Step::Alert(1, 1), Step::Decide, Step::Publish, Step::Attest(0), Step::Publish] {
        followed.step(step);
        followed.check();
    }
    assert_eq!(
        followed.seen,
        (1 + 3 + 3 + 3, 2),
        "an alert, and a decision with its opinion, until all is stated"
    );
    followed.step(Step::Complain(0));
    followed.check();
    assert_eq!(followed.seen.0, 10 + 3, "the decision that is listed, its opinion, and the relief");
}

/// The row that is stated is over, another decision speaks of the same source, and the relief from the first one lasts for longer.
#[test]
fn what_was_said_of_an_act_that_is_over_travels_no_more() {
    let mut followed = Followed::new();
    let week = Step::Pass(7 * 86_400);
    for step in [Step::Decide, Step::Attest(0), Step::Publish] {
        followed.step(step);
    }
    let first = followed.decisions[0];
    let (_, relief) = followed.publisher.complain(first);
    for step in [week, Step::Decide, Step::Complain(1), week, Step::Alert(3, 1)] {
        followed.step(step);
        followed.check();
    }
    let (book, now) = (followed.publisher.desk.book(), followed.publisher.now);
    let expires = |id: &ActId| book.act(id).unwrap().preamble().expires;
    assert!(expires(&first) <= now && now < expires(&relief));
    assert_eq!(followed.rows.loose(book, now).len(), 1, "the alert alone");
}
