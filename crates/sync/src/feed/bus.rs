//! The doorbell of a bus, which thousands can hear at once: NATS. While it is not there the publishers' own are listened to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{ConnectOptions, Event, Subscriber};
use credence_feed::subject;
use credence_law::party::World;
use futures_util::StreamExt;
use reqwest::Url;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{Mirror, listen};
use crate::fetch::{Fetcher, is_loopback};

/// How often the server is asked whether it is there.
const ASKS: Duration = Duration::from_secs(10);

/// A server of NATS, and what is listened to there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bus {
    url: String,
    /// Where the certificates of those lie who may sign the server's, where it has to show one.
    authorities: Option<PathBuf>,
    subject: String,
}

/// Why a text is no bus that anybody listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// It is no URL of NATS.
    #[error("is no address of NATS; write it like tls://bus.example:4222 or nats://127.0.0.1:4222")]
    NoUrl,
    /// It is on another host.
    #[error(
        "is another host, to which nothing is encrypted; write tls://, let a leaf node on this one connect there, or set `sync.plain_http = true`"
    )]
    Plain,
    /// Nobody says who may sign its certificate.
    #[error("has to show a certificate; name a file with those of its authorities in `sync.bus_ca`")]
    Unknown,
}

impl Bus {
    /// Reads the address of a server where the feed of a world is told of. It has to show a certificate that one of the `authorities` in
    /// a file (PEM) has signed, to be on this very host, or `plain` ones are wanted.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn parse(
        text: &str,
        authorities: Option<&Path>,
        plain: bool,
        world: World,
    ) -> Result<Self, BusError> {
        let url = Url::parse(text).ok().filter(Url::has_host).ok_or(BusError::NoUrl)?;
        let authorities = match url.scheme() {
            "tls" => Some(authorities.ok_or(BusError::Unknown)?.to_owned()),
            "nats" if plain || is_loopback(&url) => None,
            "nats" => return Err(BusError::Plain),
            _ => return Err(BusError::NoUrl),
        };
        Ok(Self { url: text.to_owned(), authorities, subject: subject(world) })
    }

    /// How it is connected to. The file of authorities is read each time.
    fn options(&self) -> ConnectOptions {
        let options = ConnectOptions::new().retry_on_initial_connect().ping_interval(ASKS);
        match &self.authorities {
            Some(authorities) => options.require_tls(true).add_root_certificates(authorities.clone()),
            None => options,
        }
    }
}

/// Listens to a bus and rings `bell`, until nobody hears it; to the doorbells of mirrors while the bus is not there.
/// `chance` is as for [`listen`].
pub async fn listen_to(
    bus: Bus,
    fetcher: Fetcher,
    mirrors: Vec<Mirror>,
    bell: Sender<()>,
    chance: fn() -> u32,
) {
    let (connected, mut state) = watch::channel(false);
    let options = bus.options().event_callback(move |event| {
        match event {
            Event::Connected => drop(connected.send_replace(true)),
            Event::Disconnected | Event::Closed => drop(connected.send_replace(false)),
            _ => {}
        }
        std::future::ready(())
    });
    let subscribed = async {
        let client = options.connect(&bus.url).await.map_err(|fault| fault.to_string())?;
        client.subscribe(bus.subject).await.map(|told| (client, told)).map_err(|fault| fault.to_string())
    };
    let (_client, mut told) = match subscribed.await {
        Ok(subscribed) => subscribed,
        Err(fault) => {
            warn!("the bus cannot be listened to: {fault}");
            return listen(fetcher, mirrors, bell, chance).await;
        }
    };
    loop {
        if *state.borrow_and_update() {
            info!("the bus is listened to");
            heard(&mut told, &mut state, &bell).await;
            if bell.is_closed() {
                return;
            }
            warn!("the bus is gone; publishers are listened to until it is back");
        } else {
            tokio::select! {
                () = listen(fetcher.clone(), mirrors.clone(), bell.clone(), chance) => return,
                _ = state.changed() => {}
            }
        }
    }
}

/// Rings for each message, and once for those that were missed before, until the bus is gone or nobody hears.
async fn heard(told: &mut Subscriber, state: &mut watch::Receiver<bool>, bell: &Sender<()>) {
    loop {
        // A bell that is rung already needs no second ring.
        if matches!(bell.try_send(()), Err(TrySendError::Closed(()))) {
            return;
        }
        tokio::select! {
            message = told.next() => if message.is_none() { return },
            _ = state.changed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_on_another_host_is_asked_for_in_so_many_words() {
        let world = World([7; 32]);
        let parse = |text, plain| Bus::parse(text, None, plain, world).map(|bus| bus.url);
        for good in ["nats://127.0.0.1:4222", "nats://[::1]", "nats://me:secret@localhost:4222"] {
            assert_eq!(parse(good, false), Ok(good.to_owned()));
        }
        assert_eq!(parse("nats://bus.example:4222", false), Err(BusError::Plain));
        assert!(parse("nats://bus.example:4222", true).is_ok());
        for wrong in ["", "127.0.0.1:4222", "https://127.0.0.1", "nats:", "tls:"] {
            assert_eq!(parse(wrong, true), Err(BusError::NoUrl), "{wrong}");
        }
        // Neither loopback nor a wish for plain ones makes up for a certificate.
        for encrypted in ["tls://bus.example", "tls://127.0.0.1:4222"] {
            assert_eq!(parse(encrypted, true), Err(BusError::Unknown));
            let bus = Bus::parse(encrypted, Some(Path::new("ca.pem")), false, world).unwrap();
            assert_eq!((bus.url, bus.authorities), (encrypted.to_owned(), Some("ca.pem".into())));
        }
    }
}
