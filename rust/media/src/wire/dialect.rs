//! A dialect is data: how one kind of agent wraps audio, marks and clear in WebSocket messages.
//!
//! Python writes the description as JSON (`offhook.destination.dialect`), once per dialect; here it is compiled to
//! templates and field paths. Whatever a description doesn't name goes to Python as text.

use std::fmt;

use serde_json::{Map, Value};

use super::json::{FieldId, Paths};
use super::template::{Gap, Template};
use crate::convert::{AudioFormat, Encoding};

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
    /// Compile a description; the error names the place in it.
    pub fn parse(description: &str) -> Result<Self, DialectError> {
        let tree: Value = serde_json::from_str(description)
            .map_err(|error| DialectError::new("", format!("is not JSON: {error}")))?;
        let root = Part::new(&tree, String::new())?;
        root.only(&[
            "name",
            "subprotocol",
            "audio",
            "values",
            "send",
            "receive",
            "foreign",
        ])?;
        let name = root.string("name")?.to_owned();
        let subprotocol = root.optional_string("subprotocol")?.map(str::to_owned);
        if subprotocol.as_deref().is_some_and(|token| !is_token(token)) {
            return Err(root.wrong("subprotocol", "is not a token of RFC 9110 section 5.6.2"));
        }
        let values = root.strings("values")?;

        let audio = root.part("audio")?;
        audio.only(&[
            "framing",
            "formats",
            "receive_formats",
            "frame_ms",
            "send_byte_order",
            "receive_byte_order",
        ])?;
        let framing = match audio.string("framing")? {
            "binary" => Framing::Binary,
            "base64" => Framing::Base64,
            _ => return Err(audio.wrong("framing", "is `binary` or `base64`")),
        };
        let send_formats = audio.formats("formats")?;
        let receive_formats = if audio.has("receive_formats") {
            audio.formats("receive_formats")?
        } else {
            send_formats.clone()
        };
        let frame_ms = match audio.get("frame_ms").map_or(Some(20), Value::as_u64) {
            Some(frame_ms) if (10..=200).contains(&frame_ms) && frame_ms % 10 == 0 => {
                frame_ms as u32
            }
            _ => return Err(audio.wrong("frame_ms", "is a multiple of 10 from 10 to 200")),
        };
        let send_byte_order = audio.byte_order("send_byte_order")?;
        let receive_byte_order = audio.byte_order("receive_byte_order")?;

        let send = root.part("send")?;
        send.only(&[
            "media",
            "mark",
            "dropped_mark",
            "dtmf",
            "speech_started",
            "speech_ended",
            "cleared",
            "interrupted",
            "barge_in",
            "backchannel",
            "error",
        ])?;
        let template = |key: &str, gaps: &[Gap]| -> Result<Option<Template>, DialectError> {
            let Some(value) = send.get(key) else {
                return Ok(None);
            };
            let allowed: Vec<Gap> = [&[Gap::Sequence, Gap::TimestampMs], gaps].concat();
            Template::compile(value, &allowed, &values)
                .map(Some)
                .map_err(|(path, message)| DialectError::new(format!("send.{key}{path}"), message))
        };
        let media = template("media", &[Gap::Chunk, Gap::Payload])?;
        match (framing, &media) {
            (Framing::Binary, Some(_)) => {
                return Err(send.wrong("media", "has no use where audio is binary"));
            }
            (Framing::Base64, None) => {
                return Err(send.wrong("media", "is missing: audio is base64 in a message"));
            }
            (Framing::Base64, Some(media)) if !media.has(Gap::Payload) => {
                return Err(send.wrong("media", "has no place for {payload}"));
            }
            _ => {}
        }
        let mark = template("mark", &[Gap::Name])?;
        let dropped_mark = template("dropped_mark", &[Gap::Name])?;
        let dtmf = template("dtmf", &[Gap::Digit, Gap::DurationMs])?;
        let speech_started = template("speech_started", &[Gap::SinceMs])?;
        let speech_ended = template("speech_ended", &[Gap::SinceMs])?;
        let cleared = template("cleared", &[Gap::PlayedMs, Gap::DroppedMs, Gap::Marks])?;
        let interrupted = template(
            "interrupted",
            &[
                Gap::Utterance,
                Gap::Text,
                Gap::PlayedMs,
                Gap::DroppedMs,
                Gap::By,
                Gap::SinceMs,
                Gap::Unheard,
            ],
        )?;
        let barge_in = template("barge_in", &[Gap::Utterance, Gap::SinceMs])?;
        let backchannel = template("backchannel", &[Gap::Utterance, Gap::SinceMs])?;
        let error = template("error", &[Gap::Code, Gap::Message])?;

        let receive = root.part("receive")?;
        receive.only(&["type", "messages"])?;
        let mut paths = Paths::default();
        let kind = receive.path("type", &mut paths)?;
        let rules = receive.rules(framing, &mut paths)?;
        let foreign = root.foreign(&mut paths)?;
        Ok(Self {
            name,
            subprotocol,
            framing,
            send_formats,
            receive_formats,
            frame_ms,
            send_byte_order,
            receive_byte_order,
            values,
            media,
            mark,
            dropped_mark,
            dtmf,
            speech_started,
            speech_ended,
            cleared,
            interrupted,
            barge_in,
            backchannel,
            error,
            paths,
            kind,
            rules,
            foreign,
        })
    }

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

/// An object of the description with the path that leads to it.
struct Part<'a> {
    entries: &'a Map<String, Value>,
    path: String,
}

impl<'a> Part<'a> {
    fn new(value: &'a Value, path: String) -> Result<Self, DialectError> {
        match value {
            Value::Object(entries) => Ok(Self { entries, path }),
            _ => Err(DialectError::new(path, "is an object")),
        }
    }

    fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn wrong(&self, key: &str, message: impl Into<String>) -> DialectError {
        DialectError::new(self.at(key), message)
    }

    fn only(&self, known: &[&str]) -> Result<(), DialectError> {
        match self
            .entries
            .keys()
            .find(|key| !known.contains(&key.as_str()))
        {
            Some(key) => Err(self.wrong(
                key,
                format!("is unknown here; known are {}", known.join(", ")),
            )),
            None => Ok(()),
        }
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.entries.get(key).filter(|value| !value.is_null())
    }

    fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn part(&self, key: &str) -> Result<Part<'a>, DialectError> {
        let value = self.get(key).ok_or_else(|| self.wrong(key, "is missing"))?;
        Part::new(value, self.at(key))
    }

    fn optional_string(&self, key: &str) -> Result<Option<&'a str>, DialectError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "is a string, not empty")),
        }
    }

    fn string(&self, key: &str) -> Result<&'a str, DialectError> {
        self.optional_string(key)?
            .ok_or_else(|| self.wrong(key, "is missing"))
    }

    fn strings(&self, key: &str) -> Result<Vec<String>, DialectError> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let items = value.as_array().map(|items| {
            items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect()
        });
        items
            .flatten()
            .ok_or_else(|| self.wrong(key, "is a list of strings"))
    }

    fn formats(&self, key: &str) -> Result<Vec<AudioFormat>, DialectError> {
        let names = self.strings(key)?;
        if names.is_empty() {
            return Err(self.wrong(key, "names at least one format"));
        }
        names
            .iter()
            .map(|name| {
                parse_format(name).ok_or_else(|| {
                    self.wrong(
                        key,
                        format!("`{name}` is no audio format such as pcm16/16000"),
                    )
                })
            })
            .collect()
    }

    fn byte_order(&self, key: &str) -> Result<ByteOrder, DialectError> {
        match self.optional_string(key)? {
            None | Some("little") => Ok(ByteOrder::Little),
            Some("big") => Ok(ByteOrder::Big),
            Some(_) => Err(self.wrong(key, "is `little` or `big`")),
        }
    }

    /// A path is written with dots, or as a list where a key has a dot in it.
    fn path(&self, key: &str, paths: &mut Paths) -> Result<FieldId, DialectError> {
        let keys: Vec<String> = match self.get(key) {
            Some(Value::String(dotted)) => dotted.split('.').map(str::to_owned).collect(),
            Some(Value::Array(_)) => self.strings(key)?,
            Some(_) => return Err(self.wrong(key, "is a path such as `media.payload`")),
            None => return Err(self.wrong(key, "is missing")),
        };
        if keys.is_empty() || keys.iter().any(String::is_empty) {
            return Err(self.wrong(key, "has an empty step"));
        }
        paths
            .add(keys.iter().map(String::as_str))
            .ok_or_else(|| self.wrong(key, "is one field too many"))
    }

    fn optional_path(&self, key: &str, paths: &mut Paths) -> Result<Option<FieldId>, DialectError> {
        self.has(key).then(|| self.path(key, paths)).transpose()
    }

    fn rules(&self, framing: Framing, paths: &mut Paths) -> Result<Vec<Rule>, DialectError> {
        let messages = self.part("messages")?;
        let mut rules = Vec::new();
        for kind in messages.entries.keys() {
            let rule = messages.part(kind)?;
            let (action, keys): (Action, &[&str]) = match rule.string("do")? {
                "audio" if framing == Framing::Binary => {
                    return Err(rule.wrong("do", "audio is binary here"));
                }
                "audio" => (
                    Action::Audio {
                        payload: rule.path("payload", paths)?,
                    },
                    &["payload"],
                ),
                "mark" => (
                    Action::Mark {
                        name: rule.path("name", paths)?,
                    },
                    &["name"],
                ),
                "clear" => (Action::Clear, &[]),
                "utterance" => (
                    Action::Utterance {
                        id: rule.path("id", paths)?,
                        text: rule.path("text", paths)?,
                        barge_in: rule.path("barge_in", paths)?,
                        word_ends_ms: rule.path("word_ends_ms", paths)?,
                    },
                    &["id", "text", "barge_in", "word_ends_ms"],
                ),
                "utterance_end" => (Action::UtteranceEnd, &[]),
                "dtmf" => (
                    Action::Dtmf {
                        digits: rule.path("digits", paths)?,
                        duration_ms: rule.optional_path("duration_ms", paths)?,
                        gap_ms: rule.optional_path("gap_ms", paths)?,
                    },
                    &["digits", "duration_ms", "gap_ms"],
                ),
                "hang_up" => {
                    let now = match rule.get("now") {
                        None => Now::Always(false),
                        Some(Value::Bool(now)) => Now::Always(*now),
                        Some(_) => Now::If(rule.path("now", paths)?),
                    };
                    (Action::HangUp { now }, &["now"])
                }
                "format" => {
                    let (encoding, rate) =
                        (rule.path("encoding", paths)?, rule.path("rate", paths)?);
                    (Action::Format { encoding, rate }, &["encoding", "rate"])
                }
                "tell" => (Action::Tell, &[]),
                _ => {
                    return Err(
                        rule.wrong("do", "is audio, mark, clear, utterance, utterance_end, dtmf, hang_up, format or tell")
                    );
                }
            };
            rule.only(&[&["do", "tell"], keys].concat())?;
            let tell = match rule.get("tell") {
                None => matches!(action, Action::Tell),
                Some(Value::Bool(tell)) => *tell,
                Some(_) => return Err(rule.wrong("tell", "is true or false")),
            };
            rules.push(Rule {
                kind: kind.as_str().into(),
                action,
                tell,
            });
        }
        if framing == Framing::Base64
            && !rules
                .iter()
                .any(|rule| matches!(rule.action, Action::Audio { .. }))
        {
            return Err(self.wrong("messages", "none of them is audio"));
        }
        Ok(rules)
    }

    fn foreign(&self, paths: &mut Paths) -> Result<Vec<Foreign>, DialectError> {
        let items = match self.get("foreign") {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.wrong("foreign", "is a list")),
        };
        let mut foreign = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let part = Part::new(item, format!("foreign[{index}]"))?;
            let dialect = part.string("dialect")?.into();
            part.only(&["dialect", "field", "values", "beside"])?;
            let values = part
                .strings("values")?
                .into_iter()
                .map(String::into_boxed_str)
                .collect();
            let field = part.path("field", paths)?;
            let beside = if part.has("beside") {
                Some(part.path("beside", paths)?)
            } else {
                None
            };
            foreign.push(Foreign {
                dialect,
                field,
                values,
                beside,
            });
        }
        Ok(foreign)
    }
}
