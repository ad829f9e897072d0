//! A SIP caller of its own: nothing here is shared with the gateway, so that both cannot be wrong in the same way.

pub mod call;
pub mod exchange;
pub mod message;
pub mod transport;
