//! The media core: pure protocol machines (`rtp`, `leg`, `wire`, …) and one engine that does the I/O.
#![forbid(unsafe_code)]
