//! What the parties of an example world say, signed with the keys that the example has put in its directory.

use std::path::PathBuf;

use credence_credit::{ActId, EvidenceClass, Learned, Measure, Reason, Score};
use credence_feed::Shard;
use credence_law::acts::{
    Block, Claim, Decision, Finding, Ground, Lifting, Manifest, Opinion, Outcome, OwnAlert, Preamble,
    Purpose, Report, Ruling, Source, Stage,
};
use credence_law::party::{Function, MemberId, Party, World};
use credence_law::standard::Standard;
use credence_law::{Act, Object, Signed};
use credence_prefix::Prefix;
use sha2::{Digest, Sha256};

use super::Place;
use crate::keys::read;

/// How long what they say lasts, in seconds: a week.
const WEEK: u64 = 7 * 86_400;
/// How long a manifest lasts, in seconds: as long as the law allows.
const MANIFEST_LASTS: u64 = 3_600;
/// The members whose seats decide: as many as the example's quorum, and not the holder of what they decide about.
const SEATS: [u16; 3] = [1, 4, 5];
/// The advisers who speak: as many as an opinion takes.
const ADVISERS: [u16; 2] = [0, 1];

/// All parties of an example world, as one who has their keys. In a world in earnest nobody has.
#[derive(Debug)]
pub struct Parties {
    place: Place,
    world: World,
    /// The number of the last act, which only has to rise.
    number: u64,
}

impl Parties {
    /// The parties of the world in a directory at `now` (Unix seconds).
    pub fn new(place: Place, world: World, now: u64) -> Self {
        // A thousand acts a second leave room for whoever goes on later.
        Self { place, world, number: now.saturating_mul(1_000) }
    }

    /// A member's alert about a network of its own.
    ///
    /// # Errors
    /// When a key is missing.
    pub fn alert(
        &mut self,
        member: u16,
        subject: Prefix,
        (measure, score): (Measure, Score),
        now: u64,
    ) -> anyhow::Result<Signed> {
        let preamble = self.preamble(Party::Member(MemberId(member)), Purpose::Warning, now);
        let rating = Standard::first().rating(score);
        let key = self.place.member(member, Function::Alerts);
        self.sign(OwnAlert { preamble, claim: claim(subject, now), rating, measure }, [key])
    }

    /// A member's report about another's network.
    ///
    /// # Errors
    /// When a key is missing.
    pub fn report(&mut self, member: u16, subject: Prefix, now: u64) -> anyhow::Result<Signed> {
        let preamble = self.preamble(Party::Member(MemberId(member)), Purpose::Warning, now);
        let key = self.place.member(member, Function::Alerts);
        self.sign(Report { preamble, claim: claim(subject, now) }, [key])
    }

    /// The advisers' opinion that supports reports.
    ///
    /// # Errors
    /// When a key is missing.
    pub fn opinion(&mut self, reports: &[(ActId, u16)], now: u64) -> anyhow::Result<Signed> {
        let mut reports: Vec<_> = reports.iter().map(|(report, _)| *report).collect();
        reports.sort_unstable();
        let preamble = self.preamble(Party::Adviser(ADVISERS[0]), Purpose::Governance, now);
        let keys = ADVISERS.map(|place| self.place.adviser(place));
        self.sign(Opinion { preamble, reports, finding: Finding::Supports, reasons: rand::random() }, keys)
    }

    /// The coordinating body's decision to drop, by reports with the members who made them.
    ///
    /// # Errors
    /// When a key is missing.
    pub fn decision(
        &mut self,
        subject: Prefix,
        score: Score,
        (reports, opinion): (&[(ActId, u16)], ActId),
        now: u64,
    ) -> anyhow::Result<Signed> {
        let salt: [u8; 32] = rand::random();
        let author = |member: u16| {
            Sha256::new().chain_update(salt).chain_update(member.to_be_bytes()).finalize().into()
        };
        let mut sources: Vec<_> =
            reports.iter().map(|&(report, member)| Source { report, author: author(member) }).collect();
        sources.sort_unstable_by_key(|source| source.report);
        let preamble = self.preamble(Party::Body, Purpose::Governance, now);
        let (claim, rating) = (claim(subject, now), Standard::first().rating(score));
        let decision = Decision { preamble, claim, rating, measure: Measure::Drop, sources, opinion };
        let seats = self.seats();
        self.sign(decision, seats)
    }

    /// The coordinating body's word that a complaint about an act was right.
    ///
    /// # Errors
    /// When a key is missing.
    pub fn uphold(&mut self, complaint: ActId, act: ActId, now: u64) -> anyhow::Result<Signed> {
        let preamble = self.preamble(Party::Body, Purpose::Relief, now);
        let (stage, ruling) = (Stage::Adjudication, Some(Ruling::Upheld));
        let seats = self.seats();
        self.sign(Outcome { preamble, complaint, act, stage, ruling, reasons: rand::random() }, seats)
    }

    /// A member's word that an act of its own is over.
    ///
    /// # Errors
    /// When a key is missing.
    pub fn lift(&mut self, member: u16, act: ActId, now: u64) -> anyhow::Result<Signed> {
        let preamble = self.preamble(Party::Member(MemberId(member)), Purpose::Relief, now);
        let key = self.place.member(member, Function::Alerts);
        self.sign(Lifting { preamble, lifts: act, ground: Ground::Remedied }, [key])
    }

    /// What an issuer states of these rows.
    ///
    /// # Errors
    /// When a key is missing.
    pub fn manifest(&mut self, issuer: Party, shard: &Shard, now: u64) -> anyhow::Result<Signed> {
        let mut preamble = self.preamble(issuer, Purpose::Governance, now);
        preamble.expires = now + MANIFEST_LASTS;
        let keys = match issuer {
            Party::Member(member) => vec![self.place.member(member.0, Function::Alerts)],
            _ => self.seats().to_vec(),
        };
        self.sign(Manifest { preamble, count: shard.len(), digest: shard.digest() }, keys)
    }

    fn seats(&self) -> [PathBuf; SEATS.len()] {
        SEATS.map(|member| self.place.member(member, Function::Decisions))
    }

    fn preamble(&mut self, issuer: Party, purpose: Purpose, now: u64) -> Preamble {
        self.number += 1;
        let expires = now.saturating_add(WEEK);
        Preamble { issuer, number: self.number, issued: now, expires, registry: 1, purpose }
    }

    fn sign(&self, act: impl Into<Act>, keys: impl IntoIterator<Item = PathBuf>) -> anyhow::Result<Signed> {
        let keys = keys.into_iter().map(|path| read(&path)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Signed::with(Object::new(self.world, act.into()).encode(), &keys))
    }
}

/// That attacks on passwords were seen and confirmed just now. The evidence is nobody's but the stage's, and so is the commitment.
fn claim(subject: Prefix, now: u64) -> Claim {
    Claim {
        subject: Block { prefix: subject, learned: Learned::Default },
        item: Reason::CredentialAttack as u16,
        catalogue: 1,
        standard: 1,
        evidence: EvidenceClass::Confirmed,
        seen_from: now,
        seen_until: now,
        commitment: rand::random(),
        repeats: None,
    }
}

#[cfg(test)]
mod tests {
    use credence_law::State;

    use super::super::{CAMPUS, VISITORS, make_world};
    use super::*;
    use crate::desk::Desk;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn what_parties_say_stands_before_the_platforms_own_checks() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        let (world, journal) = make_world(&place, NOW).unwrap();
        let mut desk = Desk::begin(&journal[0], world).unwrap();
        journal[1..].iter().for_each(|entry| desk.replay(entry).unwrap());
        let mut parties = Parties::new(place, world, NOW);
        let mut hand_in = |signed: anyhow::Result<Signed>| {
            desk.receive(&signed.unwrap().encode(), NOW, [9; 32]).map(|(receipt, _)| receipt.id)
        };
        let subject = Prefix::containing(VISITORS.first(), 48);
        let observed = (Measure::Observe, Score::new(480).unwrap());
        let own = hand_in(parties.alert(CAMPUS, subject, observed, NOW)).unwrap();
        assert!(hand_in(parties.alert(1, subject, observed, NOW)).is_err(), "another's network");
        assert!(hand_in(parties.report(CAMPUS, subject, NOW)).is_err(), "a network of its own");
        let reports = [1, 2].map(|member| (hand_in(parties.report(member, subject, NOW)).unwrap(), member));
        let opinion = hand_in(parties.opinion(&reports, NOW)).unwrap();
        let score = Score::new(120).unwrap();
        let alone = parties.decision(subject, score, (&reports[..1], opinion), NOW);
        assert!(hand_in(alone).is_err(), "one report is no ground");
        let act = hand_in(parties.decision(subject, score, (&reports, opinion), NOW)).unwrap();
        for id in [own, act] {
            assert_eq!(desk.book().state(&id, NOW), Some(State::InForce));
        }
    }
}
