//! `experiments:` of the configuration: two variants, who gets which, what is measured, when it is decided.

use std::borrow::Cow;

use plimsoll_rules::verdict::experiment::{Direction, Role};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::super::units::{Margin, Share, Span};

/// Who splits, and what the treatment does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum SplitKind {
    /// The tap sends the units of the treatment there.
    Route,
    /// Everybody is served by control; the treatment gets copies of its units' requests, and its answers are only judged.
    Mirror,
    /// Somebody before the tap splits; `variant` tells how, `weights` with what shares.
    Outside,
}

/// What happens after a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Promote {
    /// All traffic of the experiment goes to the treatment.
    Route,
    /// All goes to control; somebody else acts on the verdict.
    None,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Kind {
    /// 0 or 1.
    Binary,
    /// Between `low` and `high`.
    Bounded,
    /// Above or below a quantile of control's.
    Quantile,
    /// Any number.
    Mean,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Better {
    /// More is.
    Increase,
    /// Less is.
    Decrease,
}

impl From<Better> for Direction {
    fn from(better: Better) -> Self {
        match better {
            Better::Increase => Self::Increase,
            Better::Decrease => Self::Decrease,
        }
    }
}

/// What a metric may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Part {
    /// Must be no worse than the margin for a promotion; harm rolls back.
    Primary,
    /// The same; shown apart.
    Guardrail,
    /// Is shown, decides nothing.
    Signal,
}

impl From<Part> for Role {
    fn from(part: Part) -> Self {
        match part {
            Part::Primary => Self::Primary,
            Part::Guardrail => Self::Guardrail,
            Part::Signal => Self::Signal,
        }
    }
}

section! {
    /// One experiment (docs/experiments.md). A request takes part in the first one that it matches.
    Experiment {
        /// Its name, a label of its series: `a` to `z`, digits, `-` and `_`, at most 64.
        id: String = String::new(),
        /// What is assigned as one: `{header: NAME}`, `user` (the request's field `user`), `conversation` (the first user message
        /// and what precedes it) or `request`, which says the least.
        unit: UnitSource = UnitSource::Conversation,
        /// Who splits.
        split: SplitKind = SplitKind::Route,
        /// What is served now.
        control: Variant = Variant::default(),
        /// What may replace it. With `route` and `mirror`, its `model` or `upstream` differs from control's.
        treatment: Variant = Variant::default(),
        /// Only requests for these models take part; all when empty.
        models: Vec<String> = Vec::new(),
        /// Largest probability of a wrong promotion, and of a wrong rollback.
        #[schemars(range(min = 0.0001, max = 0.5))]
        alpha: f64 = 0.05,
        /// How long after its first request a unit's outcomes count; at most half of `records.retention`.
        window: Span = Span::secs(1800),
        /// Units of an A/A check before the ramp: both halves get control. 0 for none.
        aa_units: u64 = 0,
        /// After so many units without a verdict control is kept.
        #[schemars(range(min = 100, max = 250_000))]
        max_units: u64 = 100_000,
        /// Shares of the treatment, growing.
        ramp: Vec<Step> = vec![Step::default()],
        /// What is measured; at least one metric is primary.
        metrics: Vec<MetricRow> = metrics(),
        /// What happens after a promotion.
        promote: Promote = Promote::Route,
        /// With `mirror`: the shadow model compares the two answers.
        judge: Judge = Judge::default(),
        /// With `outside`: what tells the variant of a request, `{header: NAME}` or `{model: true}`. Its values are the variants'
        /// names, or their models.
        variant: Option<Tells> = None,
        /// With `outside`: with what shares it splits.
        weights: Option<Weights> = None,
    }
}

section! {
    /// One of the two variants.
    Variant {
        /// Label `variant` of its requests; `control` or `treatment` when empty.
        name: String = String::new(),
        /// The model that its requests are rewritten to name, such as a LoRA adapter; as asked when absent.
        model: Option<String> = None,
        /// The inference server that they go to; `sources.tap.upstream` when absent.
        #[schemars(extend("format" = "url"))]
        upstream: Option<String> = None,
    }
}

section! {
    /// One step of the ramp.
    Step {
        /// Share of new units that get the treatment, above 0 and below 1, such as `5%`.
        share: Share = Share(0.5),
        /// Units whose outcome must be in before the next step.
        units: u64 = 500,
        /// Least time at this step.
        time: Span = Span::secs(600),
    }
}

section! {
    /// Comparing the answers to mirrored requests; needs `shadow` with a language model, and `text.sample`. A signal only.
    Judge {
        /// Whether they are compared.
        enabled: bool = true,
        /// Share of the compared pairs that a person is to label (GET /api/v1/experiments/ID/pairs).
        labels: Share = Share(0.1),
    }
}

section! {
    /// One metric.
    MetricRow {
        /// `metric_name` of feedback, or `error`, `duration_seconds`, `time_to_first_token_seconds`, `output_tokens` of the
        /// traffic itself.
        name: String = String::new(),
        /// What its values are.
        kind: Kind = Kind::Binary,
        /// Least value of a bounded one.
        low: Option<f64> = None,
        /// Largest value of a bounded one.
        high: Option<f64> = None,
        /// Which quantile, above 0 and below 1.
        #[schemars(range(min = 0.01, max = 0.999))]
        quantile: Option<f64> = None,
        /// The value that a quantile's metric is compared with, in its own unit; learnt from control's first units when absent.
        limit: Option<f64> = None,
        /// Which way is better.
        direction: Better = Better::Increase,
        /// What it may decide.
        role: Part = Part::Guardrail,
        /// How much worse still counts as no worse, above 0: of a mean in its unit, else a share such as `3%`.
        margin: Margin = Margin::default(),
    }
}

section! {
    /// What tells the variant of a request.
    Tells {
        /// The name of a header.
        header: Option<String> = None,
        /// The request's field `model`.
        model: bool = false,
    }
}

section! {
    /// With what shares an outside splitter splits.
    Weights {
        /// Of control.
        control: f64 = 0.5,
        /// Of the treatment.
        treatment: f64 = 0.5,
    }
}

section! {
    /// A header that names the unit.
    UnitHeader {
        /// Its name.
        header: String = String::new(),
    }
}

fn metrics() -> Vec<MetricRow> {
    let task = MetricRow { name: "task_success".into(), role: Part::Primary, ..MetricRow::default() };
    let error = MetricRow {
        name: "error".into(),
        direction: Better::Decrease,
        margin: Margin { value: 0.01, percent: true },
        ..MetricRow::default()
    };
    vec![task, error]
}

/// What is assigned as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitSource {
    /// Requests with the same value of this header.
    Header(String),
    /// Requests with the same `user` in their body.
    User,
    /// Requests that begin with the same messages, up to the first of the user.
    Conversation,
    /// Each request alone.
    Request,
}

const WORDS: [(&str, UnitSource); 3] =
    [("user", UnitSource::User), ("conversation", UnitSource::Conversation), ("request", UnitSource::Request)];

impl Serialize for UnitSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Header(header) => UnitHeader { header: header.clone() }.serialize(serializer),
            word => serializer.serialize_str(WORDS.iter().find(|(_, w)| w == word).map_or("", |(name, _)| name)),
        }
    }
}

impl<'de> Deserialize<'de> for UnitSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Value::deserialize(deserializer)?;
        if let Some(text) = written.as_str() {
            let known = WORDS.into_iter().find(|(name, _)| *name == text).map(|(_, word)| word);
            return known.ok_or_else(|| de::Error::custom(format!("{text:?} is not user, conversation or request")));
        }
        UnitHeader::deserialize(written).map(|unit| Self::Header(unit.header)).map_err(de::Error::custom)
    }
}

impl JsonSchema for UnitSource {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "UnitSource".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let header = UnitHeader::json_schema(generator);
        json_schema!({"anyOf": [{"type": "string", "enum": ["user", "conversation", "request"]}, header]})
    }
}
