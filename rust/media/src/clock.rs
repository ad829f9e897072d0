//! Time as an argument: the core never reads a clock.
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// An instant in nanoseconds of CLOCK_MONOTONIC; tests construct it freely.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(u64);

impl Time {
    /// The clock's zero.
    pub const ZERO: Time = Time(0);

    /// An instant `nanos` nanoseconds after the clock's zero.
    pub const fn from_nanos(nanos: u64) -> Self {
        Time(nanos)
    }

    /// An instant `micros` microseconds after the clock's zero.
    pub const fn from_micros(micros: u64) -> Self {
        Time(micros * 1_000)
    }

    /// An instant `millis` milliseconds after the clock's zero.
    pub const fn from_millis(millis: u64) -> Self {
        Time(millis * 1_000_000)
    }

    /// Nanoseconds since the clock's zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the clock's zero, as Python's `time.monotonic()` counts them.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Time passed since `earlier`; zero if `earlier` lies ahead.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant less `duration`, not below the clock's zero.
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Time(self.0.saturating_sub(duration.as_nanos() as u64))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(duration.as_nanos() as u64))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Time> for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

/// The earlier of two optional deadlines.
pub fn earliest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Whole samples of a clock of `rate` Hz that fit into `duration`.
pub fn samples_in(duration: Duration, rate: u32) -> u64 {
    (duration.as_nanos() * u128::from(rate) / 1_000_000_000) as u64
}

/// How long `samples` of a clock of `rate` Hz last.
pub fn duration_of(samples: u64, rate: u32) -> Duration {
    Duration::from_nanos((u128::from(samples) * 1_000_000_000 / u128::from(rate)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_never_go_below_zero() {
        let early = Time::from_millis(5);
        let late = Time::from_millis(25);
        assert_eq!(late - early, Duration::from_millis(20));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(early.saturating_sub(Duration::from_secs(1)), Time::ZERO);
    }

    #[test]
    fn samples_and_durations_agree() {
        assert_eq!(samples_in(Duration::from_millis(20), 8_000), 160);
        assert_eq!(duration_of(160, 8_000), Duration::from_millis(20));
        assert_eq!(duration_of(1, 48_000), Duration::from_nanos(20_833));
    }

    #[test]
    fn the_earliest_deadline_wins() {
        let a = Some(Time::from_millis(1));
        let b = Some(Time::from_millis(2));
        assert_eq!(earliest(a, b), a);
        assert_eq!(earliest(None, b), b);
        assert_eq!(earliest(None, None), None);
    }
}
