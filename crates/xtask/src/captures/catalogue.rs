//! The list of captures, and the table that is made from it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::frames::{Form, Recording, read_recording};
use super::{built, demo, kernel};
use built::links::{self, header};
use kernel::{control, transport, tunnels};

/// Where the packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// Sent and received by the kernel's own stack.
    Kernel,
    /// Built byte by byte.
    Built,
    /// A scene of the kernel's with some packets written by hand.
    Both,
}

impl Made {
    /// Whether making it takes namespaces and a recorder.
    pub(crate) const fn needs_kernel(self) -> bool {
        !matches!(self, Self::Built)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Built => "built",
            Self::Both => "kernel and built",
        }
    }
}

/// One capture file.
pub(crate) struct Recipe {
    pub(crate) file: &'static str,
    pub(crate) form: Form,
    pub(crate) made: Made,
    /// What the file exercises.
    shows: &'static str,
    pub(crate) record: fn() -> Result<Recording>,
}

const fn kernel(
    file: &'static str,
    form: Form,
    shows: &'static str,
    record: fn() -> Result<Recording>,
) -> Recipe {
    Recipe { file, form, made: Made::Kernel, shows, record }
}

const fn built(
    file: &'static str,
    form: Form,
    shows: &'static str,
    record: fn() -> Result<Recording>,
) -> Recipe {
    Recipe { file, form, made: Made::Built, shows, record }
}

/// Every capture, in the order of the table.
pub(crate) const CATALOGUE: &[Recipe] = &[
    Recipe {
        file: "demo.pcap.zst",
        form: Form::PcapZstd,
        made: Made::Both,
        shows: "the edge of an access network for half a minute: subscribers browse over TCP and QUIC, visitors read a \
                customer's page, a port scan, a SYN flood from one /64, overlapping fragments, an infected device, a \
                VXLAN tunnel, neighbour discovery; the flood, the fragments and the QUIC payloads are built, everything \
                else is the kernel's; snap length 128",
        record: demo::scene,
    },
    kernel(
        "tcp.pcap",
        Form::Pcap,
        "handshakes with data both ways, RST from a closed port, a SYN that is never answered",
        transport::tcp,
    ),
    kernel(
        "tcp-scan.pcapng",
        Form::PcapNg,
        "one source knocks at 203 ports of a host and at one port of 150 hosts; RST, SYN-ACK and silence",
        transport::scan,
    ),
    kernel(
        "udp-fragments.pcap",
        Form::PcapNanoseconds,
        "UDP of 100 to 9,000 bytes and ICMPv6 echo of 4,000, fragmented both ways",
        transport::fragments,
    ),
    kernel("udp-lite.pcap", Form::PcapBigEndian, "UDP-Lite both ways", transport::udp_lite),
    kernel(
        "sticky-options.pcapng",
        Form::PcapNg,
        "hop-by-hop and destination options, alone and together, before UDP, TCP and fragments",
        transport::sticky_options,
    ),
    kernel(
        "icmp-errors.pcap",
        Form::Pcap,
        "echo, port unreachable, no route, prohibited, address unreachable, hop limit exceeded, with their quoted packets",
        control::errors,
    ),
    kernel(
        "packet-too-big.pcapng",
        Form::PcapNgBigEndian,
        "packet too big against TCP and UDP, and how both adapt",
        control::packet_too_big,
    ),
    kernel(
        "neighbours.pcap.gz",
        Form::PcapGzip,
        "a host joins: duplicate address detection (also a lost one), router solicitation and advertisement, listener reports and a query behind the router alert, address resolution; the advertisement and the query are written by hand and sent by the kernel",
        control::neighbours,
    ),
    kernel(
        "segment-routing.pcap",
        Form::Pcap,
        "SRv6 with the inner packet behind the segments, and with segments put into the packet, in front of TCP and echo",
        tunnels::segment_routing,
    ),
    kernel(
        "ip-in-ip.pcap",
        Form::Pcap,
        "IPv6 in IPv6 both ways with TCP inside, and IPv4 in IPv6",
        tunnels::plain,
    ),
    kernel(
        "ethernet-in-ip.pcap",
        Form::Pcap,
        "Ethernet in IPv6 (next header 143) behind a segment routing header",
        tunnels::ethernet,
    ),
    kernel("vxlan-v6.pcap", Form::Pcap, "VXLAN over IPv6, neighbour discovery and TCP inside", || {
        tunnels::vxlan("2001:db8:1::10", "2001:db8:2::10", "")
    }),
    kernel("vxlan-v6-no-checksum.pcap", Form::Pcap, "VXLAN over IPv6 without outer UDP checksums", || {
        tunnels::vxlan("2001:db8:1::10", "2001:db8:2::10", "udp6zerocsumtx udp6zerocsumrx")
    }),
    kernel("vxlan-v4.pcap", Form::Pcap, "VXLAN over IPv4, IPv6 inside", || {
        tunnels::vxlan("192.0.2.10", "192.0.2.138", "")
    }),
    kernel(
        "cooked-v1.pcap",
        Form::Pcap,
        "TCP and echo on all interfaces of a router at once, Linux cooked, version 1",
        || transport::cooked("LINUX_SLL"),
    ),
    kernel("cooked-v2.pcapng", Form::PcapNg, "the same, version 2", || transport::cooked("LINUX_SLL2")),
    built(
        "extension-chains.pcap",
        Form::PcapBigEndian,
        "every extension header in order, duplicates, odd orders, chains of 8 and 12, a header of 2,048 bytes, AH of every length and impossible ones, and what ends a chain: ESP, no next header, experimental, HIP, mobility, Shim6, unknown",
        || Ok(built::extensions::chains()),
    ),
    built(
        "extension-options.pcapng",
        Form::PcapNg,
        "options malformed, too many, unknown in each of the four ways, padded oddly, jumbo in the wrong place; each in both kinds of header",
        || Ok(built::extensions::options()),
    ),
    built(
        "routing-headers.pcap",
        Form::Pcap,
        "types 0 to 5, experimental and unknown, with contradictory lengths and segments left",
        || Ok(built::extensions::routing_headers()),
    ),
    built(
        "truncated-chain.pcap.gz",
        Form::PcapGzip,
        "one packet with five extension headers cut at each byte, as a short frame and by the snap length",
        || Ok(built::extensions::truncated()),
    ),
    built(
        "jumbograms.pcap.zst",
        Form::PcapZstd,
        "a jumbogram of 70 kB, whole and by its start, and contradictory ones; payload length 0",
        || Ok(built::extensions::jumbograms()),
    ),
    built(
        "fragments-overlapping.pcapng",
        Form::PcapNg,
        "pieces that overlap in eight ways, exact duplicates, wrong order, shared identifications",
        || Ok(built::fragments::overlapping()),
    ),
    built(
        "fragments-odd.pcap",
        Form::Pcap,
        "atomic, nested, empty, past the end, odd lengths, incomplete first pieces, neighbour discovery in fragments, bait in later pieces",
        || Ok(built::fragments::odd()),
    ),
    built("fragments-many.pcap.gz", Form::PcapGzip, "one datagram in 300 pieces, the last first", || {
        Ok(built::fragments::many_pieces())
    }),
    built(
        "addresses-odd.pcap",
        Form::Pcap,
        "land, multicast, loopback, unspecified, mapped, compatible, site-local, documentation and other special addresses; every multicast scope of note; hop limits 0, 1, 255",
        || Ok(built::addresses::odd()),
    ),
    built(
        "transport-odd.pcap",
        Form::Pcap,
        "TCP flags and offsets, UDP lengths and checksums, ports 0, cut headers",
        || Ok(built::transport::odd()),
    ),
    built(
        "sctp.pcap",
        Form::Pcap,
        "an association from INIT to SHUTDOWN, impossible tags (this kernel has no SCTP)",
        || Ok(built::transport::sctp()),
    ),
    built("dccp.pcap", Form::Pcap, "a connection from request to reset (this kernel has no DCCP)", || {
        Ok(built::transport::dccp())
    }),
    built(
        "icmp-odd.pcap",
        Form::Pcap,
        "quotes foreign, cut, nested and behind long chains; unknown types; neighbour discovery and listener reports from afar and behind headers",
        || Ok(built::transport::icmp()),
    ),
    built(
        "quic.pcapng",
        Form::PcapNg,
        "QUIC 1 and 2: handshakes both ways with their connection ids, retry, version negotiation, 0-RTT, short, absent and impossible ids",
        || Ok(built::quic::handshakes()),
    ),
    built(
        "tunnels-in-ip.pcap",
        Form::Pcap,
        "6in4, 6to4, 6in6 and 4in6 with the encapsulation limit, GRE with every option and payload, EtherIP, MPLS in IP, over IPv6 and IPv4 (this kernel has none of these devices)",
        || Ok(built::tunnels::in_ip()),
    ),
    built(
        "tunnels-in-udp.pcap",
        Form::Pcap,
        "VXLAN, VXLAN-GPE, GENEVE, GTP-U, Teredo, MPLS in UDP, over IPv6 with and without checksum and over IPv4",
        || Ok(built::tunnels::in_udp()),
    ),
    built(
        "tunnels-odd.pcap.gz",
        Form::PcapGzip,
        "nested one to twelve deep, of alternating kinds, cut at each byte, and contradictory",
        || Ok(built::tunnels::odd()),
    ),
    built(
        "link-tags.pcap",
        Form::Pcap,
        "VLAN, QinQ and deeper, MPLS, PPPoE, SNAP, padding, trailers; too deep, cut, and IPv6 that is none (this kernel has no VLAN devices)",
        || Ok(links::tags()),
    ),
    built("link-raw.pcap", Form::Pcap, "a short TCP and UDP conversation as bare IP packets", || {
        Ok(links::under(101, &[]))
    }),
    built("link-ipv6.pcap", Form::Pcap, "the conversation as LINKTYPE_IPV6", || Ok(links::under(229, &[]))),
    built("link-null.pcap", Form::Pcap, "the conversation on BSD loopback", || {
        Ok(links::under(0, header::NULL))
    }),
    built("link-loop.pcap", Form::Pcap, "the conversation on OpenBSD loopback", || {
        Ok(links::under(108, header::LOOP))
    }),
    built("link-ppp.pcap", Form::Pcap, "the conversation on PPP", || Ok(links::under(9, header::PPP))),
    built("link-ppp-hdlc.pcap", Form::Pcap, "the conversation on PPP in HDLC-like framing", || {
        Ok(links::under(50, header::PPP_HDLC))
    }),
    built("link-pppoe.pcap", Form::Pcap, "the conversation in a PPPoE session", || {
        Ok(links::under(51, header::PPPOE))
    }),
    built("link-frame-relay.pcap", Form::Pcap, "the conversation on Frame Relay", || {
        Ok(links::under(107, header::FRAME_RELAY))
    }),
    built("link-80211.pcap", Form::Pcap, "the conversation in 802.11 data frames", || {
        Ok(links::under(105, header::IEEE80211))
    }),
    built("link-radiotap.pcap", Form::Pcap, "the conversation in 802.11 frames behind radiotap", || {
        Ok(links::under(127, header::RADIOTAP))
    }),
];

/// The table's text for the captures that lie in `directory`.
///
/// # Errors
/// When a capture of the list is missing or cannot be read.
pub(crate) fn table(directory: &Path) -> Result<String> {
    let mut text = String::from(
        "# Captures\n\n\
         Made by `cargo xtask captures`, which writes this table too. *Kernel*: sent and received by Linux between network\n\
         namespaces; TCP and UDP checksums are as the kernel hands them to a card that would complete them. *Built*: written\n\
         byte by byte, because no kernel sends it or this one lacks the device. Addresses are those of documentation\n\
         (RFC 3849, RFC 9637, RFC 5737) unless odd addresses are the point. Under the same licence as the rest of the\n\
         project.\n\n\
         | file | form | link type | frames | made | exercises |\n|---|---|---|---:|---|---|\n",
    );
    for recipe in CATALOGUE {
        let recording = read_recording(&directory.join(recipe.file))?;
        let (form, made) = (recipe.form.name(), recipe.made.name());
        let (link, frames) = (recording.link, recording.frames.len());
        writeln!(text, "| {} | {form} | {link} | {frames} | {made} | {} |", recipe.file, recipe.shows)?;
    }
    Ok(text)
}

/// Bytes that the captures of the list take together.
///
/// # Errors
/// When one is missing.
pub(crate) fn total_len(directory: &Path) -> Result<u64> {
    let len = |recipe: &Recipe| {
        let path = directory.join(recipe.file);
        fs::metadata(&path).map(|file| file.len()).with_context(|| path.display().to_string())
    };
    CATALOGUE.iter().map(len).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{TABLE, TOTAL_MAX};
    use super::*;

    fn committed() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures")
    }

    #[test]
    fn the_committed_table_says_what_the_files_hold() {
        assert_eq!(fs::read_to_string(committed().join(TABLE)).unwrap(), table(&committed()).unwrap());
        assert!(total_len(&committed()).unwrap() <= TOTAL_MAX);
    }

    #[test]
    fn every_committed_file_is_in_the_list() {
        let there: BTreeSet<_> = fs::read_dir(committed())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != TABLE)
            .collect();
        assert_eq!(there, CATALOGUE.iter().map(|recipe| recipe.file.to_owned()).collect());
    }

    #[test]
    fn what_is_built_is_what_is_committed() {
        for recipe in CATALOGUE.iter().filter(|recipe| !recipe.made.needs_kernel()) {
            let committed = read_recording(&committed().join(recipe.file)).unwrap();
            assert_eq!((recipe.record)().unwrap(), committed, "{}", recipe.file);
        }
    }
}
