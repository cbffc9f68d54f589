//! A seeded source of numbers, so that every run of a bench measures the same input.

/// A SplitMix64 generator: small, the same on every platform, and good enough to spread test data.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next 128 bits.
    pub const fn wide(&mut self) -> u128 {
        (self.bits() as u128) << 64 | self.bits() as u128
    }

    /// A number from 0 to below `end`, which is not 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        ((self.bits() as u128 * end as u128) >> 64) as u64
    }

    /// A number from 0 to below 1.
    pub const fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number of a Pareto distribution with this shape, from `least` to `most`.
    pub fn pareto(&mut self, shape: f64, least: u32, most: u32) -> u32 {
        let drawn = f64::from(least) / (1.0 - self.unit()).powf(shape.recip());
        drawn.min(f64::from(most)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_another_seed_others() {
        let draw = |seed| {
            core::array::from_fn::<u64, 4, _>({
                let mut random = Random::new(seed);
                move |_| random.bits()
            })
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn draws_stay_within_their_bounds_and_reach_them() {
        let mut random = Random::new(7);
        let drawn: Vec<u64> = (0..1000).map(|_| random.below(3)).collect();
        assert!((0..3).all(|n| drawn.contains(&n)) && drawn.iter().all(|&n| n < 3));
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.unit())));
        let sizes: Vec<u32> = (0..10_000).map(|_| random.pareto(1.05, 4, 2000)).collect();
        assert_eq!((sizes.iter().min(), sizes.iter().max()), (Some(&4), Some(&2000)));
    }
}
