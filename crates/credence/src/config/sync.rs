//! The section `[sync]`: what is fetched from others, by a process of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use credence_credit::import::ListFormat;
use credence_credit::{Issuer, Measure, Score};
use credence_feed::Witness;
use credence_feed::log::origin;
use credence_law::party::World;
use credence_sync::feed::{self, Bus, Mirror, Pinned, Timings};
use credence_sync::fetch::Place;
use credence_sync::lists::Plan;
use serde::{Deserialize, Serialize};

use super::{Outbox, Seat};

/// What is fetched from others. Nothing is where no list is named; where one is, `credence run` starts a second process for it,
/// the only one that talks to the Internet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sync {
    /// The directory in which fetched copies are kept, so that a restart begins with them. Default `/var/lib/credence/sync`.
    pub(crate) state: PathBuf,
    /// Whether anything may be fetched over plain HTTP from other hosts. Default false: anybody on the way could change it.
    pub(crate) plain_http: bool,
    /// The alert platform whose feed is followed, such as `https://platform.example`, or a directory that has the same files, such as
    /// `file:///media/stick`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Places that have the same feed, and are asked when `url` fails. Default none.
    pub(crate) mirrors: Vec<String>,
    /// A server of NATS at which the platform's doorbell is heard, such as `tls://bus.example:4222`, or `nats://127.0.0.1:4222` on this
    /// very host, to which nothing is encrypted (on another one with `plain_http`); where it is gone, the platform's own is. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bus: Option<String>,
    /// A file with the certificates (PEM) of those who may sign that of a `bus` at `tls://`. When another file takes its place, a restart
    /// finds it. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bus_ca: Option<PathBuf>,
    /// The world that is followed: the hash of its trust root, 64 hexadecimal digits, got in another way than from the platform.
    /// There is no default; without it nothing is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) world: Option<String>,
    /// Which epoch of the platform's public log is followed: another one than the first where its members say that entries of it were lost for
    /// good, and it went on under another name. It never goes back. Default 1.
    pub(crate) epoch: u32,
    /// Whose word on the platform's public log is asked for: verifier keys as witnesses publish them, NAME+NUMBER+KEY. Default none.
    pub(crate) witnesses: Vec<String>,
    /// How many of `witnesses` must have seen the log within a day. Default 0.
    pub(crate) witness_quorum: u8,
    /// Whether a world that was made to try things out is followed. Default false: nobody answers for what it says.
    pub(crate) allow_example: bool,
    /// Seconds from one question for news to the next at most, and up to a quarter less; the platform's doorbell rings earlier. Default 30.
    pub(crate) refresh_s: u32,
    /// Seconds without an answer from which the feed counts as stale. Default 86,400.
    pub(crate) stale_after_s: u32,
    /// Lists, each under a name of its own: letters, digits, `-` and `_`. At most 16. Default none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) lists: BTreeMap<String, List>,
    /// What others are told.
    pub(crate) outbox: Outbox,
    /// The seat of the coordinating body that is held here. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seat: Option<Seat>,
}

impl Default for Sync {
    fn default() -> Self {
        let state = PathBuf::from("/var/lib/credence/sync");
        Self {
            state,
            plain_http: false,
            url: None,
            mirrors: Vec::new(),
            bus: None,
            bus_ca: None,
            world: None,
            epoch: 1,
            witnesses: Vec::new(),
            witness_quorum: 0,
            allow_example: false,
            refresh_s: 30,
            stale_after_s: 86_400,
            lists: BTreeMap::new(),
            outbox: Outbox::default(),
            seat: None,
        }
    }
}

/// A list that is fetched again and again. It is the operator's own word: whoever names it answers for what it says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct List {
    /// Where it is, the best place first; the others are asked when that fails. There is no default.
    pub(crate) urls: Vec<String>,
    /// How it is written: `cidr`, `csv`, `drop` (Spamhaus DROP in JSON) or `crowdsec` (decisions). Default `cidr`.
    pub(crate) from: Form,
    /// Score of what is listed, from 0 (worst) to 1000, where the list gives none. Default 100.
    pub(crate) score: u16,
    /// What is asked for, where the list does not say: `observe`, `mark`, `rate_limit` or `drop`. Default `drop`. No list can ask
    /// for less: letting a source through whatever others say is for the operator's own file.
    pub(crate) measure: Measure,
    /// Seconds from one question to the next, a tenth more or less. Default 3,600; publishers shut out who asks more often.
    pub(crate) refresh_s: u32,
    /// How long a record lasts, in seconds, where the list does not say. Default 604,800, a week: what has not been confirmed
    /// for so long ends by itself.
    pub(crate) expires_s: u32,
    /// Seconds without an answer from which the list counts as stale on the metrics page. Default 86,400.
    pub(crate) stale_after_s: u32,
    /// The most bytes that are taken. Default 33,554,432.
    pub(crate) bytes_max: u32,
    /// Where whoever is listed can complain, which `credence explain` shows. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) complaints: Option<String>,
}

impl Default for List {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            from: Form::default(),
            score: 100,
            measure: Measure::Drop,
            refresh_s: 3_600,
            expires_s: 604_800,
            stale_after_s: 86_400,
            bytes_max: 32 << 20,
            complaints: None,
        }
    }
}

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// One prefix or address a line.
    #[default]
    Cidr,
    /// Delimited by commas, with columns such as `prefix`, `score` and `measure`.
    Csv,
    /// Spamhaus's DROP in JSON.
    Drop,
    /// CrowdSec's decisions.
    CrowdSec,
}

impl From<Form> for ListFormat {
    fn from(form: Form) -> Self {
        match form {
            Form::Cidr => Self::Cidr,
            Form::Csv => Self::Csv,
            Form::Drop => Self::Drop,
            Form::CrowdSec => Self::CrowdSec,
        }
    }
}

/// More lists than an operator can keep an eye on, and each costs some thirty series on the metrics page.
const LISTS_MAX: usize = 16;

/// The longest name of a list, in bytes; it names files.
const NAME_LEN_MAX: usize = 32;

/// What the feed is called among lists.
pub(crate) const FEED: &str = "feed";

/// More places than anybody keeps one list at.
const URLS_MAX: usize = 8;

/// Four weeks: a record that is asked for no more often is nobody's any more.
const SECONDS_MAX: u32 = 28 * 86_400;

/// 256 MiB, of which every list may take so much at once.
const BYTES_MAX: u32 = 256 << 20;

impl Sync {
    /// Whether there is anything to fetch or to tell.
    pub(crate) fn is_on(&self) -> bool {
        !self.lists.is_empty() || self.url.is_some() || self.outbox.is_on()
    }

    /// What is to be done about the feed, if one is followed. Of a configuration that was read, it can be.
    pub(crate) fn feed(&self) -> Option<feed::Plan> {
        self.feed_plan().ok().flatten()
    }

    /// The world whose rules the outbox has from the feed: its own, if it is the one that is followed.
    pub(crate) fn brings_rules(&self) -> Option<World> {
        let told = self.outbox.world()?;
        self.feed().filter(|plan| plan.pinned.world == told).map(|_| told)
    }

    /// Where the doorbell is heard besides, if anywhere. Of a configuration that was read, it can be.
    pub(crate) fn bus(&self) -> Option<Bus> {
        let world = World::parse(self.world.as_deref()?)?;
        Bus::parse(self.bus.as_ref()?, self.bus_ca.as_deref(), self.plain_http, world).ok()
    }

    /// What is to be done about the feed.
    ///
    /// # Errors
    /// What is wrong with it, and with which key.
    fn feed_plan(&self) -> Result<Option<feed::Plan>, (&'static str, String)> {
        let Some(url) = &self.url else {
            return if self.world.is_some() || self.bus.is_some() || !self.mirrors.is_empty() {
                Err(("url", "is missing; name the platform whose feed is followed".to_owned()))
            } else {
                Ok(None)
            };
        };
        let mirror = |key: &'static str| {
            move |url: &String| {
                let parsed = Mirror::parse(url, self.plain_http);
                parsed.map_err(|error| (key, format!("holds {url:?}, which {error}")))
            }
        };
        let mut mirrors = vec![mirror("url")(url)?];
        if self.mirrors.len() >= URLS_MAX {
            return Err((
                "mirrors",
                format!("names {} places, and {} are the most", self.mirrors.len(), URLS_MAX - 1),
            ));
        }
        for other in &self.mirrors {
            mirrors.push(mirror("mirrors")(other)?);
        }
        let digits = "64 hexadecimal digits, which the platform's members publish";
        let world = self.world.as_deref().ok_or_else(|| {
            ("world", format!("is missing; give the hash of the world's trust root, {digits}"))
        })?;
        let world =
            World::parse(world).ok_or_else(|| ("world", format!("is no hash of a trust root: {digits}")))?;
        // It may hold a password, and is not shown.
        let bus = self.bus.as_ref();
        let bus = bus.map(|bus| Bus::parse(bus, self.bus_ca.as_deref(), self.plain_http, world));
        bus.transpose().map_err(|error| ("bus", format!("names what {error}")))?;
        if self.epoch == 0 {
            return Err(("epoch", "is 0, and epochs of a log begin with 1".to_owned()));
        }
        let witness = |text: &String| {
            Witness::read(text).map_err(|error| ("witnesses", format!("holds {text:?}: {error}")))
        };
        let witnesses: Vec<_> = self.witnesses.iter().map(witness).collect::<Result<_, _>>()?;
        if usize::from(self.witness_quorum) > witnesses.len() {
            let fault = format!("is {}, and `witnesses` names {}", self.witness_quorum, witnesses.len());
            return Err(("witness_quorum", fault));
        }
        for (key, seconds) in [("refresh_s", self.refresh_s), ("stale_after_s", self.stale_after_s)] {
            if !(1..=SECONDS_MAX).contains(&seconds) {
                return Err((key, format!("is {seconds}, and must be from 1 to {SECONDS_MAX}")));
            }
        }
        let pinned = Pinned {
            world,
            origin: origin(world, self.epoch),
            witnesses,
            witness_quorum: self.witness_quorum.into(),
            allow_example: self.allow_example,
        };
        let timings = Timings { refresh: self.refresh_s.into(), ..Timings::default() };
        Ok(Some(feed::Plan { pinned, mirrors, timings }))
    }

    /// What is to be done about each list. Of a configuration that was read, all of them can be.
    pub(crate) fn plans(&self) -> Vec<Plan> {
        self.lists.iter().filter_map(|(name, list)| list.plan(name, self.plain_http).ok()).collect()
    }

    /// What no type can refuse, each with the path of its key.
    pub(super) fn unsound(&self) -> Vec<(String, String)> {
        let mut faults = self.outbox.unsound(self.brings_rules().is_some());
        faults.extend(self.seat.iter().flat_map(|seat| seat.unsound(self.url.is_some())));
        if let Err((key, fault)) = self.feed_plan() {
            faults.push((format!("sync.{key}"), fault));
        }
        if self.lists.len() > LISTS_MAX {
            let count = self.lists.len();
            faults.push(("sync".to_owned(), format!("names {count} lists, and {LISTS_MAX} are the most")));
        }
        for (name, list) in &self.lists {
            let at = |key: &str| format!("sync.lists.{name}{key}");
            if !is_name(name) {
                let fault = format!(
                    "is no name for a list; take up to {NAME_LEN_MAX} letters, digits, `-` and `_`, since files are named after it"
                );
                faults.push((at(""), fault));
            } else if let Err((key, fault)) = list.plan(name, self.plain_http) {
                faults.push((at(key), fault));
            }
            faults.extend(list.out_of_bounds().map(|(key, fault)| (at(key), fault)));
        }
        faults
    }
}

impl List {
    /// What is to be done about the list, called `name`.
    ///
    /// # Errors
    /// What is wrong with it, and with which key.
    fn plan(&self, name: &str, plain: bool) -> Result<Plan, (&'static str, String)> {
        if self.urls.is_empty() {
            return Err(("", "has no `urls`; name the place that it is fetched from".to_owned()));
        }
        if self.urls.len() > URLS_MAX {
            return Err((".urls", format!("names {} places, and {URLS_MAX} are the most", self.urls.len())));
        }
        let place = |url: &String| {
            Place::parse(url, plain).map_err(|error| (".urls", format!("holds {url:?}, which {error}")))
        };
        let places: Vec<Place> = self.urls.iter().map(place).collect::<Result<_, _>>()?;
        let issuer = Issuer::new(format!("{name} ({})", places[0].shown()));
        let issuer =
            issuer.map_err(|error| (".urls", format!("begins with a place too long to show: {error}")))?;
        let issuer = match &self.complaints {
            None => issuer,
            Some(complaints) => issuer
                .with_complaints(complaints)
                .map_err(|_| (".complaints", "is empty, too long, or no plain text".to_owned()))?,
        };
        let score = Score::new(self.score).map_err(|_| {
            (".score", format!("is {}, and must be from 0 (worst) to 1000 (best)", self.score))
        })?;
        if self.measure < Measure::Observe {
            let fault = format!(
                "is \"{}\", by which whoever writes the list could let anybody through; take \"observe\" or harder",
                self.measure
            );
            return Err((".measure", fault));
        }
        Ok(Plan {
            name: name.to_owned(),
            places,
            form: self.from.into(),
            score,
            measure: self.measure,
            issuer,
            refresh: Duration::from_secs(self.refresh_s.into()),
            lifetime: Duration::from_secs(self.expires_s.into()),
            bytes_max: self.bytes_max.into(),
        })
    }

    fn out_of_bounds(&self) -> impl Iterator<Item = (&'static str, String)> {
        let numbers = [
            (".refresh_s", self.refresh_s, SECONDS_MAX),
            (".expires_s", self.expires_s, SECONDS_MAX),
            (".stale_after_s", self.stale_after_s, SECONDS_MAX),
            (".bytes_max", self.bytes_max, BYTES_MAX),
        ];
        let outside = numbers.into_iter().filter(|(_, number, most)| !(1..=*most).contains(number));
        outside.map(|(key, number, most)| (key, format!("is {number}, and must be from 1 to {most}")))
    }
}

fn is_name(name: &str) -> bool {
    // The feed's place among them.
    if name == FEED {
        return false;
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_name_files() {
        for name in ["drop_v6", "a", "A-1"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "../a", FEED, "a/b", "a.b", "é", "a b", "a\0", &"a".repeat(33)] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_list_is_shown_under_its_name_and_first_place_without_secrets() {
        let urls = vec!["https://key:secret@lists.example/v6?token=secret".to_owned()];
        let complaints = Some("https://lists.example/delist".to_owned());
        let plan = List { urls, complaints, ..List::default() }.plan("bad", false).unwrap();
        assert_eq!(plan.issuer.name(), "bad (https://lists.example/v6)");
        assert_eq!(plan.issuer.complaints(), Some("https://lists.example/delist"));
    }
}
