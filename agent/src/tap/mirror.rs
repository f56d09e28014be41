//! Copies of requests for the treatment of an experiment: sent beside the traffic, their answers observed and dropped.

use std::sync::Arc;

use http::Request;
use http_body_util::BodyExt;
use plimsoll_rules::{Assignment, Endpoint};

use super::forward::{Exchange, Tap};
use super::observe::Recorder;
use super::options::TapOptions;
use crate::pairs::Pairing;

/// Copies on their way at once; beyond, they are dropped and counted.
pub(super) const MOST: usize = 8;

/// One copy.
#[derive(Debug)]
pub(super) struct Copy {
    /// Head and body of the request, as the treatment is to get it.
    pub(super) request: Request<bytes::Bytes>,
    pub(super) endpoint: Endpoint,
    /// With the treatment's upstream.
    pub(super) options: Arc<TapOptions>,
    pub(super) assignment: Assignment,
    /// What it shares with the request.
    pub(super) pairing: Option<Pairing>,
    /// The treatment's name.
    pub(super) name: Arc<str>,
}

/// Sends a copy, if there is room for one; gives whether there is.
pub(super) fn send(tap: &Arc<Tap>, copy: Copy) -> bool {
    let Ok(permit) = tap.mirrors.clone().try_acquire_owned() else { return false };
    let inner = tap.clone();
    tap.tasks.spawn(async move {
        let stop = inner.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = carry(inner, copy) => {}
        }
        drop(permit);
    });
    true
}

/// To the end of the answer. The recorder tells what came of it.
async fn carry(tap: Arc<Tap>, copy: Copy) {
    let Copy { mut request, endpoint, options, assignment, pairing, name } = copy;
    // An id of the client's would make two exchanges of one.
    request.headers_mut().remove("x-request-id");
    let mut recorder = Recorder::new(tap.sink.clone(), endpoint, None, name.clone());
    recorder.mirrors(assignment);
    recorder.pairs(pairing);
    let (parts, body) = request.into_parts();
    let exchange = Exchange::of_copy(tap, options, parts.version == http::Version::HTTP_2);
    let upload = exchange.whole(body);
    let outcome = exchange.run(parts, upload, false).await;
    exchange.tell_request(&mut recorder);
    match outcome {
        Err(failure) => recorder.end_with(failure.how(), failure.status().as_u16()),
        Ok(answer) => {
            let mut body = exchange.answer(answer, Some(recorder), None).into_body();
            while let Some(Ok(_)) = body.frame().await {}
        }
    }
}
