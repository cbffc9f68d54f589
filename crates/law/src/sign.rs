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
#[derive(Clone, Debug)]
pub struct Signed {
    bytes: Vec<u8>,
    signatures: Vec<Signature>,
    /// The keys by which signatures were found good ahead, in their order.
    matched: Vec<Option<VerifyingKey>>,
}

/// What was found out of signatures is no part of them.
impl PartialEq for Signed {
    fn eq(&self, other: &Self) -> bool {
        (&self.bytes, &self.signatures) == (&other.bytes, &other.signatures)
    }
}

impl Eq for Signed {}

/// One signature.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    key: KeyId,
    value: [u8; 64],
}

impl Signed {
    /// The bytes, signed with each of these keys.
    pub fn with<'k>(bytes: Vec<u8>, keys: impl IntoIterator<Item = &'k SigningKey>) -> Self {
        let mut signed = Self { bytes, signatures: Vec::new(), matched: Vec::new() };
        keys.into_iter().for_each(|key| signed.sign(key));
        signed
    }

    /// Adds the signature of a key, if it has not signed yet.
    pub fn sign(&mut self, key: &SigningKey) {
        let id = KeyId::of(key.verifying_key().as_bytes());
        if let Err(place) = self.signatures.binary_search_by_key(&id, |signature| signature.key) {
            let value = key.sign(&self.bytes).to_bytes();
            self.signatures.insert(place, Signature { key: id, value });
            self.matched.clear();
        }
    }

    /// Adds what others have signed of the same bytes, of each key the signature that is here already. Whether they are the same.
    pub fn join(&mut self, others: &Self) -> bool {
        if self.bytes != others.bytes {
            return false;
        }
        for signature in &others.signatures {
            if let Err(place) = self.signatures.binary_search_by_key(&signature.key, |known| known.key) {
                self.signatures.insert(place, signature.clone());
                self.matched.clear();
            }
        }
        true
    }

    /// The signed bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whose signatures it claims to have. To be asked first: looking a key up costs less than a signature by it.
    pub fn claims(&self) -> impl Iterator<Item = KeyId> {
        self.signatures.iter().map(|signature| signature.key)
    }

    /// Checks signatures ahead, by the keys that `public` knows. It costs what [`verify`](Self::verify) would, can be done for many
    /// objects at once before it is known which rules they are under, and changes no answer: one that matches is not checked again
    /// by the very same key.
    pub fn look_ahead(&mut self, public: impl Fn(KeyId) -> Option<VerifyingKey>) {
        let matched =
            |signature: &Signature| public(signature.key).filter(|key| self.matches(signature, key));
        self.matched = self.signatures.iter().map(matched).collect();
    }

    fn matches(&self, signature: &Signature, key: &VerifyingKey) -> bool {
        key.verify_strict(&self.bytes, &Ed25519::from_bytes(&signature.value)).is_ok()
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
        for (place, (key, signer)) in known.into_iter().enumerate() {
            let is_known = self.matched.get(place) == Some(&Some(key));
            if !is_known && !self.matches(&self.signatures[place], &key) {
                return Err(Refusal::BadSignature);
            }
            signers.push(signer);
        }
        Ok(signers)
    }

    /// How many of these keys have signed; signatures of other keys, and wrong ones, are passed over.
    pub fn count(&self, keys: &BTreeMap<KeyId, VerifyingKey>) -> usize {
        let matches =
            |signature: &&Signature| keys.get(&signature.key).is_some_and(|key| self.matches(signature, key));
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
        Ok(Self { bytes, signatures, matched: Vec::new() })
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
    fn what_several_sign_apart_is_as_if_they_had_signed_together() {
        let [one, two, both] = [&[1][..], &[2], &[1, 2]]
            .map(|keys| Signed::with(b"it".to_vec(), &keys.iter().map(|it| key(*it)).collect::<Vec<_>>()));
        let mut joined = two.clone();
        assert!(joined.join(&one) && joined.join(&both) && joined.join(&two));
        assert_eq!(joined, both);
        assert!(!joined.join(&Signed::with(b"other".to_vec(), &[key(3)])));
        assert_eq!(signers(&joined, &[1, 2]), Ok(vec![1, 2]));
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

    /// Whatever was looked at ahead, by right keys, by wrong ones or by none, the answer is what it is without.
    #[test]
    fn what_was_looked_at_ahead_changes_no_answer() {
        let public = |numbers: [u8; 2]| {
            move |id| {
                let of = |number: u8| KeyId::of(key(number).verifying_key().as_bytes());
                // Under the name of one key there may be another, in a registry that is not this one.
                let found = [1, 2].into_iter().zip(numbers).find(|(named, _)| of(*named) == id);
                found.filter(|(_, number)| *number > 0).map(|(_, number)| key(number).verifying_key())
            }
        };
        let good = Signed::with(b"what is said".to_vec(), &[key(1), key(2)]);
        let mut forged = good.encode();
        *forged.last_mut().unwrap() ^= 1;
        let forged = Signed::decode(&forged).unwrap();
        let sets = [[0, 0], [1, 0], [0, 2], [1, 2], [1, 3], [3, 2], [2, 1]];
        let mut passed = 0;
        for (signed, ahead, known) in [&good, &forged]
            .into_iter()
            .flat_map(|signed| sets.iter().flat_map(move |a| sets.map(|k| (signed, *a, k))))
        {
            let verify = |signed: &Signed| signed.verify(|id| Some((public(known)(id)?, ())));
            let mut looked = signed.clone();
            looked.look_ahead(public(ahead));
            assert_eq!(verify(&looked), verify(signed), "{ahead:?}, then {known:?}");
            assert_eq!(&looked, signed);
            passed += usize::from(verify(&looked).is_ok());
        }
        assert_eq!(passed, sets.len(), "what is good is so by its keys alone");
        let mut more = good.clone();
        more.look_ahead(public([1, 2]));
        more.sign(&key(3));
        assert_eq!(
            signers(&more, &[1, 2, 3]),
            Ok(vec![1, 2, 3]),
            "places that have moved are looked at anew"
        );
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
        let forged = Signed { bytes: b"anything".to_vec(), signatures: vec![signature], matched: Vec::new() };
        assert_eq!(forged.verify(|_| Some((public, ()))), Err(Refusal::BadSignature));
    }
}
