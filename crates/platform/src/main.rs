//! The shared alert platform: its commands.

mod acts;
mod backup;
mod ceremony;
mod export;
mod sign;
mod verify;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use axum::serve::Listener;
use clap::{Parser, Subcommand};
use credence_law::party::{Function, World};
use credence_platform::allowance::Rate;
use credence_platform::bucket;
use credence_platform::example::{Place, begin_world, make_world, read_world};
use credence_platform::gate::Limits;
use credence_platform::keys;
use credence_platform::published::Published;
use credence_platform::request::{Asked, sign};
use credence_platform::serve::{Offices, Platform, Settings, now, router};
use credence_platform::store::{Address, Store};
use credence_platform::witness;
use mimalloc::MiMalloc;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

use self::backup::Last;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The file of a world's directory that lists the log's witnesses.
const WITNESSES: &str = "witnesses";

/// Where networks publish alerts about addresses that they hold, report others', decide together, and are heard.
#[derive(Debug, Parser)]
#[command(name = "credence-platform", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an example world: its keys, its rules, and an empty journal
    Init {
        /// Where; the directory must not hold a world yet
        #[arg(long)]
        dir: PathBuf,
        /// A PostgreSQL database for the journal, which must be empty: postgres://USER@HOST/NAME; a file in the directory otherwise
        #[arg(long)]
        database: Option<String>,
        /// Begin a world in earnest instead: its signed root, registry, catalogue and standard, in this order. The operator's key is
        /// to be in the directory as `operator.key`
        #[arg(long, num_args = 4, value_names = ["ROOT", "REGISTRY", "CATALOGUE", "STANDARD"])]
        begin: Option<Vec<PathBuf>>,
    },
    /// Take acts in, and answer inquiries
    Serve {
        /// The world's directory
        #[arg(long)]
        dir: PathBuf,
        /// Where to listen; port 0 takes a free one
        #[arg(long, default_value = "127.0.0.1:9700")]
        listen: SocketAddr,
        /// Acts that each member may hand in, a second
        #[arg(long, default_value_t = Limits::default().issuer.each_second, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
        /// Acts that each member may hand in at once, after a pause
        #[arg(long, default_value_t = Limits::default().issuer.burst, value_parser = clap::value_parser!(u32).range(1..))]
        burst: u32,
        /// What each network may send that turns out to be signed by nobody, a second; five times as much at once
        #[arg(long, default_value_t = Limits::default().strangers.each_second, value_parser = clap::value_parser!(u32).range(1..))]
        strangers: u32,
        /// All requests come through a proxy, which says for whom: the last address of X-Forwarded-For
        #[arg(long)]
        behind_proxy: bool,
        /// After how many seconds issuers are asked for a manifest that states what is new; in an example world, whose parties' keys are
        /// here, it is made
        #[arg(long, default_value_t = 600)]
        attest_after: u64,
        /// Copy all that gateways follow to s3://BUCKET/PREFIX as well; keys, region and endpoint are taken from AWS_ACCESS_KEY_ID,
        /// AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT
        #[arg(long)]
        bucket: Option<String>,
        /// Ring for gateways at this server of NATS as well, which has JetStream: tls://USER:PASSWORD@HOST:4222, or nats:// for one to
        /// which nothing is encrypted
        #[arg(long)]
        bus: Option<String>,
        /// The certificates (PEM) of those who may sign that of a bus at tls://; the authorities that this host trusts, if nothing is said
        #[arg(long, requires = "bus")]
        bus_ca: Option<PathBuf>,
        /// Where other processes on the same PostgreSQL database reach this one; where it listens, if nothing is said
        #[arg(long)]
        reached: Option<String>,
    },
    /// Check a whole journal offline: each signature, each rule, each change, and the log
    Verify {
        /// The world's directory
        #[arg(long)]
        dir: PathBuf,
        /// A checkpoint of the log that must lie on its way
        #[arg(long)]
        checkpoint: Option<PathBuf>,
    },
    /// Take the journal away into a file, while it is served or not
    Backup {
        /// The world's directory
        #[arg(long)]
        dir: PathBuf,
        /// The file, which must not be there yet
        file: PathBuf,
    },
    /// Bring a backup back into an empty journal
    Restore {
        /// The world's directory
        #[arg(long)]
        dir: PathBuf,
        /// The backup
        file: PathBuf,
        /// The newest checkpoint of the log that anybody has kept: the backup must hold all of it
        #[arg(long)]
        checkpoint: Option<PathBuf>,
        /// Entries that were published are lost: go on under another name, so that no place is given twice
        #[arg(long, conflicts_with = "checkpoint")]
        new_epoch: bool,
    },
    /// Sign a request for what is not for everybody: prints its headers, which `curl --header @FILE` takes
    Request {
        /// The world, as `init` named it
        #[arg(long, value_parser = acts::world)]
        world: World,
        /// A file with a secret key that the registry has
        #[arg(long)]
        key: PathBuf,
        /// The method
        #[arg(long, default_value = "GET")]
        method: String,
        /// The path, with the query if there is one
        path: String,
    },
    /// Make a signed act, to be handed in
    #[command(subcommand)]
    Act(acts::Make),
    /// Make a trust root, offline
    Ceremony(ceremony::Ceremony),
    /// Make, show and use keys
    #[command(subcommand)]
    Key(ceremony::Keys),
    /// Write down who the members are
    #[command(subcommand)]
    Member(ceremony::Admission),
    /// Take credit files or security alerts out of a world
    #[command(subcommand)]
    Export(export::Export),
    /// Sign what the portal asks for, with a key that stays here
    #[command(subcommand)]
    Sign(sign::Sign),
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("credence-platform: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init { dir, database, begin } => block_on(init(&dir, database.as_deref(), begin.as_deref())),
        Command::Serve {
            dir,
            listen,
            rate,
            burst,
            strangers,
            behind_proxy,
            attest_after,
            bucket,
            bus,
            bus_ca,
            reached,
        } => {
            let issuer = Rate { each_second: rate, burst };
            let strangers = Rate { each_second: strangers, burst: strangers.saturating_mul(5) };
            let witnesses = witness::list(&dir.join(WITNESSES))?;
            let limits = Limits { issuer, strangers };
            let offices = offices(&Place::new(&dir))?;
            // Only in an example are they in this directory.
            let are_here = Place::new(&dir).member(1, Function::Decisions).exists();
            let settings = Settings {
                limits,
                is_behind_proxy: behind_proxy,
                witnesses,
                offices,
                feed: Some(dir.join("feed")),
                bucket: bucket.as_deref().map(bucket::place).transpose()?,
                bus,
                bus_ca,
                reached,
                parties: are_here.then(|| dir.clone()),
                attest_after,
            };
            block_on(serve(&dir, listen, settings))
        }
        Command::Verify { dir, checkpoint } => block_on(verify::verify(&dir, checkpoint.as_deref())),
        Command::Backup { dir, file } => block_on(backup::take(&dir, &file)),
        Command::Restore { dir, file, checkpoint, new_epoch } => {
            let last = if new_epoch { Last::Lost } else { Last::Known(checkpoint.as_deref()) };
            block_on(backup::restore(&dir, &file, last))
        }
        Command::Request { world, key, method, path } => request(world, &key, &method, &path),
        Command::Act(make) => acts::make(make),
        Command::Ceremony(ceremony) => ceremony::hold(&ceremony),
        Command::Key(keys) => ceremony::keys(keys),
        Command::Member(admission) => ceremony::admit(admission),
        Command::Export(export) => block_on(export::export(export)),
        Command::Sign(sign) => sign::sign(sign),
    }
}

/// The keys of the offices that have left theirs in a world's directory.
fn offices(place: &Place) -> anyhow::Result<Offices> {
    let read = |path: PathBuf| path.exists().then(|| keys::read(&path)).transpose();
    Ok(Offices::new(read(place.operator())?, read(place.executive())?))
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new().context("no runtime")?.block_on(work)
}

/// The journal of the world in a directory.
async fn journal(dir: &Path) -> anyhow::Result<Store> {
    let address = Address::of(dir)?;
    Store::open(&address).await.with_context(|| format!("the journal in {address} cannot be opened"))
}

async fn init(dir: &Path, database: Option<&str>, begin: Option<&[PathBuf]>) -> anyhow::Result<()> {
    let place = Place::new(dir);
    anyhow::ensure!(!place.world().exists(), "{} holds a world already", dir.display());
    if let Some(url) = database {
        Address::server(url)?.note(dir)?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let journal = journal(dir).await?;
    let mut writer = journal.writer().await?;
    anyhow::ensure!(journal.read(0, 1).await?.is_empty(), "the database holds a journal already");
    let (world, entries) = match begin {
        Some(rules) => begin_world(&place, rules, now())?,
        None => make_world(&place, now())?,
    };
    writer.append(&entries).await.context("the journal cannot be written")?;
    writer.close().await?;
    journal.close().await;
    let kind = if begin.is_some() { "a" } else { "an example" };
    println!("{kind} world is in {}", dir.display());
    println!("world {world}");
    println!("`credence-platform serve --dir {}` offers it", dir.display());
    Ok(())
}

async fn serve(dir: &Path, listen: SocketAddr, mut settings: Settings) -> anyhow::Result<()> {
    let place = Place::new(dir);
    let world = read_world(&place)?;
    anyhow::ensure!(
        listen.ip().is_loopback(),
        "{listen} is no loopback address, and there is no TLS yet: listen on 127.0.0.1 or [::1] behind something that has"
    );
    let ended = ended()?;
    let published = Published::new(dir);
    let signer = backup::signer(dir, world, published.epoch()?)?;
    let listener = credence_platform::serve::listen(listen)
        .with_context(|| format!("{listen} cannot be listened on"))?;
    let address = listener.local_addr()?;
    settings.reached.get_or_insert_with(|| format!("http://{address}"));
    let platform = Platform::open(journal(dir).await?, world, signer, published, settings).await?;
    let app = router(Arc::clone(&platform)).into_make_service_with_connect_info::<SocketAddr>();
    info!(%world, "listening on http://{address}");
    let served = axum::serve(listener, app).with_graceful_shutdown(ended).await;
    platform.close().await;
    served.context("the server ended")
}

fn request(world: World, key: &Path, method: &str, path: &str) -> anyhow::Result<()> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let asked = Asked { method, path, query };
    let [input, signature] = sign(&keys::read(key)?, world, &asked, now(), rand::random());
    println!("Signature-Input: {input}");
    println!("Signature: {signature}");
    Ok(())
}

/// Ends when the process is asked to. It can be asked from the moment on that this returns.
fn ended() -> anyhow::Result<impl Future<Output = ()>> {
    let [mut terminate, mut interrupt] = [
        signal(SignalKind::terminate()).context("signals cannot be waited for")?,
        signal(SignalKind::interrupt()).context("signals cannot be waited for")?,
    ];
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
