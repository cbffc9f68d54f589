//! The gateway as its operator meets it: a configuration checked, an interface listened on, pages asked for.

mod bad_luck;
mod booted;
mod bridge;
mod check;
mod doctor;
mod enforce;
mod failures;
mod fed;
mod following;
mod frozen;
mod live;
mod million;
mod network;
mod nftables;
mod overload;
mod page;
mod prometheus;
mod quarantine;
mod returned;
pub(crate) mod running;
mod sandbox;
mod soon;
mod supervised;
mod telling;
mod top;
mod traffic;
mod upgrade;
