//! Longest-prefix match beside other crates on the same tables and addresses.
//!
//! Ids: `lookup/<stream>/<table>/<implementation>_<manner>`.
//!
//! - Streams: `hit`, a random host in a random prefix; `zipf`, the same by Zipf's law; `miss`, anywhere in `2000::/3`.
//! - Tables: `10k` and `1m` are feeds, `281k` is a routed table. With `CREDENCE_BENCH_PREFIXES=FILE`, a text of one
//!   prefix a line, there is also `file`.
//! - Manners: `batch`, many addresses in one call; `loop`, one by one, none waiting for another; `dependent`, each
//!   address chosen by the answer before it.
//!
//! `ip_network_table` is a wrapper around treebitmap and measured as one. All implementations must give the same answers
//! before any is timed. Bytes a prefix are printed as each table is built.

use core::hint::black_box;
use std::net::Ipv6Addr;

use credence_benches::prefixes::{feed, hits, routed, strays, zipf};
use credence_benches::{criterion, smoke};
use credence_prefix::{NO_MATCH, Prefix, Table, Trie};
use criterion::{Criterion, Throughput};
use ip_network_table::IpNetworkTable;
use ip_network_table_deps_treebitmap::IpLookupTable;
use prefix_trie::PrefixMap;

/// Addresses in a stream: too many for a small cache to know them all.
const STREAM: usize = 1 << 18;

/// Look-ups timed at a stretch, so that the bench's own steps vanish among them.
const STRETCH: usize = 4096;

/// The same prefixes in every implementation; a prefix's record number is its place in the sorted table.
struct Contenders {
    table: Table,
    trie: Trie<u32>,
    treebitmap: IpLookupTable<Ipv6Addr, u32>,
    ip_network_table: IpNetworkTable<u32>,
    prefix_trie: PrefixMap<(u128, u8), u32>,
}

impl Contenders {
    fn new(name: &str, prefixes: &[Prefix]) -> Self {
        let items = || prefixes.iter().copied().zip(0..);
        let table = Table::build(items()).expect("sorted prefixes with small numbers");
        let trie: Trie<u32> = items().collect();
        let mut treebitmap = IpLookupTable::new();
        let mut ip_network_table = IpNetworkTable::new();
        let mut prefix_trie = PrefixMap::new();
        for (prefix, record) in items() {
            let (addr, len) = (Ipv6Addr::from(prefix.first()), prefix.len());
            treebitmap.insert(addr, len.into(), record);
            let network = ip_network::Ipv6Network::new(addr, len).expect("no host bits");
            ip_network_table.insert(network, record);
            prefix_trie.insert((prefix.first(), len), record);
        }
        let (nodes, results) = treebitmap.mem_usage();
        let each = |bytes: usize| bytes as f64 / prefixes.len() as f64;
        println!("lookup/bytes/{name}: {} prefixes; bytes a prefix:", prefixes.len());
        println!(
            "  credence table {:.1}, and the control plane's trie {:.1};",
            each(table.bytes()),
            each(trie.bytes())
        );
        println!(
            "  treebitmap {:.1}, prefix-trie {:.1}",
            each(nodes + results),
            each(prefix_trie.mem_size())
        );
        Self { table, trie, treebitmap, ip_network_table, prefix_trie }
    }

    fn trie(&self, addr: u128) -> u32 {
        self.trie.longest_match(addr).map_or(NO_MATCH, |(_, &record)| record)
    }

    fn table(&self, addr: u128) -> u32 {
        self.table.longest_match(addr).unwrap_or(NO_MATCH)
    }

    fn treebitmap(&self, addr: u128) -> u32 {
        self.treebitmap.longest_match(Ipv6Addr::from(addr)).map_or(NO_MATCH, |(_, _, &record)| record)
    }

    fn ip_network_table(&self, addr: u128) -> u32 {
        self.ip_network_table.longest_match_ipv6(Ipv6Addr::from(addr)).map_or(NO_MATCH, |(_, &record)| record)
    }

    fn prefix_trie(&self, addr: u128) -> u32 {
        self.prefix_trie.get_lpm(&(addr, 128)).map_or(NO_MATCH, |(_, &record)| record)
    }

    /// Asserts that all give the same answers, on as many addresses as take no noticeable time.
    fn assert_agree(&self, addrs: &[u128]) {
        let addrs = &addrs[..STREAM / 4];
        let mut batch = vec![0; addrs.len()];
        self.table.longest_match_batch(addrs, &mut batch);
        for (&addr, found) in addrs.iter().zip(batch) {
            let others = [
                self.table(addr),
                self.trie(addr),
                self.treebitmap(addr),
                self.ip_network_table(addr),
                self.prefix_trie(addr),
            ];
            assert_eq!(others, [found; 5], "{}", Ipv6Addr::from(addr));
        }
    }

    fn bench(&self, criterion: &mut Criterion, name: &str, addrs: &[u128]) {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(STRETCH as u64));
        let mut stretches = addrs.chunks_exact(STRETCH).cycle();
        let mut out = vec![0; STRETCH];
        group.bench_function("credence_batch", |b| {
            b.iter(|| {
                let addrs = stretches.next().expect("a cycle has no end");
                self.table.longest_match_batch(addrs, &mut out);
                black_box(&out);
            });
        });
        let mut single = |name: &str, find: &dyn Fn(&[u128], bool) -> u32| {
            let mut stretches = addrs.chunks_exact(STRETCH).cycle();
            group.bench_function(format!("{name}_loop"), |b| {
                b.iter(|| find(stretches.next().expect("a cycle has no end"), false));
            });
            group.bench_function(format!("{name}_dependent"), |b| {
                b.iter(|| find(stretches.next().expect("a cycle has no end"), true));
            });
        };
        single("credence", &|addrs, wait| look_up(addrs, wait, |addr| self.table(addr)));
        single("credence_trie", &|addrs, wait| look_up(addrs, wait, |addr| self.trie(addr)));
        single("treebitmap", &|addrs, wait| look_up(addrs, wait, |addr| self.treebitmap(addr)));
        single("ip_network_table", &|addrs, wait| look_up(addrs, wait, |addr| self.ip_network_table(addr)));
        single("prefix_trie", &|addrs, wait| look_up(addrs, wait, |addr| self.prefix_trie(addr)));
        group.finish();
    }
}

/// As many look-ups as there are addresses. With `wait`, the last bit of each answer takes part in choosing the next address.
#[inline]
fn look_up(addrs: &[u128], wait: bool, find: impl Fn(u128) -> u32) -> u32 {
    if !wait {
        return addrs.iter().fold(0, |sum, &addr| sum ^ find(addr));
    }
    let mut answer = 0;
    for at in 0..addrs.len() {
        answer = find(addrs[at ^ (answer as usize & 1)]);
    }
    answer
}

/// The table of the file that the environment names, if it names one.
fn from_file() -> Option<Vec<Prefix>> {
    let path = std::env::var_os("CREDENCE_BENCH_PREFIXES")?;
    let text = std::fs::read_to_string(path).expect("CREDENCE_BENCH_PREFIXES names a text file");
    let mut prefixes: Vec<Prefix> =
        text.lines().map(|line| line.parse().expect("one prefix a line")).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    Some(prefixes)
}

fn main() {
    let mut criterion = criterion();
    let mut tables = vec![("10k", feed(10_000, 1))];
    if !smoke() {
        tables.extend([("281k", routed(281_000, 1)), ("1m", feed(1_000_000, 1))]);
        tables.extend(from_file().map(|prefixes| ("file", prefixes)));
    }
    for (name, prefixes) in &tables {
        let contenders = Contenders::new(name, prefixes);
        let streams = [
            ("hit", hits(prefixes, STREAM, 2)),
            ("zipf", zipf(prefixes, STREAM, 3)),
            ("miss", strays(STREAM, 4)),
        ];
        for (stream, addrs) in &streams {
            contenders.assert_agree(addrs);
            if !smoke() || *stream == "hit" {
                contenders.bench(&mut criterion, &format!("lookup/{stream}/{name}"), addrs);
            }
        }
    }
    criterion.final_summary();
}
