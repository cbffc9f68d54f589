//! What a configuration asks of the host.

use std::path::Path;

use credence_sync::fetch::Place;

use super::finding::shell_word;
use crate::config::{Backend, CarriedBy, Config, cores};

/// What a configuration asks of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// The configuration's file, as a word of a command.
    pub(super) file: String,
    /// The interfaces to work on, of a bridge both legs.
    pub(super) interfaces: Vec<String>,
    /// Worker threads.
    pub(super) workers: usize,
    /// Queues that the kernel spreads frames over for them.
    pub(super) queues: usize,
    /// Whether the ring alone will do.
    pub(super) ring: bool,
    /// Whether a program is loaded into the kernel.
    pub(super) enforcement: bool,
    /// Whether rules of nftables are to do what it does.
    pub(super) nftables: bool,
    /// Whether that program stays when the process ends.
    pub(super) pinning: bool,
    /// Whether anything is fetched that has to prove where it is from.
    pub(super) authorities: bool,
}

impl Needs {
    /// What `config` asks for, which was read from `file` or is the default.
    pub(super) fn of(config: &Config, file: Option<&Path>) -> Self {
        let nftables = config.enforce.is_on() && config.enforce.carrier == CarriedBy::Nftables;
        let enforcement = config.enforce.is_on() && !nftables;
        Self {
            file: file.map_or_else(|| "FILE".to_owned(), |file| shell_word(&file.display().to_string())),
            interfaces: config.interface.iter().chain(&config.enforce.other_leg).cloned().collect(),
            workers: config.worker_count(cores()),
            queues: config.queues.0 as usize,
            ring: config.backend == Backend::AfPacket,
            enforcement,
            nftables,
            pinning: enforcement && config.enforce.outlives(),
            authorities: config.sync.plans().iter().flat_map(|plan| &plan.places).any(Place::is_encrypted),
        }
    }
}
