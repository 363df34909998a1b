//! SQL and objects.
