//! Golden files: numbers of other programs for the formulas of `rules::verdict`, read from the shared data.

use std::path::PathBuf;

use serde_json::Value;

/// One case of a suite: numbers by name, compared within the tolerance that the file states.
pub struct Case {
    suite: String,
    at: usize,
    tolerance: f64,
    /// The case as written.
    pub value: Value,
}

/// The folder of golden files, or `None`, said loudly, where it is not there.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var("PLIMSOLL_GOLDEN").map_or_else(|_| default_folder(), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!(
        "SKIPPED: no golden files at {}; put ../shared beside the checkout or set PLIMSOLL_GOLDEN",
        folder.display()
    );
    None
}

fn default_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/golden")
}

/// Every file of the folder that holds the suite `name` (by its own `name` field), whatever the file is called.
fn files() -> Vec<(PathBuf, Value)> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, value)
    };
    paths.into_iter().map(read).collect()
}

/// The suites found: their names, for the test that every one of them is checked.
pub fn names() -> Vec<String> {
    files().iter().map(|(path, value)| name_of(path, value)).collect()
}

fn name_of(path: &std::path::Path, value: &Value) -> String {
    value["name"].as_str().unwrap_or_else(|| panic!("{}: no name", path.display())).to_owned()
}

/// Runs `check` on every case of the suite `name`; prints how many there were. Fails on a suite without cases.
pub fn check(name: &str, check: impl Fn(&Case)) {
    if folder().is_none() {
        return;
    }
    let mut ran = 0;
    for (path, value) in files() {
        if name_of(&path, &value) != name {
            continue;
        }
        let tolerance = value["tolerance"].as_f64().unwrap_or_else(|| panic!("{}: no tolerance", path.display()));
        let cases = value["cases"].as_array().unwrap_or_else(|| panic!("{}: no cases", path.display()));
        for (at, case) in cases.iter().enumerate() {
            check(&Case { suite: name.to_owned(), at, tolerance, value: case.clone() });
            ran += 1;
        }
    }
    assert!(ran > 0, "no golden case of {name} in {:?}", folder());
    println!("golden {name}: {ran} cases");
}

impl Case {
    /// The number at `key`; a JSON `null`, `NaN` or text is a broken case.
    pub fn number(&self, key: &str) -> f64 {
        self.value[key].as_f64().unwrap_or_else(|| panic!("{self}: {key} is {}", self.value[key]))
    }

    /// The list of numbers at `key`.
    pub fn numbers(&self, key: &str) -> Vec<f64> {
        numbers(&self.value[key]).unwrap_or_else(|| panic!("{self}: {key} is {}", self.value[key]))
    }

    /// The whole number at `key`.
    pub fn count(&self, key: &str) -> u64 {
        self.value[key].as_u64().unwrap_or_else(|| panic!("{self}: {key} is {}", self.value[key]))
    }

    /// The text at `key`.
    pub fn text(&self, key: &str) -> &str {
        self.value[key].as_str().unwrap_or_else(|| panic!("{self}: {key} is {}", self.value[key]))
    }

    /// The tolerance that the file states.
    pub fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// `found` is what the case has at `key`, within the file's tolerance: relative above 1, absolute below.
    pub fn equal(&self, key: &str, found: f64) {
        self.near(key, found, self.number(key), self.tolerance);
    }

    /// Each of `found` is what the case has at `key`.
    pub fn all_equal(&self, key: &str, found: &[f64]) {
        let wanted = self.numbers(key);
        assert_eq!(found.len(), wanted.len(), "{self}: {key}");
        for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            self.near(&format!("{key}[{at}]"), *found, wanted, self.tolerance);
        }
    }

    /// `found` is `wanted` within `tolerance`.
    pub fn near(&self, key: &str, found: f64, wanted: f64, tolerance: f64) {
        let room = tolerance * wanted.abs().max(1.0);
        assert!((found - wanted).abs() <= room || found == wanted, "{self}: {key}: found {found}, golden {wanted}");
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.value["id"].as_str().unwrap_or("");
        write!(f, "{} case {} {id}", self.suite, self.at)
    }
}

/// A JSON list as numbers.
pub fn numbers(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(Value::as_f64).collect()
}
