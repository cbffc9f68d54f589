//! What parties do: honest ones warn, report, decide and take back; hostile ones try whatever they can think of with their own keys.

use std::net::{IpAddr, Ipv6Addr};

use credence_credit::{ActId, Authority, Measure};
use credence_law::acts::Ground;
use credence_law::party::{Function, Party, act_id};
use credence_law::{Act, Object, Signed};
use credence_platform::complaint::{Answered, Challenger};
use credence_prefix::Prefix;

use crate::cast::{Hand, MEMBERS, QUORUM, SPEAKERS, member, seats, site};
use crate::checks::Checked;
use crate::model::{Claim, Intent};
use crate::platform::{Put, Taken, unix};
use crate::world::{Event, HOUR, MINUTE, SECOND, Simulation};

/// How long an honest party tries to hand something in, in milliseconds.
const TRIES: u64 = 4 * MINUTE;
/// Sites that a member is spoken of, numbered from 0.
const SITES: u64 = 40;

/// Something on its way to the platform.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) bytes: Vec<u8>,
    pub(crate) intent: Intent,
    /// Whose network it comes from.
    pub(crate) from: u16,
    pub(crate) sent_ms: u64,
}

/// A matter before the coordinating body.
#[derive(Debug)]
pub(crate) struct Case {
    about: Prefix,
    measure: Measure,
    reports: Vec<(ActId, u16)>,
    pub(crate) opinion: Option<ActId>,
    decision: Option<ActId>,
    complaint: Option<ActId>,
}

fn network(from: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(u128::from(from) << 64 | 0x2a0a << 112))
}

impl Simulation {
    /// What a member's clock says, in Unix seconds.
    pub(crate) fn clock(&self, by: u16) -> u64 {
        unix(self.now_ms).saturating_add_signed(self.offsets[usize::from(by) - 1])
    }

    pub(crate) fn honest(&mut self) -> u16 {
        let honest: Vec<u16> = (1..=MEMBERS).filter(|id| !self.hostile.contains(id)).collect();
        self.dice.one(&honest)
    }

    /// Somewhere in what a member holds.
    pub(crate) fn place(&mut self, of: u16) -> Prefix {
        let longest = if of.is_multiple_of(2) { 56 } else { 64 };
        let len = self.dice.one(&[48, 48, longest]);
        site(of, self.dice.below(SITES), len)
    }

    /// Sends something to the platform: late, twice, or in another order than it was made in.
    pub(crate) fn send(&mut self, by: u16, signed: &Signed, intent: Intent) -> ActId {
        let bytes = signed.encode();
        self.sent.push(bytes.clone());
        let parcel = Parcel { bytes, intent, from: by, sent_ms: self.now_ms };
        if self.dice.happens(50) {
            let twice = self.dice.within(SECOND, MINUTE);
            self.at(self.now_ms + twice, Event::Arrive(parcel.clone()));
        }
        let delay = if self.dice.happens(100) { 90 * SECOND } else { 2 * SECOND };
        let delay = self.dice.within(50, delay);
        self.at(self.now_ms + delay, Event::Arrive(parcel));
        act_id(signed.bytes())
    }

    /// Something arrives, or does not.
    pub(crate) fn arrive(&mut self, parcel: Parcel) {
        let again = |this: &mut Self, parcel: Parcel| {
            if this.now_ms < parcel.sent_ms + TRIES {
                let later = this.dice.within(5 * SECOND, 30 * SECOND);
                this.at(this.now_ms + later, Event::Arrive(parcel));
            } else {
                this.note("given_up", format_args!(""));
            }
        };
        if self.dice.happens(30) {
            return again(self, parcel);
        }
        let (salt, is_lost) = (self.dice.bytes(), self.stops_at.handing_in);
        let now = (unix(self.now_ms), self.now_ms);
        match self.platform.hand_in(&parcel.bytes, network(parcel.from), now, (salt, is_lost)) {
            Taken::Here(_, true) => self.note("known", format_args!("")),
            Taken::Here(receipt, false) => {
                self.note("taken", format_args!("{} {:?}", receipt.place, parcel.intent));
                if let Intent::Rules(change) = &parcel.intent {
                    self.note("ruled", format_args!("{}", receipt.place));
                    self.cast.adopt(receipt.id, change.clone());
                }
                if self.model.taken(receipt.id, parcel.intent, receipt.place) {
                    self.note("agreed", format_args!("{}", receipt.place));
                }
                self.publish_soon();
            }
            Taken::Refused("quota" | "strangers") => {
                self.note("turned", format_args!(""));
                again(self, parcel);
            }
            Taken::Refused(word) => self.note(&format!("act_{word}"), format_args!("")),
            Taken::Down => {
                if is_lost {
                    self.stops_at.handing_in = false;
                    self.note("platform_lost_an_act", format_args!(""));
                }
                again(self, parcel);
            }
        }
    }

    /// Somebody honest does something.
    pub(crate) fn deed(&mut self) {
        self.after(15 * MINUTE, Event::Deed);
        let by = self.honest();
        match self.dice.below(12) {
            0..5 => {
                let about = self.place(by);
                self.alert(by, about, 3 * 24 * HOUR);
            }
            5 | 6 => self.take_back(by),
            7 => self.change_rules(),
            8 => self.restrict(by),
            _ => self.report(),
        }
    }

    /// A member warns of a place of its own.
    pub(crate) fn alert(&mut self, by: u16, about: Prefix, lasts_max_ms: u64) -> ActId {
        let measure =
            self.dice.one(&[Measure::Observe, Measure::Mark, Measure::RateLimit, Measure::RateLimit]);
        let (now, lasts) = (self.clock(by), self.dice.wait(lasts_max_ms / 3) / 1_000 + 300);
        let alert = self.cast.alert(by, about, measure, (now, lasts));
        let signed = self.cast.sign(alert, &[(member(by), Function::Alerts)]);
        let (issuer, expires) = (member(by), now + lasts);
        let authority = Authority::OwnAlert;
        self.send(by, &signed, Intent::Claim(Claim { issuer, prefix: about, authority, measure, expires }))
    }

    /// A member takes something back that it has said.
    pub(crate) fn take_back(&mut self, by: u16) {
        let standing = self.model.standing(member(by), unix(self.now_ms));
        if !standing.is_empty() {
            let act = self.dice.one(&standing);
            self.end(by, act);
        }
    }

    pub(crate) fn end(&mut self, by: u16, act: ActId) {
        let (now, hands) = (self.clock(by), [(member(by), Function::Alerts)]);
        let signed = if self.dice.happens(300) {
            let correction = self.cast.correction(member(by), act, now);
            self.cast.sign(correction, &hands)
        } else {
            let lifting = self.cast.lifting(member(by), act, now);
            self.cast.sign(lifting, &hands)
        };
        self.send(by, &signed, Intent::End(act, now));
    }

    /// Two members report a place of a third, and a case begins.
    pub(crate) fn report(&mut self) {
        let holder = self.honest();
        let about = self.place(holder);
        let others: Vec<u16> =
            (1..=MEMBERS).filter(|id| *id != holder && !self.hostile.contains(id)).collect();
        let mut reports = Vec::new();
        for by in self.dice.some(2, &others) {
            let report = self.cast.report(by, about, self.clock(by));
            let signed = self.cast.sign(report, &[(member(by), Function::Alerts)]);
            reports.push((self.send(by, &signed, Intent::Nothing), by));
        }
        let measure = self.dice.one(&[Measure::Drop, Measure::Drop, Measure::RateLimit, Measure::Observe]);
        self.cases.push(Case { about, measure, reports, opinion: None, decision: None, complaint: None });
        self.after(10 * MINUTE, Event::Case(self.cases.len() - 1));
    }

    /// A case goes on.
    pub(crate) fn case(&mut self, number: usize) {
        let Some(desk) = self.platform.desk() else {
            return self.after(10 * MINUTE, Event::Case(number));
        };
        let is_here = |act: &ActId| desk.receipt(act).is_some();
        let Case { about, measure, ref reports, opinion, decision, complaint } = self.cases[number];
        let reports = reports.clone();
        let (now, by) = (unix(self.now_ms), reports[0].1);
        match (opinion, decision, complaint) {
            (None, ..) if reports.iter().all(|(report, _)| is_here(report)) => {
                let opinion = self.cast.opinion(reports.iter().map(|(report, _)| *report).collect(), now);
                let signed = self.cast.sign(opinion, &SPEAKERS);
                self.cases[number].opinion = Some(self.send(by, &signed, Intent::Nothing));
            }
            (Some(opinion), None, _) if is_here(&opinion) => {
                self.decide(number, (about, measure), (&reports, opinion), now);
            }
            (_, Some(decision), None) if is_here(&decision) => {
                self.contest(number, decision, (about, measure));
            }
            (_, Some(decision), Some(complaint)) if is_here(&complaint) => {
                let outcome = self.cast.outcome(complaint, decision, now);
                let hands = self.some_seats(QUORUM.into());
                let signed = self.cast.sign(outcome, &hands);
                self.send(by, &signed, Intent::End(decision, now));
                return;
            }
            // Something that it rests on never arrived.
            _ => return self.note("case_dropped", format_args!("{number}")),
        }
        let wait = if decision.is_some() { HOUR } else { 10 * MINUTE };
        self.after(wait, Event::Case(number));
    }

    pub(crate) fn some_seats(&mut self, count: usize) -> Vec<Hand> {
        let members: Vec<u16> = (1..=MEMBERS).collect();
        seats(&self.dice.some(count, &members))
    }

    /// The body decides. Now and then one half of it hands in first what too few have signed, and the other half something else.
    pub(crate) fn decide(
        &mut self,
        number: usize,
        (about, measure): (Prefix, Measure),
        cited: (&[(ActId, u16)], ActId),
        now: u64,
    ) {
        let lasts = self.dice.wait(8 * HOUR) / 1_000 + 600;
        let by = cited.0[0].1;
        if self.dice.happens(300) {
            for measure in [measure, Measure::Drop] {
                let decision = self.cast.decision(about, measure, cited, (now, lasts));
                let few = self.some_seats(usize::from(QUORUM) - 1);
                let signed = self.cast.sign(decision, &few);
                self.send(by, &signed, Intent::Nothing);
            }
        }
        let decision = self.cast.decision(about, measure, cited, (now, lasts));
        let hands = self.some_seats(QUORUM.into());
        let signed = self.cast.sign(decision, &hands);
        let (issuer, authority, expires) = (Party::Body, Authority::Decision, now + lasts);
        let claim = Claim { issuer, prefix: about, authority, measure, expires };
        self.cases[number].decision = Some(self.send(by, &signed, Intent::Claim(claim)));
    }

    /// Somebody whom a decision cuts off objects to it, the body takes it back, or nothing happens.
    pub(crate) fn contest(&mut self, number: usize, decision: ActId, (about, measure): (Prefix, Measure)) {
        let now = unix(self.now_ms);
        if measure != Measure::Drop || self.dice.happens(300) {
            if self.dice.happens(400) {
                let lifting = self.cast.lifting(Party::Body, decision, now);
                let hands = self.some_seats(QUORUM.into());
                let signed = self.cast.sign(lifting, &hands);
                self.send(1, &signed, Intent::End(decision, now));
            }
            self.cases[number].complaint = Some(ActId([0; 32]));
            return;
        }
        let Some(desk) = self.platform.desk() else { return };
        let challenger = Challenger::new([3; 32]);
        let address = Ipv6Addr::from_bits(about.first() | 5);
        let operator = self.cast.key((Party::Operator, Function::Operation));
        let complained = desk.challenge(&challenger, &decision, address, now).and_then(|challenge| {
            let (challenge, ground) = (challenge.text, Ground::Error);
            let answered = Answered { challenge: &challenge, from: address, ground, commitment: [5; 32] };
            desk.complain(&challenger, &answered, operator, now)
        });
        match complained {
            Ok(complaint) => {
                self.cases[number].complaint = Some(self.send(99, &complaint, Intent::Nothing));
            }
            Err(_) => self.cases[number].complaint = Some(ActId([0; 32])),
        }
    }

    /// The platform publishes the relief that gateways are owed.
    pub(crate) fn relieve(&mut self) {
        let now = unix(self.now_ms);
        let executive = self.cast.key((Party::Executive, Function::Execution)).clone();
        while let Some(signed) = self.platform.desk().and_then(|desk| desk.owed_relief(&executive, now)) {
            let Ok(Object { body: Act::Relief(relief), .. }) = Object::<Act>::decode(signed.bytes()) else {
                return;
            };
            self.hand_in(&signed, Intent::Relieve(relief.act, now));
        }
    }

    /// The platform hands in something of its own.
    pub(crate) fn hand_in(&mut self, signed: &Signed, intent: Intent) {
        let now = (unix(self.now_ms), self.now_ms);
        let salt = self.dice.bytes();
        match self.platform.hand_in(&signed.encode(), network(0), now, (salt, false)) {
            Taken::Here(receipt, _) => {
                self.note("handed_in", format_args!("{} {intent:?}", receipt.place));
                self.model.taken(receipt.id, intent, receipt.place);
            }
            Taken::Refused(word) => self.note(&format!("own_{word}"), format_args!("")),
            Taken::Down => {}
        }
    }

    /// Issuers make the manifests that are due. Hostile ones now and then do not.
    pub(crate) fn attest(&mut self) {
        for (party, shard) in self.platform.due(unix(self.now_ms), 600) {
            let is_hostile = party.member().is_some_and(|id| self.hostile.contains(&id.0));
            if is_hostile && !self.is_calm && self.dice.happens(400) {
                self.note("withheld", format_args!("{party}"));
                continue;
            }
            self.state(party, &shard);
        }
    }

    pub(crate) fn state(&mut self, party: Party, shard: &credence_feed::Shard) {
        let now = unix(self.now_ms);
        let manifest = self.cast.manifest(party, shard, now);
        let hands = match party {
            Party::Member(_) => vec![(party, Function::Alerts)],
            _ => self.some_seats(QUORUM.into()),
        };
        let signed = self.cast.sign(manifest, &hands);
        self.sent.push(signed.encode());
        self.hand_in(&signed, Intent::Nothing);
    }

    /// All issuers state what they have in force, at once.
    pub(crate) fn settle(&mut self) -> Checked {
        self.relieve();
        for (party, shard) in self.platform.due(unix(self.now_ms), 0) {
            self.state(party, &shard);
        }
        match self.platform.publish((unix(self.now_ms), self.now_ms), None) {
            Put::Out => self.published(),
            Put::Lost | Put::Nothing => Ok(()),
        }
    }
}
