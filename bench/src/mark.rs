//! Audio that says whose it is: each 20 ms frame names its call and its place in the call.
//!
//! A frame is 40 bits of four samples each, a bit being the sign of the samples: eleven of a Barker code to find the
//! start by, twelve of the call, twelve of the frame's number, five of a check. Both signs are one code word of the
//! law, so that an echo that passes G.711 through returns the same bytes; the slow square wave also survives a
//! resampler, another law and a shift by any number of samples, and is then read by its sign.

#[cfg(test)]
mod tests;

use crate::g711::Law;
use crate::rtp::{FRAME, SAMPLE_NS};

const SYNC: u64 = 0b111_0001_0010;
const SYNC_BITS: u32 = 11;
const FIELD_BITS: u32 = 12;
const CHECK_BITS: u32 = 5;
const BITS: usize = 40;
const SAMPLES_PER_BIT: usize = FRAME / BITS;
const AMPLITUDE: i16 = 8_000;
/// Four samples of a bit must sum to at least this to be taken for one: a quarter of what was sent.
const LEAST_SUM: i32 = AMPLITUDE as i32;

/// Calls and frames are numbered modulo this.
pub const MODULUS: u32 = 1 << FIELD_BITS;

/// What one frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Number of the call, modulo `MODULUS`.
    pub call: u16,
    /// Number of the frame in the call, modulo `MODULUS`.
    pub frame: u16,
}

fn check(fields: u64) -> u64 {
    // x^5 + x^2 + 1, bit by bit: 24 steps, once a frame.
    let mut remainder = 0x1f;
    for shift in (0..2 * FIELD_BITS).rev() {
        let top = (remainder >> (CHECK_BITS - 1)) ^ (fields >> shift);
        remainder = (remainder << 1) & 0x1f;
        if top & 1 == 1 {
            remainder ^= 0b00101;
        }
    }
    remainder
}

impl Mark {
    fn bits(self) -> u64 {
        let fields = u64::from(self.call) << FIELD_BITS | u64::from(self.frame);
        (SYNC << (2 * FIELD_BITS) | fields) << CHECK_BITS | check(fields)
    }

    fn from_bits(bits: u64) -> Option<Self> {
        let fields = bits >> CHECK_BITS & ((1 << (2 * FIELD_BITS)) - 1);
        if bits >> (CHECK_BITS + 2 * FIELD_BITS) != SYNC
            || bits & ((1 << CHECK_BITS) - 1) != check(fields)
        {
            return None;
        }
        Some(Self {
            call: (fields >> FIELD_BITS) as u16,
            frame: (fields & u64::from(MODULUS - 1)) as u16,
        })
    }
}

/// Writes and reads marks in one law.
pub struct Alphabet {
    positive: u8,
    negative: u8,
    linear: [i16; 256],
}

/// A mark read from samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it says.
    pub mark: Mark,
    /// Every byte is as it was sent.
    pub exact: bool,
    /// How far the weakest bit stood out; grows towards the right alignment.
    margin: i32,
}

impl Alphabet {
    /// The alphabet of a law.
    pub fn new(law: Law) -> Self {
        let mut linear = [0; 256];
        for code in 0..=255u8 {
            linear[usize::from(code)] = law.decode(code);
        }
        Self {
            positive: law.encode(AMPLITUDE),
            negative: law.encode(-AMPLITUDE),
            linear,
        }
    }

    /// Writes one frame.
    pub fn write(&self, mark: Mark, out: &mut [u8]) {
        let bits = mark.bits();
        for (index, samples) in out[..FRAME].chunks_exact_mut(SAMPLES_PER_BIT).enumerate() {
            let one = bits >> (BITS - 1 - index) & 1 == 1;
            samples.fill(if one { self.positive } else { self.negative });
        }
    }

    /// Reads the frame that starts at the first of at least `FRAME` samples.
    pub fn read(&self, samples: &[u8]) -> Option<Reading> {
        let samples = &samples[..FRAME];
        let mut bits = 0;
        for index in 0..BITS {
            bits = bits << 1 | u64::from(samples[index * SAMPLES_PER_BIT + 1] == self.positive);
        }
        if let Some(mark) = Mark::from_bits(bits) {
            let mut expected = [0; FRAME];
            self.write(mark, &mut expected);
            if expected == samples {
                return Some(Reading {
                    mark,
                    exact: true,
                    margin: i32::MAX,
                });
            }
        }
        self.read_signs(samples)
    }

    fn read_signs(&self, samples: &[u8]) -> Option<Reading> {
        let mut bits = 0;
        let mut margin = i32::MAX;
        for index in 0..BITS {
            let start = index * SAMPLES_PER_BIT;
            let sum: i32 = samples[start..start + SAMPLES_PER_BIT]
                .iter()
                .map(|&code| i32::from(self.linear[usize::from(code)]))
                .sum();
            if sum.abs() < LEAST_SUM {
                return None;
            }
            margin = margin.min(sum.abs());
            bits = bits << 1 | u64::from(sum > 0);
            let synced =
                index + 1 < SYNC_BITS as usize || bits >> (index + 1 - SYNC_BITS as usize) == SYNC;
            if !synced {
                return None;
            }
        }
        Mark::from_bits(bits).map(|mark| Reading {
            mark,
            exact: false,
            margin,
        })
    }
}

/// A mark heard in a stream of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it says.
    pub mark: Mark,
    /// Every byte is as it was sent.
    pub exact: bool,
    /// When its first sample stood on the line: the packet's arrival plus the sample's place in it, in nanoseconds.
    pub at: u64,
    /// RTP timestamp of its first sample.
    pub timestamp: u32,
}

impl Heard {
    /// Whether this is the frame after `before` of the same call: by chance two such are hardly read in a row.
    pub fn follows(&self, before: &Self) -> bool {
        self.mark.call == before.mark.call
            && u32::from(self.mark.frame) == (u32::from(before.mark.frame) + 1) % MODULUS
    }
}

/// One packet's place among the bytes not yet read.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    at: u64,
    timestamp: u32,
}

/// Finds the marks in one call's received audio, wherever its frames now start.
#[derive(Default)]
pub struct MarkReader {
    pending: Vec<u8>,
    spans: Vec<Span>,
}

impl MarkReader {
    /// Forgets what was left over: the next packet does not continue the last.
    pub fn interrupt(&mut self) {
        self.pending.clear();
        self.spans.clear();
    }

    /// Takes the payload of the next packet in order and tells of each mark completed by it.
    pub fn receive(
        &mut self,
        alphabet: &Alphabet,
        payload: &[u8],
        at: u64,
        timestamp: u32,
        mut tell: impl FnMut(Heard),
    ) {
        if self.pending.is_empty()
            && payload.len() == FRAME
            && let Some(reading) = alphabet.read(payload).filter(|reading| reading.exact)
        {
            tell(Heard {
                mark: reading.mark,
                exact: true,
                at,
                timestamp,
            });
            return;
        }
        self.spans.push(Span {
            start: self.pending.len(),
            at,
            timestamp,
        });
        self.pending.extend_from_slice(payload);
        self.scan(alphabet, &mut tell);
    }

    fn scan(&mut self, alphabet: &Alphabet, tell: &mut impl FnMut(Heard)) {
        let mut front = 0;
        while self.pending.len() - front >= FRAME {
            let rest = &self.pending[front..];
            if let Some(reading) = alphabet.read(rest) {
                let Some((offset, reading)) = refine(alphabet, rest, reading) else {
                    break;
                };
                tell(self.heard(reading, front + offset));
                front += offset + FRAME;
            } else if rest[..FRAME].iter().all(|&code| code == rest[0]) {
                front += FRAME;
            } else if let Some((offset, reading)) = search(alphabet, rest) {
                tell(self.heard(reading, front + offset));
                front += offset + FRAME;
            } else {
                // A mark that starts within the last FRAME - 1 samples may still be completed.
                front += rest
                    .len()
                    .saturating_sub(2 * FRAME - 1)
                    .min(rest.len() + 1 - FRAME);
                break;
            }
        }
        self.drop_front(front);
    }

    fn heard(&self, reading: Reading, index: usize) -> Heard {
        let span = self
            .spans
            .iter()
            .rev()
            .find(|span| span.start <= index)
            .expect("the first span starts at 0");
        let samples = index - span.start;
        Heard {
            mark: reading.mark,
            exact: reading.exact,
            at: span.at + samples as u64 * SAMPLE_NS,
            timestamp: span.timestamp.wrapping_add(samples as u32),
        }
    }

    fn drop_front(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        self.pending.drain(..count);
        let kept = self
            .spans
            .iter()
            .rposition(|span| span.start <= count)
            .unwrap_or(0);
        self.spans.drain(..kept);
        for span in &mut self.spans {
            let cut = count.saturating_sub(span.start);
            span.start = span.start.saturating_sub(count);
            span.at += cut as u64 * SAMPLE_NS;
            span.timestamp = span.timestamp.wrapping_add(cut as u32);
        }
        if self.pending.is_empty() {
            self.spans.clear();
        }
    }
}

/// A frame read by its signs reads the same up to three samples early, so the clearest reading of those is taken; `None`
/// until enough samples are there to tell.
fn refine(alphabet: &Alphabet, samples: &[u8], reading: Reading) -> Option<(usize, Reading)> {
    if reading.exact {
        return Some((0, reading));
    }
    if samples.len() < FRAME + SAMPLES_PER_BIT - 1 {
        return None;
    }
    (0..SAMPLES_PER_BIT)
        .filter_map(|offset| Some((offset, alphabet.read(&samples[offset..])?)))
        .filter(|(_, other)| other.mark == reading.mark)
        .max_by_key(|(offset, other)| (other.margin, std::cmp::Reverse(*offset)))
}

fn search(alphabet: &Alphabet, samples: &[u8]) -> Option<(usize, Reading)> {
    let mut best: Option<(usize, Reading)> = None;
    for offset in 1..=(samples.len() - FRAME) {
        let Some(reading) = alphabet.read(&samples[offset..]) else {
            // The right alignment lies in the middle of a run of offsets that all read the same.
            if best.is_some() {
                break;
            }
            continue;
        };
        if reading.exact {
            return Some((offset, reading));
        }
        if best.is_none_or(|(_, held)| reading.margin > held.margin) {
            best = Some((offset, reading));
        }
    }
    best
}
