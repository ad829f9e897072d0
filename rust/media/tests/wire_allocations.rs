//! In the steady state a wire allocates nothing, whatever the dialect: one agent's audio must not wait for another's heap.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use base64::Engine as _;
use offhook_media::clock::Time;
use offhook_media::telephone_event::KeyTiming;
use offhook_media::wire::mux::{Calls, Mux, MuxLimits, MuxSink};
use offhook_media::wire::record::{self, Kind, Record};
use offhook_media::wire::websocket::{self, Opcode};
use offhook_media::wire::{
    Dialect, DroppedMarks, Formats, Garbage, Heard, Wire, WireClose, WireConfig, WireLimits,
    WireSink,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the counter is a thread's own and never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Default)]
struct Ear {
    audio_bytes: usize,
    marks: usize,
    clears: usize,
}

impl WireSink for Ear {
    fn audio(&mut self, audio: &[u8]) {
        self.audio_bytes += audio.len();
    }
    fn formats(&mut self, _: Formats) {}
    fn mark(&mut self, _: &str) {
        self.marks += 1;
    }
    fn clear(&mut self, dropped: &mut DroppedMarks) -> Heard {
        self.clears += 1;
        dropped.push("utterance-12");
        Heard {
            played_ms: 1_000,
            dropped_ms: 20,
        }
    }
    fn dtmf(&mut self, _: &str, _: KeyTiming) -> usize {
        0
    }
    fn hang_up(&mut self, _: bool) {}
    fn text(&mut self, _: &str) {}
    fn garbage(&mut self, garbage: Garbage) {
        panic!("{garbage}");
    }
    fn wrong_dialect(&mut self, dialect: &str) {
        panic!("{dialect}");
    }
    fn closed(&mut self, close: WireClose<'_>) {
        panic!("{close:?}");
    }
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length @ 0..=125) => frame.push(length),
        _ => {
            frame.push(126);
            frame.extend((payload.len() as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// A wire that lives for `seconds` with 20 ms each way, a mark and a clear a second, reads cut at odd places, and a
/// reader that is now and then a little late. Returns allocations after the first two seconds, and what was heard.
fn live(
    description: &str,
    format: &str,
    agent_audio: &[u8],
    mark: &str,
    clear: &str,
    seconds: u64,
) -> (u64, Ear) {
    let dialect = Arc::new(Dialect::parse(description).unwrap());
    let formats = dialect.formats(format).unwrap();
    let values = dialect
        .values()
        .iter()
        .map(|name| (name.clone(), "MZ0123456789abcdef".into()))
        .collect();
    let config = WireConfig {
        dialect,
        values,
        formats,
        mask_seed: [3; 16],
        limits: WireLimits::default(),
    };
    let mut wire = Wire::new(config, Time::ZERO).unwrap();
    let mut ear = Ear::default();
    let caller_audio = vec![0x55; formats.send.bytes_in_ms(20)];
    let (mark, clear) = (frame(0x81, mark.as_bytes()), frame(0x81, clear.as_bytes()));
    let mut before = 0;
    for tick in 0..seconds * 50 {
        let now = Time::from_millis(tick * 20);
        if tick == 100 {
            before = ALLOCATIONS.get();
        }
        wire.send_audio(now, &caller_audio);
        let cut = tick as usize * 37 % agent_audio.len();
        wire.handle_bytes(now, &agent_audio[..cut], &mut ear);
        wire.handle_bytes(now, &agent_audio[cut..], &mut ear);
        if tick % 50 == 25 {
            wire.handle_bytes(now, &mark, &mut ear);
            wire.mark_played("utterance-12");
            wire.send_digit('5', 120);
        }
        if tick % 50 == 49 {
            wire.handle_bytes(now, &clear, &mut ear);
        }
        if wire.next_timeout().is_some_and(|at| at <= now) {
            wire.handle_timeout(now, &mut ear);
        }
        let late = tick % 10 < 3;
        let count = wire.outgoing().len();
        wire.sent(if late { count.min(50) } else { count });
    }
    (ALLOCATIONS.get() - before, ear)
}

#[test]
fn a_twilio_wire_allocates_nothing() {
    let payload = base64::engine::general_purpose::STANDARD.encode([0x7F; 160]);
    let media =
        format!(r#"{{"event":"media","streamSid":"MZ0","media":{{"payload":"{payload}"}}}}"#);
    let escaped = media.replace("////", r"\/\/\/\/");
    let description = include_str!("../src/wire/dialects/twilio.json");
    let mark = r#"{"event":"mark","streamSid":"MZ0","mark":{"name":"utterance-\u0031\u0032"}}"#;
    for audio in [media, escaped] {
        let (allocations, ear) = live(
            description,
            "",
            &frame(0x81, audio.as_bytes()),
            mark,
            r#"{"event":"clear"}"#,
            20,
        );
        assert_eq!(allocations, 0);
        assert_eq!(
            (ear.audio_bytes, ear.marks, ear.clears),
            (20 * 50 * 160, 20, 20)
        );
    }
}

#[test]
fn an_offhook_wire_allocates_nothing() {
    let description = include_str!("../src/wire/dialects/offhook.json");
    let mark = r#"{"type":"mark","name":"utterance-12"}"#;
    for (format, bytes) in [
        ("pcm16/16000", 640),
        ("pcm16/48000", 1_920),
        ("pcmu/8000", 160),
    ] {
        let audio = frame(0x82, &vec![0x11; bytes]);
        let (allocations, ear) = live(description, format, &audio, mark, r#"{"type":"clear"}"#, 20);
        assert_eq!(allocations, 0, "{format}");
        assert_eq!(
            (ear.audio_bytes, ear.marks, ear.clears),
            (20 * 50 * bytes, 20, 20)
        );
    }
}

/// The calls of a worker's connection.
struct Table(Vec<(Wire, Ear)>);

impl Calls for Table {
    fn wire(&mut self, key: u32) -> Option<&mut Wire> {
        self.0.get_mut(key as usize).map(|(wire, _)| wire)
    }
}

struct Hub<'a> {
    now: Time,
    table: &'a mut Table,
}

impl MuxSink for Hub<'_> {
    fn record(&mut self, key: u32, record: &Record<'_>) {
        let (wire, ear) = &mut self.table.0[key as usize];
        wire.handle_record(self.now, record, ear);
    }
    fn text(&mut self, message: &str) {
        panic!("{message}");
    }
    fn garbage(&mut self, what: &'static str) {
        panic!("{what}");
    }
    fn stalled(&mut self, _: bool) {
        panic!("somebody is there");
    }
    fn closed(&mut self, close: WireClose<'_>) {
        panic!("{close:?}");
    }
}

/// Fifty calls on one connection, with 20 ms each way, credit, now and then a mark, a digit and a clear, and a worker that
/// is a little late in reading three times of ten.
#[test]
fn a_workers_connection_with_fifty_calls_allocates_nothing() {
    const CALLS: u32 = 50;
    let description = include_str!("../src/wire/dialects/offhook.json");
    let dialect = Arc::new(Dialect::parse(description).unwrap());
    let formats = dialect.formats("pcmu/8000").unwrap();
    let mut mux = Mux::new(MuxLimits::default(), b"", Time::ZERO);
    let mut table = Table(Vec::new());
    for key in 0..CALLS {
        let config = WireConfig {
            dialect: Arc::clone(&dialect),
            values: Vec::new(),
            formats,
            mask_seed: [0; 16],
            limits: WireLimits::default(),
        };
        let mut wire = Wire::new(config, Time::ZERO).unwrap();
        mux.open(key, &mut wire, Some(1_000));
        table.0.push((wire, Ear::default()));
    }
    let (mut records, mut message) = (Vec::new(), Vec::new());
    let mut before = 0;
    for tick in 0..1_000_u32 {
        let now = Time::from_millis(u64::from(tick) * 20);
        records.clear();
        for call in 1..=CALLS {
            record::write(Kind::Audio, call, 0, &[0x11; 160], &mut records);
            if tick % 10 == 0 {
                record::write(Kind::Credit, call, tick * 20 + 1_000, b"", &mut records);
            }
            match (tick + call) % 50 {
                25 => {
                    let mark = br#"{"type":"mark","name":"utterance-12"}"#;
                    record::write(Kind::Control, call, 0, mark, &mut records);
                }
                49 => record::write(Kind::Control, call, 0, br#"{"type":"clear"}"#, &mut records),
                _ => {}
            }
        }
        message.clear();
        websocket::encode(Opcode::Binary, &records, [7, 1, 8, 2], &mut message);
        let cut = tick as usize * 371 % message.len();
        for piece in [&message[..cut], &message[cut..]] {
            let table = &mut table;
            mux.handle_bytes(now, piece, &mut Hub { now, table });
        }
        for key in 0..CALLS {
            let wire = &mut table.0[key as usize].0;
            wire.send_audio(now, &[0x55; 160]);
            if (tick + key) % 50 == 25 {
                wire.mark_played("utterance-12");
                wire.send_digit('5', 120);
            }
            mux.queue(key, wire);
        }
        mux.gather(&mut table);
        let count = mux.outgoing().len();
        let late = tick % 10 < 3;
        mux.sent(if late { count.min(5_000) } else { count });
        if mux.next_timeout().is_some_and(|at| at <= now) {
            let table = &mut table;
            mux.handle_timeout(now, &mut Hub { now, table });
        }
        // What this test itself needs has grown to its size by now.
        if tick < 100 {
            before = ALLOCATIONS.get();
        }
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    for (wire, ear) in &table.0 {
        assert_eq!((ear.audio_bytes, ear.marks, ear.clears), (160_000, 20, 20));
        assert_eq!(wire.stats().sent_dropped_us.get(), 0);
    }
}
