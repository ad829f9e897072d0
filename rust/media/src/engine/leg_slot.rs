//! One leg of a media thread: its RTP and what belongs to it.

use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::command::{DigitMask, LegCommand};
use super::event::{Subject, What};
use super::leg_sink::LegGlue;
use super::marks::Marks;
use super::outbox::Outbox;
use super::ports::Port;
use super::stale::Stale;
use super::wire_slot::{EarlyItem, WireSlot};
use crate::claim::{LegKey, Waited};
use crate::clock::Time;
use crate::leg::{DtmfTones, Leg, Overlap};
use crate::recorder::Tap;
use crate::shelf::Queued;
use crate::srtp::{Protocol, SrtpError};
use crate::tones::Likeness;
use crate::utterance::Cut;
use crate::way::Way;
use crate::wire::{By, DTMF_NOT_SENT, DTMF_NOT_SENT_WHY};

/// Frames that one input may make due; more wait for the next millisecond.
const FRAMES_PER_INPUT: usize = 8;

/// One leg and what belongs to it.
pub(super) struct LegSlot {
    pub id: u64,
    pub index: u32,
    /// The port that our SDP names: what we send leaves from there.
    pub port: Arc<Port>,
    pub places: Places,
    /// The number of the wire that it is connected to.
    pub wire: Option<u32>,
    /// The leg that it is bridged with.
    pub partner: Option<Partner>,
    /// Its partner has changed when it is due.
    pub moved: bool,
    pub leg: Leg,
    pub side: Side,
    /// The address in our SDP, if it is one of this host's: what we send leaves from there.
    source: Option<IpAddr>,
    /// Else the one that the peer sends to.
    local: Option<IpAddr>,
    /// RTCP goes where RTP goes (RFC 5761).
    rtcp_mux: bool,
}

/// The leg that a leg is bridged with, as it looks from here.
pub(super) struct Partner {
    /// The id of the bridge.
    pub bridge: u64,
    pub index: u32,
    /// Whether we are heard there.
    pub heard: bool,
    /// Whether our peer's digits are pressed there.
    pub digits: bool,
}

/// What a leg is joined with.
pub(super) struct Joined<'a> {
    pub wire: Option<&'a mut WireSlot>,
    pub partner: Option<&'a mut LegSlot>,
}

impl Joined<'_> {
    /// The wire, if its agent can be told anything.
    fn speakable(&mut self) -> Option<&mut WireSlot> {
        self.wire
            .as_deref_mut()
            .filter(|wire| wire.is_up() && wire.ending.is_none())
    }
}

/// The numbers of the ports on which a leg has a claim.
pub(super) struct Places {
    pub current: u32,
    /// The one before: what is heard there plays on until the current one is heard.
    pub old: Option<u32>,
    /// The one that SDP is about to name.
    pub next: Option<(u32, Arc<Port>)>,
}

impl Places {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = u32> + use<> {
        let next = self.next.as_ref().map(|(next, _)| *next);
        [Some(self.current), self.old, next].into_iter().flatten()
    }
}

/// What a leg's sink needs beside the leg.
#[derive(Default)]
pub(super) struct Side {
    pub tap: bool,
    pub marks: Marks,
    pub uplink: Way,
    pub downlink: Way,
    pub prompt: Way,
    pub tap_way: Way,
    pub drain_asked: bool,
    pub hang_up: bool,
    pub unreachable: Option<SocketAddr>,
    pub mask: DigitMask,
    /// Tones in the peer's sound are keys.
    pub hears_tones: bool,
    /// The agent is given silence in place of the tones of keys.
    pub removes_tones: bool,
    /// How much the next frame of the caller is like the tones of a key.
    pub tone: Likeness,
    /// The recording and its tap.
    pub recording: Option<(u64, Box<Tap>)>,
    /// What the caller has just done to the agent's voice, to be told once the leg is at rest.
    pub interrupted: Option<Overlap>,
    pub barge_in: Option<Overlap>,
    pub backchannel: Option<Overlap>,
    /// The agent has said something since the leg was looked at last.
    pub spoke: bool,
    /// What the last clear has cut off, until the agent is told.
    pub cut: Option<Cut>,
    /// What still comes of it.
    pub stale: Option<Stale>,
}

/// What happened to a leg. Packets are those that its claim has accepted.
pub(super) enum LegInput<'a> {
    /// RTP; `latched` says that the leg listens to this source from here.
    Rtp {
        source: SocketAddr,
        /// The address of ours that it came to, where the socket is bound to all of them.
        local: Option<IpAddr>,
        packet: &'a [u8],
        latched: bool,
    },
    /// RTP that had to wait until it was known whose it is.
    Waited(Waited),
    /// RTCP, as for RTP.
    Rtcp {
        source: SocketAddr,
        packet: &'a [u8],
        latched: bool,
    },
    /// A packet for its port that its claim refuses; `error` says why it could not be opened, where that was the reason.
    Refused {
        protocol: Protocol,
        error: Option<SrtpError>,
    },
    /// What came from its source and is neither RTP nor RTCP.
    Garbage(SocketAddr, &'a [u8]),
    /// Look whether anything is due.
    Timeout,
    Command(LegCommand),
    Unreachable(SocketAddr),
}

impl LegSlot {
    pub fn new(
        id: u64,
        index: u32,
        leg: Leg,
        port: (u32, Arc<Port>),
        source: Option<IpAddr>,
    ) -> Self {
        Self {
            id,
            index,
            port: port.1,
            places: Places {
                current: port.0,
                old: None,
                next: None,
            },
            wire: None,
            partner: None,
            moved: false,
            leg,
            side: Side::default(),
            source,
            local: None,
            rtcp_mux: false,
        }
    }

    /// Its name in the claims of its ports.
    pub fn key(&self) -> LegKey {
        LegKey(self.index)
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.leg.next_timeout()
    }

    /// Whether the agent's sound is leaving.
    pub fn is_speaking(&self) -> bool {
        self.leg.playout_state().is_speaking()
    }

    /// Handle one input and all that it makes due.
    pub fn handle(
        &mut self,
        now: Time,
        input: LegInput<'_>,
        mut joined: Joined<'_>,
        out: &mut Outbox,
    ) {
        let joined = &mut joined;
        let key = self.key();
        match input {
            LegInput::Timeout => {}
            LegInput::Rtp {
                source,
                local,
                packet,
                latched,
            } => {
                self.local = local;
                self.with_sink(now, joined, out, |leg, sink| {
                    if latched {
                        leg.follow(now, source, sink);
                    }
                    leg.handle_rtp(now, source, packet, sink);
                });
            }
            LegInput::Waited(mut waited) => {
                let whole = waited.bytes.len();
                let len = if waited.opened {
                    whole
                } else {
                    let opened = self.leg.open(now, Protocol::Rtp, &mut waited.bytes);
                    opened.unwrap_or_default()
                };
                if waited.refused_for == Some(key) {
                    self.leg.count_claimed();
                }
                self.with_sink(now, joined, out, |leg, sink| {
                    leg.follow(now, waited.source, sink);
                    leg.handle_rtp(now, waited.source, &waited.bytes[..len], sink);
                });
            }
            LegInput::Rtcp {
                source,
                packet,
                latched,
            } => self.with_sink(now, joined, out, |leg, sink| {
                if latched {
                    leg.follow_rtcp(source);
                }
                leg.handle_rtcp(now, source, packet, sink);
            }),
            LegInput::Refused {
                protocol,
                error: Some(error),
            } => self.with_sink(now, joined, out, |leg, sink| {
                leg.refuse_unauthentic(now, protocol, error, sink);
            }),
            LegInput::Refused {
                protocol,
                error: None,
            } => self.leg.count_refused(protocol == Protocol::Rtcp),
            LegInput::Garbage(source, packet) => self.with_sink(now, joined, out, |leg, sink| {
                leg.handle_rtp(now, source, packet, sink);
            }),
            LegInput::Unreachable(destination) => {
                self.leg.count_unreachable();
                if self.side.unreachable != Some(destination) {
                    self.side.unreachable = Some(destination);
                    out.tell(
                        now,
                        Subject::Leg(self.id),
                        What::Unreachable { destination },
                    );
                }
            }
            LegInput::Command(command) => self.obey(now, command, joined, out),
        }
        if mem::take(&mut self.side.spoke) {
            self.cut_unheard(now, joined.speakable(), out);
        }
        for _ in 0..FRAMES_PER_INPUT {
            if self.leg.next_timeout().is_none_or(|at| at > now) {
                break;
            }
            self.with_sink(now, joined, out, |leg, sink| leg.handle_timeout(now, sink));
        }
    }

    /// The last words of a leg that ends.
    pub fn end(&mut self, now: Time, out: &mut Outbox) {
        let nobody = &mut Joined {
            wire: None,
            partner: None,
        };
        self.with_sink(now, nobody, out, |leg, sink| leg.close(now, sink));
        self.end_recording(now);
    }

    fn obey(&mut self, now: Time, command: LegCommand, joined: &mut Joined<'_>, out: &mut Outbox) {
        match command {
            LegCommand::SetRemote(agreed) => {
                self.rtcp_mux = agreed.remote.rtcp_mux;
                self.side.hears_tones = agreed.remote.dtmf_tones != DtmfTones::Ignored;
                self.side.removes_tones = agreed.remote.dtmf_tones == DtmfTones::Removed;
                self.leg.set_policy(agreed.policy);
                let was_held = self.leg.is_held();
                self.leg.set_remote(now, &agreed.remote);
                if !was_held {
                    self.cut_unheard(now, joined.wire.as_deref_mut(), out);
                } else if !self.leg.is_held() {
                    // Who names no utterances speaks on, and is heard again.
                    self.side.stale = self.side.stale.take().filter(Stale::is_named);
                }
            }
            LegCommand::Music(melody) => self.leg.set_music(melody),
            LegCommand::Start { release_after } => self.leg.start(now, release_after),
            LegCommand::Release => self.leg.release(now),
            LegCommand::Echo(on) => self.leg.set_echo(on),
            LegCommand::BargeIn(policy) => self.leg.set_barge_in(policy),
            LegCommand::Detect(stage, limit_ms) => self.leg.detect(stage, limit_ms),
            LegCommand::Tap(on) => {
                self.side.tap = on;
                self.watch_tones();
            }
            LegCommand::Record(id, tap) => self.record(now, id, tap, out),
            LegCommand::PauseRecording(id, pause) => self.pause_recording(now, id, pause, out),
            LegCommand::StopRecording(id) => {
                if self
                    .side
                    .recording
                    .as_ref()
                    .is_some_and(|(own, _)| *own == id)
                {
                    self.end_recording(now);
                }
            }
            LegCommand::SendDtmf(digits, timing) => {
                self.leg.send_dtmf_timed(&digits, timing);
            }
            LegCommand::Press(digit, duration) => {
                self.with_sink(now, joined, out, |leg, sink| {
                    leg.press(now, digit, duration, sink);
                });
            }
            LegCommand::MaskDigits(mask) => {
                self.side.mask = mask;
                self.watch_tones();
            }
            LegCommand::Play(prompt) => self.play(now, &prompt),
            LegCommand::Clear => {
                let wire = joined.wire.as_deref_mut();
                self.clear_and_tell(now, By::Gateway, Duration::ZERO, wire, out);
            }
            LegCommand::Drain => {
                self.side.drain_asked = true;
                self.leg.drain();
            }
            // The thread itself does these, since they change its tables.
            LegCommand::Connect { .. }
            | LegCommand::Place(_)
            | LegCommand::Unplace
            | LegCommand::Close => {}
            #[cfg(test)]
            LegCommand::Panic => panic!("asked for by a test"),
        }
    }

    fn record(&mut self, now: Time, id: u64, mut tap: Box<Tap>, out: &mut Outbox) {
        self.end_recording(now);
        tap.begin(now);
        self.side.recording = Some((id, tap));
        self.watch_tones();
        out.tell(now, Subject::Recording(id), What::RecordingStarted);
    }

    fn pause_recording(&mut self, now: Time, id: u64, pause: bool, out: &mut Outbox) {
        let Some((_, tap)) = self.side.recording.as_mut().filter(|(own, _)| *own == id) else {
            return;
        };
        let position_ms = tap.lasted(now).as_millis() as u64;
        let what = match pause {
            true if tap.pause() => What::RecordingPaused { position_ms },
            false if tap.resume() => What::RecordingResumed { position_ms },
            _ => return,
        };
        out.tell(now, Subject::Recording(id), what);
    }

    fn end_recording(&mut self, now: Time) {
        if let Some((_, tap)) = self.side.recording.take() {
            tap.end(now);
            self.watch_tones();
        }
    }

    /// Tones matter to a recording, to who taps the leg and to the agent as long as digits are masked.
    fn watch_tones(&mut self) {
        let mask = self.side.mask;
        if let Some((_, tap)) = &mut self.side.recording {
            tap.hold(mask != DigitMask::Off);
        }
        let matters = match mask {
            DigitMask::Off => false,
            DigitMask::Masked => self.side.recording.is_some() || self.side.tap,
            DigitMask::Withheld => true,
        };
        self.leg.watch_tones(matters);
    }

    /// Join with `wire`: what it has said so far is played first.
    pub fn connect(&mut self, now: Time, wire: &mut WireSlot, out: &mut Outbox) {
        self.side.uplink.reset();
        self.side.downlink.reset();
        // What an agent before this one was saying is not what this one says.
        self.end_agent_utterance();
        self.tell_speech(wire);
        let format = wire.wire.formats().receive;
        let early = mem::take(&mut wire.early);
        for item in early.items {
            match item {
                EarlyItem::Audio(audio) => {
                    self.push_agent_audio(now, format, &audio, &mut out.scratch)
                }
                EarlyItem::Mark(name) => {
                    self.push_agent_mark(wire.id, &name);
                }
                EarlyItem::Utterance(utterance) => {
                    self.push_agent_utterance(*utterance);
                }
                EarlyItem::UtteranceEnd => self.end_agent_utterance(),
                EarlyItem::Dtmf(digits, timing) => {
                    if self.leg.send_dtmf_timed(&digits, timing) < digits.len() {
                        wire.wire.send_error(DTMF_NOT_SENT, DTMF_NOT_SENT_WHY);
                    }
                }
            }
        }
        if early.hang_up {
            self.hang_up_after_playout();
        }
    }

    /// The wire's agent hears the caller from here on.
    pub fn open_ears(&mut self, wire: &mut WireSlot) {
        wire.deaf = false;
        self.side.uplink.reset();
        self.tell_speech(wire);
    }

    /// The caller may have begun to speak before there was anybody to tell.
    fn tell_speech(&mut self, wire: &mut WireSlot) {
        if self.leg.voice().is_speech() && !wire.told_speech && !wire.deaf {
            wire.told_speech = true;
            wire.wire.send_speech(true, Duration::ZERO);
        }
    }

    /// A packet of the peer of the leg that it is bridged with; see [`Leg::take_of_partner`].
    pub fn take_of_partner(
        &mut self,
        now: Time,
        packet: Queued<'_>,
        how: (bool, bool),
        out: &mut Outbox,
    ) {
        let nobody = &mut Joined {
            wire: None,
            partner: None,
        };
        self.moved |= self.leg.is_passing();
        self.with_sink(now, nobody, out, |leg, sink| {
            leg.take_of_partner(now, packet, how, sink);
        });
    }

    /// What its partner is just saying is not to be heard.
    pub fn hush_partner(&mut self, now: Time) {
        self.moved |= self.leg.is_passing();
        self.leg.hush_partner(now);
    }

    fn with_sink(
        &mut self,
        now: Time,
        joined: &mut Joined<'_>,
        out: &mut Outbox,
        action: impl FnOnce(&mut Leg, &mut LegGlue<'_>),
    ) {
        let mut sink = LegGlue {
            now,
            id: self.id,
            port: &self.port,
            source: self.source.or(self.local),
            rtcp_mux: self.rtcp_mux,
            side: &mut self.side,
            heard: self.partner.as_ref().is_some_and(|partner| partner.heard),
            digits: self.partner.as_ref().is_some_and(|partner| partner.digits),
            wire: joined
                .wire
                .as_deref_mut()
                .filter(|wire| wire.is_up() && wire.ending.is_none()),
            partner: joined.partner.as_deref_mut(),
            out,
        };
        action(&mut self.leg, &mut sink);
        let side = &self.side;
        if side.interrupted.is_some() || side.barge_in.is_some() || side.backchannel.is_some() {
            self.settle(now, joined.speakable(), out);
        }
    }
}
