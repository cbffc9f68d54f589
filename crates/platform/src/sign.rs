//! Signing by hand: what the portal asks to be signed, with a key that stays on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use credence_law::acts::Preamble;
use credence_law::party::World;
use credence_law::{Act, Object, Signed};
use credence_platform::sign_in::Challenge;
use credence_platform::{keys, words};
use sha2::{Digest, Sha256};

/// What can be signed.
#[derive(Debug, Subcommand)]
pub(super) enum Sign {
    /// A challenge of the portal, to sign in
    Challenge {
        /// The challenge, as the page shows it
        #[arg(value_parser = challenge)]
        challenge: Challenge,
        /// The world, which a false portal would name wrongly
        #[arg(long, value_parser = world)]
        world: World,
        /// The file with the secret key
        #[arg(long)]
        key: PathBuf,
    },
    /// An act that the portal has prepared, or that others have signed before
    Act {
        /// The file with the act's bytes
        file: PathBuf,
        /// The world that it must belong to
        #[arg(long, value_parser = world)]
        world: World,
        /// A file with a secret key; may be given again
        #[arg(long = "key", required = true)]
        keys: Vec<PathBuf>,
        /// Where to write the signed bytes, for whoever signs next
        #[arg(long, short)]
        out: Option<PathBuf>,
    },
    /// A commitment to evidence, which is not sent itself
    Evidence {
        /// The file with the evidence
        file: PathBuf,
    },
}

fn challenge(text: &str) -> Result<Challenge, String> {
    Challenge::parse(text).ok_or_else(|| "a challenge has 80 hexadecimal digits".to_owned())
}

fn world(text: &str) -> Result<World, String> {
    keys::unhex(text).map(World).ok_or_else(|| "a world's name has 64 hexadecimal digits".to_owned())
}

/// Signs, says what, and prints what goes back to the portal.
pub(super) fn sign(sign: Sign) -> anyhow::Result<()> {
    match sign {
        Sign::Challenge { challenge, world, key } => {
            println!("{}", STANDARD.encode(challenge.answer(world, &keys::read(&key)?).encode()));
        }
        Sign::Act { file, world, keys, out } => {
            let signed = act(&read(&file)?, world, &keys)?;
            if let Some(out) = out {
                fs::write(&out, signed.encode())
                    .with_context(|| format!("{} cannot be written", out.display()))?;
            }
            println!("{}", STANDARD.encode(signed.encode()));
        }
        Sign::Evidence { file } => {
            let salt: [u8; 32] = rand::random();
            let commitment: [u8; 32] =
                Sha256::new().chain_update(salt).chain_update(read(&file)?).finalize().into();
            eprintln!("keep the evidence and its salt {}: they open the commitment", keys::hex(&salt));
            println!("{}", keys::hex(&commitment));
        }
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// Adds signatures to an act, with or without others before, after telling what it says.
fn act(bytes: &[u8], world: World, paths: &[PathBuf]) -> anyhow::Result<Signed> {
    let signed = Signed::decode(bytes).ok().filter(|signed| Object::<Act>::decode(signed.bytes()).is_ok());
    let mut signed = signed.unwrap_or_else(|| Signed::with(bytes.to_vec(), []));
    let object = Object::<Act>::decode(signed.bytes()).context("this is no act that this version knows")?;
    ensure!(object.world == world, "the act belongs to the world {}, and not to {world}", object.world);
    if object.exercise {
        eprintln!("An exercise, from which nothing follows:");
    }
    eprintln!("{}", words::title(&object.body));
    words::facts(&object.body, None).iter().for_each(|fact| eprintln!("  {fact}"));
    let Preamble { issued, expires, .. } = *object.body.preamble();
    eprintln!("  Made: {}", words::Moment::at(issued).shown);
    eprintln!("  Ends: {}", words::Moment::at(expires).shown);
    for path in paths {
        signed.sign(&keys::read(path)?);
    }
    Ok(signed)
}
