//! GPU readings through NVML, loaded at run time.
