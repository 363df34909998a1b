//! What operators talk to.
