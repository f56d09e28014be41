//! What one exchange adds to the metrics, whoever told us of it (the tap, or `POST /api/v1/exchanges`).

use plimsoll_exporters::{Metric, Registry};
use plimsoll_rules::{Exchange, ExchangeOutcome, TokenCount};

/// Adds `exchange` to every counter and histogram it belongs in. Only answered exchanges count in the histograms: an
/// error's duration says nothing of the model, and an aborted answer's length says nothing of its answers.
pub fn record(registry: &Registry, exchange: &Exchange) {
    let source = exchange.source.as_str();
    let labels = [exchange.model.as_str(), exchange.variant.as_str(), source];
    let [model, variant, _] = labels;
    let reason = exchange.finish_reason.as_deref().unwrap_or("");
    registry.add(Metric::Requests, &[model, variant, exchange.outcome.as_str(), reason, source], 1.0);
    if let Some(tokens) = exchange.input_tokens.value() {
        registry.add(Metric::PromptTokensTotal, &labels, tokens as f64);
    }
    if let Some(tokens) = exchange.output_tokens.value() {
        registry.add(Metric::GenerationTokensTotal, &labels, tokens as f64);
    }
    if matches!(exchange.output_tokens, TokenCount::Estimated(_)) {
        registry.add(Metric::TokensEstimated, &labels, 1.0);
    }
    if let Some(wait) = exchange.time_to_first_token {
        registry.observe(Metric::TimeToFirstToken, &labels, &[wait.as_secs_f64()]);
    }
    if !exchange.inter_token_seconds.is_empty() {
        let gaps: Vec<f64> = exchange.inter_token_seconds.iter().map(|gap| f64::from(*gap)).collect();
        registry.observe(Metric::InterTokenLatency, &labels, &gaps);
    }
    if exchange.outcome != ExchangeOutcome::Ok {
        return;
    }
    if let Some(tokens) = exchange.input_tokens.value() {
        registry.observe(Metric::InputTokens, &labels, &[tokens as f64]);
    }
    if let Some(tokens) = exchange.output_tokens.value() {
        registry.observe(Metric::OutputTokens, &labels, &[tokens as f64]);
    }
    registry.observe(Metric::RequestDuration, &labels, &[exchange.duration.as_secs_f64()]);
}
