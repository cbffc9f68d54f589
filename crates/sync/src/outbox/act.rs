//! From a draft to a signed act, and whether the law would take it.

use credence_credit::guard::NeverBlock;
use credence_credit::{ActId, EvidenceClass, Learned, Rating, Subject};
use credence_law::acts::{Applied, Block, Claim, OwnAlert, Preamble, Purpose, Report};
use credence_law::party::{KeyId, MemberId, Party, act_id};
use credence_law::standard::Entry;
use credence_law::{Act, Acts, Law, Object, Refusal, Signed};
use credence_prefix::Prefix;
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};

use super::DAY;
use super::draft::{Dispatch, Done, Draft, Says, Seen};

/// How long an account stands in its subject's file, in seconds: as long as a complaint about what was done can rest on it.
const ACCOUNT_LASTS_S: u64 = 365 * DAY;

/// What drafts are judged and signed by.
#[derive(Clone, Copy)]
pub struct Footing<'a> {
    /// The rules in force.
    pub law: &'a Law,
    /// What the operator never blocks, and tells nobody of.
    pub protected: &'a NeverBlock,
    /// The member's key for alerts.
    pub key: &'a SigningKey,
    /// The member.
    pub member: MemberId,
    /// How long alerts and reports last, in seconds.
    pub lasts_s: u64,
    /// The time, in Unix milliseconds.
    pub now_ms: u64,
}

/// No act is known here: what is sent from here rests on none.
struct Unknown;

impl Acts for Unknown {
    fn act(&self, _: &ActId) -> Option<&Act> {
        None
    }

    fn citing(&self, _: &ActId) -> Vec<ActId> {
        Vec::new()
    }

    fn vote_keys(&self, _: &ActId) -> &[KeyId] {
        &[]
    }

    fn drafts(&self, _: &ActId) -> Vec<ActId> {
        Vec::new()
    }

    /// What an account names was known to the platform alone, which looks at it again.
    fn is_erased(&self, _: &ActId) -> bool {
        true
    }

    fn accepted_at(&self, _: &ActId) -> Option<u64> {
        None
    }

    fn last_number(&self, _: Party) -> u64 {
        0
    }

    fn last_manifest(&self, _: Party) -> u64 {
        0
    }
}

impl Footing<'_> {
    /// The time, in Unix seconds.
    pub(super) const fn now(&self) -> u64 {
        self.now_ms / 1_000
    }

    /// Whom an act about an address names, and whether that is the member's own: the block that the holder declares to hand out,
    /// or the /64 where it declares none.
    ///
    /// # Errors
    /// When nobody holds the address.
    pub(super) fn subject(&self, address: u128) -> Result<(Prefix, Learned, bool), Refusal> {
        let (held, holder) = self.law.register().holder(Prefix::host(address)).ok_or(Refusal::Unheld)?;
        let subject = match held.delegated {
            Some(len) => Subject::declared(address, len),
            None => Subject::assumed(address),
        };
        Ok((subject.shared(), subject.learned(), holder == self.member))
    }

    /// How the length of a subject that acts speak of is known.
    pub(super) fn learned(&self, subject: Prefix) -> Learned {
        let held = self.law.register().holder(subject);
        let is_declared = held.is_some_and(|(held, _)| held.delegated == Some(subject.len()));
        if is_declared { Learned::Declared } else { Learned::Default }
    }

    /// Signs what a draft says under this number.
    ///
    /// # Errors
    /// Why the law would refuse it; nothing of the kind is ever sent.
    pub(super) fn sign(&self, draft: &Draft, number: u64) -> Result<Dispatch, Refusal> {
        if self.protected.overlaps(draft.subject) {
            return Err(Refusal::Protected);
        }
        let act = self.act(draft, number);
        let bytes = Object::new(self.law.world, act).encode();
        let signed = Signed::with(bytes, [self.key]);
        self.law.examine(&signed, &Unknown, self.now())?;
        Ok(Dispatch { id: act_id(signed.bytes()), issued: self.now(), bytes: signed.encode() })
    }

    fn act(&self, draft: &Draft, number: u64) -> Act {
        let subject = Block { prefix: draft.subject, learned: draft.learned };
        match &draft.says {
            Says::OwnAlert(seen) => OwnAlert {
                preamble: self.preamble(number),
                claim: self.claim(subject, seen),
                rating: self.rating(seen),
                measure: seen.measure,
            }
            .into(),
            Says::Report(seen) => {
                Report { preamble: self.preamble(number), claim: self.claim(subject, seen) }.into()
            }
            Says::Applied(done) => self.account(subject, done, number).into(),
        }
    }

    fn account(&self, subject: Block, done: &Done, number: u64) -> Applied {
        let preamble = self.preamble(number);
        let expires = preamble.issued.saturating_add(ACCOUNT_LASTS_S);
        Applied {
            preamble: Preamble { expires, purpose: Purpose::Account, ..preamble },
            subject,
            measure: done.measure,
            because: done.because,
            from: done.from,
            until: done.until,
            packets: done.packets,
            bytes: done.bytes,
        }
    }

    fn preamble(&self, number: u64) -> Preamble {
        let issued = self.now();
        Preamble {
            issuer: Party::Member(self.member),
            number,
            issued,
            expires: issued.saturating_add(self.lasts_s),
            registry: self.law.register().registry().version,
            purpose: Purpose::Warning,
        }
    }

    fn claim(&self, subject: Block, seen: &Seen) -> Claim {
        let (standard, catalogue) = self.law.newest();
        Claim {
            subject,
            item: seen.item,
            catalogue: catalogue.version,
            standard: standard.version,
            evidence: EvidenceClass::Confirmed,
            seen_from: seen.from,
            seen_until: seen.until,
            commitment: commitment(seen),
            repeats: None,
        }
    }

    /// What the standard in force makes of this alone, so that anybody comes to the same.
    fn rating(&self, seen: &Seen) -> Rating {
        let (standard, catalogue) = self.law.newest();
        let entry = Entry {
            act: ActId([0; 32]),
            item: seen.item,
            evidence: EvidenceClass::Confirmed,
            seen: seen.until.min(self.now()),
        };
        standard.assess(catalogue, &[entry], self.now()).rating
    }
}

/// The commitment to what was seen: the SHA-256 of the salt and of the evidence.
pub fn commitment(seen: &Seen) -> [u8; 32] {
    Sha256::new().chain_update(seen.salt).chain_update(&seen.evidence).finalize().into()
}

/// Whether a refusal is about this one signing, about the member or about this host, and not about what the draft says: signed
/// anew, in its time, the draft may pass.
pub(super) const fn may_pass_anew(refusal: Refusal) -> bool {
    use Refusal as R;
    matches!(
        refusal,
        R::World
            | R::UnknownKey
            | R::RevokedKey
            | R::KeyTime
            | R::WrongSigner
            | R::UnknownIssuer
            | R::Mandate
            | R::Registry
            | R::Rules
            | R::Future
            | R::Stale
            | R::Expired
            | R::Replayed
    )
}
