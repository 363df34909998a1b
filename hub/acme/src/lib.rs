//! The operators' public certificate from an ACME authority (RFC 8555), by the TLS-ALPN-01
//! challenge (RFC 8737) on the port that is open anyway.
//!
//! [`Keeper`] obtains the certificate and renews it in time; [`Challenges`] is what the listener
//! answers an authority's validation with. No file is opened here: the account's secret comes in,
//! certificates and the state of affairs go out through a [`Shelf`].
#![forbid(unsafe_code)]

mod account;
mod certificate;
mod challenge;
mod error;
mod https;
mod keeper;
mod order;
mod schedule;

pub use crate::account::Terms;
pub use crate::certificate::Obtained;
pub use crate::challenge::{Challenges, Presented};
pub use crate::error::AcmeError;
pub use crate::https::Https;
pub use crate::keeper::{ATTEMPTS, Config, FAILURES, Keeper, Shelf, State};
pub use crate::schedule::Patience;

/// What carries requests to the authority; [`Https`] in earnest.
pub use instant_acme::{BodyWrapper, BytesResponse, Error as ExchangeError, HttpClient};
