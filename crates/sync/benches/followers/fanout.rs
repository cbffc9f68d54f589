//! Gateways' clients, each with its doorbell.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use credence_sync::feed::{Client, Folder, Mirror, Offer, Pinned, Plan, Timings, Told, listen};
use credence_sync::fetch::{Fetcher, Patience};
use credence_sync::lists::Machine;
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until};

use crate::platform::Site;
use crate::polled::{Connection, begun};
use crate::{Scale, directory, processor, runtime, tell};

/// How long is waited for the last client before the bench gives up.
const GIVES_UP: Duration = Duration::from_secs(60);

/// A version that a client believes, and when it did so first.
type Reached = (u64, Instant);

/// What is seen of all clients.
#[derive(Default)]
struct Seen {
    /// The serial that each believes.
    serials: Vec<AtomicU64>,
    refused: AtomicU64,
}

impl Seen {
    /// Waits until all believe this version or a newer one.
    async fn all_at(&self, serial: u64) {
        let begun = Instant::now();
        while self.serials.iter().any(|known| known.load(Ordering::Relaxed) < serial) {
            assert!(begun.elapsed() < GIVES_UP, "not everybody has come to {serial}");
            sleep(Duration::from_millis(2)).await;
        }
    }
}

pub(crate) fn run(scale: Scale) {
    let (mut site, folders) = (Site::begin(), directory());
    let serials = (0..scale.clients).map(|_| AtomicU64::new(0)).collect();
    let seen = Arc::new(Seen { serials, ..Seen::default() });
    runtime().block_on(async {
        begun(site.address).await;
        let (tell_reached, mut reached) = mpsc::unbounded_channel();
        for number in 0..scale.clients {
            let client = client(&site, &Folder::new(&folders.path().join(number.to_string())).unwrap());
            tokio::spawn(follow(client, Arc::clone(&seen), number, tell_reached.clone()));
            // All at once would be a storm that no deployment has.
            sleep(Duration::from_millis(3)).await;
        }
        seen.all_at(1).await;
        sleep(Duration::from_secs(1)).await;
        while reached.try_recv().is_ok() {}
        let before = [processor(site.process()), processor(std::process::id())];
        let updates = update(&mut site, &seen, scale).await;
        let spent = [processor(site.process()) - before[0], processor(std::process::id()) - before[1]];
        let mut each = Vec::new();
        while let Ok((serial, at)) = reached.try_recv() {
            let stated = updates.iter().filter(|(by, _)| *by <= serial).map(|(_, taken)| *taken).next_back();
            each.extend(stated.map(|taken: Instant| at.saturating_duration_since(taken)));
        }
        tell(&format!("fanout/{}: each client", scale.clients), each);
        println!(
            "fanout/{}: processor time of the platform {:.1?}, of all clients {:.1?}; {} rounds refused",
            scale.clients,
            spent[0],
            spent[1],
            seen.refused.load(Ordering::Relaxed)
        );
    });
}

/// Hands in an act a second. Returns the versions by which they were stated, and when they were taken.
async fn update(site: &mut Site, seen: &Arc<Seen>, scale: Scale) -> Vec<Reached> {
    let mut member = Connection::open(site.address).await;
    let (begin, mut updates, mut lasts) = (Instant::now(), Vec::new(), Vec::new());
    let mut last = newest(site).await;
    for second in 0..scale.updates {
        sleep_until((begin + Duration::from_secs(second.into())).into()).await;
        assert_eq!(member.ask("POST", "/acts", "", &site.act()).await.status, 201);
        let taken = Instant::now();
        // Each act is in a version of its own, since the one before was published by then.
        while newest(site).await == last {
            sleep(Duration::from_millis(2)).await;
        }
        last = newest(site).await;
        updates.push((last, taken));
        let seen = Arc::clone(seen);
        lasts.push(tokio::spawn(async move {
            seen.all_at(last).await;
            taken.elapsed()
        }));
    }
    let mut all = Vec::new();
    for last in lasts {
        all.push(last.await.unwrap());
    }
    tell(&format!("fanout/{}: the last client", scale.clients), all);
    updates
}

/// The serial that is published.
async fn newest(site: &Site) -> u64 {
    let mut connection = Connection::open(site.address).await;
    connection.ask("GET", "/feed/head", "", b"").await.serial()
}

fn client(site: &Site, folder: &Folder) -> (Client, Fetcher, Mirror) {
    let pinned = Pinned {
        world: site.world,
        origin: format!("credence/{}", site.world),
        witnesses: Vec::new(),
        witness_quorum: 0,
        allow_example: true,
    };
    let mirror = Mirror::parse(&format!("http://{}", site.address), false).unwrap();
    let timings = Timings { refresh: 15, ..Timings::default() };
    let plan = Plan { pinned, mirrors: vec![mirror.clone()], timings };
    let fetcher = Fetcher::new(Patience::default()).unwrap();
    let machine = Machine { unix_s: credence_platform::serve::now, chance };
    (Client::new(fetcher.clone(), plan, folder.clone(), machine), fetcher, mirror)
}

/// Numbers that look random, each time another.
fn chance() -> u32 {
    static LAST: AtomicU64 = AtomicU64::new(1);
    (LAST.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) >> 32) as u32
}

async fn follow(
    (mut client, fetcher, mirror): (Client, Fetcher, Mirror),
    seen: Arc<Seen>,
    number: usize,
    reached: mpsc::UnboundedSender<Reached>,
) {
    let (ring, mut bell) = mpsc::channel(1);
    tokio::spawn(listen(fetcher, vec![mirror], ring, chance));
    loop {
        match client.round(&mut bell).await.unwrap() {
            Told::New(Offer { serial, .. }) => {
                seen.serials[number].store(serial, Ordering::Relaxed);
                // Whoever counts may be gone.
                let _ = reached.send((serial, Instant::now()));
            }
            Told::Refused(..) => drop(seen.refused.fetch_add(1, Ordering::Relaxed)),
            Told::Fresh(_) => {}
        }
    }
}
