//! When calls are placed and frames are sent.

use crate::rtp::FRAME_NS;

/// A small generator of random numbers (xorshift64*): spreads times, keeps no secrets.
#[derive(Clone, Debug)]
pub struct Spread(u64);

impl Spread {
    /// A generator that yields the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number, evenly from 0 up to `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        if end == 0 { 0 } else { high % end }
    }
}

/// Times at which calls are placed: one within each interval of the rate, at a random place in it. Without that, 50
/// calls a second would all send their frames at the same moment of a 20 ms cycle.
#[derive(Clone, Debug)]
pub struct Arrivals {
    start: u64,
    interval: u64,
    placed: u64,
    next: u64,
    spread: Spread,
}

impl Arrivals {
    /// `rate` calls a second from `start` on.
    pub fn new(start: u64, rate: f64, seed: u64) -> Self {
        let interval = (1e9 / rate) as u64;
        let mut spread = Spread::new(seed);
        let next = start + spread.below(interval);
        Self {
            start,
            interval,
            placed: 0,
            next,
            spread,
        }
    }

    /// When the next call is due.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The call that was due is placed.
    pub fn advance(&mut self) {
        self.placed += 1;
        self.next = self.start + self.placed * self.interval + self.spread.below(self.interval);
    }
}

/// Which calls send in which tick of the 20 ms cycle.
pub struct Wheel {
    slots: Vec<Vec<u32>>,
    tick: u64,
    next_tick: u64,
    epoch: u64,
}

impl Wheel {
    /// A wheel of ticks `tick` nanoseconds long, from `epoch` on.
    pub fn new(tick: u64, epoch: u64) -> Self {
        let count = (FRAME_NS / tick).max(1) as usize;
        Self {
            slots: vec![Vec::new(); count],
            tick: FRAME_NS / count as u64,
            next_tick: 0,
            epoch,
        }
    }

    /// Adds a call at the slot that spreads the calls most evenly.
    pub fn add(&mut self, call: u32) {
        let golden = (f64::from(call) * 0.618_033_988_749_895).fract();
        let slot = (golden * self.slots.len() as f64) as usize;
        self.slots[slot].push(call);
    }

    /// When the next tick is due.
    pub fn next(&self) -> u64 {
        self.epoch + self.next_tick * self.tick
    }

    /// The due tick's time and calls; moves on. `None` if none is due at `now`.
    pub fn due(&mut self, now: u64) -> Option<(u64, &[u32])> {
        let at = self.next();
        if at > now {
            return None;
        }
        let slot = (self.next_tick % self.slots.len() as u64) as usize;
        self.next_tick += 1;
        Some((at, &self.slots[slot]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_keep_the_rate_and_are_spread_over_the_frame() {
        let mut arrivals = Arrivals::new(0, 50.0, 7);
        let mut phases = [0; 4];
        for index in 0..400 {
            let at = arrivals.next();
            assert!(at / FRAME_NS == index);
            phases[(at % FRAME_NS / 5_000_000) as usize] += 1;
            arrivals.advance();
        }
        assert!(phases.iter().all(|&count| count > 60), "{phases:?}");
    }

    #[test]
    fn every_call_sends_once_in_a_cycle_and_no_slot_is_crowded() {
        let mut wheel = Wheel::new(250_000, 1_000);
        (0..800).for_each(|call| wheel.add(call));
        let mut seen = vec![0; 800];
        let mut most = 0;
        let mut ticks = 0;
        while let Some((at, calls)) = wheel.due(1_000 + FRAME_NS - 1) {
            assert_eq!(at, 1_000 + ticks * 250_000);
            ticks += 1;
            most = most.max(calls.len());
            calls.iter().for_each(|&call| seen[call as usize] += 1);
        }
        assert_eq!(ticks, 80);
        assert!(seen.iter().all(|&count| count == 1));
        assert!(most <= 12, "{most} calls in one slot, 10 would be even");
    }
}
