//! What somebody hears whom we hold: music, or silence.
use crate::convert::AudioFormat;
use crate::melody::Melody;
use crate::playout::{LINE_RATE, MAX_FRAME};
use std::sync::Arc;

/// The music of one leg. It comes and goes within a frame, so that neither is heard as a click.
#[derive(Debug, Default)]
pub(super) struct Music {
    melody: Option<Arc<Melody>>,
    /// The next sample, counted at 8 kHz.
    at: usize,
    /// Whether the frame before was music.
    sounds: bool,
}

impl Music {
    pub(super) fn set(&mut self, melody: Option<Arc<Melody>>) {
        self.melody = melody;
    }

    /// The frame was something else: music that comes begins anew.
    pub(super) fn stop(&mut self) {
        self.sounds = false;
        self.at = 0;
    }

    /// Adds music to a frame of silence, which may begin with the end of a word, if there is to be any: all the while that it is
    /// `wanted`, and in the frame after that, as it fades. Whether it did.
    pub(super) fn play(&mut self, wanted: bool, format: AudioFormat, frame: &mut [u8]) -> bool {
        let Some(melody) = self.melody.as_ref().filter(|_| wanted || self.sounds) else {
            return false;
        };
        if !self.sounds {
            self.at = 0;
        }
        let mut samples = [0; MAX_FRAME / 2];
        let samples = &mut samples[..frame.len() / format.encoding.sample_bytes()];
        melody.read(self.at, format.rate, samples);
        let count = samples.len() as i32;
        if wanted != self.sounds {
            for (n, sample) in samples.iter_mut().enumerate() {
                let n = n as i32;
                let part = if wanted { n } else { count - n };
                *sample = (i32::from(*sample) * part / count) as i16;
            }
        }
        let mut before = [0; MAX_FRAME / 2];
        let before = &mut before[..samples.len()];
        format.encoding.read(frame, before);
        for (sample, before) in samples.iter_mut().zip(before) {
            *sample = sample.saturating_add(*before);
        }
        self.at = (self.at + samples.len() / (format.rate / LINE_RATE) as usize) % melody.len();
        self.sounds = wanted;
        format.encoding.write_to(samples, frame);
        true
    }
}
