//! `alerts`: every receiver as a checked sink, with its secrets read, and the routes to them.

use plimsoll_alerts::{
    AlertmanagerSink, ChatSink, DingTalk, Discord, Feishu, GroupBy, Lang, Matcher, PagerDuty, Rate, Route, Routing,
    Service, Sink, SinkError, Slack, Teams, TextSource, Then, Timing, WeCom, WebhookSink, WebhookV4,
};

use super::checked::Check;
use super::raw::{self, Alerts, Language, Receiver};
use super::units::Span;

/// Sinks and routes; mistakes are noted in `c`.
pub(super) fn check(c: &mut Check<'_>, alerts: &Alerts) -> (Vec<Sink>, Routing) {
    let mut sinks = Vec::new();
    alertmanagers(c, alerts, &mut sinks);
    webhooks(c, alerts, &mut sinks);
    for (i, receiver) in alerts.receivers.iter().enumerate() {
        let key = format!("alerts.receivers.{i}");
        let external_url = alerts.external_url.as_deref().unwrap_or("");
        if let Some(sink) = chat(c, &key, receiver) {
            sinks.push(sink.external_url(external_url).into());
        }
    }
    twins(c, alerts, &sinks);
    let routing = routing(c, alerts);
    (sinks, routing)
}

fn alertmanagers(c: &mut Check<'_>, alerts: &Alerts, sinks: &mut Vec<Sink>) {
    for (i, peer) in alerts.alertmanagers.iter().enumerate() {
        let key = format!("alerts.alertmanagers.{i}");
        if peer.url.is_empty() {
            c.refuse(&key, "has no url; write url: http://HOST:9093");
            continue;
        }
        if alerts.alertmanagers[..i].iter().any(|other| other.url == peer.url) {
            c.refuse(&key, format!("{} is named twice; each peer once", peer.url));
        }
        let token = peer.token.as_ref().map(|token| c.secret(&format!("{key}.token"), token));
        let sink = AlertmanagerSink::new("", &peer.url).and_then(|sink| sink.timeout(peer.timeout.0));
        let sink = sink.and_then(|sink| match &token {
            Some(token) => sink.bearer(&token.0),
            None => Ok(sink),
        });
        sinks.extend(taken(c, &key, sink).map(Sink::from));
    }
}

fn webhooks(c: &mut Check<'_>, alerts: &Alerts, sinks: &mut Vec<Sink>) {
    for (i, hook) in alerts.webhooks.iter().enumerate() {
        let key = format!("alerts.webhooks.{i}");
        if hook.url.is_empty() {
            c.refuse(&key, "has no url; write url: https://HOST/PATH");
            continue;
        }
        let secret = hook.secret.as_ref().map(|secret| c.secret(&format!("{key}.secret"), secret));
        let sink = WebhookSink::new(&hook.name, &hook.url).and_then(|sink| sink.timeout(hook.timeout.0));
        let sink = sink.and_then(|sink| match secret.filter(|secret| !secret.0.is_empty()) {
            Some(secret) => sink.secret(&secret.0),
            None => Ok(sink),
        });
        sinks.extend(taken(c, &key, sink).map(Sink::from));
    }
}

/// The sink, or its mistake noted.
fn taken<T>(c: &mut Check<'_>, key: &str, sink: Result<T, SinkError>) -> Option<T> {
    sink.map_err(|why| c.refuse(key, why.to_string())).ok()
}

/// A service and where it is.
struct Place {
    url: String,
    service: Service,
    token: Option<String>,
}

fn chat(c: &mut Check<'_>, key: &str, receiver: &Receiver) -> Option<ChatSink> {
    if receiver.name.is_empty() {
        c.refuse(key, "has no name; write name: ops");
    }
    let Place { url, service, token } = place(c, key, receiver)?;
    let own = &receiver.templates;
    let texts = TextSource {
        lang: match receiver.lang {
            Language::En => Lang::En,
            Language::Zh => Lang::Zh,
        },
        title: own.title.clone(),
        alert: own.alert.clone(),
        line: own.line.clone(),
    };
    let sink = ChatSink::new(&receiver.name, &url, service, texts);
    let mut sink = taken(c, key, sink.and_then(|sink| sink.timeout(receiver.timeout.0)))?;
    if let Some(token) = token {
        sink = taken(c, key, sink.bearer(&token))?;
    }
    Some(match receiver.rate_per_minute {
        Some(rate) => sink.rate(Rate::per_minute(rate)),
        None => sink,
    })
}

/// Which service a receiver names, with its secrets read.
fn place(c: &mut Check<'_>, key: &str, receiver: &Receiver) -> Option<Place> {
    let mut places = Vec::new();
    let mut room = |c: &mut Check<'_>, name: &str, room: &Option<raw::Room>, service: Service| {
        if let Some(room) = room {
            let url = required(c, &format!("{key}.{name}.url"), &room.url);
            places.push((name.to_owned(), url.map(|url| Place { url, service, token: None })));
        }
    };
    room(c, "slack", &receiver.slack, Service::Slack(Slack));
    room(c, "teams", &receiver.teams, Service::Teams(Teams));
    room(c, "discord", &receiver.discord, Service::Discord(Discord));
    room(c, "wecom", &receiver.wecom, Service::WeCom(WeCom));
    let mut signed = |c: &mut Check<'_>,
                      name: &str,
                      room: &Option<raw::SignedRoom>,
                      service: fn(Option<&str>) -> Result<Service, SinkError>| {
        let Some(room) = room else { return };
        let url = required(c, &format!("{key}.{name}.url"), &room.url);
        let secret = optional(c, &format!("{key}.{name}.secret"), room.secret.as_ref());
        let service = taken(c, &format!("{key}.{name}.secret"), service(secret.as_deref()));
        places.push((name.to_owned(), url.zip(service).map(|(url, service)| Place { url, service, token: None })));
    };
    signed(c, "dingtalk", &receiver.dingtalk, |secret| DingTalk::new(secret).map(Service::DingTalk));
    signed(c, "feishu", &receiver.feishu, |secret| Feishu::new(secret).map(Service::Feishu));
    if let Some(pager) = &receiver.pagerduty {
        let key = format!("{key}.pagerduty.routing_key");
        let routing_key = required(c, &key, &pager.routing_key);
        let service = routing_key.and_then(|routing_key| taken(c, &key, PagerDuty::new(&routing_key)));
        let url = pager.url.clone().unwrap_or_else(|| PagerDuty::URL.to_owned());
        places
            .push(("pagerduty".into(), service.map(|it| Place { url, service: Service::PagerDuty(it), token: None })));
    }
    if let Some(hook) = &receiver.webhook {
        let url = required(c, &format!("{key}.webhook.url"), &hook.url);
        let token = optional(c, &format!("{key}.webhook.token"), hook.token.as_ref());
        let secret = optional(c, &format!("{key}.webhook.secret"), hook.secret.as_ref());
        let service = taken(c, &format!("{key}.webhook.secret"), WebhookV4::new(secret.as_deref()));
        let place = url.zip(service).map(|(url, it)| Place { url, service: Service::Webhook(it), token });
        places.push(("webhook".into(), place));
    }
    let services = "webhook, slack, pagerduty, teams, discord, dingtalk, feishu, wecom";
    match &mut places[..] {
        [(_, place)] => place.take(),
        [] => {
            c.refuse(key, format!("names no service; set one of {services}"));
            None
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
            c.refuse(key, format!("names {}; a receiver has one service, write another receiver", names.join(" and ")));
            None
        }
    }
}

fn required(c: &mut Check<'_>, key: &str, text: &str) -> Option<String> {
    let secret = c.secret(key, text);
    (!secret.0.is_empty()).then_some(secret.0)
}

fn optional(c: &mut Check<'_>, key: &str, text: Option<&String>) -> Option<String> {
    required(c, key, text?)
}

/// Two receivers of one name could not be told apart, in routes and in the outbox.
fn twins(c: &mut Check<'_>, alerts: &Alerts, sinks: &[Sink]) {
    let hooks = alerts.webhooks.iter().enumerate().map(|(i, hook)| (format!("alerts.webhooks.{i}"), &hook.name));
    let chats = alerts.receivers.iter().enumerate().map(|(i, chat)| (format!("alerts.receivers.{i}"), &chat.name));
    let mut seen = Vec::new();
    for (key, name) in hooks.chain(chats).filter(|(_, name)| !name.is_empty()) {
        if seen.contains(&name) {
            c.refuse(&key, format!("the name {name:?} is taken; give each receiver its own name"));
        }
        seen.push(name);
    }
    let mut names: Vec<&str> = sinks.iter().map(|sink| &**sink.name()).collect();
    names.sort_unstable();
    let twin = names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    if let Some(twin) = twin.filter(|twin| !seen.iter().any(|name| name == twin)) {
        c.refuse("alerts", format!("two receivers are at {twin:?}; give each its own name"));
    }
}

fn routing(c: &mut Check<'_>, alerts: &Alerts) -> Routing {
    let top = &alerts.route;
    let timing = Timing {
        group_wait: top.group_wait.0,
        group_interval: top.group_interval.0,
        repeat_interval: top.repeat_interval.0,
    };
    c.at_least("alerts.route.repeat_interval", top.repeat_interval, std::time::Duration::from_secs(1));
    let receivers = top.receiver.iter().inspect(|name| known(c, "alerts.route.receiver", name, alerts));
    let receivers = receivers.map(|name| name.as_str().into()).collect();
    let group_by = group_by(c, "alerts.route.group_by", &top.group_by);
    let mut routes = Vec::new();
    for (i, branch) in top.routes.iter().enumerate() {
        let key = format!("alerts.route.routes.{i}");
        known(c, &format!("{key}.receiver"), &branch.receiver, alerts);
        let or = |own: Option<Span>, above| own.map_or(above, |span| span.0);
        let mut matchers = Vec::new();
        for (m, text) in branch.matchers.iter().enumerate() {
            match Matcher::parse(text) {
                Ok(matcher) => matchers.push(matcher),
                Err(why) => c.refuse(&format!("{key}.matchers.{m}"), why.to_string()),
            }
        }
        let own = branch.group_by.as_ref().map(|names| self::group_by(c, &format!("{key}.group_by"), names));
        routes.push(Route {
            matchers,
            receiver: branch.receiver.as_str().into(),
            then: if branch.r#continue { Then::Continue } else { Then::Stop },
            group_by: own.unwrap_or_else(|| group_by.clone()),
            timing: Timing {
                group_wait: or(branch.group_wait, timing.group_wait),
                group_interval: or(branch.group_interval, timing.group_interval),
                repeat_interval: or(branch.repeat_interval, timing.repeat_interval),
            },
        });
    }
    Routing { receivers, group_by, timing, routes }
}

fn group_by(c: &mut Check<'_>, key: &str, names: &[String]) -> GroupBy {
    let all = names.iter().any(|name| name == "...");
    if all && names.len() > 1 {
        c.refuse(key, "'...' stands for every label; write it alone");
    }
    if all { GroupBy::All } else { GroupBy::Labels(names.to_vec()) }
}

fn known(c: &mut Check<'_>, key: &str, name: &str, alerts: &Alerts) {
    let names: Vec<&str> = alerts
        .receivers
        .iter()
        .map(|r| r.name.as_str())
        .chain(alerts.webhooks.iter().map(|w| w.name.as_str()))
        .collect();
    if !names.contains(&name) || name.is_empty() {
        let known = if names.is_empty() { "there are none".to_owned() } else { format!("known: {}", names.join(", ")) };
        c.refuse(key, format!("{name:?} is no receiver; {known}"));
    }
}
