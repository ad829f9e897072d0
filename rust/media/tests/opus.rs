//! Opus on the line (RFC 6716, RFC 7587): durations by the first bytes, losses made good from copies, pauses in which nothing is sent, and a clock of
//! 48 kHz beside ticks of 8 kHz.
mod support;

use offhook_media::claim::Policy;
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Decoder, opus};
use offhook_media::jitter::{JitterBuffer, MAX_FRAME};
use offhook_media::leg::{Leg, LegConfig, LegEvent, LegSink, RemoteMedia, UplinkFrame};
use offhook_media::order::{Content, Queued};
use offhook_media::playout::{MarkId, PlayoutConfig};
use offhook_media::rtp::{HEADER_LEN, Header, Packet};
use offhook_media::telephone_event::{Digit, Event};
use offhook_media::uplink::{Fill, Uplink};
use std::net::SocketAddr;
use std::time::Duration;
use support::{level, signal_to_noise, tone, voice};

const START: Time = Time::from_millis(5_000);

fn at(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

/// Packets of 20 ms of this sound, with copies where losses are expected.
fn packets(sound: &[i16], settings: opus::Settings) -> Vec<Vec<u8>> {
    let mut encoder = opus::Encoder::default();
    encoder.set(settings);
    encoder.set_loss(51);
    let one = |frame: &[i16]| {
        let mut packet = vec![0; 480];
        let bytes = encoder.encode(frame, &mut packet);
        packet.truncate(bytes);
        packet
    };
    sound.chunks_exact(320).map(one).collect()
}

fn speech(seconds: f64) -> Vec<i16> {
    let sound = voice(16_000, seconds, 7);
    let gain = 3_000.0 / level(&sound);
    let louder = sound.iter().map(|&sample| f64::from(sample) * gain);
    louder
        .map(|sample| sample.clamp(-32_000.0, 32_000.0) as i16)
        .collect()
}

fn queued(number: usize, payload: &[u8]) -> Queued<'_> {
    Queued {
        sequence: 65_500u16.wrapping_add(number as u16),
        timestamp: (u32::MAX - 5_000).wrapping_add(number as u32 * 160),
        marker: number == 0,
        content: Content::Sound(Codec::Opus),
        payload,
        missing: 0,
    }
}

#[test]
fn a_packet_lasts_what_its_first_bytes_say() {
    // Configurations of SILK, hybrid and CELT (RFC 6716 table 2) in ticks of 8 kHz, one frame each (code 0).
    let one = [80, 160, 320, 480];
    for config in 0..32u8 {
        let expected = match config {
            0..12 => one[usize::from(config % 4)],
            12..16 => one[usize::from(config % 2)],
            _ => [20, 40, 80, 160][usize::from(config % 4)],
        };
        assert_eq!(opus::ticks_in(&[config << 3, 0]), expected, "{config}");
    }
    // Two frames, and a count of frames that may come to 120 ms and no more.
    assert_eq!(opus::ticks_in(&[1 << 3 | 1, 0, 0]), 320);
    assert_eq!(opus::ticks_in(&[1 << 3 | 3, 6, 0]), 960);
    assert_eq!(opus::ticks_in(&[1 << 3 | 3, 7, 0]), 0);
    assert_eq!(opus::ticks_in(&[3 << 3 | 3, 3, 0]), 0);
    assert_eq!(opus::ticks_in(&[]), 0);
}

#[test]
fn a_lost_packet_is_recovered_from_the_copy_in_the_next() {
    let sound = speech(8.0);
    let mut noise = Vec::new();
    for fec in [true, false] {
        let sent = packets(
            &sound,
            opus::Settings {
                fec,
                ..opus::Settings::default()
            },
        );
        let (mut uplink, mut heard, mut clean) = (Uplink::new(Codec::Opus), Vec::new(), Vec::new());
        let mut decoder = Decoder::new(Codec::Opus);
        uplink.start(START);
        let mut lost = 0;
        let mut fills = Vec::new();
        for (number, packet) in sent.iter().enumerate() {
            let mut room = [0; 320];
            decoder.decode(packet, &mut room);
            clean.extend(room);
            let now = at(number as u64 * 20);
            while let Some(due) = uplink.next_timeout().filter(|&due| due <= now) {
                uplink.handle_timeout(due, &mut |frame| heard.extend(frame.pcm));
            }
            if number % 6 == 5 {
                lost += 1;
                continue;
            }
            uplink.receive(now, queued(number, packet), &mut |frame| {
                assert_eq!(frame.position, heard.len() as u64 / 2, "no hole");
                fills.push((number, frame.fill));
                heard.extend(frame.pcm);
            });
        }
        let counts = uplink.counts();
        let pairs = heard.len().min(clean.len());
        let of_lost = |sound: &[i16]| -> Vec<i16> {
            let frames = sound[..pairs - pairs % 320].chunks_exact(320).enumerate();
            frames
                .filter(|(n, _)| n % 6 == 5)
                .flat_map(|(_, frame)| frame.to_vec())
                .collect()
        };
        noise.push(signal_to_noise(&of_lost(&clean), &of_lost(&heard)));
        assert!(
            heard.len().abs_diff(clean.len()) <= 1_600,
            "{} {}",
            heard.len(),
            clean.len()
        );
        if fec {
            // Copies are made of speech alone, and half of the sound is pauses.
            assert!(
                counts.recovered_frames >= lost * 2 / 5,
                "{lost} lost, {counts:?}"
            );
            assert!(!fills.iter().any(|&(_, fill)| fill == Fill::Silence));
        } else {
            assert_eq!(counts.recovered_frames, 0);
            assert!(
                counts.concealed_frames >= lost - 1,
                "{lost} lost, {counts:?}"
            );
        }
    }
    assert!(
        noise[0] > noise[1] + 3.0,
        "{noise:?} dB where packets were lost"
    );
}

/// A peer that sends what is not empty, of which the places `lost` don't come; the timeline and all that it gave out.
fn heard_without(sent: &[Vec<u8>], lost: &dyn Fn(usize) -> bool) -> (Uplink, Vec<i16>) {
    let (mut uplink, mut heard) = (Uplink::new(Codec::Opus), Vec::new());
    uplink.start(START);
    let mut sequence = 0;
    for (number, packet) in sent.iter().enumerate() {
        let now = at(number as u64 * 20);
        while let Some(due) = uplink.next_timeout().filter(|&due| due <= now) {
            uplink.handle_timeout(due, &mut |frame| heard.extend(frame.pcm));
        }
        if packet.is_empty() {
            continue;
        }
        sequence += 1;
        if !lost(number) {
            let packet = Queued {
                sequence,
                ..queued(number, packet)
            };
            uplink.receive(now, packet, &mut |frame| heard.extend(frame.pcm));
        }
    }
    (uplink, heard)
}

#[test]
fn the_copy_behind_a_loss_of_any_length_is_heard() {
    let sent = packets(&speech(8.0), opus::Settings::default());
    let has_copy = |number: usize| opus::copied_ticks(&sent[number]) > 0;
    for length in 1..=12 {
        let ends: Vec<usize> = (50..sent.len() - 20)
            .filter(|number| number % 50 >= 30 && has_copy(*number))
            .fold(Vec::new(), |mut ends, number| {
                if ends.last().is_none_or(|last| last + 40 < number) {
                    ends.push(number);
                }
                ends
            });
        assert!(ends.len() > 2, "{ends:?}");
        let lost = |number| {
            ends.iter()
                .any(|&end| (end - length..end).contains(&number))
        };
        let (uplink, heard) = heard_without(&sent, &lost);
        let counts = uplink.counts();
        assert_eq!(counts.recovered_frames, ends.len() as u64, "{length} lost");
        assert!(
            heard.len().abs_diff(sent.len() * 320) <= 320 * 6,
            "{length} lost: {} of {}, {counts:?}",
            heard.len(),
            sent.len() * 320
        );
    }
}

#[test]
fn the_first_packet_behind_a_pause_is_made_good_too() {
    let spoken = packets(&speech(4.0), opus::Settings::default());
    let at_first = (60..spoken.len() - 20)
        .find(|&number| opus::copied_ticks(&spoken[number + 1]) > 0)
        .expect("a copy");
    // Packets that code nothing stand for a pause of the peer, up to a word.
    let pause = (20..at_first).map(|_| spoken[0][..1].to_vec());
    let sent: Vec<Vec<u8>> = spoken[..20]
        .iter()
        .cloned()
        .chain(pause)
        .chain(spoken[at_first..].iter().cloned())
        .collect();
    let (uplink, _) = heard_without(&sent, &|number| number == at_first);
    assert_eq!(uplink.counts().recovered_frames, 1, "{:?}", uplink.counts());
}

#[test]
fn a_pause_is_told_once_and_then_nothing_is_sent() {
    let mut sound = speech(1.0);
    sound.extend(vec![0; 32_000]);
    let settings = opus::Settings {
        dtx: true,
        ..opus::Settings::default()
    };
    let sent = packets(&sound, settings);
    let lengths: Vec<usize> = sent[50..].iter().map(Vec::len).collect();
    let first = lengths.iter().position(|&length| length <= 2);
    let first = first.expect("a pause");
    assert_eq!(lengths[first], 1, "{lengths:?}");
    assert!(
        lengths[first + 1..first + 15]
            .iter()
            .all(|&length| length == 0),
        "{lengths:?}"
    );
    // What has been told keeps the background of the last words.
    let (uplink, _) = heard_without(&sent, &|_| false);
    assert!(uplink.counts().noise_frames > 10, "{:?}", uplink.counts());
}

#[test]
fn packets_of_every_length_go_on_one_timeline_and_those_that_are_none_are_counted() {
    let mut uplink = Uplink::new(Codec::Opus);
    uplink.start(START);
    let (mut heard, mut longest) = (0, 0);
    let mut ticks = 0;
    // SILK at 10 to 60 ms, CELT at 2.5 to 20 ms, six frames of 20 ms; all of them say nothing, which is allowed.
    for (number, packet) in [
        &[8 << 3, 0][..],
        &[9 << 3, 0],
        &[10 << 3, 0],
        &[11 << 3, 0],
        &[20 << 3, 0],
        &[21 << 3, 0],
        &[9 << 3 | 3, 6, 0],
    ]
    .iter()
    .enumerate()
    {
        let packet = Queued {
            timestamp: ticks,
            ..queued(number, packet)
        };
        uplink.receive(at(number as u64), packet, &mut |frame| {
            longest = longest.max(frame.pcm.len());
            heard += frame.pcm.len();
        });
        ticks += opus::ticks_in(packet.payload);
    }
    assert_eq!((heard as u32, longest), (2 * ticks, 960));
    for (number, packet) in [
        &[][..],
        &[9 << 3 | 3, 63, 1],
        &[9 << 3 | 3],
        &[9 << 3 | 2, 255],
    ]
    .iter()
    .enumerate()
    {
        let packet = Queued {
            timestamp: ticks,
            ..queued(7 + number, packet)
        };
        uplink.receive(at(100), packet, &mut |_| {});
    }
    assert_eq!(uplink.counts().bad_payloads, 4);
}

#[test]
fn a_pause_of_the_peer_flows_and_its_end_is_no_loss() {
    let mut uplink = Uplink::new(Codec::Opus);
    uplink.start(START);
    let mut sound = speech(1.0);
    sound.extend(vec![0; 16_000]);
    sound.extend(speech(0.4));
    let settings = opus::Settings {
        dtx: true,
        ..opus::Settings::default()
    };
    let sent = packets(&sound, settings);
    let silent = sent.iter().filter(|packet| packet.is_empty()).count();
    assert!(
        silent > 25,
        "{silent} of 50 packets of silence are not sent"
    );
    let (mut sequence, mut position) = (0, 0);
    let mut end = Vec::new();
    for (number, packet) in sent.iter().enumerate() {
        let now = at(number as u64 * 20);
        while let Some(due) = uplink.next_timeout().filter(|&due| due <= now) {
            uplink.handle_timeout(due, &mut |frame| position += frame.pcm.len());
        }
        if packet.is_empty() {
            continue;
        }
        let packet = Queued {
            sequence,
            ..queued(number, packet)
        };
        sequence += 1;
        uplink.receive(now, packet, &mut |frame| {
            position += frame.pcm.len();
            if number > 110 {
                end.push(frame.fill);
            }
        });
    }
    let counts = uplink.counts();
    assert!(
        position.abs_diff(sound.len()) <= 1_920,
        "{position} of {}",
        sound.len()
    );
    assert!(
        counts.jumps == 0 && end.iter().all(|&fill| fill == Fill::Heard),
        "{counts:?} {end:?}"
    );
}

#[test]
fn stereo_is_mixed_down() {
    let mut encoder =
        opus_pure::OpusEncoder::new(48_000, 2, opus_pure::Application::Audio).expect("an encoder");
    let (left, right) = (
        tone(48_000, 440.0, 8_000.0, 48_000),
        tone(48_000, 1_000.0, 8_000.0, 48_000),
    );
    let both: Vec<i16> = left
        .iter()
        .zip(&right)
        .flat_map(|(&left, &right)| [left, right])
        .collect();
    let mut decoder = Decoder::new(Codec::Opus);
    let mut heard = Vec::new();
    for frame in both.chunks_exact(1_920) {
        let mut packet = [0; 1_275];
        let bytes = encoder
            .encode_s16(frame, 960, &mut packet)
            .expect("a packet");
        let mut room = [0; 320];
        assert_eq!(decoder.decode(&packet[..bytes], &mut room), 320);
        heard.extend(room);
    }
    let mixed: Vec<i16> = (0..16_000)
        .map(|n| (left[3 * n] / 2) + (right[3 * n] / 2))
        .collect();
    let best = (0..400)
        .map(|shift| signal_to_noise(&mixed[1_600..12_000], &heard[1_600 + shift..12_000 + shift]));
    assert!(best.fold(0.0, f64::max) > 15.0);
}

#[test]
fn the_buffer_of_a_line_to_a_line_recovers_what_was_lost() {
    let sound = speech(3.0);
    let sent = packets(&sound, opus::Settings::default());
    let mut buffer = JitterBuffer::new(Codec::Opus);
    let mut out = [0; MAX_FRAME];
    let mut heard = 0;
    for (number, packet) in sent.iter().enumerate() {
        if number % 10 != 7 {
            buffer.put(at(number as u64 * 20), queued(number, packet));
        }
        if number > 2 {
            let played = buffer.play(at(number as u64 * 20), &mut out);
            assert_eq!(played.rate, 16_000);
            heard += usize::from(played.fill == Fill::Heard);
        }
    }
    assert!(heard > sent.len() - 10, "{heard} of {}", sent.len());
}

#[derive(Default)]
struct Sink {
    now: Time,
    sent: Vec<(Time, Vec<u8>)>,
    reports: Vec<Vec<u8>>,
    heard: usize,
    digits: Vec<(char, Duration)>,
}

impl LegSink for Sink {
    fn audio(&mut self, frame: UplinkFrame<'_>) {
        self.heard += frame.pcm.len();
    }
    fn send_rtp(&mut self, _to: SocketAddr, packet: &[u8]) {
        self.sent.push((self.now, packet.to_vec()));
    }
    fn send_rtcp(&mut self, _to: SocketAddr, packet: &[u8]) {
        self.reports.push(packet.to_vec());
    }
    fn event(&mut self, event: LegEvent) {
        if let LegEvent::Digit {
            digit, duration, ..
        } = event
        {
            self.digits.push((digit.as_char(), duration));
        }
    }
    fn mark(&mut self, _mark: MarkId) {}
}

struct Call {
    leg: Leg,
    sink: Sink,
}

const FIRST: u32 = u32::MAX - 10_000;

impl Call {
    fn new(wanted: opus::Settings, ptime_ms: u32) -> Self {
        let peer: SocketAddr = "192.0.2.9:4000".parse().expect("an address");
        let config = LegConfig {
            ssrc: 1,
            first_sequence: 65_535,
            first_timestamp: FIRST,
            seed: 1,
            cname: "call@offhook".into(),
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
        let mut leg = Leg::new(config, START);
        let remote = RemoteMedia {
            dtmf_send: Some(110),
            dtmf_receive: vec![110],
            opus: wanted,
            ptime_ms,
            ..RemoteMedia::plain(peer, 107, Codec::Opus)
        };
        leg.set_remote(START, &remote);
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

    fn push(&mut self, now: Time, pcm: &[i16]) {
        self.run(now);
        let bytes: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        assert_eq!(self.leg.playout().push(now, &bytes), bytes.len());
        self.leg.handle_timeout(now, &mut self.sink);
    }

    fn receive(
        &mut self,
        now: Time,
        payload_type: u8,
        number: u16,
        timestamp: u32,
        payload: &[u8],
    ) {
        self.run(now);
        let header = Header {
            marker: false,
            payload_type,
            sequence: number,
            timestamp,
            ssrc: 9,
        };
        let mut packet = header.encode().to_vec();
        packet.extend(payload);
        self.leg.handle_rtp(
            now,
            "192.0.2.9:4000".parse().expect("an address"),
            &packet,
            &mut self.sink,
        );
    }

    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.sink
            .sent
            .iter()
            .map(|(_, bytes)| Packet::decode(bytes).expect("our own"))
    }
}

#[test]
fn timestamps_count_48_khz_and_every_packet_can_be_decoded() {
    for (ptime, lasts) in [
        (10, 80),
        (20, 160),
        (30, 160),
        (40, 320),
        (50, 320),
        (60, 480),
    ] {
        let mut call = Call::new(opus::Settings::default(), ptime);
        call.push(at(205), &speech(1.0));
        call.run(at(1_500));
        assert_eq!(
            call.packets().next().map(|packet| packet.timestamp),
            Some(FIRST)
        );
        let mut decoder = Decoder::new(Codec::Opus);
        let (mut before, mut loud) = (None, 0);
        for packet in call.packets() {
            let mut room = [0; opus::MAX_SAMPLES];
            assert_eq!(opus::ticks_in(packet.payload), lasts, "{ptime} ms");
            let samples = decoder.decode(packet.payload, &mut room);
            loud += usize::from(level(&room[..samples]) > 300.0);
            if let Some(before) = before {
                let step = packet.timestamp.wrapping_sub(before);
                assert!(
                    step == 6 * lasts || packet.marker && step < 12 * lasts,
                    "{step}"
                );
            }
            before = Some(packet.timestamp);
        }
        assert!(
            loud as u32 * lasts > 4_000,
            "{ptime} ms: {loud} packets of sound"
        );
    }
}

#[test]
fn what_the_peer_asks_for_is_sent() {
    let bytes = |wanted| {
        let mut call = Call::new(wanted, 20);
        call.push(at(5), &speech(4.0));
        call.run(at(3_900));
        let sizes: Vec<usize> = call
            .packets()
            .skip(20)
            .map(|packet| packet.payload.len())
            .collect();
        (
            sizes.iter().sum::<usize>(),
            sizes.iter().max() == sizes.iter().min(),
        )
    };
    let usual = opus::Settings::default();
    let (least, _) = bytes(opus::Settings {
        bitrate: 8_000,
        ..usual
    });
    let (most, even) = bytes(usual);
    assert!(least * 2 < most && !even, "{least} {most}");
    let (_, even) = bytes(opus::Settings { cbr: true, ..usual });
    assert!(even, "all packets have one size");
    let mut call = Call::new(
        opus::Settings {
            max_rate: 8_000,
            ..usual
        },
        20,
    );
    call.push(at(5), &speech(1.0));
    call.run(at(900));
    assert!(
        call.packets().all(|packet| packet.payload[0] >> 3 < 4),
        "narrowband"
    );
}

#[test]
fn nothing_is_sent_in_pauses_if_the_peer_asks_for_that() {
    let mut call = Call::new(
        opus::Settings {
            dtx: true,
            ..opus::Settings::default()
        },
        20,
    );
    call.push(at(5), &speech(1.0));
    call.run(at(5_000));
    let stats = call.leg.stats();
    assert!(stats.unsent_pauses > 100, "{stats:?}");
    let due = stats.unsent_pauses + stats.sent_packets;
    assert!((250..=251).contains(&due), "{stats:?}");
    // The sequence has no gaps, the time passes, and what follows a pause says so.
    let all: Vec<_> = call.packets().collect();
    for pair in all.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        let passed = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(
            passed >= 960 && (pair[1].marker || passed == 960),
            "{passed}"
        );
    }
}

#[test]
fn keys_count_48_khz_both_ways() {
    let mut call = Call::new(opus::Settings::default(), 20);
    call.run(at(100));
    call.leg.send_dtmf("7");
    call.run(at(500));
    let events: Vec<(u32, Event)> = call
        .packets()
        .filter(|packet| packet.payload_type == 110)
        .map(|packet| {
            (
                packet.timestamp,
                Event::decode(packet.payload).expect("an event"),
            )
        })
        .collect();
    assert!(
        events.len() >= 10
            && events
                .iter()
                .all(|(timestamp, _)| *timestamp == events[0].0)
    );
    let (_, last) = events.last().expect("an event");
    assert_eq!((last.end, last.duration), (true, 160 * 48));
    let sound = call.packets().filter(|packet| packet.payload_type == 107);
    let ahead = sound.map(|packet| events[0].0.wrapping_sub(packet.timestamp) as i32 % 960);
    assert!(ahead.into_iter().all(|off| off == 0), "one clock for both");

    // The peer's: two seconds in two segments (RFC 4733 section 2.5.1.3).
    let digit = Digit::from_char('5').expect("a key");
    let mut number = 0;
    for n in 1..=100u32 {
        let (timestamp, duration) = match n * 960 {
            lasted @ ..=0xffff => (1_000, lasted),
            lasted => (1_000 + 0xffff, lasted - 0xffff),
        };
        let event = Event {
            code: digit.event(),
            end: n == 100,
            volume: 10,
            duration: duration as u16,
        };
        number += 1;
        call.receive(
            at(500 + u64::from(n) * 20),
            110,
            number,
            timestamp,
            &event.encode(),
        );
    }
    assert_eq!(call.sink.digits, [('5', Duration::from_millis(2_000))]);
}

#[test]
fn a_peer_is_heard_and_told_of_its_jitter_on_its_clock() {
    let sound = speech(6.0);
    let sent = packets(&sound, opus::Settings::default());
    let mut call = Call::new(opus::Settings::default(), 20);
    for (number, packet) in sent.iter().enumerate() {
        // Every second packet is 8 ms late.
        let now = at(number as u64 * 20 + number as u64 % 2 * 8);
        call.receive(
            now,
            107,
            number as u16,
            (u32::MAX - 50_000).wrapping_add(number as u32 * 960),
            packet,
        );
    }
    call.run(at(9_000));
    let stats = call.leg.stats();
    assert!(
        stats.received_leaps == 0 && stats.received_lost == 0,
        "{stats:?}"
    );
    assert!(
        (6_000..=8_500).contains(&stats.received_jitter_us),
        "{stats:?}"
    );
    assert!(call.sink.heard >= sound.len(), "{}", call.sink.heard);
    // Jitter is the sixth word of a report block, which follows the sender's 28 bytes.
    let jitter = |report: &Vec<u8>| {
        let block = report.get(HEADER_LEN + 16..HEADER_LEN + 40)?;
        Some(u32::from_be_bytes(block.get(12..16)?.try_into().ok()?))
    };
    let told: Vec<u32> = call.sink.reports.iter().filter_map(jitter).collect();
    assert!(
        told.iter().any(|jitter| (200..=450).contains(jitter)),
        "{told:?}"
    );
}

/// Whatever a packet of CELT says (RFC 6716 section 3.1, configurations 16 to 31), a gap behind it of any length is filled, as is one before it.
#[test]
fn a_gap_of_any_length_is_filled_behind_frames_of_any_length() {
    for configuration in 0..32u8 {
        let packet: Vec<u8> = std::iter::once(configuration << 3)
            .chain((0..60u8).map(|byte| byte.wrapping_mul(37) ^ configuration))
            .collect();
        let mut decoder = opus::Decoder::default();
        let mut sound = [0; opus::MAX_SAMPLES];
        assert!(decoder.decode(&packet, &mut sound) > 0);
        for samples in 1..=400 {
            assert!(decoder.conceal(&mut sound[..samples]), "{samples}");
        }
        for samples in (1..=1_000).step_by(13) {
            decoder.decode(&packet, &mut sound);
            assert!(decoder.recover(&packet, &mut sound[..samples]), "{samples}");
        }
    }
    assert!(!opus::Decoder::default().conceal(&mut []));
}
