//! The tones of a key that we press.
use super::tones_of;
use crate::telephone_event::Digit;
use std::f32::consts::TAU;

/// Amplitude of a tone of 0 dBm0, which G.711 puts 3.14 dB below its loudest.
const ZERO_DBM0: f32 = 22_830.0;
/// The row's tone is at -10 dBm0 and the column's at -8: lines carry high tones less well.
const ROW: f32 = ZERO_DBM0 * 0.316_23;
const COLUMN: f32 = ZERO_DBM0 * 0.398_11;
/// Tones come and go within so many milliseconds, so that they don't click.
const RAMP_MS: u32 = 2;

/// Makes the tones of one key after the other, frame by frame.
#[derive(Debug, Default)]
pub struct ToneMaker {
    /// Cycles of the row's tone and the column's so far, of which only the part behind the point counts.
    phases: (f32, f32),
}

impl ToneMaker {
    /// Fills `out`, at `rate` samples a second, with a digit's tones: a frame that `begins` the press, `ends` it, both or neither.
    ///
    /// A flash has no tone: silence.
    pub fn make(&mut self, digit: Digit, rate: u32, begins: bool, ends: bool, out: &mut [i16]) {
        if begins {
            self.phases = (0.0, 0.0);
        }
        let Some((row, column)) = tones_of(digit) else {
            return out.fill(0);
        };
        let (row, column) = (
            f32::from(row) / rate as f32,
            f32::from(column) / rate as f32,
        );
        let ramp = (rate * RAMP_MS / 1_000) as usize;
        let samples = out.len();
        for (index, sample) in out.iter_mut().enumerate() {
            let from = if begins { index } else { ramp };
            let left = if ends { samples - 1 - index } else { ramp };
            let gain = from.min(left).min(ramp) as f32 / ramp as f32;
            let sound = ROW * (TAU * self.phases.0).sin() + COLUMN * (TAU * self.phases.1).sin();
            *sample = (gain * sound) as i16;
            self.phases.0 = (self.phases.0 + row).fract();
            self.phases.1 = (self.phases.1 + column).fract();
        }
    }
}
