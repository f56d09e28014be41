//! One alert in one queue: waiting, given up, told; and how it looks on disk and to people.

use std::sync::Arc;

use plimsoll_rules::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Notification;
use crate::group::Group;

/// Sink and alert.
pub(crate) type Key = (Arc<str>, u64);

/// Waits for delivery.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// The message's id over all its retries.
    pub(crate) id: Arc<str>,
    pub(crate) notification: Arc<Notification>,
    /// When this state was last handed over.
    pub(crate) queued_at: Timestamp,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// Which change of the queue this is; tells an answer for an older state from one for this.
    pub(crate) version: u64,
    /// Why the last attempt failed.
    pub(crate) last_error: Option<String>,
    /// Which alerts it shares messages with; none for Alertmanagers, which group for themselves.
    pub(crate) group: Option<Arc<Group>>,
    /// Since when this alert waits, whatever was said about it meanwhile.
    pub(crate) since: Timestamp,
    /// The message that it was tried in.
    pub(crate) message: Option<Arc<str>>,
    /// Whether it waits for no company: somebody asked for it.
    pub(crate) at_once: bool,
    /// The end of the alert, which came before a working sink had taken its beginning: said right after it.
    pub(crate) then: Option<Then>,
}

impl Waiting {
    /// Not tried yet, handed over at `at`.
    pub(crate) fn new(
        id: Arc<str>,
        notification: Arc<Notification>,
        group: Option<Arc<Group>>,
        at: Timestamp,
        version: u64,
    ) -> Self {
        Self {
            id,
            notification,
            queued_at: at,
            attempts: 0,
            version,
            last_error: None,
            group,
            since: at,
            message: None,
            at_once: false,
            then: None,
        }
    }

    /// About how much memory its words hold, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.notification.size() + self.then.as_ref().map_or(0, |then| then.notification.size())
    }
}

/// A state that follows another one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Then {
    pub(crate) id: Arc<str>,
    pub(crate) notification: Arc<Notification>,
}

/// Given up.
#[derive(Clone, Debug)]
pub(crate) struct Dead {
    pub(crate) id: Arc<str>,
    pub(crate) notification: Arc<Notification>,
    pub(crate) queued_at: Timestamp,
    pub(crate) died_at: Timestamp,
    pub(crate) why: String,
    /// How often it was tried, as far as this process knows.
    pub(crate) attempts: u32,
}

/// [`Dead::why`] of what grew too old; anything else is the sink's refusal.
pub(crate) const EXPIRED: &str = "expired";

/// What a sink last accepted of one alert; kept only for sinks that do not want every repeat.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// What it accepted, with its latest value.
    pub(crate) notification: Arc<Notification>,
    pub(crate) group: Arc<Group>,
    /// When it accepted it.
    pub(crate) at: Timestamp,
    /// When it was last handed over.
    pub(crate) seen_at: Timestamp,
}

/// What is kept on disk of it.
#[derive(Clone, Debug)]
pub(crate) struct SavedTold {
    pub(crate) notification: Arc<Notification>,
    pub(crate) at: Timestamp,
}

/// One alert of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) fingerprint: u64,
    pub(crate) version: u64,
    pub(crate) id: Arc<str>,
    pub(crate) notification: Arc<Notification>,
    pub(crate) group: Option<Arc<Group>>,
}

/// A row as it shall be on disk.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) sink: Arc<str>,
    pub(crate) fingerprint: u64,
    /// The change that this row shows.
    pub(crate) version: u64,
    /// `None`: there shall be no such row.
    pub(crate) saved: Option<Saved>,
    /// The same for what the sink was told.
    pub(crate) told: Option<SavedTold>,
}

/// What is kept on disk of one alert in one queue.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    pub(crate) id: Arc<str>,
    pub(crate) notification: Arc<Notification>,
    pub(crate) queued_at: Timestamp,
    /// When and why it was given up.
    pub(crate) dead: Option<(Timestamp, String)>,
    pub(crate) then: Option<Then>,
}

/// Where an undelivered alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Will be tried, or tried again.
    Waiting,
    /// Its sink does not want us (credentials, address); looked into now and then, delivered once it does.
    Parked,
    /// Given up: refused for good or too old.
    Dead,
}

/// One undelivered alert, for people.
#[derive(Clone, Debug, Serialize)]
pub struct Pending {
    /// The sink's name.
    pub sink: Arc<str>,
    /// Where it stands.
    pub standing: Standing,
    /// The message's id (`webhook-id`), the same over all its retries.
    pub id: Arc<str>,
    /// What is to be said.
    pub notification: Arc<Notification>,
    /// Since when it waits, however often it was handed over again meanwhile, milliseconds since the epoch.
    pub queued_at: Timestamp,
    /// Attempts since this process started.
    pub attempts: u32,
    /// When the next attempt may start, milliseconds since the epoch; `None` when given up.
    pub next_attempt_at: Option<Timestamp>,
    /// Why the last attempt failed, or why it was given up.
    pub last_error: Option<String>,
}
