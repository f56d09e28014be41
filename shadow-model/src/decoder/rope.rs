//! Rotary position embeddings (Su et al., arXiv 2104.09864): position p turns the i-th pair of a head by p·f(i).
//!
//! f(i) = θ^(−2i/d), scaled as `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5) says: not at all,
//! `linear`, `llama3`, or `dynamic`, which within the model's window is not at all.

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use crate::{Result, Settings};

/// Radians a position, one for each pair of a head's numbers: `[head / 2]`.
pub(crate) type Frequencies = Vec<f32>;

const KINDS: &str = "default, linear, dynamic or llama3";

/// Reads the frequencies for heads of `head` numbers.
///
/// # Errors
/// Where the kind is not supported, or a number is missing or out of range.
pub(super) fn read(settings: &Settings, head: usize) -> Result<Frequencies> {
    let found = ["rope_parameters", "rope_scaling"].into_iter().find(|key| settings.get(key).is_some());
    let Some(key) = found else { return Ok(plain(theta(settings, None)?, head)) };
    let scaling = Scaling { settings, key };
    let frequencies = plain(theta(settings, Some(&scaling))?, head);
    if scaling.number("partial_rotary_factor")?.is_some_and(|factor| factor < 1.0) {
        return Err(scaling.wrong("partial_rotary_factor", "1: all of a head is turned"));
    }
    match scaling.kind() {
        Some("default" | "dynamic") => Ok(frequencies),
        Some("linear") => {
            let factor = scaling.positive("factor")?;
            Ok(frequencies.into_iter().map(|frequency| frequency / factor).collect())
        }
        Some("llama3") => llama3(&scaling, frequencies),
        _ => Err(scaling.wrong("rope_type", KINDS)),
    }
}

/// θ^(−2i/head), in f32 as transformers computes it.
#[expect(clippy::cast_precision_loss, reason = "a head has fewer numbers than f32 counts")]
pub(crate) fn plain(theta: f32, head: usize) -> Frequencies {
    (0..head / 2).map(|i| 1.0 / theta.powf((2 * i) as f32 / head as f32)).collect()
}

fn theta(settings: &Settings, scaling: Option<&Scaling<'_>>) -> Result<f32> {
    let inside = scaling.map(|scaling| scaling.number("rope_theta")).transpose()?.flatten();
    let theta = inside.map_or_else(|| settings.number_or("rope_theta", 10_000.0), Ok)?;
    if theta > 1.0 { Ok(narrow(theta)) } else { Err(settings.wrong("rope_theta", theta, "a number above 1")) }
}

/// Llama 3.1: wavelengths beyond the original window / `low_freq_factor` grow by `factor`, those below the original
/// window / `high_freq_factor` stay, between them the frequency is interpolated.
fn llama3(scaling: &Scaling<'_>, frequencies: Frequencies) -> Result<Frequencies> {
    let (factor, low) = (scaling.positive("factor")?, scaling.positive("low_freq_factor")?);
    let (high, original) =
        (scaling.positive("high_freq_factor")?, scaling.positive("original_max_position_embeddings")?);
    if high <= low {
        return Err(scaling.wrong("high_freq_factor", &format!("a number above low_freq_factor ({low})")));
    }
    let scaled = |frequency: f32| {
        let wavelength = 2.0 * std::f32::consts::PI / frequency;
        let smooth = (original / wavelength - low) / (high - low);
        if wavelength < original / high {
            frequency
        } else if wavelength > original / low {
            frequency / factor
        } else {
            (1.0 - smooth) * frequency / factor + smooth * frequency
        }
    };
    Ok(frequencies.into_iter().map(scaled).collect())
}

/// The cosines and sines of each position: two of shape `[positions, head / 2]`.
///
/// # Errors
/// Where the device fails.
#[expect(clippy::cast_precision_loss, reason = "windows end far below 2^24")]
pub(super) fn tables(
    frequencies: &Frequencies,
    positions: &[u32],
    dtype: DType,
    device: &Device,
) -> Result<(Tensor, Tensor)> {
    let angles = || positions.iter().flat_map(|&position| frequencies.iter().map(move |turn| position as f32 * turn));
    let shape = (positions.len(), frequencies.len());
    let table = |values: Vec<f32>| Tensor::from_vec(values, shape, device)?.to_dtype(dtype);
    Ok((table(angles().map(f32::cos).collect())?, table(angles().map(f32::sin).collect())?))
}

/// The object that says how frequencies are scaled.
struct Scaling<'a> {
    settings: &'a Settings,
    key: &'a str,
}

impl Scaling<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.settings.get(self.key)?.get(name).filter(|value| !value.is_null())
    }

    fn kind(&self) -> Option<&str> {
        match self.get("rope_type").or_else(|| self.get("type")) {
            None if self.settings.get(self.key).is_some_and(Value::is_object) => Some("default"),
            kind => kind?.as_str(),
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_f64().filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| self.wrong(name, "a number"))
    }

    fn positive(&self, name: &str) -> Result<f32> {
        let number = self.number(name)?.filter(|&number| number > 0.0);
        number.map(narrow).ok_or_else(|| self.wrong(name, "a number above 0"))
    }

    fn wrong(&self, name: &str, expected: &str) -> crate::ModelError {
        let found = self.get(name).or_else(|| self.get("type").filter(|_| name == "rope_type"));
        let found = found.map_or("nothing".to_owned(), Value::to_string);
        self.settings.wrong(&format!("{}.{name}", self.key), found, expected)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "transformers computes frequencies in f32")]
fn narrow(number: f64) -> f32 {
    number as f32
}
