//! Packets that nobody could have yet, kept for a moment: an answer may still name their source, or their sequence make it known.
use super::LegKey;
use super::glimpse::Glimpse;
use super::network::plain;
use super::policy::Policy;
use super::table::{MAX_CANDIDATES, PROBATION};
use crate::clock::Time;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long a packet waits for somebody who claims it.
const KEPT: Duration = Duration::from_millis(200);
/// Most bytes of a packet that is parked: 60 ms of G.711 and a header with room to spare.
pub(super) const PARKED_BYTES: usize = 600;
/// Most packets parked at one port.
pub(super) const MAX_PARKED: usize = 32;
/// Most of one host, so that it can't push out all others: those of all candidates of a leg, and 200 ms of 20 ms.
pub(super) const MAX_OF_HOST: usize = MAX_CANDIDATES * (PROBATION as usize - 1) + 2;

/// One packet that waits.
#[derive(Debug)]
pub(super) struct Parked {
    pub at: Time,
    pub source: SocketAddr,
    pub glimpse: Glimpse,
    /// The leg in whose counter it stands as refused.
    pub refused_for: Option<LegKey>,
    pub bytes: Vec<u8>,
}

/// The packets that wait at one port; without any it holds no memory.
#[derive(Debug, Default)]
pub(super) struct Park {
    /// The oldest first.
    packets: VecDeque<Parked>,
    /// How many were kept, and how many of them nobody has claimed.
    pub kept: u64,
    pub lost: u64,
}

impl Park {
    /// Keeps a packet unless it is too long; if there is no room the oldest goes.
    pub fn keep(
        &mut self,
        now: Time,
        source: SocketAddr,
        glimpse: Glimpse,
        refused_for: Option<LegKey>,
        packet: &[u8],
    ) {
        if packet.len() > PARKED_BYTES {
            return;
        }
        let mut bytes = self.make_room(now, source.ip());
        bytes.clear();
        bytes.extend_from_slice(packet);
        self.kept += 1;
        self.packets.push_back(Parked {
            at: now,
            source,
            glimpse,
            refused_for,
            bytes,
        });
    }

    /// Room for one more packet of this host, that of an older one if possible.
    fn make_room(&mut self, now: Time, host: IpAddr) -> Vec<u8> {
        let expired = self
            .packets
            .front()
            .is_some_and(|oldest| oldest.at + KEPT <= now);
        let of_host = |parked: &Parked| parked.source.ip() == host;
        let gone = if expired || self.packets.len() == MAX_PARKED {
            self.packets.pop_front()
        } else if self.packets.iter().filter(|parked| of_host(parked)).count() >= MAX_OF_HOST {
            let oldest = self.packets.iter().position(of_host);
            oldest.and_then(|oldest| self.packets.remove(oldest))
        } else {
            None
        };
        self.lost += u64::from(gone.is_some());
        gone.map_or_else(|| Vec::with_capacity(PARKED_BYTES), |parked| parked.bytes)
    }

    /// The packet `latched` of `source` made the source known: takes the one that came `back` packets before it.
    pub fn take_before(
        &mut self,
        now: Time,
        source: SocketAddr,
        latched: Glimpse,
        back: u16,
    ) -> Option<Parked> {
        let sequence = latched.sequence.wrapping_sub(back);
        let found = self.packets.iter().rposition(|parked| {
            parked.source == source
                && now - parked.at < KEPT
                && parked.glimpse.ssrc == latched.ssrc
                && parked.glimpse.sequence == sequence
        });
        self.packets.remove(found?)
    }

    /// Takes the oldest packet that still counts at `now`; to be asked until there is none.
    pub fn take_oldest(&mut self, now: Time) -> Option<Parked> {
        loop {
            let parked = self.packets.pop_front()?;
            if now - parked.at < KEPT {
                return Some(parked);
            }
            self.lost += 1;
        }
    }

    /// Puts back what [`Park::take_oldest`] has given and nobody wanted, in the order taken.
    pub fn put_back(&mut self, parked: Parked) {
        self.packets.push_back(parked);
    }

    /// A leg has ended: what it might have heard is nobody's, since most likely it was its own.
    pub fn forget(&mut self, policy: &Policy) {
        let before = self.packets.len();
        self.packets
            .retain(|parked| !policy.may_learn(plain(parked.source.ip())));
        self.lost += (before - self.packets.len()) as u64;
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Gives its memory back.
    pub fn clear(&mut self) {
        self.lost += self.packets.len() as u64;
        self.packets = VecDeque::new();
    }
}
