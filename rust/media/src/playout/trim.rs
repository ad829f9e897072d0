//! Delay that is won back from quiet frames.

use std::time::Duration;

use super::Playout;

/// Watches how much always waits.
#[derive(Debug)]
pub(super) struct Trim {
    low: Duration,
    frames: u32,
    /// What may be left out of it.
    excess: Duration,
}

impl Trim {
    pub(super) const NEW: Trim = Trim {
        low: Duration::MAX,
        frames: 0,
        excess: Duration::ZERO,
    };
}

/// How long it is watched.
pub(super) const TRIM_WINDOW: Duration = Duration::from_secs(1);
/// What may wait beyond the cushion without being called a delay.
pub const TRIM_ABOVE: Duration = Duration::from_millis(60);

impl Playout {
    /// Leaves out a quiet frame if for a second more has waited than the cushion explains, and it is a delay: that of a live source, of sound
    /// that came late, or of clocks that differ. What an agent sent ahead is more than it was ever late.
    pub(super) fn win_back(&mut self) {
        let beyond = self.time_of(self.queue.len() - self.frame);
        let target = self.arrivals.target();
        self.trim.low = self.trim.low.min(beyond);
        self.trim.frames += 1;
        if self.frame_time * self.trim.frames >= TRIM_WINDOW {
            let low = self.trim.low;
            let is_delay = self.live || low <= target + self.frame_time + self.delayed;
            let drifted = self.drift.found();
            let excess = if low <= target + TRIM_ABOVE {
                Duration::ZERO
            } else if is_delay {
                low
            } else if drifted > TRIM_ABOVE {
                drifted
            } else {
                Duration::ZERO
            };
            self.trim = Trim {
                excess,
                ..Trim::NEW
            };
        }
        if self.trim.excess >= self.frame_time {
            if beyond < self.frame_time + target {
                self.trim.excess = Duration::ZERO;
            } else if self.queue.is_quiet(self.frame) {
                let skipped = self.queue.skip(self.frame);
                self.taken += self.units(skipped);
                self.delayed = self.delayed.saturating_sub(self.frame_time);
                self.drift.won_back(self.frame_time);
                self.trim.excess -= self.frame_time;
                self.counts.trimmed_frames += 1;
            }
        }
    }
}
