//! A worker's connection: what a worker may send, whole and in pieces, while several calls speak, wait for credit and end.
use super::dialect::OURS;
use crate::mutate::{mutate, pieces};
use crate::random::Random;
use offhook_media::clock::Time;
use offhook_media::telephone_event::KeyTiming;
use offhook_media::wire::mux::{Calls, Mux, MuxLimits, MuxSink};
use offhook_media::wire::record::{self, HEADER, Kind, Record};
use offhook_media::wire::websocket::{self, Decoder, Message, Opcode};
use offhook_media::wire::{
    Dialect, DroppedMarks, Formats, Garbage, Heard, Wire, WireClose, WireConfig, WireLimits,
    WireSink,
};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static DIALECT: LazyLock<Arc<Dialect>> = LazyLock::new(|| {
    let ours = OURS
        .iter()
        .map(|text| Dialect::parse(text).expect("ours"))
        .find(|dialect| dialect.name() == "offhook");
    Arc::new(ours.expect("one of them is binary"))
});

const MESSAGES: [&str; 10] = [
    r#"{"type":"ready","audio":{"encoding":"pcm16","rate":8000}}"#,
    r#"{"type":"mark","name":"after the greeting"}"#,
    r#"{"type":"clear"}"#,
    r#"{"type":"dtmf","digits":"12#a"}"#,
    r#"{"type":"hangup","now":false}"#,
    r#"{"type":"decline"}"#,
    "[]",
    "not json",
    "\u{fffd}",
    "",
];

/// How much may be under way to a worker that does not read: staged, and the record that was the last to fit.
const MOST_STAGED: usize = (1 << 20) + (1 << 16);

/// What one call said.
#[derive(Default)]
struct Ear {
    log: String,
    closed: bool,
}

impl Ear {
    fn note(&mut self, words: &str) {
        assert!(!self.closed, "told after the end: {words}");
        self.log.push_str(words);
        self.log.push('\n');
    }
}

impl WireSink for Ear {
    fn audio(&mut self, audio: &[u8]) {
        self.note(&format!("audio {}", audio.len()));
    }
    fn formats(&mut self, formats: Formats) {
        self.note(&format!("formats {formats:?}"));
    }
    fn mark(&mut self, name: &str) {
        self.note(&format!("mark {name:?}"));
    }
    fn clear(&mut self, _: &mut DroppedMarks) -> Heard {
        self.note("clear");
        Heard::default()
    }
    fn dtmf(&mut self, digits: &str, _: KeyTiming) -> usize {
        self.note(&format!("dtmf {digits}"));
        0
    }
    fn hang_up(&mut self, after_playout: bool) {
        self.note(&format!("hang up {after_playout}"));
    }
    fn text(&mut self, message: &str) {
        self.note(&format!("text {message:?}"));
    }
    fn garbage(&mut self, garbage: Garbage) {
        self.note(&format!("garbage {}", garbage.code()));
    }
    fn wrong_dialect(&mut self, dialect: &str) {
        self.note(&format!("wrong dialect {dialect}"));
    }
    fn closed(&mut self, close: WireClose<'_>) {
        self.note(&format!("closed {close:?}"));
        self.closed = true;
    }
}

/// The calls of the connection, and what was told of it.
#[derive(Default)]
struct Office {
    calls: Vec<(Wire, Ear)>,
    log: String,
    closed: bool,
}

impl Calls for Office {
    fn wire(&mut self, key: u32) -> Option<&mut Wire> {
        self.calls.get_mut(key as usize).map(|(wire, _)| wire)
    }
}

struct Hub<'a>(Time, &'a mut Office);

impl Hub<'_> {
    fn note(&mut self, words: &str) {
        assert!(!self.1.closed, "told after the end: {words}");
        self.1.log.push_str(words);
        self.1.log.push('\n');
    }
}

impl MuxSink for Hub<'_> {
    fn record(&mut self, key: u32, record: &Record<'_>) {
        assert!(!self.1.closed, "a record after the end");
        let (wire, ear) = &mut self.1.calls[key as usize];
        assert_eq!(wire.number(), Some(record.call), "another call's record");
        wire.handle_record(self.0, record, ear);
    }
    fn text(&mut self, message: &str) {
        self.note(&format!("text {message:?}"));
    }
    fn garbage(&mut self, what: &'static str) {
        self.note(what);
    }
    fn stalled(&mut self, stalled: bool) {
        self.note(&format!("stalled {stalled}"));
    }
    fn closed(&mut self, close: WireClose<'_>) {
        self.note(&format!("closed {close:?}"));
        self.1.closed = true;
    }
}

fn made(calls: u32, credit_ms: Option<u32>) -> (Mux, Office) {
    let mut mux = Mux::new(MuxLimits::default(), b"HTTP/1.1 101\r\n\r\n", Time::ZERO);
    let mut office = Office::default();
    for key in 0..calls {
        let config = WireConfig {
            dialect: Arc::clone(&DIALECT),
            values: Vec::new(),
            formats: DIALECT.formats("pcmu/8000").expect("a format of it"),
            mask_seed: [0; 16],
            limits: WireLimits {
                max_outgoing_audio: 4 << 10,
                ..WireLimits::default()
            },
        };
        let mut wire = Wire::new(config, Time::ZERO).expect("it has no values");
        mux.open(key, &mut wire, credit_ms);
        office.calls.push((wire, Ear::default()));
    }
    (mux, office)
}

/// A stream of a worker: messages of records, right ones and others.
fn stream(calls: u32, random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..1 + random.below(12) {
        let mut records = Vec::new();
        for _ in 0..random.below(6) {
            let call = random.below(calls as usize + 2) as u32;
            let length = *random.pick(&[0, 1, 160, 161, 640]);
            let noise = random.bytes(length);
            match random.below(6) {
                0 | 1 => record::write(Kind::Audio, call, 0, &noise, &mut records),
                2 | 3 => {
                    let text = *random.pick(&MESSAGES);
                    record::write(Kind::Control, call, 0, text.as_bytes(), &mut records);
                }
                4 => {
                    let position = *random.pick(&[0, 20, 1_000, u32::MAX]);
                    record::write(Kind::Credit, call, position, b"", &mut records);
                }
                _ => record::write(Kind::Close, call, 0, &[3, 232, b'x'], &mut records),
            }
        }
        let records = if random.once_in(4) {
            mutate(
                &records,
                &[&[1, 0, 0, 4], &[4, 0, 0, 1], &[255; 12]],
                random,
                10_000,
            )
        } else {
            records
        };
        let opcode = *random.pick(&[
            Opcode::Binary,
            Opcode::Binary,
            Opcode::Binary,
            Opcode::Text,
            Opcode::Pong,
        ]);
        let payload = match opcode {
            Opcode::Text => random.pick(&MESSAGES).as_bytes(),
            Opcode::Pong => &records[..records.len().min(125)],
            _ => &records,
        };
        let mask = [
            (random.next() as u8),
            (random.next() as u8),
            (random.next() as u8),
            (random.next() as u8),
        ];
        websocket::encode(opcode, payload, mask, &mut out);
    }
    out
}

fn told(chunks: &[&[u8]], calls: u32) -> (String, Vec<String>) {
    let (mut mux, mut office) = made(calls, Some(0));
    for chunk in chunks {
        mux.handle_bytes(Time::ZERO, chunk, &mut Hub(Time::ZERO, &mut office));
    }
    (
        office.log,
        office.calls.into_iter().map(|(_, ear)| ear.log).collect(),
    )
}

/// Any bytes say the same whole and in pieces; what waits is bounded; what is read is whole records of calls, in order, and
/// every frame is read, waits or is counted as dropped.
pub fn run(random: &mut Random) {
    let calls = 1 + random.below(4) as u32;
    let bytes = stream(calls, random);
    let bytes = if random.once_in(3) {
        mutate(
            &bytes,
            &[b"\x82\xfe\xff\xff", b"\x82\x00", b"\x88\x80\0\0\0\0"],
            random,
            100_000,
        )
    } else {
        bytes
    };
    let whole = told(&[&bytes], calls);
    let parts = told(&pieces(&bytes, random), calls);
    assert_eq!(whole.1, parts.1, "pieces change what calls hear");
    // A fault in the stream may be told before a message that the pieces brought first.
    assert_eq!(
        whole.0, parts.0,
        "pieces change what is heard of the worker"
    );
    speak(calls, &bytes, random);
}

fn speak(calls: u32, bytes: &[u8], random: &mut Random) {
    let credit = *random.pick(&[None, Some(0), Some(200)]);
    let (mut mux, mut office) = made(calls, credit);
    let mut now = Time::ZERO;
    let mut worker = Decoder::new(1 << 20);
    let (mut head, mut positions) = (
        b"HTTP/1.1 101\r\n\r\n".len(),
        vec![None; calls as usize + 1],
    );
    let mut rest = bytes;
    for _ in 0..40 {
        now += Duration::from_millis(*random.pick(&[0, 20, 500, 1_000]));
        let key = random.below(calls as usize) as u32;
        match random.below(6) {
            0 | 1 => {
                for _ in 0..random.below(60) {
                    office.calls[key as usize].0.send_audio(now, &[0x55; 160]);
                }
            }
            2 => office.calls[key as usize].0.send_digit('5', 100),
            3 => {
                let (chunk, after) = rest.split_at(random.below(rest.len() + 1));
                rest = after;
                mux.handle_bytes(now, chunk, &mut Hub(now, &mut office));
            }
            4 => {
                let due = mux.next_timeout().is_some_and(|at| at <= now);
                if due {
                    mux.handle_timeout(now, &mut Hub(now, &mut office));
                }
                let (wire, ear) = &mut office.calls[key as usize];
                if wire.next_timeout().is_some_and(|at| at <= now) {
                    wire.handle_timeout(now, ear);
                }
            }
            _ => {
                mux.gather(&mut office);
                assert!(mux.outgoing().len() <= MOST_STAGED);
                let count = random.below(mux.outgoing().len() + 1);
                let read = mux.outgoing()[..count].to_vec();
                mux.sent(count);
                let skip = head.min(read.len());
                head -= skip;
                listen(&mut worker, &read[skip..], &mut positions);
            }
        }
        let wire = &mut office.calls[key as usize].0;
        mux.queue(key, wire);
        assert!(wire.outgoing().len() <= (4 << 10) + (256 << 10) + 2 * (HEADER + 160));
    }
}

fn listen(worker: &mut Decoder, mut read: &[u8], positions: &mut [Option<u32>]) {
    while let Some(message) = worker.receive(&mut read).expect("what we write is right") {
        let Message::Binary(mut records) = message else {
            continue;
        };
        while let Some(found) = record::read(&mut records) {
            let last = &mut positions[found.call as usize];
            if found.kind == Some(Kind::Audio) {
                assert!(
                    last.is_none_or(|last| last < found.position),
                    "out of order"
                );
                *last = Some(found.position);
            }
        }
        assert!(records.is_empty(), "a record is cut");
    }
}
