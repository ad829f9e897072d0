//! How well keys are found by their tones: made tones as ITU-T Q.24 asks for them, and speech, music and noise that hold none.
//!
//! `OFFHOOK_SPEECH=DIR cargo test --release -p offhook-media --test tones -- --ignored --nocapture` measures, with the WAV files of a directory
//! (8 or 16 kHz, 16 bits, mono) as further speech; `OFFHOOK_TALK=FILE` takes raw 16-bit samples at 8 kHz.
use offhook_media::codec::{Codec, Decoder, Encoder};
use offhook_media::telephone_event::Digit;
use offhook_media::tones::{Likeness, ToneDetector, tones_of};
use sound::{FRAME, RATE, Random, Sound, noise, pcm, scale};
use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

#[allow(dead_code, reason = "voice_activity needs the rest")]
mod sound;

/// Full scale of µ-law in dBm0.
const LOUDEST: f64 = 3.17;
const KEYS: &str = "1234567890*#ABCD";

/// Made presses, and what the line adds.
#[derive(Clone, Copy)]
struct Line {
    lasts_ms: usize,
    gap_ms: usize,
    /// The row's tone in dBm0, and how much stronger the column's is in decibels.
    row: f64,
    twist: f64,
    /// Off their places, in parts.
    off: (f64, f64),
    /// Noise below the tones, in decibels.
    noise: Option<f64>,
    /// A gap of so many milliseconds in the middle of each press.
    broken_ms: usize,
}

const GOOD: Line = Line {
    lasts_ms: 50,
    gap_ms: 50,
    row: -10.0,
    twist: 0.0,
    off: (0.0, 0.0),
    noise: None,
    broken_ms: 0,
};

impl Line {
    /// All keys so many times, each at a place of its own among the frames.
    fn presses(&self, times: usize, seed: u64) -> (String, Sound) {
        let mut random = Random(seed);
        let mut sound = vec![0.0; RATE / 10];
        let mut keys = String::new();
        let amplitude = |dbm0: f64| 10_f64.powf((dbm0 - LOUDEST) / 20.0);
        for _ in 0..times {
            for key in KEYS.chars() {
                let (row, column) = tones_of(Digit::from_char(key).expect("a key")).expect("tones");
                let row_hertz = f64::from(row) * (1.0 + self.off.0);
                let column_hertz = f64::from(column) * (1.0 + self.off.1);
                let phases = (random.unit(), random.unit());
                let samples = self.lasts_ms * RATE / 1_000;
                let broken = self.broken_ms * RATE / 1_000;
                for index in 0..samples {
                    let time = index as f64 / RATE as f64;
                    let in_gap = index >= (samples - broken) / 2 && index < (samples + broken) / 2;
                    let tone = amplitude(self.row) * (TAU * (row_hertz * time + phases.0)).sin()
                        + amplitude(self.row + self.twist)
                            * (TAU * (column_hertz * time + phases.1)).sin();
                    sound.push(if in_gap { 0.0 } else { tone });
                }
                let gap = self.gap_ms * RATE / 1_000 + (random.unit() * FRAME as f64) as usize;
                sound.resize(sound.len() + gap, 0.0);
                keys.push(key);
            }
        }
        sound.resize(sound.len() + RATE / 10, 0.0);
        if let Some(below) = self.noise {
            let mut hiss = noise("white", sound.len(), &mut random);
            let power =
                (amplitude(self.row).powi(2) + amplitude(self.row + self.twist).powi(2)) / 2.0;
            scale(&mut hiss, 10.0 * power.log10() - below);
            sound
                .iter_mut()
                .zip(&hiss)
                .for_each(|(sample, hiss)| *sample += hiss);
        }
        (keys, sound)
    }

    /// The part of the presses that is found, and how many too many.
    fn found(&self, times: usize) -> (f64, usize) {
        let (keys, sound) = self.presses(times, 11);
        let heard = heard(&over_the_line(&sound));
        let hits = in_common(&keys, &heard);
        (hits as f64 / keys.len() as f64, heard.len() - hits)
    }
}

/// The longest sequence that both have.
fn in_common(a: &str, b: &str) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a.chars() {
        let mut above_left = 0;
        for (index, y) in b.chars().enumerate() {
            let above = row[index + 1];
            row[index + 1] = if x == y {
                above_left + 1
            } else {
                above.max(row[index])
            };
            above_left = above;
        }
    }
    row[b.len()]
}

/// What a PCMU line makes of it.
fn over_the_line(sound: &[f64]) -> Vec<i16> {
    let samples = pcm(sound);
    let (mut coded, mut decoded) = (vec![0; samples.len()], vec![0; samples.len()]);
    Encoder::new(Codec::Pcmu).encode(&samples, &mut coded);
    Decoder::new(Codec::Pcmu).decode(&coded, &mut decoded);
    decoded
}

fn heard(sound: &[i16]) -> String {
    let mut detector = ToneDetector::default();
    let mut keys = String::new();
    for frame in sound.chunks(FRAME) {
        detector.hear(frame, RATE as u32, false, |press| {
            keys.push(press.digit.as_char())
        });
    }
    keys
}

/// Presses found in sound that has none, and the frames that looked like one, and a little like one.
fn talk_off(sound: &[i16]) -> (usize, usize, usize) {
    let mut detector = ToneDetector::default();
    let (mut presses, mut like, mut some) = (0, 0, 0);
    for frame in sound.chunks(FRAME) {
        match detector.hear(frame, RATE as u32, false, |_| presses += 1) {
            Likeness::Tone => like += 1,
            Likeness::Some => some += 1,
            Likeness::None => {}
        }
    }
    (presses, like, some)
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/offhook")
}

/// The project's own recordings of a synthetic voice.
fn recordings() -> Vec<Sound> {
    let files = [
        "destination/prompts/welcome.wav",
        "phone/sounds/sentence.wav",
    ];
    files.map(|file| sound::wav(&project().join(file))).into()
}

/// Speech at levels and speeds of many talkers: each recording at rates from -25 to +25 %.
fn voices(recordings: &[Sound], steps: i32) -> Sound {
    let mut all = Vec::new();
    for recording in recordings {
        for step in -steps..=steps {
            let rate = 1.0 + 0.25 * f64::from(step) / f64::from(steps.max(1));
            let samples = (recording.len() as f64 / rate) as usize;
            let mut voice: Sound = (0..samples.saturating_sub(2))
                .map(|index| {
                    let at = index as f64 * rate;
                    let (whole, part) = (at as usize, at.fract());
                    recording[whole] * (1.0 - part)
                        + recording[(whole + 1).min(recording.len() - 1)] * part
                })
                .collect();
            scale(&mut voice, -20.0);
            all.extend(voice);
        }
    }
    all
}

/// Two voices in thirds, sixths and octaves, each note with its octave: as near to two tones as instruments come.
fn music(seconds: usize) -> Sound {
    let mut random = Random(5);
    let mut music = Vec::with_capacity(seconds * RATE);
    while music.len() < seconds * RATE {
        let hertz = 220.0 * 2_f64.powf((random.unit() * 36.0).floor() / 12.0);
        let second =
            hertz * 2_f64.powf([3.0, 4.0, 8.0, 9.0, 12.0][(random.unit() * 5.0) as usize] / 12.0);
        let overtones = 2 + (random.unit() * 4.0) as usize;
        let samples = ((0.08 + 0.4 * random.unit()) * RATE as f64) as usize;
        for index in 0..samples {
            let time = index as f64 / RATE as f64;
            let fades = (-3.0 * time).exp();
            let note = |hertz: f64| -> f64 {
                (1..=overtones)
                    .map(|n| (TAU * hertz * n as f64 * time).sin() / (n * n) as f64)
                    .sum()
            };
            music.push(0.1 * fades * (note(hertz) + note(second)));
        }
    }
    music
}

#[test]
fn keys_are_found_as_q24_asks() {
    let cases = [
        ("50 ms on, 50 ms off", GOOD),
        (
            "40 ms on, 40 ms off",
            Line {
                lasts_ms: 40,
                gap_ms: 40,
                ..GOOD
            },
        ),
        ("loud, 0 dBm0", Line { row: -1.0, ..GOOD }),
        (
            "faint, -25 dBm0",
            Line {
                row: -25.0,
                lasts_ms: 40,
                ..GOOD
            },
        ),
        ("fainter, -32 dBm0", Line { row: -32.0, ..GOOD }),
        (
            "column 4 dB stronger",
            Line {
                twist: 4.0,
                lasts_ms: 40,
                ..GOOD
            },
        ),
        (
            "row 8 dB stronger",
            Line {
                twist: -8.0,
                lasts_ms: 40,
                ..GOOD
            },
        ),
        (
            "1.5 % high",
            Line {
                off: (0.015, 0.015),
                lasts_ms: 40,
                ..GOOD
            },
        ),
        (
            "1.5 % low",
            Line {
                off: (-0.015, -0.015),
                lasts_ms: 40,
                ..GOOD
            },
        ),
        (
            "1.5 % apart",
            Line {
                off: (-0.015, 0.015),
                ..GOOD
            },
        ),
        (
            "noise 15 dB below",
            Line {
                noise: Some(15.0),
                lasts_ms: 40,
                ..GOOD
            },
        ),
        (
            "interrupted for 10 ms",
            Line {
                broken_ms: 10,
                lasts_ms: 100,
                ..GOOD
            },
        ),
    ];
    for (name, line) in cases {
        assert_eq!(line.found(4), (1.0, 0), "{name}");
    }
}

#[test]
fn what_is_too_short_or_off_its_place_is_no_key() {
    let cases = [
        (
            "23 ms",
            Line {
                lasts_ms: 23,
                ..GOOD
            },
        ),
        (
            "3.5 % high",
            Line {
                off: (0.035, 0.035),
                lasts_ms: 100,
                ..GOOD
            },
        ),
        (
            "3.5 % low",
            Line {
                off: (-0.035, -0.035),
                lasts_ms: 100,
                ..GOOD
            },
        ),
        (
            "a row 3.5 % off",
            Line {
                off: (0.035, 0.0),
                lasts_ms: 100,
                ..GOOD
            },
        ),
        (
            "faint, -55 dBm0",
            Line {
                row: -55.0,
                lasts_ms: 100,
                ..GOOD
            },
        ),
    ];
    for (name, line) in cases {
        let (_, sound) = line.presses(4, 3);
        assert_eq!(heard(&over_the_line(&sound)), "", "{name}");
    }
}

#[test]
fn speech_music_and_noise_press_no_key() {
    let (presses, like, _) = talk_off(&over_the_line(&voices(&recordings(), 4)));
    assert_eq!(presses, 0, "speech");
    assert!(like <= 3, "speech looked like a tone in {like} frames");
    assert_eq!(talk_off(&over_the_line(&music(120))).0, 0, "music");
    let mut random = Random(9);
    for kind in ["white", "car", "office", "hum"] {
        let mut hiss = noise(kind, 30 * RATE, &mut random);
        scale(&mut hiss, -20.0);
        assert_eq!(talk_off(&over_the_line(&hiss)).0, 0, "{kind}");
    }
}

#[test]
#[ignore = "measures; run by hand"]
fn measure() {
    println!("| presses | found | too many |");
    let row = |name: String, line: Line| {
        let (found, more) = line.found(40);
        println!("| {name} | {:.2} % | {more} |", 100.0 * found);
    };
    for lasts_ms in [25, 30, 35, 40, 50, 80] {
        row(format!("{lasts_ms} ms"), Line { lasts_ms, ..GOOD });
    }
    for gap_ms in [15, 20, 25, 30, 40] {
        row(
            format!("pause of {gap_ms} ms or more"),
            Line { gap_ms, ..GOOD },
        );
    }
    for row_dbm0 in [0.0, -5.0, -20.0, -30.0, -34.0, -36.0, -40.0] {
        row(
            format!("{row_dbm0} dBm0 a tone"),
            Line {
                row: row_dbm0,
                ..GOOD
            },
        );
    }
    for twist in [-12.0, -10.0, -8.0, -4.0, 4.0, 6.0, 7.0, 9.0] {
        row(format!("column {twist:+} dB"), Line { twist, ..GOOD });
    }
    for off in [
        -0.035, -0.03, -0.025, -0.02, -0.015, 0.015, 0.02, 0.025, 0.03, 0.035,
    ] {
        row(
            format!("{:+.1} %", 100.0 * off),
            Line {
                off: (off, off),
                ..GOOD
            },
        );
    }
    for below in [24.0, 18.0, 15.0, 12.0, 10.0, 8.0, 6.0] {
        row(
            format!("noise {below} dB below, 50 ms"),
            Line {
                noise: Some(below),
                ..GOOD
            },
        );
    }
    for below in [15.0, 12.0, 10.0, 8.0] {
        row(
            format!("noise {below} dB below, 40 ms"),
            Line {
                noise: Some(below),
                lasts_ms: 40,
                ..GOOD
            },
        );
    }
    for broken_ms in [5, 10, 15, 20, 25] {
        row(
            format!("interrupted for {broken_ms} ms"),
            Line {
                broken_ms,
                lasts_ms: 120,
                ..GOOD
            },
        );
    }
    println!("| no presses | minutes | found | frames like a tone | a little |");
    let print = |name: &str, sound: &[f64]| {
        let (presses, like, some) = talk_off(&over_the_line(sound));
        let minutes = sound.len() as f64 / RATE as f64 / 60.0;
        println!("| {name} | {minutes:.1} | {presses} | {like} | {some} |");
    };
    print("our recordings at 41 rates", &voices(&recordings(), 20));
    print("music", &music(1_800));
    let mut random = Random(9);
    for kind in ["white", "car", "office", "hum"] {
        let mut hiss = noise(kind, 600 * RATE, &mut random);
        scale(&mut hiss, -20.0);
        print(kind, &hiss);
    }
    if let Ok(directory) = std::env::var("OFFHOOK_SPEECH") {
        let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
            .expect("a directory")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "wav"))
            .collect();
        files.sort();
        let recordings: Vec<Sound> = files.iter().map(|path| sound::wav(path)).collect();
        print("further recordings", &recordings.concat());
        print("further recordings at 11 rates", &voices(&recordings, 5));
    }
    let mut detector = ToneDetector::default();
    let sound = over_the_line(&GOOD.presses(20, 1).1);
    let begin = std::time::Instant::now();
    for _ in 0..50 {
        for frame in sound.chunks(FRAME) {
            detector.hear(frame, RATE as u32, false, |_| {});
        }
    }
    let frames = 50 * sound.chunks(FRAME).count();
    println!(
        "{} ns a frame of 20 ms",
        begin.elapsed().as_nanos() as usize / frames
    );
}
