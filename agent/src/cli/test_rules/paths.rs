//! The rule files that a test file names: patterns as Go's `filepath.Glob` reads them, each file once.

use std::path::{Component, Path, PathBuf};

/// What the patterns stand for.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files, in the order of the patterns, sorted within one; each once.
    pub(super) files: Vec<PathBuf>,
    /// Patterns that no file matches, as they were looked for.
    pub(super) empty: Vec<String>,
    /// Patterns that are none, and why.
    pub(super) wrong: Vec<(String, String)>,
}

/// Looks for `patterns`, which are relative to `folder`.
pub(super) fn find(folder: &Path, patterns: &[String]) -> Found {
    let mut found = Found::default();
    for pattern in patterns {
        let full = if pattern.is_empty() { PathBuf::new() } else { tidy(&folder.join(pattern)) };
        match glob::glob(&translated(&full.display().to_string())) {
            Ok(paths) => {
                let before = found.files.len();
                let mut any = false;
                for path in paths.flatten() {
                    any = true;
                    // promtool keeps groups by file and name, so a file that is named twice is there once
                    if !found.files[..before].contains(&path) {
                        found.files.push(path);
                    }
                }
                if !any {
                    found.empty.push(full.display().to_string());
                }
            }
            Err(why) => found.wrong.push((pattern.clone(), why.to_string())),
        }
    }
    found
}

/// Without `.`, and `x/..` taken away, by the text alone.
fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// Go's pattern in the words of the `glob` crate: `[^a]` is its `[!a]`, `[!a]` a class of two, `\*` its `[*]`, and `**`
/// no more than `*`.
fn translated(pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some(special @ ('*' | '?' | '[')) => out.extend(['[', special, ']']),
                other => out.extend(other),
            },
            '*' => {
                out.push('*');
                while rest.next_if_eq(&'*').is_some() {}
            }
            '[' => match rest.peek() {
                Some('^') => {
                    rest.next();
                    out.push_str("[!");
                }
                Some('!') => {
                    rest.next();
                    let members: String = std::iter::from_fn(|| rest.next_if(|c| *c != ']')).collect();
                    out.extend(["[", &members, "!"]);
                }
                _ => out.push('['),
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_go() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        for name in ["a.yml", "b.yml", "!.yml", "*.yml", "d/c.yml"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        for (why, patterns, expected) in [
            ("one", "a.yml", "a.yml"),
            ("sorted", "?.yml", "!.yml *.yml a.yml b.yml"),
            ("once", "a.yml ./a.yml d/../a.yml [a].yml", "a.yml"),
            ("in the order of the patterns", "b.yml *.yml", "b.yml !.yml *.yml a.yml"),
            ("not", "[^a].yml", "!.yml *.yml b.yml"),
            ("a class of two", "[!a].yml", "!.yml a.yml"),
            ("a star itself", "\\*.yml", "*.yml"),
            ("two stars are one", "**/c.yml", "d/c.yml"),
            ("and cross nothing", "**c.yml", ""),
        ] {
            let patterns: Vec<String> = patterns.split(' ').map(str::to_owned).collect();
            let found = find(folder.path(), &patterns);
            let names: Vec<String> =
                found.files.iter().map(|f| f.strip_prefix(folder.path()).unwrap().display().to_string()).collect();
            assert_eq!(names.join(" "), expected, "{why}");
            assert_eq!(found.empty.len(), usize::from(expected.is_empty()), "{why}");
        }
        assert_eq!(find(folder.path(), &["r[.yml".to_owned(), String::new()]).wrong.len(), 1);
    }
}
