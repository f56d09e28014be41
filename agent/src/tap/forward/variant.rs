//! The part of a request's way that experiments decide: which variant serves it, what it is made into, what happens where
//! that variant's server is away.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode, request};
use hyper::body::Incoming;

use super::{Answer, Exchange, head_of, read};
use crate::config::Variant;
use crate::experiment::{Splitter, Unenrolled};
use crate::tap::failure::Failure;
use crate::tap::headers::endpoint;
use crate::tap::inject;
use crate::tap::mirror::{self, Copy};
use crate::tap::observe::Recorder;
use crate::tap::options::{TapOptions, Upstream};
use crate::tap::split::{self, Asked, Plan};
use crate::tap::upload::{Log, Upload};

/// A request as it came, for when the variant that is to serve it is not there.
#[derive(Debug)]
pub(super) struct Fallback {
    request: Request<Bytes>,
    plain: Arc<TapOptions>,
    inject: bool,
    /// Who is asked now.
    now: Way,
    /// Who may be asked after that, the last one first.
    left: Vec<Way>,
}

/// Who a request goes to.
#[derive(Clone, Debug, PartialEq)]
struct Way {
    /// The model it names; as the client does when absent.
    model: Option<Arc<str>>,
    upstream: Arc<Upstream>,
}

impl Way {
    fn to(variant: &Variant, plain: &TapOptions) -> Self {
        let upstream = variant.upstream.clone().unwrap_or_else(|| plain.upstream.clone());
        Self { model: variant.model.clone(), upstream }
    }
}

impl Fallback {
    /// After the variant comes control, and then what the client asked for; `None`, and nothing is copied, where that is what
    /// is asked already.
    fn new(
        plan: &Plan,
        parts: &request::Parts,
        asked: &Asked<'_>,
        inject: bool,
        plain: Arc<TapOptions>,
    ) -> Option<Self> {
        let experiment = plan.running.experiment();
        let now = Way::to(plan.variant()?, &plain);
        let mut left =
            vec![Way { model: None, upstream: plain.upstream.clone() }, Way::to(&experiment.control, &plain)];
        left.dedup();
        left.retain(|way| *way != now);
        (!left.is_empty()).then(|| Self { request: with_body(parts, asked.body()), plain, inject, now, left })
    }

    /// Where the request goes after this outcome, which is not the client's then; `None` where it is.
    fn next(&mut self, outcome: &Result<Answer, Failure>) -> Option<Way> {
        let useful = |way: &Way| match outcome {
            Err(Failure::Connect(_)) => way.upstream != self.now.upstream,
            // an engine that was started again knows its adapters no more
            Ok(answer) => answer.response.status() == StatusCode::NOT_FOUND && self.now.model.is_some(),
            Err(_) => false,
        };
        let at = self.left.iter().rposition(useful)?;
        self.now = self.left.remove(at);
        self.left.truncate(at);
        Some(self.now.clone())
    }
}

impl Exchange {
    /// Finds out which variant of which experiment serves the request, and makes it that variant's.
    pub(super) async fn split(
        &mut self,
        splitter: &Splitter,
        parts: &mut request::Parts,
        mut body: Incoming,
        inject: bool,
        recorder: Option<&mut Recorder>,
    ) -> Result<Upload, Failure> {
        if let Err(why) = split::readable(&parts.headers) {
            let plan = split::plan(splitter, &parts.headers, Err(why));
            self.take_part(plan.as_ref(), recorder);
            return Ok(self.upload(body));
        }
        let read = read(&mut body).await?;
        let asked = if read.ended { Asked::read(&read.text) } else { None };
        let unread = match read.ended {
            true => Unenrolled::NotJson,
            false if read.text.len() > inject::LONGEST => Unenrolled::TooLong,
            false => Unenrolled::Unreadable,
        };
        let plan = split::plan(splitter, &parts.headers, asked.as_ref().ok_or(unread));
        let plain = self.options.clone();
        self.take_part(plan.as_ref(), recorder);
        let model = |plan: &Plan| plan.variant().and_then(|variant| variant.model.clone());
        let dressed = match &asked {
            Some(asked) => {
                let renamed = plan.as_ref().and_then(model).and_then(|model| asked.with_model(&model));
                self.dressed(renamed, &read.text, inject)
            }
            None => None,
        };
        if let (Some(plan), Some(asked)) = (&plan, &asked) {
            self.copies(splitter, plan, parts, asked, &plain);
            self.fallback = Fallback::new(plan, parts, asked, inject, plain).map(Box::new);
        }
        Ok(match dressed {
            Some(body) => {
                inject::set_length(&mut parts.headers, body.len());
                self.whole(body)
            }
            None => Upload::resumed(read.frames, body, self.log.clone()),
        })
    }

    fn take_part(&mut self, plan: Option<&Plan>, recorder: Option<&mut Recorder>) {
        let Some(plan) = plan else { return };
        if let Some(recorder) = recorder {
            recorder.takes_part(plan.name.clone(), plan.assignment.clone());
            recorder.pairs(plan.pairing);
        }
        if let Some(upstream) = plan.variant().and_then(|variant| variant.upstream.clone()) {
            self.options = towards(&self.options, upstream);
        }
    }

    /// Sends the treatment its copy, if it is to have one.
    fn copies(
        &self,
        splitter: &Splitter,
        plan: &Plan,
        parts: &request::Parts,
        asked: &Asked<'_>,
        plain: &Arc<TapOptions>,
    ) {
        let (Some(assignment), Some(endpoint)) = (plan.copy.clone(), endpoint(parts.method.as_str(), parts.uri.path()))
        else {
            return;
        };
        let treatment = &plan.running.experiment().treatment;
        let body = treatment.model.as_ref().and_then(|model| asked.with_model(model));
        let request = with_body(parts, body.unwrap_or_else(|| asked.body()));
        let options = treatment.upstream.clone().map_or_else(|| plain.clone(), |upstream| towards(plain, upstream));
        let (pairing, name) = (plan.pairing, treatment.name.clone());
        let copy = Copy { request, endpoint, options, assignment, pairing, name };
        if !mirror::send(&self.tap, copy) {
            splitter.count_dropped_mirror();
        }
    }

    /// Asks somebody else for as long as who was asked is not there. Not a byte has been answered.
    pub(super) async fn fall_back(
        &mut self,
        mut outcome: Result<Answer, Failure>,
        upgrade: bool,
        mut recorder: Option<&mut Recorder>,
    ) -> Result<Answer, Failure> {
        let Some(mut fallback) = self.fallback.take() else { return outcome };
        while let Some(way) = fallback.next(&outcome) {
            if let Some(recorder) = &mut recorder {
                recorder.fails_over();
            }
            let text = fallback.request.body();
            let renamed = way.model.as_ref().and_then(|model| Asked::read(text)?.with_model(model));
            let body = self.dressed(renamed, text, fallback.inject).unwrap_or_else(|| text.clone());
            (self.options, self.log) = (towards(&fallback.plain, way.upstream), Log::new(true));
            let (mut parts, ()) = head_of(&fallback.request).into_parts();
            inject::set_length(&mut parts.headers, body.len());
            outcome = self.run(parts, self.whole(body), upgrade).await;
        }
        outcome
    }
}

/// The same options with another upstream.
fn towards(options: &TapOptions, upstream: Arc<Upstream>) -> Arc<TapOptions> {
    Arc::new(TapOptions { upstream, ..options.clone() })
}

/// A request of its own with another body.
fn with_body(parts: &request::Parts, body: Bytes) -> Request<Bytes> {
    let length = body.len();
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.version_mut() = parts.version;
    *request.headers_mut() = parts.headers.clone();
    *request.extensions_mut() = parts.extensions.clone();
    inject::set_length(request.headers_mut(), length);
    request
}
