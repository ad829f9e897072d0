//! Clocks that differ by 200 ppm, for hours of virtual time: nothing runs away and nothing runs dry, on any way through a leg.
//!
//! The buffer of a line that is heard by a person is tested so in `jitter.rs`.
mod support;

use offhook_media::claim::Policy;
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Encoder};
use offhook_media::leg::{Leg, LegConfig, LegEvent, LegSink, RemoteMedia, UplinkFrame};
use offhook_media::order::{Content, Queued};
use offhook_media::playout::{MAX_FRAME, MarkId, Playout, PlayoutConfig};
use offhook_media::rtp::Header;
use offhook_media::uplink::{Fill, Uplink};
use std::net::SocketAddr;
use std::time::Duration;
use support::{Network, voice};

const START: Time = Time::from_millis(5_000);
const FRAME: Duration = Duration::from_millis(20);
const HOURS: u32 = 3_600 * 50;

/// Four hours, or an hour of what takes long where not all is to be proven.
fn long() -> u32 {
    match std::env::var("OFFHOOK_PROVE").as_deref() {
        Ok("1") => 4 * HOURS,
        _ => HOURS,
    }
}

fn network(skew_ppm: f64) -> Network {
    Network {
        skew_ppm,
        jitter: Duration::from_millis(3),
        ..Network::default()
    }
}

/// Half a minute of something like a voice, in frames of µ-law.
fn frames() -> Vec<u8> {
    let sound = voice(8_000, 30.0, 5);
    let louder: Vec<i16> = sound
        .iter()
        .map(|sample| sample.saturating_mul(4))
        .collect();
    let mut payload = vec![0; sound.len()];
    Encoder::new(Codec::Pcmu).encode(&louder, &mut payload);
    payload
}

fn frame(payload: &[u8], number: u32) -> &[u8] {
    let at = number as usize * 160 % payload.len();
    &payload[at..at + 160]
}

#[test]
fn what_the_agent_hears_is_what_was_said_and_nothing_is_put_in_or_left_out() {
    let payload = frames();
    for skew in [-200.0, 200.0] {
        let mut uplink = Uplink::new(Codec::Pcmu);
        uplink.start(START);
        let mut made = 0u64;
        let arrivals = network(skew).carry(START, FRAME, 4 * HOURS);
        for arrival in &arrivals {
            let count = &mut |frame: UplinkFrame<'_>| made += u64::from(frame.fill != Fill::Heard);
            while let Some(due) = uplink.next_timeout().filter(|&due| due <= arrival.at) {
                uplink.handle_timeout(due, count);
            }
            let packet = Queued {
                sequence: arrival.number as u16,
                timestamp: arrival.number.wrapping_mul(160),
                marker: false,
                content: Content::Sound(Codec::Pcmu),
                payload: frame(&payload, arrival.number),
                missing: 0,
            };
            uplink.receive(arrival.at, packet, count);
        }
        assert_eq!(uplink.position(), arrivals.len() as u64 * 160, "{skew}");
        assert_eq!(
            (made, uplink.counts().jumps, uplink.counts().late),
            (0, 0, 0)
        );
    }
}

#[test]
fn an_agent_that_never_stops_is_not_heard_later_and_later() {
    let payload = frames();
    for skew in [-200.0, 200.0] {
        let mut playout = Playout::new(PlayoutConfig::default());
        playout.start(START);
        playout.set_open(true);
        let mut most = 0;
        let mut out = [0; MAX_FRAME];
        for arrival in network(skew).carry(START, FRAME, 4 * HOURS) {
            while let Some(due) = playout.next_timeout().filter(|&due| due <= arrival.at) {
                while playout.poll(due, &mut out).is_some() {}
            }
            playout.push(arrival.at, frame(&payload, arrival.number));
            while playout.poll(arrival.at, &mut out).is_some() {}
            most = most.max(playout.waiting_samples());
        }
        let counts = playout.counts();
        assert!(most <= 8 * 160, "{skew}: {most}");
        assert!(
            counts.underruns <= 4 * HOURS as u64 / 5_000 / 4,
            "{counts:?}"
        );
    }
}

#[test]
fn what_an_agent_sent_ahead_stays_while_its_clock_is_followed() {
    let payload = frames();
    let mut playout = Playout::new(PlayoutConfig::default());
    playout.start(START);
    playout.set_open(true);
    let mut out = [0; MAX_FRAME];
    playout.push(START, &payload[..400 * 8]);
    let (mut least, mut most) = (u64::MAX, 0);
    for arrival in network(200.0).carry(START, FRAME, 4 * HOURS) {
        while let Some(due) = playout.next_timeout().filter(|&due| due <= arrival.at) {
            while playout.poll(due, &mut out).is_some() {}
        }
        if arrival.number > 100 {
            least = least.min(playout.waiting_samples());
        }
        playout.push(arrival.at, frame(&payload, arrival.number));
        most = most.max(playout.waiting_samples());
    }
    assert!(least >= 340 * 8 && most <= 540 * 8, "{least} to {most}");
}

#[derive(Default)]
struct Sink {
    sent: u64,
}

impl LegSink for Sink {
    fn audio(&mut self, _frame: UplinkFrame<'_>) {}
    fn send_rtp(&mut self, _to: SocketAddr, _packet: &[u8]) {
        self.sent += 1;
    }
    fn send_rtcp(&mut self, _to: SocketAddr, _packet: &[u8]) {}
    fn event(&mut self, _event: LegEvent) {}
    fn mark(&mut self, _mark: MarkId) {}
}

#[test]
fn an_echo_neither_falls_behind_nor_breaks_up() {
    let (payload, count) = (frames(), long());
    let peer: SocketAddr = "192.0.2.9:4000".parse().expect("an address");
    for skew in [-200.0, 200.0] {
        let config = LegConfig {
            ssrc: 1,
            first_sequence: 0,
            first_timestamp: 0,
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
        let remote = RemoteMedia::plain(peer, 0, Codec::Pcmu);
        let mut leg = Leg::new(config, START);
        leg.set_remote(START, &remote);
        leg.set_echo(true);
        leg.start(START, None);
        leg.release(START);
        let mut sink = Sink::default();
        let mut most = 0;
        for arrival in network(skew).carry(START, FRAME, count) {
            while let Some(due) = leg.next_timeout().filter(|&due| due <= arrival.at) {
                leg.handle_timeout(due, &mut sink);
            }
            let header = Header {
                marker: false,
                payload_type: 0,
                sequence: arrival.number as u16,
                timestamp: arrival.number.wrapping_mul(160),
                ssrc: 7,
            };
            let mut packet = [0; 172];
            packet[..12].copy_from_slice(&header.encode());
            packet[12..].copy_from_slice(frame(&payload, arrival.number));
            leg.handle_rtp(arrival.at, peer, &packet, &mut sink);
            if arrival.number > 500 {
                let waits = leg.playout_state().waiting_samples() / 8 * 1_000;
                most = most.max(leg.stats().jitter_delay_us + waits);
            }
        }
        let stats = leg.stats();
        assert!(most <= 80_000, "{skew}: {most} us");
        assert_eq!((stats.jitter_dropped, stats.jitter_late), (0, 0), "{skew}");
        assert_eq!(stats.jitter_concealed_frames, 0, "{skew}");
        assert_eq!(stats.playout_underruns, 0, "{skew}");
        assert!(sink.sent.abs_diff(count.into()) < 300, "{}", sink.sent);
    }
}
