//! A dataset in a process of its own: texts by the hundred MiB are not the agent's to hold.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Out, Settings, Source, build, count};
use crate::records::Location;

/// What the agent wants of `plimsoll dataset child`, as JSON on its standard input: there nobody else reads a password.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Order {
    /// The records, as `--url` names them.
    pub url: String,
    /// What is chosen.
    pub settings: Settings,
    /// Anchors that were drawn before.
    pub anchors: Option<PathBuf>,
    /// The folder, written over; new examples are only counted where there is none.
    pub out: Option<PathBuf>,
}

/// Does it; gives the manifest, or the counts.
///
/// # Errors
/// As [`build`] and [`count`].
pub async fn child(order: &Order) -> anyhow::Result<Value> {
    let source = Source::open(&Location::parse(&order.url)?).await?.for_agent();
    Ok(match &order.out {
        Some(out) => {
            let (anchors, out) = (order.anchors.as_deref(), Out::Over(out));
            serde_json::to_value(build(&source, &order.settings, anchors, out, &|_| Ok(()), &mut |_| {}).await?)?
        }
        None => serde_json::to_value(count(&source, &order.settings).await?)?,
    })
}
