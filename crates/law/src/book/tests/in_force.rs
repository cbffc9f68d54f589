//! What is in force, followed act by act, against all acts looked at each time.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::acts::{Block, Erased, Erasure, Vote};
use crate::book::{Changed, InForce, Voice};
use crate::party::{KeyId, MemberId};
use crate::world::{block, law};
use credence_credit::{Authority, Record};

/// How many acts a history has at most, by numbers: so few that they meet, and that some name what only comes later.
const ACTS: u8 = 24;

/// What an act does to acts of these numbers.
#[derive(Clone, Copy, Debug)]
enum Does {
    Alert,
    Decide,
    Propose(u8),
    Vote(u8, Ballot),
    Correct(u8),
    Lift(u8),
    Complain(u8),
    Relieve(u8, u8),
    Rule(u8, u8, Option<Ruling>),
    Erase(u8),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// An act of a number is entered: by a member, about a site, dated so many seconds ahead or back, lasting so long.
    Enter { number: u8, does: Does, by: u16, site: u8, measure: Measure, issued: i64, lasts: u64 },
    /// Time passes.
    Pass(u64),
    /// A member leaves and some keys are revoked, or all are members and nothing is revoked any more.
    Leaves(Option<u16>),
    /// A clock is set back.
    Back(u64),
}

fn does() -> impl Strategy<Value = Does> {
    let any = 0..ACTS;
    let ballot = select(&[Ballot::Yes, Ballot::Yes, Ballot::Yes, Ballot::Abstain, Ballot::No][..]);
    let ruling = select(&[None, Some(Ruling::Upheld), Some(Ruling::Settled), Some(Ruling::Rejected)][..]);
    prop_oneof![
        4 => Just(Does::Alert),
        4 => Just(Does::Decide),
        3 => any.clone().prop_map(Does::Propose),
        6 => (any.clone(), ballot).prop_map(|(proposal, ballot)| Does::Vote(proposal, ballot)),
        2 => any.clone().prop_map(Does::Correct),
        3 => any.clone().prop_map(Does::Lift),
        3 => any.clone().prop_map(Does::Complain),
        2 => (any.clone(), any.clone()).prop_map(|(complaint, act)| Does::Relieve(complaint, act)),
        2 => (any.clone(), any.clone(), ruling).prop_map(|(complaint, act, ruling)| Does::Rule(complaint, act, ruling)),
        1 => any.prop_map(Does::Erase),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let measures = select(&[Measure::Observe, Measure::RateLimit, Measure::Drop, Measure::Drop][..]);
    let lasts = select(&[5, 40, 200, 100_000][..]);
    let enter = (0..ACTS, does(), 1..=MEMBERS, 0_u8..3, measures, -20_i64..20, lasts).prop_map(
        |(number, does, by, site, measure, issued, lasts)| Step::Enter {
            number,
            does,
            by,
            site,
            measure,
            issued,
            lasts,
        },
    );
    prop_oneof![
        24 => enter,
        5 => (1_u64..30).prop_map(Step::Pass),
        1 => (1_u64..300).prop_map(Step::Pass),
        1 => proptest::option::of(1..=MEMBERS).prop_map(Step::Leaves),
        1 => (1_u64..30).prop_map(Step::Back),
    ]
}

/// Identities that begin alike in pairs, as somebody could find them.
fn id(number: u8) -> ActId {
    let mut id = [0; 32];
    (id[0], id[31]) = (number / 2, number);
    ActId(id)
}

/// The key that has signed the act of a number.
const fn key(number: u8) -> KeyId {
    KeyId([number; 16])
}

fn act(does: Does, by: u16, site: u8, measure: Measure) -> Act {
    let subject: Block = block(&format!("2a00:4:{site}::/48"));
    let of_body = relief(Party::Body);
    match does {
        Does::Alert => {
            let mut alert = own_alert();
            (alert.preamble.issuer, alert.claim.subject, alert.measure) = (member(by), subject, measure);
            alert.into()
        }
        Does::Decide => {
            let mut decided = decision(&mut Known::default(), &[1, 2], rated(100));
            (decided.claim.subject, decided.measure) = (subject, measure);
            decided.into()
        }
        Does::Propose(decision) => {
            let mut proposed = proposal(&mut Known::default());
            (proposed.decision, proposed.subject, proposed.measure) = (id(decision), subject, measure);
            proposed.into()
        }
        Does::Vote(proposal, ballot) => {
            Vote { proposal: id(proposal), ..vote(by, id(proposal), ballot) }.into()
        }
        Does::Correct(act) => {
            Correction { preamble: of_body, corrects: id(act), ground: Ground::Error, replacement: None }
                .into()
        }
        Does::Lift(act) => Lifting { preamble: of_body, lifts: id(act), ground: Ground::Remedied }.into(),
        Does::Complain(against) => complaint(id(against)).into(),
        Does::Relieve(complaint, act) => {
            Relief { preamble: relief(Party::Executive), complaint: id(complaint), act: id(act) }.into()
        }
        Does::Rule(complaint, act, ruling) => outcome((id(complaint), id(act)), ruling).into(),
        Does::Erase(act) => {
            let preamble = preamble(Party::Operator, Purpose::Account);
            Erasure { preamble, acts: vec![id(act)], ground: Erased::Retention }.into()
        }
    }
}

/// A book, what is in force in it as it was followed, and what was said of it last.
struct Followed {
    law: Law,
    book: Book,
    now: u64,
    in_force: InForce,
    said: BTreeMap<Voice, Record>,
    /// How often not everything was found anew, and how often something had changed then.
    spared: (usize, usize),
}

impl Followed {
    fn new() -> Self {
        let (book, now) = (Book::default(), NOW);
        let (in_force, said) = (InForce::default(), BTreeMap::new());
        Self { law: law(), book, now, in_force, said, spared: (0, 0) }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Enter { number, does, by, site, measure, issued, lasts } => {
                let mut act = act(does, by, site, measure);
                let issued = self.now.saturating_add_signed(issued);
                let preamble = act.preamble_mut();
                (preamble.issued, preamble.expires) = (issued, issued + lasts);
                if let Act::Proposal(proposal) = &mut act {
                    proposal.closes = issued + lasts / 2;
                }
                // What is signed with a key that is revoked enters no book.
                if self.law.register().is_revoked(key(number)) {
                    return;
                }
                let keys = vec![key(number)];
                self.book.enter(Accepted { id: id(number), act, signatures: 1, keys, at: self.now });
            }
            Step::Pass(seconds) => self.now += seconds,
            Step::Back(seconds) => self.now -= seconds,
            Step::Leaves(who) => {
                let mut registry = registry();
                registry.version = self.law.register().registry().version + 1;
                registry.members.retain(|member| Some(member.id) != who.map(MemberId));
                registry.revoked = who.into_iter().flat_map(|who| (0..who as u8 * 2).map(key)).collect();
                let register = Register::new(registry.clone()).unwrap();
                self.law.registers.insert(registry.version, register);
            }
        }
    }

    /// Everything that is said, found anew: by looking at all acts.
    fn all(&self) -> BTreeMap<Voice, Record> {
        let issuers = Issuers::of(self.law.register());
        let parties = (1..=MEMBERS).map(member).chain([Party::Body]);
        let places: BTreeMap<_, _> = parties
            .filter(|party| Issuers::is_one(self.law.register(), *party))
            .map(|party| (issuers.id(party), party))
            .collect();
        let (_, records) = self.book.records(&self.law, self.now);
        records
            .into_iter()
            .map(|record| ((places[&record.issuer], record.prefix, record.authority), record))
            .collect()
    }

    fn check(&mut self) {
        let changed = self.in_force.follow(&self.book, &self.law, self.now);
        let (all, issuers) = (self.all(), Issuers::of(self.law.register()));
        let record = |voice: Voice| Some((voice, self.in_force.record(&self.book, &issuers, &voice)?));
        let followed: BTreeMap<_, _> = self.in_force.voices().filter_map(record).collect();
        assert_eq!(followed, all);
        assert_eq!(self.in_force.voices().count(), all.len(), "a voice that says nothing is none");
        if let Changed::Voices(voices) = changed {
            let both: BTreeSet<_> = all.keys().chain(self.said.keys()).copied().collect();
            let differ: BTreeSet<_> =
                both.into_iter().filter(|voice| all.get(voice) != self.said.get(voice)).collect();
            assert_eq!(voices, differ);
            self.spared = (self.spared.0 + 1, self.spared.1 + voices.len());
        }
        let restricting: BTreeSet<_> = all
            .values()
            .filter(|record| record.authority == Authority::Restriction)
            .map(|record| record.act)
            .collect();
        let told: BTreeSet<_> = self.in_force.restrictions(&self.book).map(|id| Some(id.short())).collect();
        assert_eq!(told, restricting);
        self.said = all;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) })]

    /// Whatever is entered in whatever order, legal or not, and however time passes.
    #[test]
    fn what_is_followed_is_what_is_found_anew(steps in proptest::collection::vec((step(), any::<bool>()), 1..60)) {
        let mut followed = Followed::new();
        followed.check();
        for (step, is_looked_at) in steps {
            followed.step(step);
            if is_looked_at {
                followed.check();
            }
        }
        followed.check();
    }
}

/// The same, with what the property does not reach: more restrictions than there may be.
#[test]
fn restrictions_beyond_the_most_wait_for_those_before_them() {
    let mut followed = Followed::new();
    let most = crate::check::RESTRICTIONS_MAX;
    let enter = |followed: &mut Followed, number: usize, act: Act| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let mut act = act;
        (act.preamble_mut().issued, act.preamble_mut().expires) = (followed.now, followed.now + 10 * DAY);
        followed.book.enter(Accepted {
            id: ActId(id),
            act,
            signatures: 1,
            keys: Vec::new(),
            at: followed.now,
        });
        ActId(id)
    };
    let subject = |number: usize| block(&format!("2a00:4:{number:x}::/48"));
    let mut proposed = Vec::new();
    for number in 0..most + 2 {
        let mut decided = decision(&mut Known::default(), &[1, 2], rated(100));
        decided.claim.subject = subject(number);
        let decided = enter(&mut followed, 10 * number, decided.into());
        let mut restriction = proposal(&mut Known::default());
        (restriction.decision, restriction.subject) = (decided, subject(number));
        proposed.push(enter(&mut followed, 10 * number + 1, restriction.into()));
        for by in 1..=MEMBERS {
            enter(
                &mut followed,
                10 * number + 1 + usize::from(by),
                vote(by, proposed[number], Ballot::Yes).into(),
            );
        }
    }
    followed.check();
    assert_eq!(followed.in_force.restrictions(&followed.book).count(), most);
    let lifting = |id| Lifting { preamble: relief(Party::Body), lifts: id, ground: Ground::Error };
    enter(&mut followed, 1_000_000, lifting(proposed[3]).into());
    followed.check();
    assert_eq!(followed.in_force.restrictions(&followed.book).count(), most, "the next one is heard");
    assert_eq!(followed.spared, (1, 2), "one went and one came");
}

/// Whoever votes last may date that before the one who is against it, by as much as clocks may differ. It is agreed on at no moment.
#[test]
fn a_vote_against_counts_however_the_last_one_is_dated() {
    let (law, mut book) = (law(), Book::default());
    let mut enter = |number: u8, act: Act| {
        let accepted = Accepted { id: id(number), act, signatures: 1, keys: Vec::new(), at: NOW };
        book.enter(accepted);
        id(number)
    };
    let mut decided = decision(&mut Known::default(), &[1, 2], rated(100));
    decided.claim.subject = block("2a00:4:2::/48");
    let mut proposed = proposal(&mut Known::default());
    proposed.decision = enter(0, decided.into());
    let closes = proposed.closes;
    let proposed = enter(1, proposed.into());
    for by in 1..=MEMBERS {
        let mut cast = vote(by, proposed, if by == 2 { Ballot::No } else { Ballot::Yes });
        cast.preamble.issued = if by == MEMBERS { NOW - 100 } else { NOW };
        enter(1 + by as u8, cast.into());
    }
    for now in [NOW - 100, NOW - 1, NOW, NOW + 1, closes, closes + 1] {
        assert_eq!(book.restrictions(&law, now), [], "{now}");
    }
}
