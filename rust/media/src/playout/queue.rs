//! The sound that waits, in whole samples.
use crate::convert::{AudioFormat, Converter};
use std::collections::VecDeque;
use std::mem::take;

/// Room that there is from the start, in milliseconds of sound: what waits of an agent that sends as it speaks.
const FIRST_MS: u32 = 128;
/// Room that is kept when little waits after much.
const KEPT_MS: u32 = 512;
/// What waits is rewritten in another format by so much at a time, in milliseconds of sound.
const PIECE_MS: u32 = 40;
/// Changes of format within what waits; at more than these all of it is rewritten at once.
const MAX_PARTS: usize = 8;

/// Samples in order, in the format in which the line's codec wants them.
///
/// A change of format costs nothing by itself: two minutes of sound would keep a media thread for 80 ms. What waits is rewritten as it comes
/// to the front.
#[derive(Debug)]
pub(super) struct Queue {
    format: AudioFormat,
    /// What is at the front, as it is wanted.
    ready: VecDeque<u8>,
    /// What is behind it, in the formats in which it came.
    rest: VecDeque<Part>,
    /// For the first of those.
    converter: Option<Converter>,
    converted: Vec<u8>,
}

/// Sound of one format.
#[derive(Debug)]
struct Part {
    format: AudioFormat,
    bytes: VecDeque<u8>,
}

impl Part {
    /// How many samples at `rate` it is.
    fn samples_at(&self, rate: u32) -> usize {
        let samples = self.bytes.len() / self.format.encoding.sample_bytes();
        samples * rate as usize / self.format.rate as usize
    }
}

impl Queue {
    pub(super) fn new(format: AudioFormat) -> Self {
        Queue {
            format,
            ready: VecDeque::with_capacity(format.bytes_in_ms(FIRST_MS)),
            rest: VecDeque::new(),
            converter: None,
            converted: Vec::new(),
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
        let part = Part {
            format: self.format,
            bytes: take(&mut self.ready),
        };
        if !part.bytes.is_empty() {
            self.rest.push_front(part);
        }
        // Half a sample is none, now and when the rate is the old one again.
        for part in &mut self.rest {
            let whole = part.samples_at(format.rate) * part.format.rate as usize;
            let bytes = part.format.encoding.sample_bytes();
            part.bytes.truncate(whole / format.rate as usize * bytes);
        }
        self.format = format;
        self.converter = None;
        self.ready.reserve(format.bytes_in_ms(FIRST_MS));
        self.converted.reserve(format.bytes_in_ms(2 * PIECE_MS));
        if self.rest.len() > MAX_PARTS {
            self.fetch(usize::MAX);
        }
    }

    /// Sees to it that so many samples are at the front as they are wanted, if there are so many.
    fn fetch(&mut self, samples: usize) {
        let wanted = samples.saturating_mul(self.format.encoding.sample_bytes());
        while self.ready.len() < wanted
            && let Some(part) = self.rest.front_mut()
        {
            let piece = part.format.bytes_in_ms(PIECE_MS).min(part.bytes.len());
            let (from, to) = (part.format, self.format);
            if from == to {
                self.ready.extend(part.bytes.drain(..piece));
            } else {
                let converter = self
                    .converter
                    .get_or_insert_with(|| Converter::new(from, to));
                self.converted.clear();
                converter.convert(&part.bytes.make_contiguous()[..piece], &mut self.converted);
                part.bytes.drain(..piece);
                self.ready.extend(&self.converted);
            }
            if part.bytes.is_empty() {
                self.rest.pop_front();
                self.converter = None;
            }
        }
    }

    /// Bytes that so many samples take.
    pub(super) fn bytes_of(&self, samples: usize) -> usize {
        samples * self.format.encoding.sample_bytes()
    }

    pub(super) fn len(&self) -> usize {
        let ready = self.ready.len() / self.format.encoding.sample_bytes();
        let rest = self.rest.iter();
        ready
            + rest
                .map(|part| part.samples_at(self.format.rate))
                .sum::<usize>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        match self.rest.back_mut() {
            None => self.ready.extend(bytes),
            Some(part) if part.format == self.format => part.bytes.extend(bytes),
            Some(_) => self.rest.push_back(Part {
                format: self.format,
                bytes: bytes.iter().copied().collect(),
            }),
        }
    }

    /// Moves so many samples, or what is there, to the front of `out`; how many there were.
    pub(super) fn take(&mut self, samples: usize, out: &mut [u8]) -> usize {
        self.peek(samples, out);
        self.skip(samples)
    }

    /// Drops so many samples, or what is there; how many there were.
    pub(super) fn skip(&mut self, samples: usize) -> usize {
        let all = self.len();
        if samples >= all {
            self.ready.clear();
            self.rest.clear();
            self.converter = None;
        } else {
            self.fetch(samples);
            self.ready.drain(..self.bytes_of(samples));
        }
        let kept = self.format.bytes_in_ms(KEPT_MS);
        if self.ready.is_empty() && self.ready.capacity() > 2 * kept {
            self.ready.shrink_to(kept);
        }
        samples.min(all)
    }

    /// The next so many samples, or those that are there, at the front of `out`; they go on waiting. How many bytes they are.
    pub(super) fn peek(&mut self, samples: usize, out: &mut [u8]) -> usize {
        self.fetch(samples);
        let len = self.bytes_of(samples).min(self.ready.len());
        let (front, back) = self.ready.as_slices();
        let split = front.len().min(len);
        out[..split].copy_from_slice(&front[..split]);
        out[split..len].copy_from_slice(&back[..len - split]);
        len
    }

    /// Whether the next so many samples are as quiet as a pause.
    pub(super) fn is_quiet(&mut self, samples: usize) -> bool {
        self.fetch(samples);
        let len = self.bytes_of(samples).min(self.ready.len());
        let (front, back) = self.ready.as_slices();
        let split = front.len().min(len);
        let encoding = self.format.encoding;
        encoding.is_quiet(&front[..split]) && encoding.is_quiet(&back[..len - split])
    }
}
