//! Sound for tests: WAV files, seeded noises, tones, and levels in dBov.
use std::f64::consts::TAU;
use std::path::Path;

/// Samples a second of everything here.
pub const RATE: usize = 8_000;
/// Samples of 20 ms.
pub const FRAME: usize = 160;

/// Samples, full scale 1.
pub type Sound = Vec<f64>;

/// Reads a WAV file of 16-bit mono at 8 or 16 kHz.
pub fn wav(path: &Path) -> Sound {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let (mut at, mut rate) = (12, 0);
    loop {
        let (name, len) = (&bytes[at..at + 4], word(at + 4) as usize);
        at += 8;
        match name {
            b"fmt " => rate = word(at + 4),
            b"data" => {
                let data = &bytes[at..(at + len).min(bytes.len())];
                let sound = data
                    .chunks_exact(2)
                    .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
                    .collect();
                return match rate {
                    8_000 => sound,
                    16_000 => halved(&sound),
                    _ => panic!("{}: {rate} Hz", path.display()),
                };
            }
            _ => {}
        }
        at += len + len % 2;
    }
}

/// 16 kHz to 8 kHz by a windowed sinc of 63 taps.
fn halved(sound: &[f64]) -> Sound {
    let tap = |index: i32| {
        let window = 0.5 + 0.5 * (TAU * f64::from(index) / 64.0).cos();
        let angle = TAU / 2.0 * f64::from(index) * 0.48;
        window
            * if index == 0 {
                0.48
            } else {
                0.48 * angle.sin() / angle
            }
    };
    let at = |index: i32| sound.get(index as usize).copied().unwrap_or(0.0);
    (0..sound.len() as i32 / 2)
        .map(|out| {
            (-31..32)
                .map(|index| tap(index) * at(2 * out + index))
                .sum()
        })
        .collect()
}

/// Seeded random numbers.
pub struct Random(pub u64);

impl Random {
    /// From 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of a normal distribution with variance 1.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

fn low_pass(sound: &mut [f64], hertz: f64) {
    let share = 1.0 - (-TAU * hertz / RATE as f64).exp();
    let mut last = 0.0;
    for sample in sound {
        last += share * (*sample - last);
        *sample = last;
    }
}

fn high_pass(sound: &mut [f64], hertz: f64) {
    let mut low = sound.to_vec();
    low_pass(&mut low, hertz);
    for (sample, low) in sound.iter_mut().zip(&low) {
        *sample -= low;
    }
}

/// Noise of variance 1 as a telephone passes it on.
pub fn noise(kind: &str, samples: usize, random: &mut Random) -> Sound {
    let mut sound: Sound = (0..samples).map(|_| random.normal()).collect();
    let time = |index: usize| index as f64 / RATE as f64;
    match kind {
        "white" => {}
        // Tyres and wind, and an engine whose speed wanders.
        "car" => {
            low_pass(&mut sound, 150.0);
            scale(&mut sound, 0.0);
            let mut phase = 0.0;
            for (index, sample) in sound.iter_mut().enumerate() {
                phase += (30.0 + 3.0 * (TAU * time(index) / 7.0).sin()) / RATE as f64;
                let engine: f64 = (1..12)
                    .map(|h| (TAU * phase * f64::from(h)).sin() / f64::from(h))
                    .sum();
                *sample = (*sample + 0.3 * engine) * (1.0 + 0.2 * (TAU * time(index) / 3.0).sin());
            }
        }
        // Air conditioning that comes and goes, and keys being struck.
        "office" => {
            low_pass(&mut sound, 400.0);
            scale(&mut sound, 0.0);
            for (index, sample) in sound.iter_mut().enumerate() {
                *sample *= 1.0 + 0.25 * (TAU * time(index) / 1.7).sin();
            }
            for _ in 0..samples * 5 / 2 / RATE {
                let at = (random.unit() * (samples - 400) as f64) as usize;
                let (loud, long) = (1.0 + 3.0 * random.unit(), 20.0 + 60.0 * random.unit());
                for (index, sample) in sound[at..at + 300].iter_mut().enumerate() {
                    *sample += loud * random.normal() * (-(index as f64) / long).exp();
                }
            }
        }
        // The mains and what a cheap power supply makes of them.
        "hum" => {
            for (index, sample) in sound.iter_mut().enumerate() {
                let hum: f64 = [1, 2, 3, 4, 5, 7, 9, 11, 13]
                    .iter()
                    .map(|&h| (TAU * 50.0 * f64::from(h) * time(index)).sin() / f64::from(h))
                    .sum();
                *sample = 0.1 * *sample + hum;
            }
        }
        // Windows and doors: 30, 10, 0, 20 and 5 dB below, 8 s each.
        "steps" => {
            for (index, sample) in sound.iter_mut().enumerate() {
                let below = [30.0, 10.0, 0.0, 20.0, 5.0][index / (8 * RATE) % 5];
                *sample *= 10_f64.powf(-below / 20.0);
            }
        }
        _ => panic!("no noise {kind}"),
    }
    high_pass(&mut sound, 200.0);
    high_pass(&mut sound, 200.0);
    scale(&mut sound, 0.0);
    sound
}

/// Tones together, of a level in dBov, for so many milliseconds.
pub fn tones(hertz: &[f64], dbov: f64, ms: usize) -> Sound {
    let mut sound: Sound = (0..ms * RATE / 1_000)
        .map(|index| {
            let time = index as f64 / RATE as f64;
            hertz.iter().map(|hertz| (TAU * hertz * time).sin()).sum()
        })
        .collect();
    scale(&mut sound, dbov);
    sound
}

/// Mean power in dBov.
pub fn level(sound: &[f64]) -> f64 {
    10.0 * (sound.iter().map(|x| x * x).sum::<f64>() / sound.len() as f64 + 1e-12).log10()
}

/// Brings the mean power to `dbov`.
pub fn scale(sound: &mut [f64], dbov: f64) {
    let factor = 10_f64.powf((dbov - level(sound)) / 20.0);
    sound.iter_mut().for_each(|sample| *sample *= factor);
}

/// The level of each frame.
pub fn levels(sound: &[f64]) -> Vec<f64> {
    sound.chunks_exact(FRAME).map(level).collect()
}

/// The loudest level but for a twentieth of the frames.
pub fn loud(sound: &[f64]) -> f64 {
    let mut levels = levels(sound);
    levels.sort_by(f64::total_cmp);
    levels[levels.len() * 19 / 20]
}

/// The level while somebody speaks: the mean of the frames within 25 dB of the loud ones.
pub fn active_level(sound: &[f64]) -> f64 {
    let floor = loud(sound) - 25.0;
    let spoken: Vec<f64> = sound
        .chunks_exact(FRAME)
        .filter(|frame| level(frame) > floor)
        .flatten()
        .copied()
        .collect();
    level(&spoken)
}

/// 16-bit samples, clipped.
pub fn pcm(sound: &[f64]) -> Vec<i16> {
    sound
        .iter()
        .map(|sample| (sample * 32_768.0).round() as i16)
        .collect()
}
