//! Bytes and who signed them.

use std::collections::BTreeMap;

use ed25519_dalek::{Signature as Ed25519, Signer, SigningKey, VerifyingKey};

use crate::layout::{DecodeError, Fault, Input, Layout, in_order};
use crate::party::KeyId;
use crate::refusal::Refusal;

/// The most signatures of one object: one of each member of a registry and some to spare.
pub const SIGNATURES_MAX: usize = 1_024;
/// The largest object, in bytes: a registry of a thousand members with their holdings takes a quarter of it.
pub const BYTES_MAX: usize = 1 << 24;

/// An object's bytes with their signatures, as it travels.
///
/// The layout: the bytes' length in four bytes, the bytes, the number of signatures in two, and of each the name of its key in
/// 16 bytes and the signature in 64, in the order of names, each once. What is signed are the bytes as they stand, after RFC
/// 8032 section 5.1; they begin with what kind of object they are and of which world, so that a signature means nothing anywhere
/// else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    bytes: Vec<u8>,
    signatures: Vec<Signature>,
}

/// One signature.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    key: KeyId,
    value: [u8; 64],
}

impl Signed {
    /// The bytes, signed with each of these keys.
    pub fn with<'k>(bytes: Vec<u8>, keys: impl IntoIterator<Item = &'k SigningKey>) -> Self {
        let mut signed = Self { bytes, signatures: Vec::new() };
        keys.into_iter().for_each(|key| signed.sign(key));
        signed
    }

    /// Adds the signature of a key, if it has not signed yet.
    pub fn sign(&mut self, key: &SigningKey) {
        let id = KeyId::of(key.verifying_key().as_bytes());
        if let Err(place) = self.signatures.binary_search_by_key(&id, |signature| signature.key) {
            let value = key.sign(&self.bytes).to_bytes();
            self.signatures.insert(place, Signature { key: id, value });
        }
    }

    /// The signed bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whose signatures it claims to have. To be asked first: looking a key up costs less than a signature by it.
    pub fn claims(&self) -> impl Iterator<Item = KeyId> {
        self.signatures.iter().map(|signature| signature.key)
    }

    /// Checks every signature, by the public keys that `public` knows, and returns what `public` says of their keys.
    ///
    /// Signatures are checked after RFC 8032 with the cofactorless equation, and neither keys nor signatures of small order
    /// pass, so that no two programs disagree.
    ///
    /// # Errors
    /// When there is no signature, a key is not known, or a signature does not match: one that is wrong makes all worthless.
    pub fn verify<T>(
        &self,
        mut public: impl FnMut(KeyId) -> Option<(VerifyingKey, T)>,
    ) -> Result<Vec<T>, Refusal> {
        if self.signatures.is_empty() {
            return Err(Refusal::Unsigned);
        }
        let known: Vec<_> =
            self.claims().map(|key| public(key).ok_or(Refusal::UnknownKey)).collect::<Result<_, _>>()?;
        let mut signers = Vec::with_capacity(known.len());
        for (signature, (key, signer)) in self.signatures.iter().zip(known) {
            let value = Ed25519::from_bytes(&signature.value);
            key.verify_strict(&self.bytes, &value).map_err(|_| Refusal::BadSignature)?;
            signers.push(signer);
        }
        Ok(signers)
    }

    /// How many of these keys have signed; signatures of other keys, and wrong ones, are passed over.
    pub fn count(&self, keys: &BTreeMap<KeyId, VerifyingKey>) -> usize {
        let matches = |signature: &&Signature| {
            let value = Ed25519::from_bytes(&signature.value);
            keys.get(&signature.key).is_some_and(|key| key.verify_strict(&self.bytes, &value).is_ok())
        };
        self.signatures.iter().filter(matches).count()
    }

    /// Its bytes, as it travels.
    pub fn encode(&self) -> Vec<u8> {
        self.to_bytes()
    }

    /// Reads what [`encode`](Self::encode) has written. Nothing is checked yet but the shape.
    ///
    /// # Errors
    /// When the bytes have another shape.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_bytes(bytes)
    }
}

impl Layout for Signature {
    fn put(&self, out: &mut Vec<u8>) {
        self.key.put(out);
        self.value.put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self { key: KeyId::take(input)?, value: input.array()? })
    }
}

impl Layout for Signed {
    fn put(&self, out: &mut Vec<u8>) {
        (self.bytes.len() as u32).put(out);
        out.extend_from_slice(&self.bytes);
        self.signatures.put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let len = input.checked(|len: u32| {
            if len as usize <= BYTES_MAX { Ok(len as usize) } else { Err(Fault::Number(len.into())) }
        })?;
        let bytes = input.bytes(len)?.to_vec();
        let signatures = input.checked(|signatures: Vec<Signature>| {
            in_order(&signatures, |signature| signature.key)?;
            if signatures.len() <= SIGNATURES_MAX {
                Ok(signatures)
            } else {
                Err(Fault::Number(signatures.len() as u64))
            }
        })?;
        Ok(Self { bytes, signatures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> SigningKey {
        SigningKey::from_bytes(&[number; 32])
    }

    /// Checks by the keys of these numbers, and says which signed.
    fn signers(signed: &Signed, known: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut signers = signed.verify(|id| {
            let found = known.iter().map(|&number| (key(number).verifying_key(), number));
            found.into_iter().find(|(public, _)| KeyId::of(public.as_bytes()) == id)
        })?;
        signers.sort_unstable();
        Ok(signers)
    }

    #[test]
    fn each_key_signs_once_in_whatever_order() {
        let signed = Signed::with(b"what is said".to_vec(), &[key(1), key(2), key(1)]);
        assert_eq!(signed, Signed::with(b"what is said".to_vec(), &[key(2), key(1)]));
        assert_eq!(signers(&signed, &[1, 2, 3]), Ok(vec![1, 2]));
        assert_eq!(Signed::decode(&signed.encode()), Ok(signed));
    }

    #[test]
    fn one_signature_that_is_unknown_or_wrong_is_one_too_many() {
        let signed = Signed::with(b"what is said".to_vec(), &[key(1), key(2)]);
        assert_eq!(signers(&signed, &[1]), Err(Refusal::UnknownKey));
        assert_eq!(signers(&Signed::with(b"".to_vec(), &[]), &[1]), Err(Refusal::Unsigned));
        let good = signed.encode();
        for place in 4..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[place] ^= 1 << bit;
                let checked = Signed::decode(&bytes).ok().and_then(|signed| signers(&signed, &[1, 2]).ok());
                assert_eq!(checked, None, "bit {bit} of byte {place}");
            }
        }
    }

    /// The points of small order verify anything under the rule that some libraries use.
    #[test]
    fn keys_and_signatures_of_small_order_do_not_pass() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let public = VerifyingKey::from_bytes(&identity).unwrap();
        let mut value = [0; 64];
        value[0] = 1;
        let signature = Signature { key: KeyId::of(&identity), value };
        let forged = Signed { bytes: b"anything".to_vec(), signatures: vec![signature] };
        assert_eq!(forged.verify(|_| Some((public, ()))), Err(Refusal::BadSignature));
    }
}
