//! SUIT manifests: build, sign, verify, run.
