//! What each engine calls the things we watch.

use plimsoll_exporters::Metric;

use crate::config::EngineKind;

/// What becomes of a series of the engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Take {
    /// Summed over what our labels do not tell apart.
    Sum(Metric),
    /// The largest of what our labels do not tell apart.
    Max(Metric),
    /// A histogram: `_bucket`, `_sum`, `_count`, merged by the engine's own bounds.
    Histogram(Metric),
    /// Finished requests with this outcome; the finish reason stands in the named label, if any.
    Requests(&'static str, Option<&'static str>),
}

/// One name of an engine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    /// The engine's name for it (a histogram's without suffix).
    pub(super) raw: &'static str,
    /// What it becomes.
    pub(super) take: Take,
    /// Only series with this label value, if given.
    pub(super) only: Option<(&'static str, &'static str)>,
}

const fn name(raw: &'static str, take: Take) -> Name {
    Name { raw, take, only: None }
}

const fn only(raw: &'static str, label: &'static str, value: &'static str, take: Take) -> Name {
    Name { raw, take, only: Some((label, value)) }
}

use Metric::*;
use Take::{Histogram, Max, Requests as Finished, Sum};

/// vLLM v1, with the older names that it still has or had.
const VLLM: &[Name] = &[
    name("vllm:prompt_tokens_total", Sum(PromptTokensTotal)),
    name("vllm:generation_tokens_total", Sum(GenerationTokensTotal)),
    name("vllm:request_success_total", Finished("ok", Some("finished_reason"))),
    name("vllm:time_to_first_token_seconds", Histogram(TimeToFirstToken)),
    name("vllm:inter_token_latency_seconds", Histogram(InterTokenLatency)),
    name("vllm:time_per_output_token_seconds", Histogram(InterTokenLatency)),
    name("vllm:e2e_request_latency_seconds", Histogram(RequestDuration)),
    name("vllm:request_queue_time_seconds", Histogram(QueueTime)),
    name("vllm:request_prompt_tokens", Histogram(InputTokens)),
    name("vllm:request_generation_tokens", Histogram(OutputTokens)),
    name("vllm:num_requests_running", Sum(RequestsRunning)),
    name("vllm:num_requests_waiting", Sum(RequestsWaiting)),
    name("vllm:kv_cache_usage_perc", Max(KvCacheUtilization)),
    name("vllm:gpu_cache_usage_perc", Max(KvCacheUtilization)),
];

const SGLANG: &[Name] = &[
    name("sglang:prompt_tokens_total", Sum(PromptTokensTotal)),
    name("sglang:generation_tokens_total", Sum(GenerationTokensTotal)),
    name("sglang:num_requests_total", Finished("ok", None)),
    name("sglang:num_aborted_requests_total", Finished("client_abort", None)),
    name("sglang:time_to_first_token_seconds", Histogram(TimeToFirstToken)),
    name("sglang:inter_token_latency_seconds", Histogram(InterTokenLatency)),
    name("sglang:time_per_output_token_seconds", Histogram(InterTokenLatency)),
    name("sglang:e2e_request_latency_seconds", Histogram(RequestDuration)),
    name("sglang:queue_time_seconds", Histogram(QueueTime)),
    name("sglang:prompt_tokens_histogram", Histogram(InputTokens)),
    name("sglang:generation_tokens_histogram", Histogram(OutputTokens)),
    name("sglang:num_running_reqs", Sum(RequestsRunning)),
    name("sglang:num_queue_reqs", Sum(RequestsWaiting)),
    name("sglang:token_usage", Max(KvCacheUtilization)),
];

/// TGI's own name for a success counts what it answered; its failures carry a reason that we do not take over.
const TGI: &[Name] = &[
    name("tgi_request_success", Finished("ok", None)),
    name("tgi_request_failure", Finished("server_error", None)),
    name("tgi_request_duration", Histogram(RequestDuration)),
    name("tgi_request_queue_duration", Histogram(QueueTime)),
    name("tgi_request_mean_time_per_token_duration", Histogram(InterTokenLatency)),
    name("tgi_request_input_length", Histogram(InputTokens)),
    name("tgi_request_generated_tokens", Histogram(OutputTokens)),
    name("tgi_queue_size", Sum(RequestsWaiting)),
    name("tgi_batch_current_size", Sum(RequestsRunning)),
];

/// llama.cpp: its throughput gauges reset at each scrape, so that a second scraper corrupts them; they are left alone.
const LLAMACPP: &[Name] = &[
    name("llamacpp:prompt_tokens_total", Sum(PromptTokensTotal)),
    name("llamacpp:tokens_predicted_total", Sum(GenerationTokensTotal)),
    name("llamacpp:requests_processing", Sum(RequestsRunning)),
    name("llamacpp:requests_deferred", Sum(RequestsWaiting)),
    name("llamacpp:kv_cache_usage_ratio", Max(KvCacheUtilization)),
];

const TRITON: &[Name] = &[
    name("nv_inference_request_success", Finished("ok", None)),
    name("nv_inference_request_failure", Finished("server_error", None)),
    name("nv_inference_pending_request_count", Sum(RequestsWaiting)),
    only("nv_trt_llm_request_metrics", "request_type", "active", Sum(RequestsRunning)),
    only("nv_trt_llm_request_metrics", "request_type", "waiting", Sum(RequestsWaiting)),
    only("nv_trt_llm_kv_cache_block_metrics", "kv_cache_block_type", "fraction", Max(KvCacheUtilization)),
];

/// Every engine, with the prefix that gives it away.
const KINDS: [(EngineKind, &str, &[Name]); 5] = [
    (EngineKind::Vllm, "vllm:", VLLM),
    (EngineKind::Sglang, "sglang:", SGLANG),
    (EngineKind::Tgi, "tgi_", TGI),
    (EngineKind::Llamacpp, "llamacpp:", LLAMACPP),
    (EngineKind::Triton, "nv_", TRITON),
];

/// Which engine has a metric of this name.
pub(super) fn detect(metric: &str) -> Option<EngineKind> {
    KINDS.iter().find(|(_, prefix, _)| metric.starts_with(prefix)).map(|(kind, ..)| *kind)
}

/// The names of an engine.
pub(super) fn of(kind: EngineKind) -> &'static [Name] {
    KINDS.iter().find(|(other, ..)| *other == kind).map_or(&[], |(.., names)| names)
}
