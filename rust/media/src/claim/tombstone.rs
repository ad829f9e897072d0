//! Streams that a leg no longer listens to: what still comes of them is nobody's.
use super::LegKey;
use super::latch::{AHEAD, is_near};
use crate::clock::Time;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// How long after its leg's end, or its last packet, a stream is known as one that has ended.
const KEPT: Duration = Duration::from_secs(5);
/// Most tombstones of one port; the oldest goes first.
pub(super) const MAX_TOMBSTONES: usize = 256;
type Stream = (SocketAddr, u32);

/// What is known of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing: it may be anybody's.
    Nothing,
    /// Its leg has ended.
    Ended,
    /// This leg listens to another by now; it alone may come back to it.
    Left(LegKey),
}

#[derive(Debug)]
struct Stone {
    until: Time,
    sequence: u16,
    left_by: Option<LegKey>,
}

/// The streams that ended on one port.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    stones: HashMap<Stream, Stone>,
    /// The oldest first.
    order: VecDeque<Stream>,
    /// Addresses that SDP named and nothing had come from when their leg ended, the oldest first.
    named: VecDeque<(SocketAddr, Time)>,
}

impl Tombstones {
    /// The leg that heard this stream has ended, or listens to another (`left_by`).
    pub fn set(
        &mut self,
        now: Time,
        (source, ssrc): Stream,
        sequence: u16,
        left_by: Option<LegKey>,
    ) {
        self.stones.retain(|_, stone| stone.until > now);
        let stones = &self.stones;
        self.order
            .retain(|old| *old != (source, ssrc) && stones.contains_key(old));
        if self.order.len() == MAX_TOMBSTONES
            && let Some(oldest) = self.order.pop_front()
        {
            self.stones.remove(&oldest);
        }
        let stone = Stone {
            until: now + KEPT,
            sequence,
            left_by,
        };
        self.stones.insert((source, ssrc), stone);
        self.order.push_back((source, ssrc));
    }

    /// Whether a packet goes on with a stream that has ended. As long as it does, it stays known.
    ///
    /// The sequence number decides, too: there are devices that give all their calls one SSRC.
    pub fn know(&mut self, now: Time, stream: Stream, sequence: u16) -> Known {
        if self.stones.is_empty() {
            return Known::Nothing;
        }
        let Some(stone) = self.stones.get_mut(&stream) else {
            return Known::Nothing;
        };
        if stone.until <= now || !is_near(stone.sequence, sequence, AHEAD) {
            return Known::Nothing;
        }
        stone.until = now + KEPT;
        if sequence.wrapping_sub(stone.sequence) <= AHEAD {
            stone.sequence = sequence;
        }
        stone.left_by.map_or(Known::Ended, Known::Left)
    }

    /// A leg has ended before anything came from the address that SDP named: what comes from there now is its.
    pub fn set_named(&mut self, now: Time, source: SocketAddr) {
        self.named
            .retain(|&(old, until)| until > now && old != source);
        if self.named.len() == MAX_TOMBSTONES {
            self.named.pop_front();
        }
        self.named.push_back((source, now + KEPT));
    }

    /// Whether the source is such an address.
    pub fn is_named(&self, now: Time, source: SocketAddr) -> bool {
        self.named
            .iter()
            .any(|&(named, until)| named == source && until > now)
    }

    /// Whether a packet goes on with a stream that is not `leg`'s.
    pub fn bars(&mut self, now: Time, stream: Stream, sequence: u16, leg: LegKey) -> bool {
        match self.know(now, stream, sequence) {
            Known::Nothing => false,
            Known::Ended => true,
            Known::Left(by) => by != leg,
        }
    }

    /// A leg has ended: what it had left is nobody's either.
    pub fn end(&mut self, leg: LegKey) {
        for stone in self.stones.values_mut() {
            stone.left_by = stone.left_by.filter(|&by| by != leg);
        }
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.stones.len()
    }
}
