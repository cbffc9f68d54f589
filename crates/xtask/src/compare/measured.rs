//! What several runs of a program come to.

use std::time::Duration;

use crate::process::Usage;

/// The runs of one program over one capture and over the first frames of it.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pub(super) whole: Vec<Usage>,
    pub(super) start: Vec<Usage>,
}

/// What a packet costs, net of starting and ending.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    /// Nanoseconds of processor time a packet, user's and system's, of all threads.
    pub(super) cpu_ns: f64,
    /// Nanoseconds a packet by the clock on the wall.
    pub(super) wall_ns: f64,
    /// Processor time of starting and ending.
    pub(super) start: Duration,
    /// The largest memory that a run had resident, in bytes.
    pub(super) peak_bytes: u64,
}

impl Cost {
    /// Medians of runs over `packets` packets; none where a run is missing.
    pub(super) fn of(runs: &Runs, packets: usize) -> Option<Self> {
        let start = median(runs.start.iter().map(|usage| usage.cpu))?;
        let whole = median(runs.whole.iter().map(|usage| usage.cpu))?;
        let start_wall = median(runs.start.iter().map(|usage| usage.wall))?;
        let whole_wall = median(runs.whole.iter().map(|usage| usage.wall))?;
        Some(Self {
            cpu_ns: a_packet(whole, start, packets),
            wall_ns: a_packet(whole_wall, start_wall, packets),
            start,
            peak_bytes: runs.whole.iter().map(|usage| usage.peak_bytes).max()?,
        })
    }

    /// Million packets a second that one core's time would do.
    pub(super) fn mpps(&self) -> f64 {
        1000.0 / self.cpu_ns
    }
}

/// Nanoseconds of each of `packets`; at least a thousandth, so that noise on a tiny capture never divides by zero.
fn a_packet(whole: Duration, start: Duration, packets: usize) -> f64 {
    (whole.saturating_sub(start).as_nanos() as f64 / packets as f64).max(0.001)
}

/// The middle one, the lower of two.
fn median(times: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times.get(times.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(cpu_ms: u64) -> Usage {
        let cpu = Duration::from_millis(cpu_ms);
        Usage { cpu, wall: cpu * 2, peak_bytes: cpu_ms * 1000 }
    }

    #[test]
    fn a_cost_is_the_median_less_the_start() {
        let runs = Runs { whole: [900, 110, 130].map(usage).to_vec(), start: [30, 20].map(usage).to_vec() };
        let cost = Cost::of(&runs, 1_000_000).unwrap();
        assert_eq!((cost.cpu_ns, cost.wall_ns, cost.peak_bytes), (110.0, 220.0, 900_000));
        assert_eq!(cost.start, Duration::from_millis(20));
        assert!((cost.mpps() - 9.09).abs() < 0.01);
    }

    #[test]
    fn runs_without_figures_have_no_cost() {
        assert_eq!(Cost::of(&Runs::default(), 10), None);
        assert_eq!(Cost::of(&Runs { whole: vec![usage(1)], start: Vec::new() }, 10), None);
    }

    #[test]
    fn noise_that_makes_the_start_dearer_than_the_whole_divides_nothing_by_zero() {
        let runs = Runs { whole: vec![usage(1)], start: vec![usage(2)] };
        assert!(Cost::of(&runs, 10).unwrap().mpps().is_finite());
    }
}
