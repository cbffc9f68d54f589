//! Facts and policy to a verdict.

use credence_credit::{Authority, EvidenceClass, Measure, Rating, Score};
use credence_flow::{Anomalies, Behaviour, Level};

use crate::policy::{Policy, Thresholds};
use crate::severity::Severity;
use crate::term::{Rule, Term, Terms};

/// What may count for or against a flow.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// What the lists and the credit cache say of the source.
    pub standing: Standing,
    /// The flow's source has proved that it receives what is sent to it, so that its address is not forged.
    pub confirmed: bool,
    /// Every anomaly the flow has shown.
    pub anomalies: Anomalies,
    /// What the prefixes of the source did up to the last closed step, in the order of [`Level::ALL`].
    pub behaviour: [Option<Behaviour>; 4],
}

/// What the lists and the credit cache say of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The source is on the never-block list: traffic that must not be lost whatever anyone says.
    pub never_block: bool,
    /// The source's credit, from the live record with the longest prefix. Unrated where there is none, and where the
    /// guards do not let the record act: what may not be enforced changes nothing.
    pub rating: Rating,
    /// The live, enforceable record whose word is heard first, if any.
    pub ruling: Option<Ruling>,
}

impl Standing {
    /// Nobody has said anything of the source.
    pub const UNKNOWN: Self = Self { never_block: false, rating: Rating::Unrated, ruling: None };
}

/// The part of an enforceable record that a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What the record asks for.
    pub measure: Measure,
    /// By what right it is there.
    pub authority: Authority,
    /// How far its evidence can be forged.
    pub evidence: EvidenceClass,
}

/// What happens to a flow's packets, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// Pass, and be spared while a limiter is active.
    Incentive,
    /// Pass.
    Pass,
    /// Pass, counted and reported.
    Observe,
    /// Pass with a mark that congested links shed first.
    Mark,
    /// Pass within a rate.
    RateLimit,
    /// Discard.
    Drop,
}

impl Verdict {
    /// All of them, mildest first.
    pub const ALL: [Self; 6] =
        [Self::Incentive, Self::Pass, Self::Observe, Self::Mark, Self::RateLimit, Self::Drop];

    /// The word in outputs, a contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incentive => "incentive",
            Self::Pass => "pass",
            Self::Observe => "observe",
            Self::Mark => "mark",
            Self::RateLimit => "rate_limit",
            Self::Drop => "drop",
        }
    }

    /// The verdict of a number, as `as u8` gives it.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Incentive),
            1 => Some(Self::Pass),
            2 => Some(Self::Observe),
            3 => Some(Self::Mark),
            4 => Some(Self::RateLimit),
            5 => Some(Self::Drop),
            _ => None,
        }
    }

    /// The verdict that carries a measure out.
    pub const fn of(measure: Measure) -> Self {
        match measure {
            Measure::Incentive => Self::Incentive,
            Measure::None => Self::Pass,
            Measure::Observe => Self::Observe,
            Measure::Mark => Self::Mark,
            Measure::RateLimit => Self::RateLimit,
            Measure::Drop => Self::Drop,
        }
    }
}

/// Whose word decided, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Basis {
    /// The never-block list.
    NeverBlock,
    /// The operator's allow list.
    OperatorAllow,
    /// The operator's deny list.
    OperatorDeny,
    /// A restriction by all members.
    Restriction,
    /// A decision of the coordinating body.
    Decision,
    /// The holder's own alert.
    OwnAlert,
    /// The score: credit and what was observed here.
    LocalScore,
}

impl Basis {
    /// All of them, strongest first.
    pub const ALL: [Self; 7] = [
        Self::NeverBlock,
        Self::OperatorAllow,
        Self::OperatorDeny,
        Self::Restriction,
        Self::Decision,
        Self::OwnAlert,
        Self::LocalScore,
    ];

    /// The word in outputs, a contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverBlock => "never_block",
            Self::OperatorAllow => "operator_allow",
            Self::OperatorDeny => "operator_deny",
            Self::Restriction => "restriction",
            Self::Decision => "decision",
            Self::OwnAlert => "own_alert",
            Self::LocalScore => "local_score",
        }
    }
}

/// A judgement with its reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The flow's score, the exact sum of the terms.
    pub score: Score,
    /// The terms.
    pub terms: Terms,
    /// What follows.
    pub verdict: Verdict,
    /// Whose word decided.
    pub basis: Basis,
}

/// What an assessment comes to, without its reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The flow's score.
    pub score: Score,
    /// What follows.
    pub verdict: Verdict,
    /// Whose word decided.
    pub basis: Basis,
}

/// Judges a flow, as [`assess`] does without listing the terms: those take longer to write down than to add up, and only
/// an alert shows them.
#[inline]
pub fn judge(facts: &Facts, policy: &Policy) -> Judgement {
    let start = start(facts, policy).points;
    let (mut all, mut own) = (start, start);
    each_loss(facts, policy, |term| {
        all += term.points;
        own += if term.level.is_none() { term.points } else { 0 };
    });
    conclude(facts, policy, all, own)
}

/// Judges a flow and says why.
///
/// The score starts at the source's credit, or at the policy's neutral score when the source is unrated or its record
/// may not act; anomalies and behaviour take from it. The verdict is that of the strongest list that speaks: never-block,
/// the operator's allow list, the operator's deny list. Where none does, the harder of two applies: what the winning act
/// asks for, bounded by its authority and evidence, and what the ladder says of the score. The ladder never drops.
///
/// What a source does across flows can be forged by whoever forges its address. So a confirmed flow is never limited for
/// it: behaviour alone takes it no further than a mark.
pub fn assess(facts: &Facts, policy: &Policy) -> Assessment {
    let mut terms = Terms::start(start(facts, policy));
    each_loss(facts, policy, |term| terms.push(term));
    let (all, own) = (terms.sum(), terms.own());
    terms.push(plain(Rule::Floor, -all.min(0), 0));
    let Judgement { score, verdict, basis } = conclude(facts, policy, all, own);
    Assessment { score, terms, verdict, basis }
}

/// What follows from terms that add up to `all`, those of the flow itself and of its source's credit to `own`.
#[inline]
fn conclude(facts: &Facts, policy: &Policy, all: i32, own: i32) -> Judgement {
    let score = score_of(all);
    let (verdict, basis) = decide(facts, climb(facts, score, own, policy));
    Judgement { score, verdict, basis }
}

/// A term of behaviour: its rule, what is measured, its threshold for a single address, its slope.
struct Measured {
    rule: Rule,
    slope: i32,
    of: fn(&Behaviour) -> u64,
    threshold: fn(&Thresholds) -> u32,
}

impl Measured {
    /// The value from which on this term takes something at a level.
    fn from(&self, thresholds: &Thresholds, level: usize) -> u64 {
        u64::from((self.threshold)(thresholds)) * LEVEL_FACTOR[level]
    }
}

/// The terms of behaviour, in the order in which they are listed.
const MEASURED: [Measured; 5] = [
    Measured { rule: Rule::FlowRate, slope: 50, of: |b| u64::from(b.flows), threshold: |t| t.flows_per_s },
    Measured { rule: Rule::PacketRate, slope: 30, of: |b| b.packets, threshold: |t| t.packets_per_s },
    Measured { rule: Rule::Targets, slope: 80, of: |b| u64::from(b.targets), threshold: |t| t.targets },
    Measured { rule: Rule::Ports, slope: 80, of: |b| u64::from(b.ports), threshold: |t| t.ports },
    Measured {
        rule: Rule::AnomalyRate,
        slope: 50,
        of: |b| u64::from(b.odd),
        threshold: |t| t.odd_flows_per_s,
    },
];

/// The most one kind of behaviour takes at each level of [`Level::ALL`]. One subscriber holds a /64 or more, so that the
/// first two weigh alike; of wider prefixes little is carried up, since neighbours share them.
const LEVEL_CAP: [i32; 4] = [250, 250, 80, 40];

/// How many times the threshold of a single address each level of [`Level::ALL`] has.
const LEVEL_FACTOR: [u64; 4] = [1, 4, 16, 64];

/// What the share of unanswered openings takes at most from a single address.
const UNANSWERED_CAP: i64 = 250;

/// The term that the others take from.
#[inline]
fn start(facts: &Facts, policy: &Policy) -> Term {
    match facts.standing.rating.score() {
        Some(score) => plain(Rule::Credit, i32::from(score.value()), u64::from(score.value())),
        None => plain(Rule::Unrated, i32::from(policy.neutral), 0),
    }
}

/// Hands on each term between the start and the floor, in the order in which they are listed.
#[inline]
fn each_loss(facts: &Facts, policy: &Policy, mut each: impl FnMut(Term)) {
    // Most flows show nothing: what would come to no points is not reckoned.
    if !facts.anomalies.is_empty() {
        shown(facts, &mut each);
    }
    if facts.behaviour.iter().any(Option::is_some) {
        behaved(facts, &policy.thresholds, &mut each);
    }
}

/// The terms of anomalies.
#[cold]
fn shown(facts: &Facts, each: &mut dyn FnMut(Term)) {
    for (severity, rule) in [
        (Severity::Evasive, Rule::AnomalyEvasive),
        (Severity::Invalid, Rule::AnomalyInvalid),
        (Severity::Unusual, Rule::AnomalyUnusual),
    ] {
        let count = severity.count(facts.anomalies);
        let (points, most) = severity.weight();
        let loss = i32::try_from(count).unwrap_or(i32::MAX).saturating_mul(points).min(most);
        each(plain(rule, -loss, u64::from(count)));
    }
}

/// The terms of what the source does across flows.
#[inline(never)]
fn behaved(facts: &Facts, thresholds: &Thresholds, each: &mut dyn FnMut(Term)) {
    for measured in &MEASURED {
        each(worst(facts, measured.rule, |level, behaviour| {
            let value = (measured.of)(behaviour);
            (sublinear(value, measured.from(thresholds, level), measured.slope), value)
        }));
    }
    each(worst(facts, Rule::Unanswered, |level, b| {
        (unanswered(b, enough(thresholds, level)), u64::from(b.unanswered))
    }));
}

/// The score that terms add up to, none of them the floor.
fn score_of(sum: i32) -> Score {
    // A credit score is at most 1000 and every later term takes.
    u16::try_from(sum.max(0)).ok().and_then(|s| Score::new(s).ok()).unwrap_or(Score::BEST)
}

const fn plain(rule: Rule, points: i32, measured: u64) -> Term {
    Term { rule, points, measured, level: None }
}

/// The level that takes most, the narrowest of equals: one kind of behaviour is held against a source once.
fn worst(facts: &Facts, rule: Rule, loss: impl Fn(usize, &Behaviour) -> (i32, u64)) -> Term {
    let mut term = plain(rule, 0, 0);
    for (i, level) in Level::ALL.into_iter().enumerate() {
        let Some(behaviour) = &facts.behaviour[i] else { continue };
        let (points, measured) = loss(i, behaviour);
        let points = -points.min(LEVEL_CAP[i]);
        if points < term.points {
            term = Term { rule, points, measured, level: Some(level) };
        }
    }
    term
}

/// Openings from which on their share of answers counts at a level.
fn enough(thresholds: &Thresholds, level: usize) -> u64 {
    u64::from(thresholds.openings) * LEVEL_FACTOR[level]
}

impl Thresholds {
    /// Whether what a prefix of this level does is held against nobody: [`assess`] then gives the same without it.
    ///
    /// What is quiet stays quiet while its counters decay. That is why a share of openings in vain that is above a half
    /// by so little that no whole point comes of it does not count as quiet: decay can round it up.
    #[inline]
    pub fn is_quiet(&self, level: Level, behaviour: &Behaviour) -> bool {
        let level = level as usize;
        let below = |m: &Measured| (m.of)(behaviour) < m.from(self, level);
        MEASURED.iter().all(below) && !mostly_in_vain(behaviour, enough(self, level))
    }
}

/// `slope` at the threshold and once more at each doubling: ten times the traffic does not cost ten times the points.
fn sublinear(value: u64, threshold: u64, slope: i32) -> i32 {
    match value.checked_div(threshold).and_then(u64::checked_ilog2) {
        Some(doublings) => slope * (1 + i32::try_from(doublings).unwrap_or(63)),
        None => 0,
    }
}

/// Nothing up to half of the openings, then in proportion: a client behind a broken path stays below, a scan does not.
fn unanswered(b: &Behaviour, enough: u64) -> i32 {
    if !mostly_in_vain(b, enough) {
        return 0;
    }
    let (silent, all) = (i64::from(b.unanswered.min(b.openings)), i64::from(b.openings));
    i32::try_from((UNANSWERED_CAP * (2 * silent - all) / all).max(0)).unwrap_or(0)
}

/// Whether more than half of at least `enough` openings were in vain.
fn mostly_in_vain(b: &Behaviour, enough: u64) -> bool {
    u64::from(b.openings) >= enough && u64::from(b.unanswered.min(b.openings)) * 2 > u64::from(b.openings)
}

fn decide(facts: &Facts, ladder: Verdict) -> (Verdict, Basis) {
    if facts.standing.never_block {
        return (Verdict::Pass, Basis::NeverBlock);
    }
    let Some(ruling) = &facts.standing.ruling else { return (ladder, Basis::LocalScore) };
    let asked = asked(ruling);
    match ruling.authority {
        Authority::OperatorList if asked <= Verdict::Pass => (asked, Basis::OperatorAllow),
        Authority::OperatorList => (asked, Basis::OperatorDeny),
        authority if asked > Verdict::Pass && asked >= ladder => (asked, basis(authority)),
        _ => (ladder, Basis::LocalScore),
    }
}

/// What a record may ask for, bounded by its authority and its evidence.
fn asked(ruling: &Ruling) -> Verdict {
    Verdict::of(ruling.measure.min(ruling.authority.most(ruling.evidence)))
}

const fn basis(authority: Authority) -> Basis {
    match authority {
        Authority::OperatorList => Basis::OperatorDeny,
        Authority::OwnAlert => Basis::OwnAlert,
        Authority::Decision => Basis::Decision,
        Authority::Restriction => Basis::Restriction,
    }
}

/// What the ladder says of the score, and of the `own` part of it: credit and what the flow itself showed.
fn climb(facts: &Facts, score: Score, own: i32, policy: &Policy) -> Verdict {
    let rated = facts.standing.rating.score().is_some();
    let all = rung(i32::from(score.value()), rated, policy);
    if !facts.confirmed {
        return all;
    }
    all.min(Verdict::Mark).max(rung(own, rated, policy))
}

/// The rung of a score. Only a rated source can earn an incentive.
fn rung(score: i32, rated: bool, policy: &Policy) -> Verdict {
    let ladder = &policy.ladder;
    let below = |rung: u16| score < i32::from(rung);
    match () {
        () if below(ladder.rate_limit_below) => Verdict::RateLimit,
        () if below(ladder.mark_below) => Verdict::Mark,
        () if below(ladder.observe_below) => Verdict::Observe,
        () if rated && !below(ladder.incentive_from) => Verdict::Incentive,
        () => Verdict::Pass,
    }
}

#[cfg(test)]
#[path = "assess_tests.rs"]
mod tests;
