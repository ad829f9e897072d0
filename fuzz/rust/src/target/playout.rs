//! The queue towards the caller: pushes, marks, clears and a clock that jumps.
use crate::random::Random;
use offhook_media::clock::Time;
use offhook_media::codec::Codec;
use offhook_media::playout::{FrameKind, MAX_FRAME, MAX_MARKS, MarkId, Playout, PlayoutConfig};
use std::collections::VecDeque;
use std::time::Duration;

/// Every sample taken is played, waits or was dropped; every mark ends once, in order; timestamps never outrun the clock.
pub fn run(random: &mut Random) {
    let capacity = Duration::from_millis(*random.pick(&[100, 1_000, 60_000]));
    let mut playout = Playout::new(PlayoutConfig {
        codec: *random.pick(&Codec::ALL),
        ptime_ms: *random.pick(&[10, 20, 30, 60]),
        capacity,
        cushion: Duration::from_millis(random.below(100) as u64),
    });
    let mut now = Time::from_millis(1_000);
    let begin = now;
    let live = random.once_in(4);
    playout.set_live(live);
    playout.start(now);
    let mut frame = [0; MAX_FRAME];
    let mut marks = VecDeque::new();
    let (mut accepted, mut dropped, mut next_mark, mut steps) = (0, 0, 0, 0_u64);
    for _ in 0..300 {
        match random.below(16) {
            0 => playout.set_open(!random.once_in(3)),
            1 => {
                let codec = *random.pick(&Codec::ALL);
                playout.set_format(codec, *random.pick(&[0, 10, 20, 30, 40, 60, 1_000]));
                // Samples are counted at the codec's own rate, and another rate may round one away.
                accepted = playout.played_samples() + playout.waiting_samples();
                dropped = 0;
            }
            2 if random.once_in(3) => {
                let cleared = playout.clear(now, |mark| {
                    let at = marks.iter().position(|known| *known == mark);
                    marks.remove(at.expect("a mark that waits")).expect("found");
                });
                dropped += cleared.dropped_samples;
                assert_eq!(playout.waiting_samples(), 0);
            }
            3 => playout.drain(),
            4 => {
                if playout.push_mark(MarkId(next_mark)) {
                    marks.push_back(MarkId(next_mark));
                }
                next_mark += 1;
            }
            5 => now += Duration::from_millis(random.below(2_000) as u64),
            6..10 => {
                let length = *random.pick(&[160, 160, 320, 800, 1, 79, 8_000]);
                let bytes = playout.format().encoding.sample_bytes();
                let sound = random.bytes(length * bytes);
                let generation = playout.generation();
                if random.once_in(4) {
                    let stale = generation.wrapping_add(1);
                    assert_eq!(
                        playout.push_for(stale, now, &sound),
                        0,
                        "stale sound is taken"
                    );
                }
                accepted += (playout.push_for(generation, now, &sound) / bytes) as u64;
            }
            _ => now += Duration::from_millis(random.below(25) as u64),
        }
        let mut frames = 0;
        while let Some(made) = playout.poll(now, &mut frame) {
            frames += 1;
            assert!(frames < 200, "frames without end");
            assert_eq!(made.ticks, playout.frame_ticks());
            assert!(
                !made.marker || made.kind == FrameKind::Audio,
                "silence with a marker"
            );
            steps += u64::from(made.step);
            while let Some(mark) = playout.fired_mark() {
                assert_eq!(marks.pop_front(), Some(mark), "marks fire in order");
            }
        }
        while let Some(mark) = playout.fired_mark() {
            assert_eq!(marks.pop_front(), Some(mark), "marks fire in order");
        }
        assert!(
            playout.next_timeout().is_some_and(|at| at > now),
            "a timeout that was due stands"
        );
        assert!(marks.len() <= MAX_MARKS);
        assert!(
            playout.waiting_samples()
                <= capacity.as_millis() as u64 * u64::from(playout.format().rate) / 1_000,
            "more waits than may"
        );
        let gone = playout.played_samples() + playout.waiting_samples() + dropped;
        if playout.counts().trimmed_frames > 0 {
            assert!(gone <= accepted, "sound comes from nowhere");
        } else {
            assert_eq!(gone, accepted, "sound is lost or comes from nowhere");
        }
        let clock = (now - begin).as_millis() as u64 * 8;
        assert!(
            steps <= clock + 3 * 480,
            "timestamps {steps} outrun the clock {clock}"
        );
    }
}
