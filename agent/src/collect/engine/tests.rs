//! Each engine pinned by an exposition, and what a broken one does.

use std::path::Path;

use axum::Router;
use axum::routing::get;
use plimsoll_exporters::Registry;

use super::*;

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/engine").join(name)).unwrap()
}

fn registry_of(kind: EngineKind, text: &[u8]) -> Registry {
    let registry = Registry::new(10_000);
    registry.publish("engine", map::readings(kind, &parse::parse(text, MOST_LINES).lines));
    registry
}

fn check(file: &str, kind: EngineKind, expected: &[(&str, f64)]) {
    let text = golden(file);
    let first = parse::parse(&text, MOST_LINES).lines.iter().find_map(|line| names::detect(&line.name));
    assert_eq!(first, Some(kind), "{file} is recognised");
    let samples = registry_of(kind, &text).samples();
    for (series, value) in expected {
        let seen = samples.iter().find(|(labels, _)| labels.to_string() == *series).map(|(_, value)| *value);
        assert_eq!(seen, Some(*value), "{file}: {series}\n{samples:#?}");
    }
}

#[test]
fn vllm() {
    check(
        "vllm.txt",
        EngineKind::Vllm,
        &[
            (r#"plimsoll_requests_total{finish_reason="length", model="tiny", outcome="ok", source="engine"}"#, 7.0),
            (
                r#"plimsoll_requests_total{finish_reason="abort", model="tiny", outcome="client_abort", source="engine"}"#,
                0.0,
            ),
            (r#"plimsoll_prompt_tokens_total{model="tiny", source="engine"}"#, 212.0),
            (r#"plimsoll_generation_tokens_total{model="tiny", source="engine"}"#, 135.0),
            (r#"plimsoll_input_tokens_count{model="tiny", source="engine"}"#, 8.0),
            (r#"plimsoll_input_tokens_bucket{le="1", model="tiny", source="engine"}"#, 0.0),
            (r#"plimsoll_output_tokens_sum{model="tiny", source="engine"}"#, 135.0),
            (r#"plimsoll_inter_token_latency_seconds_count{model="tiny", source="engine"}"#, 127.0),
            (r#"plimsoll_requests_waiting{model="tiny", source="engine"}"#, 0.0),
        ],
    );
}

#[test]
fn sglang() {
    let model = "meta-llama/Llama-3.1-8B-Instruct";
    check(
        "sglang.txt",
        EngineKind::Sglang,
        &[
            (&format!("plimsoll_requests_total{{model=\"{model}\", outcome=\"ok\", source=\"engine\"}}"), 11008.0),
            (
                &format!("plimsoll_requests_total{{model=\"{model}\", outcome=\"client_abort\", source=\"engine\"}}"),
                3.0,
            ),
            (&format!("plimsoll_kv_cache_utilization_ratio{{model=\"{model}\", source=\"engine\"}}"), 0.31),
            (
                &format!(
                    "plimsoll_time_to_first_token_seconds_bucket{{le=\"30\", model=\"{model}\", source=\"engine\"}}"
                ),
                1216.0,
            ),
            (&format!("plimsoll_input_tokens_sum{{model=\"{model}\", source=\"engine\"}}"), 8_128_902.0),
        ],
    );
    let waiting = registry_of(EngineKind::Sglang, &golden("sglang.txt")).samples();
    assert!(!waiting.iter().any(|(labels, _)| labels.name() == "plimsoll_requests_waiting"), "NaN is no reading");
}

#[test]
fn tgi() {
    check(
        "tgi.txt",
        EngineKind::Tgi,
        &[
            (r#"plimsoll_requests_total{outcome="ok", source="engine"}"#, 117.0),
            (r#"plimsoll_requests_total{outcome="server_error", source="engine"}"#, 3.0),
            (r#"plimsoll_input_tokens_bucket{le="81.92", source="engine"}"#, 90.0),
            (r#"plimsoll_request_duration_seconds_sum{source="engine"}"#, 88.25),
            (r#"plimsoll_requests_waiting{source="engine"}"#, 4.0),
        ],
    );
}

#[test]
fn llama_cpp() {
    check(
        "llamacpp.txt",
        EngineKind::Llamacpp,
        &[
            (r#"plimsoll_generation_tokens_total{source="engine"}"#, 5.0),
            (r#"plimsoll_prompt_tokens_total{source="engine"}"#, 7.0),
            (r#"plimsoll_requests_running{source="engine"}"#, 0.0),
        ],
    );
}

#[test]
fn triton() {
    check(
        "triton.txt",
        EngineKind::Triton,
        &[
            (r#"plimsoll_requests_total{model="ensemble", outcome="ok", source="engine"}"#, 70.0),
            (r#"plimsoll_requests_total{model="ensemble", outcome="server_error", source="engine"}"#, 3.0),
            (r#"plimsoll_requests_running{model="tensorrt_llm", source="engine"}"#, 12.0),
            (r#"plimsoll_kv_cache_utilization_ratio{model="tensorrt_llm", source="engine"}"#, 0.4875),
        ],
    );
}

#[test]
fn odd_buckets_of_several_engines_are_merged_by_their_own_bounds() {
    let text = br#"
vllm:request_prompt_tokens_bucket{engine="0",model_name="m",le="10"} 1
vllm:request_prompt_tokens_bucket{engine="0",model_name="m",le="+Inf"} 4
vllm:request_prompt_tokens_bucket{engine="1",model_name="m",le="7.5"} 2
vllm:request_prompt_tokens_bucket{engine="1",model_name="m",le="+Inf"} 3
vllm:request_prompt_tokens_bucket{engine="1",model_name="m",le="what"} 3
vllm:request_prompt_tokens_count{engine="0",model_name="m"} 4
vllm:request_prompt_tokens_count{engine="1",model_name="m"} 3
vllm:request_prompt_tokens_sum{engine="0",model_name="m"} 40"#;
    let samples = registry_of(EngineKind::Vllm, text).samples();
    let seen: Vec<(String, f64)> =
        samples.iter().map(|(l, v)| (l.get("le").unwrap_or(l.name()).to_owned(), *v)).collect();
    let expected = [
        ("7.5", 2.0),
        ("10", 3.0),
        ("+Inf", 7.0),
        ("plimsoll_input_tokens_sum", 40.0),
        ("plimsoll_input_tokens_count", 7.0),
    ];
    assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn an_old_name_beside_the_new_one_is_not_counted_twice_and_a_reset_shows() {
    let text = b"vllm:kv_cache_usage_perc{model_name=\"m\"} 0.5\nvllm:gpu_cache_usage_perc{model_name=\"m\"} 0.9\n";
    let samples = registry_of(EngineKind::Vllm, text).samples();
    assert_eq!(samples.len(), 1);
    assert_eq!(samples[0].1, 0.5);
    let registry = registry_of(EngineKind::Llamacpp, b"llamacpp:tokens_predicted_total 900");
    let after = map::readings(EngineKind::Llamacpp, &parse::parse(b"llamacpp:tokens_predicted_total 3", 10).lines);
    registry.publish("engine", after);
    assert_eq!(registry.samples()[0].1, 3.0, "a restarted engine's counter is passed on as it is");
}

#[test]
fn half_a_histogram_is_no_histogram() {
    for (why, parts, expected) in [
        ("no sum", "_bucket{le=\"+Inf\"} 3\nvllm:request_prompt_tokens_count 3", None),
        ("no count and no last bucket", "_bucket{le=\"8\"} 3\nvllm:request_prompt_tokens_sum 9", None),
        ("no count, but a last bucket", "_bucket{le=\"+Inf\"} 3\nvllm:request_prompt_tokens_sum 9", Some(3.0)),
    ] {
        let text = format!("vllm:request_prompt_tokens{parts}\n");
        let samples = registry_of(EngineKind::Vllm, text.as_bytes()).samples();
        let count = samples.iter().find(|(labels, _)| labels.name().ends_with("_count")).map(|(_, value)| *value);
        assert_eq!(count, expected, "{why}");
    }
}

/// Serves `body` once at /metrics and scrapes it.
async fn scraped(status: StatusCode, body: Vec<u8>, limit: u64) -> Result<Scrape, ScrapeError> {
    scraped_as(EngineKind::Auto, status, body, limit).await
}

async fn scraped_as(kind: EngineKind, status: StatusCode, body: Vec<u8>, limit: u64) -> Result<Scrape, ScrapeError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap()).parse().unwrap();
    let app = Router::new().route("/metrics", get(async move || (status, body)));
    let server = axum::serve(listener, app);
    let target = Target { url, kind, timeout: Duration::from_secs(10), max_size: limit };
    let client = client();
    tokio::select! {
        result = scrape(&client, &target) => result,
        _ = server.into_future() => unreachable!(),
    }
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

#[tokio::test]
async fn what_is_found_instead_is_said() {
    let mut rng = fastrand::Rng::with_seed(5);
    let garbage: Vec<u8> = (0..10 << 20).map(|_| rng.u8(..)).collect();
    for (why, status, body, expected) in [
        ("10 MB of garbage", 200, garbage.clone(), "not an exposition"),
        ("over the limit", 200, vec![b'a'; 17 << 20], "more than 16777216 bytes"),
        ("a web page", 200, b"<html>\n<body>hello</body>".to_vec(), "not an exposition"),
        ("not offered", 404, Vec::new(), "offers no metrics"),
        ("an error", 500, Vec::new(), "answered 500"),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let error = scraped(status, body, 16 << 20).await.map(|s| s.kind).unwrap_err().to_string();
        assert!(error.contains(expected), "{why}: {error}");
    }
    let mixed = [&garbage[..100_000], b"\nvllm:num_requests_running{model_name=\"m\"} 2\n"].concat();
    let scrape = scraped(StatusCode::OK, mixed, 16 << 20).await.unwrap();
    assert!(scrape.kind == EngineKind::Vllm && scrape.garbage > 0 && scrape.readings.len() == 2);
    let other = b"vllm:num_requests_running 2\n".to_vec();
    let error = scraped_as(EngineKind::Tgi, StatusCode::OK, other, 100).await.unwrap_err().to_string();
    assert!(error.ends_with("speaks for vllm, not tgi; set sources.engine.kind to auto or vllm"), "{error}");
    let url = "http://127.0.0.1:1/metrics".parse().unwrap();
    let gone = Target { url, kind: EngineKind::Auto, timeout: Duration::from_secs(1), max_size: 1 };
    assert!(matches!(super::scrape(&client(), &gone).await, Err(ScrapeError::Transport { .. })));
}
