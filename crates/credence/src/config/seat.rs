//! The section `[sync.seat]`: a seat of the coordinating body.

use std::path::{Path, PathBuf};

use anyhow::Context;
use credence_sync::fetch::Place;
use serde::{Deserialize, Serialize};

/// A seat of the coordinating body, which signs the body's manifests together with the others.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Seat {
    /// The platform, best place first; the others are asked when that does not answer. All have to be the same platform.
    pub(crate) platforms: Vec<String>,
    /// The file with the seat's secret key for decisions, 64 hexadecimal digits. Nobody but its owner may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
}

impl Seat {
    /// The file with the key.
    ///
    /// # Errors
    /// When none is named.
    pub(crate) fn key(&self) -> anyhow::Result<&Path> {
        self.key.as_deref().context("`sync.seat.key` is missing")
    }

    /// Where the seat is asked for its signature, with where it answers.
    pub(crate) fn asking(&self) -> Vec<(Place, Place)> {
        let place = |platform: &String| Place::parse(&proposals(platform), false).ok();
        self.platforms.iter().filter_map(place).map(|place| (place.clone(), place)).collect()
    }

    /// What no type can refuse, each with the path of its key. A seat judges by the feed that it follows.
    pub(super) fn unsound(&self, follows: bool) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, text: String| faults.push((format!("sync.seat{key}"), text));
        if !follows {
            fault(
                "",
                "needs `sync.url` and `sync.world`: a seat judges what it signs by the feed that it follows"
                    .to_owned(),
            );
        }
        if self.platforms.is_empty() {
            fault(".platforms", "is empty; name the platform, like \"https://platform.example\"".to_owned());
        }
        for platform in &self.platforms {
            if let Err(error) = Place::parse(&proposals(platform), false) {
                fault(".platforms", format!("holds {platform:?}, which {error}"));
            }
        }
        if self.key.is_none() {
            fault(".key", "is missing; name the file with the seat's key for decisions".to_owned());
        }
        faults
    }
}

/// The URL at which a platform says what the coordinating body is asked to state.
fn proposals(platform: &str) -> String {
    format!("{}/feed/proposals/body", platform.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_needs_a_feed_a_platform_and_a_key() {
        let sound = Seat {
            platforms: vec!["https://platform.example/".to_owned()],
            key: Some(PathBuf::from("decisions.key")),
        };
        assert_eq!(sound.unsound(true), []);
        assert_eq!(sound.asking().len(), 1);
        let keys =
            |seat: &Seat, follows| seat.unsound(follows).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(keys(&sound, false), ["sync.seat"]);
        assert_eq!(keys(&Seat::default(), true), ["sync.seat.platforms", "sync.seat.key"]);
        let plain = Seat { platforms: vec!["http://platform.example".to_owned()], ..sound };
        assert_eq!(keys(&plain, true), ["sync.seat.platforms"], "not encrypted, and on another host");
    }
}
