//! The doorbell on a bus: each head that is published is told to NATS, which tells all who listen there.
//!
//! The stream keeps the last message, so that whoever has it replayed is told at once. A message states nothing that anybody believes:
//! whoever hears one asks for the head.

use std::path::PathBuf;
use std::sync::Weak;
use std::time::Duration;

use anyhow::Context;
use async_nats::jetstream::{self, stream::Config};
use async_nats::{Client, ConnectOptions};
use credence_feed::subject;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::Platform;

/// How long a server may take for one thing.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked whether it is there.
const ASKS: Duration = Duration::from_secs(10);
/// How long is rested after a failure at first, and at most; each rest is twice as long as the one before.
const RESTS: Duration = Duration::from_secs(1);
const RESTS_MAX: Duration = Duration::from_secs(30);

impl Platform {
    /// Opens the stream at a server, which is made where it is not there.
    async fn stream(&self, client: &Client) -> anyhow::Result<jetstream::Context> {
        let subject = subject(self.world);
        let context = jetstream::new(client.clone());
        let config = Config {
            name: subject.replace('.', "-"),
            subjects: vec![subject],
            max_messages_per_subject: 1,
            ..Config::default()
        };
        timeout(PATIENCE, context.get_or_create_stream(config))
            .await
            .context("the bus does not answer")??;
        Ok(context)
    }

    /// Tells the bus which head is published.
    async fn ring(&self, context: &jetstream::Context, version: (u64, u64)) -> anyhow::Result<()> {
        let told = async {
            let text = format!("{} {}", version.0, version.1);
            anyhow::Ok(context.publish(subject(self.world), text.into()).await?.await?)
        };
        timeout(PATIENCE, told).await.context("the bus does not answer")??;
        Ok(())
    }
}

/// Rings for each head, as long as there is a platform. Whatever becomes of the bus, the platform serves on.
pub(super) async fn rounds(platform: Weak<Platform>, (url, authorities): (String, Option<PathBuf>)) {
    let Some(mut bell) = platform.upgrade().map(|platform| platform.bell.subscribe()) else { return };
    // Whoever came first has chosen the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let options = ConnectOptions::new().retry_on_initial_connect().ping_interval(ASKS);
    let options = authorities.into_iter().fold(options, ConnectOptions::add_root_certificates);
    let client = match options.connect(&url).await {
        Ok(client) => client,
        Err(fault) => return warn!("nobody is told of heads by the bus: {fault}; mend `--bus`"),
    };
    let (mut stream, mut told, mut rest) = (None, None, RESTS);
    loop {
        let version = bell.borrow_and_update().as_ref().map(|offered| offered.version());
        let Some(platform) = platform.upgrade() else { return };
        let Some(version) = version.filter(|version| platform.roles.leads() && told != Some(*version)) else {
            drop(platform);
            if bell.changed().await.is_err() {
                return;
            }
            continue;
        };
        let rung = async {
            let context = match stream.take() {
                Some(context) => context,
                None => platform.stream(&client).await?,
            };
            platform.ring(&context, version).await?;
            anyhow::Ok(context)
        };
        match rung.await {
            Ok(context) => {
                if told.is_none() {
                    info!("heads are told to the bus");
                }
                (stream, told, rest) = (Some(context), Some(version), RESTS);
            }
            Err(fault) => {
                platform.metrics.unrung();
                warn!("the bus is not told of a head: {fault:#}; it is tried again");
                drop(platform);
                sleep(rest).await;
                rest = RESTS_MAX.min(rest * 2);
            }
        }
    }
}
