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

/// Negative log-likelihood per token: e to the 12th is a vocabulary of 160 000.
const NATS: &[f64] = &[0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0];

/// One line a metric: the enum, the table and the documentation are made of it.
macro_rules! catalog {
    ($($variant:ident $name:literal $kind:expr, [$($label:literal),*], $help:literal;)*) => {
        /// Names every metric once, so that no other file spells one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Metric {
            $(#[doc = concat!("`plimsoll_", $name, "`: ", $help)] $variant,)*
        }

        /// The catalog, in the order of [`Metric`].
        pub static CATALOG: &[Spec] = &[
            $(Spec {
                metric: Metric::$variant,
                name: concat!("plimsoll_", $name),
                kind: $kind,
                labels: &[$($label),*],
                help: $help,
            },)*
        ];
    };
}

impl Metric {
    /// Names of the series it is made of: a histogram has three kinds.
    pub fn series_names(self) -> Vec<String> {
        let Spec { name, kind, .. } = self.spec();
        match kind {
            Kind::Histogram(_) => ["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")).to_vec(),
            _ => vec![(*name).to_owned()],
        }
    }

    /// This metric's row.
    pub fn spec(self) -> &'static Spec {
        &CATALOG[self as usize]
    }

    /// Its full name.
    pub fn name(self) -> &'static str {
        self.spec().name
    }
}

use Kind::{Counter, Gauge, Histogram};

catalog! {
    // System
    CpuUtilization "cpu_utilization_ratio" Gauge, [], "CPU time used as a ratio (0 to 1) of the cgroup limit, else of the host.";
    CpuLimitCores "cpu_limit_cores" Gauge, [], "CPU cores that utilization refers to: the cgroup limit, else the host.";
    CpuThrottled "cpu_throttled_seconds_total" Counter, [], "Seconds the cgroup was throttled by its CPU limit.";
    MemoryUtilization "memory_utilization_ratio" Gauge, [], "Working set as a ratio (0 to 1) of the cgroup limit, else of the host.";
    MemoryUsed "memory_used_bytes" Gauge, [], "Working set in bytes: usage less inactive file cache.";
    MemoryLimit "memory_limit_bytes" Gauge, [], "Memory in bytes that utilization refers to: the cgroup limit, else the host.";
    PressureStall "pressure_stall_seconds_total" Counter, ["resource", "kind"], "Seconds that some or all (kind) tasks stalled on a resource (PSI).";
    OomKills "oom_kills_total" Counter, [], "Processes killed in the cgroup because memory ran out.";
    NetworkReceive "network_receive_bytes_total" Counter, ["interface"], "Bytes received.";
    NetworkTransmit "network_transmit_bytes_total" Counter, ["interface"], "Bytes sent.";
    DiskUsed "disk_used_bytes" Gauge, ["mount"], "Bytes used of a file system.";
    DiskSize "disk_size_bytes" Gauge, ["mount"], "Size of a file system in bytes.";
    // GPU
    GpuUp "gpu_up" Gauge, ["gpu", "uuid", "mig"], "1 while the GPU answers, 0 after it has fallen off the bus.";
    GpuUtilization "gpu_utilization_ratio" Gauge, ["gpu", "uuid", "mig"], "Share of the last sample period in which a kernel ran, 0 to 1.";
    GpuMemoryUsed "gpu_memory_used_bytes" Gauge, ["gpu", "uuid", "mig"], "GPU memory in use, in bytes.";
    GpuMemoryTotal "gpu_memory_total_bytes" Gauge, ["gpu", "uuid", "mig"], "GPU memory installed or assigned, in bytes.";
    GpuMemoryUtilization "gpu_memory_utilization_ratio" Gauge, ["gpu", "uuid", "mig"], "GPU memory in use as a ratio (0 to 1) of the total.";
    GpuPower "gpu_power_watts" Gauge, ["gpu", "uuid", "mig"], "Power draw in watts.";
    GpuTemperature "gpu_temperature_celsius" Gauge, ["gpu", "uuid", "mig"], "Core temperature in degrees Celsius.";
    GpuClock "gpu_clock_hertz" Gauge, ["gpu", "uuid", "mig", "clock"], "Clock in hertz (clock: graphics, sm, memory, video).";
    GpuThrottled "gpu_throttled" Gauge, ["gpu", "uuid", "mig", "reason"], "1 while clocks are held down for this reason, else 0.";
    GpuXidErrors "gpu_xid_errors_total" Counter, ["gpu", "uuid", "mig", "xid"], "XID error events since the agent started.";
    GpuEccErrors "gpu_ecc_errors_total" Counter, ["gpu", "uuid", "mig", "kind"], "Aggregate ECC errors (kind: corrected, uncorrected) over the life of the GPU.";
    GpuProcessMemory "gpu_process_memory_used_bytes" Gauge, ["gpu", "uuid", "mig", "process"], "GPU memory in bytes by process name.";
    // Model
    Requests "requests_total" Counter, ["model", "variant", "outcome", "finish_reason", "source"], "Finished requests.";
    InputTokens "input_tokens" Histogram(TOKENS), ["model", "variant", "source"], "Prompt tokens of a request.";
    OutputTokens "output_tokens" Histogram(TOKENS), ["model", "variant", "source"], "Generated tokens of a request.";
    TokensEstimated "tokens_estimated_total" Counter, ["model", "variant", "source"], "Requests whose output tokens were counted from stream deltas because the engine sent no usage.";
    TimeToFirstToken "time_to_first_token_seconds" Histogram(SECONDS), ["model", "variant", "source"], "Seconds from the arrival of a request to the first content of its streamed answer.";
    InterTokenLatency "inter_token_latency_seconds" Histogram(FAST_SECONDS), ["model", "variant", "source"], "Seconds between one content chunk and the next of a streamed answer.";
    RequestDuration "request_duration_seconds" Histogram(SECONDS), ["model", "variant", "source"], "Seconds from the arrival of a request to the last byte of its answer.";
    QueueTime "queue_time_seconds" Histogram(SECONDS), ["model", "variant", "source"], "Seconds a request waited in the engine before it was scheduled.";
    RequestsRunning "requests_running" Gauge, ["model", "variant", "source"], "Requests being worked on.";
    RequestsWaiting "requests_waiting" Gauge, ["model", "variant", "source"], "Requests waiting in the queue.";
    KvCacheUtilization "kv_cache_utilization_ratio" Gauge, ["model", "variant", "source"], "KV cache in use, 0 to 1.";
    PromptTokensTotal "prompt_tokens_total" Counter, ["model", "variant", "source"], "Prompt tokens processed.";
    GenerationTokensTotal "generation_tokens_total" Counter, ["model", "variant", "source"], "Tokens generated.";
    EngineInfo "engine_info" Gauge, ["kind", "url"], "1 for the inference engine that is being scraped; kind is the detected product.";
    // Business
    Tasks "tasks_total" Counter, ["outcome", "model", "variant"], "Tasks whose outcome is known (outcome: completed, failed).";
    TaskCompletion "task_completion_ratio" Gauge, ["model", "variant"], "Completed tasks as a ratio (0 to 1) of the tasks with an outcome in the window.";
    TaskCount "task_window_count" Gauge, ["model", "variant"], "Tasks with an outcome in the window that task_completion_ratio is over.";
    Satisfaction "user_satisfaction_ratio" Gauge, ["model", "variant"], "Mean satisfaction in the window, 0 to 1: ratings rescaled, thumbs as 0 or 1.";
    SatisfactionCount "user_satisfaction_window_count" Gauge, ["model", "variant"], "Ratings in the window that user_satisfaction_ratio is over.";
    SatisfactionRatings "user_satisfaction_ratings_total" Counter, ["model", "variant"], "Satisfaction ratings received.";
    SatisfactionScore "user_satisfaction_score_total" Counter, ["model", "variant"], "Sum of satisfaction ratings, each 0 to 1.";
    Feedback "feedback_total" Counter, ["metric"], "Feedback items accepted.";
    FeedbackUnjoined "feedback_unjoined" Gauge, [], "Stored feedback items whose exchange is not known yet.";
    // Drift
    DriftScore "drift_score" Gauge, ["signal", "model", "variant", "statistic"], "How far a signal has drifted (statistic: threshold_ratio, 1 is an alarm; reference_median and recent_median in the signal's unit, while an alarm stands also that of p50, p95, p99 which moved most, such as recent_p95; reference_share and recent_share of the category that grew; shift of texts, in spreads of the reference).";
    DriftEvidence "drift_evidence" Gauge, ["signal", "model", "variant"], "Evidence that a signal has left its baseline: a log e-value in nats; of embedding, the standardised squared shift of the mean text.";
    DriftThreshold "drift_threshold" Gauge, ["signal", "model", "variant"], "The evidence at which an alarm is raised, in the same measure.";
    DriftAlarm "drift_alarm" Gauge, ["signal", "model", "variant"], "1 while an alarm stands: raised once, kept until the signal has been calm for long enough or the change is accepted.";
    DriftSince "drift_since_timestamp_seconds" Gauge, ["signal", "model", "variant"], "When the change behind a standing alarm most likely happened, in seconds since the Unix epoch.";
    DriftTop "drift_top" Gauge, ["signal", "model", "variant", "kind", "item"], "What is new behind a standing alarm (kind: term, weight of a distinctive term of masked texts; cluster, its share now as a ratio of its share in the baseline; category, the same of a category).";
    DriftReference "drift_reference_observations" Gauge, ["signal", "model", "variant"], "Observations that the baseline was, or is being, learned from.";
    DriftLearning "drift_learning" Gauge, ["signal", "model", "variant"], "1 while a signal's first baseline is being learned: nothing is judged yet.";
    DriftArl "drift_arl_observations" Gauge, ["signal", "model", "variant"], "Mean observations between two false alarms that the threshold is set to.";
    DriftBaseline "drift_baseline_version" Gauge, ["signal", "model", "variant"], "The baseline in force.";
    DriftObservations "drift_observations_total" Counter, ["signal", "model", "variant"], "Observations taken by a signal's detector.";
    CompletionEvidence "task_completion_evidence_nats" Gauge, ["model", "variant", "method"], "Evidence that less than 90 % of tasks are completed, in nats: method daily is an e-process that begins anew each day (UTC; 3.0 is one false alarm in 20 days), method detector an e-SR detector of a fall at any time (9.2 is one false alarm in 10 000 tasks).";
    // Experiments
    ExperimentUnits "experiment_units_total" Counter, ["experiment", "variant"], "Units (users, conversations) that were enrolled in an experiment, by the variant of their half.";
    ExperimentUnenrolled "experiment_requests_unenrolled_total" Counter, ["experiment", "reason"], "Requests of an experiment that could not take part and were served by control (reason: no_unit, too_long, unreadable, not_json, full, no_variant, moved).";
    ExperimentState "experiment_state" Gauge, ["experiment", "state"], "1 for the state an experiment is in (aa_check, ramp, hold, promoted, rolled_back, kept_control), 0 for the others.";
    ExperimentShare "experiment_treatment_share_ratio" Gauge, ["experiment"], "Share of new units that get the treatment; 0 when none is enrolled any more.";
    ExperimentOutcomes "experiment_outcomes" Gauge, ["experiment", "arm"], "Units whose window has closed and whose outcome is in, by arm (control, treatment).";
    ExperimentEvidence "experiment_log_e" Gauge, ["experiment", "metric", "side"], "Largest evidence so far, in nats (ln of an e-value): side harm that the treatment is worse, side no_worse that it is worse by less than the margin.";
    ExperimentEffect "experiment_effect" Gauge, ["experiment", "metric", "bound"], "Treatment minus control, in the metric's own unit: estimate, lower and upper bound of the confidence sequence, valid at all times together.";
    ExperimentSplitEvidence "experiment_split_log_e" Gauge, ["experiment"], "Evidence that the arms' sizes are not what the propensities say, in nats; 6.9 puts the experiment on hold.";
    ExperimentMissingEvidence "experiment_missing_log_e" Gauge, ["experiment"], "Evidence that outcomes are missing more often in one arm, in nats; 6.9 puts the experiment on hold.";
    ExperimentJudgements "experiment_judgements_total" Counter, ["experiment"], "Mirrored requests whose two answers the judge compared.";
    ExperimentJudgeHealth "experiment_judge_health" Gauge, ["experiment", "health"], "1 for how the judge is (too_few, healthy, leans, flips, disagrees), 0 for the others; only a healthy one is listened to.";
    ExperimentJudgePositionGap "experiment_judge_position_gap" Gauge, ["experiment"], "How far the judge prefers the first place, -1 to 1; beyond 0.1 either way it is not listened to.";
    ExperimentJudgeFlips "experiment_judge_flip_ratio" Gauge, ["experiment"], "Share of the judge's verdicts that change with the order of the answers; above 0.25 it is not listened to.";
    ExperimentJudgeTemperature "experiment_judge_temperature" Gauge, ["experiment"], "Temperature that fits the judge to people's labels, from 30 labels on; above 1 it is too sure of itself.";
    ExperimentWinRate "experiment_win_rate_ratio" Gauge, ["experiment", "by", "bound"], "Preference for the treatment's answers, 0 to 1, 0.5 is neither: by judge, judge_equal_length, labels, labels_and_judge (PPI++); the bounds of the last two hold at a moment chosen before. A signal, it decides nothing.";
    ExperimentJudgeEvidence "experiment_judge_log_e" Gauge, ["experiment", "side"], "Evidence that the judge prefers the treatment's answers (side better) or control's (worse), in nats, one pair a unit. A signal, it decides nothing.";
    ExperimentDecided "experiment_decision_timestamp_seconds" Gauge, ["experiment", "from", "to", "reason", "metric"], "When the last decision was taken, in seconds since the Unix epoch.";
    ExperimentDecisions "experiment_decisions_total" Counter, ["experiment", "action", "reason"], "Decisions since the start of the agent (action: advance, hold, resume, promote, roll_back, keep_control).";
    // The loop: from falling quality to the next version
    FinetuneStage "finetune_stage" Gauge, ["stage"], "1 for the stage of the newest run (proposed, curating, training, gating, loading, mirroring, trying, promoted, rolled_back, kept, refused, failed, cancelled), 0 for the others.";
    FinetuneHold "finetune_hold" Gauge, ["hold"], "1 for each thing that is in the way of a run (calm: nothing fell, weak, explained, circuit_open, experiment, cooldown, budget, examples, failures).";
    FinetuneCircuitOpen "finetune_circuit_open" Gauge, [], "1 while two gates in a row have refused: no run begins until somebody has looked.";
    FinetuneVersionMissing "finetune_version_missing" Gauge, ["version"], "1 while requests are sent to a version that the engine does not have; they are answered by the model that the client named, and it is loaded again.";
    FinetuneRuns "finetune_runs_total" Counter, ["outcome"], "Runs since the start of the agent by how they ended (promoted, rolled_back, kept, refused, failed, cancelled).";
    FinetuneStep "finetune_step" Gauge, [], "Steps that the training under way has done.";
    FinetuneLoss "finetune_loss_nats" Gauge, [], "Loss of its last step, in nats per answer token.";
    FinetuneHoldoutLoss "finetune_holdout_loss_nats" Gauge, [], "Its last loss on what is held out, in nats per answer token.";
    FinetuneTokens "finetune_tokens_per_second" Gauge, [], "Tokens that it reads a second.";
    ModelVersion "model_version_info" Gauge, ["version", "status"], "1 for each version that is kept, with where it stands (candidate, live, retired, rolled_back, kept, refused).";
    // Distributed training, as its ranks report it
    FinetuneRankStep "finetune_rank_step_seconds" Gauge, ["run", "rank"], "Seconds a rank of a training job computed in its last step.";
    FinetuneRankLoss "finetune_rank_loss" Gauge, ["run", "rank"], "Loss of a rank's last step, as the job reports it.";
    FinetuneRanksDiverged "finetune_ranks_diverged" Gauge, ["run"], "1 once ranks of a training job have reported different checksums of the parameters after one step, until the job begins again before it; else 0.";
    FinetuneDivergedStep "finetune_ranks_diverged_step" Gauge, ["run"], "The first step after which the ranks of a training job held different parameters.";
    FinetuneStraggler "finetune_straggler_ratio" Gauge, ["run"], "Usual step time of the slowest rank of a training job as a ratio of the median rank's.";
    // Capacity
    RecommendedReplicas "recommended_replicas" Gauge, [], "Pods that this pod's own traffic takes, reserve included; the sum over pods, rounded up, is what the service takes. Absent while peak or capacity are not known.";
    PeakRequests "peak_requests_per_second" Gauge, [], "Requests per second that were asked of this pod at most in a minute, over `capacity.window`.";
    CapacityRequests "capacity_requests_per_second" Gauge, ["by"], "Requests per second that this pod can (by: configured, or measured while requests waited all the time).";
    // Shadow model, as the agent sees it
    ShadowRequests "shadow_requests_total" Counter, ["outcome"], "Requests of the agent to the shadow worker by how they ended: ok, busy (it makes way for the served model), failed.";
    ShadowRequestDuration "shadow_request_duration_seconds" Histogram(SECONDS), [], "Seconds of a request of the agent to the shadow worker that was answered.";
    ShadowRestarts "shadow_restarts_total" Counter, [], "Times the shadow worker was started again after it had ended.";
    ShadowResident "shadow_resident_bytes" Gauge, [], "Resident memory of the shadow worker that is a child of the agent, in bytes.";
    PromptNll "prompt_nll_nats" Histogram(NATS), ["model", "variant"], "How surprising sampled prompts are to the shadow language model: negative log-likelihood per token, in nats.";
    ResponseNll "response_nll_nats" Histogram(NATS), ["model", "variant"], "How surprising sampled answers are to the shadow language model, given their prompts: negative log-likelihood per token, in nats.";
    // Shadow worker, on its own /metrics
    ShadowTexts "shadow_texts_total" Counter, ["task", "outcome"], "Texts or pairs that the worker took by task (embed, score, judge, reward) and outcome (ok, cached, busy, full, failed).";
    ShadowTokens "shadow_tokens_total" Counter, ["task"], "Tokens that the worker's models read.";
    ShadowBatches "shadow_batches_total" Counter, ["task"], "Batches that the worker ran.";
    ShadowBatchDuration "shadow_batch_duration_seconds" Histogram(FAST_SECONDS), ["task"], "Seconds a batch of the worker took.";
    ShadowQueue "shadow_queue_texts" Gauge, [], "Texts that wait for their batch.";
    ShadowCache "shadow_cache_bytes" Gauge, [], "Bytes of answers that are kept for texts that come again.";
    ShadowBusy "shadow_busy" Gauge, [], "1 while the worker makes way for the served model: its GPU is busy or requests wait in its queue.";
    ShadowEngineUp "shadow_engine_up" Gauge, [], "1 while the worker sees the served engine's queue (`--engine`), 0 while it cannot and so does not make way for it.";
    ShadowModelBytes "shadow_model_bytes" Gauge, ["task"], "Memory of the weights of the worker's models, in bytes.";
    // Judgement and telling
    Alerts "alerts" Gauge, ["alertname", "alertstate"], "Active alerts by name and state (pending, firing).";
    RuleEvaluations "rule_evaluations_total" Counter, ["group"], "Rule evaluations.";
    RuleFailures "rule_evaluation_failures_total" Counter, ["group"], "Rule evaluations that failed; alerts keep their state.";
    RuleSlotsMissed "rule_group_iterations_missed_total" Counter, ["group"], "Evaluation slots that passed without an evaluation.";
    RuleDuration "rule_group_last_duration_seconds" Gauge, ["group"], "Seconds the last evaluation of the group took.";
    NotificationsSent "notifications_sent_total" Counter, ["sink"], "Notifications a sink accepted.";
    NotificationsFailed "notifications_failed_total" Counter, ["sink", "reason"], "Delivery attempts that failed.";
    NotificationsPending "notifications_pending" Gauge, ["sink"], "Notifications waiting in the outbox.";
    NotificationsDead "notifications_dead_letters" Gauge, ["sink"], "Notifications given up on: refused for good or too old.";
    // Self
    BuildInfo "build_info" Gauge, ["version", "revision", "rustc"], "1; labels say what this binary is.";
    CollectorUp "collector_up" Gauge, ["source"], "1 while a source delivers, 0 when it failed.";
    Dropped "dropped_total" Counter, ["what"], "Own work dropped to stay within bounds (what says which).";
    ConfigReloadSuccess "config_last_reload_successful" Gauge, [], "1 when the last reload was taken, 0 when it was refused and the last good configuration goes on.";
    StoreSeries "store_series" Gauge, [], "Series in the in-memory store.";
    StoreSamples "store_samples" Gauge, [], "Samples in the in-memory store.";
    TapConnections "tap_connections" Gauge, [], "Client connections open at the tap.";
    QueriesRefused "queries_refused_total" Counter, ["reason"], "Queries over the API that were refused to protect the pod (reason: busy, cost, time).";
    ApiRefused "api_refused_total" Counter, ["reason"], "Requests to the API that were turned away (reason: no_token, unknown_token, role).";
    ProcessCpu "process_cpu_seconds_total" Counter, [], "User and system CPU time of the agent, in seconds.";
    ProcessResident "process_resident_memory_bytes" Gauge, [], "Resident memory of the agent, in bytes.";
    ProcessFds "process_open_fds" Gauge, [], "File descriptors the agent has open.";
    ProcessStart "process_start_time_seconds" Gauge, [], "When the agent started, in seconds since the Unix epoch.";
}
