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
//! - **A frame that is not there yet is awaited for a moment** before silence is put in its place, if the agent has been
//!   sending just now: [`ELASTIC`]. Timestamps go on by one frame; the next marker makes up for the time. No two packets are further apart
//!   than a frame and that. Who looks later than that was late itself ([`OVERSLEPT`]), and gives the agent some time more.
//! - **Only what that patience cannot cover holds a first frame back**: a source whose chunks come more than [`ELASTIC`] apart from even waits for
//!   the difference, while silence goes on leaving. How unevenly a source comes is measured from when its chunks arrive ([`Arrivals`]);
//!   what nobody has measured yet gets [`PlayoutConfig::cushion`]. Where more waits already, nothing is held back.
//! - **The latest chunks decide how much is kept in hand.** Each chunk should be there some time before it leaves: [`MIN_CUSHION`], or a third of the
//!   source's unevenness. If one is not, the frames after it leave [`STRETCH`] later than even until there is so much; if for a second none was even
//!   near to it, they leave [`SHRINK`] earlier than even, as far as timestamps are behind the clock: that gives the far end back what late frames
//!   have cost it. Nothing is cut or put in for any of that.
//! - **Sound is never left out while somebody speaks.** Delay that came from a standstill, or from a source that never pauses and whose clock
//!   is faster than ours ([`Drift`]), but never sound that an agent sent ahead, is won back from quiet frames, if all of a second more than
//!   [`TRIM_ABOVE`] waited beyond the cushion. A pause wins back all of it anyway.
//! - **While the caller may be speaking the voice is lowered** ([`Playout::duck`]) as it leaves, by a gain on what the queue holds, so at once.
//! - **Where loud sound is cut off it fades** within [`FADE`], in the frame that would have been silence: after `clear` with the sound that was dropped, after
//!   an underrun with the last sound once more, backwards. It delays nothing and does not count as played; what an agent said leaves as it is.
use crate::clock::{Time, duration_of, samples_in};
use crate::codec::Codec;
use crate::convert::AudioFormat;
use arrivals::Arrivals;
use drift::Drift;
use duck::Duck;
use fade::Fade;
use queue::Queue;
use std::collections::VecDeque;
use std::time::Duration;
use trim::{TRIM_WINDOW, Trim};

mod arrivals;
mod drift;
mod duck;
mod fade;
mod frame;
mod leaving;
mod passing;
mod queue;
mod trim;

pub use duck::{DOWN, DUCKED, UP};
pub use fade::FADE;
pub(crate) use fade::scaled;
pub use frame::{Cleared, Frame, FrameKind, MarkId, PlayoutConfig, PlayoutCounts};
pub use trim::TRIM_ABOVE;

/// What timestamps count within a leg, in Hz.
pub const LINE_RATE: u32 = crate::codec::TICKS;
/// Bytes of the longest frame: 60 ms of linear samples at 16 kHz.
pub const MAX_FRAME: usize = 1_920;
/// What sound is counted in, whatever its rate: 1/48000 s. A sample of every rate is a whole number of them.
pub const UNITS: u32 = 48_000;
/// How long a tick in mid-speech waits for sound that is just coming.
pub const ELASTIC: Duration = Duration::from_millis(18);
/// Who looks later than this was late itself, and its agent perhaps too: the wait begins anew, once.
const OVERSLEPT: Duration = Duration::from_millis(3);
/// How long less than a frame waits for the rest of it when nothing is being played.
const FLUSH: Duration = Duration::from_millis(40);
/// An agent that pushed within this time is still speaking.
const LIVE: Duration = Duration::from_millis(250);
/// Speech that resumes within this time after running dry was interrupted by us, not by the agent.
const UNDERRUN: Duration = Duration::from_millis(200);
/// How long before it leaves the latest chunk of a steady source should be there.
pub const MIN_CUSHION: Duration = Duration::from_millis(10);
/// How much later than even a frame leaves while the cushion grows.
pub const STRETCH: Duration = Duration::from_millis(1);
/// How much earlier than even a frame leaves while more is in hand than has to be.
pub const SHRINK: Duration = Duration::from_micros(500);
/// So much more in hand than has to be is no reason to leave earlier.
const ENOUGH: Duration = Duration::from_millis(5);
/// How much later than even silence leaves while timestamps are ahead.
pub const REPAY: Duration = Duration::from_millis(2);
/// Timestamps are never ahead of the clock by more than this; a first frame waits rather.
const MAX_AHEAD: Duration = Duration::from_millis(40);
/// Most marks waiting; more is a fault of the agent.
pub const MAX_MARKS: usize = 256;
/// Ticks missed by more frames than this are not made up for: no burst follows a pause of the machine.
const MAX_CATCH_UP: u32 = 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Silence,
    Speech,
    /// Sound comes past the queue; if no more has come by then, silence follows.
    Passing {
        until: Time,
    },
}

/// The queue and the clock of one leg.
#[derive(Debug)]
pub struct Playout {
    codec: Codec,
    /// A frame in samples of the queue, in timestamp units, and in time.
    frame: usize,
    frame_ticks: u32,
    frame_time: Duration,
    /// The same of the frame that left last: another packet time may have been agreed on since.
    last_ticks: u32,
    last_time: Duration,
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
    /// Until when the next frame is waited for though its patience is over.
    grace: Option<Time>,
    sound_ends: Time,
    arrivals: Arrivals,
    /// What is still to be kept in hand more, or less.
    stretch: Duration,
    shrink: Duration,
    /// The least that was in hand since then.
    in_hand: Duration,
    in_hand_since: Time,
    /// How the next silence begins.
    fade: Fade,
    duck: Duck,
    /// The last sound that left, if nothing may follow it.
    last_sound: [u8; 2 * fade::MAX_SAMPLES],
    last_sound_len: usize,
    /// What the sound of this spurt is late because it came late.
    delayed: Duration,
    trim: Trim,
    drift: Drift,
    counts: PlayoutCounts,
}

impl Playout {
    /// An empty queue; nothing leaves before [`Playout::start`].
    pub fn new(config: PlayoutConfig) -> Self {
        let mut playout = Playout {
            codec: config.codec,
            frame: 0,
            frame_ticks: 0,
            frame_time: Duration::ZERO,
            last_ticks: 0,
            last_time: Duration::ZERO,
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
            grace: None,
            sound_ends: Time::ZERO,
            arrivals: Arrivals::new(config.cushion),
            stretch: Duration::ZERO,
            shrink: Duration::ZERO,
            in_hand: Duration::MAX,
            in_hand_since: Time::ZERO,
            fade: Fade::NONE,
            duck: Duck::NONE,
            last_sound: [0; 2 * fade::MAX_SAMPLES],
            last_sound_len: 0,
            delayed: Duration::ZERO,
            trim: Trim::NEW,
            drift: Drift::NEW,
            counts: PlayoutCounts::default(),
        };
        playout.set_format(config.codec, config.ptime_ms);
        playout
    }

    /// Codec and packet time from now on; what waits is rewritten as the new codec wants it. `ptime_ms` is brought into 10 to 60.
    pub fn set_format(&mut self, codec: Codec, ptime_ms: u32) {
        if codec != self.codec {
            self.fade = Fade::NONE;
            self.last_sound_len = 0;
        }
        self.codec = codec;
        self.queue.recode(AudioFormat::of_line(codec));
        // Another rate may have rounded the last sample away.
        let end = self.taken + self.units(self.queue.len());
        self.marks
            .iter_mut()
            .for_each(|(position, _)| *position = end.min(*position));
        let ptime_ms = codec.packet_ms(ptime_ms);
        self.frame_ticks = ptime_ms * LINE_RATE / 1_000;
        self.frame = codec.samples_of_ticks(self.frame_ticks);
        self.frame_time = Duration::from_millis(u64::from(ptime_ms));
        if !self.started {
            self.frame_left();
        }
    }

    /// The next frame follows one of the length that is agreed on now.
    fn frame_left(&mut self) {
        self.last_ticks = self.frame_ticks;
        self.last_time = self.frame_time;
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

    /// The source never pauses and never sends ahead (an echo, a person): it counts as steady from the start, and what waits is delay, as
    /// when its sound had to wait while digits were keyed. Its own buffer ([`crate::jitter`]) knows nothing of that.
    pub fn set_live(&mut self, live: bool) {
        self.live = live;
        self.trim = Trim::NEW;
        if live {
            self.arrivals.is_even();
        }
    }

    /// The clock starts: the first frame is due now.
    pub fn start(&mut self, now: Time) {
        if !self.started {
            self.started = true;
            self.nominal = now.saturating_sub(self.last_time);
        }
    }

    /// Whether the agent's sound may leave. While closed silence leaves and the queue waits.
    pub fn set_open(&mut self, open: bool) {
        if self.open && !open {
            self.break_off();
            self.dry_at = None;
        }
        self.open = open;
    }

    /// Whether the agent's sound may leave.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether sound that comes now begins a talkspurt: nothing waits, and the last sound ended longer ago than an underrun lasts.
    pub fn is_at_rest(&self, now: Time) -> bool {
        self.phase == Phase::Silence && self.queue.is_empty() && now - self.sound_ends > UNDERRUN
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
        if self.is_at_rest(now) {
            self.arrivals.restart(now);
        }
        // A live source is a buffer that is asked by our own clock: it has its own cushion.
        if self.phase == Phase::Speech && !self.live {
            self.regulate(now, waited);
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

    /// A chunk has come behind so many waiting samples: is there enough in hand?
    fn regulate(&mut self, now: Time, waited: usize) {
        let leaves = self.tick() + self.frame_time * (waited / self.frame) as u32;
        let (in_hand, too_late) = (leaves - now, now - leaves);
        let begins = self.tick() + self.time_of(waited);
        self.drift.saw(now, begins - now);
        let margin = self.arrivals.margin();
        // The wait for what is too late counts as a part of it.
        let lacks = (margin + too_late).saturating_sub(in_hand);
        self.stretch = self.stretch.max(lacks);
        self.in_hand = self.in_hand.min(in_hand);
        if self.stretch > Duration::ZERO {
            self.shrink = Duration::ZERO;
        }
        if now - self.in_hand_since >= TRIM_WINDOW {
            if self.in_hand > margin + ENOUGH {
                let behind = duration_of(self.lag.max(0) as u64, LINE_RATE);
                self.shrink = (self.in_hand - margin).min(behind);
            }
            self.in_hand = Duration::MAX;
            self.in_hand_since = now;
        }
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
        let spurt_played = if self.phase == Phase::Speech {
            self.played - self.spurt_played
        } else {
            0
        };
        self.break_off();
        let dropped_samples = self.queue.skip(self.queue.len());
        let dropped = self.units(dropped_samples);
        self.taken += dropped;
        self.duck = Duck::NONE;
        self.generation = self.generation.wrapping_add(1);
        let played = self.played - self.generation_played;
        self.generation_played = self.played;
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

    /// What leaves is lower from the next frame on ([`DUCKED`], within [`DOWN`]): the caller may be speaking.
    pub fn duck(&mut self) {
        self.duck.lower();
    }

    /// It was nothing: the voice comes back within [`UP`].
    pub fn raise(&mut self) {
        self.duck.raise();
    }

    /// Whether what leaves is being made lower.
    pub fn is_ducked(&self) -> bool {
        self.duck.is_lowered()
    }

    /// How much has left since the start in any way, played or dropped: a place in all that was ever pushed, in [`UNITS`] a second.
    pub fn left(&self) -> u64 {
        self.taken
    }

    /// The place in all that was ever pushed where the next sound will be, as [`Playout::left`].
    pub fn end(&self) -> u64 {
        self.taken + self.units(self.queue.len())
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
        self.arrivals.cushion()
    }

    /// What was counted so far.
    pub fn counts(&self) -> PlayoutCounts {
        self.counts
    }
}
