//! How values stand in the spool's JSON: prefixes as text, identities as hexadecimal digits.

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

/// An act's identity as hexadecimal digits.
pub(super) mod id {
    use credence_credit::ActId;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(id: &ActId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ActId, D::Error> {
        hex::deserialize(from).map(ActId)
    }
}
