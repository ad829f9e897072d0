//! What a moment of the callee's sound is: how loud, and whether it is one tone or two.
use crate::tones::{COLUMNS, ROWS};
use crate::vad::spectrum::{self, WINDOW};

/// Bins of a spectrum, and what one is wide in Hz.
const BINS: usize = WINDOW / 2;
const WIDTH: f32 = 31.25;
/// Below it lies what is no part of any tone of a network or machine, but of a voice: bin 10 is at 313 Hz. Hum is below bin 3.
const LOWEST: usize = 10;
const HUM: usize = 3;
/// Bins each way that belong to a peak.
const AROUND: usize = 3;
/// The share of the power in one peak, or in two, that makes a tone.
const PURE: f32 = 0.86;
/// A second peak counts from this share of the first on.
const SECOND: f32 = 0.06;
/// What is too soft for a tone, as the mean square of full scale: -55 dBov.
const FAINT: f32 = 3.2e-6;
/// How far a key's tones may be off their places.
const OFF: f32 = 0.02;

/// One tone, or two at once: Hz, the stronger first; the second is 0 where there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tone {
    pub hertz: [f32; 2],
    /// The share of the power that it is.
    pub purity: f32,
}

/// 32 ms of sound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// dBov.
    pub level: f32,
    pub tone: Option<Tone>,
}

impl Moment {
    pub fn of(samples: &[f32; WINDOW]) -> Self {
        let powers = spectrum::powers(samples);
        let all: f32 = powers[HUM..].iter().sum();
        let level = 10.0 * (all + 1e-10).log10();
        let tone = (all > FAINT).then(|| tone(&powers, all)).flatten();
        Self { level, tone }
    }
}

impl Tone {
    /// Whether it is a key's.
    pub fn is_key(&self) -> bool {
        let near = |hertz: f32, places: &[u16; 4]| {
            places
                .iter()
                .any(|&place| (hertz - f32::from(place)).abs() < OFF * f32::from(place))
        };
        let [one, other] = self.hertz;
        let (low, high) = (one.min(other), one.max(other));
        near(low, &ROWS) && near(high, &COLUMNS)
    }
}

fn tone(powers: &[f32; BINS], all: f32) -> Option<Tone> {
    let (first, one) = peak(powers, None)?;
    let mut hertz = [first * WIDTH, 0.0];
    let mut held = one;
    if one < (1.0 - SECOND) * all
        && let Some((second, two)) = peak(powers, Some(first))
        && two > SECOND * one
    {
        hertz[1] = second * WIDTH;
        held += two;
    }
    let purity = held / all;
    (purity >= PURE).then_some(Tone { hertz, purity })
}

/// The middle of the highest peak, in bins, and its power, apart from what belongs to another.
fn peak(powers: &[f32; BINS], other: Option<f32>) -> Option<(f32, f32)> {
    let free = |bin: usize| other.is_none_or(|other| (bin as f32 - other).abs() > AROUND as f32);
    let (top, highest) = (LOWEST..BINS)
        .filter(|&bin| free(bin))
        .map(|bin| (bin, powers[bin]))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    if highest <= 0.0 {
        return None;
    }
    let (mut moment, mut sum) = (0.0, f32::MIN_POSITIVE);
    for bin in (top.saturating_sub(AROUND).max(HUM)..=(top + AROUND).min(BINS - 1))
        .filter(|&bin| free(bin))
    {
        moment += bin as f32 * powers[bin];
        sum += powers[bin];
    }
    Some((moment / sum, sum))
}
