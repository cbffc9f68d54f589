//! The processors of a host, and which of them lie next to which memory.

use crate::tree::{Fact, Tree, listed};

/// Which processors there are, and which of them this process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Processors {
    pub(crate) online: Vec<u32>,
    pub(crate) allowed: Vec<u32>,
}

impl Processors {
    /// What the kernel tells of them.
    pub(crate) fn of(tree: &Tree) -> Fact<Self> {
        let online = listed(&tree.text("/sys/devices/system/cpu/online")?)?;
        let allowed = listed(&tree.value("/proc/self/status", "Cpus_allowed_list:")?)?;
        Ok(Self { online, allowed })
    }
}

/// A NUMA node: memory, and the processors next to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) number: u32,
    pub(crate) processors: Vec<u32>,
}

impl Node {
    /// The node with that number.
    pub(crate) fn numbered(tree: &Tree, number: u32) -> Fact<Self> {
        let processors = listed(&tree.text(&format!("/sys/devices/system/node/node{number}/cpulist"))?)?;
        Ok(Self { number, processors })
    }

    /// The node that an interface's device lies at; none where it lies as near to all processors. Virtual devices have no such
    /// file, and on hosts with one node it says -1.
    pub(crate) fn of_interface(tree: &Tree, interface: &str) -> Fact<Option<Self>> {
        let number = tree.number::<u32>(&format!("/sys/class/net/{interface}/device/numa_node")).ok();
        number.map(|number| Self::numbered(tree, number)).transpose()
    }
}
