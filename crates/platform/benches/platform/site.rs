//! An example world, its process, and acts of its members.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use credence_credit::{EvidenceClass, Learned, Measure, Reason, Score};
use credence_law::acts::{Block, Claim, OwnAlert, Preamble, Purpose};
use credence_law::party::{Function, MemberId, Party, World};
use credence_law::standard::Standard;
use credence_law::{Act, Object, Signed};
use credence_platform::example::{Place, read_world};
use credence_platform::keys;
use credence_platform::serve::now;
use credence_platform::store::Address;
use credence_prefix::Prefix;
use ed25519_dalek::SigningKey;
use tempfile::TempDir;

use super::client::Client;

/// Members of an example world.
pub(crate) const MEMBERS: usize = 5;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_credence-platform"))
}

pub(crate) struct Site {
    directory: TempDir,
    world: World,
    keys: Vec<SigningKey>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut init = program();
        init.args(["init", "--dir"]).arg(directory.path()).stdout(Stdio::null());
        if let Some(url) = std::env::var_os("CREDENCE_BENCH_DATABASE") {
            init.arg("--database").arg(url);
        }
        assert!(init.status().unwrap().success());
        let place = Place::new(directory.path());
        let key = |member| keys::read(&place.member(member, Function::Alerts)).unwrap();
        Self { world: read_world(&place).unwrap(), keys: (1..=MEMBERS as u16).map(key).collect(), directory }
    }

    pub(crate) fn address(&self) -> Address {
        Address::of(self.directory.path()).unwrap()
    }

    pub(crate) fn serve(&self) -> Served {
        let mut process = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--rate", "1000000", "--burst", "1000000", "--dir"])
            .arg(self.directory.path())
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.find_map(|line| {
            let (_, behind) = line.split_once("http://")?;
            behind.split_whitespace().next().map(str::to_owned)
        });
        std::thread::spawn(move || lines.for_each(drop));
        Served { process, address: address.expect("it listens") }
    }

    pub(crate) fn acts(&self) -> Acts<'_> {
        Acts { site: self, number: 0 }
    }

    /// An alert of one of the members in turn about one of its 4,096 sites in turn.
    fn act(&self, number: u64) -> Vec<u8> {
        let member = number as usize % MEMBERS;
        let (holder, subject) = (member as u128 + 1, u128::from(number / MEMBERS as u64 % 4_096));
        let prefix = Prefix::containing(0x2001_0db8 << 96 | holder << 92 | subject << 80, 48);
        let claim = Claim {
            subject: Block { prefix, learned: Learned::Default },
            item: Reason::Scanning as u16,
            catalogue: 1,
            standard: 1,
            evidence: EvidenceClass::Confirmed,
            seen_from: now() - 60,
            seen_until: now() - 60,
            commitment: [7; 32],
            repeats: None,
        };
        let issuer = Party::Member(MemberId(member as u16 + 1));
        let (issued, purpose) = (now(), Purpose::Warning);
        let preamble =
            Preamble { issuer, number: number + 1, issued, expires: issued + 86_400, registry: 1, purpose };
        let rating = Standard::first().rating(Score::new(400).unwrap());
        let act = OwnAlert { preamble, claim, rating, measure: Measure::RateLimit };
        Signed::with(Object::new(self.world, Act::from(act)).encode(), [&self.keys[member]]).encode()
    }
}

/// Acts, none of which comes twice.
pub(crate) struct Acts<'s> {
    site: &'s Site,
    number: u64,
}

impl Acts<'_> {
    /// As many more, made now.
    pub(crate) fn take(&mut self, count: u32) -> Vec<Vec<u8>> {
        let first = self.number;
        self.number += u64::from(count);
        (first..self.number).map(|number| self.site.act(number)).collect()
    }
}

/// The process; killed when this value goes.
pub(crate) struct Served {
    process: Child,
    address: String,
}

impl Served {
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn entries(&self) -> u64 {
        Client::connect(&self.address).published()
    }

    pub(crate) fn stop(mut self) {
        let asked = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(asked.success() && self.process.wait().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
