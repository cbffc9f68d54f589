//! What is looked at before a signature is: all that costs less.
//!
//! A signature takes some 90 microseconds to check, and anybody can send one that is wrong. So whatever can be told without is told
//! first: the shape, the world, the time, who the issuer is and whether the keys are known. Then come allowances. An issuer's
//! is charged when its act comes, and given back when the act turns out to be somebody else's forgery, which is charged to where
//! it came from: nobody can use up a member's allowance but whoever has its keys.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use credence_law::check::{SKEW, handed_in_within};
use credence_law::party::Party;
use credence_law::{Act, Law, Object, Refusal, Rules, Signed};

use crate::allowance::{Allowance, Rate};
use crate::desk::is_act;

/// Cells in which the allowances of those who forge are kept, 32 KiB in all. Networks that fall into one cell share it; the seed is
/// the process's own, so that nobody can choose whom to share with.
const CELLS: usize = 4_096;

/// What may be sent.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// By each issuer.
    pub issuer: Rate,
    /// By each network (an IPv4 address, or the /64 of an IPv6 address), of what is found to be nobody's.
    pub strangers: Rate,
}

impl Default for Limits {
    /// A member may hand in 200 acts a second for ever, and five times as many at once after a pause; five members at that rate
    /// are within what a process takes. A network may forge ten a second.
    fn default() -> Self {
        Self {
            issuer: Rate { each_second: 200, burst: 1_000 },
            strangers: Rate { each_second: 10, burst: 50 },
        }
    }
}

/// Why something is turned away before its signatures are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// The law is against it.
    Refused(Refusal),
    /// Its issuer has sent too much.
    Quota {
        /// Milliseconds until one more is taken.
        wait_ms: u64,
    },
    /// Too much that was nobody's came from there.
    Strangers {
        /// Milliseconds until one more is looked at.
        wait_ms: u64,
    },
}

/// Who is charged for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The issuer that it names; none for a rule.
    issuer: Option<Party>,
    cell: usize,
}

/// Allowances of all who send. As many as the registry has parties, and a fixed number besides.
#[derive(Debug)]
pub struct Gate<S = RandomState> {
    limits: Limits,
    issuers: HashMap<Party, Allowance>,
    strangers: Vec<Allowance>,
    seed: S,
}

impl<S: BuildHasher> Gate<S> {
    /// With nobody charged yet. `seed` is to be one that nobody else knows.
    pub fn new(limits: Limits, seed: S) -> Self {
        Self { limits, issuers: HashMap::new(), strangers: vec![Allowance::default(); CELLS], seed }
    }

    /// Lets something pass that comes from `network`, by the clock of seconds that acts are dated with and one of milliseconds that
    /// never goes back.
    ///
    /// # Errors
    /// Why it is turned away.
    pub fn pass(
        &mut self,
        law: &Law,
        signed: &Signed,
        network: IpAddr,
        (now, now_ms): (u64, u64),
    ) -> Result<Charge, Turned> {
        let charge = self.admit(network, now_ms)?;
        let issuer = look(law, signed, now).map_err(Turned::Refused)?;
        if let Some(party) = issuer {
            let allowance = self.issuers.entry(party).or_default();
            allowance.take(self.limits.issuer, now_ms).map_err(|wait_ms| Turned::Quota { wait_ms })?;
        }
        Ok(Charge { issuer, ..charge })
    }

    /// Lets something else pass that comes from `network`, of which nobody is told whose it is yet.
    ///
    /// # Errors
    /// When too much came from there that was nobody's.
    pub fn admit(&self, network: IpAddr, now_ms: u64) -> Result<Charge, Turned> {
        let cell = self.cell(network);
        let waits = self.strangers[cell].look(self.limits.strangers, now_ms);
        waits.map(|()| Charge { issuer: None, cell }).map_err(|wait_ms| Turned::Strangers { wait_ms })
    }

    /// Charges nobody for what was not looked at after all.
    pub fn give_back(&mut self, charge: Charge) {
        if let Some(allowance) = charge.issuer.and_then(|party| self.issuers.get_mut(&party)) {
            allowance.give_back(self.limits.issuer);
        }
    }

    /// Charges what turned out to be a forgery to where it came from, and not to whom it names.
    pub fn forged(&mut self, charge: Charge, now_ms: u64) {
        self.give_back(charge);
        // Whoever has used it up already waits no longer for one more.
        let _ = self.strangers[charge.cell].take(self.limits.strangers, now_ms);
    }

    fn cell(&self, network: IpAddr) -> usize {
        let network = match network.to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        self.seed.hash_one(network) as usize % CELLS
    }
}

/// Whose something is, as far as can be told without a look at its signatures; none for a rule.
fn look(law: &Law, signed: &Signed, now: u64) -> Result<Option<Party>, Refusal> {
    if !is_act(signed) {
        let object = Object::<Rules>::decode(signed.bytes())?;
        return if object.world == law.world { Ok(None) } else { Err(Refusal::World) };
    }
    let object = Object::<Act>::decode(signed.bytes())?;
    if object.world != law.world {
        return Err(Refusal::World);
    }
    let preamble = object.body.preamble();
    if preamble.issued > now.saturating_add(SKEW) {
        return Err(Refusal::Future);
    }
    if preamble.issued < now.saturating_sub(handed_in_within(&object.body)) {
        return Err(Refusal::Stale);
    }
    if preamble.expires <= now {
        return Err(Refusal::Expired);
    }
    if !is_party(law, preamble.issuer) {
        return Err(Refusal::UnknownIssuer);
    }
    keys(law, signed)?;
    Ok(Some(preamble.issuer))
}

/// Whether the registry knows a party.
fn is_party(law: &Law, party: Party) -> bool {
    match party {
        Party::Member(id) => law.register().member(id).is_some(),
        Party::Adviser(place) => usize::from(place) < law.register().registry().advisers.len(),
        Party::Body | Party::Executive | Party::Operator => true,
    }
}

/// That there are signatures, and all by keys that are known and not revoked.
fn keys(law: &Law, signed: &Signed) -> Result<(), Refusal> {
    let mut claims = signed.claims().peekable();
    claims.peek().ok_or(Refusal::Unsigned)?;
    claims.try_for_each(|key| {
        if law.register().is_revoked(key) {
            return Err(Refusal::RevokedKey);
        }
        law.speaker(key).map(drop).ok_or(Refusal::UnknownKey)
    })
}

/// Whether a refusal says that whoever is named has not signed.
pub const fn is_forged(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::BadSignature | Refusal::UnknownKey | Refusal::Unsigned | Refusal::RevokedKey)
}

#[cfg(test)]
mod tests {
    use credence_law::acts::{Ground, Lifting, Preamble, Purpose};
    use credence_law::party::{Function, MemberId};
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::desk::Desk;
    use crate::example::{Place, make_world};
    use crate::keys;

    const NOW: u64 = 1_800_000_000;
    const LIMITS: Limits =
        Limits { issuer: Rate { each_second: 1, burst: 2 }, strangers: Rate { each_second: 1, burst: 3 } };

    /// The law of an example world, and the first two members' keys.
    fn world() -> (Desk, [SigningKey; 2]) {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        let (world, entries) = make_world(&place, NOW).unwrap();
        let mut desk = Desk::begin(&entries[0], world).unwrap();
        entries[1..].iter().for_each(|entry| desk.replay(entry).unwrap());
        (desk, [1, 2].map(|member| keys::read(&place.member(member, Function::Alerts)).unwrap()))
    }

    fn act(law: &Law, issuer: Party, key: &SigningKey) -> Signed {
        let (issued, expires, purpose) = (NOW, NOW + 60, Purpose::Relief);
        let preamble = Preamble { issuer, number: 1, issued, expires, registry: 1, purpose };
        let lifting = Lifting { preamble, lifts: credence_credit::ActId([1; 32]), ground: Ground::Remedied };
        Signed::with(Object::new(law.world, Act::from(lifting)).encode(), [key])
    }

    #[test]
    fn each_issuer_has_an_allowance_and_pays_for_no_forgery() {
        let (desk, [one, two]) = world();
        let law = desk.law().unwrap();
        let mut gate = Gate::new(LIMITS, RandomState::new());
        let here = "2001:db8::1".parse().unwrap();
        let member = |number| Party::Member(MemberId(number));
        let mut pass = |issuer, key, ms| gate.pass(law, &act(law, issuer, key), here, (NOW, ms));
        let charge = pass(member(1), &one, 0).unwrap();
        assert!(pass(member(1), &one, 0).is_ok());
        assert_eq!(pass(member(1), &one, 0), Err(Turned::Quota { wait_ms: 1_000 }));
        assert!(pass(member(2), &two, 0).is_ok(), "another's allowance is whole");
        assert_eq!(pass(member(9), &one, 0), Err(Turned::Refused(Refusal::UnknownIssuer)));
        gate.forged(charge, 0);
        assert!(gate.pass(law, &act(law, member(1), &one), here, (NOW, 0)).is_ok(), "it was given back");
        assert!(gate.pass(law, &act(law, member(1), &one), here, (NOW, 0)).is_err());
    }

    #[test]
    fn a_network_that_forges_waits_and_others_do_not() {
        let mut gate = Gate::new(LIMITS, RandomState::new());
        let [here, neighbour, mapped] =
            ["2001:db8::1", "2001:db8::2", "::ffff:192.0.2.1"].map(|text| text.parse::<IpAddr>().unwrap());
        for _ in 0..3 {
            let charge = gate.admit(here, 0).unwrap();
            gate.forged(charge, 0);
        }
        assert_eq!(gate.admit(here, 0), Err(Turned::Strangers { wait_ms: 1_000 }));
        assert_eq!(gate.admit(neighbour, 0), Err(Turned::Strangers { wait_ms: 1_000 }), "the same /64");
        assert!(gate.admit(here, 1_000).is_ok());
        let four: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(gate.cell(four), gate.cell(mapped), "one address, however it is written");
        let others = (0..200_u8).map(|byte| IpAddr::from([198, 51, 100, byte]));
        let free = others.filter(|other| gate.admit(*other, 0).is_ok()).count();
        assert!(free > 190, "{free} of 200: few share a cell");
    }
}
