//! The way in: what is handed in passes the gate, waits for the desk, and is written down with all that waits beside it.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, PoisonError};

use credence_law::Signed;
use credence_law::party::act_id;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tracing::error;

use super::{Platform, now};
use crate::desk::{Entry, Receipt, Rejection, shape};
use crate::gate::{Charge, Turned, is_forged};

/// Acts that wait to be taken in, at most: what comes when it is full is told to come again.
pub(super) const WAITING_MAX: usize = 1_024;
/// Acts after which no more are waited for before all are written down together.
const TOGETHER: usize = 256;

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
    /// It could not be written down.
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

    /// Hands in what a party in this process has signed, and returns when it is on disk.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn submit(&self, signed: &Signed) -> anyhow::Result<Receipt> {
        match self.hand_in(vec![signed.encode()], IpAddr::V6(Ipv6Addr::LOCALHOST)).await.pop() {
            Some(Answer::Taken { receipt, .. }) => Ok(receipt),
            Some(Answer::Rejected(rejection)) => Err(rejection.into()),
            Some(Answer::Turned(Turned::Refused(refusal))) => Err(refusal.into()),
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

    /// Takes things in together; whether they are on disk.
    pub(super) fn take(&self, batch: Vec<Handed>, runtime: &Handle) -> bool {
        let mut entries = Vec::new();
        let mut decided = Vec::with_capacity(batch.len());
        for handed in batch {
            let answers: Vec<_> = handed.items.iter().map(|item| self.decide(item, &mut entries)).collect();
            decided.push((handed.answer, answers));
        }
        let is_written = entries.is_empty() || self.write(&entries, runtime);
        for (to, mut answers) in decided {
            if !is_written {
                answers.fill(Answer::Failed);
            }
            answers.iter().for_each(|answer| self.metrics.answered(answer));
            // Whoever has gone away asks again, and is told the same.
            drop(to.send(answers));
        }
        is_written
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

    /// Writes entries to disk, and publishes the checkpoint behind them. Whether that could be done.
    fn write(&self, entries: &[Entry], runtime: &Handle) -> bool {
        let written = runtime.block_on(async {
            let mut writer = self.writer.lock().await;
            writer.as_mut().ok_or(sqlx::Error::PoolClosed)?.append(entries).await
        });
        if let Err(fault) = written {
            error!(%fault, "the journal cannot be written; nothing more is taken until the platform is started again");
            return false;
        }
        self.metrics.committed();
        let checkpoint = self.read(|desk| (desk.log().len(), self.signer.checkpoint(desk.log())));
        if let Err(fault) = self.published.note(&checkpoint.1) {
            error!(%fault, "what is published cannot be noted; nothing more is taken until the platform is started again");
            return false;
        }
        let size = checkpoint.0;
        *self.checkpoint.write().unwrap_or_else(PoisonError::into_inner) = checkpoint;
        self.written.send_replace(size);
        true
    }
}

/// Hands batches of what waits to `take`, until nobody can hand anything in, or one could not be written. What is in memory is
/// ahead of the disk then, so that nothing more may rest on it.
pub(super) fn take_in(mut handed: mpsc::Receiver<Handed>, take: impl Fn(Vec<Handed>) -> Option<bool>) {
    while let Some(first) = handed.blocking_recv() {
        let (mut acts, mut batch) = (first.items.len(), vec![first]);
        while acts < TOGETHER
            && let Ok(next) = handed.try_recv()
        {
            acts += next.items.len();
            batch.push(next);
        }
        if take(batch) != Some(true) {
            return;
        }
    }
}
