//! Joining the program to interfaces, for as long as this process lives or for longer.
//!
//! A program that must outlive its process is pinned: a name under a directory of the BPF file system holds it. The next
//! process puts its own program in its place with one exchange, so that no frame passes between the two unjudged.

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, Xdp as Program};
use aya::sys::SyscallError;

use crate::xdp::LoadError;

/// How long a program that is on its way off an interface is waited for.
const LEAVING: Duration = Duration::from_secs(2);
/// Time between two tries.
const AGAIN: Duration = Duration::from_millis(20);

/// Where the program runs on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the interface's driver, before the kernel spends anything on the frame.
    Driver,
    /// Behind it, on interfaces whose driver cannot.
    Generic,
    /// Where the program of the process before ran, whose place it took.
    Predecessors,
}

/// An interface that the program is joined to.
#[derive(Debug)]
pub struct Attachment {
    /// Keeps others from the same interface, until this process ends.
    _held: UnixDatagram,
    link: Held,
    interface: String,
    /// The interface's number: another one of its name has another.
    index: u32,
    place: Place,
}

/// What keeps the program where it is.
#[derive(Debug)]
enum Held {
    /// This process.
    #[expect(dead_code, reason = "dropping it takes the program off")]
    Process(FdLink),
    /// A name in the file system.
    #[expect(dead_code, reason = "the program stays when it is dropped")]
    Name(PinnedLink),
}

impl Attachment {
    /// Joins `program` to an interface: in the place of a dead predecessor's where one left its own, otherwise in the
    /// interface's driver if that can.
    ///
    /// # Errors
    /// When there is no such interface, or another process or program holds it.
    pub(crate) fn new(
        program: &mut Program,
        interface: &str,
        index: u32,
        pins: &Path,
        outlives: bool,
    ) -> Result<Self, LoadError> {
        let held = hold(interface)?;
        let (link, place) = match predecessors(&pins.join(interface)) {
            Some(link) => match program.attach_to_link(link) {
                Ok(id) => (program.take_link(id)?, Place::Predecessors),
                // What it was joined to is gone; an interface of the same name has come since.
                Err(_) => fresh(program, interface)?,
            },
            None => free(program, interface)?,
        };
        let link = keep(link, interface, pins, outlives)?;
        Ok(Self { _held: held, link, interface: interface.to_owned(), index, place })
    }

    /// Joins `program` to the interface of the same name whose number is `index` now.
    ///
    /// # Errors
    /// When another program holds it.
    pub(crate) fn follow(&mut self, program: &mut Program, index: u32, pins: &Path) -> Result<(), LoadError> {
        let (link, place) = fresh(program, &self.interface)?;
        self.link = keep(link, &self.interface, pins, self.outlives())?;
        (self.index, self.place) = (index, place);
        Ok(())
    }

    /// Whether this number is that of the interface that the program is joined to.
    pub(crate) const fn is_on(&self, index: u32) -> bool {
        self.index == index
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Where the program runs.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Whether the program stays when this process ends.
    pub const fn outlives(&self) -> bool {
        matches!(self.link, Held::Name(_))
    }
}

/// Takes a program off an interface that a process before left there; whether there was one.
///
/// # Errors
/// When a process still holds it, or the system does not let it be removed.
pub fn detach(interface: &str, pins: &Path) -> Result<bool, LoadError> {
    let _held = hold(interface)?;
    let pin = pins.join(interface);
    match fs::remove_file(&pin) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(LoadError::Pin { path: pin, source }),
    }
}

/// Takes off the program that a process before left on an interface that this one holds; whether there was one.
pub fn unpin(interface: &str, pins: &Path) -> bool {
    fs::remove_file(pins.join(interface)).is_ok()
}

/// Takes the name of an interface, in its network namespace, for this process.
pub(crate) fn hold(interface: &str) -> Result<UnixDatagram, LoadError> {
    let name = SocketAddr::from_abstract_name(format!("credence/enforce/{interface}"));
    name.and_then(|name| UnixDatagram::bind_addr(&name)).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => LoadError::Held { interface: interface.to_owned() },
        _ => LoadError::Hold { interface: interface.to_owned(), source },
    })
}

/// The link that a process before left under this name.
fn predecessors(pin: &Path) -> Option<XdpLink> {
    let link = PinnedLink::from_pin(pin).ok()?;
    XdpLink::try_from(FdLink::from(link)).ok()
}

/// As [`fresh`], once a program that is on its way off has gone: the kernel takes one off after its name was removed or its
/// process ended, and not before whoever lists the programs of the host has read on.
fn free(program: &mut Program, interface: &str) -> Result<(XdpLink, Place), LoadError> {
    for _ in 0..LEAVING.as_millis() / AGAIN.as_millis() {
        match fresh(program, interface) {
            Err(LoadError::Taken { .. }) => thread::sleep(AGAIN),
            done => return done,
        }
    }
    fresh(program, interface)
}

fn fresh(program: &mut Program, interface: &str) -> Result<(XdpLink, Place), LoadError> {
    let (id, place) = match program.attach(interface, XdpMode::Driver) {
        Ok(id) => (id, Place::Driver),
        Err(error) if is_taken(&error) => return Err(LoadError::Taken { interface: interface.to_owned() }),
        Err(_) => match program.attach(interface, XdpMode::Skb) {
            Ok(id) => (id, Place::Generic),
            Err(error) if is_taken(&error) => {
                return Err(LoadError::Taken { interface: interface.to_owned() });
            }
            Err(error) => return Err(error.into()),
        },
    };
    Ok((program.take_link(id)?, place))
}

/// Whether another program is on the interface.
fn is_taken(error: &ProgramError) -> bool {
    let busy = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST));
    matches!(error, ProgramError::SyscallError(SyscallError { io_error, .. }) if busy(io_error))
}

/// Keeps the program on an interface for as long as this process lives, or longer.
fn keep(link: XdpLink, interface: &str, pins: &Path, outlives: bool) -> Result<Held, LoadError> {
    let pin = pins.join(interface);
    // From here on `link` holds the program, so that the name of a link before it is free to go.
    let _ = fs::remove_file(&pin);
    let link =
        FdLink::try_from(link).map_err(|source| LoadError::Link { interface: interface.into(), source })?;
    Ok(if outlives { Held::Name(name(link, pins, &pin)?) } else { Held::Process(link) })
}

fn name(link: FdLink, pins: &Path, pin: &Path) -> Result<PinnedLink, LoadError> {
    let refused = |source| LoadError::Pin { path: PathBuf::from(pin), source };
    // A process that has given up making directories made this one before.
    if !pins.is_dir() {
        fs::create_dir_all(pins).map_err(refused)?;
    }
    link.pin(pin).map_err(|error| refused(io::Error::other(error)))
}
