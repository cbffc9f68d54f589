//! The platform, in a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use axum::serve::Listener;
use credence_credit::{Measure, Score};
use credence_law::party::World;
use credence_platform::example::{Parties, Place, make_world};
use credence_platform::gate::Limits;
use credence_platform::keys;
use credence_platform::log::Signer;
use credence_platform::published::{Published, origin};
use credence_platform::serve::{Offices, Platform, Settings, listen, now, router};
use credence_platform::store::{Address, Store};
use credence_prefix::Prefix;
use tempfile::TempDir;

/// Where the process finds that it is the platform, and its world.
pub(crate) const DIRECTORY: &str = "CREDENCE_BENCH_PLATFORM";
/// The member whose subscribers have a /64 each.
const HOSTING: u16 = 4;

/// Serves the world of a directory until nobody listens at the other end of the standard input.
pub(crate) fn serve(directory: &Path) {
    let place = Place::new(directory);
    let world = credence_platform::example::read_world(&place).unwrap();
    let operator = keys::read(&place.operator()).unwrap();
    let signer = Signer::new(&origin(world, 1), &operator);
    let settings = Settings {
        offices: Offices::new(Some(operator), None),
        feed: Some(directory.join("feed")),
        parties: Some(directory.to_owned()),
        attest_after: 600,
        limits: Limits::default(),
        ..Settings::default()
    };
    let runtime = crate::runtime();
    runtime.block_on(async {
        let store = Store::open(&Address::of(directory).unwrap()).await.unwrap();
        let platform =
            Platform::open(store, world, signer, Published::new(directory), settings).await.unwrap();
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        println!("{}", listener.local_addr().unwrap());
        let app = router(Arc::clone(&platform)).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
        platform.close().await;
    });
}

/// The process, which ends with this value, and its parties.
pub(crate) struct Site {
    process: Child,
    _stdin: ChildStdin,
    pub(crate) address: SocketAddr,
    pub(crate) world: World,
    parties: Parties,
    number: u64,
    _directory: TempDir,
}

impl Site {
    pub(crate) fn begin() -> Self {
        let directory = crate::directory();
        let place = Place::new(directory.path());
        let (world, entries) = make_world(&place, now()).unwrap();
        crate::runtime().block_on(async {
            let store = Store::open(&Address::of(directory.path()).unwrap()).await.unwrap();
            let mut writer = store.writer().await.unwrap();
            writer.append(&entries).await.unwrap();
            writer.close().await.unwrap();
            store.close().await;
        });
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env(DIRECTORY, directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().parse().unwrap();
        let parties = Parties::new(place, world, now());
        Self { process, _stdin: stdin, address, world, parties, number: 0, _directory: directory }
    }

    /// The number of the process.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    /// An act about a subscriber of whom nothing was said.
    pub(crate) fn act(&mut self) -> Vec<u8> {
        self.number += 1;
        let first = 0x2001_0db8 << 96 | u128::from(HOSTING) << 92 | u128::from(self.number) << 64;
        let said = (Measure::RateLimit, Score::new(400).unwrap());
        self.parties.alert(HOSTING, Prefix::containing(first, 64), said, now()).unwrap().encode()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
