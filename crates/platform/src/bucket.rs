//! A copy of everything that a gateway follows in a store of objects, as S3 has it: whoever serves the store's objects, or a cache
//! before it, is a mirror of the feed and of the log.
//!
//! An object that never changes says so; the head comes last, when everything that it names is there. What nobody is led to any more
//! goes after a while. Some stores take a condition on a write, and some only seem to: which it is, is tried out at the start. Where
//! conditions count, nobody writes a head over one that somebody else has put there; where they do not, the journal's lock is what
//! keeps two processes apart.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use axum::body::Bytes;
use credence_feed::{Head, Rulebook};
use credence_law::Signed;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, RetryConfig, UpdateVersion,
};

/// How long an object stays that no head leads to any more, in seconds: caches and gateways may be on their way to it.
const FADES: u64 = 300;
/// How many requests are on their way together.
const TOGETHER: usize = 16;
/// How often a request is tried, and for how long altogether, before the round is given up and begun anew with what is newest then.
const TRIES: usize = 3;
const TRIED: Duration = Duration::from_secs(15);
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The object of the head, from the prefix on.
const HEAD: &str = "feed/head";
/// The object of what witnesses have seen.
const WITNESSED: &str = "log/checkpoint/witnessed";
/// The object that names the log, so that no two share a place.
const ORIGIN: &str = "log/origin";
/// Where objects lie that go when nobody is led to them.
const PASSING: [&str; 2] = ["feed/files", "log/tile"];
/// What never changes may be kept for ever.
pub(crate) const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// What changes is asked for each time.
pub(crate) const ASKED_EACH_TIME: &str = "no-cache";

/// What a store makes of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// What is there is not written over.
    Heeded,
    /// It is written over, and said to be well.
    Ignored,
    /// No write with a condition is taken.
    Refused,
}

impl Conditions {
    /// The word in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heeded => "heeded",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
        }
    }
}

/// Everything that a mirror has at a moment.
#[derive(Debug)]
pub struct Whole {
    /// The head, signed.
    pub head: Bytes,
    /// Its session and serial.
    pub version: (u64, u64),
    /// The rules that it goes by.
    pub rules: Arc<Rulebook>,
    /// What lies under a name for ever, by its path from the mirror's address on.
    pub files: Vec<(String, Bytes)>,
    /// The newest checkpoint that witnesses have seen.
    pub witnessed: Option<Vec<u8>>,
}

/// A place in a store.
#[derive(Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    conditions: Conditions,
    /// Paths of objects that never change and are there.
    there: HashSet<String>,
    /// Those that nobody is led to, and since when.
    fading: HashMap<String, u64>,
    /// The head as it was put there last: its version in the store, and its session and serial.
    head: Option<(UpdateVersion, (u64, u64))>,
    witnessed: Option<Vec<u8>>,
}

/// A store, and the prefix below which everything lies.
pub type Place = (Arc<dyn ObjectStore>, Path);

/// The store that a URL names, `s3://BUCKET/PREFIX`, and the prefix. Everything else is taken from the environment, as other programs
/// take it: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`, and `AWS_ALLOW_HTTP` for one without TLS.
///
/// # Errors
/// When it is no such URL, or the environment does not fit it.
pub fn place(url: &str) -> anyhow::Result<Place> {
    provide();
    let place = url.strip_prefix("s3://").unwrap_or_default().trim_end_matches('/');
    let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
    ensure!(!name.is_empty(), "a bucket is named like s3://BUCKET/PREFIX, and `{url}` is not");
    let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: TRIES, retry_timeout: TRIED };
    let options = ClientOptions::default().with_timeout(PATIENCE);
    let store = AmazonS3Builder::from_env().with_bucket_name(name).with_retry(retry);
    let allows_http = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|word| word.eq_ignore_ascii_case("true"));
    let store = store.with_client_options(options.with_allow_http(allows_http)).build();
    Ok((Arc::new(store.context("the bucket cannot be used")?), Path::parse(prefix)?))
}

/// Chooses who computes for TLS.
pub(crate) fn provide() {
    // Whoever came first has chosen the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

impl Bucket {
    /// Finds out what is there, and what the store makes of conditions. `origin` is the log's name.
    ///
    /// # Errors
    /// When the store does not answer or says no, or the place is another log's.
    pub async fn open((store, prefix): Place, origin: &str) -> anyhow::Result<Self> {
        let mut bucket = Self {
            store,
            prefix,
            conditions: Conditions::Refused,
            there: HashSet::new(),
            fading: HashMap::new(),
            head: None,
            witnessed: None,
        };
        bucket.claim(origin).await?;
        bucket.conditions = bucket.probe().await.context("nothing can be written to the bucket")?;
        for folder in PASSING.iter().copied().chain(["feed/rules"]) {
            let listed = bucket.store.list(Some(&bucket.at(folder)));
            let names: Vec<_> = listed.map_ok(|object| object.location).try_collect().await?;
            let names = names.iter().filter_map(|path| bucket.name(path));
            bucket.there.extend(names.collect::<Vec<_>>());
        }
        Ok(bucket)
    }

    /// What the store makes of conditions.
    pub const fn conditions(&self) -> Conditions {
        self.conditions
    }

    fn at(&self, path: &str) -> Path {
        self.prefix.parts().chain(Path::from(path).parts()).collect()
    }

    /// The path of an object from the prefix on.
    fn name(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path.prefix_match(&self.prefix)?.collect();
        Some(parts.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("/"))
    }

    /// Makes sure that the place is this log's: two that share one would tell gateways of each other's tiles.
    async fn claim(&self, origin: &str) -> anyhow::Result<()> {
        let path = self.at(ORIGIN);
        match self.store.get(&path).await {
            Ok(known) => {
                let known = known.bytes().await?;
                let known = String::from_utf8_lossy(&known);
                ensure!(
                    known.trim() == origin,
                    "the bucket holds the log {} under this prefix, and this one is {origin}: name another prefix",
                    known.trim()
                );
                Ok(())
            }
            Err(Error::NotFound { .. }) => {
                let text = Bytes::from(format!("{origin}\n"));
                self.put(ORIGIN, text, ASKED_EACH_TIME, PutMode::Overwrite).await?;
                Ok(())
            }
            Err(fault) => Err(fault).context("the bucket cannot be read"),
        }
    }

    /// Writes an object twice on the condition that it is not there.
    async fn probe(&self) -> anyhow::Result<Conditions> {
        let name = format!("probe/{:016x}", rand::random::<u64>());
        let write = async |mode| self.put(&name, Bytes::from_static(b"probe"), ASKED_EACH_TIME, mode).await;
        let conditions = match write(PutMode::Create).await {
            Ok(_) => match write(PutMode::Create).await {
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Conditions::Heeded,
                Ok(_) => Conditions::Ignored,
                Err(fault) => return Err(fault.into()),
            },
            Err(_) => {
                // Whether it is the condition or everything that is refused is seen without one.
                write(PutMode::Overwrite).await?;
                Conditions::Refused
            }
        };
        self.store.delete(&self.at(&name)).await?;
        Ok(conditions)
    }

    async fn put(
        &self,
        name: &str,
        bytes: Bytes,
        kept: &'static str,
        mode: PutMode,
    ) -> Result<UpdateVersion, Error> {
        let attributes = Attributes::from_iter([
            (Attribute::CacheControl, kept),
            (Attribute::ContentType, "application/octet-stream"),
        ]);
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        let put = self.store.put_opts(&self.at(name), bytes.into(), options).await?;
        Ok(UpdateVersion { e_tag: put.e_tag, version: put.version })
    }

    /// Puts everything there that is not there, the head last, and takes away what nobody has been led to for a while. `at` is in Unix
    /// seconds. Returns how many objects were written.
    ///
    /// # Errors
    /// When the store does not take it, or holds a newer head than this one. What is there stays whole, and the next call goes on.
    pub async fn put_out(&mut self, whole: &Whole, at: u64) -> anyhow::Result<usize> {
        let rules = whole.rules.entries().iter().enumerate();
        let rules = rules.map(|(number, rule)| (format!("feed/rules/{number}"), rule));
        let rules = rules.filter(|(name, _)| !self.there.contains(name));
        let mut missing: Vec<_> = rules.map(|(name, rule)| (name, Bytes::from(rule.encode()))).collect();
        let files = whole.files.iter().filter(|(name, _)| !self.there.contains(name));
        missing.extend(files.cloned());
        let mut written = missing.len();
        let puts = missing.into_iter().map(|(name, bytes)| {
            let bucket = &*self;
            async move {
                bucket.put(&name, bytes, FOR_EVER, PutMode::Overwrite).await?;
                Ok::<_, Error>(name)
            }
        });
        let put: Vec<_> = stream::iter(puts).buffer_unordered(TOGETHER).collect().await;
        for name in put {
            self.there.insert(name?);
        }
        if let Some(witnessed) = whole.witnessed.as_ref().filter(|new| self.witnessed.as_ref() != Some(new)) {
            let bytes = Bytes::copy_from_slice(witnessed);
            self.put(WITNESSED, bytes, ASKED_EACH_TIME, PutMode::Overwrite).await?;
            self.witnessed = Some(witnessed.clone());
            written += 1;
        }
        if self.head.as_ref().is_none_or(|(_, known)| *known != whole.version) {
            self.put_head(whole).await?;
            written += 1;
        }
        self.sweep(whole, at).await;
        Ok(written)
    }

    /// Writes the head over the one that is known to be there.
    async fn put_head(&mut self, whole: &Whole) -> anyhow::Result<()> {
        let there = match self.head.take() {
            Some((there, _)) => Some(there),
            None => self.older_head(whole).await?,
        };
        let mode = match (self.conditions, there) {
            (Conditions::Heeded, Some(there)) => PutMode::Update(there),
            (Conditions::Heeded, None) => PutMode::Create,
            _ => PutMode::Overwrite,
        };
        match self.put(HEAD, whole.head.clone(), ASKED_EACH_TIME, mode).await {
            Ok(put) => self.head = Some((put, whole.version)),
            Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => {
                bail!("somebody else has written a head to the bucket; it is looked at anew")
            }
            Err(fault) => return Err(fault.into()),
        }
        Ok(())
    }

    /// The head that is there, which must not be newer than the one that is to come.
    async fn older_head(&self, new: &Whole) -> anyhow::Result<Option<UpdateVersion>> {
        let there = match self.store.get(&self.at(HEAD)).await {
            Ok(there) => there,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(fault) => return Err(fault.into()),
        };
        let known = UpdateVersion { e_tag: there.meta.e_tag.clone(), version: there.meta.version.clone() };
        let bytes = there.bytes().await?;
        // What nobody would believe is written over.
        if let Ok(signed) = Signed::decode(&bytes)
            && let Ok(old) = Head::open(&signed, new.rules.law()?)
        {
            ensure!(
                (old.session, old.serial) <= new.version,
                "the bucket holds head {} of session {}, which is newer: another process writes to it",
                old.serial,
                old.session
            );
        }
        Ok(Some(known))
    }

    /// Takes away what nobody was led to for a while.
    async fn sweep(&mut self, whole: &Whole, at: u64) {
        let named: HashSet<&str> = whole.files.iter().map(|(name, _)| name.as_str()).collect();
        let passes = |name: &&String| PASSING.iter().any(|folder| name.starts_with(folder));
        let is_stale = |name: &&String| passes(name) && !is_for_good(name) && !named.contains(name.as_str());
        let stale: HashSet<String> = self.there.iter().filter(is_stale).cloned().collect();
        self.fading.retain(|name, _| stale.contains(name));
        for name in stale {
            self.fading.entry(name).or_insert(at);
        }
        let gone = self.fading.iter().filter(|(_, since)| **since + FADES <= at);
        let gone: Vec<String> = gone.map(|(name, _)| name.clone()).collect();
        let paths = stream::iter(gone.iter().map(|name| Ok(self.at(name))).collect::<Vec<_>>()).boxed();
        let deleted: Vec<_> = self.store.delete_stream(paths).collect().await;
        for (name, deleted) in gone.iter().zip(deleted) {
            // What could not be taken away is tried again the next time; where it is gone already, all is well.
            if matches!(deleted, Ok(_) | Err(Error::NotFound { .. })) {
                self.there.remove(name);
                self.fading.remove(name);
            }
        }
    }
}

/// A tile that is full, which every longer log has as well.
fn is_for_good(name: &str) -> bool {
    name.starts_with("log/") && !name.contains(".p/")
}
