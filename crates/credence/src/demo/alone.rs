//! The tour of a program that was built without the alert platform: there is no circle to show.

use std::sync::mpsc::Sender;

use credence_credit::Published;
use credence_engine::Recorder;
use serde::Serialize;

use super::Scene;

/// There is none.
pub(super) enum Tour {}

/// There is none.
#[derive(Serialize)]
pub(super) enum Circle {}

impl Tour {
    pub(super) fn open(_credit: &Published, _now: u64) -> Option<Self> {
        None
    }

    pub(super) fn introduce(&self) {
        match *self {}
    }

    pub(super) fn listen(&self, _recorder: Recorder) -> Recorder {
        match *self {}
    }

    pub(super) fn show(self, _scene: &Scene<'_>, _say: &Sender<String>) -> anyhow::Result<Circle> {
        match self {}
    }
}
