//! What can be wrong with a model's folder, a text or a device: which file, which key, what was found, what would be right.

use std::path::{Path, PathBuf};

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file or folder that cannot be read or is not what it should be.
    #[error("{}: {what}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A key of a JSON file with a value that is missing or cannot be used.
    #[error("{}: `{key}`: found {found}, expected {expected}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// The key, dotted where it is nested.
        key: String,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A tensor that the model needs and the weights do not have, or have in another form.
    #[error("{}: tensor `{name}`: found {found}, expected {expected}", path.display())]
    Tensor {
        /// The file of weights, or the folder where no file has it.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// What is there.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A text that cannot be read by the model.
    #[error("text: {0}")]
    Text(String),
    /// A setting of a training that cannot be used.
    #[error("{0}")]
    Recipe(String),
    /// The training went wrong.
    #[error("training: {0}")]
    Training(String),
    /// The device that was asked for is not there.
    #[error("device: {0}")]
    Device(String),
    /// More memory would be needed than may be used.
    #[error("memory: {needed} bytes needed, {budget} bytes allowed")]
    Memory {
        /// Bytes that the work would take.
        needed: u64,
        /// Bytes that it may take.
        budget: u64,
    },
    /// The computation failed.
    #[error("computation: {0}")]
    Compute(#[from] candle_core::Error),
}

impl ModelError {
    pub(crate) fn file(path: &Path, what: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), what: what.to_string() }
    }

    pub(crate) fn setting(
        path: &Path,
        key: &str,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> Self {
        let (found, expected) = (found.to_string(), expected.to_string());
        Self::Setting { path: path.to_owned(), key: key.to_owned(), found, expected }
    }

    pub(crate) fn tensor(
        path: &Path,
        name: &str,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> Self {
        let (found, expected) = (found.to_string(), expected.to_string());
        Self::Tensor { path: path.to_owned(), name: name.to_owned(), found, expected }
    }
}
