//! What is counted, shown, dropped and told as gone.

use super::*;
use crate::catalog::CATALOG;

fn reading(metric: Metric, labels: &[&str], value: f64) -> Reading {
    let labels = labels.iter().map(|l| (*l).to_owned()).collect();
    Reading { metric, labels, value: ReadingValue::Scalar(value) }
}

fn value(registry: &Registry, series: &str) -> Option<f64> {
    registry.samples().into_iter().find(|(labels, _)| labels.to_string() == series).map(|(_, value)| value)
}

#[test]
fn what_is_gone_is_told_once() {
    let registry = Registry::new(100);
    let reading = |mount: &str| Reading::scalar(Metric::DiskUsed, &[mount], 1.0);
    registry.publish("system", vec![reading("a"), reading("b")]);
    assert!(registry.sample().gone.is_empty());
    registry.publish("system", vec![reading("b")]);
    let sampled = registry.sample();
    let mounts: Vec<_> = sampled.gone.iter().map(|labels| labels.get("mount").unwrap_or_default()).collect();
    assert_eq!((mounts, sampled.now.len()), (vec!["a"], 1));
    assert!(registry.sample().gone.is_empty());
}

#[test]
fn every_row_of_the_catalog_is_in_order_and_accepted() {
    for (at, spec) in CATALOG.iter().enumerate() {
        assert_eq!(spec.metric as usize, at, "{}: the enum and the table must have one order", spec.name);
        assert!(Child::new(spec, &vec!["x"; spec.labels.len()]).is_some(), "{}", spec.name);
        assert!(!spec.name.contains(':') && spec.help.ends_with('.'), "{}", spec.name);
        let counter = spec.kind == Kind::Counter;
        assert_eq!(spec.name.ends_with("_total"), counter, "{}: counters, and only they, end in _total", spec.name);
    }
}

#[test]
fn a_source_replaces_what_it_said_before() {
    let registry = Registry::new(100);
    let gpu = |n: &str, v| reading(Metric::GpuPower, &[n, "u", ""], v);
    registry.publish("gpu", vec![gpu("0", 300.0), gpu("1", 200.0)]);
    registry.publish("gpu", vec![gpu("1", 210.0)]);
    assert_eq!(value(&registry, r#"plimsoll_gpu_power_watts{gpu="1", uuid="u"}"#), Some(210.0));
    assert_eq!(value(&registry, r#"plimsoll_gpu_power_watts{gpu="0", uuid="u"}"#), None);
}

#[test]
fn histograms_keep_their_own_bounds_and_flatten() {
    let registry = Registry::new(100);
    let value_of =
        ReadingValue::Histogram { buckets: vec![(0.3, 2.0), (7.5, 5.0), (f64::INFINITY, 6.0)], sum: 20.5, count: 6.0 };
    let labels = ["m", "", "engine"].map(ToOwned::to_owned).to_vec();
    registry.publish("engine", vec![Reading { metric: Metric::QueueTime, labels, value: value_of }]);
    for (series, expected) in [
        (r#"plimsoll_queue_time_seconds_bucket{le="7.5", model="m", source="engine"}"#, 5.0),
        (r#"plimsoll_queue_time_seconds_bucket{le="+Inf", model="m", source="engine"}"#, 6.0),
        (r#"plimsoll_queue_time_seconds_sum{model="m", source="engine"}"#, 20.5),
    ] {
        assert_eq!(value(&registry, series), Some(expected), "{series}");
    }
}

#[test]
fn what_cannot_be_kept_is_dropped_and_counted() {
    let registry = Registry::new(1000);
    for n in 0..100_000 {
        registry.add(Metric::Feedback, &[&n.to_string()], 1.0);
    }
    registry.set(Metric::CpuUtilization, &[], f64::NAN);
    registry.publish("x", vec![reading(Metric::MemoryUsed, &["one label too many"], 1.0)]);
    let dropped = |what: &str| value(&registry, &format!("plimsoll_dropped_total{{what=\"{what}\"}}"));
    assert!(dropped("label_sets").unwrap() >= 99_000.0);
    assert_eq!(dropped("bad_values"), Some(2.0));
    assert!(registry.samples().len() <= 1002);
}

#[test]
fn a_flood_of_labels_leaves_room_for_sources() {
    let registry = Registry::new(1000);
    for n in 0..5000 {
        registry.add(Metric::Feedback, &[&n.to_string()], 1.0);
    }
    registry.publish("system", (0..200).map(|n| reading(Metric::DiskUsed, &[&n.to_string()], 1.0)).collect());
    assert_eq!(value(&registry, r#"plimsoll_disk_used_bytes{mount="199"}"#), Some(1.0));
}

#[test]
fn label_values_do_not_run_together() {
    let registry = Registry::new(100);
    registry.add(Metric::PromptTokensTotal, &["ab", "", "tap"], 1.0);
    registry.add(Metric::PromptTokensTotal, &["a", "b", "tap"], 2.0);
    let one = r#"plimsoll_prompt_tokens_total{model="ab", source="tap"}"#;
    let other = r#"plimsoll_prompt_tokens_total{model="a", source="tap", variant="b"}"#;
    assert_eq!((value(&registry, one), value(&registry, other)), (Some(1.0), Some(2.0)));
}

#[test]
fn one_series_from_two_sources_appears_once() {
    let registry = Registry::new(100);
    registry.publish("a", vec![reading(Metric::MemoryUsed, &[], 1.0)]);
    registry.publish("b", vec![reading(Metric::MemoryUsed, &[], 2.0)]);
    registry.gather();
    let family = registry.gather().into_iter().find(|f| f.name() == "plimsoll_memory_used_bytes").unwrap();
    assert_eq!(family.get_metric().len(), 1);
}
