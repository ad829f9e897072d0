//! One side of a recording: frames with their places in, samples that stand for instants of the leg's clock out.
use super::ring::Head;
use crate::clock::samples_in;
use crate::codec::Encoding;
use crate::convert::{AudioFormat, Converter};
use std::time::Duration;

/// Whose sound it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The caller's, as it was heard; it lies before its arrival.
    Caller,
    /// The agent's, as it left; it lies behind its departure.
    Agent,
}

/// Ticks of a timeline, in Hz.
const TICKS: u32 = 8_000;
/// A timeline that is further from the clock than this is brought back to it in a pause.
const TOLERANCE: Duration = Duration::from_millis(10);
/// And anywhere if it is further than this: more than the caller's timeline may run ahead after a standstill of the network.
const TOO_FAR: Duration = Duration::from_millis(1_200);
/// How far a timeline is from the clock is the least of so long: single packets are late for many reasons.
const WINDOW: Duration = Duration::from_secs(2);
/// But at first of this, since the timeline of a caller begins before its first packet.
const FIRST_WINDOW: Duration = Duration::from_millis(200);
/// Samples by which a frame may miss the end of the one before: a resampler rounds.
const SEAM: u64 = 4;
/// A frame none of whose samples is beyond this (-48 dBFS) is a pause; on a noisy line one twice as loud as the quietest.
const QUIET: u16 = 128;

/// Samples of one side, in order, without holes.
#[derive(Debug)]
pub struct Track {
    side: Side,
    rate: u32,
    /// Samples that have not been taken yet; they end at `end`.
    samples: Vec<i16>,
    end: u64,
    /// What is added to a place in the timeline to make it one in the recording, in samples.
    shift: Option<i64>,
    /// The most by which frames were ahead of the clock since then, in samples.
    ahead: i64,
    /// The window ends here.
    until: u64,
    /// The peak of its quietest frame, and what a pause is by the window before.
    quietest: u16,
    quiet: u16,
    /// By how much the timeline is to be brought back.
    wanted: i64,
    converter: Option<Converter>,
    converted: Vec<u8>,
    scratch: Vec<i16>,
}

impl Track {
    /// A track of so many samples a second, 8000 or 16000.
    pub fn new(side: Side, rate: u32) -> Self {
        Track {
            side,
            rate,
            samples: Vec::new(),
            end: 0,
            shift: None,
            ahead: i64::MIN,
            until: samples_in(FIRST_WINDOW, rate),
            quietest: u16::MAX,
            quiet: QUIET,
            wanted: 0,
            converter: None,
            converted: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Where the next sample lies, in samples since the recording began.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The samples that wait.
    pub fn waiting(&self) -> &[i16] {
        &self.samples
    }

    /// The first `count` samples that wait have been written.
    pub fn take(&mut self, count: usize) {
        self.samples.drain(..count);
    }

    /// Silence up to `end`, if the track does not reach so far yet.
    pub fn pad(&mut self, end: u64) {
        if end > self.end {
            let missing = (end - self.end) as usize;
            self.samples.resize(self.samples.len() + missing, 0);
            self.end = end;
        }
    }

    /// Lays down a frame that came or left `at` after the recording began. Without sound it only tells the time.
    pub(super) fn place(&mut self, at: Duration, head: &Head, sound: &[i16]) {
        let converted = self.convert(head.rate, sound);
        let sound = &converted[..];
        let clock = samples_in(at, self.rate) as i64;
        let len = sound.len() as i64;
        let place = (head.position * u64::from(self.rate / TICKS)) as i64;
        // What was spoken into a packet had ended when that came.
        let should = match self.side {
            Side::Caller => clock - len,
            Side::Agent => clock,
        };
        if head.begins {
            self.shift = Some(should - place);
            self.take_back(should);
            self.begin_window(should.max(0) as u64);
        }
        let shift = *self.shift.get_or_insert(should - place);
        let (mut start, mut sound) = self.regulate(should, place + shift, sound);
        if start < 0 {
            let before = sound.len().min(start.unsigned_abs() as usize);
            sound = &sound[before..];
            start = 0;
        }
        let start = start as u64;
        if start > self.end + SEAM {
            self.pad(start);
        } else if start + SEAM < self.end {
            // Silence stands there already.
            let overlap = (self.end - start) as i64;
            self.shift = self.shift.map(|shift| shift + overlap);
            self.ahead = i64::MIN;
        }
        self.samples.extend_from_slice(sound);
        self.end += sound.len() as u64;
        self.scratch = converted;
    }

    /// Watches how far the timeline is from the clock, and brings it back where nobody hears that. Where the frame begins then, and what is left of it.
    fn regulate<'a>(&mut self, should: i64, start: i64, sound: &'a [i16]) -> (i64, &'a [i16]) {
        if sound.is_empty() {
            return (start, sound);
        }
        let now = should.max(0) as u64;
        let peaks = sound.iter().map(|sample| sample.unsigned_abs());
        let peak = peaks.max().unwrap_or(0);
        self.ahead = self.ahead.max(start - should);
        self.quietest = self.quietest.min(peak);
        if now > self.until {
            let beyond = self.ahead.unsigned_abs() > self.samples_in(TOLERANCE);
            self.wanted = if beyond { self.ahead } else { 0 };
            self.quiet = QUIET.max(self.quietest.saturating_mul(2));
            self.begin_window(now);
        }
        let too_far = self.wanted.unsigned_abs() > self.samples_in(TOO_FAR);
        if self.wanted == 0 || !(peak < self.quiet || too_far) {
            return (start, sound);
        }
        let back = self.wanted.min(sound.len() as i64);
        self.wanted -= back;
        if self.wanted == 0 {
            self.begin_window(now);
        }
        self.shift = self.shift.map(|shift| shift - back);
        if back > 0 {
            (start, &sound[back as usize..])
        } else {
            (start - back, sound)
        }
    }

    /// A talkspurt begins here, in the time of the silent frame before it: takes the rest of that back, if it has not been written.
    fn take_back(&mut self, start: i64) {
        let beyond = self.end.saturating_sub(start.max(0) as u64) as usize;
        let Some(kept) = self.samples.len().checked_sub(beyond) else {
            return;
        };
        if self.samples[kept..]
            .iter()
            .all(|sample| sample.unsigned_abs() < QUIET)
        {
            self.samples.truncate(kept);
            self.end -= beyond as u64;
        }
    }

    fn begin_window(&mut self, now: u64) {
        self.until = now + self.samples_in(WINDOW);
        self.ahead = i64::MIN;
        self.quietest = u16::MAX;
    }

    fn samples_in(&self, time: Duration) -> u64 {
        samples_in(time, self.rate)
    }

    /// The sound at the rate of the track; the line may change its codec.
    fn convert(&mut self, rate: u32, sound: &[i16]) -> Vec<i16> {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        if rate == self.rate {
            self.converter = None;
            out.extend_from_slice(sound);
            return out;
        }
        let (from, to) = (AudioFormat::pcm16(rate), AudioFormat::pcm16(self.rate));
        if self
            .converter
            .as_ref()
            .is_none_or(|known| known.from() != from)
        {
            self.converter = Some(Converter::new(from, to));
        }
        if let Some(converter) = &mut self.converter {
            self.converted.clear();
            converter.convert_samples(sound, &mut self.converted);
            out.resize(self.converted.len() / 2, 0);
            Encoding::Pcm16Le.read(&self.converted, &mut out);
        }
        out
    }
}
