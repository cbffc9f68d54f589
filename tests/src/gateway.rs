//! The gateway as its operator meets it: a configuration checked, an interface listened on, pages asked for.

mod bad_luck;
mod booted;
mod bridge;
mod check;
mod doctor;
mod enforce;
mod failures;
mod following;
mod frozen;
mod live;
mod network;
mod nftables;
mod overload;
mod page;
mod prometheus;
pub(crate) mod running;
mod sandbox;
mod supervised;
mod telling;
mod top;
mod traffic;
mod upgrade;
