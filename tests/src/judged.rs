//! Flows compared with those of an independent decoder, capture by capture.
//!
//! `CREDENCE_JUDGED_CAPTURES` names a folder of captures, each with a table of packets beside it, `CAPTURE.pkts.tsv`, that
//! another decoder made. Without it there is nothing to compare with, and the test says so. Where the two differ for a
//! known reason, [`DIFFERENCES`] has it; any other difference fails, and so does a listed one that is gone.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use crate::binary;

/// Which header keys a flow, capture, and why the flows differ.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "outer",
        "libpcap__filter_ipv6_ext_headers.pcap",
        "33 times four extension headers: the walk ends at its limit of 8",
    ),
    ("outer", "tcpdump__802_15_4-data.pcap", "6LoWPAN (link type 195) is not read"),
    (
        "outer",
        "zeek__cisco-fabric-path.pcap",
        "the decoder takes the last four bytes of inner frames for a checksum",
    ),
    ("outer", "zeek__ipv6-mobility-dst-opts.pcap", "a malformed option ends the decoder's walk, not ours"),
    ("inner", "libpcap__filter_AH-IPcomp-IPv6.pcap", "the decoder decompresses IPComp"),
    ("inner", "libpcap__filter_ipv6_ext_headers.pcap", "as outer"),
    ("inner", "tcpdump__802_15_4-data.pcap", "as outer"),
    ("inner", "tcpdump__ipv6-srh-ext-header.pcap", "the table has no ICMPv6 type for inner packets"),
    ("inner", "tcpdump__ipv6-srh-ipproto-ether.pcap", "the table has no ICMPv6 type for inner packets"),
    ("inner", "zeek__cisco-fabric-path.pcap", "as outer"),
    ("inner", "zeek__ipv6-mobility-dst-opts.pcap", "as outer"),
];

/// Source, destination, protocol, and the two port columns.
type Key = (Ipv6Addr, Ipv6Addr, u8, u16, u16);
/// Packets and bytes of each flow.
type Flows = BTreeMap<Key, (u64, u64)>;

/// One row of a tab-separated table, by column name.
struct Row<'t> {
    names: &'t [&'t str],
    cells: Vec<&'t str>,
}

impl<'t> Row<'t> {
    fn text(&self, name: &str) -> &'t str {
        self.names
            .iter()
            .position(|n| *n == name)
            .and_then(|i| self.cells.get(i))
            .copied()
            .unwrap_or_default()
    }

    fn number<T: std::str::FromStr + Default>(&self, name: &str) -> T {
        self.text(name).parse().unwrap_or_default()
    }
}

/// Calls `on` with each row of a table.
fn rows(text: &str, mut on: impl FnMut(&Row<'_>)) {
    let mut lines = text.lines();
    let names: Vec<_> = lines.next().unwrap_or_default().split('\t').collect();
    for line in lines {
        on(&Row { names: &names, cells: line.split('\t').collect() });
    }
}

/// The flows of a table of packets, by the rules of the flow table.
fn expected(table: &str, inner: bool) -> Flows {
    let (mut flows, mut first_fragments) = (Flows::new(), BTreeMap::new());
    rows(table, |row| {
        let inner = inner && row.number::<u32>("ipv6_layers") > 1;
        let column = |name: &str| if inner { format!("in_{name}") } else { name.to_owned() };
        let Ok(src) = row.text(&column("src")).parse() else { return };
        let Ok(dst) = row.text(&column("dst")).parse() else { return };
        let mut upper =
            (row.number(&column("proto")), row.number(&column("sport")), row.number(&column("dport")));
        if upper.0 == 58 && !row.text("icmp6_type").is_empty() {
            (upper.1, upper.2) = (row.number("icmp6_type"), row.number("icmp6_code"));
        }
        let fragment: Vec<_> = row.text("frag_off8/mf/id").split('/').collect();
        if let ([offset, _, id], false) = (fragment.as_slice(), inner) {
            let datagram = (src, dst, (*id).to_owned());
            if *offset == "0" {
                first_fragments.insert(datagram, upper);
            } else {
                upper = first_fragments.get(&datagram).copied().unwrap_or((upper.0, 0, 0));
            }
        }
        let flow = flows.entry((src, dst, upper.0, upper.1, upper.2)).or_default();
        flow.0 += 1;
        flow.1 += row.number::<u64>(&column("bytes"));
    });
    flows
}

/// The flows that the binary writes.
fn measured(capture: &Path, tunnels: &str) -> Flows {
    let capture = capture.to_str().expect("a plain name");
    let ran = binary::run(["replay", capture, "--flows", "-", "--tunnels", tunnels]).expect(0);
    let mut flows = Flows::new();
    rows(&ran.stdout, |row| {
        let addresses = row.text("src").parse().and_then(|src| row.text("dst").parse().map(|dst| (src, dst)));
        let Ok((src, dst)) = addresses else { return };
        let flow = flows
            .entry((src, dst, row.number("proto"), row.number("sport"), row.number("dport")))
            .or_default();
        flow.0 += row.number::<u64>("packets");
        flow.1 += row.number::<u64>("bytes");
    });
    flows
}

fn judged_captures(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder of captures can be read");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut captures: Vec<_> = paths.filter(|p| p.with_added_extension("pkts.tsv").exists()).collect();
    captures.sort();
    captures
}

#[test]
fn flows_are_those_of_an_independent_decoder() {
    let Some(folder) = std::env::var_os("CREDENCE_JUDGED_CAPTURES") else {
        println!(
            "skipped: CREDENCE_JUDGED_CAPTURES names no folder of captures with another decoder's packets"
        );
        return;
    };
    let captures = judged_captures(Path::new(&folder));
    assert!(!captures.is_empty(), "no capture has a table of packets beside it");
    let mut complaints = Vec::new();
    for capture in captures {
        let table =
            fs::read_to_string(capture.with_added_extension("pkts.tsv")).expect("the table can be read");
        let name = capture.file_name().and_then(|n| n.to_str()).expect("a plain name");
        for tunnels in ["outer", "inner"] {
            let agrees = measured(&capture, tunnels) == expected(&table, tunnels == "inner");
            let listed = DIFFERENCES.iter().any(|d| (d.0, d.1) == (tunnels, name));
            match (agrees, listed) {
                (false, false) => {
                    complaints.push(format!("{name} ({tunnels}) differs, and no reason is listed"));
                }
                (true, true) => {
                    complaints.push(format!("{name} ({tunnels}) agrees; take its reason off the list"));
                }
                _ => {}
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
