//! Whose packet is this: any sources, any addresses in SDP, several legs on one socket.
use crate::random::Random;
use offhook_media::claim::{
    ClaimTable, Glimpse, LegKey, Network, Policy, Remote, Verdict, is_sendable, is_unroutable,
    send_to,
};
use offhook_media::clock::Time;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Few addresses, so that they meet.
fn address(random: &mut Random) -> SocketAddr {
    let v4 = *random.pick(&[
        Ipv4Addr::new(192, 0, 2, 1),
        Ipv4Addr::new(192, 0, 2, 2),
        Ipv4Addr::new(198, 51, 100, 7),
        Ipv4Addr::new(10, 0, 0, 1),
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::BROADCAST,
    ]);
    let ip = match random.below(4) {
        0 => IpAddr::V6(v4.to_ipv6_mapped()),
        1 if random.once_in(4) => *random.pick(&[
            "2001:db8::1".parse().expect("v6"),
            "::1".parse().expect("v6"),
        ]),
        _ => IpAddr::V4(v4),
    };
    SocketAddr::new(ip, *random.pick(&[0, 4_000, 4_001, 4_002]))
}

fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[derive(Clone)]
struct Known {
    policy: Policy,
    exact: Option<SocketAddr>,
    /// A remote address was set, so media may flow at all.
    named: bool,
    /// Addresses that SDP has named so far.
    ever: Vec<SocketAddr>,
    heard: HashMap<SocketAddr, u32>,
}

impl Known {
    fn may_learn(&self, source: SocketAddr) -> bool {
        let policy = &self.policy;
        policy.signalling.to_canonical() == source.ip()
            || policy
                .media_allow
                .iter()
                .any(|network| network.contains(source.ip()))
    }
}

/// Only a source that SDP names or that may be learned is ever accepted, for the one leg that listens to it.
pub fn run(random: &mut Random) {
    let mut table = ClaimTable::new();
    let mut legs: HashMap<LegKey, Known> = HashMap::new();
    let mut now = Time::from_millis(10_000);
    let mut sequence = random.next() as u16;
    for _ in 0..300 {
        now += Duration::from_millis(*random.pick(&[0, 1, 20, 20, 20, 500, 3_000]));
        let leg = LegKey(random.below(3) as u32);
        match random.below(12) {
            0 => {
                if legs.remove(&leg).is_some() {
                    table.close(leg, now);
                }
                let policy = Policy {
                    signalling: address(random).ip(),
                    media_allow: if random.once_in(3) {
                        vec![Network::new(
                            address(random).ip(),
                            *random.pick(&[0, 8, 24, 32, 128, 255]),
                        )]
                    } else {
                        vec![]
                    },
                    nat: random.once_in(2),
                    loopback: random.once_in(2),
                };
                table.open(leg, policy.clone(), Arc::default());
                legs.insert(
                    leg,
                    Known {
                        policy,
                        exact: None,
                        named: false,
                        ever: vec![],
                        heard: HashMap::new(),
                    },
                );
            }
            1 if random.once_in(4) => {
                table.close(leg, now);
                legs.remove(&leg);
            }
            2 | 3 => {
                let Some(known) = legs.get_mut(&leg) else {
                    continue;
                };
                let rtp = (!random.once_in(5)).then(|| address(random));
                let rtcp = random.once_in(3).then(|| address(random));
                let remote = Remote {
                    rtp,
                    rtcp,
                    rtcp_mux: random.once_in(2),
                    payload_types: 1 | 1 << 101,
                    secured: false,
                };
                match table.set_remote(leg, remote, known.policy.clone()) {
                    Ok(()) => {
                        known.named = true;
                        known.exact = rtp.map(plain).or(known.exact);
                        known.ever.extend(rtp.map(plain));
                    }
                    Err(collision) => assert_ne!(collision.0, leg, "a leg collides with itself"),
                }
            }
            4 => {
                let source = address(random);
                let ssrc = random.once_in(2).then(|| random.below(2) as u32);
                if let Verdict::Accepted(leg) | Verdict::Latched(leg) =
                    table.receive_rtcp(source, ssrc, &mut |_| false)
                {
                    assert!(legs.contains_key(&leg), "RTCP for a leg that is not there");
                }
            }
            5 => policies(random),
            _ => {
                let source = address(random);
                sequence = sequence.wrapping_add(*random.pick(&[1, 1, 1, 1, 0, 7]));
                let glimpse = Glimpse {
                    sequence,
                    ssrc: random.below(2) as u32,
                    payload_type: *random.pick(&[0, 0, 0, 101, 5]),
                };
                let before: HashMap<_, _> =
                    legs.keys().map(|&leg| (leg, table.latched(leg))).collect();
                for known in legs.values_mut() {
                    *known.heard.entry(plain(source)).or_default() += 1;
                }
                judge(
                    table.receive_rtp(now, source, glimpse, &mut |_| false),
                    plain(source),
                    &legs,
                    &before,
                    &table,
                );
            }
        }
        assert_eq!(table.len(), legs.len());
        let latched: Vec<_> = legs.keys().filter_map(|&leg| table.latched(leg)).collect();
        for (at, one) in latched.iter().enumerate() {
            assert!(
                !latched[at + 1..].contains(one),
                "one source is heard by two legs"
            );
        }
    }
    legs.keys().for_each(|&leg| table.close(leg, now));
    assert!(table.is_empty());
}

fn judge(
    verdict: Verdict,
    source: SocketAddr,
    legs: &HashMap<LegKey, Known>,
    before: &HashMap<LegKey, Option<SocketAddr>>,
    table: &ClaimTable,
) {
    let (leg, moved) = match verdict {
        Verdict::Accepted(leg) => (leg, false),
        Verdict::Latched(leg) => (leg, true),
        Verdict::Refused(leg) => {
            assert!(
                leg.is_none_or(|leg| legs.contains_key(&leg)),
                "a leg that is not there is blamed"
            );
            return;
        }
        Verdict::Probation(leg) => {
            let known = legs
                .get(&leg)
                .expect("probation for a leg that is not there");
            assert!(
                known.named && known.may_learn(source),
                "a stranger is on probation"
            );
            return;
        }
        Verdict::Ended => return,
    };
    let known = legs.get(&leg).expect("packets for a leg that is not there");
    assert!(known.named, "heard before SDP named an address");
    assert_eq!(table.latched(leg), Some(source));
    if !moved {
        assert_eq!(
            before[&leg],
            Some(source),
            "accepted from where nobody listened"
        );
        return;
    }
    if !known.ever.contains(&source) {
        assert!(known.may_learn(source), "a stranger is listened to");
        assert!(
            known.heard[&source] >= 3,
            "a source is learned from {} packets",
            known.heard[&source]
        );
    }
}

/// Wherever SDP and learning point, nothing is sent to where nothing may be sent.
fn policies(random: &mut Random) {
    let policy = Policy {
        signalling: address(random).ip(),
        media_allow: vec![],
        nat: random.once_in(2),
        loopback: random.once_in(2),
    };
    let (sdp, learned) = (address(random), random.once_in(2).then(|| address(random)));
    if let Some(target) = send_to(sdp, learned, &policy) {
        assert!(is_sendable(target, policy.loopback), "{target}");
        assert!(
            target == sdp || Some(target) == learned,
            "{target} out of nowhere"
        );
        assert!(
            !(target == sdp && Some(sdp) != learned && is_unroutable(sdp.ip(), policy.signalling)),
            "{target} can't be reached"
        );
    }
}
