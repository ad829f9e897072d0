//! Hands out ports.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use offhook_media_sys::{Driver, UdpOptions};

use super::own::{Holder, OwnAddresses};
use super::port::{Port, PortId};
use super::range::{Family, PortRange};
use super::tenant::{Conflict, Expected, Tenant};
use crate::claim::{SharedLatch, plain};

/// A range of so many pairs keeps its ports bound, calls or no calls: nobody else on this host can take one in between.
const FEW_PAIRS: usize = 64;
/// Ports of a wide range that rest bound at most; more are closed at once.
const MAX_RESTING: usize = 256;
/// Pairs that a thread needs so that two legs of it can always be kept apart.
const PAIRS_A_THREAD: usize = 2;

/// What a leg needs.
#[derive(Debug)]
pub struct PortRequest<'a> {
    /// Its id.
    pub leg: u64,
    /// Its peer's version of IP.
    pub family: Family,
    /// What is known of its far side.
    pub expected: Expected,
    /// The media thread that it must be on, if it is not free to be anywhere.
    pub thread: Option<usize>,
    /// Legs of each media thread.
    pub load: &'a [usize],
}

/// A port for a leg.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The port.
    pub port: Arc<Port>,
    /// To be written by the port's thread.
    pub latch: Arc<SharedLatch>,
}

/// Why no port was given.
#[derive(Debug)]
pub enum PortError {
    /// On none can the leg be told apart from others.
    Exhausted {
        /// Pairs of the range.
        pairs: usize,
        /// Pairs with a leg of the same remote address and port.
        colliding: usize,
        /// Pairs with a leg that it could be confused with, or of another thread.
        confusable: usize,
        /// Pairs that another process holds.
        taken: usize,
    },
    /// There is no media address of this family.
    NoFamily(Family),
    /// The system refuses.
    Address(io::Error),
}

/// What becomes of a port that a leg has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It stays bound.
    Stays,
    /// It rests until then; who reads it asks [`PortAllocator::close_idle`] whether to close it.
    RestsUntil(u64),
    /// It is closed: nobody has begun to read it.
    Closed,
}

/// The allocator's gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Pairs for IPv4 that no other process holds as far as is known; 0 without an address of that family.
    pub ipv4: usize,
    /// The same for IPv6.
    pub ipv6: usize,
    /// Pairs that carry legs.
    pub in_use: usize,
    /// Pairs that rest.
    pub resting: usize,
    /// Pairs that another process held when they were last tried.
    pub taken: usize,
    /// Most legs that a pair carries.
    pub most_legs: usize,
    /// Remote addresses that another leg of the same port had already.
    pub collisions: u64,
    /// The smallest receive buffer that the system has given; 0 before the first port.
    pub receive_buffer: usize,
}

#[derive(Debug)]
struct Host {
    family: Family,
    address: IpAddr,
    pairs: Vec<Pair>,
    /// Where the search goes on, so that neighbours in time are no neighbours in number.
    cursor: usize,
}

#[derive(Debug, Default)]
struct Pair {
    port: Option<Arc<Port>>,
    tenants: Vec<Tenant>,
    rests_until_ns: u64,
    /// Its last leg has left, and it is bound until its reader asks for its end.
    idle: bool,
    taken: bool,
}

/// Hands out ports, for each family apart. A port rests after its last leg, so that packets still under way to it
/// don't reach the next; the one that has rested longest is taken first.
#[derive(Debug)]
pub struct PortAllocator {
    range: PortRange,
    quarantine_ns: u64,
    options: UdpOptions,
    driver: Driver,
    hosts: Vec<Host>,
    by_id: HashMap<PortId, (usize, usize)>,
    next_id: u64,
    own: OwnAddresses,
    collisions: u64,
    receive_buffer: usize,
    resting_bound: usize,
}

impl PortAllocator {
    /// An allocator over a range, with an address for each family.
    #[must_use]
    pub fn new(
        addresses: &[IpAddr],
        range: PortRange,
        quarantine_ns: u64,
        options: UdpOptions,
        driver: Driver,
    ) -> Self {
        let host = |&address: &IpAddr| Host {
            family: Family::of(address),
            address,
            pairs: (0..range.pairs()).map(|_| Pair::default()).collect(),
            cursor: 0,
        };
        Self {
            range,
            quarantine_ns,
            options,
            driver,
            hosts: addresses.iter().map(host).collect(),
            by_id: HashMap::new(),
            next_id: 0,
            own: OwnAddresses::default(),
            collisions: 0,
            receive_buffer: 0,
            resting_bound: 0,
        }
    }

    /// Whether the range is so small that its ports stay bound.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.range.pairs() <= FEW_PAIRS
    }

    /// Bind the ports of a small range, spread over `threads`; the result is to be read from now on. Those that another
    /// process holds are tried again when they are needed.
    pub fn bind_small(&mut self, threads: usize) -> Vec<Arc<Port>> {
        if !self.is_small() {
            return Vec::new();
        }
        let spread = threads.min(self.range.pairs() / PAIRS_A_THREAD).max(1);
        let mut bound = Vec::new();
        for host in 0..self.hosts.len() {
            for pair in 0..self.range.pairs() {
                bound.extend(self.bind(host, pair, pair % spread).ok());
            }
        }
        bound
    }

    /// Give a leg a port.
    ///
    /// # Errors
    /// When there is none on which it can be told apart, no address of its family, or the system refuses.
    pub fn open(&mut self, request: PortRequest<'_>, now_ns: u64) -> Result<Placement, PortError> {
        let host = self
            .hosts
            .iter()
            .position(|host| host.family == request.family)
            .ok_or(PortError::NoFamily(request.family))?;
        let pair = self.choose(host, &request, now_ns)?;
        Ok(self.join(host, pair, request.leg, request.expected))
    }

    /// A leg's SDP is about to name a port for another remote address: `None` means that it stays where it is, else it has
    /// two places until it leaves one.
    ///
    /// # Errors
    /// As for `open`, where it can't stay.
    pub fn place(
        &mut self,
        current: PortId,
        request: PortRequest<'_>,
        now_ns: u64,
    ) -> Result<Option<Placement>, PortError> {
        let Some(&(host, pair)) = self.by_id.get(&current) else {
            return Ok(None);
        };
        let leg = request.leg;
        let mut conflict = None;
        if self.hosts[host].family == request.family {
            let stays = |tenant: &Tenant| {
                tenant.leg == leg && tenant.expected.remote == request.expected.remote
            };
            if self.hosts[host].pairs[pair].tenants.iter().any(stays) {
                return Ok(None);
            }
            let others = self.hosts[host].pairs[pair].tenants.iter();
            let others = others.filter(|tenant| tenant.leg != leg);
            conflict = worst(others.filter_map(|tenant| tenant.conflict(&request.expected)));
            if conflict.is_none() {
                self.expect(host, pair, leg, request.expected.remote);
                return Ok(None);
            }
        }
        let (family, remote) = (request.family, request.expected.remote);
        match (self.open(request, now_ns), conflict) {
            (Ok(placement), _) => {
                self.collisions += u64::from(conflict == Some(Conflict::Collision));
                Ok(Some(placement))
            }
            // Not to be sure whose a stray packet is, is no reason to refuse.
            (Err(_), Some(Conflict::Confusion)) if self.hosts[host].family == family => {
                self.expect(host, pair, leg, remote);
                Ok(None)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// SDP says where the leg's peer is; whether that is free on this port.
    #[must_use]
    pub fn set_remote(&mut self, port: PortId, leg: u64, expected: Expected) -> bool {
        let Some(&(host, pair)) = self.by_id.get(&port) else {
            return true;
        };
        let tenants = &mut self.hosts[host].pairs[pair].tenants;
        if let Some(remote) = expected.remote
            && tenants
                .iter()
                .any(|tenant| tenant.leg != leg && tenant.is_at(remote))
        {
            self.collisions += 1;
            return false;
        }
        if let Some(tenant) = tenants.iter_mut().find(|tenant| tenant.leg == leg) {
            let remote = expected.remote.or(tenant.expected.remote);
            tenant.expected = Expected { remote, ..expected };
            tenant.next_remote = None;
        }
        true
    }

    /// A leg leaves a port, which rests if that was the last one. Whoever holds the leg's placement lets go of it first.
    pub fn leave(&mut self, port: PortId, leg: u64, now_ns: u64) -> Left {
        let small = self.is_small();
        let Some(&(host, pair)) = self.by_id.get(&port) else {
            return Left::Stays;
        };
        let pair = &mut self.hosts[host].pairs[pair];
        pair.tenants.retain(|tenant| tenant.leg != leg);
        if !pair.tenants.is_empty() || pair.idle {
            return Left::Stays;
        }
        pair.rests_until_ns = now_ns + self.quarantine_ns;
        if small {
            return Left::Stays;
        }
        if pair
            .port
            .as_ref()
            .is_some_and(|own| Arc::strong_count(own) == 1)
        {
            // The command that would have had it read was refused, or its reader could not watch it: nobody would ever ask for its end.
            pair.port = None;
            self.by_id.remove(&port);
            return Left::Closed;
        }
        pair.idle = true;
        self.resting_bound += 1;
        if self.resting_bound > MAX_RESTING {
            return Left::RestsUntil(now_ns);
        }
        Left::RestsUntil(pair.rests_until_ns)
    }

    /// Let go of a port of a wide range that nobody has taken again. Its reader must drop its own hold before it lets go of
    /// the allocator, or the next who binds finds it taken.
    pub fn close_idle(&mut self, port: PortId) -> bool {
        let Some(&(host, index)) = self.by_id.get(&port) else {
            return false;
        };
        let pair = &mut self.hosts[host].pairs[index];
        if !pair.idle {
            return false;
        }
        pair.idle = false;
        pair.port = None;
        self.by_id.remove(&port);
        self.resting_bound -= 1;
        true
    }

    /// Let go of everything.
    pub fn clear(&mut self) {
        self.by_id.clear();
        self.resting_bound = 0;
        for host in &mut self.hosts {
            host.pairs.fill_with(Pair::default);
        }
    }

    /// Our SDP names this address.
    pub fn tell_own(&mut self, address: IpAddr) {
        self.own.tell(address);
    }

    /// Whether media for `address` would come back to a port of ours.
    #[must_use]
    pub fn is_own(&self, address: SocketAddr) -> bool {
        let Some(pair) = self.range.pair_of(address.port()) else {
            return false;
        };
        let family = Family::of(address.ip());
        let Some(host) = self.hosts.iter().find(|host| host.family == family) else {
            return false;
        };
        let ours = host.address.is_unspecified()
            || host.address == plain(address.ip())
            || self.own.is_told(address.ip());
        match self.own.holder(address.ip(), address.port()) {
            Holder::Elsewhere => false,
            Holder::Us => ours,
            Holder::Somebody => ours && host.pairs[pair].port.is_some(),
        }
    }

    /// The gauges now.
    #[must_use]
    pub fn stats(&self, now_ns: u64) -> PortStats {
        let mut stats = PortStats {
            collisions: self.collisions,
            receive_buffer: self.receive_buffer,
            ..PortStats::default()
        };
        for host in &self.hosts {
            let mut usable = 0;
            for pair in &host.pairs {
                let rests = pair.tenants.is_empty() && pair.rests_until_ns > now_ns;
                usable += usize::from(!pair.taken);
                stats.taken += usize::from(pair.taken);
                stats.in_use += usize::from(!pair.tenants.is_empty());
                stats.resting += usize::from(rests);
                stats.most_legs = stats.most_legs.max(pair.tenants.len());
            }
            match host.family {
                Family::V4 => stats.ipv4 = usable,
                Family::V6 => stats.ipv6 = usable,
            }
        }
        stats
    }

    fn expect(&mut self, host: usize, pair: usize, leg: u64, remote: Option<SocketAddr>) {
        let tenants = &mut self.hosts[host].pairs[pair].tenants;
        if let Some(tenant) = tenants.iter_mut().find(|tenant| tenant.leg == leg) {
            tenant.next_remote = remote;
        }
    }

    fn join(&mut self, host: usize, index: usize, leg: u64, expected: Expected) -> Placement {
        let pair = &mut self.hosts[host].pairs[index];
        let port = Arc::clone(pair.port.as_ref().expect("a chosen pair is bound"));
        if std::mem::take(&mut pair.idle) {
            self.resting_bound -= 1;
        }
        let latch = Arc::new(SharedLatch::default());
        pair.tenants.push(Tenant {
            leg,
            expected,
            next_remote: None,
            latch: Arc::clone(&latch),
        });
        Placement { port, latch }
    }

    /// The pair for a leg, bound.
    fn choose(
        &mut self,
        host: usize,
        request: &PortRequest<'_>,
        now_ns: u64,
    ) -> Result<usize, PortError> {
        let mut refused = None;
        if let Some(pair) = self.choose_empty(host, request, now_ns, &mut refused) {
            return Ok(pair);
        }
        let (mut colliding, mut confusable) = (0, 0);
        let mut best = None;
        for (index, pair) in self.hosts[host].pairs.iter().enumerate() {
            let Some(port) = pair.port.as_ref().filter(|_| !pair.tenants.is_empty()) else {
                continue;
            };
            let conflicts = pair.tenants.iter().map(|tenant| {
                // A leg is on a port once.
                if tenant.leg == request.leg {
                    Some(Conflict::Collision)
                } else {
                    tenant.conflict(&request.expected)
                }
            });
            match worst(conflicts.flatten()) {
                Some(Conflict::Collision) => colliding += 1,
                Some(Conflict::Confusion) => confusable += 1,
                None if request.thread.is_some_and(|thread| thread != port.thread) => {
                    confusable += 1;
                }
                None => {
                    let key = (pair.tenants.len(), request.load[port.thread]);
                    if best.is_none_or(|(least, _)| key < least) {
                        best = Some((key, index));
                    }
                }
            }
        }
        if let Some((_, index)) = best {
            return Ok(index);
        }
        if let Some(pair) = self.choose_resting(host, request, &mut refused) {
            return Ok(pair);
        }
        let pairs = &self.hosts[host].pairs;
        match refused {
            Some(error) if colliding + confusable == 0 => Err(PortError::Address(error)),
            _ => Err(PortError::Exhausted {
                pairs: pairs.len(),
                colliding,
                confusable,
                taken: pairs.iter().filter(|pair| pair.taken).count(),
            }),
        }
    }

    /// A pair that nobody is on and that has rested, on the thread with the fewest legs.
    fn choose_empty(
        &mut self,
        host: usize,
        request: &PortRequest<'_>,
        now_ns: u64,
        refused: &mut Option<io::Error>,
    ) -> Option<usize> {
        let idlest = request.idlest_thread();
        let count = self.range.pairs();
        let mut best: Option<(usize, usize)> = None;
        for step in 0..count {
            let index = (self.hosts[host].cursor + step) % count;
            let pair = &self.hosts[host].pairs[index];
            if !pair.tenants.is_empty() || pair.rests_until_ns > now_ns {
                continue;
            }
            let load = match &pair.port {
                Some(port) if request.thread.is_some_and(|thread| thread != port.thread) => {
                    continue;
                }
                Some(port) => request.load[port.thread],
                None => match self.bind(host, index, idlest) {
                    Ok(_) => request.load[idlest],
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                    Err(error) => {
                        // Out of descriptors, say: a port that is bound may do.
                        *refused = Some(error);
                        break;
                    }
                },
            };
            if best.is_none_or(|(least, _)| load < least) {
                best = Some((load, index));
            }
            if load <= request.load[idlest] {
                break;
            }
        }
        let (_, index) = best?;
        self.hosts[host].cursor = (index + 1) % count;
        Some(index)
    }

    /// The pair that has rested longest though not long enough; its tombstones know what still comes for those before.
    fn choose_resting(
        &mut self,
        host: usize,
        request: &PortRequest<'_>,
        refused: &mut Option<io::Error>,
    ) -> Option<usize> {
        let idlest = request.idlest_thread();
        let mut resting: Vec<usize> = (0..self.range.pairs())
            .filter(|&index| {
                let pair = &self.hosts[host].pairs[index];
                let fits = |port: &Arc<Port>| request.thread.is_none_or(|t| t == port.thread);
                pair.tenants.is_empty() && pair.port.as_ref().is_none_or(fits)
            })
            .collect();
        resting.sort_by_key(|&index| self.hosts[host].pairs[index].rests_until_ns);
        for index in resting {
            if self.hosts[host].pairs[index].port.is_some() {
                return Some(index);
            }
            match self.bind(host, index, idlest) {
                Ok(_) => return Some(index),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => *refused = Some(error),
            }
        }
        None
    }

    fn bind(&mut self, host: usize, index: usize, thread: usize) -> io::Result<Arc<Port>> {
        let id = PortId(self.next_id);
        let address = SocketAddr::new(self.hosts[host].address, self.range.rtp_port(index));
        let pair = &mut self.hosts[host].pairs[index];
        let port = match Port::bind(id, address, thread, self.options, self.driver) {
            Ok(port) => Arc::new(port),
            Err(error) => {
                pair.taken = error.kind() == io::ErrorKind::AddrInUse;
                return Err(error);
            }
        };
        let given = port.receive_buffer();
        if self.receive_buffer == 0 || given < self.receive_buffer {
            self.receive_buffer = given;
        }
        pair.taken = false;
        pair.rests_until_ns = 0;
        pair.port = Some(Arc::clone(&port));
        self.next_id += 1;
        self.by_id.insert(id, (host, index));
        Ok(port)
    }
}

impl PortRequest<'_> {
    /// Where a port that belongs to no thread yet should go.
    fn idlest_thread(&self) -> usize {
        self.thread.unwrap_or_else(|| {
            let threads = 0..self.load.len();
            threads.min_by_key(|&thread| self.load[thread]).unwrap_or(0)
        })
    }
}

fn worst(conflicts: impl Iterator<Item = Conflict>) -> Option<Conflict> {
    let mut found = None;
    for conflict in conflicts {
        if conflict == Conflict::Collision {
            return Some(conflict);
        }
        found = Some(conflict);
    }
    found
}
