//! A whole agent connection: what an agent may send, whole and in pieces, while we send, close and wait.
use super::dialect::OURS;
use super::websocket::server_message;
use crate::mutate::{mutate, pieces};
use crate::random::Random;
use offhook_media::clock::Time;
use offhook_media::telephone_event::KeyTiming;
use offhook_media::wire::{
    Dialect, DroppedMarks, Formats, Garbage, Heard, Wire, WireClose, WireConfig, WireLimits,
    WireSink,
};
use std::fmt::Write;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static DIALECTS: LazyLock<[Arc<Dialect>; 2]> =
    LazyLock::new(|| OURS.map(|text| Arc::new(Dialect::parse(text).expect("ours"))));

const MESSAGES: [&str; 16] = [
    r#"{"type":"ready","audio":{"encoding":"pcm16","rate":8000}}"#,
    r#"{"type":"ready"}"#,
    r#"{"type":"mark","name":"after the greeting"}"#,
    r#"{"type":"clear"}"#,
    r#"{"type":"dtmf","digits":"12#a","duration_ms":100,"gap_ms":8001}"#,
    r#"{"type":"hangup","now":false}"#,
    r#"{"type":"reject","status":486}"#,
    r#"{"event":"media","streamSid":"MZ1","media":{"payload":"//9/f4CA/////w=="}}"#,
    r#"{"event":"media","media":{"payload":"fw"},"streamSid":"MZ1"}"#,
    r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"m\u00e9\"1"}}"#,
    r#"{"event":"clear","streamSid":"MZ1"}"#,
    r#"{"event":"playAudio","media":{"payload":"AAAA"}}"#,
    r#"{"event":"something","else":[1,2,3]}"#,
    "[]",
    "not json",
    "",
];

/// An agent's view of what came of its bytes.
#[derive(Default)]
struct Told {
    log: String,
    marks: Vec<String>,
    closed: u32,
    garbage: u64,
}

impl Told {
    fn note(&mut self, words: std::fmt::Arguments<'_>) {
        assert_eq!(self.closed, 0, "told after the end: {words}");
        let _ = writeln!(self.log, "{words}");
    }
}

impl WireSink for Told {
    fn audio(&mut self, audio: &[u8]) {
        assert!(!audio.is_empty(), "audio without a sample");
        // Pieces of a message may be given as they come.
        let sum: u64 = audio.iter().map(|&byte| u64::from(byte)).sum();
        self.note(format_args!("audio {} {sum}", audio.len()));
    }
    fn formats(&mut self, formats: Formats) {
        self.note(format_args!("formats {formats:?}"));
    }
    fn mark(&mut self, name: &str) {
        assert!(
            name.len() <= WireLimits::default().max_name,
            "a long name of a mark"
        );
        self.note(format_args!("mark {name:?}"));
        self.marks.push(name.into());
    }
    fn clear(&mut self, dropped: &mut DroppedMarks) -> Heard {
        self.note(format_args!("clear"));
        self.marks.drain(..).for_each(|name| dropped.push(&name));
        Heard {
            played_ms: 1_234,
            dropped_ms: 5,
        }
    }
    fn dtmf(&mut self, digits: &str, timing: KeyTiming) -> usize {
        assert!(
            digits
                .chars()
                .all(|digit| "0123456789*#ABCD".contains(digit)),
            "{digits:?}"
        );
        assert!(timing.lasts.as_millis() <= 8_000 && timing.gap.as_millis() <= 8_000);
        self.note(format_args!("dtmf {digits} {timing:?}"));
        digits.len() % 2
    }
    fn hang_up(&mut self, after_playout: bool) {
        self.note(format_args!("hang up {after_playout}"));
    }
    fn text(&mut self, message: &str) {
        assert!(
            message.len() <= WireLimits::default().max_text,
            "a long message for Python"
        );
        self.note(format_args!("text {message:?}"));
    }
    fn garbage(&mut self, garbage: Garbage) {
        self.garbage += 1;
        self.note(format_args!("garbage {}", garbage.code()));
    }
    fn wrong_dialect(&mut self, dialect: &str) {
        self.note(format_args!("wrong dialect {dialect}"));
    }
    fn closed(&mut self, close: WireClose<'_>) {
        self.note(format_args!("closed {close:?}"));
        self.closed += 1;
    }
}

fn wire(dialect: usize, limits: WireLimits) -> Wire {
    let dialect = Arc::clone(&DIALECTS[dialect]);
    let values = dialect
        .values()
        .iter()
        .map(|name| (name.clone(), "MZ\"1\\".into()))
        .collect();
    let formats = dialect.default_formats();
    let config = WireConfig {
        dialect,
        values,
        formats,
        mask_seed: [7; 16],
        limits,
    };
    Wire::new(config, Time::ZERO).expect("all values")
}

fn from_agent(random: &mut Random) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..1 + random.below(10) {
        if random.once_in(4) {
            let length = *random.pick(&[0, 1, 2, 320, 641, 1_000]);
            server_message(2, &random.bytes(length), random, &mut stream);
            continue;
        }
        let seed = *random.pick(&MESSAGES);
        let mut message = seed.as_bytes().to_vec();
        if random.once_in(3) {
            let words: [&[u8]; 8] = [b"\"", b"{", b"}", b"\\u00e9", b"=", b"null", b"0", b"media"];
            message = mutate(&message, &words, random, 100_000);
        }
        let message = String::from_utf8_lossy(&message);
        server_message(1, message.as_bytes(), random, &mut stream);
    }
    match random.below(6) {
        0 => server_message(8, b"\x03\xe8bye", random, &mut stream),
        1 => server_message(8, b"", random, &mut stream),
        2 => {
            return mutate(
                &stream,
                &[b"\x81\x00", b"\x88\x02\x03\xf3"],
                random,
                200_000,
            );
        }
        _ => {}
    }
    stream
}

/// Pieces change nothing; then a whole life of a wire, whose every byte out must be proper.
pub fn run(random: &mut Random) {
    let dialect = random.below(2);
    let stream = from_agent(random);
    let (mut once, mut often) = (Told::default(), Told::default());
    let mut whole = wire(dialect, WireLimits::default());
    whole.handle_bytes(Time::ZERO, &stream, &mut once);
    let mut parts = wire(dialect, WireLimits::default());
    for piece in pieces(&stream, random) {
        parts.handle_bytes(Time::ZERO, piece, &mut often);
    }
    assert_eq!(once.log, often.log, "pieces change what the agent wants");
    assert_eq!(
        whole.outgoing(),
        parts.outgoing(),
        "pieces change what is answered"
    );
    assert!(
        once.garbage <= WireLimits::default().max_garbage + 1,
        "garbage is told without end"
    );
    life(dialect, random);
}

fn life(dialect: usize, random: &mut Random) {
    let limits = WireLimits {
        max_message: 20_000,
        max_outgoing_audio: 4_000,
        max_outgoing_control: 8_000,
        burst_frames: 100,
        ..WireLimits::default()
    };
    let (mut wire, mut told) = (wire(dialect, limits), Told::default());
    let mut now = Time::ZERO;
    let mut written = Vec::new();
    for _ in 0..100 {
        match random.below(14) {
            0 => now += Duration::from_secs(random.below(40) as u64),
            1 => wire.close(
                now,
                *random.pick(&[1000, 1005, 4000, 0]),
                &"é".repeat(random.below(100)),
            ),
            2 => wire.mark_played(random.pick::<&str>(&["a", "", "quo\"te", "long long long"])),
            3 => wire.send_digit(*random.pick(&['1', '#', 'D']), random.next() % 10_000),
            4 => wire.send_text(r#"{"n":"{sequence}"}"#, random.once_in(2)),
            5 => wire.cleared(Heard::default(), ["x", "y\\"]),
            6 if random.once_in(10) => wire.handle_eof(&mut told),
            7 => wire.handle_bytes(now, &from_agent(random), &mut told),
            8..10 => {
                let count = random.below(wire.outgoing().len() + 1);
                written.extend_from_slice(&wire.outgoing()[..count]);
                wire.sent(count);
            }
            _ => {
                let length = *random.pick(&[160, 320, 640, 1, 961]);
                wire.send_audio(now, &random.bytes(length));
            }
        }
        while wire.next_timeout().is_some_and(|at| at <= now) {
            let before = (wire.next_timeout(), wire.outgoing().len());
            wire.handle_timeout(now, &mut told);
            assert_ne!(
                before,
                (wire.next_timeout(), wire.outgoing().len()),
                "a timeout that was due stands"
            );
        }
        now += Duration::from_millis(random.below(50) as u64);
        assert_eq!(wire.is_closed(), told.closed == 1, "its end is told once");
        assert!(
            wire.outgoing().len() < 40_000,
            "{} bytes wait",
            wire.outgoing().len()
        );
    }
    let length = wire.outgoing().len();
    written.extend_from_slice(wire.outgoing());
    wire.sent(length);
    assert!(wire.outgoing().is_empty());
    check_written(&written);
}

/// Frames as a client must write them: masked, whole, text in UTF-8 and JSON, and nothing behind a close.
fn check_written(mut bytes: &[u8]) {
    let mut closed = false;
    while let Some((head, rest)) = bytes.split_first_chunk::<2>() {
        assert!(!closed, "something is written after the close frame");
        assert_eq!(head[0] & 0x70, 0, "a reserved bit");
        assert!(head[0] & 0x80 != 0, "we never fragment");
        assert!(head[1] & 0x80 != 0, "not masked");
        let (length, rest) = match head[1] & 0x7f {
            126 => {
                let (length, rest) = rest.split_first_chunk::<2>().expect("a length");
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            127 => panic!("nobody sends 64 KiB at once"),
            short => (usize::from(short), rest),
        };
        let (mask, rest) = rest.split_first_chunk::<4>().expect("a mask");
        let (payload, rest) = rest.split_at(length);
        bytes = rest;
        let payload: Vec<u8> = payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, key)| byte ^ key)
            .collect();
        match head[0] & 0x0f {
            1 => {
                let text = std::str::from_utf8(&payload).expect("text is UTF-8");
                let value: serde_json::Value = serde_json::from_str(text).expect("we write JSON");
                assert!(value.is_object());
            }
            8 => {
                closed = true;
                if !payload.is_empty() {
                    assert!((2..=125).contains(&payload.len()));
                    std::str::from_utf8(&payload[2..]).expect("a reason is UTF-8");
                }
            }
            2 | 9 | 10 => {}
            other => panic!("opcode {other}"),
        }
    }
    assert!(bytes.is_empty(), "half a frame");
}
