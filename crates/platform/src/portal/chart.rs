//! The history of a score as a picture that needs no script, and as the numbers that it is drawn from.

use credence_credit::{Rating, Score};

use super::answer::Band;
use crate::words::{self, Moment};

/// Seconds of a day.
const DAY: u64 = 86_400;
/// How many days are shown, with today.
const DAYS: u64 = 91;
/// The size of the plot, and what lies to its left.
const WIDTH: u64 = 600;
const HEIGHT: u64 = 200;
const LEFT: u64 = 40;

/// A chart of scores over time.
#[derive(Debug)]
pub(super) struct Chart {
    /// Lines through days that follow each other, as the points of polylines. A day without a score ends one.
    pub(super) lines: Vec<String>,
    /// The statuses as grounds: their words for the style sheet, where they begin and how high they are.
    pub(super) grounds: Vec<(&'static str, u64, u64)>,
    /// Scores with where they stand on the scale.
    pub(super) marks: Vec<(u16, u64)>,
    /// The first day and the last.
    pub(super) ends: [String; 2],
    /// A row for each seventh day, newest first: when, the score, its status.
    pub(super) rows: Vec<(Moment, String, String)>,
    /// The same in a sentence.
    pub(super) told: String,
}

/// The moments that are shown at `now`, in Unix seconds: one a day, oldest first.
pub(super) fn moments(now: u64) -> Vec<u64> {
    (0..DAYS).rev().map(|days| now.saturating_sub(days * DAY)).collect()
}

impl Chart {
    /// A chart of the ratings at these moments.
    pub(super) fn new(moments: &[u64], ratings: &[Rating], bands: &[Band]) -> Self {
        let days: Vec<_> = moments.iter().zip(ratings).collect();
        let rows = days.iter().rev().step_by(7).map(|(at, rating)| row(**at, **rating)).collect();
        let scores: Vec<_> = ratings.iter().filter_map(|rating| rating.score()).collect();
        Self {
            lines: lines(ratings),
            grounds: bands.iter().map(ground).collect(),
            marks: [0, 250, 500, 750, 1_000].map(|score| (score, height(score))).into(),
            ends: [moments.first(), moments.last()].map(|at| day(at.copied().unwrap_or(0))),
            rows,
            told: told(&scores),
        }
    }
}

/// The day of a moment, as in RFC 3339.
fn day(unix_s: u64) -> String {
    let exact = Moment::at(unix_s).exact;
    exact.split('T').next().unwrap_or_default().to_owned()
}

/// Where a score stands: 0 at the bottom.
fn height(score: u16) -> u64 {
    HEIGHT - u64::from(score) * HEIGHT / 1_000
}

/// A status from where it begins up to where the next one does.
fn ground(band: &Band) -> (&'static str, u64, u64) {
    let top = height((band.until + 1).min(1_000));
    (band.class, top, height(band.from).saturating_sub(top))
}

fn lines(ratings: &[Rating]) -> Vec<String> {
    let steps = (ratings.len() as u64).saturating_sub(1).max(1);
    let point = |(day, rating): (u64, &Rating)| {
        rating.score().map(|score| format!("{},{}", LEFT + day * WIDTH / steps, height(score.value())))
    };
    let points: Vec<_> = (0..).zip(ratings).map(point).collect();
    let runs = points.split(Option::is_none).filter(|run| !run.is_empty());
    let line = |run: &[Option<String>]| {
        // A single day is a dot: a line from a point to itself, with round ends.
        let again = run.first().filter(|_| run.len() == 1);
        run.iter().chain(again).flatten().cloned().collect::<Vec<_>>().join(" ")
    };
    runs.map(line).collect()
}

fn row(at: u64, rating: Rating) -> (Moment, String, String) {
    match (rating.score(), rating.status()) {
        (Some(score), Some(status)) => (Moment::at(at), score.value().to_string(), words::status(status)),
        _ => (Moment::at(at), "–".to_owned(), "unrated".to_owned()),
    }
}

fn told(scores: &[Score]) -> String {
    let days = DAYS - 1;
    match (scores.iter().min(), scores.iter().max(), scores.last()) {
        (Some(least), Some(most), Some(last)) => format!(
            "Score over the last {days} days: between {} and {}, last {}.",
            least.value(),
            most.value(),
            last.value()
        ),
        _ => format!("Unrated through the last {days} days."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rated(score: u16) -> Rating {
        Rating::of(Score::new(score).unwrap())
    }

    #[test]
    fn a_day_without_a_score_parts_two_lines() {
        let ratings = [rated(1_000), rated(0), Rating::Unrated, rated(500), Rating::Unrated];
        assert_eq!(lines(&ratings), ["40,0 190,200", "490,100 490,100"]);
        assert_eq!(lines(&[Rating::Unrated; 3]), [""; 0]);
        assert_eq!(lines(&[rated(500)]), ["40,100 40,100"]);
    }

    #[test]
    fn days_are_those_before_now_and_each_week_has_a_row() {
        let now = 1_800_000_000;
        let moments = moments(now);
        assert_eq!((moments.len(), moments[0], moments[90]), (91, now - 90 * DAY, now));
        let chart = Chart::new(&moments, &vec![rated(700); 91], &[]);
        assert_eq!((chart.rows.len(), chart.rows[0].1.as_str()), (13, "700"));
        assert_eq!(chart.ends, ["2026-10-17", "2027-01-15"]);
        assert_eq!(chart.told, "Score over the last 90 days: between 700 and 700, last 700.");
        assert_eq!(
            Chart::new(&moments, &[Rating::Unrated; 91], &[]).told,
            "Unrated through the last 90 days."
        );
    }
}
