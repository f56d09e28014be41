//! Which alerts share a message, and when it goes out: one group of one route.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// A group, as one route makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Names it: the route and the labels that its alerts share.
    pub(crate) key: String,
    /// The labels it is grouped by, and what its alerts have there.
    pub(crate) labels: BTreeMap<String, String>,
    /// How a new group and one that has spoken wait.
    pub(crate) timing: Timing,
}

/// Waits of a group, with Alertmanager's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long the first alert of a group waits for others.
    pub group_wait: Duration,
    /// How long after a message the next one of the same group may follow.
    pub group_interval: Duration,
    /// How long after it was told an alert that still fires is told again.
    pub repeat_interval: Duration,
}

impl Default for Timing {
    /// Alertmanager's defaults.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { group_wait: seconds(30), group_interval: seconds(300), repeat_interval: seconds(4 * 3600) }
    }
}

impl Group {
    /// The group of an alert with `alert` labels under `route`. Labels that the alert lacks are left out, as in
    /// Alertmanager.
    pub(crate) fn new(route: &str, by: &GroupBy, alert: &BTreeMap<String, String>, timing: Timing) -> Self {
        let labels: BTreeMap<String, String> = match by {
            GroupBy::All => alert.clone(),
            GroupBy::Labels(names) => {
                names.iter().filter_map(|name| alert.get_key_value(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
            }
        };
        let mut key = format!("{{}}{route}:{{");
        for (i, (name, value)) in labels.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            let _ = write!(key, "{comma}{name}={value:?}");
        }
        key.push('}');
        Self { key, labels, timing }
    }
}

/// What makes alerts one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// Every alert is a group of its own.
    All,
    /// Equal values of these labels.
    Labels(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_by_its_labels_alone() {
        let alert = [("alertname", "Hot"), ("pod", "a\"b")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        for (why, by, expected) in [
            ("by name", GroupBy::Labels(vec!["alertname".into()]), r#"{}/r:{alertname="Hot"}"#),
            ("a label it lacks", GroupBy::Labels(vec!["alertname".into(), "job".into()]), r#"{}/r:{alertname="Hot"}"#),
            ("nothing", GroupBy::Labels(vec![]), "{}/r:{}"),
            ("everything", GroupBy::All, r#"{}/r:{alertname="Hot", pod="a\"b"}"#),
        ] {
            assert_eq!(Group::new("/r", &by, &alert, Timing::default()).key, expected, "{why}");
        }
    }
}
