//! Who gets which port, with real sockets on loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use offhook_media_sys::{Driver, UdpOptions};

use super::*;
use crate::claim::{Intake, LegKey, Network, Policy, Remote};
use crate::clock::Time;
use crate::rtp::Header;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SECOND: u64 = 1_000_000_000;

/// An allocator and the ids of its legs. Each test has a range that no other of this crate uses, and no gateway of other tests.
struct Ports {
    allocator: PortAllocator,
    load: Vec<usize>,
    next: u64,
}

fn ports(min: u16, max: u16) -> Ports {
    let options = UdpOptions {
        receive_buffer: 65536,
        dscp: 46,
    };
    let range = PortRange { min, max };
    Ports {
        allocator: PortAllocator::new(&[LOOPBACK], range, 2 * SECOND, options, Driver::pick()),
        load: vec![0],
        next: 0,
    }
}

/// A peer of the trunk at 203.0.113.5 whose SDP names this.
fn at(remote: &str) -> Expected {
    Expected {
        remote: Some(remote.parse().expect("an address")),
        policy: Some(Policy {
            signalling: "203.0.113.5".parse().expect("an address"),
            media_allow: vec![],
            nat: false,
            loopback: false,
        }),
    }
}

/// The same of a trunk that is known to be behind NAT, or of another host.
fn with(expected: Expected, change: impl FnOnce(&mut Policy)) -> Expected {
    let mut policy = expected.policy.expect("at() has one");
    change(&mut policy);
    Expected {
        policy: Some(policy),
        ..expected
    }
}

fn nat(remote: &str) -> Expected {
    with(at(remote), |policy| policy.nat = true)
}

impl Ports {
    fn open_at(
        &mut self,
        expected: Expected,
        thread: Option<usize>,
        now_ns: u64,
    ) -> Result<(u64, Placement), PortError> {
        self.next += 1;
        let request = PortRequest {
            leg: self.next,
            family: Family::V4,
            expected,
            thread,
            load: &self.load,
        };
        let placement = self.allocator.open(request, now_ns)?;
        Ok((self.next, placement))
    }

    fn open(&mut self, expected: Expected) -> Option<(u64, Placement)> {
        self.open_at(expected, None, 0).ok()
    }

    /// The port that such a leg gets.
    fn port(&mut self, expected: Expected) -> Option<u16> {
        let (_, placement) = self.open(expected)?;
        Some(placement.port.address.port())
    }

    fn place(&mut self, leg: u64, current: PortId, expected: Expected) -> Option<Placement> {
        let request = PortRequest {
            leg,
            family: Family::V4,
            expected,
            thread: Some(0),
            load: &self.load,
        };
        self.allocator
            .place(current, request, 0)
            .expect("somewhere")
    }
}

/// The leg of a placement hears its peer.
fn latch(placement: &Placement, expected: &Expected, source: &str) {
    let mut intake = Intake::new();
    let policy = expected.policy.clone().expect("known");
    let (leg, now) = (LegKey(1), Time::ZERO);
    intake.open(leg, policy.clone(), placement.latch.clone());
    let remote = Remote {
        rtp: expected.remote,
        payload_types: 1,
        ..Remote::default()
    };
    intake
        .set_remote(now, leg, remote, policy, &mut |_, _, _| None)
        .expect("alone");
    for sequence in 0..3 {
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp: 0,
            ssrc: 1,
        };
        let source = source.parse().expect("an address");
        intake.receive_rtp(now, source, &mut header.encode(), &mut |_, _, _| None);
    }
    assert!(placement.latch.is_latched());
}

#[test]
fn rtp_is_even_and_rtcp_follows() {
    let mut ports = ports(11_001, 11_010);
    let (_, leg) = ports.open(at("192.0.2.1:4000")).expect("a port");
    assert_eq!(leg.port.address.port() % 2, 0);
    let rtcp = leg.port.rtcp.local_address().expect("bound");
    assert_eq!(rtcp.port(), leg.port.address.port() + 1);
}

#[test]
fn a_port_of_its_own_first_then_the_one_with_the_fewest_legs() {
    let mut ports = ports(11_020, 11_025);
    let given: Vec<_> = (0..7)
        .filter_map(|n| ports.port(at(&format!("192.0.2.1:{}", 4000 + n))))
        .collect();
    assert_eq!(
        given,
        [11_020, 11_022, 11_024, 11_020, 11_022, 11_024, 11_020]
    );
    assert_eq!(ports.allocator.stats(0).most_legs, 3);
    assert_eq!(ports.allocator.stats(0).in_use, 3);
}

#[test]
fn the_same_remote_address_never_shares_a_port() {
    let mut ports = ports(11_030, 11_033);
    let first = ports.port(at("192.0.2.1:4000")).expect("a port");
    let other = ports.port(at("[::ffff:192.0.2.1]:4000")).expect("a port");
    assert_ne!(first, other);
    let Err(PortError::Exhausted {
        pairs: 2,
        colliding: 2,
        confusable: 0,
        taken: 0,
    }) = ports.open_at(at("192.0.2.1:4000"), None, 0)
    else {
        panic!("no port is left for it");
    };
    ports.port(at("192.0.2.1:4002")).expect("for another");
}

#[test]
fn a_source_that_was_learned_collides_as_one_that_sdp_names() {
    let mut ports = ports(11_040, 11_041);
    let behind = nat("10.0.0.1:4000");
    let (_, placement) = ports.open(behind.clone()).expect("a port");
    latch(&placement, &behind, "203.0.113.5:61000");
    assert_eq!(ports.port(at("203.0.113.5:61000")), None);
    ports.port(at("203.0.113.5:61002")).expect("another source");
}

#[test]
fn who_must_learn_is_alone_among_its_hosts_until_it_is_heard() {
    for (case, min) in [
        (nat("192.0.2.1:4000"), 11_050),
        // A private address behind a public one, and an offer of ours that is not answered yet.
        (at("10.0.0.1:4000"), 11_052),
        (
            Expected {
                remote: None,
                ..at("192.0.2.1:4000")
            },
            11_054,
        ),
    ] {
        let mut ports = ports(min, min + 1);
        let (_, first) = ports.open(case.clone()).expect("a port");
        assert_eq!(ports.port(case.clone()), None, "{case:?}");
        assert_eq!(
            ports.port(at("192.0.2.2:4000")),
            None,
            "it could be heard from there as well"
        );
        let elsewhere = with(case.clone(), |policy| {
            policy.signalling = "203.0.113.77".parse().expect("an address");
        });
        let elsewhere = Expected {
            remote: Some("192.0.2.9:4000".parse().expect("an address")),
            ..elsewhere
        };
        ports
            .port(elsewhere)
            .expect("of another host nobody could be it");
        let known = Expected {
            remote: Some("192.0.2.1:4000".parse().expect("an address")),
            ..case.clone()
        };
        latch(&first, &known, "192.0.2.1:4000");
        let next = Expected {
            remote: case
                .remote
                .map(|_| "10.0.0.7:4000".parse().expect("an address")),
            ..case
        };
        ports.port(next).expect("the first is heard");
    }
}

#[test]
fn ranges_that_overlap_count_as_the_same_hosts() {
    let mut ports = ports(11_060, 11_061);
    let allow = |expected, network: &str, prefix| {
        with(expected, |policy| {
            policy.media_allow = vec![Network::new(network.parse().expect("an address"), prefix)];
        })
    };
    let other = |expected| {
        with(expected, |policy| {
            policy.signalling = "203.0.113.77".parse().expect("an address");
        })
    };
    ports
        .port(allow(nat("10.0.0.1:4000"), "198.51.100.0", 24))
        .expect("a port");
    assert_eq!(
        ports.port(allow(other(at("192.0.2.1:4000")), "198.51.0.0", 16)),
        None
    );
    ports
        .port(allow(other(at("192.0.2.1:4000")), "198.51.101.0", 24))
        .expect("no host in common");
}

#[test]
fn of_a_leg_of_which_nothing_is_known_anybody_could_be() {
    let mut ports = ports(11_070, 11_073);
    let (leg, unknown) = ports.open(Expected::default()).expect("a port");
    let second = ports.port(at("192.0.2.1:4000")).expect("another");
    assert_ne!(second, unknown.port.address.port());
    assert_eq!(ports.port(at("192.0.2.1:4002")), Some(second));
    assert!(
        ports
            .allocator
            .set_remote(unknown.port.id, leg, at("192.0.2.1:4004"))
    );
    assert_eq!(
        ports.port(at("192.0.2.1:4006")),
        Some(unknown.port.address.port()),
        "now it is known"
    );
}

#[test]
fn a_remote_address_that_another_leg_has_is_refused() {
    let mut ports = ports(11_080, 11_081);
    ports.open(at("192.0.2.1:4000")).expect("a port");
    let (leg, placement) = ports.open(at("192.0.2.1:4002")).expect("the same");
    let id = placement.port.id;
    assert!(!ports.allocator.set_remote(id, leg, at("192.0.2.1:4000")));
    assert!(ports.allocator.set_remote(id, leg, at("192.0.2.1:4004")));
    assert_eq!(ports.allocator.stats(0).collisions, 1);
}

#[test]
fn a_leg_is_placed_elsewhere_only_where_it_must_be() {
    let mut ports = ports(11_090, 11_093);
    let (_, first) = ports.open(at("192.0.2.1:4000")).expect("a port");
    let (_, second) = ports.open(at("192.0.2.1:4002")).expect("another");
    let (leg, placement) = ports.open(at("192.0.2.1:4004")).expect("the first");
    assert_eq!(placement.port.id, first.port.id);
    let id = placement.port.id;
    for stays in ["192.0.2.1:4004", "192.0.2.1:4006", "192.0.2.9:4002"] {
        assert!(ports.place(leg, id, at(stays)).is_none(), "{stays}");
    }
    let moved = ports.place(leg, id, at("192.0.2.1:4000")).expect("moves");
    assert_eq!(moved.port.id, second.port.id);
    assert_eq!(ports.allocator.stats(0).collisions, 1);
    // It has both until it leaves one.
    assert_eq!(ports.allocator.stats(0).most_legs, 2);
    ports.allocator.leave(id, leg, 0);
    assert!(
        ports
            .allocator
            .set_remote(moved.port.id, leg, at("192.0.2.1:4000"))
    );
}

#[test]
fn where_it_is_asked_to_go_nobody_else_may_go_meanwhile() {
    let mut ports = ports(11_100, 11_101);
    let (leg, placement) = ports.open(at("192.0.2.1:4000")).expect("a port");
    assert!(
        ports
            .place(leg, placement.port.id, at("192.0.2.1:4002"))
            .is_none()
    );
    assert_eq!(ports.port(at("192.0.2.1:4002")), None);
    assert_eq!(ports.port(at("192.0.2.1:4000")), None);
    assert!(
        ports
            .allocator
            .set_remote(placement.port.id, leg, at("192.0.2.1:4002"))
    );
    ports.port(at("192.0.2.1:4000")).expect("it has gone");
}

#[test]
fn a_port_rests_after_its_last_leg_and_is_taken_before_a_call_is_refused() {
    let mut ports = ports(11_110, 11_113);
    let (leg, first) = ports.open(nat("10.0.0.1:4000")).expect("a port");
    ports.allocator.leave(first.port.id, leg, SECOND);
    assert_eq!(ports.allocator.stats(SECOND).resting, 1);
    let port = |result: Result<(u64, Placement), PortError>| {
        result
            .map(|(_, placement)| placement.port.address.port())
            .ok()
    };
    let second = ports.open_at(nat("10.0.0.2:4000"), None, SECOND);
    assert_eq!(port(second), Some(11_112), "one that nobody had");
    let third = ports.open_at(nat("10.0.0.3:4000"), None, SECOND);
    assert_eq!(port(third), Some(11_110), "it has not rested, but is free");
    assert_eq!(
        port(ports.open_at(nat("10.0.0.4:4000"), None, SECOND)),
        None
    );
}

#[test]
fn ports_are_taken_in_turn() {
    let mut ports = ports(11_120, 11_127);
    let (leg, first) = ports.open(at("192.0.2.1:4000")).expect("a port");
    ports.allocator.leave(first.port.id, leg, 0);
    let (_, second) = ports
        .open_at(at("192.0.2.1:4000"), None, 5 * SECOND)
        .expect("a port");
    assert_ne!(
        first.port.address, second.port.address,
        "the one that has rested longest comes first"
    );
}

#[test]
fn what_another_process_holds_is_passed_over_and_tried_again() {
    let other = std::net::UdpSocket::bind("127.0.0.1:11131").expect("free");
    let mut ports = ports(11_130, 11_133);
    assert_eq!(ports.allocator.bind_small(1).len(), 1);
    assert_eq!(ports.port(at("192.0.2.1:4000")), Some(11_132));
    let stats = ports.allocator.stats(0);
    assert_eq!((stats.ipv4, stats.taken), (1, 1));
    drop(other);
    assert_eq!(ports.port(at("192.0.2.1:4002")), Some(11_130));
    let stats = ports.allocator.stats(0);
    assert_eq!((stats.ipv4, stats.taken), (2, 0));
}

#[test]
fn the_ports_of_a_small_range_are_spread_over_the_threads_and_legs_stay_together() {
    let mut ports = ports(11_140, 11_147);
    ports.load = vec![0; 8];
    let bound = ports.allocator.bind_small(8);
    let threads: Vec<_> = bound.iter().map(|port| port.thread).collect();
    assert_eq!(threads, [0, 1, 0, 1], "a thread has two ports at least");
    let (_, first) = ports.open(at("192.0.2.1:4000")).expect("a port");
    ports.load[first.port.thread] = 1;
    let (_, second) = ports.open(at("192.0.2.1:4002")).expect("a port");
    assert_ne!(first.port.thread, second.port.thread, "the idle one");
    let thread = Some(first.port.thread);
    for n in 0..4 {
        let (_, beside) = ports
            .open_at(at(&format!("192.0.2.2:{}", 4000 + n)), thread, 0)
            .expect("a port");
        assert_eq!(Some(beside.port.thread), thread);
    }
    let mut behind = || ports.open_at(nat("10.0.0.1:4000"), thread, 0);
    assert!(matches!(behind(), Err(PortError::Exhausted { .. })));
}

#[test]
fn a_wide_range_holds_few_descriptors_however_fast_calls_come_and_go() {
    let mut ports = ports(19_000, 20_999);
    let mut closed = 0;
    for n in 0..600u32 {
        let (leg, placement) = ports
            .open(at(&format!("192.0.2.1:{}", 4000 + n)))
            .expect("a port");
        let Placement { port: read, .. } = placement;
        match ports.allocator.leave(read.id, leg, 0) {
            Left::RestsUntil(0) => {
                assert!(ports.allocator.close_idle(read.id));
                closed += 1;
            }
            left => assert_eq!(left, Left::RestsUntil(2 * SECOND)),
        }
    }
    assert_eq!(closed, 600 - 256);
    assert_eq!(ports.allocator.stats(SECOND).resting, 600);
    assert_eq!(ports.allocator.stats(3 * SECOND).resting, 0);
}

#[test]
fn a_port_that_nobody_has_begun_to_read_is_closed_at_once() {
    let mut ports = ports(12_400, 12_599);
    let (leg, placement) = ports.open(at("192.0.2.1:4000")).expect("a port");
    let (id, address) = (placement.port.id, placement.port.address);
    drop(placement);
    assert_eq!(ports.allocator.leave(id, leg, 0), Left::Closed);
    std::net::UdpSocket::bind(address).expect("nobody holds it");
    assert_eq!(ports.allocator.leave(id, leg, 0), Left::Stays);
    assert!(!ports.allocator.close_idle(id));
}

#[test]
fn who_leaves_twice_is_counted_once() {
    let mut ports = ports(12_600, 12_799);
    let (leg, first) = ports.open(at("192.0.2.1:4000")).expect("a port");
    assert_eq!(
        ports.allocator.leave(first.port.id, leg, 0),
        Left::RestsUntil(2 * SECOND)
    );
    assert_eq!(
        ports.allocator.leave(first.port.id, leg, SECOND),
        Left::Stays
    );
    assert!(ports.allocator.close_idle(first.port.id));
    assert!(!ports.allocator.close_idle(first.port.id));
}

#[test]
fn a_port_that_is_taken_again_is_not_closed() {
    let mut ports = ports(12_000, 12_199);
    let (leg, first) = ports.open(at("192.0.2.1:4000")).expect("a port");
    for _ in 1..100 {
        ports.open(nat("10.0.0.1:4000")).expect("a port");
    }
    ports.allocator.leave(first.port.id, leg, 0);
    let (_, again) = ports.open(nat("10.0.0.1:4000")).expect("the resting one");
    assert_eq!(first.port.id, again.port.id);
    assert!(!ports.allocator.close_idle(first.port.id));
    assert!(
        !ports.allocator.close_idle(PortId(77_777)),
        "nor a name of before"
    );
}

#[test]
fn a_foreign_address_is_told_apart_from_a_full_range() {
    let options = UdpOptions {
        receive_buffer: 65536,
        dscp: 0,
    };
    let range = PortRange {
        min: 11_150,
        max: 11_151,
    };
    let foreign = "192.0.2.1".parse().expect("an address");
    let mut allocator = PortAllocator::new(&[foreign], range, 0, options, Driver::pick());
    let request = |family| PortRequest {
        leg: 1,
        family,
        expected: Expected::default(),
        thread: None,
        load: &[0],
    };
    let opened = allocator.open(request(Family::V4), 0);
    assert!(matches!(opened, Err(PortError::Address(_))));
    let opened = allocator.open(request(Family::V6), 0);
    assert!(matches!(opened, Err(PortError::NoFamily(Family::V6))));
}

#[test]
fn our_own_ports_are_known_under_every_name_that_we_have() {
    let mut ports = ports(11_160, 11_163);
    let own = |ports: &Ports, text: &str| {
        let address: SocketAddr = text.parse().expect("an address");
        ports.allocator.is_own(address)
    };
    ports.port(at("192.0.2.1:4000"));
    for ours in [
        "127.0.0.1:11160",
        "127.0.0.1:11161",
        "[::ffff:127.0.0.1]:11160",
        "127.0.0.1:11162",
    ] {
        assert!(own(&ports, ours), "{ours}");
    }
    for other in ["127.0.0.1:11164", "127.0.0.2:11160", "203.0.113.9:11160"] {
        assert!(!own(&ports, other), "{other}");
    }
    let other = std::net::UdpSocket::bind("127.0.0.1:11162").expect("free");
    assert!(!own(&ports, "127.0.0.1:11162"), "another process has it");
    drop(other);
    // The address that a router has for us.
    let advertised = "203.0.113.9".parse().expect("an address");
    ports.allocator.tell_own(advertised);
    assert!(own(&ports, "203.0.113.9:11160"));
    assert!(!own(&ports, "203.0.113.9:5060"));
}
