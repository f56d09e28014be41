//! How long observations hang together, read off the reference in its order.

/// Autocorrelation of vectors: by how much a mean of them scatters more, and how long blocks must be to keep that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dependence {
    /// Variance of a long mean over that of independent observations, at least 1.
    pub(crate) inflation: f64,
    /// Mean length of the blocks drawn together; 1 draws single observations.
    pub(crate) block: f64,
    /// How much of the inflation blocks of that length lose: variance wanted over variance they give, at least 1.
    pub(crate) shortfall: f64,
}

/// Most that memories are stretched.
const MOST_STRETCH: f64 = 4.0;

impl Dependence {
    /// How much longer means must remember to scatter as little as those of independent observations: a power of two.
    pub(crate) fn stretch(&self) -> u32 {
        1 << self.inflation.clamp(1.0, MOST_STRETCH).log2().round() as u32
    }
}

/// Sums `ρ_k = Σ⟨x_t, x_{t+k}⟩ / ((n-k)·trΣ)` up to the first lag that two standard errors `√trΣ²/(trΣ·√n)` would hide.
///
/// `rows` are centred, in order; their first `width` features count. Blocks are three times as long as the correlation reaches, but never so long that fewer
/// than twenty make up the reference.
pub(crate) fn dependence(rows: &[Vec<f64>], width: usize, (trace, trace_squared): (f64, f64)) -> Dependence {
    let count = rows.len();
    let error = trace_squared.sqrt() / (trace * (count.max(1) as f64).sqrt());
    let rhos: Vec<f64> =
        (1..count / 4).map(|lag| correlation(rows, lag, width) / trace).take_while(|rho| *rho > 2.0 * error).collect();
    let reach = rhos.len() as f64;
    let block = (3.0 * reach).min(count as f64 / 20.0).max(1.0);
    let inflation = 1.0 + 2.0 * rhos.iter().sum::<f64>();
    let stays = 1.0 - 1.0 / block;
    let kept = 1.0
        + 2.0
            * rhos
                .iter()
                .scan(1.0, |share, rho| {
                    *share *= stays;
                    Some(*share * rho)
                })
                .sum::<f64>();
    Dependence { inflation, block, shortfall: inflation / kept }
}

fn correlation(rows: &[Vec<f64>], lag: usize, width: usize) -> f64 {
    let pairs = rows.iter().zip(&rows[lag..]);
    let sum: f64 = pairs.map(|(a, b)| a[..width].iter().zip(b).map(|(a, b)| a * b).sum::<f64>()).sum();
    sum / (rows.len() - lag) as f64
}
