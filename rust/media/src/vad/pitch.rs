//! Whether sound is like itself a little later: the mark of a voice.

/// Samples at 8 kHz that are looked at, the last that came: 40 ms.
pub const HISTORY: usize = 320;
/// The same at 4 kHz.
const HALVED: usize = HISTORY / 2;
/// Periods of a voice at 4 kHz: 400 Hz to 70 Hz.
const SHORTEST: usize = 10;
const LAGS: usize = 48;
/// Samples that are compared: 25 ms.
const COMPARED: usize = 100;

/// The highest correlation, 0 to 1, of the last 25 ms with what came one period of a voice before.
pub fn periodicity(samples: &[f32; HISTORY]) -> f32 {
    // Up to 1.5 kHz, and little of what rumbles.
    let mut low = [0.0; HALVED];
    for (low, around) in low[1..].iter_mut().zip(samples.windows(3).step_by(2)) {
        *low = around[0] + 2.0 * around[1] + around[2];
    }
    let mut signal = [0.0; HALVED];
    for (out, pair) in signal[1..].iter_mut().zip(low.windows(2)) {
        *out = pair[1] - 0.9 * pair[0];
    }
    let begin = HALVED - COMPARED;
    let mut products = [0.0; LAGS];
    for now in begin..HALVED {
        let sample = signal[now];
        let earlier = &signal[now + 1 - SHORTEST - LAGS..now + 1 - SHORTEST];
        for (product, earlier) in products.iter_mut().zip(earlier) {
            *product += sample * earlier;
        }
    }
    let energy = |end: usize| {
        signal[end - COMPARED..end]
            .iter()
            .map(|x| x * x)
            .sum::<f32>()
    };
    let own = energy(HALVED);
    // The last product is of the shortest period.
    let end = HALVED - SHORTEST;
    let mut earlier = energy(end);
    let mut best: f32 = 0.0;
    for (shift, product) in products.iter().rev().enumerate() {
        if shift > 0 {
            let (entering, leaving) = (end - COMPARED - shift, end - shift);
            earlier += signal[entering] * signal[entering] - signal[leaving] * signal[leaving];
        }
        best = best.max(2.0 * product / (own + earlier.max(0.0) + f32::MIN_POSITIVE));
    }
    best.min(1.0)
}
