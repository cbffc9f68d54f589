//! What rtnetlink (RFC 3549) alone tells of an interface: the XDP program on it, whichever way it was attached, and whether
//! the other end of a pair lies in another network namespace.

use std::io;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::tree::Tree;

/// A question about one link, and its answer (linux/rtnetlink.h).
const RTM_GETLINK: u16 = 18;
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
/// Bytes of the header of a message, of what is said of a link before its attributes, and of an attribute's header.
const MESSAGE_HEAD: usize = 16;
const LINK_HEAD: usize = 16;
const ATTRIBUTE_HEAD: usize = 4;
/// The attribute that names the namespace of the other end where that is another one, the attribute that holds what is
/// attached, and those in it (linux/if_link.h).
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
/// The bits of an attribute's type that are none of its number.
const TYPE_MASK: u16 = 0x3fff;
/// Bytes of the longest answer about one link: with the statistics of virtual functions some tens of kilobytes.
const ANSWER_MAX: usize = 1 << 18;
/// Processes and descriptors that are looked at, in all, in search of a program's holder.
const DESCRIPTORS_MAX: usize = 100_000;

/// A program at work on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attached {
    pub(super) id: u32,
    /// Where it runs: `driver`, `generic`, `hardware` or `several`.
    pub(super) place: &'static str,
    /// Its name; none where this user may not ask.
    pub(super) name: Option<String>,
    /// Processes that hold it or its link, as far as this user may see.
    pub(super) holders: Vec<Holder>,
}

/// A process that holds a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) command: String,
}

/// The XDP program of the interface with that index, if it has one.
///
/// # Errors
/// When the kernel does not answer.
pub(super) fn attached(tree: &Tree, interface: u32) -> io::Result<Option<Attached>> {
    let answer = ask(interface)?;
    Ok(program(&answer)?.map(|(id, place)| Attached {
        id,
        place,
        name: name(id),
        holders: holders(tree, id),
    }))
}

/// Whether what the interface with that index is linked to lies in another network namespace.
///
/// # Errors
/// When the kernel does not answer.
pub(super) fn leads_elsewhere(interface: u32) -> io::Result<bool> {
    Ok(attribute(attributes(&ask(interface)?)?, IFLA_LINK_NETNSID).is_some())
}

/// What the kernel answers to the question about one link.
fn ask(interface: u32) -> io::Result<Vec<u8>> {
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    // Without a protocol of netlink's it is routing.
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    rustix::net::sendto(&socket, &question(interface), SendFlags::empty(), &kernel)?;
    let mut answer = vec![0; ANSWER_MAX];
    let (len, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    answer.truncate(len);
    Ok(answer)
}

fn question(interface: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(MESSAGE_HEAD + LINK_HEAD);
    message.extend(((MESSAGE_HEAD + LINK_HEAD) as u32).to_ne_bytes());
    message.extend(RTM_GETLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and port; family, type of hardware.
    message.extend([0; 8 + 4]);
    message.extend(interface.to_ne_bytes());
    // Flags, and which of them would change.
    message.extend([0; 8]);
    message
}

/// The attributes of the link that the answer tells of.
fn attributes(answer: &[u8]) -> io::Result<&[u8]> {
    let cut = || io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is cut short");
    if short(answer, 4) == Some(RTM_NEWLINK) {
        return answer.get(MESSAGE_HEAD + LINK_HEAD..).ok_or_else(cut);
    }
    // The answer is an error, whose number stands behind the header, negated.
    let number = answer.get(MESSAGE_HEAD..).and_then(<[u8]>::first_chunk).ok_or_else(cut)?;
    Err(io::Error::from_raw_os_error(i32::from_ne_bytes(*number).saturating_neg()))
}

/// Id and place of the program that the answer tells of.
fn program(answer: &[u8]) -> io::Result<Option<(u32, &'static str)>> {
    let Some(xdp) = attribute(attributes(answer)?, IFLA_XDP) else { return Ok(None) };
    let place = match attribute(xdp, IFLA_XDP_ATTACHED).and_then(<[u8]>::first) {
        None | Some(0) => return Ok(None),
        Some(1) => "driver",
        Some(2) => "generic",
        Some(3) => "hardware",
        Some(_) => "several",
    };
    let id = attribute(xdp, IFLA_XDP_PROG_ID).and_then(<[u8]>::first_chunk);
    Ok(Some((id.map_or(0, |id| u32::from_ne_bytes(*id)), place)))
}

/// What the first attribute of that type holds.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (len, kind) = (usize::from(short(attributes, 0)?), short(attributes, 2)? & TYPE_MASK);
        let held = attributes.get(ATTRIBUTE_HEAD..len)?;
        if kind == wanted {
            return Some(held);
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|short| u16::from_ne_bytes(*short))
}

/// The name of a loaded program.
fn name(id: u32) -> Option<String> {
    let mut loaded = aya::programs::loaded_programs().map_while(Result::ok);
    loaded.find(|program| program.id() == id)?.name_as_str().map(str::to_owned)
}

/// The processes that hold the program with that id, or a link that does.
fn holders(tree: &Tree, id: u32) -> Vec<Holder> {
    let mut left = DESCRIPTORS_MAX;
    let pids = tree.names("/proc").into_iter().filter_map(|name| name.parse::<u32>().ok());
    let holding = pids.filter(|pid| {
        let descriptors = tree.names(&format!("/proc/{pid}/fdinfo"));
        descriptors.iter().any(|descriptor| {
            left = left.saturating_sub(1);
            let held = || tree.value(&format!("/proc/{pid}/fdinfo/{descriptor}"), "prog_id:");
            left > 0 && held().is_ok_and(|held| held == id.to_string())
        })
    });
    // A process chooses its name, and may choose one with line breaks in it.
    let command =
        |pid| tree.text(&format!("/proc/{pid}/comm")).unwrap_or_default().replace(char::is_control, " ");
    holding.map(|pid| Holder { pid, command: command(pid) }).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// An attribute of that type, padded as the kernel pads.
    fn attribute_of(kind: u16, held: &[u8]) -> Vec<u8> {
        let mut bytes = ((ATTRIBUTE_HEAD + held.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(held);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn answer_with(attributes: &[u8]) -> Vec<u8> {
        let mut message = vec![0; MESSAGE_HEAD + LINK_HEAD];
        message[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
        message.extend(attributes);
        message
    }

    #[test]
    fn the_program_is_found_among_other_attributes() {
        let nested =
            [attribute_of(IFLA_XDP_ATTACHED, &[2]), attribute_of(IFLA_XDP_PROG_ID, &77_u32.to_ne_bytes())];
        let xdp = attribute_of(IFLA_XDP | 0x8000, &nested.concat());
        let answer = answer_with(&[attribute_of(3, b"eth0\0"), xdp.clone()].concat());
        assert_eq!(program(&answer).unwrap(), Some((77, "generic")));
        for len in 0..answer.len() {
            // Cut anywhere, it is an error or no program, never another one.
            assert!(!matches!(program(&answer[..len]), Ok(Some((id, _))) if id != 0), "{len}");
        }
        assert_eq!(program(&answer_with(&attribute_of(IFLA_XDP, &attribute_of(2, &[0])))).unwrap(), None);
        assert_eq!(program(&answer_with(&[])).unwrap(), None);
        assert_eq!(program(&answer_with(&[0; 8])).unwrap(), None, "an attribute of no length ends the walk");
    }

    #[test]
    fn the_loopback_interface_has_none_and_a_missing_one_is_an_error() {
        let tree = Tree::new("/");
        assert_eq!(attached(&tree, 1).unwrap(), None);
        assert!(!leads_elsewhere(1).unwrap());
        for error in
            [attached(&tree, i32::MAX as u32).unwrap_err(), leads_elsewhere(i32::MAX as u32).unwrap_err()]
        {
            assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        }
    }

    #[test]
    fn holders_are_those_whose_descriptors_say_so() {
        let directory = tempfile::TempDir::new().unwrap();
        for (pid, command, held) in
            [(7, "load\ner", "prog_id:\t42\n"), (8, "other", "prog_id:\t4\n"), (9, "sh", "pos:\t0\n")]
        {
            let process = directory.path().join(format!("proc/{pid}"));
            fs::create_dir_all(process.join("fdinfo")).unwrap();
            fs::write(process.join("comm"), format!("{command}\n")).unwrap();
            fs::write(process.join("fdinfo/3"), format!("pos:\t0\n{held}")).unwrap();
        }
        let found = holders(&Tree::new(directory.path()), 42);
        assert_eq!(found, [Holder { pid: 7, command: "load er".to_owned() }]);
    }
}
