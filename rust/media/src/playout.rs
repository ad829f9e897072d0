//! Playout: what the agent said, leaving towards the caller on the leg's own clock.
//!
//! Audio waits as the line's codec wants it: G.711 as it is sent, what a codec with a memory encodes as linear samples, since that is encoded
//! when it leaves (then neither silence nor `clear` makes the far decoder lose its way). Every `ptime` one frame leaves, silence if there is
//! nothing else, so that RTP never pauses. What the rules below trade against each other: the agent's first word should leave at once,
//! packets should leave evenly, and an agent whose chunks come unevenly should not be heard to stutter.
//!
//! - **The first frame of a talkspurt leaves at once**, not at the next tick, and the clock goes on from there: the next frame
//!   follows a packet time later. Timestamps never overlap, so a frame that leaves before its tick runs ahead of the clock by up to a
//!   frame; the silence after the spurt leaves a little more slowly ([`REPAY`]) until that is paid back.
//! - **A source known to come unevenly is held back** by its cushion first, while silence goes on leaving: no packet is late, and no
//!   hole follows the first frame. How unevenly a source comes is measured from when its chunks arrive ([`Arrivals`]). What nobody has measured yet gets
//!   [`PlayoutConfig::cushion`], a steady source nothing, and where more than the cushion waits already, nothing is held back either.
//! - **A steady source gets its cushion in passing**: each frame leaves [`STRETCH`] later than even until there are [`MIN_CUSHION`].
//! - **A frame that is not there yet is awaited for a moment** before silence is put in its place, if the agent has been
//!   sending just now: [`ELASTIC`], and [`ELASTIC_UNKNOWN`] as long as nothing is known about the source. Timestamps go on by one frame;
//!   the next marker makes up for the time. No two packets are further apart than a frame and that.
//! - **Sound is never left out while somebody speaks.** Delay that came from a standstill (never sound that an agent sent ahead) is
//!   won back from quiet frames, if all of a second more than [`TRIM_ABOVE`] waited beyond the cushion. A pause wins back all of it anyway.
use crate::clock::{Time, duration_of, samples_in};
use crate::codec::Codec;
use crate::convert::AudioFormat;
use queue::Queue;
use std::collections::VecDeque;
use std::time::Duration;

mod queue;

/// The RTP clock of the line's codecs and of telephone events, in Hz.
pub const LINE_RATE: u32 = 8_000;
/// Bytes of the longest frame: 60 ms of linear samples at 16 kHz.
pub const MAX_FRAME: usize = 1_920;
/// What sound is counted in, whatever its rate: 1/48000 s. A sample of every rate is a whole number of them.
const UNITS: u32 = 48_000;
/// How long a tick in mid-speech waits for sound that is just coming.
pub const ELASTIC: Duration = Duration::from_millis(10);
/// The same for a source of which nothing is known yet, and for one that never pauses.
pub const ELASTIC_UNKNOWN: Duration = Duration::from_millis(18);
/// How long less than a frame waits for the rest of it when nothing is being played.
const FLUSH: Duration = Duration::from_millis(40);
/// An agent that pushed within this time is still speaking.
const LIVE: Duration = Duration::from_millis(250);
/// Speech that resumes within this time after running dry was interrupted by us, not by the agent.
const UNDERRUN: Duration = Duration::from_millis(200);
/// A source whose chunks come within this time of even is steady: it is not held back. One that comes less evenly is held back by what is more.
const STEADY: Duration = Duration::from_millis(5);
/// What every source that sends no more than it must is given while it speaks.
pub const MIN_CUSHION: Duration = Duration::from_millis(10);
/// More unevenness than this is no jitter but pauses of the agent, or an agent that sends ahead.
const MAX_CUSHION: Duration = Duration::from_millis(60);
/// How much later than even a frame leaves while the cushion grows.
pub const STRETCH: Duration = Duration::from_millis(1);
/// How much later than even silence leaves while timestamps are ahead.
pub const REPAY: Duration = Duration::from_millis(2);
/// Timestamps are never ahead of the clock by more than this; a first frame waits rather.
const MAX_AHEAD: Duration = Duration::from_millis(40);
/// Pushes after which a source is known.
const ENOUGH_PUSHES: u32 = 25;
/// Most marks waiting; more is a fault of the agent.
pub const MAX_MARKS: usize = 256;
/// Ticks missed by more frames than this are not made up for: no burst follows a pause of the machine.
const MAX_CATCH_UP: u32 = 3;

/// The engine's name for a mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct MarkId(pub u64);

/// How a leg plays out.
#[derive(Clone, Copy, Debug)]
pub struct PlayoutConfig {
    /// The line's codec.
    pub codec: Codec,
    /// Milliseconds in a packet, 10 to 60.
    pub ptime_ms: u32,
    /// Most sound that may wait. What an agent sends beyond it is dropped, the newest first, and counted.
    pub capacity: Duration,
    /// How long a first frame is held back as long as nothing is known about the source.
    pub cushion: Duration,
}

impl Default for PlayoutConfig {
    fn default() -> Self {
        PlayoutConfig {
            codec: Codec::Pcmu,
            ptime_ms: 20,
            capacity: Duration::from_secs(60),
            cushion: Duration::from_millis(12),
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
    /// Timestamp units that it lasts.
    pub ticks: u32,
    /// Bytes written, always a whole frame, in [`Playout::format`].
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
    /// Played, in samples of [`Playout::format`].
    pub played_samples: u64,
    /// Dropped, in samples of [`Playout::format`].
    pub dropped_samples: u64,
}

/// What playout counts; cumulative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlayoutCounts {
    /// Bytes refused because the queue was full.
    pub dropped_bytes: u64,
    /// Times when it ran dry within speech.
    pub underruns: u64,
    /// Quiet frames left out to win back the delay that a standstill had left.
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
    codec: Codec,
    /// A frame in samples of the queue, in timestamp units, and in time.
    frame: usize,
    frame_ticks: u32,
    frame_time: Duration,
    capacity: Duration,
    queue: Queue,
    marks: VecDeque<(u64, MarkId)>,
    /// What has left the queue in any way, in [`UNITS`], as all that is counted of sound.
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
    /// Timestamp units by which timestamps stay behind the clock; below zero they are ahead.
    lag: i64,
    last_push: Time,
    /// When the queue last came to hold a whole frame.
    ready_at: Time,
    dry_at: Option<Time>,
    sound_ends: Time,
    arrivals: Arrivals,
    /// What the cushion still lacks.
    stretch: Duration,
    /// What the sound of this spurt is late because it came late.
    delayed: Duration,
    trim: Trim,
    counts: PlayoutCounts,
}

/// Learns how unevenly a source's chunks come.
#[derive(Debug)]
struct Arrivals {
    cushion: Duration,
    known: bool,
    /// When the next chunk is due if the source speaks in real time, counted from the earliest one so far.
    due: Time,
    /// Between the earliest and the latest, each against real time.
    spread: Duration,
    pushes: u32,
}

impl Arrivals {
    fn new(cushion: Duration) -> Self {
        Arrivals {
            cushion: cushion.min(MAX_CUSHION),
            known: false,
            due: Time::ZERO,
            spread: Duration::ZERO,
            pushes: 0,
        }
    }

    /// The source has paused: what has been seen is learned, and the next chunk is the first.
    fn restart(&mut self, now: Time) {
        // A larger spread is that of an agent that sends ahead, which needs no cushion.
        let spread = if self.spread > MAX_CUSHION {
            Duration::ZERO
        } else {
            self.spread
        };
        if self.pushes >= ENOUGH_PUSHES {
            self.cushion = if !self.known {
                spread
            } else if spread > self.cushion {
                (self.cushion + spread) / 2
            } else {
                self.cushion - (self.cushion - spread) / 4
            };
            self.known = true;
            self.pushes = 0;
            self.spread = Duration::ZERO;
        }
        self.due = now;
    }

    fn arrived(&mut self, now: Time, lasts: Duration) {
        self.pushes = self.pushes.saturating_add(1);
        let late = now - self.due;
        if late > MAX_CUSHION {
            self.due = now;
        } else if late.is_zero() {
            self.spread += self.due - now;
            self.due = now;
        } else {
            self.spread = self.spread.max(late);
        }
        // The thousandth more forgets an earliest chunk in time, and follows an agent whose clock is slow.
        self.due += lasts + lasts / 1_000;
    }

    /// How long the first frame is held back. Of what has been learned [`STEADY`] is left to the frames that follow.
    fn hold(&self) -> Duration {
        if self.known {
            self.cushion.saturating_sub(STEADY)
        } else {
            self.cushion
        }
    }

    fn target(&self) -> Duration {
        self.cushion.max(MIN_CUSHION)
    }
}

/// Watches how much always waits.
#[derive(Debug)]
struct Trim {
    low: Duration,
    frames: u32,
    wanted: bool,
}

impl Trim {
    const NEW: Trim = Trim {
        low: Duration::MAX,
        frames: 0,
        wanted: false,
    };
}

const TRIM_WINDOW: Duration = Duration::from_secs(1);
/// What may wait beyond the cushion without being called a delay.
pub const TRIM_ABOVE: Duration = Duration::from_millis(60);

impl Playout {
    /// An empty queue; nothing leaves before [`Playout::start`].
    pub fn new(config: PlayoutConfig) -> Self {
        let mut playout = Playout {
            codec: config.codec,
            frame: 0,
            frame_ticks: 0,
            frame_time: Duration::ZERO,
            capacity: config.capacity,
            queue: Queue::new(AudioFormat::of_line(config.codec)),
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
            arrivals: Arrivals::new(config.cushion),
            stretch: Duration::ZERO,
            delayed: Duration::ZERO,
            trim: Trim::NEW,
            counts: PlayoutCounts::default(),
        };
        playout.set_format(config.codec, config.ptime_ms);
        playout
    }

    /// Codec and packet time from now on; what waits is rewritten as the new codec wants it. `ptime_ms` is brought into 10 to 60.
    pub fn set_format(&mut self, codec: Codec, ptime_ms: u32) {
        self.codec = codec;
        self.queue.recode(AudioFormat::of_line(codec));
        // Another rate may have rounded the last sample away.
        let end = self.taken + self.units(self.queue.len());
        self.marks
            .iter_mut()
            .for_each(|(position, _)| *position = end.min(*position));
        let ptime_ms = ptime_ms.clamp(10, 60);
        self.frame_ticks = ptime_ms * codec.rtp_clock() / 1_000;
        self.frame = codec.samples_of_ticks(self.frame_ticks);
        self.frame_time = Duration::from_millis(u64::from(ptime_ms));
    }

    /// The line's codec.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// How sound has to be pushed, and how frames are given out.
    pub fn format(&self) -> AudioFormat {
        self.queue.format()
    }

    /// So many samples of the queue in [`UNITS`].
    fn units(&self, samples: usize) -> u64 {
        samples as u64 * u64::from(UNITS / self.format().rate)
    }

    /// So many [`UNITS`] in samples of the queue.
    fn samples(&self, units: u64) -> u64 {
        units / u64::from(UNITS / self.format().rate)
    }

    /// How many samples of the queue last so long.
    fn samples_lasting(&self, time: Duration) -> usize {
        samples_in(time, self.format().rate) as usize
    }

    /// How long so many samples of the queue last.
    fn time_of(&self, samples: usize) -> Duration {
        duration_of(samples as u64, self.format().rate)
    }

    /// The source never pauses and never sends ahead (an echo, a person): it counts as steady from the start, and what waits is delay.
    pub fn set_live(&mut self, live: bool) {
        self.live = live;
        self.trim = Trim::NEW;
        if live {
            self.arrivals.known = true;
            self.arrivals.cushion = Duration::ZERO;
        }
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

    /// Takes sound in [`Playout::format`], any number of whole samples. Returns how many bytes were taken; the rest is dropped and counted.
    pub fn push(&mut self, now: Time, bytes: &[u8]) -> usize {
        let room = self
            .samples_lasting(self.capacity)
            .saturating_sub(self.queue.len());
        let accepted = bytes.len().min(self.queue.bytes_of(room));
        self.counts.dropped_bytes += (bytes.len() - accepted) as u64;
        let waited = self.queue.len();
        if accepted == 0 {
            return 0;
        }
        if self.phase == Phase::Silence && waited == 0 && now - self.sound_ends > UNDERRUN {
            self.arrivals.restart(now);
        }
        self.queue.push(&bytes[..accepted]);
        let waits = self.queue.len();
        self.arrivals.arrived(now, self.time_of(waits - waited));
        if waited < self.frame && waits >= self.frame {
            self.ready_at = now;
        }
        self.last_push = now;
        let peak = self.queue.bytes_of(waits) as u64;
        self.counts.peak_bytes = self.counts.peak_bytes.max(peak);
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
            .push_back((self.taken + self.units(self.queue.len()), mark));
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
        let dropped_samples = self.queue.skip(self.queue.len());
        let dropped = self.units(dropped_samples);
        self.taken += dropped;
        self.generation = self.generation.wrapping_add(1);
        let played = self.played - self.generation_played;
        let spurt_played = if self.phase == Phase::Speech {
            self.played - self.spurt_played
        } else {
            0
        };
        self.generation_played = self.played;
        self.end_spurt();
        self.dry_at = None;
        let millis = |units: u64| units / u64::from(UNITS / 1_000);
        Cleared {
            generation: self.generation,
            played_ms: millis(played),
            spurt_played_ms: millis(spurt_played),
            dropped_ms: millis(dropped),
            played_samples: self.samples(played),
            dropped_samples: dropped_samples as u64,
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

    /// Samples waiting, of [`Playout::format`].
    pub fn waiting_samples(&self) -> u64 {
        self.queue.len() as u64
    }

    /// Whether the agent's sound is leaving.
    pub fn is_speaking(&self) -> bool {
        self.phase == Phase::Speech
    }

    /// Samples of the agent's sound that have left, silence and padding not counted, of [`Playout::format`].
    pub fn played_samples(&self) -> u64 {
        self.samples(self.played)
    }

    /// When the last frame left by the leg's clock: the instant that its timestamp stands for.
    pub fn clock(&self) -> Time {
        self.nominal
    }

    /// Timestamp units that a frame lasts.
    pub fn frame_ticks(&self) -> u32 {
        self.frame_ticks
    }

    /// The cushion learned so far: how unevenly the source's sound comes.
    pub fn cushion(&self) -> Duration {
        self.arrivals.cushion
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
        let tick = self.tick();
        Some(match self.phase {
            Phase::Silence => self.spurt_from().map_or(tick, |from| from.min(tick)),
            Phase::Speech if self.queue.len() >= self.frame => tick,
            Phase::Speech => self.patient_until(),
        })
    }

    /// When the next frame leaves if it is there.
    fn tick(&self) -> Time {
        let later = match self.phase {
            Phase::Silence => REPAY.min(self.ahead()),
            Phase::Speech => STRETCH.min(self.stretch),
        };
        self.nominal + self.frame_time + later
    }

    /// How far timestamps are ahead of the clock.
    fn ahead(&self) -> Duration {
        duration_of((-self.lag).max(0) as u64, self.codec.rtp_clock())
    }

    /// Writes the frame that is due at `now`, if one is. To be asked until `None`.
    pub fn poll(&mut self, now: Time, out: &mut [u8; MAX_FRAME]) -> Option<Frame> {
        if !self.started {
            return None;
        }
        let tick = self.tick();
        match self.phase {
            Phase::Silence => {
                if self.spurt_from().is_some_and(|from| from <= now) {
                    return Some(self.begin_spurt(now, out));
                }
                if now < tick {
                    return None;
                }
                if now - tick > self.frame_time * MAX_CATCH_UP {
                    let step = self.advance(now);
                    return Some(self.silence(step, now - tick, out));
                }
                self.slide(tick);
                Some(self.silence(self.frame_ticks, now - tick, out))
            }
            Phase::Speech if now < tick => None,
            Phase::Speech if self.queue.len() >= self.frame => {
                self.win_back();
                let stood_still = now - tick > self.frame_time * MAX_CATCH_UP;
                let leaves = if stood_still {
                    now
                } else {
                    tick.max(self.ready_at)
                };
                self.stretch = self
                    .stretch
                    .saturating_sub(leaves - (self.nominal + self.frame_time));
                self.delayed += leaves - tick;
                self.slide(leaves);
                Some(self.sound(false, self.frame_ticks, now - leaves, out))
            }
            Phase::Speech => {
                if now < self.patient_until() {
                    return None;
                }
                self.slide(now);
                self.dry_at = (!self.draining).then_some(tick);
                let frame = if self.queue.is_empty() {
                    self.silence(self.frame_ticks, Duration::ZERO, out)
                } else {
                    self.sound(false, self.frame_ticks, Duration::ZERO, out)
                };
                self.end_spurt();
                Some(frame)
            }
        }
    }

    /// From when on a spurt may begin with what waits.
    fn spurt_from(&self) -> Option<Time> {
        if !self.open || self.queue.is_empty() {
            return None;
        }
        let from = if self.has_cushion() || self.draining {
            self.nominal
        } else if self.queue.len() >= self.frame {
            // What comes late has been waited for already.
            let resumes = self
                .dry_at
                .is_some_and(|dry_at| self.ready_at - dry_at <= UNDERRUN);
            self.ready_at
                + if resumes {
                    Duration::ZERO
                } else {
                    self.arrivals.hold()
                }
        } else {
            self.last_push + FLUSH
        };
        let room = MAX_AHEAD.saturating_sub(self.ahead());
        Some(from.max(self.nominal + self.frame_time.saturating_sub(room)))
    }

    /// Whether more than a frame and the cushion waits: an agent that sends ahead needs none.
    fn has_cushion(&self) -> bool {
        self.queue.len() >= self.frame + self.samples_lasting(self.arrivals.hold())
    }

    /// Until when the next frame is waited for before silence takes its place.
    fn patient_until(&self) -> Time {
        let tick = self.nominal + self.frame_time;
        if self.draining || tick - self.last_push > LIVE {
            self.tick()
        } else if self.arrivals.known && !self.live {
            tick + ELASTIC
        } else {
            tick + ELASTIC_UNKNOWN
        }
    }

    fn begin_spurt(&mut self, now: Time, out: &mut [u8; MAX_FRAME]) -> Frame {
        let dry_for = self
            .dry_at
            .take()
            .map(|dry_at| now - dry_at)
            .filter(|&dry_for| dry_for <= UNDERRUN);
        if let Some(dry_for) = dry_for {
            self.counts.underruns += 1;
            self.delayed += dry_for;
            self.stretch = Duration::ZERO;
        } else {
            self.delayed = Duration::ZERO;
            let beyond = self.queue.len().saturating_sub(self.frame);
            let given = self.time_of(beyond) + self.arrivals.hold();
            // A live source is a buffer that is asked by our own clock: it has its own cushion.
            self.stretch = if self.live {
                Duration::ZERO
            } else {
                self.arrivals.target().saturating_sub(given)
            };
        }
        self.phase = Phase::Speech;
        self.spurt_played = self.played;
        self.trim = Trim::NEW;
        // Timestamps tell the time that passed, but never overlap.
        let passed = self.lag + i64::from(self.advance(now));
        let step = passed.max(i64::from(self.frame_ticks));
        self.lag = passed - step;
        self.sound(true, step as u32, Duration::ZERO, out)
    }

    /// Moves the clock to `to` in whole timestamp units and returns how many.
    fn advance(&mut self, to: Time) -> u32 {
        let rate = self.codec.rtp_clock();
        let step = samples_in(to - self.nominal, rate);
        self.nominal += duration_of(step, rate);
        step as u32
    }

    /// The next frame leaves at `at`, a frame's time or more after the last: the clock moves there, timestamps by a frame.
    fn slide(&mut self, at: Time) {
        let rate = self.codec.rtp_clock();
        let tick = self.nominal + self.frame_time;
        let late = samples_in(at - tick, rate);
        self.lag += late as i64;
        self.nominal = tick + duration_of(late, rate);
    }

    fn end_spurt(&mut self) {
        self.phase = Phase::Silence;
    }

    fn silence(&self, step: u32, late: Duration, out: &mut [u8; MAX_FRAME]) -> Frame {
        let len = self.queue.bytes_of(self.frame);
        out[..len].fill(self.format().encoding.silence());
        Frame {
            kind: FrameKind::Silence,
            marker: false,
            step,
            ticks: self.frame_ticks,
            len,
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
        let taken = self.queue.take(self.frame, out);
        let len = self.queue.bytes_of(self.frame);
        out[self.queue.bytes_of(taken)..len].fill(self.format().encoding.silence());
        self.taken += self.units(taken);
        self.played += self.units(taken);
        self.sound_ends = self.nominal + self.frame_time;
        Frame {
            kind: FrameKind::Audio,
            marker,
            step,
            ticks: self.frame_ticks,
            len,
            late,
        }
    }

    /// Leaves out a quiet frame if for a second more has waited than the cushion explains, and it is a delay: that of a live source, or of
    /// sound that came late. What an agent sent ahead is more than it was ever late.
    fn win_back(&mut self) {
        let beyond = self.time_of(self.queue.len() - self.frame);
        let target = self.arrivals.target();
        self.trim.low = self.trim.low.min(beyond);
        self.trim.frames += 1;
        if self.frame_time * self.trim.frames >= TRIM_WINDOW {
            let low = self.trim.low;
            let is_delay = self.live || low <= target + self.frame_time + self.delayed;
            let wanted = is_delay && low > target + TRIM_ABOVE;
            self.trim = Trim {
                wanted,
                ..Trim::NEW
            };
        }
        if self.trim.wanted {
            if beyond < self.frame_time + target {
                self.trim.wanted = false;
            } else if self.queue.is_quiet(self.frame) {
                let skipped = self.queue.skip(self.frame);
                self.taken += self.units(skipped);
                self.delayed = self.delayed.saturating_sub(self.frame_time);
                self.counts.trimmed_frames += 1;
            }
        }
    }
}
