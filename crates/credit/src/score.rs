//! How good a subject's credit is: a number, the word for it, and the state of having neither.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::UnknownWord;

/// A credit or flow score, from 0 (worst) to 1000 (best).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Score(u16);

/// A number is no score because it is over 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no score; a score is a whole number from 0 (worst) to 1000 (best)")]
pub struct ScoreError(pub u16);

impl Score {
    /// The lowest score there is.
    pub const WORST: Self = Self(0);
    /// The highest score there is.
    pub const BEST: Self = Self(1000);

    /// The score of that value.
    ///
    /// # Errors
    /// When the value is over 1000.
    pub const fn new(value: u16) -> Result<Self, ScoreError> {
        if value <= Self::BEST.0 { Ok(Self(value)) } else { Err(ScoreError(value)) }
    }

    /// The value, 0 to 1000.
    pub const fn value(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Score {
    type Error = ScoreError;

    fn try_from(value: u16) -> Result<Self, ScoreError> {
        Self::new(value)
    }
}

impl From<Score> for u16 {
    fn from(score: Score) -> Self {
        score.0
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The word for a range of scores. Ordered from best to worst, so that `max` is the more serious one.
///
/// The ranges are those of the standard that credence ships; a record from a feed carries the status that *its* named
/// standard gave, so the two may differ there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Status {
    /// From [`Status::GOOD_MIN`]: a record of good conduct, which may earn an incentive.
    Good,
    /// From [`Status::NORMAL_MIN`]: nothing to hold against the subject.
    Normal,
    /// From [`Status::WATCH_MIN`]: something was reported, not enough to act on.
    Watch,
    /// From [`Status::POOR_MIN`]: measures are warranted.
    Poor,
    /// Below [`Status::POOR_MIN`]: the only status for which members may agree on a restriction.
    SeriouslyDishonest,
}

impl Status {
    /// All of them, best first.
    pub const ALL: [Self; 5] = [Self::Good, Self::Normal, Self::Watch, Self::Poor, Self::SeriouslyDishonest];

    /// The lowest score that is `good`.
    pub const GOOD_MIN: Score = Score(800);
    /// The lowest score that is `normal`. Half of the scale is normal or better: an ordinary subject must fall a long
    /// way before anything happens to it.
    pub const NORMAL_MIN: Score = Score(500);
    /// The lowest score that is `watch`.
    pub const WATCH_MIN: Score = Score(350);
    /// The lowest score that is `poor`. What lies below is the narrow band of the worst status.
    pub const POOR_MIN: Score = Score(150);

    /// The status that a score has under the shipped standard.
    pub const fn of(score: Score) -> Self {
        match score.0 {
            value if value >= Self::GOOD_MIN.0 => Self::Good,
            value if value >= Self::NORMAL_MIN.0 => Self::Normal,
            value if value >= Self::WATCH_MIN.0 => Self::Watch,
            value if value >= Self::POOR_MIN.0 => Self::Poor,
            _ => Self::SeriouslyDishonest,
        }
    }

    /// The highest score with this status: how to read a list that gives the word without a number, in the subject's
    /// favour.
    pub const fn best_score(self) -> Score {
        match self {
            Self::Good => Score::BEST,
            Self::Normal => Score(Self::GOOD_MIN.0 - 1),
            Self::Watch => Score(Self::NORMAL_MIN.0 - 1),
            Self::Poor => Score(Self::WATCH_MIN.0 - 1),
            Self::SeriouslyDishonest => Score(Self::POOR_MIN.0 - 1),
        }
    }

    /// The word in files and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Normal => "normal",
            Self::Watch => "watch",
            Self::Poor => "poor",
            Self::SeriouslyDishonest => "seriously_dishonest",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Status {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        UnknownWord::resolve(text, "status", &Self::ALL, Self::name)
    }
}

/// What is known of a subject's credit: a score with its status, or nothing.
///
/// An enum of its own rather than `Option<Score>`, for two reasons. `None` sorts below every score and `unwrap_or`
/// invites a number, so that "nothing known" would drift into "worst"; here neither is possible, since a rating has no
/// order and no default number. And the status travels with the score, so that a rating without a status, or an
/// unrated record with one, cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rating {
    /// Nothing is known. Such a source never fares worse than if credence were absent.
    Unrated,
    /// A standard has rated the subject.
    Rated {
        /// The number.
        score: Score,
        /// The word that the same standard gives it.
        status: Status,
    },
}

impl Rating {
    /// The rating of a score under the shipped standard.
    pub const fn of(score: Score) -> Self {
        Self::Rated { score, status: Status::of(score) }
    }

    /// The score, if rated.
    pub const fn score(self) -> Option<Score> {
        match self {
            Self::Unrated => None,
            Self::Rated { score, .. } => Some(score),
        }
    }

    /// The status, if rated.
    pub const fn status(self) -> Option<Status> {
        match self {
            Self::Unrated => None,
            Self::Rated { status, .. } => Some(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_ends_at_1000() {
        assert_eq!(Score::new(1000), Ok(Score::BEST));
        assert_eq!(Score::new(1001), Err(ScoreError(1001)));
        assert_eq!(Score::new(u16::MAX), Err(ScoreError(u16::MAX)));
        assert!(serde_json::from_str::<Score>("1000").is_ok());
        assert!(serde_json::from_str::<Score>("1001").is_err());
    }

    #[test]
    fn each_status_begins_at_its_constant_and_ends_one_below_the_next() {
        let check =
            |score: u16, status| assert_eq!(Status::of(Score::new(score).unwrap()), status, "{score}");
        check(1000, Status::Good);
        check(800, Status::Good);
        check(799, Status::Normal);
        check(500, Status::Normal);
        check(499, Status::Watch);
        check(350, Status::Watch);
        check(349, Status::Poor);
        check(150, Status::Poor);
        check(149, Status::SeriouslyDishonest);
        check(0, Status::SeriouslyDishonest);
    }

    #[test]
    fn the_best_score_of_a_status_is_the_last_one_that_has_it() {
        for status in Status::ALL {
            let best = status.best_score();
            assert_eq!(Status::of(best), status);
            if let Ok(above) = Score::new(best.value() + 1) {
                assert!(Status::of(above) < status);
            }
        }
    }

    #[test]
    fn status_words_are_read_back_in_any_case() {
        for status in Status::ALL {
            assert_eq!(status.name().parse(), Ok(status));
            assert_eq!(status.name().to_uppercase().parse(), Ok(status));
        }
        let error = "bad".parse::<Status>().unwrap_err();
        assert!(error.to_string().contains("good, normal, watch, poor, seriously_dishonest"), "{error}");
    }

    #[test]
    fn unrated_has_neither_number_nor_word() {
        assert_eq!(Rating::Unrated.score(), None);
        assert_eq!(Rating::Unrated.status(), None);
        assert_eq!(Rating::of(Score::WORST).status(), Some(Status::SeriouslyDishonest));
    }
}
