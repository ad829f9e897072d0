//! Shared by the tests of what comes from the line: a network that loses, delays, doubles and swaps from a seed, sounds, and measures of sound.
#![allow(dead_code, reason = "each test file uses what it needs")]
use offhook_media::clock::Time;
use std::f64::consts::TAU;
use std::path::Path;
use std::time::Duration;

/// Numbers of chance from a seed (xorshift64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What a network does to packets sent every so often.
#[derive(Clone, Debug)]
pub struct Network {
    pub seed: u64,
    /// Share of packets that are lost, and how many at a time.
    pub loss: f64,
    pub burst: u32,
    /// Delay beyond the least, evenly spread; packets overtake each other if `overtakes`.
    pub jitter: Duration,
    pub overtakes: bool,
    /// Share of packets that come twice.
    pub doubled: f64,
    /// How much faster the sender's clock is, in parts of a million.
    pub skew_ppm: f64,
    /// Every so many packets the network stands still for so long.
    pub standstill: Option<(u32, Duration)>,
}

impl Default for Network {
    fn default() -> Self {
        Network {
            seed: 1,
            loss: 0.0,
            burst: 1,
            jitter: Duration::ZERO,
            overtakes: false,
            doubled: 0.0,
            skew_ppm: 0.0,
            standstill: None,
        }
    }
}

/// A packet that has come through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    pub at: Time,
    pub number: u32,
}

impl Network {
    /// Which of `count` packets, one each `every`, come when. The first comes at `start` and is not lost.
    pub fn carry(&self, start: Time, every: Duration, count: u32) -> Vec<Arrival> {
        let mut random = Random::new(self.seed);
        let mut out = Vec::new();
        let (mut losing, mut free) = (0, Time::ZERO);
        for number in 0..count {
            let nanos = every.as_nanos() as f64 * f64::from(number) / (1.0 + self.skew_ppm * 1e-6);
            let sent = start + Duration::from_nanos(nanos as u64);
            if number > 0 && losing == 0 && random.unit() < self.loss / f64::from(self.burst) {
                losing = self.burst;
            }
            if losing > 0 {
                losing -= 1;
                continue;
            }
            let mut at = sent
                + self
                    .jitter
                    .mul_f64(if number > 0 { random.unit() } else { 0.0 });
            if let Some((period, still)) = self.standstill
                && number % period == period - 1
            {
                free = sent + still;
            }
            if !self.overtakes {
                at = at.max(free);
                free = at;
            }
            out.push(Arrival { at, number });
            if random.unit() < self.doubled {
                out.push(Arrival {
                    at: at + Duration::from_millis(1),
                    number,
                });
            }
        }
        out.sort_by_key(|arrival| (arrival.at, arrival.number));
        out
    }
}

/// A sine of `hertz`, with its peaks at `peak`.
pub fn tone(rate: u32, hertz: f64, peak: f64, samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|n| (peak * (TAU * hertz * n as f64 / f64::from(rate)).sin()) as i16)
        .collect()
}

/// A sine that goes from one frequency to another.
pub fn sweep(rate: u32, from: f64, to: f64, peak: f64, samples: usize) -> Vec<i16> {
    let mut phase = 0.0;
    (0..samples)
        .map(|n| {
            phase += TAU * (from + (to - from) * n as f64 / samples as f64) / f64::from(rate);
            (peak * phase.sin()) as i16
        })
        .collect()
}

/// Something like a voice: syllables of voiced sound whose pitch wanders, breath between, and pauses.
pub fn voice(rate: u32, seconds: f64, seed: u64) -> Vec<i16> {
    let mut random = Random::new(seed);
    let rate = f64::from(rate);
    let mut phase = 0.0;
    let mut formants = [[0.0f64; 2]; 3];
    (0..(seconds * rate) as usize)
        .map(|n| {
            let second = n as f64 / rate;
            let syllable = (TAU * 2.1 * second).sin();
            let loud = syllable.max(0.0).sqrt() * if second % 3.0 > 2.4 { 0.0 } else { 1.0 };
            let pitch = 120.0 + 25.0 * (TAU * 0.4 * second).sin();
            phase += pitch / rate;
            let pulse = if phase >= 1.0 {
                phase -= 1.0;
                18_000.0
            } else {
                0.0
            };
            let breath = (random.unit() - 0.5) * 400.0;
            let mut sound = pulse * loud + breath * (0.2 + loud);
            for (state, (hertz, width)) in formants.iter_mut().zip([
                (550.0 + 150.0 * (TAU * 0.9 * second).sin(), 90.0),
                (1_500.0 + 300.0 * (TAU * 0.7 * second).sin(), 120.0),
                (2_500.0, 180.0),
            ]) {
                let radius = (-std::f64::consts::PI * width / rate).exp();
                let turn = 2.0 * radius * (TAU * hertz / rate).cos();
                let out = sound * (1.0 - radius) + turn * state[0] - radius * radius * state[1];
                state[1] = state[0];
                state[0] = out;
                sound = out * 1.6;
            }
            sound.clamp(-30_000.0, 30_000.0) as i16
        })
        .collect()
}

/// A recording of a few seconds, 16 bits a sample, at 8 or 16 kHz.
pub fn recording(rate: u32) -> Vec<i16> {
    let name = match rate {
        8_000 => "phone/sounds/sentence.wav",
        _ => "destination/prompts/welcome.wav",
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/offhook");
    let bytes = std::fs::read(path.join(name)).expect("it is there");
    assert_eq!(bytes[24..28], rate.to_le_bytes(), "its rate");
    let data = bytes.windows(4).position(|name| name == b"data");
    let samples = bytes[data.expect("sound") + 8..].chunks_exact(2);
    samples
        .map(|sample| i16::from_le_bytes([sample[0], sample[1]]))
        .collect()
}

/// The largest step from one sample to the next that neither neighbour step explains: what a click is heard by.
pub fn roughness(sound: &[i16]) -> i32 {
    sound
        .windows(3)
        .map(|x| (i32::from(x[0]) - 2 * i32::from(x[1]) + i32::from(x[2])).abs())
        .max()
        .unwrap_or(0)
}

/// What an edge is heard by: the largest second difference, and the energy of the second differences (what stands above the voice).
pub fn edge(pcm: &[i16]) -> (f64, f64) {
    let bends = pcm
        .windows(3)
        .map(|x| f64::from(i32::from(x[0]) - 2 * i32::from(x[1]) + i32::from(x[2])));
    bends.fold((0.0, 0.0), |(most, energy), bend| {
        (bend.abs().max(most), energy + bend * bend)
    })
}

/// Root mean square.
pub fn level(sound: &[i16]) -> f64 {
    let power: f64 = sound.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    (power / sound.len().max(1) as f64).sqrt()
}

/// How much of `sound` is not `reference`, in dB below it.
pub fn signal_to_noise(reference: &[i16], sound: &[i16]) -> f64 {
    let signal: f64 = reference.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let noise: f64 = reference
        .iter()
        .zip(sound)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
        .sum();
    10.0 * (signal / noise.max(1.0)).log10()
}

/// Strength and phase of one frequency in a stretch of sound.
pub fn spectrum_line(sound: &[i16], rate: u32, hertz: f64) -> (f64, f64) {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &sample) in sound.iter().enumerate() {
        let angle = TAU * hertz * n as f64 / f64::from(rate);
        re += f64::from(sample) * angle.cos();
        im += f64::from(sample) * angle.sin();
    }
    (2.0 * re.hypot(im) / sound.len() as f64, re.atan2(im))
}
