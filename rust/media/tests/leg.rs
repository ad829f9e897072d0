//! One leg against a peer made by hand, and two legs against each other, on a virtual clock.
use offhook_media::claim::Policy;
use offhook_media::clock::{Time, earliest};
use offhook_media::codec::{Codec, Encoder};
use offhook_media::leg::{Fill, Leg, LegConfig, LegEvent, LegSink, RemoteMedia, UplinkFrame};
use offhook_media::playout::{MarkId, PlayoutConfig};
use offhook_media::rtcp::{Compound, Outgoing, Report, ReportBlock, SenderInfo, WRITE_LEN, write};
use offhook_media::rtp::{Header, Packet};
use offhook_media::telephone_event::Event;
use offhook_media::vad::Speech;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

const START: Time = Time::from_millis(10_000);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Time {
    START + ms(millis)
}

fn peer() -> SocketAddr {
    "192.0.2.9:4000".parse().expect("an address")
}

fn config(ssrc: u32) -> LegConfig {
    LegConfig {
        ssrc,
        first_sequence: 65_530,
        first_timestamp: u32::MAX - 500,
        seed: u64::from(ssrc) * 77,
        cname: "call@offhook".into(),
        ntp_at_zero: 0xe000_0000_0000_0000,
        media_timeout: Some(ms(60_000)),
        drain_linger: ms(100),
        policy: Policy {
            signalling: peer().ip(),
            media_allow: Vec::new(),
            nat: false,
            loopback: false,
        },
        playout: PlayoutConfig::default(),
    }
}

fn remote() -> RemoteMedia {
    RemoteMedia {
        receive_types: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        dtmf_send: Some(101),
        dtmf_receive: vec![96],
        comfort_noise: Some(13),
        ..RemoteMedia::plain(peer(), 0, Codec::Pcmu)
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Sent {
    at: Time,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Sent {
    fn packet(&self) -> Packet<'_> {
        Packet::decode(&self.bytes).expect("our own")
    }
}

#[derive(Default)]
struct Sink {
    now: Time,
    rtp: Vec<Sent>,
    rtcp: Vec<Sent>,
    events: Vec<(Time, LegEvent)>,
    marks: Vec<(Time, MarkId)>,
    /// Sound for the agent: codec, position, as bytes of the codec, whether it was made here.
    audio: Vec<(Codec, u64, Vec<u8>, bool)>,
}

impl LegSink for Sink {
    fn audio(&mut self, frame: UplinkFrame<'_>) {
        let mut bytes = vec![0; frame.pcm.len()];
        Encoder::new(frame.codec).encode(frame.pcm, &mut bytes);
        if let Some(coded) = frame.coded {
            assert_eq!(bytes, coded);
        }
        self.audio.push((
            frame.codec,
            frame.position,
            bytes,
            frame.fill != Fill::Heard,
        ));
    }
    fn send_rtp(&mut self, to: SocketAddr, packet: &[u8]) {
        self.rtp.push(Sent {
            at: self.now,
            to,
            bytes: packet.to_vec(),
        });
    }
    fn send_rtcp(&mut self, to: SocketAddr, packet: &[u8]) {
        self.rtcp.push(Sent {
            at: self.now,
            to,
            bytes: packet.to_vec(),
        });
    }
    fn event(&mut self, event: LegEvent) {
        self.events.push((self.now, event));
    }
    fn mark(&mut self, mark: MarkId) {
        self.marks.push((self.now, mark));
    }
}

struct Call {
    leg: Leg,
    sink: Sink,
}

impl Call {
    fn new() -> Self {
        let mut leg = Leg::new(config(1), START);
        leg.set_remote(START, &remote());
        Call {
            leg,
            sink: Sink::default(),
        }
    }

    /// A call whose sound may leave at once.
    fn started() -> Self {
        let mut call = Call::new();
        call.leg.start(START, None);
        call.leg.release(START);
        call
    }

    fn run(&mut self, until: Time) {
        while let Some(due) = self.leg.next_timeout().filter(|&due| due <= until) {
            self.sink.now = due.max(self.sink.now);
            self.leg.handle_timeout(self.sink.now, &mut self.sink);
        }
        self.sink.now = until;
    }

    fn receive(&mut self, now: Time, header: Header, payload: &[u8]) {
        self.run(now);
        let mut packet = header.encode().to_vec();
        packet.extend_from_slice(payload);
        self.leg.handle_rtp(now, peer(), &packet, &mut self.sink);
    }

    fn push(&mut self, now: Time, bytes: &[u8]) {
        self.run(now);
        self.leg.playout().push(now, bytes);
        self.run(now);
    }

    fn events(&self) -> Vec<LegEvent> {
        self.sink.events.iter().map(|(_, event)| *event).collect()
    }

    fn digits(&self) -> String {
        let digit = |event: &LegEvent| match event {
            LegEvent::Digit { digit, .. } => Some(digit.as_char()),
            _ => None,
        };
        self.events().iter().filter_map(digit).collect()
    }
}

fn sound(n: u16) -> Header {
    Header {
        marker: false,
        payload_type: 0,
        sequence: n,
        timestamp: u32::from(n) * 160,
        ssrc: 77,
    }
}

/// 20 ms of µ-law of a voice that falls from 118 Hz: pulses that ring.
fn voice(n: u16) -> Vec<u8> {
    let period = 68 + usize::from(n / 4);
    let pulse = |at: usize| match (usize::from(n) * 160 + at) % period {
        phase if phase < 40 => (0x08 + phase as u8) | (phase as u8 / 4 % 2) << 7,
        _ => 0xff,
    };
    (0..160).map(pulse).collect()
}

#[test]
fn speech_is_told_behind_the_frame_that_it_was_found_in_and_counted() {
    let mut call = Call::started();
    for n in 0..100 {
        let speaks = (20..50).contains(&n);
        let payload = if speaks { voice(n) } else { vec![0xff; 160] };
        call.receive(at(20 * u64::from(n)), sound(n), &payload);
        let told = call.events().contains(&LegEvent::Speech(Speech::Started {
            position: call.sink.audio[0].1 + 20 * 160,
            told: call.sink.audio[0].1 + 23 * 160,
        }));
        assert_eq!(told, n >= 22, "frame {n}");
    }
    let ended = call.events().into_iter().find_map(|event| match event {
        LegEvent::Speech(Speech::Ended { duration, .. }) => Some(duration),
        _ => None,
    });
    let duration = ended.expect("it has ended");
    assert!(duration.abs_diff(30 * 160) <= 3 * 160, "{duration}");
    assert_eq!(call.leg.stats().speech_ms, duration / 8);
    assert!((70..=80).contains(&call.leg.stats().noise_level));
}

#[test]
fn rtp_runs_on_one_ssrc_without_pause_through_silence_speech_and_digits() {
    let mut call = Call::started();
    call.push(at(503), &[1; 1_600]);
    call.run(at(1_500));
    assert_eq!(call.leg.send_dtmf("19"), 2);
    call.push(at(1_600), &[2; 800]);
    call.run(at(4_000));
    let packets: Vec<Packet<'_>> = call.sink.rtp.iter().map(Sent::packet).collect();
    assert_eq!(
        (packets[0].sequence, packets[0].timestamp),
        (65_530, u32::MAX - 500)
    );
    for (index, pair) in packets.windows(2).enumerate() {
        assert_eq!(
            pair[1].sequence,
            pair[0].sequence.wrapping_add(1),
            "packet {index}"
        );
        assert_eq!(pair[1].ssrc, 1);
        if pair[0].payload_type == 0 && pair[1].payload_type == 0 && !pair[1].marker {
            assert_eq!(
                pair[1].timestamp,
                pair[0].timestamp.wrapping_add(160),
                "packet {index}"
            );
        }
        assert!(
            call.sink.rtp[index + 1].at - call.sink.rtp[index].at <= ms(40),
            "packet {index}"
        );
    }
    assert!(call.sink.rtp.iter().all(|sent| sent.to == peer()));
    // Both digits before the sound that was pushed while they were keyed; and the sound whole.
    let last_event = packets
        .iter()
        .rposition(|packet| packet.payload_type == 101)
        .expect("events");
    let first_late = packets
        .iter()
        .position(|packet| packet.payload.starts_with(&[2]))
        .expect("sound");
    assert!(last_event < first_late);
    assert_eq!(
        packets
            .iter()
            .filter(|packet| packet.payload == [2; 160])
            .count(),
        5
    );
    let stats = call.leg.stats();
    assert_eq!((stats.sent_digits, stats.sent_audio_packets), (2, 15));
    assert_eq!(stats.sent_packets as usize, packets.len());
    assert_eq!(
        stats.sent_event_packets + stats.sent_audio_packets + stats.sent_silence_packets,
        stats.sent_packets
    );
}

#[test]
fn the_greeting_waits_for_release_first_packet_or_deadline_whichever_is_first() {
    for (released, packet, expected) in [
        (Some(100), Some(200), 100),
        (None, Some(200), 200),
        (None, None, 300),
    ] {
        let mut call = Call::new();
        call.leg.start(START, Some(ms(300)));
        call.push(at(0), &[1; 1_600]);
        if let Some(released) = released {
            call.run(at(released));
            call.leg.release(at(released));
            call.run(at(released));
        }
        if let Some(packet) = packet {
            call.receive(at(packet), sound(0), &[3; 160]);
        }
        call.run(at(1_000));
        let first = call
            .sink
            .rtp
            .iter()
            .find(|sent| sent.packet().payload[0] == 1)
            .expect("greeting");
        assert_eq!(first.at, at(expected));
        assert!(first.packet().marker);
        assert!(call.events().contains(&LegEvent::FirstAudioSent));
        // Silence flowed from the start.
        assert_eq!(call.sink.rtp[0].at, START);
    }
}

#[test]
fn without_a_deadline_only_release_lets_the_greeting_out() {
    let mut call = Call::new();
    call.leg.start(START, None);
    call.push(at(0), &[1; 1_600]);
    call.receive(at(20), sound(0), &[3; 160]);
    call.run(at(2_000));
    assert_eq!(call.leg.stats().sent_audio_packets, 0);
    call.leg.release(at(2_000));
    call.run(at(2_000));
    assert_eq!(call.leg.stats().sent_audio_packets, 1);
}

#[test]
fn early_media_ends_in_the_answer_without_a_jump_and_the_first_words_wait_for_release_again() {
    let mut call = Call::started();
    call.push(at(0), &[1; 16_000]);
    call.run(at(990));
    call.leg.playout().clear(at(990), |_| ());
    call.leg.start(at(990), Some(ms(300)));
    call.push(at(1_000), &[2; 1_600]);
    call.run(at(1_500));
    let first = call
        .sink
        .rtp
        .iter()
        .find(|sent| sent.packet().payload[0] == 2)
        .expect("the agent's first words");
    assert_eq!(first.at, at(1_290));
    assert!(first.packet().marker);
    let told = call.sink.events.iter();
    let first_audio: Vec<Time> = told
        .filter(|(_, event)| *event == LegEvent::FirstAudioSent)
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(first_audio, [at(0), at(1_290)]);
    let ssrc = call.sink.rtp[0].packet().ssrc;
    for pair in call.sink.rtp.windows(2) {
        let (before, after) = (pair[0].packet(), pair[1].packet());
        assert_eq!(after.ssrc, ssrc);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        let step = after.timestamp.wrapping_sub(before.timestamp);
        assert!((160..=320).contains(&step), "{step}");
    }
}

#[test]
fn an_agent_that_speaks_early_speaks_on_at_the_answer() {
    let mut call = Call::started();
    call.push(at(0), &[1; 8_000]);
    call.run(at(500));
    call.leg.start(at(500), Some(Duration::ZERO));
    call.run(at(980));
    let stats = call.leg.stats();
    assert_eq!(
        (stats.sent_audio_packets, stats.sent_silence_packets),
        (50, 1),
        "one of silence before the first word"
    );
}

#[test]
fn silence_of_the_peer_counts_from_the_answer() {
    let mut call = Call::started();
    let told = |call: &Call| {
        let events = call.events();
        events
            .iter()
            .filter(|event| **event == LegEvent::MediaTimeout)
            .count()
    };
    call.run(at(50_000));
    call.leg.start(at(50_000), None);
    call.run(at(109_900));
    assert_eq!(told(&call), 0);
    call.run(at(110_100));
    assert_eq!(told(&call), 1);
}

#[test]
fn the_caller_is_heard_and_counted() {
    let mut call = Call::started();
    for n in (0..100u16).filter(|n| n % 10 != 9) {
        call.receive(at(u64::from(n) * 20), sound(n), &[n as u8 % 100; 160]);
        if n % 30 == 0 {
            call.receive(at(u64::from(n) * 20), sound(n), &[n as u8 % 100; 160]);
        }
    }
    let stats = call.leg.stats();
    assert_eq!(stats.received_packets, 90);
    assert_eq!(stats.received_bytes, 90 * 160);
    assert_eq!((stats.received_lost, stats.received_duplicates), (9, 4));
    assert_eq!(call.events()[0], LegEvent::FirstPacket { source: peer() });
    assert_eq!(
        call.sink
            .audio
            .iter()
            .filter(|(_, _, _, filled)| !filled)
            .count(),
        90
    );
}

#[test]
fn packets_that_do_not_belong_are_counted_and_harm_nothing() {
    let mut call = Call::started();
    for n in 0..10u16 {
        call.receive(at(u64::from(n) * 20), sound(n), &[1; 160]);
    }
    let before = call.sink.audio.len();
    let wrong_type = Header {
        payload_type: 99,
        ..sound(10)
    };
    call.receive(at(190), wrong_type, &[9; 160]);
    call.receive(
        at(190),
        Header {
            ssrc: 666,
            ..sound(11)
        },
        &[9; 160],
    );
    call.leg
        .handle_rtp(at(190), peer(), &[0x80, 0, 1], &mut call.sink);
    call.leg.handle_rtcp(
        at(190),
        peer(),
        &[0x80, 200, 0, 9, 0, 0, 0, 0],
        &mut call.sink,
    );
    let stats = call.leg.stats();
    assert_eq!(
        (stats.received_wrong_payload_type, stats.received_wrong_ssrc),
        (1, 1)
    );
    assert_eq!((stats.received_malformed, stats.rtcp_refused), (1, 1));
    assert_eq!(call.sink.audio.len(), before);
    // The wrong type held its place in the sequence: what follows goes on at once.
    call.receive(at(220), sound(11), &[4; 160]);
    assert_eq!(
        call.sink.audio.last().map(|(_, _, bytes, _)| bytes[0]),
        Some(4)
    );
}

#[test]
fn a_new_ssrc_is_followed_when_it_is_one_and_two_at_once_are_not_mixed() {
    let mut call = Call::started();
    for n in 0..50u16 {
        call.receive(at(u64::from(n) * 20), sound(n), &[1; 160]);
        // Another stream from the same address, interleaved.
        call.receive(
            at(u64::from(n) * 20 + 5),
            Header {
                ssrc: 78,
                ..sound(n + 3_000)
            },
            &[2; 160],
        );
    }
    assert!(call.sink.audio.iter().all(|(_, _, bytes, _)| bytes[0] != 2));
    for n in 50..60u16 {
        call.receive(
            at(u64::from(n) * 20),
            Header {
                ssrc: 78,
                ..sound(n + 3_000)
            },
            &[2; 160],
        );
    }
    let heard = call
        .sink
        .audio
        .iter()
        .filter(|(_, _, bytes, _)| bytes[0] == 2)
        .count();
    assert!((8..=10).contains(&heard), "{heard}");
    assert_eq!(call.leg.stats().received_ssrc_changes, 1);
    let mut position = 0;
    for (_, at, bytes, _) in &call.sink.audio {
        assert_eq!(*at, position);
        position += bytes.len() as u64;
    }
}

#[test]
fn digits_come_as_events_and_never_as_sound() {
    let mut call = Call::started();
    let mut sequence = 0u16;
    let mut timestamp = 0;
    for key in [5u8, 5, 5] {
        for _ in 0..3 {
            let header = Header {
                sequence,
                timestamp,
                ..sound(0)
            };
            call.receive(at(u64::from(timestamp) / 8), header, &[1; 160]);
            sequence += 1;
            timestamp += 160;
        }
        for n in 1..=5u16 {
            let event = Event {
                code: key,
                end: n > 2,
                volume: 10,
                duration: n.min(3) * 160,
            };
            // No marker: it got lost.
            let header = Header {
                payload_type: 96,
                sequence,
                timestamp,
                ..sound(0)
            };
            call.receive(
                at(u64::from(timestamp) / 8 + u64::from(n.min(3)) * 20),
                header,
                &event.encode(),
            );
            sequence += 1;
        }
        timestamp += 800;
    }
    assert_eq!(call.digits(), "555");
    assert!(
        call.sink
            .audio
            .iter()
            .all(|(_, _, bytes, filled)| *filled || bytes.len() == 160)
    );
    let stats = call.leg.stats();
    assert_eq!((stats.received_digits, stats.received_lost), (3, 0));
    // Events that are no digits: counted, not told.
    let event = Event {
        code: 200,
        end: true,
        volume: 0,
        duration: 800,
    };
    call.receive(
        at(2_000),
        Header {
            payload_type: 96,
            sequence,
            timestamp,
            ..sound(0)
        },
        &event.encode(),
    );
    call.receive(
        at(2_020),
        Header {
            payload_type: 96,
            sequence: sequence + 1,
            timestamp,
            ..sound(0)
        },
        &[5],
    );
    assert_eq!(
        (call.digits().len(), call.leg.stats().received_bad_events),
        (3, 2)
    );
}

#[test]
fn comfort_noise_is_silence_and_the_first_word_after_it_is_whole() {
    let mut call = Call::started();
    for n in 0..10u16 {
        call.receive(at(u64::from(n) * 20), sound(n), &[1; 160]);
    }
    call.receive(
        at(200),
        Header {
            payload_type: 13,
            ..sound(10)
        },
        &[60],
    );
    for n in 0..10u16 {
        let header = Header {
            sequence: 11 + n,
            timestamp: (1_000 + u32::from(n)) * 160,
            marker: n == 0,
            ..sound(0)
        };
        call.receive(at(20_000 + u64::from(n) * 20), header, &[2; 160]);
    }
    let words = call
        .sink
        .audio
        .iter()
        .filter(|(_, _, bytes, _)| bytes[0] == 2)
        .count();
    assert_eq!(words, 10);
    let (_, position, ..) = call
        .sink
        .audio
        .iter()
        .find(|(_, _, bytes, _)| bytes[0] == 2)
        .expect("speech");
    assert_eq!(*position, 1_000 * 160, "at its time");
    assert_eq!(call.leg.stats().received_comfort_noise, 1);
}

#[test]
fn on_hold_nothing_is_sent_and_no_time_out_strikes() {
    let mut call = Call::started();
    call.receive(at(0), sound(0), &[1; 160]);
    call.run(at(1_000));
    let held = RemoteMedia {
        send: false,
        receive: false,
        hold: true,
        ..remote()
    };
    call.leg.set_remote(at(1_000), &held);
    let before = call.sink.rtp.len();
    call.run(at(200_000));
    assert_eq!(call.sink.rtp.len(), before);
    assert!(!call.events().contains(&LegEvent::MediaTimeout));
    call.leg.set_remote(at(200_000), &remote());
    call.run(at(200_100));
    let (last, first) = (
        call.sink.rtp[before - 1].packet(),
        call.sink.rtp[before].packet(),
    );
    assert_eq!(first.sequence, last.sequence.wrapping_add(1));
    assert!(first.marker, "the stream begins anew");
    let gap = first.timestamp.wrapping_sub(last.timestamp);
    assert!(gap.abs_diff(199_000 * 8) <= 320, "the clock ran on: {gap}");
    // And from the resumption on the time-out counts again.
    call.run(at(259_999));
    assert!(!call.events().contains(&LegEvent::MediaTimeout));
    call.run(at(260_001));
    assert!(call.events().contains(&LegEvent::MediaTimeout));
}

#[test]
fn silence_of_the_peer_is_told_once() {
    let mut call = Call::started();
    call.run(at(200_000));
    let timeouts: Vec<Time> = call
        .sink
        .events
        .iter()
        .filter(|(_, event)| *event == LegEvent::MediaTimeout)
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(timeouts, [at(60_000)]);
    call.receive(at(200_000), sound(0), &[1; 160]);
    call.run(at(300_000));
    assert_eq!(
        call.events()
            .iter()
            .filter(|event| **event == LegEvent::MediaTimeout)
            .count(),
        2
    );
}

#[test]
fn a_re_invite_changes_codec_type_and_address_but_not_the_stream() {
    let mut call = Call::started();
    call.push(at(100), &[0x80; 3_200]);
    call.run(at(200));
    let before = call.sink.rtp.len();
    let moved: SocketAddr = "192.0.2.10:6000".parse().expect("an address");
    let again = RemoteMedia {
        rtp: Some(moved),
        codec: Codec::Pcma,
        payload_type: 8,
        dtmf_send: Some(110),
        ptime_ms: 30,
        ..remote()
    };
    call.leg.set_remote(at(200), &again);
    call.run(at(400));
    let (last, first) = (&call.sink.rtp[before - 1], &call.sink.rtp[before]);
    assert_eq!(first.to, moved);
    let (last, first) = (last.packet(), first.packet());
    assert_eq!((first.payload_type, first.payload), (8, &[0xaa; 240][..]));
    assert_eq!(
        (first.ssrc, first.sequence),
        (last.ssrc, last.sequence.wrapping_add(1))
    );
}

#[test]
fn behind_nat_sound_goes_where_it_comes_from() {
    let learned: SocketAddr = "192.0.2.9:61000".parse().expect("an address");
    for (sdp, nat, before, after) in [
        ("10.0.0.4:4000", false, None, Some(learned)),
        ("192.0.2.9:4000", true, Some(peer()), Some(learned)),
        ("192.0.2.9:4000", false, Some(peer()), Some(peer())),
    ] {
        let mut config = config(1);
        config.policy.nat = nat;
        let mut leg = Leg::new(config, START);
        leg.set_remote(
            START,
            &RemoteMedia {
                rtp: sdp.parse().ok(),
                ..remote()
            },
        );
        assert_eq!(leg.rtp_target(), before, "{sdp} {nat}");
        leg.follow(START, learned, &mut Sink::default());
        assert_eq!(leg.rtp_target(), after, "{sdp} {nat}");
    }
}

#[test]
fn marks_and_draining_are_told_when_the_sound_has_left() {
    let mut call = Call::started();
    call.push(at(100), &[1; 400]);
    call.leg.playout().push_mark(MarkId(7));
    call.leg.drain();
    call.run(at(2_000));
    let last_sound = call
        .sink
        .rtp
        .iter()
        .rfind(|sent| sent.packet().payload[0] == 1)
        .expect("sound")
        .at;
    assert_eq!(call.sink.marks, [(last_sound, MarkId(7))]);
    let drained: Vec<Time> = call
        .sink
        .events
        .iter()
        .filter(|(_, event)| *event == LegEvent::Drained)
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(drained.len(), 1);
    assert!(
        drained[0] - last_sound >= ms(120) && drained[0] - last_sound <= ms(160),
        "{:?}",
        drained[0] - last_sound
    );
}

#[test]
fn a_queue_that_is_empty_drains_too() {
    let mut call = Call::started();
    call.run(at(500));
    call.leg.drain();
    call.run(at(800));
    assert!(call.events().contains(&LegEvent::Drained));
}

#[test]
fn an_echo_comes_back_whole_in_the_codec_of_the_line() {
    let mut call = Call::started();
    call.leg.set_echo(true);
    for n in 0..100u16 {
        let header = Header {
            payload_type: 8,
            ..sound(n)
        };
        call.receive(at(200 + u64::from(n) * 20), header, &[0xaa; 160]);
    }
    call.run(at(3_000));
    let echoed: Vec<Time> = call
        .sink
        .rtp
        .iter()
        .filter(|sent| sent.packet().payload.starts_with(&[0x80, 0x80]))
        .map(|sent| sent.at)
        .collect();
    assert!(echoed.len() >= 100, "{}", echoed.len());
    assert!(
        echoed[99] - at(200 + 99 * 20) <= ms(25),
        "{:?}",
        echoed[99] - at(200 + 99 * 20)
    );
}

#[test]
fn reports_leave_about_every_five_seconds_and_bye_at_the_end() {
    let mut call = Call::started();
    for n in 0..3_000u16 {
        // One in ten is lost.
        if n % 10 != 9 {
            call.receive(at(u64::from(n) * 20), sound(n), &[1; 160]);
        }
    }
    call.leg.close(at(60_000), &mut call.sink);
    let reports = &call.sink.rtcp;
    assert!(
        (9..=20).contains(&reports.len()),
        "{} in a minute",
        reports.len()
    );
    assert!(reports[0].at - START >= ms(1_250) && reports[0].at - START <= ms(3_750));
    for pair in reports[..reports.len() - 1].windows(2) {
        let interval = pair[1].at - pair[0].at;
        assert!(
            interval >= ms(2_500) && interval <= ms(7_500),
            "{interval:?}"
        );
    }
    assert!(
        reports
            .iter()
            .all(|sent| sent.to == "192.0.2.9:4001".parse().expect("an address"))
    );
    let last = reports.last().expect("reports");
    let mut compound = Compound::decode(&last.bytes).expect("our own");
    let Some(Report::Sender {
        ssrc: 1,
        info,
        mut blocks,
    }) = compound.next()
    else {
        panic!("no SR")
    };
    assert_eq!(u64::from(info.packets), call.leg.stats().sent_packets);
    assert_eq!(u64::from(info.bytes), call.leg.stats().sent_bytes);
    let block = blocks.next().expect("we heard somebody");
    assert_eq!(
        (block.ssrc, block.cumulative_lost, block.highest_sequence),
        (77, 299, 2_998)
    );
    assert!(
        (24..=27).contains(&block.fraction_lost),
        "{}",
        block.fraction_lost
    );
    // The NTP time and the RTP timestamp of a report name the same instant in all reports.
    let clocks: Vec<(u64, u32)> = reports
        .iter()
        .map(
            |sent| match Compound::decode(&sent.bytes).expect("our own").next() {
                Some(Report::Sender { info, .. }) => (info.ntp, info.rtp_timestamp),
                other => panic!("{other:?}"),
            },
        )
        .collect();
    for &(ntp, timestamp) in &clocks[1..] {
        let seconds = (ntp - clocks[0].0) as f64 / 4_294_967_296.0;
        let samples = f64::from(timestamp.wrapping_sub(clocks[0].1));
        assert!(
            (seconds * 8_000.0 - samples).abs() < 200.0,
            "{seconds} s and {samples} samples"
        );
    }
    assert_eq!(
        compound
            .nth(1)
            .map(|report| matches!(report, Report::Bye { .. })),
        Some(true)
    );
}

#[test]
fn a_forged_bye_ends_nothing() {
    let mut call = Call::started();
    call.receive(at(0), sound(0), &[1; 160]);
    let mut packet = [0; WRITE_LEN];
    let forged = Outgoing {
        ssrc: 77,
        sender: Some(SenderInfo::default()),
        block: None,
        cname: "x",
        bye: true,
    };
    let len = write(&forged, &mut packet);
    call.leg
        .handle_rtcp(at(10), peer(), &packet[..len], &mut call.sink);
    call.receive(at(20), sound(1), &[2; 160]);
    assert_eq!(call.leg.stats().rtcp_byes, 1);
    assert_eq!(call.leg.stats().received_packets, 2);
}

/// Two legs joined by a network with a fixed delay that loses what `lose` says.
fn converse(
    delay: Duration,
    until: Time,
    mut act: impl FnMut(Time, &mut [Call; 2]),
    lose: impl Fn(u64) -> bool,
) -> [Call; 2] {
    let mut calls = [1, 2].map(|ssrc| {
        let mut leg = Leg::new(config(ssrc), START);
        let types = RemoteMedia {
            dtmf_receive: vec![101],
            ..remote()
        };
        leg.set_remote(START, &types);
        leg.start(START, None);
        leg.release(START);
        Call {
            leg,
            sink: Sink::default(),
        }
    });
    let mut wire: BTreeMap<(Time, u64), (usize, bool, Vec<u8>)> = BTreeMap::new();
    let (mut taken, mut number) = ([(0, 0), (0, 0)], 0u64);
    let mut now = START;
    while now <= until {
        act(now, &mut calls);
        while let Some(entry) = wire.first_entry().filter(|entry| entry.key().0 <= now) {
            let (to, rtcp, bytes) = entry.remove();
            let Call { leg, sink } = &mut calls[to];
            sink.now = now;
            if rtcp {
                leg.handle_rtcp(now, peer(), &bytes, sink)
            } else {
                leg.handle_rtp(now, peer(), &bytes, sink)
            }
        }
        for (from, call) in calls.iter_mut().enumerate() {
            call.run(now);
            for sent in &call.sink.rtp[taken[from].0..] {
                number += 1;
                if !lose(number) {
                    wire.insert((now + delay, number), (1 - from, false, sent.bytes.clone()));
                }
            }
            for sent in &call.sink.rtcp[taken[from].1..] {
                number += 1;
                wire.insert((now + delay, number), (1 - from, true, sent.bytes.clone()));
            }
            taken[from] = (call.sink.rtp.len(), call.sink.rtcp.len());
        }
        let next = calls
            .iter()
            .map(|call| call.leg.next_timeout())
            .fold(None, earliest);
        let arrival = wire.first_key_value().map(|(key, _)| key.0);
        now = earliest(next, arrival)
            .expect("legs never rest")
            .max(now + Duration::from_micros(100));
    }
    calls
}

#[test]
fn both_ends_measure_the_round_trip() {
    let calls = converse(ms(35), at(30_000), |_, _| {}, |_| false);
    for call in &calls {
        let stats = call.leg.stats();
        assert!(
            stats.round_trip_us.abs_diff(70_000) < 1_000,
            "{}",
            stats.round_trip_us
        );
        assert_eq!((stats.remote_lost, stats.received_lost), (0, 0));
    }
}

#[test]
fn a_report_that_answers_what_was_not_asked_yet_says_nothing_of_the_round_trip() {
    let mut call = Call::started();
    call.run(at(5_000));
    let mut report = |since: i64| {
        // The middle of the NTP time of a report that was sent so many milliseconds ago.
        let middle = (at(5_000).as_nanos() as i64 / 1_000_000 - since) * 65_536 / 1_000;
        let block = ReportBlock {
            ssrc: 1,
            fraction_lost: 0,
            cumulative_lost: 0,
            highest_sequence: 0,
            jitter: 0,
            last_sr: middle as u32,
            delay_since_last_sr: 0,
        };
        let mut packet = [0; WRITE_LEN];
        let outgoing = Outgoing {
            ssrc: 77,
            sender: None,
            block: Some(block),
            cname: "peer",
            bye: false,
        };
        let len = write(&outgoing, &mut packet);
        let packet = &packet[..len];
        call.leg
            .handle_rtcp(at(5_000), peer(), packet, &mut call.sink);
        call.leg.stats().round_trip_us / 1_000
    };
    assert_eq!(report(80), 80);
    assert_eq!(report(-20_000), 80, "from the future");
    assert_eq!(report(40_000), 80, "from long ago");
    assert_eq!(report(-10), 0, "clocks are coarse");
}

#[test]
fn losses_reported_by_the_peer_are_those_of_the_network() {
    let calls = converse(ms(35), at(60_000), |_, _| {}, |number| number % 20 == 7);
    for call in &calls {
        let stats = call.leg.stats();
        let lost = stats.remote_lost as f64 / stats.sent_packets as f64;
        assert!(
            (0.0..0.11).contains(&lost) && stats.remote_fraction_lost < 30,
            "{lost}"
        );
    }
    let reported: u64 = calls.iter().map(|call| call.leg.stats().remote_lost).sum();
    let injected = calls
        .iter()
        .map(|call| call.leg.stats().sent_packets)
        .sum::<u64>()
        / 20;
    assert!(
        reported.abs_diff(injected) <= injected / 5,
        "{reported} of {injected}"
    );
}

#[test]
fn digits_arrive_once_each_over_a_network_that_loses() {
    let mut keyed = false;
    let act = |now: Time, calls: &mut [Call; 2]| {
        if now >= at(500) && !keyed {
            keyed = true;
            assert_eq!(calls[0].leg.send_dtmf("5550199*#A"), 10);
        }
    };
    let calls = converse(ms(35), at(8_000), act, |number| number % 7 == 3);
    assert_eq!(calls[1].digits(), "5550199*#A");
    assert_eq!(calls[0].digits(), "");
}

#[test]
fn digits_go_out_only_to_a_peer_that_knows_them() {
    let mut call = Call::started();
    call.leg.set_remote(
        at(0),
        &RemoteMedia {
            dtmf_send: None,
            ..remote()
        },
    );
    assert_eq!(call.leg.send_dtmf("12"), 0);
    assert_eq!(call.leg.stats().dropped_digits, 2);
    call.push(at(100), &[1; 160]);
    call.run(at(120));
    assert_eq!(call.leg.stats().sent_audio_packets, 1);
}
