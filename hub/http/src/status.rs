use http::StatusCode;
use ringfort_cose::Reason;

/// The HTTP status that goes with a reason code. The code says more; the status is for clients
/// and proxies that only know HTTP.
pub fn status(reason: Reason) -> StatusCode {
    match reason {
        // Not 401: that asks for an HTTP authentication scheme, and there is none.
        Reason::NoClientCertificate
        | Reason::UnknownCertificate
        | Reason::CertificateRevoked
        | Reason::CertificateExpired
        | Reason::WrongCertificateKind
        | Reason::KeyAlreadyKnown
        | Reason::CsrNamesAnother
        | Reason::LifecycleForbids
        | Reason::CloneSuspected
        | Reason::RoleForbids
        | Reason::UntrustedSigner
        | Reason::ThresholdNotMet
        | Reason::WrongFleet
        | Reason::WrongIssuer
        | Reason::InvitationInvalid
        | Reason::OverQuota => StatusCode::FORBIDDEN,
        Reason::NotFound => StatusCode::NOT_FOUND,
        Reason::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
        Reason::SlowTransfer => StatusCode::REQUEST_TIMEOUT,
        Reason::ApprovalRequired
        | Reason::AlreadyExists
        | Reason::IllegalMove
        | Reason::ProofMissing
        | Reason::BatchGap
        | Reason::BatchReplayed
        | Reason::AnchorsNotSequential
        | Reason::SequenceTooLow
        | Reason::SequenceReused
        | Reason::Superseded
        | Reason::Halted => StatusCode::CONFLICT,
        Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::WrongContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Reason::MisdirectedRequest => StatusCode::MISDIRECTED_REQUEST,
        Reason::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        // A later hub may take it; this one never will, so it is not to be tried again.
        Reason::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
        Reason::ServerkeygenRefused => StatusCode::NOT_IMPLEMENTED,
        Reason::HubRestored => StatusCode::SERVICE_UNAVAILABLE,
        Reason::Internal | Reason::StorageFailed => StatusCode::INTERNAL_SERVER_ERROR,
        // What the sender wrote is wrong: its bytes, its signatures, its numbers.
        _ => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_an_error_status() {
        for reason in Reason::ALL {
            let status = status(*reason);
            assert!(status.is_client_error() || status.is_server_error(), "{reason}: {status}");
        }
    }

    #[test]
    fn only_faults_of_the_hub_are_server_errors() {
        let server: Vec<_> = Reason::ALL.iter().filter(|r| status(**r).is_server_error()).collect();
        let expected = [
            Reason::StorageFailed,
            Reason::ServerkeygenRefused,
            Reason::HubRestored,
            Reason::Internal,
        ];
        assert_eq!(server, expected.iter().collect::<Vec<_>>());
    }
}
