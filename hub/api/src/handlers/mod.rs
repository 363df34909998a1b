//! What each address does: read the request, ask the fleet, write the answer.

pub(crate) mod audit;
pub(crate) mod deployments;
pub(crate) mod device_ca;
pub(crate) mod devices;
pub(crate) mod invitations;
pub(crate) mod operators;
pub(crate) mod releases;
pub(crate) mod renewal;
pub(crate) mod sites;
pub(crate) mod statements;
pub(crate) mod status;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use ringfort_cose::Reason;
use ringfort_fleet::{Operator, PAGE_MAX, State};
use ringfort_http::{BodyBounds, Refused, Seen, read_body};
use ringfort_messages::{ClassId, DeviceId};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::model::Page;
use crate::{Api, OperatorPeer};

/// Who asks, from the registry. Every handler but the health check and the login takes it.
pub(crate) struct Caller(pub(crate) Operator);

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Caller, Refused> {
        if let Some(operator) = parts.extensions.get::<Operator>() {
            return Ok(Caller(operator.clone()));
        }
        let missing = || Refused::new(Reason::Internal, "no peer in the request");
        let peer = parts.extensions.get::<OperatorPeer>().ok_or_else(missing)?;
        let seen = parts.extensions.get::<Seen>().ok_or_else(missing)?;
        api.operator(peer, seen).await.map(Caller)
    }
}

/// A JSON body, bounded, without fields that are not known.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Api>> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Json<T>, Refused> {
        let (parts, body) = request.into_parts();
        let body = read(api, &parts.headers, body, "application/json", MAX_JSON_BYTES).await?;
        serde_json::from_slice(&body).map(Json).map_err(|error| {
            // serde tells these two apart by their words only.
            let text = error.to_string();
            match text.starts_with("unknown field") {
                true => Refused::new(Reason::UnknownField, text),
                false => Refused::new(Reason::Malformed, text),
            }
        })
    }
}

/// A query string without parameters that are not known.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Api>> for Parameters<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refused> {
        match Query::<T>::from_request_parts(parts, api).await {
            Ok(Query(parameters)) => Ok(Parameters(parameters)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => {
                let text = error.body_text();
                match text.contains("unknown field") {
                    true => Err(Refused::new(Reason::UnknownField, text)),
                    false => Err(Refused::new(Reason::Malformed, text)),
                }
            }
            Err(error) => Err(Refused::new(Reason::Malformed, error.to_string())),
        }
    }
}

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Only items after this one: the `next` of the page before.
    pub(crate) after: Option<String>,
    /// At most so many, 1 to 1000; 100 if it is not given.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<u32>,
}

impl PageQuery {
    /// Cuts a page out of a list that is in order and short enough to be read whole.
    pub(crate) fn cut<T>(
        &self,
        items: Vec<T>,
        name: impl Fn(&T) -> String,
    ) -> Result<Page<T>, Refused> {
        let limit = page_limit(self.limit)? as usize;
        let begin = match &self.after {
            None => 0,
            Some(after) => match items.iter().position(|item| name(item) == *after) {
                Some(place) => place + 1,
                None => return Err(Refused::new(Reason::NotFound, "no item is called as `after`")),
            },
        };
        let mut items: Vec<T> = items.into_iter().skip(begin).take(limit + 1).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(name) } else { None };
        Ok(Page { items, next })
    }
}

/// A page that the fleet was asked for with this limit; it is followed by another if it is full.
pub(crate) fn page<T>(items: Vec<T>, limit: u32, name: impl Fn(&T) -> String) -> Page<T> {
    let full = items.len() >= limit as usize;
    let next = if full { items.last().map(name) } else { None };
    Page { items, next }
}

pub(crate) fn page_limit(limit: Option<u32>) -> Result<u32, Refused> {
    match limit.unwrap_or(100) {
        limit if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
        limit => {
            Err(Refused::new(Reason::Malformed, format!("limit {limit} is not 1 to {PAGE_MAX}")))
        }
    }
}

/// Reads a body of this type within its bounds.
pub(crate) async fn read(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
    media_type: &str,
    size_bytes: usize,
) -> Result<Bytes, Refused> {
    check_media_type(headers, media_type)?;
    Ok(read_body(body, BodyBounds { size_bytes, time: api.config.body_time }).await?)
}

pub(crate) fn check_media_type(headers: &HeaderMap, expected: &str) -> Result<(), Refused> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(expected) {
        true => Ok(()),
        false => Err(Refused::new(
            Reason::WrongContentType,
            format!("expected {expected}, got \"{}\"", given.escape_default()),
        )),
    }
}

/// A device's id.
pub(crate) fn device_id(text: &str) -> Result<DeviceId, Refused> {
    DeviceId::new(text).map_err(|reason| {
        Refused::new(reason, "a device's id has 1 to 64 letters, digits, dots and hyphens")
    })
}

/// A lifecycle state by its name.
pub(crate) fn lifecycle(name: &str) -> Result<State, Refused> {
    State::from_name(name).map_err(|reason| {
        let names = State::ALL.map(State::name).join(", ");
        Refused::new(reason, format!("the states are {names}"))
    })
}

/// A class by its UUID.
pub(crate) fn class_id(text: &str) -> Result<ClassId, Refused> {
    text.parse().map_err(|reason| Refused::new(reason, "a class is named by its UUID"))
}

/// 32 bytes in hexadecimal.
pub(crate) fn hash(text: &str, what: &str) -> Result<[u8; 32], Refused> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| {
        Refused::new(Reason::Malformed, format!("{what} is not 64 hexadecimal digits"))
    })?;
    Ok(bytes)
}

const MAX_JSON_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_mistypes_a_name_is_told_what_there_is() {
        let refused = lifecycle("nowhere").unwrap_err();
        assert_eq!(refused.reason, Reason::Malformed);
        assert!(refused.detail.contains("deployed, suspended"), "{}", refused.detail);
        assert!(lifecycle("suspended").is_ok());
        let refused = device_id("../x").unwrap_err();
        assert!(refused.detail.contains("letters, digits"), "{}", refused.detail);
        assert!(device_id("dev-a").is_ok());
        let refused = class_id("xyz").unwrap_err();
        assert!(refused.detail.contains("UUID"), "{}", refused.detail);
    }
}
