//! One agent behind a WebSocket, from the upgrade's answer to the end: bytes and `now` in, bytes and calls of a
//! [`WireSink`] out.
//!
//! Audio, marks, clear, digits and the hang-up after playout are handled here in stream order; every other message goes
//! to Python as text. In the steady state nothing is allocated. What an agent can make us hold is bounded everywhere:
//! audio it doesn't read is dropped, oldest first; what it sends too much of, or what makes no sense, is counted and
//! then ends the wire with a reason.

mod close;
mod dialect;
mod flood;
mod garbage;
pub mod json;
pub mod mux;
mod outgoing;
mod receive;
pub mod record;
mod send;
mod share;
mod sink;
mod stats;
mod template;
pub mod upgrade;
mod url;
pub mod websocket;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use close::{CloseCause, WireClose};
pub use dialect::{
    ByteOrder, Dialect, DialectError, Formats, Framing, RATES, parse_format, write_format,
};
pub use garbage::Garbage;
pub(crate) use receive::{DTMF_NOT_SENT, DTMF_NOT_SENT_WHY};
pub use sink::{By, DroppedMarks, Heard, Interruption, SpokenOver, WireSink};
pub use stats::{Counter, WireStats};
pub use url::{AgentUrl, UrlError};
pub use websocket::FrameError;

use crate::clock::{Time, earliest};
use flood::{Ahead, Budget};
use outgoing::Outgoing;
use share::Carriage;
use template::Filling;
use websocket::{Decoder, MaskSource, Opcode};

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
    carriage: Carriage,
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
                carriage: Carriage::Socket(MaskSource::new(mask_seed)),
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

    /// Something that the agent asked for was not done.
    pub fn send_error(&mut self, code: &str, message: &str) {
        self.core.send_error(code, message);
    }

    /// The caller has begun to speak (`speaks`) or has stopped, so long before the end of the audio sent so far.
    pub fn send_speech(&mut self, speaks: bool, ago: Duration) {
        let filling = Filling {
            since_ms: self.core.since_ms(ago),
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

    /// An utterance was cut off.
    pub fn interrupted(&mut self, interruption: &Interruption<'_>) {
        self.core.send_interrupted(interruption);
    }

    /// The caller has spoken over `utterance`, beginning so long before the end of the audio sent so far, and the agent's voice goes on.
    pub fn spoken_over(&mut self, what: SpokenOver, utterance: &str, ago: Duration) {
        let filling = Filling {
            utterance,
            since_ms: self.core.since_ms(ago),
            ..Filling::default()
        };
        self.core.send_template(
            |dialect| {
                let template = match what {
                    SpokenOver::BargeIn => &dialect.barge_in,
                    SpokenOver::Backchannel => &dialect.backchannel,
                };
                template.as_ref()
            },
            filling,
        );
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
