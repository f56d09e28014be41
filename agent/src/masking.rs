//! The one masker of the process.

use std::sync::Arc;

use plimsoll_rules::Masker;

use crate::config::Checked;

pub fn start(_config: &Checked) -> anyhow::Result<Arc<Masker>> {
    Ok(Arc::new(|_: &str| "<MASKED>".to_owned()))
}
