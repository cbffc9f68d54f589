//! What members are asked to state, seen from their side: they sign their own word and nothing else.

use credence_credit::{ActId, Measure};
use credence_feed::proposal::{NEW_ROWS_MAX, Proposal};
use credence_feed::{Reject, Shard};
use credence_law::party::{Function, Party};
use credence_law::{Act, Object, Signed};
use credence_platform::keys;

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
        let state = self.gateway.state();
        let law = state.rules().law().unwrap();
        asked.agreed(law, (self.party, state.shard(self.party)), self.publisher.now)
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
    (0..sites).for_each(|site| {
        asked.alert(site);
    });
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

#[test]
fn the_bytes_of_a_proposal_are_read_or_refused() {
    let mut asked = Asked::new();
    (0..20).for_each(|site| {
        asked.alert(site);
    });
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
