//! How values stand in the spool's JSON: prefixes as text, bytes as hexadecimal digits.

/// A prefix as text.
pub(super) mod prefix {
    use credence_prefix::Prefix;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(prefix: &Prefix, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(prefix)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Prefix, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Bytes as hexadecimal digits.
pub(super) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: impl AsRef<[u8]>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::digits(bytes.as_ref()))
    }

    pub(crate) fn deserialize<'de, D, T>(from: D) -> Result<T, D::Error>
    where
        D: Deserializer<'de>,
        T: TryFrom<Vec<u8>>,
    {
        let bytes = super::bytes(&String::deserialize(from)?);
        let value = bytes.and_then(|bytes| T::try_from(bytes).ok());
        value.ok_or_else(|| D::Error::custom("these are not the hexadecimal digits of such a value"))
    }
}

/// An act's identity as hexadecimal digits.
pub(super) mod id {
    use credence_credit::ActId;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(id: &ActId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ActId, D::Error> {
        super::hex::deserialize(from).map(ActId)
    }
}

/// Bytes as hexadecimal digits, lower case.
pub(super) fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits.
pub(super) fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = digits.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_back_and_nothing_else_is() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&digits(&all)), Some(all));
        assert_eq!(bytes(""), Some(Vec::new()));
        for wrong in ["0", "0g", "000", "é", "0 "] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
