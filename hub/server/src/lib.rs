//! Wiring: configuration, TLS, tasks, metrics.
