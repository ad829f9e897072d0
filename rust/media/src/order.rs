//! From packets in any order to the agent's timeline, which follows RTP timestamps sample for sample.
//!
//! Frames are not paced: what is in order goes on at once. A packet behind a gap is held until the gap is filled by the missing
//! one or its time (the *patience*) is over. When nothing comes at all, silence flows every 20 ms. No jump of a peer makes more
//! than [`MAX_FILL`] of silence at once, and nothing here grows.
//!
//! Silence filled in too early (the network stood still, then everything came at once) never costs speech: the late packets go on,
//! and the time is won back from gaps in the timestamps and from quiet frames.
use crate::clock::{Time, duration_of, earliest, samples_in};
use crate::codec::{Codec, Encoding};
use crate::convert::AudioFormat;
use std::time::Duration;

/// A stretch of the caller's sound on its way to the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UplinkFrame<'a> {
    /// What the peer spoke; it may change in mid-call, if several were negotiated.
    pub codec: Codec,
    /// How `payload` is written: as received, or linear samples if the codec has a memory.
    pub format: AudioFormat,
    /// The sound.
    pub payload: &'a [u8],
    /// Samples at 8 kHz since the start: where this frame begins.
    pub position: u64,
    /// Silence in place of what did not come.
    pub filled: bool,
}

/// Clock of the line's codecs, in Hz.
const RATE: u32 = 8_000;
/// Silence is filled in by frames of 20 ms.
const FILL_FRAME: usize = 160;
const FILL_TIME: Duration = Duration::from_millis(20);
/// The most silence that one packet may cause, in samples: 400 ms.
pub const MAX_FILL: u32 = 3_200;
/// A gap in the timestamps may be longer than the time that passed by this much: 200 ms.
const SLACK: u64 = 1_600;
/// Silence filled in too early that is still being won back; beyond it the timeline is taken as it is: 1 s.
const MAX_SURPLUS: u64 = 8_000;
/// Ticks of silence made up for after a pause of the machine.
const MAX_CATCH_UP: u32 = 10;
/// Packets held behind a gap.
const MAX_HELD: usize = 32;
/// Their bytes.
const MAX_HELD_BYTES: usize = 4_096;
/// A gap of more packets than this is no reordering.
const MAX_REORDER: i16 = 64;

/// What is counted here; cumulative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OrderCounts {
    /// Packets that came after their place was filled.
    pub late: u64,
    /// Silence frames put in.
    pub filled_frames: u64,
    /// Quiet frames left out.
    pub skipped_frames: u64,
    /// Timestamps that no gap explains.
    pub jumps: u64,
}

#[derive(Debug)]
struct Held {
    sequence: u16,
    timestamp: u32,
    arrived: Time,
    /// Codec, and where the bytes lie; `None` for a packet without sound.
    sound: Option<(Codec, usize, usize)>,
}

/// The order buffer of one leg.
#[derive(Debug)]
pub struct Order {
    started: bool,
    codec: Codec,
    position: u64,
    patience: Duration,
    /// The next sequence number; `None` before the first packet of a stream.
    next_sequence: Option<u16>,
    next_timestamp: u32,
    /// Samples filled in beyond the timestamps seen so far.
    surplus: u64,
    last_arrival: Time,
    next_fill: Time,
    /// Silence has been filled in since the last packet.
    filling: bool,
    held: Vec<Held>,
    held_bytes: Vec<u8>,
    counts: OrderCounts,
}

impl Order {
    /// An order buffer whose silence is in `codec` until the peer's first packet tells another.
    pub fn new(codec: Codec) -> Self {
        Order {
            started: false,
            codec,
            position: 0,
            patience: Duration::from_millis(60),
            next_sequence: None,
            next_timestamp: 0,
            surplus: 0,
            last_arrival: Time::ZERO,
            next_fill: Time::ZERO,
            filling: false,
            held: Vec::with_capacity(MAX_HELD),
            held_bytes: Vec::with_capacity(MAX_HELD_BYTES),
            counts: OrderCounts::default(),
        }
    }

    /// The timeline begins; silence flows until the first packet.
    pub fn start(&mut self, now: Time) {
        if !self.started {
            self.started = true;
            self.next_fill = now + FILL_TIME;
        }
    }

    /// How long a gap may wait for its packet: max(60 ms, 3 × jitter), at most 200 ms.
    pub fn set_jitter(&mut self, jitter: Duration) {
        self.patience = (jitter * 3).clamp(Duration::from_millis(60), Duration::from_millis(200));
    }

    /// Samples given out since the start.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What was counted so far.
    pub fn counts(&self) -> OrderCounts {
        self.counts
    }

    /// Another stream begins with the next packet (new SSRC, confirmed jump): the timeline goes on where it is.
    pub fn restart(&mut self, now: Time, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        self.release_all(now, out);
        self.next_sequence = None;
        self.surplus = 0;
    }

    /// Takes a packet that is no duplicate. `sound` is `None` for packets without samples (telephone events, comfort noise),
    /// which only hold their place in the sequence.
    pub fn receive(
        &mut self,
        now: Time,
        sequence: u16,
        timestamp: u32,
        sound: Option<(Codec, &[u8])>,
        out: &mut dyn FnMut(UplinkFrame<'_>),
    ) {
        if !self.started {
            return;
        }
        let sound = sound.filter(|(_, payload)| !payload.is_empty());
        let ahead = self
            .next_sequence
            .map_or(0, |next| sequence.wrapping_sub(next) as i16);
        if ahead < 0 {
            self.counts.late += 1;
            return;
        }
        if ahead == 0 {
            self.take(now, sequence, timestamp, sound, out);
            self.release_in_order(now, out);
            return;
        }
        if ahead <= MAX_REORDER && self.hold(now, sequence, timestamp, sound) {
            return;
        }
        self.release_all(now, out);
        if self
            .next_sequence
            .is_some_and(|next| (sequence.wrapping_sub(next) as i16) < 0)
        {
            self.counts.late += 1;
            return;
        }
        self.take(now, sequence, timestamp, sound, out);
    }

    /// When [`Order::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Time> {
        if !self.started {
            return None;
        }
        let gap_closes = self.held.first().map(|first| first.arrived + self.patience);
        earliest(gap_closes, Some(self.next_fill))
    }

    /// Gives up on gaps whose time is over, and fills in silence when nothing comes.
    pub fn handle_timeout(&mut self, now: Time, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        if !self.started {
            return;
        }
        while self
            .held
            .first()
            .is_some_and(|first| first.arrived + self.patience <= now)
        {
            self.release_first(now, out);
            self.release_in_order(now, out);
        }
        for _ in 0..MAX_CATCH_UP {
            if self.next_fill > now {
                return;
            }
            self.next_fill += FILL_TIME;
            if self.gap_is_filled() {
                continue;
            }
            self.filling = true;
            if self.next_sequence.is_some() {
                self.surplus += FILL_FRAME as u64;
            }
            self.fill(FILL_FRAME, out);
        }
        if self.next_fill <= now {
            self.next_fill = now + FILL_TIME;
        }
    }

    /// Whether silence already reaches to the first packet that is held.
    fn gap_is_filled(&self) -> bool {
        self.held.first().is_some_and(|first| {
            let gap = i64::from(first.timestamp.wrapping_sub(self.next_timestamp) as i32);
            gap - (self.surplus as i64) < FILL_FRAME as i64
        })
    }

    /// Keeps a packet until the gap before it closes; `false` if there is no room.
    fn hold(
        &mut self,
        now: Time,
        sequence: u16,
        timestamp: u32,
        sound: Option<(Codec, &[u8])>,
    ) -> bool {
        let len = sound.map_or(0, |(_, payload)| payload.len());
        if self.held.len() == MAX_HELD || self.held_bytes.len() + len > MAX_HELD_BYTES {
            return false;
        }
        let next = self.next_sequence.unwrap_or(sequence);
        let distance = |sequence: u16| sequence.wrapping_sub(next);
        let index = self
            .held
            .partition_point(|held| distance(held.sequence) < distance(sequence));
        if self
            .held
            .get(index)
            .is_some_and(|held| held.sequence == sequence)
        {
            return true;
        }
        let sound = sound.map(|(codec, payload)| {
            let start = self.held_bytes.len();
            self.held_bytes.extend_from_slice(payload);
            (codec, start, payload.len())
        });
        if self.held.is_empty() && !self.filling {
            // The gap has its own time; silence that flows already goes on flowing.
            self.next_fill = self.next_fill.max(now + self.patience);
        }
        // A later packet that came before this one has proven the gap before both.
        let arrived = self.held.get(index).map_or(now, |later| later.arrived);
        self.held.insert(
            index,
            Held {
                sequence,
                timestamp,
                arrived,
                sound,
            },
        );
        true
    }

    fn release_first(&mut self, now: Time, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        let held = self.held.remove(0);
        // The bytes are lent out while `take` works on the rest; nothing is copied.
        let bytes = std::mem::take(&mut self.held_bytes);
        let sound = held
            .sound
            .map(|(codec, start, len)| (codec, &bytes[start..start + len]));
        self.take(now, held.sequence, held.timestamp, sound, out);
        self.held_bytes = bytes;
        if self.held.is_empty() {
            self.held_bytes.clear();
        }
    }

    fn release_in_order(&mut self, now: Time, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        while self
            .held
            .first()
            .is_some_and(|first| Some(first.sequence) == self.next_sequence)
        {
            self.release_first(now, out);
        }
    }

    fn release_all(&mut self, now: Time, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        while !self.held.is_empty() {
            self.release_first(now, out);
        }
    }

    /// Puts a packet on the timeline: the gap before it, then its sound.
    fn take(
        &mut self,
        now: Time,
        sequence: u16,
        timestamp: u32,
        sound: Option<(Codec, &[u8])>,
        out: &mut dyn FnMut(UplinkFrame<'_>),
    ) {
        let first = self.next_sequence.is_none();
        self.next_sequence = Some(sequence.wrapping_add(1));
        let Some((codec, payload)) = sound else {
            if first {
                // Only sound tells where its timestamps begin.
                self.next_timestamp = timestamp;
            }
            return;
        };
        self.codec = codec;
        let samples = payload.len() as u32;
        if !first {
            self.close_gap(now, timestamp, out);
        }
        self.next_timestamp = timestamp.wrapping_add(samples);
        self.last_arrival = now;
        self.next_fill = now + duration_of(u64::from(samples), RATE) + self.patience;
        self.filling = false;
        if self.surplus >= u64::from(samples) && is_quiet(codec, payload) {
            self.surplus -= u64::from(samples);
            self.counts.skipped_frames += 1;
            return;
        }
        out(UplinkFrame {
            codec,
            format: AudioFormat::of_line(codec),
            payload,
            position: self.position,
            filled: false,
        });
        self.position += u64::from(samples);
    }

    /// Fills up to the place of `timestamp`, as far as time that has passed explains it.
    fn close_gap(&mut self, now: Time, timestamp: u32, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        let gap = timestamp.wrapping_sub(self.next_timestamp) as i32;
        let passed = samples_in(now - self.last_arrival, RATE);
        let explained = gap >= 0 && gap as u64 <= passed + SLACK;
        if !explained {
            self.counts.jumps += 1;
            self.surplus = 0;
            return;
        }
        let won_back = self.surplus.min(gap as u64);
        self.surplus -= won_back;
        let missing = gap as u64 - won_back;
        if missing > u64::from(MAX_FILL) {
            self.counts.jumps += 1;
        }
        let mut left = missing.min(u64::from(MAX_FILL)) as usize;
        while left > 0 {
            let len = left.min(FILL_FRAME);
            self.fill(len, out);
            left -= len;
        }
        if self.surplus > MAX_SURPLUS {
            self.surplus = 0;
        }
    }

    fn fill(&mut self, samples: usize, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        let silence = [self.codec.encoding().map_or(0, Encoding::silence); FILL_FRAME];
        let payload = &silence[..samples];
        out(UplinkFrame {
            codec: self.codec,
            format: AudioFormat::of_line(self.codec),
            payload,
            position: self.position,
            filled: true,
        });
        self.position += samples as u64;
        self.counts.filled_frames += 1;
    }
}

/// Whether nobody speaks in this payload, as far as that can be seen without decoding.
fn is_quiet(codec: Codec, payload: &[u8]) -> bool {
    codec
        .encoding()
        .is_some_and(|encoding| encoding.is_quiet(payload))
}
