//! Who has answered: each signal as its standard has it, and what is nearly one.
#[path = "sound/mod.rs"]
#[allow(dead_code, reason = "each test file uses what it needs")]
mod sound;

use offhook_media::codec::Codec;
use offhook_media::uplink::{Fill, UplinkFrame};
use offhook_media::who_answered::{Correction, Sign, Sit, Stage, Who, WhoAnswered, Why};
use sound::{FRAME, RATE, Random, Sound, wav};
use std::f64::consts::TAU;
use std::path::Path;

const NO_ECHO: f32 = f32::NEG_INFINITY;

fn tone(hertz: &[f64], seconds: f64) -> Sound {
    let peak = 0.3 / hertz.len() as f64;
    (0..(seconds * RATE as f64) as usize)
        .map(|index| {
            let when = index as f64 / RATE as f64;
            hertz
                .iter()
                .map(|hertz| peak * (TAU * hertz * when).sin())
                .sum()
        })
        .collect()
}

fn quiet(seconds: f64) -> Sound {
    let mut random = Random(7);
    (0..(seconds * RATE as f64) as usize)
        .map(|_| 0.0004 * random.normal())
        .collect()
}

/// The first `seconds` of somebody who speaks without a longer pause.
fn speech(seconds: f64) -> Sound {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../python/offhook/phone/sounds/sentence.wav");
    let mut all = wav(&path);
    let begin = all
        .iter()
        .position(|sample| sample.abs() > 0.02)
        .expect("it speaks");
    all.drain(..begin);
    let mut said: Sound = all
        .iter()
        .copied()
        .cycle()
        .take((seconds * RATE as f64) as usize)
        .collect();
    // No click where it breaks off.
    let end = said.len();
    for (index, sample) in said[end - 80..].iter_mut().enumerate() {
        *sample *= 1.0 - index as f64 / 80.0;
    }
    said
}

fn joined(parts: &[Sound]) -> Sound {
    parts.concat()
}

fn signs(stage: Stage, parts: &[Sound]) -> Vec<Sign> {
    let mut listening = WhoAnswered::new(stage, 60_000);
    let mut signs = Vec::new();
    let pcm: Vec<i16> = joined(parts)
        .iter()
        .map(|sample| (sample * 32_767.0) as i16)
        .collect();
    for (index, piece) in pcm.chunks_exact(FRAME).enumerate() {
        let frame = UplinkFrame {
            codec: Codec::Pcmu,
            coded: None,
            pcm: piece,
            rate: RATE as u32,
            position: (index * FRAME) as u64,
            fill: Fill::Heard,
            after_pause: false,
        };
        if !listening.is_over() {
            listening.hear(&frame, NO_ECHO, |sign| signs.push(sign));
        }
    }
    signs
}

fn answered(parts: &[Sound]) -> Vec<(Who, Why)> {
    verdicts(&signs(Stage::Answered, parts))
}

fn verdicts(signs: &[Sign]) -> Vec<(Who, Why)> {
    let verdict = |sign: &Sign| match *sign {
        Sign::Verdict { who, why, .. } => Some((who, why)),
        _ => None,
    };
    signs.iter().filter_map(verdict).collect()
}

fn beep(signs: &[Sign]) -> Option<(u32, u32, u32)> {
    signs.iter().find_map(|sign| match *sign {
        Sign::GreetingOver {
            at_ms,
            beep: Some((hertz, lasted)),
        } => Some((at_ms, hertz, lasted)),
        _ => None,
    })
}

#[test]
fn a_word_and_a_wait_are_a_person_a_third_of_a_second_later() {
    let signs = signs(Stage::Answered, &[quiet(0.4), speech(0.5), quiet(4.0)]);
    let Some(Sign::Verdict {
        who,
        why,
        at_ms,
        confidence,
        facts,
    }) = signs.first().copied()
    else {
        panic!("{signs:?}")
    };
    assert_eq!((who, why), (Who::Human, Why::ShortThenSilence));
    assert!((1_000..1_350).contains(&at_ms), "{at_ms}");
    assert!(confidence >= 70);
    assert!((350..650).contains(&facts.speech_ms), "{facts:?}");
}

#[test]
fn speech_that_goes_on_is_a_machine_and_its_beep_is_told_when_it_has_ended() {
    let parts = [
        quiet(0.5),
        speech(6.0),
        quiet(0.6),
        tone(&[1_000.0], 0.4),
        quiet(2.0),
    ];
    let signs = signs(Stage::Answered, &parts);
    assert_eq!(verdicts(&signs), [(Who::Machine, Why::LongSpeech)]);
    let (at, hertz, lasted) = beep(&signs).expect("a beep");
    assert!(
        (7_600..7_800).contains(&at),
        "it ended at 7500 and was told at {at}"
    );
    assert!(
        hertz.abs_diff(1_000) < 8 && lasted.abs_diff(400) < 50,
        "{hertz} Hz, {lasted} ms"
    );
    assert_eq!(signs.last(), Some(&Sign::Over));
}

#[test]
fn a_machine_that_does_not_beep_takes_a_message_when_it_has_been_silent() {
    let signs = signs(Stage::Answered, &[quiet(0.5), speech(6.0), quiet(4.0)]);
    let over = signs.iter().find_map(|sign| match *sign {
        Sign::GreetingOver { at_ms, beep } => Some((at_ms, beep)),
        _ => None,
    });
    let (at, beep) = over.expect("it is told");
    assert!(
        (8_400..9_200).contains(&at) && beep.is_none(),
        "{at} {beep:?}"
    );
}

fn corrections(parts: &[Sound]) -> Vec<(Who, Why, Option<Correction>)> {
    let told = |sign: Sign| match sign {
        Sign::Verdict {
            who, why, facts, ..
        } => Some((who, why, facts.corrects)),
        _ => None,
    };
    let signs = signs(Stage::Answered, parts);
    signs.into_iter().filter_map(told).collect()
}

#[test]
fn a_person_that_was_none_is_corrected_and_one_that_waits_stays_one() {
    let person = (Who::Human, Why::ShortThenSilence, None);
    let beep = tone(&[850.0], 0.3);
    for (pause, rest, then) in [
        // A breath, and the greeting goes on.
        (
            0.42,
            joined(&[speech(6.0), quiet(1.0)]),
            Some((Who::Machine, Why::LongSpeech, Some(Correction::Hasty))),
        ),
        // "Hi, leave a message", and it beeps.
        (
            0.9,
            joined(&[beep.clone(), quiet(1.0)]),
            Some((Who::Machine, Why::Beep, Some(Correction::Beep))),
        ),
        // Somebody who waited has a lot to say; a beep behind that is told, and corrects nothing.
        (1.5, joined(&[speech(9.0), quiet(1.0)]), None),
        (
            1.5,
            joined(&[speech(2.0), quiet(0.5), beep, quiet(1.0)]),
            Some((Who::Machine, Why::Beep, None)),
        ),
    ] {
        let mut told = corrections(&[quiet(0.4), speech(0.5), quiet(pause), rest]).into_iter();
        assert_eq!(
            (told.next(), told.next()),
            (Some(person), then),
            "after a pause of {pause} s"
        );
    }
}

/// Chords that stay for a second each.
fn music(seconds: usize) -> Sound {
    (0..seconds)
        .flat_map(|index| {
            let root = [220.0, 246.9, 196.0, 261.6][index % 4];
            tone(&[1.0, 1.26, 1.5, 2.0, 3.02].map(|part| part * root), 1.0)
        })
        .collect()
}

#[test]
fn music_is_neither_a_person_nor_a_machine_until_somebody_speaks() {
    let waiting = (Who::Music, Why::Music);
    assert_eq!(answered(&[quiet(0.3), music(20)]), [waiting]);
    assert_eq!(
        answered(&[quiet(0.3), music(10), quiet(0.4), speech(0.5), quiet(2.0)]),
        [waiting, (Who::Human, Why::ShortThenSilence)]
    );
    assert_eq!(
        answered(&[quiet(0.3), music(10), quiet(0.4), speech(7.0), quiet(0.2)]),
        [waiting, (Who::Machine, Why::LongSpeech)]
    );
}

#[test]
fn a_long_beep_behind_a_short_greeting_is_one() {
    let beep = tone(&[440.0], 1.2);
    let told = answered(&[quiet(0.4), speech(1.4), quiet(0.4), beep, quiet(1.0)]);
    assert_eq!(told.last(), Some(&(Who::Machine, Why::Beep)), "{told:?}");
}

#[test]
fn a_beep_that_could_be_a_ring_is_one_when_no_other_follows() {
    let told = answered(&[quiet(0.5), tone(&[440.0], 0.5), quiet(7.0)]);
    assert_eq!(told.last(), Some(&(Who::Machine, Why::Beep)), "{told:?}");
}

#[test]
fn beeps_of_every_shape_are_heard() {
    for (hertz, seconds) in [
        (350.0, 0.5),
        (440.0, 1.0),
        (1_400.0, 0.08),
        (2_200.0, 0.2),
        (700.0, 2.0),
        (1_777.0, 0.15),
    ] {
        let found = beep(&signs(
            Stage::Answered,
            &[
                quiet(0.5),
                speech(6.0),
                quiet(0.5),
                tone(&[hertz], seconds),
                quiet(1.0),
            ],
        ));
        let (_, heard, lasted) = found.unwrap_or_else(|| panic!("{hertz} Hz for {seconds} s"));
        assert!((f64::from(heard) - hertz).abs() < 15.0, "{heard}");
        assert!(
            (f64::from(lasted) - 1_000.0 * seconds).abs() < 60.0,
            "{lasted}"
        );
    }
    let two = [
        quiet(0.5),
        speech(6.0),
        quiet(0.5),
        tone(&[660.0, 880.0], 0.4),
        quiet(1.0),
    ];
    assert!(beep(&signs(Stage::Answered, &two)).is_some());
}

#[test]
fn keys_vowels_music_and_tones_that_go_over_into_sound_are_no_beep() {
    let vowel: Sound = (1..20)
        .map(|harmonic| {
            let hertz = 180.0 * f64::from(harmonic);
            let loud = 1.0 / (1.0 + ((hertz - 600.0) / 200.0).powi(2));
            tone(&[hertz], 0.5)
                .iter()
                .map(|sample| sample * loud)
                .collect::<Sound>()
        })
        .reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect())
        .expect("harmonics");
    let key = tone(&[770.0, 1_336.0], 0.25);
    let scale: Vec<Sound> = [523.0, 587.0, 659.0, 698.0, 784.0]
        .iter()
        .map(|hertz| tone(&[*hertz], 0.2))
        .collect();
    let held = joined(&[tone(&[1_000.0], 0.3), speech(1.0)]);
    for (name, near) in [
        ("vowel", vowel),
        ("key", key),
        ("scale", joined(&scale[..4])),
        ("tone into speech", held),
    ] {
        let parts = [
            quiet(0.5),
            speech(6.0),
            quiet(0.5),
            near,
            quiet(0.1),
            speech(2.0),
        ];
        assert_eq!(beep(&signs(Stage::Answered, &parts)), None, "{name}");
    }
}

#[test]
fn special_information_says_which() {
    for (tones, sit) in [
        ([(913.8, 0.274), (1_370.6, 0.274)], Sit::Intercept),
        ([(985.2, 0.380), (1_370.6, 0.274)], Sit::Vacant),
        ([(913.8, 0.274), (1_428.5, 0.380)], Sit::Reorder),
        ([(985.2, 0.274), (1_370.6, 0.380)], Sit::Reorder),
        ([(985.2, 0.380), (1_428.5, 0.380)], Sit::NoCircuit),
        ([(913.8, 0.380), (1_370.6, 0.380)], Sit::NoCircuit),
        ([(950.0, 0.330), (1_400.0, 0.330)], Sit::General),
    ] {
        let last = if sit == Sit::General {
            1_800.0
        } else {
            1_776.7
        };
        let [first, second] = tones.map(|(hertz, seconds)| tone(&[hertz], seconds));
        let parts = [
            quiet(0.3),
            first,
            second,
            tone(&[last], 0.38),
            quiet(0.2),
            speech(3.0),
        ];
        for stage in [Stage::Early, Stage::Answered] {
            assert_eq!(
                verdicts(&signs(stage, &parts)),
                [(Who::Sit, Why::Information(sit))]
            );
        }
    }
}

#[test]
fn faxes_are_told_by_their_tones() {
    assert_eq!(
        answered(&[quiet(1.0), tone(&[2_100.0], 3.0)]),
        [(Who::Fax, Why::AnswerTone)]
    );
    let turned: Vec<Sound> = (0..6)
        .map(|turn| {
            let sign = if turn % 2 == 0 { 1.0 } else { -1.0 };
            tone(&[2_100.0], 0.45)
                .iter()
                .map(|sample| sign * sample)
                .collect()
        })
        .collect();
    assert_eq!(
        answered(&[quiet(1.0), joined(&turned)]),
        [(Who::Fax, Why::AnswerTone)]
    );
    let calling = joined(&[tone(&[1_100.0], 0.5), quiet(3.0)]);
    let told = answered(&[quiet(0.5), calling.clone(), calling.clone(), calling]);
    assert_eq!(told.last(), Some(&(Who::Fax, Why::CallingTone)));
}

#[test]
fn tones_of_networks_are_told_apart_by_their_rhythm() {
    let repeated = |hertz: &[f64], on: f64, off: f64, times: usize| -> Sound {
        let one = joined(&[tone(hertz, on), quiet(off)]);
        std::iter::repeat_n(one, times).collect::<Vec<_>>().concat()
    };
    for (name, sound, why) in [
        ("US busy", repeated(&[480.0, 620.0], 0.5, 0.5, 6), Why::Busy),
        ("EU busy", repeated(&[425.0], 0.5, 0.5, 6), Why::Busy),
        ("UK busy", repeated(&[400.0], 0.375, 0.375, 6), Why::Busy),
        (
            "US reorder",
            repeated(&[480.0, 620.0], 0.25, 0.25, 8),
            Why::Congestion,
        ),
        (
            "EU congestion",
            repeated(&[425.0], 0.2, 0.2, 8),
            Why::Congestion,
        ),
        (
            "US ringing",
            repeated(&[440.0, 480.0], 2.0, 4.0, 2),
            Why::Ringing,
        ),
        ("DE ringing", repeated(&[425.0], 1.0, 4.0, 2), Why::Ringing),
        (
            "UK ringing",
            repeated(&[400.0, 450.0], 0.4, 0.2, 2),
            Why::Ringing,
        ),
    ] {
        let parts = [
            quiet(0.3),
            sound,
            quiet(2.0),
            tone(&[400.0, 450.0], 0.4),
            quiet(0.2),
            tone(&[400.0, 450.0], 0.4),
        ];
        let told = answered(if name == "UK ringing" {
            &parts
        } else {
            &parts[..2]
        });
        assert_eq!(
            told.last().map(|told| told.1),
            Some(why),
            "{name}: {told:?}"
        );
        assert_ne!(told[0].0, Who::Human, "{name}");
        assert_ne!(told[0].0, Who::Machine, "{name}");
    }
}

#[test]
fn nobody_is_told_as_silence_and_who_speaks_late_is_heard_all_the_same() {
    let told = answered(&[quiet(6.0), speech(0.5), quiet(2.0)]);
    assert_eq!(
        told,
        [
            (Who::Silence, Why::Silence),
            (Who::Human, Why::ShortThenSilence)
        ]
    );
}

#[test]
fn before_the_answer_only_announcements_and_tones_are_told() {
    assert_eq!(
        verdicts(&signs(Stage::Early, &[quiet(0.4), speech(0.5), quiet(3.0)])),
        []
    );
    let told = verdicts(&signs(Stage::Early, &[quiet(0.4), speech(4.0)]));
    assert_eq!(told, [(Who::Machine, Why::Announcement)]);
}

#[test]
fn our_own_voice_that_comes_back_is_nobody() {
    let mut listening = WhoAnswered::new(Stage::Answered, 60_000);
    let mut told = Vec::new();
    let echo: Vec<i16> = speech(4.0)
        .iter()
        .map(|sample| (sample * 1_500.0) as i16)
        .collect();
    for (index, pcm) in echo.chunks_exact(FRAME).enumerate() {
        let frame = UplinkFrame {
            codec: Codec::Pcmu,
            coded: None,
            pcm,
            rate: RATE as u32,
            position: (index * FRAME) as u64,
            fill: Fill::Heard,
            after_pause: false,
        };
        listening.hear(&frame, -35.0, |sign| told.push(sign));
    }
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn it_ends_at_its_limit_and_says_so() {
    let mut listening = WhoAnswered::new(Stage::Answered, 1_000);
    let mut told = Vec::new();
    for index in 0..60 {
        let frame = UplinkFrame {
            codec: Codec::Pcmu,
            coded: None,
            pcm: &[0; FRAME],
            rate: RATE as u32,
            position: 800 + index * FRAME as u64,
            fill: Fill::Silence,
            after_pause: false,
        };
        listening.hear(&frame, NO_ECHO, |sign| told.push(sign));
    }
    assert!(listening.is_over());
    assert_eq!(told, [Sign::Over]);
}
