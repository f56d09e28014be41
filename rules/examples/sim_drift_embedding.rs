//! Does the embedding detector keep its stated rate of false alarms, and how soon does it see a new subject?
//!
//! ```text
//! make sim-drift-embedding
//! ```
//!
//! Arguments: the folder that `tests/bench/drift/minilm_vectors.py` wrote, the number of runs, and part of a table's title to make only that. Each run holds ten
//! of the 77 intents out, learns from 1 000 questions of the others and draws the stream from a half that it has not
//! seen; drift mixes in the held-out intents, Chinese questions or code. Seeds are fixed: the tables come out the same.

use std::path::Path;
use std::time::{Duration, Instant};

use plimsoll_rules::drift::embedding::{EmbeddingDetector, EmbeddingSettings};
use plimsoll_rules::text::HashedEmbedder;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const REFERENCE: usize = 1000;
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

/// One draw of held-out intents, reference and stream.
struct Scene<'a> {
    corpus: &'a Corpus,
    usual: Vec<usize>,
    by_subject: Vec<Vec<usize>>,
    held_out: Vec<usize>,
    /// Chance that the next question is of the same intent as the last.
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
    fn new(corpus: &'a Corpus, stay: f64, seed: u64) -> (Self, Vec<usize>) {
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
            (0..REFERENCE).map(|_| scene.next(NO_DRIFT)).collect()
        } else {
            scene.usual[..REFERENCE].to_vec()
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
    fn delay(&mut self, detector: &mut EmbeddingDetector, drift: Drift<'_>) -> Option<usize> {
        detector.restart();
        for _ in 0..SETTLED {
            self.run(detector, NO_DRIFT, 1);
        }
        self.run(detector, drift, LONGEST)
    }
}

/// Run lengths, some of which ended without an alarm.
#[derive(Default)]
struct Lengths {
    total: f64,
    alarms: usize,
    runs: usize,
}

impl Lengths {
    fn add(&mut self, found: Option<usize>, most: usize) {
        self.total += found.unwrap_or(most) as f64;
        self.alarms += usize::from(found.is_some());
        self.runs += 1;
    }
}

/// What all runs of one kind gave.
#[derive(Default)]
struct Table {
    lengths: Vec<(f64, Lengths)>,
    delays: Vec<(String, Lengths)>,
    learning: Duration,
    updating: Duration,
    updates: usize,
}

impl Table {
    fn run(&mut self, corpus: &Corpus, stay: f64, seed: u64) -> Outcome<()> {
        let (mut scene, reference) = Scene::new(corpus, stay, seed);
        let reference: Vec<&[f32]> = reference.iter().map(|at| corpus.vector(*at)).collect();
        let start = Instant::now();
        let settings = EmbeddingSettings { arl: 1000.0, dead_zone: 0.0, seed };
        let mut detector = EmbeddingDetector::learn(&reference, &settings)?;
        self.learning += start.elapsed();
        for (arl, lengths) in &mut self.lengths {
            detector.set_run_length(*arl)?;
            detector.restart();
            let most = (*arl * 20.0) as usize;
            let start = Instant::now();
            let found = scene.run(&mut detector, NO_DRIFT, most);
            self.updating += start.elapsed();
            self.updates += found.unwrap_or(most);
            lengths.add(found, most);
        }
        detector.set_run_length(1000.0)?;
        self.delays(&mut scene, &mut detector);
        Ok(())
    }

    fn delays(&mut self, scene: &mut Scene<'_>, detector: &mut EmbeddingDetector) {
        let held_out = ("held-out intents", scene.held_out.clone());
        let foreign = scene.corpus.foreign.iter().map(|(name, range)| (*name, range.clone().collect::<Vec<_>>()));
        let mut at = 0;
        for (name, novel) in std::iter::once(held_out).chain(foreign) {
            for share in SHARES {
                if self.delays.len() == at {
                    self.delays.push((format!("{:>3.0} % {name}", share * 100.0), Lengths::default()));
                }
                self.delays[at].1.add(scene.delay(detector, Drift { share, novel: &novel }), LONGEST);
                at += 1;
            }
        }
    }

    fn print(&self, name: &str, runs: u64) {
        let update = self.updating.as_secs_f64() * 1e6 / self.updates as f64;
        println!(
            "{name}: {runs} runs; learning {:.3} s, update {update:.2} us",
            self.learning.as_secs_f64() / runs as f64
        );
        for (arl, Lengths { total, alarms, runs }) in &self.lengths {
            let mean = total / (*alarms).max(1) as f64;
            println!("  ARL {arl:>6}: measured {mean:>9.0} = {:.2}x ({alarms} of {runs} ended)", mean / arl);
        }
        for (what, Lengths { total, alarms, runs }) in &self.delays {
            println!("  delay at {what}: {:>6.1} ({alarms} of {runs} seen)", total / *runs as f64);
        }
    }
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let runs: u64 = arguments.next().map_or(Ok(300), |runs| runs.parse())?;
    let wanted = arguments.next().unwrap_or_default();
    let kinds = [("independent", 0.0, 10_000.0), ("sessions of 2", 0.5, 1000.0), ("sessions of 5", 0.8, 1000.0)];
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
        for (kind, stay, longest) in kinds {
            let title = format!("{embedding}, {kind}");
            if !title.contains(&wanted) {
                continue;
            }
            let arls = [1000.0, 10_000.0].into_iter().filter(|arl| *arl <= longest);
            let mut table = Table { lengths: arls.map(|arl| (arl, Lengths::default())).collect(), ..Table::default() };
            for seed in 0..runs {
                table.run(&corpus, stay, seed)?;
            }
            table.print(&title, runs);
        }
    }
    Ok(())
}
