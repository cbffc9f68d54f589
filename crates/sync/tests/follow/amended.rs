//! What is put in force change by change is what all of it made anew would be.

use credence_credit::{Amended, Guarded, Guards, Issuer, Keeper, Published, Record};
use credence_law::book::Issuers;
use credence_law::party::World;
use credence_sync::feed::{Copy, Held, Kept, keep_taken};

use crate::stage::{Gateway, Memory, Publisher};

/// What puts in force what a follower keeps.
struct InForce {
    world: World,
    held: Held,
    guards: Guards,
    keeper: Keeper,
}

/// A record with the name of its issuer and what the guards say of it.
type Told = (Record, Issuer, Guarded);

impl InForce {
    /// All that was kept, made anew. Addresses for examples count, since the members of this world hold no others.
    fn of(disk: &Memory, world: World) -> Self {
        let held = Kept::of(disk, world, Copy::Offered, None).unwrap().unwrap();
        let guards = Guards::default().staged(held.state.rules().staged().unwrap());
        let keeper = Keeper::build(&Published::default(), vec![held.snapshot().unwrap()], &guards).unwrap();
        Self { world, held, guards, keeper }
    }

    /// Puts in force what has come since, by what has changed alone; how many prefixes that were.
    fn follow(&mut self, disk: &Memory) -> usize {
        let next = Kept::of(disk, self.world, Copy::Offered, Some(&self.held)).unwrap().unwrap();
        let amendments = self.held.state.amendments(&next.state).unwrap().expect("the rules are the same");
        let issuers = Issuers::of(next.state.rules().law().unwrap().register());
        let sources = [next.header()];
        let update = Amended { issuers: issuers.names(), amendments: &amendments, sources: &sources };
        let changes = self.keeper.amend(update, &self.guards, |_, _| false).expect("few");
        let count = changes.len();
        self.keeper.apply(changes, &mut ()).unwrap();
        self.held = next;
        count
    }

    fn told(&self) -> Vec<Told> {
        let cache = self.keeper.cache();
        let told = |(number, record): (u32, Record)| {
            (record.clone(), cache.issuer(record.issuer), cache.entry(number).guarded())
        };
        let mut told: Vec<_> = cache.iter().map(told).collect();
        let key = |(record, issuer, _): &Told| (record.prefix, record.authority, issuer.clone());
        told.sort_by_key(key);
        told
    }
}

/// Alerts, liftings, manifests, decisions and complaints at random, followed at random; sometimes the follower starts anew, and sometimes
/// it has so much behind its last whole state that it writes that anew.
#[test]
fn changes_lead_where_all_of_it_made_anew_does() {
    let mut state = 11_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    gateway.follow(&publisher);
    let mut in_force = InForce::of(&gateway.disk, publisher.world);
    let (mut alerts, mut decided, mut changed) = (Vec::new(), None, 0);
    for step in 0..250 {
        publisher.now += random(60);
        match random(12) {
            0..6 => {
                let (of, site) = (1 + random(5) as u16, random(40) as u16);
                alerts.push((of, publisher.alert(of, site)));
            }
            6 if !alerts.is_empty() => {
                let (of, act) = alerts.swap_remove(random(alerts.len() as u64) as usize);
                publisher.lift(of, act);
            }
            7 | 8 => drop(publisher.attest(random(900))),
            9 if decided.is_none() => decided = Some(publisher.decide().1),
            10 if step % 3 == 0 => {
                if let Some(act) = decided.take() {
                    publisher.complain(act);
                }
            }
            11 => gateway = gateway.restart(),
            _ => {}
        }
        publisher.publish();
        gateway.follow(&publisher);
        if random(3) > 0 {
            continue;
        }
        changed += in_force.follow(&gateway.disk);
        let anew = InForce::of(&gateway.disk, publisher.world);
        assert_eq!(in_force.told(), anew.told(), "step {step}");
        assert_eq!(in_force.held.state.records().unwrap().1, anew.held.state.records().unwrap().1);
        assert_eq!(in_force.held.state.root(), anew.held.state.root(), "step {step}");
        assert_eq!(in_force.keeper.cache().sources(), anew.keeper.cache().sources(), "step {step}");
        assert_eq!(in_force.told().len(), gateway.records().len(), "step {step}");
        if random(2) == 0 {
            keep_taken(&mut gateway.disk, &in_force.held.state.root()).unwrap();
        }
    }
    assert!(changed > 40 && in_force.told().len() > 10, "{changed} changes");
}

/// A follower adds to what it has kept, and writes only what has come.
#[test]
fn a_delta_is_kept_as_it_came_and_nothing_else_is_written_again() {
    let mut publisher = Publisher::new();
    for site in 0..40 {
        publisher.alert(1, site);
    }
    publisher.attest(0);
    publisher.publish();
    let mut gateway = Gateway::new(&publisher);
    gateway.follow(&publisher);
    let files = |disk: &Memory| disk.0.keys().filter(|name| name.len() == 64).cloned().collect::<Vec<_>>();
    let before = files(&gateway.disk);
    assert_eq!(before.len(), 2, "the list and a shard");
    publisher.now += 1;
    publisher.alert(2, 1);
    publisher.publish();
    gateway.follow(&publisher);
    let after = files(&gateway.disk);
    assert_eq!(after.len(), 3);
    assert!(before.iter().all(|name| after.contains(name)));
    let new = after.iter().find(|name| !before.contains(name)).unwrap();
    assert!(gateway.asked.contains(&format!("feed/files/{new}")), "as it came");
    assert_eq!(gateway.restart().records(), publisher.records());
}

/// What is added grows no longer than the whole, whatever comes; and what is near is had without the whole, and nothing else is.
#[test]
fn what_was_kept_is_begun_anew_before_it_becomes_long() {
    let mut publisher = Publisher::new();
    let mut gateway = Gateway::new(&publisher);
    let (mut most, mut in_force) = (0, None);
    let (mut whole, mut files, mut near) = (Vec::new(), usize::MAX, [0, 0]);
    for step in 0..300_u16 {
        publisher.now += 1;
        publisher.alert(1 + step % 5, step % 60);
        publisher.publish();
        gateway.follow(&publisher);
        most = most.max(gateway.disk.0.len());
        if gateway.disk.0.len() < std::mem::replace(&mut files, gateway.disk.0.len()) {
            whole = gateway.disk.0.keys().filter(|name| name.len() == 64).cloned().collect();
        }
        let known = in_force.get_or_insert_with(|| InForce::of(&gateway.disk, publisher.world));
        let mut rest = gateway.disk.clone();
        rest.0.retain(|name, _| !whole.contains(name));
        let is_near = Kept::is_near(&gateway.disk, Copy::Offered, &known.held);
        assert_eq!(is_near, Kept::of(&rest, publisher.world, Copy::Offered, Some(&known.held)).is_ok());
        near[usize::from(is_near)] += 1;
        known.follow(&gateway.disk);
        assert_eq!(known.held.serial, gateway.follower.held().unwrap().serial);
    }
    assert!((20..=261).contains(&most), "{most} files at a time");
    assert!(near[0] > 0 && near[1] > 200, "{near:?} were far and near");
    assert_eq!(gateway.restart().records().len(), in_force.unwrap().told().len());
}
