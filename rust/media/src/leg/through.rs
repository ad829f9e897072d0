//! When a partner's packets are handed on as they came ([`super::relay`]), and how that begins and ends without a click.
//!
//! It begins behind sound that was decoded and encoded again here, at the very packet that follows it, once the far decoder has heard some of it: nothing
//! is left out or said twice, and the far decoder comes from sound that is almost the same. It ends with whatever can't be handed on. What left
//! last is decoded then and encoded once more, for nobody, so that our encoder goes on where the far decoder is.
use super::passage::{Passage, fade_out};
use super::relay::{Bitrate, Kept, MAX_PASSED, Place, Relay, is_allowed};
use super::{Leg, LegSink, SentFrame};
use crate::clock::Time;
use crate::codec::opus;
use crate::convert::AudioFormat;
use crate::jitter::handover::MAX_HEARD;
use crate::playout::Playout;
use crate::rtp::{HEADER_LEN, Header};
use crate::shelf::Queued;
use crate::srtp::MAX_TRAILER;
use crate::uplink::UplinkFrame;
use std::time::Duration;

/// Frames in a row that the far end got of us, and nothing in them was made up: as long as it takes a decoder to forget what was before.
const LEAD_IN: u32 = 5;
/// Packets in a row that may be handed on, after one that may not: a second of the usual 20 ms.
const REGAINED: u32 = 50;
/// More packets than this never leave at once.
const MAX_AT_ONCE: usize = 10;
/// Behind a pause of the stream that is longer than this there is no sound to fade.
const FADES_WITHIN: Duration = Duration::from_millis(60);
/// The longest packet decoded, in samples.
const MAX_SOUND: usize = opus::MAX_SAMPLES;

/// What a passage knows of packets that may be handed on.
#[derive(Debug)]
pub(super) struct Through {
    /// They are.
    relay: Option<Relay>,
    kept: Kept,
    bitrate: Bitrate,
    /// Frames in a row that leave as they should.
    clean: u32,
    /// Packets in a row that could have been handed on, and how many it takes.
    allowed: u32,
    wanted: u32,
}

impl Through {
    pub fn new() -> Self {
        Through {
            relay: None,
            kept: Kept::new(),
            bitrate: Bitrate::default(),
            clean: 0,
            allowed: 0,
            wanted: 0,
        }
    }

    /// A frame has gone into the playout, or has not, or not as it came.
    pub fn gave(&mut self, clean: bool) {
        self.clean = if clean { self.clean + 1 } else { 0 };
    }

    fn take_note(&mut self, allowed: bool) {
        if allowed {
            self.allowed = self.allowed.saturating_add(1);
        } else {
            (self.allowed, self.wanted) = (0, REGAINED);
        }
    }

    /// Whether what follows the last frame may be handed on, be it `waiting` already.
    fn is_ready(&self, waiting: usize) -> bool {
        let enough = self.allowed > waiting as u32 && self.allowed >= self.wanted;
        self.clean >= LEAD_IN && enough && waiting <= MAX_AT_ONCE
    }
}

impl Passage {
    /// Whether packets are handed on from the next one on, if nothing speaks against it.
    pub(super) fn is_about_to_rest(&self) -> bool {
        let waiting = self.buffer.waiting_packets();
        let through = self.through.as_ref();
        through.is_some_and(|through| through.is_ready(waiting))
    }

    fn relay(&self) -> Option<Relay> {
        self.through.as_ref()?.relay
    }
}

impl Leg {
    /// A packet of the partner's peer; `anew`: another stream begins with it. `whole`: nothing in its sound has to be left out.
    pub fn take_of_partner(
        &mut self,
        now: Time,
        packet: Queued<'_>,
        (anew, whole): (bool, bool),
        sink: &mut impl LegSink,
    ) {
        if !self.started || !self.hears_partner() {
            return;
        }
        if anew {
            self.end_passing(now, false);
        }
        let allowed = whole && self.is_allowed(&packet);
        if self.is_passing() {
            if allowed && self.may_pass() && self.pass_on(now, &packet, sink) {
                return;
            }
            self.end_passing(now, false);
        }
        if let Some(passage) = self.passage.as_deref_mut() {
            if anew {
                passage.restart();
            }
            passage.receive(now, packet);
        }
    }

    /// Whether the partner's packets are handed on as they come.
    pub fn is_passing(&self) -> bool {
        self.playout.is_passing()
    }

    fn is_allowed(&mut self, packet: &Queued<'_>) -> bool {
        let Some((remote, through)) = self.remote.as_ref().zip(
            self.passage
                .as_deref_mut()
                .and_then(|passage| passage.through.as_mut()),
        ) else {
            return false;
        };
        let mut allowed = is_allowed(packet, remote, self.playout.frame_ticks());
        if allowed {
            let ticks = remote.codec.ticks_in(packet.payload);
            through.bitrate.count(packet.payload.len(), ticks);
            allowed = through.bitrate.is_below(remote.opus.ceiling);
        }
        through.take_note(allowed);
        allowed
    }

    /// Whether there is nothing else that has to leave.
    fn may_pass(&self) -> bool {
        let idle = self.playout.is_open() && self.playout.waiting_samples() == 0;
        idle && !self.keys.are_pressed() && self.may_send()
    }

    /// Hands packets on from the next one on, if all is ready for it.
    pub(super) fn begin_passing(&mut self, now: Time, sink: &mut impl LegSink) {
        if !self.playout.is_speaking() || !self.may_pass() {
            return;
        }
        let Some(passage) = self.passage.as_deref_mut() else {
            return;
        };
        let waiting = passage.buffer.waiting_packets();
        let Some(through) = passage.through.as_mut().filter(|own| own.is_ready(waiting)) else {
            return;
        };
        let Some(follows) = passage.buffer.follows() else {
            return;
        };
        let (own, ticks) = (self.sequence, self.playout.lasts());
        let relay = Relay::new(now, self.encoder.codec(), follows, own, ticks);
        through.kept.clear();
        through.relay = Some(relay);
        passage.rest();
        self.playout.begin_passing();
        let mut room = [0; MAX_PASSED];
        for _ in 0..MAX_AT_ONCE {
            let Some(packet) = self
                .passage
                .as_deref_mut()
                .and_then(|passage| passage.buffer.take_waiting(&mut room))
            else {
                return;
            };
            // It may have come before its predecessors, and not be one of those that were looked at last.
            let remote = self.remote.as_ref();
            let ticks = self.playout.frame_ticks();
            let allowed = remote.is_some_and(|remote| is_allowed(&packet, remote, ticks));
            if allowed && self.pass_on(now, &packet, sink) {
                continue;
            }
            self.end_passing(now, false);
            if let Some(passage) = self.passage.as_deref_mut() {
                passage.receive(now, packet);
            }
            return;
        }
    }

    /// Sends a packet of the partner's in our stream; `false` if it has no place there.
    fn pass_on(&mut self, now: Time, packet: &Queued<'_>, sink: &mut impl LegSink) -> bool {
        let Some(target) = self.rtp_target() else {
            return false;
        };
        let passage = self.passage.as_deref_mut();
        let Some(through) = passage.and_then(|passage| passage.through.as_mut()) else {
            return false;
        };
        let Some(relay) = &mut through.relay else {
            return false;
        };
        let ticks = relay.codec.ticks_in(packet.payload);
        let place = relay.place(now, packet, ticks);
        let codec = relay.codec;
        let (sequence, timestamp) = match place {
            Place::Next { sequence, step, .. } => (sequence, self.timestamp.wrapping_add(step)),
            Place::Behind { sequence, before } => (sequence, self.timestamp.wrapping_sub(before)),
            Place::TooLate => return true,
            Place::Leapt => return false,
        };
        let remote = self.remote.as_ref().expect("it says where to");
        let header = Header {
            marker: packet.marker || self.paused,
            payload_type: remote.payload_type,
            sequence,
            timestamp: self.sent_clock.timestamp(timestamp),
            ssrc: self.config.ssrc,
        };
        let len = packet.payload.len();
        let mut bytes = [0; HEADER_LEN + MAX_PASSED + MAX_TRAILER];
        bytes[..HEADER_LEN].copy_from_slice(&header.encode());
        bytes[HEADER_LEN..][..len].copy_from_slice(packet.payload);
        if let Place::Next { step, missing, .. } = place {
            through.kept.keep(packet.payload);
            let pauses = len <= opus::DTX_BYTES;
            self.playout.passed(now, step, ticks, pauses);
            self.timestamp = timestamp;
            self.sequence = sequence.wrapping_add(1);
            self.paused = false;
            if sink.records()
                && let Some(passage) = self.passage.as_deref_mut()
            {
                let mut heard = [0; MAX_HEARD];
                let (made, heard_len) =
                    passage
                        .buffer
                        .listen(codec, missing, packet.payload, &mut heard);
                let rate = codec.sample_rate();
                let begins = timestamp.wrapping_sub((made as u32 * 8_000) / rate);
                record(begins, &heard[..made + heard_len], rate, sink);
            }
        }
        if self.send_rtp(target, &mut bytes, HEADER_LEN + len, sink) {
            // The regularity of what is handed on is the partner's.
            self.regularity.pause();
            self.stats.passed_packets.add(1);
            self.stats.sent_packets.add(1);
            self.stats.sent_audio_packets.add(1);
            self.stats.sent_bytes.add(len as u64);
            self.last_sent = Some(now);
            self.stats.last_sent_ms.set(now.as_nanos() / 1_000_000);
        }
        true
    }

    /// A frame of the partner's timeline: while its packets are handed on that is what is heard here, and may come back.
    pub fn overhear(&mut self, now: Time, frame: &UplinkFrame<'_>) {
        if self.is_passing() {
            self.own_voice.sent(now, frame.pcm, frame.rate);
        }
    }

    /// Whether it is time for something else.
    pub(super) fn settle_passing(&mut self, now: Time) {
        if self.playout.passing_ends_at().is_some_and(|at| at <= now) {
            self.end_passing(now, false);
        }
    }

    /// Packets are handed on no longer. `follows`: something else does at once, and the sound fades before it.
    pub(super) fn end_passing(&mut self, now: Time, follows: bool) {
        if !self.is_passing() {
            return;
        }
        let Self {
            passage,
            playout,
            encoder,
            ..
        } = self;
        let passage = passage.as_deref_mut();
        let ended = passage.and_then(|passage| {
            let relay = passage.relay()?;
            Some((passage, relay))
        });
        let Some((passage, relay)) = ended else {
            return playout.end_passing(&[]);
        };
        let mut sound = [0; MAX_SOUND];
        let mut len = 0;
        passage.buffer.restart();
        let through = passage.through.as_mut().expect("it had the relay");
        through.relay = None;
        through.clean = 0;
        let decoder = passage.buffer.decoder(relay.codec);
        let mut unheard = [0; MAX_PASSED];
        for payload in through.kept.iter() {
            len = decoder.decode(payload, &mut sound);
            if encoder.codec() == relay.codec {
                encoder.encode(&sound[..len], &mut unheard);
            }
        }
        if now - relay.left_at() > FADES_WITHIN {
            len = 0;
        }
        let rate = relay.codec.sample_rate();
        let tail = &mut sound[..len];
        let is_open = follows && playout.is_open();
        if is_open && len > 0 {
            playout.end_passing(&[]);
            let frame = len.min(rate as usize / 50);
            let tail = &mut tail[len - frame..];
            tail.reverse();
            fade_out(tail, rate);
            passage.push(now, playout, tail, rate);
        } else {
            end_with(playout, tail, rate);
        }
    }
}

/// Ends what came past the queue; the last of it fades in the silence behind it.
fn end_with(playout: &mut Playout, tail: &[i16], rate: u32) {
    let format = playout.format();
    let mut bytes = [0; 2 * MAX_SOUND];
    // A change of the codec has changed what the queue holds; then nothing fades.
    let len = if format == AudioFormat::pcm16(rate) {
        write(tail, &mut bytes)
    } else {
        0
    };
    playout.end_passing(&bytes[..len]);
}

fn record(timestamp: u32, sound: &[i16], rate: u32, sink: &mut impl LegSink) {
    let mut bytes = [0; 2 * MAX_HEARD];
    let len = write(sound, &mut bytes);
    let format = AudioFormat::pcm16(rate);
    // A recorder takes a packet's sound at a time.
    let piece = format.bytes_in_ms(20);
    for (n, sound) in bytes[..len].chunks(piece).enumerate() {
        sink.sent(SentFrame {
            timestamp: timestamp.wrapping_add(160 * n as u32),
            begins: false,
            format,
            sound,
            tone: false,
        });
    }
}

fn write(sound: &[i16], bytes: &mut [u8]) -> usize {
    for (pair, sample) in bytes.chunks_exact_mut(2).zip(sound) {
        pair.copy_from_slice(&sample.to_le_bytes());
    }
    2 * sound.len()
}

#[cfg(test)]
mod tests;
