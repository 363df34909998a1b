//! Refusals as problem details (RFC 9457).

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use ringfort_http::{ExchangeId, Refused};

use crate::PROBLEM;
use crate::model::Problem;

/// Middleware: writes the body of an answer that refuses.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let exchange = request.extensions().get::<ExchangeId>().copied();
    let mut response = next.run(request).await;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let Some(refused) = response.extensions().get::<Refused>() else { return response };

    let reason = refused.reason;
    let problem = Problem {
        problem_type: format!("urn:ringfort:reason:{reason}"),
        title: reason.meaning().to_owned(),
        status: response.status().as_u16(),
        detail: refused.detail.clone(),
        reason: reason.code().to_owned(),
        next_step: reason.next_step().to_owned(),
        exchange_id: exchange.map(|id| id.to_string()).unwrap_or_default(),
    };
    // Strings and a number always serialise.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
    *response.body_mut() = Body::from(body);
    response
}
