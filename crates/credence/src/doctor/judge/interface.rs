//! How an interface is for credence.

use std::collections::BTreeMap;

use super::host::{known, lacking};
use crate::doctor::ethtool::{Feature, Hash, Queues, Sized};
use crate::doctor::finding::{Finding, shell_word};
use crate::doctor::interface::{Deferral, HashedFields, InterfaceFacts, Peer};
use crate::doctor::link::Attached;
use crate::doctor::needs::Needs;
use crate::processors::Node;
use crate::tree::Fact;

/// The ports among the fields that can be hashed (`RXH_L4_B_0_1`, `RXH_L4_B_2_3`).
const PORTS: u64 = 0b11 << 6;
/// The two bytes that make a Toeplitz hash symmetric when the key repeats them.
const SYMMETRIC: [u8; 2] = [0x6d, 0x5a];
/// Offloads after which frames are no longer what was on the wire, as the kernel names them, with the names that the
/// program ethtool takes. The last four concern what this host sends; a router's forwarded frames among it.
const OFFLOADS: [(&str, &str); 7] = [
    ("rx-lro", "lro"),
    ("rx-gro", "gro"),
    ("rx-gro-hw", "rx-gro-hw"),
    ("rx-vlan-hw-parse", "rxvlan"),
    ("tx-tcp-segmentation", "tso"),
    ("tx-tcp6-segmentation", "tso"),
    ("tx-generic-segmentation", "gso"),
];
/// What Linux's guide to busy polling begins with: two rounds of polling, then 200 µs.
const DEFERRED_HARD_IRQS: u32 = 2;
const FLUSH_TIMEOUT_NS: u64 = 200_000;

/// What is found of an interface, of which `needs` asks so much; `allowed` are the processors that may be used.
pub(in crate::doctor) fn findings(
    facts: &InterfaceFacts,
    needs: &Needs,
    allowed: &Fact<Vec<u32>>,
) -> Vec<Finding> {
    let name = facts.name.as_str();
    let word = &shell_word(name);
    if !facts.exists {
        let missing = Finding::missing("link", "there is no such interface in this network namespace");
        return vec![missing.needed(true).cure("ip link show").on(name)];
    }
    let mut found = vec![link(facts), driver(facts), mtu(facts), receive_queues(facts, needs)];
    if facts.is_hardware {
        found.extend([numa(facts, needs, allowed), hash_key(facts), hashed_fields(facts), deferral(facts)]);
        found.push(ring(word, &facts.ring));
    }
    match &facts.peer {
        Some(peer) => found.push(peer_gro(peer)),
        // Of a virtual pair what merges frames on the way in is what makes it take redirected ones.
        None => found.push(offloads(word, &facts.features)),
    }
    found.push(xdp(word, &facts.xdp, needs));
    found.into_iter().map(|finding| finding.on(name)).collect()
}

/// Whether the two legs of a bridge take frames of one length; none with fewer than two interfaces.
pub(in crate::doctor) fn legs(interfaces: &[InterfaceFacts]) -> Option<Finding> {
    let mtus: Vec<_> =
        interfaces.iter().filter_map(|leg| Some((&leg.name, *leg.mtu.as_ref().ok()?))).collect();
    let most = mtus.iter().map(|(_, mtu)| *mtu).max()?;
    if mtus.len() < 2 {
        return None;
    }
    let narrow: Vec<_> = mtus.iter().filter(|(_, mtu)| *mtu < most).collect();
    if narrow.is_empty() {
        return Some(Finding::good("MTU of both legs", format!("{most} on all {} interfaces", mtus.len())));
    }
    let told: Vec<_> = mtus.iter().map(|(name, mtu)| format!("{name} {mtu}")).collect();
    let found = format!("{}; as legs of a bridge the narrow one drops what the other takes", told.join(", "));
    let finding = Finding::could_be_better("MTU of both legs", found);
    Some(narrow.iter().fold(finding, |finding, (name, _)| {
        finding.cure(format!("ip link set dev {} mtu {most}", shell_word(name)))
    }))
}

fn link(facts: &InterfaceFacts) -> Finding {
    let name = shell_word(&facts.name);
    known("link", &facts.is_up, |is_up| {
        if !is_up {
            return Finding::missing("link", "the interface is down, and carries nothing until it is up")
                .needed(true)
                .cure(format!("ip link set dev {name} up"));
        }
        known("link", &facts.has_carrier, |has_carrier| {
            if *has_carrier {
                return Finding::good("link", "up, with the other end there");
            }
            Finding::could_be_better(
                "link",
                "up, and nothing at the other end: check the cable and the other device",
            )
            .cure(format!("ethtool {name}"))
        })
    })
}

fn driver(facts: &InterfaceFacts) -> Finding {
    known("driver", &facts.driver, |driver| {
        let kind = if facts.is_hardware { "a device" } else { "virtual" };
        Finding::good("driver", format!("{driver}, {kind}"))
    })
}

fn mtu(facts: &InterfaceFacts) -> Finding {
    known("MTU", &facts.mtu, |mtu| {
        if *mtu < 1280 {
            let name = shell_word(&facts.name);
            return Finding::could_be_better(
                "MTU",
                format!("{mtu}, and IPv6 needs 1280 (RFC 8200, section 5)"),
            )
            .cure(format!("ip link set dev {name} mtu 1500"));
        }
        Finding::good("MTU", format!("{mtu} bytes"))
    })
}

fn receive_queues(facts: &InterfaceFacts, needs: &Needs) -> Finding {
    known("receive queues", &facts.receive_queues, |Queues { now, most, are_combined }| {
        let workers = u32::try_from(needs.workers).unwrap_or(u32::MAX);
        let found = format!("{now} of at most {most}, for {workers} workers");
        if *now < workers.min(*most) {
            let (name, wanted) = (shell_word(&facts.name), workers.min(*most));
            let kind = if *are_combined { "combined" } else { "rx" };
            return Finding::could_be_better(
                "receive queues",
                format!("{found}; one for each spreads interrupts evenly"),
            )
            .cure(format!("ethtool -L {name} {kind} {wanted}"));
        }
        Finding::good("receive queues", found)
    })
}

fn numa(facts: &InterfaceFacts, needs: &Needs, allowed: &Fact<Vec<u32>>) -> Finding {
    known("NUMA node", &facts.node, |node| {
        let Some(Node { number, processors }) = node else {
            return Finding::good("NUMA node", "as near to all cores");
        };
        known("NUMA node", allowed, |allowed| {
            let far = allowed.iter().filter(|core| !processors.contains(core)).count();
            if far == 0 {
                return Finding::good(
                    "NUMA node",
                    format!("node {number}, to which all cores in use belong"),
                );
            }
            let found =
                format!("node {number}, to which {far} of the {} cores in use do not belong", allowed.len());
            let (file, name) = (&needs.file, shell_word(&facts.name));
            let near = format!("numactl --cpunodebind={number} --membind={number}");
            Finding::could_be_better("NUMA node", found)
                .cure(format!("{near} credence run --config {file} --interface {name}"))
        })
    })
}

/// One queue gets every frame however they are hashed.
fn single_queue(facts: &InterfaceFacts) -> bool {
    facts.receive_queues.as_ref().is_ok_and(|queues| queues.now == 1)
}

fn hash_key(facts: &InterfaceFacts) -> Finding {
    const NAME: &str = "RSS hash key";
    if single_queue(facts) {
        return Finding::good(NAME, "one queue, so that nothing is spread");
    }
    known(NAME, &facts.hash, |hash| match hash {
        Some(hash) if is_symmetric(hash) => {
            Finding::good(NAME, "symmetric: both directions meet on one queue")
        }
        Some(hash) if !hash.key.is_empty() => {
            let (name, key) = (shell_word(&facts.name), symmetric_key(hash.key.len()));
            Finding::could_be_better(NAME, "not symmetric, so that the directions of a flow part over queues")
                .cure(format!("ethtool -X {name} hkey {key}"))
        }
        _ => Finding::unknown(NAME, "the driver does not tell its key"),
    })
}

fn is_symmetric(hash: &Hash) -> bool {
    let repeats = |key: &[u8]| key.chunks(2).all(|pair| SYMMETRIC.starts_with(pair));
    hash.symmetric_input || (!hash.key.is_empty() && repeats(&hash.key))
}

/// The symmetric key of so many bytes, as ethtool takes it.
fn symmetric_key(len: usize) -> String {
    let bytes: Vec<_> = SYMMETRIC.iter().cycle().take(len).map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

fn hashed_fields(facts: &InterfaceFacts) -> Finding {
    const NAME: &str = "RSS hash fields";
    if single_queue(facts) {
        return Finding::good(NAME, "one queue, so that nothing is spread");
    }
    known(NAME, &facts.hashed_fields, |fields| {
        let Some(HashedFields { tcp, udp }) = fields else {
            return Finding::unknown(NAME, "the driver does not tell which fields it hashes");
        };
        let with_ports =
            [("tcp6", tcp), ("udp6", udp)].into_iter().filter(|(_, fields)| **fields & PORTS != 0);
        let with_ports: Vec<_> = with_ports.map(|(flow_type, _)| flow_type).collect();
        if with_ports.is_empty() {
            return Finding::good(NAME, "addresses only, so that fragments follow their flow");
        }
        let found =
            format!("ports of {} too, so that fragments part from their flow", with_ports.join(" and "));
        let name = shell_word(&facts.name);
        let cure = |flow_type: &str| format!("ethtool -N {name} rx-flow-hash {flow_type} sd");
        let finding = Finding::could_be_better(NAME, found);
        with_ports.iter().fold(finding, |finding, flow_type| finding.cure(cure(flow_type)))
    })
}

fn deferral(facts: &InterfaceFacts) -> Finding {
    const NAME: &str = "busy polling";
    let name = shell_word(&facts.name);
    known(NAME, &facts.deferral, |Deferral { flush_timeout_ns, hard_irqs }| {
        let found = format!("gro_flush_timeout {flush_timeout_ns} ns, napi_defer_hard_irqs {hard_irqs}");
        if *flush_timeout_ns > 0 && *hard_irqs > 0 {
            return Finding::good(NAME, found);
        }
        Finding::could_be_better(NAME, format!("{found}; interrupts break in on whoever polls"))
            .cure(format!("echo {DEFERRED_HARD_IRQS} > /sys/class/net/{name}/napi_defer_hard_irqs"))
            .cure(format!("echo {FLUSH_TIMEOUT_NS} > /sys/class/net/{name}/gro_flush_timeout"))
    })
}

fn ring(name: &str, ring: &Fact<Option<Sized>>) -> Finding {
    known("receive ring", ring, |ring| match ring {
        Some(Sized { now, most }) if now < most => {
            let found = format!("{now} of at most {most} entries; a burst that fills it is lost");
            Finding::could_be_better("receive ring", found).cure(format!("ethtool -G {name} rx {most}"))
        }
        Some(Sized { now, .. }) => {
            Finding::good("receive ring", format!("{now} entries, the most there are"))
        }
        None => Finding::good("receive ring", "of a length that cannot be set"),
    })
}

fn offloads(name: &str, features: &Fact<BTreeMap<String, Feature>>) -> Finding {
    known("offloads", features, |features| {
        let on =
            OFFLOADS.iter().filter(|(feature, _)| features.get(*feature).is_some_and(|feature| feature.on));
        let mut on: Vec<_> = on.map(|(feature, option)| (*feature, *option)).collect();
        if on.is_empty() {
            return Finding::good("offloads", "frames arrive and leave as they are on the wire");
        }
        on.dedup_by_key(|(_, option)| *option);
        let is_free = |feature: &str| features.get(feature).is_some_and(|feature| !feature.fixed);
        let told: Vec<_> = on.iter().map(|(_, option)| *option).collect();
        let found =
            format!("on: {}; frames are merged, split or stripped of their VLAN tag", told.join(", "));
        let off: String =
            on.iter().filter(|(f, _)| is_free(f)).map(|(_, option)| format!(" {option} off")).collect();
        match off.as_str() {
            "" => Finding::good("offloads", format!("{found}, and the device cannot be told otherwise")),
            _ => Finding::could_be_better("offloads", found).cure(format!("ethtool -K {name}{off}")),
        }
    })
}

fn peer_gro(peer: &Peer) -> Finding {
    const NAME: &str = "GRO of the peer";
    if peer.has_driver_xdp == Ok(true) {
        return Finding::good(NAME, "the other end has an XDP program, and takes redirected frames");
    }
    known(NAME, &peer.gro, |gro| match &peer.name {
        Some(name) if !gro => Finding::could_be_better(
            NAME,
            format!(
                "off on {name}, the other end of this pair, which then drops redirected frames without a word"
            ),
        )
        .cure(format!("ethtool -K {} gro on", shell_word(name))),
        _ => Finding::good(NAME, "on, so that redirected frames are taken"),
    })
}

fn xdp(name: &str, attached: &Fact<Option<Attached>>, needs: &Needs) -> Finding {
    const NAME: &str = "attached XDP program";
    known(NAME, attached, |attached| {
        let Some(attached) = attached else { return Finding::good(NAME, "none") };
        let program = attached.name.as_deref().unwrap_or("of unknown name");
        let Attached { id, place, .. } = attached;
        let holders: Vec<_> =
            attached.holders.iter().map(|h| format!("{} (pid {})", h.command, h.pid)).collect();
        let held = match holders.as_slice() {
            [] => "held by no process that this user may see".to_owned(),
            holders => format!("held by {}", holders.join(", ")),
        };
        let found = format!("{program}, id {id}, {place}, {held}");
        if program.starts_with("credence") {
            return Finding::good(NAME, format!("credence's own: {found}"));
        }
        let finding = lacking(NAME, needs.enforcement, format!("{found}; enforcement needs the place"));
        let finding = attached.holders.iter().fold(finding, |finding, holder| {
            finding.cure(format!("kill {}   # {}", holder.pid, holder.command))
        });
        finding.cure(format!("ip link set dev {name} {} off", mode(place)))
    })
}

/// The word with which the program ip names a place.
fn mode(place: &str) -> &'static str {
    match place {
        "driver" => "xdpdrv",
        "generic" => "xdpgeneric",
        "hardware" => "xdpoffload",
        _ => "xdp",
    }
}

#[cfg(test)]
#[path = "interface_tests.rs"]
mod tests;
