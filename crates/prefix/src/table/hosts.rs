//! The single hosts of a /64, in one block.
//!
//! Most /64s of which anything is known below the /64 itself hold a handful of /128s, half of them with small interface
//! identifiers. Their block is searched whole. Whatever else lies inside a /64, and more hosts than a block takes, has a
//! tree of its own.
//!
//! A block begins at a multiple of 16 bytes. In 64-bit words, least significant bit first:
//!
//! | words | what |
//! |---|---|
//! | 1 | bits 0–7 the number of small identifiers, those under 2¹⁶; 8–15 that of the others |
//! | one each | the others |
//! | a quarter each | the small ones, four to a word |
//! | a half each | record numbers, two to a word: of the small ones, then of the others |

use core::sync::atomic::Ordering::Relaxed;

use credence_memory::Line;

/// Small identifiers of a block at most.
pub(crate) const SMALL_MAX: usize = 16;
/// Other identifiers of a block at most.
pub(crate) const LARGE_MAX: usize = 8;
/// Words of 16 bytes of a block at most.
pub(crate) const UNITS_MAX: usize = words_of(SMALL_MAX, LARGE_MAX).div_ceil(2);

const fn words_of(small: usize, large: usize) -> usize {
    1 + large + small.div_ceil(4) + (small + large).div_ceil(2)
}

const fn is_small(host: u64) -> bool {
    host >> 16 == 0
}

/// The words of a block of these hosts, ascending, with their record numbers; none when there are too many.
pub(crate) fn encode(hosts: &[(u64, u32)]) -> Option<Vec<u64>> {
    let small = hosts.partition_point(|&(host, _)| is_small(host));
    let large = hosts.len() - small;
    if small > SMALL_MAX || large > LARGE_MAX {
        return None;
    }
    let mut words = vec![0; words_of(small, large)];
    words[0] = small as u64 | (large as u64) << 8;
    for (place, &(host, _)) in hosts[small..].iter().enumerate() {
        words[1 + place] = host;
    }
    for (place, &(host, _)) in hosts[..small].iter().enumerate() {
        words[1 + large + place / 4] |= host << (16 * (place % 4));
    }
    let ids = 1 + large + small.div_ceil(4);
    for (place, &(_, id)) in hosts.iter().enumerate() {
        words[ids + place / 2] |= u64::from(id) << (32 * (place % 2));
    }
    Some(words)
}

/// A block in the table.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    lines: &'a [Line],
    /// Where it begins, in words.
    at: usize,
    small: usize,
    large: usize,
}

impl<'a> Block<'a> {
    #[inline]
    pub(crate) fn new(lines: &'a [Line], unit: u32) -> Self {
        let at = unit as usize * 2;
        let header = lines[at / 8].0[at % 8].load(Relaxed);
        Self { lines, at, small: (header & 0xff) as usize, large: (header >> 8 & 0xff) as usize }
    }

    /// Its size, in units of 16 bytes.
    pub(crate) const fn units(&self) -> usize {
        words_of(self.small, self.large).div_ceil(2)
    }

    #[inline(always)]
    fn word(&self, place: usize) -> u64 {
        let at = self.at + place;
        self.lines[at / 8].0[at % 8].load(Relaxed)
    }

    /// The record of exactly `host`.
    #[inline]
    pub(crate) fn find(&self, host: u64) -> Option<u32> {
        let place = if is_small(host) {
            (0..self.small).find(|&place| self.small(place) == host)?
        } else {
            self.small + (0..self.large).find(|&place| self.word(1 + place) == host)?
        };
        Some(self.id(place))
    }

    #[inline(always)]
    fn small(&self, place: usize) -> u64 {
        self.word(1 + self.large + place / 4) >> (16 * (place % 4)) & 0xffff
    }

    fn id(&self, place: usize) -> u32 {
        (self.word(1 + self.large + self.small.div_ceil(4) + place / 2) >> (32 * (place % 2))) as u32
    }

    /// All hosts, ascending, with their record numbers.
    pub(crate) fn decode(&self) -> Vec<(u64, u32)> {
        let small = (0..self.small).map(|place| (self.small(place), self.id(place)));
        let large = (0..self.large).map(|place| (self.word(1 + place), self.id(self.small + place)));
        small.chain(large).collect()
    }
}

#[cfg(test)]
mod tests {
    use credence_memory::Lines;

    use super::*;

    #[test]
    fn blocks_of_every_size_give_back_their_hosts() {
        for (small, large) in
            (0..=SMALL_MAX).flat_map(|small| (0..=LARGE_MAX).map(move |large| (small, large)))
        {
            let hosts: Vec<(u64, u32)> = (0..small as u64)
                .map(|i| i * 4_369)
                .chain((0..large as u64).map(|i| u64::MAX - (large as u64 - i) * (1 << 48)))
                .zip(100..)
                .collect();
            let words = encode(&hosts).unwrap();
            let lines = Lines::zeroed(8);
            let unit = 3; // so that a block crosses lines
            for (place, &word) in words.iter().enumerate() {
                lines[(2 * unit + place) / 8].0[(2 * unit + place) % 8].store(word, Relaxed);
            }
            let block = Block::new(&lines, unit as u32);
            assert_eq!(block.decode(), hosts);
            assert_eq!(block.units(), words.len().div_ceil(2));
            assert!(block.units() <= UNITS_MAX);
            for &(host, id) in &hosts {
                assert_eq!(block.find(host), Some(id));
                assert_eq!(block.find(host ^ 1 << 63 ^ 5), None);
                assert_eq!(block.find(host + 1), None);
            }
        }
    }

    #[test]
    fn more_hosts_than_a_block_takes_are_refused() {
        let small: Vec<(u64, u32)> = (0..=SMALL_MAX as u64).map(|host| (host, 1)).collect();
        assert!(encode(&small).is_none());
        let large: Vec<(u64, u32)> = (0..=LARGE_MAX as u64).map(|host| (host << 16 | 1 << 40, 1)).collect();
        assert!(encode(&large).is_none());
    }
}
