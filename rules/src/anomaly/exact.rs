//! Numbers as their bits: a saved scorer goes on exactly where it was, whatever the format's reader does to decimals.

/// One `f64`, for `#[serde(with = "exact::number")]`.
pub(super) mod number {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(in crate::anomaly) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        value.to_bits().serialize(to)
    }

    pub(in crate::anomaly) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        u64::deserialize(from).map(f64::from_bits)
    }
}

/// A list of `f64`, for `#[serde(with = "exact::numbers")]`.
pub(super) mod numbers {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(in crate::anomaly) fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(|value| value.to_bits()))
    }

    pub(in crate::anomaly) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<u64>::deserialize(from)?.into_iter().map(f64::from_bits).collect())
    }
}
