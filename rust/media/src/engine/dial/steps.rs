//! The steps of one dial, each with its limit: the name, the first address that answers, TLS, the upgrade.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::Failure;
use crate::engine::tls::{in_words, not_tls};
use crate::engine::transport::Transport;
use crate::wire::AgentUrl;
use crate::wire::upgrade::{Upgrade, UpgradeError, Upgraded};

/// How long a waiting step goes without asking whether the dial is still wanted.
pub(super) const SLICE: Duration = Duration::from_millis(50);
/// The head start of one address before the next is tried beside it (RFC 8305 section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried at most.
const MAX_ADDRESSES: usize = 8;
/// Name look-ups that hang in the system at most; it gives no way to end one.
const MAX_LOOKUPS: usize = 64;

/// The time limits of one dial.
pub(super) struct StepClock {
    pub step: Duration,
    pub deadline: Instant,
    pub cancelled: Arc<AtomicBool>,
}

/// The limit of one step, which the step asks between its waits.
#[derive(Clone, Copy)]
pub(super) struct Limit<'a> {
    deadline: Instant,
    name: &'static str,
    cancelled: &'a AtomicBool,
}

impl StepClock {
    pub fn step<'a, T>(
        &'a self,
        name: &'static str,
        action: impl FnOnce(Limit<'a>) -> Result<T, Failure>,
    ) -> Result<(T, f64), Failure> {
        let begun = Instant::now();
        let deadline = self.deadline.min(begun + self.step);
        let limit = Limit {
            deadline,
            name,
            cancelled: &self.cancelled,
        };
        limit.check()?;
        let value = action(limit)?;
        Ok((value, begun.elapsed().as_secs_f64() * 1e3))
    }
}

impl Limit<'_> {
    fn check(&self) -> Result<(), Failure> {
        if self.cancelled.load(Relaxed) {
            return Err(Failure::new(
                "cancelled",
                format!("given up during the {}", self.name),
            ));
        }
        if Instant::now() >= self.deadline {
            return Err(Failure::new(
                "timeout",
                format!("the {} took too long", self.name),
            ));
        }
        Ok(())
    }

    fn slice(&self) -> Duration {
        self.deadline
            .saturating_duration_since(Instant::now())
            .min(SLICE)
            .max(Duration::from_millis(1))
    }
}

static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

pub(super) fn literal(url: &AgentUrl) -> Option<IpAddr> {
    url.host.parse().ok()
}

pub(super) fn resolve(url: &AgentUrl, limit: Limit<'_>) -> Result<Vec<SocketAddr>, Failure> {
    if let Some(address) = literal(url) {
        return Ok(vec![SocketAddr::new(address, url.port)]);
    }
    if LOOKUPS.fetch_add(1, Relaxed) >= MAX_LOOKUPS {
        LOOKUPS.fetch_sub(1, Relaxed);
        return Err(Failure::new(
            "overloaded",
            "too many name look-ups are under way",
        ));
    }
    let (answer, answered) = mpsc::channel();
    let (host, port) = (url.host.clone(), url.port);
    // The system's look-up can't be interrupted, so it has a thread of its own to be left behind on.
    let spawned = thread::Builder::new()
        .name("offhook-dns".into())
        .spawn(move || {
            let result = (host.as_str(), port)
                .to_socket_addrs()
                .map(Iterator::collect::<Vec<_>>);
            LOOKUPS.fetch_sub(1, Relaxed);
            let _ = answer.send(result);
        });
    if let Err(error) = spawned {
        LOOKUPS.fetch_sub(1, Relaxed);
        return Err(Failure::new("overloaded", error.to_string()));
    }
    let found = loop {
        match answered.recv_timeout(limit.slice()) {
            Ok(Ok(addresses)) => break addresses,
            Ok(Err(error)) => return Err(Failure::new("dns", format!("{}: {error}", url.host))),
            Err(_) => limit.check()?,
        }
    };
    let addresses = interleave(&found);
    if addresses.is_empty() {
        return Err(Failure::new("dns", format!("{} has no address", url.host)));
    }
    Ok(addresses)
}

/// Families in turn, beginning with the one that the system put first (RFC 8305 section 4).
fn interleave(found: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let mut first = found
        .iter()
        .filter(|address| address.is_ipv6() == first_is_v6);
    let mut second = found
        .iter()
        .filter(|address| address.is_ipv6() != first_is_v6);
    let mut order: Vec<SocketAddr> = Vec::new();
    loop {
        let (a, b) = (first.next(), second.next());
        if (a, b) == (None, None) || order.len() >= MAX_ADDRESSES {
            return order;
        }
        for address in [a, b].into_iter().flatten() {
            if !order.contains(address) && order.len() < MAX_ADDRESSES {
                order.push(*address);
            }
        }
    }
}

pub(super) fn connect_any(
    addresses: &[SocketAddr],
    limit: Limit<'_>,
) -> Result<(TcpStream, SocketAddr), Failure> {
    let mut waiting = addresses.iter().copied();
    let mut attempts: Vec<(TcpStream, SocketAddr)> = Vec::new();
    let mut last: Option<(SocketAddr, io::Error)> = None;
    let mut next_at = Instant::now();
    let mut exhausted = false;
    loop {
        if !exhausted && (Instant::now() >= next_at || attempts.is_empty()) {
            match waiting.next() {
                Some(address) => match offhook_media_sys::start_connect(address) {
                    Ok(stream) => {
                        attempts.push((stream, address));
                        next_at = Instant::now() + NEXT_ADDRESS;
                    }
                    Err(error) => last = Some((address, error)),
                },
                None => exhausted = true,
            }
            if attempts.is_empty() && !exhausted {
                continue;
            }
        }
        if attempts.is_empty() {
            let detail = last.map_or_else(
                || "no address".to_owned(),
                |(address, error)| format!("{address}: {error}"),
            );
            return Err(Failure::new("tcp", detail));
        }
        let streams: Vec<&TcpStream> = attempts.iter().map(|(stream, _)| stream).collect();
        let decided = offhook_media_sys::wait_writable(&streams, limit.slice().as_millis() as i32)
            .map_err(|error| Failure::new("tcp", error.to_string()))?;
        for index in (0..attempts.len()).rev().filter(|index| decided[*index]) {
            let (stream, address) = attempts.remove(index);
            match offhook_media_sys::connect_result(&stream) {
                Ok(()) => return Ok((stream, address)),
                Err(error) => {
                    last = Some((address, error));
                    next_at = Instant::now();
                }
            }
        }
        limit.check()?;
    }
}

fn is_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

pub(super) fn shake_hands(
    stream: &TcpStream,
    host: &str,
    config: Arc<ClientConfig>,
    limit: Limit<'_>,
) -> Result<ClientConnection, Failure> {
    let fail = |error: &dyn std::fmt::Display| Failure::new("tls", error.to_string());
    let name = ServerName::try_from(host.to_owned()).map_err(|error| fail(&error))?;
    let mut tls = ClientConnection::new(config, name).map_err(|error| fail(&error))?;
    let mut stream = stream;
    let mut answered = false;
    while tls.is_handshaking() || tls.wants_write() {
        limit.check()?;
        let result = if tls.wants_write() {
            tls.write_tls(&mut stream)
        } else if answered {
            tls.read_tls(&mut stream)
        } else {
            let mut first = [0; 4];
            stream.peek(&mut first).and_then(|count| {
                answered = true;
                match not_tls(&first[..count]) {
                    Some(words) => Err(io::Error::other(words)),
                    None => tls.read_tls(&mut stream),
                }
            })
        };
        match result {
            Ok(0) => {
                return Err(Failure::new(
                    "tls",
                    "the server closed the connection during the TLS handshake (closed)",
                ));
            }
            Ok(_) => {}
            Err(error) if is_wait(&error) => continue,
            Err(error) => return Err(fail(&error)),
        }
        if let Err(error) = tls.process_new_packets() {
            // The alert tells the server what we did not like; whether it arrives changes nothing for us.
            let _ = tls.write_tls(&mut stream);
            return Err(Failure::new("tls", in_words(&error, host)));
        }
    }
    Ok(tls)
}

/// Send the request and read until the answer is judged.
pub(super) fn ask(
    transport: &mut Transport,
    request: &[u8],
    upgrade: &mut Upgrade,
    host: &str,
    limit: Limit<'_>,
) -> Result<Result<Upgraded, UpgradeError>, Failure> {
    let lost = |error: io::Error| {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
        match tls {
            // A server of TLS 1.3 judges us only after the handshake.
            Some(error) => Failure::new("tls", in_words(error, host)),
            None => Failure::new("upgrade", format!("the connection was lost: {error}")),
        }
    };
    let mut rest = request;
    while !rest.is_empty() || transport.wants_write() {
        limit.check()?;
        let result = if rest.is_empty() {
            transport.flush().map(|()| 0)
        } else {
            transport.write(rest)
        };
        match result {
            Ok(count) => rest = &rest[count..],
            Err(error) if is_wait(&error) => {}
            Err(error) => return Err(lost(error)),
        }
    }
    let mut buffer = [0; 4096];
    loop {
        limit.check()?;
        match transport.read(&mut buffer) {
            Ok(0) => return Ok(Err(upgrade.give_up())),
            Ok(count) => match upgrade.receive(&buffer[..count]) {
                Ok(None) => {}
                Ok(Some(upgraded)) => return Ok(Ok(upgraded)),
                Err(error) => return Ok(Err(error)),
            },
            Err(error) if is_wait(&error) => {}
            Err(error) => return Err(lost(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_nothing_is_tried_twice() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let found = [
            "[2001:db8::1]:1",
            "[2001:db8::2]:1",
            "192.0.2.1:1",
            "192.0.2.1:1",
            "192.0.2.2:1",
        ]
        .map(address);
        let order = [
            "[2001:db8::1]:1",
            "192.0.2.1:1",
            "[2001:db8::2]:1",
            "192.0.2.2:1",
        ]
        .map(address);
        assert_eq!(interleave(&found), order);
        assert!(interleave(&[]).is_empty());
    }
}
