//! The seat of the coordinating body that a configuration would sign for.

use credence_sync::feed::Folder;
use credence_sync::hand::Hand;
use serde::Serialize;

use crate::config::Config;
use crate::follower::stated;

/// Whom the seat would sign for, and where.
#[derive(Serialize)]
pub(super) struct Seat {
    platforms: Vec<String>,
}

impl Seat {
    /// What `config` would sign, if anything. A key that cannot be used is a problem: the seat would be away.
    pub(super) fn of(config: &Config, problems: &mut Vec<String>) -> Option<Self> {
        let seat = config.sync.seat.as_ref()?;
        let place = Folder::to_read(&stated(&config.sync.state));
        let opened = seat.key().and_then(|key| Ok(Hand::of_seat(key, place)?));
        if let Err(error) = opened {
            problems.push(format!("nothing could be signed for the seat: {error:#}"));
        }
        Some(Self { platforms: seat.asking().iter().map(|(place, _)| place.shown()).collect() })
    }

    /// The same for people.
    pub(super) fn told(&self) -> String {
        format!(
            "signs the coordinating body's manifests for {}, each judged by the feed that is followed",
            self.platforms.join(", ")
        )
    }
}
