//! Doorbells by way of a bus, which goes away and comes back: the real client, the real platform, and a server of NATS.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use credence_sync::feed::{Bus, Mirror, Told, listen_to};
use credence_sync::fetch::{Fetcher, Patience};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use crate::bucket::{Gateway, Publisher, free_port, gateway, run};

/// How long a ring may take to be followed, on a busy machine: far less than a question by the clock takes.
const SOON: Duration = Duration::from_secs(30);

/// A server with a stream on disk, killed when this value goes.
struct Server(Child);

impl Server {
    /// None where the program is not installed; the full test command brings it.
    fn start(port: u16, directory: &TempDir) -> Option<Self> {
        Self::start_with(port, directory, &[])
    }

    fn start_with(port: u16, directory: &TempDir, more: &[&str]) -> Option<Self> {
        let program = env::var_os("NATS_SERVER").unwrap_or_else(|| "nats-server".into());
        let mut command = Command::new(program);
        command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(directory.path());
        let Ok(process) = command.args(more).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            eprintln!("nats-server is not installed: no bus was listened to");
            return None;
        };
        let server = Self(process);
        let is_there = (0..400).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        assert!(is_there, "nats-server does not start");
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Follows whenever somebody rings, until the gateway has what the platform says is in force.
async fn follow(gateway: &mut Gateway, bell: &mut Receiver<()>, publisher: &Publisher) {
    let begun = tokio::time::Instant::now();
    while gateway.records().as_ref() != Some(&publisher.records()) {
        let left = SOON.saturating_sub(begun.elapsed());
        let told = timeout(left, gateway.client.round(bell)).await.expect("somebody rings in time").unwrap();
        assert!(!matches!(told, Told::Refused(..)), "{told:?}");
    }
    println!("rung and followed after {:?}", begun.elapsed());
}

/// An authority of this test's, with its certificate in a file.
fn authority(directory: &TempDir, name: &str) -> (CertifiedIssuer<'static, KeyPair>, PathBuf) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let path = put(directory, name, &authority.pem());
    (authority, path)
}

/// Writes a file.
fn put(directory: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

/// A server that cannot show a certificate of an authority that was named is nobody's bus.
#[test]
fn a_bus_that_is_encrypted_rings_for_those_who_know_its_authority() {
    let (port, store) = (free_port(), TempDir::new().unwrap());
    let ((ours, ca), (_, other_ca)) = (authority(&store, "ours.pem"), authority(&store, "others.pem"));
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = put(&store, "server.pem", &params.signed_by(&key, &ours).unwrap().pem());
    let key = put(&store, "server.key", &key.serialize_pem());
    let shown = ["--tls", "--tlscert", certificate.to_str().unwrap(), "--tlskey", key.to_str().unwrap()];
    let Some(_server) = Server::start_with(port, &store, &shown) else { return };
    run(async {
        let (world, disk) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let url = format!("tls://127.0.0.1:{port}");
        let mut publisher = Publisher::start_with(&world, |settings| {
            (settings.bus, settings.bus_ca) = (Some(url.clone()), Some(ca.clone()));
        })
        .await;
        let mut gateway = gateway(&publisher, &format!("http://{}", publisher.address), &disk, 600);
        let fetcher = Fetcher::new(Patience::default()).unwrap();
        let nobody = format!("http://127.0.0.1:{}", free_port());
        let [mut rings, mut stranger] = [&ca, &other_ca].map(|ca| {
            let (bell, rings) = channel(1);
            let bus = Bus::parse(&url, Some(ca), false, publisher.world).unwrap();
            let mirrors = vec![Mirror::parse(&nobody, false).unwrap()];
            tokio::spawn(listen_to(bus, fetcher.clone(), mirrors, bell, || 0));
            rings
        });
        for _ in 0..3 {
            publisher.alert(2).await;
            follow(&mut gateway, &mut rings, &publisher).await;
        }
        assert!(stranger.try_recv().is_err(), "a server of another authority's was heard");
    });
}

#[test]
fn a_bus_rings_and_publishers_do_while_it_is_gone() {
    let (port, store) = (free_port(), TempDir::new().unwrap());
    let Some(server) = Server::start(port, &store) else { return };
    run(async {
        let (world, disks) = (TempDir::new().unwrap(), [TempDir::new().unwrap(), TempDir::new().unwrap()]);
        let url = format!("nats://127.0.0.1:{port}");
        let mut publisher = Publisher::start_with(&world, |settings| settings.bus = Some(url.clone())).await;
        let mirror = format!("http://{}", publisher.address);
        let nobody = format!("http://127.0.0.1:{}", free_port());
        let [mut one, mut other] = disks.each_ref().map(|disk| gateway(&publisher, &mirror, disk, 600));
        let fetcher = Fetcher::new(Patience::default()).unwrap();
        // One hears the bus alone, the other the publisher as well.
        let [mut by_bus, mut by_both] = [&nobody, &mirror].map(|listened| {
            let (bell, rings) = channel(1);
            let bus = Bus::parse(&url, None, false, publisher.world).unwrap();
            let mirrors = vec![Mirror::parse(listened, false).unwrap()];
            tokio::spawn(listen_to(bus, fetcher.clone(), mirrors, bell, || 0));
            rings
        });
        for _ in 0..3 {
            publisher.alert(2).await;
            follow(&mut one, &mut by_bus, &publisher).await;
            follow(&mut other, &mut by_both, &publisher).await;
        }
        drop(server);
        publisher.alert(2).await;
        follow(&mut other, &mut by_both, &publisher).await;
        publisher.alert(2).await;
        follow(&mut other, &mut by_both, &publisher).await;
        assert!(
            timeout(Duration::from_secs(1), by_bus.recv()).await.is_err(),
            "nobody is there who could ring"
        );
        let _server = Server::start(port, &store).unwrap();
        follow(&mut one, &mut by_bus, &publisher).await;
        publisher.alert(2).await;
        follow(&mut one, &mut by_bus, &publisher).await;
        follow(&mut other, &mut by_both, &publisher).await;
        assert!(fs::read_dir(store.path()).unwrap().next().is_some(), "the stream is on disk");
    });
}
