//! A leg that speaks G.722, on a virtual clock.
use offhook_media::claim::Policy;
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Decoder, Encoder};
use offhook_media::leg::{Leg, LegConfig, LegEvent, LegSink, RemoteMedia, UplinkFrame};
use offhook_media::playout::{MarkId, PlayoutConfig};
use offhook_media::rtp::{Header, Packet};
use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::time::Duration;

const START: Time = Time::from_millis(5_000);

fn at(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

#[derive(Default)]
struct Sink {
    now: Time,
    sent: Vec<(Time, Vec<u8>)>,
    heard: Vec<(u64, u32, Vec<i16>)>,
    marks: Vec<(Time, MarkId)>,
}

impl LegSink for Sink {
    fn audio(&mut self, frame: UplinkFrame<'_>) {
        self.heard
            .push((frame.position, frame.rate, frame.pcm.to_vec()));
    }
    fn send_rtp(&mut self, _to: SocketAddr, packet: &[u8]) {
        self.sent.push((self.now, packet.to_vec()));
    }
    fn send_rtcp(&mut self, _to: SocketAddr, _packet: &[u8]) {}
    fn event(&mut self, _event: LegEvent) {}
    fn mark(&mut self, mark: MarkId) {
        self.marks.push((self.now, mark));
    }
}

impl Sink {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.sent
            .iter()
            .map(|(_, bytes)| Packet::decode(bytes).expect("our own"))
    }

    /// What the far end hears: one decoder for all that was ever sent.
    fn far_end(&self) -> Vec<i16> {
        let mut decoder = Decoder::new(Codec::G722);
        self.packets()
            .filter(|packet| packet.payload_type == 9)
            .flat_map(|packet| {
                let mut out = vec![0; 2 * packet.payload.len()];
                decoder.decode(packet.payload, &mut out);
                out
            })
            .collect()
    }
}

struct Call {
    leg: Leg,
    sink: Sink,
}

fn remote(ptime_ms: u32) -> RemoteMedia {
    RemoteMedia {
        receive_types: vec![(9, Codec::G722), (0, Codec::Pcmu)],
        dtmf_send: Some(101),
        dtmf_receive: vec![101],
        ptime_ms,
        ..RemoteMedia::plain(
            "192.0.2.9:4000".parse().expect("an address"),
            9,
            Codec::G722,
        )
    }
}

impl Call {
    fn new(ptime_ms: u32) -> Self {
        let mut leg = Leg::new(
            LegConfig {
                ssrc: 1,
                first_sequence: 65_535,
                first_timestamp: 0,
                seed: 1,
                cname: "call@offhook".into(),
                ntp_at_zero: 0,
                media_timeout: None,
                drain_linger: Duration::ZERO,
                policy: Policy {
                    signalling: "192.0.2.9".parse().expect("an address"),
                    media_allow: Vec::new(),
                    nat: false,
                    loopback: false,
                },
                playout: PlayoutConfig::default(),
            },
            START,
        );
        leg.set_remote(START, &remote(ptime_ms));
        leg.start(START, None);
        leg.release(START);
        Call {
            leg,
            sink: Sink::default(),
        }
    }

    fn run(&mut self, until: Time) {
        while let Some(due) = self.leg.next_timeout().filter(|&due| due <= until) {
            self.sink.now = due.max(self.sink.now);
            self.leg.handle_timeout(self.sink.now, &mut self.sink);
        }
        self.sink.now = until;
    }

    /// Pushes linear sound at 16 kHz, all at once.
    fn push(&mut self, now: Time, pcm: &[i16]) {
        self.run(now);
        let bytes: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        assert_eq!(self.leg.playout().push(now, &bytes), bytes.len());
        self.leg.handle_timeout(now, &mut self.sink);
    }
}

fn tone(hertz: f64, millis: usize) -> Vec<i16> {
    (0..16 * millis)
        .map(|n| (9_000.0 * (TAU * hertz * n as f64 / 16_000.0).sin()) as i16)
        .collect()
}

/// The loudness of one frequency in a stretch of sound, in dB of full scale.
fn level(pcm: &[i16], hertz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &sample) in pcm.iter().enumerate() {
        let angle = TAU * hertz * n as f64 / 16_000.0;
        re += f64::from(sample) * angle.cos();
        im += f64::from(sample) * angle.sin();
    }
    20.0 * (2.0 * re.hypot(im) / pcm.len() as f64 / 32_768.0).log10()
}

#[test]
fn packets_count_ticks_of_8000_and_hold_sound_of_16_khz() {
    for ptime_ms in [10, 20, 30, 60] {
        let mut call = Call::new(ptime_ms);
        call.push(at(100), &tone(6_000.0, 1_000));
        call.run(at(1_500));
        for packet in call.sink.packets() {
            assert_eq!(packet.payload.len(), 8 * ptime_ms as usize);
        }
        let packets: Vec<Packet<'_>> = call.sink.packets().collect();
        for pair in packets.windows(2) {
            let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
            assert!(step == 8 * ptime_ms || pair[1].marker && step > 8 * ptime_ms);
        }
        let far = call.sink.far_end();
        // 6 kHz is there, which no narrow band carries: -11 dB of full scale.
        assert!((level(&far[8_000..16_000], 6_000.0) + 11.2).abs() < 1.0);
    }
}

#[test]
fn neither_silence_nor_clear_nor_digits_make_the_far_decoder_lose_its_way() {
    let mut call = Call::new(20);
    let mut now = 100;
    for round in 0..20 {
        call.push(at(now), &tone(1_000.0 + 100.0 * f64::from(round), 700));
        call.run(at(now + 333));
        let cleared = call.leg.playout().clear(at(now + 333), drop);
        assert_eq!(cleared.played_ms + cleared.dropped_ms, 700);
        assert_eq!(cleared.played_ms % 20, 0);
        if round % 4 == 0 {
            assert_eq!(call.leg.send_dtmf("5"), 1);
        }
        now += 700;
    }
    call.push(at(now), &tone(3_000.0, 500));
    call.run(at(now + 450));
    // The far end has decoded all of it in one go, and hears the last tone as clean as a first one.
    let far = call.sink.far_end();
    let last = &far[far.len() - 4_800..far.len() - 1_600];
    assert!((level(last, 3_000.0) + 11.2).abs() < 0.5);
    for other in [1_000.0, 2_900.0, 5_000.0, 7_000.0] {
        assert!(
            level(last, other) < -50.0,
            "{other} Hz: {}",
            level(last, other)
        );
    }
}

#[test]
fn what_is_sent_is_what_one_encoder_makes_of_silence_and_sound() {
    let mut call = Call::new(20);
    let said = tone(800.0, 200);
    call.push(at(110), &said);
    call.run(at(600));
    let packets: Vec<Packet<'_>> = call.sink.packets().collect();
    let first = packets
        .iter()
        .position(|packet| packet.marker)
        .expect("a talkspurt");
    let mut pcm = vec![0; first * 320];
    pcm.extend_from_slice(&said);
    let mut payload = vec![0; pcm.len() / 2];
    Encoder::new(Codec::G722).encode(&pcm, &mut payload);
    let sent: Vec<u8> = packets
        .iter()
        .flat_map(|packet| packet.payload.iter().copied())
        .take(payload.len())
        .collect();
    assert_eq!(sent, payload);
}

#[test]
fn milliseconds_and_marks_are_exact_at_16_khz() {
    let mut call = Call::new(30);
    call.push(at(100), &tone(500.0, 45));
    call.leg.playout().push_mark(MarkId(1));
    call.push(at(100), &tone(500.0, 105));
    call.leg.playout().push_mark(MarkId(2));
    call.run(at(170));
    assert_eq!(call.sink.marks.len(), 1, "45 ms are in the second packet");
    call.run(at(190));
    let cleared = call.leg.playout().clear(at(190), drop);
    assert_eq!((cleared.played_ms, cleared.dropped_ms), (120, 30));
    assert_eq!(cleared.played_samples, 120 * 16);
}

#[test]
fn a_change_of_codec_takes_along_what_waits() {
    let mut call = Call::new(20);
    call.push(at(100), &tone(1_000.0, 1_000));
    call.leg.playout().push_mark(MarkId(1));
    call.run(at(300));
    let narrow = RemoteMedia {
        codec: Codec::Pcmu,
        payload_type: 0,
        ..remote(20)
    };
    let before = call.sink.sent.len();
    call.leg.set_remote(at(300), &narrow);
    call.run(at(700));
    call.leg.set_remote(at(700), &remote(20));
    call.run(at(2_000));
    assert_eq!(call.sink.marks.len(), 1, "the mark behind it fires");
    let types: Vec<u8> = call
        .sink
        .packets()
        .skip(before)
        .map(|packet| packet.payload_type)
        .collect();
    assert!(types.starts_with(&[0; 20]) && types.ends_with(&[9; 60]));
    let steps = call.sink.packets().zip(call.sink.packets().skip(1));
    for (before, packet) in steps.filter(|(_, packet)| !packet.marker) {
        assert_eq!(packet.timestamp.wrapping_sub(before.timestamp), 160);
    }
    let cleared = call.leg.playout().clear(at(2_000), drop);
    assert_eq!((cleared.played_ms, cleared.dropped_ms), (1_000, 0));
}

#[test]
fn an_echo_comes_back_whatever_codec_the_peer_sends() {
    for (payload_type, codec) in [(9, Codec::G722), (0, Codec::Pcmu)] {
        let mut call = Call::new(20);
        call.leg.set_echo(true);
        let rate = f64::from(codec.sample_rate());
        let pcm: Vec<i16> = (0..codec.samples_of_ticks(160 * 100))
            .map(|n| (9_000.0 * (TAU * 1_500.0 * n as f64 / rate).sin()) as i16)
            .collect();
        let mut payload = vec![0; 160 * 100];
        assert_eq!(Encoder::new(codec).encode(&pcm, &mut payload), 16_000);
        for (n, payload) in payload.chunks(160).enumerate() {
            let header = Header {
                marker: false,
                payload_type,
                sequence: n as u16,
                timestamp: 160 * n as u32,
                ssrc: 9,
            };
            let packet = [&header.encode()[..], payload].concat();
            let now = at(100 + 20 * n as u64);
            call.run(now);
            let source = "192.0.2.9:4000".parse().expect("an address");
            call.leg.handle_rtp(now, source, &packet, &mut call.sink);
        }
        call.run(at(2_100));
        let far = call.sink.far_end();
        let middle = &far[16_000..24_000];
        assert!((level(middle, 1_500.0) + 11.2).abs() < 0.5, "{codec:?}");
        // The timeline counts ticks of 8000 whatever the codec.
        let mut expected = 0;
        for (position, rate, sound) in &call.sink.heard {
            assert_eq!(*position, expected);
            expected += sound.len() as u64 * 8_000 / u64::from(*rate);
        }
    }
}
