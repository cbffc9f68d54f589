//! What the project's benches share: how they measure, and what they measure on.
//!
//! Each bench is a file in `benches/` with stable ids, `subject/stream/size/implementation`, so that a filter such as
//! `cargo bench --bench lookup -- lookup/hit/1m` picks what to run. Others' implementations stand beside the project's
//! own in the same run: on a shared machine only their ratio means something.

pub mod frames;
pub mod prefixes;
pub mod random;
pub mod workload;

use core::time::Duration;

use criterion::Criterion;

/// Whether only to show that the benches run: the environment variable `CREDENCE_BENCH_SMOKE` is `1`. A bench then
/// takes its smallest input and a second or two.
pub fn smoke() -> bool {
    std::env::var_os("CREDENCE_BENCH_SMOKE").is_some_and(|value| value == "1")
}

/// Whether to measure what takes gigabytes and minutes as well: the environment variable `CREDENCE_BENCH_LARGE` is `1`.
pub fn large() -> bool {
    std::env::var_os("CREDENCE_BENCH_LARGE").is_some_and(|value| value == "1")
}

/// The settings of all benches; options of the command line go before them.
pub fn criterion() -> Criterion {
    let criterion = if smoke() {
        Criterion::default()
            .sample_size(10)
            .warm_up_time(Duration::from_millis(100))
            .measurement_time(Duration::from_millis(200))
    } else {
        Criterion::default()
            .sample_size(30)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_millis(1200))
    };
    criterion.configure_from_args()
}
