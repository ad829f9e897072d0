//! A dialect's description is read: each object knows where it stands, so that an error can name the place.

use serde_json::{Map, Value};

use super::{
    Action, ByteOrder, Dialect, DialectError, Foreign, Framing, Now, Rule, is_token, parse_format,
};
use crate::convert::AudioFormat;
use crate::wire::json::{FieldId, Paths};
use crate::wire::template::{Gap, Template};

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
