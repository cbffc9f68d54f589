//! A bar on standard error while captures are read, where that is a terminal.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use credence_engine::{Engine, Own};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::outputs::is_standard;

/// How often the bar is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// With a length: how far through the files.
const BAR: &str = "{percent:>3} % {wide_bar} {frames} frames, {rate}/s, {eta} left";
/// Without one: standard input or a pipe is read.
const SPINNER: &str = "{spinner} {frames} frames, {rate}/s, {elapsed}";

/// A bar over the bytes of `captures`, with the frames that `engine` has received; a hidden one where standard error is no
/// terminal. It moves as the files are read through [`ProgressBar::wrap_read`].
pub(crate) fn over(captures: &[PathBuf], engine: &Engine) -> ProgressBar {
    let length = total_len(captures);
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    if bar.is_hidden() {
        return bar;
    }
    let counters: Arc<[Arc<Own>]> = engine.counters().cloned().collect();
    let received = move || counters.iter().map(|own| own.received.value()).sum::<u64>();
    let counted = received.clone();
    let frames = move |_: &ProgressState, out: &mut dyn Write| {
        let _ = write!(out, "{}", HumanCount(counted()));
    };
    let rate = move |state: &ProgressState, out: &mut dyn Write| {
        let per_s = received() as f64 / state.elapsed().as_secs_f64().max(0.001);
        let _ = write!(out, "{}", HumanCount(per_s as u64));
    };
    let template = if length.is_some() { BAR } else { SPINNER };
    let style = ProgressStyle::with_template(template).expect("the templates here are valid");
    bar.set_style(style.with_key("frames", frames).with_key("rate", rate));
    bar.enable_steady_tick(TICK);
    bar
}

/// The bytes of all captures, when they are files.
fn total_len(captures: &[PathBuf]) -> Option<u64> {
    let len = |path: &PathBuf| match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Some(metadata.len()),
        // What cannot be read takes no time.
        Err(_) if !is_standard(path) => Some(0),
        _ => None,
    };
    captures.iter().map(len).sum()
}
