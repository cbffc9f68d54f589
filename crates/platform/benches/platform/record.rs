//! The institution's own record, over a book that nobody has signed.

use std::time::{Duration, Instant};

use credence_credit::{ActId, EvidenceClass, Learned, Measure, Rating};
use credence_law::acts::{
    Block, Claim, Correction, Decision, Finding, Ground, Opinion, OwnAlert, Preamble, Purpose, Report, Source,
};
use credence_law::party::{MemberId, Party};
use credence_law::{Accepted, Act, Book, Law};
use credence_platform::desk::Desk;
use credence_platform::example::{Place, make_world};
use credence_prefix::Prefix;

const NOW: u64 = 1_800_000_000;
/// How often it is computed.
const TIMES: usize = 9;

/// Tells how long the record takes of a book of so many acts: of alerts with a report, an opinion and a decision among each
/// hundred and a correction among each thousand; and of reports alone, which is the worst there is.
pub(crate) fn record(acts: u64) {
    let directory = tempfile::tempdir().unwrap();
    let (world, entries) = make_world(&Place::new(directory.path()), NOW).unwrap();
    let mut desk = Desk::begin(&entries[0], world).unwrap();
    entries[1..].iter().for_each(|entry| desk.replay(entry).unwrap());
    let law = desk.law().unwrap();
    measure(law, "mixed", acts, mixed);
    measure(law, "reports", acts, |number| report(number).into());
}

fn measure(law: &Law, what: &str, acts: u64, act: fn(u64) -> Act) {
    let mut book = Book::default();
    (0..acts).for_each(|number| {
        book.enter(Accepted { id: id(number), act: act(number), signatures: 1, keys: Vec::new(), at: NOW });
    });
    let mut took: Vec<Duration> = (0..TIMES)
        .map(|_| {
            let begin = Instant::now();
            let record = book.institution(law, NOW + 60);
            assert!(record.reports.open + record.reports.decided > 0);
            begin.elapsed()
        })
        .collect();
    took.sort_unstable();
    let ms = |place: usize| took[place].as_secs_f64() * 1e3;
    println!("record/{what}: {acts} acts in {:.1} ms, median {:.1} ms", ms(0), ms(TIMES / 2));
}

fn id(number: u64) -> ActId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    ActId(id)
}

fn mixed(number: u64) -> Act {
    match number % 100 {
        50 => report(number).into(),
        51 => {
            let (preamble, reports) = (preamble(Party::Adviser(0), number), vec![id(number - 1)]);
            Opinion { preamble, reports, finding: Finding::Supports, reasons: [0; 32] }.into()
        }
        52 => decision(number).into(),
        53 if number % 1_000 < 100 => {
            let (preamble, corrects) = (preamble(Party::Body, number), id(number - 1));
            Correction { preamble, corrects, ground: Ground::Error, replacement: None }.into()
        }
        _ => OwnAlert {
            preamble: preamble(Party::Member(MemberId(1)), number),
            claim: claim(number),
            rating: Rating::Unrated,
            measure: Measure::RateLimit,
        }
        .into(),
    }
}

fn report(number: u64) -> Report {
    Report { preamble: preamble(Party::Member(MemberId(1)), number), claim: claim(number) }
}

fn decision(number: u64) -> Decision {
    Decision {
        preamble: preamble(Party::Body, number),
        claim: claim(number),
        rating: Rating::Unrated,
        measure: Measure::RateLimit,
        sources: vec![Source { report: id(number - 2), author: [0; 32] }],
        opinion: id(number - 1),
    }
}

fn preamble(issuer: Party, number: u64) -> Preamble {
    let (issued, expires, purpose) = (NOW, NOW + 30 * 86_400, Purpose::Warning);
    Preamble { issuer, number, issued, expires, registry: 1, purpose }
}

fn claim(number: u64) -> Claim {
    let prefix = Prefix::containing(0x2001_0db8 << 96 | u128::from(number) << 64, 64);
    Claim {
        subject: Block { prefix, learned: Learned::Default },
        item: 1,
        catalogue: 1,
        standard: 1,
        evidence: EvidenceClass::Confirmed,
        seen_from: NOW,
        seen_until: NOW,
        commitment: [0; 32],
        repeats: None,
    }
}
