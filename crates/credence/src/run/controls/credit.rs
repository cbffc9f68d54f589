//! Updates of credit: taken in, held, put in force.

use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::Ordering;
use std::time::Duration;

use credence_credit::{Cache, Keeper};
use credence_engine::clock::unix_s;
use credence_memory::allocator;
use credence_sync::pipe::{Order, Report};
use tracing::{error, info, warn};

use super::super::carrier::Carrier;
use super::Controls;
use crate::config::FEED;
use crate::sources::{Part, Update};

impl Controls {
    /// Takes in what the process that fetches has to tell.
    pub(super) fn heed(&mut self, report: Report) {
        self.status.followed().heard(&report);
        if let Report::Offered { source, serial, was_held } = report
            && (source == FEED || self.sources.lists().any(|list| list == source))
        {
            self.offers.note(source, Offer { serial, was_held });
        }
    }

    /// Looks at what is offered, if it is time for that.
    pub(super) fn look_at_offers(&mut self, now: Duration) {
        let Some((source, Offer { serial, was_held })) = self.offers.due(now) else { return };
        match self.sources.offered(&source, serial) {
            // No flow of before the start is remembered that it would hit.
            Some(update) if was_held => self.hold(update, "it waited before this start".to_owned()),
            Some(update) => self.update(update),
            None => {}
        }
    }

    /// Takes over what the operator's exceptions say, if they have changed or `is_asked`.
    pub(in super::super) fn look_at_exceptions(&mut self, now: Duration, is_asked: bool) {
        let Some(watched) = &mut self.exceptions else { return };
        let changed = watched.look(now, is_asked);
        self.status.state().exceptions_faulty.store(watched.is_faulty(), Ordering::Relaxed);
        if let Some(snapshot) = changed {
            self.update(Update::of_exceptions(snapshot));
        }
    }

    /// Takes an update of credit: it takes effect, or waits for the operator.
    pub(in super::super) fn update(&mut self, update: Update) {
        self.held.remove(&update.part);
        self.tell_held();
        if self.amend(&update) {
            self.take(vec![update]);
        } else {
            allocator::at_once(|| self.build(update));
        }
    }

    /// Builds all credit anew with an update: it takes effect, or waits for the operator.
    fn build(&mut self, update: Update) {
        let part = update.part.clone();
        let next = match self.sources.keeper([&update], &self.guards, self.status.credit()) {
            Ok(next) => next,
            Err(fault) => {
                self.failed();
                return error!("{part} not taken over, the old ones stay: {fault:#}");
            }
        };
        match self.holds(&update, next.cache()) {
            None => {
                self.apply(next, vec![update]);
            }
            Some(why) => {
                warn!("{part} wait for `credence control accept`, the old ones stay: {why}");
                self.hold(update, why);
            }
        }
    }

    /// Puts an update in force by its changes alone, where these are known, few, and sure to pass the guards; whether it did.
    fn amend(&mut self, update: &Update) -> bool {
        let is_by_record = self.carrier.as_ref().is_none_or(Carrier::is_by_record);
        if self.last.is_some() || !is_by_record || update.records() == 0 {
            return false;
        }
        let Some(changes) = self.sources.changes(update, &self.keeper, &self.guards) else { return false };
        if self.carrier.as_ref().is_some_and(|carrier| !carrier.passes(&self.keeper, &changes)) {
            return false;
        }
        let (before, changed, part) = (self.keeper.cache().len(), changes.len(), &update.part);
        let made = match &mut self.carrier {
            Some(carrier) => carrier.amend(&mut self.keeper, changes),
            None => self.keeper.apply(changes, &mut ()).map_err(Into::into),
        };
        match made {
            Ok(()) => {
                self.account_left();
                let records = self.keeper.cache().len();
                info!(before, records, changed, "{part} changed in place");
                true
            }
            Err(fault) => {
                warn!("credit is put in force whole: {fault}");
                false
            }
        }
    }

    /// Lets an update wait for the operator, and where it was fetched has it wait after a restart as well.
    fn hold(&mut self, update: Update, why: String) {
        let serial = update.serial();
        if let (Some(source), Some(follower)) = (update.part.source(), &mut self.follower) {
            follower.order(&Order::Hold { source: source.to_owned(), serial });
        }
        self.held.insert(update.part.clone(), (update, why));
        self.tell_held();
    }

    /// Lets everything take effect that waits; whether it did.
    pub(super) fn accept(&mut self) -> bool {
        let updates: Vec<Update> =
            mem::take(&mut self.held).into_values().map(|(update, _)| update).collect();
        self.tell_held();
        allocator::at_once(|| match self.sources.keeper(&updates, &self.guards, self.status.credit()) {
            Ok(next) => self.apply(next, updates),
            Err(fault) => {
                error!("what waited was not taken over: {fault:#}");
                false
            }
        })
    }

    /// Forgets everything that waits.
    pub(super) fn discard(&mut self) {
        for (part, (update, _)) in mem::take(&mut self.held) {
            let serial = update.serial();
            if let (Some(source), Some(follower)) = (part.source(), &mut self.follower) {
                follower.order(&Order::Leave { source: source.to_owned(), serial });
            }
        }
        self.tell_held();
    }

    /// Why an update waits for the operator, if it does. Where nothing is enforced, nobody would be hit.
    fn holds(&self, update: &Update, cache: &Cache) -> Option<String> {
        let of_carrier = self.carrier.iter().flat_map(|carrier| carrier.holds(self.keeper.cache(), cache));
        let of_list = self.sources.hold(update, unix_s());
        let why: Vec<String> = of_carrier.map(|hold| hold.to_string()).chain(of_list).collect();
        (!why.is_empty()).then(|| why.join("; "))
    }

    /// Says on the metrics page what waits for the operator.
    fn tell_held(&self) {
        self.status.state().update_held.store(!self.held.is_empty(), Ordering::Relaxed);
        for name in self.sources.lists() {
            self.status.followed().is_held(name, self.held.contains_key(&Part::List(name.to_owned())));
        }
        self.status.followed().is_held(FEED, self.held.contains_key(&Part::Feed));
    }

    /// Puts updates in force, of which `next` is made; whether they are.
    fn apply(&mut self, next: Keeper, updates: Vec<Update>) -> bool {
        let is_done = self.put_in_force(next, &updates);
        if is_done {
            self.take(updates);
        }
        is_done
    }

    /// Notes that updates are in force, and has copies of lists kept for the next start.
    fn take(&mut self, updates: Vec<Update>) {
        for update in updates {
            let serial = update.serial();
            // Where the kernel goes on with what it has, nothing that was corrected is.
            if self.last.is_none() {
                self.status.followed().turned(update.turns());
            }
            if let Some(source) = update.part.source() {
                self.status.followed().holds_records(source, update.records());
                if let Some(follower) = &mut self.follower {
                    follower.order(&Order::Take { source: source.to_owned(), serial });
                }
            }
            self.sources.put(update);
        }
        self.sources.forget_files();
    }

    /// Puts what `next` says in force, in the kernel first; whether it is.
    fn put_in_force(&mut self, mut next: Keeper, updates: &[Update]) -> bool {
        // That nothing is said any more is signed in a feed like anything else: whoever was listed in error is let go at once. Files
        // and lists that are empty may be missing.
        let is_lifted = self.last.is_none() && updates.iter().any(|update| update.part == Part::Feed);
        if self.keeps_last && next.cache().is_empty() && !is_lifted {
            warn!("no record of credit is left; the kernel goes on with those it has, each to its own end");
            let before = mem::replace(&mut self.keeper, next);
            self.last.get_or_insert(before);
            self.keeper.publish();
            return true;
        }
        let parts: Vec<String> = updates.iter().map(|update| update.part.to_string()).collect();
        let (before, parts) = (self.keeper.cache().len(), parts.join(", "));
        if let Some(changed) = self.change(&next) {
            let records = self.keeper.cache().len();
            info!(before, records, changed, "{parts} read again, and changed in place");
            return true;
        }
        if let Some(carrier) = &mut self.carrier
            && let Err(fault) = carrier.publish(&mut next)
        {
            self.failed();
            error!("{parts} not taken over, the old ones stay: {fault}");
            return false;
        }
        let before_it = mem::replace(&mut self.keeper, next);
        let in_kernel = self.last.take().unwrap_or(before_it);
        if let (Some(accounts), Some(carrier)) = (&mut self.accounts, &self.carrier) {
            accounts.exchanged(carrier, in_kernel.cache());
        }
        self.keeper.publish();
        info!(before, records = self.keeper.cache().len(), "{parts} read again");
        true
    }

    /// Takes over what records have counted that were just taken out, while that stands by their numbers.
    fn account_left(&mut self) {
        let Some(carrier) = &mut self.carrier else { return };
        let left = carrier.take_left();
        if let Some(accounts) = &mut self.accounts {
            accounts.left(&left, carrier, self.keeper.cache());
        }
    }

    /// Makes the credit in force say what `next` does, change by change where that is little; how many changes that took, if it
    /// was done.
    fn change(&mut self, next: &Keeper) -> Option<usize> {
        let is_following = self.carrier.as_ref().is_none_or(Carrier::is_following);
        if self.last.is_some() || !is_following {
            return None;
        }
        let changes = self.keeper.changes_to(next)?;
        let count = changes.len();
        let made = match &mut self.carrier {
            Some(carrier) => carrier.change(&mut self.keeper, changes, next),
            None => self.keeper.apply(changes, &mut ()).map_err(Into::into),
        };
        self.account_left();
        made.inspect_err(|fault| warn!("credit is put in force whole: {fault}")).ok().map(|()| count)
    }
}

/// A copy that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offer {
    /// Its number.
    serial: u64,
    /// Whether it waited for the operator before.
    was_held: bool,
}

/// Copies that are offered and were not looked at yet. Looking at one takes as long as building all credit anew, and nobody keeps
/// a follower from offering one after the other.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// The last of each list.
    waiting: BTreeMap<String, Offer>,
    /// The time of the look at which one was given out.
    given: Option<Duration>,
    /// Until when nobody looks at the next, a time since the start.
    rests: Duration,
}

impl Offers {
    /// Notes an offer in the place of the one before.
    fn note(&mut self, source: String, offer: Offer) {
        self.waiting.insert(source, offer);
    }

    /// The next to look at, at `now`; none for as long after the last as that took, so that half of a watch's time is left for
    /// the rest of what it does.
    fn due(&mut self, now: Duration) -> Option<(String, Offer)> {
        // This is the first time that is told since.
        if let Some(given) = self.given.take_if(|given| *given < now) {
            self.rests = now + (now - given);
        }
        if now < self.rests || self.given.is_some() {
            return None;
        }
        let next = self.waiting.pop_first()?;
        self.given = Some(now);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn offer(serial: u64) -> Offer {
        Offer { serial, was_held: false }
    }

    #[test]
    fn whoever_offers_without_end_takes_half_of_the_time() {
        let (mut offers, mut looked) = (Offers::default(), Vec::new());
        let mut now = Duration::ZERO;
        for tick in 0..600 {
            (0..100).for_each(|serial| offers.note("bad".to_owned(), offer(100 * tick + serial)));
            if let Some((_, Offer { serial, .. })) = offers.due(now) {
                looked.push((now.as_millis(), serial));
                // Building took half a second.
                now += Duration::from_millis(500);
            }
            now += Duration::from_millis(100);
        }
        assert_eq!(looked[..3], [(0, 99), (1_200, 799), (2_400, 1_499)]);
        assert!(looked.windows(2).all(|pair| pair[1].0 - pair[0].0 == 1_200));
        assert_eq!(offers.waiting.len(), 1);
    }

    #[test]
    fn offers_of_several_lists_all_have_their_turn() {
        let mut offers = Offers::default();
        ["a", "b"].into_iter().for_each(|list| offers.note(list.to_owned(), offer(7)));
        let second = Duration::from_secs(1);
        assert_eq!(offers.due(second), Some(("a".to_owned(), offer(7))));
        assert_eq!((offers.due(second), offers.due(second * 2)), (None, None));
        assert_eq!(offers.due(second * 3), Some(("b".to_owned(), offer(7))));
        assert_eq!(offers.due(second * 9), None);
    }
}
