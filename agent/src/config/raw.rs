//! The configuration as written. Field docs are the manual: `docs/config.md` and the JSON Schema are printed from them.
//!
//! `Default` is the only home of defaults.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::drift::Drift;
use super::units::{ByteSize, Span};

/// Declares a section: serde with unknown keys refused, JSON Schema, and the defaults beside the fields.
macro_rules! section {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}
pub(super) use section;

mod alerts;
mod api;
pub mod deploy;
pub mod experiments;
pub mod finetune;
mod shadow;
mod text;

pub use alerts::{Alerts, Language, Receiver, Room, SignedRoom};
pub use api::{AdminToken, Api};
pub use finetune::Mode;
pub use shadow::{Numbers, Shadow};
pub use text::{MaskKind, Masking, Records, StoreText, Text};

section! {
    /// Everything `plimsoll run` can be told. Every key is optional.
    Raw {
        /// Who this pod is.
        identity: Identity = Identity::default(),
        /// Our own ports.
        listen: Listen = Listen::default(),
        /// Where figures come from.
        sources: Sources = Sources::default(),
        /// What is read of prompts and answers.
        text: Text = Text::default(),
        /// What is kept on disk.
        records: Records = Records::default(),
        /// What is hidden in texts before anything keeps or shows them.
        masking: Masking = Masking::default(),
        /// Task completion and user satisfaction.
        business: Business = Business::default(),
        /// Whether what comes in and goes out is still what it was.
        drift: Drift = Drift::default(),
        /// A small model that reads a sample of the traffic.
        shadow: Shadow = Shadow::default(),
        /// A/B tests on live traffic: at most 8, and a request takes part in the first that it matches (docs/experiments.md).
        experiments: Vec<experiments::Experiment> = Vec::new(),
        /// Falling quality begins a training, a gate and an experiment decide about what comes of it.
        finetune: finetune::Finetune = finetune::Finetune::default(),
        /// What is judged.
        rules: Rules = Rules::default(),
        /// Who is told.
        alerts: Alerts = Alerts::default(),
        /// Who may use the API.
        api: Api = Api::default(),
        /// How many pods the traffic takes.
        capacity: Capacity = Capacity::default(),
        /// Bounds on our own use of the pod.
        limits: Limits = Limits::default(),
        /// Our own log, on standard error.
        log: Log = Log::default(),
        /// How long a SIGTERM may take: streams finish, queues flush. Keep it below the pod's grace period.
        shutdown_grace: Span = Span::secs(25),
    }
}

section! {
    /// Who this pod is: labels of every alert.
    Identity {
        /// The service, as label `service`; left out when empty.
        service: String = String::new(),
        /// This pod's name, as label `pod`; the host name when empty.
        pod: String = String::new(),
        /// The variant served here (for example `control` or `canary`), as label `variant`.
        variant: String = String::new(),
    }
}

section! {
    /// Our own ports.
    Listen {
        /// Open port: /metrics, /livez, /readyz, /startupz. No secret is shown here.
        #[schemars(extend("format" = "address"))]
        metrics: String = "0.0.0.0:9464".into(),
        /// API: feedback in, status out. Anything but a loopback address needs `api` tokens.
        #[schemars(extend("format" = "address"))]
        api: String = "127.0.0.1:9465".into(),
    }
}

section! {
    /// Where figures come from.
    Sources {
        /// CPU, memory, pressure, network, disk.
        system: System = System::default(),
        /// NVIDIA GPUs through NVML.
        gpu: Gpu = Gpu::default(),
        /// The engine's own Prometheus metrics.
        engine: Engine = Engine::default(),
        /// The transparent proxy in front of the engine.
        tap: Tap = Tap::default(),
    }
}

section! {
    /// CPU, memory, pressure, network, disk.
    System {
        /// Whether to read them.
        enabled: bool = true,
        /// How often.
        interval: Span = Span::secs(5),
        /// `auto`, or the path of a cgroup folder: see docs/collect.md for what a sidecar can see.
        cgroup: String = "auto".into(),
    }
}

section! {
    /// NVIDIA GPUs through NVML.
    Gpu {
        /// Whether to look for a driver. Without one there is one line in the log and no series.
        enabled: bool = true,
        /// How often.
        interval: Span = Span::secs(5),
        /// Path of `libnvidia-ml.so.1` when it is not where the loader looks.
        library: Option<String> = None,
    }
}

/// Which inference engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum EngineKind {
    /// Recognise it by its metric names.
    Auto,
    /// vLLM v1.
    Vllm,
    /// SGLang.
    Sglang,
    /// Hugging Face text-generation-inference.
    Tgi,
    /// llama.cpp's server, started with `--metrics`.
    Llamacpp,
    /// NVIDIA Triton, TensorRT-LLM included.
    Triton,
}

section! {
    /// The engine's own Prometheus metrics.
    Engine {
        /// Whether to scrape.
        enabled: bool = true,
        /// Which engine; `auto` recognises it by its metric names.
        kind: EngineKind = EngineKind::Auto,
        /// Where its metrics are; `/metrics` of the tap's upstream when absent.
        #[schemars(extend("format" = "url"))]
        url: Option<String> = None,
        /// How often.
        interval: Span = Span::secs(5),
        /// Give up on one scrape after this long.
        timeout: Span = Span::secs(4),
        /// Largest exposition read.
        max_size: ByteSize = ByteSize(16 << 20),
    }
}

section! {
    /// The transparent proxy in front of the engine.
    Tap {
        /// Whether to proxy.
        enabled: bool = true,
        /// Where clients connect.
        #[schemars(extend("format" = "address"))]
        listen: String = "0.0.0.0:8080".into(),
        /// The inference server.
        #[schemars(extend("format" = "url"))]
        upstream: String = "http://127.0.0.1:8000".into(),
        /// Give up connecting to the upstream after this long (the client gets 502).
        connect_timeout: Span = Span::secs(5),
        /// Give up waiting for the head of the answer after this long (504). Long prompts take minutes.
        response_timeout: Span = Span::secs(600),
        /// Close a stream after this long without a byte from the upstream.
        idle_timeout: Span = Span::secs(600),
        /// Ask the engine for the token usage of streams whose client did not ask, and hide the extra event from the client.
        /// Makes output tokens exact instead of estimated. Every request then passes through hyper, which costs more CPU, and
        /// the client can notice: what an engine puts beside the usage (`timings` of llama.cpp) is hidden with it, and some
        /// engines add `"usage": null` to the other events.
        inject_usage: bool = false,
    }
}

section! {
    /// Task completion and user satisfaction.
    Business {
        /// Window of the ratios.
        window: Span = Span::secs(300),
    }
}

section! {
    /// What is judged: rule files in Prometheus' own format.
    Rules {
        /// Rule files; `*` and `?` are allowed in the last part of the path. Relative to the configuration file.
        files: Vec<String> = Vec::new(),
        /// Whether the built-in rules (`plimsoll rules` prints them) are loaded too.
        builtin: bool = true,
        /// Interval of groups that name none.
        evaluation_interval: Span = Span::secs(15),
    }
}

section! {
    /// How many pods the traffic takes: `reserve * peak / capacity`, as `plimsoll_recommended_replicas` and at
    /// `GET /api/v1/scaling` (docs/api.md).
    Capacity {
        /// Pods for so many times the peak.
        #[schemars(range(min = 1.0, max = 100.0))]
        reserve: f64 = 1.5,
        /// The peak is that of the last so long, 1m to 90d.
        window: Span = Span::secs(7 * 86_400),
        /// Requests per second that a pod can; measured while requests wait in the engine's queue all the time, when absent.
        requests_per_second: Option<f64> = None,
    }
}

section! {
    /// Bounds on our own use of the pod.
    Limits {
        /// Most series in memory and on /metrics.
        #[schemars(range(min = 100, max = 10_000_000))]
        series: u64 = 10_000,
        /// How far back the rules can look.
        history: Span = Span::secs(2 * 3600),
        /// Longest that a query over the API may take; it is refused then (503).
        query_time: Span = Span::secs(10),
        /// Most samples that a query over the API may read.
        #[schemars(range(min = 1000))]
        query_samples: u64 = 20_000_000,
        /// Most disk the records may take.
        disk: ByteSize = ByteSize(2 << 30),
        /// Where state and records live; `/var/lib/plimsoll`, else `~/.local/state/plimsoll`, when absent.
        data: Option<String> = None,
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// And what looks wrong.
    Warn,
    /// And what happened.
    Info,
    /// And why.
    Debug,
}

section! {
    /// Our own log, on standard error. It never contains prompts, answers or tokens, not even masked ones.
    Log {
        /// How lines look.
        format: LogFormat = LogFormat::Text,
        /// How much.
        level: LogLevel = LogLevel::Info,
    }
}
