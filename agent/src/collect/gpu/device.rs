//! What one GPU, or one of its MIG instances, says.

use std::collections::BTreeMap;

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::event::EventData;
use nvml_wrapper::{Device, Nvml};
use plimsoll_exporters::{Metric, Reading};

/// Process names shown at most, per GPU.
const MOST_PROCESSES: usize = 16;

/// The labels `gpu`, `uuid`, `mig`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) gpu: String,
    pub(super) uuid: String,
    pub(super) mig: String,
}

impl Identity {
    pub(super) fn of(index: u32, device: &Device<'_>) -> Self {
        Self { gpu: index.to_string(), uuid: device.uuid().unwrap_or_default(), mig: String::new() }
    }

    pub(super) fn labels(&self) -> [&str; 3] {
        [&self.gpu, &self.uuid, &self.mig]
    }
}

/// Everything one GPU and its MIG instances say. What a card does not support is left out.
///
/// # Errors
/// The GPU does not answer (fallen off the bus, driver gone).
pub(super) fn read(index: u32, device: &Device<'_>, nvml: &Nvml) -> Result<(Identity, Vec<Reading>), NvmlError> {
    let mut identity = Identity::of(index, device);
    identity.uuid = device.uuid()?;
    let partitioned = device.mig_mode().is_ok_and(|mode| mode.current == 1);
    let mut out = Vec::new();
    memory(&identity, device, &mut out)?;
    if !partitioned {
        // a partitioned card has no utilization of its own, and NVML gives none per instance
        if let Some(rates) = supported(device.utilization_rates())? {
            out.push(Reading::scalar(Metric::GpuUtilization, &identity.labels(), f64::from(rates.gpu) / 100.0));
        }
    }
    whole_card(&identity, device, &mut out)?;
    processes(&identity, device, nvml, &mut out)?;
    if partitioned {
        for instance in 0..device.mig_device_count().unwrap_or(0) {
            let Ok(part) = device.mig_device_by_index(instance) else { continue };
            let identity = Identity {
                gpu: identity.gpu.clone(),
                uuid: part.uuid().unwrap_or_default(),
                mig: instance.to_string(),
            };
            memory(&identity, &part, &mut out)?;
            processes(&identity, &part, nvml, &mut out)?;
        }
    }
    Ok((identity, out))
}

/// `None` where the card or the driver does not have it; an error where the card is gone.
fn supported<T>(result: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(gone @ (NvmlError::GpuLost | NvmlError::Uninitialized)) => Err(gone),
        Err(_) => Ok(None),
    }
}

fn memory(identity: &Identity, device: &Device<'_>, out: &mut Vec<Reading>) -> Result<(), NvmlError> {
    let memory = match device.memory_info() {
        // every card that lives knows its memory; of an optional figure the same answer would say nothing
        Err(gone @ NvmlError::Unknown) => return Err(gone),
        answer => supported(answer)?,
    };
    let Some(memory) = memory else { return Ok(()) };
    let labels = identity.labels();
    out.push(Reading::scalar(Metric::GpuMemoryUsed, &labels, memory.used as f64));
    out.push(Reading::scalar(Metric::GpuMemoryTotal, &labels, memory.total as f64));
    if memory.total > 0 {
        out.push(Reading::scalar(Metric::GpuMemoryUtilization, &labels, memory.used as f64 / memory.total as f64));
    }
    Ok(())
}

fn whole_card(identity: &Identity, device: &Device<'_>, out: &mut Vec<Reading>) -> Result<(), NvmlError> {
    let labels = identity.labels();
    if let Some(milliwatts) = supported(device.power_usage())? {
        out.push(Reading::scalar(Metric::GpuPower, &labels, f64::from(milliwatts) / 1000.0));
    }
    if let Some(celsius) = supported(device.temperature(TemperatureSensor::Gpu))? {
        out.push(Reading::scalar(Metric::GpuTemperature, &labels, f64::from(celsius)));
    }
    let with = |more: &'static str| [labels[0], labels[1], labels[2], more];
    for (clock, name) in
        [(Clock::Graphics, "graphics"), (Clock::SM, "sm"), (Clock::Memory, "memory"), (Clock::Video, "video")]
    {
        if let Some(megahertz) = supported(device.clock_info(clock))? {
            out.push(Reading::scalar(Metric::GpuClock, &with(name), f64::from(megahertz) * 1e6));
        }
    }
    if let Some(reasons) = supported(device.current_throttle_reasons())? {
        for (flag, name) in THROTTLE {
            out.push(Reading::scalar(Metric::GpuThrottled, &with(name), f64::from(u8::from(reasons.contains(flag)))));
        }
    }
    for (error, name) in [(MemoryError::Corrected, "corrected"), (MemoryError::Uncorrected, "uncorrected")] {
        if let Some(count) = supported(device.total_ecc_errors(error, EccCounter::Aggregate))? {
            out.push(Reading::scalar(Metric::GpuEccErrors, &with(name), count as f64));
        }
    }
    Ok(())
}

/// Reasons that hold a busy card back; an idle card's clocks are low for no trouble.
const THROTTLE: [(ThrottleReasons, &str); 7] = [
    (ThrottleReasons::SW_POWER_CAP, "power_cap"),
    (ThrottleReasons::HW_SLOWDOWN, "hardware_slowdown"),
    (ThrottleReasons::SYNC_BOOST, "sync_boost"),
    (ThrottleReasons::SW_THERMAL_SLOWDOWN, "software_thermal"),
    (ThrottleReasons::HW_THERMAL_SLOWDOWN, "hardware_thermal"),
    (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "power_brake"),
    (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, "application_clocks"),
];

/// Memory by process name; the largest names first, bounded.
fn processes(identity: &Identity, device: &Device<'_>, nvml: &Nvml, out: &mut Vec<Reading>) -> Result<(), NvmlError> {
    let Some(list) = supported(device.running_compute_processes())? else { return Ok(()) };
    let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
    for process in list {
        let UsedGpuMemory::Used(bytes) = process.used_gpu_memory else { continue };
        let path = nvml.sys_process_name(process.pid, 256).unwrap_or_default();
        let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        *by_name.entry(name.to_owned()).or_default() += bytes;
    }
    let mut largest: Vec<_> = by_name.into_iter().collect();
    largest.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let [gpu, uuid, mig] = identity.labels();
    for (name, bytes) in largest.into_iter().take(MOST_PROCESSES) {
        out.push(Reading::scalar(Metric::GpuProcessMemory, &[gpu, uuid, mig, &name], bytes as f64));
    }
    Ok(())
}

/// The XID code of an event, if it is one.
pub(super) fn xid_of(event: &EventData<'_>) -> Option<u64> {
    use nvml_wrapper::enums::event::XidError;
    match event.event_data.as_ref()? {
        XidError::Value(code) => Some(*code),
        XidError::Unknown => Some(0),
    }
}
