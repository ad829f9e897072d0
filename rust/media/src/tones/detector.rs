//! The tones of keys that the caller presses, found in its sound.
//!
//! Sound is judged by windows of 20 ms, a new one every 10 ms. Two filters of each half give the strength of a tone, and by how its phase moves from
//! one half to the other how far it is off its place: so each window is asked whether it holds one row's tone and one column's, near enough to
//! their places, evenly strong, and hardly anything else. Two windows that agree, 30 ms of even tones, make a press; speech and music never keep
//! that up. Three windows without the tones end it.
use super::{COLUMNS, ROWS, digit};
use crate::telephone_event::{Digit, Keyed};
use std::f32::consts::TAU;
use std::time::Duration;

/// Halves of windows a second.
const HALVES: u32 = 100;
const HALF: Duration = Duration::from_millis(10);
/// Filters: one for each row and column.
const TONES: usize = 8;
/// The weakest tone, as an amplitude: -38 dBm0.
const WEAKEST: f32 = 287.0;
/// The part of the window's power that the two tones must be, for a press to begin, to go on, and to be suspected.
const PURE: f32 = 0.86;
const KEPT: f32 = 0.55;
const SUSPECT: f32 = 0.45;
/// How far a tone may be off its place: 2 %. Q.24 asks for 1.5 %, and for none from 3.5 % on.
const OFF: f32 = 0.02;
/// How much a column's tone may be stronger than the row's (7 dB), and the other way (10 dB), as ratios of power.
const COLUMN_STRONGER: f32 = 5.0;
const ROW_STRONGER: f32 = 10.0;
/// Tones are even if no half is stronger than the other by this ratio of amplitudes: 2 dB.
const EVEN: f32 = 1.26;
/// By how much each tone may wander from one window to the next, in Hz.
const WANDER: f32 = 6.0;
/// The tone of a row or column stands out from its neighbours by this ratio of power.
const STANDS_OUT: f32 = 4.0;
/// How strong the octave above a tone may be, as a ratio of amplitudes (-16 dB): voices and instruments have more.
const OCTAVE: f32 = 0.16;
/// Tones nearer than this are not told apart by a window, in Hz.
const BESIDE: f32 = 180.0;
/// Samples of a half at the highest rate of a line.
const MOST: usize = 160;
/// Windows without the tones that end a press: a gap of 20 ms does, one of 10 ms does not.
const MISSES: u32 = 3;
/// Windows with sound that was made here that say nothing of a press at most.
const MADE: u32 = 8;

type Complex = (f32, f32);

/// How much the sound is like a key's tones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Likeness {
    /// Not at all.
    #[default]
    None,
    /// A little, as speech may be for a moment.
    Some,
    /// It has the tones of a key.
    Tone,
}

/// The tones of a row and a column in a window.
#[derive(Clone, Copy, Debug)]
struct Pair {
    digit: Digit,
    /// The row's and the column's tone.
    tones: (Tone, Tone),
    even: bool,
}

/// One half of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Half {
    /// What each filter gives, its phase as of the last sample.
    real: [f32; TONES],
    imaginary: [f32; TONES],
    energy: f32,
    /// Some of it was made here, in place of what was lost.
    made: bool,
}

#[derive(Clone, Copy, Debug)]
struct Press {
    digit: Digit,
    /// Halves from its first to the last that had its tones, and since that.
    lasted: u32,
    since: u32,
    misses: u32,
    made: u32,
}

impl Press {
    fn keyed(&self) -> Keyed {
        Keyed {
            digit: self.digit,
            duration: HALF * self.lasted,
        }
    }
}

/// What one rate of samples needs.
#[derive(Clone, Copy, Debug)]
struct Filters {
    rate: u32,
    half: usize,
    hertz: [f32; TONES],
    /// 2 cos ω, and e^{-jω}.
    twice_cosine: [f32; TONES],
    turn: [Complex; TONES],
    /// e^{jω} to the power of a half's samples.
    step: [Complex; TONES],
    /// What of a row's tone comes through the filter of a column; the other way it is the conjugate.
    leak: [[Complex; 4]; 4],
}

/// Finds presses in the sound of one leg. No allocation.
#[derive(Debug)]
pub struct ToneDetector {
    filters: Filters,
    before: [f32; TONES],
    before_that: [f32; TONES],
    filled: usize,
    now: Half,
    last: Half,
    /// The samples of the two, the one of `now` at this index.
    samples: [[f32; MOST]; 2],
    current: usize,
    /// What the last window held.
    pair: Option<Pair>,
    press: Option<Press>,
}

impl Default for ToneDetector {
    fn default() -> Self {
        ToneDetector {
            filters: Filters::new(8_000),
            before: [0.0; TONES],
            before_that: [0.0; TONES],
            filled: 0,
            now: Half::default(),
            last: Half::default(),
            samples: [[0.0; MOST]; 2],
            current: 0,
            pair: None,
            press: None,
        }
    }
}

impl ToneDetector {
    /// Hears a stretch of sound at `rate` samples a second; `made` says that it was made here in place of what was lost. Presses that have ended
    /// go to `ended`.
    pub fn hear(
        &mut self,
        pcm: &[i16],
        rate: u32,
        made: bool,
        mut ended: impl FnMut(Keyed),
    ) -> Likeness {
        if rate != self.filters.rate {
            *self = ToneDetector {
                filters: Filters::new(rate),
                press: self.press,
                ..ToneDetector::default()
            };
        }
        let mut likeness = Likeness::None;
        let mut rest = pcm;
        while !rest.is_empty() {
            let take = (self.filters.half - self.filled).min(rest.len());
            let (piece, after) = rest.split_at(take);
            self.filter(piece);
            self.now.made |= made;
            self.filled += take;
            rest = after;
            if self.filled == self.filters.half {
                let window = self.window();
                likeness = likeness.max(self.judge(window, &mut ended));
            }
        }
        if self.press.is_some() {
            likeness = Likeness::Tone;
        }
        likeness
    }

    /// The peer has paused: a press has ended, and what comes next has nothing to do with the sound before.
    pub fn pause(&mut self, mut ended: impl FnMut(Keyed)) {
        if let Some(press) = self.press {
            ended(press.keyed());
        }
        self.before = [0.0; TONES];
        self.before_that = [0.0; TONES];
        self.filled = 0;
        (self.now, self.last) = (Half::default(), Half::default());
        (self.pair, self.press) = (None, None);
    }

    /// Whether a press has begun and not ended.
    pub fn is_pressed(&self) -> bool {
        self.press.is_some()
    }

    fn filter(&mut self, piece: &[i16]) {
        let (mut before, mut before_that) = (self.before, self.before_that);
        let mut energy = 0.0;
        let kept = &mut self.samples[self.current][self.filled..];
        for (&sample, kept) in piece.iter().zip(kept) {
            let sample = f32::from(sample);
            *kept = sample;
            energy += sample * sample;
            for tone in 0..TONES {
                let next =
                    sample + self.filters.twice_cosine[tone] * before[tone] - before_that[tone];
                before_that[tone] = before[tone];
                before[tone] = next;
            }
        }
        self.now.energy += energy;
        (self.before, self.before_that) = (before, before_that);
    }

    /// Ends the half, and gives the window of it and the one before.
    fn window(&mut self) -> (Half, Half) {
        for tone in 0..TONES {
            let (cosine, sine) = self.filters.turn[tone];
            self.now.real[tone] = self.before[tone] - self.before_that[tone] * cosine;
            self.now.imaginary[tone] = -self.before_that[tone] * sine;
        }
        self.before = [0.0; TONES];
        self.before_that = [0.0; TONES];
        self.filled = 0;
        self.current ^= 1;
        let window = (self.last, self.now);
        self.last = std::mem::take(&mut self.now);
        window
    }

    fn judge(&mut self, window: (Half, Half), ended: &mut impl FnMut(Keyed)) -> Likeness {
        let made = window.0.made || window.1.made;
        let (pair, purity) = self.pair_of(&window);
        if let Some(press) = &mut self.press {
            press.since += 1;
            if made && press.made < MADE {
                // Made sound goes on as the tones did, whether they do or not.
                press.made += 1;
            } else if pair.is_some_and(|pair| pair.digit == press.digit && purity >= KEPT) {
                press.lasted += press.since;
                (press.since, press.misses, press.made) = (0, 0, 0);
            } else {
                press.misses += 1;
            }
            if press.misses >= MISSES {
                ended(press.keyed());
                self.press = None;
            }
        }
        let pair = pair.filter(|_| purity >= PURE);
        let before = std::mem::replace(&mut self.pair, pair);
        let Some(pair) = pair else {
            return if purity >= SUSPECT {
                Likeness::Some
            } else {
                Likeness::None
            };
        };
        if let Some(before) = before.filter(|before| before.goes_on_as(&pair))
            && self.press.is_none_or(|press| press.digit != before.digit)
            && !self.has_octaves(&pair)
        {
            let press = Press {
                digit: pair.digit,
                lasted: 3,
                since: 0,
                misses: 0,
                made: 0,
            };
            if let Some(press) = self.press.replace(press) {
                ended(press.keyed());
            }
        }
        Likeness::Tone
    }

    /// Whether a tone of the last window has an octave above it, as those of voices and instruments have.
    fn has_octaves(&self, pair: &Pair) -> bool {
        let half = self.filters.half;
        let has_octave = |tone: &Tone| {
            let twice_cosine = 2.0 * (2.0 * tone.hertz / self.filters.rate as f32 * TAU).cos();
            let (mut before, mut before_that) = (0.0, 0.0);
            // The half behind `current` is the older one.
            for samples in [&self.samples[self.current], &self.samples[self.current ^ 1]] {
                for &sample in &samples[..half] {
                    let next = sample + twice_cosine * before - before_that;
                    (before, before_that) = (next, before);
                }
            }
            let power =
                before * before + before_that * before_that - twice_cosine * before * before_that;
            power.max(0.0).sqrt() / half as f32 > OCTAVE * tone.amplitude
        };
        let (row, column) = &pair.tones;
        // Beside the column's tone, nothing can be said of the octave above the row's.
        let is_beside = (2.0 * row.hertz - column.hertz).abs() < BESIDE;
        has_octave(column) || !is_beside && has_octave(row)
    }

    /// The strongest row and column of a window if they can be a key's, and the part of the window's power that they are.
    fn pair_of(&self, window: &(Half, Half)) -> (Option<Pair>, f32) {
        let total = window.0.energy + window.1.energy;
        let half = self.filters.half as f32;
        // Below that not even two of the weakest tones would be in it.
        if total < WEAKEST * WEAKEST * half {
            return (None, 0.0);
        }
        let (row, row_stands_out) = self.strongest(window, 0);
        let (column, column_stands_out) = self.strongest(window, 4);
        let (first, second) = (
            self.apart(&window.0, row, column),
            self.apart(&window.1, row, column),
        );
        let low = self.tone(row, first.0, second.0);
        let high = self.tone(column, first.1, second.1);
        let purity = (low.power() + high.power()) * half / total;
        let balanced = low.power() * COLUMN_STRONGER >= high.power()
            && high.power() * ROW_STRONGER >= low.power();
        let is_key = row_stands_out
            && column_stands_out
            && balanced
            && low.amplitude.min(high.amplitude) >= WEAKEST
            && low.is_in_place(ROWS[row])
            && high.is_in_place(COLUMNS[column - 4]);
        let pair = Pair {
            digit: digit(row, column - 4),
            tones: (low, high),
            even: low.even && high.even,
        };
        (is_key.then_some(pair), purity)
    }

    /// The strongest of the four tones from `first` on, and whether it stands out from the others.
    fn strongest(&self, window: &(Half, Half), first: usize) -> (usize, bool) {
        let power = |tone: usize| {
            let (cosine, sine) = self.filters.step[tone];
            let (real, imaginary) = (window.0.real[tone], window.0.imaginary[tone]);
            let real = real * cosine - imaginary * sine + window.1.real[tone];
            let imaginary = window.0.real[tone] * sine
                + window.0.imaginary[tone] * cosine
                + window.1.imaginary[tone];
            real * real + imaginary * imaginary
        };
        let (mut best, mut second) = ((first, power(first)), 0.0);
        for tone in first + 1..first + 4 {
            let power = power(tone);
            if power > best.1 {
                second = best.1;
                best = (tone, power);
            } else if power > second {
                second = power;
            }
        }
        (best.0, best.1 >= STANDS_OUT * second)
    }

    /// What the filters of a row and a column give of their own tones, the other one's leak taken out.
    fn apart(&self, half: &Half, row: usize, column: usize) -> (Complex, Complex) {
        let (real, imaginary) = self.filters.leak[row][column - 4];
        let given = 1.0 - real * real - imaginary * imaginary;
        let low = (half.real[row], half.imaginary[row]);
        let high = (half.real[column], half.imaginary[column]);
        let take = |own: Complex, other: Complex, leak: Complex| {
            (
                (own.0 - other.0 * leak.0 + other.1 * leak.1) / given,
                (own.1 - other.0 * leak.1 - other.1 * leak.0) / given,
            )
        };
        (
            take(low, high, (real, -imaginary)),
            take(high, low, (real, imaginary)),
        )
    }

    /// A tone by what its filter gives of the first half of a window, and of the second.
    fn tone(&self, tone: usize, a: Complex, b: Complex) -> Tone {
        // How far the phase has moved beyond what the tone's place explains.
        let (cosine, sine) = self.filters.step[tone];
        let expected = (a.0 * cosine - a.1 * sine, a.0 * sine + a.1 * cosine);
        let real = b.0 * expected.0 + b.1 * expected.1;
        let imaginary = b.1 * expected.0 - b.0 * expected.1;
        let off = imaginary.atan2(real) / TAU * HALVES as f32;
        let (first, second) = (
            (a.0 * a.0 + a.1 * a.1).sqrt(),
            (b.0 * b.0 + b.1 * b.1).sqrt(),
        );
        // A tone off its place comes through a filter of a half less strong.
        let away = off / HALVES as f32 * TAU / 2.0;
        let through = if away.abs() < 1e-3 {
            1.0
        } else {
            away.sin() / away
        };
        Tone {
            hertz: self.filters.hertz[tone] + off,
            amplitude: (first + second) / self.filters.half as f32 / through,
            off,
            even: first <= EVEN * second && second <= EVEN * first,
        }
    }
}

/// One tone of a window.
#[derive(Clone, Copy, Debug)]
struct Tone {
    hertz: f32,
    amplitude: f32,
    off: f32,
    even: bool,
}

impl Tone {
    fn power(&self) -> f32 {
        self.amplitude * self.amplitude
    }

    fn is_in_place(&self, hertz: u16) -> bool {
        self.off.abs() <= OFF * f32::from(hertz)
    }
}

impl Pair {
    /// Whether the window behind this one holds the same tones, as even.
    fn goes_on_as(&self, next: &Pair) -> bool {
        self.digit == next.digit
            && self.even
            && next.even
            && (self.tones.0.off - next.tones.0.off).abs() <= WANDER
            && (self.tones.1.off - next.tones.1.off).abs() <= WANDER
    }
}

impl Filters {
    fn new(rate: u32) -> Self {
        let half = (rate / HALVES) as usize;
        let mut filters = Filters {
            rate,
            half,
            hertz: [0.0; TONES],
            twice_cosine: [0.0; TONES],
            turn: [(0.0, 0.0); TONES],
            step: [(0.0, 0.0); TONES],
            leak: [[(0.0, 0.0); 4]; 4],
        };
        for (tone, &hertz) in ROWS.iter().chain(&COLUMNS).enumerate() {
            let turn = std::f64::consts::TAU * f64::from(hertz) / f64::from(rate);
            let step = turn * half as f64;
            filters.hertz[tone] = f32::from(hertz);
            filters.twice_cosine[tone] = 2.0 * turn.cos() as f32;
            filters.turn[tone] = (turn.cos() as f32, -(turn.sin() as f32));
            filters.step[tone] = (step.cos() as f32, step.sin() as f32);
        }
        for (row, &low) in ROWS.iter().enumerate() {
            for (column, &high) in COLUMNS.iter().enumerate() {
                let apart = std::f64::consts::TAU * f64::from(high - low) / f64::from(rate);
                let mean = |part: fn(f64) -> f64| {
                    let sum: f64 = (0..half).map(|sample| part(apart * sample as f64)).sum();
                    (sum / half as f64) as f32
                };
                filters.leak[row][column] = (mean(f64::cos), mean(f64::sin));
            }
        }
        filters
    }
}
