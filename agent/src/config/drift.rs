//! `drift:` of the configuration: how many false alarms are borne, what is learned from, which signals are watched.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::checked::Check;
use super::raw::section;
use super::units::{AlarmBudget, Span};
use crate::drift::{Kind, Signal};

section! {
    /// Whether what comes in and goes out is still what it was (docs/drift-signals.md).
    Drift {
        /// Whether to watch for drift.
        enabled: bool = true,
        /// How many false alarms you are willing to bear, over all signals of this pod together.
        false_alarms: AlarmBudget = AlarmBudget { count: 1.0, per: Span::secs(30 * 86_400) },
        /// What is usual.
        reference: Reference = Reference::default(),
        /// A change this small is of no interest, in standard deviations of the signal's normal scores (0 to 1). The default is
        /// a population stability index of 0.06; as a change of a share it stands for 3 percentage points.
        #[schemars(range(min = 0.0, max = 1.0))]
        minimum_effect: f64 = 0.25,
        /// An alarm stands until its signal has been calm for this long, or until what it shows is accepted as the new normal.
        cool_down: Span = Span::secs(600),
        /// Whether numbers are compared by hour of the week. `auto`: once three weeks have been seen, at least 50 values in each
        /// hour of each, in at least half of the hours; a new version of the baseline says so. `off`: never.
        hour_of_week: HourOfWeek = HourOfWeek::Auto,
        /// Pairs of model and variant that are watched, first come, first served.
        #[schemars(range(min = 1, max = 256))]
        models: u64 = 8,
        /// What is watched: each signal of each model and variant. `off` turns one off; a mapping tunes it, with
        /// `minimum_effect` and `reference` (observations learned from) in place of those above.
        signals: Signals = Signals::default(),
    }
}

/// Whether numbers are compared by hour of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum HourOfWeek {
    /// Once enough weeks have been seen.
    #[default]
    Auto,
    /// Never.
    Off,
}

section! {
    /// What is usual: the first observations of each signal, unless you accept others later.
    Reference {
        /// So many of the first observations of a signal.
        #[schemars(range(min = 128, max = 100_000))]
        observations: u64 = 5000,
        /// So many of the first texts, for `embedding` and `shadow_embedding`. What few texts have in common is learned too well: false alarms.
        #[schemars(range(min = 500, max = 4096))]
        texts: u64 = 1000,
    }
}

section! {
    /// What is watched.
    Signals {
        /// Prompt tokens of answered requests.
        input_tokens: Setting = Setting::default(),
        /// Generated tokens of answered requests.
        output_tokens: Setting = Setting::default(),
        /// Seconds to the first content of a streamed answer.
        time_to_first_token: Setting = Setting::default(),
        /// Seconds from the request to the last byte of its answer.
        latency: Setting = Setting::default(),
        /// Generated tokens a second, after the first one where its time is known.
        tokens_per_second: Setting = Setting::default(),
        /// Why answers end: stop, length, tool_calls, ...
        finish_reason: Setting = Setting::default(),
        /// How requests end: ok, client_error, timeout, ...
        error_kind: Setting = Setting::default(),
        /// Language of prompts.
        language: Setting = Setting::default(),
        /// Characters of prompts.
        prompt_length: Setting = Setting::default(),
        /// Characters of answers.
        response_length: Setting = Setting::default(),
        /// Whether answers refuse.
        refusal: Setting = Setting::default(),
        /// What prompts are about.
        embedding: Setting = Setting::default(),
        /// What prompts are about, by the shadow model (`shadow.model`).
        shadow_embedding: Setting = Setting::default(),
        /// How surprising prompts are to the shadow language model (`shadow.scorer`), in nats per token.
        prompt_nll: Setting = Setting::default(),
        /// How surprising answers are to it after their prompts, in nats per token.
        response_nll: Setting = Setting::default(),
        /// Whether tasks are completed, by feedback: the mean must not fall below `floor`, 0.9.
        task_completion: Setting = Setting::default(),
        /// How content users are, by feedback: the mean must not fall below `floor`, 0.9.
        user_satisfaction: Setting = Setting::default(),
    }
}

section! {
    /// What is different for one signal.
    Tuning {
        /// As `drift.minimum_effect`, for this signal.
        #[schemars(range(min = 0.0, max = 1.0))]
        minimum_effect: Option<f64> = None,
        /// As `drift.reference`, for this signal.
        #[schemars(range(min = 128, max = 100_000))]
        reference: Option<u64> = None,
        /// The least acceptable mean of task_completion or user_satisfaction, which learn nothing.
        #[schemars(range(min = 0.01, max = 0.99))]
        floor: Option<f64> = None,
    }
}

/// Refuses what says nothing of a signal: a floor of what is learned, a reference of what is not.
pub(super) fn check(c: &mut Check<'_>, drift: &Drift) {
    for signal in Signal::ALL {
        let Setting::On(tuning) = signal.setting(&drift.signals) else { continue };
        let key = |name: &str| format!("drift.signals.{}.{name}", signal.name());
        match signal.kind() {
            Kind::Ratio if tuning.reference.is_some() => {
                c.refuse(&key("reference"), "nothing is learned of this signal; set its floor");
            }
            Kind::Ratio if tuning.minimum_effect.is_some() => {
                c.refuse(&key("minimum_effect"), "this signal has a floor instead; set that");
            }
            Kind::Number | Kind::Category | Kind::Text if tuning.floor.is_some() => {
                c.refuse(&key("floor"), "only task_completion and user_satisfaction have a floor");
            }
            _ => {}
        }
    }
}

/// Whether and how a signal is watched: `off`, `on`, or a mapping.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// It is not.
    Off,
    /// It is, tuned so.
    On(Tuning),
}

impl Default for Setting {
    fn default() -> Self {
        Self::On(Tuning::default())
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::On(tuning) if *tuning == Tuning::default() => serializer.serialize_str("on"),
            Self::On(tuning) => tuning.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Value::deserialize(deserializer)?;
        match written.as_str() {
            Some("off") => Ok(Self::Off),
            Some("on") => Ok(Self::default()),
            _ => Tuning::deserialize(written).map(Self::On).map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for Setting {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Setting".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let tuning = Tuning::json_schema(generator);
        json_schema!({"anyOf": [{"type": "string", "enum": ["off", "on"]}, tuning]})
    }
}
