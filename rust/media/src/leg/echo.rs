//! The caller's sound back to the caller: the playout buffer of a line asked by the clock of the same line.
use crate::clock::Time;
use crate::codec::Codec;
use crate::jitter::{FIRST_SPARE, FRAME_TIME, JitterBuffer, JitterCounts, MAX_FRAME};
use crate::playout::Playout;
use crate::shelf::Queued;
use crate::uplink::Fill;
use crate::way::Way;
use std::time::Duration;

/// A tick may come later than even by this much, if packets would be late otherwise: that is less to be heard than longer sound.
const SLIDE: Duration = Duration::from_millis(1);
/// Ticks missed by more than this are not made up for.
const MAX_BEHIND: Duration = Duration::from_millis(100);

/// The way back.
#[derive(Debug)]
pub(super) struct Echo {
    buffer: JitterBuffer,
    /// `None` until the first packet comes.
    next_tick: Option<Time>,
    way: Way,
    converted: Vec<u8>,
}

impl Echo {
    pub fn new(codecs: impl IntoIterator<Item = Codec>) -> Self {
        let mut buffer = JitterBuffer::new(Codec::Pcmu);
        buffer.let_ticks_slide();
        let mut echo = Echo {
            buffer,
            next_tick: None,
            way: Way::default(),
            converted: Vec::with_capacity(4 * MAX_FRAME),
        };
        echo.expect(codecs);
        echo
    }

    /// The peer may send these codecs.
    pub fn expect(&mut self, codecs: impl IntoIterator<Item = Codec>) {
        for codec in codecs {
            self.buffer.expect(codec);
        }
    }

    /// The caller's stream begins anew.
    pub fn restart(&mut self) {
        self.buffer.restart();
    }

    pub fn receive(&mut self, now: Time, packet: Queued<'_>) {
        self.buffer.put(now, packet);
        self.next_tick.get_or_insert(now + FIRST_SPARE);
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.next_tick
    }

    /// Gives the caller what is due.
    pub fn handle_timeout(&mut self, now: Time, playout: &mut Playout) {
        while let Some(tick) = self.next_tick.filter(|&tick| tick <= now) {
            let mut sound = [0; MAX_FRAME];
            let played = self.buffer.play(tick, &mut sound);
            // Where nothing is, playout is silent by itself.
            if played.fill != Fill::Silence {
                self.push(tick, playout, &sound[..played.samples], played.rate);
            }
            let mut next = tick + FRAME_TIME + self.buffer.is_short_by().min(SLIDE);
            if now - next > MAX_BEHIND {
                next = now;
            }
            self.next_tick = Some(next);
        }
    }

    pub fn delay(&self) -> Duration {
        self.buffer.delay()
    }

    pub fn counts(&self) -> JitterCounts {
        self.buffer.counts()
    }

    fn push(&mut self, tick: Time, playout: &mut Playout, sound: &[i16], rate: u32) {
        let to = playout.format();
        let bytes = self.way.convert_pcm(sound, rate, to, &mut self.converted);
        playout.push(tick, bytes);
    }
}
