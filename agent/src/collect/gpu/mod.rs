//! GPU readings through NVML, loaded at run time. No driver: one line in the log and no series.

mod device;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, EventSet, Nvml};
use plimsoll_exporters::{Metric, Reading};
use serde::Serialize;

use device::Identity;

/// Events taken at one reading at most: a GPU in trouble may send many.
const MOST_EVENTS: usize = 256;

/// Why there are no GPU readings.
#[derive(Debug, thiserror::Error)]
#[error("no GPU readings: {0}")]
pub struct NoGpu(String);

/// What `plimsoll probe` says of one GPU.
#[derive(Clone, Debug, Serialize)]
pub struct GpuInfo {
    /// Product name.
    pub name: String,
    /// Unique id.
    pub uuid: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Whether it is partitioned (MIG).
    pub mig: bool,
}

/// The GPUs of this machine.
pub struct Gpu {
    /// Lives as long as the process: event sets borrow it, and NVML is opened once.
    nvml: &'static Nvml,
    /// One set per GPU: a card without XID events must not cost the others theirs, and one that is gone cannot be asked
    /// who it is any more.
    events: Vec<(u32, EventSet<'static>)>,
    xid: BTreeMap<(Identity, u64), u64>,
    lost: BTreeSet<u32>,
    /// Who each GPU was when it last answered, so that a lost one can be named.
    known: BTreeMap<u32, Identity>,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu").field("known", &self.known).field("lost", &self.lost).finish_non_exhaustive()
    }
}

impl Gpu {
    /// Loads NVML from `library`, or from where the loader finds `libnvidia-ml.so.1`.
    ///
    /// # Errors
    /// [`NoGpu`] with one sentence for the log.
    pub fn open(library: Option<&str>) -> Result<Self, NoGpu> {
        let path = library.unwrap_or("libnvidia-ml.so.1");
        let nvml = Nvml::builder().lib_path(OsStr::new(path)).init().map_err(|error| match error {
            NvmlError::LibloadingError(_) => NoGpu(format!("{path} is not there: no NVIDIA driver")),
            NvmlError::DriverNotLoaded => NoGpu("the NVIDIA driver is not loaded".into()),
            other => NoGpu(format!("NVML does not start: {other}")),
        })?;
        let count = nvml.device_count().map_err(|e| NoGpu(format!("NVML cannot count GPUs: {e}")))?;
        if count == 0 {
            return Err(NoGpu("the driver knows no GPU".into()));
        }
        let nvml: &'static Nvml = Box::leak(Box::new(nvml));
        let mut gpu =
            Self { nvml, events: Vec::new(), xid: BTreeMap::new(), lost: BTreeSet::new(), known: BTreeMap::new() };
        for index in 0..count {
            let Ok(device) = nvml.device_by_index(index) else { continue };
            gpu.known.insert(index, Identity::of(index, &device));
            let registered = nvml
                .create_event_set()
                .ok()
                .and_then(|set| device.register_events(EventTypes::CRITICAL_XID_ERROR, set).ok());
            gpu.events.extend(registered.map(|set| (index, set)));
        }
        Ok(gpu)
    }

    /// What is here.
    pub fn info(&self) -> Vec<GpuInfo> {
        let devices = self.known.keys().filter_map(|index| self.nvml.device_by_index(*index).ok());
        let info = |device: Device<'_>| GpuInfo {
            name: device.name().unwrap_or_default(),
            uuid: device.uuid().unwrap_or_default(),
            memory_bytes: device.memory_info().map_or(0, |memory| memory.total),
            mig: device.mig_mode().is_ok_and(|mode| mode.current == 1),
        };
        devices.map(info).collect()
    }

    /// Version of the driver, if it says so.
    pub fn driver_version(&self) -> Option<String> {
        self.nvml.sys_driver_version().ok()
    }

    /// Everything the GPUs say now. A GPU that has fallen off the bus has `gpu_up` 0 and no other series; the others go on.
    ///
    /// # Errors
    /// Not one GPU answers.
    pub fn read(&mut self) -> Result<Vec<Reading>, String> {
        let mut out = Vec::new();
        for index in self.known.keys().copied().collect::<Vec<_>>() {
            let read = self.nvml.device_by_index(index).and_then(|device| device::read(index, &device, self.nvml));
            match read {
                Ok((identity, readings)) => {
                    if self.lost.remove(&index) {
                        tracing::info!(gpu = index, "GPU answers again");
                    }
                    out.push(up(&identity, 1.0));
                    out.extend(readings);
                    self.known.insert(index, identity);
                }
                Err(error) => {
                    if self.lost.insert(index) {
                        tracing::error!(gpu = index, %error, "GPU does not answer any more");
                    }
                    out.extend(self.known.get(&index).map(|identity| up(identity, 0.0)));
                }
            }
        }
        self.take_events();
        for ((identity, xid), count) in &self.xid {
            let [gpu, uuid, mig] = identity.labels();
            out.push(Reading::scalar(Metric::GpuXidErrors, &[gpu, uuid, mig, &xid.to_string()], *count as f64));
        }
        if self.lost.len() == self.known.len() { Err("no GPU answers any more".into()) } else { Ok(out) }
    }

    /// Takes what is waiting, without waiting.
    fn take_events(&mut self) {
        for (index, set) in &self.events {
            let Some(identity) = self.known.get(index) else { continue };
            for _ in 0..MOST_EVENTS {
                let Ok(event) = set.wait(0) else { break };
                let Some(xid) = device::xid_of(&event) else { continue };
                tracing::warn!(gpu = identity.gpu, xid, "GPU reports an XID error");
                *self.xid.entry((identity.clone(), xid)).or_default() += 1;
            }
        }
    }
}

fn up(identity: &Identity, value: f64) -> Reading {
    Reading::scalar(Metric::GpuUp, &identity.labels(), value)
}
