//! What the tests share: a loaded program, records of every kind, frames.

use credence_credit::guard::NeverBlock;
use credence_credit::{
    Authority, Cache, EvidenceClass, Guards, Header, Issuer, IssuerId, Measure, Rating, Reason, Record,
    Snapshot,
};
use credence_enforce::{LoadError, Moment, Policy, Rate, Records, Setup, Xdp};
use credence_prefix::Prefix;

/// The wall clock of the tests: records end a little before and after.
pub(crate) const NOW_S: u64 = 1_000_000;

/// Limiters that let everything pass.
pub(crate) const WIDE: Rate = Rate { bytes_per_s: 1 << 50, burst_bytes: 1 << 50 };

/// The moment of the tests is now: what is over at that second is over.
pub(crate) fn now() -> Moment {
    Moment { unix_s: NOW_S, boot_ns: credence_enforce::boot_ns() }
}

/// The program with this setup and policy, alive for as long as the test takes; none where it may not be loaded.
pub(crate) fn loaded(setup: &Setup, policy: &Policy) -> Option<(Xdp, Records)> {
    match Xdp::load(setup) {
        Ok((xdp, records)) => {
            xdp.control().set(policy);
            xdp.control().beat(u64::MAX / 2);
            Some((xdp, records))
        }
        Err(LoadError::Object(error)) => {
            let skip = std::env::var_os("CREDENCE_SKIP_PRIVILEGED").is_some_and(|value| value == "1");
            assert!(skip, "{error}; set CREDENCE_SKIP_PRIVILEGED=1 to do without these tests");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A setup for some ten thousand records.
pub(crate) fn small() -> Setup {
    Setup { records: 1 << 16, limiters: 1 << 10, rate: WIDE, copies: 1 << 8, ..Setup::default() }
}

/// The cache of one list, whose guards spare nobody.
pub(crate) fn cache(snapshots: Vec<Snapshot>) -> Cache {
    Cache::build(snapshots, &Guards::new(NeverBlock::new([]))).unwrap()
}

/// A record that asks for this, lasts for an hour, and is an operator's own.
pub(crate) fn record(prefix: &str, measure: Measure) -> Record {
    Record {
        prefix: prefix.parse().unwrap(),
        rating: Rating::Unrated,
        measure,
        reasons: Reason::Listed.into(),
        issuer: IssuerId(0),
        evidence: EvidenceClass::Declared,
        authority: Authority::OperatorList,
        signatures: 0,
        expires: NOW_S + 3_600,
        act: None,
    }
}

/// A snapshot of these records.
pub(crate) fn snapshot(mut list: Vec<Record>) -> Snapshot {
    let key = |record: &Record| (record.prefix, record.authority);
    list.sort_by_key(key);
    list.dedup_by_key(|record| key(record));
    Snapshot::new(Header::default(), vec![Issuer::new("test").unwrap()], list).unwrap()
}

/// Pseudo-random numbers, the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `most`, which is at most 2^32.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        ((self.0 >> 32) * most) >> 32
    }

    /// One of these.
    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// Nested, scattered and crowded prefixes, with every authority, measure and evidence, over before, at and after now.
pub(crate) fn any_snapshot(random: &mut Random, records: usize) -> Snapshot {
    let sites = 1 + random.below(200);
    let any = (0..records).map(|_| {
        let site = (0x2a00 + u128::from(random.below(3))) << 112 | u128::from(random.below(sites)) << 80;
        let inside =
            u128::from(random.below(4)) << 64 | u128::from(random.below(1 << 20)) << (random.below(5) * 10);
        let len = random.of(&[29, 32, 40, 48, 52, 56, 60, 64, 64, 80, 96, 112, 127, 128, 128, 128]);
        Record {
            prefix: Prefix::containing(site | inside, len),
            measure: random.of(&Measure::ALL),
            evidence: random.of(&[EvidenceClass::Declared, EvidenceClass::Unconfirmed]),
            authority: random.of(&[
                Authority::OperatorList,
                Authority::OwnAlert,
                Authority::Decision,
                Authority::Restriction,
            ]),
            signatures: random.below(4) as u16,
            expires: NOW_S - 2 + random.below(5),
            ..record("::/0", Measure::None)
        }
    });
    snapshot(any.collect())
}

/// Every edge of every record: where a prefix begins and ends, and beside it.
pub(crate) fn edges(cache: &Cache) -> Vec<u128> {
    let around = |(_, record): (u32, Record)| {
        let (first, last) = (record.prefix.first(), record.prefix.last());
        [first, last, first.wrapping_sub(1), last.wrapping_add(1), first | 1]
    };
    cache.iter().flat_map(around).collect()
}

/// An address by its text.
pub(crate) fn address(text: &str) -> u128 {
    text.parse::<std::net::Ipv6Addr>().unwrap().to_bits()
}

/// An Ethernet frame of an IPv6 packet with this next header and payload.
pub(crate) fn frame(source: u128, destination: u128, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend([next, 64]);
    frame.extend(source.to_be_bytes());
    frame.extend(destination.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A TCP segment without data.
pub(crate) fn segment(source: u128) -> Vec<u8> {
    frame(source, address("3fff::1"), 6, &[0; 20])
}
