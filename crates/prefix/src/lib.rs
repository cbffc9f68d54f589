//! Longest-prefix match over IPv6, published to readers that never wait.

mod prefix;

pub use prefix::{Prefix, PrefixError};
