//! What playout is made with, what it gives out, and what it says of itself.

use std::time::Duration;

use crate::codec::Codec;

/// The engine's name for a mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct MarkId(pub u64);

/// How a leg plays out.
#[derive(Clone, Copy, Debug)]
pub struct PlayoutConfig {
    /// The line's codec.
    pub codec: Codec,
    /// Milliseconds in a packet, 10 to 60.
    pub ptime_ms: u32,
    /// Most sound that may wait. What an agent sends beyond it is dropped, the newest first, and counted.
    pub capacity: Duration,
    /// How long a first frame is held back as long as nothing is known about the source.
    pub cushion: Duration,
}

impl Default for PlayoutConfig {
    fn default() -> Self {
        PlayoutConfig {
            codec: Codec::Pcmu,
            ptime_ms: 20,
            capacity: Duration::from_secs(60),
            cushion: Duration::from_millis(12),
        }
    }
}

/// What fills a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// The agent's sound.
    Audio,
    /// Nothing.
    Silence,
}

/// A frame that has to leave now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// What fills it.
    pub kind: FrameKind,
    /// First frame of a talkspurt.
    pub marker: bool,
    /// Timestamp units since the timestamp of the frame before.
    pub step: u32,
    /// Timestamp units that it lasts.
    pub ticks: u32,
    /// Bytes written, always a whole frame, in [`super::Playout::format`].
    pub len: usize,
    /// How late it is against the leg's clock.
    pub late: Duration,
}

/// What [`super::Playout::clear`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cleared {
    /// The generation that begins now.
    pub generation: u32,
    /// Sound of the ended generation that has left, in milliseconds, silence and padding not counted.
    pub played_ms: u64,
    /// Of that, what belongs to the talkspurt that was being played.
    pub spurt_played_ms: u64,
    /// Sound dropped unsent, in milliseconds.
    pub dropped_ms: u64,
    /// Played, in samples of [`super::Playout::format`].
    pub played_samples: u64,
    /// Dropped, in samples of [`super::Playout::format`].
    pub dropped_samples: u64,
}

/// What playout counts; cumulative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlayoutCounts {
    /// Bytes refused because the queue was full.
    pub dropped_bytes: u64,
    /// Times when it ran dry within speech.
    pub underruns: u64,
    /// Quiet frames left out to win back the delay that a standstill had left, or clocks that differ.
    pub trimmed_frames: u64,
    /// Most bytes that ever waited.
    pub peak_bytes: u64,
}
