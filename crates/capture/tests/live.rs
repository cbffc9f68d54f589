//! Captures on interfaces made for the purpose, each in a network namespace of its own.
//!
//! These tests need root and the program `ip`. Without them they fail and say so, unless the variable
//! `CREDENCE_SKIP_PRIVILEGED` is 1.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that unwraps fails with a place and a cause")]

#[path = "live/fanout.rs"]
mod fanout;
#[path = "live/namespace.rs"]
mod namespace;
#[path = "live/tun.rs"]
mod tun;
#[path = "live/veth.rs"]
mod veth;
#[path = "live/xsk.rs"]
mod xsk;

use std::collections::HashSet;
use std::io::Write;
use std::process::Command;
use std::thread;

use credence_capture::{BATCH_FRAMES, Backend, Error, LiveConfig, Poll, Source, live};

use namespace::{inside, ip};

/// How often an idle source is polled before a test gives up: some 5 seconds.
const POLLS_MAX: usize = 500;

fn config(interface: &str, backend: Backend) -> LiveConfig {
    LiveConfig { backend, ignore_outgoing: true, ..LiveConfig::new(interface) }
}

/// Opens the only source of a configuration.
fn only(config: &LiveConfig) -> Box<dyn Source> {
    let mut sources = live(config).unwrap();
    assert_eq!(sources.len(), 1);
    sources.remove(0)
}

/// The error with which a capture is refused.
fn refusal(config: &LiveConfig) -> Error {
    live(config).err().expect("this capture cannot work")
}

/// What a source has delivered.
#[derive(Default)]
struct Seen {
    /// All frames.
    frames: u64,
    /// The source ports and numbers of the datagrams among them.
    datagrams: Vec<(u16, u32)>,
    last_ts_ns: u64,
}

impl Seen {
    /// Polls once, and checks what holds for every frame of an Ethernet interface.
    fn poll(&mut self, source: &mut dyn Source) -> Result<Poll, Error> {
        source.poll(&mut |frames| {
            assert!((1..=BATCH_FRAMES).contains(&frames.len()));
            for frame in frames {
                self.frames += 1;
                assert_eq!((frame.number, frame.linktype), (self.frames, 1));
                assert_eq!(frame.wire_len as usize, frame.bytes.len());
                assert!(frame.ts_ns >= self.last_ts_ns, "time runs on");
                self.last_ts_ns = frame.ts_ns;
                self.datagrams.extend(veth::datagram(frame));
            }
        })
    }

    /// Polls until `done` or for too long, and returns whether it was done.
    fn poll_until(&mut self, source: &mut dyn Source, done: impl Fn(&Self, &mut dyn Source) -> bool) -> bool {
        let mut idle = 0;
        while !done(self, source) {
            match self.poll(source).unwrap() {
                Poll::Idle => idle += 1,
                Poll::Frames => idle = 0,
                Poll::End => panic!("an interface does not end"),
            }
            if idle == POLLS_MAX {
                return false;
            }
        }
        true
    }

    fn poll_until_datagrams(&mut self, source: &mut dyn Source, count: usize) {
        let done = self.poll_until(source, |seen, _| seen.datagrams.len() >= count);
        assert!(done, "{} of {count} datagrams", self.datagrams.len());
    }

    /// Sends datagrams with the numbers from `first` on, one by one, until one of them comes. The far end of
    /// a pair that was down takes up to a second to be told that it has a carrier again.
    fn send_until_seen(&mut self, source: &mut dyn Source, first: u32) {
        for number in (first..).take(POLLS_MAX) {
            veth::send(number, 1);
            self.poll(source).unwrap();
            if self.datagrams.iter().any(|(_, number)| *number >= first) {
                return;
            }
        }
        panic!("none of {POLLS_MAX} datagrams came");
    }
}

/// Polls sources in turn until they have delivered `count` datagrams together.
fn poll_all(sources: &mut [Box<dyn Source>], count: usize) -> Vec<Seen> {
    let mut seen: Vec<Seen> = sources.iter().map(|_| Seen::default()).collect();
    let all = |seen: &[Seen]| seen.iter().map(|seen| seen.datagrams.len()).sum::<usize>();
    for _ in 0..POLLS_MAX {
        for (source, seen) in sources.iter_mut().zip(&mut seen) {
            seen.poll(&mut **source).unwrap();
        }
        if all(&seen) >= count {
            break;
        }
    }
    assert_eq!(all(&seen), count);
    seen
}

#[test]
fn a_ring_delivers_every_datagram_once_in_order() {
    inside("a_ring_delivers_every_datagram_once_in_order", &[], || {
        const COUNT: u32 = 10_000;
        veth::create();
        let mut source = only(&config("far", Backend::AfPacket));
        let sender = thread::spawn(|| veth::send_in_steps(COUNT));
        let mut seen = Seen::default();
        let accounted = |seen: &Seen, source: &mut dyn Source| {
            seen.datagrams.len() as u64 + source.kernel_drops() >= u64::from(COUNT)
        };
        assert!(seen.poll_until(&mut *source, accounted), "{} datagrams", seen.datagrams.len());
        let ports = sender.join().unwrap();

        let drops = source.kernel_drops();
        println!("received {} datagrams, lost {drops}", seen.datagrams.len());
        assert_eq!(seen.datagrams.len() as u64 + drops, u64::from(COUNT));
        assert!(seen.datagrams.iter().all(|(from, _)| ports.contains(from)));
        assert!(seen.datagrams.windows(2).all(|pair| pair[0].1 < pair[1].1), "each once, in order");
        assert!(seen.last_ts_ns > 1_700_000_000_000_000_000, "the kernel's time is that of today");
    });
}

#[test]
fn a_full_ring_counts_what_it_loses() {
    inside("a_full_ring_counts_what_it_loses", &[], || {
        veth::create();
        let small = LiveConfig { block_bytes: 8192, blocks: 2, ..config("far", Backend::AfPacket) };
        // The kernel says something itself on a new interface, and may do so while the source is opened.
        let before = veth::received("far");
        let mut source = only(&small);
        let opened = veth::received("far");
        veth::send_in_steps(10_000);

        // The interface's own count is the judge: each frame was delivered or counted as lost.
        let mut seen = Seen::default();
        let accounted = |seen: &Seen, source: &mut dyn Source| {
            let received = veth::received("far");
            (received - opened..=received - before).contains(&(seen.frames + source.kernel_drops()))
        };
        assert!(seen.poll_until(&mut *source, accounted), "{} and {}", seen.frames, source.kernel_drops());
        let drops = source.kernel_drops();
        assert!(seen.frames > 0 && drops > 9_000, "{drops}");
        assert_eq!(source.kernel_drops(), drops, "reading the count does not change it");

        veth::send(20_000, 20);
        let goes_on =
            |seen: &Seen, _: &mut dyn Source| seen.datagrams.iter().any(|(_, number)| *number >= 20_000);
        assert!(seen.poll_until(&mut *source, goes_on), "a ring goes on once it has been emptied");
    });
}

#[test]
fn outgoing_frames_are_left_out_on_request_only() {
    inside("outgoing_frames_are_left_out_on_request_only", &[], || {
        veth::create();
        let mut without = only(&config("near", Backend::AfPacket));
        let mut with = only(&LiveConfig { ignore_outgoing: false, ..config("near", Backend::AfPacket) });
        veth::send(0, 10);
        Seen::default().poll_until_datagrams(&mut *with, 10);
        let mut seen = Seen::default();
        for _ in 0..10 {
            seen.poll(&mut *without).unwrap();
        }
        assert_eq!(seen.datagrams, []);
    });
}

/// Takes the interface down and up again, and then away and back, twice.
fn check_going_and_coming(backend: Backend) {
    veth::create();
    let mut source = only(&config("far", backend));
    let mut seen = Seen::default();
    veth::send(0, 5);
    seen.poll_until_datagrams(&mut *source, 5);
    assert!(source.is_up());

    ip(&["link", "set", "far", "down"]);
    assert!(seen.poll_until(&mut *source, |_, source| !source.is_up()), "the interface went down");
    assert!(source.describe().contains("the interface is down"), "{}", source.describe());
    assert!((0..POLLS_MAX).any(|_| seen.poll(&mut *source).unwrap() == Poll::Idle));
    assert!(!source.is_up(), "what was received before does not make it up");

    ip(&["link", "set", "far", "up"]);
    seen.send_until_seen(&mut *source, 5);
    assert!(source.is_up(), "frames come from an interface that is up");
    assert!(!source.describe().contains("is down"));

    let drops = source.kernel_drops();
    for times in 1..=2 {
        ip(&["link", "del", "far"]);
        assert!(seen.poll_until(&mut *source, |_, source| !source.is_up()), "the interface is gone");
        assert_eq!(source.describe(), "the interface far is gone; capture goes on when it is back");
        assert_eq!(seen.poll(&mut *source).unwrap(), Poll::Idle);

        veth::create();
        // A second, at 10 ms a poll.
        let back = (0..100).any(|_| seen.poll(&mut *source).is_ok() && source.is_up());
        assert!(back, "{}", source.describe());
        seen.send_until_seen(&mut *source, 1_000 * times);
        assert!(source.describe().ends_with(&format!("reopened {times} times")), "{}", source.describe());
    }
    assert!(source.kernel_drops() >= drops, "what was lost before stays counted");

    for mtu in ["9000", "1280", "1500"] {
        ip(&["link", "set", "far", "mtu", mtu]);
        let next = seen.datagrams.last().unwrap().1 + 1;
        seen.send_until_seen(&mut *source, next);
    }
}

#[test]
fn what_came_before_the_interface_went_is_delivered() {
    inside("what_came_before_the_interface_went_is_delivered", &[], || {
        for backend in [Backend::AfPacket, Backend::AfXdp] {
            veth::create();
            let mut source = only(&config("far", backend));
            veth::send(0, 100);
            ip(&["link", "del", "far"]);
            let mut seen = Seen::default();
            assert!(seen.poll_until(&mut *source, |_, source| !source.is_up()));
            assert_eq!(seen.datagrams.len(), 100, "{backend:?}");
        }
    });
}

#[test]
fn a_ring_outlives_a_change_of_its_interfaces_queues() {
    inside("a_ring_outlives_a_change_of_its_interfaces_queues", &[], || {
        veth::create_wide("2");
        let mut source = only(&config("far", Backend::AfPacket));
        let mut seen = Seen::default();
        for (first, queues) in [(0, "1"), (1_000, "2")] {
            let changed = Command::new("ethtool").args(["-L", "far", "rx", queues, "tx", queues]).status();
            assert!(changed.unwrap().success());
            seen.send_until_seen(&mut *source, first);
        }
        assert!(!source.describe().contains("reopened"), "{}", source.describe());
    });
}

#[test]
fn a_ring_outlives_its_interface() {
    inside("a_ring_outlives_its_interface", &[], || {
        check_going_and_coming(Backend::AfPacket);
    });
}

#[test]
fn a_data_link_outlives_its_interface() {
    inside("a_data_link_outlives_its_interface", &[], || {
        check_going_and_coming(Backend::Pnet);
    });
}

#[test]
fn an_interface_that_is_down_is_opened_and_waited_for() {
    inside("an_interface_that_is_down_is_opened_and_waited_for", &[], || {
        veth::create();
        ip(&["link", "set", "far", "down"]);
        let mut source = only(&config("far", Backend::AfPacket));
        let mut seen = Seen::default();
        assert!(seen.poll_until(&mut *source, |_, source| !source.is_up()));
        ip(&["link", "set", "far", "up"]);
        seen.send_until_seen(&mut *source, 0);
        assert!(source.is_up());
    });
}

#[test]
fn the_data_link_delivers_what_arrives_slowly() {
    inside("the_data_link_delivers_what_arrives_slowly", &[], || {
        veth::create();
        let mut source = only(&config("far", Backend::Pnet));
        let described = source.describe();
        assert!(described.starts_with("pnet data link on far (because it was asked for"), "{described}");
        assert!(described.contains("lost frames are not counted"), "{described}");
        assert!(described.contains("outgoing frames are seen all the same"), "{described}");
        // As many as fit in the socket's buffer: what does not is lost without a word.
        let port = veth::send(0, 100);
        let mut seen = Seen::default();
        seen.poll_until_datagrams(&mut *source, 100);
        assert_eq!(seen.datagrams, (0..100).map(|number| (port, number)).collect::<Vec<_>>());
        assert!(seen.last_ts_ns > 1_700_000_000_000_000_000);
        assert_eq!(source.kernel_drops(), 0);
        assert!((0..POLLS_MAX).any(|_| seen.poll(&mut *source).unwrap() == Poll::Idle));
    });
}

#[test]
fn several_data_links_share_the_flows() {
    inside("several_data_links_share_the_flows", &[], || {
        veth::create();
        let mut sources = live(&LiveConfig { queues: 2, ..config("far", Backend::Pnet) }).unwrap();
        for number in 0..32 {
            veth::send(number, 1);
        }
        let mut numbers = HashSet::new();
        for seen in poll_all(&mut sources, 32) {
            assert!(!seen.datagrams.is_empty(), "each has some of the flows");
            assert!(seen.datagrams.iter().all(|(_, number)| numbers.insert(*number)), "none comes twice");
        }
    });
}

#[test]
fn auto_takes_the_ring_and_reads_the_loopback_interface() {
    inside("auto_takes_the_ring_and_reads_the_loopback_interface", &[], || {
        ip(&["link", "set", "lo", "up"]);
        let mut source = only(&LiveConfig::new("lo"));
        let described = source.describe();
        assert_eq!(described, "AF_PACKET ring on lo (64 blocks of 1024 KiB, link type 1)");
        let socket = std::net::UdpSocket::bind("[::1]:0").unwrap();
        socket.send_to(b"to myself", socket.local_addr().unwrap()).unwrap();
        let mut packets = 0;
        for _ in 0..POLLS_MAX {
            let polled = source.poll(&mut |frames| {
                let mine = frames.iter().filter(|frame| frame.bytes.ends_with(b"to myself"));
                packets += mine.filter(|frame| frame.linktype == 1).count();
            });
            if polled.unwrap() == Poll::Idle && packets > 0 {
                break;
            }
        }
        assert_eq!(packets, 2, "once as it leaves and once as it arrives");
    });
}

#[test]
fn a_tun_device_gives_bare_ip_packets() {
    inside("a_tun_device_gives_bare_ip_packets", &[], || {
        let mut device = tun::create("tunnel");
        ip(&["link", "set", "tunnel", "addrgenmode", "none", "up"]);
        // An IPv6 header without anything behind it: next header 59, hop limit 64, from fd00::1 to fd00::2.
        let mut packet = [0; 40];
        (packet[0], packet[6], packet[7]) = (0x60, 59, 64);
        (packet[8], packet[23], packet[24], packet[39]) = (0xfd, 1, 0xfd, 2);
        for backend in [Backend::AfPacket, Backend::Pnet] {
            let mut source = only(&LiveConfig { promiscuous: false, ..config("tunnel", backend) });
            device.write_all(&packet).unwrap();
            let expected = (101, packet.to_vec());
            let mut seen = Vec::new();
            for _ in 0..POLLS_MAX {
                let polled = source.poll(&mut |frames| {
                    seen.extend(frames.iter().map(|frame| (frame.linktype, frame.bytes.to_vec())));
                });
                polled.unwrap();
                if seen.contains(&expected) {
                    break;
                }
            }
            assert!(seen.contains(&expected), "{backend:?}: {seen:?}");
        }
    });
}

#[test]
fn a_tag_that_the_kernel_takes_out_is_in_the_frame_of_a_ring() {
    inside("a_tag_that_the_kernel_takes_out_is_in_the_frame_of_a_ring", &[], || {
        let mut device = tun::create_tap("tap");
        ip(&["link", "set", "tap", "addrgenmode", "none", "up"]);
        let mut source = only(&config("tap", Backend::AfPacket));
        // Broadcast, from a station, with these tags, and a bare IPv6 header behind them.
        let frame = |tags: &[u8]| {
            let addresses = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9];
            let mut packet = [0; 40];
            (packet[0], packet[6], packet[7]) = (0x60, 59, 64);
            [&addresses, tags, &[0x86, 0xdd], &packet].concat()
        };
        let sent = [
            frame(&[]),
            frame(&[0x81, 0x00, 0xa1, 0x23]),
            frame(&[0x88, 0xa8, 0x00, 0x05, 0x81, 0x00, 0x00, 0x06]),
            frame(&[]),
        ];
        for frame in &sent {
            device.write_all(frame).unwrap();
        }
        let mut seen = Vec::new();
        for _ in 0..POLLS_MAX {
            let polled = source.poll(&mut |frames| {
                assert!(frames.iter().all(|frame| frame.wire_len as usize == frame.bytes.len()));
                seen.extend(frames.iter().map(|frame| frame.bytes.to_vec()));
            });
            polled.unwrap();
            if seen.len() >= sent.len() {
                break;
            }
        }
        assert_eq!(seen, sent);
    });
}

#[test]
fn an_interface_of_another_kind_is_told_with_what_to_capture_on_instead() {
    inside("an_interface_of_another_kind_is_told_with_what_to_capture_on_instead", &[], || {
        let _device = tun::create_of_hardware("serial", libc::c_int::from(libc::ARPHRD_PPP));
        for backend in [Backend::Auto, Backend::AfPacket, Backend::Pnet, Backend::AfXdp] {
            let error = refusal(&config("serial", backend));
            assert!(matches!(error, Error::LinkLayer { hardware: libc::ARPHRD_PPP, .. }), "{error}");
            let told = error.to_string();
            assert!(told.contains("serial has hardware type 512") && told.contains("capture on"), "{told}");
        }
    });
}

#[test]
fn without_the_privilege_the_cure_is_named() {
    let without = ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-all"];
    inside("without_the_privilege_the_cure_is_named", &without, || {
        for backend in [Backend::Auto, Backend::AfPacket, Backend::Pnet] {
            let error = refusal(&LiveConfig { backend, ..LiveConfig::new("lo") });
            assert!(matches!(error, Error::Privilege { .. }), "{backend:?}: {error}");
            let program = std::env::current_exe().unwrap();
            let cure = format!("sudo setcap cap_net_raw+ep {}", program.display());
            assert!(error.to_string().contains(&cure), "{error}");
        }
    });
}

#[test]
fn a_missing_interface_is_answered_with_those_of_the_namespace() {
    inside("a_missing_interface_is_answered_with_those_of_the_namespace", &[], || {
        veth::create();
        let message = refusal(&LiveConfig::new("eth7")).to_string();
        assert_eq!(message, "there is no interface eth7: this network namespace has far, lo, near");
    });
}
