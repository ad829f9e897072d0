//! The media core: pure protocol machines (`rtp`, `leg`, `wire`, …) and one engine that does the I/O.
#![forbid(unsafe_code)]

pub mod claim;
pub mod clock;
pub mod codec;
pub mod convert;
pub mod engine;
pub mod error;
pub mod leg;
pub mod order;
pub mod playout;
pub mod resample;
pub mod rtcp;
pub mod rtp;
pub mod srtp;
pub mod stats;
pub mod telephone_event;
pub mod wire;
