//! How several rings share the frames of an interface: pairs whole, and as the engine's reader would share them.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};

use credence_capture::{Backend, LiveConfig, Poll, Source, live};

use super::namespace::{inside, ip};
use super::{POLLS_MAX, config, poll_all, tun, veth};

/// What the payload of each frame begins with; the number of the frame's pair follows.
const MARK: [u8; 4] = *b"pair";

const QUEUES: usize = 3;
const PAIRS: u32 = 300;

/// The rings of an interface, open.
fn rings(interface: &str) -> Vec<Box<dyn Source>> {
    let config = LiveConfig { backend: Backend::AfPacket, queues: QUEUES, ..LiveConfig::new(interface) };
    // Frames that come one by one take a block each, since none is kept open for more than 10 ms.
    live(&LiveConfig { block_bytes: 8192, blocks: 512, promiscuous: false, ..config }).unwrap()
}

/// The two addresses of a pair, of which some differ in one bit only.
fn pair(number: u32) -> (u128, u128) {
    let number = u128::from(number);
    (0x2001_0db8 << 96 | number << 64 | 1, 0xfd01 << 112 | (number * number) << 16 | 2)
}

/// Where the engine's reader sends a pair, in the widest arithmetic there is.
fn by_the_reader(src: u128, dst: u128) -> usize {
    let fold = |address: u128| (address as u64) ^ ((address >> 64) as u64).rotate_left(32);
    let mixed = fold(src).wrapping_add(fold(dst)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((u128::from(mixed ^ mixed >> 29) * QUEUES as u128) >> 64) as usize
}

/// An IPv6 packet with this next header and payload.
fn packet(src: u128, dst: u128, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(src.to_be_bytes());
    packet.extend(dst.to_be_bytes());
    packet.extend(payload);
    packet
}

/// A packet in an Ethernet frame, behind these VLAN tags and what else is to stand between them and the packet, its type first.
fn ethernet(tags: &[u16], rest: &[u8], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 5]);
    }
    frame.extend(rest);
    frame.extend(packet);
    frame
}

/// A packet in every kind of frame in which it is looked for: without a tag; with one, which the kernel takes off; with two and
/// with three; each by itself, in a PPPoE session, and below a label or five.
pub(crate) fn framed(packet: &[u8]) -> Vec<Vec<u8>> {
    let tags: [&[u16]; 4] = [&[], &[0x8100], &[0x88a8, 0x8100], &[0x88a8, 0x8100, 0x9100]];
    let [high, low] = (packet.len() as u16 + 2).to_be_bytes();
    let five = [&[0x88, 0x48][..], &[0, 1, 0, 64].repeat(4), &[0, 1, 1, 64]].concat();
    let rest = [
        &[0x86, 0xdd][..],
        &[0x88, 0x64, 0x11, 0, 0, 7, high, low, 0, 0x57],
        &[0x88, 0x47, 0, 1, 1, 64],
        &five,
    ];
    tags.iter().flat_map(|tags| rest.map(|rest| ethernet(tags, rest, packet))).collect()
}

/// Both directions of a pair by several protocols and ports, and the later fragments, which have no ports.
fn packets(number: u32) -> Vec<Vec<u8>> {
    let (src, dst) = pair(number);
    let marked = |before: &[u8]| [before, &MARK, &number.to_be_bytes()].concat();
    let port = (number as u16).to_be_bytes();
    let datagram = marked(&[port[0], port[1], 0, 53, 0, 16, 0, 0]);
    let segment = marked(&[0, 80, port[0], port[1], 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 16, 0, 0, 0, 0, 0, 0]);
    let fragment = marked(&[17, 0, 0x05, 0xa8, 0, 0, 0, number as u8]);
    vec![
        packet(src, dst, 17, &datagram),
        packet(dst, src, 17, &datagram),
        packet(dst, src, 6, &segment),
        packet(src, dst, 44, &fragment),
        packet(dst, src, 44, &fragment),
    ]
}

/// The number of a frame's pair, if it is one of the test's.
fn number(bytes: &[u8]) -> Option<u32> {
    let (rest, number) = bytes.split_last_chunk()?;
    rest.ends_with(&MARK).then(|| u32::from_be_bytes(*number))
}

/// Polls the sources until they have delivered so many frames of the test: how many of each pair each queue got.
fn shares(sources: &mut [Box<dyn Source>], count: usize) -> BTreeMap<(u32, usize), usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..POLLS_MAX {
        for (queue, source) in sources.iter_mut().enumerate() {
            let polled = source.poll(&mut |frames| {
                for number in frames.iter().filter_map(|frame| number(frame.bytes)) {
                    *shares.entry((number, queue)).or_default() += 1;
                }
            });
            polled.unwrap();
        }
        if shares.values().sum::<usize>() >= count {
            break;
        }
    }
    shares
}

/// Requires that all of a pair came to the queue that the engine's reader would have chosen, and that pairs are spread.
fn check_shares(shares: &BTreeMap<(u32, usize), usize>, of_each: usize) {
    let mut pairs = [0; QUEUES];
    assert_eq!(shares.values().sum::<usize>(), of_each * PAIRS as usize, "all came: {shares:?}");
    for number in 0..PAIRS {
        let (src, dst) = pair(number);
        let queue = by_the_reader(src, dst);
        assert_eq!(shares.get(&(number, queue)), Some(&of_each), "pair {number}");
        pairs[queue] += 1;
    }
    assert_eq!(shares.len(), PAIRS as usize, "no pair is on two queues: {shares:?}");
    assert!(pairs.iter().all(|&pairs| (75..=125).contains(&pairs)), "{pairs:?}");
}

#[test]
fn both_directions_and_all_fragments_of_a_pair_are_on_the_queue_that_the_reader_would_choose() {
    inside(
        "fanout::both_directions_and_all_fragments_of_a_pair_are_on_the_queue_that_the_reader_would_choose",
        &[],
        || {
            let mut device = tun::create_tap("tap");
            ip(&["link", "set", "tap", "addrgenmode", "none", "up"]);
            let mut sources = rings("tap");
            let described = sources[1].describe();
            assert!(described.contains("queue 2 of 3, fan-out group "), "{described}");
            assert!(described.contains(", by address pair; "), "{described}");
            let mut of_each = 0;
            for number in 0..PAIRS {
                let frames: Vec<_> = packets(number).iter().flat_map(|packet| framed(packet)).collect();
                of_each = frames.len();
                frames.iter().for_each(|frame| device.write_all(frame).unwrap());
            }
            check_shares(&shares(&mut sources, of_each * PAIRS as usize), of_each);
        },
    );
}

#[test]
fn packets_without_a_link_layer_are_shared_alike() {
    inside("fanout::packets_without_a_link_layer_are_shared_alike", &[], || {
        let mut device = tun::create("tunnel");
        ip(&["link", "set", "tunnel", "addrgenmode", "none", "up"]);
        let mut sources = rings("tunnel");
        for packet in (0..PAIRS).flat_map(packets) {
            device.write_all(&packet).unwrap();
        }
        check_shares(&shares(&mut sources, 5 * PAIRS as usize), 5);
    });
}

#[test]
fn what_leaves_is_with_what_arrives() {
    inside("fanout::what_leaves_is_with_what_arrives", &[], || {
        // Somebody has to take what leaves.
        veth::create();
        ip(&["-6", "route", "add", "2001:db8::/32", "via", "fd00::2", "dev", "near"]);
        let mut sources = rings("near");
        for number in 0..PAIRS {
            // The addresses change sides: it is this host that answers.
            let (peer, own) = pair(number);
            let (peer, own) = (Ipv6Addr::from(peer), Ipv6Addr::from(own));
            ip(&["-6", "addr", "add", &format!("{own}/128"), "dev", "near", "nodad"]);
            let socket = UdpSocket::bind(SocketAddrV6::new(own, 0, 0, 0)).unwrap();
            let payload = [&MARK[..], &number.to_be_bytes()].concat();
            socket.send_to(&payload, SocketAddrV6::new(peer, 9, 0, 0)).unwrap();
        }
        check_shares(&shares(&mut sources, PAIRS as usize), 1);
    });
}

/// What frames without an IPv6 packet begin with, behind their addresses.
const NO_IPV6: [&[u8]; 7] = [
    // A type of local experiments; a tag with nothing behind it; an IPv6 header that is cut short.
    &[0x88, 0xb5],
    &[0x81, 0, 0, 5, 0x81, 0, 0, 5],
    &[0x86, 0xdd, 0x60, 0],
    // A session that is being opened, and one of IPv4.
    &[0x88, 0x64, 0x11, 9, 0, 0, 0, 40, 0, 0x57],
    &[0x88, 0x64, 0x11, 0, 0, 7, 0, 40, 0, 0x21],
    // A stack of labels without an end, and IPv4 below one.
    &[0x88, 0x47, 0, 1, 0, 64],
    &[0x88, 0x47, 0, 1, 1, 64, 0x45, 0],
];

#[test]
fn what_is_no_ipv6_goes_to_the_first_queue() {
    inside("fanout::what_is_no_ipv6_goes_to_the_first_queue", &[], || {
        let mut device = tun::create_tap("tap");
        ip(&["link", "set", "tap", "addrgenmode", "none", "up"]);
        let mut sources = rings("tap");
        for number in 0..PAIRS {
            for head in NO_IPV6 {
                let frame = [&[2; 12], head, &MARK, &number.to_be_bytes()].concat();
                device.write_all(&frame).unwrap();
            }
        }
        let count = NO_IPV6.len() * PAIRS as usize;
        let shares = shares(&mut sources, count);
        assert_eq!(shares.values().sum::<usize>(), count);
        assert!(shares.keys().all(|(_, queue)| *queue == 0), "{shares:?}");
    });
}

#[test]
fn without_the_program_the_kernels_own_hash_shares_and_that_is_told() {
    // Neither of the two capabilities that allow it.
    let without = ["setpriv", "--bounding-set", "-bpf,-sys_admin", "--inh-caps", "-all"];
    inside("fanout::without_the_program_the_kernels_own_hash_shares_and_that_is_told", &without, || {
        const FLOWS: usize = 64;
        const EACH: u32 = 20;
        veth::create();
        let wide = LiveConfig { queues: QUEUES, blocks: 4, ..config("far", Backend::AfPacket) };
        let mut sources = live(&wide).unwrap();
        let described = sources[0].describe();
        assert!(described.contains("by the kernel's hash of addresses and ports"), "{described}");
        assert!(described.contains("needs the capability CAP_BPF"), "{described}");
        for _ in 0..FLOWS {
            veth::send(0, EACH);
        }

        let seen = poll_all(&mut sources, FLOWS * EACH as usize);
        let mut queue_of = BTreeMap::new();
        for (queue, seen) in seen.iter().enumerate() {
            assert!(!seen.datagrams.is_empty(), "queue {queue} has none of {FLOWS} flows");
            for (port, _) in &seen.datagrams {
                assert_eq!(*queue_of.entry(*port).or_insert(queue), queue, "a flow stays together");
            }
        }
    });
}

#[test]
fn rings_that_share_outlive_their_interface_together() {
    inside("fanout::rings_that_share_outlive_their_interface_together", &[], || {
        let create = || {
            let device = tun::create_tap("tap");
            ip(&["link", "set", "tap", "addrgenmode", "none", "up"]);
            device
        };
        let device = create();
        let mut sources = rings("tap");
        drop(device);
        let all = |sources: &mut [Box<dyn Source>], up| {
            (0..POLLS_MAX).any(|_| {
                sources
                    .iter_mut()
                    .for_each(|source| assert_ne!(source.poll(&mut |_| ()).unwrap(), Poll::End));
                sources.iter().all(|source| source.is_up() == up)
            })
        };
        assert!(all(&mut sources, false), "the interface is gone");
        let mut device = create();
        assert!(all(&mut sources, true), "{}", sources[2].describe());
        for packet in (0..PAIRS).flat_map(packets) {
            device.write_all(&ethernet(&[], &[0x86, 0xdd], &packet)).unwrap();
        }
        let shares = shares(&mut sources, 5 * PAIRS as usize);
        assert_eq!(shares.len(), PAIRS as usize, "pairs stay whole");
        assert!(shares.values().all(|&frames| frames == 5));
    });
}
