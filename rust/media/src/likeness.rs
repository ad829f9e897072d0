//! How like two pieces of sound are, and at which distance a sound is most like itself: what concealment and time-scaling cut by.
use std::ops::RangeInclusive;

/// A distance in samples and how like the sound is to itself there.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Repeat {
    /// Samples from the sound to its like.
    pub lag: usize,
    /// From 1 (the same but for its loudness) over 0 (nothing in common) to -1 (its opposite).
    pub likeness: f32,
}

/// The sum of products of two pieces of the same length.
pub fn product(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums, so that the compiler may keep them in vector registers: additions of floats must not change places by themselves.
    let mut sums = [0f32; 8];
    let (a_eights, b_eights) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_eights
        .remainder()
        .iter()
        .zip(b_eights.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a_eights.zip(b_eights) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    rest + sums.iter().sum::<f32>()
}

/// The energy of a piece: the sum of its squares.
pub fn energy(piece: &[f32]) -> f32 {
    product(piece, piece)
}

/// Where `at(lag)` is most like `reference`; every `step`th lag is looked at, and all of them around the best.
///
/// The cost is bounded by `lags.len() / step + 2 * step` products of the reference's length.
pub fn best_repeat<'a>(
    reference: &[f32],
    lags: RangeInclusive<usize>,
    step: usize,
    at: impl Fn(usize) -> &'a [f32],
) -> Repeat {
    let own = energy(reference);
    let like = |lag: usize| {
        let piece = at(lag);
        let scale = (own * energy(piece)).sqrt();
        let likeness = if scale > 0.0 {
            product(reference, piece) / scale
        } else {
            0.0
        };
        Repeat { lag, likeness }
    };
    let better = |best: Repeat, next: Repeat| {
        if next.likeness > best.likeness {
            next
        } else {
            best
        }
    };
    let (first, last) = (*lags.start(), *lags.end());
    let coarse = lags.step_by(step).map(like).fold(like(first), better);
    let around = coarse.lag.saturating_sub(step - 1).max(first)..=(coarse.lag + step - 1).min(last);
    around.map(like).fold(coarse, better)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(period: f32) -> Vec<f32> {
        (0..600)
            .map(|n| (n as f32 * std::f32::consts::TAU / period).sin() * 1_000.0)
            .collect()
    }

    #[test]
    fn a_wave_is_like_itself_a_period_away() {
        for (period, expected) in [(50.0, 50), (73.0, 73), (200.0, 200)] {
            let wave = wave(period);
            let found = best_repeat(&wave[..160], 40..=220, 2, |lag| &wave[lag..lag + 160]);
            assert_eq!(found.lag % expected, 0, "{period}: {found:?}");
            assert!(found.likeness > 0.999);
        }
    }

    #[test]
    fn silence_is_like_nothing() {
        let found = best_repeat(&[0.0; 40], 10..=20, 1, |_| &[0.0; 40]);
        assert_eq!(found.likeness, 0.0);
    }

    #[test]
    fn products_of_any_length_are_whole() {
        let piece: Vec<f32> = (1..=13u8).map(f32::from).collect();
        assert_eq!(energy(&piece), 819.0);
    }
}
