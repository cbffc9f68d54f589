//! Which opinions of sources were voiced already.

use credence_score::{Basis, Judgement, Verdict};

use super::Worker;
use crate::event::Opinion;

/// Opinions that are remembered: more sources than misbehave at a time on most links. What is forgotten is said again.
const REMEMBERED: usize = 1 << 10;

/// The opinions that were voiced last, each at a place given by its source.
pub(super) struct Opinions(Box<[Voiced]>);

/// An opinion, and the epoch in which it was voiced.
#[derive(Clone, Copy)]
struct Voiced {
    opinion: Opinion,
    epoch: u32,
}

impl Default for Opinions {
    fn default() -> Self {
        let none = Voiced { opinion: Opinion { source: 0, verdict: Verdict::Pass }, epoch: 0 };
        Self(vec![none; REMEMBERED].into())
    }
}

impl Opinions {
    /// Whether an opinion is news in this epoch, which it is not from then on.
    fn is_news(&mut self, opinion: Opinion, epoch: u32) -> bool {
        let folded = (opinion.source >> 64) as u64 ^ (opinion.source as u64).rotate_left(32);
        let place = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - REMEMBERED.ilog2());
        let voiced = &mut self.0[place as usize];
        let is_news = voiced.opinion != opinion || voiced.epoch != epoch;
        *voiced = Voiced { opinion, epoch };
        is_news
    }
}

impl Worker {
    /// Voices what a judgement means for the source, once an epoch. Records speak for themselves where they are enforced;
    /// only what the score alone comes to must be told.
    #[inline]
    pub(super) fn opine(&mut self, source: u128, judgement: &Judgement) {
        if judgement.verdict >= Verdict::Mark && judgement.basis == Basis::LocalScore && self.config.enforced
        {
            self.voice(Opinion { source, verdict: judgement.verdict });
        }
    }

    #[cold]
    fn voice(&mut self, opinion: Opinion) {
        if !self.opinions.is_news(opinion, self.epoch) {
            return;
        }
        if self.collected.opinions.len() >= self.config.outbox as usize {
            return self.counters.opinions_lost.add(1);
        }
        self.collected.opinions.push(opinion);
        self.counters.opinions.add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opinion_is_news_once_an_epoch_and_whenever_it_changes() {
        let mut opinions = Opinions::default();
        let marked = Opinion { source: 7, verdict: Verdict::Mark };
        let limited = Opinion { verdict: Verdict::RateLimit, ..marked };
        assert!(opinions.is_news(marked, 1) && !opinions.is_news(marked, 1));
        assert!(opinions.is_news(limited, 1) && !opinions.is_news(limited, 1));
        assert!(opinions.is_news(limited, 2));
        let others = (0..5_000).filter(|&source| source != 7);
        assert!(others.into_iter().all(|source| opinions.is_news(Opinion { source, ..marked }, 2)));
        assert!(opinions.is_news(limited, 2), "what was forgotten is said again");
    }
}
