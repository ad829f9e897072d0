//! Encrypted RTP and RTCP (RFC 3711, with the suites of RFC 6188 and RFC 7714) under keys that SDP brought (RFC 4568).
//!
//! Packets are sealed and opened in place, without allocation. A packet is authenticated before anything is learned from it: one that is
//! forged or replayed changes nothing but a counter of its leg. Key derivation rate and master key identifiers are not spoken.
use crate::clock::Time;
use std::fmt;
use std::time::Duration;

mod counter_mode;
mod gcm;
mod keys;
mod receive;
mod replay;
mod send;
mod suite;
mod transform;

pub use keys::{KeyLength, Protocol, SrtpKeys};
pub use replay::WINDOW;
pub use suite::Suite;

use receive::Receiver;
use send::Sender;

/// Bytes of the index of an RTCP packet, and of the rollover counter.
const INDEX_LEN: usize = 4;
/// The longest packet that is sealed or opened.
const MAX_PACKET: usize = 2_048;
/// Most bytes that a packet grows by: what has to be free behind it.
pub const MAX_TRAILER: usize = 20;
/// Sources of one direction that are known at one time under one key.
pub const MAX_SOURCES: usize = 4;
/// How long packets under the key before are still taken: until a peer has got our answer, repeated at 0.5, 1.5 and 3.5 s.
pub const OLD_KEY: Duration = Duration::from_secs(5);

/// Why a packet was not sealed or opened. None of it says anything about the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SrtpError {
    /// No RTP or RTCP, or too short for its tag.
    Malformed,
    /// The tag does not fit: another key, a changed packet, or a plain one.
    Forged,
    /// A packet of this index has come already, or the index is too old to tell.
    Replayed,
    /// A fifth source of ours under one key.
    TooManySources,
    /// The packet's index has been used under this key; sending it would give both packets away.
    IndexUsed,
    /// All indices of the key are used (2^48 of RTP, 2^31 of RTCP): a new key is needed (section 9.2).
    Exhausted,
    /// The buffer has no room for the tag.
    NoRoom,
}

impl fmt::Display for SrtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SrtpError::Malformed => "no packet, or too short for its tag",
            SrtpError::Forged => "the tag does not fit",
            SrtpError::Replayed => "the packet has come before",
            SrtpError::TooManySources => "too many sources under one key",
            SrtpError::IndexUsed => "the index has been used under this key",
            SrtpError::Exhausted => "the key is used up",
            SrtpError::NoRoom => "no room for the tag",
        })
    }
}

impl std::error::Error for SrtpError {}

/// What protects the packets of one leg: nothing, or the keys that were negotiated last.
///
/// Nothing is the state in which it is made. Then every packet passes as it is.
#[derive(Default)]
pub struct Protection {
    sender: Option<Box<Sender>>,
    receiver: Option<Box<Receiver>>,
    old: Option<Old>,
}

/// The receiving key before this one.
struct Old {
    receiver: Box<Receiver>,
    until: Time,
}

impl Protection {
    /// Whether packets are encrypted.
    pub fn is_on(&self) -> bool {
        self.sender.is_some()
    }

    /// Takes what was negotiated. A key that is the same as before keeps its indices and rollovers; under a new one they begin anew, while
    /// the sequence numbers run on. The receiving key before stays good for [`OLD_KEY`].
    pub fn set(&mut self, now: Time, keys: Option<&SrtpKeys>) {
        self.forget_old(now);
        let Some(keys) = keys else {
            self.sender = None;
            let before = self.receiver.take();
            self.keep(now, before);
            return;
        };
        if self
            .sender
            .as_ref()
            .is_none_or(|sender| *sender.master() != keys.send)
        {
            self.sender = Some(Box::new(Sender::new(&keys.send)));
        }
        if self
            .receiver
            .as_ref()
            .is_none_or(|receiver| *receiver.master() != keys.receive)
        {
            // Back to the key before: what is known of it is still true.
            let old = self
                .old
                .take()
                .filter(|old| *old.receiver.master() == keys.receive);
            let receiver = old.map_or_else(
                || Box::new(Receiver::new(&keys.receive)),
                |old| old.receiver,
            );
            let before = self.receiver.replace(receiver);
            self.keep(now, before);
        }
    }

    fn keep(&mut self, now: Time, receiver: Option<Box<Receiver>>) {
        if let Some(receiver) = receiver {
            let until = now + OLD_KEY;
            self.old = Some(Old { receiver, until });
        }
    }

    fn forget_old(&mut self, now: Time) {
        if self.old.as_ref().is_some_and(|old| old.until <= now) {
            self.old = None;
        }
    }

    /// Opens an RTP packet in place. What is left of it is its beginning, of the length returned; on an error it is as it came.
    ///
    /// # Errors
    /// [`SrtpError::Malformed`], [`SrtpError::Forged`] and [`SrtpError::Replayed`]: the packet must not be used for anything.
    pub fn unprotect_rtp(&mut self, now: Time, packet: &mut [u8]) -> Result<usize, SrtpError> {
        if self.old.is_none() && self.receiver.is_none() {
            return Ok(packet.len());
        }
        self.forget_old(now);
        let rollovers = self.old.as_ref().map_or(0, |old| old.receiver.rollovers());
        let current = match &mut self.receiver {
            Some(receiver) => receiver.unprotect_rtp(now, packet, rollovers),
            None => Ok(packet.len()),
        };
        // Where packets are plain now, one under the key that was given up would be noise.
        let of_old = self.receiver.is_none()
            || matches!(current, Err(SrtpError::Forged | SrtpError::Malformed));
        match &mut self.old {
            Some(old) if of_old => {
                unless_forged(old.receiver.unprotect_rtp(now, packet, 0), current)
            }
            _ => current,
        }
    }

    /// The same for RTCP.
    ///
    /// # Errors
    /// As of [`Protection::unprotect_rtp`].
    pub fn unprotect_rtcp(&mut self, now: Time, packet: &mut [u8]) -> Result<usize, SrtpError> {
        self.forget_old(now);
        let current = match &mut self.receiver {
            Some(receiver) => receiver.unprotect_rtcp(packet),
            None => Ok(packet.len()),
        };
        let of_old = self.receiver.is_none()
            || matches!(current, Err(SrtpError::Forged | SrtpError::Malformed));
        match &mut self.old {
            Some(old) if of_old => unless_forged(old.receiver.unprotect_rtcp(packet), current),
            _ => current,
        }
    }

    /// Seals the RTP packet in the first `len` bytes; [`MAX_TRAILER`] bytes behind it are room enough. Its new length.
    ///
    /// # Errors
    /// [`SrtpError::Exhausted`] and the other reasons for which the packet must not be sent.
    pub fn protect_rtp(&mut self, packet: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        match &mut self.sender {
            Some(sender) => sender.protect_rtp(packet, len),
            None => Ok(len),
        }
    }

    /// The same for RTCP.
    ///
    /// # Errors
    /// As of [`Protection::protect_rtp`].
    pub fn protect_rtcp(&mut self, packet: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        match &mut self.sender {
            Some(sender) => sender.protect_rtcp(packet, len),
            None => Ok(len),
        }
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sender {
            Some(sender) => write!(f, "Protection({})", sender.master().suite().name()),
            None => f.write_str("Protection(none)"),
        }
    }
}

/// What the key before says of a packet, unless it is none of that key's.
fn unless_forged(
    old: Result<usize, SrtpError>,
    current: Result<usize, SrtpError>,
) -> Result<usize, SrtpError> {
    match old {
        Ok(_) | Err(SrtpError::Replayed) => old,
        Err(_) => current,
    }
}

/// Where the payload of an RTP packet begins: behind the fixed header, the contributing sources and the extension, none of which is
/// encrypted. `None` if this is no RTP.
fn payload_offset(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    if first >> 6 != 2 || packet.len() > MAX_PACKET {
        return None;
    }
    let mut offset = 12 + usize::from(first & 0x0f) * 4;
    if first & 0x10 != 0 {
        let length = packet.get(offset + 2..offset + 4)?;
        offset += 4 + usize::from(u16::from_be_bytes([length[0], length[1]])) * 4;
    }
    (offset <= packet.len()).then_some(offset)
}

/// Sequence number and SSRC of an RTP packet.
fn rtp_numbers(packet: &[u8]) -> Option<(u16, u32)> {
    let header = packet.first_chunk::<12>()?;
    let sequence = u16::from_be_bytes([header[2], header[3]]);
    let ssrc = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    Some((sequence, ssrc))
}

/// The SSRC of an RTCP packet's sender; `None` if this is no RTCP.
fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let header = packet.first_chunk::<8>()?;
    let is_rtcp = header[0] >> 6 == 2 && packet.len() <= MAX_PACKET;
    is_rtcp.then(|| u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
