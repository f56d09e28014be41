//! The built-in rules over real data, on a virtual clock: how often they are wrong, and that they find what is there.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use plimsoll_rules::{
    ActiveAlert, AlertState, BUILTIN_RULES, EngineOptions, Group, Labels, RuleEngine, Store, StoreLimits, Timestamp,
    load_rules,
};
use plimsoll_tests::shared;

/// Any time will do; a multiple of every interval.
const START: i64 = 1_700_000_040_000;
const SLOT: i64 = 15_000;
const NO_SAMPLE: &str = "no sample came";

fn read(path: &Path) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

fn expected() -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(shared("data/expected.json")?).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

/// The built-in rules of one group over a store of their own.
struct Replay {
    store: Store,
    engine: RuleEngine,
    /// Name and time of every alert that began to fire.
    fired: Vec<(String, Timestamp)>,
    told: usize,
}

impl Replay {
    fn of(group: &str) -> Self {
        let mut groups = load_rules("builtin.yml", BUILTIN_RULES, Duration::from_secs(15)).unwrap();
        groups.retain(|g: &Group| g.name == group);
        let options = EngineOptions {
            external_labels: Labels::default(),
            external_url: String::new(),
            resend_delay: Duration::from_secs(60),
        };
        let limits = StoreLimits { series: 1000, retention: Duration::from_secs(2 * 3600) };
        Self { store: Store::new(limits), engine: RuleEngine::new(groups, options), fired: Vec::new(), told: 0 }
    }

    /// One slot: evaluates and notes what is new.
    fn slot(&mut self, now: i64) {
        let now = Timestamp::from_millis(now);
        for failure in self.engine.evaluate(&mut self.store, now).iter().flat_map(|report| &report.failures) {
            assert!(failure.contains(NO_SAMPLE), "{failure}");
        }
        let firing = |alert: &&ActiveAlert| alert.state == AlertState::Firing && alert.fired_at == Some(now);
        let names =
            self.engine.alerts().into_iter().filter(firing).map(|a| a.labels.get("alertname").unwrap().to_owned());
        self.fired.extend(names.map(|name| (name, now)));
        self.told += self.engine.to_notify(now).len();
        if now.millis() % 600_000 == 0 {
            self.store.expire(now);
        }
    }
}

/// Replays the CPU gauge, sampled every `period` milliseconds, and gives how often the alert fired. Where a sample is
/// missing the source is down, as the agent would say.
fn episodes(samples: &[(i64, f64)], period: i64) -> usize {
    const METRIC: &str = "plimsoll_cpu_utilization_ratio";
    let mut replay = Replay::of("plimsoll-system");
    let series = Labels::metric(METRIC, []);
    let end = samples.last().unwrap().0 + period;
    let (mut rest, mut last) = (samples.iter().peekable(), samples[0].0);
    let mut now = last.div_euclid(SLOT) * SLOT;
    while now < end {
        while let Some((at, value)) = rest.next_if(|(at, _)| *at <= now) {
            replay.store.append(&series, Timestamp::from_millis(*at), *value);
            last = *at;
        }
        replay.store.set_unavailable(METRIC, (now - last >= period).then_some(NO_SAMPLE));
        replay.slot(now);
        now += SLOT;
    }
    assert!(replay.fired.iter().all(|(name, _)| name == "PlimsollCpuHigh"), "{:?}", replay.fired);
    replay.fired.len()
}

/// Milliseconds of `2014-04-10 00:04:00`.
fn millis(text: &str) -> i64 {
    let numbers: Vec<i64> = text.split(['-', ' ', ':', '.']).take(6).map(|n| n.parse().unwrap()).collect();
    let [year, month, day, hour, minute, second] = numbers[..] else { panic!("{text}") };
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000
}

/// Every episode above 85 % that holds 5 minutes fires once, nothing else does: five machines of a cloud, two weeks.
#[test]
fn cpu_episodes_of_a_cloud_fire_exactly() {
    let Some(expected) = expected() else { return };
    for (name, facts) in expected["cpu_over_85_for_5min"].as_object().unwrap() {
        let Some(path) = shared(&format!("data/nab/data/{name}.gz")) else { return };
        let text = read(&path);
        let samples: Vec<(i64, f64)> = text
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(','))
            .map(|(at, value)| (millis(at), value.parse::<f64>().unwrap() / 100.0))
            .collect();
        let fired = episodes(&samples, facts["sample_s"].as_i64().unwrap() * 1000);
        println!("{name}: {} samples, {fired} firings", samples.len());
        assert_eq!(fired as u64, facts["held_ge_300s"].as_u64().unwrap(), "{name}");
    }
}

/// The same on two servers sampled every minute, for the column that behaves as CPU and one that flaps more.
#[test]
fn cpu_episodes_of_servers_fire_exactly() {
    let Some(expected) = expected() else { return };
    for (name, facts) in expected["smd_over_0.85"].as_object().unwrap() {
        let (file, column) = name.split_once(":m").unwrap();
        let Some(path) = shared(&format!("data/smd/{file}")) else { return };
        let (text, column) = (read(&path), column.parse::<usize>().unwrap());
        let value = |line: &str| line.split(',').nth(column).unwrap().parse::<f64>().unwrap();
        let samples: Vec<(i64, f64)> =
            text.lines().skip(1).enumerate().map(|(n, line)| (START + 60_000 * n as i64, value(line))).collect();
        let fired = episodes(&samples, facts["sample_s"].as_i64().unwrap() * 1000);
        println!("{name}: {} samples, {fired} firings", samples.len());
        assert_eq!(fired as u64, facts["held_ge_300s"].as_u64().unwrap(), "{name}");
    }
}

/// A request of a trace: milliseconds from its start, prompt and answer tokens.
type Request = (i64, f64, f64);

/// Replays requests as the agent sees them: counters grow with each, every 5 seconds they are copied into the store.
fn replay(requests: &[Request]) -> Replay {
    let mut replay = Replay::of("plimsoll-model");
    let labels = [("model", "m"), ("variant", "v"), ("source", "tap")];
    let names = ["input_tokens_sum", "input_tokens_count", "output_tokens_sum", "output_tokens_count"];
    let series = names.map(|name| Labels::metric(&format!("plimsoll_{name}"), labels));
    let (mut totals, mut rest) = ([0.0; 4], requests.iter().peekable());
    for tick in 0..=(requests.last().unwrap().0 + 300_000) / 5000 {
        let passed = tick * 5000;
        while let Some((_, input, output)) = rest.next_if(|(at, ..)| *at <= passed) {
            totals = [totals[0] + input, totals[1] + 1.0, totals[2] + output, totals[3] + 1.0];
        }
        let now = START + passed;
        if totals[1] > 0.0 {
            for (labels, total) in series.iter().zip(totals) {
                replay.store.append(labels, Timestamp::from_millis(now), total);
            }
        }
        if now % SLOT == 0 {
            replay.slot(now);
        }
    }
    replay
}

fn requests(file: &str, time: impl Fn(&str) -> i64) -> Option<Vec<Request>> {
    let text = read(&shared(&format!("data/llm/{file}"))?);
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let all: Vec<Request> = rows.map(|r| (time(r[0]), r[1].parse().unwrap(), r[2].parse().unwrap())).collect();
    let first = all[0].0;
    Some(all.into_iter().map(|(at, input, output)| (at - first, input, output)).collect())
}

/// An hour of a real service whose contents do not drift (but which pauses three times): every alarm is false.
#[test]
fn a_steady_service_raises_no_alarm() {
    let Some(requests) = requests("azure_code_2023.csv.gz", |at| millis(at) + at[20..23].parse::<i64>().unwrap())
    else {
        return;
    };
    let replay = replay(&requests);
    println!("{} requests in {} s: fired {:?}", requests.len(), requests.last().unwrap().0 / 1000, replay.fired);
    assert_eq!(replay.fired, []);
    assert_eq!(replay.told, 0);
}

/// Two days of that service's requests in random order, one every 400 ms: nothing drifts, so what fires is the rule's
/// false-alarm rate. (Answers are the hard case: their lengths have no finite variance.)
#[test]
fn two_shuffled_days_raise_few_alarms() {
    let Some(requests) = requests("azure_code_2023.csv.gz", millis) else { return };
    let mut seed = 7_u64;
    let mut draw = || {
        // Knuth's MMIX generator; its high bits are random enough to draw with.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        requests[(seed >> 33) as usize % requests.len()]
    };
    let shuffled: Vec<Request> = (0..2 * 86_400_000 / 400).map(|n| (n * 400, draw().1, draw().2)).collect();
    let replay = replay(&shuffled);
    let count = |alert: &str| replay.fired.iter().filter(|(name, _)| name == alert).count();
    let (input, output) = (count("PlimsollInputLengthShift"), count("PlimsollOutputTokensShift"));
    println!("two days: {input} false alarms on prompts, {output} on answers");
    assert!(input == 0 && output <= 6, "{:?}", replay.fired);
}

/// Seventeen minutes whose prompts double and whose answers shrink to a fifth from second 480 on.
#[test]
fn a_ramp_is_found() {
    let Some(requests) = requests("mooncake_synthetic.csv.gz", |at| at.parse().unwrap()) else { return };
    let replay = replay(&requests);
    let seconds = |(name, at): &(String, Timestamp)| (name.clone(), (at.millis() - START) / 1000);
    let fired: Vec<(String, i64)> = replay.fired.iter().map(seconds).collect();
    println!("{} requests: fired {fired:?}", requests.len());
    for alert in ["PlimsollInputLengthShift", "PlimsollOutputTokensShift"] {
        let times: Vec<i64> = fired.iter().filter(|(name, _)| name == alert).map(|(_, at)| *at).collect();
        assert_eq!(times.len(), 1, "{alert} fires once: {fired:?}");
        assert!((480..=1022).contains(&times[0]), "{alert} fires within the ramp: {fired:?}");
    }
}
