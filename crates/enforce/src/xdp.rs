//! Loading the program, and what it is given and gives.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aya::maps::xdp::{DevMapHash, XdpMapError};
use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::links::LinkError;
use aya::programs::tc::TcAttachType;
use aya::programs::{ProgramError, SchedClassifier, TestRun as _, TestRunOptions, Xdp as Program};
use aya::{Ebpf, EbpfError, EbpfLoader};
use credence_memory::{Lines, Words};
use credence_prefix::TableError;

use crate::abi::MEASURE_WORDS;
use crate::bridge::{Copies, ring_bytes};
use crate::control::{CONTROL_WORDS, Control};
use crate::counts::Counts;
use crate::events::Events;
use crate::limiters::{BUCKET_WORDS, Limiters, Rate};
use crate::links::Attachment;
use crate::records::Records;
use crate::spared::Spared;
use crate::told::Told;

/// The program, compiled. A test compiles it anew from `bpf/` and compares, where that compiler is there.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../bpf/credence.bpf.o");

/// Where programs that outlive their process are named.
pub const PINS: &str = "/sys/fs/bpf/credence";

/// Lines of a page: sets of records begin at pages, so that each can be mapped.
const PAGE_LINES: u32 = 64;

/// What the program is loaded with. The kernel gives the memory at once.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Records in force. Each takes 64 bytes, and its prefix some 30: room for two sets.
    pub records: u32,
    /// Subjects of records whose rate is limited at the same time, of 32 bytes each.
    pub limiters: u32,
    /// What each of them may send.
    pub rate: Rate,
    /// The score from which credit is good enough for an incentive.
    pub good_from: u16,
    /// How long the engine's opinion of a source lasts.
    pub opinions_last: Duration,
    /// Those whom nothing blocks.
    pub spared: Spared,
    /// Frames of a bridge that may wait for the engine, of 280 bytes each; at most 256 MiB are taken.
    pub copies: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            records: 1 << 20,
            limiters: 1 << 16,
            rate: Rate::default(),
            good_from: 800,
            opinions_last: Duration::from_secs(60),
            spared: Spared::default(),
            copies: 1 << 16,
        }
    }
}

impl Setup {
    /// Lines of one set's image: a quarter of one for each record, which is a quarter more than a routing table's prefixes
    /// take, and 2 MiB for what changes leave behind while frames are judged.
    const fn lines(&self) -> u32 {
        (self.records / 4 + (1 << 15)).next_multiple_of(PAGE_LINES)
    }
}

/// Why the program is not running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The object, or one of its maps.
    #[error(
        "the kernel does not take the program's maps: {0}; it needs root, or the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and memory for `enforce.records`"
    )]
    Object(#[from] EbpfError),
    /// The program.
    #[error(
        "the kernel does not take the program: {0}; it needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and `credence doctor` says what else this kernel lacks"
    )]
    Program(#[from] ProgramError),
    /// A map.
    #[error("the program's map cannot be used: {0}")]
    Map(#[from] MapError),
    /// The map of a bridge's legs.
    #[error("the legs of the bridge cannot be joined: {0}")]
    Legs(#[from] XdpMapError),
    /// The memory of a map.
    #[error("the memory of the program's map `{map}` cannot be shared: {source}")]
    Share {
        /// The map's name in the program.
        map: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
    /// The never-block list.
    #[error("the list of those who are never blocked cannot be looked up: {0}")]
    Spared(#[from] TableError),
    /// Another process of this program.
    #[error(
        "another credence holds {interface}; stop it first (`ss -xlp | grep credence/enforce` shows which it is)"
    )]
    Held {
        /// The interface.
        interface: String,
    },
    /// The name cannot be taken.
    #[error("whether another credence holds {interface} cannot be found out: {source}")]
    Hold {
        /// The interface.
        interface: String,
        /// What the system says.
        source: io::Error,
    },
    /// Another program.
    #[error(
        "another XDP program is on {interface}; `bpftool net show dev {interface}` names it, and `ip link set dev {interface} xdp off` takes off one that no process holds"
    )]
    Taken {
        /// The interface.
        interface: String,
    },
    /// The kernel is too old for links.
    #[error("the program on {interface} cannot be held: {source}; the kernel must be 5.9 or later")]
    Link {
        /// The interface.
        interface: String,
        /// What the kernel says.
        source: LinkError,
    },
    /// The name in the file system.
    #[error("the program cannot be kept under {path}: {source}; is the BPF file system there (`mount -t bpf bpf /sys/fs/bpf`)?", path = path.display())]
    Pin {
        /// The name.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What an interface carries is not what the program reads.
    #[error(
        "frames on {interface} are not Ethernet (hardware type {hardware}), which is all that can be enforced on; leave `enforce.mode` off there"
    )]
    LinkLayer {
        /// The interface.
        interface: String,
        /// Its type in the `ARPHRD_` registry.
        hardware: u32,
    },
    /// An interface is missing.
    #[error("there is no interface {interface}: {source}")]
    NoInterface {
        /// The interface.
        interface: String,
        /// What the system says.
        source: io::Error,
    },
}

impl LoadError {
    /// Whether this kernel, or the interface's driver, takes no such program, so that it is worth trying something else; and
    /// not an oversight, or a want of memory, that the operator mends.
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Object(_) | Self::Program(_) | Self::Map(_) | Self::Link { .. } | Self::LinkLayer { .. }
        )
    }
}

/// The program in the kernel, for as long as this value lives, or longer where it is pinned.
pub struct Xdp {
    ebpf: Ebpf,
    /// The program's name in the object.
    name: &'static str,
    control: Arc<Control>,
    opinions_last: Duration,
}

/// For frames in one or several pieces, and for those in one.
const NAMES: [&str; 2] = ["credence_frags", "credence"];

impl Xdp {
    /// Loads the program, with no records in force.
    ///
    /// # Errors
    /// When the kernel refuses it, or does not give its memory.
    pub fn load(setup: &Setup) -> Result<(Self, Records), LoadError> {
        let spared = setup.spared.table()?;
        let lines = setup.lines();
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("image", 2 * lines)
            .map_max_entries("spared", (spared.image().len() as u32).next_multiple_of(PAGE_LINES))
            .map_max_entries("measures", 2 * setup.records)
            .map_max_entries("buckets", setup.limiters.max(1))
            .map_max_entries("copies", ring_bytes(setup.copies))
            .load(OBJECT)?;
        let name = load_first(&mut ebpf)?;
        let control = Arc::new(Control::new(words(&ebpf, "controls", CONTROL_WORDS)?));
        shared(&ebpf, "spared", spared.image().len())?.overwrite(0, spared.image());
        let image = shared(&ebpf, "image", 2 * lines as usize)?;
        let measures = words(&ebpf, "measures", 2 * setup.records as usize * MEASURE_WORDS)?;
        let buckets = words(&ebpf, "buckets", setup.limiters as usize * BUCKET_WORDS)?;
        let limiters = Limiters::new(buckets, setup.rate);
        let records = Records::new(Arc::clone(&control), image, measures, limiters, setup.good_from);
        Ok((Self { ebpf, name, control, opinions_last: setup.opinions_last }, records))
    }

    /// Joins the program to an interface and says where it runs. Unless it `outlives` this process, it leaves the
    /// interface when that ends, however it ends. What a dead predecessor left under `pins` is taken over.
    ///
    /// # Errors
    /// When there is no such interface, or another process or program holds it.
    pub fn attach(&mut self, interface: &str, pins: &Path, outlives: bool) -> Result<Attachment, LoadError> {
        let index = index(interface)?;
        check_link_layer(interface)?;
        let name = self.name;
        Attachment::new(program(&mut self.ebpf, name)?, interface, index, pins, outlives)
    }

    /// Joins the program again to interfaces that went, and it with them, and that have come back under their names. The two
    /// of a bridge are to be given together. Returns where it was joined again.
    ///
    /// # Errors
    /// When an interface is missing, or another program holds it.
    pub fn follow<'a>(
        &mut self,
        attachments: &'a mut [Attachment],
        pins: &Path,
    ) -> Result<Vec<&'a Attachment>, LoadError> {
        let indexes = attachments.iter().map(|each| index(each.interface()));
        let indexes = indexes.collect::<Result<Vec<_>, _>>()?;
        if attachments.iter().zip(&indexes).all(|(each, index)| each.is_on(*index)) {
            return Ok(Vec::new());
        }
        if let [one, other] = &*attachments {
            self.join([one.interface(), other.interface()])?;
        }
        let (name, mut followed) = (self.name, Vec::new());
        for (attachment, index) in attachments.iter_mut().zip(indexes) {
            if !attachment.is_on(index) {
                attachment.follow(program(&mut self.ebpf, name)?, index, pins)?;
                followed.push(&*attachment);
            }
        }
        Ok(followed)
    }

    /// Says that frames which pass one of these interfaces go out of the other. To be said before the program is joined to
    /// them.
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn join(&mut self, legs: [&str; 2]) -> Result<(), LoadError> {
        let indexes = [index(legs[0])?, index(legs[1])?];
        let map = self.ebpf.map_mut("legs").ok_or_else(|| no_map("legs"))?;
        let mut map = DevMapHash::try_from(map)?;
        // There is room for two; the kernel has forgotten interfaces that went as destinations alone.
        let gone: Vec<u32> = map.keys().flatten().filter(|key| !indexes.contains(key)).collect();
        gone.into_iter().try_for_each(|key| map.remove(key))?;
        map.insert(indexes[0], indexes[1], None, 0)?;
        map.insert(indexes[1], indexes[0], None, 0)?;
        Ok(())
    }

    /// Gives the marks that [`Policy::mark`](crate::Policy) asks for to packets on their way up from an interface, until this
    /// process ends.
    ///
    /// # Errors
    /// When the kernel does not take the program, or there is no such interface.
    pub fn mark(&mut self, interface: &str) -> Result<(), LoadError> {
        let found = self.ebpf.program_mut("credence_mark").expect("the object holds the program");
        let program: &mut SchedClassifier = found.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        program.attach(interface, TcAttachType::Ingress)?;
        Ok(())
    }

    /// What the operator tells the program.
    pub const fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// What the program did. To be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn counts(&mut self) -> Result<Counts, LoadError> {
        Ok(Counts::new(PerCpuArray::try_from(self.take("counters")?)?))
    }

    /// Where the engine's opinions go. To be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn told(&mut self) -> Result<Told, LoadError> {
        let map = HashMap::try_from(self.take("told")?)?;
        Ok(Told::new(Arc::clone(&self.control), map, self.opinions_last))
    }

    /// The sample of packets that did not pass. To be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn events(&mut self) -> Result<Events, LoadError> {
        Ok(Events::new(RingBuf::try_from(self.take("events")?)?))
    }

    /// What crosses a bridge between these interfaces. To be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn copies(&mut self, legs: [&str; 2]) -> Result<Copies, LoadError> {
        let ring = RingBuf::try_from(self.take("copies")?)?;
        let lost = PerCpuArray::<MapData, u64>::try_from(self.take("uncopied")?)?;
        Ok(Copies::new(ring, lost, &legs))
    }

    /// Whether one frame passes, judged as if it had arrived, counters and limiters included. For tests.
    ///
    /// # Errors
    /// When the kernel cannot run the program.
    pub fn passes(&mut self, frame: &[u8]) -> Result<bool, LoadError> {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        let name = self.name;
        let outcome = program(&mut self.ebpf, name)?.test_run(options)?;
        Ok(outcome.return_value != XDP_DROP)
    }

    /// What becomes of one frame: its bytes as they go on, or nothing. For tests.
    ///
    /// # Errors
    /// When the kernel cannot run the program.
    pub fn carried(&mut self, frame: &[u8]) -> Result<Option<Vec<u8>>, LoadError> {
        let mut bytes = vec![0; frame.len()];
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut bytes);
        let name = self.name;
        let outcome = program(&mut self.ebpf, name)?.test_run(options)?;
        Ok((outcome.return_value != XDP_DROP).then_some(bytes))
    }

    fn take(&mut self, name: &'static str) -> Result<Map, LoadError> {
        self.ebpf.take_map(name).ok_or_else(|| no_map(name).into())
    }
}

/// The program's answer for a frame that goes no further.
const XDP_DROP: u32 = 1;

/// Loads the first of the programs that the kernel takes.
fn load_first(ebpf: &mut Ebpf) -> Result<&'static str, LoadError> {
    let [first, second] = NAMES;
    if program(ebpf, first)?.load().is_ok() {
        return Ok(first);
    }
    program(ebpf, second)?.load()?;
    Ok(second)
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut Program, LoadError> {
    let found = ebpf.program_mut(name).expect("the object holds the program");
    Ok(found.try_into()?)
}

fn no_map(name: &str) -> MapError {
    MapError::InvalidName { name: name.to_owned() }
}

/// The descriptor of a map that is shared with user space.
fn map<'a>(ebpf: &'a Ebpf, name: &str) -> BorrowedFd<'a> {
    match ebpf.map(name) {
        Some(Map::Array(map)) => map.fd().as_fd(),
        _ => unreachable!("the object holds an array of that name"),
    }
}

fn words(ebpf: &Ebpf, name: &'static str, len: usize) -> Result<Words, LoadError> {
    Words::shared(map(ebpf, name), len).map_err(|source| LoadError::Share { map: name, source })
}

fn shared(ebpf: &Ebpf, name: &'static str, len: usize) -> Result<Lines, LoadError> {
    Lines::shared(map(ebpf, name), 0, len).map_err(|source| LoadError::Share { map: name, source })
}

fn index(interface: &str) -> Result<u32, LoadError> {
    let missing = |source| LoadError::NoInterface { interface: interface.to_owned(), source };
    rustix::net::netdevice::name_to_index(socket().map_err(missing)?, interface)
        .map_err(|error| missing(error.into()))
}

/// Refuses an interface whose frames have no Ethernet header. Where the kernel does not tell, as behind a foreign `/sys`,
/// nothing is known against it.
fn check_link_layer(interface: &str) -> Result<(), LoadError> {
    let told = fs::read_to_string(format!("/sys/class/net/{interface}/type")).unwrap_or_default();
    match told.trim().parse() {
        Ok(ETHERNET) | Err(_) => Ok(()),
        Ok(hardware) => Err(LoadError::LinkLayer { interface: interface.to_owned(), hardware }),
    }
}

/// `ARPHRD_ETHER`.
const ETHERNET: u32 = 1;

/// A socket to ask about interfaces by.
fn socket() -> io::Result<std::os::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketType, socket};
    Ok(socket(AddressFamily::UNIX, SocketType::DGRAM, None)?)
}
