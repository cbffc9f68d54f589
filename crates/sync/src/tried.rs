//! What gateways ended of is not tried for ever.
//!
//! Before something new is offered it is written down that it is, and for which gateway; when that has put it in force, or lets it wait for
//! the operator, that is taken back. A gateway that is gone without a word may have died of what it was offered, although every signature
//! was right: of a fault of its own, or of too little memory. Then the next one is offered it once more, and no other. What comes after it
//! may be as bad, and is tried again after a pause that grows with each gateway that ends so. All the while what was in force stays.

use credence_law::layout::fields;

/// How many gateways may end without a word before something is held back.
const TRIES_MAX: u32 = 2;
/// How long what comes after it is held back then, in seconds, and at most after more of them.
const PAUSE: (u64, u64) = (600, 86_400);

/// The most bytes of it that are read.
pub(crate) const TRIED_BYTES_MAX: u64 = 1 << 10;

fields! {
    /// What was offered last and not answered.
    pub struct Tried {
        /// What it was: the root of a state, or the number of a copy.
        pub offered: [u8; 32],
        /// The gateway to which it was offered.
        pub gateway: u64,
        /// To how many gateways in a row something was offered that they did not answer, this one included.
        pub gateways: u32,
        /// When, in Unix seconds.
        pub at: u64,
    }
}

impl Tried {
    /// Whether this can be offered to a gateway at `now`, in Unix seconds, after what was tried `before`.
    pub(crate) fn bears(before: Option<&Self>, offered: &[u8; 32], gateway: u64, now: u64) -> bool {
        let Some(tried) = before.filter(|tried| tried.gateway != gateway) else { return true };
        let Some(more) = tried.gateways.checked_sub(TRIES_MAX) else { return true };
        let pause = PAUSE.0.saturating_mul(1 << more.min(32)).min(PAUSE.1);
        tried.offered != *offered && tried.at.saturating_add(pause) <= now
    }

    /// What is written down before this is offered to a gateway at `now`, in Unix seconds, after what was tried `before`.
    pub(crate) fn next(before: Option<&Self>, offered: [u8; 32], gateway: u64, now: u64) -> Self {
        let others = before.map_or(0, |tried| tried.gateways - u32::from(tried.gateway == gateway));
        Self { offered, gateway, gateways: others.saturating_add(1), at: now }
    }
}
