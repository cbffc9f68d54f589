//! Whether an update of credit may take effect unasked.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Change, Hold, Limits};
use crate::{Cache, Measure};

/// How long a flow counts as recent.
const RECENT: Duration = Duration::from_secs(600);
/// Sources that are remembered at most: a sample of 64 a second from each of 32 workers.
const SOURCES_MAX: usize = 64 * 600 * 32;

/// An even sample of the sources of recent flows.
#[derive(Debug, Default)]
pub struct Recent(VecDeque<(Duration, u128)>);

impl Recent {
    /// Takes in sources that were seen at `now`, a time since the start, and forgets old ones.
    pub fn saw(&mut self, sources: &[u128], now: Duration) {
        self.0.extend(sources.iter().map(|source| (now, *source)));
        let over = self.0.len().saturating_sub(SOURCES_MAX);
        let old = self.0.iter().take_while(|(at, _)| now.saturating_sub(*at) > RECENT).count();
        self.0.drain(..over.max(old));
    }

    /// How many of the sources would fare worse under `new` than under `old` at `now_s` (Unix seconds), and how many there are.
    fn newly_hit(&self, old: &Cache, new: &Cache, now_s: u64) -> (u64, u64) {
        let measure = |cache: &Cache, source| {
            let ruling = cache.effective(source, now_s).ruling;
            ruling.map_or(Measure::None, |number| cache.entry(number).allowed())
        };
        let is_hit = |source| {
            let after = measure(new, source);
            after.constrains() && after > measure(old, source)
        };
        let hit = self.0.iter().filter(|(_, source)| is_hit(*source)).count();
        (hit as u64, self.0.len() as u64)
    }

    /// All reasons for which an update from `old` to `new` waits for the operator; none means that it may take effect.
    pub fn holds(&self, old: &Cache, new: &Cache, now_s: u64) -> Vec<Hold> {
        let limits = Limits::default();
        let change = Change::between(old, new, now_s);
        let (hit, recent) = self.newly_hit(old, new, now_s);
        let mut holds = limits.holds(&change);
        holds.extend(limits.newly_hit(hit, recent));
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::super::NeverBlock;
    use super::*;
    use crate::{
        Authority, EvidenceClass, Guards, Header, Issuer, IssuerId, Rating, Reason, Record, Snapshot,
    };

    fn record(prefix: &str, authority: Authority) -> Record {
        Record {
            prefix: prefix.parse().unwrap(),
            rating: Rating::Unrated,
            measure: Measure::Drop,
            reasons: Reason::Listed.into(),
            issuer: IssuerId(0),
            evidence: EvidenceClass::Declared,
            authority,
            signatures: 2,
            expires: 2_000,
            act: None,
        }
    }

    fn cache(records: impl IntoIterator<Item = Record>) -> Cache {
        let snapshot =
            Snapshot::new(Header::default(), vec![Issuer::new("a").unwrap()], records.into_iter().collect());
        Cache::build(vec![snapshot.unwrap()], &Guards::new(NeverBlock::new([]))).unwrap()
    }

    /// So many sites on a list of this authority.
    fn sites(count: u32, authority: Authority) -> Cache {
        cache((0..count).map(|i| record(&format!("2a00:{i:x}::/48"), authority)))
    }

    fn holds(recent: &Recent, old: &Cache, new: &Cache) -> usize {
        recent.holds(old, new, 1_000).len()
    }

    #[test]
    fn a_feed_that_grows_or_shrinks_too_much_waits_and_an_operators_list_does_not() {
        let none = Recent::default();
        for (authority, held) in [(Authority::Decision, 1), (Authority::OperatorList, 0)] {
            let (few, many) = (sites(400, authority), sites(1_000, authority));
            assert_eq!(holds(&none, &few, &many), held, "{authority:?} grows");
            assert_eq!(holds(&none, &many, &few), held, "{authority:?} shrinks");
            assert_eq!(holds(&none, &many, &many), 0);
        }
    }

    #[test]
    fn an_update_that_would_newly_hit_many_recent_flows_waits_whoever_wrote_it() {
        let mut recent = Recent::default();
        let sources: Vec<u128> = (0..1_000).map(|i| 0x2a00_u128 << 112 | i << 96).collect();
        recent.saw(&sources, Duration::ZERO);
        let empty = cache([]);
        assert_eq!(holds(&recent, &empty, &sites(5, Authority::OperatorList)), 0, "half a percent passes");
        assert_eq!(holds(&recent, &empty, &sites(6, Authority::OperatorList)), 1);
        let listed = sites(6, Authority::OperatorList);
        assert_eq!(holds(&recent, &listed, &listed), 0, "who is hit already is not newly hit");
        // Ten minutes later nobody remembers.
        recent.saw(&[1], Duration::from_secs(601));
        assert_eq!(holds(&recent, &empty, &sites(6, Authority::OperatorList)), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::default();
        let sources = vec![7; SOURCES_MAX];
        for second in 0..3 {
            recent.saw(&sources, Duration::from_secs(second));
        }
        assert_eq!(recent.0.len(), SOURCES_MAX);
    }
}
