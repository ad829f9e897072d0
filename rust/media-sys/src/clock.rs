//! CLOCK_MONOTONIC as a number, the clock that Python's `time.monotonic()` reads.

use std::mem::MaybeUninit;

/// Nanoseconds of CLOCK_MONOTONIC.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: clock_gettime writes one timespec to a valid pointer; CLOCK_MONOTONIC exists on every system built for, so the
    // call can't fail and `now` is initialised.
    let now = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, now.as_mut_ptr());
        now.assume_init()
    };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
