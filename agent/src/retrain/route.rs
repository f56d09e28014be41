//! Who serves, as an experiment of the tap: the version that serves now against the one that may.

use std::sync::Arc;

use super::run::{Route, Side, Version};
use crate::config::{Experiment, Variant};

/// The name of the model without an adapter.
pub(super) const BASE: &str = "base";

/// The side of a version as it is asked for now; the base model passes as it is.
pub(super) fn side(version: Option<&Version>) -> Side {
    match version {
        None => Side { version: None, name: BASE.to_owned(), ..Side::default() },
        Some(version) => Side {
            version: Some(version.number),
            name: version.name.clone(),
            address: version.address.clone().unwrap_or_default(),
        },
    }
}

/// The experiment of a route.
///
/// # Errors
/// An upstream that the tap cannot go to.
pub(super) fn experiment(template: &Experiment, route: &Route) -> Result<Arc<Experiment>, String> {
    let mut experiment = template.clone();
    experiment.spec.id.clone_from(&route.id);
    (experiment.control, experiment.treatment) = (variant(&route.control)?, variant(&route.treatment)?);
    Ok(Arc::new(experiment))
}

fn variant(side: &Side) -> Result<Variant, String> {
    let upstream = side.address.upstream.as_ref().map(|url| url.parse::<crate::tap::Upstream>()).transpose();
    let upstream = upstream.map_err(|why| format!("{}: {why}", side.name))?.map(Arc::new);
    Ok(Variant { name: side.name.as_str().into(), model: side.address.model.as_deref().map(Into::into), upstream })
}
