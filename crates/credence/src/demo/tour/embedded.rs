//! The alert platform with an example world, in this process.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use credence_credit::{ActId, Issuer, Record};
use credence_law::Signed;
use credence_law::acts::Ground;
use credence_platform::complaint::Answered;
use credence_platform::example::{Parties, Place, make_world};
use credence_platform::keys;
use credence_platform::log::Signer;
use credence_platform::published::{Published, origin};
use credence_platform::serve::{Offices, Platform, Settings, now, router};
use credence_platform::store::{Address, Store};
use credence_prefix::Prefix;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::outputs::random;

/// A platform that serves its portal on a free port of loopback.
pub(super) struct Embedded {
    runtime: Runtime,
    platform: Arc<Platform>,
    parties: Parties,
    address: SocketAddr,
    /// Keys and journal, which go with the tour.
    _directory: TempDir,
}

impl Embedded {
    /// Makes an example world in a directory for the time being, and serves it.
    pub(super) fn start() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("credence-demo-").tempdir();
        let directory = directory.context("there is no room for its world")?;
        let place = Place::new(directory.path());
        // One thread: the portal of a tour has few readers, and the line has the other processors.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (world, entries) = make_world(&place, now())?;
        let (operator, executive) = (keys::read(&place.operator())?, keys::read(&place.executive())?);
        let signer = Signer::new(&origin(world, 1), &operator);
        let settings =
            Settings { offices: Offices::new(Some(operator), Some(executive)), ..Settings::default() };
        let (platform, address) = runtime.block_on(async {
            let store = Store::open(&Address::of(directory.path())?).await?;
            let mut writer = store.writer().await?;
            writer.append(&entries).await?;
            writer.close().await?;
            let published = Published::new(directory.path());
            let platform = Platform::open(store, world, signer, published, settings).await?;
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            let app = router(Arc::clone(&platform)).into_make_service_with_connect_info::<SocketAddr>();
            tokio::spawn(async move { axum::serve(listener, app).await });
            anyhow::Ok((platform, address))
        })?;
        let parties = Parties::new(place, world, now());
        Ok(Self { runtime, platform, parties, address, _directory: directory })
    }

    /// Where the portal is.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands in what parties say at the moment, in Unix seconds, that they are told.
    pub(super) fn submit(
        &mut self,
        make: impl FnOnce(&mut Parties, u64) -> anyhow::Result<Signed>,
    ) -> anyhow::Result<ActId> {
        let signed = make(&mut self.parties, now())?;
        Ok(self.runtime.block_on(self.platform.submit(&signed))?.id)
    }

    /// Complains about an act as somebody at `from` would who answers the platform's challenge from there. On loopback no connection
    /// comes from such an address, so the platform is told what its server would have seen.
    pub(super) fn complain(&self, act: ActId, from: Ipv6Addr) -> anyhow::Result<ActId> {
        let challenge = self.platform.challenge(&act, from)?;
        let commitment = random().context("the operating system has no random numbers")?;
        let answered = Answered { challenge: &challenge.text, from, ground: Ground::Error, commitment };
        Ok(self.runtime.block_on(self.platform.complain(&answered))?)
    }

    /// What gateways are told now.
    pub(super) fn records(&self) -> anyhow::Result<(Vec<Issuer>, Vec<Record>)> {
        Ok(self.platform.records()?)
    }

    /// What the members hold.
    pub(super) fn holdings(&self) -> anyhow::Result<Vec<Prefix>> {
        Ok(self.platform.holdings()?)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Before the directory goes.
        self.runtime.block_on(self.platform.close());
    }
}
