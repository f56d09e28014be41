//! What the tap says of the traffic is what passed, as figures and as exchanges.

use plimsoll_rules::{Endpoint, ExchangeOutcome, TokenCount};
use plimsoll_tests::{Upstream, Wire, eventually, shared};
use tokio::sync::watch;

use crate::support::{SOON, SSE, Tap, answer, ask, canned, post};

/// What a real vLLM answered, from the recordings beside the checkout.
fn recorded(name: &str) -> Option<Vec<u8>> {
    Some(std::fs::read(shared(&format!("vllm/{name}"))?).unwrap())
}

#[tokio::test]
async fn a_recorded_vllm_is_read_exactly() {
    let (Some(stream), Some(chat), Some(error)) =
        (recorded("stream.txt"), recorded("chat.json"), recorded("error.json"))
    else {
        return;
    };
    let upstream = Upstream::start(move |mut wire, _| {
        let (stream, chat, error) = (stream.clone(), chat.clone(), error.clone());
        async move {
            while let Some(request) = wire.request().await {
                let body = String::from_utf8(request.body).unwrap();
                if body.contains("stream") {
                    wire.send(SSE).await.unwrap();
                    // Cuts fall inside the multi-byte characters of the recording.
                    for piece in stream.chunks(7) {
                        wire.send_chunk(piece).await.unwrap();
                    }
                    wire.send("0\r\n\r\n").await.unwrap();
                } else if body.contains("nope") {
                    let head = format!(
                        "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                        error.len()
                    );
                    wire.send(head).await.unwrap();
                    wire.send(&error).await.unwrap();
                } else {
                    wire.send(answer("application/json", std::str::from_utf8(&chat).unwrap())).await.unwrap();
                }
            }
        }
    })
    .await
    .unwrap();
    let mut tap = Tap::start_with(&upstream.url(), |options| options.variant = "blue".into()).await;
    let mut ids = Vec::new();
    for (body, outcome, input, output) in [
        (r#"{"model":"tiny","stream":true}"#, ExchangeOutcome::Ok, TokenCount::Reported(22), TokenCount::Reported(4)),
        (r#"{"model":"tiny"}"#, ExchangeOutcome::Ok, TokenCount::Reported(22), TokenCount::Reported(3)),
        (r#"{"model":"nope"}"#, ExchangeOutcome::ClientError, TokenCount::Unknown, TokenCount::Unknown),
    ] {
        ask(tap.address, "POST", &post("/v1/chat/completions", body)).await.unwrap();
        let seen = tap.exchange().await;
        assert_eq!((seen.outcome, seen.input_tokens, seen.output_tokens), (outcome, input, output), "{body}");
        assert_eq!((seen.endpoint, &*seen.variant), (Endpoint::Chat, "blue"));
        assert_eq!(seen.model, if outcome == ExchangeOutcome::Ok { "tiny" } else { "" }, "{body}");
        ids.push(seen.id);
    }
    assert_eq!(ids[..2], ["chatcmpl-af1edf3b4a11cbe2", "chatcmpl-a48b68082c3533b0"]);
    for (name, parts, value) in [
        (
            "plimsoll_requests_total",
            &["model=\"tiny\"", "outcome=\"ok\"", "finish_reason=\"length\"", "variant=\"blue\"", "source=\"tap\""][..],
            2.0,
        ),
        ("plimsoll_requests_total", &["outcome=\"client_error\""], 1.0),
        ("plimsoll_requests_total", &["nope"], 0.0),
        ("plimsoll_prompt_tokens_total", &["tiny"], 44.0),
        ("plimsoll_generation_tokens_total", &["tiny"], 7.0),
        ("plimsoll_input_tokens_sum", &["tiny"], 44.0),
        ("plimsoll_output_tokens_count", &["tiny"], 2.0),
        ("plimsoll_time_to_first_token_seconds_count", &["tiny"], 1.0),
        ("plimsoll_inter_token_latency_seconds_count", &["tiny"], 3.0),
        ("plimsoll_request_duration_seconds_count", &[], 2.0),
        ("plimsoll_tokens_estimated_total", &[], 0.0),
    ] {
        assert_eq!(tap.figure(name, parts), value, "{name} {parts:?}");
    }
}

#[tokio::test]
async fn names_that_clients_invent_do_not_become_series() {
    let refusal = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let upstream = canned(refusal.into()).await;
    let mut tap = Tap::start(&upstream.url()).await;
    for number in 0..200 {
        let body = format!(r#"{{"model":"made-up-{number}"}}"#);
        ask(tap.address, "POST", &post("/v1/chat/completions", &body)).await.unwrap();
        tap.exchange().await;
    }
    let series = tap.registry.samples().iter().filter(|(labels, _)| labels.name() == "plimsoll_requests_total").count();
    assert_eq!(series, 1);
    assert_eq!(tap.figure("plimsoll_requests_total", &[]), 200.0);
}

#[tokio::test]
async fn what_is_not_inference_is_not_observed() {
    let upstream = canned(answer("application/json", r#"{"id":"a","model":"m"}"#)).await;
    let mut tap = Tap::start(&upstream.url()).await;
    ask(tap.address, "GET", b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    ask(tap.address, "POST", &post("/v1/audio/speech", "{}")).await.unwrap();
    ask(tap.address, "GET", b"GET /v1/chat/completions HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    ask(tap.address, "POST", &post("/v1/embeddings?x=1", "{}")).await.unwrap();
    assert_eq!(tap.exchange().await.endpoint, Endpoint::Embeddings);
    assert!(tap.exchanges.try_recv().is_err());
    assert_eq!(tap.figure("plimsoll_requests_total", &[]), 1.0);
}

#[tokio::test]
async fn a_store_that_does_not_keep_up_costs_records_and_nothing_else() {
    let upstream = canned(answer("application/json", r#"{"id":"a","model":"m"}"#)).await;
    let mut tap = Tap::start(&upstream.url()).await;
    // Nobody takes exchanges from a full channel any more.
    tap.exchanges.close();
    for _ in 0..3 {
        let response = ask(tap.address, "POST", &post("/v1/chat/completions", "{}")).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    eventually("drops are counted", SOON, async || {
        let dropped = tap.figure("plimsoll_dropped_total", &["exchanges"]);
        if dropped == 3.0 { Ok(()) } else { Err(dropped) }
    })
    .await;
    assert_eq!(tap.figure("plimsoll_requests_total", &[]), 3.0);
}

#[tokio::test]
async fn what_is_under_way_shows() {
    let (go, going) = watch::channel(false);
    let upstream = Upstream::start(move |mut wire, _| {
        let mut going = going.clone();
        async move {
            wire.request().await.unwrap();
            going.wait_for(|going| *going).await.unwrap();
            wire.send(answer("application/json", "{}")).await.unwrap();
        }
    })
    .await
    .unwrap();
    let tap = Tap::start(&upstream.url()).await;
    let mut client = Wire::connect(tap.address).await.unwrap();
    client.send(post("/v1/chat/completions", "{}")).await.unwrap();
    let expect = async |running: f64| {
        eventually("gauges", SOON, async || {
            let seen = (tap.figure("plimsoll_requests_running", &["tap"]), tap.figure("plimsoll_tap_connections", &[]));
            if seen == (running, 1.0) { Ok(()) } else { Err(seen) }
        })
        .await;
    };
    expect(1.0).await;
    go.send(true).unwrap();
    client.response("POST").await.unwrap();
    expect(0.0).await;
}
