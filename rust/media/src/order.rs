//! Packets in any order, given on in their sequence.
//!
//! A packet behind a gap is held until the gap is filled by the missing one, until later packets have proven that it is lost, or until its
//! time (the *patience*) is over. How many later packets are a proof is learned from how far this network has put packets out of order.
use crate::clock::Time;
use crate::shelf::{Put, Shelf};
use std::time::Duration;

pub use crate::shelf::{Content, Queued};

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

/// The order buffer of one stream at a time.
#[derive(Debug)]
pub struct Order {
    given: Given,
    patience: Duration,
    held: Shelf,
    late: u64,
}

/// How far the stream has been given on, and how it came.
#[derive(Debug)]
struct Given {
    /// The next sequence number; `None` before the first packet of a stream.
    next: Option<u16>,
    /// Places by which the most belated packet came behind its later ones.
    farthest: u16,
    /// Packets until one of these is forgotten.
    forget_in: u16,
}

impl Default for Order {
    fn default() -> Self {
        Order {
            given: Given {
                next: None,
                farthest: 0,
                forget_in: FORGET,
            },
            patience: MIN_PATIENCE,
            held: Shelf::new(MAX_HELD, MAX_HELD_BYTES),
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
        self.given.next = None;
    }

    /// Takes a packet that is no duplicate.
    pub fn receive(&mut self, now: Time, packet: Queued<'_>, out: &mut dyn FnMut(Queued<'_>)) {
        let next = self.given.next.unwrap_or(packet.sequence);
        let ahead = packet.sequence.wrapping_sub(next) as i16;
        if ahead < 0 {
            self.late += 1;
            self.given.came_behind(ahead.unsigned_abs());
            return;
        }
        if ahead == 0 {
            if !self.held.is_empty() {
                self.given.came_behind(self.held.len() as u16);
            }
            self.given.give(packet, out);
            self.release_in_order(out);
            return;
        }
        if ahead <= MAX_REORDER && self.held.put(now, next, &packet) != Put::Full {
            if self.held.len() > usize::from(PROOF + self.given.farthest) - 1 {
                self.release_first(out);
                self.release_in_order(out);
            }
            return;
        }
        self.release_all(out);
        if self
            .given
            .next
            .is_some_and(|next| (packet.sequence.wrapping_sub(next) as i16) < 0)
        {
            self.late += 1;
            return;
        }
        self.given.give(packet, out);
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

    fn release_first(&mut self, out: &mut dyn FnMut(Queued<'_>)) {
        let given = &mut self.given;
        self.held.take(|packet| given.give(packet, out));
    }

    fn release_in_order(&mut self, out: &mut dyn FnMut(Queued<'_>)) {
        while self
            .held
            .first()
            .is_some_and(|first| Some(first.sequence) == self.given.next)
        {
            self.release_first(out);
        }
    }

    fn release_all(&mut self, out: &mut dyn FnMut(Queued<'_>)) {
        while !self.held.is_empty() {
            self.release_first(out);
        }
    }
}

impl Given {
    fn came_behind(&mut self, places: u16) {
        self.farthest = self.farthest.max(places).min(MAX_REORDER as u16);
        self.forget_in = FORGET;
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
