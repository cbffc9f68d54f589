//! A sample of the sources of new flows, for the question what an update of credit would hit.

/// Sources kept of each step: ten minutes are then some 38,000 a worker, of which half a percent is a number with an error of a
/// fourteenth.
const KEPT: usize = 64;

/// An even sample of the step's new flows, however many there are: each has the same chance (Vitter's algorithm R, 1985).
pub(super) struct Sample {
    kept: Vec<u128>,
    seen: u64,
    state: u64,
}

impl Sample {
    pub(super) fn new(seed: u64) -> Self {
        // A generator of this kind stays at zero for ever.
        Self { kept: Vec::with_capacity(KEPT), seen: 0, state: seed | 1 }
    }

    /// Takes the source of a new flow, or does not.
    #[inline]
    pub(super) fn offer(&mut self, source: u128) {
        self.seen += 1;
        if self.kept.len() < KEPT {
            return self.kept.push(source);
        }
        let place = ((u128::from(self.next()) * u128::from(self.seen)) >> 64) as usize;
        if let Some(kept) = self.kept.get_mut(place) {
            *kept = source;
        }
    }

    /// Moves the sample to the end of `to`, and begins a new one.
    pub(super) fn hand_out(&mut self, to: &mut Vec<u128>) {
        to.append(&mut self.kept);
        self.seen = 0;
    }

    /// Pseudo-random numbers (Marsaglia's xorshift, 2003).
    const fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_the_same_chance() {
        let mut sample = Sample::new(7);
        let mut hits = [0_u32; 10];
        for _ in 0..2_000 {
            (0..1_000).for_each(|source| sample.offer(source));
            let mut kept = Vec::new();
            sample.hand_out(&mut kept);
            assert_eq!(kept.len(), KEPT);
            kept.iter().for_each(|source| hits[(*source / 100) as usize] += 1);
        }
        // 12,800 in each tenth, with a standard deviation of some 110.
        assert!(hits.iter().all(|count| (12_200..13_400).contains(count)), "{hits:?}");
    }

    #[test]
    fn few_sources_are_all_kept() {
        let mut sample = Sample::new(0);
        (0..5).for_each(|source| sample.offer(source));
        let mut kept = vec![9];
        sample.hand_out(&mut kept);
        assert_eq!(kept, [9, 0, 1, 2, 3, 4]);
        sample.hand_out(&mut kept);
        assert_eq!(kept.len(), 6);
    }
}
