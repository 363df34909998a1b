use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ringfort_cose::Reason;
use ringfort_http::Refused;
use serde::Deserialize;

use super::{Caller, Parameters, page_limit};
use crate::model::{AuditEntries, Checkpoint, Problem};
use crate::{Api, PROBLEM, refused};

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntryParameters {
    /// The place of the first entry, from 0.
    #[serde(default)]
    from: u64,
    /// At most so many, 1 to 1000; 100 if it is not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The signed head of the audit log.
#[utoipa::path(get, path = "/api/v1/audit/checkpoint", operation_id = "get_checkpoint", tag = "audit", responses(
    (status = 200, description = "Done", body = Checkpoint), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn checkpoint(
    State(api): State<Arc<Api>>,
    Caller(_): Caller,
) -> Result<Json<Checkpoint>, Refused> {
    let (checkpoint, frontier) = api.fleet.audit_head().await.map_err(refused)?;
    let frontier = hex::encode(frontier.to_bytes());
    Ok(Json(Checkpoint { checkpoint, frontier, hand_overs: api.fleet.hand_overs().to_vec() }))
}

/// Entries of the audit log, as they are hashed.
#[utoipa::path(get, path = "/api/v1/audit/entries", operation_id = "list_audit_entries", tag = "audit", params(EntryParameters),
    responses((status = 200, description = "Done", body = AuditEntries), (status = "default", description = "It was refused", body = Problem, content_type = PROBLEM)))]
pub(crate) async fn entries(
    State(api): State<Arc<Api>>,
    Caller(who): Caller,
    Parameters(given): Parameters<EntryParameters>,
) -> Result<Json<AuditEntries>, Refused> {
    let limit = page_limit(given.limit)?;
    if i64::try_from(given.from).is_err() {
        return Err(Refused::new(Reason::Malformed, "no log has so many entries"));
    }
    let entries = api.fleet.audit_entries(&who, given.from, limit).await.map_err(refused)?;
    let full = entries.len() >= limit as usize;
    let next = full.then_some(given.from + entries.len() as u64);
    let entries = entries.iter().map(hex::encode).collect();
    Ok(Json(AuditEntries { from: given.from, entries, next }))
}
