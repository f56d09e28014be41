//! `experiments:` as meant: what the decision needs, what the tap needs, every mistake with its place.

mod metrics;
mod template;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use plimsoll_rules::verdict::experiment::{Arm, ExperimentSpec, RampStep};

use super::Raw;
use super::checked::Check;
use super::raw::experiments::{self as raw, Promote, SplitKind};
use crate::tap::Upstream;
use metrics::metrics;
pub(super) use template::{mirror, template};

/// Experiments at once.
const MOST: usize = 8;
/// Steps of a ramp.
const MOST_STEPS: usize = 16;
/// Longest id, name and model, in bytes.
const LONGEST: usize = 64;

/// What is assigned as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitSource {
    /// Requests with the same value of this header.
    Header(HeaderName),
    /// Requests with the same `user` in their body.
    User,
    /// Requests that begin with the same messages, up to the first of the user.
    Conversation,
    /// Each request alone.
    Request,
}

/// Who splits.
#[derive(Clone, Debug, PartialEq)]
pub enum Split {
    /// The tap, by where a request goes.
    Route,
    /// The tap; the treatment gets copies.
    Mirror,
    /// Somebody before the tap.
    Outside {
        /// What tells the variant of a request.
        tells: Tells,
        /// The share of the treatment.
        propensity: f64,
    },
}

/// What tells the variant of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tells {
    /// The value of this header.
    Header(HeaderName),
    /// The request's field `model`.
    Model,
}

/// One of the two variants.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Label `variant` of its requests.
    pub name: Arc<str>,
    /// The model its requests name; as asked when absent.
    pub model: Option<Arc<str>>,
    /// Where they go; where all go when absent.
    pub upstream: Option<Arc<Upstream>>,
}

impl Variant {
    /// Whether an outside splitter that says `value` means this variant.
    pub fn is_called(&self, value: &str) -> bool {
        *self.name == *value || self.model.as_deref() == Some(value)
    }
}

/// Comparing the answers to mirrored requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judge {
    /// Whether they are compared.
    pub enabled: bool,
    /// Share of the compared pairs that a person is to label, in [0, 1].
    pub labels: f64,
}

/// One experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// What decides about it.
    pub spec: ExperimentSpec,
    /// What is assigned as one.
    pub unit: UnitSource,
    /// Who splits.
    pub split: Split,
    /// What is served now.
    pub control: Variant,
    /// What may replace it.
    pub treatment: Variant,
    /// Only requests for these models take part; all when empty.
    pub models: Vec<String>,
    /// After a promotion all traffic goes to the treatment.
    pub promote_routes: bool,
    /// With a mirror.
    pub judge: Judge,
}

impl Experiment {
    /// The variant of a half.
    pub fn variant(&self, arm: Arm) -> &Variant {
        match arm {
            Arm::Control => &self.control,
            Arm::Treatment => &self.treatment,
        }
    }

    /// All that decides about it, in words that do not change: where they are others, what was counted before says nothing of
    /// it.
    pub fn deciding(&self) -> String {
        let variant = |variant: &Variant| {
            let upstream = variant.upstream.as_ref().map_or_else(String::new, ToString::to_string);
            format!("{} {} {upstream}", variant.name, variant.model.as_deref().unwrap_or_default())
        };
        format!("{}, {}, {}", self.spec.hash(), variant(&self.control), variant(&self.treatment))
    }

    /// The half that an outside splitter means by `value`.
    pub fn arm_called(&self, value: &str) -> Option<Arm> {
        [Arm::Control, Arm::Treatment].into_iter().find(|arm| self.variant(*arm).is_called(value))
    }
}

/// Checks all experiments; mistakes are noted in `c`.
pub(super) fn check(c: &mut Check<'_>, raw: &Raw) -> Vec<Arc<Experiment>> {
    let all = &raw.experiments;
    if all.len() > MOST {
        c.refuse("experiments", format!("{} experiments; at most {MOST} at once", all.len()));
    }
    if !all.is_empty() && !raw.sources.tap.enabled && all.iter().any(|one| one.split != SplitKind::Outside) {
        c.refuse("experiments", "the tap splits, and sources.tap.enabled is false; turn it on, or set split: outside");
    }
    let mut checked = Vec::new();
    for (i, one) in all.iter().enumerate() {
        let key = format!("experiments.{i}");
        if all[..i].iter().any(|other| other.id == one.id) {
            c.refuse(&format!("{key}.id"), format!("the id {:?} is taken by another experiment", one.id));
        }
        checked.extend(experiment(c, &key, one, raw).map(Arc::new));
    }
    checked
}

/// One experiment; `None` when something it is made of cannot be told.
fn experiment(c: &mut Check<'_>, key: &str, one: &raw::Experiment, raw: &Raw) -> Option<Experiment> {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if one.id.is_empty() || one.id.len() > LONGEST || !one.id.bytes().all(word) {
        let right = "write 1 to 64 of a-z, 0-9, - and _";
        c.refuse(&format!("{key}.id"), format!("{:?} is no id; {right}", one.id));
    }
    window(c, key, one, raw);
    if !(one.alpha > 0.0 && one.alpha < 1.0) {
        c.refuse(&format!("{key}.alpha"), format!("{} is outside 0 to 1", one.alpha));
    }
    if !(0.0..=1.0).contains(&one.judge.labels.0) {
        c.refuse(&format!("{key}.judge.labels"), format!("{} is outside 0 to 100%", one.judge.labels));
    }
    let unit = unit(c, key, &one.unit);
    let split = split(c, key, one);
    let control = variant(c, &format!("{key}.control"), &one.control, Arm::Control);
    let treatment = variant(c, &format!("{key}.treatment"), &one.treatment, Arm::Treatment);
    if let (Some(control), Some(treatment)) = (&control, &treatment) {
        difference(c, key, split.as_ref(), (control, treatment));
    }
    let spec = ExperimentSpec {
        id: one.id.clone(),
        metrics: metrics(c, key, &one.metrics),
        alpha: one.alpha,
        ramp: ramp(c, key, &one.ramp),
        aa_units: one.aa_units,
        max_units: one.max_units,
        promotes: one.split != SplitKind::Mirror,
        window: one.window.0,
    };
    Some(Experiment {
        spec,
        unit: unit?,
        split: split?,
        control: control?,
        treatment: treatment?,
        models: one.models.clone(),
        promote_routes: one.promote == Promote::Route,
        judge: Judge { enabled: one.judge.enabled, labels: one.judge.labels.0 },
    })
}

/// Outcomes must still be there when a unit's window ends.
fn window(c: &mut Check<'_>, key: &str, one: &raw::Experiment, raw: &Raw) {
    let key = format!("{key}.window");
    c.at_least(&key, one.window, Duration::from_secs(1));
    if one.window.0 > raw.records.retention.0 / 2 {
        let most = format!("at most half of records.retention ({})", raw.records.retention);
        c.refuse(&key, format!("{} is too long; {most}", one.window));
    }
}

fn header(c: &mut Check<'_>, key: &str, name: &str) -> Option<HeaderName> {
    let header = name.parse().ok();
    if header.is_none() {
        c.refuse(key, format!("{name:?} is no name of a header; write one such as x-user-id"));
    }
    header
}

fn unit(c: &mut Check<'_>, key: &str, unit: &raw::UnitSource) -> Option<UnitSource> {
    Some(match unit {
        raw::UnitSource::Header(name) => UnitSource::Header(header(c, &format!("{key}.unit.header"), name)?),
        raw::UnitSource::User => UnitSource::User,
        raw::UnitSource::Conversation => UnitSource::Conversation,
        raw::UnitSource::Request => UnitSource::Request,
    })
}

fn split(c: &mut Check<'_>, key: &str, one: &raw::Experiment) -> Option<Split> {
    if one.split != SplitKind::Outside {
        if one.variant.is_some() {
            c.refuse(&format!("{key}.variant"), "is for split: outside; the tap knows what it split");
        }
        if one.weights.is_some() {
            c.refuse(&format!("{key}.weights"), "is for split: outside; the tap's shares are in ramp");
        }
        return Some(if one.split == SplitKind::Route { Split::Route } else { Split::Mirror });
    }
    let weights = one.weights.clone().unwrap_or_default();
    let propensity = weights.treatment / (weights.control + weights.treatment);
    if !(weights.control > 0.0 && weights.treatment > 0.0 && propensity > 0.0 && propensity < 1.0) {
        c.refuse(&format!("{key}.weights"), "both weights are above 0, such as {control: 0.5, treatment: 0.5}");
    }
    let at = format!("{key}.variant");
    let tells = match &one.variant {
        Some(raw::Tells { header: Some(name), model: false }) => Tells::Header(header(c, &at, name)?),
        Some(raw::Tells { header: None, model: true }) => Tells::Model,
        _ => {
            c.refuse(&at, "split: outside needs {header: NAME} or {model: true}, one of them");
            return None;
        }
    };
    Some(Split::Outside { tells, propensity })
}

fn variant(c: &mut Check<'_>, key: &str, one: &raw::Variant, arm: Arm) -> Option<Variant> {
    let name = if one.name.is_empty() { arm.as_str() } else { &one.name };
    if name.len() > 4 * LONGEST {
        c.refuse(&format!("{key}.name"), "is longer than 256 bytes");
    }
    if one.model.as_ref().is_some_and(|model| model.is_empty() || model.len() > 4 * LONGEST) {
        c.refuse(&format!("{key}.model"), "is empty or longer than 256 bytes");
    }
    let upstream = match one.upstream.as_ref().map(|url| url.parse::<Upstream>()).transpose() {
        Ok(upstream) => upstream.map(Arc::new),
        Err(wrong) => {
            c.refuse(&format!("{key}.upstream"), wrong.to_string());
            return None;
        }
    };
    Some(Variant { name: name.into(), model: one.model.as_deref().map(Into::into), upstream })
}

fn difference(c: &mut Check<'_>, key: &str, split: Option<&Split>, (control, treatment): (&Variant, &Variant)) {
    if control.name == treatment.name {
        c.refuse(&format!("{key}.treatment.name"), format!("{:?} is control's name too", treatment.name));
    }
    let alike = control.model == treatment.model && control.upstream == treatment.upstream;
    if matches!(split, Some(Split::Route | Split::Mirror)) && alike {
        c.refuse(&format!("{key}.treatment"), "is what control is; give it a model or an upstream of its own");
    }
}

fn ramp(c: &mut Check<'_>, key: &str, steps: &[raw::Step]) -> Vec<RampStep> {
    if steps.is_empty() || steps.len() > MOST_STEPS {
        c.refuse(&format!("{key}.ramp"), format!("{} steps; 1 to {MOST_STEPS}", steps.len()));
    }
    for (i, step) in steps.iter().enumerate() {
        let at = format!("{key}.ramp.{i}.share");
        if !(step.share.0 > 0.0 && step.share.0 < 1.0) {
            c.refuse(&at, format!("{} is outside 0 to 100%, both excluded", step.share));
        } else if i > 0 && step.share <= steps[i - 1].share {
            c.refuse(&at, format!("{} is not more than {} before it; shares grow", step.share, steps[i - 1].share));
        }
    }
    steps.iter().map(|step| RampStep { share: step.share.0, units: step.units, time: step.time.0 }).collect()
}

#[cfg(test)]
mod tests {
    use plimsoll_rules::verdict::experiment::MetricKind;

    use super::super::parse;
    use super::*;

    fn load(experiment: &str) -> Result<Vec<Arc<Experiment>>, Vec<String>> {
        let text = format!("rules: {{builtin: false}}\nexperiments:\n  - {experiment}\n");
        parse("p.yaml", &text, &Vec::new(), None, &|_| None)
            .map(|checked| checked.experiments)
            .map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_experiment_means_what_it_says() {
        let all = load(
            "{id: support-v2, unit: {header: X-User-Id}, treatment: {name: v2, model: lora, upstream: 'http://h:1'}, \
             ramp: [{share: 5%, units: 10, time: 1m}, {share: 0.5}], \
             metrics: [{name: task_success, role: primary, margin: 3%}, {name: duration_seconds, kind: quantile, \
             direction: decrease, margin: 0.02}, {name: cost, kind: mean, margin: 2}]}",
        )
        .unwrap();
        let one = &all[0];
        assert_eq!(one.unit, UnitSource::Header(HeaderName::from_static("x-user-id")));
        assert_eq!((one.spec.ramp[0].share, one.spec.ramp[1].share), (0.05, 0.5));
        assert_eq!(one.spec.metrics[1].kind, MetricKind::Quantile { quantile: 0.95, limit: None });
        assert_eq!((one.spec.metrics[0].margin, one.spec.metrics[2].margin), (0.03, 2.0));
        assert_eq!(one.treatment.upstream.as_ref().unwrap().to_string(), "http://h:1");
        let least = load("{id: a, treatment: {name: b, model: m}}").unwrap();
        assert_eq!((least[0].unit.clone(), &least[0].spec.metrics[1].name[..]), (UnitSource::Conversation, "error"));
        let outside =
            load("{id: a, split: outside, variant: {header: x-v}, weights: {control: 3, treatment: 1}}").unwrap();
        let tells = Tells::Header(HeaderName::from_static("x-v"));
        assert_eq!(outside[0].split, Split::Outside { tells, propensity: 0.25 });
        assert_eq!(outside[0].arm_called("treatment"), Some(Arm::Treatment));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let with = |more: &str| format!("{{id: a, treatment: {{name: b, model: m}}, {more}}}");
        for (why, text, expected) in [
            (
                "no id",
                "{treatment: {model: m}}".to_owned(),
                "p.yaml:3:5: experiments.0.id: \"\" is no id; write 1 to 64",
            ),
            ("no difference", "{id: a}".into(), "experiments.0.treatment: is what control is"),
            ("one name", "{id: a, treatment: {name: control, model: m}}".into(), "\"control\" is control's name too"),
            ("bad upstream", "{id: a, treatment: {upstream: 'https://h'}}".into(), "only http:// upstreams"),
            ("bad unit", with("unit: session"), "\"session\" is not one of user, conversation, request"),
            ("bad header", with("unit: {header: 'a b'}"), "experiments.0.unit.header: \"a b\" is no name of a header"),
            ("bad share", with("ramp: [{share: much}]"), "experiments[0].ramp[0].share: \"much\" is not a share"),
            ("all", with("ramp: [{share: 100%}]"), "experiments.0.ramp.0.share: 100% is outside 0 to 100%"),
            ("shrinking", with("ramp: [{share: 50%}, {share: 5%}]"), "ramp.1.share: 5% is not more than 50%"),
            ("no steps", with("ramp: []"), "experiments.0.ramp: 0 steps; 1 to 16"),
            ("no margin", with("metrics: [{name: x, role: primary, margin: 0}]"), "metrics.0.margin: 0 is not above 0"),
            (
                "a mean's margin",
                with("metrics: [{name: x, kind: mean, role: primary, margin: 3%}]"),
                "metrics.0.margin: 3% is a share, and x is a mean",
            ),
            ("no primary", with("metrics: [{name: x}]"), "experiments.0.metrics: none is primary"),
            ("not bounded", with("metrics: [{name: x, role: primary, low: 1}]"), "metrics.0.low: is for kind: bounded"),
            ("labels", with("split: mirror, judge: {labels: 150%}"), "judge.labels: 150% is outside 0 to 100%"),
            ("long window", with("window: 20d"), "experiments.0.window: 20d is too long; at most half"),
            ("not outside", with("variant: {model: true}"), "experiments.0.variant: is for split: outside"),
            ("untold", "{id: a, split: outside}".into(), "experiments.0.variant: split: outside needs {header: NAME}"),
            ("a slip", with("unti: user"), "did you mean experiments[0].unit?"),
        ] {
            let said = load(&text).expect_err(why);
            assert!(said.len() == 1 && said[0].contains(expected), "{why}: {said:#?}");
        }
        let twice = load("{id: a, treatment: {model: m}}\n  - {id: a, treatment: {model: m}}").unwrap_err();
        assert!(twice[0].contains("p.yaml:4:10: experiments.1.id: the id \"a\" is taken"), "{twice:?}");
    }
}
