//! How a source's chunks come.
use super::{ELASTIC, MIN_CUSHION};
use crate::clock::Time;
use std::time::Duration;

/// How much of the patience is left for what has not been seen yet.
const RESERVE: Duration = Duration::from_millis(5);
/// More unevenness than this is no jitter but pauses of the agent, or an agent that sends ahead.
const MAX_CUSHION: Duration = Duration::from_millis(60);
/// The most that is kept in hand.
const MAX_MARGIN: Duration = Duration::from_millis(20);
/// What is learned is learned from so much time, and from so many pushes at least.
const WINDOW: Duration = Duration::from_secs(1);
const ENOUGH_PUSHES: u32 = 25;

/// Learns how unevenly a source's chunks come.
#[derive(Debug)]
pub(super) struct Arrivals {
    cushion: Duration,
    known: bool,
    /// When the next chunk is due if the source speaks in real time, counted from the earliest one so far.
    due: Time,
    /// Between the earliest and the latest, each against real time.
    spread: Duration,
    pushes: u32,
    since: Time,
}

impl Arrivals {
    /// `cushion` is what counts as its unevenness until more is known.
    pub(super) fn new(cushion: Duration) -> Self {
        Arrivals {
            cushion: cushion.min(MAX_CUSHION),
            known: false,
            due: Time::ZERO,
            spread: Duration::ZERO,
            pushes: 0,
            since: Time::ZERO,
        }
    }

    /// Nothing has to be learned: it comes evenly.
    pub(super) fn is_even(&mut self) {
        self.known = true;
        self.cushion = Duration::ZERO;
    }

    /// How unevenly the source comes, as far as is known.
    pub(super) fn cushion(&self) -> Duration {
        self.cushion
    }

    /// The source has paused: what has been seen is learned, and the next chunk is the first.
    pub(super) fn restart(&mut self, now: Time) {
        if self.pushes >= ENOUGH_PUSHES {
            self.learn(now);
        }
        self.due = now;
    }

    pub(super) fn arrived(&mut self, now: Time, lasts: Duration) {
        if self.pushes >= ENOUGH_PUSHES && now - self.since >= WINDOW {
            self.learn(now);
        }
        self.pushes = self.pushes.saturating_add(1);
        let late = now - self.due;
        if late > MAX_CUSHION {
            self.due = now;
        } else if late.is_zero() {
            self.spread += self.due - now;
            self.due = now;
        } else {
            self.spread = self.spread.max(late);
        }
        // The thousandth more forgets an earliest chunk in time, and follows an agent whose clock is slow.
        self.due += lasts + lasts / 1_000;
    }

    fn learn(&mut self, now: Time) {
        // A larger spread is that of an agent that sends ahead, which needs no cushion.
        let spread = if self.spread > MAX_CUSHION {
            Duration::ZERO
        } else {
            self.spread
        };
        self.cushion = if !self.known {
            spread
        } else if spread > self.cushion {
            (self.cushion + spread) / 2
        } else {
            self.cushion - (self.cushion - spread) / 4
        };
        self.known = true;
        self.pushes = 0;
        self.spread = Duration::ZERO;
        self.since = now;
    }

    /// How long a first frame is held back: of what has been learned, what the patience with later frames does not surely cover.
    pub(super) fn hold(&self) -> Duration {
        if self.known {
            (self.cushion + RESERVE).saturating_sub(ELASTIC)
        } else {
            self.cushion
        }
    }

    /// How long before it leaves each chunk should be there, measured by those that come latest.
    pub(super) fn margin(&self) -> Duration {
        (self.cushion / 3).clamp(MIN_CUSHION, MAX_MARGIN)
    }

    /// What may wait without being a delay.
    pub(super) fn target(&self) -> Duration {
        self.cushion.max(MIN_CUSHION)
    }
}
