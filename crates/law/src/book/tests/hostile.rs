//! What any number of members below the quorum can do, whatever they sign.

use ed25519_dalek::SigningKey;

use super::*;
use crate::acts::{Block, Decision, Source};
use crate::object::Object;
use crate::party::{Function, MemberId};
use crate::sign::Signed;
use crate::world::{WORLD, all, block, key};

/// How many stories are told.
const SEEDS: u64 = 10_000;
/// What a seed tries.
const TRIES: usize = 4;

/// Numbers that look random, from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % below
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// What everybody knows before the story begins: a report and a decision of honest members.
struct Stage {
    platform: Platform,
    decided: ActId,
    templates: Vec<Act>,
}

fn stage() -> Stage {
    let mut platform = Platform::new();
    let decided = platform.decide(300);
    let mut known = Known::default();
    let templates = all(&mut known);
    Stage { platform, decided, templates }
}

/// A site of each member; what a hostile one holds is its own to speak of.
fn site(member: u16) -> Block {
    block(&format!("2a00:{member:x}:7::/48"))
}

/// An act of any kind, in anybody's name, about anybody, resting on anything, with as much as possible of what would be right.
fn attempt(dice: &mut Dice, stage: &Stage, hostile: &[u16], known: &[ActId]) -> Act {
    let mut act = dice.one(&stage.templates);
    let anyone = 1 + dice.below(MEMBERS.into()) as u16;
    let target = site(if dice.below(2) == 0 { anyone } else { dice.one(hostile) });
    let cited = dice.one(known);
    match &mut act {
        Act::OwnAlert(alert) => {
            (alert.claim.subject, alert.rating) = (target, rated(dice.one(&[50, 300, 900])));
            alert.measure = dice.one(&Measure::ALL);
        }
        Act::Report(report) => report.claim.subject = target,
        Act::Opinion(opinion) => opinion.reports = vec![cited],
        Act::Decision(decision) => decide(decision, dice, &target, known),
        Act::Proposal(proposal) => (proposal.decision, proposal.subject) = (cited, target),
        Act::Vote(vote) => (vote.proposal, vote.ballot) = (cited, Ballot::Yes),
        Act::Correction(correction) => correction.corrects = cited,
        Act::Lifting(lifting) => lifting.lifts = cited,
        Act::Relief(relief) => relief.act = cited,
        Act::Outcome(outcome) => (outcome.complaint, outcome.act) = (cited, dice.one(known)),
        Act::Erasure(erasure) => erasure.acts = vec![cited],
        _ => {}
    }
    let anybody =
        [member(dice.one(hostile)), Party::Body, Party::Adviser(0), Party::Executive, Party::Operator];
    // Mostly in its own name, or everything would end at the first check.
    act.preamble_mut().issuer = if dice.below(3) == 0 { dice.one(&anybody) } else { anybody[0] };
    act
}

fn decide(decision: &mut Decision, dice: &mut Dice, target: &Block, known: &[ActId]) {
    decision.claim.subject = target.clone();
    decision.opinion = dice.one(known);
    let author = |number| [number; 32];
    let mut sources: Vec<_> =
        (0..2).map(|number| Source { report: dice.one(known), author: author(number) }).collect();
    sources.sort_unstable_by_key(|source| source.report);
    sources.dedup_by_key(|source| source.report);
    decision.sources = sources;
}

/// Keys of the hostile members: mostly those for such an act, of all of them or of one.
fn keys(dice: &mut Dice, act: &Act, hostile: &[u16]) -> Vec<SigningKey> {
    let right = match act {
        Act::Proposal(_) | Act::Vote(_) => Function::Votes,
        Act::Draft(_) | Act::Comment(_) => Function::Rules,
        _ if act.issuer() == Party::Body => Function::Decisions,
        _ => Function::Alerts,
    };
    let wrong = dice.one(&[Function::Alerts, Function::Votes, Function::Decisions, Function::Rules]);
    let function = if dice.below(6) == 0 { wrong } else { right };
    let of = |id: u16, number| key(Party::Member(MemberId(id)), function, number);
    match (act.member(), dice.below(4)) {
        (None, _) | (_, 0) => hostile.iter().flat_map(|&id| [of(id, 1), of(id, 2)]).collect(),
        (Some(issuer), _) => vec![of(issuer.0, 1)],
    }
}

/// Alerts and decisions, how many of them were wrong, and clocks that have run out: each counted one by one.
fn counted(platform: &Platform, now: u64) -> (usize, usize, usize) {
    let is_judged = |accepted: &&Accepted| matches!(accepted.act, Act::OwnAlert(_) | Act::Decision(_));
    let judged: Vec<_> = platform.book.acts().filter(is_judged).collect();
    let wrong = judged.iter().filter(|act| platform.book.state(&act.id, now) == Some(State::Corrected));
    let late = platform.book.due(&platform.law, now).iter().filter(|due| due.is_overdue(now)).count();
    (judged.len(), wrong.count(), late)
}

/// What the institution says of itself is what there is to be counted. Returns how many acts were wrong.
fn check_record(seed: u64, platform: &Platform) -> usize {
    let moments = [NOW, NOW + 8 * DAY, NOW + 70 * DAY];
    let wrong = moments.map(|now| {
        let record = platform.book.institution(&platform.law, now);
        let told = (record.judged, record.overturned, record.overdue);
        assert_eq!(told, counted(platform, now), "seed {seed}");
        record.overturned
    });
    wrong[2]
}

/// What has come of a plot.
#[derive(Clone, Copy, Default)]
struct Plot {
    /// Acts of theirs that were accepted.
    accepted: usize,
    /// Acts that were wrong in the end.
    overturned: usize,
}

/// One seed: one or two hostile members of five, with a quorum of three.
fn plot(seed: u64, stage: &mut Stage) -> Plot {
    let mut dice = Dice(seed);
    let first = 1 + dice.below(MEMBERS.into()) as u16;
    let second = 1 + dice.below(MEMBERS.into()) as u16;
    let mut hostile = vec![first, second];
    hostile.dedup();
    let mut known: Vec<_> = stage.platform.book.acts().map(|accepted| accepted.id).collect();
    let (before, mut accepted) = (known.len(), 0);
    for _ in 0..TRIES {
        let mut act = attempt(&mut dice, stage, &hostile, &known);
        stage.platform.number += 1;
        act.preamble_mut().number = stage.platform.number;
        let keys = keys(&mut dice, &act, &hostile);
        let sent = Signed::with(Object::new(WORLD, act).encode(), &keys);
        if let Ok(taken) = stage.platform.law.submit(&sent, &stage.platform.book, NOW) {
            accepted += 1;
            known.push(taken.id);
            stage.platform.book.enter(taken);
        }
    }
    check(seed, &stage.platform, &hostile, stage.decided);
    let overturned = check_record(seed, &stage.platform);
    stage.platform.book.erase(known.split_off(before));
    Plot { accepted, overturned }
}

/// Nothing of theirs cuts anybody off, now or when the votes have closed, and beyond what they hold nothing is done to
/// anybody's traffic but what was done before.
fn check(seed: u64, platform: &Platform, hostile: &[u16], decided: ActId) {
    for at in [NOW, NOW + 4 * DAY] {
        let (issuers, records) = platform.book.records(&platform.law, at);
        for record in records.iter().filter(|record| record.act != Some(decided.short())) {
            let (_, holder) = platform.law.register().holder(record.prefix).unwrap();
            assert!(record.measure < Measure::Drop, "seed {seed}: {record:?}");
            let is_own = hostile.contains(&holder.0);
            assert!(is_own || !record.measure.constrains(), "seed {seed}: {record:?}");
            assert!(record.authority == credence_credit::Authority::OwnAlert, "seed {seed}: {record:?}");
        }
        let snapshot = Snapshot::new(Header::default(), issuers, records).unwrap();
        let cache = Cache::build(vec![snapshot], &Guards::default()).unwrap();
        for member in (1..=MEMBERS).filter(|member| !hostile.contains(member)) {
            let standing = cache.effective(site(member).prefix.first(), at);
            let allowed = standing.ruling.map(|number| cache.entry(number).allowed());
            assert!(!allowed.is_some_and(Measure::constrains), "seed {seed}: {member} is hit");
        }
    }
}

#[test]
fn below_the_quorum_nobody_blocks_anybody_whatever_they_sign() {
    let mut stage = stage();
    let plots: Vec<_> = (0..SEEDS).map(|seed| plot(seed, &mut stage)).collect();
    let accepted: usize = plots.iter().map(|plot| plot.accepted).sum();
    assert!(accepted as u64 > SEEDS / 2, "only {accepted} acts of {SEEDS} plots were good enough to matter");
    assert!(plots.iter().any(|plot| plot.overturned > 0), "nobody took anything back");
    assert_eq!(stage.platform.measure(SUBJECT), Measure::Drop, "what was decided before stands");
}
