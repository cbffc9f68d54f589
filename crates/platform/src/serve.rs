//! The platform as a process: one thread that takes things in, and a server that answers.

mod api;
mod bucket;
mod bus;
mod door;
mod duty;
mod feed;
mod forward;
mod http;
mod intake;
mod members;
mod metrics;
mod peer;
mod proposals;
mod public_log;
mod record;
mod role;
mod submit;
mod way;

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;

use anyhow::{Context, bail};
use credence_credit::{Issuer, Record};
use credence_law::party::World;
use credence_law::{AdoptError, Law};
use credence_prefix::Prefix;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tracing::{error, info};

pub use duty::Offices;
pub use feed::rules;
pub use http::{Listening, listen, router};

pub(crate) use self::intake::Answer;
pub(crate) use self::peer::Peer;

use self::intake::{Handed, Intake};
use self::metrics::Metrics;
use self::record::Kept;
use self::role::Roles;
use self::way::Way;
use crate::bucket::Place;
use crate::desk::Desk;
use crate::gate::{Gate, Limits};
use crate::log::Signer;
use crate::published::{Published, origin};
use crate::request::Nonces;
use crate::store::{Inquiry, Store, StoreError};
use credence_feed::Witness;

/// Entries that are read together at the start.
const PAGE: u32 = 4_096;

/// What an operator chooses.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How much may be handed in.
    pub limits: Limits,
    /// Whether all requests come through a proxy that says for whom: the last address of `X-Forwarded-For`.
    pub is_behind_proxy: bool,
    /// Whose word on the log is kept beside it.
    pub witnesses: Vec<Witness>,
    /// For whom the platform acts.
    pub offices: Offices,
    /// Where the feed's files lie; without it, or without the operator's key, there is no feed.
    pub feed: Option<PathBuf>,
    /// A bucket that has a copy of everything that gateways follow.
    pub bucket: Option<Place>,
    /// A server of NATS, by its URL, that rings for whoever follows.
    pub bus: Option<String>,
    /// The certificates (PEM) of those who may sign that of a bus at `tls://`; without it they are the authorities that the host trusts.
    pub bus_ca: Option<PathBuf>,
    /// The directory of an example world whose parties' manifests are made here. Elsewhere parties make their own, when they are asked.
    pub parties: Option<PathBuf>,
    /// After how many seconds a manifest is to state what is new.
    pub attest_after: u64,
    /// Where other processes on the same database reach this one, `http://HOST:PORT`. With it, and a database that others can have a
    /// process on, this one stands by while another leads.
    pub reached: Option<String>,
}

/// What a witness has said of the log last: at which size, and the line of its note.
type Cosigned = BTreeMap<String, (u64, Vec<u8>)>;

/// What all requests share.
#[derive(Debug)]
pub struct Platform {
    world: World,
    desk: RwLock<Desk>,
    /// What gateways follow.
    fed: Arc<tokio::sync::Mutex<Option<feed::Fed>>>,
    /// What is published of it; rings when that is something new.
    bell: feed::Bell,
    /// What issuers are asked to state.
    proposals: proposals::Proposals,
    /// How much of the log is on disk, for whoever waits for more.
    written: watch::Sender<u64>,
    gate: Mutex<Gate>,
    /// Signed requests that were heard.
    nonces: Mutex<Nonces>,
    store: Store,
    /// Whether this process leads, and who does otherwise.
    roles: Roles,
    /// By which requests are handed on, where there may be others.
    forwards: Option<reqwest::Client>,
    /// The way to the disk, until the journal is closed.
    way: Way,
    signer: Signer,
    published: Published,
    /// How much of the log is on disk, and the checkpoint of that.
    checkpoint: RwLock<(u64, Vec<u8>)>,
    cosigned: RwLock<Cosigned>,
    inbox: mpsc::Sender<Handed>,
    /// Whose turn it is to make an act for an office.
    turn: tokio::sync::Mutex<()>,
    /// Acts that may wait to be taken in.
    waiting: Arc<Semaphore>,
    /// Room for what is being handed in, in KiB.
    room: Semaphore,
    metrics: Metrics,
    kept: Kept,
    settings: Settings,
    started: Instant,
}

impl Platform {
    /// The platform of a world, from its journal on. Must be called inside a runtime.
    ///
    /// # Errors
    /// When the journal cannot be read, another process writes to it and this one is not to stand by, it is another world's, does not
    /// stand up to the checks, or is not the one that was published.
    pub async fn open(
        store: Store,
        world: World,
        signer: Signer,
        published: Published,
        settings: Settings,
    ) -> anyhow::Result<Arc<Self>> {
        // Before anything is read, so that nothing comes behind what was read.
        let reached = settings.reached.as_deref().filter(|_| store.is_shared());
        let mut writer = match store.writer().await {
            Ok(writer) => Some(writer),
            Err(StoreError::Taken) if reached.is_some() => None,
            Err(fault) => return Err(fault.into()),
        };
        let (epoch, known) = (published.epoch()?, store.epoch().await?);
        if let Some(writer) = writer.as_mut().filter(|_| known < epoch) {
            // A new database, or one of a version that did not note it.
            writer.begin_epoch(epoch).await?;
        }
        is_of(&store, world, &signer).await?;
        let roles = Roles::new(reached, writer.is_some());
        if let (Some(writer), Some(own)) = (&mut writer, roles.own()) {
            writer.lead(own).await?;
        }
        let forwards = reached.map(|_| forward::client()).transpose()?;
        let desk = replay(&store, world).await?;
        published.go_on(&signer, desk.log())?;
        let checkpoint = (desk.log().len(), signer.checkpoint(desk.log()));
        let said = store.cosignatures().await?.into_iter();
        let cosigned = said.map(|(witness, size, line)| (witness, (size, line))).collect();
        let (inbox, handed) = mpsc::channel(intake::WAITING_MAX);
        let platform = Arc::new(Self {
            world,
            fed: Arc::default(),
            bell: feed::Bell::default(),
            proposals: proposals::Proposals::default(),
            written: watch::Sender::new(desk.log().len()),
            desk: RwLock::new(desk),
            gate: Mutex::new(Gate::new(settings.limits, RandomState::new())),
            nonces: Mutex::new(Nonces::new(now())),
            store,
            roles,
            forwards,
            way: writer.map_or_else(Way::elsewhere, Way::new),
            signer,
            published,
            checkpoint: RwLock::new(checkpoint),
            cosigned: RwLock::new(cosigned),
            inbox,
            turn: tokio::sync::Mutex::default(),
            waiting: Arc::new(Semaphore::new(intake::WAITING_MAX)),
            room: Semaphore::new(submit::ROOM_KIB as usize),
            metrics: Metrics::new(),
            kept: Kept::default(),
            settings,
            started: Instant::now(),
        });
        if !platform.roles.leads() {
            // Whoever stands by knows from the first request on whom to hand it to.
            platform.tail().await?;
        }
        let (taking, handle) = (Arc::downgrade(&platform), Handle::current());
        let thread = thread::Builder::new().name("platform-desk".to_owned());
        thread.spawn(move || Intake::new(handed, taking, handle).run()).context("no thread for the desk")?;
        tokio::spawn(duty::rounds(Arc::downgrade(&platform)));
        tokio::spawn(role::rounds(Arc::downgrade(&platform)));
        tokio::spawn(feed::rounds(Arc::downgrade(&platform)));
        if let Some(url) = platform.settings.bus.clone() {
            let bus = (url, platform.settings.bus_ca.clone());
            tokio::spawn(bus::rounds(Arc::downgrade(&platform), bus));
        }
        if let Some(place) = platform.settings.bucket.clone() {
            tokio::spawn(bucket::rounds(Arc::downgrade(&platform), place));
        }
        Ok(platform)
    }

    /// Closes the journal, when nothing more is to come.
    pub async fn close(&self) {
        if let Err(fault) = self.way.close().await {
            error!(%fault, "the journal was not closed in order; it is whole");
        }
        self.store.close().await;
    }

    /// Reads the state, which the desk's thread alone changes.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Desk) -> T) -> T {
        read(&self.desk.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How much of the log is on disk.
    fn on_disk(&self) -> u64 {
        self.checkpoint.read().unwrap_or_else(PoisonError::into_inner).0
    }

    /// How much of the log is on disk, and the signed checkpoint of that.
    pub(crate) fn checkpoint(&self) -> (u64, Vec<u8>) {
        self.checkpoint.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What gateways are told now: a record for each act in force, and who issued them.
    ///
    /// # Errors
    /// Before there is a rule of each kind.
    pub fn records(&self) -> Result<(Vec<Issuer>, Vec<Record>), AdoptError> {
        self.read(|desk| desk.law().map(|law| desk.book().records(law, now())))
    }

    /// What members hold.
    ///
    /// # Errors
    /// Before there is a rule of each kind.
    pub fn holdings(&self) -> Result<Vec<Prefix>, AdoptError> {
        let held = |law: &Law| {
            let members = &law.register().registry().members;
            members.iter().flat_map(|member| &member.holdings).map(|holding| holding.prefix).collect()
        };
        self.read(|desk| desk.law().map(held))
    }

    /// Counts an inquiry.
    pub(crate) fn asked(&self) {
        self.metrics.asked();
    }

    /// Writes down who looks at a credit file with its history, and lets go of inquiries from before `until` (Unix seconds).
    pub(crate) async fn inquired(&self, inquiry: &Inquiry, until: u64) -> sqlx::Result<()> {
        self.way.writer().await?.inquired(inquiry, until).await
    }

    /// Who looked at a subject's file, newest first.
    pub(crate) async fn inquiries(&self, subject: Prefix) -> sqlx::Result<Vec<Inquiry>> {
        self.store.inquiries(subject).await
    }

    /// Milliseconds since the start, by a clock that nobody sets.
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The state at the end of the journal of a world.
///
/// # Errors
/// When it cannot be read, is another world's, or does not stand up to the checks.
pub async fn replay(store: &Store, world: World) -> anyhow::Result<Desk> {
    let Some(first) = store.read(0, 1).await?.pop() else {
        bail!("the journal is empty; it begins with a root")
    };
    let mut desk = Desk::begin(&first, world)?;
    loop {
        let entries = store.read(desk.log().len(), PAGE).await?;
        if entries.is_empty() {
            let missing = desk.unexplained().next();
            anyhow::ensure!(
                missing.is_none(),
                "the payload of {missing:?} is missing, and nobody has erased it"
            );
            info!(entries = desk.log().len(), "the journal was read");
            return Ok(desk);
        }
        desk.replay_all(&entries, cores())?;
    }
}

/// That a journal is of the epoch whose checkpoints are signed here: with another directory on the same database somebody may have
/// begun another.
async fn is_of(store: &Store, world: World, signer: &Signer) -> anyhow::Result<()> {
    let name = origin(world, store.epoch().await?);
    anyhow::ensure!(
        name == signer.origin(),
        "the journal goes on as {name}, and what this directory signs is {}: stop this process, take the file `epoch` from the \
         directory in which the journal was restored, remove `published` here, and start anew",
        signer.origin()
    );
    Ok(())
}

/// The cores that this process may use.
pub fn cores() -> NonZero<usize> {
    thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// Unix time in seconds.
pub fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)
}
