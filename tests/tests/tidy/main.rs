//! Checks of the repository itself: arrows between crates, headers, the map, generated documents, what must not be there.

mod arrows;
mod documents;
mod headers;

use std::path::{Path, PathBuf};

/// The checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file git tracks or would track, below the checkout.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git", "__pycache__"].contains(&name.as_str()) && !name.starts_with(".venv") {
                    folders.push(path);
                }
            } else if name != ".git" {
                found.push(path); // a worktree's .git is a file, and names this machine's folders
            }
        }
    }
    found.sort();
    found
}

/// A file's path as the checkout names it.
fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}
