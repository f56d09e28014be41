//! The director: puts everything on stage, plays the acts, and clears up.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use plimsoll_exporters::Metric;
use serde_json::Value;
use tokio::sync::watch::Sender;

use super::agent_child::{AgentChild, Setup, Taken};
use super::board::SharedBoard;
use super::engine::Engine;
use super::load::{BUSY, Load};
use super::report::{self, Cost, Facts, Report, Setting};
use super::scene::{Act, Conditions, FAST_MOTION, Planted};
use super::traffic::{self, Aim, Tally};
use super::view::{Screen, Show};
use super::{board, scrape, svg, table, watch};
use crate::shutdown::Shutdown;

/// The model that the stand-in serves.
const MODEL: &str = "stand-in-7b";
/// Requests a second: 200 in a 10-second window, and little work for two cores.
const RATE: f64 = 20.0;
/// The same against a real engine, which does real work.
const REAL_RATE: f64 = 4.0;
/// Prompts for a real engine are a twentieth of the trace's: about 100 words, 300 in the act of longer prompts.
const REAL_PROMPT_SCALE: f64 = 0.05;
/// Other resources that may be above the rules' threshold without our doing.
const RESOURCES: [(&str, &str, Metric); 3] = [
    ("PlimsollMemoryHigh", "memory use", Metric::MemoryUtilization),
    ("PlimsollGpuHigh", "GPU use", Metric::GpuUtilization),
    ("PlimsollGpuMemoryHigh", "GPU memory use", Metric::GpuMemoryUtilization),
];
/// How long the machine is looked at before anything is played, while it is quiet and while it is not.
const BEFORE: Duration = Duration::from_secs(4);
const BEFORE_MOST: Duration = Duration::from_secs(30);
/// Seconds of quiet that end the recovery: time for receivers to hear that everything is over.
const QUIET: f64 = 3.0;
/// How often the director looks round.
const STEP: Duration = Duration::from_millis(200);

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A real engine instead of the stand-in: its base URL.
    pub upstream: Option<String>,
    /// The model to ask it for; its first one when absent.
    pub model: Option<String>,
    /// Alertmanagers that the agent is to tell.
    pub alertmanagers: Vec<String>,
    /// Requests a second.
    pub rate: Option<f64>,
    /// Prompt lengths are the trace's times this.
    pub prompt_scale: Option<f64>,
    /// Acts and rules last this many times as long (for tests); 1 for real.
    pub duration_scale: f64,
    /// Where to write the picture.
    pub svg: Option<std::path::PathBuf>,
}

/// The scene is over.
#[derive(Clone, Debug)]
pub struct Ended(Report);

impl Ended {
    /// Whether everything planted was found and resolved and nothing was false.
    pub fn passed(&self) -> bool {
        self.0.passed
    }

    /// The table for people.
    pub fn text(&self) -> String {
        table::text(&self.0)
    }

    /// The table for programs: one JSON object.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(&self.0)
    }
}

/// Serves the stand-in engine alone until shutdown; `announce` is told its address.
///
/// # Errors
/// The port cannot be had.
pub async fn engine_only(
    port: u16,
    shutdown: &Shutdown,
    announce: impl FnOnce(std::net::SocketAddr),
) -> anyhow::Result<()> {
    let address = Engine::new(MODEL).serve(port, shutdown).await?;
    announce(address);
    shutdown.begun().await;
    Ok(())
}

/// Plays the scene to its end, or until shutdown begins; begins shutdown itself at the end.
///
/// # Errors
/// No port, no agent, no engine, or the picture cannot be written.
pub async fn play(options: Options, shutdown: Shutdown) -> anyhow::Result<Ended> {
    let client = traffic::loopback_client()?;
    let upstream = match &options.upstream {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", Engine::new(MODEL).serve(0, &shutdown).await?),
    };
    let setup = Setup {
        scrape_engine: has_metrics(&upstream).await,
        upstream,
        alertmanagers: options.alertmanagers.clone(),
        motion: FAST_MOTION * options.duration_scale,
    };
    let agent = AgentChild::start(&setup, &client).await?;
    let aim = aim(&options, &agent, &client).await?;
    let mut stage = Stage::set(options, agent, aim, client, shutdown.clone());
    let played = stage.perform().await;
    stage.screen = None;
    let Stage { agent, board, facts, options, .. } = stage;
    shutdown.begin();
    agent.stop().await;
    played?;
    let board = board.lock().clone();
    let report = report::judge(&board, facts);
    if let Some(path) = &options.svg {
        std::fs::write(path, svg::picture(&board, &report))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Ended(report))
}

/// Whether `upstream` shows Prometheus metrics (llama.cpp does so only when told to).
async fn has_metrics(upstream: &str) -> bool {
    let Ok(client) = reqwest::Client::builder().timeout(Duration::from_secs(5)).build() else { return false };
    client.get(format!("{upstream}/metrics")).send().await.is_ok_and(|answer| answer.status().is_success())
}

async fn aim(options: &Options, agent: &AgentChild, client: &reqwest::Client) -> anyhow::Result<Aim> {
    let real = options.upstream.is_some();
    let model = match (&options.model, real) {
        (Some(model), _) => model.clone(),
        (None, false) => MODEL.to_owned(),
        (None, true) => first_model(&agent.tap, client).await?,
    };
    Ok(Aim {
        tap: agent.tap.clone(),
        api: agent.api.clone(),
        model,
        rate: options.rate.unwrap_or(if real { REAL_RATE } else { RATE }),
        prompt_scale: options.prompt_scale.unwrap_or(if real { REAL_PROMPT_SCALE } else { 1.0 }),
        limit_answers: real,
    })
}

async fn first_model(tap: &str, client: &reqwest::Client) -> anyhow::Result<String> {
    let ask = async {
        let answer = client.get(format!("{tap}/v1/models")).send().await?.error_for_status()?;
        anyhow::Ok(answer.json::<Value>().await?)
    };
    let models = ask.await.context("the engine does not list its models at /v1/models; name one with --model")?;
    let model = models["data"][0]["id"].as_str().context("the engine lists no model; name one with --model")?;
    Ok(model.to_owned())
}

/// Everything that is on stage.
struct Stage {
    options: Options,
    agent: AgentChild,
    aim: Aim,
    client: reqwest::Client,
    conditions: Sender<Conditions>,
    tally: Arc<Tally>,
    board: SharedBoard,
    screen: Option<Screen>,
    facts: Facts,
    shutdown: Shutdown,
}

impl Stage {
    fn set(options: Options, agent: AgentChild, aim: Aim, client: reqwest::Client, shutdown: Shutdown) -> Self {
        let board = SharedBoard::default();
        let window = 300.0 * FAST_MOTION * options.duration_scale;
        watch::start(client.clone(), agent.metrics.clone(), agent.api.clone(), window, board.clone(), &shutdown);
        let setting = Setting {
            engine: options.upstream.clone().unwrap_or_else(|| "stand-in".to_owned()),
            model: aim.model.clone(),
            request_rate: aim.rate,
            window_seconds: window,
        };
        let show = Show { duration_scale: options.duration_scale, engine: setting.engine.clone() };
        let screen = Screen::start(board.clone(), show, shutdown.clone());
        Self {
            options,
            agent,
            aim,
            client,
            conditions: Sender::new(Act::Calm.conditions()),
            tally: Arc::default(),
            board,
            screen: Some(screen),
            facts: Facts { setting, ..Facts::default() },
            shutdown,
        }
    }

    /// Plays all acts; `facts` then say what they cost.
    async fn perform(&mut self) -> anyhow::Result<()> {
        self.look_before().await?;
        let began = Instant::now();
        let conditions = self.conditions.subscribe();
        traffic::start(self.aim.clone(), self.client.clone(), conditions, self.tally.clone(), &self.shutdown);
        for act in Act::ALL {
            self.act(act).await?;
            if self.shutdown.has_begun() {
                break;
            }
        }
        self.board.lock().leave(board::now());
        self.facts.interrupted = self.shutdown.has_begun();
        let taken = self.agent.taken().unwrap_or_default();
        self.facts.cost = self.cost().with_process(taken, began.elapsed().as_secs_f64());
        Ok(())
    }

    /// Looks at the machine before anything is played, so that what it does by itself is not taken for ours. A moment
    /// of load (a build that has just ended, the agent's own start) gets time to pass.
    async fn look_before(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut median = None;
        while began.elapsed() < BEFORE_MOST && !self.shutdown.has_begun() {
            self.wait(BEFORE).await?;
            median = self.board.lock().cpu_median(BEFORE);
            if median.is_none_or(|cpu| cpu <= BUSY) {
                break;
            }
        }
        if self.shutdown.has_begun() {
            return Ok(());
        }
        let page = self.board.lock().metrics.clone();
        if median.is_none() {
            self.board.note("the agent has no figure for CPU use on this machine: the CPU act cannot be judged");
        }
        self.already_true(Planted::CpuLoad.alert(), "CPU use", median);
        for (alert, what, metric) in RESOURCES {
            self.already_true(alert, what, scrape::largest(&page, metric.name(), &[]));
        }
        Ok(())
    }

    fn already_true(&mut self, alert: &'static str, what: &str, value: Option<f64>) {
        let Some(value) = value.filter(|value| *value > BUSY) else { return };
        self.facts.true_before_start.push(alert);
        let percent = value * 100.0;
        self.board
            .note(format!("{what} was at {percent:.0} % before the scene began: {alert} is true, not a false alarm"));
        if alert == Planted::CpuLoad.alert() {
            self.board.note("this machine is too busy for the CPU act to be judged; play the scene on a quieter one");
        }
    }

    async fn act(&mut self, act: Act) -> anyhow::Result<()> {
        let began = Instant::now();
        self.conditions.send_replace(act.conditions());
        let mut load = (act == Act::CpuLoad).then(|| Load::start(&self.board.lock()));
        self.board.lock().enter(act, board::now());
        let scale = |length: Duration| length.mul_f64(self.options.duration_scale);
        let (least, most) = act.length();
        let (least, most) = (scale(least), scale(most));
        while began.elapsed() < most && !self.shutdown.has_begun() {
            self.wait(STEP).await?;
            if let Some(load) = &mut load {
                load.top_up(&self.board.lock(), began.elapsed());
            }
            if began.elapsed() >= least && self.done(act) {
                break;
            }
        }
        Ok(())
    }

    /// Whether what the act waits for has come.
    fn done(&self, act: Act) -> bool {
        let board = self.board.lock();
        match act {
            Act::Calm => false,
            Act::Recovery => {
                let quiet = board.quiet_for(board::now(), &self.facts.true_before_start);
                quiet.is_none_or(|seconds| seconds > QUIET)
            }
            _ => Planted::ALL
                .iter()
                .filter(|planted| planted.act() == act)
                .all(|planted| board.incidents.iter().any(|incident| report::finds(&board, *planted, 0.0, incident))),
        }
    }

    /// Waits, but not longer than until shutdown begins; keeps the status line fresh.
    ///
    /// # Errors
    /// The agent has ended.
    async fn wait(&mut self, span: Duration) -> anyhow::Result<()> {
        tokio::select! {
            () = tokio::time::sleep(span) => {}
            () = self.shutdown.begun() => {}
        }
        let status = status(&self.cost(), self.agent.taken().unwrap_or_default());
        self.board.lock().status = status;
        self.agent.check_alive()
    }

    fn cost(&self) -> Cost {
        let page = &self.board.lock().metrics;
        let count =
            |metric: Metric, labels: &[(&str, &str)]| scrape::sum(page, metric.name(), labels).unwrap_or(0.0) as u64;
        Cost {
            requests_served: count(Metric::Requests, &[("source", "tap")]),
            dropped: count(Metric::Dropped, &[]),
            chunks: self.tally.chunks.load(Relaxed),
            feedback: self.tally.feedback.load(Relaxed),
            requests_failed: self.tally.failed.load(Relaxed) + self.tally.feedback_failed.load(Relaxed),
            requests_skipped: self.tally.skipped.load(Relaxed),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            ..Cost::default()
        }
    }
}

fn status(cost: &Cost, taken: Taken) -> String {
    format!(
        "{} requests, {} chunks, {} feedback; agent {:.2} s CPU, {:.1} MiB",
        cost.requests_served,
        cost.chunks,
        cost.feedback,
        taken.cpu_seconds,
        taken.resident_bytes as f64 / f64::from(1 << 20)
    )
}
