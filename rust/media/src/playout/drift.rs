//! A source that never pauses and whose clock is a little faster than ours.
use crate::clock::Time;
use std::time::Duration;

/// What is compared.
const WINDOW: Duration = Duration::from_secs(30);
/// It grows by at most so much in that time where it is the clocks that differ: 500 parts in a million. More is sound sent ahead.
const MOST: Duration = Duration::from_millis(15);

/// Finds out how much of what waits is there because clocks differ: how long before it leaves the latest chunk comes grows steadily.
#[derive(Debug)]
pub(super) struct Drift {
    /// The least in this window, and in the one before.
    least: Duration,
    before: Option<Duration>,
    /// When this window began; `None` before the first chunk.
    since: Option<Time>,
    found: Duration,
}

impl Drift {
    pub(super) const NEW: Drift = Drift {
        least: Duration::MAX,
        before: None,
        since: None,
        found: Duration::ZERO,
    };

    /// A chunk has come that leaves after so long.
    pub(super) fn saw(&mut self, now: Time, waits: Duration) {
        self.least = self.least.min(waits);
        if now - *self.since.get_or_insert(now) < WINDOW {
            return;
        }
        if let Some(before) = self.before {
            let more = self.least.saturating_sub(before);
            let less = before.saturating_sub(self.least);
            if more <= MOST {
                self.found += more;
            }
            self.found = self.found.saturating_sub(less).min(self.least);
        }
        self.before = Some(self.least);
        self.least = Duration::MAX;
        self.since = Some(now);
    }

    /// What waits because of it.
    pub(super) fn found(&self) -> Duration {
        self.found
    }

    /// So much of what waited was left out.
    pub(super) fn won_back(&mut self, time: Duration) {
        self.found = self.found.saturating_sub(time);
        if self.least != Duration::MAX {
            self.least = self.least.saturating_sub(time);
        }
        self.before = self.before.map(|before| before.saturating_sub(time));
    }
}
