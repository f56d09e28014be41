//! The one masker of the process.

use std::sync::Arc;

use plimsoll_rules::mask::{MaskOptions, Masker};

use crate::config::Checked;

pub fn start(_config: &Checked) -> anyhow::Result<Arc<Masker>> {
    Ok(Arc::new(Masker::new(uuid::Uuid::now_v7().as_bytes(), &MaskOptions::default())?))
}
