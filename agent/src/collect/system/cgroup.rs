//! The control group that limits us: version 2, or version 1 with its folder per controller.

use std::path::{Path, PathBuf};

use serde::Serialize;

/// Which layout the kernel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupVersion {
    /// One folder for everything.
    V2,
    /// One folder per controller.
    V1,
}

/// A control group whose files can be read.
#[derive(Clone, Debug)]
pub struct Cgroup {
    version: CgroupVersion,
    /// Version 2: the group. Version 1: the group in the memory hierarchy.
    memory: PathBuf,
    /// Version 2: the group. Version 1: the group in the CPU hierarchy.
    cpu: PathBuf,
    /// Version 1: the group in the CPU accounting hierarchy.
    accounting: PathBuf,
    /// Where the hierarchy begins: limits count from here down.
    root: PathBuf,
}

/// Above this a version 1 limit means "none" (the kernel writes the largest page-aligned number).
const NO_LIMIT: u64 = 1 << 60;

impl Cgroup {
    /// The group that limits this process; `/proc/self/cgroup` names it. In a container that path may lie outside what
    /// is mounted: then the mount's own root is the container's group.
    pub(super) fn find(proc_self: &Path, root: &Path) -> Option<Self> {
        let names = std::fs::read_to_string(proc_self).unwrap_or_default();
        if root.join("cgroup.controllers").exists() {
            let own = names.lines().find_map(|line| line.strip_prefix("0::"));
            let group = within(root, own.unwrap_or("/"), "cgroup.controllers");
            return Some(Self::at(CgroupVersion::V2, &group, root));
        }
        let of = |controller: &str, file: &str| {
            let named = names.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let listed = parts.next()?.split(',').any(|name| name == controller);
                listed.then(|| parts.next()).flatten()
            });
            within(&root.join(controller), named.unwrap_or("/"), file)
        };
        let memory = of("memory", "memory.usage_in_bytes");
        let cpu = of("cpu", "cpu.cfs_quota_us");
        let there = memory.join("memory.usage_in_bytes").exists() || cpu.join("cpu.cfs_quota_us").exists();
        let accounting = of("cpuacct", "cpuacct.usage");
        there.then(|| Self { version: CgroupVersion::V1, memory, cpu, accounting, root: root.to_path_buf() })
    }

    fn at(version: CgroupVersion, path: &Path, root: &Path) -> Self {
        Self { version, memory: path.into(), cpu: path.into(), accounting: path.into(), root: root.into() }
    }

    /// The group at `path`, given in the configuration (version 2, or a version 1 memory or CPU folder).
    pub(super) fn open(path: &Path) -> Option<Self> {
        let version = if path.join("cgroup.controllers").exists() || path.join("memory.current").exists() {
            CgroupVersion::V2
        } else if path.join("memory.usage_in_bytes").exists() || path.join("cpu.cfs_quota_us").exists() {
            CgroupVersion::V1
        } else {
            return None;
        };
        Some(Self::at(version, path, path))
    }

    /// Which layout it has.
    pub fn version(&self) -> CgroupVersion {
        self.version
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.memory
    }

    /// The folder that may hold `*.pressure` files.
    pub(super) fn pressure_folder(&self) -> Option<PathBuf> {
        (self.version == CgroupVersion::V2).then(|| self.memory.clone())
    }

    /// The group's folder and those above it, up to the root: the tightest limit of them holds.
    fn chain<'a>(&self, from: &'a Path) -> impl Iterator<Item = &'a Path> {
        let root = self.root.clone();
        from.ancestors().take_while(move |folder| folder.starts_with(&root))
    }

    pub(super) fn cpu_limit_cores(&self) -> Option<f64> {
        let limits = self.chain(&self.cpu).filter_map(|folder| match self.version {
            CgroupVersion::V2 => {
                let text = std::fs::read_to_string(folder.join("cpu.max")).ok()?;
                let (quota, period) = text.trim().split_once(' ')?;
                Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
            }
            CgroupVersion::V1 => {
                let quota = number(&folder.join("cpu.cfs_quota_us")).filter(|quota| *quota > 0)?;
                Some(quota as f64 / number(&folder.join("cpu.cfs_period_us"))? as f64)
            }
        });
        limits.filter(|cores| cores.is_finite() && *cores > 0.0).reduce(f64::min)
    }

    pub(super) fn memory_limit_bytes(&self) -> Option<u64> {
        let file = match self.version {
            CgroupVersion::V2 => "memory.max",
            CgroupVersion::V1 => "memory.limit_in_bytes",
        };
        let limits = self.chain(&self.memory).filter_map(|folder| number(&folder.join(file)));
        limits.filter_map(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0 && *limit < NO_LIMIT).min()
    }

    pub(super) fn cpu_used_seconds(&self) -> Option<f64> {
        match self.version {
            CgroupVersion::V2 => Some(stat(&self.cpu.join("cpu.stat"), "usage_usec")? as f64 / 1e6),
            CgroupVersion::V1 => Some(number(&self.accounting.join("cpuacct.usage"))? as f64 / 1e9),
        }
    }

    pub(super) fn throttled_seconds(&self) -> Option<f64> {
        let file = self.cpu.join("cpu.stat");
        match self.version {
            CgroupVersion::V2 => Some(stat(&file, "throttled_usec")? as f64 / 1e6),
            CgroupVersion::V1 => Some(stat(&file, "throttled_time")? as f64 / 1e9),
        }
    }

    /// Usage less the file cache that the kernel would drop first.
    pub(super) fn memory_used_bytes(&self) -> Option<u64> {
        let (usage, cache) = match self.version {
            CgroupVersion::V2 => ("memory.current", "inactive_file"),
            CgroupVersion::V1 => ("memory.usage_in_bytes", "total_inactive_file"),
        };
        let used = u64::try_from(number(&self.memory.join(usage))?).ok()?;
        Some(used.saturating_sub(stat(&self.memory.join("memory.stat"), cache).unwrap_or(0)))
    }

    pub(super) fn oom_kills(&self) -> Option<u64> {
        let file = match self.version {
            CgroupVersion::V2 => "memory.events",
            CgroupVersion::V1 => "memory.oom_control",
        };
        stat(&self.memory.join(file), "oom_kill")
    }
}

/// `root/name` where it has `file`, else `root`.
fn within(root: &Path, name: &str, file: &str) -> PathBuf {
    let inner = root.join(name.trim_start_matches('/'));
    if inner.join(file).exists() { inner } else { root.to_path_buf() }
}

/// A file that holds one number; `max` and garbage are none.
fn number(path: &Path) -> Option<i64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The number behind `key` in a file of `key number` lines.
fn stat(path: &Path, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}
