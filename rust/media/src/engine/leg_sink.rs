//! What a leg says: sound to its agent, packets to its peer, events to signalling, in the order of the stream.

use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::command::DigitMask;
use super::event::{Event, Subject, Weight, What};
use super::leg_slot::{LegSlot, Side};
use super::outbox::Outbox;
use super::ports::Port;
use super::wire_slot::{EVENT_WEIGHT, WireSlot};
use crate::clock::{Time, duration_of};
use crate::convert::AudioFormat;
use crate::leg::{Fill, LegEvent, LegSink, SentFrame, UplinkFrame};
use crate::playout::MarkId;
use crate::shelf::Queued;
use crate::tones::Likeness;
use crate::vad::Speech;
use crate::vad::listeners::Listeners;
use crate::who_answered::Sign;
use crate::wire::{DTMF_NOT_SENT, DTMF_NOT_SENT_WHY};

/// What an agent is told of a key that it may not know.
const WITHHELD: char = '?';
const FLASH: char = '!';
/// What positions in the timeline of a leg count, in Hz.
const TIMELINE: u32 = 8_000;

/// What a leg writes to while it handles something.
pub(super) struct LegGlue<'a> {
    pub now: Time,
    pub id: u64,
    pub port: &'a Arc<Port>,
    /// The address to send from, on a socket of all addresses.
    pub source: Option<IpAddr>,
    pub rtcp_mux: bool,
    pub side: &'a mut Side,
    pub wire: Option<&'a mut WireSlot>,
    /// Who it is bridged with, whether that leg hears this one, and whether digits are pressed there.
    pub partner: Option<&'a mut LegSlot>,
    pub heard: bool,
    pub digits: bool,
    pub out: &'a mut Outbox,
}

impl LegSink for LegGlue<'_> {
    fn audio(&mut self, frame: UplinkFrame<'_>) {
        let tone = mem::take(&mut self.side.tone);
        let is_tone = tone == Likeness::Tone;
        if self.heard
            && let Some(partner) = &mut self.partner
        {
            partner.leg.overhear(self.now, &frame);
        }
        if let Some((_, tap)) = &mut self.side.recording {
            let hush = is_tone && self.side.mask != DigitMask::Off;
            let frame = if hush { frame.silent() } else { frame };
            tap.heard(self.now, &frame);
        }
        if let Some(wire) = self.wire.as_mut().filter(|wire| !wire.deaf) {
            let withheld = self.side.mask == DigitMask::Withheld && tone > Likeness::None;
            let hush = withheld || is_tone && self.side.removes_tones;
            let frame = if hush { frame.silent() } else { frame };
            let to = wire.wire.formats().send;
            let scratch = &mut self.out.scratch;
            let audio = match frame.coded {
                Some(coded) if frame.codec.encoding() == Some(to.encoding) => coded,
                _ => self
                    .side
                    .uplink
                    .convert_pcm(frame.pcm, frame.rate, to, scratch),
            };
            wire.wire.send_audio(self.now, audio);
            if frame.fill == Fill::Heard && !wire.told_caller_audio {
                wire.told_caller_audio = true;
                self.out
                    .tell(self.now, Subject::Wire(wire.id), What::FirstCallerAudioSent);
            }
        }
        if self.side.tap {
            let hush = self.side.mask != DigitMask::Off && tone > Likeness::None;
            let frame = if hush { frame.silent() } else { frame };
            let scratch = &mut self.out.scratch;
            let to = AudioFormat::pcm16(frame.rate);
            let audio = self
                .side
                .tap_way
                .convert_pcm(frame.pcm, frame.rate, to, scratch);
            let what = What::Audio {
                pcm16: audio.to_vec(),
                position: frame.position,
            };
            self.out.tell(self.now, Subject::Leg(self.id), what);
        }
    }

    fn onward(&mut self, packet: Queued<'_>, anew: bool) {
        if self.heard
            && let Some(partner) = &mut self.partner
        {
            let side = &self.side;
            let hushed = side.removes_tones || self.digits && side.hears_tones;
            let whole = !hushed && side.mask == DigitMask::Off;
            partner.take_of_partner(self.now, packet, (anew, whole), self.out);
        }
    }

    fn tone(&mut self, likeness: Likeness) {
        // Who is told of the key is not to hear it, too; nor is who may not know it.
        let known = self.side.removes_tones || self.digits && self.side.hears_tones;
        if likeness == Likeness::Tone
            && (known || self.side.mask != DigitMask::Off)
            && let Some(partner) = &mut self.partner
        {
            partner.hush_partner(self.now);
        }
        self.side.tone = self.side.tone.max(likeness);
        if likeness == Likeness::Tone
            && self.side.mask != DigitMask::Off
            && let Some((_, tap)) = &mut self.side.recording
        {
            tap.hush();
        }
    }

    fn send_rtp(&mut self, to: SocketAddr, packet: &[u8]) {
        self.out.send.push(&self.port.rtp, self.source, to, packet);
    }

    fn keep_open(&mut self, to: SocketAddr) {
        self.out.send.push(&self.port.rtp, self.source, to, &[]);
    }

    fn records(&self) -> bool {
        self.side.recording.is_some()
    }

    fn sent(&mut self, frame: SentFrame<'_>) {
        if let Some((_, tap)) = &mut self.side.recording {
            let hush = frame.tone && self.side.mask != DigitMask::Off;
            let sound = if hush { &[] } else { frame.sound };
            tap.sent(self.now, &SentFrame { sound, ..frame });
        }
    }

    fn send_rtcp(&mut self, to: SocketAddr, packet: &[u8]) {
        let socket = if self.rtcp_mux {
            &self.port.rtp
        } else {
            &self.port.rtcp
        };
        self.out.send.push(socket, self.source, to, packet);
    }

    fn event(&mut self, event: LegEvent) {
        let subject = Subject::Leg(self.id);
        let what = match event {
            LegEvent::FirstPacket { source } => What::FirstPacket { source },
            LegEvent::SourceChanged { source } => What::SourceChanged { source },
            LegEvent::Digit {
                digit,
                duration,
                by,
            } => {
                let key = digit;
                let (digit, duration_ms) = (digit.as_char(), duration.as_millis() as u32);
                let mask = self.side.mask;
                // A flash is no digit to an agent.
                if let Some(wire) = self
                    .wire
                    .as_mut()
                    .filter(|wire| !wire.deaf && digit != FLASH)
                {
                    let told = if mask == DigitMask::Withheld {
                        WITHHELD
                    } else {
                        digit
                    };
                    wire.wire.send_digit(told, u64::from(duration_ms));
                }
                if self.digits
                    && mask != DigitMask::Withheld
                    && let Some(partner) = &mut self.partner
                {
                    partner.press_on(key, duration);
                }
                What::Digit {
                    digit: (mask == DigitMask::Off).then_some(digit),
                    duration_ms,
                    by: by.name(),
                }
            }
            LegEvent::KeyByInfo { digit, duration } => What::KeyByInfo {
                digit: digit.as_char(),
                duration_ms: duration.as_millis() as u32,
            },
            LegEvent::KeysNotSent => {
                if let Some(wire) = &mut self.wire {
                    wire.wire.send_error(DTMF_NOT_SENT, DTMF_NOT_SENT_WHY);
                }
                return;
            }
            LegEvent::Speech(speech) => self.speech(speech),
            LegEvent::Interrupted(overlap) => {
                self.side.interrupted = Some(overlap);
                return;
            }
            LegEvent::BargeIn(overlap) => {
                self.side.barge_in = Some(overlap);
                return;
            }
            LegEvent::Backchannel(overlap) => {
                self.side.backchannel = Some(overlap);
                return;
            }
            LegEvent::WhoAnswered(sign) => match sign {
                Sign::Verdict {
                    who,
                    why,
                    confidence,
                    at_ms,
                    facts,
                } => What::AnsweredBy {
                    who,
                    why,
                    confidence,
                    at_ms,
                    facts,
                },
                Sign::GreetingOver { at_ms, beep } => What::GreetingOver { at_ms, beep },
                Sign::Over => What::DetectionOver,
            },
            LegEvent::FirstAudioSent => What::FirstAgentAudioSent,
            LegEvent::MediaTimeout => What::MediaTimeout,
            LegEvent::Unauthentic { packets } => What::Unauthentic { packets },
            LegEvent::KeyUsedUp => What::KeyUsedUp,
            LegEvent::Drained => {
                if mem::take(&mut self.side.hang_up) {
                    self.out.tell(self.now, subject, What::HangUpRequested);
                }
                if !mem::take(&mut self.side.drain_asked) {
                    return;
                }
                What::Drained
            }
        };
        self.out.tell(self.now, subject, what);
    }

    fn listeners(&mut self) -> Option<&mut Listeners> {
        self.out.listeners.as_mut()
    }

    fn mark(&mut self, mark: MarkId) {
        let Some(mark) = self.side.marks.take(mark) else {
            return;
        };
        let mut weight = None;
        if let Some(wire) = &mut self.wire
            && mark.wire == Some(wire.id)
        {
            wire.wire.mark_played(&mark.name);
            weight = Some(Weight::new(&wire.backlog, EVENT_WEIGHT + mark.name.len()));
        }
        let what = What::Mark {
            name: mark.name,
            played: true,
        };
        self.out.events.push(Event {
            at: self.now,
            subject: Subject::Leg(self.id),
            what,
            weight,
        });
    }
}

impl LegGlue<'_> {
    /// Tell the agent, behind the audio that it has of it; what the event is for Python.
    fn speech(&mut self, speech: Speech) -> What {
        let (speaks, ago) = match speech {
            Speech::Started { position, told } => (true, told.saturating_sub(position)),
            Speech::Ended { position, told, .. } => (false, told.saturating_sub(position)),
        };
        if let Some(wire) = &mut self.wire
            && wire.told_speech != speaks
            && !wire.deaf
        {
            wire.told_speech = speaks;
            wire.wire.send_speech(speaks, duration_of(ago, TIMELINE));
        }
        match speech {
            Speech::Started { position, .. } => What::SpeechStarted { position },
            Speech::Ended {
                position, duration, ..
            } => What::SpeechEnded {
                position,
                duration_ms: duration_of(duration, TIMELINE).as_millis() as u32,
            },
        }
    }
}
