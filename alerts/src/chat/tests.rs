//! What each service is sent, how long it may be, and what its answers mean.

use serde_json::{Value, json};

use super::*;
use crate::notification::tests::{firing, resolved};
use crate::{Lang, Notification, Status};

const AT: i64 = 1_700_000_000_000;

fn services() -> Vec<(&'static str, Service)> {
    vec![
        ("webhook", Service::Webhook(WebhookV4::default())),
        ("slack", Service::Slack(Slack)),
        ("pagerduty", Service::PagerDuty(PagerDuty::new("key").unwrap())),
        ("teams", Service::Teams(Teams)),
        ("discord", Service::Discord(Discord)),
        ("dingtalk", Service::DingTalk(DingTalk::new(Some("SECtest")).unwrap())),
        ("feishu", Service::Feishu(Feishu::new(Some("SECtest")).unwrap())),
        ("wecom", Service::WeCom(WeCom)),
    ]
}

fn sink(service: Service, lang: Lang) -> ChatSink {
    let texts = TextSource { lang, ..TextSource::default() };
    ChatSink::new("ops", "https://h.example/x?token=t", service, texts).unwrap().external_url("http://pod:9465")
}

fn sent(service: Service, lang: Lang, message: &Message<'_>) -> (Outgoing, Value) {
    let outgoing = sink(service, lang).request(message, Timestamp::from_millis(AT));
    let body = serde_json::from_slice(&outgoing.body).unwrap();
    (outgoing, body)
}

fn hot() -> Notification {
    let mut hot = firing("Hot", 1_785_837_600);
    hot.labels.insert("severity".into(), "critical".into());
    hot.annotations.insert("runbook_url".into(), "https://r/hot".into());
    hot.expr = "gpu_busy > 0.85".into();
    hot
}

#[test]
fn the_webhook_is_alertmanagers_version_4() {
    let (hot, cold, over) = (hot(), firing("Cold", 1_785_837_000), resolved("Old", 1_785_837_600, 1_785_837_660));
    let (alerts, context) = ([&hot, &over], [&cold]);
    let message = Message { context: &context, ..Message::example(&alerts) };
    let (outgoing, body) = sent(Service::Webhook(WebhookV4::new(Some("whsec_c2VjcmV0")).unwrap()), Lang::En, &message);
    let alert = |alert: &Notification, ends: &str| {
        json!({
            "status": alert.status.as_str(), "labels": alert.labels, "annotations": alert.annotations,
            "startsAt": alert.starts_at.rfc3339(), "endsAt": ends, "generatorURL": alert.generator_url,
            "fingerprint": format!("{:016x}", alert.fingerprint()),
        })
    };
    let expected = json!({
        "version": "4", "groupKey": "{}:{alertname=\"Hot\"}", "truncatedAlerts": 0, "status": "firing",
        "receiver": "ops", "groupLabels": {"alertname": "Hot"}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://pod:9465",
        "alerts": [
            alert(&hot, "0001-01-01T00:00:00Z"),
            alert(&over, "2026-08-04T10:01:00.000Z"),
            alert(&cold, "0001-01-01T00:00:00Z"),
        ],
    });
    assert_eq!(body, expected);
    let names: Vec<&str> = outgoing.headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["webhook-id", "webhook-timestamp", "webhook-signature"]);
    assert_eq!(outgoing.headers[0].1, "msg_1");
}

#[test]
fn each_service_gets_its_own_form() {
    let hot = hot();
    let alerts = [&hot];
    let of = |service, lang| sent(service, lang, &Message::example(&alerts)).1;
    let title = "[FIRING] Hot (critical)";
    let slack = of(Service::Slack(Slack), Lang::En);
    assert_eq!((&slack["text"], &slack["blocks"][0]["text"]["text"]), (&json!(title), &json!(title)));
    let section = slack["blocks"][1]["text"]["text"].as_str().unwrap();
    assert!(section.starts_with("*FIRING: Hot* (critical)\nHot is on\nValue: 0.93 (threshold &gt; 0.85)"), "{section}");
    assert!(section.contains("<https://r/hot|runbook>"), "{section}");

    let pager = of(Service::PagerDuty(PagerDuty::new("key").unwrap()), Lang::En);
    assert_eq!((&pager["routing_key"], &pager["event_action"]), (&json!("key"), &json!("trigger")));
    assert_eq!(pager["dedup_key"], format!("plimsoll-{:016x}", hot.fingerprint()));
    let payload = &pager["payload"];
    assert_eq!(
        (&payload["summary"], &payload["severity"]),
        (&json!("[FIRING] Hot (critical): Hot is on"), &json!("critical"))
    );
    assert_eq!(pager["links"], json!([{"href": "https://r/hot", "text": "runbook"}]));

    let teams = of(Service::Teams(Teams), Lang::En);
    let card = &teams["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!((&card["content"]["version"], &card["content"]["body"][0]["text"]), (&json!("1.4"), &json!(title)));

    let discord = of(Service::Discord(Discord), Lang::En);
    assert_eq!(discord["allowed_mentions"], json!({"parse": []}));
    assert!(discord["content"].as_str().unwrap().starts_with("### [FIRING] Hot (critical)\n**FIRING: Hot**"));

    let ding = Service::DingTalk(DingTalk::new(Some("SECtest")).unwrap());
    let (outgoing, ding) = sent(ding, Lang::Zh, &Message::example(&alerts));
    assert_eq!(
        outgoing.url.query(),
        Some("token=t&timestamp=1700000000000&sign=aZLLrriXgn05YbwaGR7knYsLeJADjr9NwLaNNKpxh4g%3D")
    );
    assert_eq!((&ding["msgtype"], &ding["markdown"]["title"]), (&json!("markdown"), &json!("【告警】Hot（critical）")));

    let feishu = of(Service::Feishu(Feishu::new(Some("SECtest")).unwrap()), Lang::Zh);
    assert_eq!(feishu["timestamp"], "1700000000");
    assert_eq!(feishu["sign"], "G7XpBpG8NgG02fJOAhX6FRAObIljmFoxVReo8I62pEk=");
    assert_eq!(feishu["card"]["header"]["template"], "red");
    assert!(feishu["card"]["elements"][0]["content"].as_str().unwrap().contains("（阈值 &gt; 0.85）"));

    let wecom = of(Service::WeCom(WeCom), Lang::Zh);
    assert!(wecom["markdown"]["content"].as_str().unwrap().starts_with("### 【告警】Hot（critical）\n**触发：Hot**"));
}

#[test]
fn a_resolve_closes_what_a_firing_opened() {
    let (on, over) = (firing("Hot", 1_785_837_600), resolved("Hot", 1_785_837_600, 1_785_837_660));
    let event = |alert: &Notification| {
        let alerts = [alert];
        sent(Service::PagerDuty(PagerDuty::new("key").unwrap()), Lang::En, &Message::example(&alerts)).1
    };
    let (on, over) = (event(&on), event(&over));
    assert_eq!(on["dedup_key"], over["dedup_key"]);
    assert_eq!(over["event_action"], "resolve");
}

/// Units of what a limit counts, per service.
fn lengths(name: &str, outgoing: &Outgoing, body: &Value) -> Vec<(usize, usize)> {
    let units = |value: &Value| value.as_str().unwrap().encode_utf16().count();
    match name {
        "slack" => {
            let blocks = body["blocks"].as_array().unwrap();
            let texts = blocks.iter().skip(1).map(|block| (units(&block["text"]["text"]), 3000));
            [(units(&blocks[0]["text"]["text"]), 150), (blocks.len(), 50)].into_iter().chain(texts).collect()
        }
        "pagerduty" => vec![(units(&body["payload"]["summary"]), 1024), (outgoing.body.len(), 512 << 10)],
        "teams" => vec![(outgoing.body.len(), 28_000)],
        "discord" => vec![(units(&body["content"]), 2000)],
        "dingtalk" | "feishu" => vec![(outgoing.body.len(), 20_000)],
        "wecom" => vec![(body["markdown"]["content"].as_str().unwrap().len(), 4096)],
        _ => Vec::new(),
    }
}

#[test]
fn no_message_is_longer_than_its_service_takes_and_every_alert_is_named() {
    for long in ["警告🔥", "a \"quoted\"\n\\word ", "<b>&amp;</b>"] {
        for (name, service) in services() {
            let policy = sink(service.clone(), Lang::Zh).policy();
            for digest in [false, true] {
                let count = if digest { policy.digest.max(1) } else { policy.batch };
                let alert = |i: usize| {
                    let mut alert = firing(&format!("Alert{i:03}"), 1_785_837_600);
                    alert.annotations.insert("description".into(), long.repeat(4000));
                    alert.annotations.insert("summary".into(), long.repeat(300));
                    alert.labels.insert("severity".into(), long.repeat(200));
                    alert.labels.insert("model".into(), long.repeat(200));
                    alert
                };
                let alerts: Vec<Notification> = (0..count).map(alert).collect();
                let alerts: Vec<&Notification> = alerts.iter().collect();
                let example = Message::example(&alerts);
                let message = if digest { Message { group: None, ..example } } else { example };
                let (outgoing, body) = sent(service.clone(), Lang::Zh, &message);
                for (length, most) in lengths(name, &outgoing, &body) {
                    assert!(length <= most, "{name}, digest {digest}: {length} > {most}");
                }
                let text = String::from_utf8(outgoing.body).unwrap();
                let missing = (0..count).filter(|i| !text.contains(&format!("Alert{i:03}"))).count();
                assert_eq!(missing, 0, "{name}, digest {digest}: alerts that are not named");
                if !matches!(name, "webhook") {
                    assert!(text.contains("…（已截断）"), "{name}, digest {digest}: nothing says that it was cut");
                }
            }
        }
    }
}

#[test]
fn errors_inside_of_a_200_are_errors() {
    let of = |name: &str| services().into_iter().find(|(n, _)| *n == name).unwrap().1;
    for (name, body, expected) in [
        ("webhook", "", "delivered"),
        ("slack", "ok", "delivered"),
        ("slack", r#"{"ok": true}"#, "delivered"),
        ("slack", r#"{"ok": false, "error": "ratelimited"}"#, "retry"),
        ("slack", r#"{"ok": false, "error": "invalid_auth"}"#, "disabled not_ok"),
        ("slack", r#"{"ok": false, "error": "invalid_blocks"}"#, "refused"),
        ("teams", "1", "delivered"),
        ("teams", "", "delivered"),
        (
            "teams",
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId tcid=1",
            "retry",
        ),
        (
            "teams",
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 400 with ContextId",
            "refused",
        ),
        ("teams", "failed with error: Microsoft Teams endpoint returned HTTP error 404", "disabled inner_404"),
        ("dingtalk", r#"{"errcode":0,"errmsg":"ok"}"#, "delivered"),
        ("dingtalk", r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#, "retry 60"),
        ("dingtalk", r#"{"errcode":-1,"errmsg":"系统繁忙"}"#, "retry"),
        ("dingtalk", r#"{"errcode":310000,"errmsg":"sign not match"}"#, "disabled code_310000"),
        ("dingtalk", r#"{"errcode":300001,"errmsg":"token is not exist"}"#, "disabled code_300001"),
        ("dingtalk", r#"{"errcode":430102,"errmsg":"text not allowed"}"#, "refused"),
        ("dingtalk", "<html>", "retry"),
        ("feishu", r#"{"StatusCode":0,"StatusMessage":"success"}"#, "delivered"),
        ("feishu", r#"{"code":0,"msg":"success","data":{}}"#, "delivered"),
        (
            "feishu",
            r#"{"code":19021,"msg":"sign match fail or timestamp is not within one hour"}"#,
            "disabled code_19021",
        ),
        ("feishu", r#"{"code":11232,"msg":"frequency limited"}"#, "retry 60"),
        ("feishu", r#"{"code":19002,"msg":"params error"}"#, "refused"),
        ("wecom", r#"{"errcode":0,"errmsg":"ok"}"#, "delivered"),
        ("wecom", r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, "retry 60"),
        ("wecom", r#"{"errcode":45009,"errmsg":"x","retry_after":7}"#, "retry 7"),
        ("wecom", r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, "disabled code_93000"),
        ("wecom", r#"{"errcode":45002,"errmsg":"content size out of limit"}"#, "refused"),
    ] {
        let answer = Answer { status: 200, body: body.into(), ..Answer::default() };
        let found = match sink(of(name), Lang::En).inside(&answer) {
            None | Some(Verdict::Delivered) => "delivered".to_owned(),
            Some(Verdict::Retry { after: Some(after), .. }) => format!("retry {}", after.as_secs()),
            Some(Verdict::Retry { .. }) => "retry".to_owned(),
            Some(Verdict::Refused(_)) => "refused".to_owned(),
            Some(Verdict::Disabled(failure)) => format!("disabled {}", failure.reason),
        };
        assert_eq!(found, expected, "{name}: {body}");
    }
}

#[test]
fn no_secret_is_shown() {
    let texts = TextSource::default;
    for service in [
        Service::PagerDuty(PagerDuty::new("hush").unwrap()),
        Service::DingTalk(DingTalk::new(Some("hush")).unwrap()),
        Service::Feishu(Feishu::new(Some("hush")).unwrap()),
        Service::Webhook(WebhookV4::new(Some("hush")).unwrap()),
        Service::Slack(Slack),
    ] {
        let sink = ChatSink::new("", "https://h/hush?key=hush", service, texts()).unwrap().bearer("hush").unwrap();
        assert!(!format!("{sink:?}").contains("hush"), "{sink:?}");
    }
}

#[test]
fn the_status_is_that_of_what_is_told() {
    let (on, over) = (firing("A", 1), resolved("A", 1, 2));
    assert_eq!(Message::example(&[&over]).status(), Status::Resolved);
    assert_eq!(Message::example(&[&over, &on]).status(), Status::Firing);
}

proptest::proptest! {
    /// Whatever a service answers with, it is read without harm, and nothing that is no answer of a bot counts as one.
    #[test]
    fn no_answer_breaks_it(
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        word in "(\\{|\\}|\"errcode\"|\"code\"|\"ok\"|:|,|0|-1|1e999|null|false|\"retry_after\"|HTTP error |429|99999999999){0,12}",
    ) {
        for answer in [body, word.into_bytes()] {
            let zero = serde_json::from_slice::<Value>(&answer).is_ok_and(|body| {
                ["errcode", "code", "StatusCode"].iter().any(|field| body.get(*field) == Some(&json!(0)))
            });
            let answer = Answer { status: 200, body: answer, ..Answer::default() };
            for (name, service) in services() {
                let delivered = matches!(sink(service, Lang::En).inside(&answer), None | Some(Verdict::Delivered));
                if matches!(name, "dingtalk" | "feishu" | "wecom") {
                    proptest::prop_assert!(!delivered || zero, "{} took {:?}", name, answer);
                }
            }
        }
    }
}
