//! Whose packet is it, and where may be sent: the rules of the claims on one port, in virtual time.
use offhook_media::claim::{
    Collision, Glimpse, Intake, Judged, LegKey, Network, Policy, Remote, SharedLatch, Verdict,
    is_sendable, is_unroutable, rtcp_ssrc, send_to,
};
use offhook_media::clock::Time;
use offhook_media::rtp::Header;
use offhook_media::srtp::Protocol;
use std::net::SocketAddr;
use std::sync::Arc;

const LEG: LegKey = LegKey(1);
const OTHER: LegKey = LegKey(2);
const THIRD: LegKey = LegKey(3);

/// The SDP address of LEG, the signalling address of all, and somebody who is neither.
const SDP: &str = "192.0.2.9:4000";
const NAT: &str = "203.0.113.5:9999";
const STRANGER: &str = "192.0.2.66:4000";

const LATCHED: Verdict = Verdict::Latched(LEG);
const ACCEPTED: Verdict = Verdict::Accepted(LEG);
const REFUSED: Verdict = Verdict::Refused(Some(LEG));
const PROBATION: Verdict = Verdict::Probation(LEG);

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn policy() -> Policy {
    Policy {
        signalling: addr("203.0.113.5:5060").ip(),
        media_allow: vec![Network::new(addr("198.51.100.0:1").ip(), 24)],
        nat: false,
        loopback: false,
    }
}

fn remote(rtp: &str) -> Remote {
    Remote {
        rtp: Some(addr(rtp)),
        payload_types: 1,
        ..Remote::default()
    }
}

/// One stream: where it comes from, what it says of itself, where it is in its sequence.
#[derive(Clone)]
struct Stream {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    payload_type: u8,
}

fn stream(source: &str, ssrc: u32, sequence: u16) -> Stream {
    Stream {
        source: addr(source),
        ssrc,
        sequence,
        payload_type: 0,
    }
}

impl Stream {
    /// The next packet; its payload names the stream.
    fn next(&mut self) -> Vec<u8> {
        let header = Header {
            marker: false,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: u32::from(self.sequence) * 160,
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = header.encode().to_vec();
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet
    }
}

/// One port, its clock, and what its legs have heard: leg, SSRC and sequence number.
struct Port {
    intake: Intake,
    now: u64,
    heard: Vec<(LegKey, u32, u16)>,
    /// Packets that only one of these legs could have authenticated, by the SSRC.
    keys: Vec<(LegKey, u32)>,
    asked: usize,
}

impl Port {
    fn new() -> Self {
        Port {
            intake: Intake::new(),
            now: 0,
            heard: vec![],
            keys: vec![],
            asked: 0,
        }
    }

    /// With LEG on it, whose SDP names `rtp`.
    fn with(rtp: &str) -> Self {
        let mut port = Port::new();
        port.join(LEG, rtp);
        port
    }

    fn at(&self) -> Time {
        Time::from_millis(self.now)
    }

    fn join(&mut self, leg: LegKey, rtp: &str) {
        self.intake.open(leg, policy(), Arc::default());
        self.set_remote(leg, remote(rtp)).expect("free");
    }

    fn set_remote(&mut self, leg: LegKey, remote: Remote) -> Result<(), Collision> {
        let (keys, asked) = (self.keys.clone(), &mut self.asked);
        self.intake.set_remote(
            Time::from_millis(self.now),
            leg,
            remote,
            policy(),
            &mut |leg, _, packet| {
                *asked += 1;
                authenticates(&keys, leg, packet).then_some(packet.len())
            },
        )?;
        self.take_waited();
        Ok(())
    }

    fn take_waited(&mut self) {
        while let Some(waited) = self.intake.poll() {
            let glimpse = Glimpse::of(&waited.bytes).expect("RTP");
            self.heard
                .push((waited.leg, glimpse.ssrc, glimpse.sequence));
        }
    }

    /// The verdict on the next packet of a stream.
    fn receive(&mut self, from: &mut Stream) -> Verdict {
        let mut packet = from.next();
        let (keys, asked) = (self.keys.clone(), &mut self.asked);
        let judged = self.intake.receive_rtp(
            Time::from_millis(self.now),
            from.source,
            &mut packet,
            &mut |leg, _, packet| {
                *asked += 1;
                authenticates(&keys, leg, packet).then_some(packet.len())
            },
        );
        self.take_waited();
        let Judged::Rtp(verdict) = judged else {
            panic!("RTP is taken for {judged:?}");
        };
        if let Verdict::Accepted(leg) | Verdict::Latched(leg) = verdict {
            self.heard
                .push((leg, from.ssrc, from.sequence.wrapping_sub(1)));
        }
        verdict
    }

    /// The verdicts on `count` packets, 20 ms apart.
    fn run(&mut self, from: &mut Stream, count: usize) -> Vec<Verdict> {
        (0..count)
            .map(|_| {
                let verdict = self.receive(from);
                self.now += 20;
                verdict
            })
            .collect()
    }

    fn heard_by(&self, leg: LegKey) -> Vec<(u32, u16)> {
        let of_leg = self.heard.iter().filter(|(by, ..)| *by == leg);
        of_leg
            .map(|&(_, ssrc, sequence)| (ssrc, sequence))
            .collect()
    }
}

fn authenticates(keys: &[(LegKey, u32)], leg: LegKey, packet: &[u8]) -> bool {
    let ssrc = Glimpse::of(packet).expect("RTP").ssrc;
    keys.contains(&(leg, ssrc))
}

mod one_leg {
    use super::*;

    #[test]
    fn the_source_that_sdp_names_is_heard_from_its_first_packet() {
        let mut port = Port::with(SDP);
        assert_eq!(
            port.run(&mut stream(SDP, 7, 5), 2),
            [Verdict::Latched(LEG), Verdict::Accepted(LEG)]
        );
        assert_eq!(port.intake.claims().latched(LEG), Some(addr(SDP)));
    }

    #[test]
    fn a_stranger_is_never_heard_and_neither_is_another_port_of_the_host_in_sdp() {
        for source in [STRANGER, "192.0.2.9:4002"] {
            let mut port = Port::with(SDP);
            assert_eq!(port.run(&mut stream(source, 7, 1), 50), [REFUSED; 50]);
            assert_eq!(port.heard, []);
        }
    }

    #[test]
    fn the_signalling_address_and_allowed_ranges_are_learned_after_three_packets() {
        for source in [NAT, "198.51.100.77:1234", "[::ffff:203.0.113.5]:9999"] {
            let mut port = Port::with(SDP);
            assert_eq!(
                port.run(&mut stream(source, 7, u16::MAX), 4),
                [PROBATION, PROBATION, LATCHED, ACCEPTED]
            );
            let whole: Vec<_> = [65_535, 0, 1, 2].map(|sequence| (7, sequence)).into();
            assert_eq!(port.heard_by(LEG), whole, "the first word is whole");
        }
    }

    #[test]
    fn packets_out_of_sequence_of_several_streams_or_of_a_wrong_type_teach_nothing() {
        let mut port = Port::with(SDP);
        for n in 0..20 {
            assert_eq!(port.receive(&mut stream(NAT, 7, n * 2)), PROBATION);
            let mut changing = stream("203.0.113.5:9998", u32::from(n), n);
            assert_eq!(port.receive(&mut changing), PROBATION);
            let mut typed = stream("203.0.113.5:9997", 7, n);
            typed.payload_type = 8;
            assert_eq!(port.receive(&mut typed), REFUSED);
        }
    }

    #[test]
    fn more_sources_than_are_kept_on_probation_push_each_other_out() {
        let mut port = Port::with(SDP);
        let mut streams: Vec<Stream> = (0..5)
            .map(|n| stream(&format!("203.0.113.5:{}", 9_000 + n), 7, 1))
            .collect();
        for _ in 0..10 {
            for from in &mut streams {
                assert_eq!(port.receive(from), PROBATION);
            }
        }
        assert_eq!(
            port.run(&mut streams[0], 4),
            [PROBATION, PROBATION, LATCHED, ACCEPTED]
        );
    }

    #[test]
    fn the_packets_before_the_latch_are_handed_on_with_it() {
        let mut port = Port::with(SDP);
        // Another port of the same host tries as well, and the learnt one begins with an older stream.
        port.receive(&mut stream(NAT, 6, 65_534));
        port.receive(&mut stream("203.0.113.5:9998", 7, 65_534));
        port.run(&mut stream(NAT, 7, 65_534), 5);
        let sequences: Vec<_> = [65_534, 65_535, 0, 1, 2].map(|n| (7, n)).into();
        assert_eq!(port.heard_by(LEG), sequences);
    }

    #[test]
    fn the_exact_source_pre_empts_a_learned_one_for_two_seconds() {
        // Learned with the third packet, at 40 ms.
        for (packets, taken) in [(97, true), (125, false)] {
            let mut port = Port::with(SDP);
            let mut learned = stream(NAT, 7, 0);
            port.run(&mut learned, packets);
            let verdict = port.receive(&mut stream(SDP, 8, 1));
            assert_eq!(verdict, if taken { LATCHED } else { REFUSED }, "{packets}");
            assert_eq!(
                matches!(port.receive(&mut learned), Verdict::Accepted(_)),
                !taken
            );
        }
    }

    #[test]
    fn once_latched_others_are_refused_until_two_seconds_of_silence() {
        let mut port = Port::with(SDP);
        port.run(&mut stream(SDP, 7, 0), 10);
        // Last heard at 180: from 2180 another may follow.
        assert_eq!(port.run(&mut stream(NAT, 8, 0), 99), [REFUSED; 99]);
        assert_eq!(port.now, 2_180);
        assert_eq!(
            port.run(&mut stream(NAT, 8, 100), 4),
            [PROBATION, PROBATION, LATCHED, ACCEPTED]
        );
    }

    /// Somebody at another port of the caller's own public address, who knows all but where that is heard from.
    const NEIGHBOUR: &str = "203.0.113.5:7777";

    #[test]
    fn a_neighbour_behind_the_same_router_is_not_heard_while_the_caller_speaks() {
        for (sdp, source) in [(SDP, SDP), ("10.0.0.7:4000", NAT)] {
            let mut port = Port::with(sdp);
            let mut caller = stream(source, 7, 100);
            port.run(&mut caller, 5);
            for round in 0..1_000 {
                // As another stream, and as the caller's own.
                for mut neighbour in [
                    stream(NEIGHBOUR, 8, round),
                    stream(NEIGHBOUR, 7, caller.sequence),
                ] {
                    assert_eq!(port.receive(&mut neighbour), REFUSED);
                }
                assert_eq!(port.run(&mut caller, 1), [ACCEPTED]);
            }
            assert_eq!(port.intake.claims().latched(LEG), Some(addr(source)));
            let sequences: Vec<_> = (100..1_105).map(|n| (7, n)).collect();
            assert_eq!(port.heard_by(LEG), sequences, "each of its own, once");
        }
    }

    #[test]
    fn a_neighbour_who_is_first_is_put_right_by_the_address_in_sdp_and_by_keys_at_once() {
        // SDP names the router's own address, as a phone with STUN does, and the neighbour speaks before the caller.
        let mut port = Port::with(NAT);
        let mut neighbour = stream(NEIGHBOUR, 8, 0);
        port.run(&mut neighbour, 20);
        assert_eq!(port.receive(&mut stream(NAT, 7, 0)), LATCHED);
        assert!(!matches!(
            port.receive(&mut neighbour),
            Verdict::Accepted(_) | Verdict::Latched(_)
        ));
        // Where nothing names it, only encrypted media tell them apart.
        let mut port = Port::new();
        port.keys.push((LEG, 7));
        port.intake.open(LEG, policy(), Arc::default());
        let secured = Remote {
            secured: true,
            ..remote("10.0.0.7:4000")
        };
        port.set_remote(LEG, secured).expect("free");
        assert_eq!(port.run(&mut neighbour, 50), [REFUSED; 50]);
        assert_eq!(port.receive(&mut stream(NAT, 7, 0)), LATCHED);
        port.now += 10_000;
        assert_eq!(port.run(&mut neighbour, 50), [REFUSED; 50]);
    }

    #[test]
    fn two_callers_behind_one_router_hear_each_their_own_and_their_neighbour_is_neither() {
        let mut port = Port::with("10.0.0.7:4000");
        port.run(&mut stream(NAT, 7, 0), 50);
        let mut first = stream(NAT, 7, 50);
        port.join(OTHER, "10.0.0.8:4000");
        let mut second = stream("203.0.113.5:8888", 9, 0);
        let mut neighbour = stream(NEIGHBOUR, 7, 51);
        for _ in 0..200 {
            port.run(&mut first, 1);
            port.receive(&mut second);
        }
        for _ in 0..200 {
            port.run(&mut first, 1);
            port.receive(&mut second);
            assert!(!matches!(
                port.receive(&mut neighbour),
                Verdict::Accepted(_) | Verdict::Latched(_)
            ));
        }
        assert!(port.heard_by(LEG).iter().all(|(ssrc, _)| *ssrc == 7));
        assert_eq!(port.heard_by(LEG).len(), 450);
        let others = port.heard_by(OTHER);
        assert!(others.iter().all(|(ssrc, _)| *ssrc == 9) && others.len() > 380);
    }

    #[test]
    fn a_new_remote_address_opens_a_fresh_claim_while_the_old_plays() {
        let mut port = Port::with(SDP);
        let mut old = stream(SDP, 7, 0);
        port.run(&mut old, 500);
        port.set_remote(LEG, remote("192.0.2.10:6000"))
            .expect("no other leg");
        assert_eq!(port.run(&mut old, 2), [ACCEPTED; 2]);
        assert_eq!(
            port.receive(&mut stream("192.0.2.10:6000", 8, 0)),
            LATCHED,
            "at once, though the old one plays"
        );
        assert!(matches!(
            port.receive(&mut old),
            Verdict::Refused(_) | Verdict::Probation(_)
        ));
        // Back to the first device, as after a hold: it goes on where it was.
        port.set_remote(LEG, remote(SDP)).expect("no other leg");
        port.run(&mut old, 2);
        assert_eq!(port.intake.claims().latched(LEG), Some(addr(SDP)));
    }

    #[test]
    fn a_remote_without_an_address_leaves_what_plays() {
        let mut port = Port::with(SDP);
        let mut from = stream(SDP, 7, 0);
        port.run(&mut from, 5);
        let held = Remote {
            rtp: None,
            ..remote(SDP)
        };
        port.set_remote(LEG, held).expect("nothing to collide with");
        assert_eq!(port.run(&mut from, 2), [ACCEPTED; 2]);
    }

    #[test]
    fn nothing_is_accepted_before_sdp_names_an_address() {
        let mut port = Port::new();
        port.intake.open(LEG, policy(), Arc::default());
        assert_eq!(port.run(&mut stream(NAT, 7, 0), 5), [REFUSED; 5]);
        assert_eq!(port.heard, []);
    }

    #[test]
    fn garbage_is_the_legs_that_its_source_belongs_to() {
        let mut port = Port::with(SDP);
        port.join(OTHER, "192.0.2.9:4002");
        let ask = &mut |_: LegKey, _: Protocol, _: &mut [u8]| None;
        for mut bytes in [vec![], vec![0x80; 11], vec![0x40; 40]] {
            let bytes = &mut bytes[..];
            let judged = port.intake.receive_rtp(Time::ZERO, addr(SDP), bytes, ask);
            assert_eq!(judged, Judged::Garbage(Some(LEG)), "{bytes:?}");
            let judged = port
                .intake
                .receive_rtp(Time::ZERO, addr(STRANGER), bytes, ask);
            assert_eq!(judged, Judged::Garbage(None));
        }
    }
}

mod shared_port {
    use super::*;

    #[test]
    fn legs_share_a_port_by_the_addresses_in_sdp() {
        let mut port = Port::with(SDP);
        port.intake.open(OTHER, policy(), Arc::default());
        let taken = port.set_remote(OTHER, remote(SDP));
        assert_eq!(taken, Err(Collision(LEG)));
        assert!(port.intake.claims().collides(addr(SDP)));
        port.set_remote(OTHER, remote("192.0.2.9:4002"))
            .expect("free");
        assert_eq!(port.receive(&mut stream(SDP, 7, 0)), LATCHED);
        assert_eq!(
            port.receive(&mut stream("192.0.2.9:4002", 7, 0)),
            Verdict::Latched(OTHER)
        );
        assert_eq!(port.heard, [(LEG, 7, 0), (OTHER, 7, 0)]);
    }

    #[test]
    fn a_source_that_two_legs_wait_for_is_not_guessed_at() {
        let mut port = Port::with(SDP);
        port.join(OTHER, "192.0.2.9:4002");
        assert_eq!(
            port.run(&mut stream(NAT, 7, 0), 9),
            [Verdict::Refused(None); 9]
        );
    }

    #[test]
    fn the_only_leg_that_waits_learns_though_others_share_its_port() {
        let mut port = Port::with(SDP);
        port.run(&mut stream(SDP, 7, 0), 3);
        port.join(OTHER, "10.0.0.7:4000");
        let other = Verdict::Probation(OTHER);
        assert_eq!(
            port.run(&mut stream(NAT, 8, 0), 4),
            [
                other,
                other,
                Verdict::Latched(OTHER),
                Verdict::Accepted(OTHER)
            ]
        );
        // The next one finds both latched.
        port.join(THIRD, "10.0.0.8:4000");
        let mut third = stream("203.0.113.5:9998", 9, 0);
        assert_eq!(port.run(&mut third, 3)[2], Verdict::Latched(THIRD));
        assert_eq!(port.heard_by(LEG).len(), 3);
    }

    #[test]
    fn a_call_that_speaks_before_its_claim_is_not_learned_by_one_that_waits() {
        let mut port = Port::with(SDP);
        port.join(OTHER, "192.0.2.9:4002");
        port.run(&mut stream("192.0.2.9:4002", 2, 0), 3);
        // Of the host that signals for all: LEG is the only one that waits, and may learn there.
        let mut early = stream(NAT, 7, 0);
        assert_eq!(port.run(&mut early, 6), [PROBATION; 6]);
        port.join(THIRD, NAT);
        port.run(&mut early, 2);
        assert_eq!(port.heard_by(LEG), []);
        let whole: Vec<_> = (0..8).map(|sequence| (7, sequence)).collect();
        assert_eq!(port.heard_by(THIRD), whole);
    }

    #[test]
    fn of_two_legs_that_are_silent_the_ssrc_decides_and_else_nothing() {
        let mut port = Port::with(SDP);
        port.join(OTHER, "192.0.2.9:4002");
        let (mut one, mut two) = (stream(SDP, 7, 0), stream("192.0.2.9:4002", 8, 0));
        for _ in 0..5 {
            port.receive(&mut one);
            port.receive(&mut two);
        }
        port.now = 5_000;
        let mut moved = stream(NAT, 8, two.sequence);
        assert_eq!(port.run(&mut moved, 3)[2], Verdict::Latched(OTHER));
        let mut unknown = stream("203.0.113.5:9998", 99, 0);
        assert_eq!(
            port.run(&mut unknown, 5),
            [Verdict::Refused(None); 5],
            "LEG is silent, too, but this could be anybody"
        );
    }

    #[test]
    fn a_leg_that_is_silent_does_not_take_the_stream_of_one_that_moves() {
        let mut port = Port::with(SDP);
        port.join(OTHER, "192.0.2.9:4002");
        port.run(&mut stream(SDP, 7, 0), 3);
        let mut two = stream("192.0.2.9:4002", 8, 0);
        port.now = 10_000;
        port.run(&mut two, 100);
        // LEG has said nothing for 12 s; now the phone of OTHER goes on from another port.
        let mut moved = stream(NAT, 8, two.sequence);
        let verdicts = port.run(&mut moved, 103);
        let latched = verdicts
            .iter()
            .position(|verdict| matches!(verdict, Verdict::Latched(_)));
        assert_eq!(latched, Some(101), "after 2 s of silence and 3 packets");
        assert_eq!(verdicts[101], Verdict::Latched(OTHER));
        assert_eq!(port.heard_by(LEG).len(), 3);
    }

    #[test]
    fn devices_that_have_one_ssrc_for_all_calls_are_told_apart() {
        let mut port = Port::with("10.0.0.6:4000");
        let mut one = stream(NAT, 7, 1_000);
        port.run(&mut one, 5);
        port.join(OTHER, "10.0.0.7:4000");
        let mut two = stream("203.0.113.5:9998", 7, 40_000);
        for _ in 0..5 {
            port.receive(&mut one);
            port.receive(&mut two);
        }
        assert_eq!(port.heard_by(OTHER).len(), 5);
        assert!(port.heard_by(OTHER).iter().all(|(_, at)| *at >= 40_000));
        // The first is silent for long when a third calls: it could be either, and is none.
        port.join(THIRD, "10.0.0.8:4000");
        port.now += 30_000;
        let mut three = stream("203.0.113.5:9997", 7, 20_000);
        port.receive(&mut two);
        assert_eq!(port.run(&mut three, 5), [Verdict::Refused(None); 5]);
    }

    #[test]
    fn a_phone_that_moves_in_the_middle_of_speech_is_not_taken_for_the_next_call() {
        let mut port = Port::with("10.0.0.6:4000");
        let mut one = stream(NAT, 7, 1_000);
        port.run(&mut one, 50);
        port.join(OTHER, "10.0.0.7:4000");
        one.source = addr("203.0.113.5:9998");
        let verdicts = port.run(&mut one, 110);
        assert!(!verdicts.contains(&Verdict::Latched(OTHER)));
        assert!(verdicts.contains(&LATCHED), "after 2 s of silence");
    }

    #[test]
    fn the_stragglers_of_a_device_that_a_leg_has_left_are_nobodys() {
        let mut port = Port::with(SDP);
        let mut old = stream(NAT, 7, 0);
        port.run(&mut old, 50);
        port.set_remote(LEG, remote("192.0.2.10:6000"))
            .expect("free");
        port.run(&mut stream("192.0.2.10:6000", 8, 0), 1);
        port.join(OTHER, "10.0.0.7:4000");
        let verdicts = port.run(&mut old, 50);
        assert!(
            verdicts.iter().all(|verdict| *verdict == REFUSED),
            "{verdicts:?}"
        );
        assert_eq!(port.heard_by(OTHER), []);
    }

    #[test]
    fn a_leg_that_leaves_plays_on_and_learns_nothing() {
        let mut port = Port::with(SDP);
        let mut from = stream(SDP, 7, 0);
        port.run(&mut from, 5);
        port.intake.leave(LEG);
        assert_eq!(port.run(&mut from, 5), [ACCEPTED; 5]);
        port.now += 3_000;
        assert_eq!(port.run(&mut stream(NAT, 7, 10), 5), [REFUSED; 5]);
    }

    #[test]
    fn the_latch_is_told_to_who_hands_out_ports() {
        let shared = Arc::new(SharedLatch::default());
        let mut port = Port::new();
        port.intake.open(LEG, policy(), Arc::clone(&shared));
        port.set_remote(LEG, remote(SDP)).expect("free");
        assert!(!shared.is_latched());
        port.receive(&mut stream(SDP, 7, 0));
        assert!(shared.is_latched() && shared.is(addr(SDP)) && !shared.is(addr(NAT)));
        port.set_remote(LEG, remote("192.0.2.10:6000"))
            .expect("free");
        assert!(!shared.is_latched(), "a new source is expected");
    }
}

mod ended_legs {
    use super::*;

    #[test]
    fn stragglers_are_known_for_as_long_as_they_come_and_five_seconds() {
        let mut port = Port::with(SDP);
        let mut from = stream(SDP, 7, 0);
        port.run(&mut from, 5);
        port.intake.close(LEG, port.at());
        assert!(port.intake.claims().is_empty());
        assert_eq!(port.run(&mut from, 500), [Verdict::Ended; 500], "10 s");
        port.now += 4_900;
        assert_eq!(port.receive(&mut from), Verdict::Ended);
        port.now += 5_000;
        assert_eq!(port.receive(&mut from), Verdict::Refused(None));
    }

    #[test]
    fn a_call_on_the_same_port_and_from_the_same_address_hears_its_own_stream_only() {
        let mut port = Port::with(SDP);
        let mut before = stream(SDP, 7, 60_000);
        port.run(&mut before, 5);
        port.intake.close(LEG, port.at());
        port.join(OTHER, SDP);
        assert_eq!(port.run(&mut before, 20), [Verdict::Ended; 20]);
        let mut after = stream(SDP, 8, 100);
        assert_eq!(port.receive(&mut after), Verdict::Latched(OTHER));
        // Both at once, as when the peer is slow to end the first.
        for _ in 0..20 {
            assert_eq!(port.receive(&mut before), Verdict::Ended);
            assert_eq!(port.receive(&mut after), Verdict::Accepted(OTHER));
        }
        assert!(port.heard_by(OTHER).iter().all(|(ssrc, _)| *ssrc == 8));
    }

    #[test]
    fn a_device_that_gives_all_its_calls_one_ssrc_is_heard_again() {
        let mut port = Port::with(SDP);
        port.run(&mut stream(SDP, 7, 60_000), 5);
        port.intake.close(LEG, port.at());
        port.join(OTHER, SDP);
        assert_eq!(
            port.receive(&mut stream(SDP, 7, 1_000)),
            Verdict::Latched(OTHER)
        );
    }

    #[test]
    fn a_peer_that_never_stops_is_not_learned_by_the_next_call_of_its_host() {
        let mut port = Port::with("10.0.0.7:4000");
        let mut zombie = stream(NAT, 7, 0);
        port.run(&mut zombie, 5);
        port.intake.close(LEG, port.at());
        assert_eq!(port.run(&mut zombie, 1_000), [Verdict::Ended; 1_000]);
        port.join(OTHER, "10.0.0.8:4000");
        assert_eq!(port.run(&mut zombie, 100), [Verdict::Ended; 100]);
        let mut after = stream("203.0.113.5:9998", 8, 0);
        assert_eq!(port.run(&mut after, 3)[2], Verdict::Latched(OTHER));
    }

    #[test]
    fn a_phone_that_speaks_only_after_its_call_has_ended_is_not_learned_by_another_of_its_host() {
        let mut port = Port::with("10.0.0.8:4000");
        port.run(&mut stream("203.0.113.5:9998", 8, 0), 5);
        port.join(OTHER, NAT);
        port.now += 3_000;
        port.intake.close(OTHER, port.at());
        let mut late = stream(NAT, 7, 0);
        assert_eq!(port.run(&mut late, 20), [Verdict::Ended; 20]);
        port.now += 5_000;
        assert_eq!(port.run(&mut late, 3), [PROBATION, PROBATION, LATCHED]);
    }

    #[test]
    fn the_oldest_are_forgotten_where_there_are_too_many() {
        let mut port = Port::new();
        for n in 0..300u16 {
            let source = format!("192.0.2.9:{}", 4_000 + n);
            port.join(LEG, &source);
            port.receive(&mut stream(&source, u32::from(n), 0));
            port.intake.close(LEG, port.at());
        }
        assert_eq!(port.intake.claims().tombstones(), 256);
        assert_eq!(
            port.receive(&mut stream("192.0.2.9:4000", 0, 1)),
            Verdict::Refused(None)
        );
        assert_eq!(
            port.receive(&mut stream("192.0.2.9:4299", 299, 1)),
            Verdict::Ended
        );
    }
}

mod parked_packets {
    use super::*;

    /// A port whose leg has sent its offer and waits for the answer.
    fn offered() -> Port {
        let mut port = Port::new();
        port.intake.open(LEG, policy(), Arc::default());
        port
    }

    #[test]
    fn what_came_before_the_answer_is_heard_in_order_with_it() {
        let mut port = offered();
        let mut early = stream(SDP, 7, 65_533);
        assert_eq!(port.run(&mut early, 5), [REFUSED; 5]);
        port.run(&mut stream(STRANGER, 9, 0), 2);
        assert_eq!(port.heard, []);
        port.set_remote(LEG, remote(SDP)).expect("free");
        let whole: Vec<_> = [65_533, 65_534, 65_535, 0, 1].map(|n| (7, n)).into();
        assert_eq!(port.heard_by(LEG), whole);
        assert_eq!(port.receive(&mut early), ACCEPTED);
    }

    #[test]
    fn a_source_behind_nat_is_learned_from_what_is_parked() {
        let mut port = offered();
        let mut early = stream(NAT, 7, 0);
        port.run(&mut early, 4);
        port.set_remote(LEG, remote("10.0.0.7:4000")).expect("free");
        assert_eq!(port.heard_by(LEG), [(7, 0), (7, 1), (7, 2), (7, 3)]);
    }

    #[test]
    fn two_hundred_milliseconds_are_kept_and_the_rest_is_counted() {
        let mut port = offered();
        port.run(&mut stream(SDP, 7, 0), 3);
        port.now += 400;
        port.run(&mut stream(SDP, 7, 100), 3);
        port.set_remote(LEG, remote(SDP)).expect("free");
        assert_eq!(port.heard_by(LEG), [(7, 100), (7, 101), (7, 102)]);
        let counts = port.intake.counts();
        assert_eq!((counts.parked, counts.unclaimed), (6, 3));
    }

    #[test]
    fn a_flood_pushes_out_neither_another_host_nor_the_memory() {
        let mut port = offered();
        let mut early = stream(SDP, 7, 0);
        port.run(&mut early, 3);
        for n in 0..5_000u16 {
            let source = format!("{}:{}", addr(STRANGER).ip(), 1_024 + n);
            port.receive(&mut stream(&source, 9, n));
        }
        port.set_remote(LEG, remote(SDP)).expect("free");
        assert_eq!(port.heard_by(LEG), [(7, 0), (7, 1), (7, 2)]);
        let counts = port.intake.counts();
        assert_eq!(counts.parked, 5_003);
        assert!(counts.unclaimed >= 4_990, "{counts:?}");
    }

    #[test]
    fn a_packet_of_many_hosts_has_its_turn_and_is_gone() {
        let mut port = offered();
        port.receive(&mut stream(SDP, 7, 0));
        for host in 1..=40 {
            port.receive(&mut stream(&format!("192.0.2.{}:5000", 100 + host), 9, 0));
        }
        port.set_remote(LEG, remote(SDP)).expect("free");
        assert_eq!(port.heard, [], "32 at most are kept");
    }

    #[test]
    fn what_came_too_long_before_the_latch_is_not_handed_on_with_it() {
        let mut port = Port::with("10.0.0.7:4000");
        let mut from = stream(NAT, 7, 0);
        port.run(&mut from, 1);
        port.now += 3_000;
        port.run(&mut from, 2);
        assert_eq!(port.heard_by(LEG), [(7, 1), (7, 2)]);
    }

    #[test]
    fn what_either_of_two_legs_might_have_had_is_nobodys_once_one_has_ended() {
        let mut port = Port::with("10.0.0.7:4000");
        port.join(OTHER, "10.0.0.8:4000");
        assert_eq!(
            port.run(&mut stream(NAT, 7, 0), 5),
            [Verdict::Refused(None); 5]
        );
        port.intake.close(LEG, port.at());
        port.set_remote(OTHER, remote("10.0.0.9:4000"))
            .expect("free");
        assert_eq!(port.heard, []);
    }

    #[test]
    fn what_is_parked_is_never_the_next_calls() {
        let mut port = offered();
        port.run(&mut stream(SDP, 7, 0), 3);
        port.intake.close(LEG, port.at());
        port.join(OTHER, SDP);
        assert_eq!(port.heard, []);
    }
}

mod rtcp {
    use super::*;

    fn report(ssrc: u32) -> Vec<u8> {
        let mut packet = vec![0x80, 201, 0, 1];
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet
    }

    fn judge(port: &mut Port, source: &str, ssrc: u32) -> Verdict {
        port.intake
            .receive_rtcp(addr(source), &mut report(ssrc), &mut |_, _, _| None)
    }

    #[test]
    fn it_is_learned_apart_and_moves_no_latch() {
        let mut port = Port::with(SDP);
        assert_eq!(
            judge(&mut port, "203.0.113.5:4001", 1),
            REFUSED,
            "nothing heard from there yet"
        );
        port.run(&mut stream("203.0.113.5:7000", 7, 0), 3);
        for source in ["203.0.113.5:7001", "203.0.113.5:7000"] {
            assert_eq!(judge(&mut port, source, 7), LATCHED, "{source}");
            assert_eq!(judge(&mut port, source, 7), ACCEPTED);
        }
        assert_eq!(judge(&mut port, STRANGER, 7), REFUSED);
        assert_eq!(
            port.intake.claims().latched(LEG),
            Some(addr("203.0.113.5:7000"))
        );
    }

    #[test]
    fn a_named_address_is_heard_before_any_sound() {
        let mut port = Port::with(SDP);
        assert_eq!(judge(&mut port, "192.0.2.9:4001", 1), LATCHED);
        let elsewhere = Remote {
            rtcp: Some(addr("192.0.2.77:9000")),
            ..remote(SDP)
        };
        port.set_remote(LEG, elsewhere).expect("free");
        assert_eq!(judge(&mut port, "192.0.2.77:9000", 1), LATCHED);
        assert_eq!(
            judge(&mut port, "192.0.2.9:4009", 1),
            REFUSED,
            "a=rtcp counts, not the neighbour of the port"
        );
    }

    #[test]
    fn on_a_shared_port_the_stream_says_whose_it_is() {
        let mut port = Port::with("10.0.0.7:4000");
        port.run(&mut stream("203.0.113.5:7000", 7, 0), 3);
        port.join(OTHER, "10.0.0.8:4000");
        port.run(&mut stream("203.0.113.5:7500", 8, 0), 3);
        // The NAT has given the RTCP of both any port.
        assert_eq!(
            judge(&mut port, "203.0.113.5:61000", 8),
            Verdict::Latched(OTHER)
        );
        assert_eq!(judge(&mut port, "203.0.113.5:61001", 7), LATCHED);
        assert_eq!(
            judge(&mut port, "203.0.113.5:61002", 99),
            Verdict::Refused(None)
        );
        assert_eq!(
            judge(&mut port, "203.0.113.5:61000", 1),
            Verdict::Accepted(OTHER),
            "learned"
        );
        port.intake.close(OTHER, Time::ZERO);
        assert_ne!(
            judge(&mut port, "203.0.113.5:61000", 8),
            Verdict::Accepted(OTHER)
        );
    }

    #[test]
    fn it_comes_to_the_rtp_port_where_that_was_agreed() {
        let ask = &mut |_: LegKey, _: Protocol, _: &mut [u8]| None;
        let mut port = Port::with(SDP);
        port.run(&mut stream(SDP, 7, 0), 3);
        let judged = port
            .intake
            .receive_rtp(Time::ZERO, addr(SDP), &mut report(7), ask);
        assert!(
            !matches!(judged, Judged::Rtcp(_)),
            "nobody offered it: {judged:?}"
        );
        let muxed = Remote {
            rtcp_mux: true,
            ..remote(SDP)
        };
        port.set_remote(LEG, muxed).expect("free");
        let judged = port
            .intake
            .receive_rtp(Time::ZERO, addr(SDP), &mut report(7), ask);
        assert_eq!(judged, Judged::Rtcp(LATCHED));
        let judged = port
            .intake
            .receive_rtp(Time::ZERO, addr(STRANGER), &mut report(7), ask);
        assert!(!matches!(judged, Judged::Rtcp(Verdict::Latched(_))));
        assert_eq!(
            port.receive(&mut stream(SDP, 7, 3)),
            ACCEPTED,
            "and RTP stays RTP"
        );
    }

    #[test]
    fn short_and_broken_packets_belong_to_their_source_or_nobody() {
        let mut port = Port::with(SDP);
        port.run(&mut stream(SDP, 7, 0), 3);
        for length in 0..8 {
            let packet = &mut report(7)[..length];
            assert_eq!(rtcp_ssrc(packet), None);
            let ask = &mut |_: LegKey, _: Protocol, _: &mut [u8]| None;
            assert_eq!(
                port.intake.receive_rtcp(addr(STRANGER), packet, ask),
                REFUSED
            );
        }
    }
}

mod secured {
    use super::*;

    fn secured(rtp: &str) -> Remote {
        Remote {
            secured: true,
            ..remote(rtp)
        }
    }

    /// LEG and its key: packets of SSRC 7 are its own.
    fn port() -> Port {
        let mut port = Port::new();
        port.keys = vec![(LEG, 7), (OTHER, 8)];
        port.intake.open(LEG, policy(), Arc::default());
        port.set_remote(LEG, secured(SDP)).expect("free");
        port
    }

    #[test]
    fn nothing_counts_that_is_not_authenticated() {
        let mut port = port();
        assert_eq!(port.run(&mut stream(SDP, 66, 0), 100), [REFUSED; 100]);
        assert_eq!(port.run(&mut stream(NAT, 66, 0), 100), [REFUSED; 100]);
        assert_eq!(port.intake.claims().latched(LEG), None);
        assert_eq!(port.receive(&mut stream(SDP, 7, 0)), LATCHED);
        assert_eq!(port.receive(&mut stream(SDP, 66, 1)), REFUSED);
        assert_eq!(port.heard, [(LEG, 7, 0)]);
    }

    #[test]
    fn an_authenticated_packet_needs_no_probation_and_no_silence() {
        let mut port = port();
        assert_eq!(port.receive(&mut stream(NAT, 7, 0)), LATCHED);
        assert_eq!(
            port.receive(&mut stream("203.0.113.5:9998", 7, 1)),
            LATCHED,
            "the phone has moved"
        );
        assert_eq!(port.receive(&mut stream(SDP, 7, 2)), LATCHED);
        assert_eq!(
            port.receive(&mut stream(STRANGER, 7, 3)),
            REFUSED,
            "not from anywhere"
        );
    }

    #[test]
    fn among_legs_that_wait_the_key_decides_and_four_are_asked() {
        let mut port = port();
        port.intake.open(OTHER, policy(), Arc::default());
        port.set_remote(OTHER, secured("10.0.0.8:4000"))
            .expect("free");
        assert_eq!(
            port.receive(&mut stream(NAT, 8, 0)),
            Verdict::Latched(OTHER)
        );
        for n in 0..20 {
            let leg = LegKey(10 + n);
            port.intake.open(leg, policy(), Arc::default());
            port.set_remote(leg, secured(&format!("10.0.1.{n}:4000")))
                .expect("free");
        }
        port.asked = 0;
        port.receive(&mut stream("203.0.113.5:9998", 55, 0));
        assert_eq!(port.asked, 4);
        port.asked = 0;
        port.run(&mut stream(STRANGER, 7, 0), 100);
        assert_eq!(port.asked, 0, "for a stranger nobody is");
    }

    #[test]
    fn unsecured_legs_are_never_asked() {
        let mut port = Port::with(SDP);
        port.run(&mut stream(SDP, 7, 0), 5);
        port.run(&mut stream(NAT, 7, 0), 5);
        assert_eq!(port.asked, 0);
    }

    #[test]
    fn what_waited_for_its_key_is_handed_on_as_it_was_opened() {
        let mut port = Port::new();
        port.intake.open(LEG, policy(), Arc::default());
        let mut early = stream(SDP, 7, 0);
        assert_eq!(port.run(&mut early, 3), [REFUSED; 3]);
        port.run(&mut stream(SDP, 66, 0), 2);
        let mut opened = 0;
        let remote = secured(SDP);
        let open = &mut |_: LegKey, protocol: Protocol, packet: &mut [u8]| {
            assert_eq!(protocol, Protocol::Rtp);
            (Glimpse::of(packet)?.ssrc == 7).then(|| {
                opened += 1;
                packet[1] = 8;
                packet.len() - 4
            })
        };
        let at = port.at();
        let set = port.intake.set_remote(at, LEG, remote, policy(), open);
        set.expect("free");
        let whole = early.next().len();
        for _ in 0..3 {
            let waited = port.intake.poll().expect("one that waited");
            assert!(waited.opened && waited.bytes[1] == 8);
            assert_eq!(waited.bytes.len(), whole - 4);
        }
        assert!(port.intake.poll().is_none(), "nothing of another key");
        assert_eq!(opened, 3, "each is opened once");
    }

    #[test]
    fn rtcp_is_learned_from_authenticated_packets_only() {
        let mut port = port();
        let mut packet = [0x80, 201, 0, 1, 0, 0, 0, 7];
        let verdict =
            port.intake
                .receive_rtcp(addr("192.0.2.9:4001"), &mut packet, &mut |_, _, _| None);
        assert_eq!(verdict, REFUSED);
        let verdict = port.intake.receive_rtcp(
            addr("192.0.2.9:4001"),
            &mut packet,
            &mut |leg, _, packet| (leg == LEG).then_some(packet.len()),
        );
        assert_eq!(verdict, LATCHED);
    }
}

/// Third hosts that spray the port before, at and after the start (E1, E2): whatever they send, nothing of it is heard.
#[test]
fn spraying_hosts_are_never_heard() {
    let mut random = 0x5eed_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut port = Port::new();
    for (leg, behind_nat) in [(LEG, false), (OTHER, true)] {
        port.intake.open(leg, policy(), Arc::default());
        let mut own = stream(
            if behind_nat { NAT } else { SDP },
            u32::from(behind_nat) + 7,
            (next() >> 50) as u16,
        );
        for round in 0..400 {
            for _ in 0..5 {
                // They know everything but the addresses: SSRC, payload type, and where the sequence is.
                let source = format!("192.0.2.66:{}", 1_024 + next() % 60_000);
                let mut spray = stream(&source, own.ssrc, own.sequence);
                let verdict = port.receive(&mut spray);
                assert!(
                    matches!(verdict, Verdict::Refused(_) | Verdict::Ended),
                    "{verdict:?}"
                );
            }
            if round == 50 {
                let sdp = if behind_nat { "10.0.0.7:4000" } else { SDP };
                port.set_remote(leg, remote(sdp)).expect("free");
            }
            if round > 40 {
                port.receive(&mut own);
                port.now += 20;
            }
        }
        let sequences = port.heard_by(leg);
        assert!(sequences.len() >= 355, "{}", sequences.len());
        let steps = sequences
            .windows(2)
            .all(|pair| pair[1].1 == pair[0].1.wrapping_add(1));
        assert!(steps, "each packet of its own, once");
    }
}

mod target {
    use super::*;

    #[test]
    fn where_to_send() {
        let learned = Some(addr(NAT));
        let nat = Policy {
            nat: true,
            ..policy()
        };
        let public = addr(SDP);
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
            "169.254.169.254:4000",
            "[fd00::1]:4000",
            "[fe80::1]:4000",
            "[::ffff:10.0.0.9]:4000",
        ] {
            assert_eq!(send_to(addr(private), None, &policy()), None);
            assert_eq!(send_to(addr(private), learned, &policy()), learned);
            assert!(policy().must_learn(Some(addr(private))));
        }
        let inside = Policy {
            signalling: addr("10.0.0.1:1").ip(),
            ..policy()
        };
        assert_eq!(
            send_to(addr("10.0.0.9:4000"), None, &inside),
            Some(addr("10.0.0.9:4000"))
        );
        assert!(
            is_unroutable(addr("169.254.169.254:1").ip(), inside.signalling),
            "another link, though both are private"
        );
    }

    #[test]
    fn a_link_local_address_is_sent_to_in_the_zone_that_packets_came_by() {
        let link = Policy {
            signalling: addr("[fe80::1]:1").ip(),
            ..policy()
        };
        let sdp = addr("[fe80::1]:4000");
        let learned = addr("[fe80::1%3]:4100");
        assert_eq!(send_to(sdp, None, &link), None);
        assert_eq!(
            send_to(sdp, Some(learned), &link),
            Some(addr("[fe80::1%3]:4000"))
        );
    }

    #[test]
    fn nothing_goes_to_addresses_that_are_nobody() {
        for address in [
            "0.0.0.0:4000",
            "0.1.2.3:4000",
            "[::]:4000",
            "224.0.0.1:4000",
            "[ff02::1]:4000",
            "[::ffff:224.0.0.1]:4000",
            "240.0.0.1:4000",
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
    fn who_must_learn_and_who_may_be_confused() {
        assert!(policy().must_learn(None), "our offer goes first");
        assert!(!policy().must_learn(Some(addr(SDP))));
        let elsewhere = Policy {
            signalling: addr("203.0.113.77:1").ip(),
            media_allow: vec![],
            ..policy()
        };
        assert!(!policy().shares_hosts(&elsewhere));
        let inside = Policy {
            signalling: addr("198.51.100.9:1").ip(),
            ..elsewhere
        };
        assert!(policy().shares_hosts(&inside) && inside.shares_hosts(&policy()));
    }
}
