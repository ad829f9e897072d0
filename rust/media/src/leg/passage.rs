//! Sound of a line on its way to a line: a playout buffer that is asked by the clock of the line that hears it.
//!
//! A partner's sound is of the moment: what can't be heard now, since a prompt is played, keys are being pressed or the line is on
//! hold, is dropped, never late. Where it begins or ends in the middle it fades ([`FADE`]).
use super::through::Through;
use crate::clock::Time;
use crate::codec::Codec;
use crate::jitter::{FIRST_SPARE, FRAME_TIME, JitterBuffer, JitterCounts, MAX_FRAME};
use crate::playout::{FADE, Playout, scaled};
use crate::shelf::Queued;
use crate::uplink::Fill;
use crate::way::Way;
use std::time::Duration;

/// A tick may come later than even by this much, if packets would be late otherwise: that is less to be heard than longer sound.
const SLIDE: Duration = Duration::from_millis(1);
/// Ticks missed by more than this are not made up for.
const MAX_BEHIND: Duration = Duration::from_millis(100);
/// After something in a partner's sound that is not to be heard, so much of it is left out: what the buffer holds by then, and a frame.
const HUSH: Duration = Duration::from_millis(60);

/// Whose sound it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// That of the line itself: an echo.
    Own,
    /// That of the leg that it is bridged with.
    Partner,
}

/// The way from a line to a line.
#[derive(Debug)]
pub(super) struct Passage {
    origin: Origin,
    pub(super) buffer: JitterBuffer,
    /// `None` until the first packet comes.
    next_tick: Option<Time>,
    way: Way,
    converted: Vec<u8>,
    /// The last frame went into the playout, and not as silence.
    loud: bool,
    /// Where all sound in the playout ended after the last frame of this. What has come behind it is somebody else's.
    pushed_to: Option<u64>,
    /// Where somebody else's sound ends, which is heard first.
    first: u64,
    hush_until: Time,
    /// What is handed on whole, of a partner.
    pub(super) through: Option<Box<Through>>,
}

impl Passage {
    pub fn new(origin: Origin, codecs: impl IntoIterator<Item = Codec>) -> Self {
        let mut buffer = JitterBuffer::new(Codec::Pcmu);
        buffer.let_ticks_slide();
        let mut passage = Passage {
            origin,
            buffer,
            next_tick: None,
            way: Way::default(),
            converted: Vec::with_capacity(4 * MAX_FRAME),
            // An echo begins as its packet does; a partner may be in mid-word.
            loud: origin == Origin::Own,
            pushed_to: None,
            first: 0,
            hush_until: Time::ZERO,
            through: (origin == Origin::Partner).then(|| Box::new(Through::new())),
        };
        passage.expect(codecs);
        passage
    }

    pub fn is_of(&self, origin: Origin) -> bool {
        self.origin == origin
    }

    /// The peer whose sound it is may send these codecs.
    pub fn expect(&mut self, codecs: impl IntoIterator<Item = Codec>) {
        for codec in codecs {
            self.buffer.expect(codec);
        }
    }

    /// Packets go another way from here on: nothing is due, and what comes here later fades in.
    pub fn rest(&mut self) {
        self.next_tick = None;
        self.loud = false;
    }

    /// The stream begins anew.
    pub fn restart(&mut self) {
        self.buffer.restart();
    }

    pub fn receive(&mut self, now: Time, packet: Queued<'_>) {
        self.buffer.put(now, packet);
        self.next_tick.get_or_insert(now + FIRST_SPARE);
    }

    /// What the partner is just saying is not to be heard.
    pub fn hush(&mut self, now: Time) {
        self.hush_until = now + HUSH;
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.next_tick
    }

    /// Gives the line what is due; `keyed`: keys are being pressed on it.
    pub fn handle_timeout(&mut self, now: Time, playout: &mut Playout, keyed: bool) {
        while let Some(tick) = self.next_tick.filter(|&tick| tick <= now) {
            if !self.loud && playout.is_speaking() && playout.next_tick() > tick {
                // It goes on by the clock that frames leave by: sooner would only be delay.
                self.next_tick = Some(playout.next_tick());
                continue;
            }
            let mut sound = [0; MAX_FRAME];
            let made_up = self.counts().concealed_frames;
            let played = self.buffer.play(tick, &mut sound);
            let mut clean = self.loud && self.counts().concealed_frames == made_up;
            let sound = &mut sound[..played.samples];
            if clean && self.is_about_to_rest() {
                self.buffer.end_with_packet(sound);
            }
            // Where nothing is, playout is silent by itself.
            if played.fill != Fill::Silence {
                if self.is_heard(playout, keyed) {
                    self.give(tick, playout, sound, played.rate);
                } else {
                    self.loud = false;
                }
            }
            if let Some(through) = &mut self.through {
                clean &= played.fill == Fill::Heard && self.loud;
                through.gave(clean);
            }
            let mut next = tick + FRAME_TIME + self.buffer.is_short_by().min(SLIDE);
            if now - next > MAX_BEHIND {
                next = now;
            }
            self.next_tick = Some(next);
        }
    }

    /// Whether what the buffer gives out can be heard now.
    fn is_heard(&mut self, playout: &Playout, keyed: bool) -> bool {
        if self.origin == Origin::Own {
            return true;
        }
        let end = playout.end();
        if self.pushed_to != Some(end) {
            self.pushed_to = Some(end);
            self.first = end;
        }
        playout.is_open() && !keyed && playout.left() >= self.first
    }

    fn give(&mut self, tick: Time, playout: &mut Playout, sound: &mut [i16], rate: u32) {
        let hushed = tick < self.hush_until;
        match (std::mem::replace(&mut self.loud, !hushed), !hushed) {
            (true, true) => {}
            (true, false) => fade_out(sound, rate),
            (false, true) => fade_in(sound, rate),
            (false, false) => sound.fill(0),
        }
        self.push(tick, playout, sound, rate);
    }

    pub(super) fn push(&mut self, tick: Time, playout: &mut Playout, sound: &[i16], rate: u32) {
        let to = playout.format();
        let bytes = self.way.convert_pcm(sound, rate, to, &mut self.converted);
        playout.push(tick, bytes);
        self.pushed_to = Some(playout.end());
    }

    /// Something else follows in the playout: what sounds fades. Where the playout is closed it has done that itself.
    pub fn break_off(&mut self, now: Time, playout: &mut Playout) {
        let Some(tick) = self.next_tick.filter(|_| self.loud && playout.is_open()) else {
            return;
        };
        let mut sound = [0; MAX_FRAME];
        let played = self.buffer.play(tick, &mut sound);
        let sound = &mut sound[..played.samples];
        fade_out(sound, played.rate);
        self.push(now, playout, sound, played.rate);
        self.loud = false;
        self.next_tick = Some(tick + FRAME_TIME);
    }

    pub fn delay(&self) -> Duration {
        self.buffer.delay()
    }

    pub fn counts(&self) -> JitterCounts {
        self.buffer.counts()
    }
}

fn fade_samples(rate: u32) -> usize {
    FADE.as_millis() as usize * rate as usize / 1_000
}

fn fade_in(sound: &mut [i16], rate: u32) {
    let count = fade_samples(rate).min(sound.len());
    for (n, sample) in sound[..count].iter_mut().enumerate() {
        *sample = scaled(*sample, n, count);
    }
}

/// A frame that fades at its beginning, and is silent then.
pub(super) fn fade_out(sound: &mut [i16], rate: u32) {
    let count = fade_samples(rate).min(sound.len());
    for (n, sample) in sound[..count].iter_mut().enumerate() {
        *sample = scaled(*sample, count - n, count);
    }
    sound[count..].fill(0);
}
