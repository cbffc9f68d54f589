//! A gateway that hears its platform by way of a bus, encrypted, from within its sandbox.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use credence_platform::example::VISITORS;
use credence_prefix::Prefix;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::fed::{Alliance, awaits};
use super::live::Site;
use super::network::{between, now};
use crate::deploy::programs::NATS;

/// The port of the namespace that the server listens on.
const PORT: u16 = 4222;
/// How often the gateway asks by itself: not while the test lasts.
const HARDLY: Duration = Duration::from_secs(600);
/// How long a ring may take to be followed, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A server that shows a certificate, ended with this value.
struct Server(Child);

impl Server {
    /// None where the program is missing and the test is to be left out; otherwise it comes with the file of its authority.
    fn start(directory: &Path) -> Option<(Self, PathBuf)> {
        let program = NATS.find()?;
        let put = |name: &str, text: String| {
            let path = directory.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let own = put("own.pem", own.signed_by(&key, &authority).unwrap().pem());
        let key = put("own.key", key.serialize_pem());
        let mut command = Command::new(program);
        command.args(["-a", "127.0.0.1", "-p", &PORT.to_string(), "-js", "-sd"]).arg(directory);
        command.arg("--tls").arg("--tlscert").arg(own).arg("--tlskey").arg(key);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Some((Self(child), put("authority.pem", authority.pem())))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The sandbox keeps the files of the host away from whoever fetches, and the authorities of the bus are one of them.
#[test]
fn a_gateway_in_its_sandbox_hears_an_encrypted_bus() {
    between(
        "gateway::bus::a_gateway_in_its_sandbox_hears_an_encrypted_bus",
        |_| {
            let directory = TempDir::new().unwrap();
            let Some((_server, authority)) = Server::start(directory.path()) else { return };
            let url = format!("tls://127.0.0.1:{PORT}");
            let mut alliance = Alliance::start_with(|settings| {
                (settings.bus, settings.bus_ca) = (Some(url.clone()), Some(authority.clone()));
            });
            let followed = alliance.followed_without_bell(HARDLY);
            let site = Site::new(&format!("{followed}bus = \"{url}\"\nbus_ca = {authority:?}\n"));
            let mut running = site.start();
            let asked = "credence_sync_last_success_timestamp_seconds{source=\"feed\"}";
            running.metrics_when(|numbers| numbers.get(asked).is_some_and(|at_s| *at_s > 0));
            let began = now();
            alliance.decide(Prefix::containing(VISITORS.first(), 48));
            let decided = awaits(&mut running, "records", 1, began);
            println!("decided {decided:?}");
            assert!(decided < SOON, "{decided:?}, so nobody rang");
            running.signal("TERM");
            running.end().expect(0);
        },
        || {},
    );
}
