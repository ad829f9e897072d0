//! Where sound is cut it fades, so that no click is sent.
use crate::convert::AudioFormat;
use std::time::Duration;

/// How long a fade takes: too short to be heard as sound, long enough not to be heard as a click.
pub const FADE: Duration = Duration::from_millis(4);
/// Samples of it at 16 kHz, the most.
pub(super) const MAX_SAMPLES: usize = 64;
/// Sound that is quieter than this where it is cut makes no click: about -48 dB of full scale.
const QUIET: u16 = 128;

/// The sound that goes on for a moment after the last frame of it.
#[derive(Debug)]
pub(super) struct Fade {
    samples: [i16; MAX_SAMPLES],
    len: usize,
}

impl Fade {
    pub(super) const NONE: Fade = Fade {
        samples: [0; MAX_SAMPLES],
        len: 0,
    };

    /// Samples of a fade in `format`.
    pub(super) fn samples(format: AudioFormat) -> usize {
        (FADE.as_millis() as usize * format.rate as usize / 1_000).min(MAX_SAMPLES)
    }

    /// Of what really comes next, as far as it is there; `false` if there is too little of it.
    pub(super) fn with_next(&mut self, format: AudioFormat, next: &[u8]) -> bool {
        let count = Self::samples(format);
        if next.len() < count * format.encoding.sample_bytes() {
            return false;
        }
        format.encoding.read(next, &mut self.samples[..count]);
        self.begin(count);
        true
    }

    /// Of what came last, played backwards: it joins where the sound breaks off, and is of the same kind.
    pub(super) fn with_last(&mut self, format: AudioFormat, last: &[u8]) {
        let bytes = format.encoding.sample_bytes();
        let count = Self::samples(format).min(last.len() / bytes);
        let from = last.len() - count * bytes;
        format
            .encoding
            .read(&last[from..], &mut self.samples[..count]);
        self.samples[..count].reverse();
        self.begin(count);
    }

    fn begin(&mut self, count: usize) {
        let samples = &mut self.samples[..count];
        let loud = samples
            .iter()
            .take(count / 4)
            .any(|sample| sample.unsigned_abs() >= QUIET);
        self.len = if loud { count } else { 0 };
        for (n, sample) in self.samples[..self.len].iter_mut().enumerate() {
            *sample = scaled(*sample, count - n, count);
        }
    }

    /// Writes it over the beginning of silence, and is over.
    pub(super) fn write(&mut self, format: AudioFormat, silence: &mut [u8]) {
        format.encoding.write_to(&self.samples[..self.len], silence);
        self.len = 0;
    }
}

/// A sample with `n` of `count` to go to silence, along a curve without corners: 3t² - 2t³.
pub(crate) fn scaled(sample: i16, n: usize, count: usize) -> i16 {
    let (n, count) = (n as i64, count as i64);
    let gain = n * n * (3 * count - 2 * n);
    (i64::from(sample) * gain / (count * count * count)) as i16
}
