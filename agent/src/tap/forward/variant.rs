//! The part of a request's way that experiments decide: which variant serves it, what it is made into, what happens where
//! that variant's server is away.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, request};
use hyper::body::Incoming;
use plimsoll_rules::verdict::experiment::Arm;

use super::{Answer, Exchange, read};
use crate::experiment::{Splitter, Unenrolled};
use crate::tap::failure::Failure;
use crate::tap::headers::endpoint;
use crate::tap::inject;
use crate::tap::mirror::{self, Copy};
use crate::tap::observe::Recorder;
use crate::tap::options::{TapOptions, Upstream};
use crate::tap::split::{self, Asked, Plan};
use crate::tap::upload::{Log, Upload};

/// A request as control is to get it.
#[derive(Debug)]
pub(super) struct Fallback {
    request: Request<Bytes>,
    options: Arc<TapOptions>,
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
            self.keep_fallback(plan, parts, (asked, &read.text, inject), &plain);
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

    /// A treatment on a server of its own can be away while control is not.
    fn keep_fallback(
        &mut self,
        plan: &Plan,
        parts: &request::Parts,
        (asked, text, inject): (&Asked<'_>, &[u8], bool),
        plain: &Arc<TapOptions>,
    ) {
        let control = &plan.running.experiment().control;
        let upstream = control.upstream.clone().unwrap_or_else(|| plain.upstream.clone());
        if plan.serve != Some(Arm::Treatment) || Arc::ptr_eq(&upstream, &self.options.upstream) {
            return;
        }
        let renamed = control.model.as_ref().and_then(|model| asked.with_model(model));
        let body = self.dressed(renamed, text, inject).unwrap_or_else(|| asked.body());
        self.fallback = Some(Box::new(Fallback { request: with_body(parts, body), options: towards(plain, upstream) }));
    }

    /// Asks control, for the treatment cannot be reached. Not a byte has been answered.
    pub(super) async fn fall_back(
        &mut self,
        fallback: Fallback,
        upgrade: bool,
        recorder: Option<&mut Recorder>,
    ) -> Result<Answer, Failure> {
        if let Some(recorder) = recorder {
            recorder.fails_over();
        }
        let (parts, body) = fallback.request.into_parts();
        (self.options, self.log) = (fallback.options, Log::new(true));
        self.run(parts, self.whole(body), upgrade).await
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
