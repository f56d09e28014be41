//! The identity of a series: its sorted label set, metric name included.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The label that carries the metric name.
pub const METRIC_NAME: &str = "__name__";

/// A sorted, duplicate-free label set; cheap to clone. An empty value means "label absent", as in Prometheus.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl Labels {
    /// A series of metric `name` with `pairs`; later pairs win over earlier ones of the same name.
    pub fn metric<'a>(name: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut builder = LabelsBuilder::default();
        builder.set(METRIC_NAME, name);
        for (label, value) in pairs {
            builder.set(label, value);
        }
        builder.build()
    }

    /// The value of `name`, if the label is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.binary_search_by(|(n, _)| (**n).cmp(name)).ok().map(|i| &*self.0[i].1)
    }

    /// The metric name, or `""`.
    pub fn name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// All pairs in label-name order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(n, v)| (&**n, &**v))
    }

    /// How many labels, the metric name included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A builder that starts from this set.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder(self.0.iter().cloned().collect())
    }

    /// This set without the metric name.
    pub fn without_name(&self) -> Self {
        if self.get(METRIC_NAME).is_none() {
            return self.clone();
        }
        Self(self.0.iter().filter(|(n, _)| &**n != METRIC_NAME).cloned().collect())
    }

    /// The labels whose name `keep` approves of.
    pub(crate) fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        if self.0.iter().all(|(name, _)| keep(name)) {
            return self.clone();
        }
        Self(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// The same set over other copies of its strings.
    pub(crate) fn map_strings(&self, mut copy: impl FnMut(&Arc<str>) -> Arc<str>) -> Self {
        Self(self.0.iter().map(|(name, value)| (copy(name), copy(value))).collect())
    }

    /// A stable 64-bit hash (FNV-1a over `name 0xff value 0xff`), the same in every process and version.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut eat = |bytes: &[u8]| {
            for byte in bytes.iter().chain([&0xff]) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for (name, value) in self.iter() {
            eat(name.as_bytes());
            eat(value.as_bytes());
        }
        hash
    }
}

/// Collects labels, then sorts them once.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder(BTreeMap<Arc<str>, Arc<str>>);

impl LabelsBuilder {
    /// Sets `name`; an empty `value` removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        if value.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name.into(), value.into());
        }
        self
    }

    /// Removes `name` if it is there.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.0.remove(name);
        self
    }

    /// The finished set.
    pub fn build(self) -> Labels {
        Labels(self.0.into_iter().collect())
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(map: BTreeMap<String, String>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in &map {
            builder.set(name, value);
        }
        builder.build()
    }
}

impl From<Labels> for BTreeMap<String, String> {
    fn from(labels: Labels) -> Self {
        labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name, value);
        }
        builder.build()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Labels {
    /// `name{a="b", c="d"}`, with Go-style quoting of values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().filter(|(n, _)| *n != METRIC_NAME).enumerate() {
            write!(f, "{}{name}={value:?}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_unique_and_drop_empty_values() {
        let labels = Labels::metric("up", [("job", "a"), ("az", "x"), ("job", "b"), ("none", "")]);
        assert_eq!(labels.to_string(), r#"up{az="x", job="b"}"#);
        assert_eq!((labels.get("job"), labels.get("none"), labels.len()), (Some("b"), None, 3));
        assert_eq!(labels.without_name().name(), "");
    }

    #[test]
    fn the_fingerprint_separates_names_from_values() {
        let a: Labels = [("ab", "c")].into_iter().collect();
        let b: Labels = [("a", "bc")].into_iter().collect();
        assert_ne!(a.fingerprint(), b.fingerprint());
    }
}
