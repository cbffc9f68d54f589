//! What the kernel tells of this process, under the names that are usual for every process.

use std::fs;
use std::time::Duration;

use credence_engine::metrics::Process;
use rustix::param::{clock_ticks_per_second, page_size};

/// What the metrics page says of this process, as far as the kernel tells; 0 where it does not.
pub(super) fn process() -> Process {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    Process {
        cpu: cpu_time(&stat, clock_ticks_per_second()).unwrap_or_default(),
        resident_bytes: resident_pages(&statm).unwrap_or_default() * page_size() as u64,
        open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
    }
}

/// Processor time of a process in user and kernel mode, by `/proc/PID/stat` (proc_pid_stat(5), fields 14 and 15).
fn cpu_time(stat: &str, ticks_per_s: u64) -> Option<Duration> {
    // The name of the program stands in brackets and may hold anything, spaces and brackets included.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = fields.next()?.ok()?.checked_add(fields.next()?.ok()?)?;
    Some(Duration::from_secs_f64(ticks as f64 / ticks_per_s as f64))
}

/// Pages of a process that are in memory, by `/proc/PID/statm` (proc_pid_statm(5), the second field).
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_whatever_name_a_program_has() {
        let behind = " S 1 7 7 0 -1 4194560 100 0 3 0 250 175 1 2 20 0 1 0 99 1000 200";
        for name in ["credence", "a b) S 1 (c", ")", ""] {
            let stat = format!("7 ({name}){behind}");
            assert_eq!(cpu_time(&stat, 100), Some(Duration::from_millis(4_250)), "{stat}");
        }
        for stat in
            ["", "7 (a)", "7 (a) S 1 7 7 0 -1 4194560 100 0 3 0 250", "7 (a) S 1 7 7 0 -1 0 1 0 3 0 x y"]
        {
            assert_eq!(cpu_time(stat, 100), None, "{stat}");
        }
        assert_eq!(
            (resident_pages("900 300 5 1 0 2 0"), resident_pages("900"), resident_pages("")),
            (Some(300), None, None)
        );
    }

    #[test]
    fn this_very_process_has_memory_and_open_files() {
        let process = process();
        assert!(process.resident_bytes > 1 << 20 && process.open_files >= 3, "{process:?}");
    }
}
