//! Which descriptors are ready: epoll on Linux, poll elsewhere. Level-triggered both.

use std::io;
use std::os::fd::RawFd;
#[cfg(target_os = "linux")]
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::Driver;

/// What is waited for. An error or hang-up is always told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    /// Data to read.
    pub read: bool,
    /// Room to write.
    pub write: bool,
}

impl Interest {
    /// Only reading.
    pub const READ: Self = Self {
        read: true,
        write: false,
    };
    /// Reading and writing.
    pub const BOTH: Self = Self {
        read: true,
        write: true,
    };
}

/// One descriptor that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The number given to `add`.
    pub token: u64,
    /// There is data (or the end of the stream) to read.
    pub read: bool,
    /// There is room to write.
    pub write: bool,
    /// An error waits: on a UDP socket its error queue is to be read.
    pub error: bool,
}

/// A set of watched descriptors. Each must be removed before it is closed.
#[derive(Debug)]
pub struct Poller {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    #[cfg(target_os = "linux")]
    Epoll {
        descriptor: OwnedFd,
        events: Vec<libc::epoll_event>,
        nanoseconds: bool,
    },
    Poll {
        watched: Vec<libc::pollfd>,
        tokens: Vec<u64>,
    },
}

// SAFETY: the epoll events and pollfds are plain integers; nothing in them belongs to a thread.
unsafe impl Send for Poller {}

/// Descriptors told by one wait at most; more are told by the next.
#[cfg(target_os = "linux")]
const EVENTS_PER_WAIT: usize = 1024;

impl Poller {
    /// Make an empty set.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new(driver: Driver) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if driver == Driver::Linux {
            // SAFETY: epoll_create1 takes no pointers; a result that is not negative is a descriptor that nobody else owns.
            let descriptor = unsafe {
                let descriptor = libc::epoll_create1(libc::EPOLL_CLOEXEC);
                if descriptor < 0 {
                    return Err(io::Error::last_os_error());
                }
                OwnedFd::from_raw_fd(descriptor)
            };
            let events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_PER_WAIT];
            return Ok(Self {
                inner: Inner::Epoll {
                    descriptor,
                    events,
                    nanoseconds: true,
                },
            });
        }
        let _ = driver;
        Ok(Self {
            inner: Inner::Poll {
                watched: Vec::new(),
                tokens: Vec::new(),
            },
        })
    }

    /// Watch a descriptor under a number.
    ///
    /// # Errors
    /// When it is watched already or is no socket.
    pub fn add(&mut self, descriptor: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        match &mut self.inner {
            #[cfg(target_os = "linux")]
            Inner::Epoll {
                descriptor: epoll, ..
            } => control(
                epoll.as_raw_fd(),
                libc::EPOLL_CTL_ADD,
                descriptor,
                token,
                interest,
            ),
            Inner::Poll { watched, tokens } => {
                watched.push(libc::pollfd {
                    fd: descriptor,
                    events: poll_events(interest),
                    revents: 0,
                });
                tokens.push(token);
                Ok(())
            }
        }
    }

    /// Wait for something else of a watched descriptor.
    ///
    /// # Errors
    /// When it is not watched.
    pub fn change(&mut self, descriptor: RawFd, token: u64, interest: Interest) -> io::Result<()> {
        match &mut self.inner {
            #[cfg(target_os = "linux")]
            Inner::Epoll {
                descriptor: epoll, ..
            } => control(
                epoll.as_raw_fd(),
                libc::EPOLL_CTL_MOD,
                descriptor,
                token,
                interest,
            ),
            Inner::Poll { watched, tokens } => {
                let index = position(watched, descriptor)?;
                watched[index].events = poll_events(interest);
                tokens[index] = token;
                Ok(())
            }
        }
    }

    /// Watch a descriptor no longer.
    ///
    /// # Errors
    /// When it is not watched.
    pub fn remove(&mut self, descriptor: RawFd) -> io::Result<()> {
        match &mut self.inner {
            #[cfg(target_os = "linux")]
            Inner::Epoll {
                descriptor: epoll, ..
            } => control(
                epoll.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                descriptor,
                0,
                Interest::READ,
            ),
            Inner::Poll { watched, tokens } => {
                let index = position(watched, descriptor)?;
                watched.swap_remove(index);
                tokens.swap_remove(index);
                Ok(())
            }
        }
    }

    /// Fill `ready` (emptied first) with what is ready, waiting up to `timeout_ns`, or for ever with `None`. A signal is
    /// an early end.
    ///
    /// # Errors
    /// Only when the set itself is broken.
    pub fn wait(&mut self, ready: &mut Vec<Ready>, timeout_ns: Option<u64>) -> io::Result<()> {
        ready.clear();
        let count = match &mut self.inner {
            #[cfg(target_os = "linux")]
            Inner::Epoll {
                descriptor,
                events,
                nanoseconds,
            } => epoll_wait(descriptor.as_raw_fd(), events, timeout_ns, nanoseconds),
            // SAFETY: poll reads and writes `len` pollfd structures of a live vector.
            Inner::Poll { watched, .. } => unsafe {
                libc::poll(
                    watched.as_mut_ptr(),
                    watched.len() as libc::nfds_t,
                    milliseconds(timeout_ns),
                )
            },
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted {
                Ok(())
            } else {
                Err(error)
            };
        }
        match &self.inner {
            #[cfg(target_os = "linux")]
            Inner::Epoll { events, .. } => {
                for event in &events[..count as usize] {
                    let bits = event.events as libc::c_int;
                    ready.push(Ready {
                        token: event.u64,
                        read: bits & (libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLRDHUP) != 0,
                        write: bits & (libc::EPOLLOUT | libc::EPOLLHUP) != 0,
                        error: bits & libc::EPOLLERR != 0,
                    });
                }
            }
            Inner::Poll { watched, tokens } => {
                for (one, token) in watched.iter().zip(tokens) {
                    if one.revents != 0 {
                        ready.push(Ready {
                            token: *token,
                            read: one.revents & (libc::POLLIN | libc::POLLHUP) != 0,
                            write: one.revents & (libc::POLLOUT | libc::POLLHUP) != 0,
                            error: one.revents & (libc::POLLERR | libc::POLLNVAL) != 0,
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

/// Rounded up, so that a wait never ends just before the time asked for and then spins.
fn milliseconds(timeout_ns: Option<u64>) -> libc::c_int {
    timeout_ns.map_or(-1, |ns| {
        ns.div_ceil(1_000_000).min(i32::MAX as u64) as libc::c_int
    })
}

fn poll_events(interest: Interest) -> libc::c_short {
    (if interest.read { libc::POLLIN } else { 0 })
        | (if interest.write { libc::POLLOUT } else { 0 })
}

fn position(watched: &[libc::pollfd], descriptor: RawFd) -> io::Result<usize> {
    watched
        .iter()
        .position(|one| one.fd == descriptor)
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(target_os = "linux")]
fn control(
    epoll: RawFd,
    operation: libc::c_int,
    descriptor: RawFd,
    token: u64,
    interest: Interest,
) -> io::Result<()> {
    let read = if interest.read {
        libc::EPOLLIN | libc::EPOLLRDHUP
    } else {
        0
    };
    let write = if interest.write { libc::EPOLLOUT } else { 0 };
    let mut event = libc::epoll_event {
        events: (read | write) as u32,
        u64: token,
    };
    // SAFETY: epoll_ctl reads one epoll_event from a valid pointer.
    let result = unsafe { libc::epoll_ctl(epoll, operation, descriptor, &raw mut event) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// epoll_pwait2 counts in nanoseconds; kernels before 5.11 have only milliseconds.
#[cfg(target_os = "linux")]
fn epoll_wait(
    epoll: RawFd,
    events: &mut [libc::epoll_event],
    timeout_ns: Option<u64>,
    nanoseconds: &mut bool,
) -> libc::c_int {
    let room = events.len() as libc::c_int;
    // The zero and endless waits are the same in both, and the older call is the cheaper one.
    if let (true, Some(ns @ 1..)) = (*nanoseconds, timeout_ns) {
        let timeout = libc::timespec {
            tv_sec: (ns / 1_000_000_000) as _,
            tv_nsec: (ns % 1_000_000_000) as libc::c_long,
        };
        // SAFETY: the kernel writes at most `room` events to a live slice and reads one timespec; a null mask is none.
        let result = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                epoll,
                events.as_mut_ptr(),
                room,
                &raw const timeout,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        let refused = result < 0
            && matches!(
                io::Error::last_os_error().raw_os_error(),
                Some(libc::ENOSYS | libc::EPERM)
            );
        if !refused {
            return result as libc::c_int;
        }
        *nanoseconds = false;
    }
    // SAFETY: as above.
    unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), room, milliseconds(timeout_ns)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn both_drivers_tell_reading_and_writing_apart() {
        for driver in [Driver::pick(), Driver::Portable] {
            let (near, mut far) = UnixStream::pair().expect("a pair");
            let mut poller = Poller::new(driver).expect("a poller");
            let mut ready = Vec::new();
            poller
                .add(near.as_raw_fd(), 1, Interest::READ)
                .expect("added");
            poller.wait(&mut ready, Some(2_000_000)).expect("waited");
            assert_eq!(ready, [], "nothing to read yet");
            poller
                .change(near.as_raw_fd(), 2, Interest::BOTH)
                .expect("changed");
            poller.wait(&mut ready, None).expect("waited");
            assert_eq!(
                ready,
                [Ready {
                    token: 2,
                    read: false,
                    write: true,
                    error: false
                }]
            );
            far.write_all(b"x").expect("written");
            poller
                .change(near.as_raw_fd(), 3, Interest::READ)
                .expect("changed");
            poller.wait(&mut ready, None).expect("waited");
            assert_eq!(
                ready,
                [Ready {
                    token: 3,
                    read: true,
                    write: false,
                    error: false
                }]
            );
            poller.remove(near.as_raw_fd()).expect("removed");
            poller.wait(&mut ready, Some(0)).expect("waited");
            assert_eq!(ready, []);
        }
    }
}
