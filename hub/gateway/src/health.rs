use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use ringfort_http::Refused;

use crate::Gateway;
use crate::peer::refused;

/// Whether the hub works, for load balancers and supervisors, which have no certificate. It tells
/// one of two words that every device learns anyway, and costs one read of one row.
pub(crate) async fn healthy(
    State(gateway): State<Arc<Gateway>>,
) -> Result<impl IntoResponse, Refused> {
    let health = gateway.fleet.health().await.map_err(refused)?;
    let body = format!("{{\"status\":\"{}\"}}\n", health.name());
    Ok(([(CONTENT_TYPE, "application/json")], body))
}
