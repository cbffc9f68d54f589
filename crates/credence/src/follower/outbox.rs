//! The outbox at work: alerts come in from the gateway, commands from the operator, and acts go out.
//!
//! The operator's commands come by a socket in the state directory, which is made before this process is confined and open to its
//! owner alone. A socket, and not a directory of requests, because whoever asks gets the answer of this moment, and because of
//! two that ask at once the second sees what the first has changed. Where nothing follows, `credence outbox` opens the spool
//! itself; only one process can, so that the two are never at odds.

use std::fs::{self, Permissions};
use std::future::{Future, pending};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use credence_credit::{ActId, ActRef};
use credence_engine::clock::{Stopwatch, unix_ms, unix_s};
use credence_feed::State;
use credence_prefix::Prefix;
use credence_sync::feed::{Folder, kept_rules};
use credence_sync::fetch::{Fetched, Fetcher, Place, Validators};
use credence_sync::hand::Hand;
use credence_sync::outbox::{
    ANSWER_LEN_MAX, Answer, Command, Count, Member, Outbox, Outcome, Reply, Sighting, Spool, SpoolError,
    Turn, named_in,
};
use credence_sync::pipe::{Posted, Report};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::attest::InForce;
use super::report;
use crate::config::Config;

/// The longest command, in bytes.
const COMMAND_LEN_MAX: u64 = 65_536;
/// The longest answer of a platform about a subject, in bytes.
const NAMES_LEN_MAX: u64 = 1 << 22;
/// How often somebody looks whether the spool is free.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long the operator's program may take to ask, and how long it is waited for while it has the spool.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the gateway is told what has become of its alerts, at most, and how often there is a look at the clock.
const TOLD_EVERY: Duration = Duration::from_secs(5);
/// How long to wait after the disk has taken nothing.
const AGAIN: Duration = Duration::from_secs(10);
/// Alerts that are stored together.
const TOGETHER: usize = 64;
/// How long what was finished is remembered, in seconds, so that it is not drafted again: a day by the outbox's own limits.
const REMEMBERED_S: u64 = 2 * 86_400;

/// Where the socket is.
pub(crate) fn socket(state: &Path) -> PathBuf {
    state.join("outbox.sock")
}

/// The member that drafts are made and signed for, by the rules in files where there are any.
///
/// # Errors
/// When the key or the rules cannot be used.
pub(crate) fn member(config: &Config) -> anyhow::Result<Member> {
    let voice = config.sync.outbox.voice().context("`sync.outbox` is off, so that there are no drafts")?;
    Ok(Member::read(&voice, config.guards().never_block(), unix_s())?)
}

/// Has a member go by the rules of the feed, as far as they were kept, where it is the feed of the member's world.
///
/// # Errors
/// When they cannot be used, or the member is not heard by them. They come again, and may be others then.
pub(crate) fn follow_kept(member: &mut Member, config: &Config) -> anyhow::Result<()> {
    let Some(world) = config.sync.brings_rules() else { return Ok(()) };
    let kept = kept_rules(&Folder::to_read(&super::feed(&config.sync.state)), world)?;
    kept.map_or(Ok(()), |rules| Ok(member.follow(&rules)?))
}

/// The drafts, with everything that is needed to send them.
pub(crate) struct Desk {
    outbox: Outbox,
    spool: Spool,
    member: Member,
    places: Vec<Place>,
    /// The place that is tried next.
    place: usize,
    is_disk_well: bool,
    told: Posted,
    /// Where it is asked which act is meant.
    platforms: Vec<String>,
    /// Counts that were in no account, and those that were when that was said last.
    uncounted: [u64; 2],
}

/// What the gateway has to tell.
pub(super) enum News {
    /// A line of its alert log.
    Alert(String),
    /// What it has done.
    Applied(Count),
}

/// The question which act it is that a record about a subject names, on its way.
type Question = Pin<Box<dyn Future<Output = ((Prefix, ActRef), Option<ActId>)>>>;

/// An act on its way.
type Errand = Pin<Box<dyn Future<Output = (u64, Answer)>>>;

impl Desk {
    /// Opens the spool and reads the member's key and the rules.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Self> {
        let (mut member, spool) = (member(config)?, Spool::open(&config.sync.state)?);
        follow_kept(&mut member, config).unwrap_or_else(|error| unheard(&error));
        let kept = spool.read(unix_s().saturating_sub(REMEMBERED_S))?;
        let outbox = Outbox::new(config.sync.outbox.rule, config.sync.outbox.limits(), kept);
        let places = config.sync.outbox.places();
        Ok(Self {
            outbox,
            spool,
            member,
            places,
            place: 0,
            is_disk_well: true,
            told: Posted::default(),
            platforms: config.sync.outbox.platforms.clone(),
            uncounted: [0; 2],
        })
    }

    /// What signs for the member, with a place where nothing else is kept.
    ///
    /// # Errors
    /// When it cannot be read there what was signed last.
    pub(super) fn hand(&self, folder: Folder) -> anyhow::Result<Hand<Folder>> {
        Ok(self.member.hand(folder)?)
    }

    /// Does what the operator asks for, and returns when it is on disk.
    ///
    /// # Errors
    /// When the disk does not take it, or no rules are known yet.
    pub(crate) fn obey(&mut self, command: &Command) -> anyhow::Result<Reply> {
        let footing = self.member.footing(unix_ms()).context(
            "the world's rules are not known yet: they come with the feed at `sync.url`, or from files in `sync.outbox.rules`",
        )?;
        let reply = self.outbox.obey(command, &self.spool, &footing)?;
        self.store()?;
        Ok(reply)
    }

    fn store(&mut self) -> anyhow::Result<()> {
        self.spool.store(&self.outbox.changes(), unix_s())?;
        self.outbox.stored();
        Ok(())
    }

    fn hear(&mut self, news: &News) {
        match news {
            News::Alert(line) => self.hear_alert(line),
            News::Applied(count) => {
                let [uncounted, _] = &mut self.uncounted;
                *uncounted += u64::from(self.outbox.applied(count).is_err());
            }
        }
    }

    fn hear_alert(&mut self, line: &str) {
        match (Sighting::parse(line), self.member.footing(unix_ms())) {
            (Ok(sighting), Some(footing)) => {
                self.outbox.see(&sighting, &footing, rand::random());
            }
            (Ok(_), None) => self.outbox.passed_over(Outcome::Lawless),
            (Err(_), _) => self.outbox.passed_over(Outcome::Unreadable),
        }
    }

    /// Signs and stores until there is an act to hand in, or nothing to do for a while.
    fn next(&mut self) -> (Option<(u64, ActId, Vec<u8>)>, Duration) {
        loop {
            let now_ms = unix_ms();
            let Some(footing) = self.member.footing(now_ms) else { return (None, TOLD_EVERY) };
            match self.outbox.turn(&footing) {
                Turn::Send { draft, id, bytes } => return (Some((draft, id, bytes)), TOLD_EVERY),
                Turn::Rest { until_ms } => {
                    let rest = until_ms
                        .map_or(TOLD_EVERY, |until| Duration::from_millis(until.saturating_sub(now_ms)));
                    return (None, rest.min(TOLD_EVERY));
                }
                Turn::Store => match self.store() {
                    Ok(()) => self.is_disk_well = true,
                    Err(error) => {
                        if std::mem::replace(&mut self.is_disk_well, false) {
                            warn!("{error:#}");
                        }
                        return (None, AGAIN);
                    }
                },
            }
        }
    }

    /// Hands an act in where it was answered last, or at the next place after silence.
    fn hand_in(&self, fetcher: &Fetcher, (draft, id, bytes): (u64, ActId, Vec<u8>)) -> Errand {
        let place = self.places.get(self.place % self.places.len().max(1)).cloned();
        let fetcher = fetcher.clone();
        Box::pin(async move {
            let Some(place) = place else { return (draft, Answer::Silence) };
            let answer = match fetcher.post(&place, bytes, ANSWER_LEN_MAX).await {
                Ok((status, body)) => Answer::read(status, &body, &id),
                Err(_) => Answer::Silence,
            };
            (draft, answer)
        })
    }

    /// Asks which act it is that an account has to name.
    fn ask(&self, fetcher: &Fetcher) -> Option<Question> {
        let (subject, act) = self.outbox.to_name(unix_ms())?;
        let platform = self.platforms.get(self.place % self.platforms.len().max(1))?;
        let place =
            Place::parse(&format!("{}/subjects/{subject}", platform.trim_end_matches('/')), false).ok()?;
        let fetcher = fetcher.clone();
        Some(Box::pin(async move {
            let said = match fetcher.fetch(&place, NAMES_LEN_MAX, &Validators::default()).await {
                Ok(Fetched::Body { bytes, .. }) => named_in(&bytes, act),
                Ok(Fetched::Unchanged) | Err(_) => None,
            };
            ((subject, act), said)
        }))
    }

    fn answered(&mut self, draft: u64, answer: Answer) {
        match &answer {
            Answer::Taken(receipt) => info!(draft, place = receipt.place, "the platform has taken it"),
            Answer::Refused(reason) => info!(draft, reason = reason.name(), "the platform has refused it"),
            Answer::Later { .. } => {}
            Answer::Silence => self.place = self.place.wrapping_add(1),
        }
        self.outbox.answered(draft, answer, unix_ms(), rand::random());
    }

    /// Tells the gateway what has become of its alerts, if that is another thing than before. A gateway that is gone ends this
    /// process some other way.
    fn tell(&mut self) {
        let lost = self.uncounted[0] + self.outbox.unaccounted();
        if std::mem::replace(&mut self.uncounted[1], lost) != lost {
            warn!(lost, "some of what was done here is in no account: it came late, or nobody knows the act");
        }
        let posted = self.outbox.posted();
        if posted != self.told && report(&Report::Outbox(posted.clone())).is_ok() {
            self.told = posted;
        }
    }

    /// Goes by the rules of what is in force from now on, if they are others.
    fn follow(&mut self, state: Option<&State>) {
        let Some(rules) = state.map(State::rules).filter(|rules| !self.member.goes_by(rules)) else { return };
        self.member.follow(rules).unwrap_or_else(|error| unheard(&error.into()));
    }

    /// Works until the gateway is gone, by the rules of what is in force, if they come with that.
    pub(super) async fn attend(
        mut self,
        fetcher: Fetcher,
        door: UnixListener,
        mut news: Receiver<News>,
        mut in_force: Option<InForce>,
    ) -> anyhow::Result<()> {
        let door = tokio::net::UnixListener::from_std(door).context("nobody can be let in")?;
        let mut errand: Option<Errand> = None;
        let mut question: Option<Question> = None;
        let mut clock = Stopwatch::start();
        loop {
            if clock.elapsed() >= TOLD_EVERY {
                self.tell();
                clock = Stopwatch::start();
            }
            let mut rest = TOLD_EVERY;
            if errand.is_none() {
                let (act, until) = self.next();
                errand = act.map(|act| self.hand_in(&fetcher, act));
                rest = until;
            }
            if question.is_none() {
                question = self.ask(&fetcher);
            }
            let (answer, said) = (awaited(&mut errand), awaited(&mut question));
            tokio::select! {
                told = news.recv() => {
                    let Some(told) = told else { return self.store() };
                    self.hear(&told);
                    for _ in 1..TOGETHER {
                        let Ok(told) = news.try_recv() else { break };
                        self.hear(&told);
                    }
                    if let Err(error) = self.store()
                        && std::mem::replace(&mut self.is_disk_well, false)
                    {
                        warn!("{error:#}");
                    }
                }
                Ok((stream, _)) = door.accept() => {
                    // Whoever leaves early misses the answer, and nobody else does.
                    let _ = timeout(PATIENCE, self.serve(stream)).await;
                }
                (draft, answer) = answer => {
                    errand = None;
                    self.answered(draft, answer);
                }
                (act, id) = said => {
                    question = None;
                    self.outbox.named(act, id, unix_ms(), rand::random());
                }
                state = newest(&mut in_force) => self.follow(state.as_ref()),
                () = sleep(rest) => {}
            }
        }
    }

    async fn serve(&mut self, mut stream: UnixStream) -> std::io::Result<()> {
        let mut line = String::new();
        BufReader::new((&mut stream).take(COMMAND_LEN_MAX)).read_line(&mut line).await?;
        let reply = match serde_json::from_str(&line) {
            Ok(command) => self.obey(&command).unwrap_or_else(|error| fault(format!("{error:#}"))),
            Err(error) => fault(format!("this is no command: {error}")),
        };
        let mut text = serde_json::to_string(&reply)?;
        text.push('\n');
        stream.write_all(text.as_bytes()).await
    }
}

/// What is in force, as soon as it is something else.
async fn newest(in_force: &mut Option<InForce>) -> Option<State> {
    if let Some(seen) = in_force
        && seen.changed().await.is_ok()
    {
        return seen.borrow_and_update().clone();
    }
    pending().await
}

/// Tells that the rules of the feed know nothing of the member.
fn unheard(error: &anyhow::Error) {
    warn!("this member is not heard by the rules of the feed: {error:#}");
}

/// What comes of something that is on its way, if anything is.
async fn awaited<T>(way: &mut Option<Pin<Box<dyn Future<Output = T>>>>) -> T {
    match way {
        Some(way) => way.await,
        None => pending().await,
    }
}

fn fault(text: String) -> Reply {
    Reply { faults: vec![text], drafts: Vec::new() }
}

/// Makes the socket, open to its owner alone. To be called while nobody else can have it, and before the process is confined.
///
/// # Errors
/// When it cannot be made.
fn door(state: &Path) -> anyhow::Result<UnixListener> {
    let path = socket(state);
    let name = path.display().to_string();
    // Left behind by one that was ended.
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("the socket {name} cannot be made"))?;
    let kept = fs::set_permissions(&path, Permissions::from_mode(0o600));
    kept.with_context(|| format!("the socket {name} cannot be kept from others"))?;
    listener.set_nonblocking(true).with_context(|| format!("the socket {name} cannot be watched"))?;
    Ok(listener)
}

/// The desk and its door, where others are told anything. What stands against it is told and keeps nobody from following.
pub(super) fn open(config: &Config) -> Option<(Desk, UnixListener)> {
    if !config.sync.outbox.is_on() {
        return None;
    }
    let opened = by_turns(|| Desk::open(config)).and_then(|desk| Ok((desk, door(&config.sync.state)?)));
    opened.map_err(|error| warn!("nothing is told to others: {error:#}")).ok()
}

/// What comes of `open`, which is tried again for a while where another process has the spool: `credence outbox` has it for a
/// moment, and what follows others has a socket soon after it has the spool.
///
/// # Errors
/// As `open`.
pub(crate) fn by_turns<T>(mut open: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let clock = Stopwatch::start();
    loop {
        let is_busy =
            |error: &anyhow::Error| matches!(error.downcast_ref::<SpoolError>(), Some(SpoolError::Busy(_)));
        match open() {
            Err(error) if is_busy(&error) && clock.elapsed() < PATIENCE => thread::sleep(LOOK_AGAIN),
            opened => return opened,
        }
    }
}
