use credence_law::Signed;
use credence_law::party::{MemberId, Party};
use proptest::prelude::*;

use crate::files::Delta;
use crate::row::Row;
use crate::shard::Shard;
use crate::shard::tests::any_rows;
use crate::state::{Loose, Parts};

/// Something signed that is told from others by a number.
fn signed(number: u64) -> Signed {
    Signed::with(number.to_be_bytes().to_vec(), [])
}

/// What becomes of an issuer from one version to the next: it stays as it is, states these rows, or states nothing any more.
type Move = Option<Option<Vec<Row>>>;

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![Just(None), Just(Some(None)), any_rows(60).prop_map(|rows| Some(Some(rows)))]
}

/// What becomes of three issuers, and of acts by their places: 0 for one that goes.
type Moves = ([Move; 3], Vec<(u64, u64)>);
/// An issuer with what signs its rows, and the digest of those.
type Told = (Party, Signed, [u8; 32]);

/// The versions that some moves of three issuers and some acts that come and go lead to, from one with nothing in it on.
fn versions(moves: Vec<Moves>) -> Vec<Parts> {
    let mut versions = vec![Parts::default()];
    for ((issuers, acts), number) in moves.into_iter().zip(1_u64..) {
        let mut next = versions[versions.len() - 1].clone();
        for (issuer, id) in issuers.into_iter().zip(1_u16..) {
            let party = Party::Member(MemberId(id));
            match issuer {
                None => {}
                Some(None) => drop(next.issued.remove(&party)),
                Some(Some(rows)) => {
                    let before = next.issued.remove(&party).map_or_else(Shard::default, |(_, shard)| shard);
                    let shard = before.followed_by(&rows).unwrap();
                    next.issued.insert(party, (signed(number << 16 | u64::from(id)), shard));
                }
            }
        }
        for (place, act) in acts {
            if act == 0 {
                next.loose.remove(&place);
            } else {
                next.loose.insert(place, Loose { place, accepted: act, signed: signed(act) });
            }
        }
        versions.push(next);
    }
    versions
}

/// All that tells one version from another.
fn told(parts: &Parts) -> (Vec<Told>, Vec<Loose>) {
    let issued =
        parts.issued.iter().map(|(party, (manifest, shard))| (*party, manifest.clone(), shard.digest()));
    (issued.collect(), parts.loose.values().cloned().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Wherever one is inside a roll-up, it leads to what its deltas lead to one after the other, however they were put together, and
    /// after a way through its file.
    #[test]
    fn a_roll_up_leads_from_each_version_inside_it_to_what_its_deltas_lead_to(
        moves in prop::collection::vec(
            ([any_move(), any_move(), any_move()], prop::collection::vec((0_u64..6, 0_u64..4), 0..4)),
            2..7,
        ),
        cut: prop::sample::Index,
    ) {
        let versions = versions(moves);
        let last = versions.len() - 1;
        let numbered = |place: usize| (place as u64, &versions[place]);
        let steps: Vec<Delta> =
            (0..last).map(|place| Delta::of_parts(numbered(place), numbered(place + 1))).collect();
        let rolled = |steps: &[Delta]| steps.iter().cloned().reduce(|one, next| one.then(next).unwrap());
        let whole = rolled(&steps).unwrap();
        let (head, tail) = steps.split_at(cut.index(last));
        let halved = [head, tail].into_iter().filter_map(rolled).reduce(|one, next| one.then(next).unwrap());
        prop_assert_eq!(halved.as_ref(), Some(&whole));
        let file = whole.encode();
        for place in 0..last {
            let mut singly = versions[place].clone();
            for (step, known) in steps.iter().cloned().zip(0..).skip(place) {
                step.apply(known, &mut singly).unwrap();
            }
            let mut at_once = versions[place].clone();
            Delta::decode(&file).unwrap().apply(place as u64, &mut at_once).unwrap();
            prop_assert_eq!(told(&at_once), told(&singly));
            prop_assert_eq!(told(&at_once), told(&versions[last]));
        }
        prop_assert!(whole.clone().apply(last as u64, &mut versions[last].clone()).is_err(), "it leads nowhere from there");
        prop_assert!(last < 2 || steps[0].clone().then(whole).is_err(), "they do not follow each other");
    }
}
