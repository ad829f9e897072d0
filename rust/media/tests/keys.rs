//! Keys that are pressed in a call, both ways: by events, by tones, by signalling, and by two of them at once.
use offhook_media::claim::Policy;
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Decoder, Encoder};
use offhook_media::leg::{
    DtmfBy, DtmfTones, Leg, LegConfig, LegEvent, LegSink, RemoteMedia, SentFrame, UplinkFrame,
};
use offhook_media::playout::{MarkId, PlayoutConfig};
use offhook_media::presses::PressedBy;
use offhook_media::rtp::{Header, Packet};
use offhook_media::telephone_event::{Digit, Event, KeyTiming};
use offhook_media::tones::{Likeness, ToneDetector, ToneMaker};
use std::net::SocketAddr;
use std::time::Duration;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Time {
    Time::from_millis(10_000 + millis)
}

fn peer() -> SocketAddr {
    "192.0.2.9:4000".parse().expect("an address")
}

#[derive(Default)]
struct Sink {
    now: Time,
    rtp: Vec<(Time, Vec<u8>)>,
    events: Vec<(Time, LegEvent)>,
    tones: Vec<Likeness>,
    recorded_tones: usize,
}

impl LegSink for Sink {
    fn audio(&mut self, _: UplinkFrame<'_>) {}
    fn tone(&mut self, likeness: Likeness) {
        self.tones.push(likeness);
    }
    fn send_rtp(&mut self, _: SocketAddr, packet: &[u8]) {
        self.rtp.push((self.now, packet.to_vec()));
    }
    fn send_rtcp(&mut self, _: SocketAddr, _: &[u8]) {}
    fn event(&mut self, event: LegEvent) {
        self.events.push((self.now, event));
    }
    fn mark(&mut self, _: MarkId) {}
    fn sent(&mut self, frame: SentFrame<'_>) {
        self.recorded_tones += usize::from(frame.tone);
    }
}

struct Call {
    leg: Leg,
    sink: Sink,
    codec: Codec,
    encoder: Encoder,
    maker: ToneMaker,
    /// Packets of the caller so far, one each 20 ms.
    said: u16,
    /// Those that it did not send, since it had nothing to say.
    unsaid: u16,
    marker: bool,
}

impl Call {
    fn new(codec: Codec, dtmf_by: DtmfBy, dtmf_tones: DtmfTones) -> Self {
        let mut leg = Leg::new(
            LegConfig {
                ssrc: 1,
                first_sequence: 0,
                first_timestamp: 0,
                seed: 7,
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
            },
            at(0),
        );
        let remote = RemoteMedia {
            dtmf_send: Some(101),
            dtmf_receive: vec![101],
            comfort_noise: Some(13),
            dtmf_by,
            dtmf_tones,
            ..RemoteMedia::plain(peer(), 9, codec)
        };
        leg.set_remote(at(0), &remote);
        leg.start(at(0), None);
        leg.release(at(0));
        Call {
            leg,
            sink: Sink::default(),
            codec,
            encoder: Encoder::new(codec),
            maker: ToneMaker::default(),
            said: 0,
            unsaid: 0,
            marker: false,
        }
    }

    fn run(&mut self, until: Time) {
        while let Some(due) = self.leg.next_timeout().filter(|&due| due <= until) {
            self.sink.now = due.max(self.sink.now);
            self.leg.handle_timeout(self.sink.now, &mut self.sink);
        }
        self.sink.now = until;
    }

    fn now(&self) -> Time {
        at(20 * u64::from(self.said))
    }

    fn send(&mut self, payload_type: u8, timestamp: u32, payload: &[u8]) {
        self.run(self.now());
        let header = Header {
            marker: std::mem::take(&mut self.marker),
            payload_type,
            sequence: self.said - self.unsaid,
            timestamp,
            ssrc: 77,
        };
        let mut packet = header.encode().to_vec();
        packet.extend_from_slice(payload);
        self.leg
            .handle_rtp(self.now(), peer(), &packet, &mut self.sink);
        self.said += 1;
    }

    /// The caller is silent, or presses a key whose tone is heard, for so many packets.
    fn says(&mut self, key: Option<char>, packets: u32) {
        let samples = self.codec.sample_rate() as usize / 50;
        for packet in 0..packets {
            let mut pcm = vec![0; samples];
            if let Some(key) = key {
                let digit = Digit::from_char(key).expect("a key");
                let (begins, ends) = (packet == 0, packet + 1 == packets);
                let rate = self.codec.sample_rate();
                self.maker.make(digit, rate, begins, ends, &mut pcm);
            }
            let mut payload = vec![0; 160];
            let len = self.encoder.encode(&pcm, &mut payload);
            let timestamp = 160 * u32::from(self.said);
            self.send(9, timestamp, &payload[..len]);
        }
    }

    /// The caller sends nothing for so many packets, as those do that suppress silence.
    fn pauses(&mut self, packets: u16, marks: bool) {
        self.said += packets;
        self.unsaid += packets;
        self.marker = marks;
    }

    /// So many packets of the caller are lost.
    fn loses(&mut self, packets: u16) {
        self.said += packets;
    }

    /// The caller presses a key by events for so many packets.
    fn keys(&mut self, key: char, packets: u16) {
        let timestamp = 160 * u32::from(self.said);
        for packet in 1..=packets + 2 {
            let event = Event {
                code: Digit::from_char(key).expect("a key").event(),
                end: packet >= packets,
                volume: 10,
                duration: packet.min(packets) * 160,
            };
            self.send(101, timestamp, &event.encode());
        }
    }

    /// The keys that were told, each with its way.
    fn told(&self) -> Vec<(char, PressedBy)> {
        let told = |(_, event): &(Time, LegEvent)| match event {
            LegEvent::Digit { digit, by, .. } => Some((digit.as_char(), *by)),
            _ => None,
        };
        self.sink.events.iter().filter_map(told).collect()
    }

    /// What the peer hears of us.
    fn heard(&self) -> Vec<i16> {
        let mut decoder = Decoder::new(self.codec);
        let mut heard = Vec::new();
        for (_, packet) in &self.sink.rtp {
            let packet = Packet::decode(packet).expect("our own");
            if packet.payload_type == 9 {
                let mut pcm = [0; 960];
                let samples = decoder.decode(packet.payload, &mut pcm);
                heard.extend_from_slice(&pcm[..samples]);
            }
        }
        heard
    }
}

fn keys_in(sound: &[i16], rate: u32) -> String {
    let mut detector = ToneDetector::default();
    let mut keys = String::new();
    detector.hear(sound, rate, false, |press| keys.push(press.digit.as_char()));
    keys
}

#[test]
fn tones_are_told_once_each_in_every_codec_and_are_no_speech() {
    for codec in Codec::BYTE_A_TICK {
        let mut call = Call::new(codec, DtmfBy::Event, DtmfTones::Heard);
        call.says(None, 10);
        for key in "19#D".chars() {
            call.says(Some(key), 5);
            call.says(None, 4);
        }
        let expected: Vec<_> = "19#D".chars().map(|key| (key, PressedBy::Tone)).collect();
        assert_eq!(call.told(), expected, "{codec:?}");
        let speech = |(_, event): &(Time, LegEvent)| matches!(event, LegEvent::Speech(_));
        assert!(!call.sink.events.iter().any(speech), "{codec:?}");
    }
}

#[test]
fn quick_keys_are_told_apart_where_silence_is_not_sent() {
    for codec in Codec::BYTE_A_TICK {
        for (lasts, gap) in [(2, 2), (3, 2), (3, 3), (5, 4), (3, 5), (4, 7), (3, 12)] {
            for way in 0..4 {
                let mut call = Call::new(codec, DtmfBy::Event, DtmfTones::Heard);
                call.says(None, 10);
                for key in "115550".chars() {
                    call.says(Some(key), lasts);
                    match way {
                        0 | 1 => call.pauses(gap, way == 1),
                        2 => {
                            // One of its packets is lost, too.
                            call.says(Some(key), 1);
                            call.loses(1);
                            call.pauses(gap, true);
                        }
                        _ => {
                            let timestamp = 160 * u32::from(call.said);
                            call.send(13, timestamp, &[70]);
                            call.pauses(gap - 1, false);
                        }
                    }
                }
                call.says(None, 10);
                let told: String = call.told().iter().map(|told| told.0).collect();
                assert_eq!(told, "115550", "{codec:?} {lasts} {gap} way {way}");
                for (_, event) in &call.sink.events {
                    if let LegEvent::Digit { duration, .. } = event {
                        let lasted = ms(20 * u64::from(lasts + u32::from(way == 2)));
                        assert!(*duration <= lasted + ms(10), "{duration:?} of {lasted:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_key_of_which_packets_are_lost_is_one_key() {
    for lost in 1..=3 {
        let mut call = Call::new(Codec::Pcmu, DtmfBy::Event, DtmfTones::Heard);
        call.says(None, 10);
        call.says(Some('5'), 4);
        call.loses(lost);
        call.says(Some('5'), 4);
        call.says(None, 10);
        assert_eq!(call.told(), [('5', PressedBy::Tone)], "{lost} lost");
    }
}

#[test]
fn tones_are_sound_where_they_are_not_asked_for() {
    let mut call = Call::new(Codec::Pcmu, DtmfBy::Event, DtmfTones::Ignored);
    call.says(Some('5'), 5);
    call.says(None, 5);
    assert_eq!((call.told(), call.sink.tones.len()), (Vec::new(), 0));
    call.leg.watch_tones(true);
    call.says(Some('5'), 5);
    call.says(None, 5);
    assert_eq!(call.told(), []);
    assert!(
        call.sink.tones.contains(&Likeness::Tone),
        "pointed out, not told"
    );
}

#[test]
fn one_press_by_events_tones_and_signalling_is_one_digit() {
    let mut call = Call::new(Codec::Pcmu, DtmfBy::Event, DtmfTones::Heard);
    call.says(None, 5);
    for _ in 0..2 {
        call.says(Some('7'), 3);
        call.keys('7', 3);
        let now = call.now();
        let seven = Digit::from_char('7').expect("a key");
        call.leg.press(now, seven, ms(160), &mut call.sink);
        call.says(None, 5);
    }
    let keys: String = call.told().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, "77");
    assert_eq!(call.leg.stats().received_double_digits, 4);
}

#[test]
fn keys_go_out_as_tones_that_a_detector_finds_in_every_codec() {
    for codec in Codec::BYTE_A_TICK {
        let mut call = Call::new(codec, DtmfBy::Tone, DtmfTones::Ignored);
        call.run(at(200));
        assert_eq!(call.leg.send_dtmf("159*#0"), 6);
        call.run(at(3_000));
        assert_eq!(keys_in(&call.heard(), codec.sample_rate()), "159*#0");
        let stats = call.leg.stats();
        assert_eq!((stats.sent_digits, stats.sent_tone_packets), (6, 48));
        assert_eq!(call.sink.recorded_tones, 48);
        assert_eq!(call.leg.send_dtmf("!"), 0, "a flash has no tone");
    }
}

#[test]
fn keys_wait_for_the_sound_before_them_and_the_sound_behind_waits_for_them() {
    let mut call = Call::new(Codec::Pcmu, DtmfBy::Event, DtmfTones::Ignored);
    call.run(at(100));
    call.leg.playout().push(at(100), &[1; 1_600]);
    let timing = KeyTiming {
        lasts: ms(100),
        gap: ms(60),
    };
    call.leg.send_dtmf_timed("12", timing);
    call.leg.playout().push(at(100), &[2; 1_600]);
    call.run(at(2_000));
    let mut order = String::new();
    for (_, packet) in &call.sink.rtp {
        let packet = Packet::decode(packet).expect("our own");
        let kind = match (packet.payload_type, packet.payload[0]) {
            (101, key) => char::from(b'0' + key),
            (_, 1) => 'a',
            (_, 2) => 'b',
            _ => '.',
        };
        if !order.ends_with(kind) {
            order.push(kind);
        }
    }
    assert_eq!(order, ".a1.2.b.");
}

#[test]
fn keys_that_signalling_sends_come_at_the_pace_of_keys() {
    let mut call = Call::new(Codec::Pcma, DtmfBy::Info, DtmfTones::Ignored);
    assert_eq!(call.leg.send_dtmf("90"), 2);
    call.run(at(1_000));
    let asked: Vec<(u128, char, Duration)> = call
        .sink
        .events
        .iter()
        .filter_map(|(when, event)| match event {
            LegEvent::KeyByInfo { digit, duration } => {
                Some(((*when - at(0)).as_millis(), digit.as_char(), *duration))
            }
            _ => None,
        })
        .collect();
    assert_eq!(asked, [(0, '9', ms(160)), (240, '0', ms(160))]);
    let is_event = |(_, packet): &(Time, Vec<u8>)| packet[1] & 0x7f == 101;
    assert!(!call.sink.rtp.iter().any(is_event));
}

#[test]
fn our_own_tones_that_come_back_are_nobodys_keys() {
    let mut call = Call::new(Codec::Pcmu, DtmfBy::Tone, DtmfTones::Heard);
    call.says(None, 5);
    call.leg.send_dtmf("5");
    call.says(None, 3);
    call.says(Some('5'), 8);
    call.says(None, 5);
    assert_eq!(call.told(), []);
    call.says(Some('4'), 5);
    call.says(None, 5);
    assert_eq!(call.told(), [('4', PressedBy::Tone)]);
    call.says(None, 20);
    call.says(Some('5'), 5);
    call.says(None, 5);
    let told = [('4', PressedBy::Tone), ('5', PressedBy::Tone)];
    assert_eq!(call.told(), told);
}

#[test]
fn an_event_points_out_the_sound_around_it_where_tones_are_watched() {
    let mut call = Call::new(Codec::Pcmu, DtmfBy::Event, DtmfTones::Ignored);
    call.leg.watch_tones(true);
    call.says(None, 5);
    assert_eq!(call.sink.tones, []);
    call.keys('3', 4);
    call.says(None, 1);
    assert!(call.sink.tones.len() >= 4, "{:?}", call.sink.tones);
    assert!(call.sink.tones.iter().all(|&tone| tone == Likeness::Tone));
    call.says(None, 20);
    let before = call.sink.tones.len();
    call.says(None, 20);
    assert_eq!(call.sink.tones.len(), before);
}

#[test]
fn a_flood_of_events_is_no_flood_of_keys_and_a_quick_dialler_is_heard_whole() {
    let mut call = Call::new(Codec::Pcmu, DtmfBy::Event, DtmfTones::Ignored);
    let event = |code: u8| Event {
        code,
        end: true,
        volume: 10,
        duration: 400,
    };
    for n in 0..5_000u32 {
        let header = Header {
            marker: true,
            payload_type: 101,
            sequence: n as u16,
            timestamp: 1_000 * n,
            ssrc: 77,
        };
        let packet = [&header.encode()[..], &event((n % 10) as u8).encode()].concat();
        let now = at(n as u64 / 5);
        call.leg.handle_rtp(now, peer(), &packet, &mut call.sink);
    }
    let told = call.told().len();
    assert!((50..=110).contains(&told), "{told} in a second");
    assert_eq!(call.leg.stats().received_bad_events, 5_000 - told as u64);

    let mut call = Call::new(Codec::Pcmu, DtmfBy::Event, DtmfTones::Ignored);
    for n in 0..200u32 {
        let timestamp = 160 * u32::from(call.said);
        call.send(101, timestamp, &event((n % 10) as u8).encode());
        call.said += 1;
    }
    assert_eq!(call.told().len(), 200, "each of 20 ms, and 20 ms after it");
}
