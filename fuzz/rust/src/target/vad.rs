//! Voice activity on any sound, cut anywhere.
use crate::random::Random;
use offhook_media::codec::Codec;
use offhook_media::uplink::{Fill, UplinkFrame};
use offhook_media::vad::{Speech, Vad};

/// Shorter speech is never told: 60 ms at 8 kHz.
const SHORTEST: u64 = 480;

fn sound(random: &mut Random, samples: usize) -> Vec<i16> {
    let (height, period) = (random.below(32_768) as i32, 1 + random.below(130));
    match random.below(6) {
        0 => vec![0; samples],
        1 => vec![*random.pick(&[i16::MIN, i16::MAX, -1, 8]); samples],
        2 => (0..samples).map(|_| random.next() as i16).collect(),
        // Pulses: a voice, a hum or a click, as their period has it.
        3 | 4 => (0..samples)
            .map(|at| (height >> (at % period).min(16)) as i16)
            .collect(),
        _ => (0..samples)
            .map(|at| {
                if at % (2 * period) < period {
                    height as i16
                } else {
                    -height as i16
                }
            })
            .collect(),
    }
}

/// Starts and ends take turns, in order, never nearer to each other than they may be, and never ahead of the sound.
pub fn run(random: &mut Random) {
    let mut vad = Vad::new();
    let mut position = random.below(100_000) as u64;
    let begin = position;
    let mut begun = None;
    let mut ended = None;
    let mut spoken = 0;
    for _ in 0..150 {
        let codec = *random.pick(&[Codec::Pcmu, Codec::Pcmu, Codec::G722]);
        let rate = codec.sample_rate();
        let samples = *random.pick(&[160, 160, 160, 1, 2, 79, 81, 240, 480, 320, 3_000]);
        let pcm = sound(random, samples);
        let fill = *random.pick(&[
            Fill::Heard,
            Fill::Heard,
            Fill::Heard,
            Fill::Concealed,
            Fill::Noise,
            Fill::Silence,
        ]);
        for _ in 0..1 + random.below(20) {
            let frame = UplinkFrame {
                codec,
                coded: None,
                pcm: &pcm,
                rate,
                position,
                fill,
                after_pause: false,
            };
            let end = position + pcm.len() as u64 * 8_000 / u64::from(rate);
            vad.hear(&frame, |speech| match speech {
                Speech::Started { position: at, told } => {
                    assert!(
                        begin <= at && at < told && told <= end,
                        "a start out of place"
                    );
                    assert!(
                        ended.is_none_or(|ended| ended <= at && ended + SHORTEST <= told),
                        "too soon"
                    );
                    assert_eq!(begun.replace(at), None, "two starts");
                }
                Speech::Ended {
                    position: at,
                    told,
                    duration,
                } => {
                    let began = begun.take().expect("an end without a start");
                    assert!(at <= told && told <= end, "an end out of place");
                    assert!(duration == at - began && duration >= SHORTEST, "{duration}");
                    spoken += duration;
                    ended = Some(told);
                }
            });
            position = end;
            assert_eq!(vad.is_speech(), begun.is_some());
            assert!(vad.is_open() || !vad.is_speech());
        }
        assert!(vad.spoken() >= spoken && vad.spoken() <= position - begin + 320);
        assert!(vad.noise_level().is_none_or(|level| level <= 127));
    }
    assert!(begun.is_some() || vad.spoken() == spoken);
}
