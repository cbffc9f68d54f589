//! The feed that a configuration would follow.

use credence_sync::feed::Mirror;
use serde::Serialize;

use super::count;
use crate::config::Config;

/// What would be followed, and what would be believed of it.
#[derive(Serialize)]
pub(super) struct Followed {
    /// Where it is had, the best place first, without what may be secret.
    from: Vec<String>,
    world: String,
    /// Which epoch of the platform's public log.
    epoch: u32,
    refresh_s: u32,
    /// Whether a bus rings besides.
    bus: bool,
    witnesses: usize,
    witness_quorum: u8,
    allow_example: bool,
}

impl Followed {
    /// What `config` would follow, if anything. What the operator should know of it is added to `warnings`.
    pub(super) fn of(config: &Config, warnings: &mut Vec<String>) -> Option<Self> {
        let (sync, plan) = (&config.sync, config.sync.feed()?);
        if sync.witness_quorum == 0 {
            warnings.push(
                "no witness has to have seen the log: if this gateway were shown a log of its own, it would not notice; \
                 `sync.witnesses` and `sync.witness_quorum` name who has to"
                    .to_owned(),
            );
        }
        if sync.allow_example {
            warnings.push(
                "`sync.allow_example` follows a world that was made to try things out, whose keys are anybody's"
                    .to_owned(),
            );
        }
        Some(Self {
            from: plan.mirrors.iter().map(Mirror::shown).collect(),
            world: plan.pinned.world.to_string(),
            epoch: sync.epoch,
            refresh_s: sync.refresh_s,
            bus: sync.bus.is_some(),
            witnesses: sync.witnesses.len(),
            witness_quorum: sync.witness_quorum,
            allow_example: sync.allow_example,
        })
    }

    /// The same for people.
    pub(super) fn told(&self) -> String {
        let besides = if self.bus { ", by its bus" } else { "" };
        format!(
            "world {}, epoch {} of its log, from {} every {} s{besides} and when something is new; {} of {} witnesses have to have seen its log",
            self.world,
            self.epoch,
            self.from.join(", "),
            count(self.refresh_s.into()),
            self.witness_quorum,
            self.witnesses,
        )
    }
}
