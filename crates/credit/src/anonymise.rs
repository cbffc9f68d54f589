//! Addresses in outputs that are to be shown to others: prefix-preserving, keyed, one to one.

use std::net::{IpAddr, Ipv6Addr};

use credence_prefix::Prefix;
use ipcrypt_rs::IpcryptPfx;

/// A key for an [`Anonymiser`], of which nobody else may know.
#[derive(Clone)]
pub struct AnonymiserKey([u8; Self::LEN]);

/// Why something is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It has another form.
    #[error("holds no key: 32 bytes or 64 hexadecimal digits are one; `openssl rand -hex 32` makes one")]
    Form,
    /// Its halves are the keys of two ciphers that must differ.
    #[error(
        "holds a key whose halves are equal, which is no secret; `openssl rand -hex 32` makes a good one"
    )]
    Weak,
}

impl AnonymiserKey {
    /// Its length in bytes.
    pub const LEN: usize = 32;
    /// What a file with a key holds at most, in bytes: the hexadecimal form with its line's end.
    pub const FILE_LEN_MAX: usize = 2 * Self::LEN + 2;

    /// The key of these bytes.
    ///
    /// # Errors
    /// When its halves are the same.
    pub fn new(bytes: [u8; Self::LEN]) -> Result<Self, KeyError> {
        if bytes[..Self::LEN / 2] == bytes[Self::LEN / 2..] { Err(KeyError::Weak) } else { Ok(Self(bytes)) }
    }

    /// The key that a file holds: in 32 bytes, or in 64 hexadecimal digits with or without a line's end.
    ///
    /// # Errors
    /// When it holds something else, or a key that is no secret.
    pub fn in_file(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::new(bytes.try_into().ok().or_else(|| of_digits(bytes)).ok_or(KeyError::Form)?)
    }

    /// Its bytes, for whoever derives further secrets from it.
    pub const fn bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

fn of_digits(bytes: &[u8]) -> Option<[u8; AnonymiserKey::LEN]> {
    let mut key = [0; AnonymiserKey::LEN];
    hex::decode_to_slice(bytes.trim_ascii_end(), &mut key).ok()?;
    Some(key)
}

/// Replaces addresses so that two of them share as many leading bits as before (ipcrypt-pfx; Crypto-PAn, Xu et al. 2002).
/// Who has the key can reverse it.
pub struct Anonymiser(IpcryptPfx);

impl Anonymiser {
    /// An anonymiser with this key.
    pub fn new(key: &AnonymiserKey) -> Self {
        Self(IpcryptPfx::new(key.0))
    }

    /// What stands for `addr`.
    pub fn address(&self, addr: u128) -> u128 {
        match self.0.encrypt_ipaddr(IpAddr::V6(Ipv6Addr::from(addr))) {
            IpAddr::V6(shown) => shown.to_bits(),
            // An IPv4-mapped address may come out as IPv4.
            IpAddr::V4(shown) => shown.to_ipv6_mapped().to_bits(),
        }
    }

    /// What stands for a prefix: the block, as long as before, of what stands for its addresses.
    pub fn prefix(&self, prefix: Prefix) -> Prefix {
        Prefix::containing(self.address(prefix.first()), prefix.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymiser() -> Anonymiser {
        Anonymiser::new(&AnonymiserKey::new(std::array::from_fn(|i| i as u8)).unwrap())
    }

    #[test]
    fn keys_come_as_bytes_or_digits() {
        let key: [u8; 32] = std::array::from_fn(|i| i as u8 * 7);
        let digits: String = key.iter().map(|byte| format!("{byte:02X}")).collect();
        for file in [&key[..], digits.as_bytes(), format!("{digits}\r\n").as_bytes()] {
            assert!(file.len() <= AnonymiserKey::FILE_LEN_MAX);
            assert_eq!(AnonymiserKey::in_file(file).map(|key| key.0), Ok(key));
        }
    }

    #[test]
    fn anything_else_is_no_key() {
        for bytes in [&b""[..], &[1; 31], &[1; 33], &[b'a'; 63], &[b'a'; 65], &[b'g'; 64]] {
            assert_eq!(AnonymiserKey::in_file(bytes).err(), Some(KeyError::Form), "{bytes:?}");
        }
        for equal in [&[7; 32][..], &[b'a'; 64]] {
            assert_eq!(AnonymiserKey::in_file(equal).err(), Some(KeyError::Weak));
        }
    }

    #[test]
    fn neighbours_stay_neighbours_and_nobody_keeps_an_address() {
        let anonymiser = anonymiser();
        let base = 0x2001_0db8_0001_0002_u128 << 64;
        for common in 0..128_u32 {
            let (a, b) = (base, base ^ 1 << (127 - common));
            let (x, y) = (anonymiser.address(a), anonymiser.address(b));
            assert_eq!((x ^ y).leading_zeros(), common);
        }
        assert_ne!(anonymiser.address(base), base);
    }

    #[test]
    fn what_lies_in_a_prefix_lies_in_what_stands_for_it() {
        let anonymiser = anonymiser();
        let base = 0x2001_0db8_0001_0002_u128 << 64 | 9;
        for len in 0..=128 {
            let shown = anonymiser.prefix(Prefix::containing(base, len));
            assert_eq!(shown.len(), len);
            assert!(shown.contains(anonymiser.address(base)), "/{len}");
        }
    }
}
