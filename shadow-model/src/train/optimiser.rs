//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) and clipping by the norm of all gradients, as torch computes them.

use rayon::prelude::*;

use super::parameters::Parameters;
use super::recipe::Recipe;
use crate::Result;

/// The moments of every parameter.
pub(crate) struct AdamW {
    /// Steps taken.
    pub steps: u64,
    /// First and second moment of each parameter.
    pub moments: Vec<[Vec<f32>; 2]>,
}

/// Numbers that a thread takes at a time.
const CHUNK: usize = 16 * 1024;

/// The derivative of the loss by each parameter; `None` where it has no say.
pub(crate) type Asked = Vec<Option<Vec<f32>>>;

impl AdamW {
    /// Before the first step.
    pub fn new(parameters: &Parameters) -> Self {
        let zeros = |count| [vec![0.0; count], vec![0.0; count]];
        let counts = parameters.all.iter().map(|parameter| parameter.value.as_tensor().elem_count());
        Self { steps: 0, moments: counts.map(zeros).collect() }
    }

    /// One step with a learning rate.
    ///
    /// # Errors
    /// Where the device fails.
    #[expect(clippy::cast_possible_truncation, reason = "numbers are f32; what is common to all is computed in f64")]
    pub fn step(&mut self, parameters: &Parameters, asked: &Asked, rate: f64, recipe: &Recipe) -> Result<()> {
        self.steps += 1;
        let [first, second] = recipe.betas;
        let steps = self.steps as f64;
        let size = (rate / (1.0 - first.powf(steps))) as f32;
        let root = (1.0 - second.powf(steps)).sqrt() as f32;
        let epsilon = recipe.epsilon as f32;
        let (first, second) = (first as f32, second as f32);
        for (slot, (asked, [m, v])) in asked.iter().zip(&mut self.moments).enumerate() {
            let Some(asked) = asked else { continue };
            let parameter = &parameters.all[slot];
            let decay = if parameter.decays { 1.0 - rate * recipe.weight_decay } else { 1.0 } as f32;
            let mut values = parameter.value.as_tensor().flatten_all()?.to_vec1::<f32>()?;
            let moments = m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
            let chunks = values.par_chunks_mut(CHUNK).zip(asked.par_chunks(CHUNK)).zip(moments);
            chunks.for_each(|((values, asked), (m, v))| {
                for ((value, g), (m, v)) in values.iter_mut().zip(asked).zip(m.iter_mut().zip(v)) {
                    *m += (g - *m) * (1.0 - first);
                    *v = *v * second + g * g * (1.0 - second);
                    *value = *value * decay - size * *m / (v.sqrt() / root + epsilon);
                }
            });
            parameters.set(slot, values)?;
        }
        Ok(())
    }
}

/// Scales gradients so that their norm is at most `most` (0 is no bound); gives the norm that they had.
#[expect(clippy::cast_possible_truncation, reason = "a factor of f32 numbers")]
pub(crate) fn clip(asked: &mut Asked, most: f64) -> f64 {
    // by chunks, added in their order: the same sum on any number of threads
    let squares = |numbers: &Vec<f32>| -> f64 {
        let chunk = |chunk: &[f32]| chunk.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>();
        numbers.par_chunks(CHUNK).map(chunk).collect::<Vec<f64>>().into_iter().sum()
    };
    let norm = asked.iter().flatten().map(squares).sum::<f64>().sqrt();
    let factor = most / (norm + 1e-6);
    if most > 0.0 && factor < 1.0 {
        for numbers in asked.iter_mut().flatten() {
            numbers.par_iter_mut().for_each(|g| *g *= factor as f32);
        }
    }
    norm
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    #[test]
    fn steps_are_those_of_torch() {
        // p = Parameter([1, -2, 3]); AdamW([p], lr=0.1, weight_decay=0.1); p.grad = [0.1, -0.2, 0.3], then [-0.4, 0, 5]
        // with clip_grad_norm_([p], 1.0) before the second step
        let mut parameters = Parameters::default();
        let start = Tensor::new(&[1.0_f32, -2.0, 3.0], &Device::Cpu).unwrap();
        let (slot, value) = parameters.add("p".to_owned(), &start, true).unwrap();
        let recipe = Recipe { weight_decay: 0.1, ..Recipe::default() };
        let mut optimiser = AdamW::new(&parameters);
        let mut step = |asked: [f32; 3], most: f64| {
            let mut asked = vec![Some(asked.to_vec())];
            let norm = clip(&mut asked, most);
            optimiser.step(&parameters, &asked, 0.1, &recipe).unwrap();
            (norm, value.to_vec1::<f32>().unwrap())
        };
        let near = |found: &[f32], wanted: [f32; 3]| {
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 2e-6), "{found:?} {wanted:?}");
        };
        near(&step([0.1, -0.2, 0.3], 0.0).1, TORCH_FIRST);
        let (norm, second) = step([-0.4, 0.0, 5.0], 1.0);
        assert!((norm - 5.015_974_5).abs() < 1e-5, "{norm}");
        near(&second, TORCH_SECOND);
        assert_eq!(slot, 0);
    }

    const TORCH_FIRST: [f32; 3] = [0.89, -1.88, 2.87];
    const TORCH_SECOND: [f32; 3] = [0.875_131_96, -1.794_194_1, 2.750_739];
}
