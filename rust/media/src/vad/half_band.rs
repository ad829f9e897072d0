//! From 16 kHz to 8 kHz: a low-pass of which half the taps are zero, and every second sample left out.
use super::MOST;

/// Taps beside the middle one, which is a half, from the middle outwards. Above 5.2 kHz the loss is 40 dB or more.
const TAPS: [f32; 4] = [0.3054, -0.0808, 0.0317, -0.0088];
/// Samples of before that the first of a stretch needs.
const BEFORE: usize = 14;

#[derive(Debug, Default)]
pub(super) struct HalfBand {
    before: [f32; BEFORE],
}

impl HalfBand {
    /// Halves `pcm` into `out`, which is half as long and no longer than a step; full scale becomes 1.
    pub fn halve(&mut self, pcm: &[i16], out: &mut [f32]) {
        let mut signal = [0.0; BEFORE + 2 * MOST];
        let end = BEFORE + 2 * out.len();
        signal[..BEFORE].copy_from_slice(&self.before);
        for (into, &sample) in signal[BEFORE..end].iter_mut().zip(pcm) {
            *into = f32::from(sample) / 32_768.0;
        }
        let reach = 2 * TAPS.len() - 1;
        for (out, around) in out.iter_mut().zip(signal.windows(2 * reach + 1).step_by(2)) {
            let mut sum = 0.5 * around[reach];
            for (index, tap) in TAPS.iter().enumerate() {
                let apart = 2 * index + 1;
                sum += tap * (around[reach - apart] + around[reach + apart]);
            }
            *out = sum;
        }
        self.before.copy_from_slice(&signal[end - BEFORE..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loss in decibels of a tone of so many hertz.
    fn loss(hertz: f64) -> f64 {
        let tone: Vec<i16> = (0..3_200)
            .map(|index| {
                let angle = std::f64::consts::TAU * hertz * f64::from(index) / 16_000.0;
                (16_384.0 * angle.sin()) as i16
            })
            .collect();
        let mut band = HalfBand::default();
        let mut halved = [0.0; 1_600];
        for (pcm, out) in tone.chunks(320).zip(halved.chunks_mut(160)) {
            band.halve(pcm, out);
        }
        let power: f64 = halved[160..].iter().map(|x| f64::from(x * x)).sum::<f64>() / 1_440.0;
        -10.0 * (power / 0.125).log10()
    }

    #[test]
    fn speech_passes_and_what_would_fold_into_it_does_not() {
        for hertz in [300.0, 1_000.0, 2_500.0] {
            assert!(loss(hertz).abs() < 0.3, "{hertz}: {}", loss(hertz));
        }
        for hertz in [5_600.0, 6_500.0, 7_500.0] {
            assert!(loss(hertz) > 30.0, "{hertz}: {}", loss(hertz));
        }
    }
}
