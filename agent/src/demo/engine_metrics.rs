//! What the stand-in engine says of itself on `/metrics`: the names, labels and buckets of vLLM v1.

use std::fmt::Write as _;

/// vLLM's buckets of time to first token.
const TTFT: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
];
/// vLLM's buckets of the time between two tokens.
const GAP: &[f64] =
    &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0];
/// vLLM's buckets of whole requests and of their phases.
const REQUEST: &[f64] = &[
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
];
/// vLLM's buckets of tokens a request (up to the model's context length).
const TOKENS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0];
/// Tokens that the stand-in's imaginary KV cache holds.
const KV_TOKENS: f64 = 262_144.0;

/// One histogram: counts a bucket (not cumulative) and the sum.
#[derive(Debug)]
struct Histogram {
    bounds: &'static [f64],
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    fn observe(&mut self, value: f64, times: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += times;
        self.sum += value * times as f64;
    }

    fn print(&self, out: &mut String, name: &str, help: &str, labels: &str) {
        head(out, name, help, "histogram");
        let mut total = 0;
        for (count, bound) in self.counts.iter().zip(self.bounds.iter().map(Some).chain([None])) {
            total += count;
            let le = bound.map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound:?}"));
            line(out, format_args!("vllm:{name}_bucket{{{labels},le=\"{le}\"}} {total:?}", total = total as f64));
        }
        line(out, format_args!("vllm:{name}_count{{{labels}}} {:?}", total as f64));
        line(out, format_args!("vllm:{name}_sum{{{labels}}} {:?}", self.sum));
    }
}

/// What became of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    /// `stop`, `length` or `abort`, as vLLM calls them.
    pub(crate) reason: &'static str,
    /// Tokens of the prompt.
    pub(crate) prompt_tokens: u64,
    /// Tokens generated.
    pub(crate) answer_tokens: u64,
    /// Seconds to the first token.
    pub(crate) first_token: f64,
    /// Seconds from the first token to the last.
    pub(crate) decode: f64,
}

/// All series of the stand-in.
#[derive(Debug)]
pub(crate) struct EngineMetrics {
    running: u64,
    held_tokens: u64,
    prompt_tokens: u64,
    answer_tokens: u64,
    reasons: [(&'static str, u64); 3],
    first_token: Histogram,
    gap: Histogram,
    whole: Histogram,
    queue: Histogram,
    prompt: Histogram,
    answer: Histogram,
}

impl Default for EngineMetrics {
    fn default() -> Self {
        Self {
            running: 0,
            held_tokens: 0,
            prompt_tokens: 0,
            answer_tokens: 0,
            reasons: [("stop", 0), ("length", 0), ("abort", 0)],
            first_token: Histogram::new(TTFT),
            gap: Histogram::new(GAP),
            whole: Histogram::new(REQUEST),
            queue: Histogram::new(REQUEST),
            prompt: Histogram::new(TOKENS),
            answer: Histogram::new(TOKENS),
        }
    }
}

impl EngineMetrics {
    /// A request of `tokens` (prompt and answer together) began.
    pub(crate) fn begin(&mut self, tokens: u64) {
        self.running += 1;
        self.held_tokens += tokens;
    }

    /// The same request ended. As in vLLM, the latencies of an aborted one are not observed.
    pub(crate) fn end(&mut self, tokens: u64, request: Finished) {
        self.running = self.running.saturating_sub(1);
        self.held_tokens = self.held_tokens.saturating_sub(tokens);
        self.prompt_tokens += request.prompt_tokens;
        self.answer_tokens += request.answer_tokens;
        if let Some((_, count)) = self.reasons.iter_mut().find(|(reason, _)| *reason == request.reason) {
            *count += 1;
        }
        self.prompt.observe(request.prompt_tokens as f64, 1);
        self.answer.observe(request.answer_tokens as f64, 1);
        if request.reason == "abort" {
            return;
        }
        self.first_token.observe(request.first_token, 1);
        let gaps = request.answer_tokens.saturating_sub(1);
        self.gap.observe(request.decode / gaps.max(1) as f64, gaps);
        self.whole.observe(request.first_token + request.decode, 1);
        self.queue.observe(0.0, 1);
    }

    /// Prometheus' text format.
    pub(crate) fn text(&self, model: &str) -> String {
        let model = model.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels = format!("engine=\"0\",model_name=\"{model}\"");
        let mut out = String::with_capacity(16_384);
        let usage = (self.held_tokens as f64 / KV_TOKENS).min(1.0);
        for (name, kind, help, value) in [
            ("num_requests_running", "gauge", "Number of requests in model execution batches.", self.running as f64),
            ("num_requests_waiting", "gauge", "Number of requests waiting to be processed.", 0.0),
            ("kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", usage),
            ("prompt_tokens_total", "counter", "Number of prefill tokens processed.", self.prompt_tokens as f64),
            ("generation_tokens_total", "counter", "Number of generation tokens processed.", self.answer_tokens as f64),
        ] {
            head(&mut out, name, help, kind);
            line(&mut out, format_args!("vllm:{name}{{{labels}}} {value:?}"));
        }
        head(&mut out, "request_success_total", "Count of successfully processed requests.", "counter");
        for (reason, count) in self.reasons {
            let value = count as f64;
            line(
                &mut out,
                format_args!("vllm:request_success_total{{{labels},finished_reason=\"{reason}\"}} {value:?}"),
            );
        }
        for (histogram, name, help) in [
            (&self.prompt, "request_prompt_tokens", "Number of prefill tokens processed."),
            (&self.answer, "request_generation_tokens", "Number of generation tokens processed."),
            (&self.first_token, "time_to_first_token_seconds", "Histogram of time to first token in seconds."),
            (&self.gap, "inter_token_latency_seconds", "Histogram of inter-token latency in seconds."),
            (&self.whole, "e2e_request_latency_seconds", "Histogram of e2e request latency in seconds."),
            (&self.queue, "request_queue_time_seconds", "Histogram of time spent in WAITING phase for request."),
        ] {
            histogram.print(&mut out, name, help, &labels);
        }
        out
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    line(out, format_args!("# HELP vllm:{name} {help}\n# TYPE vllm:{name} {kind}"));
}

/// Writing to a string cannot fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(reason: &'static str, answer_tokens: u64) -> Finished {
        Finished { reason, prompt_tokens: 100, answer_tokens, first_token: 0.03, decode: 0.2 }
    }

    #[test]
    fn buckets_are_cumulative_and_end_at_the_count() {
        let mut metrics = EngineMetrics::default();
        metrics.begin(105);
        metrics.begin(130);
        metrics.end(105, request("stop", 5));
        metrics.end(130, request("abort", 2));
        let text = metrics.text("m\"x");
        let labels = r#"engine="0",model_name="m\"x""#;
        for (why, expected) in [
            ("both prompts are at most 100", format!("request_prompt_tokens_bucket{{{labels},le=\"100.0\"}} 2.0")),
            ("only the finished one has a first token", format!("time_to_first_token_seconds_count{{{labels}}} 1.0")),
            ("four gaps of 50 ms", format!("inter_token_latency_seconds_bucket{{{labels},le=\"0.05\"}} 4.0")),
            ("+Inf holds all", format!("request_generation_tokens_bucket{{{labels},le=\"+Inf\"}} 2.0")),
            ("counted by reason", format!("request_success_total{{{labels},finished_reason=\"abort\"}} 1.0")),
            ("none is left running", format!("num_requests_running{{{labels}}} 0.0")),
            ("sum of tokens", format!("generation_tokens_total{{{labels}}} 7.0")),
        ] {
            assert!(text.contains(&format!("vllm:{expected}\n")), "{why}: {expected} not in\n{text}");
        }
    }
}
