// A stand-in libnvidia-ml.so.1 for machines without a GPU: answers the calls that the agent makes. Two GPUs: 0 is an
// ordinary card that sends one XID event, 1 is partitioned in two (MIG). While the file named by NVML_STANDIN_LOST
// exists, GPU 0 has fallen off the bus. Layouts and codes are those of NVIDIA's public nvml.h.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct device { int index, instance; } *device_t; // instance: -1 for a whole card
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { device_t device; unsigned long long type, data; unsigned gpu_instance, compute_instance; } event_t;

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, TIMEOUT = 10, LOST = 15 };

static struct device cards[2] = {{0, -1}, {1, -1}};
static struct device parts[2] = {{1, 0}, {1, 1}};
static int xid_waiting = 1;
static device_t watched[8];
static int watching;

static int lost(device_t d) {
  const char *file = getenv("NVML_STANDIN_LOST");
  return d->index == 0 && file && access(file, F_OK) == 0;
}
#define CHECK(d) do { if (lost(d)) return LOST; } while (0)
#define WHOLE(d) do { CHECK(d); if (d->instance >= 0) return NOT_SUPPORTED; } while (0)

int nvmlInit_v2(void) { return OK; }
int nvmlInitWithFlags(unsigned flags) { (void)flags; return OK; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "stand-in"; }
int nvmlSystemGetDriverVersion(char *out, unsigned size) { snprintf(out, size, "580.65.06"); return OK; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *out) {
  if (index > 1) return INVALID;
  *out = &cards[index];
  return OK;
}

int nvmlDeviceGetUUID(device_t d, char *out, unsigned size) {
  CHECK(d);
  if (d->instance < 0) snprintf(out, size, "GPU-%d", d->index);
  else snprintf(out, size, "MIG-%d-%d", d->index, d->instance);
  return OK;
}

int nvmlDeviceGetName(device_t d, char *out, unsigned size) { CHECK(d); snprintf(out, size, "Stand-in H100"); return OK; }

int nvmlDeviceGetUtilizationRates(device_t d, utilization_t *out) {
  WHOLE(d);
  out->gpu = 91, out->memory = 40;
  return OK;
}

int nvmlDeviceGetMemoryInfo_v2(device_t d, memory_v2_t *out) {
  CHECK(d);
  out->total = d->instance < 0 ? 80000 : 40000, out->used = d->instance < 0 ? 60000 : 10000;
  out->free = out->total - out->used, out->reserved = 0;
  return OK;
}

int nvmlDeviceGetPowerUsage(device_t d, unsigned *out) { WHOLE(d); *out = 350500; return OK; }
int nvmlDeviceGetTemperature(device_t d, int sensor, unsigned *out) { (void)sensor; WHOLE(d); *out = 71; return OK; }
int nvmlDeviceGetClockInfo(device_t d, int clock, unsigned *out) { WHOLE(d); if (clock == 3) return NOT_SUPPORTED; *out = 1000 + clock; return OK; }
int nvmlDeviceGetCurrentClocksThrottleReasons(device_t d, unsigned long long *out) { WHOLE(d); *out = 0x4; return OK; }

int nvmlDeviceGetTotalEccErrors(device_t d, int kind, int counter, unsigned long long *out) {
  (void)counter;
  WHOLE(d);
  *out = kind == 0 ? 17 : 2;
  return OK;
}

int nvmlDeviceGetMigMode(device_t d, unsigned *current, unsigned *pending) { CHECK(d); *current = *pending = d->index == 1; return OK; }
int nvmlDeviceGetMaxMigDeviceCount(device_t d, unsigned *count) { CHECK(d); *count = d->index == 1 ? 2 : 0; return OK; }

int nvmlDeviceGetMigDeviceHandleByIndex(device_t d, unsigned index, device_t *out) {
  CHECK(d);
  if (d->index != 1 || index > 1) return NOT_FOUND;
  *out = &parts[index];
  return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(device_t d, unsigned *count, process_t *out) {
  CHECK(d);
  unsigned have = d->index == 0 ? 3 : 0;
  if (*count < have) { *count = have; return TOO_SMALL; }
  *count = have;
  for (unsigned i = 0; i < have; i++) out[i] = (process_t){100 + i, 20000, ~0u, ~0u};
  return OK;
}

int nvmlSystemGetProcessName(unsigned pid, char *out, unsigned size) {
  snprintf(out, size, pid == 102 ? "/usr/bin/other" : "/opt/vllm/bin/python3");
  return OK;
}

int nvmlEventSetCreate(void **set) { *set = &watching; return OK; }
int nvmlEventSetFree(void *set) { (void)set; return OK; }
int nvmlDeviceRegisterEvents(device_t d, unsigned long long types, void *set) {
  (void)set;
  if (d->index != 0 || !(types & 8)) return NOT_SUPPORTED;
  watched[watching++] = d;
  return OK;
}

int nvmlEventSetWait_v2(void *set, event_t *out, unsigned timeout) {
  (void)set, (void)timeout;
  if (!watching || !xid_waiting) return TIMEOUT;
  if (!lost(watched[0]) && getenv("NVML_STANDIN_LOST")) return TIMEOUT; // the card says why it goes, as it goes
  xid_waiting = 0;
  memset(out, 0, sizeof *out);
  out->device = watched[0], out->type = 8, out->data = 79;
  return OK;
}
