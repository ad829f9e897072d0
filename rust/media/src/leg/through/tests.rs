//! What packets that are handed on cost: who decodes them, and who doesn't.
use super::super::{LegConfig, LegEvent, RemoteMedia};
use super::*;
use crate::claim::Policy;
use crate::codec::counted::{DECODED, ENCODED};
use crate::codec::{Codec, Encoder};
use crate::playout::{MarkId, PlayoutConfig};
use std::cell::Cell;
use std::net::SocketAddr;

/// The engine's part: what a leg hears goes on to its partner.
struct Joined<'a> {
    now: Time,
    partner: Option<&'a mut Leg>,
    recorded: bool,
    sound: usize,
    packets: usize,
}

impl LegSink for Joined<'_> {
    fn audio(&mut self, frame: UplinkFrame<'_>) {
        if let Some(partner) = &mut self.partner {
            partner.overhear(self.now, &frame);
        }
    }
    fn onward(&mut self, packet: Queued<'_>, anew: bool) {
        if let Some(partner) = &mut self.partner {
            let mut sink = Joined {
                now: self.now,
                partner: None,
                recorded: self.recorded,
                sound: 0,
                packets: 0,
            };
            partner.take_of_partner(self.now, packet, (anew, true), &mut sink);
            self.packets += sink.packets;
            self.sound += sink.sound;
        }
    }
    fn send_rtp(&mut self, _to: SocketAddr, _packet: &[u8]) {
        self.packets += 1;
    }
    fn send_rtcp(&mut self, _to: SocketAddr, _packet: &[u8]) {}
    fn event(&mut self, _event: LegEvent) {}
    fn mark(&mut self, _mark: MarkId) {}
    fn records(&self) -> bool {
        self.recorded
    }
    fn sent(&mut self, frame: SentFrame<'_>) {
        self.sound += frame.sound.len() / 2;
    }
}

fn leg(peer: SocketAddr, start: Time, codec: Codec) -> Leg {
    let config = LegConfig {
        ssrc: 1,
        first_sequence: 65_500,
        first_timestamp: u32::MAX - 1_000,
        seed: 9,
        cname: "leg@offhook".into(),
        ntp_at_zero: 0,
        media_timeout: None,
        drain_linger: Duration::ZERO,
        policy: Policy {
            signalling: peer.ip(),
            media_allow: Vec::new(),
            nat: false,
            loopback: false,
        },
        playout: PlayoutConfig::default(),
    };
    let mut leg = Leg::new(config, start);
    leg.set_remote(start, &RemoteMedia::plain(peer, 107, codec));
    leg.start(start, Some(Duration::ZERO));
    leg
}

#[test]
fn a_packet_that_is_handed_on_is_decoded_once_and_once_more_for_a_recording() {
    let peer: SocketAddr = "192.0.2.9:4000".parse().expect("an address");
    for codec in [Codec::G722, Codec::Opus] {
        let start = Time::from_millis(1_000);
        let (mut speaker, mut listener) = (leg(peer, start, codec), leg(peer, start, codec));
        listener.hear_partner(start, [codec]);
        let mut encoder = Encoder::new(codec);
        let payloads: Vec<Vec<u8>> = (0..300)
            .map(|n| {
                let frame = n * 320..(n + 1) * 320;
                let pcm: Vec<i16> = frame
                    .map(|n| (6_000.0 * (f64::from(n) / 8.0).sin()) as i16)
                    .collect();
                let mut payload = vec![0; 1_000];
                let len = encoder.encode(&pcm, &mut payload);
                payload.truncate(len);
                payload
            })
            .collect();
        let counts = || (DECODED.with(Cell::get), ENCODED.with(Cell::get));
        let mut before = (0, 0);
        let mut sound = 0;
        for (n, payload) in payloads.iter().enumerate() {
            let now = start + Duration::from_millis(20) * n as u32;
            let recorded = n >= 200;
            let spent = |before: (u64, u64)| (counts().0 - before.0, counts().1 - before.1);
            match n {
                100 => before = counts(),
                200 => {
                    assert_eq!(spent(before), (100, 0), "{codec:?}: for voice activity");
                    before = counts();
                }
                299 => {
                    assert_eq!(spent(before), (198, 0), "{codec:?}: for the recording, too");
                    assert_eq!(sound, 99 * 320);
                }
                _ => {}
            }
            let mut alone = Joined {
                now,
                partner: None,
                recorded,
                sound: 0,
                packets: 0,
            };
            while listener.next_timeout().is_some_and(|due| due <= now) {
                listener.handle_timeout(now, &mut alone);
            }
            let mut sink = Joined {
                partner: Some(&mut listener),
                ..alone
            };
            // The speaker hears nobody: its own packets are silence, which is encoded, too.
            let header = Header {
                marker: n == 0,
                payload_type: 107,
                sequence: n as u16,
                timestamp: n as u32 * codec.rtp_clock() / 50,
                ssrc: 7,
            };
            let mut packet = header.encode().to_vec();
            packet.extend_from_slice(payload);
            speaker.handle_rtp(now, peer, &packet, &mut sink);
            sound += sink.sound * usize::from(recorded);
        }
        assert!(listener.stats().passed_packets > 280);
    }
}
