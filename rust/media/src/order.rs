//! Packets in any order, given on in their sequence.
//!
//! A packet behind a gap is held until the gap is filled by the missing one, until later packets have proven that it is lost, or until its
//! time (the *patience*) is over. How many later packets are a proof is learned from how far this network has put packets out of order.
use crate::clock::Time;
use crate::codec::Codec;
use std::time::Duration;

/// Packets held behind a gap.
const MAX_HELD: usize = 32;
/// Their bytes.
const MAX_HELD_BYTES: usize = 4_096;
/// A gap of more packets than this is no reordering.
const MAX_REORDER: i16 = 64;
/// So many later packets prove a loss where packets stay in order.
const PROOF: u16 = 3;
/// How many packets it takes to forget one place of reordering.
const FORGET: u16 = 500;
/// The shortest time that a gap is waited for its packet.
pub const MIN_PATIENCE: Duration = Duration::from_millis(60);
/// The longest.
pub const MAX_PATIENCE: Duration = Duration::from_millis(200);

/// What is in a packet's payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// Sound in this codec.
    Sound(Codec),
    /// A description of the noise in a pause (RFC 3389).
    Noise,
    /// Nothing to be heard: it only holds its place in the sequence.
    Nothing,
}

/// A packet of one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Queued<'a> {
    /// Its number; wraps at 2^16.
    pub sequence: u16,
    /// In units of the codec's clock; wraps at 2^32.
    pub timestamp: u32,
    /// First packet of a talkspurt.
    pub marker: bool,
    /// What the payload is.
    pub content: Content,
    /// The payload.
    pub payload: &'a [u8],
    /// Packets before it that were given up; zero on the way in.
    pub missing: u16,
}

#[derive(Debug)]
struct Held {
    sequence: u16,
    timestamp: u32,
    marker: bool,
    content: Content,
    /// Where its bytes lie.
    start: usize,
    len: usize,
    arrived: Time,
}

/// The order buffer of one stream at a time.
#[derive(Debug)]
pub struct Order {
    /// The next sequence number; `None` before the first packet of a stream.
    next: Option<u16>,
    patience: Duration,
    /// Places by which the most belated packet came behind its later ones.
    farthest: u16,
    /// Packets until one of these is forgotten.
    forget_in: u16,
    held: Vec<Held>,
    bytes: Vec<u8>,
    late: u64,
}

impl Default for Order {
    fn default() -> Self {
        Order {
            next: None,
            patience: MIN_PATIENCE,
            farthest: 0,
            forget_in: FORGET,
            held: Vec::with_capacity(MAX_HELD),
            bytes: Vec::with_capacity(MAX_HELD_BYTES),
            late: 0,
        }
    }
}

impl Order {
    /// How long a gap may wait for its packet: three times the jitter, from [`MIN_PATIENCE`] to [`MAX_PATIENCE`].
    pub fn set_jitter(&mut self, jitter: Duration) {
        self.patience = (jitter * 3).clamp(MIN_PATIENCE, MAX_PATIENCE);
    }

    /// How long a gap may wait.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Packets that came after they had been given up; cumulative.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// The timestamp of the first packet behind a gap.
    pub fn waiting(&self) -> Option<u32> {
        self.held.first().map(|first| first.timestamp)
    }

    /// Another stream begins with the next packet; what is held is given on.
    pub fn restart(&mut self, out: &mut dyn FnMut(Queued<'_>)) {
        self.release_all(out);
        self.next = None;
    }

    /// Takes a packet that is no duplicate.
    pub fn receive(&mut self, now: Time, packet: Queued<'_>, out: &mut dyn FnMut(Queued<'_>)) {
        let next = self.next.unwrap_or(packet.sequence);
        let ahead = packet.sequence.wrapping_sub(next) as i16;
        if ahead < 0 {
            self.late += 1;
            self.came_behind(ahead.unsigned_abs());
            return;
        }
        if ahead == 0 {
            if !self.held.is_empty() {
                self.came_behind(self.held.len() as u16);
            }
            self.give(packet, out);
            self.release_in_order(out);
            return;
        }
        if ahead <= MAX_REORDER && self.hold(now, next, &packet) {
            if self.held.len() > usize::from(PROOF + self.farthest) - 1 {
                self.release_first(out);
                self.release_in_order(out);
            }
            return;
        }
        self.release_all(out);
        if self
            .next
            .is_some_and(|next| (packet.sequence.wrapping_sub(next) as i16) < 0)
        {
            self.late += 1;
            return;
        }
        self.give(packet, out);
    }

    /// When [`Order::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Time> {
        self.held.first().map(|first| first.arrived + self.patience)
    }

    /// Gives up on gaps whose time is over.
    pub fn handle_timeout(&mut self, now: Time, out: &mut dyn FnMut(Queued<'_>)) {
        while self.next_timeout().is_some_and(|due| due <= now) {
            self.release_first(out);
            self.release_in_order(out);
        }
    }

    fn came_behind(&mut self, places: u16) {
        self.farthest = self.farthest.max(places).min(MAX_REORDER as u16);
        self.forget_in = FORGET;
    }

    /// Keeps a packet until the gap before it closes; `false` if there is no room.
    fn hold(&mut self, now: Time, next: u16, packet: &Queued<'_>) -> bool {
        let len = packet.payload.len();
        if self.held.len() == MAX_HELD || self.bytes.len() + len > MAX_HELD_BYTES {
            return false;
        }
        let distance = |sequence: u16| sequence.wrapping_sub(next);
        let index = self
            .held
            .partition_point(|held| distance(held.sequence) < distance(packet.sequence));
        if self
            .held
            .get(index)
            .is_some_and(|held| held.sequence == packet.sequence)
        {
            return true;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(packet.payload);
        // A later packet that came before this one has proven the gap before both.
        let arrived = self.held.get(index).map_or(now, |later| later.arrived);
        self.held.insert(
            index,
            Held {
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                marker: packet.marker,
                content: packet.content,
                start,
                len,
                arrived,
            },
        );
        true
    }

    fn release_first(&mut self, out: &mut dyn FnMut(Queued<'_>)) {
        let held = self.held.remove(0);
        // The bytes are lent out while `give` works on the rest; nothing is copied.
        let bytes = std::mem::take(&mut self.bytes);
        self.give(
            Queued {
                sequence: held.sequence,
                timestamp: held.timestamp,
                marker: held.marker,
                content: held.content,
                payload: &bytes[held.start..held.start + held.len],
                missing: 0,
            },
            out,
        );
        self.bytes = bytes;
        if self.held.is_empty() {
            self.bytes.clear();
        }
    }

    fn release_in_order(&mut self, out: &mut dyn FnMut(Queued<'_>)) {
        while self
            .held
            .first()
            .is_some_and(|first| Some(first.sequence) == self.next)
        {
            self.release_first(out);
        }
    }

    fn release_all(&mut self, out: &mut dyn FnMut(Queued<'_>)) {
        while !self.held.is_empty() {
            self.release_first(out);
        }
    }

    fn give(&mut self, packet: Queued<'_>, out: &mut dyn FnMut(Queued<'_>)) {
        let missing = self
            .next
            .map_or(0, |next| packet.sequence.wrapping_sub(next));
        self.next = Some(packet.sequence.wrapping_add(1));
        self.forget_in -= 1;
        if self.forget_in == 0 {
            self.forget_in = FORGET;
            self.farthest = self.farthest.saturating_sub(1);
        }
        out(Queued { missing, ..packet });
    }
}
