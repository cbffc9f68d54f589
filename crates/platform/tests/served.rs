//! The platform as its users meet it: handed acts by HTTP, asked, stopped and started again.
//!
//! Each test makes a world with its journal in a file; [`postgres`] runs all of them once more on a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that unwraps fails with a place and a cause")]

#[path = "served/accessible.rs"]
mod accessible;
#[path = "served/backups.rs"]
mod backups;
#[path = "served/browser.rs"]
mod browser;
#[path = "served/ceremony.rs"]
mod ceremony;
#[path = "served/complaints.rs"]
mod complaints;
#[path = "served/described.rs"]
mod described;
#[path = "served/doors.rs"]
mod doors;
#[path = "served/erasure.rs"]
mod erasure;
#[path = "served/exercises.rs"]
mod exercises;
#[path = "served/exports.rs"]
mod exports;
#[path = "served/files.rs"]
mod files;
#[path = "served/hearings.rs"]
mod hearings;
#[path = "served/inquiries.rs"]
mod inquiries;
#[path = "served/intake.rs"]
mod intake;
#[path = "served/life.rs"]
mod life;
#[path = "served/officers.rs"]
mod officers;
#[path = "served/portal.rs"]
mod portal;
#[path = "served/postgres.rs"]
mod postgres;
#[path = "served/restarts.rs"]
mod restarts;
#[path = "served/several.rs"]
mod several;
#[path = "served/witnesses.rs"]
mod witnesses;
#[path = "served/world.rs"]
mod world;
