//! How the two protocols wrap audio, and what an agent says besides.

use super::websocket::{self, BINARY, TEXT};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Which protocol the agent speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// Twilio Media Streams: JSON, µ-law in base64.
    Twilio,
    /// offhook.v1: JSON control, binary audio.
    Offhook,
}

impl Dialect {
    /// The subprotocol to agree on.
    pub fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Twilio => None,
            Self::Offhook => Some("offhook.v1"),
        }
    }
}

/// The audio that an `offhook` agent asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// How a sample is written.
    pub encoding: Encoding,
    /// Samples a second.
    pub rate: u32,
}

/// How a sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One byte of µ-law.
    Pcmu,
    /// Two bytes, little-endian.
    Pcm16,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rate) = text.split_once('@').unwrap_or((text, "8000"));
        let encoding = match name {
            "pcmu" => Encoding::Pcmu,
            "pcm16" => Encoding::Pcm16,
            other => return Err(format!("no encoding {other}; known: pcmu, pcm16")),
        };
        let rate = rate.parse().map_err(|_| format!("{rate} is no rate"))?;
        if !matches!(rate, 8_000 | 16_000 | 24_000 | 48_000)
            || (encoding == Encoding::Pcmu && rate != 8_000)
        {
            return Err(format!("{name} at {rate} is not known"));
        }
        Ok(Self { encoding, rate })
    }
}

impl Format {
    /// The name of its encoding in offhook.v1.
    pub fn encoding_name(self) -> &'static str {
        match self.encoding {
            Encoding::Pcmu => "pcmu",
            Encoding::Pcm16 => "pcm16",
        }
    }

    /// Bytes of 20 ms.
    pub fn frame_bytes(self) -> usize {
        let width = match self.encoding {
            Encoding::Pcmu => 1,
            Encoding::Pcm16 => 2,
        };
        self.rate as usize / 50 * width
    }

    /// Whether the audio is digital silence, or as good as.
    pub fn is_silent(self, audio: &[u8]) -> bool {
        match self.encoding {
            Encoding::Pcmu => audio.iter().all(|&code| code | 0x80 == 0xff),
            Encoding::Pcm16 => audio
                .chunks_exact(2)
                .all(|pair| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs() <= 16),
        }
    }

    /// Twenty milliseconds of a tone of 400 Hz, which fits into the frame eight times, so that frames join.
    pub fn tone(self) -> Vec<u8> {
        let samples = self.rate / 50;
        let mut audio = Vec::with_capacity(self.frame_bytes());
        for index in 0..samples {
            let angle = f64::from(index) / f64::from(samples) * 8.0 * std::f64::consts::TAU;
            let sample = (angle.sin() * 8_000.0) as i16;
            match self.encoding {
                Encoding::Pcmu => audio.push(crate::g711::Law::Pcmu.encode(sample)),
                Encoding::Pcm16 => audio.extend_from_slice(&sample.to_le_bytes()),
            }
        }
        audio
    }
}

/// What the gateway said.
#[derive(Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// The call is there but not answered; it wants to know whether we are ready.
    Ringing,
    /// The call is answered.
    Start,
    /// Caller audio, as it stands in the message: base64 or raw.
    Audio(Cow<'a, [u8]>),
    /// The call is over.
    Stop,
    /// A digit that the caller pressed.
    Digit,
    /// A mark was played.
    Mark,
    /// Something that we said was not taken.
    Complaint,
    /// Something else.
    Other,
}

#[derive(Deserialize)]
struct TwilioMessage<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, rename = "streamSid")]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    media: Option<TwilioMedia<'a>>,
}

#[derive(Deserialize)]
struct TwilioMedia<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

#[derive(Deserialize)]
struct OffhookMessage<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

/// One connection's side of the conversation.
pub struct Talk {
    dialect: Dialect,
    format: Format,
    /// What precedes and follows the base64 of a Twilio media message, once the stream is known.
    twilio_head: Vec<u8>,
}

const TWILIO_TAIL: &[u8] = b"\"}}";

impl Talk {
    /// A conversation that has not started.
    pub fn new(dialect: Dialect, format: Format) -> Self {
        Self {
            dialect,
            format,
            twilio_head: Vec::new(),
        }
    }

    /// Reads one message; `None` for what is none of this dialect.
    pub fn read<'a>(&mut self, opcode: u8, payload: &'a [u8]) -> Option<Said<'a>> {
        match self.dialect {
            Dialect::Twilio => self.read_twilio(payload),
            Dialect::Offhook if opcode == BINARY => Some(Said::Audio(Cow::Borrowed(payload))),
            Dialect::Offhook => {
                let message: OffhookMessage<'_> = serde_json::from_slice(payload).ok()?;
                Some(match &*message.kind {
                    "ringing" => Said::Ringing,
                    "start" => Said::Start,
                    "end" => Said::Stop,
                    "dtmf" => Said::Digit,
                    "mark" => Said::Mark,
                    "error" => Said::Complaint,
                    _ => Said::Other,
                })
            }
        }
    }

    fn read_twilio<'a>(&mut self, payload: &'a [u8]) -> Option<Said<'a>> {
        let message: TwilioMessage<'a> = serde_json::from_slice(payload).ok()?;
        Some(match &*message.event {
            "media" => Said::Audio(match message.media?.payload {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
            "start" => {
                let stream = json!(message.stream?);
                self.twilio_head = format!(
                    "{{\"event\":\"media\",\"streamSid\":{stream},\"media\":{{\"payload\":\""
                )
                .into_bytes();
                Said::Start
            }
            "stop" => Said::Stop,
            "dtmf" => Said::Digit,
            "mark" => Said::Mark,
            _ => Said::Other,
        })
    }

    /// Whether audio as received is silence.
    pub fn is_silent(&self, audio: &[u8]) -> bool {
        match self.dialect {
            // µ-law silence is 0xff, whose base64 is slashes; the last group may be padded.
            Dialect::Twilio => {
                audio.len() > 4 && audio[..audio.len() - 4].iter().all(|&byte| byte == b'/')
            }
            Dialect::Offhook => self.format.is_silent(audio),
        }
    }

    /// A frame of the tone, in the form that `write_audio` takes.
    pub fn tone(&self) -> Vec<u8> {
        use base64::Engine as _;
        match self.dialect {
            Dialect::Twilio => {
                let format = Format {
                    encoding: Encoding::Pcmu,
                    rate: 8_000,
                };
                base64::engine::general_purpose::STANDARD
                    .encode(format.tone())
                    .into_bytes()
            }
            Dialect::Offhook => self.format.tone(),
        }
    }

    /// Appends a message that carries audio in the form in which `read` gives it.
    pub fn write_audio(&self, audio: &[u8], out: &mut Vec<u8>) {
        match self.dialect {
            Dialect::Twilio => {
                websocket::write(out, TEXT, &[&self.twilio_head, audio, TWILIO_TAIL].concat());
            }
            Dialect::Offhook => websocket::write(out, BINARY, audio),
        }
    }

    /// Appends our answer to `Said::Ringing`.
    pub fn write_ready(&self, out: &mut Vec<u8>) {
        let ready: Value = json!({
            "type": "ready",
            "audio": { "encoding": self.format.encoding_name(), "rate": self.format.rate },
        });
        websocket::write(out, TEXT, ready.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::websocket::{Broken, Reader};

    fn payload_of(out: &[u8]) -> &[u8] {
        let head = match out[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        &out[head..]
    }

    #[test]
    fn twilio_audio_goes_back_as_it_came() {
        let mut talk = Talk::new(Dialect::Twilio, "pcmu".parse().unwrap());
        assert_eq!(
            talk.read(TEXT, br#"{"event":"connected","protocol":"Call"}"#),
            Some(Said::Other)
        );
        let start = br#"{"event": "start", "streamSid": "MZ1", "start": {"callSid": "CA1"}}"#;
        assert_eq!(talk.read(TEXT, start), Some(Said::Start));
        let media = br#"{"event":"media","sequenceNumber":"3","media":{"track":"inbound","payload":"\/v8="},"streamSid":"MZ1"}"#;
        let Some(Said::Audio(audio)) = talk.read(TEXT, media) else {
            panic!("no audio")
        };
        let mut out = Vec::new();
        talk.write_audio(&audio, &mut out);
        let back: Value = serde_json::from_slice(payload_of(&out)).unwrap();
        assert_eq!(
            back,
            json!({"event": "media", "streamSid": "MZ1", "media": {"payload": "/v8="}})
        );
        assert_eq!(talk.read(TEXT, br#"{"event":"stop"}"#), Some(Said::Stop));
        assert_eq!(talk.read(TEXT, b"nonsense"), None);
    }

    #[test]
    fn offhook_audio_is_binary_and_ringing_is_answered() {
        let mut talk = Talk::new(Dialect::Offhook, "pcm16@16000".parse().unwrap());
        assert_eq!(
            talk.read(TEXT, br#"{"type":"ringing","call_id":"x"}"#),
            Some(Said::Ringing)
        );
        let mut out = Vec::new();
        talk.write_ready(&mut out);
        let ready: Value = serde_json::from_slice(payload_of(&out)).unwrap();
        assert_eq!(ready["type"], "ready");
        assert_eq!(ready["audio"]["rate"], 16_000);
        assert_eq!(
            talk.read(BINARY, &[1, 2]),
            Some(Said::Audio(Cow::Borrowed(&[1, 2])))
        );
        out.clear();
        talk.write_audio(&[1, 2], &mut out);
        assert_eq!(out, [0x82, 2, 1, 2]);
        // What we write is a server's, so a reader of clients' frames refuses it.
        let mut reader = Reader::default();
        reader.receive(&out);
        assert_eq!(reader.next(), Err(Broken));
    }

    #[test]
    fn silence_is_known_in_every_form() {
        use base64::Engine as _;
        let twilio = Talk::new(Dialect::Twilio, "pcmu".parse().unwrap());
        let encode = |bytes: &[u8]| {
            base64::engine::general_purpose::STANDARD
                .encode(bytes)
                .into_bytes()
        };
        assert!(twilio.is_silent(&encode(&[0xff; 160])));
        assert!(!twilio.is_silent(&encode(&[0x9b; 160])));
        let format: Format = "pcm16@24000".parse().unwrap();
        assert!(format.is_silent(&[0; 960]) && !format.is_silent(&format.tone()));
        assert_eq!(format.tone().len(), format.frame_bytes());
        assert!("pcmu@16000".parse::<Format>().is_err() && "opus".parse::<Format>().is_err());
    }
}
