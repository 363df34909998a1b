use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Extension;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue};
use ringfort_cose::Reason;
use tracing::Instrument;

/// The name of one exchange: it stands in the log, in the answer's header `exchange-id`, and in
/// the body of every error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ExchangeId(u128);

/// Marks an answer that refuses, so that log and metrics know why.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The reason code.
    pub reason: Reason,
    /// What it was about.
    pub detail: String,
}

impl Refused {
    /// A refusal with its detail.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Refused {
        Refused { reason, detail: detail.into() }
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Refused {
        Refused::new(reason, "")
    }
}

/// The status and the mark; each listener writes the body in its own format.
impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (crate::status(self.reason), Extension(self)).into_response()
    }
}

/// Who the exchange turned out to be with; for the log.
#[derive(Clone, Default)]
pub struct Seen(Arc<OnceLock<String>>);

impl ExchangeId {
    /// A fresh one.
    pub fn random() -> ExchangeId {
        ExchangeId(uuid::Uuid::new_v4().as_u128())
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Seen {
    /// Notes who it is; the first word counts.
    pub fn set(&self, who: impl Into<String>) {
        let _ = self.0.set(who.into());
    }

    fn who(&self) -> &str {
        self.0.get().map_or("", String::as_str)
    }
}

/// Middleware: gives the exchange its id, logs it once when it is answered, counts it. Its state
/// is the listener's name.
pub async fn exchange(
    State(listener): State<&'static str>,
    mut request: Request,
    next: Next,
) -> Response {
    let (id, seen) = (ExchangeId::random(), Seen::default());
    request.extensions_mut().insert(id);
    request.extensions_mut().insert(seen.clone());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    // Label values come from the routes, never from what a peer wrote.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());

    let span = tracing::info_span!("exchange", %id);
    let begun = Instant::now();
    let mut response = next.run(request).instrument(span).await;
    let seconds = begun.elapsed().as_secs_f64();

    let status = response.status().as_u16();
    let refused = response.extensions().get::<Refused>().cloned();
    let reason = refused.as_ref().map_or("", |refused| refused.reason.code());
    metrics::counter!("ringfort_exchanges_total", "listener" => listener, "route" => route.clone(),
        "status" => status.to_string(), "reason" => reason)
    .increment(1);
    metrics::histogram!("ringfort_exchange_seconds", "listener" => listener, "route" => route)
        .record(seconds);
    let (who, milliseconds) = (seen.who(), seconds * 1000.0);
    match refused {
        Some(refused) => tracing::warn!(%id, listener, who, %method, path, status, reason,
            detail = refused.detail, milliseconds, "refused"),
        None => tracing::info!(%id, listener, who, %method, path, status, milliseconds, "answered"),
    }
    // 32 hexadecimal digits are a header value.
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(EXCHANGE_ID, value);
    }
    response
}

const EXCHANGE_ID: HeaderName = HeaderName::from_static("exchange-id");
