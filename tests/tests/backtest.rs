//! `plimsoll backtest`: the same samples as CSV, as OpenMetrics text and from a real Prometheus give the same alerts.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use plimsoll_tests::{Prometheus, binary};
use serde_json::{Value, json};

const RULES: &str = "groups:
  - name: hosts
    interval: 30s
    rules:
      - {record: 'cpu:avg5m', expr: 'avg_over_time(cpu_ratio[5m])'}
      - {alert: Hot, expr: 'cpu_ratio > 0.85', for: 2m, labels: {severity: page}}
      - {alert: SlowlyHot, expr: 'cpu:avg5m > 0.85', keep_firing_for: 1m}
      - {alert: Away, expr: 'absent(cpu_ratio{host=\"b\"})', for: 1m}
";

/// Midnight.
const START: i64 = 1_700_006_400;

/// Two hosts every 15 s for six hours: `a` is hot for 10 minutes in every hour, `b` is away for the fourth hour.
fn samples() -> Vec<(i64, &'static str, f64)> {
    let mut all = Vec::new();
    for n in 0..6 * 240_i64 {
        let (hour, minute) = (n / 240, n / 4 % 60);
        let hot = (20..30).contains(&minute);
        all.push((START + n * 15, "a", if hot { 0.9 + 0.001 * (n % 7) as f64 } else { 0.5 }));
        if hour != 3 {
            all.push((START + n * 15, "b", 0.25));
        }
    }
    all
}

fn backtest(folder: &Path, data: &str, more: &[&str]) -> Output {
    let rules = folder.join("rules.yml");
    std::fs::write(&rules, RULES).unwrap();
    let mut command = Command::new(binary().unwrap());
    command.arg("backtest").arg("--rules").arg(rules).arg("--data").arg(data).args(more).output().unwrap()
}

/// Rules and alerts of the JSON report.
fn judged(folder: &Path, data: &str, more: &[&str]) -> (Value, Value) {
    let output = backtest(folder, data, &[more, &["--format", "json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    (report["rules"].clone(), report["alerts"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_gives_the_same_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (mut long, mut wide) =
        ("timestamp,value,host\n".to_owned(), "time,cpu_ratio{host=\"a\"},cpu_ratio{host=\"b\"}\n".to_owned());
    let mut by_series = ["a", "b"].map(|host| (host, String::new()));
    for (at, host, value) in samples() {
        writeln!(long, "{at},{value},{host}").unwrap();
        match host {
            "a" => write!(wide, "{at},{value},").unwrap(),
            _ => writeln!(wide, "{value}").unwrap(),
        }
        if host == "a" && (3..4).contains(&((at - START) / 3600)) {
            wide.push('\n');
        }
        let text = &mut by_series.iter_mut().find(|(name, _)| *name == host).unwrap().1;
        writeln!(text, "cpu_ratio{{host=\"{host}\"}} {value} {at}").unwrap();
    }
    let text = by_series.map(|(_, text)| text).concat();
    let metrics = format!("# HELP cpu_ratio CPU.\n# TYPE cpu_ratio gauge\n{text}# EOF\n");
    for (name, text) in [("long.csv", &long), ("wide.csv", &wide), ("metrics.txt", &metrics)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }

    let expected = judged(folder.path(), &file("long.csv"), &["--metric", "cpu_ratio"]);
    assert_eq!(judged(folder.path(), &file("wide.csv"), &[]), expected, "wide CSV");
    assert_eq!(judged(folder.path(), &file("metrics.txt"), &[]), expected, "OpenMetrics");
    let (rules, alerts) = &expected;
    let of = |name: &str| rules.as_array().unwrap().iter().find(|rule| rule["name"] == name).unwrap().clone();
    assert_eq!((&of("Hot")["fired"], &of("Hot")["firingSeconds"]), (&json!(6), &json!(6.0 * 480.0)), "{rules}");
    // five minutes of lookback, then one of `for`
    assert_eq!((&of("Away")["fired"], &of("Away")["firingSeconds"]), (&json!(1), &json!(3600.0 - 285.0 - 60.0 - 15.0)));
    assert_eq!(of("SlowlyHot")["fired"], 6);
    let first = alerts.as_array().unwrap().iter().find(|alert| alert["labels"]["alertname"] == "Hot").unwrap();
    assert_eq!(
        first["labels"],
        json!({"alertname": "Hot", "host": "a", "severity": "page"}),
        "the rule's labels and the series'"
    );
    assert_eq!(first["pendingAt"], "2023-11-15T00:20:00.000Z");
    assert_eq!(first["firingAt"], "2023-11-15T00:22:00.000Z");
    assert_eq!(first["endedAt"], "2023-11-15T00:30:00.000Z");

    let Some(prometheus) = Prometheus::holding(&folder.path().join("metrics.txt")).await.unwrap() else { return };
    let (start, end) = (START.to_string(), (START + 6 * 3600 - 15).to_string());
    let between = ["--start", start.as_str(), "--end", end.as_str()];
    assert_eq!(judged(folder.path(), &prometheus.url(""), &between), expected, "the samples of a Prometheus");
    let range = prometheus.url(&format!("/api/v1/query_range?query=cpu_ratio&start={}&end={end}&step=15", START - 15));
    let (_, ranged) = judged(folder.path(), &range, &[]);
    let hot = |alerts: &Value| {
        let all = alerts.as_array().unwrap().iter().filter(|alert| alert["labels"]["alertname"] == "Hot");
        all.map(|alert| alert["firingAt"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(hot(&ranged), hot(alerts), "a query_range");
}

#[test]
fn a_metric_that_the_data_lacks_is_no_silent_all_clear() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.csv");
    std::fs::write(&data, format!("{},0.9\n{START},0.9\n", START + 600)).unwrap();
    let run = |more: &[&str]| {
        let output = backtest(folder.path(), &data.display().to_string(), more);
        (output.status.success(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (fine, report, said) = run(&["--metric", "cpu_typo", "--format", "json"]);
    assert!(fine && said.contains("warning: no sample of cpu_ratio in the data (rule cpu:avg5m)"), "{said}");
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["warnings"].as_array().unwrap().len(), 2, "{report:#}");
    let (fine, _, said) = run(&["--metric", "cpu_ratio", "--interval", "0s"]);
    assert!(!fine && said.contains("\"0s\" would evaluate without end"), "{said}");
}

#[test]
fn tables_and_timelines_are_written_and_mistakes_have_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("cpu.csv");
    let rows: String =
        samples().iter().filter(|s| s.1 == "a").map(|(at, _, value)| format!("{at},{value}\n")).collect();
    std::fs::write(&data, &rows).unwrap();
    let data = data.display().to_string();
    let (svg, html) = (folder.path().join("t.svg"), folder.path().join("t.html"));
    let pictures = ["--svg", svg.to_str().unwrap(), "--html", html.to_str().unwrap()];
    let output = backtest(folder.path(), &data, &[&["--metric", "cpu_ratio"], &pictures[..]].concat());
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{complaint}");
    assert!(said.starts_with("2023-11-15 00:00:00 to 2023-11-15 05:59:30 UTC (5h59m): 1440 samples"), "{said}");
    let hot = said.lines().find(|line| line.starts_with("Hot ")).unwrap();
    assert_eq!(hot.split_whitespace().collect::<Vec<_>>(), ["Hot", "hosts", "6", "24.03", "48m", "8m", "12m", "0"]);
    let picture = std::fs::read_to_string(svg).unwrap();
    assert!(picture.matches("<title>firing 2023-11-15").count() >= 12 && picture.contains("time (UTC)"), "{picture}");
    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.contains(&picture) && !page.contains("src="), "the page holds the picture and asks for nothing");

    std::fs::write(&data, rows.replacen(",0.5\n", ",half\n", 3)).unwrap();
    let output = backtest(folder.path(), &data, &["--metric", "cpu_ratio"]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && complaint.contains("cpu.csv:1: column 2: \"half\" is no number"),
        "{complaint}"
    );
    let broken = folder.path().join("broken.yml");
    std::fs::write(&broken, "groups: [{name: g, rules: [{alert: A, expr: 'up >'}]}]\n").unwrap();
    let output = Command::new(binary().unwrap())
        .args(["backtest", "--rules", broken.to_str().unwrap(), "--data", &data])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(78) && complaint.contains("broken.yml:1:"), "{complaint}");
}
