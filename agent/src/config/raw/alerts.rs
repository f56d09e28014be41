//! `alerts:` of the configuration: who is told, through what, in which groups.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::units::Span;

section! {
    /// Who is told.
    Alerts {
        /// Every peer of an Alertmanager cluster; each gets every alert.
        alertmanagers: Vec<Alertmanager> = Vec::new(),
        /// Generic webhooks, signed after Standard Webhooks.
        webhooks: Vec<Webhook> = Vec::new(),
        /// Chat rooms, paging, and Alertmanager's own webhook. Addresses and keys may be `file:/path` or `${NAME}`.
        receivers: Vec<Receiver> = Vec::new(),
        /// Which receivers hear of which alerts, and in what groups, as Alertmanager's `route`. Alertmanagers get
        /// everything; so do `webhooks`, one alert at a time and at once, unless a route names them.
        route: Route = Route::default(),
        /// A firing alert is repeated to every Alertmanager this often; a webhook hears an unchanged one every 4 h.
        resend_delay: Span = Span::secs(60),
        /// How people reach this pod's API; start of the links in alerts.
        #[schemars(extend("format" = "url"))]
        external_url: Option<String> = None,
    }
}

section! {
    /// One Alertmanager (API v2).
    Alertmanager {
        /// Base URL; `/api/v2/alerts` is added.
        #[schemars(extend("format" = "url"))]
        url: String = String::new(),
        /// Bearer token: the text itself, `${NAME}` or `file:/path`.
        token: Option<String> = None,
        /// Give up on one request after this long.
        timeout: Span = Span::secs(10),
    }
}

section! {
    /// One generic webhook.
    Webhook {
        /// Name in metrics and logs; the URL's host and port when empty.
        name: String = String::new(),
        /// Where to post.
        #[schemars(extend("format" = "url"))]
        url: String = String::new(),
        /// Signing secret (`whsec_...` or plain): the text itself, `${NAME}` or `file:/path`.
        secret: Option<String> = None,
        /// Give up on one request after this long.
        timeout: Span = Span::secs(10),
    }
}

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Language {
    /// English.
    En,
    /// Simplified Chinese.
    Zh,
}

section! {
    /// One receiver. Set one of the services, and only one.
    Receiver {
        /// Name in routes, metrics and logs.
        name: String = String::new(),
        /// Language of the built-in texts.
        lang: Language = Language::En,
        /// Own texts instead of the built-in ones.
        templates: Templates = Templates::default(),
        /// Give up on one request after this long.
        timeout: Span = Span::secs(10),
        /// Most messages a minute, instead of what the service is known to take (DingTalk and WeCom 20, Discord 30,
        /// Slack and Teams 60, Feishu 100, PagerDuty 120). More than that comes as a digest.
        #[schemars(range(min = 1, max = 6000))]
        rate_per_minute: Option<u32> = None,
        /// Alertmanager's webhook, version 4.
        webhook: Option<WebhookV4> = None,
        /// A Slack incoming webhook.
        slack: Option<Room> = None,
        /// PagerDuty, Events API v2.
        pagerduty: Option<PagerDutyKey> = None,
        /// A Microsoft Teams workflow that posts adaptive cards.
        teams: Option<Room> = None,
        /// A Discord webhook.
        discord: Option<Room> = None,
        /// A DingTalk group robot.
        dingtalk: Option<SignedRoom> = None,
        /// A Feishu (Lark) group bot.
        feishu: Option<SignedRoom> = None,
        /// A WeCom group bot.
        wecom: Option<Room> = None,
    }
}

section! {
    /// Own texts: Go templates with Prometheus' functions, over the data that docs/alerts.md describes.
    Templates {
        /// One line over the message.
        title: Option<String> = None,
        /// What is said about one alert, in Markdown.
        alert: Option<String> = None,
        /// One alert in a digest.
        line: Option<String> = None,
    }
}

section! {
    /// A chat room's webhook.
    Room {
        /// Its address, which is the secret: the text itself, `${NAME}` or `file:/path`.
        url: String = String::new(),
    }
}

section! {
    /// A chat room's webhook that takes signed messages.
    SignedRoom {
        /// Its address, token included: the text itself, `${NAME}` or `file:/path`.
        url: String = String::new(),
        /// The signing secret, when the robot asks for signatures: the text itself, `${NAME}` or `file:/path`.
        secret: Option<String> = None,
    }
}

section! {
    /// A PagerDuty integration.
    PagerDutyKey {
        /// The integration key of an Events v2 integration: the text itself, `${NAME}` or `file:/path`.
        routing_key: String = String::new(),
        /// Where events go, when not to PagerDuty's own service.
        url: Option<String> = None,
    }
}

section! {
    /// A webhook written for Alertmanager.
    WebhookV4 {
        /// Where to post: the text itself, `${NAME}` or `file:/path`.
        url: String = String::new(),
        /// Bearer token: the text itself, `${NAME}` or `file:/path`.
        token: Option<String> = None,
        /// Signing secret after Standard Webhooks: the text itself, `${NAME}` or `file:/path`.
        secret: Option<String> = None,
    }
}

section! {
    /// Which receivers hear of which alerts, and in what groups.
    Route {
        /// Who hears of alerts that no branch takes; every receiver when absent.
        receiver: Option<String> = None,
        /// Alerts with equal values of these labels share messages; `['...']` keeps every alert to itself.
        group_by: Vec<String> = vec!["alertname".into()],
        /// How long the first alert of a group waits for others.
        group_wait: Span = Span::secs(30),
        /// How long after a message of a group its next one may follow.
        group_interval: Span = Span::secs(300),
        /// How long after it was told an alert that still fires is told again.
        repeat_interval: Span = Span::secs(4 * 3600),
        /// Branches: the first one whose matchers are all met takes an alert.
        routes: Vec<Branch> = Vec::new(),
    }
}

section! {
    /// One branch. What it does not say is as above it.
    Branch {
        /// Who is told.
        receiver: String = String::new(),
        /// Conditions on labels, such as `severity="critical"`, `team=~"a|b"` or `pod!="x"`.
        matchers: Vec<String> = Vec::new(),
        /// Whether later branches are looked at too.
        r#continue: bool = false,
        /// As `alerts.route.group_by`, for this branch.
        group_by: Option<Vec<String>> = None,
        /// As `alerts.route.group_wait`, for this branch.
        group_wait: Option<Span> = None,
        /// As `alerts.route.group_interval`, for this branch.
        group_interval: Option<Span> = None,
        /// As `alerts.route.repeat_interval`, for this branch.
        repeat_interval: Option<Span> = None,
    }
}
