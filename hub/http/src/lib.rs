//! What both listeners of the hub share: one id per exchange, the HTTP status of each reason code,
//! bodies that are bounded in size and time.
#![forbid(unsafe_code)]

mod body;
mod exchange;
mod hosts;
mod share;
mod status;

pub use body::{BodyBounds, Pace, hear_out, paced, read_body};
pub use exchange::{ExchangeId, Refused, Seen, exchange};
pub use hosts::{Hosts, ServerNameIndication, own_host};
pub use share::{Rate, Sender, Shares, fair_share};
pub use status::status;
