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

/// Peaks of a moment that are followed, and how far below the highest one they may be.
pub(super) const PEAKS: usize = 16;
const LOWER: f32 = 0.01;
/// Where they are looked for, in bins.
const SOUGHT: std::ops::Range<usize> = 5..110;
/// From here on is what hisses.
const HIGH: usize = 64;

/// A peak of the spectrum.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peak {
    /// Where, in bins and parts of one.
    pub bin: f32,
    pub power: f32,
}

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
    /// Whether most of it is above 2 kHz.
    pub hisses: bool,
    peaks: [Peak; PEAKS],
    count: usize,
}

impl Moment {
    pub fn of(samples: &[f32; WINDOW]) -> Self {
        let powers = spectrum::powers(samples);
        let all: f32 = powers[HUM..].iter().sum();
        let level = 10.0 * (all + 1e-10).log10();
        let tone = (all > FAINT).then(|| tone(&powers, all)).flatten();
        let high: f32 = powers[HIGH..].iter().sum();
        let (peaks, count) = peaks(&powers);
        Self {
            level,
            tone,
            hisses: high > 0.5 * all,
            peaks,
            count,
        }
    }

    /// The peaks of its spectrum, from the lowest on.
    pub fn peaks(&self) -> &[Peak] {
        &self.peaks[..self.count]
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

/// Peaks, each put where the parabola through its logarithms has its top.
fn peaks(powers: &[f32; BINS]) -> ([Peak; PEAKS], usize) {
    let mut found = [Peak::default(); PEAKS];
    let mut count = 0;
    let least = LOWER * powers[SOUGHT].iter().copied().fold(0.0, f32::max);
    for bin in SOUGHT {
        let [before, power, after] = [powers[bin - 1], powers[bin], powers[bin + 1]];
        if power <= least || power <= before || power < after {
            continue;
        }
        let [a, b, c] = [before, power, after].map(|power| (power + 1e-14).ln());
        found[count] = Peak {
            bin: bin as f32 + 0.5 * (a - c) / (a - 2.0 * b + c).min(-1e-6),
            power,
        };
        count += 1;
        if count == PEAKS {
            break;
        }
    }
    (found, count)
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
