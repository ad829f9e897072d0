//! What a playout buffer gives out, and what it says of itself.
use crate::uplink::Fill;

/// What a frame was made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Played {
    /// Samples written: 20 ms at `rate`.
    pub samples: usize,
    /// Samples a second.
    pub rate: u32,
    /// Whether any of it was heard, or what all of it is else.
    pub fill: Fill,
}

/// What is counted here; cumulative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct JitterCounts {
    /// Frames played.
    pub frames: u64,
    /// Frames of which a part or all was made up for a loss or because its packet was late.
    pub concealed_frames: u64,
    /// Packets that came after their place had been made up for.
    pub late: u64,
    /// Packets dropped for want of room, or because too much waited.
    pub dropped: u64,
    /// Ticks of 8 kHz by which sound was shortened.
    pub shortened: u64,
    /// Ticks of 8 kHz by which sound was lengthened, made-up sound not counted.
    pub lengthened: u64,
    /// Leaps of the timestamps that no pause explains.
    pub leaps: u64,
}
