//! Numbers and timestamps of RTP have no beginning: whatever a network does to a stream, it comes out the same wherever its counters stand.
use offhook_media::claim::{ClaimTable, Glimpse, LegKey, Policy, Remote, SharedLatch, Verdict};
use offhook_media::clock::Time;
use offhook_media::codec::{Codec, Encoder};
use offhook_media::jitter::{FRAME_TIME, JitterBuffer, MAX_FRAME};
use offhook_media::order::{Content, Queued};
use offhook_media::rtp::{Arrival, Header, Reception};
use offhook_media::srtp::{MAX_TRAILER, Protection, SrtpError, SrtpKeys, Suite};
use offhook_media::uplink::{Fill, Uplink, UplinkFrame};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const START: Time = Time::from_millis(5_000);
const FRAME: u32 = 160;

/// A packet as it comes: so long after the one before it, with these counters from the beginning of the stream on.
#[derive(Clone, Copy, Debug)]
struct Came {
    after_ms: u64,
    sequence: u16,
    timestamp: u32,
    content: u8,
}

/// A stream of packets of 20 ms, some of which are lost, late or twice; now and then the sender pauses or leaps.
fn stream() -> impl Strategy<Value = Vec<Came>> {
    let fate = (0..40u8, 0..90u64, any::<u16>(), any::<u32>(), 0..30u8);
    proptest::collection::vec(fate, 2..120).prop_map(|fates| {
        let (mut time, mut sequence, mut timestamp) = (0, 0u16, 0u32);
        let mut sent = Vec::new();
        for (kind, delay, sequence_leap, timestamp_leap, content) in fates {
            time += 20;
            sequence = sequence.wrapping_add(1);
            timestamp = timestamp.wrapping_add(FRAME);
            match kind {
                0 | 1 => continue,
                2 => sequence = sequence.wrapping_add(sequence_leap),
                3 => timestamp = timestamp.wrapping_add(timestamp_leap),
                4 => {
                    time += 50 * delay;
                    timestamp = timestamp.wrapping_add((400 * delay) as u32);
                }
                5 => sent.push((time + delay + 1, sequence, timestamp, content)),
                _ => {}
            }
            let late = if kind < 20 { delay } else { 0 };
            sent.push((time + late, sequence, timestamp, content));
        }
        sent.sort_by_key(|&(time, ..)| time);
        let mut before = 0;
        let came = sent
            .into_iter()
            .map(|(time, sequence, timestamp, content)| {
                let after_ms = time - std::mem::replace(&mut before, time);
                Came {
                    after_ms,
                    sequence,
                    timestamp,
                    content,
                }
            });
        came.collect()
    })
}

/// Where a stream begins: anywhere, and right before the counters come round most of all.
fn origin() -> impl Strategy<Value = (u16, u32)> {
    prop_oneof![
        any::<(u16, u32)>(),
        (0..150u16, 0..30_000u32).prop_map(|(n, ticks)| (u16::MAX - n, u32::MAX - ticks)),
        (0..150u16, 0..30_000u32).prop_map(|(n, ticks)| (0x7fff - n, 0x7fff_ffff - ticks)),
    ]
}

/// Each packet and when it comes, from an origin on.
fn from(
    came: &[Came],
    (sequence, timestamp): (u16, u32),
    codec: Codec,
) -> Vec<(Time, Queued<'static>)> {
    let sound: Vec<i16> = (0..codec.samples_of_ticks(FRAME))
        .map(|n| (6_000.0 * (n as f64 * 0.3).sin()) as i16)
        .collect();
    let mut payload = vec![0; 200];
    let len = Encoder::new(codec).encode(&sound, &mut payload);
    payload.truncate(len);
    let payload: &'static [u8] = payload.leak();
    let mut now = START;
    let packets = came.iter().map(|came| {
        now += Duration::from_millis(came.after_ms);
        let (content, payload) = match came.content {
            0 => (Content::Noise, &[60][..]),
            1 => (Content::Nothing, &[][..]),
            _ => (Content::Sound(codec), payload),
        };
        let packet = Queued {
            sequence: sequence.wrapping_add(came.sequence),
            timestamp: timestamp.wrapping_add(came.timestamp),
            marker: false,
            content,
            payload,
            missing: 0,
        };
        (now, packet)
    });
    packets.collect()
}

/// What a line hears of a line.
fn played(packets: &[(Time, Queued<'_>)], codec: Codec) -> (Vec<i16>, Vec<Fill>, Vec<Duration>) {
    let mut buffer = JitterBuffer::new(codec);
    let (mut sound, mut fills, mut delays) = (Vec::new(), Vec::new(), Vec::new());
    let mut tick = START + Duration::from_millis(8);
    let end = packets.last().map_or(START, |packet| packet.0) + Duration::from_millis(300);
    let mut packets = packets.iter().peekable();
    while tick <= end {
        while let Some(&(at, packet)) = packets.next_if(|packet| packet.0 <= tick) {
            buffer.put(at, packet);
        }
        let mut out = [0; MAX_FRAME];
        let frame = buffer.play(tick, &mut out);
        sound.extend_from_slice(&out[..frame.samples]);
        fills.push(frame.fill);
        delays.push(buffer.delay());
        tick += FRAME_TIME;
    }
    (sound, fills, delays)
}

/// What an agent hears of a line.
fn heard(packets: &[(Time, Queued<'_>)], codec: Codec) -> Vec<(u64, Fill, Vec<i16>)> {
    let mut uplink = Uplink::new(codec);
    let mut heard = Vec::new();
    uplink.start(START);
    let mut take = |frame: UplinkFrame<'_>| {
        heard.push((frame.position, frame.fill, frame.pcm.to_vec()));
    };
    for &(at, packet) in packets {
        while let Some(due) = uplink.next_timeout().filter(|&due| due <= at) {
            uplink.handle_timeout(due, &mut take);
        }
        uplink.receive(at, packet, &mut take);
    }
    heard
}

/// Where each packet stands in its stream, what is missing of it by then, and how uneven it is.
fn counted(packets: &[(Time, Queued<'_>)]) -> Vec<(Arrival, i64, Duration)> {
    let first = packets.first().map_or(0, |packet| packet.1.sequence);
    let mut reception = Reception::new(7, first, 8_000);
    let count = |(at, packet): &(Time, Queued<'_>)| {
        let arrival = reception.receive(packet.sequence);
        reception.arrived(*at, packet.timestamp);
        (arrival, reception.lost(), reception.jitter())
    };
    packets.iter().map(count).collect()
}

/// What a port makes of a stream that comes from where SDP says, or from another place; `moves`: in the middle it comes from a third.
fn judged(packets: &[(Time, Queued<'_>)], known: bool, moves: bool) -> Vec<Verdict> {
    let mut claims = ClaimTable::new();
    let policy = Policy {
        signalling: "203.0.113.5".parse().expect("an address"),
        media_allow: Vec::new(),
        nat: true,
        loopback: false,
    };
    let leg = LegKey(1);
    claims.open(leg, policy.clone(), Arc::new(SharedLatch::default()));
    let named = "203.0.113.5:4000".parse().expect("an address");
    let remote = Remote {
        rtp: Some(named),
        payload_types: 1,
        ..Remote::default()
    };
    claims.set_remote(leg, remote, policy).expect("alone");
    let half = packets.len() / 2;
    let judge = |(n, (at, packet)): (usize, &(Time, Queued<'_>))| {
        let mut source = named;
        source.set_port(match (known, moves && n >= half) {
            (true, false) => 4_000,
            (false, false) => 4_444,
            (_, true) => 5_555,
        });
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            ssrc: 9,
        };
        let glimpse = Glimpse::of(&header.encode()).expect("RTP");
        claims.receive_rtp(*at, source, glimpse, &mut |_| false)
    };
    packets.iter().enumerate().map(judge).collect()
}

/// Both ends of an encrypted stream: what the first has sealed, the second is to open once.
struct Sealed {
    ours: Protection,
    theirs: Protection,
    /// The number of the next packet, with its rollovers.
    index: u64,
    now: Time,
}

impl Sealed {
    fn new(first: u16) -> Self {
        let suite = Suite::from_name("AES_CM_128_HMAC_SHA1_80").expect("one");
        let end = |send: u8, receive: u8| {
            let keys = SrtpKeys::new(suite, &[send; 30], &[receive; 30]).expect("long enough");
            let mut end = Protection::default();
            end.set(START, Some(&keys));
            end
        };
        Sealed {
            ours: end(1, 2),
            theirs: end(2, 1),
            index: first.into(),
            now: START,
        }
    }

    /// Seals the next packet.
    fn seal(&mut self) -> Vec<u8> {
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: self.index as u16,
            timestamp: 0,
            ssrc: 9,
        };
        let mut packet = header.encode().to_vec();
        packet.extend([0x55; 20]);
        let len = packet.len();
        packet.resize(len + MAX_TRAILER, 0);
        let len = self.ours.protect_rtp(&mut packet, len).expect("sealed");
        packet.truncate(len);
        self.index += 1;
        packet
    }

    /// So many packets are sent, and none of them comes.
    fn lose(&mut self, count: u64) {
        let end = self.index + count;
        while self.index + 0x4000 < end {
            self.index += 0x4000;
            self.seal();
        }
        self.index = end;
    }

    fn open(&mut self, packet: &[u8]) -> Result<usize, SrtpError> {
        self.theirs.unprotect_rtp(self.now, &mut packet.to_vec())
    }
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened_once_however_often_its_numbers_roll_over(
        first in 0..0x8000u16, steps in proptest::collection::vec((0..20u8, 0..900_000u64), 1..80),
    ) {
        let mut line = Sealed::new(first);
        let mut held: Option<(Vec<u8>, u64)> = None;
        for (kind, count) in steps {
            line.now += Duration::from_millis(20);
            let packet = line.seal();
            if kind == 2 && held.is_none() {
                held = Some((packet, line.index + count % 100));
            } else {
                prop_assert!(line.open(&packet).is_ok());
                prop_assert_eq!(line.open(&packet), Err(SrtpError::Replayed));
            }
            if let Some((late, _)) = held.take_if(|(_, until)| *until <= line.index) {
                prop_assert!(line.open(&late).is_ok());
                prop_assert_eq!(line.open(&late), Err(SrtpError::Replayed));
            }
            match kind {
                // The network carries nothing for hours, or loses much at once.
                0 => {
                    held = None;
                    line.lose(count);
                    line.now += Duration::from_millis(10 * count);
                }
                1 => {
                    held = None;
                    line.lose(count % 0x7f00);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn a_line_hears_a_line_the_same(came in stream(), origin in origin(), wide: bool) {
        let codec = if wide { Codec::G722 } else { Codec::Pcma };
        let packets = from(&came, origin, codec);
        prop_assert_eq!(played(&from(&came, (0, 0), codec), codec), played(&packets, codec));
    }

    #[test]
    fn an_agent_hears_a_line_the_same(came in stream(), origin in origin(), wide: bool) {
        let codec = if wide { Codec::G722 } else { Codec::Pcma };
        let packets = from(&came, origin, codec);
        prop_assert_eq!(heard(&from(&came, (0, 0), codec), codec), heard(&packets, codec));
    }

    #[test]
    fn a_stream_is_counted_the_same(came in stream(), origin in origin()) {
        let packets = from(&came, origin, Codec::Pcmu);
        prop_assert_eq!(counted(&from(&came, (0, 0), Codec::Pcmu)), counted(&packets));
    }

    #[test]
    fn a_packet_is_claimed_the_same(came in stream(), origin in origin(), known: bool, moves: bool) {
        let packets = from(&came, origin, Codec::Pcmu);
        let usual = from(&came, (0, 0), Codec::Pcmu);
        prop_assert_eq!(judged(&usual, known, moves), judged(&packets, known, moves));
    }
}
