//! One agent behind a WebSocket, from the upgrade's answer to the end: bytes and `now` in, bytes and calls of a
//! [`WireSink`] out.
//!
//! Audio, marks, clear, digits and the hang-up after playout are handled here in stream order; every other message goes
//! to Python as text. In the steady state nothing is allocated. What an agent can make us hold is bounded everywhere:
//! audio it doesn't read is dropped, oldest first; what it sends too much of, or what makes no sense, is counted and
//! then ends the wire with a reason.

mod dialect;
mod flood;
pub mod json;
mod outgoing;
mod stats;
mod template;
pub mod upgrade;
mod url;
pub mod websocket;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

pub use dialect::{
    ByteOrder, Dialect, DialectError, Formats, Framing, RATES, parse_format, write_format,
};
pub use stats::{Counter, WireStats};
pub use url::{AgentUrl, UrlError};
pub use websocket::FrameError;

use crate::clock::{Time, duration_of, earliest};
use crate::convert::AudioFormat;
use dialect::{Action, Now, Rule};
use flood::{Ahead, Budget};
use json::{Field, FieldId, Fields, RawStr};
use outgoing::{Kind, Outgoing};
use template::{Filling, Template};
use websocket::{Decoder, MaskSource, Message, Opcode};

/// Some encoders leave the padding out, and some leave bits in the last character.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What one wire is made with.
#[derive(Debug, Clone)]
pub struct WireConfig {
    /// How the agent speaks.
    pub dialect: Arc<Dialect>,
    /// The fixed values that the dialect's templates want, by name.
    pub values: Vec<(String, String)>,
    /// The audio each way, from [`Dialect::formats`].
    pub formats: Formats,
    /// Sixteen bytes of the system's randomness for the masking keys (RFC 6455 section 10.3).
    pub mask_seed: [u8; 16],
    /// What the agent may make us hold and do.
    pub limits: WireLimits,
}

/// What an agent may make us hold and do.
#[derive(Debug, Clone, Copy)]
pub struct WireLimits {
    /// The longest message in bytes, fragments together; a longer one ends the wire with 1009.
    pub max_message: usize,
    /// The longest message in bytes that Python is given.
    pub max_text: usize,
    /// The longest name of a mark in bytes.
    pub max_name: usize,
    /// Caller audio in bytes that may wait for a slow reader; then the oldest is dropped.
    pub max_outgoing_audio: usize,
    /// Control messages in bytes that may wait for a slow reader; then the wire ends.
    pub max_outgoing_control: usize,
    /// How long audio may be dropped without the reader ever catching up; then the wire ends.
    pub stall: Duration,
    /// Frames that may come at once, …
    pub burst_frames: u64,
    /// … and each second from then on.
    pub frames_per_second: u64,
    /// Bytes that may come at once, …
    pub burst_bytes: u64,
    /// … and each second from then on.
    pub bytes_per_second: u64,
    /// How far agent audio may be ahead of real time; what is beyond is dropped.
    pub max_ahead: Duration,
    /// Messages beyond these budgets that are counted before the wire ends.
    pub max_flood: u64,
    /// Messages that make no sense that are counted before the wire ends.
    pub max_garbage: u64,
    /// Time between pings; `None` sends none.
    pub ping_interval: Option<Duration>,
    /// How long after a ping at least one byte must have come.
    pub pong_timeout: Duration,
    /// How long the agent may take to answer our close.
    pub close_timeout: Duration,
}

impl Default for WireLimits {
    fn default() -> Self {
        Self {
            max_message: 1 << 20,
            max_text: 64 << 10,
            max_name: 256,
            max_outgoing_audio: 64 << 10,
            max_outgoing_control: 256 << 10,
            stall: Duration::from_secs(10),
            burst_frames: 4_000,
            frames_per_second: 1_000,
            burst_bytes: 16 << 20,
            bytes_per_second: 1 << 20,
            max_ahead: Duration::from_secs(120),
            max_flood: 50,
            max_garbage: 20,
            ping_interval: Some(Duration::from_secs(20)),
            pong_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(2),
        }
    }
}

/// What the agent wants, in the order in which it said so.
pub trait WireSink {
    /// Agent audio in the wire's [`Wire::formats`]`.receive`, whole samples, little-endian.
    fn audio(&mut self, audio: &[u8]);
    /// The agent chose its audio; both directions are as in `formats` from here on.
    fn formats(&mut self, formats: Formats);
    /// Tell when what was queued before has left: call [`Wire::mark_played`] then.
    fn mark(&mut self, name: &str);
    /// Drop what hasn't left. The names of the marks that were dropped go into `dropped`, oldest first.
    fn clear(&mut self, dropped: &mut DroppedMarks) -> Heard;
    /// Send these digits (`0-9 * # A-D`, capitals) to the caller.
    fn dtmf(&mut self, digits: &str);
    /// End the call, once what is queued has left if `after_playout`.
    fn hang_up(&mut self, after_playout: bool);
    /// A message for Python. It comes after what it asks for has been done, if it is one that Rust handles.
    fn text(&mut self, message: &str);
    /// The agent said something that made no sense; it has been counted. At most [`WireLimits::max_garbage`] times.
    fn garbage(&mut self, garbage: Garbage);
    /// The agent speaks `dialect` and not the one that it was dialled with. Told once.
    fn wrong_dialect(&mut self, dialect: &str);
    /// It is over. Told once; what [`Wire::outgoing`] still has may be written, then the socket is to be closed.
    fn closed(&mut self, close: WireClose<'_>);
}

/// How much of the agent's audio the caller heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Milliseconds that had left since the clear before this one, or since the start.
    pub played_ms: u64,
    /// Milliseconds that were dropped.
    pub dropped_ms: u64,
}

/// The names of marks that a clear dropped.
#[derive(Debug, Default)]
pub struct DroppedMarks {
    names: String,
    ends: Vec<usize>,
}

impl DroppedMarks {
    /// Add the name of a mark that was dropped.
    pub fn push(&mut self, name: &str) {
        self.names.push_str(name);
        self.ends.push(self.names.len());
    }

    /// The names, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.names[start..end])
    }

    fn reset(&mut self) {
        self.names.clear();
        self.ends.clear();
    }
}

/// A message of the agent that made no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garbage {
    /// Text that is not JSON.
    NotJson(json::JsonError),
    /// JSON that is no object.
    NotAnObject,
    /// A message does not say of which type it is.
    NoType,
    /// A binary message where the dialect has none.
    UnexpectedBinary,
    /// A message lacks a field, or it is of the wrong type.
    BadField(&'static str),
    /// Audio that is not base64.
    NotBase64,
    /// The name of a mark, or a message for Python, is too long.
    TooLong(&'static str),
    /// Digits that no telephone has.
    NotDigits,
    /// An audio format that the dialect doesn't have.
    UnknownFormat,
}

impl Garbage {
    /// A stable word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotJson(_) | Self::NotAnObject => "not_json",
            Self::NoType => "no_type",
            Self::UnexpectedBinary => "unexpected_binary",
            Self::BadField(_) => "bad_field",
            Self::NotBase64 => "not_base64",
            Self::TooLong(_) => "too_long",
            Self::NotDigits => "bad_digits",
            Self::UnknownFormat => "bad_format",
        }
    }

    /// The status code that ends a wire with too much of it (RFC 6455 section 7.4.1).
    fn close_code(self) -> u16 {
        match self {
            Self::UnexpectedBinary => 1003,
            Self::NotJson(_) | Self::NotAnObject | Self::NotBase64 => 1007,
            _ => 1008,
        }
    }
}

impl fmt::Display for Garbage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(error) => write!(f, "a text message is {error}"),
            Self::NotAnObject => f.write_str("a text message is JSON, but no object"),
            Self::NoType => f.write_str("a message has no type, or its type is no string"),
            Self::UnexpectedBinary => {
                f.write_str("a binary message, but audio is base64 in JSON here")
            }
            Self::BadField(what) => write!(f, "a message lacks {what}, or it is of the wrong type"),
            Self::NotBase64 => f.write_str("the audio of a message is not base64"),
            Self::TooLong(what) => write!(f, "{what} is too long"),
            Self::NotDigits => f.write_str("digits are 0-9 * # A-D, 1 to 64 of them"),
            Self::UnknownFormat => f.write_str("the audio format is none of this protocol"),
        }
    }
}

/// Who ended a wire, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// The agent closed it.
    Agent,
    /// The connection broke.
    Lost,
    /// [`Wire::close`].
    Requested,
    /// The agent didn't read.
    TooSlow,
    /// The agent sent too much.
    Flood,
    /// The agent broke RFC 6455, or sent too much that made no sense.
    ProtocolError,
    /// The agent didn't answer a ping.
    Silent,
}

impl CloseCause {
    /// The word for Python; `None` if it was not we who ended the wire.
    pub fn code(self) -> Option<&'static str> {
        match self {
            Self::Agent | Self::Lost => None,
            Self::Requested => Some("requested"),
            Self::TooSlow => Some("too_slow"),
            Self::Flood => Some("flood"),
            Self::ProtocolError => Some("protocol_error"),
            Self::Silent => Some("silent"),
        }
    }
}

/// How a wire ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireClose<'a> {
    /// Who ended it, and why.
    pub cause: CloseCause,
    /// The status code: the agent's, or the one that we sent if we ended it; 1006 if the connection just broke.
    pub status: u16,
    /// The reason in words: the agent's, or ours.
    pub reason: &'a str,
    /// Whether both sides sent a close frame.
    pub clean: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Open,
    /// We asked to close and wait for the agent's answer.
    Closing {
        deadline: Time,
        status: u16,
        reason: String,
    },
    Closed,
}

/// One agent connection after the upgrade.
#[derive(Debug)]
pub struct Wire {
    decoder: Decoder,
    core: Core,
}

/// All of a wire but its decoder, which lends out the message while it is being handled.
#[derive(Debug)]
struct Core {
    dialect: Arc<Dialect>,
    formats: Formats,
    fixed: Vec<Box<[u8]>>,
    limits: WireLimits,
    stats: Arc<WireStats>,
    state: State,
    masks: MaskSource,
    outgoing: Outgoing,
    /// The message that is being written, before it is masked.
    scratch: Vec<u8>,
    /// Agent audio out of base64 or put together from parts.
    audio: Vec<u8>,
    text: String,
    dropped: DroppedMarks,
    marks: Vec<u8>,
    /// Caller audio that is less than a message.
    pending: Vec<u8>,
    /// The first byte of a sample whose second is in the next message.
    half_sample: Option<u8>,
    sequence: u64,
    chunk: u64,
    sent_samples: u64,
    /// Milliseconds of audio sent in formats before this one.
    sent_before_ms: u64,
    frames: Budget,
    bytes: Budget,
    ahead: Ahead,
    floods: u64,
    garbage: u64,
    told_wrong_dialect: bool,
    dropping_since: Option<Time>,
    too_slow: bool,
    next_ping: Option<Time>,
    silent_at: Option<Time>,
}

impl Wire {
    /// A wire whose upgrade is done. The error names a fixed value that is missing or unknown.
    pub fn new(config: WireConfig, now: Time) -> Result<Self, DialectError> {
        let WireConfig {
            dialect,
            values,
            formats,
            mask_seed,
            limits,
        } = config;
        let wrong = |name: &str, what: &str| DialectError {
            path: format!("values.{name}"),
            message: what.into(),
        };
        if let Some((name, _)) = values
            .iter()
            .find(|(name, _)| !dialect.values().contains(name))
        {
            return Err(wrong(name, "is no value of this dialect"));
        }
        let fixed = dialect.values().iter().map(|name| {
            let value = values
                .iter()
                .find(|(known, _)| known == name)
                .ok_or_else(|| wrong(name, "is missing"))?;
            let mut escaped = Vec::new();
            json::escape_into(&value.1, &mut escaped);
            Ok(escaped.into_boxed_slice())
        });
        let fixed = fixed.collect::<Result<_, DialectError>>()?;
        Ok(Self {
            decoder: Decoder::new(limits.max_message),
            core: Core {
                dialect,
                formats,
                fixed,
                limits,
                stats: Arc::default(),
                state: State::Open,
                masks: MaskSource::new(mask_seed),
                outgoing: Outgoing::default(),
                scratch: Vec::new(),
                audio: Vec::new(),
                text: String::new(),
                dropped: DroppedMarks::default(),
                marks: Vec::new(),
                pending: Vec::new(),
                half_sample: None,
                sequence: 0,
                chunk: 0,
                sent_samples: 0,
                sent_before_ms: 0,
                frames: Budget::new(limits.burst_frames, limits.frames_per_second),
                bytes: Budget::new(limits.burst_bytes, limits.bytes_per_second),
                ahead: Ahead::new(limits.max_ahead),
                floods: 0,
                garbage: 0,
                told_wrong_dialect: false,
                dropping_since: None,
                too_slow: false,
                next_ping: limits.ping_interval.map(|interval| now + interval),
                silent_at: None,
            },
        })
    }

    /// The audio each way, as it is now.
    pub fn formats(&self) -> Formats {
        self.core.formats
    }

    /// The wire's counters, which may be kept and read from any thread.
    pub fn stats(&self) -> &Arc<WireStats> {
        &self.core.stats
    }

    /// Whether [`WireSink::closed`] has been told.
    pub fn is_closed(&self) -> bool {
        self.core.state == State::Closed
    }

    /// Bytes came from the socket.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8], sink: &mut impl WireSink) {
        let Self { decoder, core } = self;
        if core.state == State::Closed {
            return;
        }
        core.stats.received_bytes.add(bytes.len() as u64);
        core.silent_at = None;
        if !core.bytes.spend(now, bytes.len() as u64) {
            core.flood(sink);
        }
        let mut input = bytes;
        let before = decoder.frames();
        let mut charged = 0;
        while core.state != State::Closed {
            let message = match decoder.receive(&mut input) {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => {
                    let reason = error.to_string();
                    core.fail(CloseCause::ProtocolError, error.close_code(), &reason, sink);
                    return;
                }
            };
            core.handle_message(now, message, sink);
            charged += 1;
            core.charge_frames(now, 1, sink);
        }
        // What made no message yet costs, too, so that no number of empty fragments is free.
        core.charge_frames(now, decoder.frames() - before - charged, sink);
    }

    /// The socket has ended or failed.
    pub fn handle_eof(&mut self, sink: &mut impl WireSink) {
        self.core.lose(sink);
    }

    /// The time of [`Self::next_timeout`] has come; earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Time, sink: &mut impl WireSink) {
        let core = &mut self.core;
        match &core.state {
            State::Closed => return,
            State::Closing { deadline, .. } => {
                if *deadline <= now {
                    self.handle_eof(sink);
                }
                return;
            }
            State::Open => {}
        }
        if core.too_slow || core.stalled_at().is_some_and(|at| at <= now) {
            return core.fail(
                CloseCause::TooSlow,
                1008,
                "the agent reads too slowly",
                sink,
            );
        }
        if core.silent_at.is_some_and(|at| at <= now) {
            return core.fail(
                CloseCause::Silent,
                1011,
                "the agent did not answer a ping",
                sink,
            );
        }
        if let (Some(at), Some(interval)) = (core.next_ping, core.limits.ping_interval)
            && at <= now
        {
            core.next_ping = Some(now + interval);
            core.silent_at.get_or_insert(now + core.limits.pong_timeout);
            core.stats.sent_pings.add(1);
            core.control(Opcode::Ping, b"");
        }
    }

    /// When [`Self::handle_timeout`] wants to be called; look again after every call of any other method.
    pub fn next_timeout(&self) -> Option<Time> {
        let core = &self.core;
        match &core.state {
            State::Closed => None,
            State::Closing { deadline, .. } => Some(*deadline),
            State::Open if core.too_slow => Some(Time::ZERO),
            State::Open => earliest(earliest(core.next_ping, core.silent_at), core.stalled_at()),
        }
    }

    /// What is to be written to the socket next.
    pub fn outgoing(&self) -> &[u8] {
        self.core.outgoing.pending()
    }

    /// `count` bytes of [`Self::outgoing`] have been written.
    pub fn sent(&mut self, count: usize) {
        self.core.outgoing.written(count);
        self.core.stats.sent_bytes.add(count as u64);
        if self.core.outgoing.is_empty() {
            self.core.dropping_since = None;
        }
    }

    /// Send caller audio in `formats().send`; it leaves in messages of the dialect's own length.
    pub fn send_audio(&mut self, now: Time, audio: &[u8]) {
        self.core.send_audio(now, audio);
    }

    /// Send a message of Python's. If `numbered`, the first `{sequence}` in it becomes the running number of messages.
    pub fn send_text(&mut self, text: &str, numbered: bool) {
        self.core.send_text(text, numbered);
    }

    /// A mark of the agent has left with the audio before it.
    pub fn mark_played(&mut self, name: &str) {
        self.core.send_template(
            |dialect| dialect.mark.as_ref(),
            Filling {
                name,
                ..Filling::default()
            },
        );
    }

    /// The caller pressed a digit.
    pub fn send_digit(&mut self, digit: char, duration_ms: u64) {
        let mut buffer = [0; 4];
        let digit: &str = digit.encode_utf8(&mut buffer);
        self.core.send_template(
            |dialect| dialect.dtmf.as_ref(),
            Filling {
                digit,
                duration_ms,
                ..Filling::default()
            },
        );
    }

    /// The caller has begun to speak (`speaks`) or has stopped, so long before the end of the audio sent so far.
    pub fn send_speech(&mut self, speaks: bool, ago: Duration) {
        let sent = self.core.timestamp_ms() + self.core.pending_ms();
        let filling = Filling {
            since_ms: sent.saturating_sub(ago.as_millis() as u64),
            ..Filling::default()
        };
        self.core.send_template(
            |dialect| {
                let template = if speaks {
                    &dialect.speech_started
                } else {
                    &dialect.speech_ended
                };
                template.as_ref()
            },
            filling,
        );
    }

    /// Agent audio was dropped because we decided so; [`WireSink::clear`] needs no such call.
    pub fn cleared<'a>(&mut self, heard: Heard, marks: impl IntoIterator<Item = &'a str>) {
        self.core.dropped.reset();
        marks
            .into_iter()
            .for_each(|name| self.core.dropped.push(name));
        self.core.ahead.clear();
        self.core.report_cleared(heard);
    }

    /// Close after what is queued; [`WireSink::closed`] follows when the agent has answered, or soon after.
    ///
    /// `code` is one that RFC 6455 section 7.4 allows on the wire; `reason` is cut at 123 bytes.
    pub fn close(&mut self, now: Time, code: u16, reason: &str) {
        let core = &mut self.core;
        if core.state != State::Open {
            return;
        }
        core.flush_pending(now);
        core.send_close(code, reason);
        let deadline = now + core.limits.close_timeout;
        core.state = State::Closing {
            deadline,
            status: code,
            reason: reason.to_owned(),
        };
    }
}

impl Core {
    fn handle_message(&mut self, now: Time, message: Message<'_>, sink: &mut impl WireSink) {
        self.stats.received_messages.add(1);
        match message {
            Message::Close { code, reason } => self.handle_close(code, reason, sink),
            // After our close the agent may still be talking; only its close counts (RFC 6455 section 1.4).
            _ if self.state != State::Open => {}
            Message::Ping(payload) => {
                let mask = self.masks.next_mask();
                self.stats.sent_messages.add(1);
                self.outgoing.push(Kind::Pong, |out| {
                    websocket::encode(Opcode::Pong, payload, mask, out)
                });
            }
            Message::Pong(_) => self.stats.received_pongs.add(1),
            Message::Binary(bytes) => self.handle_binary(now, bytes, sink),
            Message::Text(text) => {
                if let Err(garbage) = self.handle_text(now, text, sink) {
                    self.garbage(garbage, sink);
                }
            }
        }
    }

    fn handle_close(&mut self, code: u16, reason: &str, sink: &mut impl WireSink) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Closed => {}
            State::Open => {
                self.outgoing.drop_unbegun();
                self.send_close(code, "");
                sink.closed(WireClose {
                    cause: CloseCause::Agent,
                    status: code,
                    reason,
                    clean: true,
                });
            }
            State::Closing { status, reason, .. } => {
                sink.closed(WireClose {
                    cause: CloseCause::Requested,
                    status,
                    reason: &reason,
                    clean: true,
                });
            }
        }
    }

    fn handle_binary(&mut self, now: Time, bytes: &[u8], sink: &mut impl WireSink) {
        match self.dialect.framing {
            Framing::Binary => {
                self.with_audio(|core, audio| core.accept_audio(now, bytes, audio, sink));
            }
            Framing::Base64 => {
                self.garbage(Garbage::UnexpectedBinary, sink);
            }
        }
    }

    fn handle_text(
        &mut self,
        now: Time,
        text: &str,
        sink: &mut impl WireSink,
    ) -> Result<(), Garbage> {
        let dialect = Arc::clone(&self.dialect);
        let fields = dialect.paths.scan(text).map_err(Garbage::NotJson)?;
        if !text
            .trim_start_matches([' ', '\t', '\n', '\r'])
            .starts_with('{')
        {
            return Err(Garbage::NotAnObject);
        }
        let kind = match fields[dialect.kind] {
            Field::Str(kind) => Some(kind),
            _ => None,
        };
        let rule = kind.and_then(|kind| dialect.rules.iter().find(|rule| kind.equals(&rule.kind)));
        let Some(Rule { action, tell, .. }) = rule else {
            let foreign = dialect.foreign.iter().find(|foreign| {
                let has = |field: FieldId| !matches!(fields[field], Field::Missing);
                let spoken = match fields[foreign.field] {
                    Field::Str(found) => foreign.values.iter().any(|value| found.equals(value)),
                    _ => false,
                };
                spoken && foreign.beside.is_none_or(has)
            });
            if let Some(foreign) = foreign.filter(|_| !self.told_wrong_dialect) {
                self.told_wrong_dialect = true;
                sink.wrong_dialect(&foreign.dialect);
            }
            // Bots of other dialects send JSON of their own making past the protocol; nobody there minds.
            if kind.is_none() && foreign.is_none() && dialect.error.is_some() {
                return Err(Garbage::NoType);
            }
            return self.tell(text, sink);
        };
        let acted = self.act(now, *action, &fields, sink);
        // Python is told what Rust could not do, too: it may be reason enough to end the call.
        if *tell && self.state == State::Open {
            self.tell(text, sink)?;
        }
        acted
    }

    fn act(
        &mut self,
        now: Time,
        action: Action,
        fields: &Fields<'_>,
        sink: &mut impl WireSink,
    ) -> Result<(), Garbage> {
        match action {
            Action::Audio { payload } => {
                let payload = string(fields, payload, "its audio payload")?;
                self.with_audio(|core, audio| {
                    let length =
                        decode_base64(payload, audio, &mut core.text).ok_or(Garbage::NotBase64)?;
                    core.accept_decoded(now, length, audio, sink);
                    Ok(())
                })
            }
            Action::Mark { name } => {
                let name = string(fields, name, "the name of the mark")?.text(&mut self.text);
                if name.len() > self.limits.max_name {
                    return Err(Garbage::TooLong("the name of a mark"));
                }
                self.stats.received_marks.add(1);
                sink.mark(name);
                Ok(())
            }
            Action::Clear => {
                self.stats.received_clears.add(1);
                self.ahead.clear();
                self.half_sample = None;
                self.dropped.reset();
                let heard = sink.clear(&mut self.dropped);
                self.report_cleared(heard);
                Ok(())
            }
            Action::Dtmf { digits } => {
                let digits = string(fields, digits, "the digits")?.text(&mut self.text);
                if !(1..=64).contains(&digits.len())
                    || !digits
                        .bytes()
                        .all(|digit| b"0123456789*#ABCDabcd".contains(&digit))
                {
                    return Err(Garbage::NotDigits);
                }
                if digits.bytes().any(|digit| digit.is_ascii_lowercase()) {
                    sink.dtmf(&digits.to_ascii_uppercase());
                } else {
                    sink.dtmf(digits);
                }
                Ok(())
            }
            Action::HangUp { now } => {
                let at_once = match now {
                    Now::Always(at_once) => at_once,
                    Now::If(field) => match fields[field] {
                        Field::Missing | Field::Null => false,
                        Field::Bool(at_once) => at_once,
                        _ => return Err(Garbage::BadField("a plain true or false for now")),
                    },
                };
                sink.hang_up(!at_once);
                Ok(())
            }
            Action::Format { encoding, rate } => {
                self.change_format(fields[encoding], fields[rate], sink)
            }
            Action::Tell => Ok(()),
        }
    }

    /// The agent may name the encoding, the rate, both or neither; what it doesn't name stays.
    fn change_format(
        &mut self,
        encoding: Field<'_>,
        rate: Field<'_>,
        sink: &mut impl WireSink,
    ) -> Result<(), Garbage> {
        let current = self.formats.receive;
        let encoding = match encoding {
            Field::Missing | Field::Null => None,
            Field::Str(encoding) => Some(encoding.text(&mut self.text)),
            _ => return Err(Garbage::BadField("the audio encoding")),
        };
        let rate = match rate {
            Field::Missing | Field::Null => None,
            Field::Number(rate) => Some(rate.parse().map_err(|_| Garbage::UnknownFormat)?),
            _ => return Err(Garbage::BadField("the audio rate as a number")),
        };
        if encoding.is_none() && rate.is_none() {
            return Ok(());
        }
        let format = match encoding {
            None => Some(AudioFormat {
                rate: rate.unwrap_or(current.rate),
                ..current
            })
            .filter(|format| dialect::parse_format(&write_format(format)).is_some()),
            // G.711 has one rate only, so it needs no saying.
            Some("pcm16") => dialect::format_of("pcm16", rate.unwrap_or(current.rate)),
            Some(other) => dialect::format_of(other, rate.unwrap_or(8_000)),
        };
        let formats = format
            .and_then(|format| self.dialect.formats_of(format))
            .ok_or(Garbage::UnknownFormat)?;
        if formats != self.formats {
            self.sent_before_ms = self.timestamp_ms();
            self.sent_samples = 0;
            self.pending.clear();
            self.half_sample = None;
            self.formats = formats;
            sink.formats(formats);
        }
        Ok(())
    }

    /// Audio of a binary message, or any other that is not in `buffer` already.
    fn accept_audio(
        &mut self,
        now: Time,
        bytes: &[u8],
        buffer: &mut Vec<u8>,
        sink: &mut impl WireSink,
    ) {
        let swap = self.dialect.receive_byte_order == ByteOrder::Big;
        let odd = self.formats.receive.encoding.sample_bytes() == 2
            && (bytes.len() % 2 == 1 || self.half_sample.is_some());
        if !odd && !swap {
            return self.deliver(now, bytes, sink);
        }
        buffer.clear();
        buffer.extend_from_slice(bytes);
        self.accept_decoded(now, bytes.len(), buffer, sink);
    }

    /// Audio in the first `length` bytes of `buffer`, which may be more than that long and is not cut.
    fn accept_decoded(
        &mut self,
        now: Time,
        mut length: usize,
        buffer: &mut Vec<u8>,
        sink: &mut impl WireSink,
    ) {
        if self.formats.receive.encoding.sample_bytes() == 2 {
            // A text-to-speech stream that was cut anywhere still makes sense when its odd bytes are joined.
            if let Some(half) = self.half_sample.take() {
                buffer.truncate(length);
                buffer.insert(0, half);
                length += 1;
            }
            if length % 2 == 1 {
                length -= 1;
                self.half_sample = Some(buffer[length]);
            }
            if self.dialect.receive_byte_order == ByteOrder::Big {
                swap_bytes(&mut buffer[..length]);
            }
        }
        self.deliver(now, &buffer[..length], sink);
    }

    /// Take the buffer of agent audio for as long as `self` is needed beside it.
    fn with_audio<T>(&mut self, work: impl FnOnce(&mut Self, &mut Vec<u8>) -> T) -> T {
        let mut audio = std::mem::take(&mut self.audio);
        let result = work(self, &mut audio);
        if audio.capacity() <= websocket::KEEP_CAPACITY {
            self.audio = audio;
        }
        result
    }

    fn deliver(&mut self, now: Time, audio: &[u8], sink: &mut impl WireSink) {
        if audio.is_empty() {
            return;
        }
        let format = self.formats.receive;
        let length = duration_of(
            (audio.len() / format.encoding.sample_bytes()) as u64,
            format.rate,
        );
        if self.ahead.take(now, length) {
            self.stats.received_audio_us.add(length.as_micros() as u64);
            sink.audio(audio);
        } else {
            self.stats
                .received_dropped_us
                .add(length.as_micros() as u64);
            self.flood(sink);
        }
    }

    fn tell(&mut self, text: &str, sink: &mut impl WireSink) -> Result<(), Garbage> {
        if text.len() > self.limits.max_text {
            return Err(Garbage::TooLong("a text message"));
        }
        self.stats.received_texts.add(1);
        sink.text(text);
        Ok(())
    }

    fn garbage(&mut self, garbage: Garbage, sink: &mut impl WireSink) {
        self.stats.received_garbage.add(1);
        self.garbage += 1;
        if self.state != State::Open {
            return;
        }
        if self.garbage > self.limits.max_garbage {
            return self.fail(
                CloseCause::ProtocolError,
                garbage.close_code(),
                &garbage.to_string(),
                sink,
            );
        }
        sink.garbage(garbage);
        if self.dialect.error.is_some() {
            let message = garbage.to_string();
            let filling = Filling {
                code: garbage.code(),
                message: &message,
                ..Filling::default()
            };
            self.send_template(|dialect| dialect.error.as_ref(), filling);
        }
    }

    fn charge_frames(&mut self, now: Time, count: u64, sink: &mut impl WireSink) {
        if count > 0 && !self.frames.spend(now, count) {
            self.flood(sink);
        }
    }

    fn flood(&mut self, sink: &mut impl WireSink) {
        self.stats.received_flood.add(1);
        self.floods += 1;
        if self.floods > self.limits.max_flood && self.state == State::Open {
            self.fail(CloseCause::Flood, 1008, "the agent sends too much", sink);
        }
    }

    /// Nothing more can come.
    fn lose(&mut self, sink: &mut impl WireSink) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Closed => {}
            State::Open => {
                sink.closed(WireClose {
                    cause: CloseCause::Lost,
                    status: 1006,
                    reason: "the connection broke",
                    clean: false,
                });
            }
            State::Closing { status, reason, .. } => {
                sink.closed(WireClose {
                    cause: CloseCause::Requested,
                    status,
                    reason: &reason,
                    clean: false,
                });
            }
        }
    }

    /// End it from our side at once: nothing that waits is worth waiting for.
    fn fail(&mut self, cause: CloseCause, status: u16, reason: &str, sink: &mut impl WireSink) {
        if self.state != State::Open {
            // We have asked to close already, and nothing may follow a close frame (RFC 6455 section 5.5.1).
            return self.lose(sink);
        }
        self.outgoing.drop_unbegun();
        self.send_close(status, reason);
        self.state = State::Closed;
        sink.closed(WireClose {
            cause,
            status,
            reason,
            clean: false,
        });
    }

    fn send_close(&mut self, code: u16, reason: &str) {
        let mask = self.masks.next_mask();
        self.stats.sent_messages.add(1);
        self.outgoing.push(Kind::Control, |out| {
            websocket::encode_close(code, reason, mask, out)
        });
    }

    fn stalled_at(&self) -> Option<Time> {
        self.dropping_since.map(|since| since + self.limits.stall)
    }

    fn timestamp_ms(&self) -> u64 {
        self.sent_before_ms + self.sent_samples * 1_000 / u64::from(self.formats.send.rate)
    }

    /// Milliseconds of caller audio that are less than a message so far.
    fn pending_ms(&self) -> u64 {
        (self.pending.len() / self.formats.send.bytes_in_ms(1).max(1)) as u64
    }

    fn send_audio(&mut self, now: Time, audio: &[u8]) {
        if self.state != State::Open {
            return;
        }
        let frame = self.formats.send.bytes_in_ms(self.dialect.frame_ms);
        let mut rest = audio;
        if !self.pending.is_empty() {
            let take = (frame - self.pending.len()).min(rest.len());
            self.pending.extend_from_slice(&rest[..take]);
            rest = &rest[take..];
            if self.pending.len() < frame {
                return;
            }
            self.flush_pending(now);
        }
        while rest.len() >= frame {
            self.send_frame(now, &rest[..frame]);
            rest = &rest[frame..];
        }
        self.pending.extend_from_slice(rest);
    }

    fn flush_pending(&mut self, now: Time) {
        if !self.pending.is_empty() {
            let mut pending = std::mem::take(&mut self.pending);
            self.send_frame(now, &pending);
            pending.clear();
            self.pending = pending;
        }
    }

    fn send_frame(&mut self, now: Time, frame: &[u8]) {
        let dialect = Arc::clone(&self.dialect);
        let samples = (frame.len() / self.formats.send.encoding.sample_bytes()) as u64;
        let micros = duration_of(samples, self.formats.send.rate).as_micros() as u32;
        let timestamp_ms = self.timestamp_ms();
        self.chunk += 1;
        self.sent_samples += samples;
        let swapped = self.formats.send.encoding.sample_bytes() == 2
            && dialect.send_byte_order == ByteOrder::Big;
        let frame = if swapped {
            self.audio.clear();
            self.audio.extend_from_slice(frame);
            swap_bytes(&mut self.audio);
            &self.audio
        } else {
            frame
        };
        let (opcode, payload) = match &dialect.media {
            None => (Opcode::Binary, frame),
            Some(template) => {
                self.sequence += u64::from(template.is_numbered());
                let filling = Filling {
                    sequence: self.sequence,
                    chunk: self.chunk,
                    timestamp_ms,
                    payload: frame,
                    ..Filling::default()
                };
                self.scratch.clear();
                template.render(&filling, &self.fixed, &mut self.scratch);
                (Opcode::Text, &self.scratch[..])
            }
        };
        let mask = self.masks.next_mask();
        self.outgoing.push(Kind::Audio { micros }, |out| {
            websocket::encode(opcode, payload, mask, out)
        });
        self.stats.sent_messages.add(1);
        self.stats.sent_audio_us.add(u64::from(micros));
        while self.outgoing.audio_bytes() > self.limits.max_outgoing_audio {
            let Some(micros) = self.outgoing.drop_oldest_audio() else {
                break;
            };
            self.stats.sent_dropped_messages.add(1);
            self.stats.sent_dropped_us.add(u64::from(micros));
            self.dropping_since.get_or_insert(now);
        }
    }

    fn send_text(&mut self, text: &str, numbered: bool) {
        const GAP: &str = "{sequence}";
        match text.find(GAP).filter(|_| numbered) {
            None => self.control(Opcode::Text, text.as_bytes()),
            Some(at) => {
                self.sequence += 1;
                let mut scratch = std::mem::take(&mut self.scratch);
                scratch.clear();
                scratch.extend_from_slice(&text.as_bytes()[..at]);
                template::number(self.sequence, &mut scratch);
                scratch.extend_from_slice(&text.as_bytes()[at + GAP.len()..]);
                self.control(Opcode::Text, &scratch);
                self.scratch = scratch;
            }
        }
    }

    fn send_template(
        &mut self,
        pick: impl Fn(&Dialect) -> Option<&Template>,
        filling: Filling<'_>,
    ) {
        let dialect = Arc::clone(&self.dialect);
        let Some(template) = pick(&dialect) else {
            return;
        };
        if self.state != State::Open {
            return;
        }
        self.sequence += u64::from(template.is_numbered());
        let filling = Filling {
            sequence: self.sequence,
            timestamp_ms: self.timestamp_ms(),
            ..filling
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        template.render(&filling, &self.fixed, &mut scratch);
        self.control(Opcode::Text, &scratch);
        self.scratch = scratch;
    }

    fn report_cleared(&mut self, heard: Heard) {
        let mut dropped = std::mem::take(&mut self.dropped);
        let mut marks = std::mem::take(&mut self.marks);
        marks.clear();
        for name in dropped.names() {
            self.send_template(
                |dialect| dialect.dropped_mark.as_ref(),
                Filling {
                    name,
                    ..Filling::default()
                },
            );
            if !marks.is_empty() {
                marks.push(b',');
            }
            marks.push(b'"');
            json::escape_into(name, &mut marks);
            marks.push(b'"');
        }
        let Heard {
            played_ms,
            dropped_ms,
        } = heard;
        let filling = Filling {
            played_ms,
            dropped_ms,
            marks: &marks,
            ..Filling::default()
        };
        self.send_template(|dialect| dialect.cleared.as_ref(), filling);
        dropped.reset();
        self.dropped = dropped;
        self.marks = marks;
    }

    /// Queue a message that must arrive. Once there are too many of them the wire ends at its next timeout, which is
    /// due at once, and no more are taken until then.
    fn control(&mut self, opcode: Opcode, payload: &[u8]) {
        if self.state != State::Open || self.too_slow {
            return;
        }
        let mask = self.masks.next_mask();
        self.stats.sent_messages.add(1);
        self.outgoing.push(Kind::Control, |out| {
            websocket::encode(opcode, payload, mask, out)
        });
        self.too_slow |= self.outgoing.control_bytes() > self.limits.max_outgoing_control;
    }
}

fn string<'a>(
    fields: &Fields<'a>,
    field: FieldId,
    what: &'static str,
) -> Result<RawStr<'a>, Garbage> {
    match fields[field] {
        Field::Str(text) => Ok(text),
        _ => Err(Garbage::BadField(what)),
    }
}

/// Decode into the front of `audio`, which only ever grows, and return the length.
fn decode_base64(payload: RawStr<'_>, audio: &mut Vec<u8>, text: &mut String) -> Option<usize> {
    let payload = match payload.plain() {
        Some(plain) => plain,
        None => {
            // Escaped slashes are PHP's habit, line ends that of MIME encoders.
            payload.text(text);
            text.retain(|character| !character.is_ascii_whitespace());
            text
        }
    };
    let room = payload.len().div_ceil(4) * 3;
    if audio.len() < room {
        audio.resize(room, 0);
    }
    BASE64.decode_slice(payload, audio).ok()
}

fn swap_bytes(samples: &mut [u8]) {
    for sample in samples.chunks_exact_mut(2) {
        sample.swap(0, 1);
    }
}
