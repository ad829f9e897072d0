//! Keys by their tones in any sound, cut anywhere, and presses told in any order.
use crate::random::Random;
use offhook_media::clock::Time;
use offhook_media::presses::{PressedBy, Presses};
use offhook_media::telephone_event::Digit;
use offhook_media::tones::{Likeness, ToneDetector, ToneMaker};
use std::time::Duration;

/// Shorter presses are never told.
const SHORTEST: Duration = Duration::from_millis(30);

/// Presses last no longer than their sound and never take less than the shortest; keys in silence are found however the sound is cut.
pub fn run(random: &mut Random) {
    anything(random);
    keyed(random);
    presses(random);
}

fn anything(random: &mut Random) {
    let mut detector = ToneDetector::default();
    let mut lasted = Duration::ZERO;
    let mut told = Duration::ZERO;
    for _ in 0..100 {
        let rate = *random.pick(&[8_000, 8_000, 8_000, 16_000]);
        let samples = *random.pick(&[160, 160, 1, 79, 81, 320, 960]);
        let height = random.below(32_768) as i32;
        let period = 1 + random.below(13);
        let pcm: Vec<i16> = match random.below(4) {
            0 => vec![*random.pick(&[0, i16::MIN, i16::MAX, -1]); samples],
            1 => (0..samples).map(|_| random.next() as i16).collect(),
            2 => (0..samples)
                .map(|at| {
                    if (at / period).is_multiple_of(2) {
                        height as i16
                    } else {
                        -height as i16
                    }
                })
                .collect(),
            _ => {
                let mut pcm = vec![0; samples];
                let digit = Digit::from_event(random.below(17) as u8).expect("a key");
                ToneMaker::default().make(digit, rate, random.once_in(2), false, &mut pcm);
                pcm
            }
        };
        lasted += Duration::from_micros(samples as u64 * 1_000_000 / u64::from(rate));
        let likeness = detector.hear(&pcm, rate, random.once_in(5), |press| {
            assert!(press.duration >= SHORTEST, "{press:?}");
            told += press.duration;
        });
        assert!(!detector.is_pressed() || likeness == Likeness::Tone);
        if random.once_in(8) {
            detector.pause(|press| {
                assert!(press.duration >= SHORTEST, "{press:?}");
                told += press.duration;
            });
            assert!(!detector.is_pressed());
        }
    }
    // What is lost between two rates may be counted once more.
    assert!(
        told <= lasted * 2 + Duration::from_secs(1),
        "{told:?} of {lasted:?}"
    );
}

fn keyed(random: &mut Random) {
    let rate = *random.pick(&[8_000_u32, 16_000]);
    let per_ms = rate as usize / 1_000;
    let mut maker = ToneMaker::default();
    let (mut sound, mut keys) = (vec![0; random.below(700)], String::new());
    for _ in 0..random.below(6) {
        let digit = Digit::from_event(random.below(16) as u8).expect("a key");
        let begin = sound.len();
        sound.resize(begin + (45 + random.below(200)) * per_ms, 0);
        maker.make(digit, rate, true, true, &mut sound[begin..]);
        sound.resize(sound.len() + (45 + random.below(200)) * per_ms, 0);
        keys.push(digit.as_char());
    }
    sound.resize(sound.len() + 100 * per_ms, 0);
    let (mut detector, mut heard) = (ToneDetector::default(), String::new());
    let mut rest = &sound[..];
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((1 + random.below(1_000)).min(rest.len()));
        detector.hear(piece, rate, false, |press| {
            heard.push(press.digit.as_char())
        });
        rest = after;
    }
    assert_eq!(heard, keys);
}

fn presses(random: &mut Random) {
    let mut known = Presses::default();
    let mut now = Time::from_millis(10_000);
    let (mut one_way, mut told) = ([0_usize; 3], 0);
    for _ in 0..200 {
        now += Duration::from_millis(*random.pick(&[0, 1, 100, 900, 30_000]));
        let way = random.below(3);
        let by = [PressedBy::Event, PressedBy::Info, PressedBy::Tone][way];
        let digit = Digit::from_event(random.below(3) as u8).expect("a key");
        let began = now.saturating_sub(Duration::from_millis(random.below(9_000) as u64));
        one_way[way] += 1;
        told += usize::from(known.is_new(digit, by, began, now));
    }
    let all: usize = one_way.iter().sum();
    let most = one_way.into_iter().max().expect("three");
    assert!((all.div_ceil(3)..=all).contains(&told), "{told} of {all}");
    assert!(told >= most.min(1));
}
