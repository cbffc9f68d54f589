//! Whom an act may name.

use credence_credit::guard::{DOCUMENTATION, FEED_LEN_MIN, FEED_SINGLE_LEN_MIN, WIDE_SIGNATURES_MIN};
use credence_credit::{Learned, Subject};
use credence_prefix::Prefix;

use super::Law;
use crate::acts::{Act, Block};
use crate::party::MemberId;
use crate::refusal::Refusal;
use crate::registry::Holding;

/// Global unicast addresses: RFC 4291 section 2.5.4, and what the registry of IPv6 address space has given out so far.
const GLOBAL_UNICAST: Prefix = match Prefix::new(0x2000 << 112, 3) {
    Ok(prefix) => prefix,
    Err(_) => unreachable!(),
};

impl Law {
    /// That the prefix is one that an act can be about, and who holds it.
    pub(super) fn subject(&self, subject: &Block) -> Result<(&Holding, MemberId), Refusal> {
        let prefix = subject.prefix;
        if prefix.len() < FEED_LEN_MIN {
            return Err(Refusal::TooWide);
        }
        let stands_for_nobody =
            DOCUMENTATION.iter().any(|example| example.covers(prefix)) && !self.is_example;
        if !GLOBAL_UNICAST.covers(prefix) || stands_for_nobody {
            return Err(Refusal::Reserved);
        }
        if self.protected.overlaps(prefix) {
            return Err(Refusal::Protected);
        }
        let (held, holder) = self.register().holder(prefix).ok_or(Refusal::Unheld)?;
        if self.register().is_shared(prefix, holder) {
            return Err(Refusal::SharedSpace);
        }
        check_len(subject, held)?;
        Ok((held, holder))
    }

    /// That a member holds the subject.
    pub(super) fn holds(&self, member: Option<MemberId>, subject: &Block) -> Result<(), Refusal> {
        let (_, holder) = self.subject(subject)?;
        if Some(holder) == member { Ok(()) } else { Err(Refusal::OutsideHoldings) }
    }
}

/// How many keys must sign an act of a single issuer: more where it constrains many sites.
pub(super) fn signatures_for(act: &Act) -> usize {
    let is_wide =
        matches!(act, Act::OwnAlert(alert) if alert.claim.subject.prefix.len() < FEED_SINGLE_LEN_MIN);
    if is_wide { WIDE_SIGNATURES_MIN.into() } else { 1 }
}

/// That the prefix is no part of what one subscriber has, and a whole one where that is claimed.
fn check_len(subject: &Block, held: &Holding) -> Result<(), Refusal> {
    let len = subject.prefix.len();
    if len > held.delegated.unwrap_or(Subject::DEFAULT_LEN) {
        return Err(Refusal::TooNarrow);
    }
    let is_declared = held.delegated == Some(len);
    if subject.learned == Learned::Declared && !is_declared { Err(Refusal::Delegation) } else { Ok(()) }
}
