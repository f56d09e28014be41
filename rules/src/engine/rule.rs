//! A checked rule and its group: what a rule file means, whatever it looked like.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::promql::Expr;

/// A checked rule group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The file it came from, as the user named it.
    pub file: String,
    /// Its name, unique in its file.
    pub name: String,
    /// How often it is evaluated.
    pub interval: Duration,
    /// How far in the past its expressions look, so that late samples are there.
    pub query_offset: Duration,
    /// Most series or alerts one of its rules may give; 0 is no limit.
    pub limit: usize,
    /// Its rules, in the order of their evaluation.
    pub rules: Vec<Rule>,
}

/// A checked rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The alert's name, or the metric it records.
    pub name: String,
    /// What it evaluates.
    pub expr: Expr,
    /// Labels it sets, the group's included; templates in alerts, plain text in recording rules.
    pub labels: BTreeMap<String, String>,
    /// What is done with the result.
    pub action: Action,
}

/// What a rule does with its result.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Writes it back as a series of the rule's name.
    Record,
    /// Raises one alert per element.
    Alert {
        /// How long an element must be there before its alert fires (`for`).
        hold: Duration,
        /// How long an alert goes on firing after its element has gone (`keep_firing_for`).
        keep_firing: Duration,
        /// Templates of what people read.
        annotations: BTreeMap<String, String>,
    },
}

impl Rule {
    /// Every text of it that is a template.
    pub(super) fn templates(&self) -> impl Iterator<Item = &str> {
        let annotations = match &self.action {
            Action::Record => None,
            Action::Alert { annotations, .. } => Some(annotations),
        };
        annotations.into_iter().flat_map(|annotations| self.labels.values().chain(annotations.values()).map(|t| &**t))
    }

    /// What makes it the same rule after a reload or a restart, besides its group: as in Prometheus its kind, name and
    /// labels. A new expression or `for` does not end alerts that still hold.
    pub(super) fn identity(&self) -> String {
        let kind = match self.action {
            Action::Record => "record",
            Action::Alert { .. } => "alert",
        };
        format!("{kind} {} {:?}", self.name, self.labels)
    }
}
