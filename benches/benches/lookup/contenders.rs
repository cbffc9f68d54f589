//! The implementations that answer one address at a time, all behind one face.

use core::cell::RefCell;
use std::net::Ipv6Addr;
use std::rc::Rc;

use allocation_counter::measure;
use credence_prefix::{NO_MATCH, Prefix, Publisher, Table, Trie};
use ip_network_table::IpNetworkTable;
use ip_network_table_deps_treebitmap::IpLookupTable;
use iptrie::Ipv6Prefix;
use iptrie::map::RTrieMap;
use prefix_trie::PrefixMap;

/// One of the implementations.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// The memory that it takes.
    pub(crate) bytes: usize,
    pub(crate) find: Box<dyn Find>,
}

/// Look-ups as an implementation makes them. The loop is part of it, so that it can be compiled into one.
pub(crate) trait Find {
    /// The record number of the longest match, or [`NO_MATCH`].
    fn answer(&self, addr: u128) -> u32;

    /// As many look-ups as there are addresses. With `wait`, the last bit of each answer takes part in choosing the next
    /// address.
    fn walk(&self, addrs: &[u128], wait: bool) -> u32;
}

impl<F: Fn(u128) -> u32> Find for F {
    fn answer(&self, addr: u128) -> u32 {
        self(addr)
    }

    fn walk(&self, addrs: &[u128], wait: bool) -> u32 {
        if !wait {
            return addrs.iter().fold(0, |sum, &addr| sum ^ self(addr));
        }
        let mut answer = 0;
        for at in 0..addrs.len() {
            answer = self(addrs[at ^ (answer as usize & 1)]);
        }
        answer
    }
}

/// Builds an implementation and asks the heap what it holds.
fn built<T>(build: impl FnOnce() -> T) -> (T, usize) {
    let mut kept = None;
    let info = measure(|| kept = Some(build()));
    (kept.expect("it was built"), info.bytes_current.cast_unsigned() as usize)
}

fn contender(name: &'static str, bytes: usize, find: impl Fn(u128) -> u32 + 'static) -> Contender {
    Contender { name, bytes, find: Box::new(find) }
}

fn items(prefixes: &[Prefix]) -> impl Iterator<Item = (Prefix, u32)> {
    prefixes.iter().copied().zip(0..)
}

/// Our own, of which the table and the publisher are there already.
pub(crate) fn own(table: &Rc<Table>, live: &Publisher, prefixes: &[Prefix]) -> Vec<Contender> {
    let (bytes, table) = (table.bytes(), Rc::clone(table));
    let reader = RefCell::new(live.reader());
    let trie: Trie<u32> = items(prefixes).collect();
    vec![
        contender("credence", bytes, move |addr| table.longest_match(addr).unwrap_or(NO_MATCH)),
        contender("credence_live", live.bytes(), move |addr| {
            reader.borrow_mut().longest_match(addr).unwrap_or(NO_MATCH)
        }),
        contender("credence_trie", trie.bytes(), move |addr| {
            trie.longest_match(addr).map_or(NO_MATCH, |(_, &record)| record)
        }),
    ]
}

/// All others.
pub(crate) fn peers(prefixes: &[Prefix]) -> Vec<Contender> {
    vec![treebitmap(prefixes), ip_network_table(prefixes), prefix_trie(prefixes), iptrie_lc(prefixes)]
}

/// The one that takes the least memory.
pub(crate) fn cheapest_peer(prefixes: &[Prefix]) -> Vec<Contender> {
    vec![treebitmap(prefixes)]
}

fn treebitmap(prefixes: &[Prefix]) -> Contender {
    let (map, bytes) = built(|| {
        let mut map = IpLookupTable::<Ipv6Addr, u32>::new();
        for (prefix, record) in items(prefixes) {
            map.insert(prefix.first().into(), prefix.len().into(), record);
        }
        map
    });
    contender("treebitmap", bytes, move |addr| {
        map.longest_match(addr.into()).map_or(NO_MATCH, |(_, _, &record)| record)
    })
}

fn ip_network_table(prefixes: &[Prefix]) -> Contender {
    let (map, bytes) = built(|| {
        let mut map = IpNetworkTable::new();
        for (prefix, record) in items(prefixes) {
            let network = ip_network::Ipv6Network::new(prefix.first().into(), prefix.len());
            map.insert(network.expect("no host bits"), record);
        }
        map
    });
    contender("ip_network_table", bytes, move |addr| {
        map.longest_match_ipv6(addr.into()).map_or(NO_MATCH, |(_, &record)| record)
    })
}

fn prefix_trie(prefixes: &[Prefix]) -> Contender {
    let (map, bytes) = built(|| {
        let mut map = PrefixMap::new();
        for (prefix, record) in items(prefixes) {
            map.insert((prefix.first(), prefix.len()), record);
        }
        map
    });
    contender("prefix_trie", bytes, move |addr| {
        map.get_lpm(&(addr, 128_u8)).map_or(NO_MATCH, |(_, &record)| record)
    })
}

/// A root that stands for no match is what this crate asks for.
fn iptrie_lc(prefixes: &[Prefix]) -> Contender {
    let (map, bytes) = built(|| {
        let mut map = RTrieMap::with_root(NO_MATCH);
        for (prefix, record) in items(prefixes) {
            let key = Ipv6Prefix::new(prefix.first().into(), prefix.len()).expect("a length of at most 128");
            map.insert(key, record);
        }
        map.compress()
    });
    contender("iptrie_lc", bytes, move |addr| *map.lookup(&Ipv6Addr::from(addr)).1)
}
