//! How fast a line looks for idle flows.

use super::Worker;
use super::settle::Endings;

/// Packet time in which every flow is looked at once, in nanoseconds. Idle flows are ended at their next packet or for
/// want of room in any case: the sweep only keeps a table from filling with them, and the shortest time-out is 15 s.
const PASS_NS: u64 = 8_000_000_000;
/// Flows looked at in one go, so that their lines stream in.
const RUN: u64 = 64;
/// Flows looked at with one chunk at most, however much time its packets bridge.
const SWEEP_MAX: u64 = 256;

/// Where the sweep stands.
pub(super) struct Sweep {
    /// Packet time of which the share of the table was looked at, Unix nanoseconds.
    done_ns: u64,
    /// Share of a flow in a pass, in nanoseconds.
    flow_ns: u64,
}

impl Sweep {
    /// A sweep over a table of so many flows.
    pub(super) fn new(flows: u32) -> Self {
        Self { done_ns: 0, flow_ns: (PASS_NS / u64::from(flows.max(1))).max(1) }
    }

    /// How many flows to look at now that the latest packet time is `clock_ns`.
    fn due(&mut self, clock_ns: u64) -> u32 {
        // What is owed is at most one pass: time may jump.
        self.done_ns = self.done_ns.max(clock_ns.saturating_sub(PASS_NS));
        let owed = clock_ns.saturating_sub(self.done_ns) / self.flow_ns;
        if owed < RUN {
            return 0;
        }
        let due = owed.min(SWEEP_MAX);
        self.done_ns += due * self.flow_ns;
        due as u32
    }
}

impl Worker {
    /// Looks at a few flows for idleness.
    pub(super) fn sweep(&mut self) {
        let due = self.sweep.due(self.clock_ns);
        if due > 0 {
            let mut endings =
                Endings { sources: &mut self.sources, collected: &mut self.collected, config: &self.config };
            self.table.expire(due, self.clock_ns, &mut |ended| endings.take(&ended));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    /// Flows looked at from `from_ns` on for `chunks` chunks, `gap_ns` apart.
    fn swept(sweep: &mut Sweep, from_ns: u64, chunks: u64, gap_ns: u64) -> u64 {
        (1..=chunks).map(|i| u64::from(sweep.due(from_ns + i * gap_ns))).sum()
    }

    #[test]
    fn a_whole_table_is_looked_at_in_a_pass_whatever_its_size() {
        for flows in [1_000, 1 << 20, 10_000_000] {
            let mut sweep = Sweep::new(flows);
            sweep.due(100 * S);
            sweep.done_ns = 100 * S;
            let seen = swept(&mut sweep, 100 * S, 1_600_000, 5_000);
            assert!(seen.abs_diff(u64::from(flows)) <= u64::from(flows) / 20 + RUN, "{seen} of {flows}");
        }
    }

    #[test]
    fn a_jump_of_time_is_caught_up_in_bounded_steps_and_owes_one_pass() {
        let mut sweep = Sweep::new(10_000);
        let looks: Vec<u32> = (0..100).map(|_| sweep.due(1_000 * S)).collect();
        assert!(looks.iter().all(|&due| u64::from(due) <= SWEEP_MAX));
        assert!(looks.iter().sum::<u32>().abs_diff(10_000) <= RUN as u32, "{looks:?}");
    }

    #[test]
    fn time_at_the_edges_neither_wraps_nor_goes_back() {
        let mut sweep = Sweep::new(0);
        assert_eq!(sweep.due(0), 0);
        assert!(sweep.due(u64::MAX) <= SWEEP_MAX as u32);
        assert_eq!(sweep.due(5), 0);
    }
}
