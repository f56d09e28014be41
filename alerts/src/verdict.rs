//! What a sink's answer means: delivered, try again, refused for good, or not welcome.

use std::time::{Duration, SystemTime};

/// The longest that a sink may ask us to stay away; a mistaken `Retry-After: 99999999` must not silence it for years.
const LONGEST_WISH: Duration = Duration::from_secs(3600);

/// An HTTP answer, as far as we read it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The `Retry-After` header.
    pub(crate) retry_after: Option<String>,
    /// The `Date` header: the sink's own clock.
    pub(crate) date: Option<String>,
    /// The start of the body.
    pub(crate) body: Vec<u8>,
}

/// What to do with the batch, and with the sink.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The sink has it.
    Delivered,
    /// Not now: the network, an overload, a fault of the sink.
    Retry {
        /// Why.
        failure: Failure,
        /// How long the sink asked us to stay away.
        after: Option<Duration>,
    },
    /// The sink understood and does not want this content; sending it again changes nothing.
    Refused(Failure),
    /// The sink does not want us: credentials, address. Another alert would fare no better.
    Disabled(Failure),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    /// A label value: `timeout`, `connect`, `http_503`.
    pub(crate) reason: String,
    /// A sentence for people.
    pub(crate) detail: String,
}

impl Failure {
    /// From a label value and a sentence.
    pub(crate) fn new(reason: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason: reason.into(), detail: detail.into() }
    }
}

/// Reads `answer`, which came at `now`.
pub(crate) fn judge(answer: &Answer, now: SystemTime) -> Verdict {
    let failure = Failure::new(format!("http_{}", answer.status), describe(answer));
    of_status(answer.status, failure, wish_at(answer, now))
}

/// What an HTTP status means; `after` is how long the sink asks us to stay away.
pub(crate) fn of_status(status: u16, failure: Failure, after: Option<Duration>) -> Verdict {
    match status {
        200..=299 => Verdict::Delivered,
        408 | 425 | 429 | 500..=599 => Verdict::Retry { failure, after },
        // About the content. Anything else below 500 is about us or the address: 3xx too, for redirects are not followed.
        400 | 409 | 413 | 422 | 431 => Verdict::Refused(failure),
        _ => Verdict::Disabled(failure),
    }
}

/// How long the sink asks us to stay away, as of now.
pub(crate) fn wish(answer: &Answer) -> Option<Duration> {
    wish_at(answer, SystemTime::now())
}

/// The `Retry-After` header, else `retry_after` in the body.
fn wish_at(answer: &Answer, now: SystemTime) -> Option<Duration> {
    let header = answer.retry_after.as_deref().and_then(|text| from_header(text.trim(), answer, now));
    header.or_else(|| from_body(&answer.body)).map(|wish| wish.min(LONGEST_WISH))
}

/// Seconds, or a date, which is read against the sink's own clock where it tells it.
fn from_header(text: &str, answer: &Answer, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds_of(seconds);
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let theirs = answer.date.as_deref().and_then(|date| httpdate::parse_http_date(date.trim()).ok());
    Some(until.duration_since(theirs.unwrap_or(now)).unwrap_or_default())
}

/// `{"retry_after": 1.5}`, or the same under `parameters`, as chat services write it.
fn from_body(body: &[u8]) -> Option<Duration> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let place = body.get("retry_after").or_else(|| body.get("parameters")?.get("retry_after"))?;
    seconds_of(place.as_f64()?)
}

fn seconds_of(seconds: f64) -> Option<Duration> {
    // Written so that NaN is refused too.
    (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_WISH))
}

/// The status and the start of the body on one line.
fn describe(answer: &Answer) -> String {
    const SHOWN: usize = 200;
    let body = String::from_utf8_lossy(&answer.body);
    let line: String = body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect();
    let space = if line.is_empty() { "" } else { ": " };
    format!("HTTP {}{space}{line}", answer.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Answer {
        Answer { status, ..Answer::default() }
    }

    #[test]
    fn every_status_has_one_meaning() {
        for (statuses, meaning) in [
            (&[200, 202, 204][..], "delivered"),
            (&[408, 425, 429, 500, 502, 503, 504, 529], "retry"),
            (&[400, 409, 413, 422], "refused"),
            (&[301, 302, 307, 401, 403, 404, 405, 410], "disabled"),
        ] {
            for status in statuses {
                let found = match judge(&answer(*status), SystemTime::UNIX_EPOCH) {
                    Verdict::Delivered => "delivered",
                    Verdict::Retry { failure, .. } => {
                        assert_eq!(failure.reason, format!("http_{status}"));
                        "retry"
                    }
                    Verdict::Refused(_) => "refused",
                    Verdict::Disabled(_) => "disabled",
                };
                assert_eq!(found, meaning, "{status}");
            }
        }
    }

    #[test]
    fn a_wish_is_read_from_header_or_body() {
        let now = httpdate::parse_http_date("Tue, 04 Aug 2026 10:00:00 GMT").unwrap();
        let date = "Tue, 04 Aug 2026 10:00:30 GMT";
        for (why, header, theirs, body, seconds) in [
            ("seconds", Some("7"), None, "", Some(7.0)),
            ("spaces", Some(" 7 "), None, "", Some(7.0)),
            ("a date on our clock", Some(date), None, "", Some(30.0)),
            (
                "a date on their clock, ten seconds ahead",
                Some(date),
                Some("Tue, 04 Aug 2026 10:00:10 GMT"),
                "",
                Some(20.0),
            ),
            ("a date that has passed", Some("Tue, 04 Aug 2026 09:00:00 GMT"), None, "", Some(0.0)),
            ("the body", None, None, r#"{"message": "slow down", "retry_after": 1.5}"#, Some(1.5)),
            ("the body, one level down", None, None, r#"{"ok": false, "parameters": {"retry_after": 5}}"#, Some(5.0)),
            ("header before body", Some("2"), None, r#"{"retry_after": 9}"#, Some(2.0)),
            ("nonsense in the header", Some("soon"), None, r#"{"retry_after": 9}"#, Some(9.0)),
            ("years", Some("99999999"), None, "", Some(3600.0)),
            ("more than a float can hold", Some("1e400"), None, "", Some(3600.0)),
            ("negative", Some("-1"), None, "", None),
            ("not a number", Some("NaN"), None, r#"{"retry_after": "x"}"#, None),
            ("nothing", None, None, "<html>", None),
        ] {
            let answer = Answer {
                status: 429,
                retry_after: header.map(Into::into),
                date: theirs.map(Into::into),
                body: body.into(),
            };
            let Verdict::Retry { after, .. } = judge(&answer, now) else { panic!("{why}") };
            assert_eq!(after.map(|d| d.as_secs_f64()), seconds, "{why}");
        }
    }

    #[test]
    fn the_detail_is_one_short_line() {
        let answer = Answer { status: 400, body: format!("bad\n  label\t{}", "é".repeat(500)).into(), ..answer(400) };
        let detail = describe(&answer);
        assert!(detail.starts_with("HTTP 400: bad label é") && detail.chars().count() == 210, "{detail}");
    }
}
