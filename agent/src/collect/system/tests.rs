//! Fixture trees of the kernel's files, as a limited pod, an old host and a broken one show them.

use std::time::Duration;

use plimsoll_exporters::ReadingValue;

use super::*;

/// Writes `files` below a temporary folder: `proc/...` and `cg/...`.
fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Roots) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let roots = Roots { proc: folder.path().join("proc"), cgroup: folder.path().join("cg") };
    (folder, roots)
}

fn value(readings: &[Reading], metric: Metric, labels: &[&str]) -> Option<f64> {
    readings.iter().find(|r| r.metric == metric && r.labels == labels).map(|r| match r.value {
        ReadingValue::Scalar(value) => value,
        ReadingValue::Histogram { .. } => f64::NAN,
    })
}

const V2: &[(&str, &str)] = &[
    ("proc/self/cgroup", "0::/pod/ours\n"),
    (
        "proc/stat",
        "cpu  100 0 100 900 5 0 0 0 0 0\ncpu0 1 0 1 9 0 0 0 0 0 0\ncpu1 1 0 1 9 0 0 0 0 0 0\ncpu2 1 0 1 9 0 0 0 0 0 0\ncpu3 1 0 1 9 0 0 0 0 0 0\n",
    ),
    ("cg/cgroup.controllers", "cpu memory"),
    ("cg/pod/cpu.max", "50000 100000\n"),
    ("cg/pod/memory.max", "1000000\n"),
    ("cg/pod/ours/cgroup.controllers", "cpu memory"),
    ("cg/pod/ours/cpu.max", "max 100000\n"),
    ("cg/pod/ours/cpu.stat", "usage_usec 2000000\nthrottled_usec 1500000\n"),
    ("cg/pod/ours/memory.max", "max\n"),
    ("cg/pod/ours/memory.current", "800000\n"),
    ("cg/pod/ours/memory.stat", "anon 1\ninactive_file 300000\n"),
    ("cg/pod/ours/memory.events", "oom 3\noom_kill 2\n"),
    ("cg/pod/ours/memory.pressure", "some avg10=0.00 total=2500000\nfull avg10=0.00 total=1000000\n"),
];

#[test]
fn a_limited_pod_is_measured_against_the_tightest_limit_above_it() {
    let (folder, roots) = tree(V2);
    let mut system = System::new("auto", roots);
    let start = Instant::now();
    let first = system.read(start).unwrap();
    assert_eq!(value(&first, Metric::CpuUtilization, &[]), None, "a ratio takes two readings");
    std::fs::write(folder.path().join("cg/pod/ours/cpu.stat"), "usage_usec 2400000\nthrottled_usec 1500000\n").unwrap();
    let second = system.read(start + Duration::from_secs(1)).unwrap();
    for (why, metric, labels, expected) in [
        ("0.4 s of half a core", Metric::CpuUtilization, &[][..], 0.8),
        ("limit of the parent", Metric::CpuLimitCores, &[], 0.5),
        ("throttled", Metric::CpuThrottled, &[], 1.5),
        ("usage less cache", Metric::MemoryUsed, &[], 500_000.0),
        ("of the parent's limit", Metric::MemoryUtilization, &[], 0.5),
        ("kills", Metric::OomKills, &[], 2.0),
        ("pressure", Metric::PressureStall, &["memory", "full"], 1.0),
    ] {
        let seen = value(&second, metric, labels).unwrap();
        assert!((seen - expected).abs() < 1e-9, "{why}: {seen}");
    }
}

#[test]
fn version_1_is_read_from_its_controllers() {
    let (_folder, roots) = tree(&[
        ("proc/self/cgroup", "4:memory:/box\n2:cpu,cpuacct:/box\n0::/\n"),
        (
            "proc/stat",
            "cpu  100 0 100 900 5 0 0 0 0 0\ncpu0 1 0 1 9 0 0 0 0 0 0\ncpu1 1 0 1 9 0 0 0 0 0 0\ncpu2 1 0 1 9 0 0 0 0 0 0\ncpu3 1 0 1 9 0 0 0 0 0 0\n",
        ),
        ("cg/memory/box/memory.usage_in_bytes", "700"),
        ("cg/memory/box/memory.limit_in_bytes", "1000"),
        ("cg/memory/box/memory.stat", "total_inactive_file 200\n"),
        ("cg/memory/box/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        ("cg/cpu/box/cpu.cfs_quota_us", "25000"),
        ("cg/cpu/box/cpu.cfs_period_us", "100000"),
        ("cg/cpu/box/cpu.stat", "nr_throttled 1\nthrottled_time 2000000000\n"),
        ("cg/cpuacct/box/cpuacct.usage", "5000000000"),
    ]);
    let readings = System::new("auto", roots).read(Instant::now()).unwrap();
    for (metric, expected) in [
        (Metric::MemoryUtilization, 0.5),
        (Metric::CpuLimitCores, 0.25),
        (Metric::CpuThrottled, 2.0),
        (Metric::OomKills, 1.0),
    ] {
        assert_eq!(value(&readings, metric, &[]), Some(expected), "{metric:?}");
    }
}

#[test]
fn without_a_limit_the_host_is_the_measure() {
    for files in [
        &[(
            "proc/stat",
            "cpu  100 0 100 900 5 0 0 0 0 0\ncpu0 1 0 1 9 0 0 0 0 0 0\ncpu1 1 0 1 9 0 0 0 0 0 0\ncpu2 1 0 1 9 0 0 0 0 0 0\ncpu3 1 0 1 9 0 0 0 0 0 0\n",
        )][..],
        &[
            (
                "proc/stat",
                "cpu  100 0 100 900 5 0 0 0 0 0\ncpu0 1 0 1 9 0 0 0 0 0 0\ncpu1 1 0 1 9 0 0 0 0 0 0\ncpu2 1 0 1 9 0 0 0 0 0 0\ncpu3 1 0 1 9 0 0 0 0 0 0\n",
            ),
            ("cg/cgroup.controllers", ""),
            ("cg/cpu.max", "garbage"),
            ("cg/memory.max", "99999999999999999999999"),
        ],
    ] {
        let (folder, roots) = tree(files);
        let mut system = System::new("auto", roots);
        let start = Instant::now();
        system.read(start).unwrap();
        std::fs::write(folder.path().join("proc/stat"), "cpu  150 0 100 950 5 0 0 0 0 0\ncpu0 1 0 1 9 0 0 0 0 0 0\ncpu1 1 0 1 9 0 0 0 0 0 0\ncpu2 1 0 1 9 0 0 0 0 0 0\ncpu3 1 0 1 9 0 0 0 0 0 0\n").unwrap();
        let readings = system.read(start + Duration::from_secs(1)).unwrap();
        assert_eq!(value(&readings, Metric::CpuUtilization, &[]), Some(0.5 / 4.0));
        let used = value(&readings, Metric::MemoryUtilization, &[]).unwrap();
        assert!(used > 0.0 && used < 1.0);
    }
}

#[test]
fn counters_that_go_backwards_give_no_ratio_and_missing_files_an_error() {
    let (folder, roots) = tree(V2);
    let mut system = System::new("auto", roots.clone());
    let start = Instant::now();
    system.read(start).unwrap();
    std::fs::write(folder.path().join("cg/pod/ours/cpu.stat"), "usage_usec 5\n").unwrap();
    let readings = system.read(start + Duration::from_secs(1)).unwrap();
    assert_eq!(value(&readings, Metric::CpuUtilization, &[]), None);
    let (_empty, nothing) = tree(&[("x", "")]);
    assert!(System::new("auto", nothing).read(start).is_err());
}

#[test]
fn a_quota_of_several_cores_is_a_limit_too() {
    let mut files = V2.to_vec();
    files.retain(|(name, _)| *name != "cg/pod/cpu.max");
    files.push(("cg/pod/cpu.max", "200000 100000\n"));
    let (_folder, roots) = tree(&files);
    let info = System::new("auto", roots).info();
    assert_eq!((info.cpu_limit_cores, info.cpu_limited), (2.0, true), "two of the host's four cores");
}
