//! What becomes of a request where experiments run: which one it takes part in, who serves it, under which name.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, HeaderValue};
use plimsoll_rules::verdict::experiment::Arm;
use plimsoll_rules::{Assignment, Phase};
use serde_json::Value;

use super::inject::LONGEST;
use super::members::members;
use crate::config::{Judge, Split, Tells, UnitSource, Variant};
use crate::experiment::{Course, Running, Splitter, Unenrolled};
use crate::pairs::Pairing;

/// What becomes of one request.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) running: Arc<Running>,
    /// The half whose variant serves it; `None` where it passes as it is, because somebody else has split.
    pub(super) serve: Option<Arm>,
    /// Under which name it is recorded, when not under the pod's own.
    pub(super) name: Option<Arc<str>>,
    /// What is recorded of its unit.
    pub(super) assignment: Option<Assignment>,
    /// The treatment gets a copy, whose answer is recorded with this.
    pub(super) copy: Option<Assignment>,
    /// The two answers are to be compared.
    pub(super) pairing: Option<Pairing>,
}

impl Plan {
    /// Who serves it.
    pub(super) fn variant(&self) -> Option<&Variant> {
        self.serve.map(|arm| self.running.experiment().variant(arm))
    }
}

/// A request's body, understood as far as an experiment needs it.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    body: &'a [u8],
    /// Keys and places of the values, of the outermost object.
    members: Vec<(&'a [u8], (usize, usize))>,
}

impl<'a> Asked<'a> {
    /// `None` when it is no JSON object, or a key in it is written with escapes and may be any.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice::<serde::de::IgnoredAny>(body).ok()?;
        let members = members(body)?;
        let plain = members.iter().all(|(key, _)| !key.contains(&b'\\'));
        plain.then_some(Self { body, members })
    }

    /// All of it.
    pub(super) fn body(&self) -> Bytes {
        Bytes::copy_from_slice(self.body)
    }

    /// Where the value of `key` is; the last one counts, as it does for those who read it.
    fn place(&self, key: &str) -> Option<(usize, usize)> {
        self.members.iter().rev().find(|(name, _)| *name == key.as_bytes()).map(|(_, place)| *place)
    }

    fn value(&self, key: &str) -> Option<&'a [u8]> {
        self.place(key).map(|(from, to)| &self.body[from..to])
    }

    fn text(&self, key: &str) -> Option<String> {
        serde_json::from_slice::<String>(self.value(key)?).ok()
    }

    /// The body naming another model; every other byte is as it was. `None` when it names none, or that one already.
    pub(super) fn with_model(&self, model: &str) -> Option<Bytes> {
        let (from, to) = self.place("model")?;
        if self.text("model").as_deref() == Some(model) {
            return None;
        }
        let name = Value::from(model).to_string();
        let mut body = BytesMut::with_capacity(self.body.len() + name.len());
        body.extend_from_slice(&self.body[..from]);
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&self.body[to..]);
        Some(body.freeze())
    }

    /// What the later requests of a conversation begin with too: its messages up to the first of the user.
    fn beginning(&self) -> Option<Vec<u8>> {
        let said = self.value("messages").or_else(|| self.value("input"))?;
        match serde_json::from_slice(said).ok()? {
            Value::String(text) => Some(text.into_bytes()),
            Value::Array(mut messages) => {
                let first = messages.iter().position(|message| message["role"] == "user")?;
                messages.truncate(first + 1);
                Some(Value::from(messages).to_string().into_bytes())
            }
            _ => None,
        }
    }

    fn unit(&self, source: &UnitSource, headers: &HeaderMap) -> Option<Vec<u8>> {
        let unit = match source {
            UnitSource::Header(name) => headers.get(name).map(|value| value.as_bytes().to_vec()),
            UnitSource::User => self.text("user").map(String::into_bytes),
            UnitSource::Conversation => self.beginning(),
            UnitSource::Request => Some(uuid::Uuid::new_v4().as_bytes().to_vec()),
        };
        unit.filter(|unit| !unit.is_empty())
    }
}

/// Whether a request's body can be read at all, from its head.
pub(super) fn readable(headers: &HeaderMap) -> Result<(), Unenrolled> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > LONGEST) {
        return Err(Unenrolled::TooLong);
    }
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|value| value != "identity");
    if encoded || headers.contains_key(EXPECT) { Err(Unenrolled::Unreadable) } else { Ok(()) }
}

/// What becomes of a request; `None` when it is of no experiment.
pub(super) fn plan(splitter: &Splitter, headers: &HeaderMap, asked: Result<&Asked<'_>, Unenrolled>) -> Option<Plan> {
    let model = asked.ok().and_then(|asked| asked.text("model"));
    let concerns = |running: &Running| {
        let models = &running.experiment().models;
        models.is_empty() || model.as_ref().is_some_and(|model| models.contains(model))
    };
    let running = splitter.all().iter().find(|one| one.course() != Course::Off && concerns(one)).cloned()?;
    let course = running.course();
    let experiment = running.experiment().clone();
    if course.enrols().is_none() {
        return Some(settled(running, course, asked.is_ok()));
    }
    let routes = !matches!(experiment.split, Split::Outside { .. });
    let assigned = asked.and_then(|asked| {
        let told = match &experiment.split {
            Split::Outside { tells, .. } => Some(told(&running, tells, headers, asked).ok_or(Unenrolled::NoVariant)?),
            _ => None,
        };
        let unit = asked.unit(&experiment.unit, headers).ok_or(Unenrolled::NoUnit)?;
        running.assign(&unit, told)
    });
    match assigned {
        Ok(Some(assignment)) => Some(enrolled(splitter, running, assignment, routes)),
        // The course changed under us.
        Ok(None) => Some(settled(running.clone(), running.course(), true)),
        Err(why) => {
            splitter.count_unenrolled(&running, why);
            Some(Plan {
                running,
                serve: routes.then_some(Arm::Control),
                name: None,
                assignment: None,
                copy: None,
                pairing: None,
            })
        }
    }
}

/// The half that an outside splitter has put a request into.
fn told(running: &Running, tells: &Tells, headers: &HeaderMap, asked: &Asked<'_>) -> Option<Arm> {
    let value = match tells {
        Tells::Header(name) => headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned),
        Tells::Model => asked.text("model"),
    };
    running.experiment().arm_called(&value?)
}

/// After a verdict, or on hold: all are served by one variant.
fn settled(running: Arc<Running>, course: Course, rewritable: bool) -> Plan {
    let experiment = running.experiment();
    if matches!(experiment.split, Split::Outside { .. }) || course == Course::Off {
        return Plan { running, serve: None, name: None, assignment: None, copy: None, pairing: None };
    }
    let promoted = course == Course::Treatment && experiment.promote_routes;
    let arm =
        if promoted && (rewritable || experiment.treatment.model.is_none()) { Arm::Treatment } else { Arm::Control };
    let name = Some(experiment.variant(arm).name.clone());
    Plan { running, serve: Some(arm), name, assignment: None, copy: None, pairing: None }
}

fn enrolled(splitter: &Splitter, running: Arc<Running>, assignment: Assignment, routes: bool) -> Plan {
    if assignment.first {
        splitter.count_unit(&running, assignment.arm);
    }
    let (arm, phase) = (assignment.arm, assignment.phase);
    let served = if phase == Phase::Split { arm } else { Arm::Control };
    let name = Some(running.experiment().variant(served).name.clone());
    let serve = routes.then_some(served);
    if phase == Phase::Mirror && arm == Arm::Treatment {
        // What the client gets is control's, so it says nothing of this unit; the copy does.
        let pairing = pairing(&running.experiment().judge);
        return Plan { running, serve, name, assignment: None, copy: Some(assignment), pairing };
    }
    Plan { running, serve, name, assignment: Some(assignment), copy: None, pairing: None }
}

/// A number for a request and its copy, where a judge is to compare the answers; chance says whether a person is asked too.
fn pairing(judge: &Judge) -> Option<Pairing> {
    judge.enabled.then(|| Pairing { number: fastrand::u64(..), asked: fastrand::f64() < judge.labels })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn renamed(body: &str, model: &str) -> Option<String> {
        let body = Asked::read(body.as_bytes())?.with_model(model)?;
        Some(String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn only_the_model_that_counts_is_replaced() {
        for (why, body, expected) in [
            ("usual", r#"{"model":"a","n":1}"#, Some(r#"{"model":"b\"é","n":1}"#)),
            (
                "layout",
                "{ \"n\" : [ {\"model\":1} ],\n\t\"model\" :\"a\" }\n",
                Some("{ \"n\" : [ {\"model\":1} ],\n\t\"model\" :\"b\\\"é\" }\n"),
            ),
            ("the last counts", r#"{"model":"x","model":"y"}"#, Some(r#"{"model":"x","model":"b\"é"}"#)),
            ("no text", r#"{"model":null}"#, Some(r#"{"model":"b\"é"}"#)),
            ("the same", r#"{"model":"b\"\u00e9"}"#, None),
            ("none", r#"{"messages":[{"model":"a"}]}"#, None),
            ("an escaped key", r#"{"mod\u0065l":"a","model":"a"}"#, None),
            ("no object", "[1]", None),
            ("no JSON", r#"{"model":"a""#, None),
        ] {
            assert_eq!(renamed(body, "b\"é").as_deref(), expected, "{why}");
        }
    }

    #[test]
    fn units_are_found_where_they_are_named() {
        let mut headers = HeaderMap::new();
        headers.insert("x-user", HeaderValue::from_static("ann"));
        let first = r#"{"user":"bob","messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"}]}"#;
        let later = r#"{"user":"","messages":[{"role":"system","content":"s"},{"role":"user", "content":"hi"},{"role":"assistant","content":"x"},{"role":"user","content":"y"}]}"#;
        let (first, later) = (Asked::read(first.as_bytes()).unwrap(), Asked::read(later.as_bytes()).unwrap());
        let header = |name: &'static str| UnitSource::Header(http::HeaderName::from_static(name));
        assert_eq!(first.unit(&header("x-user"), &headers).unwrap(), b"ann");
        assert_eq!(first.unit(&header("x-other"), &headers), None);
        assert_eq!(first.unit(&UnitSource::User, &headers).unwrap(), b"bob");
        assert_eq!(later.unit(&UnitSource::User, &headers), None, "empty is nobody");
        let conversation = |asked: &Asked<'_>| asked.unit(&UnitSource::Conversation, &headers);
        assert!(conversation(&first).is_some() && conversation(&first) == conversation(&later));
        let none = Asked::read(br#"{"messages":[]}"#).unwrap();
        assert_eq!(conversation(&none), None);
        let alone = |asked: &Asked<'_>| asked.unit(&UnitSource::Request, &headers);
        assert_ne!(alone(&first), alone(&first));
    }

    #[test]
    fn bodies_that_cannot_be_read_are_known_by_their_heads() {
        for (name, value, expected) in [
            ("content-length", "100", Ok(())),
            ("content-length", "99999999", Err(Unenrolled::TooLong)),
            ("content-encoding", "gzip", Err(Unenrolled::Unreadable)),
            ("content-encoding", "identity", Ok(())),
            ("expect", "100-continue", Err(Unenrolled::Unreadable)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(readable(&headers), expected, "{name}: {value}");
        }
    }

    proptest! {
        #[test]
        fn everything_but_the_model_stays(before in "[ -~]{0,20}", after in "[ -~]{0,20}", old in ".{0,10}", new in ".{0,10}") {
            let member = |name: &str, text: &str| format!("\"{name}\" :\t{}", Value::from(text));
            let head = format!("{{ {},\n", member("a", &before));
            let tail = format!(" , {} }}", member("b", &after));
            let with = |model: &str| format!("{head}\"model\": {}{tail}", Value::from(model));
            let expected = (old != new).then(|| with(&new));
            prop_assert_eq!(renamed(&with(&old), &new), expected);
        }

        #[test]
        fn no_body_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(asked) = Asked::read(&bytes) {
                asked.with_model("m");
                asked.beginning();
            }
        }
    }
}
