//! Ways back: whatever happened to a device, to its hub or to the roots, the same device takes a
//! signed update in the end, and nobody visits it.
//!
//! Real hubs and agents as processes, real commands as an operator types them, real sockets on
//! loopback. Names are looked up in a file of each scene (nss_wrapper), clocks are set for single
//! processes (libfaketime); both are libraries of the test's own environment, and the agent's
//! sandbox stays as it is.

#![allow(clippy::unwrap_used)]

#[path = "ways_back/authorities.rs"]
mod authorities;
#[path = "ways_back/clocks.rs"]
mod clocks;
#[path = "../cli/tests/common/mod.rs"]
mod common;
#[path = "ways_back/interruptions.rs"]
mod interruptions;
mod namespaces;
mod pages;
#[path = "ways_back/process.rs"]
mod process;
#[path = "ways_back/proxies.rs"]
mod proxies;
#[path = "ways_back/relay.rs"]
mod relay;
#[path = "ways_back/spare.rs"]
mod spare;
#[path = "ways_back/trust.rs"]
mod trust;
#[path = "ways_back/world.rs"]
mod world;
