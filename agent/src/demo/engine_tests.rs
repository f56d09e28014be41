//! The stand-in engine over real HTTP.

use super::*;
use crate::demo::{scrape, traffic::loopback_client};

struct Served {
    url: String,
    client: reqwest::Client,
    engine: Arc<Engine>,
    shutdown: Shutdown,
}

impl Served {
    async fn start() -> Self {
        let (engine, shutdown) = (Engine::new("m"), Shutdown::default());
        let address = engine.clone().serve(0, &shutdown).await.unwrap();
        Self { url: format!("http://{address}"), client: loopback_client().unwrap(), engine, shutdown }
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, String) {
        let answer = self.client.post(format!("{}{path}", self.url)).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn figure(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        scrape::sum(&self.engine.metrics().text("m"), name, labels).unwrap()
    }
}

fn events(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn a_stream_says_as_many_words_as_its_usage() {
    let served = Served::start().await;
    let parts = json!([{"type": "text", "text": "a b c"}]);
    let messages = json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": parts}]);
    let mut body = json!({"model": "m", "messages": messages, "max_tokens": 5, "stream": true});
    body["stream_options"] = json!({"include_usage": true});
    let (status, text) = served.post("/v1/chat/completions", &body).await;
    assert!(status == 200 && text.ends_with("data: [DONE]\n\n"), "{text}");
    let events = events(&text);
    let said: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(said.split_whitespace().count(), 5, "{said}");
    let usage = json!({"prompt_tokens": 5, "total_tokens": 10, "completion_tokens": 5});
    assert_eq!(events.last().unwrap()["usage"], usage);
    let reasons: Vec<&Value> = events.iter().map(|event| &event["choices"][0]["finish_reason"]).collect();
    assert_eq!(reasons[reasons.len() - 2], "length", "the last word carries the reason: {reasons:?}");
    assert!(events.iter().all(|event| event["id"] == events[0]["id"]), "one id");
    assert_eq!(served.figure("vllm:request_success_total", &[("finished_reason", "length")]), 1.0);
    assert_eq!(served.figure("vllm:prompt_tokens_total", &[]), 5.0);
}

#[tokio::test]
async fn plain_answers_and_errors_look_like_an_engines() {
    let served = Served::start().await;
    let message = json!([{"role": "user", "content": "one two"}]);
    for (why, path, body, status, pointer, expected) in [
        (
            "chat",
            "/v1/chat/completions",
            json!({"messages": message, "max_tokens": 2}),
            200,
            "/usage/completion_tokens",
            json!(2),
        ),
        (
            "completions",
            "/v1/completions",
            json!({"prompt": ["a", "b c"], "max_tokens": 1}),
            200,
            "/usage/prompt_tokens",
            json!(3),
        ),
        (
            "another model",
            "/v1/completions",
            json!({"model": "x", "prompt": "a"}),
            404,
            "/error/type",
            json!("NotFoundError"),
        ),
        ("no prompt", "/v1/chat/completions", json!({"model": "m"}), 400, "/error/code", json!(400)),
        (
            "nothing to say is one word",
            "/v1/completions",
            json!({"prompt": "a", "max_tokens": 0}),
            200,
            "/usage/completion_tokens",
            json!(1),
        ),
    ] {
        let (got, text) = served.post(path, &body).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((got, answer.pointer(pointer)), (status, Some(&expected)), "{why}: {text}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_an_abort() {
    let served = Served::start().await;
    let body = json!({"model": "m", "prompt": "a", "max_tokens": 200, "stream": true});
    let mut answer = served.client.post(format!("{}/v1/completions", served.url)).json(&body).send().await.unwrap();
    answer.chunk().await.unwrap();
    assert_eq!(served.figure("vllm:num_requests_running", &[]), 1.0);
    drop(answer);
    let gone = async {
        while served.figure("vllm:num_requests_running", &[]) > 0.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the engine never noticed");
    // The drawn length may be shorter than what was sent before the client left: then it was answered.
    let ended: f64 = ["abort", "stop"]
        .iter()
        .map(|reason| served.figure("vllm:request_success_total", &[("finished_reason", reason)]))
        .sum();
    assert_eq!(ended, 1.0);
}

#[tokio::test]
async fn a_port_in_use_is_a_clear_error() {
    let served = Served::start().await;
    let port = served.url.rsplit_once(':').unwrap().1.parse().unwrap();
    let error = Engine::new("m").serve(port, &served.shutdown).await.unwrap_err();
    assert!(format!("{error:#}").contains(&format!("cannot listen on 127.0.0.1:{port}")), "{error:#}");
}
