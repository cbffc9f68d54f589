//! One prefix over the last steps: counters that decay, and sketches of its targets.

use super::Level;
use super::delta::Delta;

/// Counters lose an eighth a step, so that they settle at eight times the rate a step.
const DECAY_SHIFT: u32 = 3;
/// Steps that a fan-out sketch covers before it becomes the older of two.
pub(super) const SKETCH_STEPS: u32 = 8;
/// Steps after which any 64-bit counter has decayed to 0: about ln(2^64 / 8) / ln(8/7) of them down to 8, one each from
/// there.
pub(super) const DECAYED_STEPS: u32 = 322;
/// Steps in which a counter loses half: ln(2) / ln(8/7) = 5.2.
const HALVING_STEPS: u32 = 5;

/// What one prefix did of late, as scoring reads it: smoothed to one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Behaviour {
    /// Packets a step.
    pub packets: u64,
    /// Bytes on the wire a step.
    pub wire_bytes: u64,
    /// Flows begun a step.
    pub flows: u32,
    /// Flows a step that showed a new anomaly.
    pub odd: u32,
    /// Openings judged over about eight steps, where the reverse path is seen.
    pub openings: u32,
    /// Of those, in vain: unanswered, or refused.
    pub unanswered: u32,
    /// Different destinations opened to in vain, over the last 8 to 16 steps; 311 stands for more than can be told.
    pub targets: u32,
    /// Different ports opened to in vain, likewise.
    pub ports: u32,
}

/// The counters of one prefix: a line of memory, the only one that most sources ever touch.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Aggregate {
    prefix: u128,
    packets: u64,
    wire_bytes: u64,
    flows: u32,
    odd: u32,
    openings: u32,
    unanswered: u32,
    /// Step of the last change, from 1; 0 is an empty place.
    step: u32,
    /// The [`window`] to which the sketches were last brought.
    sketched: u32,
    level: Level,
}

const _: () = assert!(size_of::<Aggregate>() == 64 && size_of::<Sketches>() == 32, "a line and a half");

/// The sketches of one prefix, apart from its counters since few prefixes open in vain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sketches {
    targets: Sketch,
    ports: Sketch,
}

/// Two 64-bit bitmaps, of one window of steps and the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Sketch {
    recent: u64,
    older: u64,
}

impl Aggregate {
    /// A place without a prefix.
    pub(super) const EMPTY: Self = Self {
        prefix: 0,
        packets: 0,
        wire_bytes: 0,
        flows: 0,
        odd: 0,
        openings: 0,
        unanswered: 0,
        step: 0,
        sketched: 0,
        level: Level::Host,
    };

    /// A prefix that has done nothing before `step`.
    pub(super) const fn new(level: Level, prefix: u128, step: u32) -> Self {
        Self { prefix, level, step, ..Self::EMPTY }
    }

    /// Whether the place holds no prefix.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.step == 0
    }

    #[inline]
    pub(super) const fn is(&self, level: Level, prefix: u128) -> bool {
        self.prefix == prefix && self.level as u8 == level as u8 && !self.is_empty()
    }

    /// The level and the prefix, if there is one.
    pub(super) fn name(&self) -> Option<(Level, u128)> {
        (!self.is_empty()).then_some((self.level, self.prefix))
    }

    /// Whether it changed in one of the last steps that a window has.
    #[inline]
    pub(super) const fn is_recent(&self, step: u32) -> bool {
        step.saturating_sub(self.step) <= SKETCH_STEPS
    }

    /// What the prefix did up to `step`.
    pub(super) fn behaviour(&self, sketches: &Sketches, step: u32) -> Behaviour {
        let mut now = *self;
        now.decay(step);
        now.latest(sketches)
    }

    /// What the prefix did up to its last change.
    #[inline]
    pub(super) fn latest(&self, sketches: &Sketches) -> Behaviour {
        let (targets, ports) = match self.age(self.step) {
            age @ 0..=1 => sketches.estimates(age),
            _ => (0, 0),
        };
        Behaviour {
            packets: self.packets >> DECAY_SHIFT,
            wire_bytes: self.wire_bytes >> DECAY_SHIFT,
            flows: self.flows >> DECAY_SHIFT,
            odd: self.odd >> DECAY_SHIFT,
            openings: self.openings,
            unanswered: self.unanswered,
            targets,
            ports,
        }
    }

    /// Windows that have passed since the sketches were brought forward.
    const fn age(&self, step: u32) -> u32 {
        window(step).saturating_sub(self.sketched)
    }

    /// Adds what the prefix did in `step`.
    #[inline]
    pub(super) fn add(&mut self, delta: &Delta, sketches: &mut Sketches, step: u32) {
        self.decay(step);
        self.packets = self.packets.saturating_add(delta.packets.into());
        self.wire_bytes = self.wire_bytes.saturating_add(delta.wire_bytes);
        self.flows = self.flows.saturating_add(delta.flows);
        self.odd = self.odd.saturating_add(delta.odd);
        self.openings = self.openings.saturating_add(delta.openings);
        self.unanswered = self.unanswered.saturating_add(delta.unanswered);
        if delta.targets | delta.ports != 0 {
            sketches.advance(self.age(step));
            self.sketched = window(step);
            sketches.targets.recent |= delta.targets;
            sketches.ports.recent |= delta.ports;
        }
    }

    /// Lets the counters decay to `step`.
    #[inline]
    fn decay(&mut self, step: u32) {
        for _ in 0..step.saturating_sub(self.step).min(DECAYED_STEPS) {
            self.packets = decayed(self.packets);
            self.wire_bytes = decayed(self.wire_bytes);
            for counter in [&mut self.flows, &mut self.odd, &mut self.openings, &mut self.unanswered] {
                *counter -= counter.div_ceil(1 << DECAY_SHIFT);
            }
        }
        self.step = self.step.max(step);
    }

    /// How much is lost with this prefix: about its packets once decayed to `step`, and of equals who was heard last.
    /// The least is an empty place.
    pub(super) fn weight(&self, step: u32) -> (u64, u32) {
        let halvings = (step.saturating_sub(self.step) / HALVING_STEPS).min(u64::BITS - 1);
        (self.packets >> halvings, self.step)
    }
}

/// The number of a step's window, from 2: so sketches of window 0, which nobody has written to, are forgotten.
const fn window(step: u32) -> u32 {
    step / SKETCH_STEPS + 2
}

/// One step of decay: an eighth, rounded up, so that a counter reaches 0.
pub(super) const fn decayed(counter: u64) -> u64 {
    counter - counter.div_ceil(1 << DECAY_SHIFT)
}

impl Sketches {
    /// Lets `windows` pass.
    fn advance(&mut self, windows: u32) {
        for sketch in [&mut self.targets, &mut self.ports] {
            match windows {
                0 => continue,
                1 => sketch.older = sketch.recent,
                _ => sketch.older = 0,
            }
            sketch.recent = 0;
        }
    }

    /// How many targets and ports there are once `windows` have passed.
    fn estimates(&self, windows: u32) -> (u32, u32) {
        let mut now = *self;
        now.advance(windows);
        (now.targets.estimate(), now.ports.estimate())
    }
}

impl Sketch {
    fn estimate(self) -> u32 {
        linear_count(self.recent | self.older)
    }
}

/// How many different values set these bits, by linear counting (Whang, Vander-Zanden, Taylor 1990).
pub(super) fn linear_count(bits: u64) -> u32 {
    LINEAR_COUNT[bits.count_ones() as usize].into()
}

/// round(-64 · ln(1 − n / 64)) for n set bits; the last is for half an empty bit.
const LINEAR_COUNT: [u16; 65] = [
    0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 18, 20, 21, 23, 24, 25, 27, 28, 30, 32, 33, 35,
    37, 39, 40, 42, 44, 46, 48, 51, 53, 55, 58, 60, 63, 65, 68, 71, 74, 78, 81, 85, 89, 93, 97, 102, 107,
    113, 119, 126, 133, 142, 151, 163, 177, 196, 222, 266, 311,
];
