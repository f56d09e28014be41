//! Every metric we emit: name, type, labels, help. `docs/metrics.md` is printed from this table.

/// Metric type; a histogram carries its upper bounds (`+Inf` is implied).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows, until the process restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets with these upper bounds.
    Histogram(&'static [f64]),
}

/// One row of the catalog.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Which metric.
    pub metric: Metric,
    /// Full name, prefix and unit included.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Label names, in the order that values are given.
    pub labels: &'static [&'static str],
    /// Help text, with the unit.
    pub help: &'static str,
}

/// Tokens per request: powers of two to a million.
const TOKENS: &[f64] = &[
    1.0,
    2.0,
    4.0,
    8.0,
    16.0,
    32.0,
    64.0,
    128.0,
    256.0,
    512.0,
    1024.0,
    2048.0,
    4096.0,
    8192.0,
    16384.0,
    32768.0,
    65536.0,
    131_072.0,
    262_144.0,
    524_288.0,
    1_048_576.0,
];
/// Durations of requests, queues and first tokens.
const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0];
/// Durations between tokens.
const FAST_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Names every metric once, so that no other file spells one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// `plimsoll_cpu_utilization_ratio`
    CpuUtilization,
    /// `plimsoll_cpu_limit_cores`
    CpuLimitCores,
    /// `plimsoll_cpu_throttled_seconds_total`
    CpuThrottled,
    /// `plimsoll_memory_utilization_ratio`
    MemoryUtilization,
    /// `plimsoll_memory_used_bytes`
    MemoryUsed,
    /// `plimsoll_memory_limit_bytes`
    MemoryLimit,
    /// `plimsoll_pressure_stall_seconds_total`
    PressureStall,
    /// `plimsoll_oom_kills_total`
    OomKills,
    /// `plimsoll_network_receive_bytes_total`
    NetworkReceive,
    /// `plimsoll_network_transmit_bytes_total`
    NetworkTransmit,
    /// `plimsoll_disk_used_bytes`
    DiskUsed,
    /// `plimsoll_disk_size_bytes`
    DiskSize,
    /// `plimsoll_gpu_up`
    GpuUp,
    /// `plimsoll_gpu_utilization_ratio`
    GpuUtilization,
    /// `plimsoll_gpu_memory_used_bytes`
    GpuMemoryUsed,
    /// `plimsoll_gpu_memory_total_bytes`
    GpuMemoryTotal,
    /// `plimsoll_gpu_memory_utilization_ratio`
    GpuMemoryUtilization,
    /// `plimsoll_gpu_power_watts`
    GpuPower,
    /// `plimsoll_gpu_temperature_celsius`
    GpuTemperature,
    /// `plimsoll_gpu_clock_hertz`
    GpuClock,
    /// `plimsoll_gpu_throttled`
    GpuThrottled,
    /// `plimsoll_gpu_xid_errors_total`
    GpuXidErrors,
    /// `plimsoll_gpu_ecc_errors_total`
    GpuEccErrors,
    /// `plimsoll_gpu_process_memory_used_bytes`
    GpuProcessMemory,
    /// `plimsoll_requests_total`
    Requests,
    /// `plimsoll_input_tokens`
    InputTokens,
    /// `plimsoll_output_tokens`
    OutputTokens,
    /// `plimsoll_tokens_estimated_total`
    TokensEstimated,
    /// `plimsoll_time_to_first_token_seconds`
    TimeToFirstToken,
    /// `plimsoll_inter_token_latency_seconds`
    InterTokenLatency,
    /// `plimsoll_request_duration_seconds`
    RequestDuration,
    /// `plimsoll_queue_time_seconds`
    QueueTime,
    /// `plimsoll_requests_running`
    RequestsRunning,
    /// `plimsoll_requests_waiting`
    RequestsWaiting,
    /// `plimsoll_kv_cache_utilization_ratio`
    KvCacheUtilization,
    /// `plimsoll_prompt_tokens_total`
    PromptTokensTotal,
    /// `plimsoll_generation_tokens_total`
    GenerationTokensTotal,
    /// `plimsoll_engine_info`
    EngineInfo,
    /// `plimsoll_tasks_total`
    Tasks,
    /// `plimsoll_task_completion_ratio`
    TaskCompletion,
    /// `plimsoll_task_window_count`
    TaskCount,
    /// `plimsoll_user_satisfaction_ratio`
    Satisfaction,
    /// `plimsoll_user_satisfaction_window_count`
    SatisfactionCount,
    /// `plimsoll_user_satisfaction_ratings_total`
    SatisfactionRatings,
    /// `plimsoll_user_satisfaction_score_total`
    SatisfactionScore,
    /// `plimsoll_feedback_total`
    Feedback,
    /// `plimsoll_feedback_unjoined`
    FeedbackUnjoined,
    /// `plimsoll_alerts`
    Alerts,
    /// `plimsoll_rule_evaluations_total`
    RuleEvaluations,
    /// `plimsoll_rule_evaluation_failures_total`
    RuleFailures,
    /// `plimsoll_rule_group_iterations_missed_total`
    RuleSlotsMissed,
    /// `plimsoll_rule_group_last_duration_seconds`
    RuleDuration,
    /// `plimsoll_notifications_sent_total`
    NotificationsSent,
    /// `plimsoll_notifications_failed_total`
    NotificationsFailed,
    /// `plimsoll_notifications_pending`
    NotificationsPending,
    /// `plimsoll_notifications_dead_letters`
    NotificationsDead,
    /// `plimsoll_build_info`
    BuildInfo,
    /// `plimsoll_collector_up`
    CollectorUp,
    /// `plimsoll_dropped_total`
    Dropped,
    /// `plimsoll_config_last_reload_successful`
    ConfigReloadSuccess,
    /// `plimsoll_store_series`
    StoreSeries,
    /// `plimsoll_store_samples`
    StoreSamples,
    /// `plimsoll_tap_connections`
    TapConnections,
    /// `plimsoll_process_cpu_seconds_total`
    ProcessCpu,
    /// `plimsoll_process_resident_memory_bytes`
    ProcessResident,
    /// `plimsoll_process_open_fds`
    ProcessFds,
    /// `plimsoll_process_start_time_seconds`
    ProcessStart,
}

impl Metric {
    /// This metric's row.
    pub fn spec(self) -> &'static Spec {
        &CATALOG[self as usize]
    }

    /// Its full name.
    pub fn name(self) -> &'static str {
        self.spec().name
    }
}

const fn row(
    metric: Metric,
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Spec {
    Spec { metric, name, kind, labels, help }
}

use Kind::{Counter, Gauge, Histogram};

/// The catalog, in the order of [`Metric`].
pub static CATALOG: &[Spec] = &[
    // System
    row(
        Metric::CpuUtilization,
        "plimsoll_cpu_utilization_ratio",
        Gauge,
        &[],
        "CPU time used as a ratio (0 to 1) of the cgroup limit, else of the host.",
    ),
    row(
        Metric::CpuLimitCores,
        "plimsoll_cpu_limit_cores",
        Gauge,
        &[],
        "CPU cores that utilization refers to: the cgroup limit, else the host.",
    ),
    row(
        Metric::CpuThrottled,
        "plimsoll_cpu_throttled_seconds_total",
        Counter,
        &[],
        "Seconds the cgroup was throttled by its CPU limit.",
    ),
    row(
        Metric::MemoryUtilization,
        "plimsoll_memory_utilization_ratio",
        Gauge,
        &[],
        "Working set as a ratio (0 to 1) of the cgroup limit, else of the host.",
    ),
    row(
        Metric::MemoryUsed,
        "plimsoll_memory_used_bytes",
        Gauge,
        &[],
        "Working set in bytes: usage less inactive file cache.",
    ),
    row(
        Metric::MemoryLimit,
        "plimsoll_memory_limit_bytes",
        Gauge,
        &[],
        "Memory in bytes that utilization refers to: the cgroup limit, else the host.",
    ),
    row(
        Metric::PressureStall,
        "plimsoll_pressure_stall_seconds_total",
        Counter,
        &["resource", "kind"],
        "Seconds that some or all (kind) tasks stalled on a resource (PSI).",
    ),
    row(
        Metric::OomKills,
        "plimsoll_oom_kills_total",
        Counter,
        &[],
        "Processes killed in the cgroup because memory ran out.",
    ),
    row(Metric::NetworkReceive, "plimsoll_network_receive_bytes_total", Counter, &["interface"], "Bytes received."),
    row(Metric::NetworkTransmit, "plimsoll_network_transmit_bytes_total", Counter, &["interface"], "Bytes sent."),
    row(Metric::DiskUsed, "plimsoll_disk_used_bytes", Gauge, &["mount"], "Bytes used of a file system."),
    row(Metric::DiskSize, "plimsoll_disk_size_bytes", Gauge, &["mount"], "Size of a file system in bytes."),
    // GPU
    row(
        Metric::GpuUp,
        "plimsoll_gpu_up",
        Gauge,
        &["gpu", "uuid", "mig"],
        "1 while the GPU answers, 0 after it has fallen off the bus.",
    ),
    row(
        Metric::GpuUtilization,
        "plimsoll_gpu_utilization_ratio",
        Gauge,
        &["gpu", "uuid", "mig"],
        "Share of the last sample period in which a kernel ran, 0 to 1.",
    ),
    row(
        Metric::GpuMemoryUsed,
        "plimsoll_gpu_memory_used_bytes",
        Gauge,
        &["gpu", "uuid", "mig"],
        "GPU memory in use, in bytes.",
    ),
    row(
        Metric::GpuMemoryTotal,
        "plimsoll_gpu_memory_total_bytes",
        Gauge,
        &["gpu", "uuid", "mig"],
        "GPU memory installed or assigned, in bytes.",
    ),
    row(
        Metric::GpuMemoryUtilization,
        "plimsoll_gpu_memory_utilization_ratio",
        Gauge,
        &["gpu", "uuid", "mig"],
        "GPU memory in use as a ratio (0 to 1) of the total.",
    ),
    row(Metric::GpuPower, "plimsoll_gpu_power_watts", Gauge, &["gpu", "uuid", "mig"], "Power draw in watts."),
    row(
        Metric::GpuTemperature,
        "plimsoll_gpu_temperature_celsius",
        Gauge,
        &["gpu", "uuid", "mig"],
        "Core temperature in degrees Celsius.",
    ),
    row(
        Metric::GpuClock,
        "plimsoll_gpu_clock_hertz",
        Gauge,
        &["gpu", "uuid", "mig", "clock"],
        "Clock in hertz (clock: graphics, sm, memory, video).",
    ),
    row(
        Metric::GpuThrottled,
        "plimsoll_gpu_throttled",
        Gauge,
        &["gpu", "uuid", "mig", "reason"],
        "1 while clocks are held down for this reason, else 0.",
    ),
    row(
        Metric::GpuXidErrors,
        "plimsoll_gpu_xid_errors_total",
        Counter,
        &["gpu", "uuid", "mig", "xid"],
        "XID error events since the agent started.",
    ),
    row(
        Metric::GpuEccErrors,
        "plimsoll_gpu_ecc_errors_total",
        Counter,
        &["gpu", "uuid", "mig", "kind"],
        "Aggregate ECC errors (kind: corrected, uncorrected) over the life of the GPU.",
    ),
    row(
        Metric::GpuProcessMemory,
        "plimsoll_gpu_process_memory_used_bytes",
        Gauge,
        &["gpu", "uuid", "mig", "process"],
        "GPU memory in bytes by process name.",
    ),
    // Model
    row(
        Metric::Requests,
        "plimsoll_requests_total",
        Counter,
        &["model", "variant", "outcome", "finish_reason", "source"],
        "Finished requests.",
    ),
    row(
        Metric::InputTokens,
        "plimsoll_input_tokens",
        Histogram(TOKENS),
        &["model", "variant", "source"],
        "Prompt tokens of a request.",
    ),
    row(
        Metric::OutputTokens,
        "plimsoll_output_tokens",
        Histogram(TOKENS),
        &["model", "variant", "source"],
        "Generated tokens of a request.",
    ),
    row(
        Metric::TokensEstimated,
        "plimsoll_tokens_estimated_total",
        Counter,
        &["model", "variant", "source"],
        "Requests whose output tokens were counted from stream deltas because the engine sent no usage.",
    ),
    row(
        Metric::TimeToFirstToken,
        "plimsoll_time_to_first_token_seconds",
        Histogram(SECONDS),
        &["model", "variant", "source"],
        "Seconds from the arrival of a request to the first content of its streamed answer.",
    ),
    row(
        Metric::InterTokenLatency,
        "plimsoll_inter_token_latency_seconds",
        Histogram(FAST_SECONDS),
        &["model", "variant", "source"],
        "Seconds between one content chunk and the next of a streamed answer.",
    ),
    row(
        Metric::RequestDuration,
        "plimsoll_request_duration_seconds",
        Histogram(SECONDS),
        &["model", "variant", "source"],
        "Seconds from the arrival of a request to the last byte of its answer.",
    ),
    row(
        Metric::QueueTime,
        "plimsoll_queue_time_seconds",
        Histogram(SECONDS),
        &["model", "variant", "source"],
        "Seconds a request waited in the engine before it was scheduled.",
    ),
    row(
        Metric::RequestsRunning,
        "plimsoll_requests_running",
        Gauge,
        &["model", "variant", "source"],
        "Requests being worked on.",
    ),
    row(
        Metric::RequestsWaiting,
        "plimsoll_requests_waiting",
        Gauge,
        &["model", "variant", "source"],
        "Requests waiting in the queue.",
    ),
    row(
        Metric::KvCacheUtilization,
        "plimsoll_kv_cache_utilization_ratio",
        Gauge,
        &["model", "variant", "source"],
        "KV cache in use, 0 to 1.",
    ),
    row(
        Metric::PromptTokensTotal,
        "plimsoll_prompt_tokens_total",
        Counter,
        &["model", "variant", "source"],
        "Prompt tokens processed.",
    ),
    row(
        Metric::GenerationTokensTotal,
        "plimsoll_generation_tokens_total",
        Counter,
        &["model", "variant", "source"],
        "Tokens generated.",
    ),
    row(
        Metric::EngineInfo,
        "plimsoll_engine_info",
        Gauge,
        &["kind", "url"],
        "1 for the inference engine that is being scraped; kind is the detected product.",
    ),
    // Business
    row(
        Metric::Tasks,
        "plimsoll_tasks_total",
        Counter,
        &["outcome", "model", "variant"],
        "Tasks whose outcome is known (outcome: completed, failed).",
    ),
    row(
        Metric::TaskCompletion,
        "plimsoll_task_completion_ratio",
        Gauge,
        &["model", "variant"],
        "Completed tasks as a ratio (0 to 1) of the tasks with an outcome in the window.",
    ),
    row(
        Metric::TaskCount,
        "plimsoll_task_window_count",
        Gauge,
        &["model", "variant"],
        "Tasks with an outcome in the window that task_completion_ratio is over.",
    ),
    row(
        Metric::Satisfaction,
        "plimsoll_user_satisfaction_ratio",
        Gauge,
        &["model", "variant"],
        "Mean satisfaction in the window, 0 to 1: ratings rescaled, thumbs as 0 or 1.",
    ),
    row(
        Metric::SatisfactionCount,
        "plimsoll_user_satisfaction_window_count",
        Gauge,
        &["model", "variant"],
        "Ratings in the window that user_satisfaction_ratio is over.",
    ),
    row(
        Metric::SatisfactionRatings,
        "plimsoll_user_satisfaction_ratings_total",
        Counter,
        &["model", "variant"],
        "Satisfaction ratings received.",
    ),
    row(
        Metric::SatisfactionScore,
        "plimsoll_user_satisfaction_score_total",
        Counter,
        &["model", "variant"],
        "Sum of satisfaction ratings, each 0 to 1.",
    ),
    row(Metric::Feedback, "plimsoll_feedback_total", Counter, &["metric"], "Feedback items accepted."),
    row(
        Metric::FeedbackUnjoined,
        "plimsoll_feedback_unjoined",
        Gauge,
        &[],
        "Stored feedback items whose exchange is not known yet.",
    ),
    // Judgement and telling
    row(
        Metric::Alerts,
        "plimsoll_alerts",
        Gauge,
        &["alertname", "alertstate"],
        "Active alerts by name and state (pending, firing).",
    ),
    row(Metric::RuleEvaluations, "plimsoll_rule_evaluations_total", Counter, &["group"], "Rule evaluations."),
    row(
        Metric::RuleFailures,
        "plimsoll_rule_evaluation_failures_total",
        Counter,
        &["group"],
        "Rule evaluations that failed; alerts keep their state.",
    ),
    row(
        Metric::RuleSlotsMissed,
        "plimsoll_rule_group_iterations_missed_total",
        Counter,
        &["group"],
        "Evaluation slots that passed without an evaluation.",
    ),
    row(
        Metric::RuleDuration,
        "plimsoll_rule_group_last_duration_seconds",
        Gauge,
        &["group"],
        "Seconds the last evaluation of the group took.",
    ),
    row(
        Metric::NotificationsSent,
        "plimsoll_notifications_sent_total",
        Counter,
        &["sink"],
        "Notifications a sink accepted.",
    ),
    row(
        Metric::NotificationsFailed,
        "plimsoll_notifications_failed_total",
        Counter,
        &["sink", "reason"],
        "Delivery attempts that failed.",
    ),
    row(
        Metric::NotificationsPending,
        "plimsoll_notifications_pending",
        Gauge,
        &["sink"],
        "Notifications waiting in the outbox.",
    ),
    row(
        Metric::NotificationsDead,
        "plimsoll_notifications_dead_letters",
        Gauge,
        &["sink"],
        "Notifications given up on: refused for good or too old.",
    ),
    // Self
    row(
        Metric::BuildInfo,
        "plimsoll_build_info",
        Gauge,
        &["version", "revision", "rustc"],
        "1; labels say what this binary is.",
    ),
    row(
        Metric::CollectorUp,
        "plimsoll_collector_up",
        Gauge,
        &["source"],
        "1 while a source delivers, 0 when it failed.",
    ),
    row(
        Metric::Dropped,
        "plimsoll_dropped_total",
        Counter,
        &["what"],
        "Own work dropped to stay within bounds (what says which).",
    ),
    row(
        Metric::ConfigReloadSuccess,
        "plimsoll_config_last_reload_successful",
        Gauge,
        &[],
        "1 when the last reload was taken, 0 when it was refused and the last good configuration goes on.",
    ),
    row(Metric::StoreSeries, "plimsoll_store_series", Gauge, &[], "Series in the in-memory store."),
    row(Metric::StoreSamples, "plimsoll_store_samples", Gauge, &[], "Samples in the in-memory store."),
    row(Metric::TapConnections, "plimsoll_tap_connections", Gauge, &[], "Client connections open at the tap."),
    row(
        Metric::ProcessCpu,
        "plimsoll_process_cpu_seconds_total",
        Counter,
        &[],
        "User and system CPU time of the agent, in seconds.",
    ),
    row(
        Metric::ProcessResident,
        "plimsoll_process_resident_memory_bytes",
        Gauge,
        &[],
        "Resident memory of the agent, in bytes.",
    ),
    row(Metric::ProcessFds, "plimsoll_process_open_fds", Gauge, &[], "File descriptors the agent has open."),
    row(
        Metric::ProcessStart,
        "plimsoll_process_start_time_seconds",
        Gauge,
        &[],
        "When the agent started, in seconds since the Unix epoch.",
    ),
];
