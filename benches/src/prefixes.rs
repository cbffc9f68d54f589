//! Prefix tables and streams of addresses like those that a gateway meets, from a seed.
//!
//! A *routed* table looks like the Internet's own: the lengths follow [`ROUTED_PER_MILLE`], a public table of 2026
//! rounded; six in ten prefixes lie inside another, and a third follow their neighbour without a gap.
//!
//! A *feed* table looks like what lists of credit add to that. Of its prefixes 28 % are a routed table; the rest come
//! in clusters inside routed prefixes, each cluster of one kind:
//!
//! | share | kind |
//! |---|---|
//! | 15 % | consecutive subnets of routed lengths |
//! | 25 % | consecutive /56, customers' delegations |
//! | 35 % | /64 with gaps of up to 4, from a low /48 |
//! | 25 % | single hosts, about eight to a /64; interface identifiers half small numbers, a quarter from MAC addresses, a quarter random |

use std::collections::HashSet;

use credence_prefix::Prefix;

use crate::random::Random;

/// The lengths of routed prefixes: length, and how many of a thousand have it.
pub const ROUTED_PER_MILLE: [(u8, u64); 23] = [
    (20, 1),
    (24, 1),
    (28, 3),
    (29, 40),
    (30, 5),
    (31, 6),
    (32, 135),
    (33, 16),
    (34, 17),
    (35, 12),
    (36, 36),
    (37, 12),
    (38, 17),
    (39, 18),
    (40, 72),
    (41, 16),
    (42, 23),
    (43, 22),
    (44, 80),
    (45, 23),
    (46, 33),
    (47, 45),
    (48, 367),
];

/// The blocks that the registries allocate from, by their first 16 bits, and how many of a thousand top-level prefixes
/// lie in each. A block spans the sixteen values from its first on.
const REGISTRY_BLOCKS: [(u16, u64); 8] = [
    (0x2400, 280),
    (0x2a00, 230),
    (0x2800, 150),
    (0x2600, 140),
    (0x2a10, 50),
    (0x2001, 110),
    (0x2620, 25),
    (0x2c00, 15),
];

/// Clusters are drawn as often as a list of prefixes would name a neighbourhood: most are small, few are very large.
const CLUSTER_SHAPE: f64 = 1.05;

/// What of a hundred prefixes in clusters is of each kind: routed lengths, delegations, subnets, hosts.
const CLUSTER_SHARES: [usize; 4] = [15, 25, 35, 25];

/// A set of prefixes that grows, each at most once.
struct Growing {
    random: Random,
    list: Vec<Prefix>,
    known: HashSet<Prefix>,
    size: usize,
}

/// A routed table of `size` prefixes, sorted.
pub fn routed(size: usize, seed: u64) -> Vec<Prefix> {
    let mut table = Growing::new(size, seed);
    table.add_routed(size);
    table.sorted()
}

/// A feed table of `size` prefixes, sorted.
pub fn feed(size: usize, seed: u64) -> Vec<Prefix> {
    let mut table = Growing::new(size, seed);
    table.add_routed((size * 28).div_ceil(100));
    table.add_clusters();
    table.sorted()
}

/// `count` addresses, each a random host in a random prefix of `table`.
pub fn hits(table: &[Prefix], count: usize, seed: u64) -> Vec<u128> {
    let mut random = Random::new(seed);
    (0..count)
        .map(|_| {
            let prefix = table[random.below(table.len() as u64) as usize];
            prefix.first() | random.wide() & !prefix.first() & prefix.last()
        })
        .collect()
}

/// `count` addresses drawn from a million [`hits`] by Zipf's law: the n-th most frequent is n times as rare as the first.
pub fn zipf(table: &[Prefix], count: usize, seed: u64) -> Vec<u128> {
    const RANKS: u32 = 1_000_000;
    let ranked = hits(table, RANKS as usize, seed);
    let mut total = 0.0;
    let sums: Vec<f64> = (1..=RANKS)
        .map(|rank| {
            total += f64::from(rank).recip();
            total
        })
        .collect();
    let mut random = Random::new(seed ^ 1);
    (0..count)
        .map(|_| random.unit() * total)
        .map(|at| ranked[sums.partition_point(|&sum| sum <= at)])
        .collect()
}

/// A random fifth of `table`, in random order, each prefix with its place in the table.
pub fn fifth(table: &[Prefix], seed: u64) -> Vec<(Prefix, u32)> {
    let mut random = Random::new(seed);
    let mut places: Vec<u32> = (0..table.len() as u32).collect();
    let count = places.len().div_ceil(5);
    for at in 0..count {
        let left = (places.len() - at) as u64;
        places.swap(at, at + random.below(left) as usize);
    }
    places[..count].iter().map(|&place| (table[place as usize], place)).collect()
}

/// `count` addresses of the global unicast space `2000::/3`, as they come: nearly all lie in no prefix.
pub fn strays(count: usize, seed: u64) -> Vec<u128> {
    let mut random = Random::new(seed);
    (0..count).map(|_| 1 << 125 | random.wide() >> 3).collect()
}

impl Growing {
    fn new(size: usize, seed: u64) -> Self {
        let (list, known) = (Vec::with_capacity(size), HashSet::with_capacity(size));
        Self { random: Random::new(seed), list, known, size }
    }

    fn sorted(mut self) -> Vec<Prefix> {
        self.list.sort_unstable();
        self.list
    }

    fn add(&mut self, addr: u128, len: u8) {
        let prefix = Prefix::containing(addr, len);
        if self.list.len() < self.size && self.known.insert(prefix) {
            self.list.push(prefix);
        }
    }

    /// Grows to `until` prefixes by runs of subnets, some at the top and some inside what is there.
    fn add_routed(&mut self, until: usize) {
        while self.list.len() < until {
            let len = pick(&mut self.random, &ROUTED_PER_MILLE);
            let run = self.random.pareto(CLUSTER_SHAPE, 1, 400).min((until - self.list.len()) as u32);
            let inside = len > 32 && self.random.below(100) < 88;
            let parent = if inside { self.parent(len) } else { None };
            let parent = parent.unwrap_or_else(|| self.allocation(len));
            self.add_run(parent, len, run, 2);
        }
    }

    /// Grows to the full size by the clusters of the feed, each of the kind that is furthest behind its share.
    fn add_clusters(&mut self) {
        let routed = self.list.len();
        let mut added = [0; CLUSTER_SHARES.len()];
        while self.list.len() < self.size {
            let before = self.list.len();
            let lag = |kind: &usize| added[*kind] * 100 / CLUSTER_SHARES[*kind];
            let kind = (0..added.len()).min_by_key(lag).unwrap_or_default();
            let parent = self.list[self.random.below(routed as u64) as usize];
            let run = self.random.pareto(CLUSTER_SHAPE, 4, 20_000);
            self.add_cluster(kind, parent, run);
            // A full neighbourhood counts as well, so that a kind without room left does not hold up the others.
            added[kind] += (self.list.len() - before).max(1);
        }
    }

    fn add_cluster(&mut self, kind: usize, parent: Prefix, run: u32) {
        let site = Prefix::containing(self.within(parent), 48.max(parent.len()));
        match kind {
            0 => {
                let len = pick(&mut self.random, &ROUTED_PER_MILLE).max(parent.len());
                self.add_run(parent, len, run, 1);
            }
            1 => self.add_run(parent, 56, run, 1),
            2 => self.add_run(site, 64, run, 4),
            _ => self.add_hosts(site, run),
        }
    }

    /// A run of subnets of `parent`, each 1 to `gap` behind the one before, from a random one on.
    fn add_run(&mut self, parent: Prefix, len: u8, run: u32, gap: u64) {
        let width = 1_u128 << (128 - u32::from(len));
        let mut at = Prefix::containing(self.within(parent), len).first();
        for _ in 0..run {
            if !parent.contains(at) {
                break;
            }
            self.add(at, len);
            at = at.wrapping_add(width * u128::from(1 + self.random.below(gap)));
        }
    }

    fn add_hosts(&mut self, site: Prefix, count: u32) {
        for start in (0..count).step_by(8) {
            let subnet = Prefix::containing(self.within(site), 64).first();
            for _ in start..count.min(start + 8) {
                let identifier = match self.random.below(4) {
                    0 | 1 => self.random.below(256),
                    2 => 0x0200_00ff_fe00_0000 | self.random.bits() & 0x00ff_ff00_00ff_ffff,
                    _ => self.random.bits(),
                };
                self.add(subnet | u128::from(identifier), 128);
            }
        }
    }

    /// A prefix of the list that is shorter than `len`, if a few draws find one.
    fn parent(&mut self, len: u8) -> Option<Prefix> {
        let drawn = |random: &mut Random| {
            self.list.get(random.below(self.list.len().max(1) as u64) as usize).copied()
        };
        (0..8).filter_map(|_| drawn(&mut self.random)).find(|prefix| prefix.len() < len)
    }

    /// A place at the top for prefixes of `len`: all of an allocation in one of the registries' blocks.
    fn allocation(&mut self, len: u8) -> Prefix {
        let block = pick(&mut self.random, &REGISTRY_BLOCKS);
        let place = u128::from(block + self.random.below(16) as u16) << 112 | self.random.wide() >> 16;
        Prefix::containing(place, len.min(32) - 4)
    }

    /// A random address inside.
    fn within(&mut self, prefix: Prefix) -> u128 {
        prefix.first() | self.random.wide() & !prefix.first() & prefix.last()
    }
}

/// One of `choices` by its share of a thousand.
fn pick<T: Copy>(random: &mut Random, choices: &[(T, u64)]) -> T {
    let mut at = random.below(choices.iter().map(|choice| choice.1).sum());
    for &(choice, share) in choices {
        if at < share {
            return choice;
        }
        at -= share;
    }
    choices[0].0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a thousand of `table` are `wanted`.
    fn per_mille(table: &[Prefix], wanted: impl Fn(usize, Prefix) -> bool) -> usize {
        table.iter().enumerate().filter(|&(at, &prefix)| wanted(at, prefix)).count() * 1000 / table.len()
    }

    /// How many of a thousand of a sorted table lie inside another.
    fn nested(table: &[Prefix]) -> usize {
        let mut reach = None;
        let mut nested = 0;
        for prefix in table {
            if Some(prefix.last()) <= reach {
                nested += 1;
            } else {
                reach = Some(prefix.last());
            }
        }
        nested * 1000 / table.len()
    }

    fn assert_near(found: usize, expected: usize, within: usize) {
        assert!(found.abs_diff(expected) <= within, "{found} of a thousand, not about {expected}");
    }

    #[test]
    fn a_table_has_its_size_is_sorted_and_follows_from_its_seed() {
        for size in [1, 1000, 20_000] {
            for table in [routed(size, 1), feed(size, 1)] {
                assert_eq!(table.len(), size);
                assert!(table.is_sorted_by(|a, b| a < b));
            }
        }
        assert_eq!(feed(5000, 3), feed(5000, 3));
        assert_ne!(feed(5000, 3), feed(5000, 4));
    }

    #[test]
    fn a_routed_table_has_the_documented_shape() {
        let table = routed(100_000, 1);
        for (len, share) in ROUTED_PER_MILLE {
            assert_near(per_mille(&table, |_, prefix| prefix.len() == len), share as usize, 60);
        }
        assert_near(nested(&table), 600, 80);
        let follows =
            |at: usize, prefix: Prefix| at > 0 && table[at - 1].last().wrapping_add(1) == prefix.first();
        assert_near(per_mille(&table, follows), 330, 80);
    }

    #[test]
    fn a_feed_has_the_documented_kinds() {
        let table = feed(100_000, 1);
        for (len, share) in [(56, 180), (64, 252), (128, 180)] {
            assert_near(per_mille(&table, |_, prefix| prefix.len() == len), share, 60);
        }
    }

    #[test]
    fn a_fifth_holds_each_prefix_once_with_its_place_and_in_no_order() {
        let table = routed(1_001, 1);
        let chosen = fifth(&table, 3);
        assert_eq!(chosen.len(), 201);
        assert!(chosen.iter().all(|&(prefix, place)| table[place as usize] == prefix));
        assert!(!chosen.is_sorted());
        assert_eq!(chosen.iter().collect::<HashSet<_>>().len(), 201);
    }

    #[test]
    fn hits_hit_and_strays_nearly_never() {
        let table = routed(10_000, 1);
        let inside = |addrs: &[u128]| {
            addrs.iter().filter(|&&addr| table.iter().any(|prefix| prefix.contains(addr))).count()
        };
        assert_eq!(inside(&hits(&table, 500, 2)), 500);
        assert_eq!(inside(&zipf(&table, 500, 2)), 500);
        assert!(inside(&strays(500, 2)) < 5);
        assert!(strays(500, 2).iter().all(|addr| addr >> 125 == 1));
    }
}
