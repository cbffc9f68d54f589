//! Free places, found by how many of them lie side by side.
//!
//! A bit for each place, sixty-four to a word, and above the words a tree of which each node knows three things of its part:
//! how many free places it begins with, how many it ends with, and how many lie side by side in it. Two
//! neighbours' figures make those of the node above, so that what is given back merges with what is free on both sides
//! without being looked for, and the lowest run that is long enough is found on the way down. Either takes as many steps
//! as the tree has levels, and a step up that changes nothing is the last.
//!
//! The lowest run, not the smallest: it wastes about as little (Wilson and others, *Dynamic storage allocation: a survey
//! and critical review*, 1995, section 3), and leaves the highest places free.

/// Places of a word.
const PLACES: u32 = u64::BITS;

/// What is free in a part of all places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Part {
    /// Free places in front.
    before: u32,
    /// Free places at the end.
    behind: u32,
    /// Free places side by side, at most; none if that is less than what is asked for.
    longest: u32,
}

impl Part {
    #[inline]
    const fn of(word: u64, least: u32) -> Self {
        let (mut longest, mut rest) = (0, word);
        while rest != 0 {
            // Each run becomes shorter by one.
            rest &= rest << 1;
            longest += 1;
        }
        if longest < least {
            longest = 0;
        }
        Self { before: word.trailing_ones(), behind: word.leading_ones(), longest }
    }

    /// Two parts of `width` places each, side by side.
    fn joined(left: Self, right: Self, width: u32, least: u32) -> Self {
        let between = left.behind + right.before;
        let between = if between < least { 0 } else { between };
        Self {
            before: if left.before == width { width + right.before } else { left.before },
            behind: if right.behind == width { width + left.behind } else { right.behind },
            longest: left.longest.max(right.longest).max(between),
        }
    }
}

/// Which of so many places are free.
#[derive(Debug)]
pub(super) struct Runs {
    words: Vec<u64>,
    /// A bit for each word in which any place is free.
    any: Vec<u64>,
    /// Runs of fewer places are looked for one place at a time alone: so most places come and go without the tree.
    least: u32,
    /// The tree: the parts of node `n` are nodes `2 n` and `2 n + 1`, the root is the first, and the last half stands for
    /// the words. Memory that is never written to costs nothing.
    parts: Vec<Part>,
}

impl Runs {
    /// Of so many places, none is free. Where fewer than `least` are free side by side, [`take`](Self::take) finds none.
    pub(super) fn new(places: u32, least: u32) -> Self {
        let words = (places.div_ceil(PLACES) as usize).next_power_of_two();
        let any = vec![0; words.div_ceil(PLACES as usize)];
        Self { words: vec![0; words], any, least, parts: vec![Part::default(); 2 * words] }
    }

    /// Frees `count` places from `first` on.
    pub(super) fn give(&mut self, first: u32, count: u32) {
        self.change(first, count, |word, mask| {
            debug_assert_eq!(*word & mask, 0, "free already");
            *word |= mask;
        });
    }

    /// The first `count` places of the lowest run that is long enough, which are free no more.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let first = self.lowest(count.max(self.least))?;
        self.withdraw(first, count);
        Some(first)
    }

    /// The lowest free places, side by side or not, `most` at most, in ascending order. They are free no more.
    pub(super) fn take_each(&mut self, most: usize) -> impl Iterator<Item = u32> {
        let mut from = 0;
        (0..most).map_while(move |_| {
            from += self.any[from..].iter().position(|&any| any != 0)?;
            let at = from as u32 * PLACES + self.any[from].trailing_zeros();
            let place = at * PLACES + self.words[at as usize].trailing_zeros();
            self.withdraw(place, 1);
            Some(place)
        })
    }

    /// Takes `count` places from `first` on, which are free.
    pub(super) fn withdraw(&mut self, first: u32, count: u32) {
        self.change(first, count, |word, mask| {
            debug_assert_eq!(*word & mask, mask, "not free");
            *word &= !mask;
        });
    }

    /// How many places just before `end` are free, in the word in front of it.
    pub(super) fn before(&self, end: u32) -> u32 {
        let Some(last) = end.checked_sub(1) else { return 0 };
        let word = self.words[(last / PLACES) as usize];
        (word << (PLACES - 1 - last % PLACES)).leading_ones()
    }

    fn lowest(&self, count: u32) -> Option<u32> {
        if self.parts[1].longest < count {
            return None;
        }
        let (mut node, mut width, mut first) = (1, PLACES * self.words.len() as u32, 0);
        while node < self.words.len() {
            (node, width) = (2 * node, width / 2);
            let (left, right) = (self.parts[node], self.parts[node + 1]);
            if left.longest >= count {
                continue;
            }
            if left.behind + right.before >= count {
                return Some(first + width - left.behind);
            }
            (node, first) = (node + 1, first + width);
        }
        let word = self.words[node - self.words.len()];
        let fits = (1..count).fold(word, |fits, _| fits & fits >> 1);
        Some(first + fits.trailing_zeros())
    }

    /// How many places from `start` on are free, in the word in which that lies.
    pub(super) fn behind(&self, start: u32) -> u32 {
        let word = self.words.get((start / PLACES) as usize).copied().unwrap_or(0);
        (word >> (start % PLACES)).trailing_ones()
    }

    /// Changes the bits of a range of places, and what the tree says of them.
    fn change(&mut self, first: u32, count: u32, with: impl Fn(&mut u64, u64)) {
        let (from, to) = (first / PLACES, (first + count - 1) / PLACES);
        let mut same = true;
        for at in from..=to {
            let start = first.max(at * PLACES) % PLACES;
            let end = (first + count).min((at + 1) * PLACES) - at * PLACES;
            let word = &mut self.words[at as usize];
            with(word, (u64::MAX >> (PLACES - (end - start))) << start);
            let (any, bit) = (&mut self.any[(at / PLACES) as usize], 1 << (at % PLACES));
            *any = if *word == 0 { *any & !bit } else { *any | bit };
            let part = Part::of(*word, self.least);
            let known = &mut self.parts[self.words.len() + at as usize];
            same &= *known == part;
            *known = part;
        }
        if !same {
            self.note(from as usize, to as usize);
        }
    }

    /// Brings the tree in step with what it says of a range of words.
    fn note(&mut self, from: usize, to: usize) {
        let (mut from, mut to) = (self.words.len() + from, self.words.len() + to);
        let (mut width, mut same) = (PLACES, false);
        while from > 1 && !same {
            (from, to, same) = (from / 2, to / 2, true);
            for node in from..=to {
                let part = Part::joined(self.parts[2 * node], self.parts[2 * node + 1], width, self.least);
                same &= self.parts[node] == part;
                self.parts[node] = part;
            }
            width *= 2;
        }
    }

    /// Free places in all.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lowest run of `count` places, looked for one by one.
    fn lowest(free: &[bool], count: usize) -> Option<usize> {
        (0..(free.len() + 1).saturating_sub(count))
            .find(|&first| free[first..first + count].iter().all(|&free| free))
    }

    /// A random history on places that are bits and on places that are a list.
    fn check(places: usize, longest: usize, least: usize, rounds: usize) {
        let (mut runs, mut free) = (Runs::new(places as u32, least as u32), vec![true; places]);
        runs.give(0, places as u32);
        let (mut held, mut state) = (Vec::new(), places as u64);
        let mut below = |limit: usize| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 33) as usize % limit
        };
        for round in 0..rounds {
            // Fills up for a while, then empties.
            if below(8) < 3 + round / 500 % 3 && !held.is_empty() {
                let (first, count): (usize, usize) = held.swap_remove(below(held.len()));
                runs.give(first as u32, count as u32);
                free[first..first + count].fill(true);
            } else {
                let count = 1 + below(longest);
                let first = lowest(&free, count.max(least));
                assert_eq!(runs.take(count as u32), first.map(|first| first as u32), "of {count}");
                if let Some(first) = first {
                    free[first..first + count].fill(false);
                    held.push((first, count));
                }
            }
            let singles: Vec<usize> = (0..places).filter(|&place| free[place]).take(below(4)).collect();
            assert!(runs.take_each(singles.len()).eq(singles.iter().map(|&place| place as u32)));
            for place in singles {
                free[place] = false;
                held.push((place, 1));
            }
            let end = below(places + 1);
            let before = free[..end].iter().rev().take_while(|&&free| free).count();
            assert_eq!(runs.before(end as u32) as usize, before.min((end + 63) % 64 + 1), "before {end}");
        }
        held.drain(..).for_each(|(first, count)| runs.give(first as u32, count as u32));
        assert_eq!((runs.free(), runs.take(places as u32)), (places, Some(0)), "all is one run again");
        assert_eq!((runs.free(), runs.take(1), runs.take_each(1).next()), (0, None, None));
    }

    #[test]
    fn the_lowest_run_is_found_as_in_a_list_and_everything_merges_again() {
        let rounds = if cfg!(miri) { 300 } else { 10_000 };
        for (places, longest) in
            [(1, 2), (63, 9), (64, 64), (65, 40), (1_000, 21), (1_000, 200), (6_000, 700)]
        {
            check(places, longest, 1, rounds);
            check(places, longest, 8.min(places), rounds);
        }
    }

    #[test]
    fn the_figures_of_a_word_are_those_of_its_bits() {
        assert_eq!(Part::of(0, 1), Part::default());
        assert_eq!(Part::of(u64::MAX, 1), Part { before: 64, behind: 64, longest: 64 });
        assert_eq!(Part::of(0b0111_0011, 3), Part { before: 2, behind: 0, longest: 3 });
        assert_eq!(Part::of(0xf << 60 | 0x3e0, 1), Part { before: 0, behind: 4, longest: 5 });
        assert_eq!(Part::of(0xf << 60 | 0x3e0, 6), Part { before: 0, behind: 4, longest: 0 });
    }
}
