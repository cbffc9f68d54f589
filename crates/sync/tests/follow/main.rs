//! Following a feed, as a publisher with a whole world behind it puts it out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod asked;
mod attacks;
mod bucket;
mod rounds;
mod rows;
mod stage;
mod ways;
mod witnesses;
