//! The detectors on real traces: one that does not drift and one that does.

use fastrand::Rng;
use plimsoll_rules::Timestamp;
use plimsoll_rules::drift::{Burst, Change, DetectorConfig, FalseAlarms, ScalarDetector, ScalarReference};

/// Tokens of a service in order, with times in seconds since its first request.
pub struct Trace {
    pub seconds: Vec<f64>,
    pub input: Vec<f64>,
    pub output: Vec<f64>,
}

/// What is shared beside the checkout.
pub struct Traces {
    pub azure: Trace,
    pub mooncake: Trace,
}

impl Trace {
    pub fn len(&self) -> usize {
        self.seconds.len()
    }

    fn read(path: &str, time: fn(&str) -> Option<f64>) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let mut trace = Self { seconds: vec![], input: vec![], output: vec![] };
        for line in text.lines().skip(1) {
            let mut cells = line.split(',');
            trace.seconds.push(time(cells.next()?)?);
            trace.input.push(cells.next()?.parse().ok()?);
            trace.output.push(cells.next()?.trim().parse().ok()?);
        }
        let first = *trace.seconds.first()?;
        trace.seconds.iter_mut().for_each(|second| *second -= first);
        Some(trace)
    }

    fn rate(&self) -> f64 {
        self.len() as f64 / self.seconds.last().copied().unwrap_or(1.0)
    }
}

impl Traces {
    pub fn read(folder: &str) -> Option<Self> {
        // 2023-11-16 18:17:03.9799600
        let clock = |text: &str| Some(Timestamp::from_rfc3339(&format!("{}Z", text.replace(' ', "T")))?.secs_f64());
        let azure = Trace::read(&format!("{folder}/azure.csv"), clock)?;
        let millis = |text: &str| text.parse::<f64>().ok().map(|millis| millis / 1000.0);
        Some(Self { azure, mooncake: Trace::read(&format!("{folder}/mooncake.csv"), millis)? })
    }
}

/// The rows of alarms, and the most evidence seen as a share of the level.
fn watch(values: &[f64], seconds: &[f64], learned: usize, arl: f64) -> (Vec<usize>, f64, ScalarDetector) {
    watch_with(values, seconds, learned, DetectorConfig::new(arl))
}

fn watch_with(
    values: &[f64],
    seconds: &[f64],
    learned: usize,
    config: DetectorConfig,
) -> (Vec<usize>, f64, ScalarDetector) {
    let at = |row: usize| Timestamp::from_secs_f64(seconds[row]);
    let reference = ScalarReference::learn(&values[..learned], 1).expect("large enough");
    let mut detector = ScalarDetector::new(reference, config, at(learned)).expect("sound settings");
    let (mut alarms, mut most) = (vec![], f64::NEG_INFINITY);
    for (row, value) in values.iter().enumerate().skip(learned) {
        if detector.observe(at(row), *value) == Change::Raised {
            alarms.push(row);
        }
        most = most.max(detector.evidence() / detector.level());
    }
    (alarms, most, detector)
}

/// Prints what happens on both traces at one false alarm in 30 days.
pub fn report(traces: Option<&Traces>) {
    let Some(Traces { azure, mooncake }) = traces else {
        println!("SKIPPED: traces (no --data FOLDER)");
        return;
    };
    let month = FalseAlarms::new(1.0, std::time::Duration::from_secs(30 * 86_400)).expect("sound");
    let arl = month.arl(azure.rate());
    for (name, values) in [("input", &azure.input), ("output", &azure.output)] {
        for learned in [500, 1000, 2000, 3000, 4000, 5000] {
            let (alarms, most, _) = watch(values, &azure.seconds, learned, arl);
            println!(
                "azure {name:<6} in order, m={learned}: alarms at rows {alarms:?}; most evidence {most:.2} of the level"
            );
        }
        let shuffled = (1..=20).map(|seed| {
            let mut values = values.clone();
            Rng::with_seed(seed).shuffle(&mut values);
            watch(&values, &azure.seconds, 2000, arl).0.len()
        });
        println!("azure {name:<6} 20 shuffles, m=2000: {} alarms", shuffled.sum::<usize>());
    }
    for (name, burst) in [("free", Burst::Free), ("held", Burst::Held)] {
        let config = DetectorConfig { burst: Some(burst), ..DetectorConfig::new(arl) };
        offsets(name, &azure.seconds, &azure.input, config);
    }
    for (name, values) in [("input", &mooncake.input), ("output", &mooncake.output)] {
        println!(
            "mooncake {name:<6} 480 to 600 s: {:.1} nats of information, one false alarm in 30 days wants {:.1}",
            information(mooncake, values, 480.0, 600.0),
            month.arl(mooncake.rate()).ln()
        );
    }
    for arl in [1000.0, 10_000.0, 100_000.0, month.arl(mooncake.rate())] {
        ramp(mooncake, arl);
    }
}

/// Other references than those above: how many of them lead to an alarm on what follows.
fn offsets(burst: &str, seconds: &[f64], values: &[f64], config: DetectorConfig) {
    let places = (0..4000).step_by(500).flat_map(|from| (500..=4000).step_by(250).map(move |learned| (from, learned)));
    let (mut alarmed, mut all) = (0, 0);
    for (from, learned) in places {
        let found = watch_with(&values[from..], &seconds[from..], learned, config).0;
        alarmed += usize::from(!found.is_empty());
        all += 1;
    }
    println!("azure input  bursts {burst}: {alarmed} of {all} references elsewhere lead to an alarm");
}

/// What the values between two seconds tell about a change from those before, in nats: their number times the
/// Kullback-Leibler divergence over 16 equally likely bins, less its bias `15/2n`. No test whose false alarms are `A`
/// apart can, on average, alarm before it has seen `ln A` (Lorden, Annals of Mathematical Statistics 42, 1971).
fn information(trace: &Trace, values: &[f64], from: f64, to: f64) -> f64 {
    let between = |from: f64, to: f64| {
        let timed = trace.seconds.iter().zip(values);
        timed.filter(move |(second, _)| (from..to).contains(*second)).map(|(_, value)| *value)
    };
    let reference: Vec<f64> = between(0.0, from).collect();
    let learned = ScalarReference::learn(&reference, 1).expect("large enough");
    let shares = |values: &mut dyn Iterator<Item = f64>| {
        let mut counts = [0.0; 16];
        values.for_each(|value| counts[((learned.share_below(value) * 16.0) as usize).min(15)] += 1.0);
        counts
    };
    let (before, after) = (shares(&mut reference.iter().copied()), shares(&mut between(from, to)));
    let (m, n) = (before.iter().sum::<f64>(), after.iter().sum::<f64>());
    let divergence = |(p, q): (&f64, &f64)| if *q > 0.0 { q / n * ((q / n) / (p.max(0.5) / m)).ln() } else { 0.0 };
    let plain: f64 = before.iter().zip(&after).map(divergence).sum();
    n * (plain - 7.5 / n - 7.5 / m)
}

/// When the ramp of the synthetic trace is found, at one average run length.
fn ramp(mooncake: &Trace, arl: f64) {
    for (name, values) in [("input", &mooncake.input), ("output", &mooncake.output)] {
        for learned in [500, 1000, 1500] {
            let (alarms, most, detector) = watch(values, &mooncake.seconds, learned, arl);
            let seconds: Vec<f64> = alarms.iter().map(|row| mooncake.seconds[*row].round()).collect();
            let from = mooncake.seconds[learned].round();
            let why = detector.explain();
            let (before, now) = (why.reference.p50, why.recent.map_or(f64::NAN, |recent| recent.p50));
            println!(
                "mooncake {name:<6} ARL {arl:.0} m={learned} (watched from {from} s): alarms at {seconds:?} s \
                 (evidence {most:.2}); {:?} since {:.0} s, median {before} -> {now}",
                why.direction,
                why.since.secs_f64()
            );
        }
    }
}
