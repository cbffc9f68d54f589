//! The way in: what is handed in passes the gate, waits for the desk, and is written down with all that waits beside it.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, PoisonError, Weak};
use std::thread::sleep;
use std::time::Duration;

use credence_law::Signed;
use credence_law::party::act_id;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::{error, info, warn};

use super::way::{End, Unmended};
use super::{Platform, now};
use crate::desk::{Entry, Receipt, Rejection, shape};
use crate::gate::{Charge, Turned, is_forged};

/// Acts that wait to be taken in, at most: what comes when it is full is told to come again.
pub(super) const WAITING_MAX: usize = 1_024;
/// Acts after which no more are waited for before all are written down together.
const TOGETHER: usize = 256;
/// How long a way to the journal is looked for anew before those who wait are told to come again, in steps that each begin with a
/// pause: a database that is there again at once is not noticed.
const AT_ONCE_MS: [u64; 5] = [0, 50, 200, 500, 1_000];
/// How long those who come after that wait for an answer.
const MEANWHILE: Duration = Duration::from_millis(50);
/// After how many times that long it is tried again: two seconds.
const LATER: u32 = 40;

/// Things that were handed in together, and where the answers go.
pub(super) struct Handed {
    items: Vec<Item>,
    answer: oneshot::Sender<Vec<Answer>>,
    _permit: OwnedSemaphorePermit,
}

/// Something that has passed the gate.
struct Item {
    sent: Vec<u8>,
    /// How many it claims to have.
    signatures: usize,
    charge: Charge,
}

/// What becomes of something that was handed in.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// It was taken now, or before.
    Taken { receipt: Receipt, is_new: bool },
    /// It was not.
    Rejected(Rejection),
    /// Nobody has looked at its signatures.
    Turned(Turned),
    /// Too much waits.
    Busy,
    /// It could not be written down so far.
    Failed,
}

impl Platform {
    /// Hands things in that came from `network`; there is an answer for each, in their order. Those that pass the gate are written
    /// down together.
    pub(crate) async fn hand_in(&self, sent: Vec<Vec<u8>>, network: IpAddr) -> Vec<Answer> {
        let mut items = Vec::new();
        let passed = sent.into_iter().map(|sent| self.pass(sent, network).map(|item| items.push(item)));
        let passed: Vec<Result<(), Answer>> = passed.collect();
        let decided = self.wait(items).await;
        let mut decided = decided.into_iter();
        passed
            .into_iter()
            .map(|passed| match passed {
                // What was given up half-way was not written down.
                Ok(()) => decided.next().unwrap_or(Answer::Failed),
                Err(answer) => answer,
            })
            .collect()
    }

    /// Hands one thing in that came from `network`.
    pub(super) async fn hand_in_one(&self, sent: Vec<u8>, network: IpAddr) -> Answer {
        self.hand_in(vec![sent], network).await.pop().unwrap_or(Answer::Failed)
    }

    /// Hands in what a party in this process has signed, and returns when it is on disk.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn submit(&self, signed: &Signed) -> anyhow::Result<Receipt> {
        match self.hand_in_one(signed.encode(), IpAddr::V6(Ipv6Addr::LOCALHOST)).await {
            Answer::Taken { receipt, .. } => Ok(receipt),
            Answer::Rejected(rejection) => Err(rejection.into()),
            Answer::Turned(Turned::Refused(refusal)) => Err(refusal.into()),
            _ => anyhow::bail!("the platform takes nothing at the moment"),
        }
    }

    /// Lets something through to the desk, or answers at once.
    fn pass(&self, sent: Vec<u8>, network: IpAddr) -> Result<Item, Answer> {
        let signed = shape(&sent).map_err(Answer::Rejected);
        let passed = signed.and_then(|signed| {
            self.known(&act_id(signed.bytes())).map_or(Ok(()), Err)?;
            let charge = self.read(|desk| {
                let law = desk.law().map_err(|fault| Answer::Rejected(fault.into()))?;
                let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
                gate.pass(law, &signed, network, (now(), self.elapsed_ms())).map_err(Answer::Turned)
            })?;
            Ok((signed.claims().count(), charge))
        });
        match passed {
            Ok((signatures, charge)) => Ok(Item { sent, signatures, charge }),
            Err(answer) => {
                self.metrics.answered(&answer);
                Err(answer)
            }
        }
    }

    /// The answer to what was taken before and is on disk.
    fn known(&self, id: &credence_credit::ActId) -> Option<Answer> {
        let receipt = self.read(|desk| desk.receipt(id).copied())?;
        let is_on_disk = receipt.place < self.on_disk();
        is_on_disk.then_some(Answer::Taken { receipt, is_new: false })
    }

    /// Waits until the desk has decided.
    async fn wait(&self, items: Vec<Item>) -> Vec<Answer> {
        let count = items.len();
        let waiting = Arc::clone(&self.waiting).try_acquire_many_owned(count as u32);
        let Ok(permit) = waiting else {
            let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            items.iter().for_each(|item| gate.give_back(item.charge));
            return vec![Answer::Busy; count];
        };
        let (answer, answered) = oneshot::channel();
        // There is room for as many messages as acts; only a desk that has given up takes none.
        if self.inbox.try_send(Handed { items, answer, _permit: permit }).is_err() {
            return vec![Answer::Failed; count];
        }
        answered.await.unwrap_or_else(|_| vec![Answer::Failed; count])
    }

    /// Takes things in together. Those who have handed them in are told when they are on disk, or when that takes too long.
    ///
    /// # Errors
    /// When they are not on disk: what is to be written, and why it is not.
    fn take(&self, batch: Vec<Handed>, runtime: &Handle) -> Result<(), (Vec<Entry>, Unmended)> {
        let mut entries = Vec::new();
        let mut decided = Vec::with_capacity(batch.len());
        for handed in batch {
            let answers: Vec<_> = handed.items.iter().map(|item| self.decide(item, &mut entries)).collect();
            decided.push((handed.answer, answers));
        }
        let written = self.write(&entries, runtime);
        for (to, mut answers) in decided {
            if written.is_err() {
                answers.fill(Answer::Failed);
            }
            answers.iter().for_each(|answer| self.metrics.answered(answer));
            // Whoever has gone away asks again, and is told the same.
            drop(to.send(answers));
        }
        written.map_err(|fault| (entries, fault))
    }

    /// Tells those to come again who have handed something in while nothing can be written. Nobody has looked at it.
    fn put_off(&self, handed: Handed) {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        handed.items.iter().for_each(|item| gate.give_back(item.charge));
        drop(gate);
        let answers = vec![Answer::Failed; handed.items.len()];
        answers.iter().for_each(|answer| self.metrics.answered(answer));
        // Whoever has gone away asks again.
        drop(handed.answer.send(answers));
    }

    /// Finds out whether the way to the journal is still there, and has the desk mend it where it is not.
    pub(super) async fn look_after_the_way(&self) {
        if !self.roles.leads() {
            return;
        }
        self.way.look().await;
        if self.way.is_broken()
            && let Ok(permit) = Arc::clone(&self.waiting).try_acquire_many_owned(0)
        {
            let (answer, _) = oneshot::channel();
            // A desk that does not take it mends it already, or has given up.
            drop(self.inbox.try_send(Handed { items: Vec::new(), answer, _permit: permit }));
        }
    }

    /// Whether others may take this process's place.
    const fn is_one_of_several(&self) -> bool {
        self.roles.own().is_some()
    }

    fn decide(&self, item: &Item, entries: &mut Vec<Entry>) -> Answer {
        let mut desk = self.desk.write().unwrap_or_else(PoisonError::into_inner);
        let decided = desk.receive(&item.sent, now(), rand::random());
        drop(desk);
        // What was handed in twice at once is known by its hash the second time.
        if !matches!(decided, Ok((_, None))) {
            self.metrics.looked_at(item.signatures);
        }
        match decided {
            Ok((receipt, entry)) => {
                let is_new = entry.is_some();
                entries.extend(entry);
                Answer::Taken { receipt, is_new }
            }
            Err(rejection) => {
                if matches!(rejection, Rejection::Refused(refusal) if is_forged(refusal)) {
                    let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
                    gate.forged(item.charge, self.elapsed_ms());
                }
                Answer::Rejected(rejection)
            }
        }
    }

    /// Writes entries to disk, and publishes the checkpoint behind them.
    fn write(&self, entries: &[Entry], runtime: &Handle) -> Result<(), Unmended> {
        if entries.is_empty() && !self.way.is_broken() {
            return Ok(());
        }
        let mut written = runtime.block_on(self.way.append(entries)).map_err(Unmended::from);
        if written.is_ok() {
            written = self.publish();
        }
        for pause_ms in AT_ONCE_MS {
            let Err(Unmended::NotYet(fault)) = &written else { break };
            warn!(%fault, "the journal cannot be written; the way to it is looked for anew");
            sleep(Duration::from_millis(pause_ms));
            written = self.mend(entries, runtime);
        }
        written
    }

    /// Looks for the way to the journal anew, with entries that may be there or not.
    fn mend(&self, entries: &[Entry], runtime: &Handle) -> Result<(), Unmended> {
        let ends = self.read(|desk| {
            let (log, new) = (desk.log(), entries.len() as u64);
            [log.len() - new, log.len()].map(|len| End::of(log, len))
        });
        runtime.block_on(self.way.mend(&self.store, entries, ends)).map_err(|fault| match fault {
            // Nobody takes the place of one that is alone: whoever has the lock looks at the journal, and lets go of it.
            Unmended::Taken(fault) if !self.is_one_of_several() => Unmended::NotYet(fault.to_string()),
            fault => fault,
        })?;
        info!("the journal is written again");
        self.publish()
    }

    /// Publishes the checkpoint of what is on disk, which is all that there is.
    pub(super) fn publish(&self) -> Result<(), Unmended> {
        let checkpoint = self.read(|desk| (desk.log().len(), self.signer.checkpoint(desk.log())));
        self.published.note(&checkpoint.1).map_err(|fault| Unmended::NotYet(format!("{fault:#}")))?;
        if checkpoint.0 > self.on_disk() {
            self.metrics.committed();
        }
        let size = checkpoint.0;
        *self.checkpoint.write().unwrap_or_else(PoisonError::into_inner) = checkpoint;
        self.written.send_replace(size);
        Ok(())
    }
}

/// What takes in what waits, on a thread of its own.
pub(super) struct Intake {
    handed: mpsc::Receiver<Handed>,
    platform: Weak<Platform>,
    runtime: Handle,
}

impl Intake {
    pub(super) const fn new(
        handed: mpsc::Receiver<Handed>,
        platform: Weak<Platform>,
        runtime: Handle,
    ) -> Self {
        Self { handed, platform, runtime }
    }

    /// Takes in until nobody can hand anything in, or what is in memory is not what is on disk and never will be.
    pub(super) fn run(mut self) {
        while let Some(batch) = self.next() {
            let Some(platform) = self.platform.upgrade() else { return };
            if !platform.roles.leads() {
                batch.into_iter().for_each(|handed| platform.put_off(handed));
                continue;
            }
            let taken = platform.take(batch, &self.runtime);
            drop(platform);
            if let Err((entries, fault)) = taken
                && !self.retry(&entries, fault)
            {
                return;
            }
        }
    }

    /// What waits, as much as is written down together.
    fn next(&mut self) -> Option<Vec<Handed>> {
        let first = self.handed.blocking_recv()?;
        let (mut acts, mut batch) = (first.items.len(), vec![first]);
        while acts < TOGETHER
            && let Ok(next) = self.handed.try_recv()
        {
            acts += next.items.len();
            batch.push(next);
        }
        Some(batch)
    }

    /// Tries to write entries until they are on disk, or another process leads: then nobody was told that they are. Whether it is worth
    /// going on.
    fn retry(&mut self, entries: &[Entry], mut fault: Unmended) -> bool {
        loop {
            match fault {
                Unmended::NotYet(_) => self.put_off_for_now(),
                Unmended::Taken(_) | Unmended::Other(_) if self.depose() => return true,
                Unmended::Taken(_) => return false,
                Unmended::Other(_) => {
                    error!(%fault, "somebody else has written to the journal; nothing more is taken by this process");
                    return false;
                }
                Unmended::Closed => return false,
            }
            let Some(platform) = self.platform.upgrade() else { return false };
            match platform.mend(entries, &self.runtime) {
                Ok(()) => return true,
                Err(again) => fault = again,
            }
            warn!(%fault, "the journal cannot be written; it is tried again");
        }
    }

    /// Another process has the lock, or has had it: this one follows it from now on. Whether there may be another one.
    fn depose(&self) -> bool {
        let Some(platform) = self.platform.upgrade().filter(|platform| platform.is_one_of_several()) else {
            return false;
        };
        platform.roles.depose();
        true
    }

    /// Puts those off who hand something in until it is tried again.
    fn put_off_for_now(&mut self) {
        for _ in 0..LATER {
            // No more than wait at once, however fast they come again.
            for _ in 0..WAITING_MAX {
                let (Ok(handed), Some(platform)) = (self.handed.try_recv(), self.platform.upgrade()) else {
                    break;
                };
                platform.put_off(handed);
            }
            sleep(MEANWHILE);
        }
    }
}
