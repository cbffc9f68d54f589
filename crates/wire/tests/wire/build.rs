//! Packets to read: each function returns the bytes of one layer around those of the next.

pub(crate) const A: u128 = 0x2a00_0001_0000_0000_0000_0000_0000_0001;
pub(crate) const B: u128 = 0x2a00_0002_0000_0000_0000_0000_0000_0002;

pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const DCCP: u8 = 33;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const ESP: u8 = 50;
pub(crate) const AH: u8 = 51;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const NONE: u8 = 59;
pub(crate) const DESTINATION: u8 = 60;
pub(crate) const SCTP: u8 = 132;
pub(crate) const UDP_LITE: u8 = 136;
pub(crate) const SHIM6: u8 = 140;

pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;

/// An IPv6 header with everything that tests vary.
pub(crate) struct Ipv6 {
    pub(crate) src: u128,
    pub(crate) dst: u128,
    pub(crate) hop_limit: u8,
    /// The payload length, when it is not that of the payload.
    pub(crate) len: Option<u16>,
}

pub(crate) const PLAIN: Ipv6 = Ipv6 { src: A, dst: B, hop_limit: 64, len: None };

impl Ipv6 {
    pub(crate) fn carrying(&self, next_header: u8, payload: &[u8]) -> Vec<u8> {
        let len = self.len.unwrap_or(u16::try_from(payload.len()).unwrap());
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(len.to_be_bytes());
        bytes.extend([next_header, self.hop_limit]);
        bytes.extend(self.src.to_be_bytes());
        bytes.extend(self.dst.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    /// With extension headers, whose first bytes are set to what follows them.
    pub(crate) fn chain(&self, headers: &[Ext], proto: u8, upper: &[u8]) -> Vec<u8> {
        let kinds: Vec<u8> = headers.iter().map(|header| header.0).chain([proto]).collect();
        let mut payload = Vec::new();
        for (Ext(_, bytes), next) in headers.iter().zip(&kinds[1..]) {
            payload.push(*next);
            payload.extend(&bytes[1..]);
        }
        payload.extend(upper);
        self.carrying(kinds[0], &payload)
    }
}

pub(crate) fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    PLAIN.carrying(next_header, payload)
}

/// An extension header: its kind, and its bytes with the next header left open.
#[derive(Clone, Debug)]
pub(crate) struct Ext(pub(crate) u8, pub(crate) Vec<u8>);

/// An options header whose options must fill it to a multiple of eight with the two bytes before them.
pub(crate) fn options(kind: u8, options: &[u8]) -> Ext {
    assert_eq!((options.len() + 2) % 8, 0, "options fill the header");
    let mut bytes = vec![0, u8::try_from(options.len() / 8).unwrap()];
    bytes.extend(options);
    Ext(kind, bytes)
}

/// Destination Options with nothing but padding.
pub(crate) fn destination() -> Ext {
    options(DESTINATION, &[1, 4, 0, 0, 0, 0])
}

pub(crate) fn hop_by_hop() -> Ext {
    options(HOP_BY_HOP, &[1, 4, 0, 0, 0, 0])
}

/// A routing header of `units` times eight bytes behind the first eight, which end with `rest`.
pub(crate) fn routing(kind: u8, left: u8, units: u8, rest: [u8; 4]) -> Ext {
    let mut bytes = vec![0, units, kind, left];
    bytes.extend(rest);
    bytes.resize(8 + 8 * usize::from(units), 0x20);
    Ext(ROUTING, bytes)
}

/// A fragment header; the offset in bytes.
pub(crate) fn fragment(offset: u16, more: bool, id: u32) -> Ext {
    let [high, low] = (offset | u16::from(more)).to_be_bytes();
    let mut bytes = vec![0, 0, high, low];
    bytes.extend(id.to_be_bytes());
    Ext(FRAGMENT, bytes)
}

/// An Authentication Header of `(units + 2) * 4` bytes.
pub(crate) fn authentication(units: u8) -> Ext {
    let mut bytes = vec![0, units];
    bytes.resize((usize::from(units) + 2) * 4, 0xaa);
    Ext(AH, bytes)
}

pub(crate) fn shim6() -> Ext {
    Ext(SHIM6, vec![0, 0, 0x80, 1, 2, 3, 4, 5])
}

/// One of each kind that the walk passes.
pub(crate) fn one_of_each() -> [Ext; 6] {
    [hop_by_hop(), destination(), routing(3, 0, 0, [0; 4]), fragment(0, false, 7), authentication(4), shim6()]
}

/// TCP from port 1000 to 80 with four bytes of data.
pub(crate) fn tcp(flags: u8) -> Vec<u8> {
    let mut bytes = vec![0x03, 0xe8, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0x10, 0, 0xab, 0xcd, 0, 0];
    bytes.extend(b"data");
    bytes
}

pub(crate) fn udp(sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
    bytes.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    bytes.extend([0xbe, 0xef]);
    bytes.extend(payload);
    bytes
}

/// SCTP with one chunk of sixteen bytes whose value starts with `initiate_tag`.
pub(crate) fn sctp(verification_tag: u32, chunk: u8, initiate_tag: u32) -> Vec<u8> {
    let mut bytes = vec![0x03, 0xe8, 0, 80];
    bytes.extend(verification_tag.to_be_bytes());
    bytes.extend([1, 2, 3, 4, chunk, 0, 0, 16]);
    bytes.extend(initiate_tag.to_be_bytes());
    bytes.extend([0; 8]);
    bytes
}

pub(crate) fn dccp(kind: u8) -> Vec<u8> {
    vec![0x03, 0xe8, 0, 80, 3, 0, 1, 2, kind << 1, 0, 0, 1, 0, 0, 0, 0]
}

/// ICMPv6 with a body behind type, code and checksum.
pub(crate) fn icmpv6(kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0x12, 0x34];
    bytes.extend(body);
    bytes
}

/// An ICMPv6 error that quotes `packet`.
pub(crate) fn error(packet: &[u8]) -> Vec<u8> {
    icmpv6(1, 4, &[&[0; 4], packet].concat())
}

pub(crate) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0];
    bytes.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    bytes.extend([0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    bytes.extend(payload);
    bytes
}

pub(crate) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    bytes.extend(kind.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A plain TCP packet, which nothing is odd about.
pub(crate) fn plain() -> Vec<u8> {
    ipv6(TCP, &tcp(ACK))
}
