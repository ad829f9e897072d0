//! A message that we send, compiled once: JSON text with gaps that are filled per message without allocating.
//!
//! In a description a template is plain JSON. `{name}` inside a string is a gap; `{{` and `}}` stand for the brackets
//! themselves. A value that is not text, a number or the list of marks, is the object `{"$": "name"}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::json;

/// What fills a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    Sequence,
    Chunk,
    TimestampMs,
    Payload,
    Name,
    Digit,
    DurationMs,
    SinceMs,
    PlayedMs,
    DroppedMs,
    Marks,
    Utterance,
    Text,
    By,
    Unheard,
    Code,
    Message,
    /// A fixed value of the wire, by its place in the dialect's list.
    Fixed(usize),
}

const GAPS: [(&str, Gap); 17] = [
    ("sequence", Gap::Sequence),
    ("chunk", Gap::Chunk),
    ("timestamp_ms", Gap::TimestampMs),
    ("payload", Gap::Payload),
    ("name", Gap::Name),
    ("digit", Gap::Digit),
    ("duration_ms", Gap::DurationMs),
    ("since_ms", Gap::SinceMs),
    ("played_ms", Gap::PlayedMs),
    ("dropped_ms", Gap::DroppedMs),
    ("marks", Gap::Marks),
    ("utterance", Gap::Utterance),
    ("text", Gap::Text),
    ("by", Gap::By),
    ("unheard", Gap::Unheard),
    ("code", Gap::Code),
    ("message", Gap::Message),
];

/// What the gaps of one message are filled with; a template names only what its message has.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Filling<'a> {
    pub sequence: u64,
    pub chunk: u64,
    pub timestamp_ms: u64,
    /// Raw bytes; they are written as base64.
    pub payload: &'a [u8],
    pub name: &'a str,
    pub digit: &'a str,
    pub duration_ms: u64,
    pub since_ms: u64,
    pub played_ms: u64,
    pub dropped_ms: u64,
    /// The inside of a JSON array.
    pub marks: &'a [u8],
    /// The name of an utterance, and what was heard of it.
    pub utterance: &'a str,
    pub text: &'a str,
    pub by: &'a str,
    /// The inside of a JSON array.
    pub unheard: &'a [u8],
    pub code: &'a str,
    pub message: &'a str,
}

#[derive(Debug, Clone)]
enum Segment {
    Literal(Box<[u8]>),
    Gap(Gap),
}

/// A compiled template.
#[derive(Debug, Clone)]
pub(super) struct Template {
    segments: Vec<Segment>,
    numbered: bool,
}

impl Template {
    /// Compile `value`, whose gaps must be among `allowed` or `fixed`. An error is (path inside the template, what).
    pub fn compile(
        value: &Value,
        allowed: &[Gap],
        fixed: &[String],
    ) -> Result<Self, (String, String)> {
        let mut compiler = Compiler {
            allowed,
            fixed,
            literal: Vec::new(),
            segments: Vec::new(),
            path: String::new(),
        };
        if !value.is_object() {
            return Err((String::new(), "a template is a JSON object".into()));
        }
        compiler.value(value)?;
        compiler.flush();
        let segments = compiler.segments;
        let numbered = segments
            .iter()
            .any(|segment| matches!(segment, Segment::Gap(Gap::Sequence)));
        Ok(Self { segments, numbered })
    }

    /// Whether it has the running number of messages in it.
    pub fn is_numbered(&self) -> bool {
        self.numbered
    }

    /// Whether `gap` is filled by this template.
    pub fn has(&self, gap: Gap) -> bool {
        self.segments
            .iter()
            .any(|segment| matches!(segment, Segment::Gap(own) if *own == gap))
    }

    /// Append the message; `fixed` are the wire's own values, already escaped.
    pub fn render(&self, filling: &Filling<'_>, fixed: &[Box<[u8]>], out: &mut Vec<u8>) {
        for segment in &self.segments {
            match segment {
                Segment::Literal(bytes) => out.extend_from_slice(bytes),
                Segment::Gap(gap) => match *gap {
                    Gap::Sequence => number(filling.sequence, out),
                    Gap::Chunk => number(filling.chunk, out),
                    Gap::TimestampMs => number(filling.timestamp_ms, out),
                    Gap::Payload => base64(filling.payload, out),
                    Gap::Name => json::escape_into(filling.name, out),
                    Gap::Digit => json::escape_into(filling.digit, out),
                    Gap::DurationMs => number(filling.duration_ms, out),
                    Gap::SinceMs => number(filling.since_ms, out),
                    Gap::PlayedMs => number(filling.played_ms, out),
                    Gap::DroppedMs => number(filling.dropped_ms, out),
                    Gap::Marks => list(filling.marks, out),
                    Gap::Unheard => list(filling.unheard, out),
                    Gap::Utterance => json::escape_into(filling.utterance, out),
                    Gap::Text => json::escape_into(filling.text, out),
                    Gap::By => json::escape_into(filling.by, out),
                    Gap::Code => json::escape_into(filling.code, out),
                    Gap::Message => json::escape_into(filling.message, out),
                    Gap::Fixed(index) => out.extend_from_slice(&fixed[index]),
                },
            }
        }
    }
}

/// Append a JSON array with this inside.
fn list(inside: &[u8], out: &mut Vec<u8>) {
    out.push(b'[');
    out.extend_from_slice(inside);
    out.push(b']');
}

/// Append a number in decimal digits.
pub(super) fn number(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    STANDARD
        .encode_slice(bytes, &mut out[start..])
        .expect("room for four characters per three bytes was made");
}

struct Compiler<'a> {
    allowed: &'a [Gap],
    fixed: &'a [String],
    literal: Vec<u8>,
    segments: Vec<Segment>,
    path: String,
}

impl Compiler<'_> {
    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.segments
                .push(Segment::Literal(std::mem::take(&mut self.literal).into()));
        }
    }

    fn gap(&mut self, gap: Gap) {
        self.flush();
        self.segments.push(Segment::Gap(gap));
    }

    fn wrong(&self, message: impl Into<String>) -> (String, String) {
        (self.path.clone(), message.into())
    }

    fn named(&self, name: &str) -> Result<Gap, (String, String)> {
        if let Some(index) = self.fixed.iter().position(|fixed| fixed == name) {
            return Ok(Gap::Fixed(index));
        }
        let known = GAPS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, gap)| *gap);
        known
            .filter(|gap| self.allowed.contains(gap))
            .ok_or_else(|| {
                let mut names: Vec<&str> = GAPS
                    .iter()
                    .filter(|(_, gap)| self.allowed.contains(gap))
                    .map(|(name, _)| *name)
                    .collect();
                names.extend(self.fixed.iter().map(String::as_str));
                self.wrong(format!(
                    "this message has no `{name}`; it has {}",
                    names.join(", ")
                ))
            })
    }

    fn value(&mut self, value: &Value) -> Result<(), (String, String)> {
        match value {
            Value::String(text) => {
                self.literal.push(b'"');
                self.string(text)?;
                self.literal.push(b'"');
            }
            Value::Array(items) => {
                self.literal.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.literal.push(b',');
                    }
                    self.inside(&format!("[{index}]"), item)?;
                }
                self.literal.push(b']');
            }
            Value::Object(entries) => match entries.get("$") {
                Some(Value::String(name)) if entries.len() == 1 => match self.named(name)? {
                    Gap::Payload
                    | Gap::Name
                    | Gap::Digit
                    | Gap::Utterance
                    | Gap::Text
                    | Gap::By
                    | Gap::Code
                    | Gap::Message
                    | Gap::Fixed(_) => {
                        return Err(
                            self.wrong(format!("`{name}` is text: write it as \"{{{name}}}\""))
                        );
                    }
                    gap => self.gap(gap),
                },
                Some(_) => {
                    return Err(self.wrong("`$` stands alone and names what fills its place"));
                }
                None => {
                    self.literal.push(b'{');
                    for (index, (key, item)) in entries.iter().enumerate() {
                        if index > 0 {
                            self.literal.push(b',');
                        }
                        self.literal.push(b'"');
                        json::escape_into(key, &mut self.literal);
                        self.literal.extend_from_slice(b"\":");
                        self.inside(&format!(".{key}"), item)?;
                    }
                    self.literal.push(b'}');
                }
            },
            plain => self.literal.extend_from_slice(plain.to_string().as_bytes()),
        }
        Ok(())
    }

    fn inside(&mut self, step: &str, item: &Value) -> Result<(), (String, String)> {
        let length = self.path.len();
        self.path.push_str(step);
        self.value(item)?;
        self.path.truncate(length);
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), (String, String)> {
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            json::escape_into(&rest[..at], &mut self.literal);
            let bracket = &rest[at..at + 1];
            let after = &rest[at + 1..];
            if let Some(after) = after.strip_prefix(bracket) {
                self.literal.extend_from_slice(bracket.as_bytes());
                rest = after;
                continue;
            }
            let end = after.find('}').filter(|_| bracket == "{");
            let end = end.ok_or_else(|| {
                self.wrong(format!("a lone `{bracket}`; write it twice to mean itself"))
            })?;
            match self.named(&after[..end])? {
                Gap::Marks | Gap::Unheard => {
                    let name = &after[..end];
                    return Err(self.wrong(format!(
                        "`{name}` is a list: write it as {{\"$\": \"{name}\"}}"
                    )));
                }
                gap => self.gap(gap),
            }
            rest = &after[end + 1..];
        }
        json::escape_into(rest, &mut self.literal);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const ALL: [Gap; 12] = [
        Gap::Sequence,
        Gap::Chunk,
        Gap::TimestampMs,
        Gap::Payload,
        Gap::Name,
        Gap::Digit,
        Gap::DurationMs,
        Gap::PlayedMs,
        Gap::DroppedMs,
        Gap::Marks,
        Gap::Code,
        Gap::Message,
    ];

    fn render(template: &Value, filling: &Filling<'_>, fixed: &str) -> Value {
        let template = Template::compile(template, &ALL, &["stream_sid".into()]).unwrap();
        let mut escaped = Vec::new();
        json::escape_into(fixed, &mut escaped);
        let mut out = Vec::new();
        template.render(filling, &[escaped.into()], &mut out);
        serde_json::from_slice(&out).expect("a template renders to JSON")
    }

    #[test]
    fn gaps_are_text_in_strings_and_values_behind_a_dollar() {
        let template = json!({"event": "media", "n": {"$": "sequence"}, "media": {"chunk": "{chunk}", "t": "at {timestamp_ms} ms"},
            "list": [1, null, {"$": "marks"}], "sid": "{stream_sid}", "literal": "{{x}}", "payload": "{payload}"});
        let filling = Filling {
            sequence: 7,
            chunk: 5,
            timestamp_ms: u64::MAX,
            payload: b"\x00\xff\x10\x80",
            marks: br#""a","b""#,
            ..Filling::default()
        };
        assert_eq!(
            render(&template, &filling, "MZ\"1"),
            json!({"event": "media", "n": 7,
            "media": {"chunk": "5", "t": "at 18446744073709551615 ms"}, "list": [1, null, ["a", "b"]], "sid": "MZ\"1",
            "literal": "{x}", "payload": "AP8QgA=="})
        );
    }

    #[test]
    fn what_is_wrong_with_a_template_is_named_with_its_place() {
        let wrong = |template: Value| {
            Template::compile(&template, &[Gap::Name, Gap::Marks], &["sid".into()]).unwrap_err()
        };
        assert_eq!(wrong(json!([])).1, "a template is a JSON object");
        let (path, what) = wrong(json!({"mark": {"id": "{nmae}"}}));
        assert_eq!(
            (path.as_str(), what.as_str()),
            (
                ".mark.id",
                "this message has no `nmae`; it has name, marks, sid"
            )
        );
        assert_eq!(wrong(json!({"a": ["x", "{payload}"]})).0, ".a[1]");
        assert_eq!(
            wrong(json!({"a": "{name"})).1,
            "a lone `{`; write it twice to mean itself"
        );
        assert_eq!(
            wrong(json!({"a": "}"})).1,
            "a lone `}`; write it twice to mean itself"
        );
        assert!(wrong(json!({"a": "{marks}"})).1.contains("a list"));
        assert!(wrong(json!({"a": {"$": "name"}})).1.contains("\"{name}\""));
        assert!(
            wrong(json!({"a": {"$": "name", "b": 1}}))
                .1
                .contains("stands alone")
        );
    }

    proptest! {
        #[test]
        fn no_text_can_break_out_of_its_string(name: String, fixed: String) {
            let template = json!({"sid": "{stream_sid}", "mark": {"name": "{name}"}});
            let filling = Filling { name: &name, ..Filling::default() };
            prop_assert_eq!(render(&template, &filling, &fixed), json!({"sid": fixed, "mark": {"name": name}}));
        }
    }
}
