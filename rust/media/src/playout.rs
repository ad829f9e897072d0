//! Playout: what the agent said, leaving towards the caller on the leg's own clock.
//!
//! Audio waits in the line's codec (one byte a sample at 8 kHz). Every `ptime` one frame leaves, silence if there is
//! nothing else, so that RTP never pauses. Three rules make it both prompt and smooth:
//!
//! - **The first frame of a talkspurt leaves at once**, not at the next tick. It carries the marker bit, and its
//!   timestamp is that of the moment from which the spurt is clocked (a true step, never less than one frame).
//! - **The rest of the spurt is clocked a cushion later**, unless more than that waits already. The peer hears one early packet and then
//!   an even stream; an agent whose chunks come unevenly has that much time. The cushion is learned: it grows by what was missing, and
//!   shrinks slowly. Of a cushion above 20 ms the rest is waited for before the first frame.
//! - **A frame that is not there yet is awaited for a moment** ([`ELASTIC`]) before silence is put in its place, if the agent has been
//!   sending just now. Timestamps go on by one frame; the next marker makes up for the time.
use crate::clock::{Time, duration_of, samples_in};
use crate::codec::{Encoding, g711};
use std::collections::VecDeque;
use std::time::Duration;

/// Clock of the line's codecs, in Hz.
pub const LINE_RATE: u32 = 8_000;
/// The longest frame that leaves: 60 ms.
pub const MAX_FRAME: usize = 480;
/// How long a tick in mid-speech waits for sound that is just coming.
pub const ELASTIC: Duration = Duration::from_millis(15);
/// How long less than a frame waits for the rest of it when nothing is being played.
const FLUSH: Duration = Duration::from_millis(40);
/// An agent that pushed within this time is still speaking.
const LIVE: Duration = Duration::from_millis(250);
/// Speech that resumes within this time after running dry was interrupted by us, not by the agent.
const UNDERRUN: Duration = Duration::from_millis(200);
const MIN_CUSHION: Duration = Duration::from_millis(5);
const MAX_CUSHION: Duration = Duration::from_millis(60);
/// The first frame of a spurt leaves at most so much before the rest is clocked, or its peer would hear a hole.
const MAX_LEAD: Duration = Duration::from_millis(20);
/// Spare time that an agent always had is given back but for this.
const SPARE_KEPT: Duration = Duration::from_millis(10);
/// Pushes that a spurt needs before its spare time says anything about the agent.
const ENOUGH_PUSHES: u32 = 25;
/// Most marks waiting; more is a fault of the agent.
pub const MAX_MARKS: usize = 256;
/// Room kept for the queue between utterances: 2 s.
const KEPT_BYTES: usize = 2 * LINE_RATE as usize;
/// Ticks missed by more frames than this are not made up for: no burst follows a pause of the machine.
const MAX_CATCH_UP: u32 = 3;

/// The engine's name for a mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct MarkId(pub u64);

/// How a leg plays out.
#[derive(Clone, Copy, Debug)]
pub struct PlayoutConfig {
    /// The line's codec: PCMU or PCMA.
    pub encoding: Encoding,
    /// Milliseconds in a packet, 10 to 60.
    pub ptime_ms: u32,
    /// Most sound that may wait. What an agent sends beyond it is dropped, the newest first, and counted.
    pub capacity: Duration,
    /// The cushion before anything has been learned.
    pub cushion: Duration,
}

impl Default for PlayoutConfig {
    fn default() -> Self {
        PlayoutConfig {
            encoding: Encoding::Pcmu,
            ptime_ms: 20,
            capacity: Duration::from_secs(60),
            cushion: Duration::from_millis(15),
        }
    }
}

/// What fills a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// The agent's sound.
    Audio,
    /// Nothing.
    Silence,
}

/// A frame that has to leave now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// What fills it.
    pub kind: FrameKind,
    /// First frame of a talkspurt.
    pub marker: bool,
    /// Timestamp units since the timestamp of the frame before.
    pub step: u32,
    /// Bytes written, always a whole frame.
    pub len: usize,
    /// How late it is against the leg's clock.
    pub late: Duration,
}

/// What [`Playout::clear`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cleared {
    /// The generation that begins now.
    pub generation: u32,
    /// Sound of the ended generation that has left, in milliseconds, silence and padding not counted.
    pub played_ms: u64,
    /// Of that, what belongs to the talkspurt that was being played.
    pub spurt_played_ms: u64,
    /// Sound dropped unsent, in milliseconds.
    pub dropped_ms: u64,
    /// Played, in samples.
    pub played_samples: u64,
    /// Dropped, in samples.
    pub dropped_samples: u64,
}

/// What playout counts; cumulative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlayoutCounts {
    /// Bytes refused because the queue was full.
    pub dropped_bytes: u64,
    /// Times when it ran dry within speech.
    pub underruns: u64,
    /// Frames dropped to bring back the delay of a live source.
    pub trimmed_frames: u64,
    /// Most bytes that ever waited.
    pub peak_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Silence,
    Speech,
}

/// The queue and the clock of one leg.
#[derive(Debug)]
pub struct Playout {
    encoding: Encoding,
    frame: usize,
    frame_time: Duration,
    capacity: usize,
    queue: VecDeque<u8>,
    marks: VecDeque<(u64, MarkId)>,
    /// Samples that have left the queue in any way.
    taken: u64,
    played: u64,
    generation: u32,
    generation_played: u64,
    spurt_played: u64,
    started: bool,
    open: bool,
    draining: bool,
    live: bool,
    phase: Phase,
    /// When the last frame left by the leg's clock.
    nominal: Time,
    /// Samples by which timestamps stay behind the clock.
    lag: u64,
    last_push: Time,
    /// When the queue last came to hold a whole frame.
    ready_at: Time,
    dry_at: Option<Time>,
    sound_ends: Time,
    cushion: Duration,
    spare: Duration,
    pushes: u32,
    trim: Trim,
    counts: PlayoutCounts,
}

/// Watches how much always waits, for sources that never pause.
#[derive(Debug)]
struct Trim {
    low: usize,
    frames: u32,
    wanted: bool,
}

const TRIM_WINDOW_FRAMES: u32 = 50;
const TRIM_AT_ONCE: Duration = Duration::from_millis(100);

impl Playout {
    /// An empty queue; nothing leaves before [`Playout::start`].
    pub fn new(config: PlayoutConfig) -> Self {
        let mut playout = Playout {
            encoding: config.encoding,
            frame: 160,
            frame_time: Duration::from_millis(20),
            capacity: samples_in(config.capacity, LINE_RATE) as usize,
            queue: VecDeque::with_capacity(KEPT_BYTES),
            marks: VecDeque::with_capacity(16),
            taken: 0,
            played: 0,
            generation: 0,
            generation_played: 0,
            spurt_played: 0,
            started: false,
            open: false,
            draining: false,
            live: false,
            phase: Phase::Silence,
            nominal: Time::ZERO,
            lag: 0,
            last_push: Time::ZERO,
            ready_at: Time::ZERO,
            dry_at: None,
            sound_ends: Time::ZERO,
            cushion: config.cushion.clamp(MIN_CUSHION, MAX_CUSHION),
            spare: Duration::MAX,
            pushes: 0,
            trim: Trim {
                low: usize::MAX,
                frames: 0,
                wanted: false,
            },
            counts: PlayoutCounts::default(),
        };
        playout.set_format(config.encoding, config.ptime_ms);
        playout
    }

    /// Codec and packet time from now on; what waits is rewritten in the new codec. `ptime_ms` is brought into 10 to 60.
    pub fn set_format(&mut self, encoding: Encoding, ptime_ms: u32) {
        let table = match (self.encoding, encoding) {
            (Encoding::Pcmu, Encoding::Pcma) => Some(&g711::PCMU_TO_PCMA),
            (Encoding::Pcma, Encoding::Pcmu) => Some(&g711::PCMA_TO_PCMU),
            _ => None,
        };
        if let Some(table) = table {
            self.queue
                .iter_mut()
                .for_each(|byte| *byte = table[*byte as usize]);
        }
        let ptime_ms = ptime_ms.clamp(10, 60);
        self.encoding = encoding;
        self.frame = ptime_ms as usize * LINE_RATE as usize / 1_000;
        self.frame_time = Duration::from_millis(u64::from(ptime_ms));
    }

    /// The line's codec.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The source never pauses (an echo, a person): a delay that has built up is brought back by dropping frames.
    pub fn set_live(&mut self, live: bool) {
        self.live = live;
        self.trim = Trim {
            low: usize::MAX,
            frames: 0,
            wanted: false,
        };
    }

    /// The clock starts: the first frame is due now.
    pub fn start(&mut self, now: Time) {
        if !self.started {
            self.started = true;
            self.nominal = now.saturating_sub(self.frame_time);
        }
    }

    /// Whether the agent's sound may leave. While closed silence leaves and the queue waits.
    pub fn set_open(&mut self, open: bool) {
        if self.open && !open {
            self.end_spurt();
            self.dry_at = None;
        }
        self.open = open;
    }

    /// Whether the agent's sound may leave.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Takes sound in the line's codec, any number of bytes. Returns how many were taken; the rest is dropped and counted.
    pub fn push(&mut self, now: Time, bytes: &[u8]) -> usize {
        let accepted = bytes
            .len()
            .min(self.capacity.saturating_sub(self.queue.len()));
        self.counts.dropped_bytes += (bytes.len() - accepted) as u64;
        if accepted == 0 {
            return 0;
        }
        if self.phase == Phase::Speech {
            let lasts = self.frame_time * (1 + (self.queue.len() / self.frame) as u32);
            self.spare = self.spare.min((self.nominal + lasts) - now);
            self.pushes += 1;
        }
        let was_short = self.queue.len() < self.frame;
        self.queue.extend(&bytes[..accepted]);
        if was_short && self.queue.len() >= self.frame {
            self.ready_at = now;
        }
        self.last_push = now;
        self.counts.peak_bytes = self.counts.peak_bytes.max(self.queue.len() as u64);
        accepted
    }

    /// As [`Playout::push`], but drops all of it (uncounted: it was meant to go) if `clear` came after `generation`.
    pub fn push_for(&mut self, generation: u32, now: Time, bytes: &[u8]) -> usize {
        if generation == self.generation {
            self.push(now, bytes)
        } else {
            0
        }
    }

    /// A mark behind all sound pushed so far; it fires when that sound has left. `false` if too many are waiting.
    pub fn push_mark(&mut self, mark: MarkId) -> bool {
        if self.marks.len() >= MAX_MARKS {
            return false;
        }
        self.marks
            .push_back((self.taken + self.queue.len() as u64, mark));
        true
    }

    /// The next mark that fires: its sound has left. To be asked until `None` after each frame.
    pub fn fired_mark(&mut self) -> Option<MarkId> {
        if !(self.started && self.open) {
            return None;
        }
        self.marks
            .front()
            .filter(|(position, _)| *position <= self.taken)?;
        self.marks.pop_front().map(|(_, mark)| mark)
    }

    /// Drops all sound that has not left, and the marks in it, which are told to `dropped` in order.
    ///
    /// Marks whose sound has left already still fire. A converter in front of this queue has to be reset by its owner.
    pub fn clear(&mut self, _now: Time, mut dropped: impl FnMut(MarkId)) -> Cleared {
        let left = self.taken;
        self.marks.retain(|&(position, mark)| {
            let keep = position <= left;
            if !keep {
                dropped(mark);
            }
            keep
        });
        let dropped_samples = self.queue.len() as u64;
        self.taken += dropped_samples;
        self.queue.clear();
        self.queue.shrink_to(KEPT_BYTES);
        self.generation = self.generation.wrapping_add(1);
        let played_samples = self.played - self.generation_played;
        let spurt_played = if self.phase == Phase::Speech {
            self.played - self.spurt_played
        } else {
            0
        };
        self.generation_played = self.played;
        self.end_spurt();
        self.dry_at = None;
        Cleared {
            generation: self.generation,
            played_ms: played_samples * 1_000 / u64::from(LINE_RATE),
            spurt_played_ms: spurt_played * 1_000 / u64::from(LINE_RATE),
            dropped_ms: dropped_samples * 1_000 / u64::from(LINE_RATE),
            played_samples,
            dropped_samples,
        }
    }

    /// Counts `clear`s: sound made for an older generation is stale.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// No more sound will come: the last part of a frame need not wait for more.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// The end that [`Playout::drain`] asked for has been told; what comes now is new.
    pub fn drained(&mut self) {
        self.draining = false;
    }

    /// When the last sound ends by the leg's clock, once [`Playout::drain`] was called and all has left.
    pub fn drained_at(&self) -> Option<Time> {
        (self.draining && self.queue.is_empty()).then_some(self.sound_ends)
    }

    /// Samples waiting.
    pub fn waiting_samples(&self) -> u64 {
        self.queue.len() as u64
    }

    /// Whether the agent's sound is leaving.
    pub fn is_speaking(&self) -> bool {
        self.phase == Phase::Speech
    }

    /// Samples of the agent's sound that have left, silence and padding not counted.
    pub fn played_samples(&self) -> u64 {
        self.played
    }

    /// The instant that the last frame's timestamp stands for; ahead of now just after a spurt began.
    pub fn clock(&self) -> Time {
        self.nominal
    }

    /// Bytes of a frame.
    pub fn frame_len(&self) -> usize {
        self.frame
    }

    /// The cushion learned so far.
    pub fn cushion(&self) -> Duration {
        self.cushion
    }

    /// What was counted so far.
    pub fn counts(&self) -> PlayoutCounts {
        self.counts
    }

    /// When [`Playout::poll`] has something; a time in the past means now.
    pub fn next_timeout(&self) -> Option<Time> {
        if !self.started {
            return None;
        }
        if self.open
            && self
                .marks
                .front()
                .is_some_and(|&(position, _)| position <= self.taken)
        {
            return Some(self.nominal);
        }
        let tick = self.nominal + self.frame_time;
        Some(match self.phase {
            Phase::Silence => self.spurt_from().map_or(tick, |from| from.min(tick)),
            Phase::Speech if self.queue.len() >= self.frame => tick,
            Phase::Speech => tick + self.patience(tick),
        })
    }

    /// Writes the frame that is due at `now`, if one is. To be asked until `None`.
    pub fn poll(&mut self, now: Time, out: &mut [u8; MAX_FRAME]) -> Option<Frame> {
        if !self.started {
            return None;
        }
        let tick = self.nominal + self.frame_time;
        match self.phase {
            Phase::Silence => {
                if self.spurt_from().is_some_and(|from| from <= now) {
                    return Some(self.begin_spurt(now, tick, out));
                }
                if now < tick {
                    return None;
                }
                if now - tick > self.frame_time * MAX_CATCH_UP {
                    let step = self.advance(now);
                    return Some(self.silence(step, now - tick, out));
                }
                self.nominal = tick;
                Some(self.silence(self.frame as u32, now - tick, out))
            }
            Phase::Speech if now < tick => None,
            Phase::Speech if self.queue.len() >= self.frame => {
                self.trim();
                let waited = self.ready_at - tick;
                if !waited.is_zero() {
                    self.cushion = (self.cushion + waited).min(MAX_CUSHION);
                    self.slide(tick, self.ready_at);
                } else if now - tick > self.frame_time * MAX_CATCH_UP {
                    self.slide(tick, now);
                } else {
                    self.nominal = tick;
                }
                let late = now - self.nominal;
                Some(self.sound(false, self.frame as u32, late, out))
            }
            Phase::Speech => {
                if now < tick + self.patience(tick) {
                    return None;
                }
                self.slide(tick, now);
                self.dry_at = (!self.draining).then_some(tick);
                let frame = if self.queue.is_empty() {
                    self.silence(self.frame as u32, Duration::ZERO, out)
                } else {
                    self.sound(false, self.frame as u32, Duration::ZERO, out)
                };
                self.end_spurt();
                Some(frame)
            }
        }
    }

    /// From when on a spurt may begin with what waits.
    fn spurt_from(&self) -> Option<Time> {
        if !self.open || self.queue.is_empty() {
            None
        } else if self.has_cushion() || self.draining {
            Some(self.nominal)
        } else if self.queue.len() >= self.frame {
            Some(self.ready_at + self.cushion.saturating_sub(MAX_LEAD))
        } else {
            Some(self.last_push + FLUSH)
        }
    }

    /// Whether more than a frame and the cushion waits: an agent that sends ahead needs none.
    fn has_cushion(&self) -> bool {
        self.queue.len() >= self.frame + samples_in(self.cushion, LINE_RATE) as usize
    }

    /// How long the tick at `tick` waits for sound.
    fn patience(&self, tick: Time) -> Duration {
        if self.draining || tick - self.last_push > LIVE {
            Duration::ZERO
        } else {
            ELASTIC
        }
    }

    fn begin_spurt(&mut self, now: Time, tick: Time, out: &mut [u8; MAX_FRAME]) -> Frame {
        if let Some(dry_at) = self.dry_at.take()
            && now - dry_at <= UNDERRUN
        {
            self.counts.underruns += 1;
            // A longer pause is the agent's own, and no cushion would have covered it.
            if now - dry_at <= MAX_CUSHION {
                self.cushion = (self.cushion + (now - dry_at)).min(MAX_CUSHION);
            }
        }
        self.phase = Phase::Speech;
        self.spurt_played = self.played;
        self.spare = Duration::MAX;
        self.pushes = 0;
        let lead = if self.has_cushion() {
            Duration::ZERO
        } else {
            self.cushion.min(MAX_LEAD)
        };
        let step = self.advance((now + lead).max(tick)) + self.lag as u32;
        self.lag = 0;
        self.sound(true, step, Duration::ZERO, out)
    }

    /// Moves the clock to `to` in whole samples and returns how many.
    fn advance(&mut self, to: Time) -> u32 {
        let step = samples_in(to - self.nominal, LINE_RATE);
        self.nominal += duration_of(step, LINE_RATE);
        step as u32
    }

    /// A frame of the time `tick` leaves at `at`: the clock moves there, timestamps don't.
    fn slide(&mut self, tick: Time, at: Time) {
        let samples = samples_in(at - tick, LINE_RATE);
        self.lag += samples;
        self.nominal = tick + duration_of(samples, LINE_RATE);
    }

    fn end_spurt(&mut self) {
        if self.phase == Phase::Speech && self.pushes >= ENOUGH_PUSHES && self.spare < Duration::MAX
        {
            let spare = self.spare.saturating_sub(SPARE_KEPT);
            self.cushion = self.cushion.saturating_sub(spare / 4).max(MIN_CUSHION);
        }
        self.phase = Phase::Silence;
    }

    fn silence(&self, step: u32, late: Duration, out: &mut [u8; MAX_FRAME]) -> Frame {
        out[..self.frame].fill(self.encoding.silence());
        Frame {
            kind: FrameKind::Silence,
            marker: false,
            step,
            len: self.frame,
            late,
        }
    }

    fn sound(
        &mut self,
        marker: bool,
        step: u32,
        late: Duration,
        out: &mut [u8; MAX_FRAME],
    ) -> Frame {
        let len = self.frame.min(self.queue.len());
        let (front, back) = self.queue.as_slices();
        let split = front.len().min(len);
        out[..split].copy_from_slice(&front[..split]);
        out[split..len].copy_from_slice(&back[..len - split]);
        out[len..self.frame].fill(self.encoding.silence());
        self.queue.drain(..len);
        if self.queue.is_empty() && self.queue.capacity() > 2 * KEPT_BYTES {
            self.queue.shrink_to(KEPT_BYTES);
        }
        self.taken += len as u64;
        self.played += len as u64;
        self.sound_ends = self.nominal + self.frame_time;
        Frame {
            kind: FrameKind::Audio,
            marker,
            step,
            len: self.frame,
            late,
        }
    }

    /// Drops a frame now and then if a live source has always had more than the cushion waiting: quiet ones first.
    fn trim(&mut self) {
        if !self.live {
            return;
        }
        self.trim.low = self.trim.low.min(self.queue.len() - self.frame);
        self.trim.frames += 1;
        if self.trim.frames >= TRIM_WINDOW_FRAMES {
            // A whole frame lay there all the time: it is delay, not cushion.
            let excess = self.trim.low / self.frame;
            let overdue = self.trim.wanted && excess > 0;
            self.trim = Trim {
                low: usize::MAX,
                frames: 0,
                wanted: excess > 0,
            };
            if self.frame_time * excess as u32 > TRIM_AT_ONCE {
                self.drop_frames(excess);
                self.trim.wanted = false;
            } else if overdue {
                self.drop_frames(1);
            }
        }
        if self.trim.wanted && self.queue.len() >= 2 * self.frame && self.front_is_quiet() {
            self.drop_frames(1);
            self.trim.wanted = false;
        }
    }

    fn front_is_quiet(&self) -> bool {
        let (front, back) = self.queue.as_slices();
        let split = front.len().min(self.frame);
        self.encoding.is_quiet(&front[..split])
            && self.encoding.is_quiet(&back[..self.frame - split])
    }

    fn drop_frames(&mut self, frames: usize) {
        let len = frames * self.frame;
        self.queue.drain(..len);
        self.taken += len as u64;
        self.counts.trimmed_frames += frames as u64;
    }
}
