//! Parameters as Prometheus takes them: in the URL or in a form, times as seconds or RFC 3339, durations in both styles.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use plimsoll_rules::Timestamp;
use plimsoll_rules::promql::{Expr, Selection, parse, parse_duration, parse_selection};

use super::envelope::{Failure, Kind};

/// Everything that was said, the form first.
#[derive(Clone, Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let url = request.uri().query().unwrap_or("").to_owned();
        let form = is_form(request.headers());
        let body = Bytes::from_request(request, state).await.map_err(|refused| {
            let message = format!("the form cannot be read: {}", refused.body_text());
            Failure::new(Kind::BadData, message).into_response()
        })?;
        Ok(Self::read(if form { &body } else { b"" }, url.as_bytes()))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

impl Params {
    fn read(form: &[u8], url: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(form).chain(form_urlencoded::parse(url));
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The first value of `name`, or `""`.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    /// Every value of `name`.
    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A time, or `default` where nothing is said.
    pub(super) fn time(&self, name: &str, default: Timestamp) -> Result<Timestamp, Failure> {
        match self.get(name) {
            "" => Ok(default),
            text => time(text).map_err(|why| Failure::parameter(name, why)),
        }
    }

    /// A time that must be there.
    pub(super) fn needed_time(&self, name: &str) -> Result<Timestamp, Failure> {
        time(self.get(name)).map_err(|why| Failure::parameter(name, why))
    }

    /// A duration; `None` where nothing is said. Negative ones are kept, so that the caller can say what is wrong.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<f64>, Failure> {
        match self.get(name) {
            "" => Ok(None),
            text => seconds(text).map(Some).map_err(|why| Failure::parameter(name, why)),
        }
    }

    /// A whole number that is not negative; 0 where nothing is said.
    pub(super) fn count(&self, name: &str) -> Result<usize, Failure> {
        match self.get(name) {
            "" => Ok(0),
            text => {
                text.parse().map_err(|_| Failure::parameter(name, format!("{text:?} is no whole number of 0 or more")))
            }
        }
    }

    /// The expression in `query`.
    pub(super) fn expression(&self) -> Result<Expr, Failure> {
        parse(self.get("query")).map_err(|why| {
            let (line, column) = (why.line, why.column);
            Failure::parameter("query", format!("{line}:{column}: parse error: {}", why.message))
        })
    }

    /// The selectors in `match[]`.
    pub(super) fn selections(&self) -> Result<Vec<Selection>, Failure> {
        let parsed = self.all("match[]").map(|text| {
            parse_selection(text).map_err(|why| {
                let (line, column) = (why.line, why.column);
                Failure::parameter("match[]", format!("{line}:{column}: parse error: {}", why.message))
            })
        });
        parsed.collect()
    }
}

/// Seconds since the epoch, with a fraction, or RFC 3339.
fn time(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("cannot parse {text:?} to a valid timestamp");
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => Ok(Timestamp::from_secs_f64(seconds)),
        Ok(_) => Err(wrong()),
        Err(_) => Timestamp::from_rfc3339(text).ok_or_else(wrong),
    }
}

/// Seconds, with a fraction, or a duration such as `1h30m`.
fn seconds(text: &str) -> Result<f64, String> {
    let wrong = || format!("cannot parse {text:?} to a valid duration");
    match text.parse::<f64>() {
        // beyond 292 years Go's durations end
        Ok(seconds) if seconds.abs() <= 9_223_372_036.0 => Ok(seconds),
        Ok(_) => Err(format!("{}. It overflows int64", wrong())),
        Err(_) => parse_duration(text).map(|span: Duration| span.as_secs_f64()).map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_prometheus_own() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1435781430.781", Some(1_435_781_430_781)),
            ("-1.5", Some(-1500)),
            ("2015-07-01T20:10:51.781Z", Some(1_435_781_451_781)),
            ("2015-07-01T20:10:51.781+02:00", Some(1_435_774_251_781)),
            ("1e9", Some(1_000_000_000_000)),
            ("NaN", None),
            ("+Inf", None),
            ("", None),
            ("now", None),
        ] {
            assert_eq!(time(text).ok().map(Timestamp::millis), expected, "{text}");
        }
        for (text, expected) in [
            ("15", Some(15.0)),
            ("0.5", Some(0.5)),
            ("-1", Some(-1.0)),
            ("1h30m", Some(5400.0)),
            ("1e20", None),
            ("NaN", None),
            ("5 minutes", None),
        ] {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_form_and_a_url_are_read_together_the_form_first() {
        let params = Params::read(b"query=up%7Ba%3D%22b%22%7D&match[]=a&match%5B%5D=b", b"query=down&match[]=c&x=+1");
        assert_eq!((params.get("query"), params.get("x"), params.get("y")), ("up{a=\"b\"}", " 1", ""));
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(params.selections().unwrap().len(), 3);
        let refused = Params::read(b"limit=-1", b"").count("limit").unwrap_err();
        assert!(refused.message.starts_with("invalid parameter \"limit\""), "{}", refused.message);
    }
}
