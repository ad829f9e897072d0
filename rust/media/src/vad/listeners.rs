//! Who listens by the network: a bounded number of legs of a media thread, those first that have been listening longest.
use super::network::{CHUNK, SpeechNetwork, SpeechState};
use crate::clock::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Legs of a thread that may listen at a time. What they cost in one turn of the thread is bounded by that: about a millisecond.
pub const SEATS: usize = 16;
/// Chunks heard in arrears when somebody sits down, so that the network has heard what went before.
const BEFORE: usize = 2;
/// Samples that are wanted of before.
pub const ARREARS: usize = 32 + (BEFORE + 1) * CHUNK;
/// A seat that nobody has used for so long was left without a word.
const LEFT: Duration = Duration::from_secs(1);

/// The right to listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Seat {
    ticket: u64,
    taken: bool,
    /// What is listened to has turned out to be nothing; who needs a seat may have this one.
    idle: bool,
    last: Time,
    state: SpeechState,
    chunk: [f32; CHUNK],
    filled: usize,
}

/// What listeners count; to be read by any thread.
#[derive(Debug, Default)]
pub struct SpeechCounts {
    /// Chunks of 32 ms judged.
    pub judged: AtomicU64,
    /// How often there was no seat.
    pub refused: AtomicU64,
}

/// The network and the seats of one media thread.
#[derive(Debug)]
pub struct Listeners {
    network: Arc<SpeechNetwork>,
    seats: Vec<Seat>,
    tickets: u64,
    counts: Arc<SpeechCounts>,
}

impl Listeners {
    /// All seats are free.
    pub fn new(network: Arc<SpeechNetwork>, counts: Arc<SpeechCounts>) -> Self {
        let seat = || Seat {
            ticket: 0,
            taken: false,
            idle: false,
            last: Time::ZERO,
            state: SpeechState::default(),
            chunk: [0.0; CHUNK],
            filled: 0,
        };
        Self {
            network,
            seats: (0..SEATS).map(|_| seat()).collect(),
            tickets: 0,
            counts,
        }
    }

    /// Takes a seat and hears what went before, the newest last; `told` gets how likely the newest is to be speech. `None` if all are taken
    /// by who came earlier.
    pub fn sit(
        &mut self,
        now: Time,
        before: &[f32; ARREARS],
        told: &mut impl FnMut(f32),
    ) -> Option<Ticket> {
        let free = |seat: &Seat| !seat.taken || now - seat.last > LEFT;
        let place = self.seats.iter().position(free);
        let Some(place) = place.or_else(|| self.seats.iter().position(|seat| seat.idle)) else {
            self.counts.refused.fetch_add(1, Relaxed);
            return None;
        };
        self.tickets += 1;
        let seat = &mut self.seats[place];
        seat.ticket = self.tickets;
        seat.taken = true;
        seat.idle = false;
        seat.last = now;
        told(seat.catch_up(before, &self.network, &self.counts));
        Some(Ticket(self.tickets))
    }

    /// Hears all of what went before anew, with what came next at its end, so that nothing of that waits for a chunk to be full. `false` as for
    /// [`Listeners::hear`].
    pub fn hear_anew(
        &mut self,
        ticket: Ticket,
        now: Time,
        before: &[f32; ARREARS],
        told: &mut impl FnMut(f32),
    ) -> bool {
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.is_of(ticket)) else {
            return false;
        };
        seat.last = now;
        told(seat.catch_up(before, &self.network, &self.counts));
        true
    }

    /// Hears what came next; `told` gets how likely each 32 ms are to be speech. `false` if the seat is somebody else's by now.
    pub fn hear(
        &mut self,
        ticket: Ticket,
        now: Time,
        mut samples: &[f32],
        told: &mut impl FnMut(f32),
    ) -> bool {
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.is_of(ticket)) else {
            return false;
        };
        seat.last = now;
        while !samples.is_empty() {
            let count = samples.len().min(CHUNK - seat.filled);
            let (next, later) = samples.split_at(count);
            seat.chunk[seat.filled..][..count].copy_from_slice(next);
            seat.filled += count;
            samples = later;
            if seat.filled == CHUNK {
                seat.filled = 0;
                self.counts.judged.fetch_add(1, Relaxed);
                told(self.network.judge(&mut seat.state, &seat.chunk));
            }
        }
        true
    }

    /// What is listened to is nothing so far, or something again.
    pub fn idle(&mut self, ticket: Ticket, idle: bool) {
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.is_of(ticket)) {
            seat.idle = idle;
        }
    }

    /// Leaves the seat.
    pub fn rise(&mut self, ticket: Ticket) {
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.is_of(ticket)) {
            seat.taken = false;
            seat.idle = false;
        }
    }
}

impl Seat {
    /// Forgets what was heard, and hears what went before; how likely the newest is to be speech.
    fn catch_up(
        &mut self,
        before: &[f32; ARREARS],
        network: &SpeechNetwork,
        counts: &SpeechCounts,
    ) -> f32 {
        let (context, chunks) = before.split_at(ARREARS - (BEFORE + 1) * CHUNK);
        self.filled = 0;
        self.state = SpeechState::default();
        self.state.set_context(context);
        let mut likely = 0.0;
        for chunk in chunks.as_chunks::<CHUNK>().0 {
            likely = network.judge(&mut self.state, chunk);
            counts.judged.fetch_add(1, Relaxed);
        }
        likely
    }

    fn is_of(&self, ticket: Ticket) -> bool {
        self.taken && self.ticket == ticket.0
    }
}
