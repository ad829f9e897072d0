//! The caller's sound on its way to the agent: one timeline that follows RTP timestamps sample for sample.
//!
//! Frames are not paced: what is in order ([`Order`]) goes on at once. A gap that later packets have proven is bridged with made sound ([`Concealer`](crate::plc::Concealer));
//! when nothing comes at all, made sound flows every 20 ms, which fades to silence within 60 ms, or the noise that the peer described for its
//! pauses ([`ComfortNoise`](crate::comfort_noise::ComfortNoise)). No jump of a peer makes more than [`MAX_FILL`] at once, and nothing here grows.
//!
//! What was filled in too early (the network stood still, then everything came at once) never costs speech: the late packets go on,
//! and the time is won back from gaps in the timestamps, from quiet frames, and from repeats in voiced sound ([`shorten`](crate::tempo::shorten)).
use crate::clock::{Time, earliest};
use crate::codec::Codec;
use crate::order::{Order, Queued};
use crate::plc::BRIDGE_MS;
use std::time::Duration;
use timeline::Timeline;

mod timeline;

/// Where a frame's sound is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// The caller.
    Heard,
    /// Made to be like the sound around a loss.
    Concealed,
    /// Made as the peer described its noise in a pause.
    Noise,
    /// Nothing was there.
    Silence,
}

/// A stretch of the caller's sound on its way to the agent, at most 60 ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UplinkFrame<'a> {
    /// The codec of the line; it may change in mid-call, if several were negotiated.
    pub codec: Codec,
    /// The payload as it was received; `None` where the sound was made or changed here.
    pub coded: Option<&'a [u8]>,
    /// The sound, decoded.
    pub pcm: &'a [i16],
    /// Samples a second of `pcm`.
    pub rate: u32,
    /// Where this frame begins: ticks of 8 kHz since the start.
    pub position: u64,
    /// Where the sound is from.
    pub fill: Fill,
    /// The peer sent nothing for a while before it, and nothing was lost: what was made meanwhile stands for its silence.
    pub after_pause: bool,
}

impl UplinkFrame<'_> {
    /// How long it lasts, in ticks of 8 kHz.
    pub fn ticks(&self) -> u32 {
        (self.pcm.len() as u64 * u64::from(RATE) / u64::from(self.rate)) as u32
    }

    /// The same stretch of the timeline with nothing in it.
    pub fn silent(self) -> Self {
        static SILENCE: [i16; MAX_SAMPLES] = [0; MAX_SAMPLES];
        UplinkFrame {
            coded: None,
            pcm: &SILENCE[..self.pcm.len().min(MAX_SAMPLES)],
            fill: Fill::Silence,
            ..self
        }
    }
}

/// Ticks of the timeline, in Hz.
const RATE: u32 = 8_000;
/// What is filled in comes by frames of 20 ms.
const FILL_TIME: Duration = Duration::from_millis(20);
/// The most that one packet may cause to be filled in, in ticks: 400 ms.
pub const MAX_FILL: u32 = 3_200;
/// Frames made up for after a pause of the machine.
const MAX_CATCH_UP: u32 = 10;
const MAX_SAMPLES: usize = BRIDGE_MS * 16;

/// What is counted here; cumulative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UplinkCounts {
    /// Packets that came after their place was filled.
    pub late: u64,
    /// Payloads that are none of their codec.
    pub bad_payloads: u64,
    /// Frames of lost sound that the packet behind it had a copy of.
    pub recovered_frames: u64,
    /// Frames of made sound.
    pub concealed_frames: u64,
    /// Frames of described noise.
    pub noise_frames: u64,
    /// Frames of silence.
    pub silence_frames: u64,
    /// Ticks left out again to make up for what was filled in too early.
    pub won_back: u64,
    /// Timestamps that no gap explains.
    pub jumps: u64,
    /// Descriptions of noise that are none.
    pub bad_noise: u64,
}

/// The caller's side of one leg.
#[derive(Debug)]
pub struct Uplink {
    order: Order,
    line: Timeline,
}

impl Uplink {
    /// A timeline whose sound is in `codec` until the peer's first packet tells another.
    pub fn new(codec: Codec) -> Self {
        Uplink {
            order: Order::default(),
            line: Timeline::new(codec),
        }
    }

    /// The peer may send this codec: what it takes to decode it is made now. The first one told before any packet is what silence is in.
    pub fn expect(&mut self, codecs: impl IntoIterator<Item = Codec>) {
        for (index, codec) in codecs.into_iter().enumerate() {
            self.line.decoders.expect(codec);
            self.line.concealer.expect(codec.sample_rate());
            if index == 0 && self.line.next_timestamp.is_none() {
                self.line.set_codec(codec);
            }
        }
    }

    /// The timeline begins; silence flows until the first packet.
    pub fn start(&mut self, now: Time) {
        if !self.line.started {
            self.line.started = true;
            self.line.next_fill = now + FILL_TIME;
        }
    }

    /// How unevenly packets come: what a gap waits for its packet follows from it.
    pub fn set_jitter(&mut self, jitter: Duration) {
        self.order.set_jitter(jitter);
        self.line.jitter = jitter;
        self.line.patience = self.order.patience();
    }

    /// Ticks of 8 kHz given out since the start.
    pub fn position(&self) -> u64 {
        self.line.position
    }

    /// What was counted so far.
    pub fn counts(&self) -> UplinkCounts {
        UplinkCounts {
            late: self.order.late(),
            ..self.line.counts
        }
    }

    /// Another stream begins with the next packet (new SSRC, confirmed jump): the timeline goes on where it is.
    pub fn restart(&mut self, now: Time, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        let line = &mut self.line;
        self.order
            .restart(&mut |packet| line.take(now, &packet, out));
        line.restart();
    }

    /// The peer is heard no longer: what is filled in from here is no noise of its pauses.
    pub fn end_pause(&mut self) {
        self.line.pausing = None;
    }

    /// Takes a packet that is no duplicate.
    pub fn receive(&mut self, now: Time, packet: Queued<'_>, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        let line = &mut self.line;
        if line.started {
            self.order
                .receive(now, packet, &mut |packet| line.take(now, &packet, out));
        }
    }

    /// When [`Uplink::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Time> {
        if !self.line.started {
            return None;
        }
        earliest(self.order.next_timeout(), Some(self.next_fill()))
    }

    /// Gives up on gaps whose time is over, and fills in when nothing comes.
    pub fn handle_timeout(&mut self, now: Time, out: &mut dyn FnMut(UplinkFrame<'_>)) {
        if !self.line.started {
            return;
        }
        let line = &mut self.line;
        self.order
            .handle_timeout(now, &mut |packet| line.take(now, &packet, out));
        for _ in 0..MAX_CATCH_UP {
            self.line.next_fill = self.next_fill();
            if self.line.next_fill > now {
                return;
            }
            self.line.flow(self.order.waiting(), out);
        }
        self.line.next_fill = self.line.next_fill.max(now + FILL_TIME);
    }

    /// A gap has its own time; what flows already goes on flowing.
    fn next_fill(&self) -> Time {
        match self.order.next_timeout() {
            Some(gap_closes) if !self.line.filling => self.line.next_fill.max(gap_closes),
            _ => self.line.next_fill,
        }
    }
}
