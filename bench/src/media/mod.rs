//! The audio of the calls: what is sent, and what of it comes back, when, and how regularly.

pub mod ledger;
pub mod line;
pub mod stream;
