//! The engine.
pub mod ports;
pub mod timer;
