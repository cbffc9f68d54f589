//! A feed made for the bundled capture: some thousand records about addresses for documentation (RFC 3849,
//! RFC 9637), a few of which speak of sources that are in it, so that every verdict is seen.
//!
//! They stand as the operator's own list, since guards let no signed feed act on addresses that nobody holds.

use credence_credit::{
    Authority, EvidenceClass, Header, Issuer, IssuerId, Measure, Rating, Reason, Reasons, Record, Score,
    Snapshot,
};
use credence_prefix::Prefix;

/// The subscribers of the capture.
pub(super) const OWN: Prefix = Prefix::containing(0x2001_0db8_c000 << 80, 36);

/// Records about sources that never come: as a feed mostly is.
const BYSTANDERS: u16 = 4_000;

/// How long records last, in seconds: a day, longer than any tour.
const LIFETIME_S: u64 = 86_400;

/// Records about sources of the capture, by prefix.
const CAST: [(u128, u8, u16, Measure, Reason); 6] = [
    // The port scanner.
    (0x3fff_0666_0001_0002 << 64, 64, 60, Measure::Drop, Reason::Scanning),
    // Visitors of the customer's web server, from networks with a history.
    (0x3fff_0200_0004 << 80, 48, 180, Measure::RateLimit, Reason::SpamSource),
    (0x3fff_0200_0005 << 80, 48, 340, Measure::Mark, Reason::CredentialAttack),
    // The far end of the tunnel.
    (0x3fff_0077 << 96, 48, 450, Measure::Observe, Reason::Listed),
    // A web site of the world that has long been clean.
    (0x3fff_0100_0000 << 80, 48, 930, Measure::Incentive, Reason::CleanRecord),
    // All of the world beyond the gate: too wide for anyone to limit, so that it is shown and never enforced.
    (0x3fff << 112, 20, 100, Measure::RateLimit, Reason::Listed),
];

/// The feed at `now` (Unix seconds).
///
/// # Errors
/// When it breaks a rule of snapshots, which is a mistake of this file.
pub(super) fn snapshot(now: u64) -> anyhow::Result<Snapshot> {
    let issuers = vec![Issuer::new("example coordinating body")?, Issuer::new("made-up feed of the tour")?];
    let own_list = |prefix, score, measure, reason| -> anyhow::Result<Record> {
        Ok(Record {
            prefix,
            rating: Rating::of(Score::new(score)?),
            measure,
            reasons: Reasons::NONE.with(reason),
            issuer: IssuerId(1),
            evidence: EvidenceClass::Declared,
            authority: Authority::OperatorList,
            signatures: 0,
            expires: now.saturating_add(LIFETIME_S),
            act: None,
        })
    };
    let mut records = Vec::with_capacity(usize::from(BYSTANDERS) + CAST.len() + 1);
    for (bits, len, score, measure, reason) in CAST {
        records.push(own_list(Prefix::containing(bits, len), score, measure, reason)?);
    }
    for number in 0..BYSTANDERS {
        let prefix = Prefix::containing((0x3fff_0a00 << 96) | u128::from(number) << 80, 48);
        // Scores spread over the scale: the step shares no factor with its length.
        let score = (number % 1001).wrapping_mul(37) % 1001;
        records.push(own_list(prefix, score, measure_of(score), Reason::Listed)?);
    }
    // A signed decision about such addresses is kept from acting, whatever it says.
    records.push(Record {
        authority: Authority::Decision,
        issuer: IssuerId(0),
        evidence: EvidenceClass::Confirmed,
        signatures: 2,
        ..own_list(Prefix::containing(0x3fff_0200_0003 << 80, 48), 90, Measure::Drop, Reason::BotnetControl)?
    });
    records.sort_unstable_by_key(|record| (record.prefix, record.authority, record.issuer));
    Ok(Snapshot::new(Header { session: 0, serial: 0, created: now }, issuers, records)?)
}

/// What a list asks for at a score.
const fn measure_of(score: u16) -> Measure {
    match score {
        ..100 => Measure::Drop,
        100..200 => Measure::RateLimit,
        200..350 => Measure::Mark,
        350..500 => Measure::Observe,
        500..800 => Measure::None,
        _ => Measure::Incentive,
    }
}

#[cfg(test)]
mod tests {
    use credence_credit::{Cache, Guards, KeepReason};

    use super::*;

    #[test]
    fn the_feed_is_sound_and_all_but_two_records_may_act() {
        let cache = Cache::build(vec![snapshot(1_000_000).unwrap()], &Guards::default()).unwrap();
        assert_eq!(cache.len(), 4_007);
        assert_eq!(cache.kept(KeepReason::TooWide), 1);
        assert_eq!(cache.kept(KeepReason::Documentation), 1);
        assert!(cache.iter().all(|(_, record)| record.is_live(1_000_000 + LIFETIME_S - 1)));
        for measure in Measure::ALL {
            assert!(cache.iter().any(|(_, record)| record.measure == measure), "{measure:?}");
        }
    }
}
