//! What is known of the process that fetches, counted where it is heard.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use credence_engine::clock::unix_ms;
use credence_engine::metrics::{Delays, FollowedList, Following, Outbox};
use credence_feed::Turn;
use credence_sync::fetch::Refused;
use credence_sync::pipe::{Posted, Report};

use super::posted;
use crate::config::{FEED, Sync};

/// Whose word is kept alive here, on the metrics page.
const MEMBER: &str = "member";
const SEAT: &str = "seat";

/// What was heard of the follower.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// How often it was started; 0 where nothing is fetched.
    starts: AtomicU64,
    /// Lines that were no word.
    pub(crate) garbage: AtomicU64,
    /// Whether this gateway ends, and who fetches with it.
    ends: AtomicBool,
    /// Whether nobody fetches any more though the gateway goes on.
    is_cut_off: AtomicBool,
    /// Orders that it did not take.
    pub(crate) untold: AtomicU64,
    lists: Mutex<BTreeMap<String, List>>,
    /// How long changes of the feed took, where one is followed.
    delays: OnceLock<Delays>,
    /// What has become of alerts.
    posted: Mutex<Option<Posted>>,
    /// Since when the word of each party that signs here is not kept alive, Unix seconds; 0 while it is.
    unstated: Mutex<BTreeMap<&'static str, u64>>,
}

/// What was heard of a list.
#[derive(Clone, Debug, Default)]
struct List {
    is_feed: bool,
    stale_after_s: u32,
    refresh_s: u32,
    /// When it was had last, in Unix seconds; 0 for never.
    checked_s: u64,
    changed: u64,
    unchanged: u64,
    refused: BTreeMap<Refused, u64>,
    records: u64,
    is_held: bool,
    serial: u64,
    evidence: u64,
}

impl Followed {
    /// Begins to count for the lists of `sync`, and for no other: what the follower says of others is passed over.
    ///
    /// # Errors
    /// When a metric cannot be, which is a mistake of this program.
    pub(crate) fn begin(&self, sync: &Sync) -> Result<(), String> {
        let list = |&crate::config::List { stale_after_s, refresh_s, .. }: &crate::config::List| List {
            stale_after_s,
            refresh_s,
            ..List::default()
        };
        if sync.url.is_some() {
            let Sync { stale_after_s, refresh_s, .. } = *sync;
            let feed = List { stale_after_s, refresh_s, is_feed: true, ..List::default() };
            self.lists().insert(FEED.to_owned(), feed);
            let delays = Delays::of(FEED).map_err(|error| error.to_string())?;
            self.delays.get_or_init(|| delays);
            // Without a feed nobody here can know what there is to sign.
            let parties = [(MEMBER, sync.outbox.is_on()), (SEAT, sync.seat.is_some())];
            let parties = parties.into_iter().filter(|(_, signs)| *signs);
            self.unstated().extend(parties.map(|(party, _)| (party, 0)));
        }
        self.lists().extend(sync.lists.iter().map(|(name, configured)| (name.clone(), list(configured))));
        Ok(())
    }

    /// Notes that this gateway ends.
    pub(crate) fn ends(&self) {
        self.ends.store(true, Relaxed);
    }

    /// Notes that nothing will be heard any more; whether the gateway goes on without.
    pub(crate) fn falls_silent(&self) -> bool {
        let is_cut_off = !self.ends.load(Relaxed);
        self.is_cut_off.store(is_cut_off, Relaxed);
        is_cut_off
    }

    /// Takes in what the follower told.
    pub(crate) fn heard(&self, report: &Report) {
        match report {
            Report::Started { count } => self.starts.store(*count, Relaxed),
            Report::Known { source, checked_s } => self.list(source, |list| {
                list.checked_s = list.checked_s.max(*checked_s);
            }),
            Report::Checked { source, at_s, is_new } => self.list(source, |list| {
                list.checked_s = *at_s;
                *(if *is_new { &mut list.changed } else { &mut list.unchanged }) += 1;
            }),
            Report::Refused { source, why, .. } => {
                self.list(source, |list| *list.refused.entry(*why).or_default() += 1);
            }
            Report::Offered { source, serial, .. } => self.list(source, |list| list.serial = *serial),
            Report::Evidence { source, files } => self.list(source, |list| list.evidence = *files),
            Report::Unstated { is_seat, since_s } => {
                if let Some(since) = self.unstated().get_mut(if *is_seat { SEAT } else { MEMBER }) {
                    *since = *since_s;
                }
            }
            Report::Outbox(posted) => {
                *self.posted.lock().unwrap_or_else(PoisonError::into_inner) = Some(posted.clone());
            }
            _ => {}
        }
    }

    /// What the metrics page says of the outbox, where there is one; `unheard` are alerts that did not get that far.
    pub(super) fn outbox(&self, unheard: u64) -> Option<Outbox> {
        let posted = self.posted.lock().unwrap_or_else(PoisonError::into_inner);
        posted.as_ref().map(|posted| posted::outbox(posted, unheard))
    }

    /// Notes how many records of a list are in force.
    pub(crate) fn holds_records(&self, source: &str, records: usize) {
        self.list(source, |list| list.records = records as u64);
    }

    /// Notes that what members said of records is in force from now on.
    pub(crate) fn turned(&self, turns: &[Turn]) {
        let (Some(delays), now) = (self.delays.get(), Duration::from_millis(unix_ms())) else { return };
        for Turn { is_milder, since } in turns {
            delays.count(*is_milder, now.saturating_sub(Duration::from_secs(*since)));
        }
    }

    /// Notes whether a copy of a list waits for the operator.
    pub(crate) fn is_held(&self, source: &str, is_held: bool) {
        self.list(source, |list| list.is_held = is_held);
    }

    /// When any list was had last, in Unix seconds; 0 for never.
    pub(crate) fn newest_s(&self) -> u64 {
        self.lists().values().map(|list| list.checked_s).max().unwrap_or(0)
    }

    /// What the metrics page says of it; nothing where nothing is fetched.
    pub(crate) fn told(&self) -> Option<Following> {
        let lists: Vec<_> = self.lists().iter().map(|(name, list)| list.told(name)).collect();
        let [starts, garbage, untold] = [&self.starts, &self.garbage, &self.untold].map(|n| n.load(Relaxed));
        let is_cut_off = self.is_cut_off.load(Relaxed);
        let unstated: Vec<_> = self.unstated().iter().map(|(party, since_s)| (*party, *since_s)).collect();
        let delays = self.delays.get().cloned();
        (starts > 0 || !lists.is_empty()).then_some(Following {
            starts,
            is_cut_off,
            garbage,
            untold,
            lists,
            unstated,
            delays,
        })
    }

    fn list(&self, source: &str, note: impl FnOnce(&mut List)) {
        if let Some(list) = self.lists().get_mut(source) {
            note(list);
        }
    }

    fn unstated(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.unstated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lists(&self) -> MutexGuard<'_, BTreeMap<String, List>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn told(&self, name: &str) -> FollowedList {
        let feeds = Refused::OF_FEEDS.into_iter().filter(|_| self.is_feed);
        let refused = |why: Refused| (why.name(), self.refused.get(&why).copied().unwrap_or(0));
        FollowedList {
            name: name.to_owned(),
            checked_s: self.checked_s,
            stale_after_s: self.stale_after_s.into(),
            refresh_s: self.refresh_s.into(),
            changed: self.changed,
            unchanged: self.unchanged,
            refused: Refused::ALL.into_iter().chain(feeds).map(refused).collect(),
            records: self.records,
            is_held: self.is_held,
            serial: self.serial,
            evidence: self.is_feed.then_some(self.evidence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{List as Configured, Seat};

    #[test]
    fn only_configured_lists_are_counted_whatever_a_follower_says() {
        let followed = Followed::default();
        assert!(followed.told().is_none());
        let lists = BTreeMap::from([("drop".to_owned(), Configured::default())]);
        followed.begin(&Sync { lists, ..Sync::default() }).unwrap();
        for source in ["drop", "other", "drop\n"].map(str::to_owned) {
            let (place, why) = (0, Refused::Slow);
            followed.heard(&Report::Refused { source: source.clone(), place, why });
            followed.heard(&Report::Checked { source, at_s: 7, is_new: false });
        }
        let told = followed.told().unwrap();
        let [list] = told.lists.as_slice() else { panic!("{told:?}") };
        assert_eq!((list.name.as_str(), list.checked_s, list.unchanged, list.changed), ("drop", 7, 1, 0));
        let refused: Vec<_> = list.refused.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!((refused, list.refused.len()), (vec![&("slow", 1)], Refused::ALL.len()));
    }
    #[test]
    fn only_who_signs_here_has_a_word_to_keep_alive() {
        let followed = Followed::default();
        let url = Some("https://platform.example".to_owned());
        followed.begin(&Sync { url, seat: Some(Seat::default()), ..Sync::default() }).unwrap();
        let unstated = |is_seat, since_s| {
            followed.heard(&Report::Unstated { is_seat, since_s });
            followed.told().unwrap().unstated
        };
        assert_eq!(unstated(false, 7), [(SEAT, 0)]);
        assert_eq!(unstated(true, 8), [(SEAT, 8)]);
        assert_eq!(unstated(true, 0), [(SEAT, 0)]);
    }
}
