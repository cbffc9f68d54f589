//! A gateway whose only mirror is a bucket: the real client, the real platform, and a server of S3 with a door before it that sees
//! what is written, loses some of it, and forgets conditions when it is told to.

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use credence_credit::{Measure, Record, Score};
use credence_feed::{Head, SnapshotList, Witness};
use credence_law::party::World;
use credence_law::{Object, Signed};
use credence_platform::bucket::{Bucket as Copy, Conditions, Place as Bucket, Whole};
use credence_platform::example::{Parties, Place, make_world};
use credence_platform::keys;
use credence_platform::log::Signer;
use credence_platform::published::{Published, origin};
use credence_platform::serve::{Offices, Platform, Settings, now, router};
use credence_platform::store::{Address, Store};
use credence_sync::feed::{Client, Folder, Kept, Mirror, Pinned, Plan, Timings, Told};
use credence_sync::fetch::{Fetcher, Patience};
use credence_sync::lists::Machine;
use ed25519_dalek::SigningKey;
use object_store::aws::AmazonS3Builder;
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, RetryConfig};
use tempfile::TempDir;

/// How long a change may take from the platform to the bucket and from there to the gateway, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What asks as a cache would; this server looks whether somebody has signed, and not who.
const KEY: &str =
    "AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=x";
/// Every so many writes are lost while the door is told to lose some.
const LOSES: u64 = 5;

/// A server of S3 with an empty bucket, killed when this value goes.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// None where the program is not installed; the full test command brings it.
    fn start(port: u16) -> Option<Self> {
        let program = env::var_os("MOTO_SERVER").unwrap_or_else(|| "moto_server".into());
        let mut command = Command::new(program);
        command
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let Ok(process) = command.spawn() else {
            eprintln!("moto_server is not installed: no bucket was followed");
            return None;
        };
        let server = Self { process, port };
        let is_there = (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        assert!(is_there, "moto_server does not start");
        Some(server)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The door before a server.
struct Door {
    port: u16,
    client: reqwest::Client,
    forgets: AtomicBool,
    loses: AtomicBool,
    writes: AtomicU64,
    lost: AtomicU64,
    heads: Mutex<Vec<(u64, u64)>>,
}

impl Door {
    async fn open(port: u16) -> (Arc<Self>, SocketAddr) {
        let door = Arc::new(Self {
            port,
            client: reqwest::Client::new(),
            forgets: AtomicBool::new(false),
            loses: AtomicBool::new(false),
            writes: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            heads: Mutex::default(),
        });
        let app = Router::new().fallback(pass).with_state(Arc::clone(&door));
        (door, serve(app).await)
    }

    fn behind(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(self.behind(path)).header("authorization", KEY)
    }

    /// Whether everything that a head names lies beside it.
    async fn is_whole(&self, path: &str, head: &[u8]) -> bool {
        let head = Object::<Head>::decode(Signed::decode(head).unwrap().bytes()).unwrap().body;
        self.heads.lock().unwrap().push((head.session, head.serial));
        let files = path.replace("feed/head", "feed/files");
        let had = async |name: String| {
            let answer = self.get(&format!("{files}/{name}")).send().await.unwrap();
            (answer.status() == StatusCode::OK).then_some(answer.bytes().await.unwrap())
        };
        let Some(list) = had(head.snapshot.name()).await else { return false };
        let shards = SnapshotList::decode(&list).unwrap().shards.0;
        let named = shards.iter().map(|shard| shard.file.name());
        let named: Vec<_> = named.chain(head.deltas.iter().map(|way| way.file.name())).collect();
        for name in named {
            if had(name).await.is_none() {
                return false;
            }
        }
        let rule = path.replace("feed/head", &format!("feed/rules/{}", head.rules - 1));
        self.get(&rule).send().await.unwrap().status() == StatusCode::OK
    }
}

async fn pass(
    State(door): State<Arc<Door>>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response {
    if method == Method::PUT {
        let number = door.writes.fetch_add(1, Ordering::Relaxed);
        if door.loses.load(Ordering::Relaxed) && number % LOSES == 0 {
            door.lost.fetch_add(1, Ordering::Relaxed);
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        if uri.path().ends_with("/feed/head") {
            assert!(door.is_whole(uri.path(), &body).await, "a head came before what it names");
        }
    }
    if door.forgets.load(Ordering::Relaxed) {
        headers.remove("if-match");
        headers.remove("if-none-match");
    }
    headers.remove("host");
    // Gateways have no key; a cache before a bucket that is not for everybody has one.
    headers.entry("authorization").or_insert(KEY.parse().unwrap());
    let target = door.behind(uri.path_and_query().unwrap().as_str());
    let Ok(answer) = door.client.request(method, target).headers(headers).body(body).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, Body::from(answer.bytes().await.unwrap())).into_response()
}

async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// The bucket behind a door.
fn bucket(door: SocketAddr, prefix: &str) -> Bucket {
    // What is lost is seen by the platform at once.
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let store = AmazonS3Builder::new()
        .with_bucket_name("bkt")
        .with_endpoint(format!("http://{door}"))
        .with_allow_http(true)
        .with_region("eu-west-1")
        .with_access_key_id("AKIDEXAMPLE")
        .with_secret_access_key("secret")
        .with_retry(retry)
        .build()
        .unwrap();
    (Arc::new(store), prefix.into())
}

fn witness() -> (Witness, SigningKey) {
    let key = SigningKey::from_bytes(&[9; 32]);
    (Witness::new("witness.example/bucket", key.verifying_key()), key)
}

/// A platform with an example world, in this process.
pub(crate) struct Publisher {
    platform: Arc<Platform>,
    pub(crate) world: World,
    parties: Parties,
    pub(crate) address: SocketAddr,
    site: u16,
}

impl Publisher {
    async fn start(directory: &TempDir, bucket: Bucket) -> Self {
        Self::start_with(directory, |settings| settings.bucket = Some(bucket)).await
    }

    /// With what else is chosen.
    pub(crate) async fn start_with(directory: &TempDir, choose: impl FnOnce(&mut Settings)) -> Self {
        let place = Place::new(directory.path());
        let store = Store::open(&Address::of(directory.path()).unwrap()).await.unwrap();
        let world = if place.world().exists() {
            credence_platform::example::read_world(&place).unwrap()
        } else {
            let (world, entries) = make_world(&place, now()).unwrap();
            let mut writer = store.writer().await.unwrap();
            writer.append(&entries).await.unwrap();
            writer.close().await.unwrap();
            world
        };
        let operator = keys::read(&place.operator()).unwrap();
        let signer = Signer::new(&origin(world, 1), &operator);
        let mut settings = Settings {
            offices: Offices::new(Some(operator), None),
            feed: Some(directory.path().join("feed")),
            witnesses: vec![witness().0],
            ..Settings::default()
        };
        choose(&mut settings);
        let published = Published::new(directory.path());
        let platform = Platform::open(store, world, signer, published, settings).await.unwrap();
        let address = serve(router(Arc::clone(&platform))).await;
        let parties = Parties::new(place, world, now() + u64::from(std::process::id() % 7));
        Self { platform, world, parties, address, site: 0 }
    }

    /// Members' alerts about so many more networks.
    pub(crate) async fn alert(&mut self, count: u16) {
        for _ in 0..count {
            self.site += 1;
            let (member, site) = (1 + self.site % 5, self.site);
            let prefix = format!("2001:db8:{member:x}{site:03x}::/48").parse().unwrap();
            let said = (Measure::RateLimit, Score::new(400).unwrap());
            let alert = self.parties.alert(member, prefix, said, now()).unwrap();
            self.platform.submit(&alert).await.unwrap();
        }
    }

    /// A witness sees the log as it is.
    async fn seen(&self) {
        let (witness, key) = witness();
        let client = reqwest::Client::new();
        let url = |path: &str| format!("http://{}{path}", self.address);
        let note = client.get(url("/log/checkpoint")).send().await.unwrap().bytes().await.unwrap();
        let line = witness.cosign(&key, &note, now()).unwrap();
        let handed = client.post(url("/log/cosignatures")).body([&note[..], &line].concat());
        assert_eq!(handed.send().await.unwrap().status(), StatusCode::OK);
    }

    async fn metrics(&self) -> String {
        let page = reqwest::get(format!("http://{}/metrics", self.address)).await.unwrap();
        page.text().await.unwrap()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.platform.records().unwrap().1
    }
}

/// A gateway that has nothing but the bucket, and asks for a witness's word.
pub(crate) struct Gateway {
    pub(crate) client: Client,
    disk: Folder,
    world: World,
}

impl Gateway {
    /// The records that it has on its disk.
    pub(crate) fn records(&self) -> Option<Vec<Record>> {
        let held = Kept::read(&self.disk, self.world).0.held?;
        Some(held.snapshot().unwrap().records().to_vec())
    }
}

/// Follows a mirror that it asks every so many seconds.
pub(crate) fn gateway(publisher: &Publisher, mirror: &str, directory: &TempDir, refresh: u64) -> Gateway {
    let world = publisher.world;
    let pinned = Pinned {
        world,
        origin: origin(world, 1),
        witnesses: vec![witness().0],
        // Without a bucket nobody has asked them.
        witness_quorum: usize::from(refresh == 1),
        allow_example: true,
    };
    let plan = Plan {
        pinned,
        mirrors: vec![Mirror::parse(mirror, false).unwrap()],
        timings: Timings { refresh, retry: 1, retry_max: 1 },
    };
    let machine = Machine { unix_s: now, chance: || 7 };
    let fetcher = Fetcher::new(Patience::default()).unwrap();
    let disk = Folder::new(directory.path()).unwrap();
    Gateway { client: Client::new(fetcher, plan, disk.clone(), machine), disk, world }
}

/// Asks until the gateway has what the platform says is in force.
async fn follow(gateway: &mut Gateway, publisher: &Publisher) {
    let begun = tokio::time::Instant::now();
    loop {
        let told = gateway.client.ask().await.unwrap();
        let held = gateway.records();
        if held.as_ref() == Some(&publisher.records()) {
            return println!("the bucket led there after {:?}", begun.elapsed());
        }
        let behind = held.map(|held| held.len());
        assert!(begun.elapsed() < PATIENCE, "{told:?}: {behind:?} of {} records", publisher.records().len());
        if let Told::Refused(_, why) = told {
            println!("refused: {why}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

/// What a publisher without a network has to copy.
fn whole(publisher: &crate::stage::Publisher) -> Whole {
    let offered = publisher.feed.offered().unwrap();
    let files = offered.files().iter();
    let files = files.map(|(hash, bytes)| (format!("feed/files/{}", keys::hex(hash)), bytes.clone()));
    let (head, version, rules) = (offered.head(), offered.version(), Arc::clone(offered.rules()));
    Whole { head, version, rules, files: files.collect(), witnessed: None }
}

/// Two processes that write to one bucket, as after a change of who leads.
#[test]
fn no_head_is_written_over_a_newer_one_and_no_place_is_shared() {
    let store = Arc::new(InMemory::new());
    let open = async |origin| Copy::open((store.clone(), "x".into()), origin).await;
    let head = async || store.get(&"x/feed/head".into()).await.unwrap().bytes().await.unwrap();
    run(async {
        let (mut one, mut other) = (open("log/a").await.unwrap(), open("log/a").await.unwrap());
        assert_eq!(one.conditions(), Conditions::Heeded);
        let refused = open("log/b").await.unwrap_err().to_string();
        assert!(refused.contains("name another prefix"), "{refused}");
        let mut publisher = crate::stage::Publisher::new();
        let old = whole(&publisher);
        one.put_out(&old, publisher.now).await.unwrap();
        publisher.alert(1, 1);
        publisher.publish();
        let new = whole(&publisher);
        other.put_out(&new, publisher.now).await.unwrap();
        // Who has put nothing there so far looks first; who knows an older one is told by the store.
        let refused =
            open("log/a").await.unwrap().put_out(&old, publisher.now).await.unwrap_err().to_string();
        assert!(refused.contains("which is newer"), "{refused}");
        publisher.alert(1, 2);
        publisher.publish();
        let newest = whole(&publisher);
        let refused = one.put_out(&newest, publisher.now).await.unwrap_err().to_string();
        assert!(refused.contains("somebody else has written"), "{refused}");
        assert_eq!(head().await, new.head);
        one.put_out(&newest, publisher.now).await.unwrap();
        assert_eq!(head().await, newest.head);
        // What is no head of this world holds nobody up.
        store.put(&"x/feed/head".into(), "nothing".into()).await.unwrap();
        open("log/a").await.unwrap().put_out(&newest, publisher.now).await.unwrap();
        assert_eq!(head().await, newest.head);
    });
}

#[test]
fn what_no_head_leads_to_goes_after_a_while() {
    let store = Arc::new(InMemory::new());
    run(async {
        let mut bucket = Copy::open((store.clone(), "".into()), "log/a").await.unwrap();
        let publisher = crate::stage::Publisher::new();
        let mut whole = whole(&publisher);
        let stale = format!("feed/files/{}", "5a".repeat(32));
        let tiles = ["log/tile/0/000", "log/tile/0/000.p/7"].map(str::to_owned);
        whole.files.extend(tiles.iter().chain([&stale]).map(|name| (name.clone(), Bytes::from_static(b"7"))));
        bucket.put_out(&whole, publisher.now).await.unwrap();
        let gone = [&stale, &tiles[1]];
        whole.files.retain(|(name, _)| !gone.contains(&name) && *name != tiles[0]);
        let there = async |name: &str| store.head(&name.into()).await.is_ok();
        for (passed, is_there) in [(0, true), (299, true), (300, false)] {
            bucket.put_out(&whole, publisher.now + passed).await.unwrap();
            for name in gone {
                assert_eq!(there(name).await, is_there, "{name} after {passed} s");
            }
        }
        for (name, _) in &whole.files {
            assert!(there(name).await, "{name} is still led to");
        }
        assert!(there(&tiles[0]).await, "a full tile is the log's for ever");
    });
}

#[test]
fn a_bucket_alone_is_a_mirror() {
    let port = free_port();
    let Some(server) = Server::start(port) else { return };
    // Whoever comes first chooses the provider of cryptography; all choose the same.
    let fetcher = Fetcher::new(Patience::default()).unwrap();
    drop(fetcher);
    run(async {
        let (world, disk) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (door, address) = Door::open(port).await;
        let made = door.client.put(server.url("bkt")).send().await.unwrap();
        assert_eq!(made.status(), StatusCode::OK);
        let mut publisher = Publisher::start(&world, bucket(address, "a/b")).await;
        let mut gateway = gateway(&publisher, &format!("http://{address}/bkt/a/b"), &disk, 1);
        publisher.alert(3).await;
        publisher.seen().await;
        follow(&mut gateway, &publisher).await;
        // The log grows beyond a tile; only tiles show that it goes on.
        for _ in 0..3 {
            publisher.alert(100).await;
            publisher.seen().await;
            follow(&mut gateway, &publisher).await;
        }
        assert!(
            publisher.metrics().await.contains("credence_platform_bucket_conditions{answer=\"heeded\"} 1")
        );
        let head = reqwest::get(format!("http://{address}/bkt/a/b/feed/head")).await.unwrap();
        assert_eq!(head.headers()["cache-control"], "no-cache");
        let rule = reqwest::get(format!("http://{address}/bkt/a/b/feed/rules/0")).await.unwrap();
        assert!(rule.headers()["cache-control"].to_str().unwrap().contains("immutable"));

        // Writes are lost, and made good.
        door.loses.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            publisher.alert(7).await;
            publisher.seen().await;
            follow(&mut gateway, &publisher).await;
        }
        door.loses.store(false, Ordering::Relaxed);
        assert!(door.lost.load(Ordering::Relaxed) > 0);

        // The store is gone, and comes back empty; the platform serves on meanwhile.
        drop(server);
        publisher.alert(5).await;
        assert!(gateway.client.ask().await.is_ok_and(|told| matches!(told, Told::Refused(..))));
        let server = Server::start(port).unwrap();
        let made = door.client.put(server.url("bkt")).send().await.unwrap();
        assert_eq!(made.status(), StatusCode::OK);
        publisher.seen().await;
        follow(&mut gateway, &publisher).await;
        let failures = publisher.metrics().await;
        assert!(!failures.contains("credence_platform_bucket_failures_total 0"), "{failures}");

        // The platform starts anew on the same bucket, and goes on.
        publisher.platform.close().await;
        let site = publisher.site;
        drop(publisher);
        let mut publisher = Publisher::start(&world, bucket(address, "a/b")).await;
        publisher.site = site;
        publisher.alert(2).await;
        publisher.seen().await;
        follow(&mut gateway, &publisher).await;
        let heads = door.heads.lock().unwrap().clone();
        assert!(heads.is_sorted(), "no head was written over a newer one: {heads:?}");
        println!("{} heads, {} writes", heads.len(), door.writes.load(Ordering::Relaxed));
    });
}

/// Some stores say that all is well and write over what they were told not to.
#[test]
fn a_store_that_ignores_conditions_is_known_and_still_a_mirror() {
    let port = free_port();
    let Some(server) = Server::start(port) else { return };
    drop(Fetcher::new(Patience::default()).unwrap());
    run(async {
        let (world, disk) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (door, address) = Door::open(port).await;
        door.forgets.store(true, Ordering::Relaxed);
        assert_eq!(door.client.put(server.url("bkt")).send().await.unwrap().status(), StatusCode::OK);
        let mut publisher = Publisher::start(&world, bucket(address, "")).await;
        let mut gateway = gateway(&publisher, &format!("http://{address}/bkt"), &disk, 1);
        publisher.alert(2).await;
        publisher.seen().await;
        follow(&mut gateway, &publisher).await;
        let metrics = publisher.metrics().await;
        assert!(metrics.contains("credence_platform_bucket_conditions{answer=\"ignored\"} 1"), "{metrics}");
    });
}
