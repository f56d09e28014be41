//! The NVML path on a machine without a GPU: a stand-in library answers the calls, one card falls off the bus.
#![expect(clippy::unwrap_used, reason = "a test may give up")]

use std::path::Path;
use std::process::Command;

use plimsoll_agent::collect::gpu::Gpu;
use plimsoll_exporters::{Metric, Reading, ReadingValue};

fn value(readings: &[Reading], metric: Metric, labels: &[&str]) -> Option<f64> {
    readings.iter().find(|r| r.metric == metric && r.labels == labels).map(|r| match r.value {
        ReadingValue::Scalar(value) => value,
        ReadingValue::Histogram { .. } => f64::NAN,
    })
}

/// Compiles the stand-in; the linker's C compiler is on every machine that builds Rust.
fn standin(folder: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/nvml/standin.c");
    let library = folder.join("libnvidia-ml.so.1");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-Wall", "-o"]).arg(&library).arg(source).status().unwrap();
    assert!(built.success(), "cc could not build the stand-in");
    library.display().to_string()
}

#[test]
#[expect(unsafe_code, reason = "the stand-in is steered by an environment variable")]
#[expect(clippy::disallowed_methods, reason = "the stand-in is steered by an environment variable")]
fn two_gpus_one_partitioned_one_lost() {
    let folder = tempfile::tempdir().unwrap();
    let fallen = folder.path().join("fallen");
    // SAFETY: the other test of this binary neither reads nor writes the environment.
    unsafe { std::env::set_var("NVML_STANDIN_LOST", &fallen) };
    let mut gpu = Gpu::open(Some(&standin(folder.path()))).unwrap();
    assert_eq!(gpu.driver_version().as_deref(), Some("580.65.06"));
    assert_eq!(gpu.info().iter().map(|g| g.mig).collect::<Vec<_>>(), [false, true]);

    let readings = gpu.read().unwrap();
    for (why, metric, labels, expected) in [
        ("busy", Metric::GpuUtilization, &["0", "GPU-0", ""][..], Some(0.91)),
        ("a partitioned card has no utilization", Metric::GpuUtilization, &["1", "GPU-1", ""], None),
        ("memory", Metric::GpuMemoryUtilization, &["0", "GPU-0", ""], Some(0.75)),
        ("memory of a part", Metric::GpuMemoryUtilization, &["1", "MIG-1-1", "1"], Some(0.25)),
        ("milliwatts", Metric::GpuPower, &["0", "GPU-0", ""], Some(350.5)),
        ("temperature", Metric::GpuTemperature, &["0", "GPU-0", ""], Some(71.0)),
        ("megahertz", Metric::GpuClock, &["0", "GPU-0", "", "sm"], Some(1.001e9)),
        ("a clock it does not have", Metric::GpuClock, &["0", "GPU-0", "", "video"], None),
        ("held back", Metric::GpuThrottled, &["0", "GPU-0", "", "power_cap"], Some(1.0)),
        ("not held back", Metric::GpuThrottled, &["0", "GPU-0", "", "hardware_thermal"], Some(0.0)),
        ("ECC", Metric::GpuEccErrors, &["1", "GPU-1", "", "uncorrected"], Some(2.0)),
        ("two processes of one name", Metric::GpuProcessMemory, &["0", "GPU-0", "", "python3"], Some(40000.0)),
        ("another", Metric::GpuProcessMemory, &["0", "GPU-0", "", "other"], Some(20000.0)),
        ("no XID yet", Metric::GpuXidErrors, &["0", "GPU-0", "", "79"], None),
        ("it answers", Metric::GpuUp, &["0", "GPU-0", ""], Some(1.0)),
    ] {
        assert_eq!(value(&readings, metric, labels), expected, "{why}");
    }

    std::fs::write(&fallen, "").unwrap();
    let readings = gpu.read().unwrap();
    let of_card = |card: &str| readings.iter().filter(|r| r.labels[0] == card).map(|r| r.metric).collect::<Vec<_>>();
    assert_eq!(of_card("0"), [Metric::GpuUp, Metric::GpuXidErrors], "a lost card has no figures, but is not forgotten");
    assert_eq!(value(&readings, Metric::GpuUp, &["0", "GPU-0", ""]), Some(0.0));
    assert_eq!(value(&readings, Metric::GpuXidErrors, &["0", "GPU-0", "", "79"]), Some(1.0), "why it fell");
    assert!(value(&readings, Metric::GpuMemoryUtilization, &["1", "MIG-1-0", "0"]).is_some(), "the other goes on");

    std::fs::remove_file(&fallen).unwrap();
    let readings = gpu.read().unwrap();
    assert_eq!(value(&readings, Metric::GpuUp, &["0", "GPU-0", ""]), Some(1.0), "and it may come back");
    assert_eq!(value(&readings, Metric::GpuXidErrors, &["0", "GPU-0", "", "79"]), Some(1.0), "counted once");
}

#[test]
fn without_a_driver_there_is_one_clear_sentence() {
    let error = Gpu::open(Some("/nowhere/libnvidia-ml.so.1")).unwrap_err().to_string();
    assert_eq!(error, "no GPU readings: /nowhere/libnvidia-ml.so.1 is not there: no NVIDIA driver");
}
