//! What ends a sleep that gathers packets: a command of Python's, and the wires on which a first word may come.

use std::io;
use std::os::fd::RawFd;

use offhook_media_sys::{Driver, Interest, Poller, Ready, monotonic_ns};

/// The doorbell, and wires whose agents are silent, watched while their thread sleeps to its next tick.
///
/// The packets of a talkspurt may wait for the tick, since playout evens them out. Its first may not: it would wait for one
/// tick on its way to the agent and for another on its way back. Nor may what sets a call up: it goes to and fro four times.
#[derive(Debug)]
pub struct Awaited {
    poller: Poller,
    ready: Vec<Ready>,
}

impl Awaited {
    /// Nobody is awaited but who rings at `doorbell`.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new(driver: Driver, doorbell: RawFd) -> io::Result<Self> {
        let mut poller = Poller::new(driver)?;
        poller.add(doorbell, 0, Interest::READ)?;
        Ok(Self {
            poller,
            ready: Vec::with_capacity(64),
        })
    }

    /// Whether `descriptor` is awaited from now on; `is` remembers it. To be ended before the descriptor is closed.
    pub fn set(&mut self, descriptor: RawFd, wanted: bool, is: &mut bool) {
        if wanted == *is {
            return;
        }
        // Out of kernel memory it is not awaited, and its first word comes a tick later.
        if wanted && self.poller.add(descriptor, 0, Interest::READ).is_ok() {
            *is = true;
        } else if !wanted {
            let _ = self.poller.remove(descriptor);
            *is = false;
        }
    }

    /// Sleep until `tick_ns`, or until somebody who is awaited has something to say: then the result is `true`.
    pub fn sleep_until(&mut self, tick_ns: u64) -> bool {
        let left = tick_ns.saturating_sub(monotonic_ns());
        let waited = self.poller.wait(&mut self.ready, Some(left));
        waited.is_ok() && !self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_first_word_and_a_command_end_the_sleep_and_the_next_words_do_not() {
        let (mut agent, wire) = UnixStream::pair().expect("a pair");
        let (_other_agent, other) = UnixStream::pair().expect("a pair");
        let (mut python, doorbell) = UnixStream::pair().expect("a pair");
        let mut awaited = Awaited::new(Driver::pick(), doorbell.as_raw_fd()).expect("a set");
        let (mut is, mut other_is) = (false, false);
        awaited.set(wire.as_raw_fd(), true, &mut is);
        awaited.set(other.as_raw_fd(), true, &mut other_is);
        assert!(is && !awaited.sleep_until(0), "nobody speaks");
        agent.write_all(b"word").expect("written");
        assert!(awaited.sleep_until(monotonic_ns() + 60 * SECOND));
        // It speaks: what comes now is gathered.
        awaited.set(wire.as_raw_fd(), false, &mut is);
        assert!(!is && !awaited.sleep_until(monotonic_ns() + SECOND / 1_000));
        awaited.set(wire.as_raw_fd(), false, &mut is);
        awaited.set(other.as_raw_fd(), false, &mut other_is);
        assert!(!awaited.sleep_until(0));
        python.write_all(b"command").expect("written");
        assert!(awaited.sleep_until(monotonic_ns() + 60 * SECOND));
    }
}
