//! What a peer hears through hold, resumption and every change of a re-INVITE: one stream, without a hole, an overlap or a jump.
use offhook_media::claim::Policy;
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Encoding};
use offhook_media::leg::{
    DtmfBy, Fill, Leg, LegConfig, LegEvent, LegSink, RemoteMedia, UplinkFrame,
};
use offhook_media::melody::Melody;
use offhook_media::playout::PlayoutConfig;
use offhook_media::rtp::{Header, Packet};
use offhook_media::telephone_event::{Event, KeyTiming};
use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const START: Time = Time::from_millis(10_000);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Time {
    START + ms(millis)
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn agreed(codec: Codec, payload_type: u8) -> RemoteMedia {
    RemoteMedia {
        receive_types: vec![(0, Codec::Pcmu), (8, Codec::Pcma), (9, Codec::G722)],
        dtmf_send: Some(101),
        dtmf_receive: vec![101],
        ..RemoteMedia::plain(address("192.0.2.9:4000"), payload_type, codec)
    }
}

fn remote() -> RemoteMedia {
    agreed(Codec::Pcmu, 0)
}

/// The peer holds us.
fn held() -> RemoteMedia {
    RemoteMedia {
        send: false,
        hold: true,
        ..remote()
    }
}

/// We hold the peer.
fn holding() -> RemoteMedia {
    RemoteMedia {
        receive: false,
        hold: true,
        ..remote()
    }
}

struct Sent {
    at: Time,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Sent {
    fn packet(&self) -> Packet<'_> {
        Packet::decode(&self.bytes).expect("our own")
    }

    /// Timestamp units that it holds.
    fn ticks(&self) -> u32 {
        // A byte is a tick of all three codecs.
        self.packet().payload.len() as u32
    }
}

#[derive(Default)]
struct Sink {
    now: Time,
    rtp: Vec<Sent>,
    rtcp: usize,
    kept_open: Vec<(Time, SocketAddr)>,
    events: Vec<LegEvent>,
    /// Frames of the caller's timeline: when, where, and whether they were heard.
    frames: Vec<(Time, u64, u32, bool)>,
}

impl LegSink for Sink {
    fn audio(&mut self, frame: UplinkFrame<'_>) {
        let heard = frame.fill == Fill::Heard;
        self.frames
            .push((self.now, frame.position, frame.ticks(), heard));
    }
    fn send_rtp(&mut self, to: SocketAddr, packet: &[u8]) {
        let (at, bytes) = (self.now, packet.to_vec());
        self.rtp.push(Sent { at, to, bytes });
    }
    fn send_rtcp(&mut self, _: SocketAddr, _: &[u8]) {
        self.rtcp += 1;
    }
    fn keep_open(&mut self, to: SocketAddr) {
        self.kept_open.push((self.now, to));
    }
    fn event(&mut self, event: LegEvent) {
        self.events.push(event);
    }
    fn mark(&mut self, _: offhook_media::playout::MarkId) {}
}

struct Call {
    leg: Leg,
    sink: Sink,
}

impl Call {
    fn started() -> Self {
        let policy = Policy {
            signalling: address("192.0.2.9:5060").ip(),
            media_allow: Vec::new(),
            nat: false,
            loopback: false,
        };
        let mut leg = Leg::new(
            LegConfig {
                ssrc: 1,
                first_sequence: 65_500,
                first_timestamp: u32::MAX - 3_000,
                seed: 7,
                cname: "call@offhook".into(),
                ntp_at_zero: 0,
                media_timeout: Some(ms(60_000)),
                drain_linger: ms(100),
                policy,
                playout: PlayoutConfig::default(),
            },
            START,
        );
        leg.set_remote(START, &remote());
        leg.start(START, None);
        leg.release(START);
        let sink = Sink::default();
        Call { leg, sink }
    }

    fn run(&mut self, until: Time) {
        while let Some(due) = self.leg.next_timeout().filter(|&due| due <= until) {
            self.sink.now = due.max(self.sink.now);
            self.leg.handle_timeout(self.sink.now, &mut self.sink);
        }
        self.sink.now = until;
    }

    fn change(&mut self, now: Time, to: &RemoteMedia) {
        self.run(now);
        self.leg.set_remote(now, to);
    }

    /// The peer's packet of this number since its stream began, which it is sent in time by.
    fn receive(&mut self, now: Time, number: u32, source: &str) {
        let timestamp = number.wrapping_mul(160);
        self.take(now, source, 0, number, timestamp, &[0x21; 160]);
    }

    /// A packet of the peer's telephone event that began with packet `began` and has lasted to `number`.
    fn key(&mut self, now: Time, number: u32, began: u32, end: bool) {
        let event = Event {
            code: 5,
            end,
            volume: 10,
            duration: ((number - began + 1) * 160) as u16,
        };
        let (source, timestamp) = ("192.0.2.9:4000", began * 160);
        self.take(now, source, 101, number, timestamp, &event.encode());
    }

    fn take(
        &mut self,
        now: Time,
        source: &str,
        payload_type: u8,
        number: u32,
        timestamp: u32,
        payload: &[u8],
    ) {
        self.run(now);
        let header = Header {
            marker: false,
            payload_type,
            sequence: number as u16,
            timestamp,
            ssrc: 77,
        };
        let mut packet = header.encode().to_vec();
        packet.extend_from_slice(payload);
        self.leg
            .handle_rtp(now, address(source), &packet, &mut self.sink);
    }

    /// The keys that were told, and for how long each was pressed.
    fn told(&self) -> Vec<(char, u64)> {
        let told = |event: &LegEvent| match event {
            LegEvent::Digit {
                digit, duration, ..
            } => Some((digit.as_char(), duration.as_millis() as u64)),
            _ => None,
        };
        self.sink.events.iter().filter_map(told).collect()
    }

    /// The packets of our telephone events: when they were sent, and the event.
    fn events_sent(&self) -> Vec<(Time, Event)> {
        let event = |sent: &Sent| {
            let packet = sent.packet();
            let event = Event::decode(packet.payload).filter(|_| packet.payload_type == 101);
            Some((sent.at, event?))
        };
        self.sink.rtp.iter().filter_map(event).collect()
    }

    /// Each packet follows the one before: by number always, and in time by as much as that one holds, but after a pause, which is marked.
    fn is_one_stream(&self) {
        for (n, pair) in self.sink.rtp.windows(2).enumerate() {
            let (before, after) = (pair[0].packet(), pair[1].packet());
            assert_eq!(after.ssrc, 1);
            assert_eq!(
                after.sequence,
                before.sequence.wrapping_add(1),
                "packet {n}"
            );
            let step = after.timestamp.wrapping_sub(before.timestamp);
            let holds = pair[0].ticks();
            assert!(
                step == holds || (after.marker && step > holds),
                "packet {n}: {step} ticks after one of {holds}"
            );
            let passed = (pair[1].at - pair[0].at).as_millis() as i64 * 8;
            assert!(
                (passed - i64::from(step)).abs() <= 8 * 20,
                "packet {n}: {passed} ticks passed, {step} told"
            );
        }
    }
}

/// The line's encoding of a sine whose phase runs on, so that every hole and every doubled sample shows.
fn tone(encoding: Encoding, from: usize, samples: usize, rate: f64) -> Vec<u8> {
    let pcm: Vec<i16> = (from..from + samples)
        .map(|n| (6_000.0 * (TAU * 440.0 * n as f64 / rate).sin()) as i16)
        .collect();
    let mut bytes = Vec::new();
    encoding.write(&pcm, &mut bytes);
    bytes
}

#[test]
fn a_new_packet_time_neither_overlaps_nor_leaves_a_hole() {
    for silent in [true, false] {
        let mut call = Call::started();
        let all = tone(Encoding::Pcmu, 0, 24_000, 8_000.0);
        if !silent {
            call.run(at(100));
            call.leg.playout().push(at(100), &all);
        }
        for (n, ptime_ms) in [40, 20, 60, 10, 30, 20].into_iter().enumerate() {
            let change = at(400 + 407 * n as u64);
            call.change(
                change,
                &RemoteMedia {
                    ptime_ms,
                    ..remote()
                },
            );
        }
        call.run(at(5_000));
        call.is_one_stream();
        let mut lengths: Vec<u32> = call.sink.rtp.iter().map(Sent::ticks).collect();
        lengths.dedup();
        assert_eq!(lengths, [160, 320, 160, 480, 80, 240, 160]);
        if !silent {
            let audio: Vec<u8> = call
                .sink
                .rtp
                .iter()
                .flat_map(|sent| sent.packet().payload.to_vec())
                .skip_while(|&byte| byte == 0xff)
                .collect();
            assert_eq!(audio[..all.len() - 1], all[1..], "all of it, in order");
        }
    }
}

#[test]
fn a_change_of_codec_in_mid_speech_loses_and_doubles_nothing() {
    let mut call = Call::started();
    let mut said = 0;
    let mut say = |call: &mut Call, until: u64| {
        while call.sink.now < at(until) {
            let now = call.sink.now + ms(20);
            call.run(now);
            let format = call.leg.playout().format();
            let samples = format.rate as usize / 50;
            let begin = said * samples;
            let sound = tone(format.encoding, begin, samples, f64::from(format.rate));
            call.leg.playout().push(now, &sound);
            said += 1;
        }
    };
    call.run(at(100));
    for (n, (codec, payload_type)) in [
        (Codec::G722, 9),
        (Codec::Pcma, 8),
        (Codec::Pcmu, 0),
        (Codec::Pcma, 8),
        (Codec::G722, 9),
        (Codec::Pcmu, 0),
    ]
    .into_iter()
    .enumerate()
    {
        say(&mut call, 400 + 333 * n as u64);
        let change = call.sink.now;
        call.change(change, &agreed(codec, payload_type));
    }
    say(&mut call, 3_000);
    call.run(at(3_500));
    call.is_one_stream();
    let types: Vec<u8> = call
        .sink
        .rtp
        .iter()
        .map(|sent| sent.packet().payload_type)
        .collect();
    let mut order = types.clone();
    order.dedup();
    assert_eq!(order, [0, 9, 8, 0, 8, 9, 0]);
    let stats = call.leg.stats();
    assert_eq!(stats.playout_underruns, 0);
    assert!(stats.sent_audio_packets as usize >= said, "{stats:?}");
}

#[test]
fn what_the_peer_holds_is_one_stream_before_and_after_and_reports_go_on() {
    let mut call = Call::started();
    call.run(at(1_010));
    call.change(at(1_010), &held());
    let before = (call.sink.rtp.len(), call.sink.rtcp);
    call.run(at(121_000));
    assert_eq!(call.sink.rtp.len(), before.0);
    assert!(call.sink.rtcp >= before.1 + 15, "RTCP keeps the way open");
    call.change(at(121_003), &remote());
    call.run(at(122_000));
    call.is_one_stream();
    assert!(call.sink.rtp[before.0].packet().marker);
    assert_eq!(call.leg.stats().sent_packets as usize, call.sink.rtp.len());
}

#[test]
fn the_peer_that_we_hold_hears_music_from_its_beginning_and_no_click() {
    let rate = 8_000;
    let pcm: Vec<i16> = (0..rate)
        .map(|n| (6_000.0 * (TAU * 440.0 * f64::from(n) / 8_000.0).sin()) as i16)
        .collect();
    let melody = Arc::new(Melody::new(&pcm, 8_000).expect("music"));
    for (codec, payload_type) in [(Codec::Pcmu, 0), (Codec::Pcma, 8), (Codec::G722, 9)] {
        let mut call = Call::started();
        call.leg.set_music(Some(Arc::clone(&melody)));
        call.change(at(500), &agreed(codec, payload_type));
        let hold = RemoteMedia {
            receive: false,
            hold: true,
            ..agreed(codec, payload_type)
        };
        for round in 0..2 {
            call.change(at(1_000 + round * 5_000), &hold);
            call.change(at(4_000 + round * 5_000), &agreed(codec, payload_type));
        }
        call.run(at(10_000));
        call.is_one_stream();
        let stats = call.leg.stats();
        // The frame in which it fades is music, too.
        assert_eq!(stats.sent_music_packets, 2 * 151, "{codec:?}");
        assert_eq!(stats.unsent_packets, 0);
        if let Some(encoding) = codec.encoding() {
            let mut heard = Vec::new();
            let of_codec = |sent: &&Sent| sent.packet().payload_type == payload_type;
            for sent in call.sink.rtp.iter().filter(of_codec) {
                let payload = sent.packet().payload;
                let mut samples = vec![0; payload.len()];
                encoding.read(payload, &mut samples);
                heard.extend(samples);
            }
            let steepest = heard.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max();
            assert!(steepest < Some(2_500), "{codec:?}: {steepest:?}");
            let loud = heard.iter().filter(|sample| sample.abs() > 100).count();
            assert!((47_000..49_000).contains(&loud), "{codec:?}: {loud}");
        }
    }
}

#[test]
fn without_music_the_peer_that_we_hold_hears_silence_without_a_pause() {
    let mut call = Call::started();
    call.change(at(500), &holding());
    call.run(at(10_000));
    call.is_one_stream();
    let stats = call.leg.stats();
    assert_eq!((stats.unsent_packets, stats.sent_music_packets), (0, 0));
    assert!(
        (499..=502).contains(&stats.sent_silence_packets),
        "{stats:?}"
    );
}

#[test]
fn a_peer_on_hold_is_not_heard_and_its_time_goes_on_in_silence() {
    // Held by the peer, its exchange plays music to us; held by us, it may not know how to be silent.
    for hold in [held(), holding()] {
        let mut call = Call::started();
        for n in 0..500 {
            let now = at(20 * u64::from(n));
            match n {
                100 => call.change(now, &hold),
                300 => call.change(now, &remote()),
                _ => {}
            }
            call.receive(now, n, "192.0.2.9:4000");
        }
        call.run(at(10_100));
        assert_eq!(call.leg.stats().received_while_held, 200);
        assert_eq!(call.leg.stats().received_packets, 500);
        let heard = |from: u64, to: u64| {
            let within = |frame: &&(Time, u64, u32, bool)| frame.0 >= at(from) && frame.0 < at(to);
            let frames = call.sink.frames.iter().filter(within);
            frames.filter(|frame| frame.3).count()
        };
        assert_eq!(heard(2_000, 6_000), 0);
        assert!(heard(6_000, 10_100) >= 195, "{}", heard(6_000, 10_100));
        // The agent's clock: as much sound as time.
        for pair in call.sink.frames.windows(2) {
            assert_eq!(pair[1].1, pair[0].1 + u64::from(pair[0].2), "no hole");
        }
        let last = call.sink.frames.last().expect("frames");
        let lasted = (last.1 + u64::from(last.2) - call.sink.frames[0].1) / 8;
        assert!((9_900..=10_100).contains(&lasted), "{lasted} ms");
    }
}

#[test]
fn however_far_the_peer_has_moved_on_while_it_was_not_heard_it_is_heard_at_once() {
    // More than half of all sequence numbers, and of all but a few, which looks like a little back.
    let not_asked_for = RemoteMedia {
        receive: false,
        ..remote()
    };
    for hold in [held(), holding(), not_asked_for] {
        for unheard in [33_000, 65_520, 65_536 + 40_000] {
            for echo in [false, true] {
                let mut call = Call::started();
                call.leg.set_echo(echo);
                let sent = |n: u32| at(20 * u64::from(n));
                let end = 50 + unheard;
                for n in 0..end + 100 {
                    match n {
                        50 => call.change(sent(n), &hold),
                        n if n == end => call.change(sent(n), &remote()),
                        _ => {}
                    }
                    call.receive(sent(n), n, "192.0.2.9:4000");
                }
                call.run(sent(end + 100));
                let again = call.sink.frames.iter().filter(|frame| frame.0 >= sent(end));
                let heard = again.filter(|frame| frame.3).count();
                assert!(heard >= 100, "{heard} of 100 after {unheard}");
                assert_eq!(call.leg.stats().received_late, 0);
                if echo {
                    let stats = call.leg.stats();
                    assert_eq!(stats.jitter_late, 0);
                    assert!(stats.sent_audio_packets > 130, "{stats:?}");
                }
            }
        }
    }
}

#[test]
fn the_noise_of_a_pause_ends_where_the_hold_begins() {
    let mut call = Call::started();
    let noise = RemoteMedia {
        comfort_noise: Some(13),
        ..remote()
    };
    call.change(at(0), &noise);
    call.receive(at(0), 0, "192.0.2.9:4000");
    call.take(at(20), "192.0.2.9:4000", 13, 1, 160, &[40]);
    call.run(at(1_000));
    let before = call.leg.stats();
    assert!(before.noise_frames >= 45, "{before:?}");
    call.change(at(1_000), &held());
    call.run(at(60_000));
    let after = call.leg.stats();
    assert_eq!(after.noise_frames, before.noise_frames);
    assert!(after.silence_frames > before.silence_frames + 2_900);
}

#[test]
fn what_the_agent_says_waits_behind_a_hold_and_digits_do_too() {
    let mut call = Call::started();
    call.change(at(200), &held());
    call.leg.playout().push(at(200), &[0x21; 1_600]);
    assert_eq!(call.leg.send_dtmf("7"), 1);
    call.run(at(30_000));
    assert_eq!(call.leg.stats().sent_audio_packets, 0);
    assert_eq!(call.leg.stats().sent_event_packets, 0);
    assert!(call.leg.has_sound());
    call.change(at(30_000), &remote());
    call.run(at(31_000));
    let stats = call.leg.stats();
    assert_eq!((stats.sent_digits, stats.sent_audio_packets), (1, 10));
}

#[test]
fn a_key_that_the_peer_presses_over_a_hold_is_told_once() {
    // Up to here, then on hold up to there, then the rest of it: short, and so long that it goes on in a second segment.
    for (held_at, back_at, ends) in [(5, 30, 40), (5, 8, 60), (5, 2, 60), (5, 450, 500)] {
        let mut call = Call::started();
        let sent = |n: u32| at(20 * u64::from(n));
        for n in 0..ends {
            if n == held_at && held_at < back_at {
                call.change(sent(n), &held());
            }
            if n == back_at && held_at < back_at {
                call.change(sent(n), &remote());
            }
            let began = if n < 409 { 0 } else { 409 };
            call.key(sent(n), n, began, n + 3 >= ends);
        }
        call.run(sent(ends + 100));
        let told = call.told();
        assert_eq!(told.len(), 1, "{held_at} to {back_at}: {told:?}");
    }
}

#[test]
fn a_key_of_ours_that_a_hold_breaks_off_ends_with_it() {
    for by in [DtmfBy::Event, DtmfBy::Tone] {
        let mut call = Call::started();
        let (before, hold) = (
            RemoteMedia {
                dtmf_by: by,
                ..remote()
            },
            RemoteMedia {
                dtmf_by: by,
                ..held()
            },
        );
        call.change(at(200), &before);
        let long = KeyTiming {
            lasts: ms(2_000),
            gap: ms(80),
        };
        assert_eq!(call.leg.send_dtmf_timed("12", long), 2);
        call.change(at(500), &hold);
        call.change(at(60_000), &before);
        call.run(at(70_000));
        assert_eq!(call.leg.stats().sent_digits, 2, "{by:?}");
        if by == DtmfBy::Event {
            let sent = call.events_sent();
            let of_first = |(sent, event): &&(Time, Event)| *sent >= at(60_000) && event.code == 1;
            let after: Vec<_> = sent.iter().filter(of_first).collect();
            assert_eq!(after.len(), 3, "its end, three times");
            assert!(
                after
                    .iter()
                    .all(|(_, event)| event.end && event.duration < 3_200)
            );
            let second = sent.iter().filter(|(_, event)| event.code == 2);
            assert_eq!(second.map(|(_, event)| event.duration).max(), Some(16_000));
        } else {
            // A frame of it, too short for a key, and the whole of the other.
            assert!((115..=120).contains(&call.leg.stats().sent_tone_packets));
        }
    }
}

#[test]
fn the_end_of_all_sound_does_not_wait_for_keys_that_a_hold_keeps_back() {
    let mut call = Call::started();
    call.change(at(200), &held());
    assert_eq!(call.leg.send_dtmf("123"), 3);
    call.leg.drain();
    call.run(at(1_000));
    assert!(call.sink.events.contains(&LegEvent::Drained));
    // The peer that we hold is sent keys all the same.
    let mut call = Call::started();
    call.change(at(200), &holding());
    assert_eq!(call.leg.send_dtmf("123"), 3);
    call.leg.drain();
    call.run(at(600));
    assert!(!call.sink.events.contains(&LegEvent::Drained));
    call.run(at(2_000));
    assert!(call.sink.events.contains(&LegEvent::Drained));
    assert_eq!(call.leg.stats().sent_digits, 3);
}

#[test]
fn keys_that_waited_for_a_peer_that_takes_none_any_more_are_told_and_leave_no_hole() {
    let mut call = Call::started();
    call.change(at(200), &held());
    assert_eq!(call.leg.send_dtmf("123"), 3);
    call.run(at(1_000));
    let without = RemoteMedia {
        dtmf_send: None,
        ..remote()
    };
    call.change(at(1_000), &without);
    let before = call.leg.stats();
    call.run(at(3_000));
    let after = call.leg.stats();
    assert_eq!((after.dropped_digits, after.sent_digits), (3, 0));
    assert_eq!(after.unsent_packets, before.unsent_packets);
    let told = |event: &&LegEvent| **event == LegEvent::KeysNotSent;
    assert_eq!(call.sink.events.iter().filter(told).count(), 1);
    call.is_one_stream();
}

#[test]
fn the_way_to_a_peer_that_we_send_nothing_is_kept_open() {
    let mut call = Call::started();
    call.change(at(1_000), &held());
    call.run(at(601_000));
    let (first, to) = call.sink.kept_open[0];
    assert_eq!(to, address("192.0.2.9:4000"));
    assert!((at(15_900)..=at(16_020)).contains(&first), "{first:?}");
    assert!((38..=41).contains(&call.sink.kept_open.len()));
    call.change(at(601_000), &remote());
    call.run(at(700_000));
    assert!(call.sink.kept_open.len() <= 41, "RTP does it");
    // Reports that go the same way do it, too; and there is no way to 0.0.0.0.
    let muxed = RemoteMedia {
        rtcp_mux: true,
        ..held()
    };
    let nowhere = RemoteMedia {
        rtp: None,
        ..held()
    };
    for hold in [muxed, nowhere] {
        let mut call = Call::started();
        call.change(at(1_000), &hold);
        call.run(at(601_000));
        assert_eq!(call.sink.kept_open, []);
    }
    // What a peer sends to the same end is no packet.
    let source = address("192.0.2.9:4000");
    call.leg
        .handle_rtp(at(700_000), source, &[], &mut call.sink);
    assert_eq!(call.leg.stats().received_malformed, 0);
}

#[test]
fn the_time_out_of_media_pauses_while_either_side_holds() {
    for hold in [held(), holding()] {
        let mut call = Call::started();
        call.change(at(1_000), &hold);
        call.run(at(500_000));
        assert!(!call.sink.events.contains(&LegEvent::MediaTimeout));
        call.change(at(500_000), &remote());
        call.run(at(559_990));
        assert!(!call.sink.events.contains(&LegEvent::MediaTimeout));
        call.run(at(560_010));
        assert!(call.sink.events.contains(&LegEvent::MediaTimeout));
    }
}

#[test]
fn a_hold_by_0_0_0_0_sends_nothing_and_forgets_nothing() {
    let mut call = Call::started();
    let behind_nat = RemoteMedia {
        rtp: Some(address("10.0.0.4:4000")),
        ..remote()
    };
    call.change(at(100), &behind_nat);
    call.leg
        .follow(at(100), address("192.0.2.9:61000"), &mut call.sink);
    call.change(
        at(1_000),
        &RemoteMedia {
            rtp: None,
            ..held()
        },
    );
    assert_eq!(call.leg.rtp_target(), None);
    assert_eq!(call.leg.rtcp_target(), None);
    let before = call.sink.rtcp;
    call.run(at(60_000));
    assert_eq!(
        call.sink.rtcp, before,
        "RFC 3264 section 8.4: no RTCP either"
    );
    call.change(at(60_000), &behind_nat);
    assert_eq!(call.leg.rtp_target(), Some(address("192.0.2.9:61000")));
    call.run(at(61_000));
    call.is_one_stream();
    // But another address is another claim.
    let moved = RemoteMedia {
        rtp: Some(address("10.0.0.5:4000")),
        ..remote()
    };
    call.change(at(61_000), &moved);
    assert_eq!(call.leg.rtp_target(), None);
}

#[test]
fn a_new_address_takes_the_stream_along_without_a_gap() {
    let mut call = Call::started();
    call.run(at(100));
    call.leg.playout().push(at(100), &[0x21; 16_000]);
    call.change(
        at(1_000),
        &RemoteMedia {
            rtp: Some(address("192.0.2.10:6000")),
            ..remote()
        },
    );
    call.run(at(3_000));
    call.is_one_stream();
    let moves = call
        .sink
        .rtp
        .windows(2)
        .filter(|pair| pair[0].to != pair[1].to);
    assert_eq!(moves.count(), 1);
    let stats = call.leg.stats();
    assert_eq!((stats.sent_audio_packets, stats.unsent_packets), (100, 0));
}
