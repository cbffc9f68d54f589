//! Numbers of the subjects whose rate is limited, by which the kernel keeps a limiter for each of them.
//!
//! A subject keeps its number from one set of records to the next, and with it what it has spent. A number is not given to
//! another before four thousand million others were, long after the kernel has forgotten its limiter.

use std::collections::HashMap;

use credence_prefix::Prefix;

/// Subjects that are limited at the same time.
pub(crate) const SUBJECTS_MAX: usize = 1 << 16;

/// The numbers in use.
#[derive(Debug, Default)]
pub(crate) struct Subjects {
    /// Each with the last set of records that asked for it.
    numbers: HashMap<Prefix, (u32, u64)>,
    last: u32,
    /// How many sets of records have asked.
    round: u64,
    /// Subjects that the present set has asked for.
    asked: usize,
}

impl Subjects {
    /// Begins a new set of records.
    pub(crate) const fn begin(&mut self) {
        self.round += 1;
        self.asked = 0;
    }

    /// The number of a subject, the one it has already if it has one; none when the set has asked for all limiters. No number
    /// is 0.
    pub(crate) fn of(&mut self, subject: Prefix) -> Option<u32> {
        let (number, round) = self.numbers.get(&subject).copied().unwrap_or_default();
        if round == self.round && number != 0 {
            return Some(number);
        }
        if self.asked == SUBJECTS_MAX {
            return None;
        }
        self.asked += 1;
        let number = if number == 0 { self.fresh() } else { number };
        self.numbers.insert(subject, (number, self.round));
        Some(number)
    }

    const fn fresh(&mut self) -> u32 {
        self.last = match self.last.wrapping_add(1) {
            0 => 1,
            next => next,
        };
        self.last
    }

    /// Forgets the subjects that this set, which is complete, did not ask for.
    pub(crate) fn settle(&mut self) {
        let round = self.round;
        self.numbers.retain(|_, (_, asked)| *asked == round);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_keeps_its_number_and_another_never_has_it() {
        let subject = |number: u32| Prefix::host(number.into());
        let mut subjects = Subjects::default();
        subjects.begin();
        let first = subjects.of(subject(1)).unwrap();
        assert_eq!(subjects.of(subject(1)), Some(first));
        assert_ne!(subjects.of(subject(2)), Some(first));
        subjects.settle();
        subjects.begin();
        assert_eq!(subjects.of(subject(1)), Some(first));
        subjects.settle();
        subjects.begin();
        assert!(subjects.of(subject(2)) > Some(first), "who was forgotten begins anew");
    }

    #[test]
    fn each_set_has_so_many_limiters_and_no_more() {
        let mut subjects = Subjects::default();
        let most = SUBJECTS_MAX as u128;
        for base in [0, most] {
            subjects.begin();
            assert!((base..base + most).all(|number| subjects.of(Prefix::host(number)).is_some()));
            assert_eq!(subjects.of(Prefix::host(base + most)), None);
            assert!(subjects.of(Prefix::host(base)).is_some(), "who has one keeps it");
        }
        subjects.settle();
        assert_eq!(subjects.numbers.len(), SUBJECTS_MAX);
    }
}
