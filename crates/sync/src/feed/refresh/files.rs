//! The files that a head names, and the state that they come to.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use credence_feed::{Delta, FileRef, Reject, SnapshotList, State};

use super::super::journal::Came;
use super::super::{Held, Trusted};
use super::{Done, FILES_BYTES_MAX, Next, Read, Refresh, Stage};

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
            return self.end(None, Came::Nothing);
        }
        let way = held.and_then(|held| head.way_from(held.serial));
        self.stage = match way.filter(|way| len(way.iter().copied()) <= FILES_BYTES_MAX) {
            Some(way) => Stage::Deltas(way.into_iter().cloned().collect(), Vec::new()),
            None => Stage::List,
        };
        Ok(None)
    }

    pub(super) fn delta(
        &mut self,
        mut files: VecDeque<FileRef>,
        mut read: Read,
        bytes: Option<Vec<u8>>,
    ) -> Result<Option<Done>, Reject> {
        // Whatever is wrong with a delta, the whole state may still be had.
        match bytes.zip(files.pop_front()).filter(|(bytes, file)| file.check(bytes).is_ok()) {
            Some((bytes, file)) => read.push((file, bytes)),
            None => {
                self.stage = Stage::List;
                return Ok(None);
            }
        }
        if !files.is_empty() {
            self.stage = Stage::Deltas(files, read);
            return Ok(None);
        }
        match self.changed(&read) {
            Ok((from, state)) => self.end(Some(state), Came::Deltas { from, files: read }),
            Err(_) => {
                self.stage = Stage::List;
                Ok(None)
            }
        }
    }

    /// The root of what is in force, and the state to which deltas lead from there.
    fn changed(&self, deltas: &Read) -> Result<([u8; 32], State), Reject> {
        let Held { state, serial, .. } = self.follower.held.as_ref().ok_or(Reject::State)?;
        let (_, head) = self.head.as_ref().ok_or(Reject::State)?;
        let (mut parts, mut serial) = (state.parts(), *serial);
        for (_, bytes) in deltas {
            let delta = Delta::decode(bytes)?;
            let to = delta.to;
            delta.apply(serial, &mut parts)?;
            serial = to;
        }
        let next = State::check(self.rulebook()?, parts, Some(state), head.issued)?;
        if next.root() == head.root { Ok((state.root(), next)) } else { Err(Reject::State) }
    }

    pub(super) fn list(&mut self, bytes: Vec<u8>) -> Result<Option<Done>, Reject> {
        let (_, head) = self.head.as_ref().ok_or(Reject::State)?;
        head.snapshot.check(&bytes)?;
        let list = SnapshotList::decode(&bytes)?;
        if len(list.shards.0.iter().map(|shard| &shard.file)) > FILES_BYTES_MAX {
            return Err(Reject::TooLarge);
        }
        let files: VecDeque<_> = list.shards.0.iter().map(|shard| shard.file.clone()).collect();
        let read = vec![(head.snapshot.clone(), bytes)];
        if files.is_empty() {
            return self.built(list, read);
        }
        self.stage = Stage::Shards(list, files, read);
        Ok(None)
    }

    pub(super) fn shard(
        &mut self,
        list: SnapshotList,
        mut files: VecDeque<FileRef>,
        mut read: Read,
        bytes: Vec<u8>,
    ) -> Result<Option<Done>, Reject> {
        let file = files.pop_front().ok_or(Reject::State)?;
        file.check(&bytes)?;
        read.push((file, bytes));
        if files.is_empty() {
            return self.built(list, read);
        }
        self.stage = Stage::Shards(list, files, read);
        Ok(None)
    }

    fn built(&mut self, list: SnapshotList, read: Read) -> Result<Option<Done>, Reject> {
        let (_, head) = self.head.as_ref().ok_or(Reject::State)?;
        let before = self.follower.held.as_ref().map(|held| &held.state);
        let by_hash: HashMap<_, _> = read.iter().map(|(file, bytes)| (file.hash, &bytes[..])).collect();
        let state =
            list.build(self.rulebook()?, before, |file| by_hash.get(&file.hash).copied(), head.issued)?;
        if state.root() != head.root {
            return Err(Reject::State);
        }
        self.end(Some(state), Came::Whole(read))
    }

    fn end(&mut self, state: Option<State>, came: Came) -> Result<Option<Done>, Reject> {
        let (signed, head) = self.head.take().ok_or(Reject::State)?;
        let trusted = Trusted::of(&signed, &head, self.witnessed);
        Ok(Some(Done::New(Box::new(Next { trusted, head: signed, state, came }))))
    }
}

/// How many bytes files have together.
pub(in super::super) fn len<'f>(files: impl Iterator<Item = &'f FileRef>) -> u64 {
    files.map(|file| u64::from(file.len)).sum()
}
