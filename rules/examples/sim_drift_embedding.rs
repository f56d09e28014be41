//! Does the embedding detector keep its stated rate of false alarms, and how soon does it see a new subject?
//!
//! ```text
//! make sim-drift-embedding
//! ```
//!
//! Arguments: the folder that `tests/bench/drift/minilm_vectors.py` wrote, the number of runs, and part of a table's title
//! to make only that. Each run holds ten of the 77 intents out, learns from 1 000 (or 300) questions of the others and
//! draws the stream from a half that it has not seen; drift mixes in the held-out intents, Chinese questions or code after
//! 300 observations without drift. A run that alarms within those says nothing about a delay: it is left out and counted.
//! Seeds are fixed: the tables come out the same.

#![expect(clippy::disallowed_methods, reason = "an example may read files and measure time")]
#![expect(clippy::print_stdout, reason = "an example may print")]

use std::path::Path;
use std::time::Instant;

use plimsoll_rules::drift::embedding::{EmbeddingDetector, EmbeddingSettings};
use plimsoll_rules::text::HashedEmbedder;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const HELD_OUT: usize = 10;
/// Observations without drift before it begins.
const SETTLED: usize = 300;
const SHARES: [f64; 4] = [0.10, 0.25, 0.50, 1.00];
/// Where a run without an alarm is given up.
const LONGEST: usize = 4000;
const DIM: usize = 384;

/// Texts as vectors, with the subject of each.
struct Corpus {
    vectors: Vec<f32>,
    subjects: Vec<usize>,
    count: usize,
    /// Vectors of other worlds, by name.
    foreign: Vec<(&'static str, std::ops::Range<usize>)>,
}

impl Corpus {
    fn minilm(folder: &Path) -> Outcome<Self> {
        let bytes = std::fs::read(folder.join("banking77.f32"))?;
        let vectors =
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
        let (subjects, count) = subjects(&column(folder, "banking77", "intent")?);
        Ok(Self { vectors, subjects, count, foreign: Vec::new() })
    }

    fn hashed(folder: &Path) -> Outcome<Self> {
        let (subjects, count) = subjects(&column(folder, "banking77", "intent")?);
        let mut texts = column(folder, "banking77", "text")?;
        let mut foreign = Vec::new();
        for (name, file) in [("Chinese", "crosswoz"), ("code", "humaneval")] {
            let start = texts.len();
            texts.extend(column(folder, file, "text")?);
            foreign.push((name, start..texts.len()));
        }
        let embedder = HashedEmbedder::default();
        let (start, bytes) = (Instant::now(), texts.iter().map(String::len).sum::<usize>());
        let vectors = texts.iter().flat_map(|text| embedder.embed(text)).collect();
        println!("hashed embedder: {:.1} MB/s", bytes as f64 / 1e6 / start.elapsed().as_secs_f64());
        Ok(Self { vectors, subjects, count, foreign })
    }

    fn vector(&self, at: usize) -> &[f32] {
        &self.vectors[at * DIM..(at + 1) * DIM]
    }
}

fn column(folder: &Path, file: &str, field: &str) -> Outcome<Vec<String>> {
    let lines = std::fs::read_to_string(folder.join(format!("{file}.jsonl")))?;
    let parsed = lines.lines().map(serde_json::from_str::<serde_json::Value>);
    Ok(parsed
        .map(|line| Ok(line?[field].as_str().unwrap_or_default().to_owned()))
        .collect::<Result<_, serde_json::Error>>()?)
}

fn subjects(names: &[String]) -> (Vec<usize>, usize) {
    let mut known: Vec<&String> = names.iter().collect();
    known.sort_unstable();
    known.dedup();
    (names.iter().filter_map(|name| known.binary_search(&name).ok()).collect(), known.len())
}

/// What a table is about.
#[derive(Clone, Copy)]
struct Kind {
    title: &'static str,
    /// Chance that the next question is of the same intent as the last.
    stay: f64,
    /// Vectors to learn from.
    reference: usize,
    /// Longest run length tried.
    longest: f64,
}

const KINDS: [Kind; 4] = [
    Kind { title: "independent, m = 1000", stay: 0.0, reference: 1000, longest: 10_000.0 },
    Kind { title: "independent, m = 300", stay: 0.0, reference: 300, longest: 10_000.0 },
    Kind { title: "sessions of 2, m = 1000", stay: 0.5, reference: 1000, longest: 1000.0 },
    Kind { title: "sessions of 5, m = 1000", stay: 0.8, reference: 1000, longest: 1000.0 },
];

/// One draw of held-out intents, reference and stream.
struct Scene<'a> {
    corpus: &'a Corpus,
    usual: Vec<usize>,
    by_subject: Vec<Vec<usize>>,
    held_out: Vec<usize>,
    stay: f64,
    last: usize,
    rng: fastrand::Rng,
}

/// What is mixed into the stream.
#[derive(Clone, Copy)]
struct Drift<'a> {
    share: f64,
    novel: &'a [usize],
}

const NO_DRIFT: Drift<'static> = Drift { share: 0.0, novel: &[] };

impl<'a> Scene<'a> {
    /// The scene, and its reference.
    fn new(corpus: &'a Corpus, Kind { stay, reference, .. }: Kind, seed: u64) -> (Self, Vec<usize>) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut subjects: Vec<usize> = (0..corpus.count).collect();
        rng.shuffle(&mut subjects);
        let held = &subjects[..HELD_OUT];
        let (held_out, mut usual): (Vec<usize>, Vec<usize>) =
            (0..corpus.subjects.len()).partition(|at| held.contains(&corpus.subjects[*at]));
        rng.shuffle(&mut usual);
        let rest = usual.split_off(usual.len() / 2);
        let mut scene = Self { corpus, usual: Vec::new(), by_subject: Vec::new(), held_out, stay, last: 0, rng };
        scene.draw_from(usual);
        let reference = if stay > 0.0 {
            (0..reference).map(|_| scene.next(NO_DRIFT)).collect()
        } else {
            scene.usual[..reference].to_vec()
        };
        scene.draw_from(rest);
        (scene, reference)
    }

    fn draw_from(&mut self, usual: Vec<usize>) {
        self.by_subject = vec![Vec::new(); self.corpus.count];
        for at in &usual {
            self.by_subject[self.corpus.subjects[*at]].push(*at);
        }
        self.last = usual[0];
        self.usual = usual;
    }

    fn next(&mut self, drift: Drift<'_>) -> usize {
        if drift.share > 0.0 && self.rng.f64() < drift.share {
            return drift.novel[self.rng.usize(..drift.novel.len())];
        }
        let alike = &self.by_subject[self.corpus.subjects[self.last]];
        let from = if self.stay > 0.0 && self.rng.f64() < self.stay { alike } else { &self.usual };
        self.last = from[self.rng.usize(..from.len())];
        self.last
    }

    /// Observations up to the first alarm, at most `most`.
    fn run(&mut self, detector: &mut EmbeddingDetector, drift: Drift<'_>, most: usize) -> Option<usize> {
        (1..=most).find(|_| {
            let at = self.next(drift);
            detector.update(self.corpus.vector(at)).is_ok_and(|reading| reading.alarm)
        })
    }

    /// Observations from the drift's beginning to the alarm.
    fn delay(&mut self, detector: &mut EmbeddingDetector, drift: Drift<'_>) -> Delay {
        detector.restart();
        if self.run(detector, NO_DRIFT, SETTLED).is_some() {
            return Delay::FalseAlarm;
        }
        self.run(detector, drift, LONGEST).map_or(Delay::Unseen, Delay::Seen)
    }
}

/// How a run with drift ended.
#[derive(Clone, Copy)]
enum Delay {
    /// Before the drift began.
    FalseAlarm,
    Seen(usize),
    Unseen,
}

/// What one run gave.
struct Run {
    /// Run length wanted, and observations to the first alarm.
    lengths: Vec<(f64, Option<usize>)>,
    delays: Vec<(String, Delay)>,
    learning: f64,
}

/// Where a run of the length `arl` is given up.
fn cap(arl: f64) -> usize {
    (arl * 20.0) as usize
}

impl Run {
    fn new(corpus: &Corpus, kind: Kind, seed: u64) -> Outcome<Self> {
        let (mut scene, reference) = Scene::new(corpus, kind, seed);
        let reference: Vec<&[f32]> = reference.iter().map(|at| corpus.vector(*at)).collect();
        let start = Instant::now();
        let settings = EmbeddingSettings { arl: 1000.0, dead_zone: 0.0, seed };
        let mut detector = EmbeddingDetector::learn(&reference, &settings)?;
        let learning = start.elapsed().as_secs_f64();
        let mut lengths = Vec::new();
        for arl in [1000.0, 10_000.0].into_iter().filter(|arl| *arl <= kind.longest) {
            detector.set_run_length(arl)?;
            detector.restart();
            lengths.push((arl, scene.run(&mut detector, NO_DRIFT, cap(arl))));
        }
        detector.set_run_length(1000.0)?;
        Ok(Self { lengths, delays: delays(&mut scene, &mut detector), learning })
    }
}

fn delays(scene: &mut Scene<'_>, detector: &mut EmbeddingDetector) -> Vec<(String, Delay)> {
    let held_out = ("held-out intents", scene.held_out.clone());
    let foreign = scene.corpus.foreign.iter().map(|(name, range)| (*name, range.clone().collect::<Vec<_>>()));
    let mut delays = Vec::new();
    for (name, novel) in std::iter::once(held_out).chain(foreign) {
        for share in SHARES {
            let delay = scene.delay(detector, Drift { share, novel: &novel });
            delays.push((format!("{:>3.0} % {name}", share * 100.0), delay));
        }
    }
    delays
}

/// Mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

fn print(title: &str, runs: &[Run]) {
    let (learning, _) = mean(&runs.iter().map(|run| run.learning).collect::<Vec<_>>());
    println!("{title}: {} runs; learning {learning:.3} s", runs.len());
    let Some(first) = runs.first() else { return };
    for (at, (arl, _)) in first.lengths.iter().enumerate() {
        let ended = runs.iter().filter(|run| run.lengths[at].1.is_some()).count();
        let lengths: Vec<f64> = runs.iter().map(|run| run.lengths[at].1.unwrap_or(cap(*arl)) as f64).collect();
        let (_, error) = mean(&lengths);
        let mean = lengths.iter().sum::<f64>() / ended.max(1) as f64;
        println!("  ARL {arl:>6}: {mean:>9.0} = {:.2}x (se {:.2}, {ended} ended)", mean / arl, error / arl);
    }
    for (at, (what, _)) in first.delays.iter().enumerate() {
        print_delay(what, &runs.iter().map(|run| run.delays[at].1).collect::<Vec<_>>());
    }
}

fn print_delay(what: &str, delays: &[Delay]) {
    let observations = |delay: &Delay| match delay {
        Delay::FalseAlarm => None,
        Delay::Seen(after) => Some(*after as f64),
        Delay::Unseen => Some(LONGEST as f64),
    };
    let mut counted: Vec<f64> = delays.iter().filter_map(observations).collect();
    counted.sort_by(f64::total_cmp);
    let ((mean, error), median) = (mean(&counted), counted.get(counted.len() / 2).copied().unwrap_or(f64::NAN));
    let unseen = delays.iter().filter(|delay| matches!(delay, Delay::Unseen)).count();
    println!(
        "  delay at {what}: mean {mean:>6.1} (se {error:.1}), median {median:.0}; {} runs, {unseen} of them not seen \
         within {LONGEST}; {} left out (alarm before)",
        counted.len(),
        delays.len() - counted.len()
    );
}

/// All runs of one kind, on two threads.
fn all(corpus: &Corpus, kind: Kind, runs: u64) -> Outcome<Vec<Run>> {
    let part = |first: u64| {
        let run = |seed| Run::new(corpus, kind, seed).map_err(|error| error.to_string());
        (first..runs).step_by(2).map(run).collect::<Result<Vec<_>, String>>()
    };
    let (even, odd) = std::thread::scope(|scope| {
        let odd = scope.spawn(|| part(1));
        (part(0), odd.join())
    });
    let mut all = even?;
    all.extend(odd.map_err(|_| "a run ended badly")??);
    Ok(all)
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let runs: u64 = arguments.next().map_or(Ok(300), |runs| runs.parse())?;
    let wanted = arguments.next().unwrap_or_default();
    for (embedding, corpus) in
        [("MiniLM", Corpus::minilm(Path::new(&folder))), ("hashed n-grams", Corpus::hashed(Path::new(&folder)))]
    {
        let corpus = match corpus {
            Ok(corpus) => corpus,
            Err(error) => {
                println!("{embedding}: SKIPPED: {error}");
                continue;
            }
        };
        for kind in KINDS {
            let title = format!("{embedding}, {}", kind.title);
            if title.contains(&wanted) {
                print(&title, &all(&corpus, kind, runs)?);
            }
        }
    }
    Ok(())
}
