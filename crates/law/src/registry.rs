//! Who the members are, what they hold, and which keys speak for whom.

use std::collections::{BTreeSet, HashMap};

use credence_credit::ActId;
use credence_prefix::Prefix;
use ed25519_dalek::VerifyingKey;

use crate::layout::{Text, fields, in_order};
use crate::party::{Function, KeyId, MemberId, Party};

fields! {
    /// A public key, for one function and a time.
    pub struct Key {
        /// What it may sign.
        pub function: Function,
        /// The Ed25519 public key.
        pub public: [u8; 32],
        /// From when it is valid, in Unix seconds.
        pub from: u64,
        /// Until when, in Unix seconds.
        pub until: u64,
    }

    /// Addresses that a member holds.
    pub struct Holding {
        /// The addresses.
        pub prefix: Prefix,
        /// The length of what one subscriber gets, where the member says so.
        pub delegated: Option<u8>,
    }

    /// A member: an organisation that its side has designated to answer for address space.
    pub struct Member {
        /// Its number.
        pub id: MemberId,
        /// What it is called.
        pub name: Text,
        /// The organisation. Seats of one organisation count once.
        pub organisation: Text,
        /// Until when it is designated, in Unix seconds.
        pub mandate_until: u64,
        /// Where its subjects complain.
        pub complaints: Text,
        /// Its keys.
        pub keys: Vec<Key>,
        /// What it holds, in order.
        pub holdings: Vec<Holding>,
    }

    /// Somebody with a duty who is no member.
    pub struct Office {
        /// The organisation.
        pub organisation: Text,
        /// Its keys.
        pub keys: Vec<Key>,
    }

    /// The register of members at one moment.
    pub struct Registry {
        /// Its number; each version's is one more than that of the version before.
        pub version: u32,
        /// The version before; none for the first.
        pub previous: Option<ActId>,
        /// The members in the order of their numbers.
        pub members: Vec<Member>,
        /// Those who give opinions; an adviser's number is its place.
        pub advisers: Vec<Office>,
        /// Who carries out standing rules.
        pub executive: Office,
        /// Who runs the platform.
        pub operator: Office,
        /// How many seats must sign a decision.
        pub quorum: u16,
        /// How many advisers must sign an opinion.
        pub advice_quorum: u16,
        /// How many of the operator's keys must sign what heads a feed.
        pub operation_quorum: u16,
        /// Keys that somebody else may have, in order. What they signed counts no more, whenever that was.
        pub revoked: Vec<KeyId>,
    }
}

/// The fewest seats that can decide: with less, one member and a friend could.
pub const QUORUM_MIN: u16 = 3;

/// Why a registry cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The members are not in the order of their numbers.
    #[error("member {} comes twice or out of order", .0.0)]
    Order(MemberId),
    /// The revoked keys are not in order.
    #[error("the revoked keys are out of order, or one comes twice")]
    Revoked,
    /// A key is none.
    #[error("a key of {0} is no Ed25519 public key")]
    Key(Party),
    /// A key has a function that its owner has not.
    #[error("{party} cannot have a key for {}", .function.name())]
    Function {
        /// Whose key it is.
        party: Party,
        /// For what.
        function: Function,
    },
    /// A key stands in the registry twice.
    #[error("key {0} comes twice; each function of each party needs a key of its own")]
    Shared(KeyId),
    /// Two duties that must be apart are one organisation's.
    #[error("{0} has two duties that must be apart: opinions, execution, operation")]
    Duties(Text),
    /// Two members hold the same prefix.
    #[error("{0} is held twice")]
    Holding(Prefix),
    /// A holding is longer than what it is said to be handed out in.
    #[error("{0} cannot be handed out in longer pieces of /{1}")]
    Delegated(Prefix, u8),
    /// Too few seats decide.
    #[error(
        "{quorum} of {seats} organisations are no quorum: at least {QUORUM_MIN} and more than half must decide"
    )]
    Quorum {
        /// Seats that must sign.
        quorum: u16,
        /// Organisations with a seat.
        seats: usize,
    },
    /// A feed's head takes no key, or more than there are.
    #[error("{quorum} of the operator's {keys} keys cannot sign what heads a feed")]
    Operation {
        /// Keys that must sign.
        quorum: u16,
        /// Keys.
        keys: usize,
    },
    /// Too few advisers make an opinion, or more than there are.
    #[error("{quorum} of {advisers} advisers cannot give an opinion")]
    Advice {
        /// Advisers that must sign.
        quorum: u16,
        /// Advisers.
        advisers: usize,
    },
}

/// A key that speaks for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// For whom.
    pub party: Party,
    /// For what.
    pub function: Function,
    /// From when, in Unix seconds.
    from: u64,
    /// Until when, in Unix seconds.
    until: u64,
}

impl Speaker {
    /// Whether it is valid at `now`, in Unix seconds.
    pub const fn is_valid(&self, now: u64) -> bool {
        self.from <= now && now < self.until
    }
}

/// A registry whose rules hold, made ready for questions.
#[derive(Debug)]
pub struct Register {
    registry: Registry,
    speakers: HashMap<KeyId, (VerifyingKey, Speaker)>,
    /// All holdings in order, with the members' numbers.
    holdings: Vec<(Holding, MemberId)>,
}

impl Register {
    /// Makes a registry ready.
    ///
    /// # Errors
    /// When it is at odds with itself: the first thing that is found.
    pub fn new(registry: Registry) -> Result<Self, RegistryError> {
        check_members(&registry)?;
        check_duties(&registry)?;
        check_quorum(&registry)?;
        let speakers = speakers(&registry)?;
        let holdings = holdings(&registry)?;
        Ok(Self { registry, speakers, holdings })
    }

    /// What it was made of.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The member of that number.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        let place = self.registry.members.binary_search_by_key(&id, |member| member.id).ok()?;
        Some(&self.registry.members[place])
    }

    /// Whether a key was revoked.
    pub fn is_revoked(&self, key: KeyId) -> bool {
        self.registry.revoked.binary_search(&key).is_ok()
    }

    /// Whose key that is.
    pub fn speaker(&self, key: KeyId) -> Option<(VerifyingKey, Speaker)> {
        self.speakers.get(&key).copied()
    }

    /// The holding that all of `prefix` lies in, and whose it is: the most specific one.
    pub fn holder(&self, prefix: Prefix) -> Option<(&Holding, MemberId)> {
        let mut within = prefix;
        loop {
            let behind = self.holdings.partition_point(|(held, _)| held.prefix <= within);
            let (held, id) = self.holdings.get(behind.checked_sub(1)?)?;
            if held.prefix.covers(prefix) {
                return Some((held, *id));
            }
            // Whatever covers it covers its neighbour as well, and what both have in common.
            within = prefix.common(held.prefix);
        }
    }

    /// Whether another member holds a part of `prefix`, which is `holder`'s as a whole.
    pub fn is_shared(&self, prefix: Prefix, holder: MemberId) -> bool {
        let first = self.holdings.partition_point(|(held, _)| held.prefix < prefix);
        let inside = self.holdings[first..].iter().take_while(|(held, _)| prefix.covers(held.prefix));
        inside.into_iter().any(|(_, id)| *id != holder)
    }

    /// How many organisations some parties are: those of one organisation count once.
    pub fn organisations(&self, members: impl IntoIterator<Item = MemberId>) -> usize {
        let names = members.into_iter().filter_map(|id| self.member(id)).map(|member| &member.organisation);
        names.collect::<BTreeSet<_>>().len()
    }
}

fn check_members(registry: &Registry) -> Result<(), RegistryError> {
    let late = registry.members.windows(2).find(|pair| pair[0].id >= pair[1].id);
    late.map_or(Ok(()), |pair| Err(RegistryError::Order(pair[1].id)))?;
    in_order(&registry.revoked, |key| *key).map_err(|_| RegistryError::Revoked)
}

/// That whoever gives opinions, carries out and operates are different organisations.
fn check_duties(registry: &Registry) -> Result<(), RegistryError> {
    let Registry { advisers, executive, operator, .. } = registry;
    let mut seen = BTreeSet::new();
    for office in advisers.iter().chain([executive, operator]) {
        if !seen.insert(&office.organisation) {
            return Err(RegistryError::Duties(office.organisation.clone()));
        }
    }
    Ok(())
}

fn check_quorum(registry: &Registry) -> Result<(), RegistryError> {
    let seats: BTreeSet<_> = registry.members.iter().map(|member| &member.organisation).collect();
    let (quorum, seats) = (registry.quorum, seats.len());
    if quorum < QUORUM_MIN || usize::from(quorum) * 2 <= seats || usize::from(quorum) > seats {
        return Err(RegistryError::Quorum { quorum, seats });
    }
    let (quorum, advisers) = (registry.advice_quorum, registry.advisers.len());
    if quorum == 0 || usize::from(quorum) > advisers {
        return Err(RegistryError::Advice { quorum, advisers });
    }
    let (quorum, keys) = (registry.operation_quorum, registry.operator.keys.len());
    if quorum == 0 || usize::from(quorum) > keys {
        return Err(RegistryError::Operation { quorum, keys });
    }
    Ok(())
}

/// All keys with their owners.
fn keys(registry: &Registry) -> impl Iterator<Item = (Party, &Key)> {
    let members = registry.members.iter().map(|member| (Party::Member(member.id), &member.keys));
    let advisers = (0..).zip(&registry.advisers).map(|(place, office)| (Party::Adviser(place), &office.keys));
    let offices = [(Party::Executive, &registry.executive.keys), (Party::Operator, &registry.operator.keys)];
    members.chain(advisers).chain(offices).flat_map(|(party, keys)| keys.iter().map(move |key| (party, key)))
}

fn speakers(registry: &Registry) -> Result<HashMap<KeyId, (VerifyingKey, Speaker)>, RegistryError> {
    let mut speakers = HashMap::new();
    for (party, key) in keys(registry) {
        let id = KeyId::of(&key.public);
        if !key.function.belongs_to(party) {
            return Err(RegistryError::Function { party, function: key.function });
        }
        let public = VerifyingKey::from_bytes(&key.public).ok().filter(|public| !public.is_weak());
        let public = public.ok_or(RegistryError::Key(party))?;
        let speaker = Speaker { party, function: key.function, from: key.from, until: key.until };
        if speakers.insert(id, (public, speaker)).is_some() {
            return Err(RegistryError::Shared(id));
        }
    }
    Ok(speakers)
}

fn holdings(registry: &Registry) -> Result<Vec<(Holding, MemberId)>, RegistryError> {
    let of_members = registry.members.iter().map(|member| (member.id, &member.holdings));
    let mut all: Vec<_> =
        of_members.flat_map(|(id, held)| held.iter().map(move |holding| (holding.clone(), id))).collect();
    all.sort_by_key(|(held, _)| held.prefix);
    if let Some(pair) = all.windows(2).find(|pair| pair[0].0.prefix == pair[1].0.prefix) {
        return Err(RegistryError::Holding(pair[0].0.prefix));
    }
    for (held, _) in &all {
        if let Some(delegated) = held.delegated.filter(|len| !(held.prefix.len()..=128).contains(len)) {
            return Err(RegistryError::Delegated(held.prefix, delegated));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::world::{NOW, held, registry, text};

    fn refused(change: impl FnOnce(&mut Registry)) -> RegistryError {
        let mut registry = registry();
        change(&mut registry);
        Register::new(registry).unwrap_err()
    }

    #[test]
    fn a_registry_at_odds_with_itself_is_refused() {
        let id = MemberId;
        assert_eq!(refused(|it| it.members.swap(0, 1)), RegistryError::Order(id(1)));
        assert_eq!(refused(|it| it.revoked = vec![KeyId([1; 16]); 2]), RegistryError::Revoked);
        let key = RegistryError::Key(Party::Member(id(2)));
        assert_eq!(refused(|it| it.members[1].keys[0].public = [0; 32]), key, "a point of small order");
        let (party, function) = (Party::Executive, Function::Votes);
        assert_eq!(
            refused(|it| it.executive.keys[0].function = function),
            RegistryError::Function { party, function }
        );
        let shared = refused(|it| it.members[1].keys[0].public = it.members[0].keys[1].public);
        assert!(matches!(shared, RegistryError::Shared(_)), "{shared}");
        let duties = refused(|it| it.operator.organisation = it.advisers[2].organisation.clone());
        assert_eq!(duties, RegistryError::Duties(text("institute 2")));
        let twice = refused(|it| it.members[4].holdings.push(held("2a00:1::/32", None)));
        assert_eq!(twice, RegistryError::Holding("2a00:1::/32".parse().unwrap()));
        let longer = refused(|it| it.members[4].holdings[0].delegated = Some(31));
        assert_eq!(longer, RegistryError::Delegated("2a00:5::/32".parse().unwrap(), 31));
        for (quorum, ok) in [(0, false), (2, false), (3, true), (5, true), (6, false)] {
            let mut registry = registry();
            registry.quorum = quorum;
            assert_eq!(Register::new(registry).is_ok(), ok, "{quorum} of 5");
        }
        for (quorum, ok) in [(0, false), (1, true), (3, true), (4, false)] {
            let mut registry = registry();
            registry.advice_quorum = quorum;
            assert_eq!(Register::new(registry).is_ok(), ok, "{quorum} of 3");
        }
        for (quorum, ok) in [(0, false), (1, true), (2, false)] {
            let mut registry = registry();
            registry.operation_quorum = quorum;
            assert_eq!(Register::new(registry).is_ok(), ok, "{quorum} of 1");
        }
        let seats = refused(|it| {
            let one = it.members[0].organisation.clone();
            it.members.iter_mut().for_each(|member| member.organisation = one.clone());
        });
        assert_eq!(seats, RegistryError::Quorum { quorum: 3, seats: 1 });
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// However holdings lie in each other, the search finds what asking each of them does.
        #[test]
        fn a_holder_is_who_holds_the_longest_cover(
            all in proptest::collection::btree_set((0_u32..64, 26_u8..=32), 0..40), asked in (0_u32..64, 26_u8..=40),
        ) {
            let prefix = |(bits, len): (u32, u8)| Prefix::containing(0x2a00 << 112 | u128::from(bits) << 96, len);
            let all: BTreeSet<_> = all.into_iter().map(prefix).collect();
            let holdings: Vec<_> = (0..).zip(all).map(|(id, prefix)| (Holding { prefix, delegated: None }, MemberId(id))).collect();
            let register = Register { holdings: holdings.clone(), ..Register::new(registry()).unwrap() };
            let asked = prefix(asked);
            let covers = holdings.iter().filter(|(held, _)| held.prefix.covers(asked));
            let expected = covers.max_by_key(|(held, _)| held.prefix.len()).map(|(held, id)| (held, *id));
            prop_assert_eq!(register.holder(asked), expected);
        }
    }

    #[test]
    fn the_most_specific_holding_of_all_of_a_prefix_is_its_holders() {
        let register = Register::new(registry()).unwrap();
        let holder = |prefix: &str| register.holder(prefix.parse().unwrap()).map(|(_, id)| id.0);
        assert_eq!(holder("2a00:1::/32"), Some(1));
        assert_eq!(holder("2a00:1:ff00::/40"), Some(2));
        assert_eq!(holder("2a00:1:ff01::/48"), Some(2));
        assert_eq!(holder("2a00:1:fe00::/39"), Some(1), "a part of it is another's");
        assert_eq!(holder("2a00:0::/31"), None);
        assert_eq!(holder("2a01::/32"), None);
        let shared = |prefix: &str| register.is_shared(prefix.parse().unwrap(), MemberId(1));
        assert!(shared("2a00:1::/32") && shared("2a00:1:fe00::/39") && !shared("2a00:1:fe00::/40"));
    }

    /// The search by length and the one that looks at everything find the same.
    #[test]
    fn the_holder_is_the_one_that_a_search_of_all_holdings_finds() {
        let registry = registry();
        let all: Vec<_> = registry
            .members
            .iter()
            .flat_map(|member| member.holdings.iter().map(|held| (held.prefix, member.id)))
            .collect();
        let register = Register::new(registry).unwrap();
        let mut state = 1_u64;
        let mut found = 0;
        for _ in 0..20_000 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let (base, _) = all[(state >> 40) as usize % all.len()];
            let noise = u128::from(state >> 16) << ((state >> 8) as u32 % 96);
            let prefix = Prefix::containing(base.first() ^ noise, 28 + (state >> 33) as u8 % 40);
            let covering =
                all.iter().filter(|(held, _)| held.covers(prefix)).max_by_key(|(held, _)| held.len());
            assert_eq!(register.holder(prefix).map(|(_, id)| id), covering.map(|(_, id)| *id), "{prefix}");
            found += usize::from(covering.is_some());
        }
        assert!((1_000..19_000).contains(&found), "{found}");
    }

    #[test]
    fn keys_speak_for_their_owners_in_their_time() {
        let register = Register::new(registry()).unwrap();
        let key = register.registry().members[2].keys[1].clone();
        let (public, speaker) = register.speaker(KeyId::of(&key.public)).unwrap();
        assert_eq!((public.to_bytes(), speaker.party), (key.public, Party::Member(MemberId(3))));
        assert_eq!(speaker.function, key.function);
        assert!(speaker.is_valid(NOW) && speaker.is_valid(key.from) && !speaker.is_valid(key.until));
        assert_eq!(register.speaker(KeyId([0; 16])), None);
    }
}
