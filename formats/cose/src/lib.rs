//! Strict CBOR and COSE, the Verify trait, typed reason codes.
