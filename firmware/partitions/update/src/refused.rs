//! Why a call was refused.

use psa::Status;
use ringfort_cose::Reason;

/// A refusal: what the caller gets, and the reason code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status of the call, as PSA Firmware Update 1.0 has it.
    pub status: Status,
    /// The reason.
    pub reason: Reason,
}

impl Refused {
    /// The component is not in the state that the call asks for.
    pub const STATE: Self = Self { status: Status::BAD_STATE, reason: Reason::TrialNotConfirmed };
    /// An argument makes no sense.
    pub const ARGUMENT: Self = Self { status: Status::INVALID_ARGUMENT, reason: Reason::Malformed };
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        let status = match reason {
            Reason::BadSignature
            | Reason::UntrustedSigner
            | Reason::ThresholdNotMet
            | Reason::AlgorithmNotAllowed
            | Reason::ManifestDigest
            | Reason::ImageDigest
            | Reason::AnchorsDigest => Status::INVALID_SIGNATURE,
            Reason::Malformed
            | Reason::TooLarge
            | Reason::Unsupported
            | Reason::UnknownField
            | Reason::WrongType
            | Reason::ImageSize => Status::INVALID_ARGUMENT,
            Reason::StorageFailed => Status::STORAGE_FAILURE,
            Reason::NotFound | Reason::Internal => Status::GENERIC_ERROR,
            // What is valid and not allowed: floor, class, order, time, health.
            _ => Status::NOT_PERMITTED,
        };
        Self { status, reason }
    }
}
