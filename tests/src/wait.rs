//! Looking at a running system from outside: ask again until it is so, or say what was seen last.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Asks `look` every 50 ms until it gives `Ok`.
///
/// # Panics
/// When `limit` passes first; the message carries the last `Err`.
pub async fn eventually<T, E: Debug>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + limit;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if Instant::now() > end => panic!("{what}: not so after {limit:?}; last seen: {seen:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// GET as text; the error says what went wrong, status included.
///
/// # Errors
/// No answer, or not a 2xx.
pub async fn get_text(url: &str) -> anyhow::Result<String> {
    let response = reqwest::get(url).await?;
    let (status, body) = (response.status(), response.text().await?);
    anyhow::ensure!(status.is_success(), "{url}: {status}: {body}");
    Ok(body)
}

/// GET as JSON.
///
/// # Errors
/// As [`get_text`], or the body is not JSON.
pub async fn get_json(url: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&get_text(url).await?)?)
}

/// Sum of the values of every line of `exposition` that begins with `name` and contains all of `parts`.
pub fn series(exposition: &str, name: &str, parts: &[&str]) -> Option<f64> {
    let mut sum = None;
    for line in exposition.lines() {
        let Some((head, value)) = line.rsplit_once(' ') else { continue };
        let metric = head.split('{').next().unwrap_or("");
        if metric == name && parts.iter().all(|part| head.contains(part)) {
            sum = Some(sum.unwrap_or(0.0) + value.parse::<f64>().unwrap_or(f64::NAN));
        }
    }
    sum
}
