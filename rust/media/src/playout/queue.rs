//! The sound that waits, in whole samples.
use crate::convert::{AudioFormat, Converter};
use std::collections::VecDeque;

/// Room that there is from the start, in milliseconds of sound: what waits of an agent that sends as it speaks.
const FIRST_MS: u32 = 128;
/// Room that is kept when little waits after much.
const KEPT_MS: u32 = 512;

/// Samples in order, in the format in which the line's codec wants them.
#[derive(Debug)]
pub(super) struct Queue {
    format: AudioFormat,
    bytes: VecDeque<u8>,
}

impl Queue {
    pub(super) fn new(format: AudioFormat) -> Self {
        Queue {
            format,
            bytes: VecDeque::with_capacity(format.bytes_in_ms(FIRST_MS)),
        }
    }

    pub(super) fn format(&self) -> AudioFormat {
        self.format
    }

    /// What waits becomes sound of `format`. It allocates, as nothing else here does but a long utterance.
    pub(super) fn recode(&mut self, format: AudioFormat) {
        if format == self.format {
            return;
        }
        let mut recoded = Vec::new();
        Converter::new(self.format, format).convert(self.bytes.make_contiguous(), &mut recoded);
        self.format = format;
        self.bytes.clear();
        self.bytes.reserve(format.bytes_in_ms(FIRST_MS));
        self.bytes.extend(recoded);
    }

    /// Bytes that so many samples take.
    pub(super) fn bytes_of(&self, samples: usize) -> usize {
        samples * self.format.encoding.sample_bytes()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.format.encoding.sample_bytes()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Moves so many samples, or what is there, to the front of `out`; how many there were.
    pub(super) fn take(&mut self, samples: usize, out: &mut [u8]) -> usize {
        self.peek(samples, out);
        self.skip(samples)
    }

    /// Drops so many samples, or what is there; how many there were.
    pub(super) fn skip(&mut self, samples: usize) -> usize {
        let samples = samples.min(self.len());
        self.bytes.drain(..self.bytes_of(samples));
        let kept = self.format.bytes_in_ms(KEPT_MS);
        if self.bytes.is_empty() && self.bytes.capacity() > 2 * kept {
            self.bytes.shrink_to(kept);
        }
        samples
    }

    /// The next so many samples, or those that are there, at the front of `out`; they go on waiting. How many bytes they are.
    pub(super) fn peek(&self, samples: usize, out: &mut [u8]) -> usize {
        let len = self.bytes_of(samples).min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let split = front.len().min(len);
        out[..split].copy_from_slice(&front[..split]);
        out[split..len].copy_from_slice(&back[..len - split]);
        len
    }

    /// Whether the next so many samples are as quiet as a pause.
    pub(super) fn is_quiet(&self, samples: usize) -> bool {
        let len = self.bytes_of(samples).min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let split = front.len().min(len);
        let encoding = self.format.encoding;
        encoding.is_quiet(&front[..split]) && encoding.is_quiet(&back[..len - split])
    }
}
