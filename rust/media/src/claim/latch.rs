//! The source that a leg listens to.
use super::network::plain_address;
use crate::clock::Time;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Packets in a row after which another SSRC of the same source is the one that the leg is known by.
const NEW_SSRC: u8 = 3;
/// How long the latched source must be silent before another may follow it.
const SILENCE: Duration = Duration::from_secs(2);

/// A packet of a stream has a sequence number at most so far ahead of the last one: 5 s of 10 ms.
pub(super) const AHEAD: u16 = 500;
/// And however long it was silent, at most so much more.
const MOST_AHEAD: u16 = 10_000;
/// It is at most so far behind: it may have been overtaken.
const BEHIND: u16 = 100;

/// Whether `sequence` may belong to the stream whose last number was `last`.
pub(super) fn is_near(last: u16, sequence: u16, ahead: u16) -> bool {
    let step = sequence.wrapping_sub(last);
    step <= ahead || step.wrapping_neg() <= BEHIND
}

/// Whether a claim has found its source, and which: told to whoever hands out ports, on another thread.
#[derive(Debug, Default)]
pub struct SharedLatch(AtomicU64);

impl SharedLatch {
    /// Whether a source is being listened to, and no new one is expected.
    pub fn is_latched(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    /// Whether `source` is that one.
    pub fn is(&self, source: SocketAddr) -> bool {
        self.0.load(Relaxed) == fingerprint(source)
    }

    pub(super) fn set(&self, source: Option<SocketAddr>) {
        self.0.store(source.map_or(0, fingerprint), Relaxed);
    }
}

/// An address in one word, never 0. Two that share one cost a port, no more.
fn fingerprint(source: SocketAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    plain_address(source).hash(&mut hasher);
    hasher.finish() | 1
}

/// The source that a claim listens to.
#[derive(Debug)]
pub(super) struct Latch {
    pub source: SocketAddr,
    pub ssrc: u32,
    /// The last sequence number of that SSRC.
    pub sequence: u16,
    pub since: Time,
    pub last_packet: Time,
    other_ssrc: u32,
    other_count: u8,
}

impl Latch {
    pub fn new(now: Time, source: SocketAddr, ssrc: u32, sequence: u16) -> Self {
        Latch {
            source,
            ssrc,
            sequence,
            since: now,
            last_packet: now,
            other_ssrc: ssrc,
            other_count: 0,
        }
    }

    /// Takes a packet of the source. Whether it is known by another SSRC from here.
    pub fn hear(&mut self, now: Time, ssrc: u32, sequence: u16) -> bool {
        self.last_packet = now;
        if ssrc == self.ssrc {
            self.sequence = sequence;
            self.other_count = 0;
            return false;
        }
        if ssrc != self.other_ssrc {
            self.other_ssrc = ssrc;
            self.other_count = 0;
        }
        self.other_count += 1;
        if self.other_count < NEW_SSRC {
            return false;
        }
        self.ssrc = ssrc;
        self.sequence = sequence;
        self.other_count = 0;
        true
    }

    /// Whether a packet of the same SSRC can be the next of this stream: as far ahead as 10 ms each since the last one, and a
    /// little behind. There are devices that give all their calls one SSRC.
    pub fn goes_on(&self, now: Time, sequence: u16) -> bool {
        let passed = (now - self.last_packet).as_millis() / 10;
        let ahead = AHEAD.saturating_add(passed.min(MOST_AHEAD.into()) as u16);
        is_near(self.sequence, sequence, ahead)
    }

    pub fn is_silent(&self, now: Time) -> bool {
        now - self.last_packet >= SILENCE
    }
}
