//! The wire as an agent and the engine see it: bytes in, bytes and calls out.

mod anything;
mod description;
mod end;
mod garbage;
mod pace;
mod talk;

use crate::barge_in::Policy;
use crate::telephone_event::KeyTiming;
use crate::utterance::{Cut, Utterance};
use base64::Engine as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::receive::BASE64;
use super::*;
use crate::convert::{AudioFormat, Encoding};

const TWILIO: &str = include_str!("dialects/twilio.json");
const OFFHOOK: &str = include_str!("dialects/offhook.json");

#[derive(Debug, Clone, PartialEq)]
enum Said {
    Audio(Vec<u8>),
    Formats(Formats),
    Mark(String),
    Clear,
    Dtmf(String, KeyTiming),
    HangUp {
        after_playout: bool,
    },
    Text(String),
    Garbage(Garbage),
    Utterance(Utterance),
    UtteranceEnd,
    WrongDialect(String),
    Closed {
        cause: CloseCause,
        status: u16,
        reason: String,
        clean: bool,
    },
}

/// Writes down what the wire says, and has two marks in its queue when cleared.
#[derive(Default)]
struct Sink {
    said: Vec<Said>,
    queued: Vec<&'static str>,
    cut: Option<Cut>,
}

impl WireSink for Sink {
    fn audio(&mut self, audio: &[u8]) {
        self.said.push(Said::Audio(audio.into()));
    }
    fn formats(&mut self, formats: Formats) {
        self.said.push(Said::Formats(formats));
    }
    fn mark(&mut self, name: &str) {
        self.said.push(Said::Mark(name.into()));
    }
    fn clear(&mut self, dropped: &mut DroppedMarks) -> Heard {
        self.said.push(Said::Clear);
        self.queued.drain(..).for_each(|name| dropped.push(name));
        Heard {
            played_ms: 1_250,
            dropped_ms: 480,
        }
    }
    fn cut(&mut self) -> Option<Cut> {
        self.cut.take()
    }
    fn utterance(&mut self, utterance: Utterance) {
        self.said.push(Said::Utterance(utterance));
    }
    fn utterance_end(&mut self) {
        self.said.push(Said::UtteranceEnd);
    }
    fn dtmf(&mut self, digits: &str, timing: KeyTiming) -> usize {
        self.said.push(Said::Dtmf(digits.into(), timing));
        digits.matches('D').count()
    }
    fn hang_up(&mut self, after_playout: bool) {
        self.said.push(Said::HangUp { after_playout });
    }
    fn text(&mut self, message: &str) {
        self.said.push(Said::Text(message.into()));
    }
    fn garbage(&mut self, garbage: Garbage) {
        self.said.push(Said::Garbage(garbage));
    }
    fn wrong_dialect(&mut self, dialect: &str) {
        self.said.push(Said::WrongDialect(dialect.into()));
    }
    fn closed(&mut self, close: WireClose<'_>) {
        let WireClose {
            cause,
            status,
            reason,
            clean,
        } = close;
        self.said.push(Said::Closed {
            cause,
            status,
            reason: reason.into(),
            clean,
        });
    }
}

/// What the agent gets to read.
#[derive(Debug, Clone, PartialEq)]
enum Got {
    Json(Value),
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pong(Vec<u8>),
    Close(u16, String),
}

/// One wire with its agent's end.
struct Pair {
    wire: Wire,
    sink: Sink,
    now: Time,
}

impl Pair {
    fn new(description: &str, format: &str, limits: WireLimits) -> Self {
        let dialect = Arc::new(Dialect::parse(description).unwrap());
        let formats = dialect.formats(format).unwrap();
        let values = dialect
            .values()
            .iter()
            .map(|name| (name.clone(), format!("the \"{name}\"")))
            .collect();
        let now = Time::from_millis(1_000_000);
        let config = WireConfig {
            dialect,
            values,
            formats,
            mask_seed: [7; 16],
            limits,
        };
        Self {
            wire: Wire::new(config, now).unwrap(),
            sink: Sink::default(),
            now,
        }
    }

    fn twilio() -> Self {
        Self::new(TWILIO, "", WireLimits::default())
    }

    fn offhook() -> Self {
        Self::new(OFFHOOK, "", WireLimits::default())
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// The agent sends one frame; what the wire says to it.
    fn frame(&mut self, first: u8, payload: &[u8]) -> Vec<Said> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(length as u8),
            length @ 126..=0xFFFF => {
                bytes.push(126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(payload);
        self.bytes(&bytes)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.wire.handle_bytes(self.now, bytes, &mut self.sink);
        std::mem::take(&mut self.sink.said)
    }

    fn text(&mut self, text: &str) -> Vec<Said> {
        self.frame(0x81, text.as_bytes())
    }

    fn json(&mut self, message: Value) -> Vec<Said> {
        self.text(&message.to_string())
    }

    fn binary(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.frame(0x82, bytes)
    }

    fn timeout(&mut self) -> Vec<Said> {
        self.wire.handle_timeout(self.now, &mut self.sink);
        std::mem::take(&mut self.sink.said)
    }

    /// The agent reads all there is.
    fn read(&mut self) -> Vec<Got> {
        let bytes = self.wire.outgoing().to_vec();
        self.wire.sent(bytes.len());
        frames(&bytes)
    }

    fn read_json(&mut self) -> Vec<Value> {
        let got = self.read().into_iter();
        got.map(|got| match got {
            Got::Json(value) => value,
            other => panic!("{other:?} is no JSON"),
        })
        .collect()
    }

    fn count(&self, name: &str) -> u64 {
        self.wire
            .stats()
            .each()
            .find(|(known, _)| *known == name)
            .expect("a counter")
            .1
    }
}

fn frames(mut bytes: &[u8]) -> Vec<Got> {
    let mut got = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert_ne!(second & 0x80, 0, "a client masks");
        let (length, rest) = match second & 0x7F {
            126 => (
                usize::from(u16::from_be_bytes([rest[0], rest[1]])),
                &rest[2..],
            ),
            127 => (
                u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize,
                &rest[8..],
            ),
            short => (usize::from(short), rest),
        };
        let (mask, rest) = rest.split_at(4);
        let (masked, rest) = rest.split_at(length);
        let payload: Vec<u8> = masked
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key)
            .collect();
        got.push(match first {
            0x81 => {
                let text = String::from_utf8(payload).unwrap();
                serde_json::from_str(&text).map_or(Got::Text(text), Got::Json)
            }
            0x82 => Got::Binary(payload),
            0x89 => Got::Ping,
            0x8A => Got::Pong(payload),
            0x88 if payload.is_empty() => Got::Close(1005, String::new()),
            0x88 => Got::Close(
                u16::from_be_bytes([payload[0], payload[1]]),
                String::from_utf8(payload[2..].into()).unwrap(),
            ),
            other => panic!("frame {other:#x}"),
        });
        bytes = rest;
    }
    assert!(bytes.is_empty());
    got
}

fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

// Twilio
