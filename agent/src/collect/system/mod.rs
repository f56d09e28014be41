//! CPU, memory, pressure, network, disk of the pod: the cgroup files where there is a limit, else the host.

mod cgroup;
mod host;
mod pressure;

use std::path::{Path, PathBuf};
use std::time::Instant;

use plimsoll_exporters::{Metric, Reading};
use serde::Serialize;

pub use cgroup::{Cgroup, CgroupVersion};
use host::Host;

/// Where the kernel's files are; tests put their own there.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `/proc`
    pub proc: PathBuf,
    /// `/sys/fs/cgroup`
    pub cgroup: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), cgroup: "/sys/fs/cgroup".into() }
    }
}

/// Reads the system; keeps what it needs to turn counters into ratios.
#[derive(Debug)]
pub struct System {
    roots: Roots,
    cgroup: Option<Cgroup>,
    host: Host,
    /// The last reading of the CPU time.
    before: Option<CpuReading>,
}

/// CPU seconds used, and of what.
#[derive(Clone, Copy, Debug)]
struct CpuReading {
    used: f64,
    at: Instant,
    /// Of the cgroup, else of the host: two counters that must not be subtracted from each other.
    limited: bool,
}

/// What `plimsoll probe` says of the system.
#[derive(Clone, Debug, Serialize)]
pub struct SystemInfo {
    /// Which cgroup version limits us, if any.
    pub cgroup: Option<CgroupVersion>,
    /// Its folder.
    pub cgroup_path: Option<PathBuf>,
    /// CPU cores that utilization refers to.
    pub cpu_limit_cores: f64,
    /// Whether that is a cgroup limit (else the host's cores).
    pub cpu_limited: bool,
    /// Memory in bytes that utilization refers to.
    pub memory_limit_bytes: u64,
    /// Whether that is a cgroup limit (else the host's memory).
    pub memory_limited: bool,
    /// Whether the kernel gives pressure figures (PSI).
    pub pressure: bool,
}

impl System {
    /// Reads the cgroup at `wanted`, or finds one when it is `auto`: the pod's where it is visible, else our own.
    pub fn new(wanted: &str, roots: Roots) -> Self {
        let cgroup = match wanted {
            "auto" => Cgroup::find(&roots.proc.join("self/cgroup"), &roots.cgroup),
            path => Cgroup::open(Path::new(path)),
        };
        if cgroup.is_none() && wanted != "auto" {
            tracing::warn!(path = wanted, "no cgroup there; CPU and memory are the host's");
        }
        Self { host: Host::new(&roots.proc), roots, cgroup, before: None }
    }

    /// What is here.
    pub fn info(&mut self) -> SystemInfo {
        self.host.refresh();
        let (cpu, memory) = (self.cpu_limit(), self.memory_limit());
        SystemInfo {
            cgroup: self.cgroup.as_ref().map(Cgroup::version),
            cgroup_path: self.cgroup.as_ref().map(|c| c.path().to_path_buf()),
            cpu_limit_cores: cpu.unwrap_or(self.host.cores()),
            cpu_limited: cpu.is_some(),
            memory_limit_bytes: memory.unwrap_or(self.host.memory_total()),
            memory_limited: memory.is_some(),
            pressure: !self.pressure().is_empty(),
        }
    }

    /// Everything there is to read now. The first reading has no CPU utilization: that takes two.
    ///
    /// # Errors
    /// Neither the cgroup nor the host can be read.
    pub fn read(&mut self, now: Instant) -> Result<Vec<Reading>, String> {
        self.host.refresh();
        let mut out = Vec::with_capacity(32);
        self.cpu(now, &mut out)?;
        self.memory(&mut out);
        for (resource, kind, seconds) in self.pressure() {
            out.push(Reading::scalar(Metric::PressureStall, &[resource, kind], seconds));
        }
        self.host.network(&mut out);
        self.host.disks(&mut out);
        Ok(out)
    }

    /// The cgroup's CPU limit in cores, if it is below the host's.
    fn cpu_limit(&self) -> Option<f64> {
        self.cgroup.as_ref()?.cpu_limit_cores().filter(|limit| *limit < self.host.cores())
    }

    fn memory_limit(&self) -> Option<u64> {
        self.cgroup.as_ref()?.memory_limit_bytes().filter(|limit| *limit < self.host.memory_total())
    }

    fn cpu(&mut self, now: Instant, out: &mut Vec<Reading>) -> Result<(), String> {
        let limit = self.cpu_limit();
        let used = match (&self.cgroup, limit) {
            (Some(cgroup), Some(_)) => cgroup.cpu_used_seconds(),
            _ => self.host.cpu_used_seconds(),
        };
        let used = used.ok_or("CPU time cannot be read, neither of the cgroup nor of the host")?;
        let cores = limit.unwrap_or(self.host.cores());
        let reading = CpuReading { used, at: now, limited: limit.is_some() };
        if let Some(before) = self.before.replace(reading) {
            let wall = now.saturating_duration_since(before.at).as_secs_f64();
            if wall > 0.0 && used >= before.used && before.limited == reading.limited {
                // clocks of the two counters differ by a tick: never above all of it
                out.push(Reading::scalar(Metric::CpuUtilization, &[], ((used - before.used) / wall / cores).min(1.0)));
            }
        }
        out.push(Reading::scalar(Metric::CpuLimitCores, &[], cores));
        if let Some(seconds) = self.cgroup.as_ref().and_then(Cgroup::throttled_seconds) {
            out.push(Reading::scalar(Metric::CpuThrottled, &[], seconds));
        }
        Ok(())
    }

    fn memory(&self, out: &mut Vec<Reading>) {
        let limit = self.memory_limit();
        let used = match (&self.cgroup, limit) {
            (Some(cgroup), Some(_)) => cgroup.memory_used_bytes(),
            _ => Some(self.host.memory_used()),
        };
        let limit = limit.unwrap_or(self.host.memory_total());
        if let Some(used) = used.filter(|_| limit > 0) {
            out.push(Reading::scalar(Metric::MemoryUsed, &[], used as f64));
            out.push(Reading::scalar(Metric::MemoryUtilization, &[], used as f64 / limit as f64));
        }
        out.push(Reading::scalar(Metric::MemoryLimit, &[], limit as f64));
        if let Some(kills) = self.cgroup.as_ref().and_then(Cgroup::oom_kills) {
            out.push(Reading::scalar(Metric::OomKills, &[], kills as f64));
        }
    }

    fn pressure(&self) -> Vec<(&'static str, &'static str, f64)> {
        let folder = self.cgroup.as_ref().and_then(Cgroup::pressure_folder);
        let own = folder.map(|folder| pressure::read(&folder, ".pressure")).unwrap_or_default();
        if own.is_empty() { pressure::read(&self.roots.proc.join("pressure"), "") } else { own }
    }
}

#[cfg(test)]
mod tests;
