//! The section `[sync.outbox]`: what others are told.

use std::path::PathBuf;

use credence_law::party::{MemberId, World};
use credence_sync::fetch::Place;
use credence_sync::outbox::{Limits, Rule, Voice};
use serde::{Deserialize, Serialize};

/// What others are told of what this gateway sees.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Outbox {
    /// What becomes of alerts. Default `off`: nothing is drafted and nothing leaves. With `ask` everything waits for `credence
    /// outbox send`; with `automatic` alerts about the member's own subjects go out by themselves, where the evidence cannot be
    /// forged, and reports about others' wait.
    pub(crate) rule: Rule,
    /// The platform, best place first; the others are tried when that does not answer. All have to be the same platform.
    pub(crate) platforms: Vec<String>,
    /// The world, by the fingerprint of its first root: 64 hexadecimal digits, as its ceremony has shown them.
    pub(crate) world: String,
    /// Files with the world's signed rules in the order in which they came into force: root, registry, catalogue, standard, and
    /// what followed. Default none; they are needed where `sync.url` does not follow the same world, which brings them.
    pub(crate) rules: Vec<PathBuf>,
    /// The member's number in the registry.
    pub(crate) member: u16,
    /// The file with the member's secret key for alerts, 64 hexadecimal digits. Nobody but its owner may read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    /// How long alerts and reports last, in days from 1 to 90. Default 7: whoever goes on is seen again.
    pub(crate) lasts_days: u64,
    /// Drafts that are opened in a day, at most. Default 1,000.
    pub(crate) drafts_per_day: u32,
    /// How long the periods are of which an account is given, in seconds: what was done here by acts of the platform, to the
    /// subjects that those name, in packets and bytes. Default 0: nothing is said of it. Otherwise from 10 to 86,400, and a day is
    /// a whole number of them. Accounts go out by themselves, whatever `rule` says of alerts.
    pub(crate) accounts_s: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            rule: Rule::Off,
            platforms: Vec::new(),
            world: String::new(),
            rules: Vec::new(),
            member: 0,
            key: None,
            lasts_days: 7,
            drafts_per_day: Limits::default().drafts_per_day,
            accounts_s: 0,
        }
    }
}

/// The longest that an alert or a report may last by the law, in days.
const LASTS_DAYS_MAX: u64 = 90;

/// Seconds of a day, of which periods of accounts are parts.
const DAY: u64 = 86_400;
/// The shortest of them, in seconds.
const ACCOUNTS_S_MIN: u64 = 10;

impl Outbox {
    /// Whether anything is told to anybody.
    pub(crate) fn is_on(&self) -> bool {
        self.rule != Rule::Off
    }

    /// What it holds at most.
    pub(crate) fn limits(&self) -> Limits {
        Limits { drafts_per_day: self.drafts_per_day, account_s: self.accounts_s(), ..Limits::default() }
    }

    /// How long the periods of accounts are, in seconds; 0 where none are given.
    pub(crate) fn accounts_s(&self) -> u64 {
        if self.is_on() { self.accounts_s } else { 0 }
    }

    /// Whose words they are; none before the configuration was found to be sound.
    pub(crate) fn voice(&self) -> Option<Voice> {
        Some(Voice {
            member: MemberId(self.member),
            key: self.key.clone()?,
            world: self.world()?,
            rules: self.rules.clone(),
            lasts_s: self.lasts_days * 86_400,
        })
    }

    /// Where acts are handed in.
    pub(crate) fn places(&self) -> Vec<Place> {
        let place = |platform: &String| Place::parse(&acts(platform), false).ok();
        self.platforms.iter().filter_map(place).collect()
    }

    /// Where the member is asked what it states, with where it answers.
    pub(crate) fn asking(&self) -> Vec<(Place, Place)> {
        let place = |text: String| Place::parse(&text, false).ok();
        let both = |platform: &String| place(proposals(platform, self.member)).zip(place(acts(platform)));
        self.platforms.iter().filter_map(both).collect()
    }

    /// The world that is told; none before the configuration was found to be sound.
    pub(super) fn world(&self) -> Option<World> {
        World::parse(&self.world)
    }

    /// What no type can refuse, each with the path of its key, where a feed brings the rules or does not.
    pub(super) fn unsound(&self, brings_rules: bool) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, text: String| faults.push((format!("sync.outbox.{key}"), text));
        if !self.is_on() {
            if self.accounts_s > 0 {
                fault(
                    "accounts_s",
                    "needs `rule` to be \"ask\" or \"automatic\", which say by whose key".to_owned(),
                );
            }
            return faults;
        }
        let is_part = DAY.is_multiple_of(self.accounts_s) && self.accounts_s >= ACCOUNTS_S_MIN;
        if self.accounts_s > 0 && !is_part {
            let seconds = self.accounts_s;
            fault(
                "accounts_s",
                format!(
                    "is {seconds}, and must be 0 or a whole part of a day of at least {ACCOUNTS_S_MIN} s"
                ),
            );
        }
        if self.platforms.is_empty() {
            fault("platforms", "is empty; name the platform, like \"https://platform.example\"".to_owned());
        }
        for platform in &self.platforms {
            if let Err(error) = Place::parse(&acts(platform), false) {
                fault("platforms", format!("holds {platform:?}, which {error}"));
            }
        }
        if self.world().is_none() {
            fault("world", "is no fingerprint of a root: 64 hexadecimal digits".to_owned());
        }
        if self.rules.is_empty() && !brings_rules {
            let cure = "follow the platform with `sync.url` and the same `sync.world`, or name the files with root, registry, catalogue and standard";
            fault("rules", format!("is empty; {cure}"));
        }
        if self.key.is_none() {
            fault("key", "is missing; name the file with the member's key for alerts".to_owned());
        }
        if !(1..=LASTS_DAYS_MAX).contains(&self.lasts_days) {
            let days = self.lasts_days;
            fault("lasts_days", format!("is {days}, and must be from 1 to {LASTS_DAYS_MAX}"));
        }
        faults
    }
}

/// The URL to which a platform's acts go.
fn acts(platform: &str) -> String {
    format!("{}/acts", platform.trim_end_matches('/'))
}

/// The URL at which a platform says what a member is asked to state.
fn proposals(platform: &str, member: u16) -> String {
    format!("{}/feed/proposals/{member}", platform.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Outbox {
        Outbox {
            rule: Rule::Ask,
            platforms: vec!["https://platform.example/".to_owned()],
            world: "0a".repeat(32),
            rules: vec![PathBuf::from("root")],
            member: 1,
            key: Some(PathBuf::from("key")),
            ..Outbox::default()
        }
    }

    #[test]
    fn what_is_off_needs_nothing_and_what_is_on_needs_all() {
        assert_eq!(Outbox::default().unsound(false), []);
        assert_eq!(sound().unsound(false), []);
        let bare = Outbox { rule: Rule::Ask, lasts_days: 91, ..Outbox::default() };
        let followed = Outbox { rules: Vec::new(), ..sound() };
        assert_eq!((followed.unsound(true).len(), followed.unsound(false).len()), (0, 1));
        let keys: Vec<_> = bare.unsound(false).into_iter().map(|(key, _)| key).collect();
        let all = ["platforms", "world", "rules", "key", "lasts_days"];
        assert_eq!(keys, all.map(|key| format!("sync.outbox.{key}")));
    }

    #[test]
    fn periods_of_accounts_are_whole_parts_of_a_day() {
        let with = |accounts_s| Outbox { accounts_s, ..sound() };
        for part in [0, 10, 60, 3_600, 86_400] {
            assert_eq!(with(part).unsound(false), [], "{part}");
        }
        for part in [1, 9, 11, 7_000, 86_401, 172_800, u64::MAX] {
            assert_eq!(with(part).unsound(false).len(), 1, "{part}");
        }
        let silent = Outbox { accounts_s: 3_600, ..Outbox::default() };
        assert_eq!((silent.unsound(false).len(), silent.accounts_s()), (1, 0));
    }

    #[test]
    fn a_platform_is_reached_encrypted_or_on_this_very_host() {
        let with = |platform: &str| Outbox { platforms: vec![platform.to_owned()], ..sound() };
        assert_eq!(with("http://[::1]:9700").unsound(false), []);
        for platform in ["http://platform.example", "ftp://platform.example", "platform", ""] {
            assert_eq!(with(platform).unsound(false).len(), 1, "{platform:?}");
        }
        assert_eq!(with("https://platform.example").places(), with("https://platform.example/").places());
    }

    #[test]
    fn a_world_has_64_hexadecimal_digits() {
        assert_eq!(sound().voice().map(|voice| voice.world), Some(World([10; 32])));
        for world in ["", "0a", &"0g".repeat(32), &"é".repeat(32), &"0a".repeat(33), &"+1".repeat(32)] {
            assert_eq!(Outbox { world: world.to_owned(), ..sound() }.voice(), None, "{world:?}");
        }
    }
}
