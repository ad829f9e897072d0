//! The caller's timeline: packets in any order, with any numbers, of any codec and length, at any time.
use crate::random::Random;
use offhook_media::clock::Time;
use offhook_media::codec::Codec;
use offhook_media::order::{Content, Queued};
use offhook_media::uplink::{Fill, MAX_FILL, Uplink, UplinkFrame};
use std::time::Duration;

/// Packets that wait at most, and ticks made up for at once.
const MOST_AT_ONCE: u64 = 33 * MAX_FILL as u64 + 10 * 160;

fn ticks(frame: &UplinkFrame<'_>) -> u64 {
    frame.pcm.len() as u64 * 8_000 / u64::from(frame.rate)
}

/// The timeline has no holes and no overlaps, no peer makes it leap, and silence flows when nothing comes.
pub fn run(random: &mut Random) {
    let mut uplink = Uplink::new(Codec::Pcmu);
    let mut now = Time::from_millis(random.below(1_000) as u64);
    let begin = now;
    uplink.start(now);
    let mut position = 0;
    let mut sound = 0;
    let mut given = 0;
    let (mut sequence, mut timestamp) = (random.next() as u16, random.next() as u32);
    for _ in 0..300 {
        let mut filled = 0;
        let mut out = |frame: UplinkFrame<'_>| {
            assert_eq!(frame.position, position, "a hole or an overlap");
            assert!(!frame.pcm.is_empty(), "an empty frame");
            let ticks = ticks(&frame);
            position += ticks;
            if frame.fill == Fill::Heard {
                sound += ticks;
            } else {
                filled += ticks;
            }
        };
        match random.below(20) {
            0 => now += Duration::from_millis(random.below(3_000) as u64),
            1 => uplink.set_jitter(Duration::from_millis(random.below(500) as u64)),
            2 if random.once_in(5) => uplink.restart(now, &mut out),
            3 => (sequence, timestamp) = (random.next() as u16, random.next() as u32),
            4 => sequence = sequence.wrapping_add(random.below(80) as u16),
            5 => timestamp = timestamp.wrapping_add(random.below(20_000) as u32),
            6 => timestamp = timestamp.wrapping_sub(random.below(20_000) as u32),
            7..10 => uplink.handle_timeout(now, &mut out),
            _ => {
                now += Duration::from_millis(random.below(30) as u64);
                let length = *random.pick(&[160, 160, 160, 80, 240, 480, 1, 0, 1_500]);
                let payload = if random.once_in(3) {
                    vec![0xff; length]
                } else {
                    random.bytes(length)
                };
                let back = *random.pick(&[0, 0, 0, 0, 1, 2, 5]);
                let content = match random.below(10) {
                    0 => Content::Nothing,
                    1 => Content::Noise,
                    _ => Content::Sound(*random.pick(&Codec::ALL)),
                };
                given += match content {
                    Content::Sound(codec) => u64::from(codec.ticks_in(&payload)),
                    _ => 0,
                };
                let packet = Queued {
                    sequence: sequence.wrapping_sub(back),
                    timestamp: timestamp.wrapping_sub(u32::from(back) * 160),
                    marker: random.once_in(5),
                    content,
                    payload: &payload,
                    missing: 0,
                };
                uplink.receive(now, packet, &mut out);
                sequence = sequence.wrapping_add(1);
                timestamp = timestamp.wrapping_add(length as u32);
            }
        }
        assert!(filled <= MOST_AT_ONCE, "{filled} ticks filled in at once");
        assert_eq!(uplink.position(), position);
    }
    let recovered = uplink.counts().recovered_frames * 160;
    assert!(
        sound <= given + recovered,
        "more sound came out than went in"
    );
    // When nothing comes, silence flows for ever, 20 ms by 20 ms.
    let before = position;
    let quiet = now + Duration::from_secs(5);
    for _ in 0..1_000 {
        let Some(at) = uplink.next_timeout() else {
            panic!("a running timeline has nothing to wait for");
        };
        if at > quiet {
            break;
        }
        now = now.max(at);
        uplink.handle_timeout(now, &mut |frame| position += ticks(&frame));
        assert!(
            uplink.next_timeout().is_some_and(|next| next > now),
            "a timeout that was due stands"
        );
    }
    let flowed = position - before;
    assert!(
        flowed >= 4 * 8_000,
        "{flowed} samples of silence in 5 s, {:?} after the start",
        now - begin
    );
}
