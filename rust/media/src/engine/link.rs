//! Where a leg and a wire meet: caller audio to the agent, agent audio, marks, clear and digits to the caller, in the order
//! of the stream, without Python.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use offhook_media_sys::{Poller, SendBatch};

use super::command::{LegCommand, Prompt};
use super::event::{Backlog, Event, Subject, Weight, What};
use super::ports::LegSockets;
use super::transport::Transport;
use crate::claim::{ClaimTable, Glimpse, LegKey, Park, Verdict};
use crate::clock::Time;
use crate::codec::Encoding;
use crate::convert::{AudioFormat, Converter};
use crate::leg::{Leg, LegEvent, LegSink};
use crate::order::UplinkFrame;
use crate::playout::MarkId;
use crate::wire::{CloseCause, DroppedMarks, Formats, Garbage, Heard, Wire, WireClose, WireSink};

/// Agent audio that came before its wire was connected to a leg, in milliseconds; later audio is dropped.
const EARLY_MS: u32 = 30_000;
/// Things of other kinds that may wait for that.
const EARLY_ITEMS: usize = 1024;
/// The helper thread keeps the time and names the step that took too long; this is for a dial that none has begun.
const DIAL_GRACE: Duration = Duration::from_millis(500);
/// What an event weighs in its wire's backlog beside its text.
const EVENT_WEIGHT: usize = 256;
/// Frames that one input may make due; more wait for the next millisecond.
const FRAMES_PER_INPUT: usize = 8;

/// What every leg and wire of a thread writes to.
pub(super) struct Outbox {
    pub send: SendBatch,
    pub events: Vec<Event>,
    scratch: Vec<u8>,
}

impl Outbox {
    pub fn new() -> Self {
        Self {
            send: SendBatch::new(),
            events: Vec::with_capacity(64),
            scratch: Vec::with_capacity(4096),
        }
    }

    pub fn tell(&mut self, at: Time, subject: Subject, what: What) {
        self.events.push(Event {
            at,
            subject,
            what,
            weight: None,
        });
    }
}

/// The names behind the marks of a playout queue.
#[derive(Default)]
struct Marks {
    last: u64,
    waiting: VecDeque<Mark>,
}

struct Mark {
    id: MarkId,
    /// The wire that set it, or Python.
    wire: Option<u64>,
    name: String,
}

impl Marks {
    fn add(&mut self, wire: Option<u64>, name: &str) -> MarkId {
        self.last += 1;
        let id = MarkId(self.last);
        self.waiting.push_back(Mark {
            id,
            wire,
            name: name.to_owned(),
        });
        id
    }

    /// They leave in order, so the one asked for is at the front unless others were dropped.
    fn take(&mut self, id: MarkId) -> Option<Mark> {
        let index = self.waiting.iter().position(|mark| mark.id == id)?;
        self.waiting.remove(index)
    }
}

/// A converter that is made anew when either of its ends changes.
#[derive(Default)]
struct Way(Option<Converter>);

impl Way {
    fn convert<'a>(
        &mut self,
        from: AudioFormat,
        to: AudioFormat,
        audio: &'a [u8],
        out: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        if from == to {
            return audio;
        }
        let converter = match &mut self.0 {
            Some(converter) if converter.from() == from && converter.to() == to => converter,
            other => other.insert(Converter::new(from, to)),
        };
        out.clear();
        converter.convert(audio, out);
        out
    }

    fn reset(&mut self) {
        if let Some(converter) = &mut self.0 {
            converter.reset();
        }
    }
}

fn line(encoding: Encoding) -> AudioFormat {
    AudioFormat {
        encoding,
        rate: crate::playout::LINE_RATE,
    }
}

/// One leg and what belongs to it.
pub(super) struct LegSlot {
    pub id: u64,
    pub index: u32,
    pub sockets: LegSockets,
    /// The number of the wire that it is connected to.
    pub wire: Option<u32>,
    pub overflow: [u32; 2],
    leg: Leg,
    claims: ClaimTable,
    park: Park,
    side: Side,
}

/// What a leg's sink needs beside the leg.
#[derive(Default)]
struct Side {
    tap: bool,
    marks: Marks,
    uplink: Way,
    downlink: Way,
    prompt: Way,
    tap_way: Way,
    drain_asked: bool,
    hang_up: bool,
    unreachable: Option<SocketAddr>,
}

/// What happened to a leg.
pub(super) enum LegInput<'a> {
    Rtp(SocketAddr, &'a [u8]),
    Rtcp(SocketAddr, &'a [u8]),
    /// Look whether anything is due.
    Timeout,
    Command(LegCommand),
    Unreachable(SocketAddr),
}

impl LegSlot {
    pub fn new(id: u64, index: u32, leg: Leg, sockets: LegSockets) -> Self {
        let claims = ClaimTable::new();
        Self {
            id,
            index,
            sockets,
            wire: None,
            overflow: [0; 2],
            leg,
            claims,
            park: Park::default(),
            side: Side::default(),
        }
    }

    /// The one leg of its sockets.
    fn key(&self) -> LegKey {
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
        mut wire: Option<&mut WireSlot>,
        out: &mut Outbox,
    ) {
        let key = self.key();
        match input {
            LegInput::Timeout => {}
            LegInput::Rtp(source, packet) => {
                // What is no RTP is the leg's to count.
                let glimpse = Glimpse::of(packet);
                let verdict = glimpse.map(|glimpse| self.claims.receive_rtp(now, source, glimpse));
                match (verdict, glimpse) {
                    (Some(Verdict::Refused(_) | Verdict::Ended), _) => {
                        self.leg.count_refused(false);
                    }
                    (Some(Verdict::Probation(_)), Some(glimpse)) => {
                        for _ in 0..self.park.keep(source, glimpse, packet) {
                            self.leg.count_refused(false);
                        }
                    }
                    (Some(Verdict::Latched(_)), Some(glimpse)) => {
                        let mut park = mem::take(&mut self.park);
                        self.with_sink(now, &mut wire, out, |leg, sink| {
                            leg.follow(now, source, sink);
                            let unused = park.release(source, glimpse, |parked| {
                                leg.handle_rtp(now, source, parked, sink);
                            });
                            for _ in 0..unused {
                                leg.count_refused(false);
                            }
                            leg.handle_rtp(now, source, packet, sink);
                        });
                    }
                    _ => self.with_sink(now, &mut wire, out, |leg, sink| {
                        leg.handle_rtp(now, source, packet, sink);
                    }),
                }
            }
            LegInput::Rtcp(source, packet) => match self.claims.receive_rtcp(source) {
                Verdict::Refused(_) | Verdict::Probation(_) | Verdict::Ended => {
                    self.leg.count_refused(true);
                }
                verdict => self.with_sink(now, &mut wire, out, |leg, sink| {
                    if matches!(verdict, Verdict::Latched(_)) {
                        leg.follow_rtcp(source);
                    }
                    leg.handle_rtcp(now, source, packet, sink);
                }),
            },
            LegInput::Unreachable(destination) => {
                if self.side.unreachable != Some(destination) {
                    self.side.unreachable = Some(destination);
                    out.tell(
                        now,
                        Subject::Leg(self.id),
                        What::Unreachable { destination },
                    );
                }
            }
            LegInput::Command(command) => self.obey(now, command, wire.as_deref_mut(), key, out),
        }
        for _ in 0..FRAMES_PER_INPUT {
            if self.leg.next_timeout().is_none_or(|at| at > now) {
                break;
            }
            self.with_sink(now, &mut wire, out, |leg, sink| {
                leg.handle_timeout(now, sink)
            });
        }
    }

    /// The last words of a leg that ends.
    pub fn end(&mut self, now: Time, out: &mut Outbox) {
        self.with_sink(now, &mut None, out, |leg, sink| leg.close(now, sink));
    }

    fn obey(
        &mut self,
        now: Time,
        command: LegCommand,
        wire: Option<&mut WireSlot>,
        key: LegKey,
        out: &mut Outbox,
    ) {
        match command {
            LegCommand::SetRemote(both) => {
                let (remote, policy) = *both;
                if self.claims.is_empty() {
                    self.claims.open(key, policy.clone());
                }
                // A collision needs a second leg on these sockets.
                let _ = self.claims.set_remote(
                    key,
                    remote.rtp,
                    remote.rtcp,
                    remote.payload_type_bits(),
                );
                self.leg.set_policy(policy);
                self.leg.set_remote(now, &remote);
            }
            LegCommand::Start { release_after } => self.leg.start(now, release_after),
            LegCommand::Release => self.leg.release(now),
            LegCommand::Echo(on) => self.leg.set_echo(on),
            LegCommand::Tap(on) => self.side.tap = on,
            LegCommand::SendDtmf(digits) => {
                self.leg.send_dtmf(&digits);
            }
            LegCommand::Play(prompt) => self.play(now, &prompt),
            LegCommand::Clear => self.clear_for_python(now, wire, out),
            LegCommand::Drain => {
                self.side.drain_asked = true;
                self.leg.drain();
            }
            // The thread itself does these, since they change its tables.
            LegCommand::Connect(_) | LegCommand::Close => {}
            #[cfg(test)]
            LegCommand::Panic => panic!("asked for by a test"),
        }
    }

    fn play(&mut self, now: Time, prompt: &Prompt) {
        let playout = self.leg.playout();
        let mut converted = Vec::new();
        let to = line(playout.encoding());
        let audio = self.side.prompt.convert(
            AudioFormat::pcm16(prompt.rate),
            to,
            &prompt.pcm16,
            &mut converted,
        );
        playout.push(now, audio);
        if let Some(name) = &prompt.mark {
            playout.push_mark(self.side.marks.add(None, name));
        }
    }

    fn clear_for_python(&mut self, now: Time, wire: Option<&mut WireSlot>, out: &mut Outbox) {
        let mut names: Vec<String> = Vec::new();
        let owner = wire.as_ref().map(|wire| wire.id);
        let heard = self.clear(now, out, |mark| {
            if mark.wire.is_some() && mark.wire == owner {
                names.push(mark.name.clone());
            }
        });
        if let Some(wire) = wire {
            wire.wire.cleared(heard, names.iter().map(String::as_str));
        }
    }

    /// Drop what has not left; each mark that goes with it is shown to `dropped` and told to Python.
    fn clear(&mut self, now: Time, out: &mut Outbox, mut dropped: impl FnMut(&Mark)) -> Heard {
        let Side {
            marks,
            downlink,
            prompt,
            ..
        } = &mut self.side;
        let subject = Subject::Leg(self.id);
        let mut gone = Vec::new();
        let cleared = self
            .leg
            .playout()
            .clear(now, |id| gone.extend(marks.take(id)));
        downlink.reset();
        prompt.reset();
        out.tell(
            now,
            subject,
            What::Cleared {
                played_ms: cleared.played_ms,
                dropped_ms: cleared.dropped_ms,
            },
        );
        for mark in gone {
            dropped(&mark);
            out.tell(
                now,
                subject,
                What::Mark {
                    name: mark.name,
                    played: false,
                },
            );
        }
        Heard {
            played_ms: cleared.played_ms,
            dropped_ms: cleared.dropped_ms,
        }
    }

    /// Agent audio, from the stream or from what waited for the connection.
    fn push_agent_audio(
        &mut self,
        now: Time,
        from: AudioFormat,
        audio: &[u8],
        scratch: &mut Vec<u8>,
    ) {
        let playout = self.leg.playout();
        let audio = self
            .side
            .downlink
            .convert(from, line(playout.encoding()), audio, scratch);
        playout.push(now, audio);
    }

    fn push_agent_mark(&mut self, wire: u64, name: &str) -> bool {
        let id = self.side.marks.add(Some(wire), name);
        let kept = self.leg.playout().push_mark(id);
        if !kept {
            self.side.marks.take(id);
        }
        kept
    }

    /// Hang-up is told once what is queued has left.
    fn hang_up_after_playout(&mut self) {
        self.side.hang_up = true;
        self.leg.drain();
    }

    /// The agent has closed normally: what it said is played to the end and that is told.
    pub fn drain_after_agent(&mut self) {
        self.side.drain_asked = true;
        self.leg.drain();
    }

    /// Join with `wire`: what it has said so far is played first.
    pub fn connect(&mut self, now: Time, wire: &mut WireSlot, out: &mut Outbox) {
        self.side.uplink.reset();
        self.side.downlink.reset();
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
                EarlyItem::Dtmf(digits) => {
                    self.leg.send_dtmf(&digits);
                }
            }
        }
        if early.hang_up {
            self.hang_up_after_playout();
        }
    }

    fn with_sink(
        &mut self,
        now: Time,
        wire: &mut Option<&mut WireSlot>,
        out: &mut Outbox,
        action: impl FnOnce(&mut Leg, &mut LegGlue<'_>),
    ) {
        let wire = wire
            .as_deref_mut()
            .filter(|wire| wire.transport.is_some() && wire.ending.is_none());
        let mut sink = LegGlue {
            now,
            id: self.id,
            sockets: &self.sockets,
            side: &mut self.side,
            wire,
            out,
        };
        action(&mut self.leg, &mut sink);
    }
}

/// What a leg writes to while it handles something.
struct LegGlue<'a> {
    now: Time,
    id: u64,
    sockets: &'a LegSockets,
    side: &'a mut Side,
    wire: Option<&'a mut WireSlot>,
    out: &'a mut Outbox,
}

impl LegSink for LegGlue<'_> {
    fn audio(&mut self, frame: UplinkFrame<'_>) {
        let from = line(frame.codec);
        if let Some(wire) = &mut self.wire {
            let to = wire.wire.formats().send;
            let audio = self
                .side
                .uplink
                .convert(from, to, frame.payload, &mut self.out.scratch);
            wire.wire.send_audio(self.now, audio);
            if !frame.filled && !wire.told_caller_audio {
                wire.told_caller_audio = true;
                self.out
                    .tell(self.now, Subject::Wire(wire.id), What::FirstCallerAudioSent);
            }
        }
        if self.side.tap {
            let scratch = &mut self.out.scratch;
            let audio = self.side.tap_way.convert(
                from,
                AudioFormat::pcm16(from.rate),
                frame.payload,
                scratch,
            );
            let what = What::Audio {
                pcm16: audio.to_vec(),
                position: frame.position,
            };
            self.out.tell(self.now, Subject::Leg(self.id), what);
        }
    }

    fn send_rtp(&mut self, to: SocketAddr, packet: &[u8]) {
        self.out.send.push(&self.sockets.rtp, to, packet);
    }

    fn send_rtcp(&mut self, to: SocketAddr, packet: &[u8]) {
        self.out.send.push(&self.sockets.rtcp, to, packet);
    }

    fn event(&mut self, event: LegEvent) {
        let subject = Subject::Leg(self.id);
        let what = match event {
            LegEvent::FirstPacket { source } => What::FirstPacket { source },
            LegEvent::SourceChanged { source } => What::SourceChanged { source },
            LegEvent::Digit { digit, duration } => {
                let (digit, duration_ms) = (digit.as_char(), duration.as_millis() as u32);
                if let Some(wire) = &mut self.wire {
                    wire.wire.send_digit(digit, u64::from(duration_ms));
                }
                What::Digit { digit, duration_ms }
            }
            LegEvent::FirstAudioSent => What::FirstAgentAudioSent,
            LegEvent::MediaTimeout => What::MediaTimeout,
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

/// One wire and what belongs to it.
pub(super) struct WireSlot {
    pub id: u64,
    /// The leg beside which it was opened.
    pub home: u64,
    /// The number of the leg that it is connected to.
    pub leg: Option<u32>,
    /// The connection, once it is there.
    pub transport: Option<Transport>,
    /// Until when the dial must have come to something.
    pub dial_deadline: Option<Time>,
    pub cancelled: Arc<AtomicBool>,
    /// It is over, but its connection is kept until then: closing one that has unread bytes makes the system answer with
    /// a reset, and a reset takes the reason that we gave away with it.
    pub lingers_until: Option<Time>,
    /// What it is watched for is more than reading.
    pub watches_write: bool,
    /// It is in the list of wires to be written.
    pub dirty: bool,
    /// Its agent is silent, and its first word ends a sleep.
    pub awaited: bool,
    pub ending: Option<Ending>,
    pub token: u64,
    pub wire: Wire,
    early: Early,
    backlog: Backlog,
    text_limit: usize,
    told_caller_audio: bool,
    told_agent_audio: bool,
    flooded: bool,
}

/// How a wire ended.
pub(super) struct Ending {
    pub id: u64,
    pub status: u16,
    pub reason: String,
    pub clean: bool,
    pub code: Option<&'static str>,
    /// The agent closed in the ordinary way, so what it said is played to the end.
    pub normal: bool,
}

#[derive(Default)]
struct Early {
    items: Vec<EarlyItem>,
    audio_bytes: usize,
    hang_up: bool,
}

enum EarlyItem {
    Audio(Vec<u8>),
    Mark(String),
    Dtmf(String),
}

impl WireSlot {
    pub fn new(new: super::command::NewWire, token: u64, now: Time) -> Self {
        Self {
            id: new.id,
            home: new.leg,
            leg: None,
            transport: None,
            dial_deadline: Some(now + new.total_timeout + DIAL_GRACE),
            cancelled: new.cancelled,
            lingers_until: None,
            watches_write: false,
            dirty: false,
            awaited: false,
            ending: None,
            token,
            wire: new.wire,
            early: Early::default(),
            backlog: new.backlog,
            text_limit: new.text_limit,
            told_caller_audio: false,
            told_agent_audio: false,
            flooded: false,
        }
    }

    pub fn next_timeout(&self) -> Option<Time> {
        if self.lingers_until.is_some() {
            self.lingers_until
        } else if self.transport.is_some() {
            self.wire.next_timeout()
        } else {
            self.dial_deadline
        }
    }

    /// Bytes of the agent.
    pub fn handle_bytes(
        &mut self,
        now: Time,
        bytes: &[u8],
        leg: Option<&mut LegSlot>,
        out: &mut Outbox,
    ) {
        self.with_sink(now, leg, out, |wire, sink| {
            wire.handle_bytes(now, bytes, sink)
        });
        if !self.flooded && self.backlog.load(Relaxed) > self.text_limit {
            self.flooded = true;
            self.wire.close(now, 1008, "too many messages");
        }
    }

    /// The connection has ended or failed.
    pub fn handle_eof(&mut self, now: Time, leg: Option<&mut LegSlot>, out: &mut Outbox) {
        self.with_sink(now, leg, out, |wire, sink| wire.handle_eof(sink));
    }

    pub fn handle_timeout(&mut self, now: Time, leg: Option<&mut LegSlot>, out: &mut Outbox) {
        self.with_sink(now, leg, out, |wire, sink| wire.handle_timeout(now, sink));
    }

    fn with_sink(
        &mut self,
        now: Time,
        leg: Option<&mut LegSlot>,
        out: &mut Outbox,
        action: impl FnOnce(&mut Wire, &mut WireGlue<'_>),
    ) {
        let mut sink = WireGlue {
            now,
            id: self.id,
            home: self.home,
            receive: self.wire.formats().receive,
            leg,
            early: &mut self.early,
            backlog: &self.backlog,
            told_audio: &mut self.told_agent_audio,
            flooded: self.flooded,
            ending: &mut self.ending,
            out,
        };
        action(&mut self.wire, &mut sink);
    }

    /// Write what waits; whether more waits than went is what it is watched for afterwards. An error ends it.
    pub fn flush(&mut self, poller: &mut Poller) -> std::io::Result<()> {
        let Some(transport) = &mut self.transport else {
            return Ok(());
        };
        loop {
            let bytes = self.wire.outgoing();
            let result = if bytes.is_empty() {
                transport.flush().map(|()| 0)
            } else {
                transport.write(bytes)
            };
            match result {
                Ok(0) if bytes.is_empty() => break,
                Ok(count) => self.wire.sent(count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let wants_write = transport.wants_write() || !self.wire.outgoing().is_empty();
        if wants_write != self.watches_write {
            self.watches_write = wants_write;
            let interest = if wants_write {
                offhook_media_sys::Interest::BOTH
            } else {
                offhook_media_sys::Interest::READ
            };
            poller.change(transport.descriptor(), self.token, interest)?;
        }
        Ok(())
    }
}

/// What a wire writes to while it handles something.
struct WireGlue<'a> {
    now: Time,
    id: u64,
    home: u64,
    receive: AudioFormat,
    leg: Option<&'a mut LegSlot>,
    early: &'a mut Early,
    backlog: &'a Backlog,
    told_audio: &'a mut bool,
    flooded: bool,
    ending: &'a mut Option<Ending>,
    out: &'a mut Outbox,
}

impl WireGlue<'_> {
    /// Whether the agent has asked to hang up. What it sends after that is not waited for: an agent that says back what
    /// it hears would never come to its end.
    fn has_hung_up(&self) -> bool {
        match &self.leg {
            Some(leg) => leg.side.hang_up,
            None => self.early.hang_up,
        }
    }

    fn tell(&mut self, what: What) {
        self.out.tell(self.now, Subject::Wire(self.id), what);
    }

    fn tell_weighed(&mut self, bytes: usize, what: What) {
        let weight = Some(Weight::new(self.backlog, bytes + EVENT_WEIGHT));
        self.out.events.push(Event {
            at: self.now,
            subject: Subject::Wire(self.id),
            what,
            weight,
        });
    }
}

impl WireSink for WireGlue<'_> {
    fn audio(&mut self, audio: &[u8]) {
        if !*self.told_audio {
            *self.told_audio = true;
            self.tell(What::FirstAudioReceived);
        }
        if self.has_hung_up() {
            return;
        }
        match &mut self.leg {
            Some(leg) => leg.push_agent_audio(self.now, self.receive, audio, &mut self.out.scratch),
            None if self.early.audio_bytes + audio.len() <= self.receive.bytes_in_ms(EARLY_MS) => {
                self.early.audio_bytes += audio.len();
                if let Some(EarlyItem::Audio(waiting)) = self.early.items.last_mut() {
                    waiting.extend_from_slice(audio);
                } else if self.early.items.len() < EARLY_ITEMS {
                    self.early.items.push(EarlyItem::Audio(audio.to_vec()));
                }
            }
            None => {}
        }
    }

    fn formats(&mut self, formats: Formats) {
        // What waits was said in the format before.
        if self.receive != formats.receive {
            self.early
                .items
                .retain(|item| !matches!(item, EarlyItem::Audio(_)));
            self.early.audio_bytes = 0;
        }
        self.receive = formats.receive;
    }

    fn mark(&mut self, name: &str) {
        if self.has_hung_up() {
            return;
        }
        let kept = match &mut self.leg {
            Some(leg) => leg.push_agent_mark(self.id, name),
            None if self.early.items.len() < EARLY_ITEMS => {
                self.early.items.push(EarlyItem::Mark(name.to_owned()));
                true
            }
            None => false,
        };
        if !kept {
            let detail = "too many marks are waiting; one was dropped".to_owned();
            self.tell_weighed(
                0,
                What::ProtocolError {
                    code: "too_many_marks",
                    detail,
                },
            );
        }
    }

    fn clear(&mut self, dropped: &mut DroppedMarks) -> Heard {
        let id = self.id;
        match &mut self.leg {
            Some(leg) => leg.clear(self.now, self.out, |mark| {
                if mark.wire == Some(id) {
                    dropped.push(&mark.name);
                }
            }),
            None => {
                let dropped_ms = (self.early.audio_bytes / self.receive.bytes_in_ms(1)) as u64;
                for item in self.early.items.drain(..) {
                    if let EarlyItem::Mark(name) = item {
                        dropped.push(&name);
                    }
                }
                self.early.audio_bytes = 0;
                Heard {
                    played_ms: 0,
                    dropped_ms,
                }
            }
        }
    }

    fn dtmf(&mut self, digits: &str) {
        if self.has_hung_up() {
            return;
        }
        match &mut self.leg {
            Some(leg) => {
                leg.leg.send_dtmf(digits);
            }
            None if self.early.items.len() < EARLY_ITEMS => {
                self.early.items.push(EarlyItem::Dtmf(digits.to_owned()))
            }
            None => {}
        }
    }

    fn hang_up(&mut self, after_playout: bool) {
        match &mut self.leg {
            Some(leg) if after_playout => leg.hang_up_after_playout(),
            None if after_playout => self.early.hang_up = true,
            _ => self
                .out
                .tell(self.now, Subject::Leg(self.home), What::HangUpRequested),
        }
    }

    fn text(&mut self, message: &str) {
        if !self.flooded {
            self.tell_weighed(
                message.len(),
                What::Text {
                    text: message.to_owned(),
                },
            );
        }
    }

    fn garbage(&mut self, garbage: Garbage) {
        let what = What::ProtocolError {
            code: garbage.code(),
            detail: garbage.to_string(),
        };
        self.tell_weighed(0, what);
    }

    fn wrong_dialect(&mut self, dialect: &str) {
        self.tell(What::ProtocolError {
            code: "wrong_dialect",
            detail: dialect.to_owned(),
        });
    }

    fn closed(&mut self, close: WireClose<'_>) {
        let code = if self.flooded {
            Some("flood")
        } else {
            close.cause.code()
        };
        *self.ending = Some(Ending {
            id: self.id,
            status: close.status,
            reason: close.reason.to_owned(),
            clean: close.clean,
            code,
            normal: close.cause == CloseCause::Agent && matches!(close.status, 1000 | 1005),
        });
    }
}
