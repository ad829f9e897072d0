//! The recorder's end on the writer's thread: from the ring to the file.
use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use super::flac::Flac;
use super::ring::{Receiver, ring};
use super::seal::{SealKey, Sealer};
use super::tap::Tap;
use super::track::{Side, Track};
use super::wav::Wav;
use crate::clock::samples_in;

/// Bytes of the ring for each 8000 samples a second: some seconds of both sides, for as long may the disk stand still.
const RING_BYTES: usize = 128 * 1024;
/// A side of which nothing has come for so long is silent there.
const SETTLED: Duration = Duration::from_secs(1);
/// What is ready is written after so much sound at the latest.
const FLUSH: Duration = Duration::from_millis(500);
/// Or as soon as it is so many bytes.
const FLUSH_BYTES: usize = 64 * 1024;

/// How sound is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Linear samples.
    Wav,
    /// Compressed without loss.
    Flac,
}

/// What a recording is made with.
#[derive(Clone, Debug)]
pub struct RecordingConfig {
    /// How sound is written.
    pub format: Format,
    /// Samples a second: 8000 or 16000.
    pub rate: u32,
    /// Encryption, if it is wanted.
    pub seal: Option<SealKey>,
}

/// Where a recording goes.
pub trait Target {
    /// Writes behind what is there.
    ///
    /// # Errors
    /// As the system says; some of it may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Takes away what is beyond `len` bytes.
    ///
    /// # Errors
    /// As the system says.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

impl Target for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// What a recording came to.
#[derive(Debug)]
pub struct Outcome {
    /// Samples of each side in the file.
    pub samples: u64,
    /// How long that is.
    pub lasted: Duration,
    /// Frames that had no room on their way and are silence.
    pub dropped_frames: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Why it ended before its call did, or was never begun.
    pub error: Option<io::Error>,
}

#[derive(Debug)]
enum Encoder {
    Wav(Wav),
    Flac(Box<Flac>),
}

/// One recording that is being written.
#[derive(Debug)]
pub struct Recording<T> {
    target: Option<T>,
    receiver: Receiver,
    rate: u32,
    left: Track,
    right: Track,
    encoder: Encoder,
    sealer: Option<Sealer>,
    samples: Vec<i16>,
    /// Made, but not encrypted yet.
    clear: Vec<u8>,
    /// Fit to be written.
    ready: Vec<u8>,
    encoded: u64,
    flushed: u64,
    bytes: u64,
    error: Option<io::Error>,
}

impl<T: Target> Recording<T> {
    /// A recording and the tap that feeds it. Nothing is written before [`Recording::open`].
    pub fn new(config: &RecordingConfig) -> (Tap, Self) {
        let (sender, receiver) = ring(RING_BYTES * (config.rate as usize / 8_000));
        let rate = config.rate;
        let recording = Recording {
            target: None,
            receiver,
            rate,
            left: Track::new(Side::Caller, rate),
            right: Track::new(Side::Agent, rate),
            encoder: match config.format {
                Format::Wav => Encoder::Wav(Wav::new(rate)),
                Format::Flac => Encoder::Flac(Box::new(Flac::new(rate))),
            },
            sealer: config.seal.as_ref().map(Sealer::new),
            samples: Vec::new(),
            clear: Vec::new(),
            ready: Vec::new(),
            encoded: 0,
            flushed: 0,
            bytes: 0,
            error: None,
        };
        (Tap::new(sender), recording)
    }

    /// Begins the file, or gives up if there is none.
    pub fn open(&mut self, target: io::Result<T>) {
        match target {
            Ok(target) => self.target = Some(target),
            Err(error) => self.error = Some(error),
        }
        if let Some(sealer) = &self.sealer {
            sealer.header(&mut self.ready);
        }
        match &self.encoder {
            Encoder::Wav(wav) => wav.header(&mut self.clear),
            Encoder::Flac(flac) => flac.header(&mut self.clear),
        }
        self.seal();
        self.flush();
    }

    /// Writes what has come. What it came to, once it is over.
    pub fn turn(&mut self) -> Option<Outcome> {
        // Asked first: what was put in before the end is in the ring now.
        let closed = self.receiver.closed();
        let mut clock = None;
        while let Some(head) = self.receiver.next(&mut self.samples) {
            let at = head.at - self.receiver.origin();
            let track = match head.side {
                Side::Caller => &mut self.left,
                Side::Agent => &mut self.right,
            };
            track.place(at, &head, &self.samples);
            self.samples.clear();
            clock = Some(at);
            self.settle(at);
        }
        if let Some(clock) = clock
            && (self.ready.len() + self.clear.len() >= FLUSH_BYTES
                || samples_in(clock, self.rate) >= self.flushed + samples_in(FLUSH, self.rate))
        {
            self.flushed = samples_in(clock, self.rate);
            self.flush();
        }
        match closed {
            _ if self.error.is_some() => {}
            Some(end) => self.finish(end - self.receiver.origin()),
            None => return None,
        }
        self.target = None;
        Some(Outcome {
            samples: self.encoded,
            lasted: crate::clock::duration_of(self.encoded, self.rate),
            dropped_frames: self.receiver.dropped(),
            bytes: self.bytes,
            error: self.error.take(),
        })
    }

    /// Encodes what both sides have, or will not have any more.
    fn settle(&mut self, clock: Duration) {
        let settled = samples_in(clock.saturating_sub(SETTLED), self.rate);
        self.left.pad(settled);
        self.right.pad(settled);
        self.encode();
    }

    fn encode(&mut self) {
        let count = self.left.waiting().len().min(self.right.waiting().len());
        if count == 0 {
            return;
        }
        let (left, right) = (
            &self.left.waiting()[..count],
            &self.right.waiting()[..count],
        );
        match &mut self.encoder {
            Encoder::Wav(wav) => wav.write(left, right, &mut self.clear),
            Encoder::Flac(flac) => flac.write(left, right, &mut self.clear),
        }
        self.left.take(count);
        self.right.take(count);
        self.encoded += count as u64;
        if self.clear.len() >= FLUSH_BYTES {
            self.flush();
        }
    }

    fn finish(&mut self, end: Duration) {
        let end = samples_in(end, self.rate)
            .max(self.left.end())
            .max(self.right.end());
        self.left.pad(end);
        self.right.pad(end);
        self.encode();
        if let Encoder::Flac(flac) = &mut self.encoder {
            flac.finish(&mut self.clear);
        }
        self.seal();
        if let Some(sealer) = &mut self.sealer {
            sealer.finish(&mut self.ready);
        }
        self.flush();
    }

    fn seal(&mut self) {
        match &mut self.sealer {
            Some(sealer) => {
                sealer.write(&self.clear, &mut self.ready);
                self.clear.clear();
            }
            None => self.ready.append(&mut self.clear),
        }
    }

    /// Appends what is ready. Where that fails the file keeps what it had before, and the recording is over.
    fn flush(&mut self) {
        self.seal();
        let Some(target) = &mut self.target else {
            self.ready.clear();
            return;
        };
        if self.ready.is_empty() {
            return;
        }
        match target.append(&self.ready) {
            Ok(()) => self.bytes += self.ready.len() as u64,
            Err(error) => {
                // Where this fails too, whoever completes the file finds what is whole.
                let _ = target.cut(self.bytes);
                self.error = Some(error);
                self.target = None;
            }
        }
        self.ready.clear();
    }
}
