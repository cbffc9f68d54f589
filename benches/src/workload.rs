//! The files that whole programs are compared on: a capture, the first frames of it, and a list of prefixes in the forms
//! that the programs read.
//!
//! The capture holds Ethernet frames of 74 bytes, a microsecond apart: IPv6 and a TCP header without options or data,
//! acknowledging, with a sound checksum, so that nobody may skip a frame as broken or follow it as a handshake. Each flow
//! is one direction of a connection whose other direction takes another way, as asymmetric routing has it. Each flow
//! comes once, in order of its number, and then flows come at random: a million flows of two frames each on average are
//! the worst that a table meets, ten thousand of two hundred frames the everyday.
//!
//! Sources are hosts, each as often as any other. Four in five lie in a listed prefix, each prefix as likely as any
//! other; the fifth is anywhere in `2000::/3`. Destinations are servers of one network, which is on no list. Of the
//! listed prefixes one in eighty is bad, so that about one flow in a hundred comes from a bad source. All bad ones are
//! /48: credence lets no unsigned list act on wider prefixes, and both lists must bring the same alerts.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::Ipv6Addr;
use std::path::Path;

use credence_prefix::Prefix;

use crate::frames::{ethernet, tcp};
use crate::prefixes::{hits, routed, strays};
use crate::random::Random;

/// The capture.
pub const TRAFFIC: &str = "traffic.pcap";
/// The first [`START_FRAMES`] frames of the capture: what a program spends on it, it spends on starting and ending.
pub const START: &str = "start.pcap";
/// The list as a table of `prefix,score,measure`, for credence.
pub const CREDIT: &str = "credit.csv";
/// The list as rows of prefix, category 1 and a reputation from 1 to 127, for Suricata.
pub const REPUTATION: &str = "reputation.list";

/// Frames of the short capture.
pub const START_FRAMES: usize = 4;
/// Servers that flows go to.
const SERVERS: u64 = 4096;
/// The only length of bad prefixes.
const BAD_LEN: u8 = 48;
/// One in so many prefixes of that length is bad: they are some 37 % of a routed table.
const BAD_EVERY: usize = 29;
/// Unix time of the first frame in seconds.
const START_S: u64 = 1_780_000_000;
/// Acknowledgement, the only flag of each segment (RFC 9293, section 3.1).
const ACK: u8 = 0x10;

/// How much of it there is.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Frames of the capture, at least one.
    pub frames: usize,
    /// Flows in the capture, at least one.
    pub flows: usize,
    /// Hosts that flows come from, at least one.
    pub hosts: usize,
    /// Prefixes in the list, at least one.
    pub prefixes: usize,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Workload {
    /// Writes all files into `directory`, replacing what is there under their names.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let prefixes = routed(self.prefixes, self.seed);
        let create = |name: &str| File::create(directory.join(name)).map(BufWriter::new);
        write_credit(create(CREDIT)?, &prefixes)?;
        write_reputation(create(REPUTATION)?, &prefixes)?;
        let traffic = Traffic { hosts: self.hosts(&prefixes), flows: self.flows as u64 };
        traffic.write(create(START)?, START_FRAMES.min(self.frames), self.seed)?;
        traffic.write(create(TRAFFIC)?, self.frames, self.seed)
    }

    /// The hosts, those of listed prefixes among the others.
    fn hosts(&self, prefixes: &[Prefix]) -> Vec<u128> {
        let listed = hits(prefixes, self.hosts, self.seed + 1);
        let strays = strays(self.hosts, self.seed + 2);
        let host = |at: usize| if at.is_multiple_of(5) { strays[at] } else { listed[at] };
        (0..self.hosts).map(host).collect()
    }
}

/// Flows between hosts and servers.
struct Traffic {
    hosts: Vec<u128>,
    flows: u64,
}

impl Traffic {
    /// A pcap file with microseconds, little-endian, of the first `frames` frames.
    fn write(&self, mut out: impl Write, frames: usize, seed: u64) -> io::Result<()> {
        // Magic, version 2.4, time zone, accuracy, longest frame, LINKTYPE_ETHERNET.
        for word in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 0x4_0000, 1] {
            out.write_all(&word.to_le_bytes())?;
        }
        let mut random = Random::new(seed);
        for number in 0..frames as u64 {
            let flow = if number < self.flows { number } else { random.below(self.flows) };
            let frame = self.frame(flow);
            let (seconds, micros) = (START_S + number / 1_000_000, number % 1_000_000);
            for word in [seconds, micros, frame.len() as u64, frame.len() as u64] {
                out.write_all(&(word as u32).to_le_bytes())?;
            }
            out.write_all(&frame)?;
        }
        out.flush()
    }

    /// Each frame of flow `flow`.
    fn frame(&self, flow: u64) -> Vec<u8> {
        let hosts = self.hosts.len() as u64;
        let src = self.hosts[(flow % hosts) as usize];
        let dst = 0x2001_0db8_ffff_u128 << 80 | u128::from(Random::new(flow).below(SERVERS));
        // One host's flows differ by their source ports, from the ephemeral range on (RFC 6335, section 6).
        let sport = 0xc000_u64.wrapping_add(flow / hosts) as u16;
        let mut segment = tcp(sport, 443, 1, 1, ACK);
        let sum = checksum(src, dst, &segment).to_be_bytes();
        segment[16..18].copy_from_slice(&sum);
        ethernet(src, dst, 6, &[], &segment)
    }
}

/// The checksum of a TCP segment of even length whose checksum field is 0 (RFC 9293, section 3.1; RFC 8200, section 8.1).
fn checksum(src: u128, dst: u128, segment: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        bytes.as_chunks().0.iter().map(|&word| u32::from(u16::from_be_bytes(word))).sum()
    };
    let pseudo = words(&src.to_be_bytes()) + words(&dst.to_be_bytes()) + segment.len() as u32 + 6;
    let mut sum = pseudo + words(segment);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// Each prefix, and whether it is bad.
fn marked(prefixes: &[Prefix]) -> impl Iterator<Item = (Prefix, bool)> {
    let mut candidates = 0_usize;
    prefixes.iter().map(move |&prefix| {
        candidates += usize::from(prefix.len() == BAD_LEN);
        (prefix, prefix.len() == BAD_LEN && candidates.is_multiple_of(BAD_EVERY))
    })
}

fn write_credit(mut out: impl Write, prefixes: &[Prefix]) -> io::Result<()> {
    writeln!(out, "prefix,score,measure")?;
    for (prefix, bad) in marked(prefixes) {
        writeln!(out, "{prefix},{}", if bad { "50,rate_limit" } else { "600,none" })?;
    }
    out.flush()
}

fn write_reputation(mut out: impl Write, prefixes: &[Prefix]) -> io::Result<()> {
    for (prefix, bad) in marked(prefixes) {
        let reputation = if bad { 100 } else { 10 };
        writeln!(out, "{}/{},1,{reputation}", Ipv6Addr::from(prefix.first()), prefix.len())?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use credence_capture::{Poll, Source, open};

    use super::*;

    const SMALL: Workload = Workload { frames: 4000, flows: 1000, hosts: 250, prefixes: 800, seed: 1 };

    /// The frames of a capture.
    fn frames(path: &Path) -> Vec<Vec<u8>> {
        let mut source = open(path).expect("a capture");
        let mut all = Vec::new();
        while source.poll(&mut |frames| all.extend(frames.iter().map(|f| f.bytes.to_vec()))).expect("sound")
            != Poll::End
        {}
        all
    }

    fn written(workload: &Workload) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        workload.write(directory.path()).expect("writable");
        directory
    }

    #[test]
    fn every_flow_is_there_and_flows_are_as_many_as_asked_for() {
        let directory = written(&SMALL);
        let all = frames(&directory.path().join(TRAFFIC));
        assert_eq!(all.len(), 4000);
        assert!(all.iter().all(|frame| frame.len() == 74));
        let mut flows: HashMap<Vec<u8>, u32> = HashMap::new();
        for frame in &all {
            *flows.entry(frame[22..58].to_vec()).or_default() += 1;
        }
        assert_eq!(flows.len(), 1000);
        let hosts: std::collections::HashSet<_> = all.iter().map(|frame| &frame[22..38]).collect();
        assert_eq!(hosts.len(), 250);
    }

    #[test]
    fn the_short_capture_is_the_beginning_of_the_long_one() {
        let directory = written(&SMALL);
        let short = frames(&directory.path().join(START));
        assert_eq!(short, frames(&directory.path().join(TRAFFIC))[..START_FRAMES]);
    }

    #[test]
    fn checksums_are_sound() {
        let frame = Traffic { hosts: vec![0x2001_0db8 << 96 | 0xffff], flows: 1 }.frame(0);
        let (src, dst) = (frame[22..38].try_into().unwrap(), frame[38..54].try_into().unwrap());
        // A sum over a segment with its own checksum in place is all ones, whose complement is 0.
        assert_eq!(checksum(u128::from_be_bytes(src), u128::from_be_bytes(dst), &frame[54..]), 0);
        assert_ne!(checksum(u128::from_be_bytes(src), 1, &frame[54..]), 0);
    }

    #[test]
    fn both_lists_name_the_same_prefixes_and_the_same_bad_ones() {
        let directory = written(&SMALL);
        let read = |name| std::fs::read_to_string(directory.path().join(name)).expect("text");
        let credit = read(CREDIT);
        let bad = |line: &str, mark: &str| (line.split(',').next().unwrap().to_owned(), line.contains(mark));
        let ours: Vec<_> = credit.lines().skip(1).map(|line| bad(line, ",50,")).collect();
        let theirs: Vec<_> = read(REPUTATION).lines().map(|line| bad(line, ",100")).collect();
        assert_eq!(ours, theirs);
        let bad = ours.iter().filter(|(_, bad)| *bad).count();
        assert!((5..15).contains(&bad), "{bad} of 800 are bad, not about one in eighty");
        assert!(ours.iter().all(|(prefix, bad)| !bad || prefix.ends_with("/48")));
    }

    #[test]
    fn one_seed_gives_one_set_of_files() {
        let read = |seed| {
            let directory = written(&Workload { seed, ..SMALL });
            [TRAFFIC, CREDIT].map(|name| std::fs::read(directory.path().join(name)).expect("bytes"))
        };
        assert_eq!(read(3), read(3));
        assert_ne!(read(3), read(4));
    }
}
