//! The noise of the line, band by band: it falls at once, rises slowly, and follows a step within about a second.
use super::bands::{BANDS, Bands};
use super::spectrum::WINDOW;

/// Time that the lowest level is looked for in, in stretches of [`STRETCH`] samples.
const STRETCHES: usize = 6;
/// 200 ms at 8 kHz.
const STRETCH: u32 = 1_600;
/// A bin of silence: all bins together are -79 dBov, about what the quantisation of G.711 leaves.
const LOWEST: f32 = 1e-10;
/// What the first sound of a call can raise the floor to, all bins together: -40 dBov. It may be somebody who speaks already.
const FIRST: f32 = 1e-4;
/// The smoothed power of a band of noise stands so far above the lowest of 1.2 s. The narrower the band, the farther.
const ABOVE_LOWEST: [f32; BANDS] = [3.0, 3.0, 3.0, 2.8, 2.6, 2.4, 2.2, 2.0, 1.9, 1.8, 1.7, 1.6];

/// The noise floor, as power for each bin of a band.
#[derive(Debug)]
pub(super) struct Floor {
    noise: Bands,
    smooth: Bands,
    /// The lowest smoothed power of each stretch; the first is the one that runs.
    lowest: [Bands; STRETCHES],
    /// Samples in the stretch that runs, and stretches that have been heard whole.
    samples: u32,
    stretches: usize,
    /// Samples heard, up to a window.
    begun: u32,
}

impl Default for Floor {
    fn default() -> Self {
        Self {
            noise: [LOWEST; BANDS],
            smooth: [LOWEST; BANDS],
            lowest: [[f32::MAX; BANDS]; STRETCHES],
            samples: 0,
            stretches: 0,
            begun: 0,
        }
    }
}

impl Floor {
    /// Whether anything was heard.
    pub fn has_begun(&self) -> bool {
        self.begun > 0
    }

    /// The noise in each band.
    pub fn bands(&self) -> &Bands {
        &self.noise
    }

    /// The first window of a call, which fills up with `samples` more samples, is taken for noise as far as it may be.
    pub fn begin(&mut self, powers: &Bands, total: f32, samples: u32) {
        if self.begun < WINDOW as u32 {
            self.begun += samples;
            let share = if total > FIRST { FIRST / total } else { 1.0 };
            self.smooth = *powers;
            for (noise, power) in self.noise.iter_mut().zip(powers) {
                *noise = noise.max(power * share);
            }
        }
    }

    /// Takes the power of `samples` more samples; `active` if they are no noise.
    pub fn update(&mut self, powers: &Bands, samples: u32, active: bool) {
        let step = samples as f32 / 160.0;
        let full = self.stretches >= STRETCHES - 1;
        for band in 0..BANDS {
            let power = powers[band];
            self.smooth[band] += (power - self.smooth[band]) * (0.3 * step).min(1.0);
            let smooth = self.smooth[band];
            self.lowest[0][band] = self.lowest[0][band].min(smooth);
            let noise = &mut self.noise[band];
            if !active {
                *noise += (power.min(4.0 * *noise) - *noise) * (0.1 * step).min(1.0);
            }
            if smooth < *noise / 3.0 {
                *noise = smooth;
            }
            if full {
                let lowest = self.lowest.iter().map(|stretch| stretch[band]);
                let lowest = lowest.fold(f32::MAX, f32::min) * ABOVE_LOWEST[band];
                *noise = noise.max(lowest.min(smooth * 2.0));
            }
            *noise = noise.max(LOWEST);
        }
        self.samples += samples;
        if self.samples >= STRETCH {
            self.samples = 0;
            self.stretches += 1;
            self.lowest.rotate_right(1);
            self.lowest[0] = [f32::MAX; BANDS];
        }
    }

    /// What was taken for sound has proven to be noise: the floor is there at once.
    pub fn lift(&mut self) {
        self.noise = self.smooth.map(|power| power.max(LOWEST));
    }
}
