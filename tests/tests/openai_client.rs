//! The real OpenAI client, through the tap, to a real llama.cpp server: same answers as direct, usage counted exactly,
//! engine metrics and tap metrics agree.

use std::time::Duration;

use plimsoll_tests::{Agent, LlamaCpp, eventually, get_text, openai_client, series};

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_counts_agree_with_llama_cpp() {
    let Some(engine) = LlamaCpp::start().await.unwrap() else { return };
    let direct = format!("http://127.0.0.1:{}", engine.port);
    let agent = Agent::before(&direct).start().await.unwrap();
    let before = get_text(&format!("{direct}/metrics")).await.unwrap();
    let asked = openai_client(&direct, &agent.tap_url(""), "tiny").unwrap();
    let (requests, input, output) =
        (asked["requests"].as_f64(), asked["input_tokens"].as_f64(), asked["output_tokens"].as_f64());
    let ok = ["source=\"tap\"", "outcome=\"ok\""];
    eventually("the tap has counted what the client got", Duration::from_secs(10), async || {
        let text = agent.scrape().await.map_err(|e| e.to_string())?;
        let seen = (
            series(&text, "plimsoll_requests_total", &ok),
            series(&text, "plimsoll_input_tokens_sum", &["source=\"tap\""]),
            series(&text, "plimsoll_output_tokens_sum", &["source=\"tap\""]),
            series(&text, "plimsoll_time_to_first_token_seconds_count", &["source=\"tap\""]),
            series(&text, "plimsoll_requests_total", &["source=\"tap\"", "outcome=\"client_error\""]).is_some()
                || series(&text, "plimsoll_requests_total", &["source=\"tap\"", "outcome=\"server_error\""]).is_some(),
        );
        let wanted = (requests, input, output, asked["streamed"].as_f64(), asked["error_status"].is_number());
        if seen == wanted { Ok(()) } else { Err(format!("{seen:?}, expected {wanted:?}")) }
    })
    .await;
    // the engine was asked three rounds, two of them past the tap
    eventually("the engine's own counters agree", Duration::from_secs(10), async || {
        let text = get_text(&format!("{direct}/metrics")).await.map_err(|e| e.to_string())?;
        let grown = |name: &str| Some(series(&text, name, &[])? - series(&before, name, &[])?);
        let seen = grown("llamacpp:tokens_predicted_total");
        if seen == output.map(|n| n * 3.0) { Ok(()) } else { Err(format!("{seen:?} for {output:?} x 3")) }
    })
    .await;
}
