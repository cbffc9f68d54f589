//! The files that a head names, and the state that they come to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use credence_feed::{Delta, FileRef, Reject, SnapshotList, State};

use super::super::{Held, Trusted};
use super::{Done, FILES_BYTES_MAX, Next, Refresh, Stage};

impl Refresh<'_> {
    /// The files that lead to the head.
    pub(super) fn ways(&mut self) -> Result<Option<Done>, Reject> {
        let (_, head) = self.head.as_ref().ok_or(Reject::State)?;
        let held = self.follower.held.as_ref().filter(|held| held.session == head.session);
        let is_same = |held: &&Held| {
            let rules = self.known.as_ref();
            held.state.root() == head.root
                && rules.is_some_and(|rules| Arc::ptr_eq(rules, held.state.rules()))
        };
        if held.is_some_and(|held| is_same(&held)) {
            return self.end(None);
        }
        let way = held.and_then(|held| head.way_from(held.serial));
        self.stage = match way.filter(|way| bytes(way.iter().copied()) <= FILES_BYTES_MAX) {
            Some(way) => Stage::Deltas(way.into_iter().cloned().collect(), Vec::new()),
            None => Stage::List,
        };
        Ok(None)
    }

    pub(super) fn delta(
        &mut self,
        mut files: VecDeque<FileRef>,
        mut read: Vec<Delta>,
        bytes: Option<Vec<u8>>,
    ) -> Result<Option<Done>, Reject> {
        // Whatever is wrong with a delta, the whole state may still be had.
        let delta = bytes.zip(files.pop_front()).map(|(bytes, file)| {
            file.check(&bytes)?;
            Delta::decode(&bytes)
        });
        match delta {
            Some(Ok(delta)) => read.push(delta),
            _ => {
                self.stage = Stage::List;
                return Ok(None);
            }
        }
        if !files.is_empty() {
            self.stage = Stage::Deltas(files, read);
            return Ok(None);
        }
        match self.changed(read) {
            Ok(state) => self.end(Some(state)),
            Err(_) => {
                self.stage = Stage::List;
                Ok(None)
            }
        }
    }

    /// The state to which deltas lead.
    fn changed(&self, deltas: Vec<Delta>) -> Result<State, Reject> {
        let Held { state, serial, .. } = self.follower.held.as_ref().ok_or(Reject::State)?;
        let (_, head) = self.head.as_ref().ok_or(Reject::State)?;
        let (mut parts, mut serial) = (state.parts(), *serial);
        for delta in deltas {
            let to = delta.to;
            delta.apply(serial, &mut parts)?;
            serial = to;
        }
        let next = State::check(self.rulebook()?, parts, Some(state), head.issued)?;
        if next.root() == head.root { Ok(next) } else { Err(Reject::State) }
    }

    pub(super) fn list(&mut self, read: &[u8]) -> Result<Option<Done>, Reject> {
        let (_, head) = self.head.as_ref().ok_or(Reject::State)?;
        head.snapshot.check(read)?;
        let list = SnapshotList::decode(read)?;
        if bytes(list.shards.0.iter().map(|shard| &shard.file)) > FILES_BYTES_MAX {
            return Err(Reject::TooLarge);
        }
        let files: VecDeque<_> = list.shards.0.iter().map(|shard| shard.file.clone()).collect();
        if files.is_empty() {
            return self.built(list, &BTreeMap::new());
        }
        self.stage = Stage::Shards(list, files, BTreeMap::new());
        Ok(None)
    }

    pub(super) fn shard(
        &mut self,
        list: SnapshotList,
        mut files: VecDeque<FileRef>,
        mut read: BTreeMap<[u8; 32], Vec<u8>>,
        bytes: Vec<u8>,
    ) -> Result<Option<Done>, Reject> {
        let file = files.pop_front().ok_or(Reject::State)?;
        file.check(&bytes)?;
        read.insert(file.hash, bytes);
        if files.is_empty() {
            return self.built(list, &read);
        }
        self.stage = Stage::Shards(list, files, read);
        Ok(None)
    }

    fn built(
        &mut self,
        list: SnapshotList,
        read: &BTreeMap<[u8; 32], Vec<u8>>,
    ) -> Result<Option<Done>, Reject> {
        let (_, head) = self.head.as_ref().ok_or(Reject::State)?;
        let before = self.follower.held.as_ref().map(|held| &held.state);
        let file = |file: &FileRef| read.get(&file.hash).map(|bytes| &bytes[..]);
        let state = list.build(self.rulebook()?, before, file, head.issued)?;
        if state.root() != head.root {
            return Err(Reject::State);
        }
        self.end(Some(state))
    }

    fn end(&mut self, state: Option<State>) -> Result<Option<Done>, Reject> {
        let (signed, head) = self.head.take().ok_or(Reject::State)?;
        let trusted = Trusted::of(&signed, &head, self.witnessed);
        Ok(Some(Done::New(Box::new(Next { trusted, head: signed, state }))))
    }
}

fn bytes<'f>(files: impl Iterator<Item = &'f FileRef>) -> u64 {
    files.map(|file| u64::from(file.len)).sum()
}
