//! Refusals as concise problem details (RFC 9290).

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use ringfort_http::{ExchangeId, Refused};
use ringfort_messages::{PROBLEM_MEDIA_TYPE, Problem, ReasonCode, Text};

/// Middleware: writes the body of an answer that refuses.
///
/// Clients that ask for `text/plain` get a line for people (RFC 7030, section 4.2.3); the reason
/// code also stands in the header `reason`.
pub async fn render(request: Request, next: Next) -> Response {
    let exchange = request.extensions().get::<ExchangeId>().copied();
    let as_text = prefers_text(request.headers());
    let mut response = next.run(request).await;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let Some(refused) = response.extensions().get::<Refused>().cloned() else { return response };

    let exchange = exchange.map(|id| id.to_string()).unwrap_or_default();
    let (media_type, body) = match as_text {
        true => ("text/plain; charset=utf-8", line(&refused, &exchange).into_bytes()),
        false => (PROBLEM_MEDIA_TYPE, problem(&refused, &exchange)),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(REASON, HeaderValue::from_static(refused.reason.code()));
    *response.body_mut() = Body::from(body);
    response
}

fn problem(refused: &Refused, exchange: &str) -> Vec<u8> {
    let detail = match refused.detail.is_empty() {
        true => refused.reason.meaning(),
        false => &refused.detail,
    };
    let problem = Problem {
        code: ReasonCode::from(refused.reason),
        detail: Text::lossy(detail),
        exchange: Text::lossy(exchange),
    };
    // Every text fits its field, so this encodes; if it did not, the header still has the code.
    problem.encode().unwrap_or_default()
}

fn line(refused: &Refused, exchange: &str) -> String {
    let Refused { reason, detail } = refused;
    let colon = if detail.is_empty() { "" } else { ": " };
    format!(
        "{reason}{colon}{detail}\n{} {}\nexchange {exchange}\n",
        reason.meaning(),
        reason.next_step()
    )
}

fn prefers_text(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut types = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
    types.any(|media_type| media_type.eq_ignore_ascii_case("text/plain"))
}

const REASON: HeaderName = HeaderName::from_static("reason");
