//! Polyphase resampling between 8, 16, 24 and 48 kHz, with state that runs on across frames.

/// Half the length of the filter, in samples of the slower of both rates. It delays by as much: 2 ms at 8 kHz.
const HALF_TAPS: usize = 16;
/// Shape of the Kaiser window: about 70 dB of stop band.
const KAISER_BETA: f64 = 7.0;
/// Filters come in multiples of this many taps, so that vector registers leave no remainder.
const LANES: usize = 8;
/// The coefficient that passes a sample unchanged.
const UNITY: i32 = 1 << UNITY_BITS;
const UNITY_BITS: u32 = 14;
/// Input samples taken in one go; bounds the history buffer.
const BLOCK: usize = 960;

/// Changes the rate of a stream of samples by a rational factor.
///
/// The pass band is flat to 85 % of the slower rate's half; what would alias is some 60 dB down beyond 115 %.
#[derive(Debug)]
pub struct Resampler {
    /// Output samples for `down` input samples.
    up: usize,
    down: usize,
    /// `up` filters of `taps` coefficients each.
    phases: Box<[i16]>,
    taps: usize,
    /// The last `taps - 1` samples, then those not used up yet.
    history: Vec<i16>,
    /// Which of the `up` instants between two inputs comes next, counted from the first unused input.
    phase: usize,
}

impl Resampler {
    /// A resampler from `from` to `to` Hz; both multiples of 8000 up to 48000.
    pub fn new(from: u32, to: u32) -> Self {
        let shared = gcd(from, to);
        let (up, down) = ((to / shared) as usize, (from / shared) as usize);
        // Length in input samples: the filter spans the same time of the slower rate either way.
        let span = if to < from {
            2 * HALF_TAPS * down / up
        } else {
            2 * HALF_TAPS
        };
        let taps = span.next_multiple_of(LANES);
        let cutoff = 1.0 / up.max(down) as f64;
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
        }
        let mut resampler = Resampler {
            up,
            down,
            phases,
            taps,
            history: Vec::with_capacity(taps + BLOCK),
            phase: 0,
        };
        resampler.reset();
        resampler
    }

    /// Appends the resampled `input` to `out`; the count follows the ratio exactly over time.
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        for block in input.chunks(BLOCK) {
            self.history.extend_from_slice(block);
            let available = self.history.len() - (self.taps - 1);
            let mut index = self.phase / self.up;
            let mut phase = self.phase % self.up;
            while index < available {
                let window = &self.history[index..index + self.taps];
                let coefficients = &self.phases[phase * self.taps..(phase + 1) * self.taps];
                out.push(dot(window, coefficients));
                phase += self.down;
                index += phase / self.up;
                phase %= self.up;
            }
            self.phase = (index - available) * self.up + phase;
            self.history.copy_within(available.., 0);
            self.history.truncate(self.taps - 1);
        }
    }

    /// Forgets the stream so far.
    pub fn reset(&mut self) {
        self.history.clear();
        self.history.resize(self.taps - 1, 0);
        self.phase = 0;
    }
}

/// One output sample. Sums of 16-bit products in 32 bits are what vector units do best; they can't overflow, since
/// the absolute coefficients of a phase add up to less than four times [`UNITY`].
fn dot(window: &[i16], coefficients: &[i16]) -> i16 {
    let products = window
        .iter()
        .zip(coefficients)
        .map(|(&sample, &factor)| i32::from(sample) * i32::from(factor));
    let sum: i32 = products.sum();
    // A shift rounds both signs alike; a division would pull small negative values to zero.
    let rounded = (sum + UNITY / 2) >> UNITY_BITS;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    const PAIRS: [(u32, u32); 7] = [
        (8_000, 16_000),
        (8_000, 24_000),
        (8_000, 48_000),
        (16_000, 8_000),
        (24_000, 8_000),
        (48_000, 8_000),
        (16_000, 24_000),
    ];

    fn run(from: u32, to: u32, input: &[i16], frame: usize) -> Vec<i16> {
        let mut resampler = Resampler::new(from, to);
        let mut out = Vec::new();
        for chunk in input.chunks(frame) {
            resampler.process(chunk, &mut out);
        }
        out
    }

    fn tone(rate: u32, hertz: f64, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| (10_000.0 * (TAU * hertz * n as f64 / f64::from(rate)).sin()) as i16)
            .collect()
    }

    fn rms(samples: &[f64]) -> f64 {
        (samples.iter().map(|value| value * value).sum::<f64>() / samples.len() as f64).sqrt()
    }

    #[test]
    fn a_swept_sine_comes_out_as_the_same_sweep() {
        for (from, to) in PAIRS {
            let seconds = 2.0;
            let sweep = |time: f64| {
                10_000.0 * (TAU * (100.0 * time + 3_100.0 / (2.0 * seconds) * time * time)).sin()
            };
            let input: Vec<i16> = (0..(f64::from(from) * seconds) as usize)
                .map(|n| sweep(n as f64 / f64::from(from)) as i16)
                .collect();
            let out = run(from, to, &input, from as usize / 50);
            let slower = f64::from(from.min(to));
            // The filter's centre, and no more than that, is the delay.
            let delay = HALF_TAPS as f64 / slower;
            let error: Vec<f64> = (to as usize / 100..out.len())
                .map(|n| f64::from(out[n]) - sweep(n as f64 / f64::from(to) - delay))
                .collect();
            let ratio = 20.0 * (rms(&error) / (10_000.0 / 2f64.sqrt())).log10();
            assert!(ratio < -45.0, "{from} to {to}: error at {ratio:.1} dB");
        }
    }

    #[test]
    fn frame_edges_leave_no_trace() {
        for (from, to) in PAIRS {
            let input = tone(from, 1_004.0, from as usize);
            let whole = run(from, to, &input, input.len());
            for frame in [1, 7, from as usize / 100, from as usize / 50] {
                assert_eq!(
                    run(from, to, &input, frame),
                    whole,
                    "{from} to {to} by {frame}"
                );
            }
            assert_eq!(whole.len(), to as usize);
        }
    }

    #[test]
    fn what_would_alias_is_gone() {
        for from in [16_000, 24_000, 48_000] {
            let input = tone(from, 4_700.0, from as usize / 2);
            let out: Vec<f64> = run(from, 8_000, &input, 160)
                .iter()
                .skip(80)
                .map(|&value| f64::from(value))
                .collect();
            let ratio = 20.0 * (rms(&out) / (10_000.0 / 2f64.sqrt())).log10();
            assert!(ratio < -50.0, "{from}: alias at {ratio:.1} dB");
        }
    }

    #[test]
    fn a_constant_stays_what_it_is() {
        for (from, to) in PAIRS {
            for value in [i16::MIN, -1, 0, 1, i16::MAX] {
                let out = run(from, to, &vec![value; from as usize / 10], 160);
                assert!(
                    out[to as usize / 50..].iter().all(|&out| out == value),
                    "{from} to {to}: {value}"
                );
            }
        }
    }
}
