//! The Linux agent.
