//! Following a feed, as a publisher with a whole world behind it puts it out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod amended;
mod anchors;
mod asked;
mod bucket;
mod bus;
mod deceit;
mod disk;
mod epoch;
mod files;
mod heads;
mod issuers;
mod laggards;
mod mirrors;
mod mutants;
mod rounds;
mod rows;
mod since;
mod stage;
mod suite;
mod turns;
mod ways;
mod witnesses;
