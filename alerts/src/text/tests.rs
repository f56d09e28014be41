//! What the built-in texts say, word for word, and what own texts may do.

use super::*;
use crate::Notification;
use crate::notification::tests::{firing, resolved};

fn hot() -> Notification {
    let labels = [("alertname", "Hot"), ("severity", "warning"), ("service", "chat"), ("pod", "chat-0"), ("gpu", "1")];
    let annotations = [
        ("summary", "GPU is at 93 % <of> its limit"),
        ("description", "It has been busy."),
        ("next_step", "Look at the queue & scale."),
        ("runbook_url", "https://runbooks.example/hot"),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Notification {
        labels: labels.map(owned).into(),
        annotations: annotations.map(owned).into(),
        expr: "gpu_busy > 0.85".into(),
        ..firing("Hot", 1_785_837_600)
    }
}

fn said(lang: Lang, alerts: &[&Notification], flavour: Flavour) -> (String, Vec<String>) {
    let texts = Texts::new(TextSource { lang, ..TextSource::default() }).unwrap();
    let message = Message::example(alerts);
    (texts.title(&message, flavour), texts.alerts(&message, flavour))
}

#[test]
fn an_alert_says_why_since_when_where_and_what_next() {
    let (title, alerts) = said(Lang::En, &[&hot()], Flavour::Plain);
    assert_eq!(title, "[FIRING] Hot (warning) chat chat-0");
    assert_eq!(
        alerts,
        ["**FIRING: Hot** (warning)\n\
        GPU is at 93 % <of> its limit\n\
        Value: 0.93 (threshold > 0.85)\n\
        Since: 2026-08-04 10:00:00 UTC (5m 0s)\n\
        Where: gpu=1 pod=chat-0 service=chat\n\
        Next: Look at the queue & scale.\n\
        [alert](http://127.0.0.1:9465/api/v1/alerts) | [runbook](https://runbooks.example/hot)\n\
        It has been busy."]
    );
}

#[test]
fn the_same_in_chinese() {
    let (title, alerts) = said(Lang::Zh, &[&hot()], Flavour::WideTags);
    assert_eq!(title, "【告警】Hot（warning） chat chat-0");
    assert_eq!(
        alerts,
        ["**触发：Hot**（warning）\n\
        GPU is at 93 % ＜of＞ its limit\n\
        当前值：0.93（阈值 ＞ 0.85）\n\
        开始时间：2026-08-04 10:00:00 UTC（已持续 5m 0s）\n\
        位置：gpu=1 pod=chat-0 service=chat\n\
        下一步：Look at the queue & scale.\n\
        [告警详情](http://127.0.0.1:9465/api/v1/alerts) | [处理手册](https://runbooks.example/hot)\n\
        It has been busy."]
    );
}

#[test]
fn what_is_over_says_when_and_how_long_it_was() {
    let over = resolved("Hot", 1_785_837_600, 1_785_837_720);
    let (title, alerts) = said(Lang::En, &[&over], Flavour::Plain);
    assert_eq!(title, "[RESOLVED] Hot");
    assert!(alerts[0].contains("Over: 2026-08-04 10:02:00 UTC, after 2m 0s"), "{}", alerts[0]);
    let (title, _) = said(Lang::Zh, &[&over], Flavour::Plain);
    assert_eq!(title, "【恢复】Hot");
}

#[test]
fn a_group_is_counted_and_a_digest_has_a_line_each() {
    let (one, two, over) = (hot(), firing("Cold", 1_785_837_600), resolved("Old", 1_785_837_600, 1_785_837_660));
    let (title, _) = said(Lang::En, &[&one, &one], Flavour::Plain);
    assert_eq!(title, "[FIRING:2] Hot (warning) chat chat-0");
    let texts = Texts::new(TextSource::default()).unwrap();
    let alerts = [&one, &two, &over];
    let digest = Message { group: None, ..Message::example(&alerts) };
    assert_eq!(texts.title(&digest, Flavour::Plain), "Digest: 3 alerts, 2 firing, 1 resolved");
    let lines = texts.alerts(&digest, Flavour::Plain);
    assert_eq!(lines[2], "RESOLVED **Old** 0.93 at 2026-08-04 10:01:00 UTC");
    assert_eq!(lines[0], "FIRING **Hot** 0.93 (> 0.85) since 2026-08-04 10:00:00 UTC gpu=1 pod=chat-0 service=chat");
}

#[test]
fn what_labels_say_is_no_markup() {
    let mut alert = hot();
    alert.annotations.insert("summary".into(), "<!channel> & <at id=all></at>".into());
    alert.annotations.insert("runbook_url".into(), "https://h/a) <b>".into());
    let (_, alerts) = said(Lang::En, &[&alert], Flavour::Tags);
    assert!(alerts[0].contains("&lt;!channel&gt; &amp; &lt;at id=all&gt;&lt;/at&gt;"), "{}", alerts[0]);
    assert!(alerts[0].contains("(https://h/a%29b)"), "{}", alerts[0]);
}

#[test]
fn own_texts_are_go_templates_with_prometheus_functions() {
    let own = |alert: &str| Texts::new(TextSource { alert: Some(alert.into()), ..TextSource::default() });
    for (why, template, expected) in [
        ("plain", "fire!", "fire!"),
        ("data", "{{ .Labels.alertname }} {{ .Value | humanizePercentage }}", "Hot 93%"),
        ("missing", "{{ with .Annotations.nope }}x{{ else }}none{{ end }}", "none"),
        ("an own define", "{{ define \"x\" }}<{{ . }}>{{ end }}{{ template \"x\" .Status }}", "<firing>"),
        (
            "the built-in text under its name",
            "{{ template \"line\" . }}!",
            "FIRING **Hot** 0.93 (> 0.85) since \
            2026-08-04 10:00:00 UTC gpu=1 pod=chat-0 service=chat!",
        ),
    ] {
        let (alert, texts) = (hot(), own(template).unwrap());
        assert_eq!(texts.alerts(&Message::example(&[&alert]), Flavour::Plain), [expected], "{why}");
    }
    for (why, template) in
        [("open", "{{ if"), ("unknown function", "{{ nope . }}"), ("open branch", "{{ if .Status }}x{{ end")]
    {
        let wrong = own(template).unwrap_err().to_string();
        assert!(wrong.starts_with("template alert is not usable: "), "{why}: {wrong}");
    }
}

#[test]
fn a_template_that_fails_later_is_replaced_by_built_in_words() {
    let source = TextSource {
        alert: Some("{{ if eq .Status \"resolved\" }}{{ index .Alerts 5 }}{{ end }}".into()),
        ..TextSource::default()
    };
    let over = resolved("Hot", 1_785_837_600, 1_785_837_720);
    let said = Texts::new(source).unwrap().alerts(&Message::example(&[&over]), Flavour::Plain);
    assert!(said[0].starts_with("**RESOLVED: Hot**"), "{said:?}");
}
