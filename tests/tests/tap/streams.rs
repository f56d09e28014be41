//! A thousand streams at once: each arrives whole and in order, each is observed.

use std::time::Duration;

use plimsoll_rules::{ExchangeOutcome, TokenCount};
use plimsoll_tests::{End, Upstream, Wire};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::support::{SSE, Tap, post};

const STREAMS: usize = 1000;
const EVENTS: usize = 20;

fn event(stream: &str, number: usize) -> String {
    format!(
        "data: {{\"id\":\"{stream}\",\"model\":\"m\",\"choices\":[{{\"delta\":{{\"content\":\"{number} \u{20ac}\"}}}}]}}\n\n"
    )
}

/// Streams back the prompt's name, in pieces that respect nothing.
async fn stream(mut wire: Wire, _: usize) {
    while let Some(request) = wire.request().await {
        let name = String::from_utf8(request.body).unwrap();
        let mut text: Vec<u8> = (0..EVENTS).flat_map(|number| event(&name, number).into_bytes()).collect();
        text.extend_from_slice(b"data: [DONE]\n\n");
        wire.send(SSE).await.unwrap();
        for piece in text.chunks(61) {
            if wire.send_chunk(piece).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
        wire.send("0\r\n\r\n").await.unwrap();
    }
}

#[expect(unsafe_code, reason = "four sockets a stream are more than the usual limit of open files")]
fn allow_many_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid pointer to a struct of the right type, and change no memory of ours but that.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max.min(16_384);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
    assert!(limit.rlim_cur >= 4 * 1024 + 512, "this test needs 4 608 open files, the limit is {}", limit.rlim_cur);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_at_once() {
    allow_many_files();
    let upstream = Upstream::start(stream).await.unwrap();
    let mut tap = Tap::start(&upstream.url()).await;
    let address = tap.address;
    let mut clients = JoinSet::new();
    for number in 0..STREAMS {
        clients.spawn(async move {
            let name = format!("stream-{number}");
            let mut wire = Wire::connect(address).await.unwrap();
            wire.send(post("/v1/chat/completions", &name)).await.unwrap();
            let response = timeout(Duration::from_secs(60), wire.response("POST")).await.unwrap().unwrap();
            let mut expected: String = (0..EVENTS).map(|number| event(&name, number)).collect();
            expected.push_str("data: [DONE]\n\n");
            assert_eq!(response.end, End::Complete);
            assert!(response.body == expected.into_bytes(), "{name} arrived changed");
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let mut ids = Vec::new();
    for _ in 0..STREAMS {
        let exchange = tap.exchange().await;
        assert_eq!(exchange.outcome, ExchangeOutcome::Ok);
        assert_eq!(exchange.output_tokens, TokenCount::Estimated(EVENTS as u64));
        assert_eq!(exchange.inter_token_seconds.len(), EVENTS - 1);
        ids.push(exchange.id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), STREAMS);
    assert_eq!(tap.figure("plimsoll_requests_total", &["outcome=\"ok\""]), STREAMS as f64);
    assert_eq!(tap.figure("plimsoll_dropped_total", &[]), 0.0);
}
