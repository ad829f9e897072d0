//! What comes in on one port: the claims on it, and the packets that wait for one.
use super::LegKey;
use super::glimpse::{Glimpse, rtcp_ssrc};
use super::latch::SharedLatch;
use super::park::{Park, Parked};
use super::policy::Policy;
use super::table::{ClaimTable, Collision, PROBATION, Remote, Verdict};
use crate::clock::Time;
use crate::srtp::Protocol;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// Opens a packet in place if it carries the leg's own authentication: its length then, and what it was is gone. A packet that does not
/// is left as it is.
pub type Authenticate<'a> = &'a mut dyn FnMut(LegKey, Protocol, &mut [u8]) -> Option<usize>;

/// A packet that had to wait until it was known whose it is.
#[derive(Debug)]
pub struct Waited {
    /// Whose it is; to be told by [`crate::leg::Leg::follow`] first.
    pub leg: LegKey,
    /// Where it came from.
    pub source: SocketAddr,
    /// The packet, opened where the leg has authenticated it.
    pub bytes: Vec<u8>,
    /// Whether it has.
    pub opened: bool,
    /// The leg that has counted it as refused when it came.
    pub refused_for: Option<LegKey>,
}

/// What a packet comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It is RTP.
    Rtp(Verdict),
    /// It is RTCP.
    Rtcp(Verdict),
    /// It is neither; the leg is named whose source sent it, so that it can count.
    Garbage(Option<LegKey>),
}

/// What comes in on one port.
///
/// After each input [`Intake::poll`] is to be asked until it has nothing more: what had to wait goes before the packet that
/// made it known.
#[derive(Debug, Default)]
pub struct Intake {
    claims: ClaimTable,
    park: Park,
    waited: VecDeque<Waited>,
    stragglers: u64,
    refused: u64,
}

/// What an intake has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntakeCounts {
    /// Packets that waited because it was not known whose they are.
    pub parked: u64,
    /// Those of them that nobody claimed.
    pub unclaimed: u64,
    /// Packets of legs that have ended.
    pub stragglers: u64,
    /// Packets that no leg of the port accepts, those on probation and what was parked included.
    pub refused: u64,
}

impl Intake {
    /// A port without claims.
    pub fn new() -> Self {
        Self::default()
    }

    /// The claims.
    pub fn claims(&self) -> &ClaimTable {
        &self.claims
    }

    /// What has been counted so far.
    pub fn counts(&self) -> IntakeCounts {
        IntakeCounts {
            parked: self.park.kept,
            unclaimed: self.park.lost,
            stragglers: self.stragglers,
            refused: self.refused,
        }
    }

    /// A leg joins the port; see [`ClaimTable::open`].
    pub fn open(&mut self, leg: LegKey, policy: Policy, shared: Arc<SharedLatch>) {
        self.claims.open(leg, policy, shared);
    }

    /// SDP named the peer's addresses; see [`ClaimTable::set_remote`]. What came from there a moment before is the leg's.
    pub fn set_remote(
        &mut self,
        now: Time,
        leg: LegKey,
        remote: Remote,
        policy: Policy,
        authenticate: Authenticate<'_>,
    ) -> Result<(), Collision> {
        self.claims.set_remote(leg, remote, policy)?;
        for _ in 0..self.park.len() {
            let Some(mut parked) = self.park.take_oldest(now) else {
                break;
            };
            let (source, glimpse) = (parked.source, parked.glimpse);
            let mut opened = None;
            let ask = &mut |leg| open(authenticate, leg, &mut parked.bytes, &mut opened);
            let verdict = self.claims.receive_rtp(now, source, glimpse, ask);
            if let Some(len) = opened {
                parked.bytes.truncate(len);
            }
            match verdict {
                Verdict::Accepted(leg) => self.hand_over(leg, parked, opened.is_some()),
                Verdict::Latched(leg) => {
                    if opened.is_none() {
                        self.hand_over_before(now, leg, source, glimpse);
                    }
                    self.hand_over(leg, parked, opened.is_some());
                }
                _ if opened.is_some() => {}
                Verdict::Probation(_) | Verdict::Refused(_) | Verdict::Ended => {
                    self.park.put_back(parked);
                }
            }
        }
        Ok(())
    }

    /// Judges what came to the RTP port. RTCP may come there, too, where that was agreed on (RFC 5761).
    pub fn receive_rtp(
        &mut self,
        now: Time,
        source: SocketAddr,
        packet: &mut [u8],
        authenticate: Authenticate<'_>,
    ) -> Judged {
        if let Some(ssrc) = rtcp_ssrc(packet)
            && self.claims.is_muxed(source)
        {
            let ask = &mut |leg| authenticate(leg, Protocol::Rtcp, packet).is_some();
            return Judged::Rtcp(self.claims.receive_rtcp(source, Some(ssrc), ask));
        }
        let Some(glimpse) = Glimpse::of(packet) else {
            // No stream, so nothing to claim by; whose counter it is, the source says.
            return Judged::Garbage(self.claims.owner(source));
        };
        let mut opened = None;
        let ask = &mut |leg| open(authenticate, leg, packet, &mut opened);
        let verdict = self.claims.receive_rtp(now, source, glimpse, ask);
        match verdict {
            Verdict::Accepted(_) => {}
            Verdict::Ended => self.stragglers += 1,
            // An authentic one has no need of others, and those that are not do not come by their sequence.
            _ if opened.is_some() => {}
            Verdict::Latched(leg) => self.hand_over_before(now, leg, source, glimpse),
            Verdict::Probation(leg) => self.park(now, source, glimpse, Some(leg), packet),
            Verdict::Refused(leg) => self.park(now, source, glimpse, leg, packet),
        }
        Judged::Rtp(verdict)
    }

    /// Judges what came to the RTCP port.
    pub fn receive_rtcp(
        &mut self,
        source: SocketAddr,
        packet: &mut [u8],
        authenticate: Authenticate<'_>,
    ) -> Verdict {
        let ssrc = rtcp_ssrc(packet);
        let ask = &mut |leg| authenticate(leg, Protocol::Rtcp, packet).is_some();
        self.claims.receive_rtcp(source, ssrc, ask)
    }

    /// A packet that had to wait and is a leg's now, the oldest first.
    pub fn poll(&mut self) -> Option<Waited> {
        self.waited.pop_front()
    }

    /// The leg has another port now; see [`ClaimTable::leave`].
    pub fn leave(&mut self, leg: LegKey) {
        self.claims.leave(leg);
    }

    /// A leg leaves the port; see [`ClaimTable::close`].
    pub fn close(&mut self, leg: LegKey, now: Time) {
        if let Some(policy) = self.claims.policy(leg) {
            self.park.forget(policy);
        }
        self.claims.close(leg, now);
        if self.claims.is_empty() {
            self.park.clear();
        }
    }

    /// Keeps a packet that is nobody's yet, if there is anybody whose it might become.
    fn park(
        &mut self,
        now: Time,
        source: SocketAddr,
        glimpse: Glimpse,
        refused_for: Option<LegKey>,
        packet: &[u8],
    ) {
        self.refused += 1;
        if !self.claims.is_empty() {
            self.park.keep(now, source, glimpse, refused_for, packet);
        }
    }

    /// What came right before the packet that made its source known goes before it.
    fn hand_over_before(&mut self, now: Time, leg: LegKey, source: SocketAddr, latched: Glimpse) {
        for back in (1..u16::from(PROBATION)).rev() {
            if let Some(parked) = self.park.take_before(now, source, latched, back) {
                self.hand_over(leg, parked, false);
            }
        }
    }

    fn hand_over(&mut self, leg: LegKey, parked: Parked, opened: bool) {
        self.waited.push_back(Waited {
            leg,
            source: parked.source,
            bytes: parked.bytes,
            opened,
            refused_for: parked.refused_for,
        });
    }
}

fn open(
    authenticate: Authenticate<'_>,
    leg: LegKey,
    packet: &mut [u8],
    opened: &mut Option<usize>,
) -> bool {
    *opened = authenticate(leg, Protocol::Rtp, packet);
    opened.is_some()
}
