//! The spectrum of a window of 256 samples: a real Fourier transform in single precision, without tables to be made at run time.
use std::f64::consts::{FRAC_PI_2, PI};

/// Samples of a window: 32 ms at 8 kHz, so that a bin is 31.25 Hz.
pub const WINDOW: usize = 256;
/// Points of the complex transform that does the work.
const HALF: usize = WINDOW / 2;

/// The sine by its series: no library function can be called while the tables below are made by the compiler.
const fn sine(angle: f64) -> f64 {
    let angle = angle % (2.0 * PI);
    let square = angle * angle;
    let (mut term, mut sum, mut n) = (angle, angle, 1.0);
    while n < 60.0 {
        term *= -square / ((n + 1.0) * (n + 2.0));
        sum += term;
        n += 2.0;
    }
    sum
}

/// Cosine and minus sine of `index / 256` of a turn.
const TURN: ([f32; WINDOW], [f32; WINDOW]) = {
    let (mut real, mut imaginary) = ([0.0; WINDOW], [0.0; WINDOW]);
    let mut index = 0;
    while index < WINDOW {
        let angle = 2.0 * PI * index as f64 / WINDOW as f64;
        real[index] = sine(angle + FRAC_PI_2) as f32;
        imaginary[index] = -sine(angle) as f32;
        index += 1;
    }
    (real, imaginary)
};
static COSINE: [f32; WINDOW] = TURN.0;
static MINUS_SINE: [f32; WINDOW] = TURN.1;

/// Hann's window, scaled so that the powers of all bins together are the mean square of the samples.
static HANN: [f32; WINDOW] = {
    let mut window = [0.0; WINDOW];
    let mut index = 0;
    while index < WINDOW {
        let raised = (1.0 - TURN.0[index] as f64) / 2.0;
        // Bins below half the rate stand for two each (2), Hann's window takes away 5/8 of the power (8/3).
        window[index] = (raised * 2.309_401_076_758_503 / WINDOW as f64) as f32;
        index += 1;
    }
    window
};

/// Complex numbers, real and imaginary parts apart: the processor works on several at once.
#[derive(Clone, Copy)]
struct Complex {
    re: [f32; HALF],
    im: [f32; HALF],
}

const ZERO: Complex = Complex {
    re: [0.0; HALF],
    im: [0.0; HALF],
};

/// The power of each bin below half the rate; the mean square of the samples is their sum. Bin 0 is left out.
pub fn powers(samples: &[f32; WINDOW]) -> [f32; HALF] {
    let mut windowed = [0.0; WINDOW];
    for ((out, sample), weight) in windowed.iter_mut().zip(samples).zip(&HANN) {
        *out = sample * weight;
    }
    let (re, im) = transform(&windowed);
    let mut powers = [0.0; HALF];
    for ((power, re), im) in powers.iter_mut().zip(&re).zip(&im) {
        *power = re * re + im * im;
    }
    powers[0] = 0.0;
    powers
}

/// Real and imaginary part of the first 128 bins of a real signal.
fn transform(signal: &[f32; WINDOW]) -> ([f32; HALF], [f32; HALF]) {
    let mut even = ZERO;
    for (index, pair) in signal.chunks_exact(2).enumerate() {
        even.re[index] = pair[0];
        even.im[index] = pair[1];
    }
    let mut other = ZERO;
    radix4::<32, 1>(&even, &mut other);
    radix4::<8, 4>(&other, &mut even);
    radix4::<2, 16>(&even, &mut other);
    radix2(&other, &mut even);
    // Even and odd samples were transformed as real and imaginary part of one signal; their spectra are parted here.
    let (mut re, mut im) = ([0.0; HALF], [0.0; HALF]);
    re[0] = even.re[0] + even.im[0];
    for bin in 1..HALF {
        let mirror = HALF - bin;
        let (a, b) = (
            even.re[bin] + even.re[mirror],
            even.im[bin] - even.im[mirror],
        );
        let (c, d) = (
            even.im[bin] + even.im[mirror],
            even.re[mirror] - even.re[bin],
        );
        let (cosine, minus_sine) = (COSINE[bin], MINUS_SINE[bin]);
        re[bin] = (a + cosine * c - minus_sine * d) / 2.0;
        im[bin] = (b + cosine * d + minus_sine * c) / 2.0;
    }
    (re, im)
}

/// One step of Stockham's transform of 128 points by fours: `M` twiddles, `S` signals side by side.
#[inline(always)]
fn radix4<const M: usize, const S: usize>(from: &Complex, to: &mut Complex) {
    let turn = WINDOW / (4 * M);
    for p in 0..M {
        let (w1, w2, w3) = (p * turn, 2 * p * turn, 3 * p * turn);
        let (c1, s1) = (COSINE[w1], MINUS_SINE[w1]);
        let (c2, s2) = (COSINE[w2], MINUS_SINE[w2]);
        let (c3, s3) = (COSINE[w3], MINUS_SINE[w3]);
        for q in 0..S {
            let at = |quarter: usize| q + S * (p + quarter * M);
            let (a_re, a_im) = (from.re[at(0)], from.im[at(0)]);
            let (b_re, b_im) = (from.re[at(1)], from.im[at(1)]);
            let (c_re, c_im) = (from.re[at(2)], from.im[at(2)]);
            let (d_re, d_im) = (from.re[at(3)], from.im[at(3)]);
            let (ac_re, ac_im, a_c_re, a_c_im) =
                (a_re + c_re, a_im + c_im, a_re - c_re, a_im - c_im);
            let (bd_re, bd_im) = (b_re + d_re, b_im + d_im);
            // The difference turned by a quarter.
            let (jb_d_re, jb_d_im) = (d_im - b_im, b_re - d_re);
            let put = |part: usize| q + S * (4 * p + part);
            to.re[put(0)] = ac_re + bd_re;
            to.im[put(0)] = ac_im + bd_im;
            let (re, im) = (a_c_re - jb_d_re, a_c_im - jb_d_im);
            to.re[put(1)] = re * c1 - im * s1;
            to.im[put(1)] = re * s1 + im * c1;
            let (re, im) = (ac_re - bd_re, ac_im - bd_im);
            to.re[put(2)] = re * c2 - im * s2;
            to.im[put(2)] = re * s2 + im * c2;
            let (re, im) = (a_c_re + jb_d_re, a_c_im + jb_d_im);
            to.re[put(3)] = re * c3 - im * s3;
            to.im[put(3)] = re * s3 + im * c3;
        }
    }
}

/// Its last step: pairs, whose twiddle is one.
#[inline(always)]
fn radix2(from: &Complex, to: &mut Complex) {
    const S: usize = HALF / 2;
    for q in 0..S {
        to.re[q] = from.re[q] + from.re[q + S];
        to.im[q] = from.im[q] + from.im[q + S];
        to.re[q + S] = from.re[q] - from.re[q + S];
        to.im[q + S] = from.im[q] - from.im[q + S];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: &mut u64) -> f32 {
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 40) as f32 / 8_388_608.0 - 1.0
    }

    #[test]
    fn the_transform_is_the_sum_that_defines_it() {
        let mut seed = 3;
        let signal: [f32; WINDOW] = std::array::from_fn(|_| noise(&mut seed));
        let (re, im) = transform(&signal);
        for bin in 0..HALF {
            let (mut sum_re, mut sum_im) = (0.0, 0.0);
            for (index, sample) in signal.iter().enumerate() {
                let angle = -2.0 * PI * (bin * index) as f64 / WINDOW as f64;
                sum_re += f64::from(*sample) * angle.cos();
                sum_im += f64::from(*sample) * angle.sin();
            }
            assert!((f64::from(re[bin]) - sum_re).abs() < 1e-4, "bin {bin}");
            assert!((f64::from(im[bin]) - sum_im).abs() < 1e-4, "bin {bin}");
        }
    }

    #[test]
    fn the_powers_together_are_the_mean_square() {
        let tone: [f32; WINDOW] = std::array::from_fn(|index| {
            0.5 * (2.0 * PI * 1_000.0 * index as f64 / 8_000.0).sin() as f32
        });
        let sum: f32 = powers(&tone).iter().sum();
        assert!((sum - 0.125).abs() < 1e-4, "{sum}");
        let mut seed = 5;
        let mean: f32 = (0..400)
            .map(|_| {
                let window = std::array::from_fn(|_| noise(&mut seed));
                powers(&window).iter().sum::<f32>()
            })
            .sum::<f32>()
            / 400.0;
        assert!((mean - 1.0 / 3.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn a_constant_offset_reaches_no_bin_above_the_first() {
        let powers = powers(&[0.3; WINDOW]);
        assert!(powers[2..].iter().all(|power| *power < 1e-12));
    }
}
