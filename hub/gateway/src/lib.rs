//! What devices talk to: EST and the device API.
