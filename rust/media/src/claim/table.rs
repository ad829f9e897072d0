//! The claims on one port: whose packet is it?
use super::LegKey;
use super::glimpse::Glimpse;
use super::host::Hosts;
use super::latch::{Latch, SharedLatch};
use super::network::plain_address;
use super::policy::Policy;
use super::tombstone::Tombstones;
use crate::clock::Time;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

mod learn;

/// Packets in sequence that a source needs which SDP did not name.
pub(super) const PROBATION: u8 = 3;
/// How long after latching to another source the one that SDP names still takes over at once.
const PRE_EMPTION: Duration = Duration::from_secs(2);
/// Most sources on probation for one leg; the oldest goes first.
pub(super) const MAX_CANDIDATES: usize = 4;

/// What a packet's source comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// From the source that the leg already listens to.
    Accepted(LegKey),
    /// Accepted, and the leg listens to this source from now on: tell it by [`crate::leg::Leg::follow`] first.
    Latched(LegKey),
    /// On probation: if it is the first of a sequence it will be accepted in the end.
    Probation(LegKey),
    /// Refused; the leg is named where one is concerned, so that it can count.
    Refused(Option<LegKey>),
    /// A straggler of a leg that has ended.
    Ended,
}

/// What SDP says of the far side, as far as claims go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Remote {
    /// Its address for RTP; `None` where SDP gives none (0.0.0.0, port 0): what was latched goes on.
    pub rtp: Option<SocketAddr>,
    /// Its address for RTCP; `None` means the port above RTP's.
    pub rtcp: Option<SocketAddr>,
    /// RTCP may come to the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Payload types that may be received, a bit each.
    pub payload_types: u128,
    /// Media is encrypted: no packet counts that is not authenticated.
    pub secured: bool,
}

/// Another leg of the same port has the same remote address and port: take another port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collision(pub LegKey);

#[derive(Debug)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    since: Time,
    next_sequence: u16,
    in_sequence: u8,
}

/// One leg's place on the port.
#[derive(Debug)]
struct Claim {
    leg: LegKey,
    policy: Policy,
    remote: Remote,
    latch: Option<Latch>,
    /// A new remote address was signalled and nothing has come from it yet: the old source plays on,
    /// but gives way at once.
    moving: bool,
    /// The leg has another port by now: what it listens to plays on, nothing new is learned.
    leaving: bool,
    candidates: Vec<Candidate>,
    /// Where accepted RTCP came from last.
    rtcp_source: Option<SocketAddr>,
    shared: Arc<SharedLatch>,
}

/// The claims on one port.
#[derive(Debug, Default)]
pub struct ClaimTable {
    claims: Vec<Option<Claim>>,
    free: Vec<usize>,
    by_leg: HashMap<LegKey, usize>,
    /// Latched sources and those that SDP names.
    by_source: HashMap<SocketAddr, usize>,
    /// Where RTCP comes from, by SDP or learned.
    by_rtcp: HashMap<SocketAddr, usize>,
    /// Streams that are being heard: RTCP names them, and a source that moves keeps them.
    by_stream: HashMap<(IpAddr, u32), usize>,
    hosts: Hosts,
    stones: Tombstones,
}

impl ClaimTable {
    /// A table without claims.
    pub fn new() -> Self {
        Self::default()
    }

    /// Legs on this port.
    pub fn len(&self) -> usize {
        self.by_leg.len()
    }

    /// Whether no leg uses this port.
    pub fn is_empty(&self) -> bool {
        self.by_leg.is_empty()
    }

    /// Streams of ended legs that are remembered.
    pub fn tombstones(&self) -> usize {
        self.stones.len()
    }

    /// A leg joins the port; nothing is accepted for it before [`ClaimTable::set_remote`]. `shared` tells other threads of
    /// its latch.
    pub fn open(&mut self, leg: LegKey, policy: Policy, shared: Arc<SharedLatch>) {
        debug_assert!(!self.by_leg.contains_key(&leg), "a leg claims a port once");
        self.hosts.add(&policy);
        let claim = Claim {
            leg,
            policy,
            remote: Remote::default(),
            latch: None,
            moving: false,
            leaving: false,
            candidates: Vec::with_capacity(MAX_CANDIDATES),
            rtcp_source: None,
            shared,
        };
        let at = self.free.pop().unwrap_or_else(|| {
            self.claims.push(None);
            self.claims.len() - 1
        });
        self.claims[at] = Some(claim);
        self.by_leg.insert(leg, at);
    }

    /// SDP named the peer's addresses and payload types.
    ///
    /// A changed address opens a fresh claim while the old source still plays.
    pub fn set_remote(
        &mut self,
        leg: LegKey,
        remote: Remote,
        policy: Policy,
    ) -> Result<(), Collision> {
        let Some(&at) = self.by_leg.get(&leg) else {
            return Ok(());
        };
        let rtp = remote.rtp.map(plain_address);
        if let Some(address) = rtp
            && let Some(&other) = self.by_source.get(&address)
            && other != at
        {
            return Err(Collision(self.at(other).leg));
        }
        if self.at(at).policy != policy {
            let before = std::mem::replace(&mut self.at_mut(at).policy, policy.clone());
            self.hosts.add(&policy);
            self.hosts.remove(&before);
        }
        let claim = self.at_mut(at);
        let before = claim.remote;
        claim.remote = Remote {
            rtp: rtp.or(before.rtp),
            rtcp: remote.rtcp.map(plain_address),
            ..remote
        };
        let named = claim.named_rtcp();
        if rtp.is_some() && before.rtp != rtp {
            let latched = claim.latch.as_ref().map(|latch| latch.source);
            claim.moving = latched.is_some() && latched != rtp;
            claim.candidates.clear();
            if claim.moving {
                claim.shared.set(None);
            }
            if let Some(old) = before.rtp
                && latched != Some(old)
            {
                self.by_source.remove(&old);
            }
            self.by_source.extend(rtp.map(|address| (address, at)));
        }
        self.by_rtcp.retain(|_, owner| *owner != at);
        self.at_mut(at).rtcp_source = None;
        if let Some(address) = named {
            self.by_rtcp.entry(address).or_insert(at);
        }
        Ok(())
    }

    /// Whether a leg of this port has the remote address `rtp`, by SDP or learned.
    pub fn collides(&self, rtp: SocketAddr) -> bool {
        self.by_source.contains_key(&plain_address(rtp))
    }

    /// Whether RTCP of this source may come to the RTP port.
    pub fn is_muxed(&self, source: SocketAddr) -> bool {
        self.by_source
            .get(&plain_address(source))
            .is_some_and(|&at| self.at(at).remote.rtcp_mux)
    }

    /// Judges an RTP packet by its source. Only what is accepted may reach a leg.
    ///
    /// `authenticate` says whether the packet carries the leg's own authentication. Only secured legs are asked; for them
    /// nothing is accepted, latched or put on probation without it, and with it there is nothing to wait for. For a packet of
    /// a source that nobody listens to it is called 4 times at most.
    pub fn receive_rtp(
        &mut self,
        now: Time,
        source: SocketAddr,
        packet: Glimpse,
        authenticate: &mut dyn FnMut(LegKey) -> bool,
    ) -> Verdict {
        let source = plain_address(source);
        let Some(&at) = self.by_source.get(&source) else {
            return self.learn(now, source, packet, authenticate);
        };
        let claim = self.claims[at].as_mut().expect("a source has its claim");
        let leg = claim.leg;
        if claim.remote.secured && !authenticate(leg) {
            return Verdict::Refused(Some(leg));
        }
        let stream = (source, packet.ssrc);
        let listens = claim.latch.as_mut().filter(|latch| latch.source == source);
        if let Some(latch) = listens {
            if latch.ssrc == packet.ssrc {
                latch.hear(now, packet.ssrc, packet.sequence);
                return Verdict::Accepted(leg);
            }
            // The address may have been that of a call which has just ended.
            if !claim.remote.secured && self.stones.bars(now, stream, packet.sequence, leg) {
                return Verdict::Ended;
            }
            let before = (source.ip(), latch.ssrc);
            if !claim.remote.accepts(packet.payload_type) {
                latch.last_packet = now;
            } else if latch.hear(now, packet.ssrc, packet.sequence) {
                self.forget_stream(before, at);
                self.by_stream.insert((source.ip(), packet.ssrc), at);
            }
            return Verdict::Accepted(leg);
        }
        if !claim.remote.secured && self.stones.bars(now, stream, packet.sequence, leg) {
            return Verdict::Ended;
        }
        if claim.may_pre_empt(now) {
            self.latch(now, at, source, packet)
        } else {
            Verdict::Refused(Some(leg))
        }
    }

    fn latch(&mut self, now: Time, at: usize, source: SocketAddr, packet: Glimpse) -> Verdict {
        let claim = self.claims[at].as_mut().expect("the caller has found it");
        let old = claim
            .latch
            .replace(Latch::new(now, source, packet.ssrc, packet.sequence));
        claim.moving = false;
        claim.candidates.clear();
        claim.shared.set(Some(source));
        let (leg, exact) = (claim.leg, claim.remote.rtp);
        if let Some(old) = old {
            if exact != Some(old.source) {
                self.by_source.remove(&old.source);
            }
            let stream = (old.source, old.ssrc);
            self.stones.set(now, stream, old.sequence, Some(leg));
            self.forget_stream((old.source.ip(), old.ssrc), at);
        }
        self.by_source.insert(source, at);
        self.by_stream.insert((source.ip(), packet.ssrc), at);
        Verdict::Latched(leg)
    }

    fn forget_stream(&mut self, stream: (IpAddr, u32), at: usize) {
        if self.by_stream.get(&stream) == Some(&at) {
            self.by_stream.remove(&stream);
        }
    }

    /// Judges an RTCP packet: from where SDP says, from beside the port that RTP is heard from, or from that host and about
    /// its stream. It never moves the latch. `ssrc` is its sender's; `authenticate` as for RTP.
    pub fn receive_rtcp(
        &mut self,
        source: SocketAddr,
        ssrc: Option<u32>,
        authenticate: &mut dyn FnMut(LegKey) -> bool,
    ) -> Verdict {
        let source = plain_address(source);
        let Some(at) = self.rtcp_owner(source, ssrc) else {
            return Verdict::Refused(self.only_leg());
        };
        let claim = self.at_mut(at);
        let leg = claim.leg;
        if claim.remote.secured && !authenticate(leg) {
            return Verdict::Refused(Some(leg));
        }
        if claim.rtcp_source == Some(source) {
            return Verdict::Accepted(leg);
        }
        let named = claim.named_rtcp();
        if let Some(old) = claim.rtcp_source.replace(source)
            && named != Some(old)
            && self.by_rtcp.get(&old) == Some(&at)
        {
            self.by_rtcp.remove(&old);
        }
        self.by_rtcp.entry(source).or_insert(at);
        Verdict::Latched(leg)
    }

    fn rtcp_owner(&self, source: SocketAddr, ssrc: Option<u32>) -> Option<usize> {
        if let Some(&at) = self.by_rtcp.get(&source).or(self.by_source.get(&source)) {
            return Some(at);
        }
        let below = SocketAddr::new(source.ip(), source.port().wrapping_sub(1));
        let listens = |at: &&usize| {
            let latch = self.at(**at).latch.as_ref();
            latch.is_none_or(|latch| latch.source == below)
        };
        if let Some(&at) = self.by_source.get(&below).filter(listens) {
            return Some(at);
        }
        if let Some(&at) = ssrc.and_then(|ssrc| self.by_stream.get(&(source.ip(), ssrc))) {
            return Some(at);
        }
        // With one leg on the port the host alone says enough.
        let &at = self.by_leg.values().next().filter(|_| self.len() == 1)?;
        let latch = self.at(at).latch.as_ref()?;
        (latch.source.ip() == source.ip()).then_some(at)
    }

    /// The source that a leg listens to.
    pub fn latched(&self, leg: LegKey) -> Option<SocketAddr> {
        let &at = self.by_leg.get(&leg)?;
        self.at(at).latch.as_ref().map(|latch| latch.source)
    }

    /// What a leg's trunk says about sources.
    pub(super) fn policy(&self, leg: LegKey) -> Option<&Policy> {
        let &at = self.by_leg.get(&leg)?;
        Some(&self.at(at).policy)
    }

    /// The leg has another port now. What it listens to here plays on until [`ClaimTable::close`]; nothing new is learned.
    pub fn leave(&mut self, leg: LegKey) {
        if let Some(&at) = self.by_leg.get(&leg) {
            let claim = self.at_mut(at);
            claim.leaving = true;
            claim.candidates.clear();
        }
    }

    /// A leg leaves the port; its stragglers are recognised for 5 s.
    pub fn close(&mut self, leg: LegKey, now: Time) {
        let Some(at) = self.by_leg.remove(&leg) else {
            return;
        };
        let claim = self.claims[at].take().expect("a leg has its claim");
        self.free.push(at);
        self.hosts.remove(&claim.policy);
        self.by_source.retain(|_, owner| *owner != at);
        self.by_rtcp.retain(|_, owner| *owner != at);
        self.by_stream.retain(|_, owner| *owner != at);
        self.stones.end(leg);
        let latched = claim.latch.as_ref().map(|latch| latch.source);
        if let Some(named) = claim.remote.rtp.filter(|named| latched != Some(*named)) {
            self.stones.set_named(now, named);
        }
        if let Some(latch) = claim.latch {
            let stream = (latch.source, latch.ssrc);
            self.stones.set(now, stream, latch.sequence, None);
        }
    }

    /// The leg whose source this is by SDP or learned, or the only one that there is.
    pub fn owner(&self, source: SocketAddr) -> Option<LegKey> {
        match self.by_source.get(&plain_address(source)) {
            Some(&at) => Some(self.at(at).leg),
            None => self.only_leg(),
        }
    }

    /// With one leg on the port there is no doubt whose counter a refused packet belongs to.
    fn only_leg(&self) -> Option<LegKey> {
        let mut legs = self.by_leg.keys();
        legs.next().copied().filter(|_| legs.next().is_none())
    }

    fn at(&self, at: usize) -> &Claim {
        self.claims[at].as_ref().expect("the index is of a claim")
    }

    fn at_mut(&mut self, at: usize) -> &mut Claim {
        self.claims[at].as_mut().expect("the index is of a claim")
    }
}

impl Remote {
    fn accepts(&self, payload_type: u8) -> bool {
        self.payload_types & 1 << (payload_type & 0x7f) != 0
    }
}

impl Claim {
    fn is_silent(&self, now: Time) -> bool {
        self.latch.as_ref().is_none_or(|latch| latch.is_silent(now))
    }

    /// Whether its first packet, or the first after a move, has not come yet.
    fn is_waiting(&self) -> bool {
        self.moving || self.latch.is_none()
    }

    /// Whether the source that SDP names takes over.
    fn may_pre_empt(&self, now: Time) -> bool {
        let fresh = |latch: &Latch| now - latch.since < PRE_EMPTION;
        !self.leaving
            && (self.remote.secured
                || self.moving
                || self.is_silent(now)
                || self.latch.as_ref().is_none_or(fresh))
    }

    /// Whether a source of this host could be this leg's at any time.
    fn could_learn(&self, host: IpAddr) -> bool {
        !self.leaving && self.remote.rtp.is_some() && self.policy.may_learn(host)
    }

    fn may_learn_now(&self, now: Time) -> bool {
        self.moving || self.is_silent(now)
    }

    fn named_rtcp(&self) -> Option<SocketAddr> {
        let above = |rtp: SocketAddr| Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?));
        self.remote.rtcp.or(self.remote.rtp.and_then(above))
    }
}
