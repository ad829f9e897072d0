//! The media core: pure protocol machines (`rtp`, `leg`, `wire`, …) and one engine that does the I/O.
#![forbid(unsafe_code)]

pub mod barge_in;
pub mod claim;
pub mod clock;
pub mod codec;
pub mod comfort_noise;
pub mod convert;
pub mod decoders;
pub mod engine;
pub mod error;
pub mod extrapolation;
pub mod jitter;
pub mod leg;
pub mod likeness;
pub mod melody;
pub mod order;
pub mod playout;
pub mod plc;
pub mod presses;
pub mod recorder;
pub mod regularity;
pub mod rehearsal;
pub mod resample;
pub mod rtcp;
pub mod rtp;
pub mod shelf;
pub mod srtp;
pub mod stats;
pub mod telephone_event;
pub mod tempo;
pub mod tones;
pub mod transit;
pub mod uplink;
pub mod utterance;
pub mod vad;
mod way;
pub mod wire;
