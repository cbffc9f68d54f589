//! Mirrors, and what those do who run them or stand in between.

use credence_sync::feed::{Answer, Ask};
use credence_sync::fetch::Refused;

use crate::dice::Dice;
use crate::platform::Platform;

/// How a mirror is for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It has what the platform had so many milliseconds ago.
    Behind(u64),
    /// It goes on showing what was newest at a moment.
    Frozen(u64),
    /// It flips bits of every third thing.
    Corrupt,
    /// It stops before the end.
    Cut,
    /// It answers each thing as of another moment.
    Mixed,
    /// It sends pages for people.
    Page,
    /// It sends more than anybody reads.
    Flood,
    /// It does not answer.
    Gone,
}

impl Mood {
    /// A mood for the time from `now_ms` on.
    pub(crate) fn draw(dice: &mut Dice, now_ms: u64) -> Self {
        match dice.below(16) {
            0..5 => Self::Behind(dice.below(20_000)),
            5 => Self::Behind(dice.within(60_000, 3_600_000)),
            6 | 7 => Self::Frozen(now_ms),
            8 => Self::Frozen(now_ms.saturating_sub(dice.below(7_200_000))),
            9 => Self::Corrupt,
            10 => Self::Cut,
            11 | 12 => Self::Mixed,
            13 => Self::Page,
            14 => Self::Flood,
            _ => Self::Gone,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Behind(_) => "behind",
            Self::Frozen(_) => "frozen",
            Self::Corrupt => "corrupt",
            Self::Cut => "cut",
            Self::Mixed => "mixed",
            Self::Page => "page",
            Self::Flood => "flood",
            Self::Gone => "gone",
        }
    }

    /// What a mirror in this mood answers at a moment.
    pub(crate) fn answer(
        self,
        platform: &Platform,
        ask: &Ask,
        at_ms: u64,
        dice: &mut Dice,
    ) -> Result<Answer, Refused> {
        let shown = |at_ms| Ok(as_of(platform, ask, at_ms));
        match self {
            Self::Behind(late_ms) => shown(at_ms.saturating_sub(late_ms)),
            Self::Frozen(then_ms) => shown(then_ms.min(at_ms)),
            Self::Corrupt => {
                shown(at_ms).map(|answer| if dice.below(3) == 0 { flipped(answer, dice) } else { answer })
            }
            Self::Cut => shown(at_ms).map(|answer| cut(answer, dice)),
            Self::Mixed => shown(at_ms.saturating_sub(dice.below(1_800_000))),
            Self::Page => Ok(Answer::Bytes(b"<!DOCTYPE html><title>Welcome</title>".to_vec())),
            Self::Flood => Ok(Answer::Bytes(vec![0xee; ask.bytes_max() + 1])),
            Self::Gone => Err(Refused::Unreachable),
        }
    }
}

/// What was the answer at a moment.
fn as_of(platform: &Platform, ask: &Ask, at_ms: u64) -> Answer {
    let found = match ask {
        Ask::Head => newest(&platform.history, |one| one.at_ms <= at_ms).map(|one| &one.head),
        Ask::Witnessed => newest(&platform.witnessed, |one| one.0 <= at_ms).map(|one| &one.1),
        Ask::Rule(number) => {
            let rules = newest(&platform.history, |one| one.at_ms <= at_ms).map_or(0, |one| one.rules);
            return if *number < rules { platform.of_old(ask) } else { Answer::Missing };
        }
        _ => return platform.of_old(ask),
    };
    found.map_or(Answer::Missing, |bytes| Answer::Bytes(bytes.clone()))
}

/// The last of those that were there before.
fn newest<T>(all: &[T], is_there: impl Fn(&T) -> bool) -> Option<&T> {
    all.get(all.partition_point(is_there).checked_sub(1)?)
}

/// The answer with one bit flipped.
pub(crate) fn flipped(answer: Answer, dice: &mut Dice) -> Answer {
    match answer {
        Answer::Bytes(mut bytes) if !bytes.is_empty() => {
            let bit = dice.below(bytes.len() as u64 * 8) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
            Answer::Bytes(bytes)
        }
        answer => answer,
    }
}

fn cut(answer: Answer, dice: &mut Dice) -> Answer {
    match answer {
        Answer::Bytes(mut bytes) if !bytes.is_empty() => {
            bytes.truncate(dice.below(bytes.len() as u64) as usize);
            Answer::Bytes(bytes)
        }
        answer => answer,
    }
}
