//! A leg whose media is encrypted: what leaves it, what it takes, and what happens when the keys change.
use offhook_media::claim::Policy;
use offhook_media::clock::Time;
use offhook_media::codec::Codec;
use offhook_media::leg::{Leg, LegConfig, LegEvent, LegSink, RemoteMedia, UplinkFrame};
use offhook_media::playout::{MarkId, PlayoutConfig};
use offhook_media::rtcp::{Compound, Report};
use offhook_media::rtp::{Header, Packet};
use offhook_media::srtp::{MAX_TRAILER, Protection, Protocol, SrtpError, SrtpKeys, Suite};
use std::net::SocketAddr;
use std::time::Duration;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn peer() -> SocketAddr {
    "192.0.2.9:4000".parse().expect("an address")
}

#[derive(Default)]
struct Sink {
    rtp: Vec<Vec<u8>>,
    rtcp: Vec<Vec<u8>>,
    events: Vec<LegEvent>,
    frames: usize,
}

impl LegSink for Sink {
    fn audio(&mut self, _frame: UplinkFrame<'_>) {
        self.frames += 1;
    }
    fn send_rtp(&mut self, _to: SocketAddr, packet: &[u8]) {
        self.rtp.push(packet.to_vec());
    }
    fn send_rtcp(&mut self, _to: SocketAddr, packet: &[u8]) {
        self.rtcp.push(packet.to_vec());
    }
    fn event(&mut self, event: LegEvent) {
        self.events.push(event);
    }
    fn mark(&mut self, _mark: MarkId) {}
}

/// A leg and its peer, who has the other half of the keys.
struct Call {
    leg: Leg,
    sink: Sink,
    now: Time,
    far: Protection,
    sequence: u16,
}

fn keys(suite: Suite, send: u8, receive: u8) -> SrtpKeys {
    let key = |fill| vec![fill; suite.key_len() + suite.salt_len()];
    SrtpKeys::new(suite, &key(send), &key(receive)).expect("long enough")
}

fn remote(srtp: Option<SrtpKeys>) -> RemoteMedia {
    RemoteMedia {
        dtmf_send: Some(101),
        dtmf_receive: vec![101],
        srtp,
        ..RemoteMedia::plain(peer(), 0, Codec::Pcmu)
    }
}

impl Call {
    fn new(suite: Suite) -> Self {
        let config = LegConfig {
            ssrc: 1,
            first_sequence: 65_500,
            first_timestamp: 0,
            seed: 9,
            cname: "leg@offhook".into(),
            ntp_at_zero: 0,
            media_timeout: None,
            drain_linger: ms(100),
            policy: Policy {
                signalling: peer().ip(),
                media_allow: Vec::new(),
                nat: false,
                loopback: false,
            },
            playout: PlayoutConfig::default(),
        };
        let now = Time::from_millis(1_000);
        let mut call = Call {
            leg: Leg::new(config, now),
            sink: Sink::default(),
            now,
            far: Protection::default(),
            sequence: 100,
        };
        call.agree(Some((suite, 1, 2)));
        call.leg.start(now, None);
        call.leg.release(now);
        call
    }

    /// Offer and answer: the suite, our key and the peer's.
    fn agree(&mut self, agreed: Option<(Suite, u8, u8)>) {
        let ours = agreed.map(|(suite, ours, theirs)| keys(suite, ours, theirs));
        let theirs = agreed.map(|(suite, ours, theirs)| keys(suite, theirs, ours));
        self.leg.set_remote(self.now, &remote(ours));
        self.far.set(self.now, theirs.as_ref());
    }

    /// Lets time pass; what the peer makes of the RTP that was sent meanwhile.
    fn run(&mut self, millis: u64) -> Vec<Result<Vec<u8>, SrtpError>> {
        let end = self.now + ms(millis);
        while let Some(due) = self.leg.next_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.leg.handle_timeout(self.now, &mut self.sink);
        }
        self.now = end;
        let sent = std::mem::take(&mut self.sink.rtp);
        sent.into_iter().map(|packet| self.open(packet)).collect()
    }

    fn open(&mut self, mut packet: Vec<u8>) -> Result<Vec<u8>, SrtpError> {
        let len = self.far.unprotect_rtp(self.now, &mut packet)?;
        packet.truncate(len);
        Ok(packet)
    }

    /// The peer's next packet, sealed.
    fn next(&mut self, payload_type: u8, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            marker: false,
            payload_type,
            sequence: self.sequence,
            timestamp: u32::from(self.sequence) * 160,
            ssrc: 77,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = header.encode().to_vec();
        packet.extend_from_slice(payload);
        let len = packet.len();
        packet.extend([0; MAX_TRAILER]);
        let sealed = self.far.protect_rtp(&mut packet, len).expect("sealed");
        packet.truncate(sealed);
        packet
    }

    /// Gives a packet to the leg as the engine does.
    fn take(&mut self, packet: &[u8]) {
        let mut packet = packet.to_vec();
        match self.leg.open(self.now, Protocol::Rtp, &mut packet) {
            Ok(len) => self
                .leg
                .handle_rtp(self.now, peer(), &packet[..len], &mut self.sink),
            Err(error) => {
                self.leg
                    .refuse_unauthentic(self.now, Protocol::Rtp, error, &mut self.sink)
            }
        }
    }

    fn hear(&mut self) {
        let packet = self.next(0, &[0x55; 160]);
        self.take(&packet);
    }

    fn told(&self) -> Vec<u64> {
        let packets = |event: &LegEvent| match event {
            LegEvent::Unauthentic { packets } => Some(*packets),
            _ => None,
        };
        self.sink.events.iter().filter_map(packets).collect()
    }
}

#[test]
fn what_is_sent_and_heard_is_encrypted() {
    for suite in Suite::ALL {
        let mut call = Call::new(suite);
        call.leg.playout().push(call.now, &[0x33; 8_000]);
        call.leg.send_dtmf("5");
        for _ in 0..100 {
            call.hear();
            // Over the rollover of our own sequence numbers, too.
            for packet in call.run(20) {
                let packet = packet.expect("authentic");
                let packet = Packet::decode(&packet).expect("RTP");
                assert!([0, 101].contains(&packet.payload_type));
                assert!(packet.payload.len() == 160 || packet.payload_type == 101);
            }
        }
        let stats = call.leg.stats();
        assert!(
            stats.sent_packets >= 99 && stats.sent_digits == 1,
            "{stats:?}"
        );
        assert_eq!(
            (stats.received_packets, stats.received_unauthenticated),
            (100, 0)
        );
        assert!(call.sink.frames >= 99);
        assert!(
            stats.sent_bytes <= 160 * stats.sent_packets,
            "payload is counted without its tag"
        );
    }
}

#[test]
fn reports_are_encrypted() {
    for suite in Suite::ALL {
        let mut call = Call::new(suite);
        call.hear();
        call.run(15_000);
        let (now, sent) = (call.now, std::mem::take(&mut call.sink.rtcp));
        assert!(sent.len() >= 2);
        for mut packet in sent {
            assert_eq!(packet[..2], [0x81, 200], "the first header is readable");
            let len = call
                .far
                .unprotect_rtcp(now, &mut packet)
                .expect("authentic");
            let reports = Compound::decode(&packet[..len]).expect("RTCP");
            assert!(matches!(
                reports.into_iter().next(),
                Some(Report::Sender { ssrc: 1, .. })
            ));
        }
        // And the peer's: a receiver report of nobody and a forged one.
        let mut packet = [0x80, 201, 0, 1, 0, 0, 0, 77].to_vec();
        let plain = packet.clone();
        packet.extend([0; MAX_TRAILER]);
        let len = call.far.protect_rtcp(&mut packet, 8).expect("sealed");
        packet.truncate(len);
        let opened = call.leg.open(now, Protocol::Rtcp, &mut packet);
        assert_eq!(opened, Ok(8));
        assert_eq!(packet[..8], plain);
        assert!(
            call.leg
                .open(now, Protocol::Rtcp, &mut plain.clone())
                .is_err()
        );
    }
}

#[test]
fn forged_packets_change_nothing_but_a_counter_however_many_come() {
    let mut call = Call::new(Suite::AesCm128HmacSha1_80);
    for _ in 0..10 {
        call.hear();
        call.run(20);
    }
    let before = call.leg.stats();
    let plain = [
        &[0x80, 0, 0, 110, 0, 0, 0x44, 0xc0, 0, 0, 0, 77][..],
        &[0; 160],
    ]
    .concat();
    for _ in 0..100_000 {
        call.take(&plain);
    }
    // A digit that nobody pressed, under another key.
    let mut stranger = Protection::default();
    stranger.set(Time::ZERO, Some(&keys(Suite::AesCm128HmacSha1_80, 66, 67)));
    let mut digit = [&plain[..12], &[5, 0x8a, 0, 160], &[0; MAX_TRAILER]].concat();
    digit[1] = 101;
    stranger.protect_rtp(&mut digit, 16).expect("sealed");
    call.take(&digit[..26]);
    let after = call.leg.stats();
    assert_eq!(after.received_unauthenticated, 100_001);
    assert_eq!(after.received_packets, before.received_packets);
    assert_eq!(after.received_digits, 0);
    assert_eq!(call.told(), [1], "told at once, and not again within 10 s");
    call.run(10_000);
    call.take(&plain);
    assert_eq!(call.told(), [1, 100_001]);
    call.hear();
    assert_eq!(
        call.leg.stats().received_packets,
        before.received_packets + 1
    );
}

#[test]
fn a_packet_that_comes_again_is_heard_once() {
    let mut call = Call::new(Suite::AeadAes128Gcm);
    let packet = call.next(0, &[0x55; 160]);
    for _ in 0..1_000 {
        call.take(&packet);
    }
    let stats = call.leg.stats();
    assert_eq!((stats.received_packets, stats.received_replayed), (1, 999));
    assert_eq!(stats.received_unauthenticated, 0);
    assert!(
        call.told().is_empty(),
        "a network that doubles packets is no attack"
    );
}

#[test]
fn only_the_keys_change_and_the_stream_goes_on() {
    let mut call = Call::new(Suite::AesCm128HmacSha1_80);
    let mut heard = Vec::new();
    for round in 0..5u8 {
        for _ in 0..25 {
            call.hear();
            heard.extend(call.run(20));
        }
        // Packets that were under way when the keys changed.
        let under_way: Vec<_> = (0..3).map(|_| call.next(0, &[0x55; 160])).collect();
        let suite = if round % 2 == 0 {
            Suite::AeadAes256Gcm
        } else {
            Suite::AesCm128HmacSha1_32
        };
        call.agree(Some((suite, 10 + round, 20 + round)));
        for packet in under_way {
            call.take(&packet);
        }
    }
    let sequences: Vec<_> = heard
        .into_iter()
        .map(|packet| {
            let packet = packet.expect("authentic");
            let packet = Packet::decode(&packet).expect("RTP");
            assert_eq!(packet.ssrc, 1);
            packet.sequence
        })
        .collect();
    assert!(
        sequences
            .windows(2)
            .all(|pair| pair[1] == pair[0].wrapping_add(1))
    );
    let stats = call.leg.stats();
    assert_eq!((stats.received_packets, stats.received_lost), (140, 0));
    assert_eq!(stats.received_unauthenticated, 0);
}

#[test]
fn the_same_keys_again_do_not_begin_anew() {
    let mut call = Call::new(Suite::AesCm128HmacSha1_80);
    let packet = call.next(0, &[0x55; 160]);
    call.take(&packet);
    for _ in 0..100 {
        call.run(20);
        call.leg.set_remote(
            call.now,
            &remote(Some(keys(Suite::AesCm128HmacSha1_80, 1, 2))),
        );
    }
    // Our numbers have rolled over meanwhile; the peer counted on.
    assert!(call.run(100).into_iter().all(|packet| packet.is_ok()));
    call.take(&packet);
    assert_eq!(call.leg.stats().received_replayed, 1);
}

#[test]
fn a_call_that_becomes_plain_lets_no_noise_through() {
    let mut call = Call::new(Suite::AesCm128HmacSha1_80);
    call.hear();
    let under_way = call.next(0, &[0x55; 160]);
    assert!(call.leg.is_secured());
    call.agree(None);
    assert!(!call.leg.is_secured());
    call.take(&under_way);
    call.take(&under_way);
    call.hear();
    let stats = call.leg.stats();
    assert_eq!((stats.received_packets, stats.received_replayed), (3, 1));
    assert_eq!(stats.received_bytes, 3 * 160);
}
