//! The host's own figures: CPU time from /proc/stat, the rest through sysinfo.

use std::path::{Path, PathBuf};

use plimsoll_exporters::{Metric, Reading};
use sysinfo::{Disks, MemoryRefreshKind, Networks};

/// Most interfaces and mounts shown: a node may have hundreds of virtual ones.
const MOST: usize = 16;

/// File systems that are not disks.
const PSEUDO: [&str; 8] = ["overlay", "tmpfs", "devtmpfs", "squashfs", "proc", "sysfs", "cgroup", "cgroup2"];

#[derive(Debug)]
pub(super) struct Host {
    stat: PathBuf,
    /// `None` where sysinfo cannot read this machine: its figures are then left out.
    system: Option<sysinfo::System>,
    networks: Option<Networks>,
    disks: Option<Disks>,
    cores: f64,
}

impl Host {
    pub(super) fn new(proc: &Path) -> Self {
        let stat = proc.join("stat");
        Self {
            cores: cores_in(&stat),
            stat,
            system: sysinfo::System::new().ok(),
            networks: Networks::new_with_refreshed_list().ok(),
            disks: Disks::new_with_refreshed_list().ok(),
        }
    }

    pub(super) fn refresh(&mut self) {
        if let Some(system) = &mut self.system {
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        }
        self.networks.iter_mut().for_each(|networks| networks.refresh(true));
        self.disks.iter_mut().for_each(|disks| disks.refresh(true));
    }

    pub(super) fn cores(&self) -> f64 {
        self.cores
    }

    pub(super) fn memory_total(&self) -> u64 {
        self.system.as_ref().map_or(0, sysinfo::System::total_memory)
    }

    /// Total less what the kernel calls available.
    pub(super) fn memory_used(&self) -> u64 {
        self.system.as_ref().map_or(0, |system| system.total_memory().saturating_sub(system.available_memory()))
    }

    /// Seconds that all cores together were busy since boot; waiting for I/O and time stolen by the hypervisor is idle.
    pub(super) fn cpu_used_seconds(&self) -> Option<f64> {
        let text = std::fs::read_to_string(&self.stat).ok()?;
        let ticks: Vec<u64> =
            text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().map_while(|n| n.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal
        let [user, nice, system, _, _, irq, softirq, ..] = ticks.as_slice() else { return None };
        Some((user + nice + system + irq + softirq) as f64 / 100.0)
    }

    pub(super) fn network(&self, out: &mut Vec<Reading>) {
        let mut list: Vec<_> = self.networks.iter().flatten().filter(|(name, _)| *name != "lo").collect();
        list.sort_by_key(|(name, _)| *name);
        for (name, data) in list.into_iter().take(MOST) {
            let name = &*name.to_string_lossy();
            out.push(Reading::scalar(Metric::NetworkReceive, &[name], data.total_received() as f64));
            out.push(Reading::scalar(Metric::NetworkTransmit, &[name], data.total_transmitted() as f64));
        }
    }

    pub(super) fn disks(&self, out: &mut Vec<Reading>) {
        let real = |disk: &&sysinfo::Disk| {
            disk.total_space() > 0 && !PSEUDO.iter().any(|name| disk.file_system().eq_ignore_ascii_case(name))
        };
        let mut seen: Vec<&Path> = Vec::new();
        for disk in self.disks.iter().flatten().filter(real) {
            if seen.contains(&disk.mount_point()) || seen.len() >= MOST {
                continue;
            }
            seen.push(disk.mount_point());
            let mount = disk.mount_point().display().to_string();
            let used = disk.total_space().saturating_sub(disk.available_space());
            out.push(Reading::scalar(Metric::DiskUsed, &[&mount], used as f64));
            out.push(Reading::scalar(Metric::DiskSize, &[&mount], disk.total_space() as f64));
        }
    }
}

/// The host's cores: the `cpuN` lines. `available_parallelism` will not do, it is itself cut down by a cgroup's quota.
fn cores_in(stat: &Path) -> f64 {
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    let is_core =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    text.lines().filter(is_core).count().max(1) as f64
}
