//! The agent's voice made lower, and loud again, without a click.
use crate::convert::AudioFormat;
use std::time::Duration;

/// What is left of it: -15 dB. Low enough to be talked over, loud enough not to seem gone.
pub const DUCKED: f32 = 0.177_828;
/// How long it takes to become lower: within the next frame.
pub const DOWN: Duration = Duration::from_millis(5);
/// How long it takes to come back.
pub const UP: Duration = Duration::from_millis(150);
/// Samples of the longest frame.
const MAX_SAMPLES: usize = super::MAX_FRAME / 2;

/// The gain of what leaves.
#[derive(Debug)]
pub(super) struct Duck {
    gain: f32,
    target: f32,
    /// How far the gain moves in a second.
    speed: f32,
}

impl Duck {
    pub(super) const NONE: Duck = Duck {
        gain: 1.0,
        target: 1.0,
        speed: 0.0,
    };

    pub(super) fn lower(&mut self) {
        self.target = DUCKED;
        self.speed = (1.0 - DUCKED) / DOWN.as_secs_f32();
    }

    pub(super) fn raise(&mut self) {
        self.target = 1.0;
        self.speed = (1.0 - DUCKED) / UP.as_secs_f32();
    }

    pub(super) fn is_lowered(&self) -> bool {
        self.target < 1.0
    }

    /// Sound that leaves; the gain moves on.
    pub(super) fn apply(&mut self, format: AudioFormat, sound: &mut [u8]) {
        if self.gain == 1.0 && self.target == 1.0 {
            return;
        }
        let step = self.speed / format.rate as f32;
        let (mut gain, target) = (self.gain, self.target);
        scale(format, sound, || {
            gain = if gain > target {
                (gain - step).max(target)
            } else {
                (gain + step).min(target)
            };
            gain
        });
        self.gain = gain;
    }

    /// Sound that would leave next; the gain stays.
    pub(super) fn apply_to_next(&self, format: AudioFormat, sound: &mut [u8]) {
        if self.gain < 1.0 {
            scale(format, sound, || self.gain);
        }
    }
}

fn scale(format: AudioFormat, sound: &mut [u8], mut gain: impl FnMut() -> f32) {
    let mut samples = [0; MAX_SAMPLES];
    let samples = &mut samples[..sound.len() / format.encoding.sample_bytes()];
    format.encoding.read(sound, samples);
    for sample in samples.iter_mut() {
        *sample = (f32::from(*sample) * gain()).round() as i16;
    }
    format.encoding.write_to(samples, sound);
}
