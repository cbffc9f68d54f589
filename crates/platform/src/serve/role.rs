//! Which of several processes on one database writes, and what the others do meanwhile.
//!
//! Whoever holds the journal's lock **leads**: it takes acts in and publishes the feed. All others **stand by**: each takes in what the
//! leader has written as soon as it is there, answers what can be read, and hands everything else on. When the leader is gone its
//! connection is, and with it the lock; whoever has that next leads. A leader that has lost the lock to another is **deposed**: what
//! it has in memory may never have been written, so it reads the journal anew before it stands by.

use std::collections::HashMap;
use std::sync::{PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::{PAGE, Platform, cores, is_of, now, replay};
use crate::feed::Offered;
use crate::request::Nonces;
use crate::store::{Leader, StoreError, Writer};

/// How often it is looked what the leader has written.
const TAILS: Duration = Duration::from_millis(100);
/// How long is waited after something went wrong, at first and at most; each time twice as long.
const RESTS: Duration = Duration::from_secs(1);
const RESTS_MAX: Duration = Duration::from_secs(60);

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It holds the lock.
    Leads,
    /// Another one does.
    StandsBy,
    /// Another one does now, and what is in memory may not be what is in the journal.
    Deposed,
}

/// What a process is to others, and who leads.
#[derive(Debug)]
pub(super) struct Roles {
    role: watch::Sender<Role>,
    leader: watch::Sender<Option<Leader>>,
    /// How others know this process when it leads; none for one that is alone.
    own: Option<Leader>,
}

impl Roles {
    /// Of a process that others find at an address, if there may be others.
    pub(super) fn new(address: Option<&str>, leads: bool) -> Self {
        let own = address.map(|address| Leader { address: address.to_owned(), token: rand::random() });
        let role = if leads { Role::Leads } else { Role::StandsBy };
        Self { role: watch::Sender::new(role), leader: watch::Sender::new(None), own }
    }

    pub(super) fn role(&self) -> Role {
        *self.role.borrow()
    }

    pub(super) fn leads(&self) -> bool {
        self.role() == Role::Leads
    }

    /// Told when the role is another one.
    pub(super) fn changes(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    /// How others know this process when it leads; none for one that is alone.
    pub(super) const fn own(&self) -> Option<&Leader> {
        self.own.as_ref()
    }

    /// Another process that leads, as far as is known.
    pub(super) fn leader(&self) -> Option<Leader> {
        self.leader.borrow().clone().filter(|leader| Some(leader) != self.own.as_ref())
    }

    /// Another process has the lock.
    pub(super) fn depose(&self) {
        self.role.send_replace(Role::Deposed);
    }
}

impl Platform {
    /// Takes in what another process has written, and shows what it has published.
    pub(super) async fn tail(&self) -> anyhow::Result<()> {
        is_of(&self.store, self.world, &self.signer).await?;
        let before = self.read(|desk| desk.log().len());
        loop {
            let entries = self.store.read(self.read(|desk| desk.log().len()), PAGE).await?;
            if entries.is_empty() {
                break;
            }
            self.desk.write().unwrap_or_else(PoisonError::into_inner).replay_all(&entries, cores())?;
        }
        if self.read(|desk| desk.log().len()) > before {
            self.publish()?;
        }
        let said = self.store.cosignatures().await?.into_iter();
        *self.cosigned.write().unwrap_or_else(PoisonError::into_inner) =
            said.map(|(witness, size, line)| (witness, (size, line))).collect();
        self.roles.leader.send_replace(self.store.leader().await?);
        self.show().await
    }

    /// Shows the feed as it was published last.
    async fn show(&self) -> anyhow::Result<()> {
        let known = self.offered();
        let Some(shelved) = self.store.shelved().await? else { return Ok(()) };
        if known.as_ref().is_some_and(|known| known.version() == shelved.version) {
            return Ok(());
        }
        let places = self.read(|desk| desk.rules().to_vec());
        let rules = self.rules(&places).await?;
        let mut files = HashMap::new();
        for name in self.store.shelved_names().await? {
            let file = match known.as_ref().and_then(|known| known.file(&name)) {
                Some(file) => Some(file),
                None => self.store.shelved_file(&name).await?.map(Into::into),
            };
            files.extend(file.map(|file| (name, file)));
        }
        let offered = Offered::read(shelved.head.into(), rules, self.world, files)?;
        self.bell.send_replace(Some(offered.into()));
        Ok(())
    }

    /// Leads from now on: the lock is had, and behind it nobody else writes.
    async fn take_over(&self, mut writer: Writer) -> anyhow::Result<()> {
        self.tail().await?;
        let last = writer.last().await?.map_or(0, |last| last.place + 1);
        let len = self.read(|desk| desk.log().len());
        anyhow::ensure!(last == len, "the journal has {last} entries, and {len} were read");
        // What another process has heard is not known here.
        *self.nonces.lock().unwrap_or_else(PoisonError::into_inner) = Nonces::new(now());
        if let Some(own) = self.roles.own() {
            writer.lead(own).await?;
        }
        self.way.open(writer).await;
        self.roles.role.send_replace(Role::Leads);
        info!(entries = len, "this process leads now");
        Ok(())
    }

    /// Reads the journal anew, since what is in memory may never have been written.
    async fn begin_anew(&self) -> anyhow::Result<()> {
        let desk = replay(&self.store, self.world).await?;
        self.published.go_on(&self.signer, desk.log())?;
        *self.desk.write().unwrap_or_else(PoisonError::into_inner) = desk;
        self.publish()?;
        self.roles.role.send_replace(Role::StandsBy);
        Ok(())
    }
}

/// Does what the role asks for, as long as there is a platform.
pub(super) async fn rounds(platform: Weak<Platform>) {
    let Some(mut role) = platform.upgrade().map(|platform| platform.roles.changes()) else { return };
    let mut rest = RESTS;
    loop {
        let now = *role.borrow_and_update();
        let done = match now {
            Role::Leads => {
                if role.changed().await.is_err() {
                    return;
                }
                Ok(())
            }
            Role::StandsBy => stand_by(&platform).await,
            Role::Deposed => {
                let Some(platform) = platform.upgrade() else { return };
                warn!("another process leads; the journal is read anew");
                platform.begin_anew().await
            }
        };
        if let Err(fault) = done {
            if platform.strong_count() == 0 {
                return;
            }
            error!("this process cannot stand by: {fault:#}; it is tried again");
            sleep(rest).await;
            rest = RESTS_MAX.min(rest * 2);
        } else {
            rest = RESTS;
        }
    }
}

/// Follows the leader until this process leads, or something goes wrong.
async fn stand_by(platform: &Weak<Platform>) -> anyhow::Result<()> {
    let gone = || anyhow::anyhow!("the platform ends");
    info!("another process leads; this one stands by");
    loop {
        let store = platform.upgrade().ok_or_else(gone)?.store.clone();
        let attempt = async move { store.writer().await };
        tokio::pin!(attempt);
        let writer = loop {
            tokio::select! {
                writer = &mut attempt => break writer,
                () = sleep(TAILS) => platform.upgrade().ok_or_else(gone)?.tail().await?,
            }
        };
        match writer {
            Ok(writer) => return platform.upgrade().ok_or_else(gone)?.take_over(writer).await,
            Err(StoreError::Taken) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
}
