//! What is found out about one interface: from its files below `/sys`, from its driver, and over rtnetlink.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::str::FromStr;

use rustix::net::netdevice::name_to_index;

use super::ethtool::{Device, Feature, Hash, Queues, Sized, TCP_V6, UDP_V6};
use super::link::{Attached, attached, leads_elsewhere};
use crate::processors::Node;
use crate::tree::{Fact, Tree};

/// Set in an interface's flags while it is up.
const IFF_UP: u32 = 1;
/// Set for the loopback interface.
const IFF_LOOPBACK: u32 = 8;

/// Where the kernel lists the interfaces of this process's network namespace.
const LISTED: &str = "/proc/self/net/dev";
/// Where it lists those of the namespace that `/sys` was mounted in.
const FILES: &str = "/sys/class/net";

/// The fields that a device hashes, of the flow types whose ports could part fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HashedFields {
    pub(super) tcp: u64,
    pub(super) udp: u64,
}

/// How long interrupts are held back for whoever polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deferral {
    pub(super) flush_timeout_ns: u64,
    pub(super) hard_irqs: u32,
}

/// The other end of a virtual pair.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Its name; none where it lies in another network namespace.
    pub(super) name: Option<String>,
    /// Whether its generic receive offload is on.
    pub(super) gro: Fact<bool>,
    /// Whether its driver runs an XDP program, which serves as well; a generic one does not.
    pub(super) has_driver_xdp: Fact<bool>,
}

/// Everything that is known of an interface. What a device does not have is none, not an error.
#[derive(Clone, Debug)]
pub(super) struct InterfaceFacts {
    pub(super) name: String,
    /// Whether there is such an interface in this network namespace.
    pub(super) exists: bool,
    pub(super) driver: Fact<String>,
    /// Whether there is a device behind it, and not just a program of the kernel's.
    pub(super) is_hardware: bool,
    pub(super) is_up: Fact<bool>,
    /// Whether the other end is there; unknown while the interface is down.
    pub(super) has_carrier: Fact<bool>,
    pub(super) mtu: Fact<u32>,
    pub(super) node: Fact<Option<Node>>,
    pub(super) receive_queues: Fact<Queues>,
    pub(super) hash: Fact<Option<Hash>>,
    pub(super) hashed_fields: Fact<Option<HashedFields>>,
    pub(super) features: Fact<BTreeMap<String, Feature>>,
    pub(super) ring: Fact<Option<Sized>>,
    pub(super) deferral: Fact<Deferral>,
    pub(super) peer: Option<Peer>,
    pub(super) xdp: Fact<Option<Attached>>,
}

/// The interfaces of this network namespace that are up, without the loopback interface.
///
/// # Errors
/// When the kernel does not list them, or `/sys` is that of another network namespace.
pub(super) fn in_use(tree: &Tree) -> Fact<Vec<String>> {
    let names = names(tree)?;
    let files = Files::of(tree);
    let mut used = Vec::new();
    for name in names {
        let flags = files.flags(&name)?;
        if flags & IFF_UP != 0 && flags & IFF_LOOPBACK == 0 {
            used.push(name);
        }
    }
    Ok(used)
}

/// The interfaces of this network namespace, in the order of their names.
fn names(tree: &Tree) -> Fact<Vec<String>> {
    let listed = tree.text(LISTED)?;
    // Two lines of heading, then a line an interface that begins with its name.
    let names = listed.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    Ok(names)
}

/// The files of interfaces.
struct Files<'a> {
    tree: &'a Tree,
    /// Whether they belong to the interfaces of another network namespace, of which some may have the same names.
    are_foreign: bool,
}

impl<'a> Files<'a> {
    fn of(tree: &'a Tree) -> Self {
        let mut files = tree.names(FILES);
        // A driver may keep a list of its own there, which is a file.
        files.retain(|name| tree.has(&format!("{FILES}/{name}/ifindex")));
        Self { tree, are_foreign: names(tree).is_ok_and(|names| names != files) }
    }

    fn text(&self, interface: &str, file: &str) -> Fact<String> {
        if self.are_foreign {
            return Err("/sys is that of another network namespace".to_owned());
        }
        self.tree.text(&format!("{FILES}/{interface}/{file}"))
    }

    fn number<T: FromStr>(&self, interface: &str, file: &str) -> Fact<T> {
        let text = self.text(interface, file)?;
        text.parse().map_err(|_| format!("{file} is \"{text}\", which is no number in range"))
    }

    fn flags(&self, interface: &str) -> Fact<u32> {
        let text = self.text(interface, "flags")?;
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        u32::from_str_radix(digits, 16).map_err(|_| format!("\"{text}\" is no set of flags"))
    }

    /// The node of the device; none where it lies as near to all processors.
    fn node(&self, interface: &str) -> Fact<Option<Node>> {
        // Virtual devices have no such file, and on hosts with one node it says -1.
        let Some(number) = self.number::<u32>(interface, "device/numa_node").ok() else { return Ok(None) };
        Node::numbered(self.tree, number).map(Some)
    }

    fn deferral(&self, interface: &str) -> Fact<Deferral> {
        let flush_timeout_ns = self.number(interface, "gro_flush_timeout")?;
        Ok(Deferral { flush_timeout_ns, hard_irqs: self.number(interface, "napi_defer_hard_irqs")? })
    }

    /// The driver's name, or what the kernel calls the kind of a device that has none.
    fn driver(&self, interface: &str, device: Option<&Device>) -> Fact<String> {
        let told = device.map(Device::driver).and_then(Result::ok).filter(|name| !name.is_empty());
        let linked = || self.tree.linked_name(&format!("{FILES}/{interface}/device/driver"));
        told.or_else(linked).ok_or_else(|| "the device names no driver".to_owned())
    }

    /// Receive queues as the driver tells them, or else those that the kernel has files for.
    fn receive_queues(&self, interface: &str, device: Option<&Device>) -> Fact<Queues> {
        if let Some(Ok(told)) = device.map(Device::receive_queues) {
            return Ok(told);
        }
        self.text(interface, "ifindex")?;
        let queues = self.tree.names(&format!("{FILES}/{interface}/queues"));
        let count = queues.iter().filter(|queue| queue.starts_with("rx-")).count();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Queues { now: count, most: count, are_combined: false })
    }

    /// The other end of `interface`, one of a virtual pair. Numbers of interfaces are of a namespace, so that it has to be
    /// known whether the other end `is_elsewhere`.
    fn peer(&self, interface: &str, is_elsewhere: &Fact<bool>) -> Peer {
        let other = self.number::<u32>(interface, "iflink").ok();
        let is_it = |name: &String| other.is_some() && self.number(name, "ifindex").ok() == other;
        let found = names(self.tree).unwrap_or_default().into_iter().find(is_it);
        let Some(name) = found.filter(|_| *is_elsewhere == Ok(false)) else {
            let why = is_elsewhere.clone().err();
            let why = why.unwrap_or_else(|| "it lies in another network namespace".to_owned());
            return Peer { name: None, gro: Err(why.clone()), has_driver_xdp: Err(why) };
        };
        let features =
            Device::named(&name).and_then(|device| device.features()).map_err(|error| error.to_string());
        let gro = features.map(|features| features.get("rx-gro").is_some_and(|gro| gro.on));
        let program = attached_to(self.tree, &name);
        let has_driver_xdp = program.map(|program| program.is_some_and(|program| program.place == "driver"));
        Peer { name: Some(name), gro, has_driver_xdp }
    }
}

impl InterfaceFacts {
    /// What there is to know of the interface called `name`.
    pub(super) fn gather(tree: &Tree, name: &str) -> Self {
        let files = Files::of(tree);
        let device = Device::named(name).ok();
        let ask = device.as_ref();
        let driver = files.driver(name, ask);
        let is_pair = driver.as_deref() == Ok("veth");
        let peer = is_pair.then(|| files.peer(name, &told_of(name, leads_elsewhere)));
        Self {
            name: name.to_owned(),
            exists: names(tree).is_ok_and(|names| names.iter().any(|known| known == name)),
            is_hardware: files.text(name, "ifindex").is_ok() && tree.has(&format!("{FILES}/{name}/device")),
            is_up: files.flags(name).map(|flags| flags & IFF_UP != 0),
            has_carrier: files.number::<u8>(name, "carrier").map(|carrier| carrier == 1),
            mtu: files.number(name, "mtu"),
            node: files.node(name),
            receive_queues: files.receive_queues(name, ask),
            hash: had(ask, Device::hash),
            hashed_fields: had(ask, |device| {
                Ok(HashedFields { tcp: device.hashed_fields(TCP_V6)?, udp: device.hashed_fields(UDP_V6)? })
            }),
            features: had(ask, Device::features).map(Option::unwrap_or_default),
            ring: had(ask, Device::receive_ring).map(|ring| ring.filter(|ring| ring.most > 0)),
            deferral: files.deferral(name),
            xdp: attached_to(tree, name),
            driver,
            peer,
        }
    }
}

/// What a device answers, or none where it has no such thing.
fn had<T>(device: Option<&Device>, ask: impl FnOnce(&Device) -> io::Result<T>) -> Fact<Option<T>> {
    let device = device.ok_or_else(|| "the device cannot be asked".to_owned())?;
    match ask(device) {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(None),
        Err(error) => Err(format!("the driver does not answer: {error}")),
    }
}

fn attached_to(tree: &Tree, name: &str) -> Fact<Option<Attached>> {
    told_of(name, |index| attached(tree, index))
}

/// What the kernel tells of the interface called `name` when asked by its index.
fn told_of<T>(name: &str, ask: impl FnOnce(u32) -> io::Result<T>) -> Fact<T> {
    let index = UnixDatagram::unbound().and_then(|socket| Ok(name_to_index(socket, name)?));
    index.and_then(ask).map_err(|error| format!("the kernel does not answer: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// A host with interfaces of these names and files.
    fn host(listed: &[&str], files: &[(&str, &str, &str)]) -> (TempDir, Tree) {
        let directory = TempDir::new().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(&path[1..]);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let lines: String = listed.iter().map(|name| format!("  {name}: 0 0\n")).collect();
        write(LISTED, &format!("Inter-|\n face |\n{lines}"));
        for (interface, file, text) in files {
            write(&format!("{FILES}/{interface}/{file}"), text);
        }
        let tree = Tree::new(directory.path());
        (directory, tree)
    }

    const LO: (&str, &str, &str) = ("lo", "ifindex", "1");

    #[test]
    fn interfaces_that_are_up_are_those_in_use() {
        let files = [
            LO,
            ("lo", "flags", "0x9"),
            ("b", "ifindex", "2"),
            ("b", "flags", "0x1003"),
            ("a", "ifindex", "3"),
            ("a", "flags", "0x1002"),
        ];
        let (_directory, tree) = host(&["lo", "b", "a"], &files);
        assert_eq!(in_use(&tree), Ok(vec!["b".to_owned()]));
    }

    #[test]
    fn files_of_another_namespace_are_not_taken_for_ours() {
        let files = [LO, ("lo", "flags", "0x9"), ("eth0", "ifindex", "2"), ("eth0", "mtu", "9000")];
        let (_directory, tree) = host(&["lo"], &files);
        assert!(in_use(&tree).unwrap_err().contains("another network namespace"));
        assert!(Files::of(&tree).number::<u32>("eth0", "mtu").is_err());
        let (_directory, tree) = host(&["lo", "eth0"], &files);
        assert_eq!(Files::of(&tree).number("eth0", "mtu"), Ok(9000_u32));
    }

    #[test]
    fn a_driver_s_own_list_beside_interfaces_is_no_interface() {
        let (directory, tree) = host(&["lo"], &[LO]);
        fs::write(directory.path().join("sys/class/net/bonding_masters"), "").unwrap();
        assert!(Files::of(&tree).text("lo", "ifindex").is_ok());
    }

    #[test]
    fn the_node_of_a_device_is_told_with_its_processors() {
        let files = [
            LO,
            ("a", "ifindex", "2"),
            ("a", "device/numa_node", "1"),
            ("b", "ifindex", "3"),
            ("b", "device/numa_node", "-1"),
        ];
        let (directory, tree) = host(&["lo", "a", "b"], &files);
        let node = directory.path().join("sys/devices/system/node/node1");
        fs::create_dir_all(&node).unwrap();
        fs::write(node.join("cpulist"), "4-5\n").unwrap();
        let files = Files::of(&tree);
        assert_eq!(files.node("a"), Ok(Some(Node { number: 1, processors: vec![4, 5] })));
        assert_eq!((files.node("b"), files.node("lo")), (Ok(None), Ok(None)));
    }

    #[test]
    fn a_peer_elsewhere_is_not_mistaken_for_an_interface_of_its_number() {
        let pair = [LO, ("a", "ifindex", "2"), ("a", "iflink", "3"), ("b", "ifindex", "3")];
        let (_directory, tree) = host(&["lo", "a", "b"], &pair);
        let files = Files::of(&tree);
        assert_eq!(files.peer("a", &Ok(false)).name.as_deref(), Some("b"));
        let peer = files.peer("a", &Ok(true));
        assert!(peer.name.is_none() && peer.gro.unwrap_err().contains("another network namespace"));
        let peer = files.peer("a", &Err("no answer".to_owned()));
        assert_eq!((peer.name, peer.gro), (None, Err("no answer".to_owned())));
    }

    #[test]
    fn queues_that_the_driver_does_not_tell_are_counted() {
        let files = [
            LO,
            ("fake0", "ifindex", "2"),
            ("fake0", "queues/rx-0/x", ""),
            ("fake0", "queues/rx-1/x", ""),
            ("fake0", "queues/tx-0/x", ""),
        ];
        let (_directory, tree) = host(&["lo", "fake0"], &files);
        assert_eq!(
            Files::of(&tree).receive_queues("fake0", None),
            Ok(Queues { now: 2, most: 2, are_combined: false })
        );
    }
}
