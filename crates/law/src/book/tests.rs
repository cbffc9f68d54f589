mod cast;
mod hostile;
mod in_force;
mod lives;

use credence_credit::guard::Guards;
use credence_credit::{Cache, Header, Measure, Rating, Snapshot};

use super::*;
use crate::acts::{Ballot, Claim, Correction, Ground, Lifting, Outcome, Purpose, Relief, Ruling, Stage};
use crate::refusal::Refusal;
use crate::world::{
    DAY, Known, MEMBERS, NOW, complaint, decision, law_with, member, opinion, own_alert, preamble, proposal,
    rated, registry, report, signed, text, vote,
};

/// A platform in miniature: acts are handed in, and entered when they stand.
struct Platform {
    law: Law,
    book: Book,
    number: u64,
    now: u64,
    /// Who plays the part of each member.
    cast: Vec<u16>,
}

impl Platform {
    fn new() -> Self {
        Self::with_cast((1..=MEMBERS).collect())
    }

    /// A world in which the number at place `n` has what member `n + 1` has in the other.
    fn with_cast(cast: Vec<u16>) -> Self {
        let mut registry = registry();
        for (part, number) in registry.members.clone().into_iter().zip(&cast) {
            let played = &mut registry.members[usize::from(*number) - 1];
            (played.holdings, played.mandate_until) = (part.holdings, part.mandate_until);
            (played.organisation, played.name) = (part.organisation, text(&format!("état {number}")));
        }
        Self { law: law_with(registry), book: Book::default(), number: 0, now: NOW, cast }
    }

    fn plays(&self, party: Party) -> Party {
        party.member().map_or(party, |id| member(self.cast[usize::from(id.0) - 1]))
    }

    /// Hands an act in under the next number, by whoever plays its issuer.
    fn hand_in(&mut self, act: impl Into<Act>) -> Result<ActId, Refusal> {
        let mut act = act.into();
        self.number += 1;
        let issuer = self.plays(act.issuer());
        let preamble = act.preamble_mut();
        (preamble.issuer, preamble.number) = (issuer, self.number);
        (preamble.issued, preamble.expires) = (self.now, preamble.expires + self.now - NOW);
        let accepted = self.law.submit(&signed(act), &self.book, self.now)?;
        let id = accepted.id;
        self.book.enter(accepted);
        Ok(id)
    }

    #[track_caller]
    fn accept(&mut self, act: impl Into<Act>) -> ActId {
        self.hand_in(act).unwrap()
    }

    /// Reports by three members, an opinion, and a decision.
    fn decide(&mut self, score: u16) -> ActId {
        let recent = |claim: &mut Claim, now| (claim.seen_from, claim.seen_until) = (now - DAY, now - 60);
        let reports: Vec<_> = [1, 2, 3]
            .map(|by| {
                let mut report = report(by);
                recent(&mut report.claim, self.now);
                self.accept(report)
            })
            .into();
        let opinion = self.accept(opinion(reports.clone(), crate::acts::Finding::Supports));
        let mut decision = decision(&mut Known::default(), &[1, 2, 3], rated(score));
        for (source, report) in decision.sources.iter_mut().zip(&reports) {
            source.report = *report;
        }
        decision.sources.sort_unstable_by_key(|source| source.report);
        decision.opinion = opinion;
        recent(&mut decision.claim, self.now);
        self.accept(decision)
    }

    /// What gateways would do to an address.
    fn measure(&self, addr: &str) -> Measure {
        let (issuers, records) = self.book.records(&self.law, self.now);
        let snapshot = Snapshot::new(Header::default(), issuers, records).unwrap();
        let cache = Cache::build(vec![snapshot], &Guards::default()).unwrap();
        let addr = addr.parse::<std::net::Ipv6Addr>().unwrap().to_bits();
        cache.effective(addr, self.now).ruling.map_or(Measure::None, |number| cache.entry(number).allowed())
    }
}

const SUBJECT: &str = "2a00:4:2::1";

fn relief(issuer: Party) -> crate::acts::Preamble {
    preamble(issuer, Purpose::Relief)
}

fn outcome((complaint, act): (ActId, ActId), ruling: Option<Ruling>) -> Outcome {
    let preamble = relief(Party::Body);
    Outcome { preamble, complaint, act, stage: Stage::Adjudication, ruling, reasons: [0; 32] }
}

#[test]
fn a_report_does_nothing_and_a_decision_does() {
    let mut platform = Platform::new();
    for by in [1, 2, 3, 5] {
        platform.accept(report(by));
    }
    assert_eq!(platform.measure(SUBJECT), Measure::None);
    platform.decide(100);
    assert_eq!(platform.measure(SUBJECT), Measure::Drop);
    assert_eq!(platform.measure("2a00:4:3::1"), Measure::None);
    platform.now += 8 * DAY;
    assert_eq!(platform.measure(SUBJECT), Measure::None, "every act ends");
}

#[test]
fn a_complaint_is_heard_without_cutting_its_subject_off() {
    for (ruling, after) in [
        (Ruling::Upheld, Measure::None),
        (Ruling::Settled, Measure::RateLimit),
        (Ruling::Rejected, Measure::Drop),
    ] {
        let mut platform = Platform::new();
        let act = platform.decide(100);
        let complained = platform.accept(complaint(act));
        assert_eq!(platform.book.complaints(&platform.law, platform.now), [(complained, act)]);
        assert_eq!(platform.measure(SUBJECT), Measure::RateLimit, "by the standing rule, at once");
        assert_eq!(platform.book.unpublished_reliefs(&platform.law, platform.now), [(complained, act)]);
        platform.accept(Relief { preamble: relief(Party::Executive), complaint: complained, act });
        assert_eq!(platform.book.unpublished_reliefs(&platform.law, platform.now), []);
        assert_eq!(platform.measure(SUBJECT), Measure::RateLimit);
        platform.accept(outcome((complained, act), None));
        assert_eq!(platform.measure(SUBJECT), Measure::RateLimit, "it goes on");
        platform.accept(outcome((complained, act), Some(ruling)));
        assert_eq!(platform.measure(SUBJECT), after, "{ruling:?}");
        assert_eq!(platform.book.complaints(&platform.law, platform.now), []);
        platform.accept(complaint(act));
        assert_eq!(platform.measure(SUBJECT), after, "once an act");
    }
}

#[test]
fn what_is_lifted_still_happened_and_what_was_wrong_did_not() {
    let subject: Prefix = "2a00:1:2::/48".parse().unwrap();
    let mut platform = Platform::new();
    let alert = platform.accept(own_alert());
    let score = |platform: &Platform| platform.book.file(&platform.law, subject, NOW).assessment.rating;
    let before = score(&platform);
    assert!(before.score().unwrap() < rated(650).score().unwrap());
    assert_eq!(platform.measure("2a00:1:2::1"), Measure::RateLimit);
    platform.accept(Lifting { preamble: relief(member(1)), lifts: alert, ground: Ground::Remedied });
    assert_eq!((platform.measure("2a00:1:2::1"), score(&platform)), (Measure::None, before));
    let corrects = alert;
    platform.accept(Correction {
        preamble: relief(Party::Body),
        corrects,
        ground: Ground::Error,
        replacement: None,
    });
    assert_eq!(score(&platform), Rating::Unrated);
    let file = platform.book.file(&platform.law, subject, NOW);
    assert_eq!(file.acts, [(alert, State::Corrected)], "nothing is taken out");
}

#[test]
fn a_restriction_stands_on_its_votes_and_on_its_decision() {
    let mut platform = Platform::new();
    let decided = platform.decide(100);
    let mut restriction = proposal(&mut Known::default());
    (restriction.decision, restriction.measure) = (decided, Measure::Mark);
    let proposed = platform.accept(restriction);
    let agreed = |platform: &Platform| platform.book.restrictions(&platform.law, platform.now);
    for by in 1..=MEMBERS {
        assert_eq!(agreed(&platform), []);
        platform.accept(vote(by, proposed, Ballot::Yes));
    }
    assert_eq!(agreed(&platform), [proposed]);
    assert_eq!(
        platform.measure(SUBJECT),
        Measure::Mark,
        "what all agreed on goes before what the body decided"
    );
    let corrects = decided;
    platform.accept(Correction {
        preamble: relief(Party::Body),
        corrects,
        ground: Ground::Error,
        replacement: None,
    });
    assert_eq!(agreed(&platform), []);
    assert_eq!(platform.measure(SUBJECT), Measure::None);
}

#[test]
fn acts_count_for_what_they_cover_and_are_entered_once() {
    let mut platform = Platform::new();
    let wide = platform.accept(own_alert());
    let mut narrow = own_alert();
    narrow.claim.subject.prefix = "2a00:1:2:300::/56".parse().unwrap();
    let narrow = platform.accept(narrow);
    let about = |prefix: &str| {
        let prefix = prefix.parse().unwrap();
        platform.book.about(prefix).map(|accepted| accepted.id).collect::<Vec<_>>()
    };
    assert_eq!(about("2a00:1:2::/48"), [wide]);
    assert_eq!(about("2a00:1:2:300::/56"), [wide, narrow]);
    assert_eq!(about("2a00:1:2:301::/64"), [wide, narrow]);
    assert_eq!(about("2a00:1:3::/48"), []);
    let again = platform.book.accepted(&wide).unwrap().clone();
    platform.book.enter(again);
    assert_eq!(platform.book.acts().count(), 2);
}

/// Once they made two, and with them a snapshot that nobody could read.
#[test]
fn two_alerts_of_an_issuer_about_one_prefix_make_one_record() {
    let mut platform = Platform::new();
    let hard = platform.accept(own_alert());
    let mut mild = own_alert();
    mild.measure = Measure::Observe;
    platform.accept(mild);
    let (_, records) = platform.book.records(&platform.law, NOW);
    assert_eq!(records.iter().map(|record| record.act).collect::<Vec<_>>(), [Some(hard.short())]);
    assert_eq!(platform.measure("2a00:1:2::1"), Measure::RateLimit);
}

#[test]
fn the_same_acts_in_the_same_order_make_the_same_book() {
    let mut platform = Platform::new();
    let act = platform.decide(100);
    let complained = platform.accept(complaint(act));
    platform.accept(Relief { preamble: relief(Party::Executive), complaint: complained, act });
    platform.accept(own_alert());
    platform.accept(outcome((complained, act), Some(Ruling::Settled)));
    let mut again = Book::default();
    platform.book.acts().cloned().for_each(|accepted| again.enter(accepted));
    assert_eq!(again.records(&platform.law, NOW), platform.book.records(&platform.law, NOW));
    let states = |book: &Book| book.acts().map(|accepted| book.state(&accepted.id, NOW)).collect::<Vec<_>>();
    assert_eq!(states(&again), states(&platform.book));
}

/// What a credit file said at each moment is what its history says of that moment later.
#[test]
fn history_is_what_the_files_of_those_moments_said() {
    let mut platform = Platform::new();
    let subject = own_alert().claim.subject.prefix;
    let (mut moments, mut said) = (Vec::new(), Vec::new());
    let note = |platform: &Platform, moments: &mut Vec<u64>, said: &mut Vec<Rating>| {
        moments.push(platform.now);
        said.push(platform.book.file(&platform.law, subject, platform.now).assessment.rating);
    };
    note(&platform, &mut moments, &mut said);
    let mut alert = None;
    for day in 1..=40 {
        platform.now = NOW + day * DAY;
        if day == 3 {
            let mut act = own_alert();
            (act.claim.seen_from, act.claim.seen_until) = (platform.now, platform.now);
            alert = Some(platform.hand_in(act).unwrap());
        }
        if day == 30 {
            let (corrects, ground, replacement) = (alert.unwrap(), Ground::Error, None);
            let preamble = preamble(member(1), Purpose::Relief);
            platform.hand_in(Correction { preamble, corrects, ground, replacement }).unwrap();
        }
        note(&platform, &mut moments, &mut said);
    }
    assert_eq!(platform.book.history(&platform.law, subject, &moments), said);
    assert_eq!(
        (said[2], said[40]),
        (Rating::Unrated, Rating::Unrated),
        "before it, and after it was taken back"
    );
    assert!(said[3].score() < said[29].score(), "what was said has faded in between");
}
