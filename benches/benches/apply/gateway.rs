//! The gateway's part: from what is kept to what packets meet.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use credence_benches::random::Random;
use credence_credit::guard::{Change, Limits};
use credence_credit::{Amended, Guards, Keeper, Published};
use credence_law::book::Issuers;
use credence_law::party::World;
use credence_memory::allocator;
use credence_sync::feed::{Copy, Folder, Held, Kept};

use super::{Moment, Place, median, memory, world};

/// Addresses to a batch.
const BATCH: usize = 256;

/// One who looks up without pause.
#[derive(Default)]
struct Reader {
    looked: AtomicU64,
    longest_ns: AtomicU64,
    rests: AtomicBool,
    ends: AtomicBool,
}

impl Reader {
    fn run(&self, published: &Published, addresses: &[u128]) {
        let (mut reader, mut out, mut sum) = (published.reader(), [0; BATCH], 0_u64);
        for batch in addresses.as_chunks::<BATCH>().0.iter().cycle() {
            if self.ends.load(Relaxed) {
                break;
            }
            while self.rests.load(Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
            let begin = Instant::now();
            let cache = Arc::clone(reader.current());
            reader.enter();
            cache.longest_match_batch(batch, &mut out);
            reader.leave();
            sum = sum.wrapping_add(out.iter().map(|found| u64::from(*found)).sum());
            self.longest_ns.fetch_max(begin.elapsed().as_nanos() as u64, Relaxed);
            self.looked.fetch_add(BATCH as u64, Relaxed);
        }
        core::hint::black_box(sum);
    }

    /// Look-ups a microsecond while something was done, and the longest batch in microseconds.
    fn during<T>(&self, what: impl FnOnce() -> T) -> (T, f64, f64) {
        let (begin, before) = (Instant::now(), self.looked.load(Relaxed));
        self.longest_ns.store(0, Relaxed);
        let result = what();
        let looked = (self.looked.load(Relaxed) - before) as f64;
        let rate = looked / begin.elapsed().as_secs_f64() / 1e6;
        (result, rate, self.longest_ns.load(Relaxed) as f64 / 1e3)
    }
}

/// What is in force.
struct Gateway {
    folder: Folder,
    world: World,
    published: Published,
    guards: Guards,
    held: Held,
    keeper: Keeper,
}

impl Gateway {
    /// Puts all in force that was kept.
    fn begin(place: &Place, published: &Published, how: &str) -> Self {
        let (folder, guards, begin) = (Folder::to_read(&place.kept), Guards::default(), Moment::now());
        let held = Kept::of(&folder, place.world, Copy::Offered, None).unwrap().unwrap();
        let checked = begin.ms();
        let snapshot = held.snapshot().unwrap();
        let records = begin.ms();
        let keeper = Keeper::build(published, vec![snapshot], &guards).unwrap();
        let built = begin.ms();
        keeper.publish();
        let all = begin.ms();
        println!(
            "gateway/whole/{how}  checked {checked:.1}  records {:.1}  built {:.1}  all {all:.1}  worked {:.1}  wall {:.1}  {}",
            records - checked,
            built - records,
            begin.worked_ms(),
            begin.wall_ms(),
            memory()
        );
        allocator::keep_for_next();
        Self { folder, world: place.world, published: published.clone(), guards, held, keeper }
    }

    /// Puts in force what is new, and tells how long each step took.
    fn delta(&mut self, now: u64) -> [f64; 8] {
        let begin = Moment::now();
        let next = Kept::of(&self.folder, self.world, Copy::Offered, Some(&self.held)).unwrap().unwrap();
        let checked = begin.ms();
        let amendments = self.held.state.amendments(&next.state).unwrap().expect("the same rules");
        let amended = begin.ms();
        let issuers = Issuers::of(next.state.rules().law().unwrap().register());
        let sources = [next.header()];
        let update = Amended { issuers: issuers.names(), amendments: &amendments, sources: &sources };
        let changes = self.keeper.amend(update, &self.guards, |_, _| false).expect("few");
        let found = begin.ms();
        assert!(Limits::default().passes(&self.keeper.bound(&changes, now)), "the guards let it pass");
        let bounded = begin.ms();
        self.keeper.apply(changes, &mut ()).unwrap();
        let changed = begin.ms();
        next.state.settle();
        // What was held before takes time to be let go of as well.
        self.held = next;
        let (all, worked, wall) = (begin.ms(), begin.worked_ms(), begin.wall_ms());
        [checked, amended - checked, found - amended, bounded - found, changed - bounded, all, worked, wall]
    }

    /// What the same takes when all is made anew.
    fn anew(&self, now: u64) -> f64 {
        let begin = Moment::now();
        let held = Kept::of(&self.folder, self.world, Copy::Offered, None).unwrap().unwrap();
        let snapshots = vec![held.snapshot().unwrap()];
        let next = Keeper::build(&self.published, snapshots, &self.guards).unwrap();
        let change = Change::between(self.keeper.cache(), next.cache(), now);
        let changes = self.keeper.changes_to(&next).unwrap();
        let took = begin.ms();
        assert!(changes.is_empty() && change.added + change.removed == 0, "both ways lead to the same");
        took
    }
}

/// Does it once, with nothing beside.
pub(super) fn alone(place: &Place) {
    let steps = std::io::stdin().lines().map(Result::unwrap);
    steps.take(1).for_each(|_| drop(Gateway::begin(place, &Published::default(), "alone")));
    println!();
}

/// What deltas took, by the middle of each step.
fn tell(how: &str, took: &[[f64; 8]]) {
    let of = |at: usize| median(took.iter().map(|figures| figures[at]).collect());
    println!(
        "gateway/delta/{how}  checked {:.1}  amended {:.1}  found {:.1}  bounded {:.1}  changed {:.1}  all {:.1}  worked {:.1}  wall {:.1}",
        of(0),
        of(1),
        of(2),
        of(3),
        of(4),
        of(5),
        of(6),
        of(7),
    );
}

/// Does what there is to do for each line.
pub(super) fn run(place: &Place) {
    let published = Published::default();
    let reader = Reader::default();
    let mut random = Random::new(9);
    let addresses: Vec<u128> = (0..1 << 16).map(|_| world::address(&mut random)).collect();
    thread::scope(|scope| {
        scope.spawn(|| reader.run(&published, &addresses));
        let mut steps = std::io::stdin().lines().map(Result::unwrap);
        steps.next().expect("a first step");
        let (mut gateway, whole, whole_us) = reader.during(|| Gateway::begin(place, &published, "beside"));
        println!();
        let (mut took, mut resting, mut rates, mut longest) = (Vec::new(), Vec::new(), Vec::new(), 0_f64);
        for step in steps {
            let now = world::now(&place.mirror);
            if step == "delta" && resting.len() == took.len() {
                reader.rests.store(true, Relaxed);
                // Until what it has in hand is done.
                thread::sleep(Duration::from_millis(20));
                resting.push(gateway.delta(now));
                reader.rests.store(false, Relaxed);
                println!();
                continue;
            }
            if step == "delta" {
                let (figures, rate, us) = reader.during(|| gateway.delta(now));
                took.push(figures);
                rates.push(rate);
                longest = longest.max(us);
                println!();
                continue;
            }
            if let Some(spread) = step.strip_prefix("told ") {
                tell(&format!("{spread}/beside"), &std::mem::take(&mut took));
                tell(&format!("{spread}/alone"), &std::mem::take(&mut resting));
                println!();
                continue;
            }
            let (_, alone, alone_us) = reader.during(|| thread::sleep(Duration::from_secs(1)));
            println!("gateway/memory  {}  cache_mb {}", memory(), gateway.keeper.bytes() >> 20);
            println!(
                "gateway/reader  alone {alone:.1}  whole {whole:.1}  delta {:.1}  alone_us {alone_us:.0}  \
                 whole_us {whole_us:.0}  delta_us {longest:.0}",
                median(rates.clone())
            );
            reader.rests.store(true, Relaxed);
            println!("gateway/delta/whole  all {:.1}\n", allocator::at_once(|| gateway.anew(now)));
            reader.rests.store(false, Relaxed);
        }
        reader.ends.store(true, Relaxed);
    });
}
