//! What members are asked to state, seen from their side: they sign their own word and nothing else.

use credence_credit::{ActId, Measure};
use credence_feed::proposal::{NEW_ROWS_MAX, Proposal};
use credence_feed::{Reject, Shard};
use credence_law::party::{Function, Party};
use credence_law::{Act, Book, Object, Refusal, Signed};
use credence_platform::keys;
use credence_sync::feed::Folder;
use credence_sync::hand::{Hand, Unsigned};

use tempfile::TempDir;

use crate::stage::{Gateway, Memory, Publisher, member};

/// The member that is asked, with its gateway, which follows the feed.
struct Asked {
    publisher: Publisher,
    gateway: Gateway<Memory>,
    party: Party,
}

impl Asked {
    fn new() -> Self {
        let publisher = Publisher::new();
        let gateway = Gateway::new(&publisher);
        Self { publisher, gateway, party: member(1) }
    }

    fn alert(&mut self, site: u16) -> ActId {
        self.publisher.alert(1, site)
    }

    /// Publishes, and lets the gateway follow.
    fn publish(&mut self) {
        self.publisher.publish();
        self.gateway.follow(&self.publisher);
    }

    /// What the member is asked for now, as it travels.
    fn ask(&mut self) -> Option<Proposal> {
        let (asked, _) = self.publisher.ask(self.party, 0)?;
        Some(Proposal::decode(&asked.encode()).unwrap())
    }

    /// What the member makes of it, by the feed that its own gateway follows.
    fn judge(&self, asked: &Proposal) -> Result<Shard, Reject> {
        asked.agreed(self.gateway.state(), self.party, self.publisher.now)
    }

    /// The member states what it is asked for.
    fn state(&mut self, asked: &Proposal) {
        let rows = self.judge(asked).unwrap();
        let manifest = asked.manifest(self.publisher.desk.law().unwrap(), &rows);
        let key = keys::read(&self.publisher.place.member(1, Function::Alerts)).unwrap();
        let bytes = Object::new(self.publisher.world, Act::from(manifest)).encode();
        self.publisher.hand_in(&Signed::with(bytes, [&key]));
        self.publish();
    }
}

#[test]
fn what_a_member_says_outlives_the_hour_when_the_member_states_it() {
    let mut asked = Asked::new();
    asked.alert(2);
    asked.publish();
    assert_eq!(asked.gateway.records().len(), 1);
    for round in 0..5 {
        let proposal = asked.ask().unwrap();
        assert_eq!(proposal.put.0.len(), usize::from(round == 0), "later only the time is new");
        asked.state(&proposal);
        assert_eq!(asked.ask(), None, "it was stated");
        asked.publisher.now += 3_000;
        asked.publish();
        assert_eq!(asked.gateway.records().len(), 1, "after {round} rounds");
    }
    // Nobody states it any more.
    asked.publisher.now += 3_601;
    asked.publish();
    assert_eq!(asked.gateway.records(), []);
    // And again: the act itself lasts for a week.
    let proposal = asked.ask().unwrap();
    assert_eq!((proposal.after, proposal.put.0.len()), (0, 1));
    asked.state(&proposal);
    assert_eq!(asked.gateway.records().len(), 1);
}

#[test]
fn what_was_taken_back_is_stated_no_more() {
    let mut asked = Asked::new();
    let (first, second) = (asked.alert(2), asked.alert(3));
    asked.publish();
    let both = asked.ask().unwrap();
    asked.publisher.lift(1, first);
    asked.publish();
    asked.publisher.now += 1;
    let rest = asked.ask().unwrap();
    assert_eq!((both.put.0.len(), rest.put.0.len()), (2, 1));
    assert_eq!(rest.put.0[0].act, second.short());
    asked.state(&rest);
    asked.publisher.lift(1, second);
    asked.publish();
    let none = asked.ask().unwrap();
    assert_eq!((none.put.0.len(), none.gone.0.len()), (0, 1));
    asked.state(&none);
    assert_eq!(asked.gateway.records(), []);
}

#[test]
fn more_than_one_proposal_brings_comes_with_the_next() {
    let mut asked = Asked::new();
    let sites = NEW_ROWS_MAX as u16 + 20;
    (0..sites).for_each(|site| _ = asked.alert(site));
    asked.publish();
    let first = asked.ask().unwrap();
    assert_eq!(first.put.0.len(), NEW_ROWS_MAX);
    asked.state(&first);
    let second = asked.ask().unwrap();
    assert_eq!(second.put.0.len(), 20);
    asked.state(&second);
    assert_eq!(asked.ask(), None);
    assert_eq!(asked.gateway.records().len(), usize::from(sites));
}

#[test]
fn a_member_signs_its_own_word_and_nothing_else() {
    let mut asked = Asked::new();
    asked.alert(2);
    asked.alert(3);
    asked.publisher.alert(2, 4);
    asked.publish();
    let proposal = asked.ask().unwrap();
    assert!(asked.judge(&proposal).is_ok());
    let (others, _) = asked.publisher.ask(member(2), 0).unwrap();
    let (party, now) = (asked.party, asked.publisher.now);
    let bent = |bend: &dyn Fn(&mut Proposal)| {
        let mut bent = proposal.clone();
        bend(&mut bent);
        asked.judge(&bent).unwrap_err()
    };

    let stated = Reject::Stated(party);
    assert_eq!(bent(&|asked| asked.put.0[0].measure = Measure::Drop), stated, "harder than it said");
    assert_eq!(bent(&|asked| asked.put.0[0].expires += 1), stated, "for longer");
    assert_eq!(bent(&|asked| drop(asked.acts.0.pop())), stated, "without the act");
    assert_eq!(bent(&|asked| asked.put = others.put.clone()), stated, "another's row");
    let theirs = |asked: &mut Proposal| {
        (asked.put, asked.acts) = (others.put.clone(), others.acts.clone());
    };
    assert_eq!(bent(&theirs), stated, "another's row with another's act");
    let swap = |asked: &mut Proposal| asked.acts.0[0].signed = others.acts.0[0].signed.clone();
    assert_eq!(bent(&swap), stated, "another's act in the place of its own");
    let forge = |asked: &mut Proposal| {
        let bytes = asked.acts.0[0].signed.bytes().to_vec();
        let stranger = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
        asked.acts.0[0].signed = Signed::with(bytes, [&stranger]);
    };
    assert!(matches!(bent(&forge), Reject::Act(..)), "an act that it has not signed");

    let base = |known, from| Reject::Base { known, from };
    assert_eq!(bent(&|asked| asked.after = 7), base(0, 7), "after a manifest that is not the last");
    assert_eq!(bent(&|asked| asked.party = member(2)), base(0, 0), "to somebody else");
    assert_eq!(bent(&|asked| asked.at = now - 121), Reject::Expired);
    assert_eq!(bent(&|asked| asked.at = now + 121), Reject::Future);
    let many = |asked: &mut Proposal| asked.put.0 = vec![asked.put.0[0].clone(); NEW_ROWS_MAX + 1];
    assert_eq!(bent(&many), Reject::TooLarge);
    assert_eq!(bent(&|asked| asked.put.0.reverse()), Reject::Order);
    assert_eq!(bent(&|asked| asked.bits = 9), Reject::TooLarge, "more pages than rows");
}

/// What was taken back is told to gateways, and kept from whoever is to state it: who follows the feed does not sign.
#[test]
fn what_gateways_know_to_be_over_is_not_stated_by_its_issuer() {
    let mut asked = Asked::new();
    let (first, _) = (asked.alert(2), asked.alert(3));
    asked.publish();
    let both = asked.ask().unwrap();
    asked.state(&both);
    asked.publisher.lift(1, first);
    asked.publisher.now += 1;
    let honest = asked.ask().unwrap();
    let mut kept = honest.clone();
    kept.gone.0.clear();
    assert_eq!((honest.put.0.len(), honest.gone.0.len()), (0, 1));
    assert!(asked.judge(&kept).is_ok(), "as long as the lifting is hidden from everybody");
    asked.publish();
    assert_eq!(asked.judge(&kept).unwrap_err(), Reject::Stated(asked.party));
    asked.state(&honest);
    assert_eq!(asked.gateway.records().len(), 1);
}

/// A relief makes a decision milder; the seats do not state it as it was, neither as a row that stays nor as a new one.
#[test]
fn what_was_made_milder_is_not_stated_as_it_was() {
    for is_stated in [false, true] {
        let mut asked = Asked { party: Party::Body, ..Asked::new() };
        let (_, decision) = asked.publisher.decide();
        asked.publish();
        let hard = asked.ask().unwrap();
        assert_eq!(hard.put.0[0].measure, Measure::Drop);
        assert!(asked.judge(&hard).is_ok());
        if is_stated {
            asked.publisher.attest(0);
            asked.publish();
        }
        asked.publisher.complain(decision);
        asked.publish();
        asked.publisher.now += 1;
        let mild = asked.ask().unwrap();
        assert_eq!(mild.put.0[0].measure, Measure::RateLimit);
        assert!(asked.judge(&mild).is_ok());
        let mut kept = mild.clone();
        if is_stated {
            kept.put.0.clear();
        } else {
            (kept.put, kept.acts) = (hard.put.clone(), hard.acts.clone());
        }
        assert_eq!(
            asked.judge(&kept).unwrap_err(),
            Reject::Stated(Party::Body),
            "stated before: {is_stated}"
        );
    }
}

/// A seat's hand, with its notes in a directory.
fn seat(asked: &Asked, member: u16, notes: &TempDir) -> Result<Hand<Folder>, Unsigned> {
    let key = asked.publisher.place.member(member, Function::Decisions);
    Hand::of_seat(&key, Folder::new(notes.path()).unwrap())
}

/// Each seat signs for itself, and what as many as the quorum have signed is the coordinating body's word.
#[test]
fn seats_that_agree_sign_the_very_same_bytes() {
    let mut asked = Asked { party: Party::Body, ..Asked::new() };
    asked.publisher.decide();
    asked.publish();
    let (proposal, now) = (asked.ask().unwrap().encode(), asked.publisher.now);
    let mut gathered: Option<Signed> = None;
    for (member, after) in [(1, 1), (3, 3), (5, 7)] {
        let notes = TempDir::new().unwrap();
        let mut hand = seat(&asked, member, &notes).unwrap();
        let signed = hand.sign(&proposal, asked.gateway.state(), now + after).unwrap();
        let signed = Signed::decode(&signed.bytes).unwrap();
        let law = asked.publisher.desk.law().unwrap();
        let alone = law.examine(&signed, &Book::default(), now + after);
        assert_eq!(alone.map(drop), Err(Refusal::TooFewSignatures));
        match &mut gathered {
            Some(gathered) => assert!(gathered.join(&signed), "the same bytes"),
            None => gathered = Some(signed),
        }
    }
    asked.publisher.hand_in(&gathered.unwrap());
    asked.publish();
    assert_eq!(asked.gateway.state().shard(Party::Body).unwrap().1.len(), 1);
    assert_eq!(asked.ask(), None, "it was stated");
}

#[test]
fn a_key_that_is_no_seats_signs_nothing_for_the_body() {
    let mut asked = Asked { party: Party::Body, ..Asked::new() };
    asked.publisher.decide();
    asked.publish();
    let (proposal, now) = (asked.ask().unwrap().encode(), asked.publisher.now);
    let alerts = asked.publisher.place.member(1, Function::Alerts);
    let mut hand = Hand::of_seat(&alerts, Memory::default()).unwrap();
    let told = hand.sign(&proposal, asked.gateway.state(), now).unwrap_err();
    let wrong = Reject::Manifest(Party::Body, Refusal::WrongSigner);
    assert!(matches!(&told, Unsigned::Reject(reject) if *reject == wrong), "{told}");
}

/// Whoever asks twice under one number for different things is refused, after a restart as well.
#[test]
fn no_number_is_signed_twice_under_different_content() {
    let mut asked = Asked { party: Party::Body, ..Asked::new() };
    asked.publisher.decide();
    asked.publish();
    let (honest, now) = (asked.ask().unwrap(), asked.publisher.now);
    // To state nothing harms nobody, and under the same number it is another manifest.
    let mut other = honest.clone();
    (other.put.0, other.bits) = (Vec::new(), 0);
    let mut later = other.clone();
    later.at += 1;
    let [honest, other, later] = [honest, other, later].map(|asked| asked.encode());
    let notes = TempDir::new().unwrap();
    let mut hand = seat(&asked, 1, &notes).unwrap();
    let state = asked.gateway.state();
    let first = hand.sign(&honest, state, now).unwrap();
    for _ in 0..2 {
        assert_eq!(hand.sign(&honest, state, now).unwrap(), first, "the same again is the same");
        assert!(matches!(hand.sign(&other, state, now), Err(Unsigned::Twice(_))));
        hand = seat(&asked, 1, &notes).unwrap();
    }
    assert_ne!(hand.sign(&later, state, now).unwrap().id, first.id);
    assert!(matches!(hand.sign(&honest, state, now), Err(Unsigned::Behind { .. })));
    // What was signed is not known any more.
    std::fs::write(notes.path().join("seat"), b"damaged").unwrap();
    assert!(matches!(seat(&asked, 1, &notes), Err(Unsigned::Damaged)));
}

#[test]
fn the_bytes_of_a_proposal_are_read_or_refused() {
    let mut asked = Asked::new();
    (0..20).for_each(|site| _ = asked.alert(site));
    asked.publish();
    let proposal = asked.ask().unwrap();
    let (bytes, honest) = (proposal.encode(), asked.judge(&proposal).unwrap().digest());
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 1 << (at % 8);
        // When an act was accepted, say, is nothing that a member signs.
        if let Ok(rows) = Proposal::decode(&bent).and_then(|read| asked.judge(&read)) {
            assert_eq!(rows.digest(), honest, "byte {at}");
        }
        assert!(Proposal::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
}
