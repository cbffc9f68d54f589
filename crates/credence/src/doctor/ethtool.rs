//! What a device's driver tells: the requests of `SIOCETHTOOL` (linux/ethtool.h) that read and that every user may make.
//!
//! The same questions can be asked over generic netlink, but not all of them of the kernels that gateways run: the hash
//! key since Linux 6.3, the hashed fields since 6.17. The request is as old as the drivers.

// The standard library has no requests about devices.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

/// The request of a device that carries all others.
const SIOCETHTOOL: libc::Ioctl = 0x8946;

const GET_DRIVER: u32 = 0x03;
const GET_RINGS: u32 = 0x10;
const GET_STRINGS: u32 = 0x1b;
const GET_HASHED_FIELDS: u32 = 0x29;
const GET_SET_LENGTHS: u32 = 0x37;
const GET_FEATURES: u32 = 0x3a;
const GET_CHANNELS: u32 = 0x3c;
const GET_HASH: u32 = 0x46;

/// The set of strings that names the features.
const FEATURES: u32 = 4;
/// Bytes of one string of a set.
const STRING_LEN: usize = 32;
/// Bytes of the longest answer that has one length: `ethtool_rxnfc` with its rule, 192, and `ethtool_drvinfo`, 196.
const FIXED_LEN: usize = 256;
/// Bytes of `ethtool_rxfh` before table and key.
const HASH_HEAD: usize = 24;
/// Entries and bytes beyond which a device's table and key are not believed.
const HASH_MAX: usize = 1 << 16;

/// Flow types of which the hashed fields are told.
pub(super) const TCP_V6: u32 = 5;
/// UDP over IPv6.
pub(super) const UDP_V6: u32 = 6;

/// Whether a device has a feature switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feature {
    pub(super) on: bool,
    /// Whether nobody can switch it.
    pub(super) fixed: bool,
}

/// A size that can be set, such as the entries of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sized {
    pub(super) now: u32,
    pub(super) most: u32,
}

/// The receive queues of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queues {
    pub(super) now: u32,
    pub(super) most: u32,
    /// Whether each shares its interrupt with a transmit queue, so that both kinds are set together.
    pub(super) are_combined: bool,
}

/// How a device spreads frames over its queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hash {
    /// The key of the Toeplitz hash; empty where the driver keeps it to itself.
    pub(super) key: Vec<u8>,
    /// Whether the device makes its input symmetric first (`symmetric-xor`, `symmetric-or-xor`).
    pub(super) symmetric_input: bool,
}

/// A device that can be asked.
pub(super) struct Device {
    /// Any socket will do; a local one needs no privilege.
    socket: UnixDatagram,
    name: [c_char; libc::IF_NAMESIZE],
}

impl Device {
    /// The device of the interface with that name.
    ///
    /// # Errors
    /// `ENODEV` when the name is too long for an interface; when the process has no descriptor left.
    pub(super) fn named(name: &str) -> io::Result<Self> {
        let mut bytes = [0; libc::IF_NAMESIZE];
        if name.len() >= bytes.len() {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        for (slot, byte) in bytes.iter_mut().zip(name.bytes()) {
            *slot = byte as c_char;
        }
        Ok(Self { socket: UnixDatagram::unbound()?, name: bytes })
    }

    /// The name of the driver.
    ///
    /// # Errors
    /// When the device is gone, or has none to tell.
    pub(super) fn driver(&self) -> io::Result<String> {
        Ok(string(&self.fixed(GET_DRIVER, 0)?[4..4 + STRING_LEN]))
    }

    /// Entries of each receive ring.
    ///
    /// # Errors
    /// `EOPNOTSUPP` when the device has none.
    pub(super) fn receive_ring(&self) -> io::Result<Sized> {
        let answer = self.fixed(GET_RINGS, 0)?;
        Ok(Sized { now: word(&answer, 5), most: word(&answer, 1) })
    }

    /// Receive queues, those included that share their interrupt with a transmit queue.
    ///
    /// # Errors
    /// `EOPNOTSUPP` when their number is none that can be set.
    pub(super) fn receive_queues(&self) -> io::Result<Queues> {
        let answer = self.fixed(GET_CHANNELS, 0)?;
        let (rx, combined) = (word(&answer, 5), word(&answer, 8));
        let (rx_most, combined_most) = (word(&answer, 1), word(&answer, 4));
        let most = rx_most.max(combined_most);
        Ok(Queues { now: rx.saturating_add(combined), most, are_combined: combined_most > 0 })
    }

    /// The fields that the device hashes of a flow type, as bits of `RXH_`.
    ///
    /// # Errors
    /// `EOPNOTSUPP` when the driver does not tell.
    pub(super) fn hashed_fields(&self, flow_type: u32) -> io::Result<u64> {
        let answer = self.fixed(GET_HASHED_FIELDS, flow_type)?;
        Ok(answer[8..].first_chunk().map_or(0, |fields| u64::from_ne_bytes(*fields)))
    }

    /// How the device spreads frames.
    ///
    /// # Errors
    /// `EOPNOTSUPP` when the driver does not tell.
    pub(super) fn hash(&self) -> io::Result<Hash> {
        // Asked without room for either, the kernel tells the lengths of table and key.
        let lengths = self.fixed(GET_HASH, 0)?;
        let (entries, key_len) = (word(&lengths, 2) as usize, word(&lengths, 3) as usize);
        if entries > HASH_MAX || key_len > HASH_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (table_len, mut payload) = (entries * 4, request(GET_HASH, 0, 0));
        // The kernel writes as many entries and bytes as it is told that there is room for, and refuses other lengths.
        payload.resize(FIXED_LEN + table_len + key_len, 0);
        payload[8..16].copy_from_slice(&lengths[8..16]);
        self.ask(&mut payload)?;
        let key = payload[HASH_HEAD + table_len..][..key_len].to_vec();
        Ok(Hash { key, symmetric_input: payload[17] != 0 })
    }

    /// The features by the names that the kernel has for them.
    ///
    /// # Errors
    /// When the device is gone.
    pub(super) fn features(&self) -> io::Result<BTreeMap<String, Feature>> {
        let mut lengths = request(GET_SET_LENGTHS, 0, 0);
        lengths[8..16].copy_from_slice(&(1_u64 << FEATURES).to_ne_bytes());
        self.ask(&mut lengths)?;
        let count = word(&lengths, 4);
        // The features are a constant of the running kernel: there are as many strings as it said just now.
        let mut names = request(GET_STRINGS, FEATURES, count as usize * STRING_LEN);
        names[8..12].copy_from_slice(&count.to_ne_bytes());
        self.ask(&mut names)?;
        let blocks = count.div_ceil(32);
        let mut states = request(GET_FEATURES, blocks, blocks as usize * 16);
        self.ask(&mut states)?;
        let bit = |index: usize, of: usize| word(&states, 2 + index / 32 * 4 + of) & (1 << (index % 32)) != 0;
        let named = names[12..].chunks_exact(STRING_LEN).take(count as usize).enumerate();
        Ok(named
            .map(|(i, name)| (string(name), Feature { on: bit(i, 2), fixed: bit(i, 3) || !bit(i, 0) }))
            .collect())
    }

    /// The answer to a request whose answer has one length.
    fn fixed(&self, command: u32, argument: u32) -> io::Result<Vec<u8>> {
        let mut payload = request(command, argument, 0);
        self.ask(&mut payload)?;
        Ok(payload)
    }

    /// Lets the kernel answer in place. `payload` is made by [`request`], and has room for what the command answers.
    fn ask(&self, payload: &mut [u8]) -> io::Result<()> {
        let data = libc::__c_anonymous_ifr_ifru { ifru_data: payload.as_mut_ptr().cast() };
        let mut request = libc::ifreq { ifr_name: self.name, ifr_ifru: data };
        // SAFETY: the request is one `ifreq` whose data is writable through the call and at least as long as the answers
        // of one length; the callers make room for what comes behind, in the lengths that the kernel itself told.
        let outcome = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// A command with its first argument, and room for its answer and `more` bytes behind it.
fn request(command: u32, argument: u32, more: usize) -> Vec<u8> {
    let mut payload = vec![0; FIXED_LEN + more];
    payload[..4].copy_from_slice(&command.to_ne_bytes());
    payload[4..8].copy_from_slice(&argument.to_ne_bytes());
    payload
}

/// The 32-bit number at the place of that index.
fn word(bytes: &[u8], index: usize) -> u32 {
    bytes.get(index * 4..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_ne_bytes(*word))
}

/// The text before the first NUL.
fn string(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_tells_its_features() {
        let features = Device::named("lo").unwrap().features().unwrap();
        let feature = |name: &str| *features.get(name).unwrap_or_else(|| panic!("{name} in {features:?}"));
        assert!(features.len() > 30, "{features:?}");
        assert!(feature("rx-gro").on || !feature("rx-gro").fixed, "GRO is software, and can be switched");
        assert_eq!(
            feature("rx-lro"),
            Feature { on: false, fixed: true },
            "nothing is received there by hardware"
        );
    }

    #[test]
    fn what_a_device_does_not_have_is_an_error_and_no_guess() {
        let device = Device::named("lo").unwrap();
        for error in [device.receive_ring().unwrap_err(), device.hash().unwrap_err()] {
            assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
        }
    }

    #[test]
    fn names_that_no_interface_can_have_are_no_device() {
        let error = |name: &str| Device::named(name).and_then(|device| device.features()).unwrap_err();
        for name in ["no-such-device", "a-name-beyond-the-fifteen-bytes"] {
            assert_eq!(error(name).raw_os_error(), Some(libc::ENODEV), "{name}");
        }
    }

    #[test]
    fn numbers_and_texts_beyond_the_answer_are_nothing() {
        assert_eq!(word(&7_u32.to_ne_bytes(), 0), 7);
        assert_eq!(word(&[1, 2, 3], 0), 0);
        assert_eq!(word(&[0; 8], 2), 0);
        assert_eq!(string(b"veth\0rest"), "veth");
        assert_eq!(string(b"whole"), "whole");
    }
}
