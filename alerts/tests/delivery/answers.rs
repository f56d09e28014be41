//! Every kind of answer.

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use plimsoll_alerts::{Standing, WebhookSink};
use serde_json::json;

use super::*;
use crate::receiver::{OK, Receiver, Reply};

#[tokio::test]
async fn every_peer_of_a_cluster_gets_every_alert_in_one_request() {
    let (one, two) = (Receiver::start(&[OK]).await, Receiver::start(&[OK]).await);
    let prefixed = AlertmanagerSink::new("two", &two.url("/am/")).unwrap().bearer("t0ken").unwrap();
    let running =
        Running::start(vec![peer("one", &one.url("")), prefixed.header("x-scope", "a").unwrap().into()], None).await;
    running.dispatcher.notify(&[firing("Hot"), alert("Cold", Status::Resolved)]).await;
    let (first, second) = (one.requests(1).await.remove(0), two.requests(1).await.remove(0));
    assert_eq!(first.line, "POST /api/v2/alerts HTTP/1.1");
    assert_eq!(second.line, "POST /am/api/v2/alerts HTTP/1.1");
    assert_eq!((&*second.headers["authorization"], &*second.headers["x-scope"]), ("Bearer t0ken", "a"));
    assert_eq!(first.headers["content-type"], "application/json");
    assert_eq!(first.body, second.body);
    let mut names = first.names();
    names.sort();
    assert_eq!(names, ["Cold", "Hot"]);
    for sink in ["one", "two"] {
        running.sent(sink, 2).await;
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_counted_by_reason() {
    let late = Reply::Slow(Duration::from_millis(600));
    for (reason, reply) in [
        ("http_500", Reply::Status(500, "", "oops")),
        ("http_503", Reply::Status(503, "", "")),
        ("http_408", Reply::Status(408, "", "")),
        ("http_425", Reply::Status(425, "", "")),
        ("network", Reply::Reset),
        ("timeout", late),
    ] {
        let receiver = Receiver::start(&[reply, OK]).await;
        let running = Running::start(vec![hook("hook", &receiver.url("/x"))], None).await;
        running.dispatcher.notify(&[firing("Hot")]).await;
        let stats = running.sent("hook", 1).await;
        assert_eq!((stats.sent, stats.failed), (1, vec![(reason.to_owned(), 1)]));
        let seen = receiver.seen();
        assert_eq!(seen.len(), 2, "{reason}");
        assert_eq!(seen[0].headers["webhook-id"], seen[1].headers["webhook-id"], "{reason}");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_still_a_delivery() {
    let receiver = Receiver::start(&[Reply::Endless, OK]).await;
    let running = Running::start(vec![hook("hook", &receiver.url("/x"))], None).await;
    running.dispatcher.notify(&[firing("Hot")]).await;
    assert_eq!(running.sent("hook", 1).await.failed, []);
}

#[tokio::test]
async fn a_request_to_wait_is_honoured_wherever_it_stands() {
    for (why, reply) in [
        ("header", Reply::Status(429, "retry-after: 2\r\n", "")),
        ("body", Reply::Status(429, "", r#"{"retry_after": 2.0}"#)),
        ("unavailable", Reply::Status(503, "retry-after: 2\r\n", "")),
    ] {
        let receiver = Receiver::start(&[reply, OK]).await;
        let running = Running::start(vec![peer("am", &receiver.url(""))], None).await;
        running.dispatcher.notify(&[firing("Hot")]).await;
        running.dispatcher.notify(&[firing("Cold")]).await;
        let seen = receiver.requests(2).await;
        let waited = seen[1].at - seen[0].at;
        assert!(waited >= Duration::from_millis(1990), "{why}: {waited:?}");
    }
}

#[tokio::test]
async fn a_mixed_batch_loses_only_the_bad_ones() {
    let receiver = Receiver::start(&[Reply::Picky]).await;
    let running = Running::start(vec![peer("am", &receiver.url(""))], None).await;
    let mut alerts: Vec<Notification> = (0..20).map(|i| firing(&format!("A{i}"))).collect();
    for i in [3, 17] {
        alerts[i].labels.insert("bad".into(), "x".into());
    }
    running.dispatcher.notify(&alerts).await;
    let stats = running.sent("am", 18).await;
    assert_eq!((stats.sent, stats.dead), (18, 2));
    let dead = running.dispatcher.list();
    assert!(dead.iter().all(|p| p.standing == Standing::Dead && p.notification.labels.contains_key("bad")), "{dead:?}");
    assert_eq!(dead[0].last_error.as_deref(), Some("HTTP 400: bad label"));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let inner = Receiver::start(&[OK]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}\r\n", inner.url("/inside")).leak();
        let receiver = Receiver::start(&[Reply::Status(status, location, "")]).await;
        let running = Running::start(vec![hook("hook", &receiver.url("/x"))], None).await;
        running.dispatcher.notify(&[firing("Hot")]).await;
        let stats = eventually("disabled", || Some(running.stats("hook")).filter(|stats| stats.disabled)).await;
        assert_eq!((stats.failed, stats.pending, stats.dead), (vec![(format!("http_{status}"), 1)], 0, 1));
    }
    assert_eq!(inner.seen().len(), 0);
}

#[tokio::test]
async fn an_unwelcome_sink_is_left_alone_until_its_settings_change() {
    for status in [401, 403, 404, 410] {
        let receiver = Receiver::start(&[Reply::Status(status, "", "no"), OK]).await;
        let running = Running::start(vec![peer("am", &receiver.url(""))], None).await;
        running.dispatcher.notify(&[firing("Hot")]).await;
        eventually("disabled", || running.stats("am").disabled.then_some(())).await;
        running.dispatcher.notify(&[firing("Cold")]).await;
        let parked = running.dispatcher.list();
        assert_eq!((parked.len(), parked[0].standing), (2, Standing::Parked), "{status}");
        assert_eq!(receiver.seen().len(), 1, "{status}");

        let mended = AlertmanagerSink::new("am", &receiver.url("")).unwrap().bearer("right").unwrap();
        running.dispatcher.reconfigure(vec![mended.into()], Routing::default()).unwrap();
        let stats = running.sent("am", 2).await;
        assert_eq!((stats.dead, stats.disabled), (0, false), "{status}");
        assert_eq!(receiver.seen()[1].headers["authorization"], "Bearer right");
    }
}

#[tokio::test]
async fn a_webhook_carries_what_the_manual_says_and_a_valid_signature() {
    let receiver = Receiver::start(&[Reply::Status(500, "", ""), OK]).await;
    let sink = WebhookSink::new("ops", &receiver.url("/hook?x=1")).unwrap();
    let sink = sink.secret("whsec_c2VjcmV0IGtleQ==").unwrap();
    let running = Running::start(vec![sink.into()], None).await;
    let hot = firing("Hot");
    running.dispatcher.notify(std::slice::from_ref(&hot)).await;
    for request in receiver.requests(2).await {
        let (id, seconds) = (&request.headers["webhook-id"], &request.headers["webhook-timestamp"]);
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"secret key").unwrap();
        mac.update(format!("{id}.{seconds}.{}", request.body).as_bytes());
        let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        assert_eq!(request.headers["webhook-signature"], format!("v1,{signature}"));
        assert!(id.starts_with("msg_") && !id.contains('.'), "{id}");
        assert_eq!(request.line, "POST /hook?x=1 HTTP/1.1");
        let expected = json!({
            "type": "alert.firing",
            "timestamp": "2026-08-04T10:00:00.000Z",
            "data": {"status": "firing", "receiver": "ops", "alerts": [{
                "status": "firing",
                "labels": {"alertname": "Hot", "pod": "chat-0"},
                "annotations": {"summary": "Hot changed"},
                "startsAt": "2026-08-04T10:00:00.000Z",
                "endsAt": "2026-08-04T10:04:00.000Z",
                "value": 0.93,
                "generatorURL": "http://127.0.0.1:9465/api/v1/alerts",
                "fingerprint": format!("{:016x}", hot.fingerprint()),
            }]},
        });
        assert_eq!(request.json(), expected);
    }
}

#[tokio::test]
async fn a_dead_sink_stalls_no_other() {
    let (alive, dead) = (Receiver::start(&[OK]).await, Receiver::start(&[Reply::Slow(Duration::from_secs(60))]).await);
    let hanging = WebhookSink::new("dead", &dead.url("/")).unwrap().timeout(Duration::from_secs(30)).unwrap();
    let running = Running::start(vec![hanging.into(), peer("alive", &alive.url(""))], None).await;
    for i in 0..50 {
        running.dispatcher.notify(&[firing(&format!("A{i}"))]).await;
    }
    running.sent("alive", 50).await;
    assert_eq!(running.stats("dead").pending, 50);
    assert_eq!(dead.seen().len(), 1, "still at its first request");
}
