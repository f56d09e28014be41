//! `/api/v1/series`, `/api/v1/labels` and `/api/v1/label/{name}/values`: what there is.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use plimsoll_rules::{Labels, Timestamp};

use super::desk::QueryDesk;
use super::envelope::{Failure, Kind, Success};
use super::params::Params;

/// Labels of every series that the parameters select.
async fn found(desk: &QueryDesk, params: &Params) -> Result<Vec<Labels>, Failure> {
    let from = params.time("start", Timestamp::from_millis(i64::MIN))?;
    let until = params.time("end", Timestamp::from_millis(i64::MAX))?;
    let selections = params.selections()?;
    desk.look(move |store, _| store.series(&selections, from, until)).await
}

/// Every series, as its labels.
pub(super) async fn series(State(desk): State<QueryDesk>, params: Params) -> Result<Success, Failure> {
    let limit = params.count("limit")?;
    if params.all("match[]").next().is_none() {
        return Err(Failure::new(Kind::BadData, "no match[] parameter provided"));
    }
    let mut all = found(&desk, &params).await?;
    all.sort();
    Ok(Success::limited(all, limit))
}

/// Every label name.
pub(super) async fn names(State(desk): State<QueryDesk>, params: Params) -> Result<Success, Failure> {
    let limit = params.count("limit")?;
    let all = found(&desk, &params).await?;
    let names: BTreeSet<&str> = all.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
    Ok(Success::limited(names.into_iter().collect(), limit))
}

/// Every value of one label.
pub(super) async fn values(
    State(desk): State<QueryDesk>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Success, Failure> {
    let limit = params.count("limit")?;
    let name = label_name(&name)?;
    let all = found(&desk, &params).await?;
    let values: BTreeSet<&str> = all.iter().filter_map(|labels| labels.get(&name)).collect();
    Ok(Success::limited(values.into_iter().collect(), limit))
}

/// A label's name; `U__` begins one whose other characters are written `_2e_` (UTF-8 names in a URL).
fn label_name(name: &str) -> Result<String, Failure> {
    let Some(escaped) = name.strip_prefix("U__") else { return Ok(name.to_owned()) };
    let mut out = String::new();
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('_') {
        out.push_str(before);
        let wrong = || Failure::new(Kind::BadData, format!("invalid label name: {name:?}"));
        if let Some(after) = after.strip_prefix('_') {
            out.push('_');
            rest = after;
            continue;
        }
        let (code, after) = after.split_once('_').ok_or_else(wrong)?;
        out.push(u32::from_str_radix(code, 16).ok().and_then(char::from_u32).ok_or_else(wrong)?);
        rest = after;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_other_characters_are_unescaped() {
        for (given, expected) in [
            ("job", Some("job")),
            ("__name__", Some("__name__")),
            ("U__http_2e_status", Some("http.status")),
            ("U__a__b", Some("a_b")),
            ("U___e9__", None),
            ("U__a_zz_", None),
        ] {
            assert_eq!(label_name(given).ok().as_deref(), expected, "{given}");
        }
    }
}
