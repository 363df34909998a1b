//! Certificate authorities, profiles, issuing, CRLs.
