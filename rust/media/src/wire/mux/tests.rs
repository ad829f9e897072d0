//! A worker's connection as the worker and the engine see it.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::record::Kind;
use super::super::websocket::encode;
use super::super::{
    Dialect, DroppedMarks, Formats, Garbage, Heard, WireConfig, WireLimits, WireSink,
};
use super::*;
use crate::telephone_event::KeyTiming;

const OFFHOOK: &str = include_str!("../dialects/offhook.json");
/// One frame of caller audio in `pcmu/8000`.
const FRAME: usize = 160;
const NOTHING: [&str; 0] = [];

/// What one call, or the connection, said; in words so that a test can compare.
#[derive(Default)]
struct Ear {
    said: Vec<String>,
}

impl WireSink for Ear {
    fn audio(&mut self, audio: &[u8]) {
        self.said.push(format!("audio {}", audio.len()));
    }
    fn formats(&mut self, _: Formats) {}
    fn mark(&mut self, name: &str) {
        self.said.push(format!("mark {name}"));
    }
    fn clear(&mut self, _: &mut DroppedMarks) -> Heard {
        self.said.push("clear".into());
        Heard::default()
    }
    fn dtmf(&mut self, digits: &str, _: KeyTiming) -> usize {
        self.said.push(format!("dtmf {digits}"));
        0
    }
    fn hang_up(&mut self, _: bool) {
        self.said.push("hang up".into());
    }
    fn text(&mut self, message: &str) {
        self.said.push(format!("text {message}"));
    }
    fn garbage(&mut self, garbage: Garbage) {
        self.said.push(format!("garbage {}", garbage.code()));
    }
    fn wrong_dialect(&mut self, _: &str) {}
    fn closed(&mut self, close: WireClose<'_>) {
        self.said
            .push(format!("closed {:?} {}", close.cause, close.status));
    }
}

#[derive(Default)]
struct Table(Vec<Option<Call>>);

struct Call {
    wire: Wire,
    ear: Ear,
}

impl Calls for Table {
    fn wire(&mut self, key: u32) -> Option<&mut Wire> {
        let call = self.0.get_mut(key as usize)?.as_mut()?;
        Some(&mut call.wire)
    }
}

struct Hub<'a> {
    now: Time,
    table: &'a mut Table,
    said: &'a mut Vec<String>,
}

impl MuxSink for Hub<'_> {
    fn record(&mut self, key: u32, record: &Record<'_>) {
        let call = self.table.0[key as usize].as_mut().expect("it is open");
        call.wire.handle_record(self.now, record, &mut call.ear);
    }
    fn text(&mut self, message: &str) {
        self.said.push(format!("text {message}"));
    }
    fn garbage(&mut self, what: &'static str) {
        self.said.push(format!("garbage {what}"));
    }
    fn stalled(&mut self, stalled: bool) {
        self.said.push(format!("stalled {stalled}"));
    }
    fn closed(&mut self, close: WireClose<'_>) {
        self.said
            .push(format!("closed {:?} {}", close.cause, close.status));
    }
}

/// A connection, its calls, and the worker's end.
struct Pair {
    mux: Mux,
    table: Table,
    said: Vec<String>,
    now: Time,
    worker: Decoder,
}

/// A record that reached the worker: kind, call, position, bytes of payload.
type Got = (Kind, u32, u32, usize);

impl Pair {
    fn new(calls: usize, credit_ms: Option<u32>) -> Self {
        Self::with(calls, credit_ms, WireLimits::default())
    }

    fn with(calls: usize, credit_ms: Option<u32>, limits: WireLimits) -> Self {
        let now = Time::from_millis(1_000);
        let mut pair = Self {
            mux: Mux::new(MuxLimits::default(), b"", now),
            table: Table::default(),
            said: Vec::new(),
            now,
            worker: Decoder::new(1 << 20),
        };
        let dialect = Arc::new(Dialect::parse(OFFHOOK).unwrap());
        for key in 0..calls {
            let config = WireConfig {
                dialect: Arc::clone(&dialect),
                values: Vec::new(),
                formats: dialect.formats("pcmu/8000").unwrap(),
                mask_seed: [0; 16],
                limits,
            };
            let mut wire = Wire::new(config, now).unwrap();
            pair.mux.open(key as u32, &mut wire, credit_ms);
            let ear = Ear::default();
            pair.table.0.push(Some(Call { wire, ear }));
        }
        pair
    }

    fn wire(&mut self, key: u32) -> &mut Wire {
        self.table.wire(key).expect("it is open")
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// The caller of `key` speaks for so many frames.
    fn speak(&mut self, key: u32, frames: usize) {
        let now = self.now;
        for _ in 0..frames {
            self.wire(key).send_audio(now, &[0x55; FRAME]);
        }
        self.queue(key);
    }

    fn queue(&mut self, key: u32) {
        let wire = self.table.wire(key).expect("it is open");
        self.mux.queue(key, wire);
    }

    /// The worker sends one message.
    fn worker_sends(&mut self, opcode: Opcode, payload: &[u8]) {
        let mut bytes = Vec::new();
        encode(opcode, payload, [1, 2, 3, 4], &mut bytes);
        self.feed(&bytes);
    }

    fn feed(&mut self, bytes: &[u8]) {
        let mut hub = Hub {
            now: self.now,
            table: &mut self.table,
            said: &mut self.said,
        };
        self.mux.handle_bytes(self.now, bytes, &mut hub);
    }

    fn worker_says(&mut self, kind: Kind, call: u32, position: u32, payload: &[u8]) {
        let mut message = Vec::new();
        record::write(kind, call, position, payload, &mut message);
        self.worker_sends(Opcode::Binary, &message);
    }

    fn timeout(&mut self) {
        let mut hub = Hub {
            now: self.now,
            table: &mut self.table,
            said: &mut self.said,
        };
        self.mux.handle_timeout(self.now, &mut hub);
    }

    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    fn heard(&mut self, key: u32) -> Vec<String> {
        let call = self.table.0[key as usize].as_mut().expect("it is open");
        std::mem::take(&mut call.ear.said)
    }

    /// The worker reads up to `bytes`; the records in it.
    fn worker_reads(&mut self, bytes: usize) -> Vec<Got> {
        self.mux.gather(&mut self.table);
        let count = bytes.min(self.mux.outgoing().len());
        let read = self.mux.outgoing()[..count].to_vec();
        self.mux.sent(count);
        let (mut rest, mut got) = (&read[..], Vec::new());
        while let Some(message) = self.worker.receive(&mut rest).expect("as the RFC has it") {
            if let Message::Binary(mut records) = message {
                while let Some(record) = record::read(&mut records) {
                    let kind = record.kind.expect("a kind of this version");
                    got.push((kind, record.call, record.position, record.payload.len()));
                }
                assert!(records.is_empty());
            }
        }
        got
    }

    /// The worker reads until nothing is left.
    fn worker_reads_all(&mut self) -> Vec<Got> {
        let mut got = self.worker_reads(usize::MAX);
        while self.mux.has_more() || !self.mux.outgoing().is_empty() {
            got.extend(self.worker_reads(usize::MAX));
        }
        got
    }
}

#[test]
fn what_several_calls_say_leaves_as_one_message() {
    let mut pair = Pair::new(3, None);
    for key in [2, 0, 1] {
        pair.speak(key, 1);
    }
    let audio = |call, position| (Kind::Audio, call, position, FRAME);
    assert_eq!(
        pair.worker_reads_all(),
        [audio(3, 0), audio(1, 0), audio(2, 0)]
    );
    assert_eq!(pair.mux.stats().sent_messages.get(), 1);
    pair.speak(1, 2);
    assert_eq!(pair.worker_reads_all(), [audio(2, 20), audio(2, 40)]);
}

#[test]
fn a_record_reaches_its_call_and_no_other() {
    let mut pair = Pair::new(2, None);
    pair.worker_says(Kind::Control, 2, 0, br#"{"type":"ready"}"#);
    let mut message = Vec::new();
    record::write(Kind::Audio, 1, 0, &[0; 320], &mut message);
    record::write(Kind::Control, 2, 0, br#"{"type":"clear"}"#, &mut message);
    record::write(
        Kind::Control,
        1,
        0,
        br#"{"type":"mark","name":"a"}"#,
        &mut message,
    );
    pair.worker_sends(Opcode::Binary, &message);
    assert_eq!(pair.heard(0), ["audio 320", "mark a"]);
    assert_eq!(pair.heard(1), [r#"text {"type":"ready"}"#, "clear"]);
    // Text messages are about the worker.
    pair.worker_sends(Opcode::Text, br#"{"type":"drain"}"#);
    assert_eq!(pair.said(), [r#"text {"type":"drain"}"#]);
}

#[test]
fn messages_cut_anywhere_are_put_together() {
    let mut bytes = Vec::new();
    for call in [1, 2] {
        let mut message = Vec::new();
        record::write(Kind::Audio, call, 0, &[call as u8; 200], &mut message);
        encode(Opcode::Binary, &message, [9, 8, 7, call as u8], &mut bytes);
    }
    for cut in 0..bytes.len() {
        let mut pair = Pair::new(2, None);
        pair.feed(&bytes[..cut]);
        pair.feed(&bytes[cut..]);
        assert_eq!(
            (pair.heard(0), pair.heard(1)),
            (vec!["audio 200".into()], vec!["audio 200".into()])
        );
    }
}

#[test]
fn audio_waits_for_credit_and_control_does_not() {
    let mut pair = Pair::new(2, Some(60));
    pair.speak(0, 5);
    pair.speak(1, 1);
    pair.wire(0).send_digit('5', 100);
    let audio = |call, position| (Kind::Audio, call, position, FRAME);
    let got = pair.worker_reads_all();
    assert_eq!(got[..3], [audio(1, 0), audio(1, 20), audio(1, 40)]);
    assert!(matches!(got[3], (Kind::Control, 1, 0, _)));
    assert_eq!(
        got[4..],
        [audio(2, 0)],
        "the other call has credit of its own"
    );
    // A total, so that one that is repeated or comes late changes nothing.
    for total in [80, 80, 20] {
        pair.worker_says(Kind::Credit, 1, total, b"");
    }
    pair.queue(0);
    assert_eq!(pair.worker_reads_all(), [audio(1, 60)]);
    pair.worker_says(Kind::Credit, 1, 10_000, b"");
    pair.queue(0);
    assert_eq!(pair.worker_reads_all(), [audio(1, 80)]);
}

#[test]
fn without_credit_the_oldest_is_dropped_and_counted_and_the_gap_shows() {
    let limits = WireLimits {
        max_outgoing_audio: 10 * (FRAME + record::HEADER),
        ..WireLimits::default()
    };
    let mut pair = Pair::with(1, Some(0), limits);
    pair.speak(0, 25);
    assert_eq!(pair.worker_reads_all(), []);
    assert_eq!(pair.wire(0).stats().sent_dropped_us.get(), 15 * 20_000);
    // Credit counts what is sent, not what was said: there is no debt for what was dropped.
    pair.worker_says(Kind::Credit, 1, 60, b"");
    pair.queue(0);
    let positions: Vec<u32> = pair.worker_reads_all().iter().map(|got| got.2).collect();
    assert_eq!(positions, [300, 320, 340]);
}

#[test]
fn an_agent_that_never_catches_up_loses_its_call_and_no_other() {
    let mut pair = Pair::new(2, Some(1_000));
    pair.worker_says(Kind::Credit, 2, u32::MAX, b"");
    for _ in 0..1_000 {
        pair.speak(0, 1);
        pair.speak(1, 1);
        pair.worker_reads_all();
        pair.pass(20);
        let now = pair.now;
        for call in pair.table.0.iter_mut().flatten() {
            if call.wire.next_timeout().is_some_and(|at| at <= now) {
                call.wire.handle_timeout(now, &mut call.ear);
            }
        }
    }
    assert_eq!(pair.heard(0), ["closed TooSlow 1008"]);
    assert_eq!(pair.heard(1), NOTHING);
    assert_eq!(pair.wire(1).stats().sent_dropped_us.get(), 0);
    assert_eq!(pair.wire(1).stats().sent_audio_us.get(), 20_000_000);
}

#[test]
fn calls_take_turns_where_there_is_more_than_the_worker_reads() {
    let mut pair = Pair::new(3, None);
    // One has 60 KiB to say, the others a frame each, and they came later.
    pair.speak(0, 360);
    pair.speak(1, 1);
    pair.speak(2, 1);
    let got = pair.worker_reads(20 << 10);
    let place = |call| {
        got.iter()
            .position(|got| got.1 == call)
            .expect("it got its turn")
    };
    assert_eq!(
        (place(2), place(3)),
        (24, 25),
        "after one turn of 4 KiB of the first"
    );
    let rest = pair.worker_reads_all();
    assert_eq!(got.len() + rest.len(), 362);
}

#[test]
fn a_worker_that_reads_slowly_gets_the_newest_and_all_control() {
    let mut pair = Pair::new(4, None);
    let mut got = Vec::new();
    for tick in 0..2_000_u32 {
        for key in 0..4 {
            pair.speak(key, 1);
        }
        if tick % 100 == 99 {
            pair.wire(tick / 100 % 4).send_digit('1', 100);
        }
        // A third of what there is.
        got.extend(pair.worker_reads(4 * (FRAME + record::HEADER) / 3));
        pair.pass(20);
    }
    got.extend(pair.worker_reads_all());
    let of = |call| {
        got.iter()
            .filter(move |got| got.1 == call && got.0 == Kind::Audio)
    };
    let counts: Vec<usize> = (1..=4).map(|call| of(call).count()).collect();
    let (least, most) = (counts.iter().min(), counts.iter().max());
    assert!(
        most.unwrap() - least.unwrap() <= 30,
        "each got its share: {counts:?}"
    );
    assert_eq!(got.iter().filter(|got| got.0 == Kind::Control).count(), 20);
    for call in 1..=4 {
        let positions: Vec<u32> = of(call).map(|got| got.2).collect();
        assert!(positions.is_sorted(), "in order");
        let dropped = pair.wire(call - 1).stats().sent_dropped_messages.get();
        assert_eq!(
            positions.len() as u64 + dropped,
            2_000,
            "what is missing is counted"
        );
    }
}

#[test]
fn what_waits_for_a_worker_that_does_not_read_is_bounded() {
    let mut pair = Pair::new(20, None);
    for _ in 0..5_000 {
        for key in 0..20 {
            pair.speak(key, 1);
        }
        pair.mux.gather(&mut pair.table);
    }
    assert!(pair.mux.outgoing().len() < 96 << 10);
    for key in 0..20 {
        let waiting = pair.wire(key).outgoing().len();
        assert!(waiting <= 64 << 10, "{waiting}");
    }
    // What Python says counts as well, and has an end.
    for _ in 0..20 {
        pair.mux.send_text(&"x".repeat(60 << 10));
    }
    assert_eq!(pair.mux.next_timeout(), Some(Time::ZERO));
    pair.timeout();
    assert_eq!(pair.said(), ["closed TooSlow 1008"]);
}

#[test]
fn one_call_that_floods_is_closed_and_no_other_is_harmed() {
    let mut pair = Pair::new(2, None);
    for _ in 0..30 {
        let mut message = Vec::new();
        for _ in 0..500 {
            record::write(Kind::Control, 1, 0, br#"{"type":"clear"}"#, &mut message);
        }
        record::write(Kind::Audio, 2, 0, &[0; 160], &mut message);
        pair.worker_sends(Opcode::Binary, &message);
    }
    assert_eq!(pair.heard(0).last().unwrap(), "closed Flood 1008");
    assert_eq!(pair.heard(1).len(), 30);
    assert_eq!(pair.said(), NOTHING);
}

#[test]
fn a_call_that_is_closed_says_its_last_words_and_its_number_is_never_used_again() {
    let mut pair = Pair::new(2, None);
    pair.speak(0, 1);
    let now = pair.now;
    pair.wire(0).close(now, 1000, "bye");
    pair.queue(0);
    let got = pair.worker_reads_all();
    assert_eq!(got, [(Kind::Audio, 1, 0, FRAME), (Kind::Close, 1, 0, 5)]);
    pair.worker_says(Kind::Close, 1, 0, &1000_u16.to_be_bytes());
    assert_eq!(pair.heard(0), ["closed Requested 1000"]);
    let mut call = pair.table.0[0].take().unwrap();
    pair.mux.close_call(0, &mut call.wire);
    // Late records are passed over.
    pair.worker_says(Kind::Audio, 1, 0, &[0; 160]);
    let (mut wire, ear) = (
        Pair::new(1, None).table.0.remove(0).unwrap().wire,
        Ear::default(),
    );
    pair.mux.open(0, &mut wire, None);
    assert_eq!(wire.number(), Some(3));
    pair.table.0[0] = Some(Call { wire, ear });
    assert_eq!(pair.heard(0), NOTHING);
}

#[test]
fn the_worker_closes_a_call_as_an_agent_closes_its_connection() {
    let mut pair = Pair::new(2, None);
    let mut crash = 1011_u16.to_be_bytes().to_vec();
    crash.extend(b"ValueError");
    pair.worker_says(Kind::Close, 1, 0, &crash);
    pair.worker_says(Kind::Close, 2, 0, &[]);
    assert_eq!(pair.heard(0), ["closed Agent 1011"]);
    assert_eq!(pair.heard(1), ["closed Agent 1005"]);
    for key in [0, 1] {
        let mut call = pair.table.0[key].take().unwrap();
        pair.mux.close_call(key as u32, &mut call.wire);
    }
    let answers = pair.worker_reads_all();
    assert_eq!(
        answers,
        [(Kind::Close, 1, 0, 2), (Kind::Close, 2, 0, 0)],
        "1005 is not for the wire"
    );
}

#[test]
fn garbage_in_a_call_is_that_calls_own() {
    let mut pair = Pair::new(2, None);
    for _ in 0..21 {
        pair.worker_says(Kind::Control, 1, 0, b"[1]");
    }
    pair.worker_says(Kind::Control, 2, 0, b"\xff");
    assert_eq!(pair.heard(0).last().unwrap(), "closed ProtocolError 1007");
    assert_eq!(pair.heard(1), ["closed ProtocolError 1007"]);
    assert_eq!(pair.said(), NOTHING);
}

#[test]
fn garbage_of_the_connection_is_counted_and_then_ends_it() {
    let mut pair = Pair::new(1, None);
    for _ in 0..20 {
        pair.worker_sends(Opcode::Binary, &[1, 0, 0, 9, 0, 0, 0, 1]);
    }
    assert_eq!(pair.said().len(), 20);
    pair.worker_sends(Opcode::Binary, &[1]);
    assert_eq!(pair.said(), ["closed ProtocolError 1008"]);
    let mut pair = Pair::new(1, None);
    pair.feed(&[0x82, 0x01, 0x00]);
    assert_eq!(pair.said(), ["closed ProtocolError 1002"], "a client masks");
}

#[test]
fn what_belongs_to_no_call_is_allowed_for_a_while() {
    let mut pair = Pair::new(1, None);
    for _ in 0..3_900 {
        pair.worker_says(Kind::Audio, 77, 0, &[0; 160]);
    }
    assert_eq!(pair.said(), NOTHING);
    for _ in 0..200 {
        pair.worker_says(Kind::Audio, 77, 0, &[0; 160]);
    }
    assert_eq!(pair.said(), ["closed Flood 1008"]);
}

#[test]
fn a_worker_that_is_silent_is_asked_told_and_given_up() {
    let mut pair = Pair::new(1, None);
    pair.pass(500);
    pair.timeout();
    pair.worker_sends(Opcode::Pong, b"");
    for millis in [500, 1_000] {
        pair.pass(millis);
        pair.timeout();
    }
    assert_eq!(pair.said(), ["stalled true"]);
    pair.worker_sends(Opcode::Ping, b"here");
    assert_eq!(pair.said(), ["stalled false"]);
    for millis in [500, 1_000, 19_000] {
        pair.pass(millis);
        pair.timeout();
    }
    assert_eq!(pair.said(), ["stalled true", "closed Silent 1011"]);
}

#[test]
fn closing_is_answered_from_both_sides() {
    let mut pair = Pair::new(0, None);
    pair.worker_sends(Opcode::Close, &1001_u16.to_be_bytes());
    assert_eq!(pair.said(), ["closed Agent 1001"]);
    assert_eq!(pair.mux.outgoing(), [0x88, 2, 3, 233]);
    let mut pair = Pair::new(0, None);
    let now = pair.now;
    pair.mux.close(now, 4003, "no");
    pair.worker_sends(Opcode::Text, b"still talking");
    pair.worker_sends(Opcode::Close, &4003_u16.to_be_bytes());
    assert_eq!(pair.said(), ["closed Requested 4003"]);
    let mut pair = Pair::new(0, None);
    let now = pair.now;
    pair.mux.close(now, 1001, "");
    pair.pass(2_000);
    pair.timeout();
    assert_eq!(pair.said(), ["closed Requested 1001"]);
}

proptest! {
    /// Whatever is said, read and granted in whatever order: nothing is lost uncounted, doubled or out of order.
    #[test]
    fn every_frame_is_read_or_counted_as_dropped(
        steps in prop::collection::vec((0_u32..3, 0_u8..4, 0_usize..40), 1..200),
    ) {
        let limits = WireLimits { max_outgoing_audio: 4 << 10, ..WireLimits::default() };
        let mut pair = Pair::with(3, Some(0), limits);
        let (mut got, mut said) = (Vec::new(), [0_u64; 3]);
        for (key, what, amount) in steps {
            match what {
                0 => {
                    pair.speak(key, amount);
                    said[key as usize] += amount as u64;
                }
                1 => got.extend(pair.worker_reads(amount * 100)),
                2 => {
                    pair.wire(key).send_digit('7', 80);
                    pair.queue(key);
                }
                _ => {
                    let sent = got.iter().filter(|got: &&Got| got.1 == key + 1 && got.0 == Kind::Audio).count();
                    pair.worker_says(Kind::Credit, key + 1, (sent + amount) as u32 * 20, b"");
                    pair.queue(key);
                }
            }
        }
        for key in 0..3 {
            pair.worker_says(Kind::Credit, key + 1, u32::MAX, b"");
            pair.queue(key);
        }
        got.extend(pair.worker_reads_all());
        for key in 0..3_u32 {
            let positions: Vec<u32> =
                got.iter().filter(|got| got.1 == key + 1 && got.0 == Kind::Audio).map(|got| got.2).collect();
            prop_assert!(positions.windows(2).all(|pair| pair[0] < pair[1]));
            let dropped = pair.wire(key).stats().sent_dropped_messages.get();
            prop_assert_eq!(positions.len() as u64 + dropped, said[key as usize]);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>, cut: usize) {
        let mut pair = Pair::new(2, None);
        let mut masked = Vec::new();
        encode(Opcode::Binary, &bytes, [0; 4], &mut masked);
        let cut = cut % (masked.len() + 1);
        pair.feed(&masked[..cut]);
        pair.feed(&masked[cut..]);
        pair.feed(&bytes);
    }
}
