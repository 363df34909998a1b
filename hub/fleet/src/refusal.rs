//! Why the fleet did not do what it was asked.

use std::fmt;

use ringfort_cose::{Reason, SignError};
use ringfort_store::{PutError, StoreError};

/// A refusal: a reason code for machines and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason code. The same on the wire, in the log and in the documents.
    pub reason: Reason,
    /// What it was about, without secrets. May be empty.
    pub detail: String,
}

impl Refusal {
    /// A refusal with its detail.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Refusal {
        Refusal { reason, detail: detail.into() }
    }

    /// Something that should not have happened; the log says more than the caller is told.
    pub(crate) fn internal(context: &str, error: impl fmt::Display) -> Refusal {
        tracing::error!(%error, context, "internal failure");
        Refusal::new(Reason::Internal, context)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.is_empty() {
            true => write!(f, "{}", self.reason),
            false => write!(f, "{}: {}", self.reason, self.detail),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Refusal {
        Refusal::new(reason, "")
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        tracing::error!(%error, "the store failed");
        match error {
            StoreError::Full | StoreError::Locked | StoreError::Io(_) => {
                Refusal::new(Reason::StorageFailed, error.to_string())
            }
            StoreError::Range { .. } => Refusal::new(Reason::NotFound, error.to_string()),
            StoreError::Exists(_) => Refusal::new(Reason::AlreadyExists, ""),
            _ => Refusal::new(Reason::Internal, "the database failed"),
        }
    }
}

impl From<PutError> for Refusal {
    fn from(error: PutError) -> Refusal {
        match error {
            PutError::TooLarge { .. } => Refusal::new(Reason::TooLarge, error.to_string()),
            PutError::Digest => Refusal::new(Reason::ImageDigest, error.to_string()),
            PutError::Store(error) => Refusal::from(error),
            error => Refusal::new(Reason::TransferFailed, error.to_string()),
        }
    }
}

impl From<ringfort_pki::Error> for Refusal {
    fn from(error: ringfort_pki::Error) -> Refusal {
        Refusal::new(error.reason(), error.to_string())
    }
}

impl From<SignError> for Refusal {
    fn from(error: SignError) -> Refusal {
        Refusal::internal("a key of the hub did not sign", error)
    }
}
