//! What user space tells the program, one word at a time.

use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::Duration;

use credence_credit::Measure;
use credence_memory::Words;

use crate::abi::{Failure, Stand, number};
use crate::limiters::Rate;

/// Words of the structure `control`.
pub(crate) const CONTROL_WORDS: usize = 13;

const ACTIVE: usize = 0;
const HEARTBEAT: usize = 1;
const HEARTBEAT_MAX: usize = 2;
const TOLD: usize = 3;
const FAILURE: usize = 4;
const SILENCE_AND_STAND: usize = 5;
const DRY_RUN_AND_UNKNOWN: usize = 6;
const SAMPLE_AND_DSCP: usize = 7;
const MARK: usize = 8;
const TOLD_RATE: usize = 9;
const HEARD_RATE: usize = 11;

/// Stands beside a code point that is to be written, since 0 is one as well.
const DSCP_WANTED: u32 = 1 << 8;

/// What the operator chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What happens when the engine gives no sign of life.
    pub silence: Failure,
    /// How long a sign of life lasts.
    pub patience: Duration,
    /// How the gateway stands.
    pub stand: Stand,
    /// Decide and count everything, do nothing.
    pub dry_run: bool,
    /// The least that happens to a packet whose chain of headers was not walked to its end, and to a frame that promises IPv6
    /// and shows no header of it.
    pub unknown: Measure,
    /// One in so many packets that did not pass is told; 0 for none.
    pub sample: u32,
    /// The differentiated services code point that marked packets get, from 0 to 63.
    pub dscp: Option<u8>,
    /// The mark of the kernel's own that marked packets get, for routing rules and queueing disciplines; 0 for none.
    pub mark: u32,
    /// What a source may send while the engine has its rate limited for its behaviour.
    pub told_rate: Rate,
    /// What a blocked /64 may send to where it complains.
    pub heard_rate: Rate,
}

/// Nothing is blocked that was not decided: unknown chains pass, and so does everything once the engine is gone.
impl Default for Policy {
    fn default() -> Self {
        Self {
            silence: Failure::Open,
            patience: Duration::from_millis(100),
            stand: Stand::Router,
            dry_run: false,
            unknown: Measure::None,
            sample: 1_000,
            dscp: None,
            mark: 0,
            told_rate: Rate::default(),
            heard_rate: Rate { bytes_per_s: 1 << 14, burst_bytes: 1 << 16 },
        }
    }
}

/// The program's control word by word, shared with the kernel.
#[derive(Debug)]
pub struct Control {
    words: Words,
}

impl Control {
    pub(crate) const fn new(words: Words) -> Self {
        Self { words }
    }

    /// Tells the program what the operator chose.
    pub fn set(&self, policy: &Policy) {
        self.store(HEARTBEAT_MAX, u64::try_from(policy.patience.as_nanos()).unwrap_or(u64::MAX));
        self.store(SILENCE_AND_STAND, pair(policy.silence as u32, policy.stand as u32));
        self.store(DRY_RUN_AND_UNKNOWN, pair(policy.dry_run.into(), number(policy.unknown) as u32));
        let dscp = policy.dscp.map_or(0, |dscp| DSCP_WANTED | u32::from(dscp & 63));
        self.store(SAMPLE_AND_DSCP, pair(policy.sample, dscp));
        self.store(MARK, policy.mark.into());
        self.set_rate(TOLD_RATE, policy.told_rate);
        self.set_rate(HEARD_RATE, policy.heard_rate);
    }

    fn set_rate(&self, at: usize, rate: Rate) {
        for (place, word) in rate.words().into_iter().enumerate() {
            self.store(at + place, word);
        }
    }

    /// Gives a sign of life at `boot_ns`, in nanoseconds since the machine started.
    pub fn beat(&self, boot_ns: u64) {
        self.store(HEARTBEAT, boot_ns);
    }

    /// Says that the engine is alive and cannot judge, and what is to happen meanwhile; or that it can.
    pub fn declare(&self, failure: Option<Failure>) {
        self.store(FAILURE, failure.map_or(0, |failure| failure as u64));
    }

    /// Puts other records in force: where their image begins, in lines, and where their measures do.
    pub(crate) fn activate(&self, line: u32, measure: u32) {
        // Release: what was written there comes first.
        self.words[ACTIVE].store(pair(line, measure), Release);
    }

    /// Tells the program that it was told of someone's behaviour.
    pub(crate) fn tell(&self) {
        self.store(TOLD, 1);
    }

    fn store(&self, at: usize, word: u64) {
        self.words[at].store(word, Relaxed);
    }
}

const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}
