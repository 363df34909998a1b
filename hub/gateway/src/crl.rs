//! CRLs for other relying parties, a broker for instance. Anyone may have them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use ringfort_cose::Reason;
use ringfort_http::Refused;
use ringfort_pki::Crl;

use crate::Gateway;

/// The newest CRLs, signed beforehand: serving one costs no signature.
#[derive(Debug, Default)]
pub struct CrlShelf(RwLock<BTreeMap<u16, Bytes>>);

impl CrlShelf {
    /// Puts newer ones in place; shards that are not among them keep theirs.
    pub fn put(&self, crls: Vec<Crl>) {
        let crls = crls.into_iter().map(|crl| (crl.shard, Bytes::from(crl.der)));
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(crls);
    }

    fn shard(&self, shard: u16) -> Option<Bytes> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned()
    }
}

/// One shard (RFC 5280, section 5), as certificates name it: `{shard}.crl`.
pub(crate) async fn shard(
    State(gateway): State<Arc<Gateway>>,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let shard = name.strip_suffix(".crl").and_then(|shard| shard.parse().ok());
    let crl = shard.and_then(|shard| gateway.config.crls.shard(shard)).ok_or(Reason::NotFound)?;
    Ok(([(CONTENT_TYPE, "application/pkix-crl")], crl).into_response())
}
