//! From facts to findings: pure functions, which know what is good for credence and what mends the rest.

pub(super) mod host;
pub(super) mod interface;
