//! Polyphase resampling between 8, 16, 24 and 48 kHz, with state that runs on across frames.
//!
//! The pass band is flat within 0.2 dB up to 85 % of the slower rate's half (3.4 kHz at 8 kHz, 7 kHz at 16 kHz), and everything from that half on,
//! which would alias or be an image, is 60 dB down. The filter is symmetric, so all frequencies are delayed by the same time:
//! [`Resampler::delay`], 3 ms where the slower rate is 8 kHz, 2 ms at 16 kHz, 1.3 ms above.
use std::sync::OnceLock;
use std::time::Duration;

/// Shape of the Kaiser window, and how wide its transition is, in radians times taps: 64 dB of stop band.
const KAISER_BETA: f64 = 6.1;
const TRANSITION: f64 = (64.0 - 7.95) / 2.285;
/// Filters come in multiples of this many taps, so that vector registers leave no remainder.
const LANES: usize = 8;
/// The coefficient that passes a sample unchanged: the finest for which no sum of products leaves 32 bits.
const UNITY: i32 = 26_624;
/// Input samples taken in one go; bounds the history.
const BLOCK: usize = 160;
/// Rates between which sound can be resampled.
pub const RATES: [u32; 4] = [8_000, 16_000, 24_000, 48_000];

/// The filter between two rates, the same for all streams.
#[derive(Debug)]
struct Filter {
    /// Output samples for `down` input samples.
    up: usize,
    down: usize,
    /// `up` filters of `taps` coefficients each.
    phases: Box<[i16]>,
    taps: usize,
    delay: Duration,
}

impl Filter {
    /// The one between these rates, made when it is first asked for.
    fn between(from: u32, to: u32) -> &'static Filter {
        static FILTERS: [[OnceLock<Filter>; RATES.len()]; RATES.len()] =
            [const { [const { OnceLock::new() }; RATES.len()] }; RATES.len()];
        let index = |rate| {
            RATES
                .iter()
                .position(|&known| known == rate)
                .expect("rates are checked where a format is configured")
        };
        FILTERS[index(from)][index(to)].get_or_init(|| Filter::new(from, to))
    }

    fn new(from: u32, to: u32) -> Self {
        let shared = gcd(from, to);
        let (up, down) = ((to / shared) as usize, (from / shared) as usize);
        let slower = from.min(to);
        // Half the filter, in samples of the slower rate. Telephone sound ends farther below the half of 8 kHz than wideband sound below that of 16.
        let half = if slower == 8_000 { 24 } else { 32 };
        // Length in input samples: the filter spans the same time of the slower rate either way.
        let span = if to < from {
            2 * half * down / up
        } else {
            2 * half
        };
        let taps = span.next_multiple_of(LANES);
        // The stop band begins at half the slower rate; the pass band ends in the middle of what is between.
        let edge = 1.0 - TRANSITION / (2 * half) as f64 / std::f64::consts::PI / 2.0;
        let cutoff = edge / up.max(down) as f64;
        let centre = (taps * up) as f64 / 2.0;
        let half_width = (span * up) as f64 / 2.0;
        let mut phases = vec![0i16; up * taps].into_boxed_slice();
        for phase in 0..up {
            let coefficients = &mut phases[phase * taps..(phase + 1) * taps];
            let mut sum = 0.0;
            let ideal: Vec<f64> = (0..taps)
                .map(|tap| {
                    // Tap 0 meets the oldest sample of the window.
                    let distance = ((taps - 1 - tap) * up + phase) as f64 - centre;
                    let value = cutoff * sinc(distance * cutoff) * kaiser(distance / half_width);
                    sum += value;
                    value
                })
                .collect();
            // Each phase passes direct current unchanged, or a constant would come out as a tone.
            for (coefficient, value) in coefficients.iter_mut().zip(ideal) {
                *coefficient = (value / sum * f64::from(UNITY)).round() as i16;
            }
            let rest = UNITY
                - coefficients
                    .iter()
                    .map(|&value| i32::from(value))
                    .sum::<i32>();
            let largest = coefficients.iter_mut().max().expect("a filter has taps");
            *largest += rest as i16;
            let absolute: i64 = coefficients
                .iter()
                .map(|&value| i64::from(value).abs())
                .sum();
            assert!(
                absolute << 15 < i64::from(i32::MAX - UNITY),
                "some input could overflow a sum"
            );
        }
        Filter {
            up,
            down,
            phases,
            taps,
            delay: Duration::from_secs(half as u64) / slower,
        }
    }
}

/// Changes the rate of a stream of samples by a rational factor. How the stream is cut into pieces changes nothing.
#[derive(Debug)]
pub struct Resampler {
    filter: &'static Filter,
    /// The last `taps - 1` samples, then those not used up yet.
    history: Vec<i16>,
    /// Which of the `up` instants between two inputs comes next, counted from the first unused input.
    phase: usize,
}

impl Resampler {
    /// The most that one call of [`Resampler::process`] takes in, in samples.
    pub const BLOCK: usize = BLOCK;
    /// Room that is enough for what it gives out.
    pub const ROOM: usize = 6 * BLOCK;

    /// A resampler from `from` to `to` Hz, both of [`RATES`]. It allocates here, never later.
    pub fn new(from: u32, to: u32) -> Self {
        let filter = Filter::between(from, to);
        let mut history = Vec::with_capacity(filter.taps - 1 + BLOCK);
        history.resize(filter.taps - 1, 0);
        Resampler {
            filter,
            history,
            phase: 0,
        }
    }

    /// How much later the sound comes out than it went in.
    pub fn delay(&self) -> Duration {
        self.filter.delay
    }

    /// Writes what at most [`Resampler::BLOCK`] samples come to, and returns how many there are, at most [`Resampler::ROOM`]. The count
    /// follows the ratio exactly over time.
    pub fn process(&mut self, input: &[i16], out: &mut [i16; Resampler::ROOM]) -> usize {
        self.history
            .extend_from_slice(&input[..input.len().min(BLOCK)]);
        // As many taps as a number in the code: then the sum is all written out.
        match self.filter.taps {
            48 => self.filter::<48>(out),
            64 => self.filter::<64>(out),
            96 => self.filter::<96>(out),
            128 => self.filter::<128>(out),
            144 => self.filter::<144>(out),
            192 => self.filter::<192>(out),
            288 => self.filter::<288>(out),
            taps => unreachable!("no pair of rates has a filter of {taps} taps"),
        }
    }

    fn filter<const TAPS: usize>(&mut self, out: &mut [i16; Resampler::ROOM]) -> usize {
        let Filter { up, down, .. } = self.filter;
        let (phases, _) = self.filter.phases.as_chunks::<TAPS>();
        let available = self.history.len() - (TAPS - 1);
        let mut index = self.phase / up;
        let mut phase = self.phase % up;
        let mut count = 0;
        while index < available {
            let window = self.history[index..]
                .first_chunk()
                .expect("it is available");
            out[count] = dot::<TAPS>(window, &phases[phase]);
            count += 1;
            // A division would cost more than half a filter.
            phase += down;
            while phase >= *up {
                phase -= up;
                index += 1;
            }
        }
        self.phase = (index - available) * up + phase;
        self.history.copy_within(available.., 0);
        self.history.truncate(TAPS - 1);
        count
    }

    /// Forgets the stream so far: what comes next rises out of silence, without a click and without a remnant of what was before.
    pub fn reset(&mut self) {
        self.history.fill(0);
        self.phase = 0;
    }
}

/// One output sample. Sums of 16-bit products in 32 bits are what vector units do best.
fn dot<const TAPS: usize>(window: &[i16; TAPS], coefficients: &[i16; TAPS]) -> i16 {
    let products = window
        .iter()
        .zip(coefficients)
        .map(|(&sample, &factor)| i32::from(sample) * i32::from(factor));
    let sum: i32 = products.sum();
    // Rounded alike for both signs; towards zero would pull small values there.
    let rounded = (sum + UNITY / 2).div_euclid(UNITY);
    // An overshoot of the filter clips instead of wrapping.
    rounded.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else {
        (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x)
    }
}

fn kaiser(x: f64) -> f64 {
    if x.abs() > 1.0 {
        0.0
    } else {
        bessel_i0(KAISER_BETA * (1.0 - x * x).sqrt()) / bessel_i0(KAISER_BETA)
    }
}

/// Modified Bessel function of the first kind, order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..40 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}
