//! What is in force, checked.
//!
//! Most of it are rows that issuers state in manifests: a handful of signatures for a million records. What is newer than its
//! issuer's manifest, what is contested, and what all members agreed on travels act by act, each with its own signatures, and is
//! judged by the same law as on the platform. An act that nobody's manifest lists counts for an hour after it was made, so that
//! nobody can show it for longer when it was taken back.

mod records;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use credence_credit::ActRef;
use credence_law::acts::Manifest;
use credence_law::layout::{Layout, fields};
use credence_law::party::Party;
use credence_law::{Accepted, Act, Book, Law, Refusal, Signed};
use credence_prefix::Prefix;
use sha2::{Digest, Sha256};

use self::records::Alone;
pub use self::turns::Turn;
use crate::each::each;
use crate::proposal;
use crate::reject::Reject;
use crate::row::Row;
use crate::rules::Rulebook;
use crate::shard::Shard;
use crate::tree;

/// How long an act counts that no manifest of its issuer lists, in seconds: as long as a manifest lasts at most.
pub const UNLISTED_LASTS: u64 = 3_600;
/// The most acts that travel by themselves: their signatures are checked one by one.
pub const LOOSE_MAX: usize = 1 << 14;

fields! {
    /// An act that travels by itself.
    pub struct Loose {
        /// Its place in the public log.
        pub place: u64,
        /// When it was accepted, in Unix seconds.
        pub accepted: u64,
        /// The act.
        pub signed: Signed,
    }
}

/// What a state is made of, before it was checked.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Issuers with their manifests and rows.
    pub issued: BTreeMap<Party, (Signed, Shard)>,
    /// Acts that travel by themselves, by their places.
    pub loose: BTreeMap<u64, Loose>,
}

/// An issuer's rows, and the manifest that states them.
#[derive(Debug)]
struct Issued {
    manifest: Signed,
    stated: Manifest,
    signatures: u16,
    shard: Shard,
}

/// An act that travels by itself and was judged.
#[derive(Debug)]
struct Judged {
    loose: Loose,
    act: Accepted,
}

/// Everything that a feed says at one moment. There is none that was not checked.
#[derive(Clone, Debug)]
pub struct State {
    rules: Arc<Rulebook>,
    issued: BTreeMap<Party, Arc<Issued>>,
    loose: BTreeMap<u64, Arc<Judged>>,
    /// The moment at which it was checked, in Unix seconds.
    at: u64,
    /// What acts that travel by themselves come to, once somebody has asked.
    alone: OnceLock<Arc<Alone>>,
}

impl State {
    /// Checks everything at `at`, the moment of the head, in Unix seconds. What was checked in a state before under the same rules is
    /// not checked again.
    ///
    /// # Errors
    /// The first thing that does not stand.
    pub fn check(
        rules: &Arc<Rulebook>,
        parts: Parts,
        before: Option<&Self>,
        at: u64,
    ) -> Result<Self, Reject> {
        let before = before.filter(|before| Arc::ptr_eq(&before.rules, rules));
        if parts.loose.len() > LOOSE_MAX {
            return Err(Reject::TooLarge);
        }
        let law = rules.law()?;
        let issued = each(parts.issued.into_iter(), |(party, (manifest, shard))| {
            let known = before.and_then(|before| before.issued.get(&party));
            let one = match known.filter(|known| known.manifest == manifest) {
                Some(known) => Arc::clone(known),
                None => Arc::new(Issued::check(law, party, manifest, shard, known, at)?),
            };
            if one.stated.preamble.expires <= at {
                return Err(Reject::Manifest(party, Refusal::Expired));
            }
            Ok((party, one))
        });
        let issued = issued?.into_iter().collect();
        let mut book = Book::of_public_acts();
        let mut loose = BTreeMap::new();
        for (place, one) in parts.loose {
            let known = before.and_then(|before| before.loose.get(&place));
            let one = match known.filter(|known| known.loose == one) {
                Some(known) if at < known.act.act.preamble().expires => Arc::clone(known),
                Some(_) => return Err(Reject::Act(place, Refusal::Expired)),
                None => {
                    let judged = law.examine(&one.signed, &book, at);
                    let act = judged.map_err(|refusal| Reject::Act(place, refusal))?;
                    Arc::new(Judged { loose: one, act })
                }
            };
            book.enter(one.act.clone());
            loose.insert(place, one);
        }
        Ok(Self { rules: Arc::clone(rules), issued, loose, at, alone: OnceLock::new() })
    }

    /// The rules by which it was checked.
    pub const fn rules(&self) -> &Arc<Rulebook> {
        &self.rules
    }

    /// When it was checked, in Unix seconds.
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// What it is made of.
    pub fn parts(&self) -> Parts {
        let issued =
            self.issued.iter().map(|(party, one)| (*party, (one.manifest.clone(), one.shard.clone())));
        let loose = self.loose.iter().map(|(place, one)| (*place, one.loose.clone()));
        Parts { issued: issued.collect(), loose: loose.collect() }
    }

    /// The issuers with their manifests and rows.
    pub fn issued(&self) -> impl Iterator<Item = (Party, &Signed, &Shard)> {
        self.issued.iter().map(|(party, one)| (*party, &one.manifest, &one.shard))
    }

    /// An issuer's rows, with the manifest that states them.
    pub fn shard(&self, party: Party) -> Option<(&Manifest, &Shard)> {
        self.issued.get(&party).map(|one| (&one.stated, &one.shard))
    }

    /// The acts that travel by themselves.
    pub fn loose(&self) -> impl Iterator<Item = &Loose> {
        self.loose.values().map(|one| &one.loose)
    }

    /// What the acts that travel by themselves speak of, and by what a row knows them.
    pub(crate) fn by_themselves(&self) -> impl Iterator<Item = (Prefix, ActRef)> {
        self.loose.values().filter_map(|one| Some((one.act.act.subject()?.prefix, one.act.id.short())))
    }

    /// A book of the acts that travel by themselves and of others, which are examined at `at`, in Unix seconds. Of one place the act
    /// counts that is known here.
    ///
    /// # Errors
    /// When one of the others does not stand.
    pub(crate) fn book_with(&self, others: &[Loose], at: u64) -> Result<Book, Reject> {
        let law = self.rules.law()?;
        let mut book = Book::of_public_acts();
        let others: BTreeMap<_, _> = others.iter().map(|act| (act.place, act)).collect();
        let places: BTreeSet<_> = self.loose.keys().chain(others.keys()).collect();
        for place in places {
            match self.loose.get(place) {
                Some(known) => book.enter(known.act.clone()),
                None => proposal::examine(law, others[place], &mut book, at)?,
            }
        }
        Ok(book)
    }

    /// Lets go of the changes that led here from the state before, which take memory: see [`amendments`](Self::amendments). Whoever asks
    /// for them from now on looks for them.
    pub fn settle(&self) {
        self.issued.values().for_each(|one| one.shard.settle());
    }

    /// What a head states of it: the root of a Merkle tree with a leaf for the acts that travel by themselves, and one for each
    /// issuer, in order.
    pub fn root(&self) -> [u8; 32] {
        let mut acts = Sha256::new();
        for one in self.loose.values() {
            acts.update(one.loose.place.to_be_bytes());
            acts.update(one.loose.accepted.to_be_bytes());
            acts.update(Sha256::digest(one.loose.signed.encode()));
        }
        let acts = [&b"L"[..], &acts.finalize()].concat();
        let issuers = self.issued.iter().map(|(party, one)| {
            let manifest = Sha256::digest(one.manifest.encode());
            [&b"S"[..], &party.to_bytes(), &[one.shard.bits()], &manifest].concat()
        });
        tree::root(&[acts].into_iter().chain(issuers).collect::<Vec<_>>())
    }
}

impl Issued {
    /// Checks a manifest that is new, and the rows that it states. Those that stood on the issuer's word before are not judged
    /// again.
    fn check(
        law: &Law,
        party: Party,
        manifest: Signed,
        shard: Shard,
        known: Option<&Arc<Self>>,
        at: u64,
    ) -> Result<Self, Reject> {
        let examined = law.examine(&manifest, &Book::default(), at);
        let accepted = examined.map_err(|refusal| Reject::Manifest(party, refusal))?;
        let Act::Manifest(stated) = accepted.act else {
            return Err(Reject::Manifest(party, Refusal::Malformed));
        };
        if stated.preamble.issuer != party {
            return Err(Reject::Manifest(party, Refusal::WrongSigner));
        }
        if known.is_some_and(|known| stated.preamble.number <= known.stated.preamble.number) {
            return Err(Reject::Manifest(party, Refusal::Replayed));
        }
        if (stated.count, stated.digest) != (shard.len(), shard.digest()) {
            return Err(Reject::Stated(party));
        }
        let issued = stated.preamble.issued;
        let judge = |row: &Row| {
            let judged = law.stated(party, &row.record(credence_credit::IssuerId(0), u16::MAX), issued);
            judged.map_err(|refusal| Reject::Row(party, row.prefix, refusal))
        };
        match known {
            Some(known) => {
                known
                    .shard
                    .differing(&shard)
                    .iter()
                    .filter_map(|(_, row)| row.as_ref())
                    .try_for_each(judge)?;
            }
            None => shard.rows().try_for_each(|row| judge(&row))?,
        }
        Ok(Self { manifest, stated, signatures: accepted.signatures, shard })
    }
}
