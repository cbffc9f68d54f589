use credence_credit::{Measure, Score};
use credence_law::acts::{Claim, Decision, Finding, Opinion, Report, Source};
use credence_law::party::{Function, MemberId};
use credence_law::standard::Standard;
use credence_law::{BYTES_MAX, State};

use super::*;
use crate::desk::Entry;
use crate::example::{Place, make_world};
use crate::keys::read;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;
const SECRET: Challenger = Challenger::new([5; 32]);

/// A world with a desk, and everything that went into its journal.
struct Court {
    place: Place,
    directory: tempfile::TempDir,
    desk: Desk,
    journal: Vec<Entry>,
    now: u64,
}

impl Court {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        let (world, journal) = make_world(&place, NOW).unwrap();
        let mut desk = Desk::begin(&journal[0], world).unwrap();
        journal[1..].iter().for_each(|entry| desk.replay(entry).unwrap());
        Self { place, directory, desk, journal, now: NOW }
    }

    #[track_caller]
    fn hand_in(&mut self, signed: &Signed) -> ActId {
        assert!(signed.encode().len() < BYTES_MAX);
        let (receipt, entry) = self.desk.receive(&signed.encode(), self.now, [9; 32]).unwrap();
        self.journal.extend(entry);
        receipt.id
    }

    fn by(&mut self, act: impl Into<Act>, keys: &[std::path::PathBuf]) -> ActId {
        let world = self.desk.law().unwrap().world;
        let mut signed = Signed::with(Object::new(world, act.into()).encode(), []);
        keys.iter().for_each(|path| signed.sign(&read(path).unwrap()));
        self.hand_in(&signed)
    }

    fn preamble(&self, issuer: Party, purpose: Purpose) -> Preamble {
        let number = self.desk.book().last_number(issuer) + 1;
        Preamble { issuer, number, issued: self.now, expires: self.now + 60 * DAY, registry: 1, purpose }
    }

    fn claim(&self) -> Claim {
        Claim {
            subject: Block { prefix: "2001:db8:4020::/48".parse().unwrap(), learned: Learned::Default },
            item: credence_credit::Reason::BotnetControl as u16,
            catalogue: 1,
            standard: 1,
            evidence: credence_credit::EvidenceClass::Confirmed,
            seen_from: self.now - 60,
            seen_until: self.now - 60,
            commitment: [7; 32],
            repeats: None,
        }
    }

    /// Two reports, an opinion and a decision to drop.
    fn decide(&mut self) -> ActId {
        let mut reports: Vec<_> = [1, 2]
            .map(|id| {
                let preamble = self.preamble(Party::Member(MemberId(id)), Purpose::Warning);
                let report = Report { preamble, claim: self.claim() };
                self.by(report, &[self.place.member(id, Function::Alerts)])
            })
            .into();
        reports.sort_unstable();
        let preamble = self.preamble(Party::Adviser(0), Purpose::Governance);
        let opinion =
            Opinion { preamble, reports: reports.clone(), finding: Finding::Supports, reasons: [0; 32] };
        let opinion = self.by(opinion, &[0, 1].map(|place| self.place.adviser(place)));
        let author = |place: usize| [place as u8; 32];
        let sources = reports.iter().enumerate();
        let decision = Decision {
            preamble: self.preamble(Party::Body, Purpose::Governance),
            claim: self.claim(),
            rating: Standard::first().rating(Score::new(120).unwrap()),
            measure: Measure::Drop,
            sources: sources
                .map(|(place, report)| Source { report: *report, author: author(place) })
                .collect(),
            opinion,
        };
        self.by(decision, &[1, 3, 5].map(|id| self.place.member(id, Function::Decisions)))
    }

    fn operator(&self) -> SigningKey {
        read(&self.place.operator()).unwrap()
    }
}

fn answered<'a>(challenge: &'a Challenge, from: &str) -> Answered<'a> {
    let from = from.parse().unwrap();
    Answered { challenge: &challenge.text, from, ground: Ground::Error, commitment: [3; 32] }
}

#[test]
fn whoever_answers_from_inside_is_heard_and_relieved_at_once() {
    let mut court = Court::new();
    let act = court.decide();
    let inside: Ipv6Addr = "2001:db8:4020:7::9".parse().unwrap();
    let challenge = court.desk.challenge(&SECRET, &act, inside, NOW).unwrap();
    assert_eq!(challenge.subject, "2001:db8:4020:7::/64".parse().unwrap());
    let complain = |court: &Court, from: &str, at| {
        court.desk.complain(&SECRET, &answered(&challenge, from), &court.operator(), at)
    };
    for elsewhere in ["2001:db8:4020:8::9", "2001:db8:1020::1", "::1", "::ffff:192.0.2.1"] {
        assert_eq!(complain(&court, elsewhere, NOW), Err(Unproved::Outside), "{elsewhere}");
    }
    assert_eq!(complain(&court, "2001:db8:4020:7::1", NOW + CHALLENGE_LASTS), Err(Unproved::Late));
    court.now += 60;
    let complaint = complain(&court, "2001:db8:4020:7::1", court.now).unwrap();
    let complained = court.hand_in(&complaint);
    assert_eq!(court.desk.book().state(&act, court.now), Some(State::Relieved));
    assert!(court.desk.public(&complained).is_none(), "nobody reads who complains");
    // What gateways are owed is published once.
    let executive = read(&court.place.executive()).unwrap();
    let relief = court.desk.owed_relief(&executive, court.now).unwrap();
    court.hand_in(&relief);
    assert_eq!(court.desk.owed_relief(&executive, court.now), None);
    // The same block is heard once.
    assert_eq!(complain(&court, "2001:db8:4020:7::2", court.now), Err(Unproved::Refused(Refusal::Heard)));
}

#[test]
fn a_challenge_is_good_for_one_act_one_block_and_one_hour() {
    let mut court = Court::new();
    let act = court.decide();
    let inside: Ipv6Addr = "2001:db8:4020:7::9".parse().unwrap();
    let ask = |court: &Court, act: &ActId, address: &str| {
        court.desk.challenge(&SECRET, act, address.parse().unwrap(), court.now)
    };
    assert_eq!(ask(&court, &act, "2001:db8:1020::1"), Err(Refusal::OtherSubject.into()));
    assert_eq!(ask(&court, &ActId([0; 32]), "2001:db8:4020::1"), Err(Refusal::UnknownAct.into()));
    let report = court.journal[4].id;
    assert_eq!(ask(&court, &report, "2001:db8:4020::1"), Err(Refusal::UnknownAct.into()), "hidden from all");
    let challenge = ask(&court, &act, "2001:db8:4020:7::9").unwrap();
    for place in 0..challenge.text.len() {
        let mut text = challenge.text.clone().into_bytes();
        text[place] = if text[place] == b'0' { b'1' } else { b'0' };
        let text = String::from_utf8(text).unwrap();
        assert_eq!(SECRET.open(&text, inside, NOW), Err(Unproved::Unknown), "digit {place}");
    }
    for text in ["", "zz", &challenge.text[1..], &challenge.text.repeat(2), "é"] {
        assert_eq!(SECRET.open(text, inside, NOW), Err(Unproved::Unknown));
    }
    assert_eq!(Challenger::new([6; 32]).open(&challenge.text, inside, NOW), Err(Unproved::Unknown));
    assert_eq!(SECRET.open(&challenge.text, inside, NOW - 1), Err(Unproved::Late), "of the future");
    assert_eq!(SECRET.open(&challenge.text, inside, NOW + 3_599), Ok((act, challenge.subject)));
    assert_eq!(format!("{SECRET:?}"), "Challenger");
}

/// After its time the whole affair goes, and the journal without it makes the same state.
#[test]
fn what_is_erased_is_not_missed_when_the_journal_is_read_again() {
    let mut court = Court::new();
    let act = court.decide();
    let inside: Ipv6Addr = "2001:db8:4020:7::9".parse().unwrap();
    let challenge = court.desk.challenge(&SECRET, &act, inside, NOW).unwrap();
    let said = answered(&challenge, "2001:db8:4020:7::9");
    let complaint = court.desk.complain(&SECRET, &said, &court.operator(), NOW).unwrap();
    court.hand_in(&complaint);
    assert_eq!(court.desk.owed_erasure(&court.operator(), court.now), None);
    // The example's keys end after a year, and with them whatever could be signed; the body can let go before.
    let mut acts: Vec<_> = court.desk.book().acts().map(|accepted| accepted.id).collect();
    acts.sort_unstable();
    let preamble = court.preamble(Party::Body, Purpose::Account);
    let count = acts.len();
    let erasure = Erasure { preamble, acts, ground: Erased::Claim };
    court.by(erasure, &[1, 3, 5].map(|id| court.place.member(id, Function::Decisions)));
    assert_eq!(court.desk.book().acts().count(), 1);
    let doomed = court.desk.take_doomed();
    assert_eq!(doomed.len(), count);
    assert_eq!(court.desk.take_doomed(), [0; 0]);

    let world = court.desk.law().unwrap().world;
    let replayed = |journal: &[Entry]| {
        let mut desk = Desk::begin(&journal[0], world).unwrap();
        journal[1..].iter().for_each(|entry| desk.replay(entry).unwrap());
        desk
    };
    let subject = "2001:db8:4020::/48".parse().unwrap();
    let file = |desk: &Desk| desk.book().file(desk.law().unwrap(), subject, NOW);
    let mut before = replayed(&court.journal);
    assert_eq!(before.take_doomed().len(), count, "whoever finds the payloads still there is told again");
    for place in doomed {
        court.journal[place as usize].sent = None;
    }
    let after = replayed(&court.journal);
    assert_eq!(after.log().root(after.log().len()), court.desk.log().root(court.desk.log().len()));
    assert_eq!((file(&after), file(&before)), (file(&court.desk), file(&court.desk)));
    assert_eq!(
        format!("{:?}", after.book().acts().collect::<Vec<_>>()),
        format!("{:?}", before.book().acts().collect::<Vec<_>>())
    );
    assert_eq!(after.unexplained().count(), 0);
    let last = court.journal.len() - 1;
    let tampered = replayed(&court.journal[..last]);
    assert_eq!(tampered.unexplained().count(), count, "payloads that nobody has erased are missed");
    drop(court.directory);
}

#[test]
fn a_drill_is_taken_into_a_feed_of_its_own() {
    let mut court = Court::new();
    let law = court.desk.law().unwrap();
    let claim = Claim {
        subject: Block { prefix: "2001:db8:1020::/48".parse().unwrap(), learned: Learned::Default },
        ..court.claim()
    };
    let alert = credence_law::acts::OwnAlert {
        preamble: court.preamble(Party::Member(MemberId(1)), Purpose::Warning),
        rating: Standard::first().rating(Score::new(300).unwrap()),
        measure: Measure::RateLimit,
        claim,
    };
    let mut object = Object::new(law.world, Act::from(alert));
    object.exercise = true;
    let key = read(&court.place.member(1, Function::Alerts)).unwrap();
    let id = court.hand_in(&Signed::with(object.encode(), [&key]));
    assert_eq!((court.desk.book().acts().count(), court.desk.drills().acts().count()), (0, 1));
    assert!(court.desk.public(&id).is_some());
    let law = court.desk.law().unwrap();
    assert_eq!(court.desk.book().records(law, NOW).1, []);
}
