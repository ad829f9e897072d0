//! Where the engine reads the time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use offhook_media_sys::monotonic_ns;

use crate::clock::Time;

/// CLOCK_MONOTONIC, or the time that an engine in memory was given last.
#[derive(Debug)]
pub(super) enum Watch {
    System,
    Given(AtomicU64),
}

impl Watch {
    /// The time now.
    pub fn now(&self) -> Time {
        Time::from_nanos(match self {
            Self::System => monotonic_ns(),
            Self::Given(nanos) => nanos.load(Relaxed),
        })
    }

    /// It is so late now. Only a given time can be set.
    pub fn set(&self, now: Time) {
        if let Self::Given(nanos) = self {
            nanos.store(now.as_nanos(), Relaxed);
        }
    }
}
