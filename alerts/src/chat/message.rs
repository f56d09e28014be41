//! One message: the alerts it tells of and what they share.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use plimsoll_rules::Timestamp;

use crate::group::Group;
use crate::{Notification, Status};

/// What is to be said to one receiver at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// The message's id, the same over all its retries.
    pub(crate) id: &'a str,
    /// The receiver's name.
    pub(crate) receiver: &'a str,
    /// What there is to tell.
    pub(crate) alerts: &'a [&'a Notification],
    /// Alerts of the same group that were told before and still fire.
    pub(crate) context: &'a [&'a Notification],
    /// The group that all of them belong to; without one it is a digest of several groups.
    pub(crate) group: Option<&'a Group>,
    /// How people reach this pod.
    pub(crate) external_url: &'a str,
    /// When it is said.
    pub(crate) at: Timestamp,
}

impl Message<'_> {
    /// Firing when any alert is.
    pub(crate) fn status(&self) -> Status {
        let firing = self.alerts.iter().any(|alert| alert.status == Status::Firing);
        if firing { Status::Firing } else { Status::Resolved }
    }

    /// Whether it tells of several groups, in a line an alert.
    pub(crate) fn is_digest(&self) -> bool {
        self.group.is_none()
    }

    /// What the alerts are grouped by.
    pub(crate) fn group_labels(&self) -> &BTreeMap<String, String> {
        static NONE: OnceLock<BTreeMap<String, String>> = OnceLock::new();
        self.group.map_or_else(|| NONE.get_or_init(BTreeMap::new), |group| &group.labels)
    }

    /// The pairs that are the same in every alert, those told before included.
    pub(crate) fn common<'n>(
        &'n self,
        of: impl Fn(&'n Notification) -> &'n BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut all = self.alerts.iter().chain(self.context).map(|alert| of(alert));
        let mut common = all.next().cloned().unwrap_or_default();
        for map in all {
            common.retain(|name, value| map.get(name) == Some(value));
        }
        common
    }
}

impl<'a> Message<'a> {
    /// An alert to try templates on.
    pub(crate) fn example_alert() -> Notification {
        let began = Timestamp::from_millis(1_785_837_600_000);
        Notification {
            status: Status::Firing,
            labels: [("alertname".to_owned(), "Example".to_owned())].into(),
            annotations: [("summary".to_owned(), "an example".to_owned())].into(),
            starts_at: began,
            ends_at: began + std::time::Duration::from_secs(300),
            value: 0.93,
            generator_url: "http://127.0.0.1:9465/api/v1/alerts".to_owned(),
            expr: "example > 0.85".to_owned(),
        }
    }

    /// `alerts` as one group's message, five minutes after the example began.
    pub(crate) fn example(alerts: &'a [&'a Notification]) -> Self {
        static GROUP: OnceLock<Group> = OnceLock::new();
        let group = GROUP.get_or_init(|| {
            let by = crate::GroupBy::Labels(vec!["alertname".to_owned()]);
            let labels = [("alertname".to_owned(), "Hot".to_owned())].into();
            Group::new("", &by, &labels, crate::Timing::default())
        });
        let at = Timestamp::from_millis(1_785_837_900_000);
        Self { id: "msg_1", receiver: "ops", alerts, context: &[], group: Some(group), external_url: "", at }
    }
}
