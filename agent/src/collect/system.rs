//! CPU, memory, pressure, network, disk of the pod: sysinfo and the cgroup files.
