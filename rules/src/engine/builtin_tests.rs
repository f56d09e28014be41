//! The built-in rules, each in a scene of its own, at their own pace and in fast motion.

use std::time::Duration;

use super::*;
use crate::StoreLimits;

/// A scene: what the series are at each second.
type Scene = fn(f64, &mut Vec<(Labels, f64)>);

fn gauge(out: &mut Vec<(Labels, f64)>, name: &str, labels: &[(&str, &str)], value: f64) {
    out.push((Labels::metric(name, labels.iter().copied()), value));
}

struct Played {
    /// `name at second` of everything that began to fire, Watchdog aside.
    fired: Vec<(String, f64)>,
    /// Alerts on at the end.
    last: Vec<ActiveAlert>,
}

/// Plays `scene` for `length` seconds, sampled every 5 seconds, all sped up by `factor`.
fn play(scene: Scene, length: f64, factor: f64) -> Played {
    let text = if factor == 1.0 { BUILTIN_RULES.to_owned() } else { builtin_scaled(factor) };
    let groups = load_rules("builtin.yml", &text, Duration::from_secs(60)).unwrap();
    let options = EngineOptions {
        external_labels: Labels::default(),
        external_url: String::new(),
        resend_delay: Duration::from_secs(60),
    };
    let mut engine = RuleEngine::new(groups, options);
    let mut store = Store::new(StoreLimits { series: 200, retention: Duration::from_secs(7200) });
    let step = if factor == 1.0 { 5.0 } else { 1.0 };
    let (mut fired, mut passed) = (Vec::new(), 0.0);
    while passed <= length * factor {
        let now = Timestamp::from_secs_f64(1_700_000_040.0 + passed);
        let mut samples = Vec::new();
        scene(passed / factor, &mut samples);
        for (labels, value) in samples {
            store.append(&labels, now, value);
        }
        let failures: Vec<_> = engine.evaluate(&mut store, now).into_iter().flat_map(|r| r.failures).collect();
        assert_eq!(failures, Vec::<String>::new());
        for alert in engine.alerts().into_iter().filter(|a| a.fired_at == Some(now) && a.resolved_at.is_none()) {
            fired.push((alert.labels.get("alertname").unwrap().to_owned(), passed / factor));
        }
        passed += step;
    }
    fired.retain(|(name, _)| name != "Watchdog");
    Played { fired, last: engine.alerts().into_iter().cloned().collect() }
}

/// Expects exactly one alert, within `range` seconds; gives it.
fn check(why: &str, scene: Scene, length: f64, alert: &str, range: std::ops::RangeInclusive<f64>) -> ActiveAlert {
    let played = play(scene, length, 1.0);
    let at = match &played.fired[..] {
        [(name, at)] if name == alert => *at,
        other => panic!("{why}: {other:?}"),
    };
    assert!(range.contains(&at), "{why}: fired at {at}");
    let found = played.last.into_iter().find(|a| a.labels.get("alertname") == Some(alert)).unwrap();
    for (name, text) in &found.annotations {
        assert!(!text.contains("<error") && !text.contains("<no value>") && !text.is_empty(), "{why}: {name}: {text}");
    }
    found
}

#[test]
fn utilization_above_85_percent_for_5_minutes() {
    let cpu: Scene = |t, out| gauge(out, "plimsoll_cpu_utilization_ratio", &[], if t < 62.0 { 0.85 } else { 0.9 });
    let alert = check("CPU", cpu, 400.0, "PlimsollCpuHigh", 375.0..=375.0);
    assert_eq!(alert.annotations["summary"], "CPU is at 90% of its limit, above 85 % for 5m");
    assert_eq!(alert.annotations["since"], "2023-11-14 22:15:15 +0000 UTC");
    assert_eq!(alert.active_at.rfc3339(), "2023-11-14 22:15:15.000Z".replace(' ', "T"));
    assert_eq!((alert.labels.get("severity"), alert.labels.get("layer")), (Some("warning"), Some("system")));
    let memory: Scene = |_, out| gauge(out, "plimsoll_memory_utilization_ratio", &[], 0.97);
    check("memory", memory, 400.0, "PlimsollMemoryHigh", 300.0..=300.0);
    let gpus: Scene = |_, out| {
        gauge(out, "plimsoll_gpu_utilization_ratio", &[("gpu", "0"), ("uuid", "GPU-a")], 0.5);
        gauge(out, "plimsoll_gpu_utilization_ratio", &[("gpu", "1"), ("uuid", "GPU-b")], 0.99);
    };
    let alert = check("one of two GPUs", gpus, 400.0, "PlimsollGpuHigh", 300.0..=300.0);
    assert_eq!(alert.labels.get("gpu"), Some("1"));
    let mig: Scene = |_, out| {
        gauge(out, "plimsoll_gpu_memory_utilization_ratio", &[("gpu", "0"), ("mig", "3"), ("uuid", "MIG-a")], 0.86);
    };
    let alert = check("GPU memory", mig, 400.0, "PlimsollGpuMemoryHigh", 300.0..=300.0);
    assert!(alert.annotations["description"].contains("GPU 0 (MIG 3) is taken"), "{:?}", alert.annotations);
    let dips: Scene = |t, out| {
        gauge(out, "plimsoll_cpu_utilization_ratio", &[], if t % 280.0 < 20.0 { 0.5 } else { 1.0 });
    };
    assert_eq!(play(dips, 3000.0, 1.0).fired, [], "never 5 minutes in a row");
}

/// Ten requests a second; prompts have 1000 tokens with a slow swing of 3 %, `factor` times that after an hour.
fn prompts(t: f64, factor: f64, out: &mut Vec<(Labels, f64)>) {
    let tokens = |until: f64| 1000.0 * until + 30.0 * 900.0 * (1.0 - (until / 900.0).cos());
    let sum = if t < 3600.0 { tokens(t) } else { tokens(3600.0) + factor * (tokens(t) - tokens(3600.0)) };
    let labels = [("model", "m"), ("variant", "v"), ("source", "tap")];
    gauge(out, "plimsoll_input_tokens_sum", &labels, 10.0 * sum);
    gauge(out, "plimsoll_input_tokens_count", &labels, 10.0 * t);
    gauge(out, "plimsoll_output_tokens_sum", &labels, 10.0 * tokens(t));
    gauge(out, "plimsoll_output_tokens_count", &labels, 10.0 * t);
}

#[test]
fn lengths_off_their_mean() {
    let alert =
        check("twice as long", |t, out| prompts(t, 2.0, out), 4200.0, "PlimsollInputLengthShift", 3900.0..=3990.0);
    assert!(alert.annotations["description"].contains("the hour before had 1"), "{:?}", alert.annotations);
    check("half as long", |t, out| prompts(t, 0.5, out), 4200.0, "PlimsollInputLengthShift", 3900.0..=3990.0);
    assert_eq!(play(|t, out| prompts(t, 1.05, out), 4800.0, 1.0).fired, [], "5 % is within the floor");
    assert_eq!(play(|t, out| prompts(t, 1.0, out), 9000.0, 1.0).fired, [], "a swing of 3 %");
    let swing: Scene = |t, out| {
        let labels = [("model", "m"), ("variant", "v"), ("source", "tap")];
        gauge(out, "plimsoll_input_tokens_sum", &labels, 1e4 * (t + 0.2 * 200.0 * (1.0 - (t / 200.0).cos())));
        gauge(out, "plimsoll_input_tokens_count", &labels, 10.0 * t);
    };
    // In the first hour the baseline knows only a part of the swing.
    let played = play(swing, 15_000.0, 1.0);
    let late = played.fired.iter().any(|(_, at)| *at > 4200.0);
    let on = played.last.iter().any(|a| a.state == AlertState::Firing && a.labels.get("layer") == Some("model"));
    assert!(!late && !on, "18 % up and down all the time is within two sigma: {:?}", played.fired);
    let few: Scene = |t, out| {
        let labels = [("model", "m"), ("variant", "v"), ("source", "tap")];
        let requests = (t / 20.0).floor();
        gauge(out, "plimsoll_output_tokens_sum", &labels, requests * if t < 3600.0 { 10.0 } else { 1000.0 });
        gauge(out, "plimsoll_output_tokens_count", &labels, requests);
    };
    assert_eq!(play(few, 4800.0, 1.0).fired, [], "15 requests in 5 minutes are too few");
}

/// Two tasks a second; `completed` of them from second 600 on, all of them before.
fn tasks(t: f64, completed: f64, out: &mut Vec<(Labels, f64)>) {
    let (before, after) = (t.min(600.0), (t - 600.0).max(0.0));
    let labels = |outcome| [("model", "m"), ("outcome", outcome), ("variant", "v")];
    gauge(out, "plimsoll_tasks_total", &labels("completed"), (2.0 * (before + completed * after)).floor());
    gauge(out, "plimsoll_tasks_total", &labels("failed"), (2.0 * (1.0 - completed) * after).floor());
}

#[test]
fn task_completion_below_90_percent() {
    let alert = check("70 %", |t, out| tasks(t, 0.7, out), 1200.0, "PlimsollTaskCompletionLow", 990.0..=1050.0);
    assert_eq!((alert.labels.get("severity"), alert.labels.get("outcome")), (Some("critical"), None));
    assert_eq!(play(|t, out| tasks(t, 0.93, out), 3000.0, 1.0).fired, [], "93 %");
    let late: Scene = |t, out| {
        if t >= 300.0 {
            gauge(out, "plimsoll_tasks_total", &[("outcome", "failed")], 40.0 * ((t - 300.0) / 200.0).floor() + 40.0);
        }
    };
    check(
        "nothing is ever completed, and the counter appears with 40",
        late,
        800.0,
        "PlimsollTaskCompletionLow",
        600.0..=600.0,
    );
    let few: Scene = |t, out| gauge(out, "plimsoll_tasks_total", &[("outcome", "failed")], (t / 30.0).floor());
    assert_eq!(play(few, 3000.0, 1.0).fired, [], "ten tasks in 5 minutes are too few");
    let restarts: Scene = |t, out| {
        let since = t % 1000.0;
        gauge(out, "plimsoll_tasks_total", &[("outcome", "completed")], (0.95 * since).floor());
        gauge(out, "plimsoll_tasks_total", &[("outcome", "failed")], (0.05 * since).floor());
    };
    assert_eq!(play(restarts, 5000.0, 1.0).fired, [], "counters begin anew with every restart");
}

#[test]
fn user_satisfaction_below_90_percent() {
    let scene: Scene = |t, out| {
        gauge(out, "plimsoll_user_satisfaction_ratings_total", &[("model", "m")], t);
        gauge(
            out,
            "plimsoll_user_satisfaction_score_total",
            &[("model", "m")],
            0.95 * t.min(600.0) + 0.6 * (t - 600.0).max(0.0),
        );
    };
    let alert = check("60 %", scene, 1200.0, "PlimsollUserSatisfactionLow", 930.0..=1020.0);
    assert!(alert.annotations["summary"].starts_with("User satisfaction is "), "{:?}", alert.annotations);
    let never: Scene = |t, out| gauge(out, "plimsoll_user_satisfaction_ratings_total", &[("model", "m")], t);
    check("no score at all", never, 400.0, "PlimsollUserSatisfactionLow", 300.0..=345.0);
}

#[test]
fn a_drift_alarm_is_told_at_once_and_says_what_its_series_say() {
    let scene: Scene = |t, out| {
        let labels = [("model", "m"), ("signal", "input_tokens")];
        gauge(out, "plimsoll_drift_alarm", &labels, if t < 100.0 { 0.0 } else { 1.0 });
        gauge(out, "plimsoll_drift_evidence", &labels, 17.25);
        gauge(out, "plimsoll_drift_threshold", &labels, 14.5);
        gauge(out, "plimsoll_drift_arl_observations", &labels, 2_592_000.0);
        gauge(out, "plimsoll_drift_since_timestamp_seconds", &labels, 1_700_000_100.0);
        for (statistic, value) in [("recent_median", 575.0), ("reference_median", 310.0)] {
            let of = [("model", "m"), ("signal", "input_tokens"), ("statistic", statistic)];
            gauge(out, "plimsoll_drift_score", &of, value);
        }
    };
    let alert = check("numbers", scene, 200.0, "PlimsollDrift", 105.0..=105.0);
    assert_eq!(alert.annotations["summary"], "input_tokens of m has drifted from its baseline");
    assert!(
        alert.annotations["description"].starts_with(
            "The signal input_tokens has left what was usual; the evidence is 17.25 nats (threshold 14.5), one false alarm in \
             2.592M observations. The median is 575 now, it was 310 in the baseline. Look next at"
        ),
        "{:?}",
        alert.annotations
    );
    assert_eq!(alert.annotations["since"], "2023-11-14 22:15:00 +0000 UTC");
    let words: Scene = |_, out| {
        let labels = [("model", "m"), ("signal", "finish_reason"), ("variant", "canary")];
        gauge(out, "plimsoll_drift_alarm", &labels, 1.0);
    };
    let alert = check("nothing but the alarm", words, 20.0, "PlimsollDrift", 0.0..=0.0);
    let nobodys: Scene = |_, out| gauge(out, "plimsoll_drift_alarm", &[("signal", "task_completion")], 1.0);
    let unnamed = check("of no model", nobodys, 20.0, "PlimsollDrift", 0.0..=0.0);
    let told = "task_completion of an unnamed model has drifted from its baseline";
    assert_eq!(unnamed.annotations["summary"], told);
    assert!(
        alert.annotations["description"].starts_with("The signal finish_reason has left what was usual. Look next")
    );
}

#[test]
fn the_watcher_watches_itself() {
    let down: Scene = |t, out| {
        gauge(out, "plimsoll_collector_up", &[("source", "gpu")], if t < 100.0 { 1.0 } else { 0.0 });
        gauge(out, "plimsoll_collector_up", &[("source", "system")], 1.0);
    };
    let alert = check("a collector", down, 300.0, "PlimsollCollectorDown", 165.0..=165.0);
    assert_eq!(alert.annotations["summary"], "Source gpu has not delivered for 1m");
    let dead: Scene = |t, out| {
        gauge(out, "plimsoll_notifications_dead_letters", &[("sink", "am")], if t < 100.0 { 0.0 } else { 3.0 });
    };
    let alert = check("dead letters", dead, 300.0, "PlimsollNotificationsDeadLettered", 105.0..=105.0);
    assert_eq!(alert.annotations["summary"], "3 notifications to am were given up");
    let played = play(|_, _| (), 30.0, 1.0);
    assert_eq!(played.last.len(), 1, "only Watchdog");
    assert_eq!((played.last[0].state, played.last[0].labels.get("severity")), (AlertState::Firing, Some("none")));
}

/// Nothing fires any more but the watchdog.
fn over(alert: &ActiveAlert) -> bool {
    alert.labels.get("alertname") == Some("Watchdog") || alert.resolved_at.is_some()
}

#[test]
fn evidence_of_falling_completion_is_told_while_the_ratio_is_low() {
    let fell: Scene = |t, out| {
        let of = [("model", "m"), ("variant", "")];
        let evidence = if t < 100.0 { 1.0 } else { 5.0 };
        gauge(out, "plimsoll_task_completion_evidence_nats", &[of[0], of[1], ("method", "daily")], evidence);
        gauge(out, "plimsoll_task_completion_evidence_nats", &[of[0], of[1], ("method", "detector")], 4.0);
        gauge(out, "plimsoll_task_completion_ratio", &of, if t < 200.0 { 0.7 } else { 0.97 });
    };
    let alert = check("evidence", fell, 190.0, "PlimsollTaskCompletionFell", 105.0..=105.0);
    assert!(alert.annotations["description"].contains("is 5 nats today (threshold 3"), "{:?}", alert.annotations);
    assert!(play(fell, 400.0, 1.0).last.iter().all(over));
}

#[test]
fn every_end_of_an_experiment_is_told() {
    fn decided(t: f64, out: &mut Vec<(Labels, f64)>, to: &str) {
        let state = |state| if t >= 100.0 && state == to { 1.0 } else { 0.0 };
        for word in ["ramp", "hold", "rolled_back", "promoted"] {
            gauge(out, "plimsoll_experiment_state", &[("experiment", "x"), ("state", word)], state(word));
        }
        if t >= 100.0 {
            let labels = [("experiment", "x"), ("from", "ramp"), ("to", to), ("reason", "harm"), ("metric", "done")];
            gauge(out, "plimsoll_experiment_decision_timestamp_seconds", &labels, 1_700_000_140.0);
        }
    }
    let back =
        check("back", |t, out| decided(t, out, "rolled_back"), 300.0, "PlimsollExperimentRolledBack", 105.0..=105.0);
    assert!(back.annotations["description"].contains("harm in done"), "{:?}", back.annotations);
    check("hold", |t, out| decided(t, out, "hold"), 300.0, "PlimsollExperimentOnHold", 105.0..=105.0);
    let told =
        check("promoted", |t, out| decided(t, out, "promoted"), 300.0, "PlimsollExperimentDecided", 105.0..=105.0);
    assert_eq!(told.annotations["summary"], "Experiment x: ramp to promoted");
    assert!(play(|t, out| decided(t, out, "promoted"), 1500.0, 1.0).last.iter().all(over));
}

#[test]
fn ranks_that_part_are_told_at_once_and_until_the_job_goes_back() {
    let ranks: Scene = |t, out| {
        let parted = (100.0..400.0).contains(&t);
        for (run, value) in [("llama-sft", f64::from(u8::from(parted))), ("other", 0.0)] {
            gauge(out, "plimsoll_finetune_ranks_diverged", &[("run", run)], value);
        }
        if parted {
            gauge(out, "plimsoll_finetune_ranks_diverged_step", &[("run", "llama-sft")], 1200.0);
        }
    };
    let alert = check("parted", ranks, 300.0, "PlimsollFinetuneRanksDiverged", 105.0..=105.0);
    assert_eq!(alert.annotations["summary"], "The ranks of training run llama-sft no longer hold the same parameters");
    assert!(alert.annotations["description"].contains("after step 1200 the"), "{:?}", alert.annotations);
    assert_eq!((alert.labels.get("severity"), alert.labels.get("run")), (Some("critical"), Some("llama-sft")));
    assert!(play(ranks, 600.0, 1.0).last.iter().all(over));
}

#[test]
fn what_the_loop_wants_of_people_is_told() {
    fn stage(t: f64, out: &mut Vec<(Labels, f64)>, of: &str) {
        let on = f64::from(u8::from((100.0..400.0).contains(&t)));
        gauge(out, "plimsoll_finetune_stage", &[("stage", of)], on);
        gauge(out, "plimsoll_finetune_stage", &[("stage", "trying")], 1.0 - on);
    }
    let scenes: [(&str, Scene); 2] = [
        ("PlimsollFinetuneProposed", |t, out| stage(t, out, "proposed")),
        ("PlimsollFinetuneFailed", |t, out| stage(t, out, "failed")),
    ];
    for (name, scene) in scenes {
        check(name, scene, 300.0, name, 105.0..=105.0);
        assert!(play(scene, 600.0, 1.0).last.iter().all(over));
    }
    let circuit: Scene = |t, out| gauge(out, "plimsoll_finetune_circuit_open", &[], f64::from(u8::from(t >= 100.0)));
    check("circuit", circuit, 300.0, "PlimsollFinetuneCircuitOpen", 105.0..=105.0);
    let missing: Scene = |t, out| {
        if (100.0..400.0).contains(&t) {
            gauge(out, "plimsoll_finetune_version_missing", &[("version", "plimsoll-v1")], 1.0);
        }
    };
    let alert = check("missing", missing, 300.0, "PlimsollFinetuneVersionMissing", 165.0..=165.0);
    assert!(alert.annotations["summary"].starts_with("The engine has not had plimsoll-v1 for 1m"));
    assert!(play(missing, 900.0, 1.0).last.iter().all(over));
}

#[test]
fn fast_motion_is_the_same_only_faster() {
    let text = builtin_scaled(1.0 / 30.0);
    let fast = load_rules("fast.yml", &text, Duration::from_secs(60)).unwrap();
    let slow = load_rules("builtin.yml", BUILTIN_RULES, Duration::from_secs(60)).unwrap();
    assert_eq!(slow.len(), 8);
    for (fast, slow) in fast.iter().zip(&slow) {
        assert_eq!((&fast.name, fast.interval), (&slow.name, Duration::from_secs(1)));
        for (fast, slow) in fast.rules.iter().zip(&slow.rules) {
            assert_eq!((&fast.name, &fast.labels), (&slow.name, &slow.labels));
            let (Action::Alert { hold, .. }, Action::Alert { hold: slow_hold, .. }) = (&fast.action, &slow.action)
            else {
                continue;
            };
            assert_eq!(*hold * 30, *slow_hold, "{}", fast.name);
        }
    }
    assert!(text.contains("plimsoll_input_tokens_sum[10s]") && text.contains("[2m] offset 10s"), "{text}");
    assert!(text.contains("above 85 % for 10s") && !text.contains("for 5m"), "{text}");
    for (why, factor) in [("not a number", f64::NAN), ("negative", -1.0), ("zero", 0.0), ("endless", f64::INFINITY)] {
        assert!(load_rules("f.yml", &builtin_scaled(factor), Duration::from_secs(60)).is_ok(), "{why}");
    }
    let same = load_rules("builtin.yml", &builtin_scaled(1.0), Duration::from_secs(60)).unwrap();
    assert_eq!(same, slow);
    let played = play(|t, out| prompts(t, 3.0, out), 4200.0, 1.0 / 30.0);
    assert!(
        matches!(&played.fired[..], [(name, at)] if name == "PlimsollInputLengthShift" && (3900.0..=4050.0).contains(at)),
        "{:?}",
        played.fired
    );
    let played = play(|t, out| tasks(t, 0.7, out), 1200.0, 1.0 / 30.0);
    assert!(
        matches!(&played.fired[..], [(name, at)] if name == "PlimsollTaskCompletionLow" && (960.0..=1080.0).contains(at)),
        "{:?}",
        played.fired
    );
}
