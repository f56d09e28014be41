//! Does the embedding detector keep its stated rate of false alarms, and how soon does it see a new subject?
//!
//! ```text
//! make sim-drift-embedding
//! ```
//!
//! Arguments: the folder that `tests/bench/drift/minilm_vectors.py` wrote, and the number of runs. Each run holds ten
//! of the 77 intents out, learns from 1 000 questions of the others and draws the stream from those it has not learned
//! from; drift mixes the held-out intents in. Seeds are fixed: the table comes out the same everywhere.

use std::path::Path;
use std::time::{Duration, Instant};

use plimsoll_rules::drift::embedding::{EmbeddingDetector, EmbeddingSettings};

const REFERENCE: usize = 1000;
const HELD_OUT: usize = 10;
const SETTLED: usize = 300;
const SHARES: [f64; 4] = [0.10, 0.25, 0.50, 1.00];
const LONGEST: usize = 4000;

/// Texts as vectors, with the subject of each.
struct Corpus {
    dim: usize,
    vectors: Vec<f32>,
    subjects: Vec<usize>,
    count: usize,
}

impl Corpus {
    fn read(folder: &Path) -> std::io::Result<Self> {
        let bytes = std::fs::read(folder.join("banking77.f32"))?;
        let vectors =
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
        let names = std::fs::read_to_string(folder.join("banking77.intents"))?;
        let mut known: Vec<&str> = names.lines().collect();
        known.sort_unstable();
        known.dedup();
        let subjects = names.lines().filter_map(|name| known.binary_search(&name).ok()).collect();
        Ok(Self { dim: 384, vectors, subjects, count: known.len() })
    }

    fn vector(&self, at: usize) -> &[f32] {
        &self.vectors[at * self.dim..(at + 1) * self.dim]
    }
}

/// One draw of held-out intents, reference and stream.
struct Scene<'a> {
    corpus: &'a Corpus,
    usual: Vec<usize>,
    by_subject: Vec<Vec<usize>>,
    novel: Vec<usize>,
    /// Chance that the next question is of the same intent as the last.
    stay: f64,
    last: usize,
    rng: fastrand::Rng,
}

impl<'a> Scene<'a> {
    fn new(corpus: &'a Corpus, stay: f64, seed: u64) -> (Self, Vec<usize>) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut subjects: Vec<usize> = (0..corpus.count).collect();
        rng.shuffle(&mut subjects);
        let held = &subjects[..HELD_OUT];
        let (novel, mut usual): (Vec<usize>, Vec<usize>) =
            (0..corpus.subjects.len()).partition(|at| held.contains(&corpus.subjects[*at]));
        rng.shuffle(&mut usual);
        let rest = usual.split_off(usual.len() / 2);
        let mut scene = Self { corpus, usual: Vec::new(), by_subject: Vec::new(), novel, stay, last: 0, rng };
        scene.draw_from(usual);
        let reference = if stay > 0.0 {
            (0..REFERENCE).map(|_| scene.next(0.0)).collect()
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
        self.usual = usual;
        self.last = self.usual[0];
    }

    fn next(&mut self, share: f64) -> usize {
        if share > 0.0 && self.rng.f64() < share {
            return self.novel[self.rng.usize(..self.novel.len())];
        }
        let alike = &self.by_subject[self.corpus.subjects[self.last]];
        let from = if self.stay > 0.0 && self.rng.f64() < self.stay { alike } else { &self.usual };
        self.last = from[self.rng.usize(..from.len())];
        self.last
    }

    /// Observations up to the first alarm, at most `most`.
    fn run(&mut self, detector: &mut EmbeddingDetector, share: f64, most: usize) -> Option<usize> {
        (1..=most).find(|_| {
            let at = self.next(share);
            detector.update(self.corpus.vector(at)).is_ok_and(|reading| reading.alarm)
        })
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

    fn mean(&self) -> f64 {
        self.total / self.alarms.max(1) as f64
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let runs: u64 = arguments.next().map_or(Ok(300), |runs| runs.parse())?;
    let corpus = Corpus::read(Path::new(&folder))?;
    for (name, stay, longest) in
        [("independent", 0.0, 10_000.0), ("sessions of 2", 0.5, 1000.0), ("sessions of 5", 0.8, 1000.0)]
    {
        table(&corpus, name, stay, longest, runs)?;
    }
    Ok(())
}

fn table(corpus: &Corpus, name: &str, stay: f64, longest: f64, runs: u64) -> Result<(), Box<dyn std::error::Error>> {
    let arls: Vec<f64> = [1000.0, 10_000.0, 100_000.0].into_iter().filter(|arl| *arl <= longest).collect();
    let mut lengths: Vec<Lengths> = arls.iter().map(|_| Lengths::default()).collect();
    let mut delays: Vec<Lengths> = SHARES.iter().map(|_| Lengths::default()).collect();
    let (mut learning, mut updating, mut updates) = (Duration::ZERO, Duration::ZERO, 0_usize);
    for seed in 0..runs {
        let (mut scene, reference) = Scene::new(corpus, stay, seed);
        let reference: Vec<&[f32]> = reference.iter().map(|at| corpus.vector(*at)).collect();
        let start = Instant::now();
        let mut detector =
            EmbeddingDetector::learn(&reference, &EmbeddingSettings { arl: 1000.0, dead_zone: 0.0, seed })?;
        learning += start.elapsed();
        for (lengths, arl) in lengths.iter_mut().zip(&arls) {
            detector.set_run_length(*arl)?;
            detector.restart();
            let most = (*arl * 20.0) as usize;
            let start = Instant::now();
            let found = scene.run(&mut detector, 0.0, most);
            updating += start.elapsed();
            updates += found.unwrap_or(most);
            lengths.add(found, most);
        }
        detector.set_run_length(1000.0)?;
        for (delays, share) in delays.iter_mut().zip(SHARES) {
            detector.restart();
            for _ in 0..SETTLED {
                scene.run(&mut detector, 0.0, 1);
            }
            delays.add(scene.run(&mut detector, share, LONGEST), LONGEST);
        }
    }
    println!(
        "{name}: {runs} runs; learning {:.3} s, update {:.2} us",
        learning.as_secs_f64() / runs as f64,
        updating.as_secs_f64() * 1e6 / updates as f64
    );
    for (lengths, arl) in lengths.iter().zip(&arls) {
        println!(
            "  ARL {arl:>7}: measured {:>9.0} = {:.2}x ({} of {} ended)",
            lengths.mean(),
            lengths.mean() / arl,
            lengths.alarms,
            lengths.runs
        );
    }
    for (delays, share) in delays.iter().zip(SHARES) {
        println!(
            "  delay at {:>3.0} %: {:>6.1} ({} of {} seen)",
            share * 100.0,
            delays.total / delays.runs as f64,
            delays.alarms,
            delays.runs
        );
    }
    Ok(())
}
