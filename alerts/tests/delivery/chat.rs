//! Services that people read, against receivers that answer as the real ones do.

use std::process::{Child, Command, Stdio};

use plimsoll_alerts::{
    ChatSink, DingTalk, Discord, Feishu, GroupBy, Matcher, PagerDuty, Service, Silence, SilenceError, Slack, Standing,
    Teams, TextSource, Timing, WeCom, WebhookV4,
};

use super::*;
use crate::receiver::{OK, Receiver, Reply};

const DING_OK: Reply = Reply::Status(200, "", r#"{"errcode":0,"errmsg":"ok"}"#);
const FEISHU_OK: Reply = Reply::Status(200, "", r#"{"code":0,"msg":"success"}"#);
const SLACK_OK: Reply = Reply::Status(200, "", "ok");
const PAGER_OK: Reply = Reply::Status(202, "", r#"{"status":"success","message":"Event processed","dedup_key":"x"}"#);
const DISCORD_OK: Reply = Reply::Status(204, "", "");
const TEAMS_OK: Reply = Reply::Status(202, "", "");

fn service(name: &str) -> (Service, Reply) {
    match name {
        "webhook" => (Service::Webhook(WebhookV4::new(Some("secret")).unwrap()), OK),
        "slack" => (Service::Slack(Slack), SLACK_OK),
        "pagerduty" => (Service::PagerDuty(PagerDuty::new("key").unwrap()), PAGER_OK),
        "teams" => (Service::Teams(Teams), TEAMS_OK),
        "discord" => (Service::Discord(Discord), DISCORD_OK),
        "dingtalk" => (Service::DingTalk(DingTalk::new(Some("SECtest")).unwrap()), DING_OK),
        "feishu" => (Service::Feishu(Feishu::new(Some("SECtest")).unwrap()), FEISHU_OK),
        "wecom" => (Service::WeCom(WeCom), DING_OK),
        other => unreachable!("{other}"),
    }
}

fn chat(name: &str, url: &str) -> Sink {
    let sink = ChatSink::new(name, url, service(name).0, TextSource::default()).unwrap();
    sink.timeout(Duration::from_millis(300)).unwrap().into()
}

/// Every alert at once; groups by name.
fn at_once() -> Routing {
    let timing = Timing { group_wait: Duration::ZERO, group_interval: Duration::ZERO, ..Timing::default() };
    Routing { timing, ..Routing::default() }
}

async fn running(sink: Sink, pool: Option<SqlitePool>) -> Running {
    Running::routed(vec![sink], at_once(), pool).await
}

#[tokio::test]
async fn what_may_pass_is_tried_again_in_the_time_the_service_asks_for() {
    for (name, reply, reason, least) in [
        ("slack", Reply::Status(429, "retry-after: 1\r\n", ""), "http_429", 990),
        ("pagerduty", Reply::Status(429, "retry-after: 1\r\n", r#"{"status":"throttle exceeded"}"#), "http_429", 990),
        (
            "discord",
            Reply::Status(429, "", r#"{"message":"You are being rate limited.","retry_after":0.7,"global":false}"#),
            "http_429",
            690,
        ),
        (
            "teams",
            Reply::Status(
                200,
                "",
                "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId tcid=0",
            ),
            "inner_429",
            0,
        ),
        ("teams", Reply::Status(502, "", "<html>"), "http_502", 0),
        ("dingtalk", Reply::Status(200, "", r#"{"errcode":-1,"errmsg":"busy"}"#), "code_-1", 0),
        (
            "dingtalk",
            Reply::Status(200, "", r#"{"errcode":130101,"errmsg":"send too fast","retry_after":1}"#),
            "code_130101",
            990,
        ),
        (
            "feishu",
            Reply::Status(200, "retry-after: 1\r\n", r#"{"code":11232,"msg":"frequency limited"}"#),
            "code_11232",
            990,
        ),
        (
            "wecom",
            Reply::Status(200, "", r#"{"errcode":45009,"errmsg":"api freq out of limit","retry_after":0.5}"#),
            "code_45009",
            490,
        ),
        ("wecom", Reply::Status(200, "", "<html>a proxy's page</html>"), "no_answer", 0),
        ("webhook", Reply::Status(429, "", r#"{"retry_after": 0.5}"#), "http_429", 490),
        ("webhook", Reply::Reset, "network", 0),
        ("feishu", Reply::Slow(Duration::from_millis(600)), "timeout", 0),
    ] {
        let receiver = Receiver::start(&[reply, service(name).1]).await;
        let running = running(chat(name, &receiver.url("/x")), None).await;
        running.dispatcher.notify(&[firing("Hot")]).await;
        let stats = running.sent(name, 1).await;
        assert_eq!((stats.sent, stats.dead, stats.failed), (1, 0, vec![(reason.to_owned(), 1)]), "{name}");
        let seen = receiver.seen();
        assert_eq!(seen.len(), 2, "{name} {reason}");
        assert!(
            seen[1].at - seen[0].at >= Duration::from_millis(least),
            "{name} {reason}: {:?}",
            seen[1].at - seen[0].at
        );
        assert_eq!(seen[0].headers.get("webhook-id"), seen[1].headers.get("webhook-id"), "{name}");
        assert!(seen[1].body.contains("Hot"), "{name}");
    }
}

#[tokio::test]
async fn a_service_that_does_not_want_us_is_left_alone_and_its_alerts_are_kept() {
    for (name, reply, reason) in [
        ("slack", Reply::Status(404, "", "no_service"), "http_404"),
        ("slack", Reply::Status(403, "", "invalid_token"), "http_403"),
        ("pagerduty", Reply::Status(401, "", ""), "http_401"),
        ("discord", Reply::Status(404, "", r#"{"message":"Unknown Webhook","code":10015}"#), "http_404"),
        (
            "teams",
            Reply::Status(200, "", "failed with error: Microsoft Teams endpoint returned HTTP error 410 with"),
            "inner_410",
        ),
        ("dingtalk", Reply::Status(200, "", r#"{"errcode":310000,"errmsg":"sign not match"}"#), "code_310000"),
        ("feishu", Reply::Status(200, "", r#"{"code":19021,"msg":"sign match fail"}"#), "code_19021"),
        ("wecom", Reply::Status(200, "", r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#), "code_93000"),
    ] {
        let receiver = Receiver::start(&[reply, service(name).1]).await;
        let running = running(chat(name, &receiver.url("/x")), None).await;
        running.dispatcher.notify(&[firing("Hot")]).await;
        let stats = eventually("disabled", || Some(running.stats(name)).filter(|stats| stats.disabled)).await;
        assert_eq!((stats.failed, stats.pending, stats.dead), (vec![(reason.to_owned(), 1)], 0, 1), "{name}");
        assert_eq!(running.dispatcher.list()[0].standing, Standing::Parked, "{name}");
        assert_eq!(running.dispatcher.retry(Some(name), None).await, 1, "{name}");
        let stats = running.sent(name, 1).await;
        assert_eq!((stats.dead, stats.disabled, receiver.seen().len()), (0, false, 2), "{name}");
    }
}

#[tokio::test]
async fn a_refused_message_is_given_up_and_can_be_sent_again_under_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let pool = database(folder.path()).await;
    let receiver = Receiver::start(&[Reply::Status(400, "", "invalid_payload"), OK]).await;
    let first = running(chat("webhook", &receiver.url("/x")), Some(pool.clone())).await;
    first.dispatcher.notify(&[firing("Hot")]).await;
    eventually("given up", || (first.stats("webhook").dead == 1).then_some(())).await;
    first.end().await;

    let running = running(chat("webhook", &receiver.url("/x")), Some(pool)).await;
    let dead = running.dispatcher.list().remove(0);
    assert_eq!((dead.standing, dead.last_error.as_deref()), (Standing::Dead, Some("HTTP 400: invalid_payload")));
    assert_eq!(running.dispatcher.retry(None, Some("msg_other")).await, 0);
    assert_eq!(running.dispatcher.retry(None, Some(&dead.id)).await, 1);
    running.sent("webhook", 1).await;
    let seen = receiver.seen();
    assert_eq!(seen[0].headers["webhook-id"], seen[1].headers["webhook-id"]);
    assert_eq!(running.dispatcher.list().len(), 0);
}

#[tokio::test]
async fn redirects_and_broken_tls_lead_nowhere() {
    let inner = Receiver::start(&[OK]).await;
    let location = format!("location: {}\r\n", inner.url("/inside")).leak();
    for name in ["slack", "dingtalk", "webhook"] {
        let receiver = Receiver::start(&[Reply::Status(307, location, "")]).await;
        let running = running(chat(name, &receiver.url("/x")), None).await;
        running.dispatcher.notify(&[firing("Hot")]).await;
        let stats = eventually("disabled", || Some(running.stats(name)).filter(|stats| stats.disabled)).await;
        assert_eq!(stats.failed, [("http_307".to_owned(), 1)]);
    }
    assert_eq!(inner.seen().len(), 0);

    // A server that speaks no TLS.
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = plain.accept() {
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let running = running(chat("slack", &format!("https://127.0.0.1:{port}/x")), None).await;
    running.dispatcher.notify(&[firing("Hot")]).await;
    let failed = eventually("a failure", || running.stats("slack").failed.first().cloned()).await;
    assert_eq!(failed.0, "connect");
    assert_eq!((running.stats("slack").pending, running.stats("slack").sent), (1, 0), "kept");
}

/// A TLS server with a certificate that nobody signed; ends when dropped.
struct Untrusted(Child);

impl Drop for Untrusted {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Untrusted {
    fn start(folder: &Path, port: u16) -> Option<Self> {
        let (key, certificate) = (folder.join("key.pem"), folder.join("certificate.pem"));
        let make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"];
        let mut command = Command::new("openssl");
        let made = command.args(make).arg("-keyout").arg(&key).arg("-out").arg(&certificate).stderr(Stdio::null());
        if !made.status().is_ok_and(|status| status.success()) {
            println!("SKIPPED: no openssl here to make a certificate with");
            return None;
        }
        let mut serve = Command::new("openssl");
        let serve = serve.args(["s_server", "-quiet", "-www", "-accept"]).arg(format!("127.0.0.1:{port}"));
        let serve = serve.arg("-key").arg(&key).arg("-cert").arg(&certificate);
        Some(Self(serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()))
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_signed_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(_server) = Untrusted::start(folder.path(), port) else { return };
    eventually("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok()).await;
    let running = running(chat("webhook", &format!("https://localhost:{port}/x")), None).await;
    running.dispatcher.notify(&[firing("Hot")]).await;
    let why =
        eventually("a failure", || running.dispatcher.list().first().and_then(|entry| entry.last_error.clone())).await;
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    assert_eq!((running.stats("webhook").sent, running.stats("webhook").pending), (0, 1));
}

#[tokio::test]
async fn a_group_comes_as_one_message() {
    let receiver = Receiver::start(&[OK]).await;
    let timing = Timing { group_wait: Duration::from_millis(300), ..Timing::default() };
    let by = GroupBy::Labels(vec!["pod".into()]);
    let routing = Routing { group_by: by, timing, ..Routing::default() };
    let running = Running::routed(vec![chat("webhook", &receiver.url("/x"))], routing, None).await;
    for name in ["A", "B", "C"] {
        running.dispatcher.notify(&[firing(name)]).await;
    }
    running.sent("webhook", 3).await;
    let seen = receiver.seen();
    assert_eq!(seen.len(), 1);
    let body = seen[0].json();
    assert_eq!(
        (body["alerts"].as_array().unwrap().len(), &body["groupKey"]),
        (3, &serde_json::json!("{}:{pod=\"chat-0\"}"))
    );
}

fn silence(matcher: &str, from: Timestamp, span: Duration) -> Silence {
    let matchers = vec![Matcher::parse(matcher).unwrap()];
    let (created_by, comment) = ("ada".to_owned(), "upgrade".to_owned());
    Silence { id: "s1".into(), matchers, starts_at: from, ends_at: from + span, created_by, comment }
}

#[tokio::test]
async fn a_silence_outlives_a_restart_and_ends_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let pool = database(folder.path()).await;
    let receiver = Receiver::start(&[OK]).await;
    let now = Timestamp::default() + std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let hour = Duration::from_secs(3600);
    let first = running(chat("webhook", &receiver.url("/x")), Some(pool.clone())).await;
    first.dispatcher.silence(silence("alertname=Hot", now - hour, 2 * hour)).await.unwrap();
    let wrong = first.dispatcher.silence(silence("alertname=~.*", now, hour)).await;
    assert_eq!(wrong, Err(SilenceError::Everything));
    first.end().await;

    let second = running(chat("webhook", &receiver.url("/x")), Some(pool.clone())).await;
    assert_eq!(second.dispatcher.silences().len(), 1);
    second.dispatcher.notify(&[firing("Hot"), firing("Cold")]).await;
    second.sent("webhook", 1).await;
    assert!(receiver.seen().iter().all(|request| !request.body.contains("Hot")));
    let unknown = second.dispatcher.end_silence("s2").await;
    assert_eq!(unknown, Err(SilenceError::Unknown { id: "s2".into() }));
    second.dispatcher.end_silence("s1").await.unwrap();
    second.dispatcher.notify(&[firing("Hot"), firing("Cold")]).await;
    second.sent("webhook", 2).await;
    assert_eq!(receiver.seen().len(), 2, "Cold is not told twice");
}

#[tokio::test]
async fn a_dead_service_stalls_no_other_and_neither_does_a_throttled_one() {
    let (alive, dead) = (Receiver::start(&[OK]).await, Receiver::start(&[Reply::Slow(Duration::from_secs(60))]).await);
    let slow = Receiver::start(&[DING_OK]).await;
    let hanging = ChatSink::new("dead", &dead.url("/"), service("slack").0, TextSource::default()).unwrap();
    let hanging = hanging.timeout(Duration::from_secs(30)).unwrap().into();
    let routing = Routing { group_by: GroupBy::All, ..at_once() };
    let sinks = vec![hanging, chat("webhook", &alive.url("/")), chat("dingtalk", &slow.url("/"))];
    let running = Running::routed(sinks, routing, None).await;
    for i in 0..50 {
        running.dispatcher.notify(&[firing(&format!("A{i:02}"))]).await;
    }
    running.sent("webhook", 50).await;
    assert_eq!((dead.seen().len(), running.stats("dead").pending), (1, 50));
    let stats = running.sent("dingtalk", 50).await;
    let seen = slow.seen();
    assert!(
        stats.failed.is_empty() && seen.len() <= 5,
        "{} requests; five of twenty a minute may go out at once",
        seen.len()
    );
    assert!(seen.iter().any(|request| request.body.contains("Digest:")), "{seen:?}");
    let all: String = seen.iter().map(|request| request.body.as_str()).collect();
    assert!((0..50).all(|i| all.contains(&format!("A{i:02}"))), "{all}");
}
