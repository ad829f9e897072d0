//! What a media thread asks of the scheduler.

/// Let the calling thread run before ordinary ones, where the system permits it (it takes CAP_SYS_NICE or RLIMIT_NICE).
/// Returns whether it was permitted; the engine works either way.
#[must_use]
pub fn raise_priority() -> bool {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: plain system calls without pointers; on Linux PRIO_PROCESS with a thread id means that thread alone.
        unsafe {
            let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
            libc::setpriority(libc::PRIO_PROCESS, thread, -15) == 0
        }
    }
    #[cfg(not(target_os = "linux"))]
    false
}
