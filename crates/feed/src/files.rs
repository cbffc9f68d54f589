//! The files of a feed, besides its head: the whole state, and what leads from one to another.

use std::sync::{Arc, Mutex, PoisonError};

use credence_credit::Authority;
use credence_law::Signed;
use credence_law::layout::{DecodeError, Fault, Input, Layout, fields, in_order};
use credence_law::party::Party;
use credence_prefix::Prefix;

use crate::each::each;
use crate::head::FileRef;
use crate::pack::{pack, pack_shard, unpack, unpack_shard};
use crate::reject::Reject;
use crate::row::Row;
use crate::rules::Rulebook;
use crate::shard::{self, Shard};
use crate::state::{Loose, Parts, State};

/// What the list of a snapshot unpacks to at most, in bytes.
const SNAPSHOT_MAX: usize = 1 << 26;
/// A shard of more rows than that is unpacked while no other such is: on the way to its pages it takes three times their memory.
const LARGE: u32 = 1 << 18;
/// What a delta unpacks to at most, in bytes.
const DELTA_MAX: usize = 1 << 28;

/// A list that can be longer than 65,535 items: its count in four bytes, and the items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Many<T>(pub Vec<T>);

/// Memory grows with the items that are there, never with the count that is claimed.
impl<T: Layout> Layout for Many<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.0.len() as u32).put(out);
        self.0.iter().for_each(|item| item.put(out));
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let count = u32::take(input)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::take(input)?);
        }
        Ok(Self(items))
    }
}

fields! {
    /// Where an issuer's rows are.
    pub struct ShardRef {
        /// Whose they are.
        pub party: Party,
        /// The manifest that states them.
        pub manifest: Signed,
        /// How many there are.
        pub count: u32,
        /// The file.
        pub file: FileRef,
    }

    /// The list of all that a state is made of.
    pub struct SnapshotList {
        /// The issuers, in order.
        pub shards: Many<ShardRef>,
        /// The acts that travel by themselves, in the order of their places.
        pub loose: Many<Loose>,
    }

    /// What has changed of an issuer.
    pub struct ShardDelta {
        /// Whose rows.
        pub party: Party,
        /// The manifest that states them now.
        pub manifest: Signed,
        /// The number of pages now, as a power of two.
        pub bits: u8,
        /// Rows that are new, or say something else, in order.
        pub put: Many<Row>,
        /// Rows that are there no more, in order.
        pub gone: Many<(Prefix, Authority)>,
    }

    /// What leads from one state to another, and from each between: what is in it replaces what is there, and what goes need not
    /// be there.
    pub struct Delta {
        /// The serial of the first that it leads from.
        pub from: u64,
        /// The serial of the other.
        pub to: u64,
        /// Issuers of which something has changed, in order.
        pub shards: Many<ShardDelta>,
        /// Issuers that state nothing any more, in order.
        pub left: Many<Party>,
        /// Places of acts that travel by themselves no more, in order.
        pub gone: Many<u64>,
        /// Acts that travel by themselves now, in the order of their places.
        pub put: Many<Loose>,
    }
}

/// Shards' files, by the digests of their rows.
pub type Packed = Vec<([u8; 32], Vec<u8>)>;

impl SnapshotList {
    /// The list of a state, and its shards' files. Those that `kept` knows by the digest of their rows are not packed again.
    pub fn of(state: &State, mut kept: impl FnMut(&[u8; 32]) -> Option<FileRef>) -> (Self, Packed) {
        let (mut shards, mut files) = (Vec::new(), Vec::new());
        for (party, manifest, shard) in state.issued() {
            let digest = shard.digest();
            let file = kept(&digest).unwrap_or_else(|| {
                let bytes = pack_shard(shard);
                let file = FileRef::of(&bytes);
                files.push((digest, bytes));
                file
            });
            shards.push(ShardRef { party, manifest: manifest.clone(), count: shard.len(), file });
        }
        (Self { shards: Many(shards), loose: Many(state.loose().cloned().collect()) }, files)
    }

    /// Its file.
    pub fn encode(&self) -> Vec<u8> {
        pack(&self.to_bytes())
    }

    /// Reads what [`encode`](Self::encode) has written.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(file: &[u8]) -> Result<Self, Reject> {
        let list = Self::from_bytes(&unpack(file, SNAPSHOT_MAX)?)?;
        in_order(&list.shards.0, |shard| shard.party).map_err(|_| Reject::Order)?;
        in_order(&list.loose.0, |loose| loose.place).map_err(|_| Reject::Order)?;
        Ok(list)
    }

    /// The state, whose shards' files `read` has. It is checked at `at`, in Unix seconds; what `before` has checked is not checked
    /// again.
    ///
    /// # Errors
    /// When a file is missing or another one, or something does not stand.
    pub fn build<'f>(
        self,
        rules: &Arc<Rulebook>,
        before: Option<&State>,
        read: impl FnMut(&FileRef) -> Option<&'f [u8]>,
        at: u64,
    ) -> Result<State, Reject> {
        State::check(rules, self.parts(read)?, before, at)
    }

    /// What the state is made of, whose shards' files `read` has; not checked yet.
    ///
    /// # Errors
    /// When a file is missing or another one.
    pub fn parts<'f>(self, mut read: impl FnMut(&FileRef) -> Option<&'f [u8]>) -> Result<Parts, Reject> {
        let found = self.shards.0.into_iter().map(|shard| {
            let bytes = read(&shard.file).ok_or(Reject::Hash)?;
            Ok((shard, bytes))
        });
        let found: Vec<_> = found.collect::<Result<_, Reject>>()?;
        let large = Mutex::new(());
        let issued = each(found.into_iter(), |(ShardRef { party, manifest, count, file }, bytes)| {
            file.check(bytes)?;
            let _one = (count > LARGE).then(|| large.lock().unwrap_or_else(PoisonError::into_inner));
            Ok::<_, Reject>((party, (manifest, unpack_shard(bytes, count)?)))
        });
        let loose = self.loose.0.into_iter().map(|one| (one.place, one)).collect();
        Ok(Parts { issued: issued?.into_iter().collect(), loose })
    }
}

impl Delta {
    /// What leads from one state to another one, of the next version.
    pub fn between((from, old): (u64, &State), (to, new): (u64, &State)) -> Self {
        Self::of_parts((from, &old.parts()), (to, &new.parts()))
    }

    /// The same of what states are made of.
    pub(crate) fn of_parts((from, before): (u64, &Parts), (to, after): (u64, &Parts)) -> Self {
        let changed = |party: &Party, shard: &Shard| match before.issued.get(party) {
            Some((_, known)) => known.changes_to(shard),
            None => Shard::default().changes_to(shard),
        };
        let is_new = |party: &Party, manifest: &Signed| {
            before.issued.get(party).is_none_or(|(known, _)| known != manifest)
        };
        let shards = after.issued.iter().filter(|(party, (manifest, _))| is_new(party, manifest));
        let shards = shards.map(|(party, (manifest, shard))| {
            let shard::Changes { put, gone } = changed(party, shard);
            ShardDelta {
                party: *party,
                manifest: manifest.clone(),
                bits: shard.bits(),
                put: Many(put),
                gone: Many(gone),
            }
        });
        let left = before.issued.keys().filter(|party| !after.issued.contains_key(party)).copied();
        let gone = before.loose.iter().filter(|(place, one)| after.loose.get(place) != Some(one));
        let put = after.loose.iter().filter(|(place, one)| before.loose.get(place) != Some(one));
        Self {
            from,
            to,
            shards: Many(shards.collect()),
            left: Many(left.collect()),
            gone: Many(gone.map(|(place, _)| *place).collect()),
            put: Many(put.map(|(_, one)| one.clone()).collect()),
        }
    }

    /// Its file.
    pub fn encode(&self) -> Vec<u8> {
        pack(&self.to_bytes())
    }

    /// Reads what [`encode`](Self::encode) has written.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(file: &[u8]) -> Result<Self, Reject> {
        let delta = Self::from_bytes(&unpack(file, DELTA_MAX)?)?;
        let ordered = in_order(&delta.shards.0, |shard| shard.party)
            .and_then(|()| in_order(&delta.left.0, |party| *party))
            .and_then(|()| in_order(&delta.gone.0, |place| *place))
            .and_then(|()| in_order(&delta.put.0, |loose| loose.place));
        ordered.map_err(|_: Fault| Reject::Order)?;
        Ok(delta)
    }

    /// Changes the parts of a state that has this serial. Whether what comes of it is the state that was meant says its root.
    ///
    /// # Errors
    /// When it does not lead on from there, or what comes of it is none.
    pub fn apply(self, known: u64, parts: &mut Parts) -> Result<(), Reject> {
        if !(self.from..self.to).contains(&known) {
            return Err(Reject::Base { from: self.from, known });
        }
        self.left.0.iter().for_each(|party| drop(parts.issued.remove(party)));
        let issued = &parts.issued;
        let changed = each(self.shards.0.into_iter(), |ShardDelta { party, manifest, bits, put, gone }| {
            let before = issued.get(&party).map_or_else(Shard::default, |(_, shard)| shard.clone());
            let next = before.changed(shard::Changes { put: put.0, gone: gone.0 }, bits)?;
            Ok::<_, Reject>((party, (manifest, next)))
        });
        parts.issued.extend(changed?);
        self.gone.0.iter().for_each(|place| drop(parts.loose.remove(place)));
        parts.loose.extend(self.put.0.into_iter().map(|one| (one.place, one)));
        Ok(())
    }
}
