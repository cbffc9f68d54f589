//! How a credit file becomes a score.
//!
//! A standard is data: whoever has the file and the standard comes to the same number, with integers alone.
//!
//! A subject of whom nothing counts is unrated. Otherwise it begins with the standard's base. Each thing against it takes away a
//! share of what is left: the item's severity, times how far such evidence is trusted, times how much of it has faded. So
//! risk is `1 − ∏(1 − trust · severity · decay)`, many small things never weigh more than all there is, and no item takes more
//! than its cap. What speaks for the subject adds its points, up to a cap for each item and one for all. Each entry's term is
//! by how much the score moved when it was counted, in the order of item, time and identity, so that terms and base add up to
//! the score exactly.

mod decay;

use credence_credit::{ActId, EvidenceClass, Rating, Reason, Score, Status};

pub use decay::{DECAY, ONE, decay};

use crate::catalogue::{Catalogue, Direction};
use crate::layout::{fields, in_order};

/// Thousandths, in which a standard gives shares.
const WHOLE: u64 = 1_000;
/// Seconds of a day.
const DAY: u64 = 86_400;

fields! {
    /// How an item counts.
    pub struct Rule {
        /// The item of the catalogue.
        pub item: u16,
        /// Against a subject: the share of what is left that it takes, in thousandths. For it: points.
        pub weight: u16,
        /// After how many days half of it has faded.
        pub half_life_days: u16,
        /// The most that all entries of this item take or give, in the same unit.
        pub cap: u16,
    }

    /// The scores from which a status begins; what lies below is the worst.
    pub struct Bounds {
        /// Good.
        pub good: u16,
        /// Normal.
        pub normal: u16,
        /// Watch.
        pub watch: u16,
        /// Poor.
        pub poor: u16,
    }

    /// The rules for a score.
    pub struct Standard {
        /// Its number; each version's is one more than that of the version before.
        pub version: u32,
        /// The version before; none for the first.
        pub previous: Option<ActId>,
        /// The version of the catalogue that its items are of.
        pub catalogue: u32,
        /// What a subject begins with that has a credit file.
        pub base: u16,
        /// The most points that everything for a subject gives together.
        pub earned_max: u16,
        /// How far evidence is trusted, in thousandths: confirmed, unconfirmed, declared.
        pub trust: Vec<u16>,
        /// From which score a subject is what.
        pub bounds: Bounds,
        /// A rule for each item, in the order of items.
        pub rules: Vec<Rule>,
    }
}

/// Something in a credit file that may count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The act that says so.
    pub act: ActId,
    /// The item of the catalogue.
    pub item: u16,
    /// How far its evidence can be forged.
    pub evidence: EvidenceClass,
    /// When it was last seen, in Unix seconds.
    pub seen: u64,
}

/// What an entry did to the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// The act that it comes from.
    pub act: ActId,
    /// The item of the catalogue.
    pub item: u16,
    /// Points, negative ones against the subject.
    pub points: i32,
}

/// A score with its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The score and its status, or unrated when nothing counts.
    pub rating: Rating,
    /// What the subject began with; base and terms add up to the score.
    pub base: u16,
    /// What each entry did, in the order in which they were counted.
    pub terms: Vec<Term>,
}

impl Standard {
    /// The standard that the project ships, as version 1, over the catalogue that it ships.
    ///
    /// One confirmed scan takes a normal subject to the lower end of normal; three, or a single confirmed order to a botnet, take it
    /// to poor; only several serious things together lead to the worst status. What is declared weighs less than what was
    /// confirmed, and what can be forged does not weigh at all outside the network that saw it.
    pub fn first() -> Self {
        let rule = |item: Reason, weight, half_life_days, cap| Rule {
            item: item as u16,
            weight,
            half_life_days,
            cap,
        };
        Self {
            version: 1,
            previous: None,
            catalogue: 1,
            base: 650,
            earned_max: 250,
            trust: vec![1_000, 0, 600],
            bounds: Bounds {
                good: Status::GOOD_MIN.value(),
                normal: Status::NORMAL_MIN.value(),
                watch: Status::WATCH_MIN.value(),
                poor: Status::POOR_MIN.value(),
            },
            rules: vec![
                rule(Reason::Scanning, 200, 14, 600),
                rule(Reason::Flooding, 350, 14, 800),
                rule(Reason::CredentialAttack, 400, 30, 850),
                rule(Reason::BotnetControl, 600, 60, 950),
                rule(Reason::SpamSource, 300, 30, 700),
                rule(Reason::Amplification, 250, 30, 600),
                rule(Reason::SpoofedOrigin, 300, 30, 600),
                rule(Reason::RemediationConfirmed, 120, 90, 200),
                rule(Reason::CleanRecord, 100, 180, 200),
            ],
        }
    }

    /// Whether it gives every item of `catalogue` a rule, and every score a status.
    pub fn is_valid(&self, catalogue: &Catalogue) -> bool {
        let Bounds { good, normal, watch, poor } = self.bounds;
        let items = catalogue.items.iter().map(|item| item.number);
        let shares_fit = catalogue.items.iter().zip(&self.rules).all(|(item, rule)| {
            item.direction == Direction::For || u64::from(rule.weight.max(rule.cap)) <= WHOLE
        });
        self.catalogue == catalogue.version
            && in_order(&self.rules, |rule| rule.item).is_ok()
            && self.rules.iter().map(|rule| rule.item).eq(items)
            && shares_fit
            && self.rules.iter().all(|rule| rule.half_life_days > 0)
            && self.trust.len() == 3
            && self.trust.iter().all(|&trust| u64::from(trust) <= WHOLE)
            && self.base <= Score::BEST.value()
            && good <= Score::BEST.value()
            && [good, normal, watch, poor].is_sorted_by(|left, right| left > right)
    }

    /// The score at `now` (Unix seconds) of a subject with these entries, whatever order they come in. Entries of items that the
    /// standard or the catalogue does not know, and of the future, do not count.
    pub fn assess(&self, catalogue: &Catalogue, entries: &[Entry], now: u64) -> Assessment {
        let mut counted: Vec<Weighed> =
            entries.iter().filter_map(|entry| self.weigh(catalogue, entry, now)).collect();
        counted.sort_unstable_by_key(|weighed| {
            (weighed.direction == Direction::For, weighed.item, weighed.seen, weighed.act)
        });
        counted.dedup_by_key(|weighed| weighed.act);
        let mut account = Account::new(self);
        let terms = counted
            .chunk_by(|left, right| left.item == right.item)
            .flat_map(|same| account.count(same))
            .collect::<Vec<_>>();
        let rating = if terms.is_empty() { Rating::Unrated } else { self.rating(account.score()) };
        Assessment { rating, base: self.base, terms }
    }

    /// What an entry weighs now, if it counts.
    fn weigh(&self, catalogue: &Catalogue, entry: &Entry, now: u64) -> Option<Weighed> {
        let place = self.rules.binary_search_by_key(&entry.item, |rule| rule.item).ok()?;
        let (rule, item) = (&self.rules[place], catalogue.item(entry.item)?);
        let age = now.checked_sub(entry.seen)?;
        let trust = *self.trust.get(entry.evidence as usize)?;
        let left = u64::from(decay(age, u64::from(rule.half_life_days) * DAY));
        // At most 1,000 · 65,535 · 2³⁰ < 2⁵⁶.
        let weight = u64::from(trust) * u64::from(rule.weight) * left / WHOLE;
        let is_kept = age < u64::from(item.kept_days) * DAY;
        (is_kept && trust > 0).then_some(Weighed {
            act: entry.act,
            item: entry.item,
            seen: entry.seen,
            direction: item.direction,
            weight,
            cap: rule.cap,
        })
    }

    /// The rating of a score by this standard.
    pub fn rating(&self, score: Score) -> Rating {
        let Bounds { good, normal, watch, poor } = self.bounds;
        let bounds = [good, normal, watch, poor];
        let place = bounds.iter().position(|&bound| score.value() >= bound).unwrap_or(bounds.len());
        Rating::Rated { score, status: Status::ALL[place] }
    }
}

/// An entry with its weight.
#[derive(Clone, Copy, Debug)]
struct Weighed {
    act: ActId,
    item: u16,
    seen: u64,
    direction: Direction,
    /// Thousandths or points, times [`ONE`].
    weight: u64,
    cap: u16,
}

/// The score so far.
#[derive(Debug)]
struct Account<'s> {
    standard: &'s Standard,
    /// What is left of the base, as a share of [`ONE`].
    left: u64,
    /// Points for the subject, times [`ONE`].
    earned: u64,
}

impl<'s> Account<'s> {
    const fn new(standard: &'s Standard) -> Self {
        Self { standard, left: ONE, earned: 0 }
    }

    /// Points, rounded down in both parts.
    fn score(&self) -> Score {
        let points = u64::from(self.standard.base) * self.left / ONE + self.earned / ONE;
        u16::try_from(points).ok().and_then(|points| Score::new(points).ok()).unwrap_or(Score::BEST)
    }

    /// Counts all entries of one item, and says what each did.
    fn count(&mut self, same: &[Weighed]) -> Vec<Term> {
        let (left, earned) = (self.left, self.earned);
        let (mut share, mut points) = (ONE, 0);
        let mut terms = Vec::with_capacity(same.len());
        for weighed in same {
            let before = self.score();
            match weighed.direction {
                Direction::Against => {
                    share = share * (ONE - weighed.weight / WHOLE) / ONE;
                    let least = ONE - u64::from(weighed.cap) * ONE / WHOLE;
                    self.left = left * share.max(least) / ONE;
                }
                Direction::For => {
                    points += weighed.weight;
                    let most = earned + points.min(u64::from(weighed.cap) * ONE);
                    self.earned = most.min(u64::from(self.standard.earned_max) * ONE);
                }
            }
            let points = i32::from(self.score().value()) - i32::from(before.value());
            terms.push(Term { act: weighed.act, item: weighed.item, points });
        }
        terms
    }
}

#[cfg(test)]
mod tests;
