//! Bands of the telephone's speech, and the level of sound in dBov.
use super::spectrum::WINDOW;

/// Bands of the spectrum.
pub const BANDS: usize = 12;
/// A number for each band.
pub type Bands = [f32; BANDS];
/// Where each band begins and the one before it ends, in bins of 31.25 Hz: 125 Hz to 3.8 kHz. Below is hum.
pub const EDGES: [usize; BANDS + 1] = [4, 7, 10, 13, 17, 22, 28, 36, 46, 58, 74, 94, 122];

/// Mean power of the bins of each band.
pub fn of(powers: &[f32; WINDOW / 2]) -> Bands {
    std::array::from_fn(|band| {
        let bins = &powers[EDGES[band]..EDGES[band + 1]];
        bins.iter().sum::<f32>() / bins.len() as f32
    })
}

/// Power of all bands together, where full scale is 1.
pub fn total(bands: &Bands) -> f32 {
    let widths = EDGES.windows(2).map(|edge| (edge[1] - edge[0]) as f32);
    bands
        .iter()
        .zip(widths)
        .map(|(power, width)| power * width)
        .sum()
}
