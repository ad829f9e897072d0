//! The tool's only unsafe code: system calls that the standard library lacks.

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Readiness to read.
pub const READABLE: u32 = libc::EPOLLIN as u32;
/// Readiness to write.
pub const WRITABLE: u32 = libc::EPOLLOUT as u32;
/// The other end is gone.
pub const HUNG_UP: u32 = (libc::EPOLLHUP | libc::EPOLLRDHUP | libc::EPOLLERR) as u32;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn read_clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec for the length of the call.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds of the monotonic clock; all times of the tool are of this kind.
pub fn now() -> u64 {
    read_clock(libc::CLOCK_MONOTONIC)
}

/// What the wall clock is ahead of the monotonic one, in nanoseconds: kernel packet stamps are wall clock.
pub fn wall_offset() -> u64 {
    let before = read_clock(libc::CLOCK_MONOTONIC);
    let wall = read_clock(libc::CLOCK_REALTIME);
    let after = read_clock(libc::CLOCK_MONOTONIC);
    wall - (before + after) / 2
}

/// Sleeps until the monotonic clock reads `at`.
pub fn sleep_until(at: u64) {
    let time = libc::timespec {
        tv_sec: (at / 1_000_000_000) as i64,
        tv_nsec: (at % 1_000_000_000) as i64,
    };
    // SAFETY: `time` is valid; no remainder is asked for, as the time is absolute. An early return by a signal is harmless.
    unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &time,
            std::ptr::null_mut(),
        )
    };
}

/// Makes this thread's timers exact (the default lets each be 50 µs late).
pub fn exact_timers() {
    // SAFETY: PR_SET_TIMERSLACK takes one integer.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
}

/// User and system time of this process so far, in nanoseconds.
pub fn own_cpu() -> u64 {
    read_clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Raises the limit of open descriptors as far as allowed and returns it.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid rlimit in both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
    limit.rlim_cur
}

/// Ticks a second of the times in `/proc/PID/stat`.
pub fn clock_ticks() -> u64 {
    // SAFETY: no pointers.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) as u64 }
}

/// Bytes of a memory page.
pub fn page_size() -> u64 {
    // SAFETY: no pointers.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_interruption(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on SIGINT and SIGTERM are noted instead of ending the process; a second one ends it.
pub fn note_interruptions() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: an all-zero sigaction is valid, and the handler only stores to an atomic, which is safe in a signal.
        unsafe {
            let mut action: libc::sigaction = zeroed();
            action.sa_sigaction = note_interruption as *const () as libc::sighandler_t;
            action.sa_flags = libc::SA_RESETHAND;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// Whether the process was asked to end.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

fn set_option(
    fd: RawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which lives through the call.
    check(unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// Asks the kernel to stamp each arriving packet.
pub fn stamp_arrivals(socket: &impl AsRawFd) -> io::Result<()> {
    set_option(
        socket.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_TIMESTAMPNS,
        1,
    )
}

/// Sets the receive buffer in bytes (the kernel caps it).
pub fn set_receive_buffer(socket: &impl AsRawFd, bytes: i32) -> io::Result<()> {
    set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, bytes)
}

/// A packet as the kernel gave it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Bytes in the buffer.
    pub len: usize,
    /// Who sent it.
    pub source: SocketAddr,
    /// Wall clock nanoseconds at which the kernel took it in; 0 without `stamp_arrivals`.
    pub stamp: u64,
}

#[repr(align(8))]
struct Control([u8; 64]);

/// Receives one packet and its arrival time.
pub fn receive_stamped(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut name = MaybeUninit::<libc::sockaddr_storage>::uninit();
    let mut control = Control([0; 64]);
    // SAFETY: an all-zero msghdr is valid, and each pointer put into it outlives the call. After success the kernel has
    // written the name, and CMSG_FIRSTHDR stays within `control` by the length that the kernel set.
    unsafe {
        let mut header: libc::msghdr = zeroed();
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        header.msg_iov = &mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = control.0.len() as _;
        let len = libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_DONTWAIT);
        if len < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut stamp = 0;
        let first = libc::CMSG_FIRSTHDR(&header);
        if !first.is_null()
            && (*first).cmsg_level == libc::SOL_SOCKET
            && (*first).cmsg_type == libc::SO_TIMESTAMPNS
        {
            let time: libc::timespec = std::ptr::read_unaligned(libc::CMSG_DATA(first).cast());
            stamp = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
        }
        Ok(Arrival {
            len: len as usize,
            source: socket_address(name.as_ptr()),
            stamp,
        })
    }
}

/// Reads the address that the kernel wrote.
///
/// # Safety
/// `storage` must point at an address written by the kernel.
unsafe fn socket_address(storage: *const libc::sockaddr_storage) -> SocketAddr {
    // SAFETY: the family says which of the two structures lies there; both fit into the storage.
    unsafe {
        if libc::c_int::from((*storage).ss_family) == libc::AF_INET6 {
            let v6 = &*storage.cast::<libc::sockaddr_in6>();
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            SocketAddr::V6(SocketAddrV6::new(
                ip,
                u16::from_be(v6.sin6_port),
                0,
                v6.sin6_scope_id,
            ))
        } else {
            let v4 = &*storage.cast::<libc::sockaddr_in>();
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)))
        }
    }
}

/// What a wait reported of one descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// The number given at `Epoll::add`.
    pub token: u64,
    /// Bits `READABLE`, `WRITABLE`, `HUNG_UP`.
    pub events: u32,
}

/// A set of descriptors to wait on, level-triggered.
pub struct Epoll {
    fd: OwnedFd,
    buffer: Vec<libc::epoll_event>,
}

impl Epoll {
    /// Makes an empty set that reports at most `batch` descriptors a wait.
    pub fn new(batch: usize) -> io::Result<Self> {
        // SAFETY: the descriptor returned is new and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Self {
            fd,
            buffer: vec![libc::epoll_event { events: 0, u64: 0 }; batch],
        })
    }

    fn control(
        &self,
        operation: libc::c_int,
        fd: RawFd,
        token: u64,
        events: u32,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: `event` is valid for the call; the kernel copies it.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &mut event) })?;
        Ok(())
    }

    /// Adds a descriptor; closing it removes it.
    pub fn add(&self, socket: &impl AsRawFd, token: u64, events: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), token, events)
    }

    /// Changes what is waited for.
    pub fn change(&self, socket: &impl AsRawFd, token: u64, events: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket.as_raw_fd(), token, events)
    }

    /// Waits at most `timeout` nanoseconds (0: not at all) and hands out what is ready.
    pub fn wait(&mut self, timeout: u64, out: &mut Vec<Ready>) -> io::Result<()> {
        out.clear();
        let limit = libc::timespec {
            tv_sec: (timeout / 1_000_000_000) as i64,
            tv_nsec: (timeout % 1_000_000_000) as i64,
        };
        // SAFETY: the buffer holds `len` events; the kernel writes no more than that.
        let count = unsafe {
            libc::epoll_pwait2(
                self.fd.as_raw_fd(),
                self.buffer.as_mut_ptr(),
                self.buffer.len() as libc::c_int,
                &limit,
                std::ptr::null(),
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted {
                Ok(())
            } else {
                Err(error)
            };
        }
        for event in &self.buffer[..count as usize] {
            out.push(Ready {
                token: event.u64,
                events: event.events,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn an_arrival_carries_its_source_and_a_stamp_on_our_clock() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        stamp_arrivals(&receiver).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        // The kernel turns stamping on a moment after it was asked to, so the first packet only wakes it.
        for _ in 0..2 {
            let before = now();
            sender
                .send_to(b"hello", receiver.local_addr().unwrap())
                .unwrap();
            let mut epoll = Epoll::new(4).unwrap();
            epoll.add(&receiver, 7, READABLE).unwrap();
            let mut ready = Vec::new();
            epoll.wait(1_000_000_000, &mut ready).unwrap();
            assert_eq!(ready[0].token, 7);
            let mut buffer = [0; 32];
            let arrival = receive_stamped(&receiver, &mut buffer).unwrap();
            assert_eq!(&buffer[..arrival.len], b"hello");
            assert_eq!(arrival.source, sender.local_addr().unwrap());
            let at = arrival.stamp - wall_offset();
            assert!(
                at + 1_000_000 > before && at < now() + 1_000_000,
                "{at} is not near {before}"
            );
        }
    }
}
