//! `finetune:` of the configuration: when the served model is taught anew, how, and what becomes of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::deploy::Deploy;
use super::experiments::Experiment;
use crate::config::units::{Share, Span};

/// How far the loop goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Mode {
    /// Nothing is trained; versions can still be promoted and rolled back by hand.
    Off,
    /// A run is proposed; somebody approves it before it begins.
    Propose,
    /// Runs begin by themselves.
    Auto,
}

/// Who trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum TrainerKind {
    /// `plimsoll finetune`, a child of the agent.
    Builtin,
    /// A program of yours.
    Command,
    /// Somebody who hears a signed post.
    Webhook,
    /// A Kubernetes Job, written from a template of yours.
    Job,
}

section! {
    /// The loop (docs/versions.md): quality falls, a dataset is made of the records, an adapter is trained, a gate lets it
    /// through or not, an experiment promotes it or rolls it back. Without `model` there is none.
    Finetune {
        /// How far it goes by itself.
        mode: Mode = Mode::Off,
        /// Folder of the served base model in Hugging Face's form.
        model: Option<String> = None,
        /// How often the trigger looks, and the engine is asked whether it still has the version that serves.
        interval: Span = Span::secs(10),
        /// When a run begins.
        trigger: Trigger = Trigger::default(),
        /// How many runs there may be, and how long one may train.
        budget: Budget = Budget::default(),
        /// What is learnt from.
        dataset: Dataset = Dataset::default(),
        /// Who trains.
        trainer: Trainer = Trainer::default(),
        /// What a trained version has to show before users see it.
        gate: Gate = Gate::default(),
        /// The engine that it is loaded into.
        deploy: Deploy = Deploy::default(),
        /// Before the experiment, copies of requests go to it; nobody sees its answers.
        mirror: Mirror = Mirror::default(),
        /// The experiment that it takes part in, as one of `experiments`, without `id`, `control` and `treatment`.
        experiment: Experiment = Experiment::default(),
        /// How many versions are kept, with their datasets; one that serves, is tried or is pinned always is.
        #[schemars(range(min = 1, max = 1000))]
        keep: u64 = 12,
    }
}

section! {
    /// Copies of requests to a version before users see it: errors and latencies that are shown to be worse send it back.
    Mirror {
        /// Units that are taken in before the experiment begins, of both halves; 0 begins it at once.
        units: u64 = 200,
        /// Share of the units whose requests are copied.
        share: Share = Share(0.2),
    }
}

section! {
    /// When a run begins.
    Trigger {
        /// Alerts that say that quality fell: a name, or a name with matchers as in PromQL, `NAME{label="value"}`. A rule has to
        /// have each name that is written here.
        alerts: Vec<String> = vec!["PlimsollTaskCompletionFell".into()],
        /// Alerts that explain it without the model: while one fires nothing begins.
        explained_by: Vec<String> = vec![
            "PlimsollExperimentOnHold".into(),
            "PlimsollCollectorDown".into(),
            "PlimsollDrift{signal=~\"error_kind|latency|time_to_first_token|tokens_per_second\"}".into(),
        ],
        /// An alert whose value is at least this is enough at once, in nats of evidence, above 0: 9.21 is one false alarm in
        /// 10 000 tasks.
        at_once: f64 = 9.21,
        /// A weaker one has to fire on so many of the last three days (UTC).
        #[schemars(range(min = 1, max = 3))]
        days: u64 = 2,
        /// After the engine's list of models has changed nothing begins for this long: a release explains a fall.
        release: Span = Span::secs(3600),
        /// Least new examples, after curation.
        #[schemars(range(min = 1))]
        examples: u64 = 2000,
        /// Of those, least corrected failures; at most `examples`.
        failures: u64 = 200,
        /// Least time between two runs.
        cooldown: Span = Span::secs(24 * 3600),
    }
}

section! {
    /// How many runs there may be, and how long one may train.
    Budget {
        /// Runs within `period`.
        #[schemars(range(min = 1, max = 1000))]
        runs: u64 = 4,
        /// The period.
        period: Span = Span::secs(30 * 24 * 3600),
        /// The longest that a training may take; it is ended then, and the run has failed.
        time: Span = Span::secs(6 * 3600),
    }
}

section! {
    /// What is learnt from (docs/dataset.md).
    Dataset {
        /// Examples that began within this long before the fall are new too: a fall is noticed after it began.
        before: Span = Span::secs(3600),
        /// Share of new examples that is held out for the gate, the newest ones.
        holdout: Share = Share(0.2),
        /// A file of anchors, answers that must stay right; drawn from old good answers once and frozen when absent.
        anchors: Option<String> = None,
        /// How many anchors are drawn.
        #[schemars(range(min = 20, max = 100_000))]
        draw: u64 = 200,
        /// Share of old examples in training.
        replay: Share = Share(0.2),
    }
}

section! {
    /// Who trains. Others than the builtin one find the dataset in a folder and leave an adapter in PEFT's format.
    Trainer {
        /// Who.
        kind: TrainerKind = TrainerKind::Builtin,
        /// Of `builtin`: more arguments of `plimsoll finetune`, but for those that the loop gives itself, such as `["--rank", "8", "--epochs", "3"]`.
        options: Vec<String> = Vec::new(),
        /// Of `command`: program and arguments. PLIMSOLL_RUN, PLIMSOLL_DATASET, PLIMSOLL_MODEL, PLIMSOLL_FROM and PLIMSOLL_OUT
        /// say what to train from what into which folder. Of `job`: what the manifest is given to, such as
        /// `["kubectl", "apply", "-f"]`; only written when absent.
        command: Vec<String> = Vec::new(),
        /// Of `webhook`: where the run is posted to. It says that it is done by POST /api/v1/finetunes/RUN/trained.
        #[schemars(extend("format" = "url"))]
        url: Option<String> = None,
        /// Of `webhook`: the secret of its signature (Standard Webhooks), `${NAME}` or `file:/path`.
        secret: Option<String> = None,
        /// Of `job`: the template of the manifest; `$(PLIMSOLL_RUN)` and the like in it are replaced.
        template: Option<String> = None,
    }
}

section! {
    /// What a trained version has to show before users see it (docs/versions.md).
    Gate {
        /// Chance that a version that is no better on failures passes, over all attempts since the last promotion.
        #[schemars(range(min = 0.0001, max = 0.5))]
        alpha: f64 = 0.05,
        /// Least held-out failures that the two versions know differently well.
        pairs: u64 = 20,
        /// How much smaller the share of right tokens on anchors may be.
        anchor_margin: Share = Share(0.01),
        /// How much larger the loss on anchors may be.
        anchor_loss: Share = Share(0.01),
        /// A file of questions with wanted and rejected answers (`plimsoll gate --help`).
        safety: Option<String> = None,
    }
}
