//! Addresses in outputs that are to be shown to others: prefix-preserving, keyed, one to one.

use std::net::{IpAddr, Ipv6Addr};

use ipcrypt_rs::IpcryptPfx;

/// Replaces addresses so that two of them share as many leading bits as before (ipcrypt-pfx; Crypto-PAn, Xu et al. 2002).
/// Who has the key can reverse it.
pub struct Anonymiser(IpcryptPfx);

impl Anonymiser {
    /// An anonymiser with this key.
    ///
    /// # Errors
    /// When both halves of the key are the same: they are the keys of two ciphers that must differ.
    pub fn new(key: [u8; 32]) -> Result<Self, WeakKey> {
        if key[..16] == key[16..] { Err(WeakKey) } else { Ok(Self(IpcryptPfx::new(key))) }
    }

    /// What stands for `addr`.
    pub fn address(&self, addr: u128) -> u128 {
        match self.0.encrypt_ipaddr(IpAddr::V6(Ipv6Addr::from(addr))) {
            IpAddr::V6(shown) => shown.to_bits(),
            // An IPv4-mapped address may come out as IPv4.
            IpAddr::V4(shown) => shown.to_ipv6_mapped().to_bits(),
        }
    }
}

/// The halves of a key are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the two halves of the key are the same; make a key of 32 random bytes")]
pub struct WeakKey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_equal_halves_is_refused() {
        assert_eq!(Anonymiser::new([7; 32]).err(), Some(WeakKey));
    }

    #[test]
    fn neighbours_stay_neighbours_and_nobody_keeps_an_address() {
        let anonymiser =
            Anonymiser::new(std::array::from_fn(|i| u8::try_from(i).expect("small"))).expect("a good key");
        let base = 0x2001_0db8_0001_0002_u128 << 64;
        for common in 0..128_u32 {
            let (a, b) = (base, base ^ 1 << (127 - common));
            let (x, y) = (anonymiser.address(a), anonymiser.address(b));
            assert_eq!((x ^ y).leading_zeros(), common);
        }
        assert_ne!(anonymiser.address(base), base);
    }
}
