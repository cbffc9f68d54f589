//! Numbers that look random and follow from a seed: SplitMix64.

/// A source of such numbers.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The numbers of a seed; those of one seed have nothing to do with those of the next.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Self(seed);
        Self(dice.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below another.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number from one up to but without the other.
    pub(crate) fn within(&mut self, begin: u64, end: u64) -> u64 {
        begin + self.below(end - begin)
    }

    /// Whether something happens that does so many times in a thousand.
    pub(crate) fn happens(&mut self, in_thousand: u64) -> bool {
        self.below(1_000) < in_thousand
    }

    /// One of these.
    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    /// So many different ones of these, in no order.
    pub(crate) fn some<T: Clone>(&mut self, count: usize, of: &[T]) -> Vec<T> {
        let mut left = of.to_vec();
        (0..count.min(of.len())).map(|_| left.swap_remove(self.below(left.len() as u64) as usize)).collect()
    }

    /// 32 bytes that nobody can guess.
    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|part| *part = self.next().to_be_bytes());
        bytes
    }

    /// The time until something happens next that does so every `mean` on average, in the same unit: never none, and never more than
    /// six times as long.
    pub(crate) fn wait(&mut self, mean: u64) -> u64 {
        let share = (self.below(1 << 20) + 1) as f64 / (1 << 20) as f64;
        ((-share.ln()).min(6.0) * mean as f64) as u64 + 1
    }
}
