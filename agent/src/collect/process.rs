//! The agent itself: CPU time, memory, open files, from /proc/self.

use plimsoll_exporters::{Metric, Reading};

/// What the agent uses now; what cannot be read is left out.
pub fn read() -> Vec<Reading> {
    let mut out = Vec::with_capacity(4);
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // the second field is the name, in brackets, and may itself hold brackets and blanks
    let fields: Vec<u64> =
        stat.rsplit(')').next().unwrap_or("").split_ascii_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
    if let (Some(user), Some(system), Some(start)) = (fields.get(11), fields.get(12), fields.get(19)) {
        out.push(Reading::scalar(Metric::ProcessCpu, &[], (user + system) as f64 / TICKS));
        out.extend(boot_time().map(|boot| Reading::scalar(Metric::ProcessStart, &[], boot + *start as f64 / TICKS)));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    out.extend(resident.map(|kib| Reading::scalar(Metric::ProcessResident, &[], (kib * 1024) as f64)));
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        out.push(Reading::scalar(Metric::ProcessFds, &[], open.count() as f64));
    }
    out
}

/// USER_HZ: 100 on every Linux that programs see.
const TICKS: f64 = 100.0;

fn boot_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let readings = read();
        assert_eq!(readings.len(), 4);
        assert!(
            readings
                .iter()
                .all(|reading| matches!(reading.value, plimsoll_exporters::ReadingValue::Scalar(v) if v >= 0.0))
        );
    }
}
