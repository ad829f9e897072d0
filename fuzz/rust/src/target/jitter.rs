//! The adaptive buffer: packets in any order, with any numbers, at any time, asked for sound at any pace.
use crate::random::Random;
use offhook_media::clock::Time;
use offhook_media::codec::Codec;
use offhook_media::jitter::{JitterBuffer, MAX_FRAME, MAX_TARGET};
use offhook_media::order::{Content, Queued};
use offhook_media::uplink::Fill;
use std::time::Duration;

/// A frame is 20 ms at a rate of a codec, the delay that is aimed at is bounded, and when nothing comes nothing is heard any more.
pub fn run(random: &mut Random) {
    let mut buffer = JitterBuffer::new(Codec::Pcmu);
    Codec::ALL.iter().for_each(|&codec| buffer.expect(codec));
    let mut now = Time::from_millis(5_000 + random.below(1_000) as u64);
    let mut tick = now;
    let (mut sequence, mut timestamp) = (random.next() as u16, random.next() as u32);
    let mut frames = 0;
    let mut play = |buffer: &mut JitterBuffer, tick: Time| {
        let mut out = [0x5a5a; MAX_FRAME];
        let played = buffer.play(tick, &mut out);
        assert!([8_000, 16_000].contains(&played.rate), "{}", played.rate);
        assert_eq!(played.samples, played.rate as usize / 50);
        assert!(
            out[played.samples..].iter().all(|&sample| sample == 0x5a5a),
            "more was written than told"
        );
        frames += 1;
        assert_eq!(buffer.counts().frames, frames);
        assert!(buffer.target() <= MAX_TARGET, "{:?}", buffer.target());
        played.fill == Fill::Heard
    };
    for _ in 0..400 {
        match random.below(24) {
            0 => now += Duration::from_millis(random.below(3_000) as u64),
            1 if random.once_in(5) => buffer.restart(),
            2 => (sequence, timestamp) = (random.next() as u16, random.next() as u32),
            3 => sequence = sequence.wrapping_add(random.below(80) as u16),
            4 => timestamp = timestamp.wrapping_add(random.below(20_000) as u32),
            5 => timestamp = timestamp.wrapping_sub(random.below(20_000) as u32),
            6 => tick = now,
            7..14 => {
                // The asker's clock may run behind the machine's, and stand still.
                tick += Duration::from_millis(*random.pick(&[20, 20, 20, 0, 19, 21]));
                now = now.max(tick);
                play(&mut buffer, tick);
            }
            _ => {
                now += Duration::from_millis(*random.pick(&[0, 0, 20, 20, 60]));
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
                    _ => Content::Sound(*random.pick(&[
                        Codec::Pcmu,
                        Codec::Pcmu,
                        Codec::Pcma,
                        Codec::G722,
                        Codec::Opus,
                    ])),
                };
                let packet = Queued {
                    sequence: sequence.wrapping_sub(back),
                    timestamp: timestamp.wrapping_sub(u32::from(back) * 160),
                    marker: random.once_in(5),
                    content,
                    payload: &payload,
                    missing: 0,
                };
                buffer.put(now, packet);
                sequence = sequence.wrapping_add(1);
                timestamp = timestamp.wrapping_add(length as u32);
            }
        }
    }
    let mut heard = 0;
    for _ in 0..500 {
        tick += Duration::from_millis(20);
        heard += u32::from(play(&mut buffer, tick));
    }
    assert!(
        heard <= 250,
        "{heard} frames were heard in 10 s in which nothing came"
    );
}
