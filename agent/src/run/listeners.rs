//! The three ports: bound first, so that a taken one is an error before anything has begun.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::middleware;
use plimsoll_exporters::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Checked;
use crate::experiment::Splitter;
use crate::http::api::ApiState;
use crate::http::capped::Capped;
use crate::http::health::Readiness;
use crate::http::query::{self, QueryLimits};
use crate::http::{
    answer, api, audit, auth, drift, experiments, feedback, open_router, outbox, ranks, retrain, scaling, silences,
};
use crate::records::Records;
use crate::shutdown::Shutdown;
use crate::tap;

/// The bound ports.
pub(super) struct Listeners {
    metrics: TcpListener,
    api: TcpListener,
    tap: Option<TcpListener>,
}

impl Listeners {
    pub(super) async fn bind(config: &Checked) -> anyhow::Result<Self> {
        let raw = &config.raw;
        let tap = match raw.sources.tap.enabled {
            true => Some(bind("sources.tap.listen", &raw.sources.tap.listen).await?),
            false => None,
        };
        Ok(Self {
            metrics: bind("listen.metrics", &raw.listen.metrics).await?,
            api: bind("listen.api", &raw.listen.api).await?,
            tap,
        })
    }

    pub(super) fn metrics_address(&self) -> SocketAddr {
        address(&self.metrics)
    }

    pub(super) fn api_address(&self) -> SocketAddr {
        address(&self.api)
    }

    pub(super) fn tap_address(&self) -> Option<SocketAddr> {
        self.tap.as_ref().map(address)
    }

    #[expect(clippy::too_many_arguments, reason = "the one place where every part meets its port")]
    pub(super) fn serve(
        self,
        config: watch::Receiver<Arc<Checked>>,
        api: ApiState,
        records: &Records,
        registry: &Registry,
        readiness: &Readiness,
        (outlets, splitter): (tap::Outlets, Splitter),
        shutdown: &Shutdown,
    ) {
        let door = feedback::router(records.clone(), outlets.masker.clone(), config.clone(), splitter.clone());
        let ranks = ranks::router(api.ranks.clone(), outlets.masker.clone());
        if let Some(listener) = self.tap {
            let options = tap_options(config.clone(), splitter, shutdown);
            let (registry, inner) = (registry.clone(), shutdown.clone());
            shutdown.spawn("tap", tap::serve(listener, options, registry, outlets, inner));
        }
        let open = open_router(registry.clone(), readiness.clone());
        spawn_http("metrics", self.metrics, open, shutdown);
        let (dispatcher, drift) = (api.dispatcher.clone(), api.drift.clone());
        let (decided, retrain) = (api.experiments.clone(), api.retrain.clone());
        let scaling = scaling::router(api.need.clone(), config.clone());
        let limits = {
            let config = config.borrow();
            QueryLimits { time: config.raw.limits.query_time.0, samples: config.raw.limits.query_samples }
        };
        let queries = query::router(api.pipeline.clone(), registry.clone(), limits);
        let audit = audit::Audit::new(records.clone(), &super::pod(&config.borrow()));
        let guard = auth::Guard { config, audit, registry: registry.clone() };
        let guarded = api::router(api)
            .merge(queries)
            .merge(drift::router(drift))
            .merge(experiments::router(decided))
            .merge(retrain::router(retrain))
            .merge(silences::router(dispatcher.clone()))
            .merge(outbox::router(dispatcher))
            .merge(audit::router(records.clone()))
            .merge(ranks)
            .merge(scaling)
            .merge(door)
            .fallback(answer::no_such_path)
            .method_not_allowed_fallback(answer::no_such_method)
            .layer(middleware::from_fn_with_state(guard, auth::guard));
        spawn_http("api", self.api, guarded, shutdown);
    }
}

async fn bind(key: &str, listen: &str) -> anyhow::Result<TcpListener> {
    let hint = "is another process on that port? choose another one in the configuration";
    TcpListener::bind(listen).await.with_context(|| format!("{key}: cannot listen on {listen}; {hint}"))
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
}

/// Serves until shutdown; requests in flight finish.
fn spawn_http(name: &'static str, listener: TcpListener, router: Router, shutdown: &Shutdown) {
    let ending = shutdown.clone();
    shutdown.spawn(name, async move {
        let serve =
            axum::serve(Capped::new(listener), router).with_graceful_shutdown(async move { ending.begun().await });
        if let Err(error) = serve.await {
            tracing::error!(port = name, %error, "stopped listening");
        }
    });
}

/// The tap's options follow every reload.
fn tap_options(
    mut config: watch::Receiver<Arc<Checked>>,
    splitter: Splitter,
    shutdown: &Shutdown,
) -> watch::Receiver<Arc<tap::TapOptions>> {
    let convert = move |config: &Checked| {
        let tap = &config.raw.sources.tap;
        Arc::new(tap::TapOptions {
            connect_timeout: tap.connect_timeout.0,
            response_timeout: tap.response_timeout.0,
            idle_timeout: tap.idle_timeout.0,
            inject_usage: tap.inject_usage,
            splitter: (!config.experiments.is_empty() || config.finetune.is_some()).then(|| splitter.clone()),
            variant: config.raw.identity.variant.as_str().into(),
            text_sample: config.raw.text.sample,
            text_bytes: usize::try_from(config.raw.text.max_bytes.0).unwrap_or(usize::MAX),
            ..tap::TapOptions::new(config.upstream.clone())
        })
    };
    let (sender, receiver) = watch::channel(convert(&config.borrow()));
    let ending = shutdown.clone();
    shutdown.spawn("tap options", async move {
        loop {
            tokio::select! {
                () = ending.begun() => return,
                changed = config.changed() => if changed.is_err() { return },
            }
            sender.send_replace(convert(&config.borrow_and_update()));
        }
    });
    receiver
}
