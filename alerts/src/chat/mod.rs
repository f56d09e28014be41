//! Services that people read: chat rooms, paging, and Alertmanager's own webhook. One file each; what they share is here.

mod body;
mod dingtalk;
mod discord;
mod feishu;
mod message;
mod pagerduty;
mod slack;
mod teams;
#[cfg(test)]
mod tests;
mod webhook;
mod wecom;

use std::sync::Arc;
use std::time::Duration;

use plimsoll_rules::Timestamp;
use reqwest::Url;

pub use dingtalk::DingTalk;
pub use discord::Discord;
pub use feishu::Feishu;
pub(crate) use message::Message;
pub use pagerduty::PagerDuty;
pub use slack::Slack;
pub use teams::Teams;
pub use webhook::WebhookV4;
pub use wecom::WeCom;

use crate::outbox::Policy;
use crate::rate::Rate;
use crate::route::Unnamed;
use crate::sink::Target;
use crate::text::Texts;
use crate::verdict::{Answer, Verdict};
use crate::{SinkError, TextSource};

/// Which service, with what only that service needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Alertmanager's webhook, version 4.
    Webhook(WebhookV4),
    /// A Slack incoming webhook.
    Slack(Slack),
    /// PagerDuty Events v2.
    PagerDuty(PagerDuty),
    /// A Teams workflow.
    Teams(Teams),
    /// A Discord webhook.
    Discord(Discord),
    /// A DingTalk group robot.
    DingTalk(DingTalk),
    /// A Feishu (Lark) group bot.
    Feishu(Feishu),
    /// A WeCom group bot.
    WeCom(WeCom),
}

/// What is posted.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// What one service is like.
struct Traits {
    /// Alerts in one message.
    batch: usize,
    /// Alerts in one digest; 0 when there are none: every message stands for itself.
    digest: usize,
    /// Messages a minute that it takes.
    rate: Option<Rate>,
}

/// A receiver that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatSink {
    pub(crate) target: Target,
    pub(crate) service: Service,
    texts: Texts,
    rate: Option<Rate>,
    external_url: Arc<str>,
}

impl ChatSink {
    /// Posts to `url`; an empty `name` becomes host and port.
    ///
    /// # Errors
    /// [`SinkError::Url`] when it is not an http or https address, [`SinkError::Template`] for a text that is no
    /// template.
    pub fn new(name: &str, url: &str, service: Service, texts: TextSource) -> Result<Self, SinkError> {
        let rate = service.traits().rate;
        let (target, texts) = (Target::new(name, url)?, Texts::new(texts)?);
        Ok(Self { target, service, texts, rate, external_url: Arc::from("") })
    }

    /// At most this many messages a minute instead of what the service is known to take.
    #[must_use]
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// How people reach this pod, for links.
    #[must_use]
    pub fn external_url(mut self, url: &str) -> Self {
        self.external_url = url.into();
        self
    }

    /// Sends `Authorization: Bearer token`.
    ///
    /// # Errors
    /// [`SinkError::Header`] when the token cannot stand in a header.
    pub fn bearer(mut self, token: &str) -> Result<Self, SinkError> {
        self.target.bearer(token)?;
        Ok(self)
    }

    /// Gives up on one request after `timeout` (10 s unless set).
    ///
    /// # Errors
    /// [`SinkError::Timeout`] when it is zero.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, SinkError> {
        self.target.set_timeout(timeout)?;
        Ok(self)
    }

    pub(crate) fn policy(&self) -> Policy {
        let Traits { batch, digest, .. } = self.service.traits();
        Policy { batch, digest, rate: self.rate, direct: Some(Unnamed::Grouped) }
    }

    /// The request that says `message` at `wall` time.
    pub(crate) fn request(&self, message: &Message<'_>, wall: Timestamp) -> Outgoing {
        let message = &Message { external_url: &self.external_url, ..*message };
        let (url, texts) = (self.target.url.clone(), &self.texts);
        let plain = |body| Outgoing { url: url.clone(), headers: Vec::new(), body };
        match &self.service {
            Service::Webhook(it) => it.request(url, message, wall),
            Service::Slack(it) => plain(it.body(texts, message)),
            Service::PagerDuty(it) => plain(it.body(texts, message)),
            Service::Teams(it) => plain(it.body(texts, message)),
            Service::Discord(it) => plain(it.body(texts, message)),
            Service::DingTalk(it) => it.request(url, texts, message, wall),
            Service::Feishu(it) => plain(it.body(texts, message, wall)),
            Service::WeCom(it) => plain(it.body(texts, message)),
        }
    }

    /// What an answer with a good status says inside; `None`: nothing else.
    pub(crate) fn inside(&self, answer: &Answer) -> Option<Verdict> {
        match &self.service {
            Service::Webhook(_) | Service::PagerDuty(_) | Service::Discord(_) => None,
            Service::Slack(_) => slack::inside(answer),
            Service::Teams(_) => teams::inside(answer),
            Service::DingTalk(_) => dingtalk::inside(answer),
            Service::Feishu(_) => feishu::inside(answer),
            Service::WeCom(_) => wecom::inside(answer),
        }
    }
}

/// What every service would read in `answer`.
#[cfg(fuzzing)]
pub(crate) fn fuzz_inside(answer: &Answer) -> Vec<Verdict> {
    let readers = [slack::inside, teams::inside, dingtalk::inside, feishu::inside, wecom::inside];
    readers.into_iter().filter_map(|inside| inside(answer)).collect()
}

impl Service {
    fn traits(&self) -> Traits {
        let rate = |per_minute| Some(Rate::per_minute(per_minute));
        match self {
            Self::Webhook(_) => Traits { batch: 100, digest: 0, rate: None },
            Self::Slack(_) => Traits { batch: 20, digest: 100, rate: rate(60) },
            // One event an alert: each is resolved for itself.
            Self::PagerDuty(_) => Traits { batch: 1, digest: 0, rate: rate(120) },
            Self::Teams(_) => Traits { batch: 10, digest: 60, rate: rate(60) },
            Self::Discord(_) => Traits { batch: 4, digest: 12, rate: rate(30) },
            Self::DingTalk(_) => Traits { batch: 10, digest: 60, rate: rate(20) },
            Self::Feishu(_) => Traits { batch: 10, digest: 60, rate: rate(100) },
            Self::WeCom(_) => Traits { batch: 5, digest: 20, rate: rate(20) },
        }
    }
}
