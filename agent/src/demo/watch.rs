//! Watches the agent from outside, as its users do: its `/metrics` for the curves, its API for the alerts.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::Context as _;
use plimsoll_exporters::Metric;
use serde_json::Value;

use super::board::{Point, SharedBoard, Showing};
use super::{board, scrape};
use crate::shutdown::Shutdown;

/// How often alerts are looked at; detection times are this exact.
const LOOK: Duration = Duration::from_millis(250);
/// Every so many looks the curves get a point.
const POINT_EVERY: u32 = 4;
/// The rules' floor: a mean within this share of its baseline has not moved.
const FLOOR: f64 = 0.10;

/// Looks until shutdown. `window` is the rules' short window in seconds; their baseline is twelve of them.
pub(crate) fn start(
    client: reqwest::Client,
    metrics: String,
    api: String,
    window: f64,
    board: SharedBoard,
    shutdown: &Shutdown,
) {
    let stop = shutdown.clone();
    shutdown.spawn("demo watcher", async move {
        let mut curves = Curves::new(window);
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        for look in 0_u32.. {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.begun() => return,
            }
            match alerts(&client, &api).await {
                Ok(showing) => board.lock().look(showing, board::now()),
                Err(error) => missed(&board, &error),
            }
            if look % POINT_EVERY == 0 {
                match page(&client, &metrics).await {
                    Ok(page) => take_point(&board, &mut curves, page),
                    Err(error) => missed(&board, &error),
                }
            }
        }
    });
}

fn missed(board: &SharedBoard, error: &anyhow::Error) {
    tracing::debug!(%error, "could not look at the agent");
    board.lock().missed_looks += 1;
}

fn take_point(board: &SharedBoard, curves: &mut Curves, page: String) {
    let point = curves.point(&page, board::now());
    let mut board = board.lock();
    board.points.push(point);
    board.metrics = page;
}

/// The alerts that the agent shows.
///
/// # Errors
/// No answer, or one that is not a list of alerts.
pub(crate) async fn alerts(client: &reqwest::Client, api: &str) -> anyhow::Result<Vec<Showing>> {
    let answer = client.get(format!("{api}/api/v1/alerts")).send().await?.error_for_status()?;
    let answer: Value = answer.json().await?;
    showing(&answer).context("/api/v1/alerts has no data.alerts")
}

/// The agent's metrics as text.
///
/// # Errors
/// No answer.
pub(crate) async fn page(client: &reqwest::Client, metrics: &str) -> anyhow::Result<String> {
    Ok(client.get(format!("{metrics}/metrics")).send().await?.error_for_status()?.text().await?)
}

fn showing(answer: &Value) -> Option<Vec<Showing>> {
    let alerts = answer["data"]["alerts"].as_array()?;
    let active = alerts.iter().filter(|alert| matches!(alert["state"].as_str(), Some("pending" | "firing")));
    Some(active.map(one_showing).collect())
}

fn one_showing(alert: &Value) -> Showing {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels: BTreeMap<String, String> = alert["labels"]
        .as_object()
        .map(|labels| labels.iter().map(|(name, value)| (name.clone(), text(value))).collect())
        .unwrap_or_default();
    Showing { labels, firing: alert["state"] == "firing", summary: text(&alert["annotations"]["summary"]) }
}

/// Turns counters into curves.
#[derive(Debug)]
pub(crate) struct Curves {
    window: f64,
    /// `(at, sum of prompt tokens, requests)` of the last window.
    recent: VecDeque<(f64, f64, f64)>,
    /// `(at, mean)` of every window so far.
    means: VecDeque<(f64, f64)>,
}

impl Curves {
    /// Nothing seen yet; `window` in seconds.
    pub(crate) fn new(window: f64) -> Self {
        Self { window, recent: VecDeque::new(), means: VecDeque::new() }
    }

    /// The next point, from the agent's page read at `now`.
    pub(crate) fn point(&mut self, page: &str, now: f64) -> Point {
        let tap = [("source", "tap")];
        let total = |suffix: &str| {
            let name = format!("{}{suffix}", Metric::InputTokens.name());
            scrape::sum(page, &name, &tap).unwrap_or(0.0)
        };
        self.recent.push_back((now, total("_sum"), total("_count")));
        while self.recent.len() > 2 && self.recent[1].0 <= now - self.window {
            self.recent.pop_front();
        }
        let (mean, rate) = self.over_window();
        let band = self.band(now);
        if let Some(mean) = mean {
            self.means.push_back((now, mean));
        }
        Point {
            at: now,
            input_mean: mean,
            input_band: band,
            completion: scrape::smallest(page, Metric::TaskCompletion.name(), &[]),
            satisfaction: scrape::smallest(page, Metric::Satisfaction.name(), &[]),
            cpu: scrape::largest(page, Metric::CpuUtilization.name(), &[]),
            request_rate: rate,
        }
    }

    /// Mean prompt tokens and requests a second over the window.
    fn over_window(&self) -> (Option<f64>, Option<f64>) {
        let (Some(first), Some(last)) = (self.recent.front(), self.recent.back()) else { return (None, None) };
        let (seconds, tokens, requests) = (last.0 - first.0, last.1 - first.1, last.2 - first.2);
        let mean = (requests > 0.0).then(|| tokens / requests);
        (mean, (seconds > 0.0).then(|| requests / seconds))
    }

    /// Baseline mean +- max(2 sigma, 10 %) of the window means of twelve windows, the newest window left out.
    fn band(&self, now: f64) -> Option<(f64, f64)> {
        let (from, to) = (now - 13.0 * self.window, now - self.window);
        let means: Vec<f64> =
            self.means.iter().filter(|(at, _)| *at > from && *at <= to).map(|(_, mean)| *mean).collect();
        if means.len() < 5 {
            return None;
        }
        let count = means.len() as f64;
        let mean = means.iter().sum::<f64>() / count;
        let sigma = (means.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
        let off = (2.0 * sigma).max(FLOOR * mean);
        Some((mean - off, mean + off))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn alerts_are_read_from_the_prometheus_api() {
        let alert = |state: &str| json!({"labels": {"alertname": "A", "severity": "page"}, "state": state});
        for (why, answer, expected) in [
            ("none", json!({"data": {"alerts": []}}), Some(vec![])),
            ("firing", json!({"data": {"alerts": [alert("firing")]}}), Some(vec![true])),
            ("pending", json!({"data": {"alerts": [alert("pending")]}}), Some(vec![false])),
            ("resolved ones are over", json!({"data": {"alerts": [alert("resolved")]}}), Some(vec![])),
            ("no list", json!({"data": {}}), None),
            ("an error", json!("oh"), None),
        ] {
            let found = showing(&answer).map(|alerts| alerts.iter().map(|alert| alert.firing).collect::<Vec<_>>());
            assert_eq!(found, expected, "{why}");
        }
    }

    #[test]
    fn curves_are_means_over_the_window() {
        let mut curves = Curves::new(10.0);
        let mut last = Point::default();
        for second in 0..60 {
            let requests = f64::from(second) * 20.0;
            let page = format!(
                "plimsoll_input_tokens_sum{{source=\"tap\"}} {}\n\
                 plimsoll_input_tokens_count{{source=\"tap\"}} {requests}\n\
                 plimsoll_input_tokens_sum{{source=\"engine\"}} 1\nplimsoll_cpu_utilization_ratio 0.5\n",
                requests * 2000.0
            );
            last = curves.point(&page, f64::from(second));
        }
        assert_eq!((last.input_mean, last.request_rate), (Some(2000.0), Some(20.0)));
        assert_eq!((last.input_band, last.cpu, last.completion), (Some((1800.0, 2200.0)), Some(0.5), None));
    }
}
