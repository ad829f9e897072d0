//! What one step of sound is: quiet, a tone, or active, and with a voice in it or not.
use super::bands::{self, BANDS, Bands, EDGES};
use super::floor::Floor;
use super::pitch::{HISTORY, periodicity};
use super::spectrum::{self, WINDOW};

/// Bins of a spectrum.
const BINS: usize = WINDOW / 2;
/// How far above the floor, over all bands, sound must stand to open the gate, to keep it open, and to do either with a voice in it.
const OPENS: f32 = 0.5;
const HOLDS: f32 = 0.35;
const LEAST: f32 = 0.2;
/// What one band can add to that: a single one is never enough, so no tone is by its loudness alone.
const MOST_OF_A_BAND: f32 = 6.0;
/// Sound above the noise that is too soft for a talker: -62 dBov.
const INAUDIBLE: f32 = 6.3e-7;
/// Likeness to itself a period later that a voice has; noise reaches 0.4.
const VOICED: f32 = 0.5;
/// So many times its floor is taken from noise before peaks are looked for, and so much of the floor is left by that at most.
const TAKEN: f32 = 2.5;
const LEFT: f32 = 0.1;
/// Sound of which no more than this lies beside its two highest peaks is pure.
const REST: f32 = 0.1;
/// Bins each way that belong to a peak.
const AROUND: usize = 3;
/// The peaks of a tone stay where they are, within 5 Hz; those of a voice hardly ever do.
const STAYS: f32 = 0.15;
/// Where a tone begins or ends its peaks are wider: 31 Hz.
const EDGE: f32 = 1.0;
/// Pure sound that has stayed for so long is a tone, in samples: 80 ms.
const TONE: u32 = 640;

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sound {
    Quiet,
    Tone,
    /// It may be speech; `level` in dBov.
    Active {
        voice: Voice,
        level: f32,
    },
}

/// Whether there is a voice in a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Voice {
    Heard,
    None,
    /// It may be a tone that begins.
    Pure,
    /// It belongs to a tone, and so do the two steps before.
    Revoked,
}

#[derive(Debug, Default)]
pub(super) struct Judge {
    /// The peaks of the last step.
    peaks: Peaks,
    /// Samples that the highest has stayed where it was.
    stayed: u32,
}

impl Judge {
    /// Judges the last `samples` of the history, and writes down its powers; `open`: the step before was active, or there was only a short
    /// pause; `own`: what may be our own voice that comes back.
    pub fn judge(
        &mut self,
        history: &[f32; HISTORY],
        samples: u32,
        floor: &mut Floor,
        open: bool,
        own: &Bands,
        heard: &mut Bands,
    ) -> Sound {
        let powers = spectrum::powers(window(history));
        let bands = bands::of(&powers);
        *heard = bands;
        let total = bands::total(&bands);
        floor.begin(&bands, total, samples);
        let mut explained = *floor.bands();
        for (explained, own) in explained.iter_mut().zip(own) {
            *explained += own;
        }
        let score = score(&bands, &explained);
        let mut active = false;
        let mut voiced = false;
        if score > LEAST && total - bands::total(&explained) > INAUDIBLE {
            voiced = periodicity(history) > VOICED;
            active = voiced || score > if open { HOLDS } else { OPENS };
        }
        // Our own voice is no noise of the line.
        let own_voice = bands::total(own) > bands::total(floor.bands());
        floor.update(&bands, samples, active || own_voice);
        if !active {
            *self = Self::default();
            return Sound::Quiet;
        }
        let peaks = Peaks::of(&powers, floor.bands());
        let before = std::mem::replace(&mut self.peaks, peaks);
        let edge = self.stayed > 0 && !peaks.pure && peaks.near(&before, EDGE);
        let stays = peaks.pure && before.pure && peaks.near(&before, STAYS);
        self.stayed = if stays { self.stayed + samples } else { 0 };
        if self.stayed >= TONE {
            return Sound::Tone;
        }
        let voice = match (stays || edge, voiced, peaks.pure) {
            (true, ..) => Voice::Revoked,
            (false, true, _) => Voice::Heard,
            (false, false, true) => Voice::Pure,
            (false, false, false) => Voice::None,
        };
        let level = 10.0 * total.log10();
        Sound::Active { voice, level }
    }

    /// Takes sound that is known to be noise.
    pub fn learn(&mut self, history: &[f32; HISTORY], samples: u32, floor: &mut Floor) {
        *self = Self::default();
        let bands = bands::of(&spectrum::powers(window(history)));
        floor.begin(&bands, bands::total(&bands), samples);
        floor.update(&bands, samples, false);
    }
}

fn window(history: &[f32; HISTORY]) -> &[f32; WINDOW] {
    history
        .last_chunk()
        .expect("the history is longer than a window")
}

/// How far the sound stands above the noise: near 0 for noise, whose bands rarely double.
fn score(bands: &Bands, noise: &Bands) -> f32 {
    let above = bands.iter().zip(noise).map(|(power, noise)| {
        let ratio = power / noise;
        let over = (ratio - 1.0).max(0.0);
        (over * over / (ratio + 1.0)).min(MOST_OF_A_BAND)
    });
    above.sum::<f32>() / BANDS as f32
}

/// The two highest peaks of a spectrum, in bins.
#[derive(Clone, Copy, Debug, Default)]
struct Peaks {
    at: [f32; 2],
    /// They hold nearly all of the sound.
    pure: bool,
}

impl Peaks {
    fn of(powers: &[f32; BINS], noise: &Bands) -> Self {
        let mut spectrum = [0.0; BINS];
        for (edges, noise) in EDGES.windows(2).zip(noise) {
            let bins = edges[0]..edges[1];
            for (above, power) in spectrum[bins.clone()].iter_mut().zip(&powers[bins]) {
                *above = (power - TAKEN * noise).max(0.0);
            }
        }
        let all: f32 = spectrum.iter().sum();
        let (first, one) = peak(&spectrum, None);
        let (second, two) = peak(&spectrum, Some(first));
        let rest = all - one - two;
        Self {
            at: [first, second],
            pure: all > 0.0 && rest < REST * all + LEFT * bands::total(noise),
        }
    }

    /// Whether the highest is where one of the two was before.
    fn near(&self, before: &Self, within: f32) -> bool {
        before.at.iter().any(|at| (at - self.at[0]).abs() < within)
    }
}

/// The middle of the highest peak and its power, apart from what belongs to another.
fn peak(spectrum: &[f32; BINS], other: Option<f32>) -> (f32, f32) {
    let free = |bin: usize| other.is_none_or(|other| (bin as f32 - other).abs() > AROUND as f32);
    let (mut top, mut highest) = (0, 0.0);
    for (bin, &power) in spectrum.iter().enumerate() {
        if power > highest && free(bin) {
            (top, highest) = (bin, power);
        }
    }
    let (mut moment, mut sum) = (0.0, f32::MIN_POSITIVE);
    let end = (top + AROUND + 1).min(BINS);
    for (bin, power) in (0..end).zip(spectrum).skip(top.saturating_sub(AROUND)) {
        if free(bin) {
            moment += bin as f32 * power;
            sum += power;
        }
    }
    (moment / sum, sum)
}
