//! Packets of a partner that are handed on as they came: which may be, and which place each has in the stream of the line that hears them.
//!
//! A packet leaves as soon as it has come, in whatever order: what is uneven, lost or late is the same for the far end as if its line had gone there,
//! and it is the far end that makes up for it. Number and timestamp are moved by the same distance for all, so that a gap stays a gap.
use std::time::Duration;

use super::RemoteMedia;
use crate::clock::{Time, samples_in};
use crate::codec::{Codec, opus};
use crate::playout::LINE_RATE;
use crate::shelf::{Content, Queued};

/// The longest payload that is handed on: what one datagram has room for on any way.
pub(super) const MAX_PASSED: usize = 1_400;
/// The shortest packet, in ticks: more than 100 a second are put together.
const SHORTEST: u32 = 80;
/// A leap of more numbers than this is another stream.
const MAX_AHEAD: i16 = 100;
/// A packet that is further behind the newest is of no use any more.
const MAX_BEHIND: u16 = 64;
/// Timestamps may run ahead of the time that passed by this much, and after a way that held packets up by as much as it did, this at most.
const SLACK: Duration = Duration::from_millis(200);
const HELD_UP: Duration = Duration::from_millis(500);
/// By which part of it a sender's clock may be faster than ours for ever.
const FASTER: u32 = 256;
/// Packets that are kept, so that it is known what the far decoder heard last: 100 ms of the usual 20 ms.
const KEPT: usize = 5;
/// Time over which a stream's bits are averaged, in ticks.
const AVERAGED: i64 = 8_000;

/// Whether a packet may be handed on to who asked for that, as it is.
pub(super) fn is_allowed(packet: &Queued<'_>, remote: &RemoteMedia, frame_ticks: u32) -> bool {
    let Content::Sound(codec) = packet.content else {
        return false;
    };
    // A payload with a sample a byte loses nothing where it is decoded, and its losses are made up for here.
    let is_same = codec == remote.codec && codec.encoding().is_none();
    let ticks = codec.ticks_in(packet.payload);
    is_same
        && (SHORTEST..=frame_ticks).contains(&ticks)
        && packet.payload.len() <= MAX_PASSED
        && (codec != Codec::Opus || is_asked_for(packet.payload, &remote.opus))
}

/// Whether the peer's parameters (RFC 7587 section 6.1) allow an Opus packet: no wider, no stereo, no pause unless it asked for them, and none of our sizes
/// can be kept if all have to be the same.
fn is_asked_for(payload: &[u8], asked: &opus::Settings) -> bool {
    let Some(&toc) = payload.first() else {
        return false;
    };
    // RFC 6716 section 3.1.
    let bandwidth = match toc >> 3 {
        0..4 | 16..20 => 8_000,
        4..8 => 12_000,
        8..12 | 20..24 => 16_000,
        12 | 13 | 24..28 => 24_000,
        _ => 48_000,
    };
    let is_stereo = toc & 4 != 0;
    let is_pause = payload.len() <= opus::DTX_BYTES;
    !asked.cbr && !is_stereo && bandwidth <= asked.max_rate && (asked.dtx || !is_pause)
}

/// What a packet becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// It follows all that left before, so many ticks after the one before it, of which so many are missing.
    Next {
        sequence: u16,
        step: u32,
        missing: u32,
    },
    /// It came behind its successors: so many ticks before the newest.
    Behind { sequence: u16, before: u32 },
    /// It is of no use any more.
    TooLate,
    /// The stream has leapt.
    Leapt,
}

/// Where the partner's stream lies in ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay {
    pub codec: Codec,
    /// What its numbers are more by here.
    shift: u16,
    /// The newest, as the partner counts.
    newest: u16,
    timestamp: u32,
    /// How long it lasts, and when it left.
    ticks: u32,
    left_at: Time,
    /// By how many ticks timestamps have run ahead of the time that passed, since this began.
    lead: i32,
    /// Numbers that have been used since this began, as far back as matters.
    used: u16,
}

impl Relay {
    /// The packet that comes next has `sequence` and `timestamp`, and `own` as its number here. `ticks` is how long the sound before it lasts.
    pub fn new(
        now: Time,
        codec: Codec,
        (sequence, timestamp): (u16, u32),
        own: u16,
        ticks: u32,
    ) -> Self {
        Relay {
            codec,
            shift: own.wrapping_sub(sequence),
            newest: sequence.wrapping_sub(1),
            timestamp: timestamp.wrapping_sub(ticks),
            ticks,
            left_at: now,
            lead: 0,
            used: 0,
        }
    }

    /// Finds the place of a packet that lasts `ticks`. Whoever sends more than 100 a second, or faster than time passes, has leapt: a flood is not handed on.
    pub fn place(&mut self, now: Time, packet: &Queued<'_>, ticks: u32) -> Place {
        let ahead = packet.sequence.wrapping_sub(self.newest) as i16;
        let later = packet.timestamp.wrapping_sub(self.timestamp) as i32;
        let sequence = packet.sequence.wrapping_add(self.shift);
        if ahead <= 0 {
            let behind = ahead.unsigned_abs();
            return match later {
                ..0 if behind < self.used => Place::Behind {
                    sequence,
                    before: later.unsigned_abs(),
                },
                _ => Place::TooLate,
            };
        }
        let shortest = SHORTEST as i32 * i32::from(ahead);
        if ahead > MAX_AHEAD || later < shortest {
            return Place::Leapt;
        }
        let passed = samples_in(now - self.left_at, LINE_RATE) as u32;
        let passed =
            i32::try_from(passed.saturating_add(passed.div_ceil(FASTER))).unwrap_or(i32::MAX);
        let held_up = samples_in(HELD_UP, LINE_RATE) as i32;
        let lead = self
            .lead
            .saturating_add(later)
            .saturating_sub(passed)
            .max(-held_up);
        if lead
            > samples_in(SLACK, LINE_RATE) as i32
                + (self.ticks * u32::from(ahead.unsigned_abs())) as i32
        {
            return Place::Leapt;
        }
        self.lead = lead;
        let step = later as u32;
        let missing = match ahead {
            1 => 0,
            _ => step.saturating_sub(self.ticks),
        };
        self.newest = packet.sequence;
        self.timestamp = packet.timestamp;
        self.ticks = ticks;
        self.left_at = now;
        self.used = (self.used + ahead.unsigned_abs()).min(MAX_BEHIND);
        Place::Next {
            sequence,
            step,
            missing,
        }
    }

    /// When the last packet left.
    pub fn left_at(&self) -> Time {
        self.left_at
    }
}

/// The last packets that were handed on.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: Box<[u8]>,
    lens: [usize; KEPT],
    next: usize,
}

impl Kept {
    pub fn new() -> Self {
        Kept {
            bytes: vec![0; KEPT * MAX_PASSED].into_boxed_slice(),
            lens: [0; KEPT],
            next: 0,
        }
    }

    pub fn clear(&mut self) {
        self.lens = [0; KEPT];
    }

    pub fn keep(&mut self, payload: &[u8]) {
        let start = self.next * MAX_PASSED;
        self.bytes[start..start + payload.len()].copy_from_slice(payload);
        self.lens[self.next] = payload.len();
        self.next = (self.next + 1) % KEPT;
    }

    /// From the oldest to the newest.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let order = (self.next..KEPT).chain(0..self.next);
        order
            .filter(move |&at| self.lens[at] > 0)
            .map(move |at| &self.bytes[at * MAX_PASSED..][..self.lens[at]])
    }
}

/// What a stream takes on average.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bitrate(Option<i64>);

impl Bitrate {
    /// A packet of so many bytes lasts so many ticks.
    pub fn count(&mut self, bytes: usize, ticks: u32) {
        let ticks = i64::from(ticks.max(1));
        let rate = 8 * bytes as i64 * i64::from(LINE_RATE) / ticks;
        let average = self.0.get_or_insert(rate);
        *average += (rate - *average) * ticks.min(AVERAGED) / AVERAGED;
    }

    /// Whether it is no more than that.
    pub fn is_below(&self, ceiling: Option<u32>) -> bool {
        let Some((average, ceiling)) = self.0.zip(ceiling) else {
            return true;
        };
        average <= i64::from(ceiling)
    }
}

#[cfg(test)]
mod tests;
