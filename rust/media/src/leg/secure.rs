//! The encryption of a leg: what comes in is opened before anything else sees it, what goes out is sealed last.
use std::net::SocketAddr;
use std::time::Duration;

use super::{Leg, LegEvent, LegSink};
use crate::clock::Time;
use crate::srtp::{Protocol, SrtpError};

/// Packets that are not authentic are told of at most so often, however many come.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// What was refused because it is not authentic, as far as it has not been told.
#[derive(Debug, Default)]
pub(super) struct Unauthentic {
    packets: u64,
    told: Option<Time>,
}

impl Leg {
    /// Whether media is encrypted. Then no packet of the peer counts that [`Leg::open`] refuses.
    pub fn is_secured(&self) -> bool {
        self.protection.is_on()
    }

    /// Opens a packet in place if it is authentic and new: what is left is its beginning, of the length returned. In the clear it is all of it.
    ///
    /// This is how a claim asks whether a packet is this leg's. It is to be called once a packet: what was opened has been seen.
    ///
    /// # Errors
    /// The packet is none of the peer's. It is as it came, and nothing has changed; see [`Leg::refuse_unauthentic`].
    pub fn open(
        &mut self,
        now: Time,
        protocol: Protocol,
        packet: &mut [u8],
    ) -> Result<usize, SrtpError> {
        match protocol {
            Protocol::Rtp => self.protection.unprotect_rtp(now, packet),
            Protocol::Rtcp => self.protection.unprotect_rtcp(now, packet),
        }
    }

    /// A packet of the leg's own source could not be opened. It is counted; however many come, the call goes on.
    pub fn refuse_unauthentic(
        &mut self,
        now: Time,
        protocol: Protocol,
        error: SrtpError,
        sink: &mut impl LegSink,
    ) {
        if protocol == Protocol::Rtcp {
            // Many say hello and goodbye in the clear, before they have the keys and after.
            self.stats.rtcp_unauthenticated.add(1);
            return;
        }
        if error == SrtpError::Replayed {
            // A network that doubles packets is no attack.
            self.stats.received_replayed.add(1);
            return;
        } else {
            self.stats.received_unauthenticated.add(1);
        }
        let unauthentic = &mut self.unauthentic;
        unauthentic.packets += 1;
        if unauthentic.told.is_none_or(|told| now - told >= TOLD_EVERY) {
            unauthentic.told = Some(now);
            let packets = std::mem::take(&mut unauthentic.packets);
            sink.event(LegEvent::Unauthentic { packets });
        }
    }

    /// Seals and sends the RTP packet in the first `len` bytes; false if it may not be sent because its key is used up.
    pub(super) fn send_rtp(
        &mut self,
        target: SocketAddr,
        packet: &mut [u8],
        len: usize,
        sink: &mut impl LegSink,
    ) -> bool {
        match self.protection.protect_rtp(packet, len) {
            Ok(len) => sink.send_rtp(target, &packet[..len]),
            Err(_) => return self.cannot_seal(sink),
        }
        true
    }

    /// The same for RTCP.
    pub(super) fn send_rtcp(
        &mut self,
        target: SocketAddr,
        packet: &mut [u8],
        len: usize,
        sink: &mut impl LegSink,
    ) -> bool {
        match self.protection.protect_rtcp(packet, len) {
            Ok(len) => sink.send_rtcp(target, &packet[..len]),
            Err(_) => return self.cannot_seal(sink),
        }
        true
    }

    fn cannot_seal(&mut self, sink: &mut impl LegSink) -> bool {
        self.stats.unsent_packets.add(1);
        if !self.key_used_up_told {
            self.key_used_up_told = true;
            sink.event(LegEvent::KeyUsedUp);
        }
        false
    }
}
