//! Capturing on an interface: what to ask for, and which backend gives it.

use std::io;
use std::sync::Arc;

use pnet::datalink;

use crate::datalink::DataLink;
use crate::fanout::Fanout;
use crate::lasting::{Lasting, Open, Place};
use crate::redirect::Redirect;
use crate::ring::Ring;
use crate::sys::device;
use crate::sys::socket::Layout;
use crate::xsk::Xsk;
use crate::{Error, Source};

/// Ethernet, in the `LINKTYPE_` registry.
pub(crate) const LINKTYPE_ETHERNET: u16 = 1;
/// A bare IP packet, in the `LINKTYPE_` registry.
const LINKTYPE_RAW: u16 = 101;
/// GRE over IPv6, in the `ARPHRD_` registry; the C library's headers leave it out.
const ARPHRD_IP6GRE: u16 = 823;

/// The most members of a fan-out group, as kernels before 5.11 have it.
const QUEUES_MAX: usize = 256;
/// A block's length is a multiple of this: the page size of most machines. Where pages are larger, the
/// kernel refuses a block that does not fill them.
const BLOCK_UNIT: usize = 4096;
/// The most bytes of one ring: a second of the smallest frames at 10 Gbit/s, which take 144 bytes each. A
/// reader that is further behind needs more queues rather than more memory.
const RING_MAX: usize = 2 * 1024 * 1024 * 1024;

/// How frames are had from an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The ring, and where the kernel does not grant one, the data link.
    #[default]
    Auto,
    /// The memory-mapped `AF_PACKET` ring: some ten nanoseconds a frame, with a count of what was lost.
    AfPacket,
    /// The data link of the crate `pnet`: two system calls a frame, no count of what was lost, and a time
    /// taken when the frame is read. For systems whose kernel has packet sockets without rings.
    Pnet,
    /// `AF_XDP` sockets, one for each queue that the interface receives on: without a copy where its driver can do that. The IPv6
    /// frames that arrive do not reach this host's own network stack, so that it is for an interface at a mirror port or tap; what
    /// leaves is not seen. A frame's time is when its batch was read.
    AfXdp,
}

/// What to capture on, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveConfig {
    /// The name of the interface.
    pub interface: String,
    /// Where the frames come from.
    pub backend: Backend,
    /// Among how many sources the interface's frames are shared out, from 1 to 256.
    ///
    /// With more than one, a program in the kernel spreads the frames of rings by a symmetric hash of the outermost IPv6
    /// addresses, so that both directions and all fragments of a pair meet in one source; what is not IPv6 goes to the
    /// first. Where the kernel does not take the program, and for data links, its own hash takes the ports too: flows of one
    /// pair may part then, and so may a datagram's fragments; [`Source::describe`] says so. With [`Backend::AfXdp`] there is a
    /// source for each queue of the device, which spreads frames as `ethtool -x` and `-n` tell.
    pub queues: usize,
    /// The length in bytes of a block of the ring: a multiple of 4096 (and of the machine's page size).
    pub block_bytes: usize,
    /// The number of blocks of the ring of each queue, at least 2. A ring has at most 2 GiB. An `AF_XDP` socket has as
    /// much memory.
    pub blocks: usize,
    /// The number that the sources of one capture share. No other capture in the same network namespace
    /// may use it at the same time. It matters only with several queues.
    pub fanout_group: u16,
    /// Whether to take frames for other stations too.
    pub promiscuous: bool,
    /// Whether to leave out the frames that this host sends. The data link cannot leave them out.
    pub ignore_outgoing: bool,
}

impl LiveConfig {
    /// The usual capture on an interface: [`Backend::Auto`], one queue, a ring of 64 blocks of 1 MiB (0.3 s
    /// of the smallest frames at 1 Gbit/s), promiscuous, in both directions. The fan-out group
    /// is taken from the process id, so that two processes rarely meet.
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            backend: Backend::Auto,
            queues: 1,
            block_bytes: 1024 * 1024,
            blocks: 64,
            fanout_group: std::process::id() as u16,
            promiscuous: true,
            ignore_outgoing: false,
        }
    }

    /// The ring that is asked for, if its numbers can work.
    pub(crate) fn layout(&self) -> Result<Layout, Error> {
        let ring_bytes = self.block_bytes.checked_mul(self.blocks);
        let what = if self.block_bytes == 0 || !self.block_bytes.is_multiple_of(BLOCK_UNIT) {
            format!("block_bytes is {}, and must be a multiple of {BLOCK_UNIT}", self.block_bytes)
        } else if self.blocks < 2 {
            format!("blocks is {}, and must be at least 2", self.blocks)
        } else if ring_bytes.is_none_or(|bytes| bytes > RING_MAX) {
            format!("{} blocks of {} bytes exceed {RING_MAX} bytes", self.blocks, self.block_bytes)
        } else {
            return Ok(Layout { block_bytes: self.block_bytes as u32, blocks: self.blocks as u32 });
        };
        Err(Error::Config { interface: self.interface.clone(), what })
    }

    fn check(&self) -> Result<(), Error> {
        if !(1..=QUEUES_MAX).contains(&self.queues) {
            let what = format!("queues is {}, and must be from 1 to {QUEUES_MAX}", self.queues);
            return Err(Error::Config { interface: self.interface.clone(), what });
        }
        self.layout().map(drop)
    }
}

/// Opens an interface for capture, and returns as many sources as the configuration has queues.
///
/// An interface that is down is opened all the same: its sources are idle until it comes up. Only several
/// queues may need it up, depending on the kernel.
///
/// # Errors
///
/// [`Error::Config`], [`Error::NoSuchInterface`], [`Error::Interface`], [`Error::LinkLayer`] and
/// [`Error::Privilege`] for what no backend can mend; [`Error::Ring`], [`Error::DataLink`] or [`Error::Xsk`] when the backend that
/// was asked for fails, and [`Error::NoBackend`] when both that [`Backend::Auto`] tries do.
pub fn live(config: &LiveConfig) -> Result<Vec<Box<dyn Source>>, Error> {
    config.check()?;
    let interface = Interface::find(&config.interface)?;
    choose(
        config.backend,
        || all::<Ring>(config, &interface, &Fanout::new(config.queues, interface.linktype)),
        |because| all::<DataLink>(config, &interface, &Arc::from(because)),
        || all::<Xsk>(config, &interface, &Redirect::default()),
    )
}

/// Captures on every queue.
fn all<S: Open + 'static>(
    config: &LiveConfig,
    interface: &Interface,
    common: &S::Common,
) -> Result<Vec<Box<dyn Source>>, Error> {
    let one = |queue| {
        let at = Place::<S> { config: config.clone(), common: common.clone(), queue };
        Ok(Box::new(Lasting::open(at, interface)?) as Box<dyn Source>)
    };
    (0..config.queues).map(one).collect()
}

/// Tries the backends that `backend` allows. The data link is told why it was picked.
fn choose(
    backend: Backend,
    ring: impl FnOnce() -> Result<Vec<Box<dyn Source>>, Error>,
    data_link: impl FnOnce(&str) -> Result<Vec<Box<dyn Source>>, Error>,
    xsk: impl FnOnce() -> Result<Vec<Box<dyn Source>>, Error>,
) -> Result<Vec<Box<dyn Source>>, Error> {
    match backend {
        Backend::AfPacket => ring(),
        Backend::AfXdp => xsk(),
        Backend::Pnet => data_link("it was asked for"),
        Backend::Auto => match ring() {
            // Only trouble of the ring's own is none of the data link's.
            Err(Error::Ring { interface, step, source, cure }) => {
                let because = format!("an AF_PACKET ring failed to {step}: {source}");
                let ring = Box::new(Error::Ring { interface: interface.clone(), step, source, cure });
                data_link(&because).map_err(|error| Error::NoBackend {
                    interface,
                    ring,
                    datalink: Box::new(error),
                })
            }
            outcome => outcome,
        },
    }
}

/// An interface that exists and whose frames can be read.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) linktype: u16,
}

impl Interface {
    /// The interface of that name.
    pub(crate) fn find(name: &str) -> Result<Self, Error> {
        let missing = |source| {
            if device::is_absence(&source) {
                return no_such_interface(name);
            }
            Error::Interface { interface: name.to_owned(), source }
        };
        let index = device::index(name).map_err(missing)?;
        let hardware = device::hardware_type(name).map_err(missing)?;
        let linktype =
            linktype(hardware).ok_or_else(|| Error::LinkLayer { interface: name.to_owned(), hardware })?;
        Ok(Self { name: name.to_owned(), index, linktype })
    }

    /// The error for a packet socket that the kernel would not open.
    pub(crate) fn not_opened(&self, source: io::Error) -> Error {
        let interface = self.name.clone();
        if source.kind() != io::ErrorKind::PermissionDenied {
            let cure = "check that the kernel has packet sockets (CONFIG_PACKET)";
            return Error::Ring { interface, step: "open a packet socket", source, cure };
        }
        let program = std::env::current_exe();
        let program = program.map_or_else(|_| "PROGRAM".to_owned(), |path| path.display().to_string());
        Error::Privilege { interface, program }
    }
}

fn no_such_interface(name: &str) -> Error {
    let mut names: Vec<String> = datalink::interfaces().into_iter().map(|found| found.name).collect();
    names.sort_unstable();
    names.dedup();
    let available = if names.is_empty() { "none at all".to_owned() } else { names.join(", ") };
    Error::NoSuchInterface { interface: name.to_owned(), available }
}

/// The link type of the frames that a packet socket gives of an interface with that hardware type.
///
/// The kernel puts a link header in front only for devices that can write one. A tun device, and the IPv6
/// tunnels, cannot; a GRE tunnel without a fixed peer can, and its link header is the outer IPv6 packet,
/// so that its frames are IPv6 packets as well.
fn linktype(hardware: u16) -> Option<u16> {
    match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(LINKTYPE_ETHERNET),
        libc::ARPHRD_NONE | libc::ARPHRD_SIT | libc::ARPHRD_TUNNEL6 | ARPHRD_IP6GRE => Some(LINKTYPE_RAW),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> LiveConfig {
        LiveConfig::new("lo")
    }

    /// The message with which a configuration is refused.
    fn refusal(config: &LiveConfig) -> String {
        match live(config) {
            Err(error @ Error::Config { .. }) => error.to_string(),
            Err(error) => panic!("refused for another reason: {error}"),
            Ok(_) => panic!("accepted"),
        }
    }

    #[test]
    fn numbers_that_cannot_work_are_refused_by_name() {
        for (config, name) in [
            (LiveConfig { queues: 0, ..config() }, "queues"),
            (LiveConfig { queues: 257, ..config() }, "queues"),
            (LiveConfig { block_bytes: 0, ..config() }, "block_bytes"),
            (LiveConfig { block_bytes: 4095, ..config() }, "block_bytes"),
            (LiveConfig { blocks: 1, ..config() }, "blocks"),
            (LiveConfig { blocks: 2049, ..config() }, "exceed"),
            (LiveConfig { block_bytes: 1 << 62, blocks: 1 << 10, ..config() }, "exceed"),
        ] {
            let message = refusal(&config);
            assert!(message.contains(name) && message.contains("lo"), "{message}");
        }
        assert_eq!(
            LiveConfig { blocks: 2048, ..config() }.layout().unwrap(),
            Layout { block_bytes: 1 << 20, blocks: 2048 }
        );
    }

    #[test]
    fn a_missing_interface_is_answered_with_those_there_are() {
        let error = live(&LiveConfig::new("no-such-device")).err().unwrap().to_string();
        assert!(error.starts_with("there is no interface no-such-device: "), "{error}");
        assert!(error.contains(" lo"), "every network namespace has a loopback interface: {error}");
    }

    #[test]
    fn hardware_types_become_link_types() {
        for (hardware, linktype_of) in [
            (1, Some(1)),
            (772, Some(1)),
            (65534, Some(101)),
            (776, Some(101)),
            (769, Some(101)),
            (823, Some(101)),
            (512, None),
            (803, None),
            (0, None),
        ] {
            assert_eq!(linktype(hardware), linktype_of, "{hardware}");
        }
    }

    fn ring_error() -> Error {
        let source = io::Error::from_raw_os_error(libc::ENOMEM);
        Error::Ring { interface: "eth0".into(), step: "map its blocks", source, cure: "buy memory" }
    }

    fn unused() -> Result<Vec<Box<dyn Source>>, Error> {
        panic!("this backend was not to be tried")
    }

    #[test]
    fn the_backend_that_was_asked_for_is_the_only_one_tried() {
        assert!(choose(Backend::AfPacket, || Ok(Vec::new()), |_| unused(), unused).is_ok());
        assert!(choose(Backend::Pnet, unused, |_| Ok(Vec::new()), unused).is_ok());
        assert!(choose(Backend::AfXdp, unused, |_| unused(), || Ok(Vec::new())).is_ok());
        assert!(matches!(
            choose(Backend::AfPacket, || Err(ring_error()), |_| unused(), unused),
            Err(Error::Ring { .. })
        ));
        assert!(choose(Backend::Auto, || Ok(Vec::new()), |_| unused(), unused).is_ok());
    }

    #[test]
    fn auto_falls_back_with_the_reason_when_the_ring_itself_fails() {
        let mut reason = String::new();
        let sources = choose(
            Backend::Auto,
            || Err(ring_error()),
            |because| {
                because.clone_into(&mut reason);
                Ok(Vec::new())
            },
            unused,
        );
        assert!(sources.is_ok());
        assert!(reason.contains("map its blocks") && reason.contains("memory"), "{reason}");
    }

    #[test]
    fn auto_does_not_try_what_would_fail_alike() {
        let privilege = || Err(Error::Privilege { interface: "eth0".into(), program: "p".into() });
        assert!(matches!(
            choose(Backend::Auto, privilege, |_| unused(), unused),
            Err(Error::Privilege { .. })
        ));
    }

    #[test]
    fn auto_tells_both_reasons_when_both_fail() {
        let gone = |_: &str| Err(Error::DeviceGone { interface: "eth0".into() });
        let error = choose(Backend::Auto, || Err(ring_error()), gone, unused).err().unwrap().to_string();
        assert!(error.contains("map its blocks") && error.contains("is gone"), "{error}");
    }
}
