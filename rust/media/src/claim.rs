//! Which source belongs to which leg, and where a leg may send.
//!
//! One table a socket. The engine asks it before it hands a packet to a leg, so that a packet of a stranger
//! never reaches a leg's order buffer, digits or agent. What we receive and where we send are two things: the table
//! decides the first; [`send_to`] decides the second.
use crate::clock::Time;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The engine's name for a leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct LegKey(pub u32);

/// A range of addresses, as in `198.51.100.0/24`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The range of all addresses that share `prefix` bits with `address`; a longer prefix than the address means the address alone.
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        Network {
            address: plain(address),
            prefix,
        }
    }

    /// Whether `address` lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, plain(address)) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32 - u32::from(self.prefix.min(32));
                u32::from(a).checked_shr(shift) == u32::from(b).checked_shr(shift)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128 - u32::from(self.prefix.min(128));
                u128::from(a).checked_shr(shift) == u128::from(b).checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// Packets in sequence that a source needs which SDP did not name.
const PROBATION: u8 = 3;
/// How long after latching to another source the one that SDP names still takes over at once.
const PRE_EMPTION: Duration = Duration::from_secs(2);
/// How long the latched source must be silent before another may follow it.
const SILENCE: Duration = Duration::from_secs(2);
/// How long the stragglers of an ended leg are known as such.
const TOMBSTONE: Duration = Duration::from_secs(5);
/// Most tombstones of one socket; the oldest goes first.
const MAX_TOMBSTONES: usize = 256;
/// Most sources on probation for one leg; the oldest goes first.
const MAX_CANDIDATES: usize = 4;

/// Whether media may ever be sent to `address`; `loopback` says that the trunk is on this machine.
pub fn is_sendable(address: SocketAddr, loopback: bool) -> bool {
    if address.port() == 0 {
        return false;
    }
    match plain(address.ip()) {
        IpAddr::V4(ip) => {
            !(ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast() || ip.octets()[0] == 0)
                && (loopback || !ip.is_loopback())
        }
        IpAddr::V6(ip) => {
            !(ip.is_unspecified() || ip.is_multicast()) && (loopback || !ip.is_loopback())
        }
    }
}

/// Whether an address named in SDP cannot be reached from here though the signalling of the same peer can:
/// a private address behind a public one (pain of every NAT).
pub fn is_unroutable(sdp: IpAddr, signalling: IpAddr) -> bool {
    let (sdp, signalling) = (plain(sdp), plain(signalling));
    sdp.is_loopback() && !signalling.is_loopback() || is_private(sdp) && !is_private(signalling)
}

/// Where to send: SDP's address, unless it is unroutable or the trunk is behind NAT; then the learned source,
/// or until one is learned what SDP says, if that can be sent to at all.
pub fn send_to(
    sdp: SocketAddr,
    learned: Option<SocketAddr>,
    policy: &Policy,
) -> Option<SocketAddr> {
    let unroutable = is_unroutable(sdp.ip(), policy.signalling);
    let target = if policy.nat || unroutable {
        learned.or((!unroutable).then_some(sdp))
    } else {
        Some(sdp)
    };
    target.filter(|&target| is_sendable(target, policy.loopback))
}

/// IPv4 in IPv6 clothes compares as IPv4.
fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

fn plain_address(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(plain(address.ip()), address.port())
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip == Ipv4Addr::UNSPECIFIED
                || shared
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip == Ipv6Addr::UNSPECIFIED
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

/// What a leg's trunk says about the sources of its media.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Where the leg's signalling comes from; media of the same address may be learned.
    pub signalling: IpAddr,
    /// Further ranges from which media may be learned.
    pub media_allow: Vec<Network>,
    /// The peer is known to be behind NAT: send where it sends from.
    pub nat: bool,
    /// The trunk is on this machine: loopback addresses are as good as others.
    pub loopback: bool,
}

impl Policy {
    fn may_learn(&self, source: IpAddr) -> bool {
        source == plain(self.signalling)
            || self
                .media_allow
                .iter()
                .any(|network| network.contains(source))
    }
}

/// What a packet's source comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// From the source that the leg already listens to.
    Accepted(LegKey),
    /// Accepted, and the leg listens to this source from now on: tell it by [`crate::leg::Leg::follow`] first.
    Latched(LegKey),
    /// On probation: if it is the first of a sequence it will be accepted in the end, so it is worth keeping in a [`Park`].
    Probation(LegKey),
    /// Refused; the leg is named where one is concerned, so that it can count.
    Refused(Option<LegKey>),
    /// A straggler of a leg that has ended.
    Ended,
}

/// The few facts of an RTP packet that a claim looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glimpse {
    /// Sequence number.
    pub sequence: u16,
    /// Source id.
    pub ssrc: u32,
    /// Payload type.
    pub payload_type: u8,
}

impl Glimpse {
    /// Looks at the fixed header only; `None` if this is no RTP.
    pub fn of(packet: &[u8]) -> Option<Self> {
        let header = packet.first_chunk::<12>()?;
        (header[0] >> 6 == 2).then(|| Glimpse {
            sequence: u16::from_be_bytes([header[2], header[3]]),
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            payload_type: header[1] & 0x7f,
        })
    }
}

/// Another leg of the same socket has the same remote address and port: take another socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collision(pub LegKey);

#[derive(Debug)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    next_sequence: u16,
    in_sequence: u8,
}

#[derive(Debug)]
struct Latch {
    source: SocketAddr,
    ssrc: u32,
    since: Time,
    last_packet: Time,
}

#[derive(Debug)]
struct Claim {
    policy: Policy,
    exact: Option<SocketAddr>,
    exact_rtcp: Option<SocketAddr>,
    /// One bit a payload type.
    payload_types: u128,
    latch: Option<Latch>,
    /// A new remote address was signalled and nothing has come from it yet: the old source plays on,
    /// but gives way at once.
    moving: bool,
    candidates: Vec<Candidate>,
    /// Where accepted RTCP came from last.
    rtcp_source: Option<SocketAddr>,
}

#[derive(Debug)]
struct Tombstone {
    source: SocketAddr,
    ssrc: u32,
    until: Time,
}

/// The claims on one socket.
#[derive(Debug, Default)]
pub struct ClaimTable {
    claims: HashMap<LegKey, Claim>,
    /// Latched sources and those that SDP names.
    by_source: HashMap<SocketAddr, LegKey>,
    tombstones: VecDeque<Tombstone>,
}

impl ClaimTable {
    /// A table without claims.
    pub fn new() -> Self {
        Self::default()
    }

    /// Legs on this socket.
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    /// Whether no leg uses this socket.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// A leg joins the socket; nothing is accepted for it before [`ClaimTable::set_remote`].
    pub fn open(&mut self, leg: LegKey, policy: Policy) {
        self.claims.insert(
            leg,
            Claim {
                policy,
                exact: None,
                exact_rtcp: None,
                payload_types: 0,
                latch: None,
                moving: false,
                candidates: Vec::with_capacity(MAX_CANDIDATES),
                rtcp_source: None,
            },
        );
    }

    /// SDP named the peer's addresses and payload types (a bit each). `rtp` is `None` where SDP gives no address
    /// (0.0.0.0, port 0): what was latched goes on.
    ///
    /// A changed address opens a fresh claim while the old source still plays.
    pub fn set_remote(
        &mut self,
        leg: LegKey,
        rtp: Option<SocketAddr>,
        rtcp: Option<SocketAddr>,
        payload_types: u128,
    ) -> Result<(), Collision> {
        let rtp = rtp.map(plain_address);
        if let Some(address) = rtp
            && let Some(&owner) = self.by_source.get(&address)
            && owner != leg
        {
            return Err(Collision(owner));
        }
        let Some(claim) = self.claims.get_mut(&leg) else {
            return Ok(());
        };
        claim.payload_types = payload_types;
        claim.exact_rtcp = rtcp.map(plain_address);
        if claim.exact != rtp && rtp.is_some() {
            let latched = claim.latch.as_ref().map(|latch| latch.source);
            if let Some(old) = claim.exact
                && latched != Some(old)
            {
                self.by_source.remove(&old);
            }
            claim.moving = latched.is_some() && latched != rtp;
            claim.candidates.clear();
            claim.exact = rtp;
            self.by_source.extend(rtp.map(|address| (address, leg)));
        }
        Ok(())
    }

    /// Whether another leg of this socket already has the remote address `rtp`.
    pub fn collides(&self, rtp: SocketAddr) -> bool {
        self.by_source.contains_key(&plain_address(rtp))
    }

    /// Judges an RTP packet by its source. Only what is accepted may reach a leg.
    pub fn receive_rtp(&mut self, now: Time, source: SocketAddr, packet: Glimpse) -> Verdict {
        let source = plain_address(source);
        if let Some(&leg) = self.by_source.get(&source)
            && let Some(claim) = self.claims.get_mut(&leg)
        {
            if let Some(latch) = &mut claim.latch
                && latch.source == source
            {
                latch.last_packet = now;
                latch.ssrc = packet.ssrc;
                return Verdict::Accepted(leg);
            }
            return if claim.exact == Some(source) && claim.may_pre_empt(now) {
                self.latch(now, leg, source, packet.ssrc)
            } else {
                Verdict::Refused(Some(leg))
            };
        }
        if self
            .tombstones
            .iter()
            .any(|stone| stone.source == source && stone.ssrc == packet.ssrc && now < stone.until)
        {
            return Verdict::Ended;
        }
        // A source that nobody named: at most one leg may be waiting for it, or we would guess.
        let mut waiting = self.claims.iter_mut().filter(|(_, claim)| {
            claim.policy.may_learn(source.ip()) && claim.exact.is_some() && claim.may_learn_now(now)
        });
        let Some((&leg, claim)) = waiting.next() else {
            // With one leg on the socket there is no doubt whose counter this belongs to.
            let only = (self.claims.len() == 1)
                .then(|| self.claims.keys().next().copied())
                .flatten();
            return Verdict::Refused(only);
        };
        if waiting.next().is_some() {
            return Verdict::Refused(None);
        }
        if claim.payload_types & 1 << packet.payload_type == 0 {
            return Verdict::Refused(Some(leg));
        }
        if !claim.probe(source, packet) {
            return Verdict::Probation(leg);
        }
        self.latch(now, leg, source, packet.ssrc)
    }

    fn latch(&mut self, now: Time, leg: LegKey, source: SocketAddr, ssrc: u32) -> Verdict {
        let claim = self
            .claims
            .get_mut(&leg)
            .expect("the caller has just found it");
        if let Some(old) = claim.latch.take()
            && claim.exact != Some(old.source)
        {
            self.by_source.remove(&old.source);
        }
        claim.latch = Some(Latch {
            source,
            ssrc,
            since: now,
            last_packet: now,
        });
        claim.moving = false;
        claim.candidates.clear();
        self.by_source.insert(source, leg);
        Verdict::Latched(leg)
    }

    /// Judges an RTCP packet: from where SDP says, or from the host that RTP is heard from. It never moves the latch.
    pub fn receive_rtcp(&mut self, source: SocketAddr) -> Verdict {
        let source = plain_address(source);
        for (&leg, claim) in &mut self.claims {
            let beside = claim
                .latch
                .as_ref()
                .is_some_and(|latch| latch.source.ip() == source.ip());
            let named = claim.exact_rtcp == Some(source) || claim.exact == Some(source);
            // On a shared socket the host alone does not tell two calls apart; its own port or its neighbour does.
            let near = claim
                .latch
                .as_ref()
                .is_some_and(|latch| latch.source.port().abs_diff(source.port()) <= 1);
            if named || beside && (near || claim.rtcp_source == Some(source)) {
                let moved = claim.rtcp_source != Some(source);
                claim.rtcp_source = Some(source);
                return if moved {
                    Verdict::Latched(leg)
                } else {
                    Verdict::Accepted(leg)
                };
            }
        }
        if self.claims.len() == 1
            && let Some((&leg, claim)) = self.claims.iter_mut().next()
        {
            if claim
                .latch
                .as_ref()
                .is_some_and(|latch| latch.source.ip() == source.ip())
            {
                claim.rtcp_source = Some(source);
                return Verdict::Latched(leg);
            }
            return Verdict::Refused(Some(leg));
        }
        Verdict::Refused(None)
    }

    /// The source that a leg listens to.
    pub fn latched(&self, leg: LegKey) -> Option<SocketAddr> {
        self.claims
            .get(&leg)?
            .latch
            .as_ref()
            .map(|latch| latch.source)
    }

    /// A leg leaves the socket; its stragglers are recognised for 5 s.
    pub fn close(&mut self, leg: LegKey, now: Time) {
        let Some(claim) = self.claims.remove(&leg) else {
            return;
        };
        self.by_source.retain(|_, owner| *owner != leg);
        while self
            .tombstones
            .front()
            .is_some_and(|stone| stone.until <= now)
            || self.tombstones.len() >= MAX_TOMBSTONES
        {
            self.tombstones.pop_front();
        }
        if let Some(latch) = claim.latch {
            self.tombstones.push_back(Tombstone {
                source: latch.source,
                ssrc: latch.ssrc,
                until: now + TOMBSTONE,
            });
        }
    }
}

impl Claim {
    fn is_silent(&self, now: Time) -> bool {
        self.latch
            .as_ref()
            .is_none_or(|latch| now - latch.last_packet >= SILENCE)
    }

    fn may_pre_empt(&self, now: Time) -> bool {
        self.moving
            || self.is_silent(now)
            || self
                .latch
                .as_ref()
                .is_none_or(|latch| now - latch.since < PRE_EMPTION)
    }

    fn may_learn_now(&self, now: Time) -> bool {
        self.moving || self.is_silent(now)
    }

    /// Whether `source` has now shown enough packets in sequence.
    fn probe(&mut self, source: SocketAddr, packet: Glimpse) -> bool {
        if let Some(found) = self
            .candidates
            .iter_mut()
            .find(|candidate| candidate.source == source)
        {
            let follows = found.ssrc == packet.ssrc && found.next_sequence == packet.sequence;
            found.in_sequence = if follows { found.in_sequence + 1 } else { 1 };
            found.ssrc = packet.ssrc;
            found.next_sequence = packet.sequence.wrapping_add(1);
            return found.in_sequence >= PROBATION;
        }
        if self.candidates.len() == MAX_CANDIDATES {
            self.candidates.remove(0);
        }
        self.candidates.push(Candidate {
            source,
            ssrc: packet.ssrc,
            next_sequence: packet.sequence.wrapping_add(1),
            in_sequence: 1,
        });
        false
    }
}

/// Most bytes of a packet that is parked: 60 ms of G.711 and a header with room to spare.
const PARKED_BYTES: usize = 600;
/// Most packets parked for one leg: those of all its candidates.
const MAX_PARKED: usize = MAX_CANDIDATES * (PROBATION as usize - 1);

/// Packets of sources on probation, kept until their source is latched, so that the first word of a phone behind NAT is whole.
///
/// A source that fails leaves its packets behind until others take their place.
#[derive(Debug, Default)]
pub struct Park {
    /// The oldest first.
    packets: VecDeque<Parked>,
}

#[derive(Debug)]
struct Parked {
    source: SocketAddr,
    glimpse: Glimpse,
    bytes: Vec<u8>,
}

impl Park {
    /// Keeps a packet that got [`Verdict::Probation`]. Returns how many packets were lost by that: this one if it is too long, the oldest
    /// if there is no room.
    pub fn keep(&mut self, source: SocketAddr, glimpse: Glimpse, packet: &[u8]) -> usize {
        if packet.len() > PARKED_BYTES {
            return 1;
        }
        let full = self.packets.len() == MAX_PARKED;
        let mut bytes = if full {
            self.packets
                .pop_front()
                .map(|oldest| oldest.bytes)
                .unwrap_or_default()
        } else {
            Vec::with_capacity(PARKED_BYTES)
        };
        bytes.clear();
        bytes.extend_from_slice(packet);
        self.packets.push_back(Parked {
            source,
            glimpse,
            bytes,
        });
        usize::from(full)
    }

    /// The packet `latched` of `source` got [`Verdict::Latched`]: hands on those right before it, in order, and forgets all. Returns how
    /// many were of no use.
    pub fn release(
        &mut self,
        source: SocketAddr,
        latched: Glimpse,
        mut take: impl FnMut(&[u8]),
    ) -> usize {
        let mut unused = self.packets.len();
        for back in (1..u16::from(PROBATION)).rev() {
            let sequence = latched.sequence.wrapping_sub(back);
            let found = self.packets.iter().rev().find(|parked| {
                parked.source == source
                    && parked.glimpse.ssrc == latched.ssrc
                    && parked.glimpse.sequence == sequence
            });
            if let Some(parked) = found {
                take(&parked.bytes);
                unused -= 1;
            }
        }
        self.packets = VecDeque::new();
        unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEG: LegKey = LegKey(1);
    const OTHER: LegKey = LegKey(2);

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn policy() -> Policy {
        Policy {
            signalling: "203.0.113.5".parse().expect("an address"),
            media_allow: vec![Network::new(
                "198.51.100.0".parse().expect("an address"),
                24,
            )],
            nat: false,
            loopback: false,
        }
    }

    fn table(rtp: &str) -> ClaimTable {
        let mut table = ClaimTable::new();
        table.open(LEG, policy());
        table
            .set_remote(LEG, Some(addr(rtp)), None, 1)
            .expect("no other leg");
        table
    }

    fn packet(sequence: u16) -> Glimpse {
        Glimpse {
            sequence,
            ssrc: 7,
            payload_type: 0,
        }
    }

    /// The verdicts on `count` packets in sequence, 20 ms apart.
    fn stream(
        table: &mut ClaimTable,
        from: u64,
        source: &str,
        first: u16,
        count: u16,
    ) -> Vec<Verdict> {
        (0..count)
            .map(|n| {
                table.receive_rtp(
                    Time::from_millis(from + u64::from(n) * 20),
                    addr(source),
                    packet(first.wrapping_add(n)),
                )
            })
            .collect()
    }

    const REFUSED: Verdict = Verdict::Refused(Some(LEG));
    const PROBATION: Verdict = Verdict::Probation(LEG);

    #[test]
    fn the_source_that_sdp_names_is_heard_from_its_first_packet() {
        let mut table = table("192.0.2.9:4000");
        assert_eq!(
            stream(&mut table, 0, "192.0.2.9:4000", 5, 2),
            [Verdict::Latched(LEG), Verdict::Accepted(LEG)]
        );
        assert_eq!(table.latched(LEG), Some(addr("192.0.2.9:4000")));
    }

    #[test]
    fn a_stranger_is_never_heard() {
        let mut table = table("192.0.2.9:4000");
        assert_eq!(
            stream(&mut table, 0, "192.0.2.66:4000", 1, 50),
            [REFUSED; 50]
        );
        // Not from the host that SDP names either, on another port: that may be anybody's call.
        assert_eq!(
            stream(&mut table, 0, "192.0.2.9:4002", 1, 50),
            [REFUSED; 50]
        );
    }

    #[test]
    fn the_signalling_address_and_allowed_ranges_are_learned_after_three_packets() {
        for source in [
            "203.0.113.5:9999",
            "198.51.100.77:1234",
            "[::ffff:203.0.113.5]:9999",
        ] {
            let mut table = table("192.0.2.9:4000");
            let verdicts = stream(&mut table, 0, source, u16::MAX, 4);
            assert_eq!(
                verdicts,
                [
                    PROBATION,
                    PROBATION,
                    Verdict::Latched(LEG),
                    Verdict::Accepted(LEG)
                ]
            );
        }
    }

    #[test]
    fn packets_out_of_sequence_of_several_sources_or_of_a_wrong_type_teach_nothing() {
        let mut claims = table("192.0.2.9:4000");
        for n in 0..20 {
            assert_eq!(
                claims.receive_rtp(Time::ZERO, addr("203.0.113.5:9999"), packet(n * 2)),
                PROBATION
            );
            let glimpse = Glimpse {
                ssrc: u32::from(n),
                ..packet(n)
            };
            assert_eq!(
                claims.receive_rtp(Time::ZERO, addr("203.0.113.5:9998"), glimpse),
                PROBATION
            );
            let glimpse = Glimpse {
                payload_type: 8,
                ..packet(n)
            };
            assert_eq!(
                claims.receive_rtp(Time::ZERO, addr("203.0.113.5:9997"), glimpse),
                REFUSED
            );
        }
        let mut claims = table("192.0.2.9:4000");
        for port in 1..2_000 {
            let source = SocketAddr::new(addr("203.0.113.5:1").ip(), port);
            claims.receive_rtp(Time::ZERO, source, packet(1));
        }
        assert!(claims.claims[&LEG].candidates.len() <= MAX_CANDIDATES);
    }

    #[test]
    fn the_packets_before_the_latch_are_handed_on_with_it() {
        let mut claims = table("192.0.2.9:4000");
        let mut park = Park::default();
        let mut heard: Vec<(u16, Vec<u8>)> = Vec::new();
        let mut unused = 0;
        let learnt = addr("203.0.113.5:9999");
        // Another port of the same host tries as well, and the learnt one begins with an older stream.
        let old = Glimpse {
            ssrc: 6,
            ..packet(65_534)
        };
        let stream = [(learnt, old), (addr("203.0.113.5:9998"), packet(65_534))]
            .into_iter()
            .chain((0..5).map(|n| (learnt, packet(65_534u16.wrapping_add(n)))));
        for (source, glimpse) in stream {
            let bytes = glimpse.sequence.to_be_bytes();
            match claims.receive_rtp(Time::ZERO, source, glimpse) {
                Verdict::Probation(LEG) => unused += park.keep(source, glimpse, &bytes),
                Verdict::Latched(LEG) => {
                    unused += park.release(source, glimpse, |parked| {
                        heard.push((glimpse.sequence, parked.to_vec()));
                    });
                    heard.push((glimpse.sequence, bytes.to_vec()));
                }
                verdict => {
                    assert_eq!(verdict, Verdict::Accepted(LEG));
                    heard.push((glimpse.sequence, bytes.to_vec()));
                }
            }
        }
        let sequences: Vec<Vec<u8>> = [65_534u16, 65_535, 0, 1, 2]
            .map(|n| n.to_be_bytes().to_vec())
            .into();
        assert_eq!(
            heard
                .iter()
                .map(|(_, bytes)| bytes.clone())
                .collect::<Vec<_>>(),
            sequences
        );
        assert_eq!(
            heard[..3].iter().map(|(at, _)| *at).collect::<Vec<_>>(),
            [0; 3]
        );
        assert_eq!(unused, 2);
    }

    #[test]
    fn the_park_is_bounded_and_counts_what_it_loses() {
        let mut park = Park::default();
        let lost: usize = (0..100)
            .map(|n| park.keep(addr("203.0.113.5:9999"), packet(n * 2), &[0; 172]))
            .sum();
        assert_eq!((park.packets.len(), lost), (MAX_PARKED, 100 - MAX_PARKED));
        assert_eq!(
            park.keep(addr("203.0.113.5:9999"), packet(1), &[0; PARKED_BYTES + 1]),
            1
        );
        let unused = park.release(addr("203.0.113.5:9999"), packet(200), |_| {});
        assert_eq!((unused, park.packets.len()), (MAX_PARKED - 1, 0));
    }

    #[test]
    fn the_exact_source_pre_empts_a_learned_one_for_two_seconds() {
        for (when, taken) in [(1_900, true), (2_500, false)] {
            let mut table = table("192.0.2.9:4000");
            stream(&mut table, 0, "203.0.113.5:9999", 0, when as u16 / 20);
            let verdict =
                table.receive_rtp(Time::from_millis(when), addr("192.0.2.9:4000"), packet(1));
            assert_eq!(
                verdict,
                if taken {
                    Verdict::Latched(LEG)
                } else {
                    REFUSED
                }
            );
            let learned = table.receive_rtp(
                Time::from_millis(when + 1),
                addr("203.0.113.5:9999"),
                packet(1),
            );
            assert_eq!(
                learned,
                if taken {
                    REFUSED
                } else {
                    Verdict::Accepted(LEG)
                }
            );
        }
    }

    #[test]
    fn once_latched_others_are_refused_until_two_seconds_of_silence() {
        let mut table = table("192.0.2.9:4000");
        stream(&mut table, 0, "192.0.2.9:4000", 0, 10);
        assert_eq!(
            stream(&mut table, 200, "203.0.113.5:9999", 0, 80),
            [REFUSED; 80]
        );
        // Last heard at 180: from 2180 another may follow.
        let verdicts = stream(&mut table, 2_180, "203.0.113.5:9999", 100, 4);
        assert_eq!(
            verdicts,
            [
                PROBATION,
                PROBATION,
                Verdict::Latched(LEG),
                Verdict::Accepted(LEG)
            ]
        );
    }

    #[test]
    fn a_new_remote_address_opens_a_fresh_claim_while_the_old_plays() {
        let mut table = table("192.0.2.9:4000");
        stream(&mut table, 0, "192.0.2.9:4000", 0, 500);
        table
            .set_remote(LEG, Some(addr("192.0.2.10:6000")), None, 1)
            .expect("no other leg");
        assert_eq!(
            stream(&mut table, 10_000, "192.0.2.9:4000", 500, 2),
            [Verdict::Accepted(LEG); 2]
        );
        assert_eq!(
            stream(&mut table, 10_030, "192.0.2.10:6000", 0, 1),
            [Verdict::Latched(LEG)]
        );
        assert_eq!(
            table.receive_rtp(
                Time::from_millis(10_040),
                addr("192.0.2.9:4000"),
                packet(502)
            ),
            REFUSED
        );
    }

    #[test]
    fn nothing_is_accepted_before_sdp_names_an_address() {
        let mut table = ClaimTable::new();
        table.open(LEG, policy());
        assert_eq!(
            stream(&mut table, 0, "203.0.113.5:9999", 0, 5),
            [REFUSED; 5]
        );
    }

    #[test]
    fn two_legs_share_a_socket_by_their_sources() {
        let mut table = table("192.0.2.9:4000");
        table.open(OTHER, policy());
        let taken = table.set_remote(OTHER, Some(addr("192.0.2.9:4000")), None, 1);
        assert_eq!(taken, Err(Collision(LEG)));
        assert!(table.collides(addr("192.0.2.9:4000")));
        table
            .set_remote(OTHER, Some(addr("192.0.2.9:4002")), None, 1)
            .expect("free");
        assert_eq!(
            stream(&mut table, 0, "192.0.2.9:4000", 0, 1),
            [Verdict::Latched(LEG)]
        );
        assert_eq!(
            stream(&mut table, 0, "192.0.2.9:4002", 0, 1),
            [Verdict::Latched(OTHER)]
        );
        // A source that either might learn is not guessed at.
        let mut table = ClaimTable::new();
        for (leg, rtp) in [(LEG, "192.0.2.9:4000"), (OTHER, "192.0.2.9:4002")] {
            table.open(leg, policy());
            table
                .set_remote(leg, Some(addr(rtp)), None, 1)
                .expect("free");
        }
        assert_eq!(
            stream(&mut table, 0, "203.0.113.5:9999", 0, 9),
            [Verdict::Refused(None); 9]
        );
    }

    #[test]
    fn stragglers_of_an_ended_leg_are_known_for_five_seconds() {
        let mut table = table("192.0.2.9:4000");
        stream(&mut table, 0, "192.0.2.9:4000", 0, 5);
        table.close(LEG, Time::from_millis(100));
        assert!(table.is_empty());
        assert_eq!(
            stream(&mut table, 200, "192.0.2.9:4000", 5, 1),
            [Verdict::Ended]
        );
        assert_eq!(
            stream(&mut table, 5_200, "192.0.2.9:4000", 6, 1),
            [Verdict::Refused(None)]
        );
    }

    #[test]
    fn rtcp_is_learned_apart_and_moves_no_latch() {
        let mut table = table("192.0.2.9:4000");
        assert_eq!(
            table.receive_rtcp(addr("203.0.113.5:4001")),
            REFUSED,
            "nothing heard yet"
        );
        stream(&mut table, 0, "203.0.113.5:7000", 0, 3);
        assert_eq!(
            table.receive_rtcp(addr("203.0.113.5:7001")),
            Verdict::Latched(LEG)
        );
        assert_eq!(
            table.receive_rtcp(addr("203.0.113.5:7001")),
            Verdict::Accepted(LEG)
        );
        assert_eq!(table.receive_rtcp(addr("192.0.2.66:7001")), REFUSED);
        assert_eq!(table.latched(LEG), Some(addr("203.0.113.5:7000")));
    }

    #[test]
    fn where_to_send() {
        let learned = Some(addr("203.0.113.5:9999"));
        let nat = Policy {
            nat: true,
            ..policy()
        };
        let public = addr("192.0.2.9:4000");
        // A routable address is believed, wherever the sound comes from.
        assert_eq!(send_to(public, learned, &policy()), Some(public));
        assert_eq!(send_to(public, learned, &nat), learned);
        assert_eq!(
            send_to(public, None, &nat),
            Some(public),
            "opens the way until something is heard"
        );
        // A private address behind a public one cannot be reached.
        for private in [
            "10.0.0.9:4000",
            "100.64.3.1:4000",
            "127.0.0.1:4000",
            "[fd00::1]:4000",
        ] {
            assert_eq!(send_to(addr(private), None, &policy()), None);
            assert_eq!(send_to(addr(private), learned, &policy()), learned);
        }
        let inside = Policy {
            signalling: "10.0.0.1".parse().expect("an address"),
            ..policy()
        };
        assert_eq!(
            send_to(addr("10.0.0.9:4000"), None, &inside),
            Some(addr("10.0.0.9:4000"))
        );
    }

    #[test]
    fn nothing_goes_to_addresses_that_are_nobody() {
        for address in [
            "0.0.0.0:4000",
            "[::]:4000",
            "224.0.0.1:4000",
            "[ff02::1]:4000",
            "255.255.255.255:4000",
            "192.0.2.9:0",
        ] {
            assert!(!is_sendable(addr(address), true), "{address}");
        }
        for address in ["127.0.0.1:4000", "[::1]:4000", "[::ffff:127.0.0.1]:4000"] {
            assert!(
                !is_sendable(addr(address), false) && is_sendable(addr(address), true),
                "{address}"
            );
        }
        let local = Policy {
            signalling: addr("127.0.0.1:1").ip(),
            loopback: true,
            ..policy()
        };
        assert_eq!(
            send_to(addr("127.0.0.1:4000"), None, &local),
            Some(addr("127.0.0.1:4000"))
        );
    }

    #[test]
    fn networks_hold_their_addresses() {
        let network = |text: &str, prefix| Network::new(text.parse().expect("an address"), prefix);
        let ip = |text: &str| text.parse().expect("an address");
        assert!(
            network("10.1.0.0", 16).contains(ip("10.1.255.255"))
                && !network("10.1.0.0", 16).contains(ip("10.2.0.0"))
        );
        assert!(
            network("0.0.0.0", 0).contains(ip("8.8.8.8"))
                && !network("0.0.0.0", 0).contains(ip("::1"))
        );
        assert!(network("10.1.2.3", 32).contains(ip("::ffff:10.1.2.3")));
        assert!(
            network("2001:db8::", 32).contains(ip("2001:db8::9"))
                && !network("2001:db8::", 32).contains(ip("2001:db9::"))
        );
    }
}
