//! What operators deploy beside the program: the unit of systemd, the rules of Prometheus, the dashboards of Grafana.

pub(crate) mod dashboards;
pub(crate) mod programs;
mod prometheus;
pub(crate) mod unit;

use std::fs;
use std::path::PathBuf;

use crate::binary::root;

/// The path of a file in `deploy`.
pub(crate) fn deployed(name: &str) -> PathBuf {
    root().join("deploy").join(name)
}

/// The text of a file in `deploy`.
#[track_caller]
pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(deployed(name)).unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}
