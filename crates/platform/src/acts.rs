//! Acts made on the command line, by whoever has the keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use credence_credit::{ActId, EvidenceClass, Learned, Measure, Rating, Reason, Score};
use credence_law::acts::{
    Block, Claim, Decision, Finding, Ground, Lifting, Opinion, OwnAlert, Preamble, Purpose, Report, Source,
};
use credence_law::party::{MemberId, Party, World, act_id};
use credence_law::standard::Standard;
use credence_law::{Act, Object, Signed};
use credence_platform::keys;
use credence_platform::serve::now;
use credence_prefix::Prefix;
use sha2::{Digest, Sha256};

/// What can be made.
#[derive(Debug, Subcommand)]
pub(super) enum Make {
    /// A member's alert about addresses that it holds
    Alert {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        said: Said,
        /// What is asked for: observe, mark or rate_limit
        #[arg(long, default_value = "rate_limit")]
        measure: Measure,
        /// How good the subject's credit is by it, from 0 to 1000
        #[arg(long, default_value_t = 500)]
        score: u16,
    },
    /// A member's report about addresses that another holds
    Report {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        said: Said,
    },
    /// The advisers' opinion on reports
    Opinion {
        #[command(flatten)]
        common: Common,
        /// The reports, by their identities
        #[arg(long = "on", required = true, value_parser = identity)]
        on: Vec<ActId>,
        /// What was found
        #[arg(long, value_enum, default_value_t = Found::Supports)]
        finding: Found,
    },
    /// The coordinating body's decision on reports
    Decision {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        said: Said,
        /// A report that it rests on, and the number of the member who made it: ID:MEMBER
        #[arg(long = "source", required = true, value_parser = source)]
        sources: Vec<(ActId, u16)>,
        /// The opinion that it cites
        #[arg(long, value_parser = identity)]
        opinion: ActId,
        /// What is to be done: observe, mark, rate_limit or drop
        #[arg(long, default_value = "rate_limit")]
        measure: Measure,
        /// How good the subject's credit is by it, from 0 to 1000
        #[arg(long)]
        score: u16,
    },
    /// An act ends before its time
    Lifting {
        #[command(flatten)]
        common: Common,
        /// The act that ends
        #[arg(long, value_parser = identity)]
        lifts: ActId,
    },
}

/// What all acts need.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// The world, as `init` named it
    #[arg(long, value_parser = world)]
    world: World,
    /// Whose act it is: a member's number, `body`, or `adviser-` with a number
    #[arg(long = "as", value_parser = party)]
    issuer: Party,
    /// A file with a secret key that signs it; may be given again
    #[arg(long = "key", required = true)]
    keys: Vec<PathBuf>,
    /// The version of the registry in force
    #[arg(long, default_value_t = 1)]
    registry: u32,
    /// How long it lasts
    #[arg(long, default_value = "7d", value_parser = lasting)]
    lasts: Duration,
    /// An exercise, from which nothing follows: it stands among `/exercises`, and what it names must be an exercise as well
    #[arg(long)]
    exercise: bool,
    /// Where to write the signed bytes
    #[arg(long, short)]
    out: PathBuf,
}

/// What is said of a subject.
#[derive(Debug, Args)]
pub(super) struct Said {
    /// The addresses
    #[arg(long)]
    prefix: Prefix,
    /// The item of the catalogue
    #[arg(long)]
    item: Reason,
    /// A file with the evidence, which is not sent: only a commitment to it is
    #[arg(long)]
    evidence: PathBuf,
    /// The version of the catalogue
    #[arg(long, default_value_t = 1)]
    catalogue: u32,
    /// The version of the standard
    #[arg(long, default_value_t = 1)]
    standard: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Found {
    Supports,
    Opposes,
    Insufficient,
}

fn identity(text: &str) -> Result<ActId, String> {
    keys::unhex(text).map(ActId).ok_or_else(|| "an act's identity has 64 hexadecimal digits".to_owned())
}

pub(super) fn world(text: &str) -> Result<World, String> {
    keys::unhex(text).map(World).ok_or_else(|| "a world's name has 64 hexadecimal digits".to_owned())
}

fn source(text: &str) -> Result<(ActId, u16), String> {
    let (id, member) = text.split_once(':').ok_or("write ID:MEMBER")?;
    Ok((identity(id)?, member.parse().map_err(|_| "a member's number is from 0 to 65,535".to_owned())?))
}

fn party(text: &str) -> Result<Party, String> {
    let number = |text: &str| text.parse::<u16>().ok();
    let adviser = text.strip_prefix("adviser-").and_then(number).map(Party::Adviser);
    let party = if text == "body" { Some(Party::Body) } else { adviser };
    party
        .or_else(|| number(text).map(|number| Party::Member(MemberId(number))))
        .ok_or_else(|| "a member's number, `body`, or `adviser-` with a number".to_owned())
}

pub(super) fn lasting(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text
        .parse::<jiff::Span>()
        .and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()))
        .map_err(|fault| fault.to_string())?;
    Duration::try_from(span).map_err(|fault| fault.to_string())
}

impl Common {
    fn preamble(&self, purpose: Purpose) -> Preamble {
        let issued = now();
        // Numbers only have to rise: the moment does, and tells apart what is made within one second.
        let number = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(issued);
        Preamble {
            issuer: self.issuer,
            number,
            issued,
            expires: issued.saturating_add(self.lasts.as_secs()),
            registry: self.registry,
            purpose,
        }
    }
}

impl Said {
    fn claim(&self) -> anyhow::Result<Claim> {
        let name = self.evidence.display();
        let evidence = fs::read(&self.evidence).with_context(|| format!("{name} cannot be read"))?;
        let salt: [u8; 32] = rand::random();
        let commitment = Sha256::new().chain_update(salt).chain_update(&evidence).finalize().into();
        eprintln!("keep the evidence and its salt {}: they open the commitment", keys::hex(&salt));
        Ok(Claim {
            subject: Block { prefix: self.prefix, learned: Learned::Default },
            item: self.item as u16,
            catalogue: self.catalogue,
            standard: self.standard,
            evidence: EvidenceClass::Confirmed,
            seen_from: now(),
            seen_until: now(),
            commitment,
            repeats: None,
        })
    }
}

fn rated(score: u16) -> anyhow::Result<Rating> {
    Ok(Standard::first().rating(Score::new(score)?))
}

/// Makes an act, and writes it where it was asked for.
pub(super) fn make(make: Make) -> anyhow::Result<()> {
    match make {
        Make::Alert { common, said, measure, score } => {
            let act = OwnAlert {
                preamble: common.preamble(Purpose::Warning),
                claim: said.claim()?,
                rating: rated(score)?,
                measure,
            };
            write(&common, act)
        }
        Make::Report { common, said } => {
            write(&common, Report { preamble: common.preamble(Purpose::Warning), claim: said.claim()? })
        }
        Make::Opinion { common, mut on, finding } => {
            on.sort_unstable();
            on.dedup();
            let finding = match finding {
                Found::Supports => Finding::Supports,
                Found::Opposes => Finding::Opposes,
                Found::Insufficient => Finding::Insufficient,
            };
            let preamble = common.preamble(Purpose::Governance);
            write(&common, Opinion { preamble, reports: on, finding, reasons: [0; 32] })
        }
        Make::Decision { common, said, sources, opinion, measure, score } => {
            let preamble = common.preamble(Purpose::Governance);
            let (claim, rating, sources) = (said.claim()?, rated(score)?, hidden(sources));
            write(&common, Decision { preamble, claim, rating, measure, sources, opinion })
        }
        Make::Lifting { common, lifts } => write(
            &common,
            Lifting { preamble: common.preamble(Purpose::Relief), lifts, ground: Ground::Remedied },
        ),
    }
}

/// Reports with their authors hidden behind one secret, so that two are told apart and none is named.
fn hidden(mut sources: Vec<(ActId, u16)>) -> Vec<Source> {
    let salt: [u8; 32] = rand::random();
    eprintln!("keep the salt {}: it opens who made the reports", keys::hex(&salt));
    sources.sort_unstable();
    sources.dedup_by_key(|source| source.0);
    let author =
        |member: u16| Sha256::new().chain_update(salt).chain_update(member.to_be_bytes()).finalize().into();
    sources.into_iter().map(|(report, member)| Source { report, author: author(member) }).collect()
}

fn write(common: &Common, act: impl Into<Act>) -> anyhow::Result<()> {
    let keys = common.keys.iter().map(|path| keys::read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let object = Object { exercise: common.exercise, ..Object::new(common.world, act.into()) };
    let signed = Signed::with(object.encode(), &keys);
    store(&common.out, &signed.encode())?;
    println!("{}", act_id(signed.bytes()));
    Ok(())
}

fn store(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if path.as_os_str().is_empty() {
        bail!("a file's name is empty");
    }
    fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}
