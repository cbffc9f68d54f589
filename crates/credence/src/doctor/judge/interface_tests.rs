//! Interfaces of all kinds.

use super::*;
use crate::doctor::finding::State;
use crate::doctor::link::Holder;

fn queues(now: u32, most: u32) -> Queues {
    Queues { now, most, are_combined: true }
}

/// A card that is set as it should be.
fn card() -> InterfaceFacts {
    InterfaceFacts {
        name: "eth0".to_owned(),
        exists: true,
        driver: Ok("mlx5_core".to_owned()),
        is_hardware: true,
        is_up: Ok(true),
        has_carrier: Ok(true),
        mtu: Ok(1500),
        node: Ok(Some(Node { number: 0, processors: vec![0, 1, 2, 3] })),
        receive_queues: Ok(queues(4, 8)),
        hash: Ok(Some(Hash { key: SYMMETRIC.repeat(20), symmetric_input: false })),
        hashed_fields: Ok(Some(HashedFields { tcp: 0x30, udp: 0x30 })),
        features: Ok(BTreeMap::new()),
        ring: Ok(Some(Sized { now: 4096, most: 4096 })),
        deferral: Ok(Deferral { flush_timeout_ns: 200_000, hard_irqs: 2 }),
        peer: None,
        xdp: Ok(None),
    }
}

/// One end of a virtual pair.
fn veth() -> InterfaceFacts {
    let peer = Peer { name: Some("lan".to_owned()), gro: Ok(true), has_driver_xdp: Ok(false) };
    InterfaceFacts {
        name: "wan".to_owned(),
        driver: Ok("veth".to_owned()),
        is_hardware: false,
        node: Ok(None),
        receive_queues: Ok(queues(1, 1)),
        hash: Ok(None),
        hashed_fields: Ok(None),
        ring: Ok(None),
        deferral: Ok(Deferral { flush_timeout_ns: 0, hard_irqs: 0 }),
        peer: Some(peer),
        ..card()
    }
}

fn features(on: &[&str], fixed: &[&str]) -> Fact<BTreeMap<String, Feature>> {
    let feature = |name: &&str| ((*name).to_owned(), Feature { on: true, fixed: fixed.contains(name) });
    Ok(on.iter().map(feature).collect())
}

fn needs() -> Needs {
    Needs {
        file: "FILE".to_owned(),
        interfaces: Vec::new(),
        workers: 4,
        queues: 1,
        ring: false,
        enforcement: false,
        nftables: false,
        pinning: false,
        authorities: false,
    }
}

fn all(facts: &InterfaceFacts) -> Vec<Finding> {
    findings(facts, &needs(), &Ok(vec![0, 1, 2, 3]))
}

/// Requires that an interface of these facts has exactly this shortcoming, told in these words and mended so.
#[track_caller]
fn check(facts: &InterfaceFacts, name: &str, state: State, told: &str, cures: &[&str]) {
    let (found, others): (Vec<_>, Vec<_>) = all(facts).into_iter().partition(|finding| finding.name == name);
    for finding in others {
        assert_eq!((finding.state, finding.cures.len()), (State::Good, 0), "{finding:?}");
    }
    let [found] = found.as_slice() else { panic!("one finding {name}: {found:?}") };
    assert_eq!((found.state, found.interface.as_deref()), (state, Some(facts.name.as_str())), "{found:?}");
    assert!(found.found.contains(told), "{found:?}");
    assert_eq!(found.cures, cures, "{found:?}");
}

#[test]
fn interfaces_that_are_set_well_need_no_cure() {
    for facts in [card(), veth()] {
        for finding in all(&facts) {
            assert_eq!((finding.state, finding.cures.len()), (State::Good, 0), "{finding:?}");
        }
    }
}

#[test]
fn links_that_carry_nothing_are_told() {
    let gone = InterfaceFacts { exists: false, ..card() };
    check(&gone, "link", State::Missing, "no such interface", &["ip link show"]);
    let down = InterfaceFacts { is_up: Ok(false), ..card() };
    check(&down, "link", State::Missing, "is down", &["ip link set dev eth0 up"]);
    assert!(all(&down).iter().any(Finding::is_fatal) && all(&gone).iter().any(Finding::is_fatal));
    let alone = InterfaceFacts { has_carrier: Ok(false), ..card() };
    check(&alone, "link", State::CouldBeBetter, "check the cable", &["ethtool eth0"]);
    let small = InterfaceFacts { mtu: Ok(1200), ..card() };
    check(&small, "MTU", State::CouldBeBetter, "IPv6 needs 1280", &["ip link set dev eth0 mtu 1500"]);
}

#[test]
fn a_name_that_a_shell_would_act_on_is_quoted_in_cures_alone() {
    let odd =
        InterfaceFacts { name: "a;reboot".to_owned(), ring: Ok(Some(Sized { now: 1, most: 2 })), ..card() };
    check(&odd, "receive ring", State::CouldBeBetter, "1 of at most 2", &["ethtool -G 'a;reboot' rx 2"]);
}

#[test]
fn queues_are_as_many_as_workers_or_as_there_can_be() {
    let few = InterfaceFacts { receive_queues: Ok(queues(1, 8)), ..card() };
    check(
        &few,
        "receive queues",
        State::CouldBeBetter,
        "1 of at most 8, for 4 workers",
        &["ethtool -L eth0 combined 4"],
    );
    let poor = InterfaceFacts { receive_queues: Ok(queues(1, 2)), ..card() };
    check(&poor, "receive queues", State::CouldBeBetter, "at most 2", &["ethtool -L eth0 combined 2"]);
    let apart =
        InterfaceFacts { receive_queues: Ok(Queues { are_combined: false, ..queues(1, 4) }), ..card() };
    check(&apart, "receive queues", State::CouldBeBetter, "1 of at most 4", &["ethtool -L eth0 rx 4"]);
    let limited = InterfaceFacts { receive_queues: Ok(queues(2, 2)), ..card() };
    check(&limited, "receive queues", State::Good, "2 of at most 2", &[]);
}

#[test]
fn a_key_is_symmetric_when_it_repeats_two_bytes() {
    let with = |key: &[u8], symmetric_input| InterfaceFacts {
        hash: Ok(Some(Hash { key: key.to_vec(), symmetric_input })),
        ..card()
    };
    check(&with(&[0x6d, 0x5a, 0x6d], false), "RSS hash key", State::Good, "symmetric", &[]);
    check(&with(&[1, 2, 3, 4], true), "RSS hash key", State::Good, "symmetric", &[]);
    let cure = "ethtool -X eth0 hkey 6d:5a:6d:5a";
    check(
        &with(&[0x6d, 0x5a, 0x6d, 0x5b], false),
        "RSS hash key",
        State::CouldBeBetter,
        "part over queues",
        &[cure],
    );
    check(
        &with(&[0x5a, 0x6d, 0x5a, 0x6d], false),
        "RSS hash key",
        State::CouldBeBetter,
        "not symmetric",
        &[cure],
    );
    check(&with(&[], false), "RSS hash key", State::Unknown, "does not tell its key", &[]);
    check(&InterfaceFacts { hash: Ok(None), ..card() }, "RSS hash key", State::Unknown, "does not tell", &[]);
    let single = InterfaceFacts { receive_queues: Ok(queues(1, 1)), ..with(&[1, 2], false) };
    check(&single, "RSS hash key", State::Good, "one queue", &[]);
}

#[test]
fn ports_among_the_hashed_fields_part_fragments() {
    let with = |tcp, udp| InterfaceFacts { hashed_fields: Ok(Some(HashedFields { tcp, udp })), ..card() };
    let (tcp, udp) = ("ethtool -N eth0 rx-flow-hash tcp6 sd", "ethtool -N eth0 rx-flow-hash udp6 sd");
    check(&with(0xf0, 0x30), "RSS hash fields", State::CouldBeBetter, "ports of tcp6 too", &[tcp]);
    check(&with(0xf0, 0xb0), "RSS hash fields", State::CouldBeBetter, "ports of tcp6 and udp6", &[tcp, udp]);
    let silent = InterfaceFacts { hashed_fields: Ok(None), ..card() };
    check(&silent, "RSS hash fields", State::Unknown, "does not tell", &[]);
}

#[test]
fn offloads_are_told_and_taken_off_in_one_command() {
    let on = [
        "rx-lro",
        "rx-gro",
        "tx-tcp-segmentation",
        "tx-tcp6-segmentation",
        "rx-vlan-hw-parse",
        "tx-checksum-ipv6",
    ];
    let facts = InterfaceFacts { features: features(&on, &["rx-vlan-hw-parse"]), ..card() };
    let cure = "ethtool -K eth0 lro off gro off tso off";
    check(&facts, "offloads", State::CouldBeBetter, "on: lro, gro, rxvlan, tso;", &[cure]);
    let fixed = InterfaceFacts { features: features(&["rx-gro-hw"], &["rx-gro-hw"]), ..card() };
    check(&fixed, "offloads", State::Good, "cannot be told otherwise", &[]);
    let blind = InterfaceFacts { features: Err("no".to_owned()), ..card() };
    check(&blind, "offloads", State::Unknown, "no", &[]);
}

#[test]
fn what_is_set_too_small_is_told_with_the_most_there_is() {
    let ring = InterfaceFacts { ring: Ok(Some(Sized { now: 256, most: 8192 })), ..card() };
    check(&ring, "receive ring", State::CouldBeBetter, "256 of at most 8192", &["ethtool -G eth0 rx 8192"]);
    let interrupted =
        InterfaceFacts { deferral: Ok(Deferral { flush_timeout_ns: 0, hard_irqs: 2 }), ..card() };
    let files =
        ["napi_defer_hard_irqs", "gro_flush_timeout"].map(|file| format!("/sys/class/net/eth0/{file}"));
    let cures = [format!("echo 2 > {}", files[0]), format!("echo 200000 > {}", files[1])];
    check(&interrupted, "busy polling", State::CouldBeBetter, "break in", &[&cures[0], &cures[1]]);
    let far = InterfaceFacts { node: Ok(Some(Node { number: 1, processors: vec![2, 3] })), ..card() };
    let cure = "numactl --cpunodebind=1 --membind=1 credence run --config FILE --interface eth0";
    check(&far, "NUMA node", State::CouldBeBetter, "2 of the 4 cores in use do not belong", &[cure]);
}

#[test]
fn a_virtual_pair_needs_gro_or_a_program_at_its_other_end() {
    let with = |name: Option<&str>, gro, has_driver_xdp| InterfaceFacts {
        peer: Some(Peer { name: name.map(str::to_owned), gro, has_driver_xdp }),
        ..veth()
    };
    let off = with(Some("lan"), Ok(false), Ok(false));
    check(
        &off,
        "GRO of the peer",
        State::CouldBeBetter,
        "drops redirected frames",
        &["ethtool -K lan gro on"],
    );
    check(&with(Some("lan"), Ok(false), Ok(true)), "GRO of the peer", State::Good, "XDP program", &[]);
    let elsewhere = || "it lies in another network namespace".to_owned();
    let away = with(None, Err(elsewhere()), Err(elsewhere()));
    check(&away, "GRO of the peer", State::Unknown, "another network namespace", &[]);
}

#[test]
fn a_program_at_work_is_told_with_whose_it_is() {
    let with = |name: Option<&str>, holders| {
        let attached = Attached { id: 42, place: "generic", name: name.map(str::to_owned), holders };
        InterfaceFacts { xdp: Ok(Some(attached)), ..card() }
    };
    check(&with(Some("credence_frags"), vec![]), "attached XDP program", State::Good, "credence's own", &[]);
    let loader = Holder { pid: 7, command: "loader".to_owned() };
    let cures = ["kill 7   # loader", "ip link set dev eth0 xdpgeneric off"];
    check(
        &with(Some("dropper"), vec![loader]),
        "attached XDP program",
        State::CouldBeBetter,
        "held by loader (pid 7)",
        &cures,
    );
    check(
        &with(None, vec![]),
        "attached XDP program",
        State::CouldBeBetter,
        "of unknown name, id 42",
        &cures[1..],
    );
}

#[test]
fn a_stranger_s_program_is_in_the_way_of_enforcement() {
    let attached = Attached { id: 42, place: "driver", name: Some("dropper".to_owned()), holders: vec![] };
    let facts = InterfaceFacts { xdp: Ok(Some(attached)), ..card() };
    let needs = Needs { enforcement: true, ..needs() };
    let found = findings(&facts, &needs, &Ok(vec![0]));
    let fatal: Vec<_> =
        found.iter().filter(|finding| finding.is_fatal()).map(|finding| finding.name).collect();
    assert_eq!(fatal, ["attached XDP program"]);
}

#[test]
fn legs_of_a_bridge_take_frames_of_one_length() {
    let leg = |name: &str, mtu| InterfaceFacts { name: name.to_owned(), mtu, ..card() };
    assert_eq!(legs(&[leg("a", Ok(1500))]), None);
    assert_eq!(legs(&[leg("a", Ok(1500)), leg("b", Err("gone".to_owned()))]), None);
    assert_eq!(legs(&[leg("a", Ok(1500)), leg("b", Ok(1500))]).unwrap().state, State::Good);
    let uneven = legs(&[leg("a", Ok(1500)), leg("b", Ok(9000))]).unwrap();
    assert_eq!(
        (uneven.state, uneven.cures.as_slice()),
        (State::CouldBeBetter, &["ip link set dev a mtu 9000".to_owned()][..])
    );
}
