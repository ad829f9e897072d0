//! A line that is nowhere: two engines in memory, a network between them, and time as an argument.
mod support;

use offhook_media::claim::Policy;
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, opus};
use offhook_media::engine::{
    Engine, EngineSettings, Event, LegHandle, LegSettings, PortRange, What,
};
use offhook_media::leg::{DtmfBy, DtmfTones, RemoteMedia};
use offhook_media::rehearsal::{Line, NetworkProfile};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const START: Time = Time::from_millis(1_000_000);

fn settings(address: &str) -> EngineSettings {
    EngineSettings {
        addresses: vec![address.parse().expect("an address")],
        ports: PortRange {
            min: 30_000,
            max: 30_003,
        },
        threads: 1,
        quarantine: Duration::ZERO,
        dscp: 0,
        receive_buffer: 65_536,
        max_legs: 2,
        max_wires: 2,
        event_limit: 10_000,
        dial_threads: 1,
        dial_queue: 1,
        speech_weights: None,
    }
}

fn agreed(peer: SocketAddr) -> (RemoteMedia, Policy) {
    let media = RemoteMedia {
        rtp: Some(peer),
        rtcp: None,
        rtcp_mux: false,
        codec: Codec::Pcmu,
        payload_type: 0,
        receive_types: vec![(0, Codec::Pcmu)],
        dtmf_send: Some(101),
        dtmf_receive: vec![101],
        dtmf_by: DtmfBy::Event,
        dtmf_tones: DtmfTones::Ignored,
        comfort_noise: None,
        ptime_ms: 20,
        opus: opus::Settings::default(),
        send: true,
        receive: true,
        hold: false,
        srtp: None,
    };
    (media, policy(peer.ip()))
}

fn policy(signalling: IpAddr) -> Policy {
    Policy {
        signalling,
        media_allow: vec![],
        nat: false,
        loopback: false,
    }
}

fn leg(engine: &Engine, peer: &str) -> LegHandle {
    let settings = LegSettings {
        policy: Some(policy(peer.parse().expect("an address"))),
        playout_limit: Duration::from_secs(60),
        ..LegSettings::default()
    };
    engine.open_leg(&settings, None).expect("a leg")
}

struct Call {
    line: Line,
    gateway: LegHandle,
    phone: LegHandle,
}

impl Call {
    fn new(profile: NetworkProfile, seed: u64) -> Self {
        let (near, far) = (settings("10.0.0.1"), settings("10.0.0.2"));
        let line = Line::new(near, far, profile, seed, START).expect("a line");
        let phone = leg(line.phone(), "10.0.0.1");
        let gateway = leg(line.gateway(), "10.0.0.2");
        for (own, peer) in [(&phone, &gateway), (&gateway, &phone)] {
            let (media, policy) = agreed(peer.local_address());
            own.set_remote(media, policy).expect("set");
            own.start(Some(Duration::ZERO)).expect("started");
            own.tap(true).expect("tapped");
        }
        Self {
            line,
            gateway,
            phone,
        }
    }

    /// Let time pass up to so much after the start; what the gateway and the phone told.
    fn run(&mut self, until: Duration) -> (Vec<Event>, Vec<Event>) {
        let until = START + until;
        let (mut of_gateway, mut of_phone) = (Vec::new(), Vec::new());
        while self.line.run(until) < until {
            of_gateway.extend(self.line.gateway().drain_events(1_000));
            of_phone.extend(self.line.phone().drain_events(1_000));
        }
        of_gateway.extend(self.line.gateway().drain_events(1_000));
        of_phone.extend(self.line.phone().drain_events(1_000));
        (of_gateway, of_phone)
    }
}

fn pcm(samples: &[i16]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect()
}

/// The sound that was tapped, and when its first loud frame was told.
fn heard(events: &[Event]) -> (Vec<i16>, Option<Time>) {
    let (mut sound, mut loud) = (Vec::new(), None);
    for event in events {
        if let What::Audio { pcm16, .. } = &event.what {
            let frame: Vec<i16> = pcm16
                .chunks_exact(2)
                .map(|sample| i16::from_le_bytes([sample[0], sample[1]]))
                .collect();
            if support::level(&frame) > 1_000.0 {
                loud = loud.or(Some(event.at));
            }
            sound.extend(frame);
        }
    }
    (sound, loud)
}

#[test]
fn what_the_phone_plays_is_heard_at_the_gateway_a_line_later() {
    let mut call = Call::new(NetworkProfile::default(), 1);
    call.run(Duration::from_millis(500));
    let tone = support::tone(8_000, 440.0, 8_000.0, 8_000);
    call.phone
        .play(pcm(&tone), 8_000, Some("end".to_owned()))
        .expect("played");
    let (of_gateway, of_phone) = call.run(Duration::from_millis(2_000));
    let (sound, loud) = heard(&of_gateway);
    let delay = loud.expect("heard") - START - Duration::from_millis(500);
    assert!(
        (Duration::from_millis(20)..=Duration::from_millis(60)).contains(&delay),
        "{delay:?}"
    );
    let (strength, _) = support::spectrum_line(&sound[2_400..6_400], 8_000, 440.0);
    assert!(strength > 7_000.0, "{strength}");
    let mark = of_phone.iter().find(|event| event.what.kind() == "mark");
    let left = mark.expect("told").at - START;
    assert!(
        (Duration::from_millis(1_460)..=Duration::from_millis(1_540)).contains(&left),
        "{left:?}"
    );
}

#[test]
fn digits_and_sound_go_both_ways() {
    let mut call = Call::new(NetworkProfile::default(), 1);
    call.gateway.send_dtmf("12").expect("sent");
    let tone = support::tone(8_000, 440.0, 8_000.0, 4_000);
    call.phone.send_dtmf("9").expect("sent");
    let digits = |events: &[Event]| -> String {
        let digits = events.iter().filter_map(|event| match event.what {
            What::Digit { digit, .. } => Some(digit),
            _ => None,
        });
        digits.flatten().collect()
    };
    let (of_gateway, of_phone) = call.run(Duration::from_secs(2));
    assert_eq!((&*digits(&of_gateway), &*digits(&of_phone)), ("9", "12"));
    call.gateway.play(pcm(&tone), 8_000, None).expect("played");
    let (_, of_phone) = call.run(Duration::from_secs(4));
    assert!(heard(&of_phone).1.is_some());
}

#[test]
fn one_seed_is_one_call() {
    let told = |seed| {
        let profile = NetworkProfile {
            jitter: Duration::from_millis(20),
            loss: 0.1,
            burst: 2.0,
            ..NetworkProfile::default()
        };
        let mut call = Call::new(profile, seed);
        let voice = support::voice(8_000, 4.0, 3);
        call.phone.play(pcm(&voice), 8_000, None).expect("played");
        let (of_gateway, _) = call.run(Duration::from_secs(5));
        let carried = call.line.carriage().0;
        (heard(&of_gateway), (carried.sent, carried.lost))
    };
    assert_eq!(told(1), told(1));
    let ((sound, _), (sent, lost)) = told(1);
    assert!(sound.len() > 8_000 * 4 && sent > 200 && lost > 5);
    assert_ne!(told(1).1, told(2).1);
}

#[test]
fn an_engine_in_memory_ends_when_it_is_told_to_and_says_so() {
    let mut call = Call::new(NetworkProfile::default(), 1);
    call.run(Duration::from_millis(100));
    assert_eq!(call.line.gateway().stats().driver, "memory");
    assert_eq!(call.line.gateway().stats().legs, 1);
    call.line.gateway().close();
    assert_eq!(call.line.gateway().stats().legs, 0);
    let (_, of_phone) = call.run(Duration::from_millis(400));
    assert!(heard(&of_phone).0.iter().all(|&sample| sample.abs() < 100));
}
