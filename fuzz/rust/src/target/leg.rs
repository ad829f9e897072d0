//! A whole RTP leg: any packets from the peer, any commands, any pauses of the machine.
use crate::mutate::mutate;
use crate::random::Random;
use offhook_media::claim::{Policy, is_sendable};
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, opus};
use offhook_media::leg::{
    DtmfBy, DtmfTones, Fill, Leg, LegConfig, LegEvent, LegSink, RemoteMedia, UplinkFrame,
};
use offhook_media::playout::{MarkId, PlayoutConfig};
use offhook_media::rtcp::Compound;
use offhook_media::rtp::{Header, Packet};
use offhook_media::telephone_event::Digit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const SSRC: u32 = 0x0ff0_0001;

/// What a leg sent and told, judged as it comes.
struct Watch {
    loopback: bool,
    next_sequence: u16,
    position: u64,
    heard: u32,
    sent: u64,
    drained: u32,
    timeouts: u32,
    next_mark: u64,
}

impl LegSink for Watch {
    fn audio(&mut self, frame: UplinkFrame<'_>) {
        assert_eq!(
            frame.position, self.position,
            "a hole or an overlap in the caller's sound"
        );
        self.position += frame.pcm.len() as u64 * 8_000 / u64::from(frame.rate);
        self.heard += u32::from(frame.fill == Fill::Heard);
    }
    fn keep_open(&mut self, to: SocketAddr) {
        assert!(is_sendable(to, self.loopback), "an empty datagram to {to}");
    }
    fn send_rtp(&mut self, to: SocketAddr, packet: &[u8]) {
        assert!(is_sendable(to, self.loopback), "RTP to {to}");
        let packet = Packet::decode(packet).expect("what we send");
        assert_eq!(packet.ssrc, SSRC, "our source id has changed");
        assert_eq!(
            packet.sequence, self.next_sequence,
            "our sequence has a hole"
        );
        assert!(!packet.payload.is_empty() && packet.payload.len() <= 480);
        self.next_sequence = self.next_sequence.wrapping_add(1);
        self.sent += 1;
    }
    fn send_rtcp(&mut self, to: SocketAddr, packet: &[u8]) {
        assert!(is_sendable(to, self.loopback), "RTCP to {to}");
        Compound::decode(packet).expect("what we report");
    }
    fn event(&mut self, event: LegEvent) {
        match event {
            LegEvent::Drained => self.drained += 1,
            LegEvent::MediaTimeout => self.timeouts += 1,
            _ => {}
        }
    }
    fn mark(&mut self, mark: MarkId) {
        assert!(mark.0 >= self.next_mark, "marks out of order");
        self.next_mark = mark.0 + 1;
    }
}

fn remote(random: &mut Random) -> RemoteMedia {
    let address = |random: &mut Random| {
        let ip = *random.pick(&[
            [192, 0, 2, 1],
            [127, 0, 0, 1],
            [10, 1, 1, 1],
            [0, 0, 0, 0],
            [239, 1, 1, 1],
        ]);
        SocketAddr::new(
            IpAddr::V4(Ipv4Addr::from(ip)),
            *random.pick(&[0, 4_000, 65_535]),
        )
    };
    RemoteMedia {
        rtp: (!random.once_in(8)).then(|| address(random)),
        rtcp: random.once_in(3).then(|| address(random)),
        rtcp_mux: random.once_in(2),
        codec: *random.pick(&Codec::ALL),
        payload_type: *random.pick(&[0, 8, 96, 127]),
        receive_types: vec![
            (0, Codec::Pcmu),
            (8, Codec::Pcma),
            (9, Codec::G722),
            (random.next() as u8, *random.pick(&Codec::ALL)),
        ],
        dtmf_send: random.once_in(2).then(|| random.next() as u8 & 0x7f),
        dtmf_receive: (0..random.below(12)).map(|_| random.next() as u8).collect(),
        dtmf_by: *random.pick(&[DtmfBy::Event, DtmfBy::Tone, DtmfBy::Info]),
        dtmf_tones: *random.pick(&[DtmfTones::Ignored, DtmfTones::Heard, DtmfTones::Removed]),
        comfort_noise: random.once_in(2).then_some(13),
        opus: opus::Settings {
            dtx: random.once_in(2),
            ..opus::Settings::default()
        },
        ptime_ms: *random.pick(&[0, 10, 20, 20, 30, 60, 4_000]),
        send: !random.once_in(5),
        receive: !random.once_in(5),
        hold: random.once_in(5),
        srtp: None,
    }
}

/// Our stream is one stream, the caller's timeline has no holes, no packet goes where none may, and timers always advance.
pub fn run(random: &mut Random) {
    let loopback = random.once_in(2);
    let first_sequence = random.next() as u16;
    let mut now = Time::from_millis(1_000);
    let mut leg = Leg::new(
        LegConfig {
            ssrc: SSRC,
            first_sequence,
            first_timestamp: random.next() as u32,
            seed: random.next(),
            cname: "fuzz".into(),
            ntp_at_zero: random.next(),
            media_timeout: (!random.once_in(3)).then(|| Duration::from_secs(60)),
            drain_linger: Duration::from_millis(60),
            policy: Policy {
                signalling: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
                media_allow: vec![],
                nat: random.once_in(2),
                loopback,
            },
            playout: PlayoutConfig::default(),
        },
        now,
    );
    let mut watch = Watch {
        loopback,
        next_sequence: first_sequence,
        position: 0,
        heard: 0,
        sent: 0,
        drained: 0,
        timeouts: 0,
        next_mark: 0,
    };
    let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4_000);
    let mut header = Header {
        marker: false,
        payload_type: 0,
        sequence: random.next() as u16,
        timestamp: random.next() as u32,
        ssrc: random.next() as u32,
    };
    let mut marks = 0;
    for _ in 0..300 {
        match random.below(24) {
            0 => leg.set_remote(now, &remote(random)),
            1 => leg.start(now, random.once_in(2).then(|| Duration::from_millis(300))),
            2 => leg.release(now),
            3 if random.once_in(4) => leg.set_echo(random.once_in(2)),
            4 if random.once_in(4) => leg.drain(),
            5 => {
                _ = leg.send_dtmf(random.pick::<&str>(&["1", "0123456789ABCD*#", "x\u{663}", ""]));
            }
            6 if random.once_in(3) => leg.watch_tones(random.once_in(2)),
            6 if random.once_in(2) => {
                let digit = Digit::from_event(random.below(17) as u8).expect("a key");
                let lasted = Duration::from_millis(random.below(9_000) as u64);
                leg.press(now, digit, lasted, &mut watch);
            }
            6 => leg.follow(now, source, &mut watch),
            7 => leg.follow_rtcp(source),
            8 => now += Duration::from_millis(random.below(4_000) as u64),
            9 if random.once_in(10) => now += Duration::from_secs(random.below(100_000) as u64),
            10 => _ = leg.playout().clear(now, |_| {}),
            11 => {
                if leg.playout().push_mark(MarkId(marks)) {
                    marks += 1;
                }
            }
            12 | 13 => {
                let length = *random.pick(&[160, 800, 3, 16_000]);
                leg.playout().push(now, &random.bytes(length));
            }
            14 => {
                let seed: &[u8] = b"\x80\xc8\x00\x06\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\
                    \x00\x00\x00\x06\x81\xcb\x00\x01\x00\x00\x00\x01";
                leg.handle_rtcp(
                    now,
                    source,
                    &mutate(seed, &[b"\x81\xc9\x00\x07"], random, 1_500),
                    &mut watch,
                );
            }
            15 => {
                let length = random.below(40);
                leg.handle_rtp(now, source, &random.bytes(length), &mut watch);
            }
            16 => header.ssrc = random.next() as u32,
            17 => {
                (header.sequence, header.timestamp) = (random.next() as u16, random.next() as u32)
            }
            _ => {
                header.payload_type = *random.pick(&[0, 0, 0, 0, 8, 101, 13, 77]);
                header.marker = random.once_in(10);
                let length = if header.payload_type == 101 {
                    4
                } else {
                    *random.pick(&[160, 160, 80, 240, 0, 1_400])
                };
                let payload = random.bytes(length);
                let mut packet = [&header.encode()[..], &payload].concat();
                if random.once_in(12) {
                    packet = mutate(&packet, &[], random, 2_100);
                }
                leg.handle_rtp(now, source, &packet, &mut watch);
                header.sequence = header.sequence.wrapping_add(1);
                header.timestamp = header.timestamp.wrapping_add(160);
                now += Duration::from_millis(*random.pick(&[0, 20, 20, 25]));
            }
        }
        let sent = watch.sent;
        for turns in 0.. {
            if leg.next_timeout().is_none_or(|at| at > now) {
                break;
            }
            assert!(turns < 100, "a timeout that was due stands");
            leg.handle_timeout(now, &mut watch);
        }
        assert!(
            watch.sent - sent < 200,
            "{} packets at once",
            watch.sent - sent
        );
    }
    is_heard_in_the_end(&mut leg, now, &mut watch, &mut header);
    leg.close(now, &mut watch);
    let _ = leg.stats();
}

/// Whatever came before: a peer that is asked for its sound, and begins to speak, is heard from its first packet on.
fn is_heard_in_the_end(leg: &mut Leg, now: Time, watch: &mut Watch, header: &mut Header) {
    let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4_000);
    leg.set_remote(now, &RemoteMedia::plain(source, 0, Codec::Pcmu));
    leg.start(now, None);
    let begins = now + Duration::from_millis(500);
    (header.payload_type, header.ssrc) = (0, header.ssrc ^ 1);
    let before = watch.heard;
    for n in 0..20 {
        let now = begins + Duration::from_millis(20 * n);
        while leg.next_timeout().is_some_and(|at| at <= now) {
            leg.handle_timeout(now, watch);
        }
        let mut packet = header.encode().to_vec();
        packet.extend((0..160).map(|n| if n % 8 < 4 { 0x10 } else { 0x90 }));
        leg.handle_rtp(now, source, &packet, watch);
        header.sequence = header.sequence.wrapping_add(1);
        header.timestamp = header.timestamp.wrapping_add(160);
    }
    assert!(
        watch.heard - before >= 20,
        "{} of 20 heard",
        watch.heard - before
    );
}
