//! `inject_usage`: the engine is asked for usage, the client sees the stream it asked for, and the tokens are exact.

use plimsoll_rules::{ExchangeOutcome, TokenCount};
use plimsoll_tests::{Message, Upstream};

use crate::support::{SSE, Tap, answer, ask, post};

const ROLE: &str =
    "data: {\"id\":\"c-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const WORD: &str =
    "data: {\"id\":\"c-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"zwei W\u{f6}rter\"}}]}\n\n";
const STOP: &str = "data: {\"id\":\"c-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// An engine that gives usage to whom asks for it, in pieces of `cut` bytes.
async fn engine(cut: usize) -> Upstream {
    Upstream::start(move |mut wire, _| async move {
        while let Some(request) = wire.request().await {
            let asked = String::from_utf8(request.body).unwrap().contains("\"include_usage\":true");
            let text = [ROLE, WORD, STOP, if asked { USAGE } else { "" }, DONE].concat();
            wire.send(SSE).await.unwrap();
            for piece in text.as_bytes().chunks(cut) {
                wire.send_chunk(piece).await.unwrap();
            }
            wire.send("0\r\n\r\n").await.unwrap();
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_stream_is_counted_exactly_and_looks_as_if_nobody_had_asked() {
    let plain = [ROLE, WORD, STOP, DONE].concat();
    let with_usage = [ROLE, WORD, STOP, USAGE, DONE].concat();
    for cut in [1, 7, 64, 4096] {
        let upstream = engine(cut).await;
        let mut tap = Tap::start_with(&upstream.url(), |options| options.inject_usage = true).await;
        let wishes = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
        for (body, expected) in [(r#"{"model":"m","stream":true}"#, &plain), (wishes, &with_usage)] {
            let Message { body: got, .. } =
                ask(tap.address, "POST", &post("/v1/chat/completions", body)).await.unwrap();
            assert_eq!(&String::from_utf8(got).unwrap(), expected, "{body}, pieces of {cut}");
            let seen = tap.exchange().await;
            let tokens = (seen.input_tokens, seen.output_tokens);
            assert_eq!(tokens, (TokenCount::Reported(11), TokenCount::Reported(7)), "{body}, pieces of {cut}");
            assert_eq!((seen.outcome, seen.finish_reason.as_deref()), (ExchangeOutcome::Ok, Some("stop")));
        }
    }
}

#[tokio::test]
async fn what_is_not_understood_passes_as_it_is() {
    let upstream = Upstream::start(|mut wire, _| async move {
        while let Some(request) = wire.request().await {
            wire.send(answer("application/json", std::str::from_utf8(&request.body).unwrap())).await.unwrap();
        }
    })
    .await
    .unwrap();
    let tap = Tap::start_with(&upstream.url(), |options| options.inject_usage = true).await;
    for body in [
        r#"{"model":"m"}"#,
        r#"{"model":"m","stream":false}"#,
        r#"{"stream":true,"stream_options":{"include_usage":false}}"#,
        r#"{"stream":true"#,
        r#"[{"stream":true}]"#,
        "no JSON",
        "",
    ] {
        let answer = ask(tap.address, "POST", &post("/v1/chat/completions", body)).await.unwrap();
        assert_eq!(String::from_utf8(answer.body).unwrap(), body);
    }
}
