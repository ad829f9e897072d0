//! A dialect is data: how one kind of agent wraps audio, marks and clear in WebSocket messages.
//!
//! Python writes the description as JSON (`offhook.destination.dialect`), once per dialect; here it is compiled to
//! templates and field paths. Whatever a description doesn't name goes to Python as text.

use std::fmt;

use super::json::{FieldId, Paths};
use super::template::Template;
use crate::convert::{AudioFormat, Encoding};

mod description;

/// Sample rates that a wire may have, in Hz.
pub const RATES: [u32; 4] = [8_000, 16_000, 24_000, 48_000];

/// What is wrong with a description, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialectError {
    /// The place in the description, such as `send.mark.mark.name`.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl DialectError {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for DialectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "dialect description: {}: {}",
            if self.path.is_empty() {
                "it"
            } else {
                &self.path
            },
            self.message
        )
    }
}

impl std::error::Error for DialectError {}

/// How audio lies in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A binary message is audio and nothing else.
    Binary,
    /// Audio is base64 in a field of a JSON message.
    Base64,
}

/// The order of the two bytes of a 16-bit sample on the wire; in the media plane it is always little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first, the network's order.
    Big,
}

/// The audio of a wire, each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formats {
    /// What we send to the agent.
    pub send: AudioFormat,
    /// What the agent sends to us.
    pub receive: AudioFormat,
}

/// What a message of the agent makes us do.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub kind: Box<str>,
    pub action: Action,
    /// Python is given the message too.
    pub tell: bool,
}

/// What is done in Rust, in stream order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    Audio {
        payload: FieldId,
    },
    Mark {
        name: FieldId,
    },
    Clear,
    Utterance {
        id: FieldId,
        text: FieldId,
        barge_in: FieldId,
        word_ends_ms: FieldId,
    },
    UtteranceEnd,
    Dtmf {
        digits: FieldId,
        duration_ms: Option<FieldId>,
        gap_ms: Option<FieldId>,
    },
    HangUp {
        now: Now,
    },
    Format {
        encoding: FieldId,
        rate: FieldId,
    },
    /// Nothing in Rust: the message is known, and Python's alone.
    Tell,
}

/// Whether a hang-up waits for the audio that is queued.
#[derive(Debug, Clone, Copy)]
pub(super) enum Now {
    Always(bool),
    If(FieldId),
}

/// How to tell that the agent speaks another dialect than the one that we dialled it with: a field that has one of these
/// values, in a message that ours doesn't know.
#[derive(Debug, Clone)]
pub(super) struct Foreign {
    pub dialect: Box<str>,
    pub field: FieldId,
    pub values: Vec<Box<str>>,
    /// This field must be there too.
    pub beside: Option<FieldId>,
}

/// A compiled description, shared by all wires that speak it.
#[derive(Debug)]
pub struct Dialect {
    name: String,
    subprotocol: Option<String>,
    pub(super) framing: Framing,
    send_formats: Vec<AudioFormat>,
    receive_formats: Vec<AudioFormat>,
    pub(super) frame_ms: u32,
    pub(super) send_byte_order: ByteOrder,
    pub(super) receive_byte_order: ByteOrder,
    values: Vec<String>,
    pub(super) media: Option<Template>,
    pub(super) mark: Option<Template>,
    pub(super) dropped_mark: Option<Template>,
    pub(super) dtmf: Option<Template>,
    pub(super) speech_started: Option<Template>,
    pub(super) speech_ended: Option<Template>,
    pub(super) cleared: Option<Template>,
    pub(super) interrupted: Option<Template>,
    pub(super) barge_in: Option<Template>,
    pub(super) backchannel: Option<Template>,
    pub(super) error: Option<Template>,
    pub(super) paths: Paths,
    pub(super) kind: FieldId,
    pub(super) rules: Vec<Rule>,
    pub(super) foreign: Vec<Foreign>,
}

impl Dialect {
    /// The dialect's name, such as `twilio`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The subprotocol that the agent must choose in the upgrade, if there is one.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The names of the fixed values that a wire must be given, in order.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// The audio that is spoken unless something else is asked for.
    pub fn default_formats(&self) -> Formats {
        Formats {
            send: self.send_formats[0],
            receive: self.receive_formats[0],
        }
    }

    /// How audio lies in messages.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The formats for `encoding/rate`, such as `pcm16/16000`; the empty string means the default.
    ///
    /// A direction that doesn't know the format keeps its default, as long as the other knows it.
    pub fn formats(&self, wanted: &str) -> Result<Formats, DialectError> {
        let defaults = self.default_formats();
        if wanted.is_empty() {
            return Ok(defaults);
        }
        let format = parse_format(wanted)
            .ok_or_else(|| DialectError::new("format", format!("`{wanted}` is no audio format")))?;
        self.formats_of(format).ok_or_else(|| {
            let known: Vec<String> = self
                .send_formats
                .iter()
                .chain(&self.receive_formats)
                .map(write_format)
                .collect();
            DialectError::new(
                "format",
                format!(
                    "{} doesn't speak `{wanted}`; it speaks {}",
                    self.name,
                    unique(known).join(", ")
                ),
            )
        })
    }

    /// The formats if a wire changes to `format`; `None` if neither direction knows it.
    pub(super) fn formats_of(&self, format: AudioFormat) -> Option<Formats> {
        let mut formats = self.default_formats();
        let send = self.send_formats.contains(&format);
        let receive = self.receive_formats.contains(&format);
        if send {
            formats.send = format;
        }
        if receive {
            formats.receive = format;
        }
        (send || receive).then_some(formats)
    }
}

/// Read `encoding/rate`.
pub fn parse_format(text: &str) -> Option<AudioFormat> {
    let (encoding, rate) = text.split_once('/')?;
    let rate = RATES.into_iter().find(|known| known.to_string() == rate)?;
    format_of(encoding, rate)
}

/// Write `encoding/rate`.
pub fn write_format(format: &AudioFormat) -> String {
    let encoding = match format.encoding {
        Encoding::Pcmu => "pcmu",
        Encoding::Pcma => "pcma",
        Encoding::Pcm16Le => "pcm16",
    };
    format!("{encoding}/{}", format.rate)
}

/// The format with these words, if it is one that can be spoken: G.711 has one rate only.
pub(super) fn format_of(encoding: &str, rate: u32) -> Option<AudioFormat> {
    let encoding = match encoding {
        "pcmu" if rate == 8_000 => Encoding::Pcmu,
        "pcma" if rate == 8_000 => Encoding::Pcma,
        "pcm16" if RATES.contains(&rate) => Encoding::Pcm16Le,
        _ => return None,
    };
    Some(AudioFormat { encoding, rate })
}

/// A token of RFC 9110 section 5.6.2: what a header's name or a subprotocol may be.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn unique(mut names: Vec<String>) -> Vec<String> {
    let mut seen = Vec::new();
    names.retain(|name| {
        let new = !seen.contains(name);
        seen.push(name.clone());
        new
    });
    names
}
