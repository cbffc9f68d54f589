//! Removal and re-insertion in place.

use std::net::Ipv6Addr;

use credence_benches::prefixes::fifth;
use credence_prefix::{Prefix, Publisher};
use criterion::{Criterion, Throughput};
use ip_network_table_deps_treebitmap::IpLookupTable;
use prefix_trie::PrefixMap;

/// Operations timed at a stretch.
const STRETCH: usize = 4096;

/// Times operations on a table from which a random fifth of its prefixes is removed, prefix by prefix, and then put in
/// again, over and over: half of all operations are removals.
pub(crate) fn bench(criterion: &mut Criterion, name: &str, prefixes: &[Prefix]) {
    let chosen = fifth(prefixes, 5);
    let mut group = criterion.benchmark_group(format!("update/{name}"));
    group.throughput(Throughput::Elements(STRETCH as u64));
    let mut run = |name: &str, change: &mut dyn FnMut(Prefix, Option<u32>)| {
        let removals = chosen.iter().map(|&(prefix, _)| (prefix, None));
        let insertions = chosen.iter().map(|&(prefix, record)| (prefix, Some(record)));
        let mut operations = removals.chain(insertions).cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                for (prefix, record) in operations.by_ref().take(STRETCH) {
                    change(prefix, record);
                }
            });
        });
    };
    let mut live = Publisher::with(prefixes.iter().copied().zip(0..)).expect("sorted prefixes");
    run("credence", &mut |prefix, record| match record {
        Some(record) => drop(live.insert(prefix, record).expect("there was room before")),
        None => drop(live.remove(prefix)),
    });
    drop(live);
    let mut treebitmap = IpLookupTable::<Ipv6Addr, u32>::new();
    let mut change_treebitmap = |prefix: Prefix, record| match record {
        Some(record) => drop(treebitmap.insert(prefix.first().into(), prefix.len().into(), record)),
        None => drop(treebitmap.remove(prefix.first().into(), prefix.len().into())),
    };
    prefixes.iter().copied().zip(0..).for_each(|(prefix, record)| change_treebitmap(prefix, Some(record)));
    run("treebitmap", &mut change_treebitmap);
    let mut prefix_trie = PrefixMap::new();
    let mut change_prefix_trie = |prefix: Prefix, record| match record {
        Some(record) => drop(prefix_trie.insert((prefix.first(), prefix.len()), record)),
        None => drop(prefix_trie.remove(&(prefix.first(), prefix.len()))),
    };
    prefixes.iter().copied().zip(0..).for_each(|(prefix, record)| change_prefix_trie(prefix, Some(record)));
    run("prefix_trie", &mut change_prefix_trie);
    group.finish();
}
