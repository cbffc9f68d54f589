//! On which processors a run stands: where the host has several NUMA nodes, on those of the interface's.
//!
//! Threads begin on the processors of the thread that starts them, and memory comes from the node of the processor that touches
//! it first. So the thread that starts everything is bound before anything is opened, and rings, flow tables, records and the
//! image that the kernel shares come to lie on that node: each is written through once by the thread that makes it.

use rustix::thread::{CpuSet, sched_setaffinity};
use tracing::{info, warn};

use crate::config::{Config, Cores};
use crate::processors::{Node, Processors};
use crate::tree::{Fact, Tree};

/// Where a run stands, and why.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Every processor is as near as any other.
    Anywhere,
    /// The configuration, or whoever started the process, has chosen.
    AsTold,
    /// On all processors, since the node has too few for the workers.
    Spread { node: u32, workers: usize },
    /// On these processors of this node.
    On { node: u32, processors: Vec<u32> },
}

/// Binds this thread, and those that it starts, to where a run on `interface` is to stand, and says where that is.
pub(super) fn stand_near(config: &Config, interface: &str) {
    let tree = Tree::new("/");
    let facts = Processors::of(&tree).and_then(|all| Ok((all, Node::of_interface(&tree, interface)?)));
    if let Err(fault) = facts.and_then(|(processors, node)| bind(config, interface, &processors, node)) {
        warn!("the run stands on any processor, near the memory of {interface} or not: {fault}");
    }
}

fn bind(config: &Config, interface: &str, processors: &Processors, node: Option<Node>) -> Fact<()> {
    match place(config, processors, node) {
        Place::Anywhere => {}
        Place::AsTold => info!("the run stands on the processors that it was given"),
        Place::Spread { node, workers } => info!(
            "{workers} workers are more than node {node}, which {interface} lies at, has processors: the run stands on all"
        ),
        Place::On { node, processors } => {
            let mut set = CpuSet::new();
            let known = processors.iter().map(|&number| number as usize).filter(|&n| n < CpuSet::MAX_CPU);
            known.for_each(|number| set.set(number));
            sched_setaffinity(None, &set).map_err(|error| error.to_string())?;
            info!(?processors, "the run stands on node {node}, which {interface} lies at");
        }
    }
    Ok(())
}

/// Where a run with `config` is to stand, of an interface that lies at `node`.
fn place(config: &Config, processors: &Processors, node: Option<Node>) -> Place {
    let Processors { online, allowed } = processors;
    let Some(node) = node.filter(|node| online.iter().any(|number| !node.processors.contains(number))) else {
        return Place::Anywhere;
    };
    if config.cores == Cores::Any || online.iter().any(|number| !allowed.contains(number)) {
        return Place::AsTold;
    }
    let near: Vec<u32> = online.iter().copied().filter(|number| node.processors.contains(number)).collect();
    // Without a number there is a worker for each processor that the run stands on, unless the interface was given queues for all.
    let is_open = config.workers == 0 && config.queues.0 == 1;
    let workers = if is_open { near.len() } else { config.worker_count(online.len()) };
    if near.is_empty() || workers > near.len() {
        return Place::Spread { node: node.number, workers };
    }
    Place::On { node: node.number, processors: near }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Queues;

    /// Where a run stands on a host with the processors 0 to 7, of which it may use `allowed` and of which those of node 1,
    /// where the interface lies, are `near`.
    fn placed(config: &Config, allowed: &[u32], near: &[u32]) -> Place {
        let processors = Processors { online: (0..8).collect(), allowed: allowed.to_vec() };
        place(config, &processors, Some(Node { number: 1, processors: near.to_vec() }))
    }

    const ALL: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
    const NEAR: [u32; 4] = [4, 5, 6, 7];

    #[test]
    fn a_run_stands_on_the_interface_s_node_where_there_are_several() {
        let config = Config::default();
        assert_eq!(placed(&config, &ALL, &NEAR), Place::On { node: 1, processors: NEAR.to_vec() });
        assert_eq!(placed(&config, &ALL, &ALL), Place::Anywhere, "a host with one node");
        let processors = Processors { online: ALL.to_vec(), allowed: ALL.to_vec() };
        assert_eq!(place(&config, &processors, None), Place::Anywhere, "a virtual device lies nowhere");
    }

    #[test]
    fn whoever_was_told_where_to_stand_stands_there() {
        let config = Config::default();
        assert_eq!(placed(&config, &[0, 1, 2, 3], &NEAR), Place::AsTold, "bound by whoever started it");
        let any = Config { cores: Cores::Any, ..config };
        assert_eq!(placed(&any, &ALL, &NEAR), Place::AsTold);
    }

    #[test]
    fn no_more_workers_are_crowded_onto_a_node_than_it_has_processors() {
        let workers = |workers| Config { workers, ..Config::default() };
        assert_eq!(placed(&workers(4), &ALL, &NEAR), Place::On { node: 1, processors: NEAR.to_vec() });
        assert_eq!(placed(&workers(5), &ALL, &NEAR), Place::Spread { node: 1, workers: 5 });
        let queues = Config { queues: Queues(8), ..workers(0) };
        assert_eq!(placed(&queues, &ALL, &NEAR), Place::Spread { node: 1, workers: 8 });
        assert_eq!(placed(&workers(0), &ALL, &[]), Place::Spread { node: 1, workers: 0 });
    }
}
