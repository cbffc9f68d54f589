//! The gateway as its operator meets it: a configuration checked, an interface listened on, pages asked for.

mod check;
mod live;
mod network;
mod page;
pub(crate) mod running;
