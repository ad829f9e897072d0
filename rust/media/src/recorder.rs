//! Recording at the wire: what the caller was heard to say on the left, what left towards the caller on the right, on one clock.
//!
//! A [`Tap`] sits on a media thread. It copies each frame into a ring that was made when the recording began: no lock, no allocation, no waiting.
//! A [`Recording`] sits on the writer's thread. It lays the frames out on two tracks, of which a sample stands for an instant of the leg's
//! clock, encodes and perhaps encrypts them, and appends them to its [`Target`]. Nothing is ever written over, so whatever ends the process leaves a
//! file that is whole up to there; who finds it has only to complete its header.
//!
//! The sound of a packet lies before its arrival on the left, since it was spoken while the packet was filled, and behind its departure on the right.
//! What the ring has no room for is counted and becomes silence; nothing behind it moves.
mod flac;
mod ring;
mod seal;
mod tap;
mod track;
mod wav;
mod writer;

pub use flac::Flac;
pub use seal::{CHUNK, SealKey, Sealer};
pub use tap::Tap;
pub use wav::Wav;
pub use writer::{Format, Outcome, Recording, RecordingConfig, Target};
