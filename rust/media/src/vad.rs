//! Voice activity, the cheap stage: on every frame of the caller's sound, about a microsecond each.
//!
//! Sound is judged in steps that end where frames end: how far its spectrum stands above the noise of the line, whether it is like
//! itself a period of a voice later, and whether it is a tone (`docs/design/voice-activity.md` says how well). Two things come of it:
//! a gate, which opens with the first loud frame, and speech, which is told once a voice is sure, with the place where it began.
//! No sockets, no clock, no allocation.
mod bands;
mod floor;
mod gate;
mod half_band;
mod judge;
pub mod listeners;
pub mod network;
mod own_voice;
mod pitch;
pub(crate) mod spectrum;

use crate::clock::{Time, duration_of};
use crate::uplink::{Fill, UplinkFrame};
use bands::{BANDS, Bands};
use floor::Floor;
use gate::Gate;
use half_band::HalfBand;
use judge::{Judge, Sound};
use listeners::ARREARS;
use pitch::HISTORY;

pub use own_voice::OwnVoice;

/// The rate at which it hears, in Hz.
const RATE: u32 = 8_000;
/// Samples of a step. A frame's end ends a step that has the fewest or more, so that nothing waits for the next frame.
const STEP: usize = 160;
const FEWEST: usize = 80;
const MOST: usize = 240;
/// Nothing of ours comes back.
const SILENCE: Bands = [0.0; BANDS];

/// What is told of the caller's speech. Positions are of the leg's timeline, 8 kHz.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speech {
    /// Somebody speaks.
    Started {
        /// Where the first sound of it begins.
        position: u64,
        /// Where the timeline stood when it was sure.
        told: u64,
    },
    /// Nobody speaks any more.
    Ended {
        /// Where the last sound of it ends.
        position: u64,
        /// Where the timeline stood when it was sure.
        told: u64,
        /// From the first sound to the last, pauses that did not end it included.
        duration: u64,
    },
}

/// The voice activity of one leg.
#[derive(Debug, Default)]
pub struct Vad {
    /// The last 100 ms at 8 kHz, full scale 1, the newest last.
    samples: Box<History>,
    /// Samples at their end that no step has taken yet.
    fresh: usize,
    /// What those are from.
    fill: Option<Fill>,
    half_band: HalfBand,
    floor: Floor,
    judge: Judge,
    gate: Gate,
    /// What the last step was.
    powers: Bands,
    active: bool,
}

#[derive(Debug)]
struct History([f32; ARREARS]);

impl Default for History {
    fn default() -> Self {
        Self([0.0; ARREARS])
    }
}

impl History {
    /// What the steps look at.
    fn near(&self) -> &[f32; HISTORY] {
        self.0
            .last_chunk()
            .expect("more is kept than steps look at")
    }
}

impl Vad {
    /// Nothing heard yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is sound above the noise that may be speech. True within the first loud frame, false again 100 ms after what
    /// proves to be none.
    pub fn is_open(&self) -> bool {
        self.gate.is_open()
    }

    /// Whether the last step of sound was above the noise, and above what may be our own voice.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// The last 100 ms heard, at 8 kHz, full scale 1, the newest last.
    pub fn recent(&self) -> &[f32; ARREARS] {
        &self.samples.0
    }

    /// Whether somebody speaks, as far as was told.
    pub fn is_speech(&self) -> bool {
        self.gate.is_speech()
    }

    /// Samples at 8 kHz of speech so far, short pauses included.
    pub fn spoken(&self) -> u64 {
        self.gate.spoken()
    }

    /// The noise of the line in decibels below the overload point, 0 to 127, as RFC 3389 section 3.1 counts it; `None` before any sound.
    pub fn noise_level(&self) -> Option<u8> {
        let below = -10.0 * bands::total(self.floor.bands()).log10();
        let level = below.round().clamp(0.0, 127.0) as u8;
        self.floor.has_begun().then_some(level)
    }

    /// Hears a frame of the leg's timeline, at 8 or 16 kHz.
    pub fn hear(&mut self, frame: &UplinkFrame<'_>, tell: impl FnMut(Speech)) {
        self.hear_beside(frame, None, tell);
    }

    /// The same while our own voice may come back; the frame ends at `now` of the clock by which that has left.
    pub fn hear_beside_own(
        &mut self,
        now: Time,
        frame: &UplinkFrame<'_>,
        own: &mut OwnVoice,
        tell: impl FnMut(Speech),
    ) {
        self.hear_beside(frame, Some((now, own)), tell);
    }

    fn hear_beside(
        &mut self,
        frame: &UplinkFrame<'_>,
        mut own: Option<(Time, &mut OwnVoice)>,
        mut tell: impl FnMut(Speech),
    ) {
        let wide = frame.rate >= 16_000;
        let factor = if wide { 2 } else { 1 };
        let mut pcm = &frame.pcm[..frame.pcm.len() / factor * factor];
        let mut position = frame.position;
        while !pcm.is_empty() {
            let waiting = self.fresh + pcm.len() / factor;
            let until = if waiting > MOST { STEP } else { waiting };
            let count = until - self.fresh;
            let (now, later) = pcm.split_at(count * factor);
            pcm = later;
            self.samples.0.copy_within(count.., 0);
            let fresh = &mut self.samples.0[ARREARS - count..];
            if wide {
                self.half_band.halve(now, fresh);
            } else {
                for (out, &sample) in fresh.iter_mut().zip(now) {
                    *out = f32::from(sample) / 32_768.0;
                }
            }
            self.fresh += count;
            position += count as u64;
            // What was heard counts for more than what was made up beside it.
            if self.fill.is_none() || frame.fill == Fill::Heard {
                self.fill = Some(frame.fill);
            }
            if self.fresh >= FEWEST {
                let later = duration_of((pcm.len() / factor) as u64, RATE);
                let own = own.as_mut();
                let own = own.map(|(now, own)| (now.saturating_sub(later), &mut **own));
                self.step(position, own, &mut tell);
            }
        }
    }

    /// Judges what is fresh; it ends at `end`, which is a time of our own voice's clock, too.
    fn step(
        &mut self,
        end: u64,
        own: Option<(Time, &mut OwnVoice)>,
        tell: &mut impl FnMut(Speech),
    ) {
        let count = std::mem::take(&mut self.fresh) as u64;
        let begin = end.saturating_sub(count);
        let samples = count as u32;
        self.active = false;
        let told = match self.fill.take() {
            Some(Fill::Heard) => {
                let open = self.gate.is_open();
                let expected = own.as_ref().and_then(|(now, own)| own.expected(*now));
                let judged = self.judge.judge(
                    self.samples.near(),
                    samples,
                    &mut self.floor,
                    open,
                    expected.as_ref().unwrap_or(&SILENCE),
                    &mut self.powers,
                );
                if let Some((now, own)) = own {
                    own.heard(now, samples, &self.powers);
                }
                match judged {
                    Sound::Quiet => self.gate.quiet(begin, end),
                    Sound::Tone => self.gate.tone(begin, end),
                    Sound::Active { voice, level } => {
                        self.active = true;
                        let told = self.gate.active(begin, end, voice, level);
                        if self.gate.is_steady() {
                            self.floor.lift();
                        }
                        told
                    }
                }
            }
            Some(Fill::Noise) => {
                self.judge
                    .learn(self.samples.near(), samples, &mut self.floor);
                self.gate.quiet(begin, end)
            }
            Some(Fill::Concealed) => self.gate.concealed(begin, end),
            Some(Fill::Silence) | None => self.gate.quiet(begin, end),
        };
        if let Some(told) = told {
            tell(told);
        }
    }
}
