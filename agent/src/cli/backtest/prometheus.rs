//! Data from a Prometheus: the samples of every series that the rules name, window after window, so that memory holds
//! one window only; or the answer to one `query_range`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use plimsoll_rules::{Labels, METRIC_NAME, Timestamp};
use serde::Deserialize;

use super::Args;
use super::replay::{Replay, Tape};
use super::ticks::{clock, moment};

/// Span fetched at once, without a step.
const WINDOW: Duration = Duration::from_secs(3600);
/// Steps fetched at once; Prometheus gives at most 11 000.
const STEPS: u32 = 2000;
/// Most that is looked back on before the start.
const WARM_UP_MOST: Duration = Duration::from_secs(30 * 86_400);

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Debug, Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: serde_json::Value,
}

#[derive(Debug, Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// What is fetched.
struct Plan {
    client: reqwest::Client,
    base: String,
    token: Option<String>,
    metric: Option<String>,
    queries: Vec<String>,
    step: Option<Duration>,
}

/// Fetches and plays everything from `--start` to `--end`.
pub(super) async fn feed(args: &Args, replay: &mut Replay) -> anyhow::Result<()> {
    let url = reqwest::Url::parse(&args.data).with_context(|| format!("--data {}", args.data))?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(120)).build()?;
    let token = match &args.token_file {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("token file {}", file.display()))?;
            Some(text.trim().to_owned())
        }
        None => None,
    };
    let said = |name: &str| url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    let time = |name: &str| match said(name) {
        None => Ok(None),
        Some(text) => moment(&text).map(Some).with_context(|| format!("{name}={text} in the URL is no time")),
    };
    let mut base = url.clone();
    base.set_query(None);
    let base = base.as_str().trim_end_matches('/').to_owned();
    let end = args.end.or(time("end")?).unwrap_or_else(crate::clock::wall);
    let Some(start) = args.start.or(time("start")?) else { bail!("say from when on: --start 7d, or a time") };
    if end <= start {
        bail!("--end must lie after --start");
    }
    if let Some(root) = base.strip_suffix("/api/v1/query_range") {
        let query = said("query").context("the query_range URL has no query=")?;
        let step = match (args.step, said("step")) {
            (Some(step), _) => step,
            (None, Some(text)) => step_of(&text).with_context(|| format!("step={text} in the URL is no duration"))?,
            (None, None) => bail!("say how fine: --step 15s, or step= in the URL"),
        };
        let (base, metric) = (root.to_owned(), args.metric.clone());
        let plan = Plan { client, base, token, metric, queries: vec![query], step: Some(step) };
        return plan.play(start, end, replay).await;
    }
    let queries = replay.wanted();
    if queries.is_empty() {
        bail!("the rules name no series, so there is nothing to fetch");
    }
    let plan = Plan { client, base, token, metric: args.metric.clone(), queries, step: args.step };
    plan.play(start - replay.warm_up().min(WARM_UP_MOST), end, replay).await
}

fn step_of(text: &str) -> Option<Duration> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.or_else(|| plimsoll_rules::promql::parse_duration(text).ok()).filter(|step| !step.is_zero())
}

impl Plan {
    /// Fetches `(from, until]` window after window.
    async fn play(&self, from: Timestamp, until: Timestamp, replay: &mut Replay) -> anyhow::Result<()> {
        let window = self.step.map_or(WINDOW, |step| step * STEPS);
        let all = until.since(from).as_secs_f64();
        let mut at = from;
        while at < until {
            let next = (at + window).min(until);
            let mut tape = Tape::new();
            for query in &self.queries {
                self.fetch(query, at, next, &mut tape).await?;
            }
            let share = |moment: Timestamp| moment.since(from).as_secs_f64() / all;
            tape.play(replay, share(at), share(next));
            at = next;
        }
        Ok(())
    }

    /// Puts what `query` gives in `(after, until]` on the tape.
    async fn fetch(&self, query: &str, after: Timestamp, until: Timestamp, tape: &mut Tape) -> anyhow::Result<()> {
        let (path, form) = match self.step {
            Some(step) => {
                let start = after + step.min(until.since(after));
                let mut form = vec![("query", query.to_owned()), ("start", start.to_string())];
                form.extend([("end", until.to_string()), ("step", step.as_secs_f64().to_string())]);
                ("query_range", form)
            }
            None => {
                let range = until.since(after).as_millis();
                ("query", vec![("query", format!("{query}[{range}ms]")), ("time", until.to_string())])
            }
        };
        for series in self.ask(path, &form).await? {
            let mut labels: BTreeMap<String, String> = series.metric;
            if let (Some(name), None) = (&self.metric, labels.get(METRIC_NAME)) {
                labels.insert(METRIC_NAME.to_owned(), name.clone());
            }
            if !labels.contains_key(METRIC_NAME) {
                bail!("{query} gives series without a name; name them with --metric NAME");
            }
            let labels = Labels::from(labels);
            for (seconds, text) in &series.values {
                let at = Timestamp::from_secs_f64(*seconds);
                let value = text.parse().with_context(|| format!("{query}: {text:?} is no number"))?;
                // a range of Prometheus 2 has both its ends, and selectors may mean the same series
                if at > after {
                    let _ = tape.push(&labels, at, value);
                }
            }
        }
        Ok(())
    }

    async fn ask(&self, path: &str, form: &[(&str, String)]) -> anyhow::Result<Vec<Series>> {
        let url = format!("{}/api/v1/{path}", self.base);
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let mut request = self.client.post(&url).body(body.finish());
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.with_context(|| format!("no Prometheus answers at {}", self.base))?;
        let (status, text) = (response.status(), response.text().await?);
        let answer: Answer = serde_json::from_str(&text).with_context(|| {
            let begin: String = text.chars().take(200).collect();
            format!("{url} answered {status} and no JSON of Prometheus: {begin}")
        })?;
        let Some(Data { kind, result }) = answer.data.filter(|_| status.is_success()) else {
            bail!("{url} answered {status}: {}", answer.error);
        };
        if kind != "matrix" {
            let at = form.iter().find(|(name, _)| *name == "time").and_then(|(_, text)| moment(text)).map(clock);
            bail!("{url} gave a {kind} instead of series ({})", at.unwrap_or_default());
        }
        serde_json::from_value(result).with_context(|| format!("{url} gave series that cannot be read"))
    }
}
