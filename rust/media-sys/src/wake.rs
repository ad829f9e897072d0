//! A descriptor that one thread makes readable to wake another: eventfd on Linux, a socket pair elsewhere.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use crate::Driver;

/// A wake-up descriptor. Any number of `wake` calls before a `reset` are one wake-up.
#[derive(Debug)]
pub struct Wake {
    read: File,
    write: Option<File>,
}

impl Wake {
    /// Make one.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new(driver: Driver) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if driver == Driver::Linux {
            use std::os::fd::FromRawFd;
            // SAFETY: eventfd takes no pointers; a result that is not negative is a descriptor that nobody else owns.
            let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: as above, fresh and ours alone.
            let read = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
            return Ok(Self { read, write: None });
        }
        let _ = driver;
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        Ok(Self {
            read: File::from(OwnedFd::from(read)),
            write: Some(File::from(OwnedFd::from(write))),
        })
    }

    /// The descriptor to watch for reading.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.read.as_raw_fd()
    }

    /// Make it readable. A full pipe is readable already, so nothing can go wrong that matters.
    pub fn wake(&self) {
        let mut end = self.write.as_ref().unwrap_or(&self.read);
        let _ = end.write(&1u64.to_ne_bytes());
    }

    /// Make it quiet again.
    pub fn reset(&self) {
        let mut buffer = [0u8; 512];
        // An eventfd is empty after one read; of a socket pair a full buffer means that more may wait.
        while (&self.read)
            .read(&mut buffer)
            .is_ok_and(|n| n == buffer.len())
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interest, Poller, Ready};

    #[test]
    fn many_wakes_are_one_and_reset_quiets_it() {
        for driver in [Driver::pick(), Driver::Portable] {
            let wake = Wake::new(driver).expect("a descriptor");
            let mut poller = Poller::new(driver).expect("a poller");
            poller
                .add(wake.descriptor(), 7, Interest::READ)
                .expect("added");
            let mut ready: Vec<Ready> = Vec::new();
            poller.wait(&mut ready, Some(0)).expect("waited");
            assert!(ready.is_empty());
            for _ in 0..1000 {
                wake.wake();
            }
            poller.wait(&mut ready, Some(0)).expect("waited");
            assert_eq!(ready.len(), 1);
            assert_eq!(ready[0].token, 7);
            wake.reset();
            poller.wait(&mut ready, Some(0)).expect("waited");
            assert!(ready.is_empty());
        }
    }
}
