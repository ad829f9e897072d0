//! Sound that somebody else has coded leaves past the queue: the clock of the leg goes along with it, and takes over where it ends.

use super::*;

/// So long after the last of it nothing is put in its place: the far end makes up for a loss by itself, and knows better how.
pub(crate) const PASSING_PATIENCE: Duration = Duration::from_millis(200);
/// A pause that was announced is waited for longer: it is announced again every 400 ms (RFC 7587 section 3.1.3).
pub(crate) const PAUSE_PATIENCE: Duration = Duration::from_secs(1);

impl Playout {
    /// The next sound comes past the queue, which is empty.
    pub(crate) fn begin_passing(&mut self) {
        self.phase = Phase::Passing {
            until: self.nominal + self.last_time + PASSING_PATIENCE,
        };
    }

    /// Whether sound comes past the queue.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.phase, Phase::Passing { .. })
    }

    /// Such sound has left: `ticks` of it, `step` ticks after the last. `pauses`: it announces a pause.
    pub(crate) fn passed(&mut self, now: Time, step: u32, ticks: u32, pauses: bool) {
        let elapsed = self.advance(now);
        self.lag += i64::from(elapsed) - i64::from(step);
        self.last_ticks = ticks;
        self.last_time = duration_of(u64::from(ticks), LINE_RATE);
        let patience = if pauses {
            PAUSE_PATIENCE
        } else {
            PASSING_PATIENCE
        };
        self.phase = Phase::Passing {
            until: now + self.last_time + patience,
        };
    }

    /// When something else has to leave, where sound comes past the queue: nothing more has come, or it may not.
    pub(crate) fn passing_ends_at(&self) -> Option<Time> {
        match self.phase {
            Phase::Passing { until } if self.open && self.queue.is_empty() => Some(until),
            Phase::Passing { .. } => Some(self.nominal + self.last_time),
            _ => None,
        }
    }

    /// No more of it comes. `tail` is what left last, if something follows it at once: it fades.
    pub(crate) fn end_passing(&mut self, tail: &[u8]) {
        self.phase = Phase::Silence;
        self.dry_at = None;
        // Its clock was another one, which may have been the quicker by far.
        let most = samples_in(MAX_AHEAD, LINE_RATE) as i64;
        self.lag = self.lag.max(-most);
        self.fade.with_last(self.format(), tail);
    }

    /// How many timestamp units the packet that left last stands for.
    pub(crate) fn lasts(&self) -> u32 {
        self.last_ticks
    }
}
