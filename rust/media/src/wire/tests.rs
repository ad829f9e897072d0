//! The wire as an agent and the engine see it: bytes in, bytes and calls out.

use crate::barge_in::Policy;
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
    Dtmf(String),
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
    fn dtmf(&mut self, digits: &str) {
        self.said.push(Said::Dtmf(digits.into()));
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

#[test]
fn caller_audio_reaches_a_twilio_bot_in_numbered_messages() {
    let mut pair = Pair::twilio();
    pair.wire.send_text(r#"{"event":"connected"}"#, false);
    pair.wire.send_text(
        r#"{"event":"start","sequenceNumber":"{sequence}","from":"{sequence}"}"#,
        true,
    );
    pair.wire.send_audio(pair.now, &[0xFF; 160]);
    pair.wire.send_audio(pair.now, &[0x00; 160]);
    let got = pair.read_json();
    assert_eq!(got[0], json!({"event": "connected"}));
    assert_eq!(
        got[1],
        json!({"event": "start", "sequenceNumber": "1", "from": "{sequence}"})
    );
    assert_eq!(got[2]["sequenceNumber"], "2");
    assert_eq!(
        got[3],
        json!({"event": "media", "sequenceNumber": "3", "streamSid": "the \"stream_sid\"",
        "media": {"track": "inbound", "chunk": "2", "timestamp": "20", "payload": BASE64.encode([0; 160])}})
    );
}

#[test]
fn audio_of_any_cut_leaves_in_messages_of_20_ms() {
    let mut pair = Pair::twilio();
    let audio: Vec<u8> = (0..=255).cycle().take(1_600).collect();
    for piece in audio.chunks(73) {
        pair.wire.send_audio(pair.now, piece);
    }
    let mut heard = Vec::new();
    for (index, message) in pair.read_json().iter().enumerate() {
        assert_eq!(message["media"]["timestamp"], (index * 20).to_string());
        let payload = BASE64
            .decode(message["media"]["payload"].as_str().unwrap())
            .unwrap();
        assert_eq!(payload.len(), 160);
        heard.extend(payload);
    }
    assert_eq!(heard, audio);
}

#[test]
fn a_twilio_bots_audio_marks_and_clear_are_done_in_the_order_in_which_they_came() {
    let mut pair = Pair::twilio();
    pair.sink.queued = vec!["one", "tw\"o"];
    let mut bytes = Vec::new();
    for message in [
        json!({"event": "media", "streamSid": "x", "media": {"payload": BASE64.encode([1, 2, 3])}}),
        json!({"streamSid": "x", "mark": {"name": "snow ☃"}, "event": "mark"}),
        json!({"event": "clear", "streamSid": "x"}),
        json!({"event": "media", "media": {"payload": ""}}),
        json!({"event": "hello", "media": {"payload": "AAAA"}}),
    ] {
        let text = message.to_string();
        bytes.extend([0x81, text.len() as u8]);
        bytes.extend(text.bytes());
    }
    let said = pair.bytes(&bytes);
    assert_eq!(
        said[..3],
        [
            Said::Audio(vec![1, 2, 3]),
            Said::Mark("snow ☃".into()),
            Said::Clear
        ]
    );
    assert!(matches!(&said[3..], [Said::Text(text)] if text.contains("hello")));
    let echoed: Vec<String> = pair
        .read_json()
        .iter()
        .map(|got| got["mark"]["name"].as_str().unwrap().into())
        .collect();
    assert_eq!(
        echoed,
        ["one", "tw\"o"],
        "Twilio echoes the marks that a clear dropped"
    );
}

#[test]
fn played_marks_and_digits_are_told_to_a_twilio_bot() {
    let mut pair = Pair::twilio();
    pair.wire.mark_played("greeting");
    pair.wire.send_digit('#', 120);
    assert_eq!(
        pair.read_json(),
        [
            json!({"event": "mark", "sequenceNumber": "1", "streamSid": "the \"stream_sid\"", "mark": {"name": "greeting"}}),
            json!({"event": "dtmf", "sequenceNumber": "2", "streamSid": "the \"stream_sid\"",
            "dtmf": {"track": "inbound_track", "digit": "#"}}),
        ]
    );
}

#[test]
fn base64_is_read_with_escaped_slashes_line_ends_and_without_padding() {
    let mut pair = Pair::twilio();
    let audio = Said::Audio(vec![0xFF, 0xFF, 0xFE, 0xFF]);
    for payload in [
        "///+/w==",
        r"\/\/\/+\/w==",
        "///+/w",
        r"///+\r\n/w==\n",
        r"\u002f//+/w=",
    ] {
        let said = pair.text(&format!(
            r#"{{"event":"media","media":{{"payload":"{payload}"}}}}"#
        ));
        assert_eq!(said, std::slice::from_ref(&audio), "{payload}");
    }
    for payload in ["*", "AAAAA", "A=AA", "AA==AA==", "é"] {
        let said = pair.json(json!({"event": "media", "media": {"payload": payload}}));
        assert_eq!(said, [Said::Garbage(Garbage::NotBase64)], "{payload}");
    }
}

// offhook

#[test]
fn an_offhook_agent_gets_binary_audio_and_json_control() {
    let mut pair = Pair::offhook();
    pair.wire.send_audio(pair.now, &[5; 640]);
    pair.wire.send_digit('5', 160);
    pair.wire.send_speech(true, Duration::from_millis(15));
    pair.wire.mark_played("m");
    pair.sink.queued = vec!["a", "b"];
    assert_eq!(pair.json(json!({"type": "clear"})), [Said::Clear]);
    let got = pair.read();
    assert_eq!(
        got,
        [
            Got::Binary(vec![5; 640]),
            Got::Json(json!({"type": "dtmf", "digit": "5", "duration_ms": 160, "at_ms": 20})),
            Got::Json(json!({"type": "speech_started", "since_ms": 5, "at_ms": 20})),
            Got::Json(json!({"type": "mark", "name": "m"})),
            Got::Json(
                json!({"type": "cleared", "played_ms": 1250, "dropped_ms": 480, "marks": ["a", "b"]})
            ),
        ]
    );
}

#[test]
fn an_agent_names_its_utterances_and_is_told_what_was_heard_of_them() {
    let mut pair = Pair::offhook();
    let said = pair.json(json!({"type": "utterance", "id": "u1", "text": "one \"two\"", "barge_in": "clear", "word_ends_ms": [ 200, 450 ]}));
    let utterance = Utterance {
        id: "u1".into(),
        text: "one \"two\"".into(),
        word_ends_ms: vec![200, 450],
        policy: Some(Policy::Clear),
    };
    assert_eq!(said, [Said::Utterance(utterance)]);
    let said = pair.json(json!({"type": "utterance", "id": "u2"}));
    let utterance = Utterance {
        id: "u2".into(),
        ..Utterance::default()
    };
    assert_eq!(said, [Said::Utterance(utterance)]);
    assert_eq!(
        pair.json(json!({"type": "utterance_end"})),
        [Said::UtteranceEnd]
    );
    pair.wire.send_audio(pair.now, &[5; 640]);
    let cut = Cut {
        id: "u1".into(),
        played_ms: 210,
        text: "one".into(),
        unheard: vec!["u2".into(), "\"".into()],
    };
    pair.wire.interrupted(&Interruption {
        cut: &cut,
        dropped_ms: 3_000,
        by: By::Caller,
        ago: Duration::from_millis(12),
    });
    pair.wire
        .spoken_over(SpokenOver::BargeIn, "u1", Duration::ZERO);
    pair.wire
        .spoken_over(SpokenOver::Backchannel, "", Duration::from_secs(9));
    pair.sink.cut = Some(Cut {
        unheard: vec!["u3".into()],
        ..Cut::default()
    });
    assert_eq!(pair.json(json!({"type": "clear"})), [Said::Clear]);
    let got = pair.read();
    let interrupted = |utterance: &str,
                       played: u64,
                       dropped: u64,
                       text: &str,
                       by: &str,
                       since: u64,
                       unheard: serde_json::Value| {
        Got::Json(
            json!({"type": "interrupted", "utterance": utterance, "played_ms": played, "dropped_ms": dropped, "text_heard": text,
            "by": by, "since_ms": since, "at_ms": 20, "unheard": unheard}),
        )
    };
    assert_eq!(
        got[1..],
        [
            interrupted("u1", 210, 3_000, "one", "caller", 8, json!(["u2", "\""])),
            Got::Json(json!({"type": "barge_in", "utterance": "u1", "since_ms": 20, "at_ms": 20})),
            Got::Json(json!({"type": "backchannel", "utterance": "", "since_ms": 0, "at_ms": 20})),
            Got::Json(
                json!({"type": "cleared", "played_ms": 1250, "dropped_ms": 480, "marks": []})
            ),
            interrupted("", 0, 480, "", "agent", 20, json!(["u3"])),
        ]
    );
}

#[test]
fn an_utterance_that_makes_no_sense_is_told() {
    let mut pair = Pair::offhook();
    for wrong in [
        json!({"type": "utterance"}),
        json!({"type": "utterance", "id": ""}),
        json!({"type": "utterance", "id": 7}),
        json!({"type": "utterance", "id": "a", "text": ["one"]}),
        json!({"type": "utterance", "id": "a", "barge_in": "maybe"}),
        json!({"type": "utterance", "id": "a", "word_ends_ms": "1"}),
        json!({"type": "utterance", "id": "a", "word_ends_ms": [2, 1]}),
        json!({"type": "utterance", "id": "a", "word_ends_ms": [-1]}),
        json!({"type": "utterance", "id": "a", "word_ends_ms": {"a": 1}}),
        json!({"type": "utterance", "id": "a".repeat(65)}),
        json!({"type": "utterance", "id": "a", "text": "a".repeat(4_097)}),
    ] {
        let said = pair.json(wrong.clone());
        assert!(matches!(said[..], [Said::Garbage(_)]), "{wrong} {said:?}");
    }
}

#[test]
fn speech_is_told_behind_the_audio_it_was_found_in() {
    let mut pair = Pair::offhook();
    pair.wire.send_audio(pair.now, &[5; 640 + 320]);
    pair.wire.send_speech(true, Duration::from_millis(25));
    pair.wire.send_audio(pair.now, &[5; 320]);
    // The agent came in the middle of it: nothing lies before its own first sample.
    pair.wire.send_speech(false, Duration::from_secs(3));
    let message = |kind: &str, since: u64, at: u64| {
        Got::Json(json!({"type": kind, "since_ms": since, "at_ms": at}))
    };
    assert_eq!(
        pair.read(),
        [
            Got::Binary(vec![5; 640]),
            message("speech_started", 5, 20),
            Got::Binary(vec![5; 640]),
            message("speech_ended", 0, 40),
        ]
    );
}

#[test]
fn twilio_is_told_nothing_of_speech() {
    let mut pair = Pair::twilio();
    pair.wire.send_speech(true, Duration::ZERO);
    assert_eq!(pair.read(), []);
}

#[test]
fn a_clear_of_ours_is_reported_like_the_agents_own() {
    let mut pair = Pair::offhook();
    pair.wire.cleared(
        Heard {
            played_ms: 20,
            dropped_ms: 0,
        },
        ["x\n"],
    );
    assert_eq!(
        pair.read_json(),
        [json!({"type": "cleared", "played_ms": 20, "dropped_ms": 0, "marks": ["x\n"]})]
    );
    pair.wire.cleared(Heard::default(), []);
    assert_eq!(
        pair.read_json(),
        [json!({"type": "cleared", "played_ms": 0, "dropped_ms": 0, "marks": []})]
    );
}

#[test]
fn ready_chooses_the_audio_before_the_next_message_is_read() {
    let pcm = |rate| AudioFormat {
        encoding: Encoding::Pcm16Le,
        rate,
    };
    let both = |format| {
        Said::Formats(Formats {
            send: format,
            receive: format,
        })
    };
    let mut pair = Pair::offhook();
    let ready = json!({"type": "ready", "audio": {"encoding": "pcm16", "rate": 24000}}).to_string();
    assert_eq!(
        pair.text(&ready),
        [both(pcm(24_000)), Said::Text(ready.clone())]
    );
    pair.wire.send_audio(pair.now, &[0; 960]);
    assert_eq!(pair.read(), [Got::Binary(vec![0; 960])]);
    assert_eq!(
        pair.json(json!({"type": "ready"})).len(),
        1,
        "what is not said stays"
    );
    assert_eq!(
        pair.json(json!({"type": "ready", "audio": {"rate": 8000}}))[0],
        both(pcm(8_000))
    );
    let pcmu = AudioFormat {
        encoding: Encoding::Pcmu,
        rate: 8_000,
    };
    assert_eq!(
        pair.json(json!({"type": "ready", "audio": {"encoding": "pcmu"}}))[0],
        both(pcmu)
    );
    assert_eq!(pair.wire.formats().send, pcmu);
}

#[test]
fn an_audio_format_that_nobody_speaks_is_told_to_both_sides() {
    for audio in [
        json!({"rate": 44100}),
        json!({"encoding": "opus"}),
        json!({"encoding": "pcmu", "rate": 16000}),
        json!({"encoding": "pcma"}),
        json!({"rate": 8000.5}),
        json!({"rate": -1}),
    ] {
        let mut pair = Pair::offhook();
        let ready = json!({"type": "ready", "audio": audio}).to_string();
        assert_eq!(
            pair.text(&ready),
            [
                Said::Text(ready.clone()),
                Said::Garbage(Garbage::UnknownFormat)
            ],
            "{ready}"
        );
        assert_eq!(pair.read_json()[0]["code"], "bad_format");
    }
}

#[test]
fn an_agent_hangs_up_after_its_last_word_unless_it_says_now() {
    let mut pair = Pair::offhook();
    for (message, after_playout) in [
        (json!({"type": "hangup"}), true),
        (
            json!({"type": "hangup", "now": false, "reason": "done"}),
            true,
        ),
        (json!({"now": true, "type": "hangup"}), false),
    ] {
        let said = pair.json(message.clone());
        assert_eq!(said[0], Said::HangUp { after_playout });
        assert_eq!(
            said[1],
            Said::Text(message.to_string()),
            "Python notes the reason"
        );
    }
    let said = pair.json(json!({"type": "hangup", "now": "yes"}));
    assert!(matches!(
        said[..],
        [Said::Text(_), Said::Garbage(Garbage::BadField(_))]
    ));
}

#[test]
fn digits_of_the_agent_are_checked() {
    let mut pair = Pair::offhook();
    assert_eq!(
        pair.json(json!({"type": "dtmf", "digits": "12*#ad"})),
        [Said::Dtmf("12*#AD".into())]
    );
    for digits in ["", "1,2", "１", &"1".repeat(65)] {
        assert_eq!(
            pair.json(json!({"type": "dtmf", "digits": digits})),
            [Said::Garbage(Garbage::NotDigits)]
        );
        assert_eq!(
            pair.read_json(),
            [
                json!({"type": "error", "code": "bad_digits", "message": Garbage::NotDigits.to_string()})
            ]
        );
    }
}

#[test]
fn samples_that_were_cut_in_half_are_joined_again() {
    let mut pair = Pair::offhook();
    assert_eq!(pair.binary(&[1, 2, 3]), [Said::Audio(vec![1, 2])]);
    assert_eq!(pair.binary(&[4]), [Said::Audio(vec![3, 4])]);
    assert_eq!(pair.binary(&[5]), []);
    assert_eq!(pair.binary(&[6, 7]), [Said::Audio(vec![5, 6])]);
    pair.json(json!({"type": "clear"}));
    assert_eq!(
        pair.binary(&[8, 9]),
        [Said::Audio(vec![8, 9])],
        "a clear drops the odd byte, too"
    );
}

// Dialects that are not shipped, but must be describable

#[test]
fn plivo_openai_jambonz_and_elevenlabs_can_be_described_with_data_alone() {
    let plivo = json!({
        "name": "plivo", "values": ["stream_id"],
        "audio": {"framing": "base64", "formats": ["pcmu/8000", "pcm16/8000", "pcm16/16000"], "send_byte_order": "big", "receive_byte_order": "big"},
        "send": {
            "media": {"event": "media", "sequenceNumber": {"$": "sequence"}, "streamId": "{stream_id}",
                "media": {"track": "inbound", "timestamp": "{timestamp_ms}", "chunk": {"$": "chunk"}, "payload": "{payload}"}},
            "mark": {"event": "playedStream", "streamId": "{stream_id}", "name": "{name}"},
            "cleared": {"event": "clearedAudio", "streamId": "{stream_id}"},
            "dtmf": {"event": "dtmf", "streamId": "{stream_id}", "dtmf": {"track": "inbound", "digit": "{digit}", "timestamp": "{timestamp_ms}"}},
        },
        "receive": {"type": "event", "messages": {
            "playAudio": {"do": "audio", "payload": "media.payload"}, "checkpoint": {"do": "mark", "name": "name"},
            "clearAudio": {"do": "clear"}, "stop": {"do": "hang_up", "now": true},
        }},
    });
    let mut pair = Pair::new(&plivo.to_string(), "pcm16/16000", WireLimits::default());
    pair.wire.send_audio(pair.now, &[1, 2].repeat(320));
    let got = pair.read_json();
    assert_eq!(
        got[0]["media"]["payload"],
        BASE64.encode([2, 1].repeat(320)),
        "big-endian on the wire"
    );
    let said = pair.json(json!({"event": "playAudio", "media": {"contentType": "audio/x-l16", "payload": BASE64.encode([1, 2, 3])}}));
    assert_eq!(said, [Said::Audio(vec![2, 1])]);
    assert_eq!(
        pair.json(json!({"event": "stop", "streamId": "x"})),
        [Said::HangUp {
            after_playout: false
        }]
    );
    pair.sink.queued = vec!["never played"];
    pair.json(json!({"event": "clearAudio"}));
    assert_eq!(
        pair.read_json(),
        [json!({"event": "clearedAudio", "streamId": "the \"stream_id\""})]
    );

    let openai = json!({
        "name": "openai", "audio": {"framing": "base64", "formats": ["pcmu/8000", "pcm16/24000"]},
        "send": {"media": {"type": "input_audio_buffer.append", "audio": "{payload}"}},
        "receive": {"type": "type", "messages": {
            "response.output_audio.delta": {"do": "audio", "payload": "delta"},
            "input_audio_buffer.speech_started": {"do": "clear", "tell": true},
        }},
    });
    let mut pair = Pair::new(&openai.to_string(), "", WireLimits::default());
    pair.wire.send_audio(pair.now, &[0; 160]);
    assert_eq!(
        pair.read_json(),
        [json!({"type": "input_audio_buffer.append", "audio": BASE64.encode([0; 160])})]
    );
    assert_eq!(
        pair.json(json!({"type": "response.output_audio.delta", "delta": "AAAA"})),
        [Said::Audio(vec![0; 3])]
    );
    let started = json!({"type": "input_audio_buffer.speech_started", "item_id": "i"});
    assert_eq!(
        pair.json(started.clone()),
        [Said::Clear, Said::Text(started.to_string())]
    );

    let jambonz = json!({
        "name": "jambonz", "subprotocol": "audio.jambonz.org", "audio": {"framing": "binary", "formats": ["pcm16/8000"]},
        "send": {
            "mark": {"type": "mark", "data": {"name": "{name}", "event": "playout"}},
            "dropped_mark": {"type": "mark", "data": {"name": "{name}", "event": "cleared"}},
        },
        "receive": {"type": "type", "messages": {
            "killAudio": {"do": "clear"}, "mark": {"do": "mark", "name": "data.name"}, "disconnect": {"do": "hang_up", "now": true},
        }},
    });
    let mut pair = Pair::new(&jambonz.to_string(), "", WireLimits::default());
    assert_eq!(
        pair.json(json!({"type": "mark", "data": {"name": "n"}})),
        [Said::Mark("n".into())]
    );
    pair.sink.queued = vec!["n"];
    pair.json(json!({"type": "killAudio"}));
    assert_eq!(
        pair.read_json(),
        [json!({"type": "mark", "data": {"name": "n", "event": "cleared"}})]
    );

    let elevenlabs = json!({
        "name": "elevenlabs", "audio": {"framing": "base64", "formats": ["pcm16/16000"], "receive_formats": ["pcmu/8000"]},
        "send": {"media": {"user_audio_chunk": "{payload}"}},
        "receive": {"type": "type", "messages": {
            "audio": {"do": "audio", "payload": "audio_event.audio_base_64"}, "interruption": {"do": "clear", "tell": true},
        }},
    });
    let mut pair = Pair::new(&elevenlabs.to_string(), "", WireLimits::default());
    assert_eq!(
        pair.wire.formats().receive,
        AudioFormat {
            encoding: Encoding::Pcmu,
            rate: 8_000
        }
    );
    let said = pair
        .json(json!({"audio_event": {"event_id": 1, "audio_base_64": "AAA="}, "type": "audio"}));
    assert_eq!(said, [Said::Audio(vec![0; 2])]);
}

#[test]
fn a_wrong_description_names_the_place() {
    let wrong = |pointer: &str, value: Value| {
        let mut tree: Value = serde_json::from_str(TWILIO).unwrap();
        *tree.pointer_mut(pointer).unwrap() = value;
        let error = Dialect::parse(&tree.to_string()).unwrap_err();
        (error.path, error.message)
    };
    assert_eq!(wrong("/audio/framing", json!("opus")).0, "audio.framing");
    assert_eq!(
        wrong("/audio/formats", json!(["pcmu/16000"])).0,
        "audio.formats"
    );
    assert_eq!(wrong("/audio/frame_ms", json!(5)).0, "audio.frame_ms");
    assert_eq!(
        wrong("/send/mark/mark/name", json!("{payload}")).0,
        "send.mark.mark.name"
    );
    assert_eq!(
        wrong("/send/media/media/payload", json!("x")),
        ("send.media".into(), "has no place for {payload}".into())
    );
    assert_eq!(
        wrong("/receive/messages/media/payload", json!("a..b")).0,
        "receive.messages.media.payload"
    );
    assert_eq!(
        wrong("/receive/messages/clear", json!({"do": "flush"})).0,
        "receive.messages.clear.do"
    );
    assert_eq!(
        wrong("/receive/messages/clear", json!({"do": "clear", "now": 1})).0,
        "receive.messages.clear.now"
    );
    assert_eq!(
        wrong("/foreign/0/values", json!("x")).0,
        "foreign[0].values"
    );
    assert_eq!(wrong("/subprotocol", json!("a b")).0, "subprotocol");
    assert!(
        Dialect::parse("{")
            .unwrap_err()
            .to_string()
            .contains("not JSON")
    );
    let twilio = Dialect::parse(TWILIO).unwrap();
    let error = twilio.formats("pcm16/8000").unwrap_err().to_string();
    assert!(error.contains("it speaks pcmu/8000"), "{error}");
}

#[test]
fn a_wire_wants_the_values_of_its_dialect_and_no_others() {
    let dialect = Arc::new(Dialect::parse(TWILIO).unwrap());
    let open = |values: &[(&str, &str)]| {
        let values = values
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let (formats, limits) = (dialect.default_formats(), WireLimits::default());
        let config = WireConfig {
            dialect: Arc::clone(&dialect),
            values,
            formats,
            mask_seed: [0; 16],
            limits,
        };
        Wire::new(config, Time::ZERO)
            .map(|_| ())
            .map_err(|error| error.path)
    };
    assert_eq!(open(&[]), Err("values.stream_sid".into()));
    assert_eq!(
        open(&[("stream_sid", "MZ"), ("call_sid", "CA")]),
        Err("values.call_sid".into())
    );
    assert_eq!(open(&[("stream_sid", "MZ")]), Ok(()));
}

// An agent that speaks something else

#[test]
fn a_twilio_bot_on_our_own_wire_is_recognised_once() {
    let mut pair = Pair::offhook();
    let media = json!({"event": "media", "streamSid": "MZ1", "media": {"payload": "AAAA"}});
    assert_eq!(
        pair.json(media.clone()),
        [
            Said::WrongDialect("twilio".into()),
            Said::Text(media.to_string())
        ]
    );
    assert_eq!(pair.json(media.clone()), [Said::Text(media.to_string())]);
    let other = json!({"event": "media", "media": {"payload": "AAAA"}});
    assert_eq!(
        Pair::offhook().json(other),
        [Said::Garbage(Garbage::NoType)],
        "without streamSid it is somebody else"
    );
}

#[test]
fn an_offhook_agent_on_a_twilio_wire_is_recognised() {
    let mut pair = Pair::twilio();
    let ready = json!({"type": "ready"});
    assert_eq!(
        pair.json(ready.clone()),
        [
            Said::WrongDialect("offhook".into()),
            Said::Text(ready.to_string())
        ]
    );
    assert_eq!(
        pair.binary(&[0; 640]),
        [Said::Garbage(Garbage::UnexpectedBinary)]
    );
}

// Garbage, floods, slow readers

#[test]
fn garbage_is_counted_and_then_ends_the_wire() {
    for (garbage, status) in [
        ("not json", 1007),
        (r#"{"event":"media"}"#, 1008),
        (r#"["event"]"#, 1007),
    ] {
        let mut pair = Pair::twilio();
        for _ in 0..20 {
            assert!(matches!(pair.text(garbage)[..], [Said::Garbage(_)]));
        }
        assert_eq!(
            pair.read(),
            [],
            "a dialect without an error message says nothing"
        );
        let said = pair.text(garbage);
        let [
            Said::Closed {
                cause,
                status: told,
                clean,
                ..
            },
        ] = &said[..]
        else {
            panic!("{said:?}")
        };
        assert_eq!(
            (*cause, *told, *clean),
            (CloseCause::ProtocolError, status, false)
        );
        assert!(matches!(pair.read()[..], [Got::Close(code, _)] if code == status));
        assert_eq!(pair.count("received_garbage"), 21);
        assert!(pair.wire.is_closed() && pair.wire.next_timeout().is_none());
        assert_eq!(
            pair.text(r#"{"event":"clear"}"#),
            [],
            "nothing is taken after the end"
        );
    }
}

#[test]
fn a_message_without_a_type_is_garbage_only_where_the_protocol_is_ours() {
    let mut pair = Pair::offhook();
    for untyped in [r#"{"type":5}"#, r#"{"label":"ready"}"#] {
        assert!(matches!(
            pair.text(untyped)[..],
            [Said::Garbage(Garbage::NoType)]
        ));
        assert!(matches!(&pair.read()[..], [Got::Json(error)] if error["code"] == "no_type"));
    }
    let mut pair = Pair::twilio();
    assert!(matches!(
        pair.text(r#"{"label":"rtvi-ai","type":"bot-ready"}"#)[..],
        [Said::Text(_)]
    ));
}

#[test]
fn binary_garbage_closes_with_1003() {
    let mut pair = Pair::twilio();
    let last = (0..21).flat_map(|_| pair.binary(&[0; 3])).last();
    assert!(matches!(
        last,
        Some(Said::Closed {
            status: 1003,
            cause: CloseCause::ProtocolError,
            ..
        })
    ));
}

#[test]
fn a_broken_frame_ends_the_wire_at_once() {
    let mut pair = Pair::offhook();
    let said = pair.bytes(&[0x81, 0x02, 0xC3, 0x28]);
    assert!(matches!(
        said[..],
        [Said::Closed {
            status: 1007,
            cause: CloseCause::ProtocolError,
            ..
        }]
    ));
    let mut pair = Pair::offhook();
    let said = pair.bytes(&[0x82, 127, 0, 0, 0, 0, 0x10, 0, 0, 0]);
    assert!(matches!(
        said[..],
        [Said::Closed {
            status: 1009,
            cause: CloseCause::ProtocolError,
            ..
        }]
    ));
    assert!(matches!(&pair.read()[..], [Got::Close(1009, reason)] if reason.contains("limit")));
}

#[test]
fn long_names_and_long_texts_are_garbage() {
    let mut pair = Pair::offhook();
    assert_eq!(
        pair.json(json!({"type": "mark", "name": "n".repeat(256)})),
        [Said::Mark("n".repeat(256))]
    );
    let said = pair.json(json!({"type": "mark", "name": "n".repeat(257)}));
    assert_eq!(
        said,
        [Said::Garbage(Garbage::TooLong("the name of a mark"))]
    );
    let said = pair.json(json!({"type": "note", "text": "n".repeat(70_000)}));
    assert_eq!(said, [Said::Garbage(Garbage::TooLong("a text message"))]);
}

#[test]
fn a_slow_reader_loses_the_oldest_audio_but_no_control_message() {
    let limits = WireLimits {
        max_outgoing_audio: 4_000,
        ..WireLimits::default()
    };
    let mut pair = Pair::new(OFFHOOK, "pcm16/8000", limits);
    pair.wire.mark_played("first");
    for number in 0..100_u8 {
        pair.wire.send_audio(pair.now, &[number; 320]);
        if number == 50 {
            pair.wire.mark_played("middle");
        }
        pair.pass(20);
    }
    let got = pair.read();
    assert_eq!(got[0], Got::Json(json!({"type": "mark", "name": "first"})));
    assert_eq!(got[1], Got::Json(json!({"type": "mark", "name": "middle"})));
    let audio: Vec<u8> = got[2..]
        .iter()
        .map(|got| {
            if let Got::Binary(bytes) = got {
                bytes[0]
            } else {
                panic!("{got:?}")
            }
        })
        .collect();
    assert_eq!(audio, (88..100).collect::<Vec<u8>>());
    assert_eq!(
        (
            pair.count("sent_dropped_messages"),
            pair.count("sent_dropped_us")
        ),
        (88, 88 * 20_000)
    );
    assert_eq!(pair.count("sent_audio_us"), 2_000_000);
    assert_eq!(pair.timeout(), [], "it has caught up");
}

#[test]
fn a_reader_that_never_catches_up_is_too_slow() {
    let limits = WireLimits {
        max_outgoing_audio: 4_000,
        stall: Duration::from_secs(3),
        ping_interval: None,
        ..WireLimits::default()
    };
    let mut pair = Pair::new(OFFHOOK, "pcm16/8000", limits);
    let began = pair.now;
    let mut said = Vec::new();
    while said.is_empty() {
        pair.wire.send_audio(pair.now, &[0; 320]);
        // It reads a little, but never all.
        pair.wire.sent(pair.wire.outgoing().len().min(100));
        if pair.wire.next_timeout().is_some_and(|at| at <= pair.now) {
            said = pair.timeout();
        }
        pair.pass(20);
    }
    assert!(matches!(
        said[..],
        [Said::Closed {
            cause: CloseCause::TooSlow,
            status: 1008,
            clean: false,
            ..
        }]
    ));
    let took = pair.now - began;
    assert!(
        (Duration::from_millis(3_200)..Duration::from_millis(3_600)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn control_messages_that_nobody_reads_end_the_wire() {
    let limits = WireLimits {
        max_outgoing_control: 10_000,
        ..WireLimits::default()
    };
    let mut pair = Pair::new(OFFHOOK, "", limits);
    let mut count = 0;
    while pair.wire.next_timeout().is_none_or(|at| at > pair.now) {
        pair.wire.mark_played("mark");
        count += 1;
        assert!(count < 1_000, "the queue is bounded");
    }
    assert!(matches!(
        pair.timeout()[..],
        [Said::Closed {
            cause: CloseCause::TooSlow,
            ..
        }]
    ));
}

#[test]
fn a_flood_of_messages_is_counted_and_ends_the_wire() {
    let limits = WireLimits {
        burst_frames: 100,
        frames_per_second: 10,
        max_flood: 5,
        ..WireLimits::default()
    };
    let mut pair = Pair::new(OFFHOOK, "", limits);
    let mark = json!({"type": "mark", "name": "m"});
    assert!((0..105).all(|_| pair.json(mark.clone()) == [Said::Mark("m".into())]));
    assert_eq!(pair.count("received_flood"), 5);
    let said = pair.json(mark);
    assert!(matches!(
        said.last(),
        Some(Said::Closed {
            cause: CloseCause::Flood,
            status: 1008,
            ..
        })
    ));
}

#[test]
fn a_flood_of_empty_fragments_counts_too() {
    let limits = WireLimits {
        burst_frames: 100,
        frames_per_second: 10,
        max_flood: 2,
        ..WireLimits::default()
    };
    let mut pair = Pair::new(OFFHOOK, "", limits);
    pair.bytes(&[0x01, 0x00]);
    let last = (0..200).flat_map(|_| pair.bytes(&[0x00, 0x00])).last();
    assert!(matches!(
        last,
        Some(Said::Closed {
            cause: CloseCause::Flood,
            ..
        })
    ));
}

#[test]
fn audio_too_far_ahead_is_dropped_and_then_a_flood() {
    let limits = WireLimits {
        max_ahead: Duration::from_secs(2),
        max_flood: 3,
        ..WireLimits::default()
    };
    let mut pair = Pair::new(OFFHOOK, "pcm16/8000", limits);
    let second = vec![0; 16_000];
    assert_eq!(
        (
            pair.binary(&second).len(),
            pair.binary(&second).len(),
            pair.binary(&second).len()
        ),
        (1, 1, 0)
    );
    assert_eq!(pair.count("received_dropped_us"), 1_000_000);
    pair.pass(1_000);
    assert_eq!(pair.binary(&second).len(), 1, "real time has caught up");
    assert_eq!(pair.binary(&second).len(), 0);
    pair.json(json!({"type": "clear"}));
    assert_eq!(
        pair.binary(&second).len(),
        1,
        "what was cleared is not ahead any more"
    );
    assert_eq!(
        (pair.binary(&second).len(), pair.binary(&second).len()),
        (1, 0)
    );
    assert!(matches!(
        pair.binary(&second)[..],
        [Said::Closed {
            cause: CloseCause::Flood,
            ..
        }]
    ));
}

// Pings and the end

#[test]
fn a_silent_agent_is_pinged_and_given_up() {
    let mut pair = Pair::offhook();
    assert_eq!(
        pair.wire.next_timeout(),
        Some(pair.now + Duration::from_secs(20))
    );
    pair.pass(20_000);
    assert_eq!(pair.timeout(), []);
    assert_eq!(pair.read(), [Got::Ping]);
    pair.pass(15_000);
    assert_eq!(pair.frame(0x8A, b""), []);
    assert_eq!(pair.count("received_pongs"), 1);
    pair.pass(5_000);
    pair.timeout();
    assert_eq!(pair.read(), [Got::Ping]);
    pair.pass(20_000);
    assert!(matches!(
        pair.timeout()[..],
        [Said::Closed {
            cause: CloseCause::Silent,
            status: 1011,
            ..
        }]
    ));
}

#[test]
fn pings_are_answered_the_last_one_at_least() {
    let mut pair = Pair::offhook();
    pair.bytes(&[0x89, 1, b'a', 0x89, 1, b'b']);
    assert_eq!(pair.read(), [Got::Pong(b"b".into())]);
}

#[test]
fn the_agents_close_is_answered_and_told_as_it_is() {
    for (code, reason) in [(1000, "bye"), (1001, ""), (1011, "crashed"), (4000, "own")] {
        let mut pair = Pair::twilio();
        pair.wire.send_audio(pair.now, &[0; 160]);
        let said = pair.frame(0x88, &close_frame(code, reason));
        assert_eq!(
            said,
            [Said::Closed {
                cause: CloseCause::Agent,
                status: code,
                reason: reason.into(),
                clean: true
            }]
        );
        assert_eq!(pair.read(), [Got::Close(code, String::new())]);
        pair.wire.handle_eof(&mut pair.sink);
        assert_eq!(pair.sink.said, []);
    }
    let said = Pair::twilio().frame(0x88, b"");
    assert_eq!(
        said,
        [Said::Closed {
            cause: CloseCause::Agent,
            status: 1005,
            reason: String::new(),
            clean: true
        }]
    );
}

#[test]
fn what_came_before_a_close_is_done_first() {
    let mut pair = Pair::offhook();
    let mut bytes = vec![0x82, 2, 1, 2, 0x88, 2];
    bytes.extend(1000_u16.to_be_bytes());
    bytes.extend([0x82, 2, 3, 4]);
    let said = pair.bytes(&bytes);
    assert_eq!(said[0], Said::Audio(vec![1, 2]));
    assert!(
        matches!(said[1..], [Said::Closed { status: 1000, .. }]),
        "and nothing after it"
    );
}

#[test]
fn a_connection_that_breaks_is_1006() {
    let mut pair = Pair::offhook();
    pair.wire.handle_eof(&mut pair.sink);
    let lost = Said::Closed {
        cause: CloseCause::Lost,
        status: 1006,
        reason: "the connection broke".into(),
        clean: false,
    };
    assert_eq!(pair.sink.said, [lost]);
    assert!(CloseCause::Lost.code().is_none());
}

#[test]
fn our_close_comes_after_what_is_queued_and_waits_for_the_answer() {
    let mut pair = Pair::offhook();
    pair.wire.send_audio(pair.now, &[1; 100]);
    pair.wire.send_text(r#"{"type":"end"}"#, false);
    pair.wire.close(pair.now, 1000, "call ended");
    pair.wire.send_text("too late", false);
    pair.wire.send_audio(pair.now, &[0; 640]);
    let got = pair.read();
    assert_eq!(got.len(), 3);
    assert_eq!(got[2], Got::Close(1000, "call ended".into()));
    assert_eq!(pair.binary(&[0; 640]), [], "what it still says has no ear");
    let said = pair.frame(0x88, &close_frame(1000, ""));
    let closed = |clean| Said::Closed {
        cause: CloseCause::Requested,
        status: 1000,
        reason: "call ended".into(),
        clean,
    };
    assert_eq!(said, [closed(true)]);
    assert_eq!(pair.read(), [], "one close each is enough");

    let mut pair = Pair::offhook();
    pair.wire.close(pair.now, 1000, "call ended");
    assert_eq!(
        pair.wire.next_timeout(),
        Some(pair.now + Duration::from_secs(2))
    );
    pair.pass(2_000);
    assert_eq!(pair.timeout(), [closed(false)]);

    let mut pair = Pair::offhook();
    pair.wire.close(pair.now, 1000, "call ended");
    assert_eq!(pair.read().len(), 1);
    assert_eq!(pair.frame(0xff, b"noise"), [closed(false)]);
    assert_eq!(pair.read(), [], "nothing follows our close");
}

// Whatever comes

fn agent_bytes() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        Just(r#"{"event":"media","media":{"payload":"AAAA"}}"#.to_owned()),
        Just(r#"{"event":"mark","mark":{"name":"\u00e9"}}"#.to_owned()),
        Just(r#"{"type":"ready","audio":{"rate":8000}}"#.to_owned()),
        Just(r#"{"type":"clear"}"#.to_owned()),
        Just(r#"{"type":"dtmf","digits":"12"}"#.to_owned()),
        "[{}\\[\\]:,\"a-z0-9\\\\]{0,40}",
    ];
    let frame = prop_oneof![
        4 => text.prop_map(|text| (0x81, text.into_bytes())),
        2 => (prop_oneof![Just(0x82_u8), Just(0x02), Just(0x80), Just(0x00), Just(0x89), Just(0x8A)], prop::collection::vec(any::<u8>(), 0..100)),
        1 => (any::<u8>(), prop::collection::vec(any::<u8>(), 0..10)),
    ];
    prop::collection::vec(frame, 0..20).prop_map(|frames| {
        frames
            .into_iter()
            .flat_map(|(first, payload)| [&[first, payload.len() as u8][..], &payload].concat())
            .collect()
    })
}

proptest! {
    #[test]
    fn whatever_an_agent_sends_the_wire_says_the_same_for_any_cut_and_writes_whole_frames(
        bytes in agent_bytes(), cuts in prop::collection::vec(0_usize..50, 0..30), twilio: bool,
    ) {
        let fresh = || if twilio { Pair::twilio() } else { Pair::offhook() };
        let mut whole = fresh();
        let said = whole.bytes(&bytes);
        let mut cut = fresh();
        let mut rest = &bytes[..];
        let mut said_cut = Vec::new();
        for length in cuts {
            let (head, tail) = rest.split_at(length.min(rest.len()));
            said_cut.extend(cut.bytes(head));
            rest = tail;
        }
        said_cut.extend(cut.bytes(rest));
        prop_assert_eq!(&said_cut, &said);
        let ends = said.iter().filter(|said| matches!(said, Said::Closed { .. })).count();
        prop_assert!(ends <= 1);
        prop_assert_eq!(whole.read(), cut.read());
    }
}
