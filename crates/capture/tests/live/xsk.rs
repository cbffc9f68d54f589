//! Captures through `AF_XDP` sockets, in copy mode, since a virtual pair knows no other.

use std::io::Write;
use std::net::UdpSocket;

use credence_capture::{Backend, Error, LiveConfig, Source, live};

use super::fanout::framed;
use super::namespace::{inside, ip};
use super::{POLLS_MAX, Seen, config, only, poll_all, refusal, tun, veth};

fn sockets(queues: usize) -> LiveConfig {
    LiveConfig { queues, ..config("far", Backend::AfXdp) }
}

#[test]
fn every_datagram_comes_once_in_order_and_stays_away_from_the_host() {
    inside("xsk::every_datagram_comes_once_in_order_and_stays_away_from_the_host", &[], || {
        const COUNT: u32 = 10_000;
        veth::create();
        let mut source = only(&sockets(1));
        let described = source.describe();
        assert!(described.starts_with("AF_XDP socket on far (queue 1 of 1, copying"), "{described}");
        assert!(described.contains("its program in the driver"), "{described}");
        let mut host = only(&config("far", Backend::AfPacket));
        let mut seen = Seen::default();
        // More than there are chunks, so that they must come back.
        for first in (0..5 * COUNT).step_by(500) {
            veth::send(first, 500);
            seen.poll_until_datagrams(&mut *source, first as usize + 500);
        }
        assert!(seen.datagrams.windows(2).all(|pair| pair[0].1 + 1 == pair[1].1), "each once, in order");
        assert!(seen.last_ts_ns > 1_700_000_000_000_000_000);
        assert_eq!(source.kernel_drops(), 0);
        let mut missed = Seen::default();
        for _ in 0..10 {
            missed.poll(&mut *host).unwrap();
        }
        assert_eq!(missed.datagrams, [], "what a socket of this kind takes reaches no other");
    });
}

#[test]
fn what_is_not_read_in_time_is_counted() {
    inside("xsk::what_is_not_read_in_time_is_counted", &[], || {
        veth::create();
        // The fewest chunks there are.
        let mut source = only(&LiveConfig { block_bytes: 4096, blocks: 2, ..sockets(1) });
        assert!(source.describe().contains("2048 chunks"), "{}", source.describe());
        veth::send_in_steps(5_000);
        let mut seen = Seen::default();
        let accounted = |seen: &Seen, source: &mut dyn Source| {
            seen.datagrams.len() as u64 + source.kernel_drops() >= 5_000
        };
        assert!(seen.poll_until(&mut *source, accounted), "{}", source.kernel_drops());
        // A host that greets the link takes a chunk or two.
        let (read, lost) = (seen.datagrams.len(), source.kernel_drops());
        assert!(
            (2_040..=2_048).contains(&read) && (2_952..=2_960).contains(&lost),
            "{read} read, {lost} lost"
        );
        veth::send(20_000, 20);
        assert!(seen.poll_until(&mut *source, |seen, _| seen.datagrams.len() == read + 20), "it goes on");
        assert_eq!(source.kernel_drops(), lost);
    });
}

#[test]
fn each_queue_has_its_socket() {
    inside("xsk::each_queue_has_its_socket", &[], || {
        veth::create_wide("2");
        let mut sources = live(&sockets(2)).unwrap();
        assert_eq!(sources.len(), 2);
        for number in 0..64 {
            veth::send(number, 10);
        }
        let seen = poll_all(&mut sources, 640);
        assert!(seen.iter().all(|seen| !seen.datagrams.is_empty()), "both have some of the flows");

        // A second capture finds the queues taken, and one with too few or too many of them is told how many there are.
        let taken = refusal(&sockets(2)).to_string();
        assert!(taken.contains("another XDP program is on the interface"), "{taken}");
        for queues in [1, 3] {
            let error = refusal(&sockets(queues));
            assert!(matches!(error, Error::Config { .. }), "{error}");
            assert!(error.to_string().contains("receives on 2 queues"), "{error}");
        }
    });
}

#[test]
fn what_is_no_ipv6_reaches_the_host() {
    inside("xsk::what_is_no_ipv6_reaches_the_host", &[], || {
        veth::create();
        ip(&["addr", "add", "192.0.2.1/24", "dev", "near"]);
        let _source = only(&sockets(1));
        let mut host = only(&config("far", Backend::AfPacket));
        let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
        ip(&["neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "near", "nud", "permanent"]);
        socket.send_to(b"the other protocol", "192.0.2.2:9").unwrap();
        let mut found = false;
        for _ in 0..POLLS_MAX {
            host.poll(&mut |frames| {
                found |= frames.iter().any(|frame| frame.bytes.ends_with(b"the other protocol"));
            })
            .unwrap();
            if found {
                break;
            }
        }
        assert!(found);
    });
}

#[test]
fn ipv6_is_found_behind_tags_in_sessions_and_below_labels() {
    inside("xsk::ipv6_is_found_behind_tags_in_sessions_and_below_labels", &[], || {
        let mut device = tun::create_tap("tap");
        ip(&["link", "set", "tap", "addrgenmode", "none", "up"]);
        let mut source = only(&LiveConfig { queues: 1, ..config("tap", Backend::AfXdp) });
        let sent = framed(&[&[0x60, 0, 0, 0, 0, 8, 59, 64][..], &[7; 40]].concat());
        sent.iter().for_each(|frame| device.write_all(frame).unwrap());
        let mut heard = Vec::new();
        for _ in 0..POLLS_MAX {
            source.poll(&mut |frames| heard.extend(frames.iter().map(|frame| frame.bytes.to_vec()))).unwrap();
            if heard.len() >= sent.len() {
                break;
            }
        }
        assert_eq!(heard, sent);
    });
}

#[test]
fn a_socket_outlives_its_interface() {
    inside("xsk::a_socket_outlives_its_interface", &[], || {
        super::check_going_and_coming(Backend::AfXdp);
    });
}

#[test]
fn an_interface_that_comes_back_with_other_queues_is_waited_for_and_told() {
    inside("xsk::an_interface_that_comes_back_with_other_queues_is_waited_for_and_told", &[], || {
        veth::create();
        let mut source = only(&sockets(1));
        let mut seen = Seen::default();
        ip(&["link", "del", "far"]);
        assert!(seen.poll_until(&mut *source, |_, source| !source.is_up()));
        veth::create_wide("2");
        let told = |_: &Seen, source: &mut dyn Source| source.describe().contains("receives on 2 queues");
        assert!(seen.poll_until(&mut *source, told), "{}", source.describe());
        ip(&["link", "del", "far"]);
        veth::create();
        assert!(seen.poll_until(&mut *source, |_, source| source.is_up()), "{}", source.describe());
        seen.send_until_seen(&mut *source, 0);
    });
}

#[test]
fn a_dead_captures_queue_is_free_at_once() {
    inside("xsk::a_dead_captures_queue_is_free_at_once", &[], || {
        veth::create();
        for _ in 0..5 {
            let mut source = only(&sockets(1));
            let mut seen = Seen::default();
            seen.send_until_seen(&mut *source, 0);
        }
    });
}

#[test]
fn what_cannot_be_captured_on_is_told_with_the_cure() {
    inside("xsk::what_cannot_be_captured_on_is_told_with_the_cure", &[], || {
        let _device = tun::create("tunnel");
        let error = refusal(&LiveConfig { promiscuous: false, ..config("tunnel", Backend::AfXdp) });
        assert!(matches!(error, Error::Config { .. }), "{error}");
        assert!(error.to_string().contains("with the backend af_packet"), "{error}");
        let missing = refusal(&config("no-such", Backend::AfXdp));
        assert!(matches!(missing, Error::NoSuchInterface { .. }), "{missing}");
    });
}

#[test]
fn without_the_privilege_to_load_programs_the_cure_is_told() {
    let without = ["setpriv", "--bounding-set", "-bpf,-sys_admin", "--inh-caps", "-all"];
    inside("xsk::without_the_privilege_to_load_programs_the_cure_is_told", &without, || {
        veth::create();
        let error = refusal(&sockets(1)).to_string();
        assert!(error.contains("failed to load its program") && error.contains("CAP_BPF"), "{error}");
    });
}
