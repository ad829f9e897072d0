//! What comes from the agent, judged and acted on in stream order.
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::dialect::{self, Action, Now, Rule};
use super::json::{Field, FieldId, Fields, RawStr};
use super::outgoing::Kind;
use super::websocket::{self, Message, Opcode};
use super::{
    By, ByteOrder, CloseCause, Core, Framing, Garbage, Interruption, State, WireClose, WireSink,
    write_format,
};
use crate::barge_in::Policy;
use crate::clock::{Time, duration_of};
use crate::convert::AudioFormat;
use crate::telephone_event::KeyTiming;
use crate::utterance::{MAX_ID, MAX_TEXT, MAX_WORDS, Utterance};
use std::time::Duration;

/// The code of the error that an agent gets whose digits can't be sent.
pub(crate) const DTMF_NOT_SENT: &str = "dtmf_not_sent";
/// What it means.
pub(crate) const DTMF_NOT_SENT_WHY: &str = "not all digits can be sent: more than 128 wait, or the caller's side has agreed to no \
     telephone-event and the trunk's dtmf allows no other way";

const DURATION: &str = "duration_ms as a number from 40 to 8000";
const GAP: &str = "gap_ms as a number from 40 to 8000";

/// Some encoders leave the padding out, and some leave bits in the last character.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl Core {
    pub(super) fn handle_message(
        &mut self,
        now: Time,
        message: Message<'_>,
        sink: &mut impl WireSink,
    ) {
        self.stats.received_messages.add(1);
        match message {
            Message::Close { code, reason } => self.handle_close(code, reason, sink),
            // After our close the agent may still be talking; only its close counts (RFC 6455 section 1.4).
            _ if self.state != State::Open => {}
            Message::Ping(payload) => {
                self.stats.sent_messages.add(1);
                let Self {
                    outgoing, carriage, ..
                } = self;
                outgoing.push(Kind::Pong, |out| {
                    carriage.write(Opcode::Pong, 0, payload, out);
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

    pub(super) fn handle_close(&mut self, code: u16, reason: &str, sink: &mut impl WireSink) {
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

    pub(super) fn handle_binary(&mut self, now: Time, bytes: &[u8], sink: &mut impl WireSink) {
        match self.dialect.framing {
            Framing::Binary => {
                self.with_audio(|core, audio| core.accept_audio(now, bytes, audio, sink));
            }
            Framing::Base64 => {
                self.garbage(Garbage::UnexpectedBinary, sink);
            }
        }
    }

    pub(super) fn handle_text(
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

    pub(super) fn act(
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
                if let Some(cut) = sink.cut() {
                    self.send_interrupted(&Interruption {
                        cut: &cut,
                        dropped_ms: heard.dropped_ms,
                        by: By::Agent,
                        ago: Duration::ZERO,
                    });
                }
                Ok(())
            }
            Action::Utterance {
                id,
                text,
                barge_in,
                word_ends_ms,
            } => {
                sink.utterance(Utterance {
                    id: self.utterance_id(fields, id)?,
                    text: self.utterance_text(fields[text])?,
                    word_ends_ms: word_ends(fields[word_ends_ms])?,
                    policy: policy(fields[barge_in], &mut self.text)?,
                });
                Ok(())
            }
            Action::UtteranceEnd => {
                sink.utterance_end();
                Ok(())
            }
            Action::Dtmf {
                digits,
                duration_ms,
                gap_ms,
            } => {
                let usual = KeyTiming::default();
                let optional =
                    |field: Option<FieldId>| field.map_or(Field::Missing, |field| fields[field]);
                let timing = KeyTiming {
                    lasts: millis(optional(duration_ms), DURATION)?.unwrap_or(usual.lasts),
                    gap: millis(optional(gap_ms), GAP)?.unwrap_or(usual.gap),
                };
                let digits = string(fields, digits, "the digits")?.text(&mut self.text);
                if !(1..=64).contains(&digits.len())
                    || !digits
                        .bytes()
                        .all(|digit| b"0123456789*#ABCDabcd".contains(&digit))
                {
                    return Err(Garbage::NotDigits);
                }
                let unsent = if digits.bytes().any(|digit| digit.is_ascii_lowercase()) {
                    sink.dtmf(&digits.to_ascii_uppercase(), timing)
                } else {
                    sink.dtmf(digits, timing)
                };
                if unsent > 0 {
                    self.send_error(DTMF_NOT_SENT, DTMF_NOT_SENT_WHY);
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

    fn utterance_id(&mut self, fields: &Fields<'_>, id: FieldId) -> Result<String, Garbage> {
        let id = string(fields, id, "the id of the utterance")?.text(&mut self.text);
        match id.len() {
            0 => Err(Garbage::BadField("the id of the utterance")),
            1..=MAX_ID => Ok(id.to_owned()),
            _ => Err(Garbage::TooLong("the id of an utterance")),
        }
    }

    fn utterance_text(&mut self, text: Field<'_>) -> Result<String, Garbage> {
        match text {
            Field::Missing | Field::Null => Ok(String::new()),
            Field::Str(text) => {
                let text = text.text(&mut self.text);
                if text.len() > MAX_TEXT {
                    return Err(Garbage::TooLong("the text of an utterance"));
                }
                Ok(text.to_owned())
            }
            _ => Err(Garbage::BadField("the text of the utterance")),
        }
    }

    /// The agent may name the encoding, the rate, both or neither; what it doesn't name stays.
    pub(super) fn change_format(
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
    pub(super) fn accept_audio(
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
    pub(super) fn accept_decoded(
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
    pub(super) fn with_audio<T>(&mut self, work: impl FnOnce(&mut Self, &mut Vec<u8>) -> T) -> T {
        let mut audio = std::mem::take(&mut self.audio);
        let result = work(self, &mut audio);
        if audio.capacity() <= websocket::KEEP_CAPACITY {
            self.audio = audio;
        }
        result
    }

    pub(super) fn deliver(&mut self, now: Time, audio: &[u8], sink: &mut impl WireSink) {
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

    pub(super) fn tell(&mut self, text: &str, sink: &mut impl WireSink) -> Result<(), Garbage> {
        if text.len() > self.limits.max_text {
            return Err(Garbage::TooLong("a text message"));
        }
        self.stats.received_texts.add(1);
        sink.text(text);
        Ok(())
    }

    pub(super) fn garbage(&mut self, garbage: Garbage, sink: &mut impl WireSink) {
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
            self.send_error(garbage.code(), &garbage.to_string());
        }
    }

    pub(super) fn charge_frames(&mut self, now: Time, count: u64, sink: &mut impl WireSink) {
        if count > 0 && !self.frames.spend(now, count) {
            self.flood(sink);
        }
    }

    pub(super) fn flood(&mut self, sink: &mut impl WireSink) {
        self.stats.received_flood.add(1);
        self.floods += 1;
        if self.floods > self.limits.max_flood && self.state == State::Open {
            self.fail(CloseCause::Flood, 1008, "the agent sends too much", sink);
        }
    }

    /// Nothing more can come.
    pub(super) fn lose(&mut self, sink: &mut impl WireSink) {
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
    pub(super) fn fail(
        &mut self,
        cause: CloseCause,
        status: u16,
        reason: &str,
        sink: &mut impl WireSink,
    ) {
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

/// A list of milliseconds, in order.
fn word_ends(field: Field<'_>) -> Result<Vec<u32>, Garbage> {
    let wrong = Garbage::BadField("word_ends_ms as a list of milliseconds");
    let inside = match field {
        Field::Missing | Field::Null => return Ok(Vec::new()),
        Field::Compound(list) => list
            .strip_prefix('[')
            .and_then(|list| list.strip_suffix(']')),
        _ => None,
    };
    let inside = inside.ok_or(wrong)?.trim();
    if inside.is_empty() {
        return Ok(Vec::new());
    }
    let mut ends = Vec::new();
    for end in inside.split(',') {
        let end = end.trim().parse().map_err(|_| wrong)?;
        if ends.len() >= MAX_WORDS || ends.last().is_some_and(|last| *last > end) {
            return Err(wrong);
        }
        ends.push(end);
    }
    Ok(ends)
}

/// A time that may be left out.
fn millis(field: Field<'_>, what: &'static str) -> Result<Option<Duration>, Garbage> {
    let millis = match field {
        Field::Missing | Field::Null => return Ok(None),
        Field::Number(number) => number.parse().ok().map(Duration::from_millis),
        _ => None,
    };
    let possible = millis.filter(|millis| KeyTiming::POSSIBLE.contains(millis));
    possible.map(Some).ok_or(Garbage::BadField(what))
}

fn policy(field: Field<'_>, scratch: &mut String) -> Result<Option<Policy>, Garbage> {
    let wrong = Garbage::BadField("barge_in as off, clear, duck-then-decide or agent");
    match field {
        Field::Missing | Field::Null => Ok(None),
        Field::Str(name) => Policy::parse(name.text(scratch)).map(Some).ok_or(wrong),
        _ => Err(wrong),
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

pub(super) fn swap_bytes(samples: &mut [u8]) {
    for sample in samples.chunks_exact_mut(2) {
        sample.swap(0, 1);
    }
}
