//! Everything seen so far, in one place: the director and the watcher write, the view draws, the report judges.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::scene::Act;

/// Seconds since the Unix epoch, with their fraction.
pub(crate) fn now() -> f64 {
    crate::clock::wall().secs_f64()
}

/// The four curves at one moment; `None` where the agent has no figure (yet).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Point {
    /// Seconds since the Unix epoch.
    pub(crate) at: f64,
    /// Mean prompt tokens of a request over the rules' short window.
    pub(crate) input_mean: Option<f64>,
    /// Below and above these the input length is off its mean (baseline, two sigma, at least 10 %).
    pub(crate) input_band: Option<(f64, f64)>,
    /// Task completion ratio, 0 to 1.
    pub(crate) completion: Option<f64>,
    /// User satisfaction ratio, 0 to 1.
    pub(crate) satisfaction: Option<f64>,
    /// CPU utilization, 0 to 1.
    pub(crate) cpu: Option<f64>,
    /// Requests a second that the tap saw finish.
    pub(crate) request_rate: Option<f64>,
}

/// An alert as the agent's API shows it now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Showing {
    /// Its labels, `alertname` included.
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether it fires; else it is pending.
    pub(crate) firing: bool,
    /// The rule's one-line summary, if it has one.
    pub(crate) summary: String,
}

/// An alert that fired, and when it was over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Incident {
    /// Its labels, `alertname` included.
    pub(crate) labels: BTreeMap<String, String>,
    /// When it was first seen firing, in seconds since the Unix epoch.
    pub(crate) fired_at: f64,
    /// When it was first seen to be over.
    pub(crate) resolved_at: Option<f64>,
}

impl Incident {
    /// The rule's name.
    pub(crate) fn alert(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }

    /// Whether it asks for a person; a watchdog (severity `none`) does not.
    pub(crate) fn matters(&self) -> bool {
        self.labels.get("severity").is_none_or(|severity| severity != "none") && self.alert() != "Watchdog"
    }
}

/// When an act was played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ActSpan {
    /// Which.
    pub(crate) act: Act,
    /// Its begin, in seconds since the Unix epoch.
    pub(crate) started_at: f64,
    /// Its end; `None` while it is on.
    pub(crate) ended_at: Option<f64>,
}

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    /// Acts so far.
    pub(crate) acts: Vec<ActSpan>,
    /// Curves so far, about one point a second.
    pub(crate) points: Vec<Point>,
    /// Pending and firing alerts.
    pub(crate) showing: Vec<Showing>,
    /// Everything that ever fired.
    pub(crate) incidents: Vec<Incident>,
    /// What to tell the person in front of the screen.
    pub(crate) notes: Vec<String>,
    /// Traffic and cost so far, in one line.
    pub(crate) status: String,
    /// Looks at the agent that failed.
    pub(crate) missed_looks: u64,
    /// The last page of the agent's `/metrics`.
    pub(crate) metrics: String,
}

impl Board {
    /// Begins `act`, ending the one before.
    pub(crate) fn enter(&mut self, act: Act, now: f64) {
        self.leave(now);
        self.acts.push(ActSpan { act, started_at: now, ended_at: None });
    }

    /// Ends the act that is on.
    pub(crate) fn leave(&mut self, now: f64) {
        if let Some(last) = self.acts.last_mut() {
            last.ended_at.get_or_insert(now);
        }
    }

    /// When `act` was played, if it was.
    pub(crate) fn span(&self, act: Act) -> Option<ActSpan> {
        self.acts.iter().find(|span| span.act == act).copied()
    }

    /// Takes what the agent shows now: what newly fires becomes an incident, what no longer does is over.
    pub(crate) fn look(&mut self, showing: Vec<Showing>, now: f64) {
        for incident in self.incidents.iter_mut().filter(|incident| incident.resolved_at.is_none()) {
            if !showing.iter().any(|alert| alert.firing && alert.labels == incident.labels) {
                incident.resolved_at = Some(now);
            }
        }
        for alert in showing.iter().filter(|alert| alert.firing) {
            if !self.incidents.iter().any(|known| known.resolved_at.is_none() && known.labels == alert.labels) {
                let labels = alert.labels.clone();
                self.incidents.push(Incident { labels, fired_at: now, resolved_at: None });
            }
        }
        self.showing = showing;
    }

    /// The median CPU utilization of the last `span`; `None` when the agent has no figure.
    pub(crate) fn cpu_median(&self, span: Duration) -> Option<f64> {
        let last = self.points.last()?.at;
        let lately = self.points.iter().filter(|point| point.at > last - span.as_secs_f64());
        let mut cpu: Vec<f64> = lately.filter_map(|point| point.cpu).collect();
        cpu.sort_by(f64::total_cmp);
        cpu.get(cpu.len() / 2).copied()
    }

    /// Seconds since the last alert that matters was over: 0 when one fires now, `None` when none ever did. Alerts
    /// named in `but` do not count.
    pub(crate) fn quiet_for(&self, now: f64, but: &[&str]) -> Option<f64> {
        let all = self.incidents.iter().filter(|incident| incident.matters() && !but.contains(&incident.alert()));
        all.map(|incident| incident.resolved_at.map_or(0.0, |over| now - over)).reduce(f64::min)
    }
}

/// The board as tasks and the drawing thread share it; held only to copy in or out.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedBoard(Arc<Mutex<Board>>);

impl SharedBoard {
    /// The board, locked; a poisoned board is still a board.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something a person should know.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.lock().notes.push(text.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn showing(name: &str, firing: bool) -> Showing {
        let labels = BTreeMap::from([("alertname".to_owned(), name.to_owned())]);
        Showing { labels, firing, summary: String::new() }
    }

    #[test]
    fn an_incident_begins_with_firing_and_ends_with_its_absence() {
        let mut board = Board::default();
        let steps = [
            ("pending is no incident", vec![showing("A", false)], 0, 0),
            ("it fires", vec![showing("A", true)], 1, 1),
            ("it still fires", vec![showing("A", true), showing("B", false)], 1, 1),
            ("it is over", vec![], 1, 0),
            ("it fires again: a second one", vec![showing("A", true)], 2, 1),
        ];
        for (at, (why, now_showing, incidents, open)) in steps.into_iter().enumerate() {
            board.look(now_showing, at as f64);
            let still_open = board.incidents.iter().filter(|incident| incident.resolved_at.is_none()).count();
            assert_eq!((board.incidents.len(), still_open), (incidents, open), "{why}");
        }
        assert_eq!(board.incidents[0].resolved_at, Some(3.0));
        assert_eq!((board.quiet_for(5.0, &[]), board.quiet_for(5.0, &["A"])), (Some(0.0), None));
        board.look(vec![], 6.0);
        assert_eq!(board.quiet_for(8.0, &[]), Some(2.0));
    }

    #[test]
    fn the_median_is_that_of_the_last_seconds() {
        for (why, cpu, expected) in [
            ("nothing seen", vec![], None),
            ("no figure on this machine", vec![None, None], None),
            (
                "what was long ago does not count",
                vec![Some(1.0), Some(1.0), Some(1.0), Some(0.2), Some(0.3), Some(0.9)],
                Some(0.3),
            ),
        ] {
            let points = cpu.iter().zip(0_u8..).map(|(cpu, at)| Point { at: at.into(), cpu: *cpu, ..Point::default() });
            let board = Board { points: points.collect(), ..Board::default() };
            assert_eq!(board.cpu_median(Duration::from_secs(3)), expected, "{why}");
        }
    }

    #[test]
    fn a_watchdog_does_not_matter() {
        for (why, labels, matters) in [
            ("plain", vec![("alertname", "A")], true),
            ("severity none", vec![("alertname", "A"), ("severity", "none")], false),
            ("by name", vec![("alertname", "Watchdog")], false),
        ] {
            let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert_eq!(Incident { labels, fired_at: 0.0, resolved_at: None }.matters(), matters, "{why}");
        }
    }
}
