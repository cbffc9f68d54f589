//! What hostile members try with their own keys.

use credence_credit::{Authority, EvidenceClass, IssuerId, Measure, Rating, Reasons, Record};
use credence_law::party::{Function, Party};
use credence_prefix::Prefix;

use crate::Sabotage;
use crate::cast::{BEGIN, Hand, QUORUM, member, seats, site};
use crate::model::Intent;
use crate::platform::unix;
use crate::story::Parcel;
use crate::world::{Event, HOUR, MINUTE, Simulation};

impl Simulation {
    /// Somebody hostile does something.
    pub(crate) fn plot(&mut self) {
        if self.hostile.is_empty() {
            return;
        }
        self.after(20 * MINUTE, Event::Plot);
        let by = self.dice.one(&self.hostile.clone());
        let victim = self.honest();
        let about = self.place(victim);
        let own = [(member(by), Function::Alerts)];
        match self.dice.below(15) {
            0 => self.lie(by, about, Measure::RateLimit, &own),
            1 => {
                let wide = self.dice.one(&[29, 32, 40, 47]);
                self.lie(by, site(by, 0, wide), Measure::RateLimit, &own);
            }
            2 => {
                let own_site = self.place(by);
                self.lie(by, own_site, Measure::Drop, &own);
            }
            3 => {
                let all: Vec<Hand> = self.hostile.iter().map(|id| (member(*id), Function::Alerts)).collect();
                self.lie(victim, about, Measure::RateLimit, &all);
            }
            4 | 5 => self.frame(about, victim),
            // Once it was said again before anything had been said.
            6 if !self.sent.is_empty() => {
                let old = self.dice.one(&self.sent.clone());
                let parcel = Parcel { bytes: old, intent: Intent::Nothing, from: by, sent_ms: self.now_ms };
                self.at(self.now_ms + 100, Event::Arrive(parcel));
            }
            7 => self.flood(by),
            8 => self.forge(by, victim),
            9 => self.misstate(by),
            10 => self.meddle(by, victim),
            11 => {
                // What a gateway never blocks is somebody's network, who may warn of it.
                let of = usize::from(by) % self.gateways.len();
                let protected = self.gateways[of].own[0];
                let holder = (protected.first() >> 96) as u16;
                if self.hostile.contains(&holder) {
                    self.alert(holder, Prefix::containing(protected.first(), 48), HOUR);
                }
            }
            12 => self.take_back(by),
            13 => self.steal(),
            _ => {
                let own_site = self.place(by);
                self.alert(by, own_site, 6 * HOUR);
            }
        }
    }

    /// Somebody says something of addresses that it may not.
    pub(crate) fn lie(&mut self, by: u16, about: Prefix, measure: Measure, hands: &[Hand]) {
        let now = self.clock(by);
        let now = if self.dice.happens(200) { now + 3_600 } else { now };
        let alert = self.cast.alert(by, about, measure, (now, 7_200));
        let signed = self.cast.sign(alert, hands);
        self.send(by, &signed, Intent::Nothing);
    }

    /// All who are hostile report a victim, write an opinion and decide, as far as their keys go.
    pub(crate) fn frame(&mut self, about: Prefix, victim: u16) {
        let (hostile, now) = (self.hostile.clone(), unix(self.now_ms));
        let mut reports = Vec::new();
        for &by in &hostile {
            let report = self.cast.report(by, about, self.clock(by));
            let signed = self.cast.sign(report, &[(member(by), Function::Alerts)]);
            reports.push((self.send(by, &signed, Intent::Nothing), by));
        }
        let opinion = self.cast.opinion(reports.iter().map(|(report, _)| *report).collect(), now);
        let signed = self.cast.sign(opinion, &[(member(hostile[0]), Function::Decisions)]);
        let opinion = self.send(hostile[0], &signed, Intent::Nothing);
        // An honest opinion on somebody else is all that there is to cite.
        let known = self.cases.iter().rev().find_map(|case| case.opinion);
        let cited = if self.dice.happens(500) { known.unwrap_or(opinion) } else { opinion };
        let decision = self.cast.decision(about, Measure::Drop, (&reports, cited), (now, 7_200));
        let mut hands = seats(&hostile);
        if self.dice.happens(300) {
            hands.extend(hostile.iter().map(|id| (member(*id), Function::Votes)));
        }
        let signed = self.cast.sign(decision, &hands);
        self.send(victim, &signed, Intent::Nothing);
    }

    /// Hundreds of alerts at once, all of a member's own sites: nobody can forbid that, and gateways ask their operators. Later all of
    /// them are taken back at once.
    pub(crate) fn flood(&mut self, by: u16) {
        let standing = self.model.standing(member(by), unix(self.now_ms));
        if standing.len() > 120 {
            standing.into_iter().for_each(|act| self.end(by, act));
        } else {
            (0..160).for_each(|number| {
                self.alert(by, site(by, 1_000 + number, 48), 12 * HOUR);
            });
        }
    }

    /// Things in somebody else's name, signed with keys that are not theirs, more than anybody is allowed.
    pub(crate) fn forge(&mut self, by: u16, victim: u16) {
        for _ in 0..60 {
            let about = self.place(victim);
            let alert = self.cast.alert(victim, about, Measure::RateLimit, (self.clock(by), 7_200));
            let signed = self.cast.sign(alert, &[(member(by), Function::Rules)]);
            let mut bytes = signed.encode();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            let parcel = Parcel { bytes, intent: Intent::Nothing, from: by, sent_ms: self.now_ms };
            self.at(self.now_ms + 50, Event::Arrive(parcel));
        }
    }

    /// Two manifests of one number that state different things, the rows of somebody else's among them.
    pub(crate) fn misstate(&mut self, by: u16) {
        let now = self.clock(by);
        let other = Party::Member(credence_law::party::MemberId(self.honest()));
        for party in [member(by), other] {
            let Some(shard) = self.platform.stated(party) else { continue };
            let mut manifest = self.cast.manifest(member(by), &shard, now);
            manifest.preamble.number -= u64::from(party == other);
            let signed = self.cast.sign(manifest, &[(member(by), Function::Alerts)]);
            self.send(by, &signed, Intent::Nothing);
        }
    }

    /// Somebody takes back what others have said.
    pub(crate) fn meddle(&mut self, by: u16, victim: u16) {
        let of = self.dice.one(&[member(victim), Party::Body]);
        let standing = self.model.standing(of, unix(self.now_ms));
        if standing.is_empty() {
            return;
        }
        let act = self.dice.one(&standing);
        let now = self.clock(by);
        let lifting = self.cast.lifting(member(by), act, now);
        let signed = self.cast.sign(lifting, &[(member(by), Function::Alerts)]);
        self.send(by, &signed, Intent::Nothing);
        let lifting = self.cast.lifting(of, act, now);
        let signed = self.cast.sign(lifting, &seats(&self.hostile.clone()));
        self.send(by, &signed, Intent::Nothing);
    }

    /// A record that nobody has signed for, for a gateway that would believe it.
    pub(crate) fn forged(&mut self) -> Option<Record> {
        (self.sabotage == Some(Sabotage::Forged)).then(|| Record {
            prefix: site(1, 7_777, 48),
            rating: Rating::Unrated,
            measure: Measure::Drop,
            reasons: Reasons::NONE,
            issuer: IssuerId(0),
            evidence: EvidenceClass::Confirmed,
            authority: Authority::Decision,
            signatures: QUORUM,
            expires: BEGIN + 2 * 86_400,
            act: None,
        })
    }
}
