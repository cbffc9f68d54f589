//! Link layers above the outermost IPv6 header: the kernel's program finds it wherever the parser does.

use credence_credit::Measure;
use credence_enforce::{Policy, Reason};
use credence_wire::{Limits, Link, parse};

use crate::world::{Random, address, cache, loaded, now, record, segment, small, snapshot};

/// What an Ethernet header's type field names, and what lies behind it.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    kind: u16,
    bytes: Vec<u8>,
}

impl Typed {
    /// What lies behind the addresses of an Ethernet frame; none of a frame that is shorter than its header.
    pub(crate) fn of_frame(frame: &[u8]) -> Option<Self> {
        let kind = frame.get(12..14)?;
        Some(Self { kind: u16::from_be_bytes([kind[0], kind[1]]), bytes: frame[14..].to_vec() })
    }

    /// With these bytes before it and its type between.
    fn behind(&self, kind: u16, head: &[u8]) -> Self {
        let bytes = [head, &self.kind.to_be_bytes(), &self.bytes].concat();
        Self { kind, bytes }
    }

    /// As a whole frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        self.behind(0, &[2; 12]).bytes
    }

    /// As a frame behind other bytes.
    fn frame_behind(&self, kind: u16, head: &[u8]) -> Self {
        Self { kind, bytes: [head, &self.frame()].concat() }
    }

    fn vlan(&self, kind: u16) -> Self {
        self.behind(kind, &[0, 7])
    }

    /// In LLC and SNAP, whose type field is a length.
    fn snap(&self, organisation: [u8; 3]) -> Self {
        let mut head = vec![0xaa, 0xaa, 3];
        head.extend(organisation);
        self.behind(0, &head).by_length()
    }

    /// As a frame that is bridged by SNAP.
    fn bridged_by_snap(&self) -> Self {
        self.frame_behind(0, &[0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7]).by_length()
    }

    fn by_length(self) -> Self {
        Self { kind: self.bytes.len() as u16, ..self }
    }

    /// Below so many labels: an IPv6 packet as it is, anything else as a frame behind a control word.
    fn mpls(&self, kind: u16, labels: usize) -> Self {
        let mut bytes = [0, 1, 0, 64].repeat(labels.saturating_sub(1));
        bytes.extend([0, 1, 1, 64]);
        if self.kind == 0x86dd {
            bytes.extend(&self.bytes);
        } else {
            bytes.extend([0; 4]);
            bytes.extend(self.frame());
        }
        Self { kind, bytes }
    }

    /// In a session with this framing of PPP before the protocol: an IPv6 packet by its own, anything else by Cisco's HDLC.
    fn pppoe(&self, framing: &[u8]) -> Self {
        let mut inside = framing.to_vec();
        if self.kind == 0x86dd {
            inside.extend([0, 0x57]);
        } else {
            inside = vec![0x0f, 0];
            inside.extend(self.kind.to_be_bytes());
        }
        inside.extend(&self.bytes);
        let len = (inside.len() as u16).to_be_bytes();
        Self { kind: 0x8864, bytes: [&[0x11, 0, 0, 7, len[0], len[1]][..], &inside].concat() }
    }

    /// Under MACsec with these control bits, and the integrity check value behind it.
    fn macsec(&self, control: u8) -> Self {
        let head = [control, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        let channel = if control & 0x20 == 0 { 6 } else { 14 };
        let mut typed = self.behind(0x88e5, &head[..channel]);
        typed.bytes.extend([0xee; 16]);
        typed
    }

    /// Inside one link layer more.
    fn wrapped(&self, random: &mut Random) -> Self {
        match random.below(9) {
            0 | 1 => self.vlan(random.of(&[0x8100, 0x88a8, 0x9100, 0x9200])),
            2 => self.mpls(random.of(&[0x8847, 0x8848]), 1 + random.below(5) as usize),
            3 => self.pppoe(random.of(&[&[][..], &[0xff, 3]])),
            4 => self.snap(random.of(&[[0, 0, 0], [0, 0, 0xf8]])),
            5 => self.bridged_by_snap(),
            6 => self.frame_behind(0x6558, &[]),
            7 => self.frame_behind(0x8903, &[0, 1]),
            _ => self.macsec(random.of(&[0, 0x20, 0x0c])),
        }
    }
}

/// Inside up to ten link layers, which is more than are read; now and then with a byte that is wrong.
pub(crate) fn nested(random: &mut Random, inner: &Typed) -> Vec<u8> {
    let layers = random.of(&[0, 0, 1, 1, 2, 3, 5, 10]);
    let mut frame = (0..layers).fold(inner.clone(), |typed, _| typed.wrapped(random)).frame();
    if random.below(8) == 0 {
        let at = random.below((frame.len() - inner.bytes.len()) as u64) as usize;
        frame[at] ^= 1 << random.below(8);
    }
    frame
}

/// Frames by name.
type Named = Vec<(&'static str, Typed)>;

/// Those whose IPv6 packet is found, and those in which there is none, or none that is looked for so deep.
fn cases(packet: &Typed) -> (Named, Named) {
    let times =
        |count: usize, wrap: &dyn Fn(&Typed) -> Typed| (0..count).fold(packet.clone(), |t, _| wrap(&t));
    let ppp = |head: &[u8]| Typed { kind: 0x880b, bytes: [head, &packet.bytes].concat() };
    let found = vec![
        ("as it is", packet.clone()),
        ("802.1Q", packet.vlan(0x8100)),
        ("802.1ad", packet.vlan(0x8100).vlan(0x88a8)),
        ("tags of before 802.1ad", packet.vlan(0x9100).vlan(0x9200)),
        ("eight tags", times(8, &|t| t.vlan(0x8100))),
        ("SNAP", packet.snap([0, 0, 0])),
        ("SNAP of a bridge tunnel", packet.snap([0, 0, 0xf8])),
        ("SNAP behind a tag", packet.snap([0, 0, 0]).vlan(0x8100)),
        ("bridged by SNAP", packet.bridged_by_snap()),
        ("one label", packet.mpls(0x8847, 1)),
        ("a label of multicast", packet.mpls(0x8848, 1)),
        ("eight labels", packet.mpls(0x8847, 8)),
        ("labels behind tags", packet.mpls(0x8847, 6).vlan(0x8100).vlan(0x88a8)),
        ("a pseudowire", packet.vlan(0x8100).mpls(0x8847, 2)),
        ("PPPoE", packet.pppoe(&[])),
        ("PPPoE with address and control", packet.pppoe(&[0xff, 3])),
        ("PPPoE behind two tags", packet.pppoe(&[]).vlan(0x8100).vlan(0x88a8)),
        ("PPPoE in a pseudowire", packet.pppoe(&[]).mpls(0x8847, 2)),
        ("Cisco's HDLC in PPPoE", packet.vlan(0x8100).pppoe(&[])),
        ("PPP with a short protocol", ppp(&[0x57])),
        ("PPP with framing and a short protocol", ppp(&[0xff, 3, 0x57])),
        ("Cisco's HDLC", ppp(&[0x0f, 0, 0x86, 0xdd])),
        ("Cisco's HDLC for many", ppp(&[0x8f, 0, 0x86, 0xdd])),
        ("labels in PPP", ppp(&[0x02, 0x81, 0, 1, 1, 64])),
        ("bridged Ethernet", packet.frame_behind(0x6558, &[])),
        ("bridged eight times", times(8, &|t| t.frame_behind(0x6558, &[]))),
        ("FabricPath", packet.frame_behind(0x8903, &[0, 1])),
        ("MACsec", packet.macsec(0)),
        ("MACsec with its channel", packet.macsec(0x20)),
        ("MACsec behind a tag", packet.macsec(0).vlan(0x8100)),
    ];
    let other = vec![
        ("nine tags", times(9, &|t| t.vlan(0x8100))),
        ("nine labels", packet.mpls(0x8847, 9)),
        ("seven labels behind two tags", packet.mpls(0x8847, 7).vlan(0x8100).vlan(0x88a8)),
        ("bridged nine times", times(9, &|t| t.bridged_by_snap())),
        ("bridged a hundred times", times(100, &|t| t.frame_behind(0x6558, &[]))),
        ("MACsec that hides it", packet.macsec(0x0c)),
        ("a length that ends before it", Typed { kind: 20, ..packet.snap([0, 0, 0]) }),
        ("SNAP of another organisation", packet.snap([0, 0, 0x0c])),
        ("another protocol of PPP", ppp(&[0xc0, 0x21])),
        ("discovery of PPPoE", Typed { kind: 0x8863, ..packet.pppoe(&[]) }),
        ("a reserved number of the type field", Typed { kind: 1_501, ..packet.snap([0, 0, 0]) }),
        ("a label without an end", Typed { kind: 0x8847, bytes: vec![0, 1, 0, 64] }),
        ("nothing below a label", Typed { kind: 0x8847, bytes: vec![0, 1, 1, 64] }),
        ("half a tag", Typed { kind: 0x8100, bytes: vec![0, 7] }),
    ];
    (found, other)
}

#[test]
fn a_listed_source_is_found_below_every_link_layer_that_the_parser_reads() {
    let Some((mut xdp, mut records)) = loaded(&small(), &Policy { sample: 0, ..Policy::default() }) else {
        return;
    };
    let counts = xdp.counts().unwrap();
    records.publish(&cache(vec![snapshot(vec![record("2001:db8::/32", Measure::Drop)])]), now()).unwrap();
    let source = address("2001:db8::1");
    let (found, other) = cases(&Typed::of_frame(&segment(source)).unwrap());
    for (name, typed) in &found {
        let frame = typed.frame();
        let packet = parse(Link::Ethernet, &frame, frame.len() as u32, &Limits::default());
        assert_eq!(packet.map(|packet| packet.outer.src), Ok(source), "{name}, by the parser");
        assert!(!xdp.passes(&frame).unwrap(), "{name}");
    }
    for (name, typed) in &other {
        let frame = typed.frame();
        let packet = parse(Link::Ethernet, &frame, frame.len() as u32, &Limits::default());
        assert!(packet.is_err(), "{name}, by the parser");
        assert!(xdp.passes(&frame).unwrap(), "{name}");
    }
    assert_eq!(counts.of(Measure::Drop, Reason::Listed).unwrap().packets, found.len() as u64);
    assert_eq!(counts.of(Measure::None, Reason::NotIpv6).unwrap().packets, other.len() as u64);
    let (found, _) = cases(&Typed::of_frame(&segment(address("2a00::1"))).unwrap());
    for (name, typed) in found {
        assert!(xdp.passes(&typed.frame()).unwrap(), "{name}, of another source");
    }
}

/// Behind five tags the header begins further in the frame than thirty-two bytes.
#[test]
fn a_marked_packet_gets_its_code_point_below_any_link_layer() {
    let policy = Policy { dscp: Some(0b10_1110), ..Policy::default() };
    let Some((mut xdp, mut records)) = loaded(&small(), &policy) else { return };
    records.publish(&cache(vec![snapshot(vec![record("2001:db8::/32", Measure::Mark)])]), now()).unwrap();
    let packet = Typed::of_frame(&segment(address("2001:db8::1"))).unwrap();
    let mut marked = packet.clone();
    (marked.bytes[0], marked.bytes[1]) = (0x60 | 0b1011, 0b1000_0000);
    let (found, expected) = (cases(&packet).0, cases(&marked).0);
    for ((name, sent), (_, expected)) in found.into_iter().zip(expected) {
        assert_eq!(xdp.carried(&sent.frame()).unwrap(), Some(expected.frame()), "{name}");
    }
}
