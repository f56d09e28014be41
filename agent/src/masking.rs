//! The one masker of the process: the tap's observer and the API's door share it, so a value has one token everywhere.

use std::sync::Arc;

use anyhow::Context as _;
use plimsoll_rules::mask::Masker;

use crate::config::Checked;

/// The masker that the configuration describes. Where the data folder cannot keep a salt, one of this process alone serves:
/// tokens are others after a restart then, but a broken disk must not keep the tap from its traffic.
///
/// # Errors
/// The masking options do not hold together; `check` has looked at that before.
pub fn start(config: &Checked) -> anyhow::Result<Arc<Masker>> {
    let masker = config.masking.masker(&config.data).or_else(|why| {
        tracing::warn!(%why, "masking: no lasting salt, so tokens change with the next start");
        let salt = [*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes()].concat();
        Masker::new(&salt, &config.masking.options).context("masking")
    })?;
    Ok(Arc::new(masker))
}
