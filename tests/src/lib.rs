//! End-to-end and red-team suites.
