//! Changes: one prefix more or less.

use super::node::{Link, Node, Place};
use super::slots::{Item, Run};
use super::{Spot, Trie, side};
use crate::Prefix;

impl<V> Trie<V> {
    /// Stores `value` under `prefix` and returns the value that it replaces.
    ///
    /// # Panics
    /// When 2³² slots would be needed, which is over 100 GB: a caller bounds what it accepts long before.
    pub fn insert(&mut self, prefix: Prefix, value: V) -> Option<V> {
        self.hints.fit(self.nodes.made());
        let (spot, agreed) = self.seek(prefix);
        let inside = agreed >= self.nodes.node(spot.place.node()).len();
        let old = match spot.link {
            Link::Node(at) if agreed == prefix.len() => self.insert_at(spot, at, prefix, value),
            Link::Run(run) if inside => self.insert_into(spot, run, prefix, value),
            Link::Nothing if inside => {
                self.add(spot.place, Item::new(prefix, value));
                None
            }
            _ => {
                // The walk has skipped a bit in which the prefix differs: it parts from the path there.
                let spot = self.descend(prefix, agreed);
                self.part(spot, agreed, Item::new(prefix, value));
                None
            }
        };
        self.len += usize::from(old.is_none());
        old
    }

    /// Removes exactly `prefix` and returns its value; prefixes that it covers or that cover it stay.
    pub fn remove(&mut self, prefix: Prefix) -> Option<V> {
        let (spot, _) = self.seek(prefix);
        let item = match spot.link {
            Link::Nothing => return None,
            Link::Run(run) => {
                let slot = self.slots.search(run, prefix).ok()?;
                let (item, rest) = self.slots.remove(run, slot);
                self.nodes.set(spot.place, rest.into());
                item
            }
            Link::Node(at) => {
                let own = self.own(at, prefix)?;
                let (item, _) = self.slots.remove(Run::new(own, 1), own);
                self.nodes.set_own(at, None);
                self.settle(at, prefix);
                item
            }
        };
        self.len -= 1;
        self.settle(spot.place.node(), prefix);
        item.map(Item::into_value)
    }

    /// Stores an item that covers the node `at`, to which the spot leads: in the node, or in one above it.
    fn insert_at(&mut self, spot: Spot, at: u32, prefix: Prefix, value: V) -> Option<V> {
        let node = self.nodes.node(at);
        let own = node.own();
        if node.len() > prefix.len() {
            self.part(spot, prefix.len(), Item::new(prefix, value));
            return None;
        }
        if let Some(own) = own {
            return self.slots.item_mut(own).map(|item| item.replace(value));
        }
        let own = self.slots.add(Item::new(prefix, value)).first();
        self.nodes.set_own(at, Some(own));
        None
    }

    /// Stores an item in a run, or in what becomes of it if it is full.
    fn insert_into(&mut self, spot: Spot, run: Run, prefix: Prefix, value: V) -> Option<V> {
        match self.slots.search(run, prefix) {
            Ok(slot) => return self.slots.item_mut(slot).map(|item| item.replace(value)),
            Err(slot) if run.count() < self.run_most => {
                let run = self.slots.insert(run, slot, Item::new(prefix, value));
                self.nodes.set(spot.place, Link::Run(run));
            }
            Err(_) => self.insert_into_full(spot, run, Item::new(prefix, value)),
        }
        None
    }

    fn insert_into_full(&mut self, spot: Spot, run: Run, item: Item<V>) {
        let (all, prefix) = (self.slots.common(run), item.prefix());
        if !all.covers(prefix) {
            return self.part(spot, all.common(prefix).len(), item);
        }
        let at = self.burst(run, all);
        self.nodes.set(spot.place, Link::Node(at));
        if all == prefix {
            let own = self.slots.add(item).first();
            return self.nodes.set_own(at, Some(own));
        }
        self.add(Place::new(at, side(prefix, all.len())), item);
    }

    /// Makes a node of a run whose longest common prefix is `all`.
    fn burst(&mut self, run: Run, all: Prefix) -> u32 {
        let heads = u8::from(self.slots.item(run.first()).is_some_and(|item| item.prefix() == all));
        let rest = Run::new(run.first() + u32::from(heads), run.count() - heads);
        let left = self.slots.left(rest, all.len());
        let [own, left, right] = self.slots.cut(run, [heads, left, rest.count() - left]);
        let own = (heads > 0).then_some(own.first());
        self.nodes.add(Node::new(all.len(), own, [left.into(), right.into()]))
    }

    /// Puts an item where nothing is, or a run that has room and does not hold its prefix.
    fn add(&mut self, place: Place, item: Item<V>) {
        let run = match self.nodes.link(place) {
            Link::Run(run) => {
                let (Ok(slot) | Err(slot)) = self.slots.search(run, item.prefix());
                self.slots.insert(run, slot, item)
            }
            _ => self.slots.add(item),
        };
        self.nodes.set(place, Link::Run(run));
    }

    /// Puts a node of `len` bits above what the spot leads to, for an item that covers that or lies on the other side.
    fn part(&mut self, spot: Spot, len: u8, item: Item<V>) {
        let below = self.sample(spot).expect("what is parted from is there").prefix();
        let covers = item.prefix().len() == len;
        let own = self.slots.add(item);
        let mut links = [if covers { Link::Nothing } else { Link::Run(own) }; 2];
        links[side(below, len)] = spot.link;
        let node = self.nodes.add(Node::new(len, covers.then_some(own.first()), links));
        self.nodes.set(spot.place, Link::Node(node));
    }

    /// Takes the node `at`, which lies on the way to `prefix`, out if it has become needless: what is left below takes its
    /// place.
    fn settle(&mut self, at: u32, prefix: Prefix) {
        if at == Place::TOP.node() {
            return;
        }
        let node = *self.nodes.node(at);
        let [left, right] = node.links();
        let own = node.own_run();
        let link = match (left.run(), right.run()) {
            // Half of what makes a run burst, so that it does not soon do so again.
            (Some(left), Some(right)) if own.count() + left.count() + right.count() <= self.run_most / 2 => {
                self.slots.join([own, left, right]).into()
            }
            _ if own.count() == 0 && left == Link::Nothing => right,
            _ if own.count() == 0 && right == Link::Nothing => left,
            _ => return,
        };
        let above = self.descend(prefix, node.len());
        self.nodes.set(above.place, link);
        self.nodes.remove(at);
    }
}
