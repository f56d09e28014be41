//! What the scene came to: planted against found, false alarms, and what the agent cost.

use std::collections::BTreeMap;

use serde::Serialize;

use super::agent_child::Taken;
use super::board::{Board, Incident};
use super::scene::{Act, Planted};

/// After an act has ended its alert may still fire for the first time within one and a half of the rules' windows.
const LATE_WINDOWS: f64 = 1.5;

/// The scene's result, as `--format json` prints it. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Everything planted was found, everything resolved, nothing false, played to the end.
    pub(crate) passed: bool,
    /// What was planted, and whether it was found.
    pub(crate) events: Vec<Event>,
    /// Alerts that belong to nothing planted.
    pub(crate) false_alarms: usize,
    /// Those of them that fired in the calm act.
    pub(crate) false_alarms_in_calm: usize,
    /// Each of them.
    pub(crate) false_alarm_list: Vec<FalseAlarm>,
    /// How long calm was played.
    pub(crate) calm_seconds: f64,
    /// The CPU was above 85 % before anything was played: that event cannot be judged.
    pub(crate) busy_before_start: bool,
    /// Alerts whose condition held before anything was played (by the agent's own figures): true, so not counted false.
    pub(crate) true_before_start: Vec<&'static str>,
    /// Stopped before its end.
    pub(crate) interrupted: bool,
    /// When each act was played.
    pub(crate) acts: Vec<Played>,
    /// What the agent cost.
    pub(crate) cost: Cost,
    /// What it was played against.
    pub(crate) setting: Setting,
    /// What a person should know about this run.
    pub(crate) notes: Vec<String>,
}

/// One planted event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Event {
    /// Which.
    pub(crate) name: &'static str,
    /// In words.
    pub(crate) title: &'static str,
    /// When it was planted.
    pub(crate) planted_at: Option<f64>,
    /// When its cause was taken away.
    pub(crate) ended_at: Option<f64>,
    /// Whether its alert fired.
    pub(crate) detected: bool,
    /// When its alert first fired.
    pub(crate) detected_at: Option<f64>,
    /// From planted to detected.
    pub(crate) delay_seconds: Option<f64>,
    /// The alert that has to find it.
    pub(crate) alert: &'static str,
    /// When the last of its alerts was over.
    pub(crate) resolved_at: Option<f64>,
}

/// An alert that should not have fired.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FalseAlarm {
    /// Its rule.
    pub(crate) alert: String,
    /// All its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// When it fired.
    pub(crate) fired_at: f64,
    /// When it was over.
    pub(crate) resolved_at: Option<f64>,
}

/// An act as it was played.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Played {
    /// Which.
    pub(crate) name: &'static str,
    /// Its begin.
    pub(crate) started_at: f64,
    /// Its end.
    pub(crate) ended_at: Option<f64>,
}

/// What the agent took and what it did for that.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Cost {
    /// Wall time from the first act to the end of the last, in seconds.
    pub(crate) wall_seconds: f64,
    /// The agent's CPU time, in seconds.
    pub(crate) agent_cpu_seconds: f64,
    /// The same as a share of one core.
    pub(crate) agent_cpu_cores: f64,
    /// Its resident memory at the end, in bytes.
    pub(crate) agent_rss_bytes: u64,
    /// The most it ever was.
    pub(crate) agent_peak_rss_bytes: u64,
    /// Requests that finished at the tap.
    pub(crate) requests_served: u64,
    /// Chunks of streamed answers that went through it.
    pub(crate) chunks: u64,
    /// Feedback stored durably.
    pub(crate) feedback: u64,
    /// Own work that the agent dropped to stay within bounds.
    pub(crate) dropped: u64,
    /// Requests that had no proper answer.
    pub(crate) requests_failed: u64,
    /// Requests not sent because too many were open.
    pub(crate) requests_skipped: u64,
    /// `release` or `debug`: a debug build's CPU time says little.
    pub(crate) build: &'static str,
}

/// What the scene was played against.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Setting {
    /// `stand-in` or the URL.
    pub(crate) engine: String,
    /// The model asked for.
    pub(crate) model: String,
    /// Requests a second.
    pub(crate) request_rate: f64,
    /// The rules' short window (`5m` as written), in seconds.
    pub(crate) window_seconds: f64,
}

/// What the director knows and the board does not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Alerts whose condition held before anything was played.
    pub(crate) true_before_start: Vec<&'static str>,
    /// Stopped before its end.
    pub(crate) interrupted: bool,
    /// What it cost.
    pub(crate) cost: Cost,
    /// What it was played against.
    pub(crate) setting: Setting,
}

impl Cost {
    /// With what the agent's process took over `wall_seconds`.
    pub(crate) fn with_process(mut self, taken: Taken, wall_seconds: f64) -> Self {
        self.wall_seconds = millis(wall_seconds);
        self.agent_cpu_seconds = taken.cpu_seconds;
        self.agent_cpu_cores = if wall_seconds > 0.0 { millis(taken.cpu_seconds / wall_seconds) } else { 0.0 };
        self.agent_rss_bytes = taken.resident_bytes;
        self.agent_peak_rss_bytes = taken.peak_resident_bytes;
        self
    }
}

/// Rounded to the third digit: what is finer is noise.
fn millis(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Judges what was seen.
pub(crate) fn judge(board: &Board, facts: Facts) -> Report {
    let late = LATE_WINDOWS * facts.setting.window_seconds;
    let events: Vec<Event> = Planted::ALL.iter().map(|planted| event(board, *planted, late)).collect();
    let belongs = |incident: &Incident| {
        facts.true_before_start.contains(&incident.alert())
            || Planted::ALL.iter().any(|planted| finds(board, *planted, late, incident))
            || Planted::ALL.iter().any(|planted| agrees(board, *planted, late, incident))
    };
    let matters = board.incidents.iter().filter(|incident| incident.matters());
    let false_alarm_list: Vec<FalseAlarm> = matters.filter(|incident| !belongs(incident)).map(false_alarm).collect();
    let calm = board.span(Act::Calm);
    let calm_end = calm.and_then(|calm| calm.ended_at).unwrap_or(f64::INFINITY);
    let all_found = events.iter().all(|event| event.detected && event.resolved_at.is_some());
    Report {
        passed: all_found && false_alarm_list.is_empty() && !facts.interrupted,
        events,
        false_alarms: false_alarm_list.len(),
        false_alarms_in_calm: false_alarm_list.iter().filter(|alarm| alarm.fired_at <= calm_end).count(),
        false_alarm_list,
        calm_seconds: calm.and_then(|calm| Some(millis(calm.ended_at? - calm.started_at))).unwrap_or(0.0),
        busy_before_start: facts.true_before_start.contains(&Planted::CpuLoad.alert()),
        true_before_start: facts.true_before_start,
        interrupted: facts.interrupted,
        acts: board.acts.iter().map(|span| played(span.act, span.started_at, span.ended_at)).collect(),
        cost: facts.cost,
        setting: facts.setting,
        notes: board.notes.clone(),
    }
}

fn played(act: Act, started_at: f64, ended_at: Option<f64>) -> Played {
    Played { name: act.name(), started_at, ended_at }
}

fn false_alarm(incident: &Incident) -> FalseAlarm {
    FalseAlarm {
        alert: incident.alert().to_owned(),
        labels: incident.labels.clone(),
        fired_at: incident.fired_at,
        resolved_at: incident.resolved_at,
    }
}

/// Whether `incident` is `planted`'s alert at `planted`'s time.
pub(crate) fn finds(board: &Board, planted: Planted, late: f64, incident: &Incident) -> bool {
    incident.alert() == planted.alert() && is_at(board, planted, late, incident)
}

/// Whether `incident` says the same at `planted`'s time in another way: its other alert, or that the signal which `planted`
/// moves has drifted.
fn agrees(board: &Board, planted: Planted, late: f64, incident: &Incident) -> bool {
    let signal = incident.labels.get("signal").map(String::as_str);
    let drift = incident.alert() == "PlimsollDrift" && signal.is_some() && signal == planted.signal();
    (drift || planted.also() == Some(incident.alert())) && is_at(board, planted, late, incident)
}

fn is_at(board: &Board, planted: Planted, late: f64, incident: &Incident) -> bool {
    board.span(planted.act()).is_some_and(|span| {
        let until = span.ended_at.map_or(f64::INFINITY, |ended| ended + late);
        (span.started_at..=until).contains(&incident.fired_at)
    })
}

fn event(board: &Board, planted: Planted, late: f64) -> Event {
    let span = board.span(planted.act());
    let found: Vec<&Incident> =
        board.incidents.iter().filter(|incident| finds(board, planted, late, incident)).collect();
    let detected_at = found.iter().map(|incident| incident.fired_at).reduce(f64::min);
    let over: Option<Vec<f64>> = found.iter().map(|incident| incident.resolved_at).collect();
    Event {
        name: planted.name(),
        title: planted.title(),
        planted_at: span.map(|span| span.started_at),
        ended_at: span.and_then(|span| span.ended_at),
        detected: detected_at.is_some(),
        detected_at,
        delay_seconds: span.and_then(|span| Some(millis(detected_at? - span.started_at))),
        alert: planted.alert(),
        resolved_at: over.and_then(|times| times.into_iter().reduce(f64::max)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(alert: &str, fired_at: f64, resolved_at: Option<f64>) -> Incident {
        let labels = BTreeMap::from([("alertname".to_owned(), alert.to_owned())]);
        Incident { labels, fired_at, resolved_at }
    }

    /// Calm from 0, then an act every 100 s, all over at 500.
    fn board(incidents: Vec<Incident>) -> Board {
        let mut board = Board { incidents, ..Board::default() };
        for (at, act) in Act::ALL.into_iter().enumerate() {
            board.enter(act, at as f64 * 100.0);
        }
        board.leave(500.0);
        board
    }

    fn all_found() -> Vec<Incident> {
        let fired = [112.0, 212.0, 213.0, 312.0];
        let all = Planted::ALL.iter().zip(fired);
        all.map(|(planted, fired)| incident(planted.alert(), fired, Some(fired + 20.0))).collect()
    }

    fn check(why: &str, extra: Vec<Incident>, interrupted: bool, passed: bool, false_alarms: (usize, usize)) {
        let facts =
            Facts { interrupted, setting: Setting { window_seconds: 10.0, ..Setting::default() }, ..Facts::default() };
        let incidents = all_found().into_iter().chain(extra).collect();
        let report = judge(&board(incidents), facts);
        assert_eq!(
            (report.passed, (report.false_alarms, report.false_alarms_in_calm)),
            (passed, false_alarms),
            "{why}"
        );
    }

    #[test]
    fn false_alarms_are_what_belongs_to_nothing_planted() {
        let input = Planted::LongerPrompts.alert();
        check("all found, nothing else", vec![], false, true, (0, 0));
        check("stopped by hand", vec![], true, false, (0, 0));
        check("a planted alert too early", vec![incident(input, 50.0, Some(60.0))], false, false, (1, 1));
        check("a second one at its time", vec![incident(input, 114.0, Some(120.0))], false, true, (0, 0));
        check("just after its act", vec![incident(input, 214.0, Some(220.0))], false, true, (0, 0));
        check("long after its act", vec![incident(input, 250.0, Some(260.0))], false, false, (1, 0));
        check("one that was not planted", vec![incident("Other", 130.0, None)], false, false, (1, 0));
        let drift = |signal: &str, at| {
            let mut drift = incident("PlimsollDrift", at, None);
            drift.labels.insert("signal".to_owned(), signal.to_owned());
            vec![drift]
        };
        check("the drift of what was planted", drift("input_tokens", 130.0), false, true, (0, 0));
        check("the drift of something else", drift("output_tokens", 130.0), false, false, (1, 0));
        check("the drift before it", drift("input_tokens", 50.0), false, false, (1, 1));
        let fell = |at| vec![incident("PlimsollTaskCompletionFell", at, None)];
        check("the evidence of what was planted", fell(214.0), false, true, (0, 0));
        check("the evidence before it", fell(50.0), false, false, (1, 1));
        check("the watchdog", vec![incident("Watchdog", 1.0, None)], false, true, (0, 0));
        check("found but never over", vec![incident(input, 115.0, None)], false, false, (0, 0));
    }

    #[test]
    fn an_event_says_when_it_was_planted_found_and_over() {
        let report = judge(&board(all_found()), Facts::default());
        let cpu = &report.events[3];
        assert_eq!((cpu.planted_at, cpu.detected_at, cpu.delay_seconds), (Some(300.0), Some(312.0), Some(12.0)));
        assert_eq!((cpu.ended_at, cpu.resolved_at, cpu.detected), (Some(400.0), Some(332.0), true));
        let nothing = judge(&Board::default(), Facts::default());
        assert!(!nothing.passed && nothing.events.iter().all(|event| !event.detected && event.planted_at.is_none()));
    }
}
