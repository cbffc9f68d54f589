//! That the public log goes on from what was seen of it, and that witnesses have seen it.

use std::cmp::Ordering;
use std::collections::VecDeque;

use credence_feed::log::{is_consistent, read_checkpoint};
use credence_feed::tiles::TiledProof;
use credence_feed::witness::cosignatures;
use credence_feed::{Reject, operators};
use credence_law::party::unhex;
use serde::Deserialize;

use super::super::evidence::Deceit;
use super::{Done, Refresh, Stage};

/// How old what witnesses have said may be, in seconds.
const WITNESSED_MAX: u64 = 86_400;

/// How many entries a log has, and its root.
pub(super) type Length = (u64, [u8; 32]);
/// Two lengths of one log, the shorter one first.
pub(super) type Lengths = (Length, Length);

impl Refresh<'_> {
    /// What the head says of the log, against what was known of it.
    pub(super) fn log_goes_on(&mut self) -> Result<Option<Done>, Reject> {
        let (trusted, (size, root)) = (&self.follower.trusted, self.log()?);
        if trusted.log_size > 0 && size < trusted.log_size {
            return Err(self.deceived(Deceit::Shorter, Reject::Log));
        }
        if trusted.log_size > 0 && size == trusted.log_size && root != trusted.log_root {
            return Err(self.deceived(Deceit::Roots, Reject::Log));
        }
        if self.follower.pinned.witness_quorum > 0 {
            self.stage = Stage::Witnessed;
            return Ok(None);
        }
        self.prove(self.goes_on_from_known()?.into_iter().collect())
    }

    /// What has to be shown of the log: that it goes on from what was known of it.
    fn goes_on_from_known(&self) -> Result<Option<Lengths>, Reject> {
        let (trusted, head) = (&self.follower.trusted, self.log()?);
        let known = (trusted.log_size, trusted.log_root);
        Ok((0 < known.0 && known.0 < head.0).then_some((known, head)))
    }

    /// The log as the head states it.
    fn log(&self) -> Result<Length, Reject> {
        self.head.as_ref().map(|(_, head)| (head.log_size, head.log_root)).ok_or(Reject::State)
    }

    /// What witnesses have seen of the log.
    pub(super) fn seen(&mut self, bytes: Option<Vec<u8>>) -> Result<Option<Done>, Reject> {
        let pinned = &self.follower.pinned;
        let needed = pinned.witness_quorum;
        let few = |found| Reject::Witnesses { found, needed };
        let bytes = bytes.ok_or_else(|| few(0))?;
        let mut operators = operators(self.rulebook()?.law()?, |_| true).into_values();
        let (size, root) =
            operators.find_map(|key| read_checkpoint(&bytes, &pinned.origin, &key)).ok_or(Reject::Log)?;
        let said = cosignatures(&bytes, &pinned.witnesses).ok_or(Reject::Log)?;
        let recent = |time: u64| self.now <= time.saturating_add(WITNESSED_MAX);
        let found = said.iter().filter(|said| recent(said.time)).count();
        if found < needed {
            return Err(few(found));
        }
        if size < self.follower.trusted.witnessed {
            return Err(Reject::Log);
        }
        let (head, witnessed) = (self.log()?, (size, root));
        self.witnessed = size;
        self.checkpoint = Some(bytes);
        // The log has grown since the head was made, or witnesses are behind it.
        let both = match size.cmp(&head.0) {
            Ordering::Equal if root != head.1 => return Err(self.deceived(Deceit::Roots, Reject::Log)),
            Ordering::Less if size > 0 => Some((witnessed, head)),
            Ordering::Greater if head.0 > 0 => Some((head, witnessed)),
            _ => None,
        };
        self.prove(self.goes_on_from_known()?.into_iter().chain(both).collect())
    }

    fn prove(&mut self, lengths: VecDeque<Lengths>) -> Result<Option<Done>, Reject> {
        if lengths.is_empty() {
            return self.ways();
        }
        self.stage = Stage::Log(lengths);
        Ok(None)
    }

    /// That one log is the beginning of another, by a proof. Where it is not, or is no proof, the log's own tiles are asked: a mirror
    /// of plain files has no proof for every size, and one that lies cannot make up tiles.
    pub(super) fn goes_on(
        &mut self,
        mut lengths: VecDeque<Lengths>,
        bytes: Option<&[u8]>,
    ) -> Result<Option<Done>, Reject> {
        let step = lengths.front().ok_or(Reject::State)?;
        if bytes.is_some_and(|bytes| Proof::shows(bytes, step)) {
            lengths.pop_front();
            return self.prove(lengths);
        }
        let ((before, _), log) = *step;
        let proof = TiledProof::new(before, log).ok_or(Reject::Log)?;
        self.stage = Stage::Tiles(lengths, proof);
        Ok(None)
    }

    /// A tile that was asked for. The tiles come to the root of the longer log, so that nobody else can have made them up: where its
    /// beginning is another one by them, it is a fork.
    pub(super) fn tile(
        &mut self,
        mut lengths: VecDeque<Lengths>,
        mut proof: TiledProof,
        bytes: Option<Vec<u8>>,
    ) -> Result<Option<Done>, Reject> {
        proof.take(bytes.ok_or(Reject::Log)?);
        if proof.wants().is_some() {
            self.stage = Stage::Tiles(lengths, proof);
            return Ok(None);
        }
        let ((before, was), (size, root)) = lengths.pop_front().ok_or(Reject::State)?;
        let path = proof.proof().ok_or(Reject::Log)?;
        if is_consistent(&path, size, &root, (before, &was)) {
            return self.prove(lengths);
        }
        self.tiles = proof.tiles().collect();
        Err(self.deceived(Deceit::Forked, Reject::Log))
    }
}

/// The proof of consistency, as the log answers it. What it says besides is known already, and must be the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    before: Option<u64>,
    before_root: Option<String>,
    size: Option<u64>,
    root: Option<String>,
    path: Vec<String>,
}

impl Proof {
    /// Whether these bytes are a proof that the second is a log that begins with the first.
    fn shows(bytes: &[u8], ((before, was), (size, root)): &Lengths) -> bool {
        let Ok(proof) = serde_json::from_slice::<Self>(bytes) else { return false };
        let is_root = |said: &Option<String>, root: &[u8; 32]| {
            said.as_ref().is_none_or(|said| hash(said).is_some_and(|said| said == *root))
        };
        let is_of_these = proof.before.is_none_or(|said| said == *before)
            && proof.size.is_none_or(|said| said == *size)
            && is_root(&proof.before_root, was)
            && is_root(&proof.root, root);
        let path: Option<Vec<[u8; 32]>> = proof.path.iter().map(|text| hash(text)).collect();
        is_of_these && path.is_some_and(|path| is_consistent(&path, *size, root, (*before, was)))
    }
}

/// The hash that a text tells, in lower case: each has one form.
fn hash(text: &str) -> Option<[u8; 32]> {
    unhex(text).filter(|_| !text.bytes().any(|byte| byte.is_ascii_uppercase()))
}
