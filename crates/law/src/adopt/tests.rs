use ed25519_dalek::SigningKey;

use super::*;
use crate::book::Book;
use crate::catalogue::{Catalogue, Supplement};
use crate::check::Accepted;
use crate::party::MemberId;
use crate::registry::Registry;
use crate::standard::Standard;
use crate::world::{DAY, NOW, draft, key, member, registry, text};

fn root_key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[200 + number; 32])
}

fn root(version: u32, previous: Option<ActId>, keys: core::ops::Range<u8>) -> Root {
    Root {
        version,
        previous,
        name: text("a world"),
        is_example: false,
        keys: keys.map(|number| root_key(number).verifying_key().to_bytes()).collect(),
        threshold: 2,
        expires: NOW + 1_000,
    }
}

fn sign(world: World, rules: Rules, keys: &[SigningKey]) -> Signed {
    Signed::with(Object::new(world, rules).encode(), keys)
}

fn by_root(world: World, rules: Rules) -> Signed {
    sign(world, rules, &[root_key(0), root_key(2)])
}

fn by_members(world: World, rules: Rules, members: &[u16]) -> Signed {
    let keys: Vec<_> = members.iter().map(|&id| key(member(id), Function::Rules, 1)).collect();
    sign(world, rules, &keys)
}

fn first_registry() -> Registry {
    Registry { version: 1, previous: None, ..registry() }
}

fn begun() -> Trust {
    let first = by_root(World::UNBORN, Rules::Root(root(1, None, 0..3)));
    let world = World(act_id(first.bytes()).0);
    Trust::begin(&first, world, NeverBlock::default()).unwrap()
}

/// A world with a registry, a catalogue and a standard.
fn world() -> (Trust, World) {
    let mut trust = begun();
    let world = trust.law.world;
    for rules in [
        Rules::Registry(first_registry()),
        Rules::Catalogue(Catalogue::first()),
        Rules::Standard(Standard::first()),
    ] {
        trust.adopt(&by_root(world, rules), &Book::default(), NOW).unwrap();
    }
    (trust, world)
}

/// The registry that follows, with another quorum.
fn next_registry(trust: &Trust) -> Rules {
    let previous = trust.last.get("registry").copied();
    Rules::Registry(Registry { version: 2, previous, quorum: 4, ..registry() })
}

#[test]
fn a_world_begins_with_the_root_that_was_pinned() {
    let first = by_root(World::UNBORN, Rules::Root(root(1, None, 0..3)));
    let other = World([1; 32]);
    let error = Trust::begin(&first, other, NeverBlock::default()).unwrap_err();
    assert!(error.to_string().contains(&other.to_string()), "{error}");
    let begin = |root: Root, keys: &[SigningKey]| {
        let signed = sign(World::UNBORN, Rules::Root(root), keys);
        Trust::begin(&signed, World(act_id(signed.bytes()).0), NeverBlock::default()).map(drop)
    };
    let both = [root_key(0), root_key(1)];
    assert_eq!(begin(root(1, None, 0..3), &both), Ok(()));
    assert_eq!(begin(root(1, None, 0..3), &both[..1]), Err(Refusal::TooFewSignatures.into()));
    assert_eq!(begin(root(1, None, 5..9), &both), Err(Refusal::TooFewSignatures.into()));
    assert_eq!(begin(root(2, None, 0..3), &both), Err(AdoptError::Succession { due: 1, found: 2 }));
    assert_eq!(begin(Root { threshold: 0, ..root(1, None, 0..3) }, &both), Err(AdoptError::Root));
    assert_eq!(begin(Root { threshold: 4, ..root(1, None, 0..3) }, &both), Err(AdoptError::Root));
    let mut twice = root(1, None, 0..3);
    twice.keys[1] = twice.keys[0];
    assert_eq!(begin(twice, &both), Err(AdoptError::Root), "one key is not two signatures");
}

#[test]
fn a_law_needs_one_rule_of_each_kind_first_signed_by_the_root() {
    let mut trust = begun();
    let world = trust.law.world;
    assert_eq!(trust.law().map(drop), Err(AdoptError::Before("registry")));
    let registry = Rules::Registry(first_registry());
    let alone = by_members(world, registry.clone(), &[1, 2, 3, 4, 5]);
    assert_eq!(
        trust.adopt(&alone, &Book::default(), NOW),
        Err(Refusal::TooFewSignatures.into()),
        "nobody makes himself a member"
    );
    let late = trust.adopt(&by_root(world, registry.clone()), &Book::default(), NOW + 1_000);
    assert_eq!(late, Err(Refusal::TooFewSignatures.into()), "a root that has ended signs nothing");
    trust.adopt(&by_root(world, registry), &Book::default(), NOW).unwrap();
    let standard = by_root(world, Rules::Standard(Standard::first()));
    assert_eq!(trust.adopt(&standard, &Book::default(), NOW), Err(AdoptError::Before("catalogue")));
    trust.adopt(&by_root(world, Rules::Catalogue(Catalogue::first())), &Book::default(), NOW).unwrap();
    trust.adopt(&standard, &Book::default(), NOW).unwrap();
    assert!(trust.law().is_ok());
}

#[test]
fn members_adopt_what_follows_by_two_thirds() {
    let (mut trust, world) = world();
    let next = next_registry(&trust);
    let adopted = |trust: &mut Trust, members: &[u16]| {
        trust.adopt(&by_members(world, next.clone(), members), &Book::default(), NOW)
    };
    assert_eq!(adopted(&mut trust, &[1, 2, 3]), Err(Refusal::TooFewSignatures.into()));
    assert_eq!(trust.law().unwrap().register().registry().quorum, 3, "what was before stays");
    assert_eq!(adopted(&mut trust, &[1, 2, 3, 5]), Ok(()));
    assert_eq!(trust.law().unwrap().register().registry().quorum, 4);
    assert_eq!(adopted(&mut trust, &[1, 2, 3, 5]), Err(AdoptError::Succession { due: 3, found: 2 }));
}

#[test]
fn what_does_not_follow_is_refused() {
    let (mut trust, world) = world();
    let all = [1, 2, 3, 4, 5];
    let refused = |trust: &mut Trust, rules| {
        trust.adopt(&by_members(world, rules, &all), &Book::default(), NOW).unwrap_err()
    };
    let Rules::Registry(next) = next_registry(&trust) else { unreachable!() };
    let forked = Rules::Registry(Registry { previous: Some(ActId([1; 32])), ..next.clone() });
    assert_eq!(refused(&mut trust, forked), AdoptError::Succession { due: 2, found: 2 });
    let skipped = Rules::Registry(Registry { version: 3, ..next.clone() });
    assert_eq!(refused(&mut trust, skipped), AdoptError::Succession { due: 2, found: 3 });
    let broken = Rules::Registry(Registry { quorum: 1, ..next.clone() });
    assert!(matches!(refused(&mut trust, broken), AdoptError::Registry(_)));
    let mut catalogue =
        Catalogue { version: 2, previous: trust.last.get("catalogue").copied(), ..Catalogue::first() };
    catalogue.items.swap(0, 1);
    let catalogue = by_root(world, Rules::Catalogue(catalogue));
    assert_eq!(trust.adopt(&catalogue, &Book::default(), NOW), Err(AdoptError::Rules));
    let elsewhere = by_members(World([9; 32]), Rules::Registry(next), &all);
    assert_eq!(trust.adopt(&elsewhere, &Book::default(), NOW), Err(Refusal::World.into()));
    // An act's key makes no rules.
    let keys: Vec<_> = all.iter().map(|&id| key(member(id), Function::Alerts, 1)).collect();
    let wrong = sign(world, next_registry(&trust), &keys);
    assert_eq!(trust.adopt(&wrong, &Book::default(), NOW), Err(Refusal::WrongSigner.into()));
}

#[test]
fn a_root_is_followed_by_one_that_both_have_signed() {
    let (mut trust, world) = world();
    let next = Rules::Root(root(2, Some(trust.root_id), 2..5));
    let by = |numbers: &[u8]| {
        let keys: Vec<_> = numbers.iter().map(|&number| root_key(number)).collect();
        sign(world, next.clone(), &keys)
    };
    for missing in [&[2, 3][..], &[0, 1], &[3, 4], &[0, 3]] {
        assert_eq!(
            trust.adopt(&by(missing), &Book::default(), NOW),
            Err(Refusal::TooFewSignatures.into()),
            "{missing:?}"
        );
    }
    assert_eq!(
        trust.adopt(&by(&[0, 2, 3]), &Book::default(), NOW),
        Ok(()),
        "one key of both counts for both"
    );
    assert_eq!(trust.root().version, 2);
    let stolen = by_root(world, next_registry(&trust));
    assert!(
        trust.adopt(&stolen, &Book::default(), NOW).is_err(),
        "the keys of the root before sign nothing any more"
    );
}

#[test]
fn a_member_alone_supplements_the_catalogue_for_itself() {
    let (mut trust, world) = world();
    let mut items = vec![Catalogue::first().items[0].clone()];
    items[0].number = crate::catalogue::SUPPLEMENT_FROM;
    let supplement =
        |version| Rules::Supplement(Supplement { member: MemberId(2), version, items: items.clone() });
    let others = by_members(world, supplement(1), &[1]);
    assert_eq!(trust.adopt(&others, &Book::default(), NOW), Err(Refusal::WrongSigner.into()));
    assert_eq!(trust.adopt(&by_members(world, supplement(1), &[2]), &Book::default(), NOW), Ok(()));
    assert_eq!(trust.law.supplements.len(), 1);
    let again = trust.adopt(&by_members(world, supplement(1), &[2]), &Book::default(), NOW);
    assert_eq!(again, Err(AdoptError::Succession { due: 2, found: 1 }));
}

/// What members adopt instead of the first standard is as it was laid open, byte for byte, and not before its time.
#[test]
fn what_members_adopt_was_laid_open_for_comment() {
    const CLOSES: u64 = NOW + 30 * DAY;
    let (mut trust, world) = world();
    let mut book = Book::default();
    let next = Procedure { version: 1, adjudication: 3, ..Procedure::first() };
    let rules = Object::new(world, Rules::Procedure(next.clone())).encode();
    let mut adopted =
        |book: &Book, rules: Rules, at| trust.adopt(&by_members(world, rules, &[1, 2, 3, 4]), book, at);
    let procedure = || Rules::Procedure(next.clone());
    assert_eq!(adopted(&book, procedure(), CLOSES), Err(AdoptError::Comment));
    let draft = crate::acts::Draft { rules, closes: CLOSES, ..draft() };
    let id = Object::new(world, crate::Act::from(draft.clone())).id();
    book.enter(Accepted { id, act: draft.into(), signatures: 1, keys: Vec::new(), at: NOW });
    assert_eq!(adopted(&book, procedure(), CLOSES - 1), Err(AdoptError::Comment));
    let other = Rules::Procedure(Procedure { adjudication: 4, ..next.clone() });
    assert_eq!(adopted(&book, other, CLOSES), Err(AdoptError::Comment), "of other bytes");
    assert_eq!(
        adopted(&book, procedure(), CLOSES + 30 * DAY),
        Err(AdoptError::Comment),
        "the draft has ended"
    );
    assert_eq!(adopted(&book, procedure(), CLOSES), Ok(()));
    let law = trust.law().unwrap();
    assert_eq!((law.procedure(CLOSES).adjudication, law.procedure(CLOSES - 1).adjudication), (3, 14));
    let state = |at| draft::at(law, &book, &id, at).unwrap().state;
    use draft::State;
    assert_eq!(
        (state(NOW), state(CLOSES), state(CLOSES + 90 * DAY)),
        (State::Comment, State::Adopted, State::Adopted)
    );
}
