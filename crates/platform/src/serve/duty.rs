//! What the platform does by itself: it hears those who are no members, publishes the relief that gateways are owed, and lets go
//! of what was kept long enough.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{PoisonError, Weak};
use std::time::Duration;

use credence_credit::ActId;
use credence_law::Signed;
use ed25519_dalek::SigningKey;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::intake::Answer;
use super::{Platform, now};
use crate::complaint::{Answered, Challenge, Challenger, Unproved};
use crate::desk::Rejection;

/// How often it is looked whether somebody is owed a relief, and whether a payload is to go.
const ROUND: Duration = Duration::from_secs(2);
/// After how many rounds it is looked through all acts for those that were kept long enough: an hour.
const ROUNDS_OF_RETENTION: u64 = 1_800;
/// How many acts the platform makes in a round at most.
const TOGETHER_MAX: usize = 64;

/// The keys of offices that the platform acts for, and its secret for challenges.
#[derive(Clone, Debug)]
pub struct Offices {
    /// The operator's, without which nobody but members can complain, and nothing is erased.
    operator: Option<SigningKey>,
    /// The executive's, if it lets the platform publish reliefs for it.
    executive: Option<SigningKey>,
    challenger: Challenger,
}

impl Offices {
    /// The offices whose keys are at hand, with a new secret for challenges.
    pub fn new(operator: Option<SigningKey>, executive: Option<SigningKey>) -> Self {
        Self { operator, executive, challenger: Challenger::new(rand::random()) }
    }

    /// The operator's key.
    pub(super) const fn operator(&self) -> Option<&SigningKey> {
        self.operator.as_ref()
    }
}

/// No keys.
impl Default for Offices {
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl Platform {
    /// A challenge for whoever has a say over an address and objects to an act.
    ///
    /// # Errors
    /// When there is no such act in force, or it is about other addresses.
    pub fn challenge(&self, against: &ActId, address: Ipv6Addr) -> Result<Challenge, Unproved> {
        let challenger = &self.settings.offices.challenger;
        self.read(|desk| desk.challenge(challenger, against, address, now()))
    }

    /// Files the complaint of whoever has answered a challenge, and publishes the relief that follows. Returns the complaint's
    /// identity, by which it is followed.
    ///
    /// # Errors
    /// When the challenge is not answered, or the complaint is not taken.
    pub async fn complain(&self, answered: &Answered<'_>) -> Result<ActId, Unproved> {
        let offices = &self.settings.offices;
        let operator = offices.operator.as_ref().ok_or(Unproved::Closed)?;
        // One after the other, since each has the number behind the last.
        let _turn = self.turn.lock().await;
        let signed = self.read(|desk| desk.complain(&offices.challenger, answered, operator, now()))?;
        let filed = self.file(&signed, IpAddr::V6(answered.from)).await;
        if filed.is_ok() {
            self.publish_reliefs().await;
        }
        filed
    }

    /// Hands in what the platform has signed for one of its offices.
    async fn file(&self, signed: &Signed, network: IpAddr) -> Result<ActId, Unproved> {
        match self.hand_in(vec![signed.encode()], network).await.pop() {
            Some(Answer::Taken { receipt, .. }) => Ok(receipt.id),
            Some(Answer::Rejected(Rejection::Refused(refusal))) => Err(refusal.into()),
            _ => Err(Unproved::Closed),
        }
    }

    async fn publish_reliefs(&self) {
        let Some(executive) = &self.settings.offices.executive else { return };
        for _ in 0..TOGETHER_MAX {
            let Some(relief) = self.read(|desk| desk.owed_relief(executive, now())) else { return };
            if let Err(fault) = self.file(&relief, IpAddr::V6(Ipv6Addr::LOCALHOST)).await {
                return warn!(%fault, "a relief that gateways are owed could not be published");
            }
        }
    }

    async fn let_go(&self) {
        let Some(operator) = &self.settings.offices.operator else { return };
        for _ in 0..TOGETHER_MAX {
            let Some(erasure) = self.read(|desk| desk.owed_erasure(operator, now())) else { return };
            if let Err(fault) = self.file(&erasure, IpAddr::V6(Ipv6Addr::LOCALHOST)).await {
                return warn!(%fault, "what was kept long enough could not be erased");
            }
        }
    }

    /// Takes payloads that were erased out of the journal.
    async fn scrub(&self) {
        let doomed = self.desk.write().unwrap_or_else(PoisonError::into_inner).take_doomed();
        if doomed.is_empty() {
            return;
        }
        let erased = async { self.way.writer().await?.erase(&doomed).await };
        match erased.await {
            Ok(()) => info!(entries = doomed.len(), "payloads are gone from the journal"),
            Err(fault) => {
                error!(%fault, "payloads that were erased are still in the journal; it is tried again");
                self.desk.write().unwrap_or_else(PoisonError::into_inner).doom(doomed);
            }
        }
    }
}

/// Does what the platform owes, round by round, as long as there is one.
pub(super) async fn rounds(platform: Weak<Platform>) {
    let mut ticks = interval(ROUND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0_u64.. {
        ticks.tick().await;
        let Some(platform) = platform.upgrade() else { return };
        if !platform.roles.leads() {
            continue;
        }
        platform.look_after_the_way().await;
        let _turn = platform.turn.lock().await;
        platform.publish_reliefs().await;
        if round % ROUNDS_OF_RETENTION == 0 {
            platform.let_go().await;
        }
        platform.scrub().await;
    }
}
