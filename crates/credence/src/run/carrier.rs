//! What in the kernel carries verdicts out: XDP, or nftables where that cannot be had.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::anyhow;
use credence_capture::Source;
use credence_credit::guard::{Hold, Recent};
use credence_credit::{Cache, Changes, Keeper};
use credence_enforce::{LoadError, Met, nft};
use credence_engine::Enforce as Enforcer;
use credence_engine::clock::unix_s;
use tracing::{info, warn};

use super::enforcement::{self, Enforcement};
use super::nftables::Nftables;
use crate::config::{CarriedBy, Config};
use crate::exit::HostCannot;
use crate::serve::kernel::Kernel;
use crate::serve::status::Status;

/// What carries verdicts out.
pub(super) enum Carrier {
    Xdp(Box<Enforcement>),
    Nftables(Box<Nftables>),
}

/// The kernel's part and what of it others need; nothing of it where nothing is enforced.
#[derive(Default)]
pub(super) struct Parts {
    /// None before [`Parts::attach`] where that is to be nftables.
    pub(super) carrier: Option<Carrier>,
    /// Takes opinions of sources.
    pub(super) enforcer: Option<Box<dyn Enforcer>>,
    /// What crosses a bridge.
    pub(super) copies: Option<Box<dyn Source>>,
}

impl Parts {
    /// Loads what can be loaded without touching a packet, with the records of `keeper`'s cache.
    ///
    /// # Errors
    /// When this host cannot do what is configured, with what to do.
    pub(super) fn load(config: &Config, interface: &str, keeper: &mut Keeper) -> anyhow::Result<Self> {
        if !config.enforce.is_on() {
            return Ok(Self::default());
        }
        if config.enforce.carrier == CarriedBy::Nftables {
            nft::try_out(interface).map_err(HostCannot::from)?;
            return Ok(Self::default());
        }
        match Enforcement::load(config, interface, keeper) {
            Ok(parts) => Ok(parts),
            Err(error) => {
                may_fall_back(error, config, interface)?;
                Ok(Self::default())
            }
        }
    }

    /// Lets it rule the traffic of the configured interfaces: the last step of a start, since it may outlive this process.
    ///
    /// # Errors
    /// When an interface is missing or someone else's, with what to do.
    pub(super) fn attach(self, config: &Config, interface: &str, cache: &Cache) -> anyhow::Result<Self> {
        if !config.enforce.is_on() {
            return Ok(self);
        }
        if let Some(Carrier::Xdp(mut enforcement)) = self.carrier {
            match enforcement.attach(interface) {
                Ok(()) => {
                    // Whose place this takes may have been rules.
                    if nft::clear(interface).map_err(HostCannot::from)? {
                        info!(
                            "the rules of nftables that a process before left on {interface} were taken off"
                        );
                    }
                    let carrier = Some(Carrier::Xdp(enforcement));
                    return Ok(Self { carrier, ..self });
                }
                Err(error) => may_fall_back(error, config, interface)?,
            }
        }
        Nftables::start(config, interface, cache)
    }
}

/// Says that nftables stands in for XDP, which failed; what that means is told.
///
/// # Errors
/// When it cannot, with what to do, or must not.
fn may_fall_back(error: anyhow::Error, config: &Config, interface: &str) -> anyhow::Result<()> {
    let error = error.downcast::<LoadError>()?;
    let is_final = config.enforce.carrier != CarriedBy::Auto || !error.is_refusal();
    let error = HostCannot::from(error);
    if is_final {
        return Err(error.into());
    }
    let beyond = config.beyond_nftables();
    let beyond: Vec<String> = beyond.iter().map(|(key, fault)| format!("`{key}` {fault}")).collect();
    if !beyond.is_empty() {
        let why = beyond.join("; ");
        return Err(HostCannot(format!("{error}; nor can nftables stand in for XDP: {why}")).into());
    }
    nft::try_out(interface)
        .map_err(|cannot| HostCannot(format!("{error}; nor can nftables stand in for XDP: {cannot}")))?;
    warn!(
        "XDP cannot be had on {interface}, and nftables stands in: records are exchanged whole, which takes a second for \
         some 100,000; what is dropped is counted and not sampled; when the engine fails the rules stay. {error}"
    );
    Ok(())
}

impl Carrier {
    /// Puts the records of `keeper`'s cache in force, whole.
    ///
    /// # Errors
    /// When the kernel does not take them; those before stay.
    pub(super) fn publish(&mut self, keeper: &mut Keeper) -> anyhow::Result<()> {
        match self {
            Self::Xdp(enforcement) => enforcement.publish(keeper).map_err(|error| anyhow!("{error}")),
            Self::Nftables(nftables) => nftables.publish(keeper.cache()),
        }
    }

    /// Makes changes to `keeper`'s cache and to what is in force, after which both say what `next` does.
    ///
    /// # Errors
    /// When they could not all be made; the next update is to be put in force whole.
    pub(super) fn change(
        &mut self,
        keeper: &mut Keeper,
        changes: Changes,
        next: &Keeper,
    ) -> anyhow::Result<()> {
        match self {
            Self::Xdp(enforcement) => enforcement.change(keeper, changes),
            Self::Nftables(nftables) => {
                nftables.publish(next.cache())?;
                Ok(keeper.apply(changes, &mut ())?)
            }
        }
    }

    /// Makes changes to `keeper`'s cache and to what is in force, where that is done [by record](Self::is_by_record).
    ///
    /// # Errors
    /// When they could not all be made; the next update is to be put in force whole.
    pub(super) fn amend(&mut self, keeper: &mut Keeper, changes: Changes) -> anyhow::Result<()> {
        match self {
            Self::Xdp(enforcement) => enforcement.change(keeper, changes),
            Self::Nftables(_) => Err(anyhow!("nftables exchanges records whole")),
        }
    }

    /// Whether single records of what is in force can be changed: rules of nftables are exchanged whole.
    pub(super) const fn is_by_record(&self) -> bool {
        match self {
            Self::Xdp(enforcement) => enforcement.is_following(),
            Self::Nftables(_) => false,
        }
    }

    /// Whether changes may take effect for sure. Where they may not, all that is in force is looked at, which says why.
    pub(super) fn passes(&self, keeper: &Keeper, changes: &Changes) -> bool {
        let recent = self.recent().lock().unwrap_or_else(PoisonError::into_inner);
        recent.passes(keeper, changes, unix_s())
    }

    /// Whether what is in force can be changed in step with the cache that was put in force last.
    pub(super) const fn is_following(&self) -> bool {
        match self {
            Self::Xdp(enforcement) => enforcement.is_following(),
            Self::Nftables(_) => true,
        }
    }

    /// Finds out what is not read any more, so that it can be used again.
    pub(super) fn settle(&mut self) {
        if let Self::Xdp(enforcement) = self {
            enforcement.settle();
        }
    }

    /// All reasons for which an update of credit waits for the operator; none means that it may take effect.
    pub(super) fn holds(&self, old: &Cache, new: &Cache) -> Vec<Hold> {
        let recent = self.recent().lock().unwrap_or_else(PoisonError::into_inner);
        recent.holds(old, new, unix_s())
    }

    /// Says that there is an emergency, or none any more.
    pub(super) fn alarm(&self, is_emergency: bool) {
        match self {
            Self::Xdp(enforcement) => enforcement.alarm(is_emergency),
            Self::Nftables(nftables) => nftables.alarm(is_emergency),
        }
    }

    /// Sees to it that interfaces which come back are ruled again. Rules of nftables name them, and need not be told.
    pub(super) fn follow_interfaces(&mut self) {
        if let Self::Xdp(enforcement) = self {
            enforcement.follow_interfaces();
        }
    }

    /// Lets go of the traffic, at the end, but where that is to be ruled further. What it has counted can be asked for still.
    pub(super) fn leave(&mut self) {
        if let Self::Xdp(enforcement) = self {
            enforcement.leave();
        }
    }

    /// Publishes anew what the wall clock, or the end of a record, has changed since; whether all records were exchanged.
    pub(super) fn follow_clock(&mut self, keeper: &mut Keeper) -> bool {
        match self {
            Self::Xdp(enforcement) => enforcement.follow_clock(keeper),
            Self::Nftables(nftables) => {
                nftables.follow_clock(keeper.cache());
                false
            }
        }
    }

    /// What met a record's measure since it was published, by its number in the cache that was; none where that is not counted.
    pub(super) fn met(&self, number: u32) -> Option<Met> {
        match self {
            Self::Xdp(enforcement) => Some(enforcement.records().met(number)),
            Self::Nftables(_) => None,
        }
    }

    /// The same of a record that was in force before all were exchanged last.
    pub(super) fn met_before(&self, number: u32) -> Option<Met> {
        match self {
            Self::Xdp(enforcement) => Some(enforcement.records().met_before(number)),
            Self::Nftables(_) => None,
        }
    }

    /// The records that have left since this was asked last.
    pub(super) fn take_left(&mut self) -> Vec<u32> {
        match self {
            Self::Xdp(enforcement) => enforcement.take_left(),
            Self::Nftables(_) => Vec::new(),
        }
    }

    /// What is known of it from outside.
    pub(super) fn kernel(&self) -> Arc<Kernel> {
        match self {
            Self::Xdp(enforcement) => enforcement.kernel(),
            Self::Nftables(nftables) => nftables.kernel(),
        }
    }

    /// Keeps the kernel told what the engine of `status` does, on threads of its own, until `stop`.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(super) fn beat(
        &mut self,
        config: &Config,
        status: Arc<Status>,
        stop: Arc<AtomicBool>,
    ) -> io::Result<()> {
        let control = match self {
            Self::Xdp(enforcement) => Some(enforcement.control()),
            Self::Nftables(nftables) => {
                nftables.run()?;
                None
            }
        };
        enforcement::beat(control, self.kernel(), config, status, stop)
    }

    fn recent(&self) -> &Mutex<Recent> {
        match self {
            Self::Xdp(enforcement) => enforcement.recent(),
            Self::Nftables(nftables) => nftables.recent(),
        }
    }
}
