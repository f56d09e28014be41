//! Runs on every core, each with its own seed.

use fastrand::Rng;

/// What `run` says of each of `runs` seeds, in their order.
pub fn all<T: Send>(runs: u64, run: impl Fn(&mut Rng) -> T + Sync) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get) as u64;
    let share = runs.div_ceil(cores);
    std::thread::scope(|scope| {
        let run = &run;
        let parts: Vec<_> = (0..cores)
            .map(|core| {
                let seeds = core * share..runs.min((core + 1) * share);
                scope.spawn(move || seeds.map(|seed| run(&mut Rng::with_seed(seed + 1))).collect::<Vec<_>>())
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}

/// Share of `true`.
pub fn share(found: &[bool]) -> f64 {
    found.iter().filter(|found| **found).count() as f64 / found.len().max(1) as f64
}

/// 1 with probability `p`.
pub fn coin(rng: &mut Rng, p: f64) -> f64 {
    if rng.f64() < p { 1.0 } else { 0.0 }
}
