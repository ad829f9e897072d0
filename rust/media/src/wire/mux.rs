//! One connection that a worker has dialled, and on it the records of many calls: bytes and `now` in, bytes and calls of a
//! [`MuxSink`] out.
//!
//! Each call is a [`Wire`] that shares the connection. What it wants to say waits in its own bounded queue until its turn
//! comes, so a call that floods or has no credit delays no other; what of several calls waits at the end of a tick leaves
//! as one message, by one write. In the steady state nothing is allocated.

mod pulse;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::flood::Budget;
use super::record::{self, Record};
use super::stats::WireStats;
use super::websocket::{self, Decoder, Message, Opcode};
use super::{CloseCause, State, Wire, WireClose};
use crate::clock::Time;
use pulse::{Beat, Pulse};

/// What a worker may make us hold and do.
#[derive(Debug, Clone, Copy)]
pub struct MuxLimits {
    /// The longest message in bytes, fragments together; a longer one ends the connection with 1009.
    pub max_message: usize,
    /// The longest text message in bytes.
    pub max_text: usize,
    /// Bytes that one call writes before it is the next one's turn.
    pub turn: usize,
    /// Bytes of records in one message, about.
    pub message: usize,
    /// Bytes for a slow reader that are taken out of the calls' queues; the rest waits there.
    pub staged: usize,
    /// Bytes that may wait in all, last words and messages of Python included; then the connection ends.
    pub max_staged: usize,
    /// Messages without a record of a call that may come at once, …
    pub burst_frames: u64,
    /// … and each second from then on.
    pub frames_per_second: u64,
    /// Messages beyond that which are counted before the connection ends.
    pub max_flood: u64,
    /// Messages that make no sense that are counted before the connection ends.
    pub max_garbage: u64,
    /// Time from a sign of life to the next ping.
    pub ping_interval: Duration,
    /// How long after a ping nothing at all has come of a worker that is stalled.
    pub stalled_after: Duration,
    /// And of one that is gone.
    pub dead_after: Duration,
    /// How long the worker may take to answer our close.
    pub close_timeout: Duration,
}

impl Default for MuxLimits {
    fn default() -> Self {
        Self {
            max_message: 1 << 20,
            max_text: 64 << 10,
            turn: 4 << 10,
            message: 16 << 10,
            staged: 64 << 10,
            max_staged: 1 << 20,
            burst_frames: 4_000,
            frames_per_second: 1_000,
            max_flood: 50,
            max_garbage: 20,
            ping_interval: Duration::from_millis(500),
            stalled_after: Duration::from_secs(1),
            dead_after: Duration::from_secs(20),
            close_timeout: Duration::from_secs(2),
        }
    }
}

/// A buffer of up to so many bytes is kept for the next message.
const KEEP: usize = 128 << 10;

/// What a worker says, in the order in which it said so.
pub trait MuxSink {
    /// A record for the call that was opened as `key`.
    fn record(&mut self, key: u32, record: &Record<'_>);
    /// A message about the worker itself.
    fn text(&mut self, message: &str);
    /// The worker said something that made no sense; it has been counted.
    fn garbage(&mut self, what: &'static str);
    /// Nothing has come of the worker for too long (`stalled`), or something has again.
    fn stalled(&mut self, stalled: bool);
    /// It is over, and with it every call of it. Told once; what [`Mux::outgoing`] still has may be written.
    fn closed(&mut self, close: WireClose<'_>);
}

/// Where a [`Mux`] finds its calls.
pub trait Calls {
    /// The wire of the call that was opened as `key`, if there is one still.
    fn wire(&mut self, key: u32) -> Option<&mut Wire>;
}

/// One connection of a worker after the upgrade.
#[derive(Debug)]
pub struct Mux {
    decoder: Decoder,
    line: Line,
}

/// All of a connection but its decoder, which lends out the message while it is being handled.
#[derive(Debug)]
struct Line {
    limits: MuxLimits,
    stats: Arc<WireStats>,
    state: State,
    /// The calls by their numbers, as they were opened.
    calls: HashMap<u32, u32>,
    last_number: u32,
    /// Calls that wait for their turn to write: their keys.
    queue: VecDeque<u32>,
    /// What is to be written.
    staged: Vec<u8>,
    written: usize,
    /// The records of a message that is being put together.
    records: Vec<u8>,
    pulse: Pulse,
    frames: Budget,
    floods: u64,
    garbage: u64,
}

impl Mux {
    /// A connection whose upgrade has been judged; `answer` is the head of the HTTP answer, which goes out first.
    pub fn new(limits: MuxLimits, answer: &[u8], now: Time) -> Self {
        Self {
            decoder: Decoder::of_client(limits.max_message, KEEP),
            line: Line {
                limits,
                stats: Arc::default(),
                state: State::Open,
                calls: HashMap::new(),
                last_number: 0,
                queue: VecDeque::new(),
                staged: answer.to_vec(),
                written: 0,
                records: Vec::new(),
                pulse: Pulse::new(&limits, now),
                frames: Budget::new(limits.burst_frames, limits.frames_per_second),
                floods: 0,
                garbage: 0,
            },
        }
    }

    /// The connection's counters, which may be kept and read from any thread. Those of a call are its wire's.
    pub fn stats(&self) -> &Arc<WireStats> {
        &self.line.stats
    }

    /// Whether [`MuxSink::closed`] has been told.
    pub fn is_closed(&self) -> bool {
        self.line.state == State::Closed
    }

    /// Whether calls may be opened.
    pub fn is_open(&self) -> bool {
        self.line.state == State::Open
    }

    /// Begin a call under a number that was never used; `wire` shares the connection from here on, and its owner knows it
    /// as `key`. With `credit_ms` the worker asks for its caller audio.
    pub fn open(&mut self, key: u32, wire: &mut Wire, credit_ms: Option<u32>) {
        let line = &mut self.line;
        line.last_number = line.last_number.wrapping_add(1).max(1);
        line.calls.insert(line.last_number, key);
        wire.share(line.last_number, credit_ms);
    }

    /// A call is over: its last words go out, and what comes for it from here on is passed over.
    pub fn close_call(&mut self, key: u32, wire: &mut Wire) {
        let line = &mut self.line;
        line.queue.retain(|queued| *queued != key);
        let Some(number) = wire.number() else { return };
        if line.calls.remove(&number).is_some() && line.state == State::Open {
            wire.take_last_words(&mut line.records);
            line.end_message();
        }
    }

    /// The keys of its calls.
    pub fn calls(&self) -> impl Iterator<Item = u32> {
        self.line.calls.values().copied()
    }

    /// Bytes came from the socket.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8], sink: &mut impl MuxSink) {
        let Self { decoder, line } = self;
        if line.state == State::Closed || bytes.is_empty() {
            return;
        }
        line.stats.received_bytes.add(bytes.len() as u64);
        if line.pulse.came(now) {
            sink.stalled(false);
        }
        let mut input = bytes;
        let before = decoder.frames();
        let mut messages = 0;
        while line.state != State::Closed {
            match decoder.receive(&mut input) {
                Ok(Some(message)) => line.handle_message(now, message, sink),
                Ok(None) => break,
                Err(error) => {
                    let reason = error.to_string();
                    line.fail(CloseCause::ProtocolError, error.close_code(), &reason, sink);
                    return;
                }
            }
            messages += 1;
        }
        // What made no message costs too, so that no number of empty fragments is free.
        line.charge(now, decoder.frames() - before - messages, sink);
    }

    /// The socket has ended or failed.
    pub fn handle_eof(&mut self, sink: &mut impl MuxSink) {
        self.line.lose(sink);
    }

    /// The time of [`Self::next_timeout`] has come; earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Time, sink: &mut impl MuxSink) {
        let line = &mut self.line;
        match &line.state {
            State::Closed => return,
            State::Closing { deadline, .. } => {
                if *deadline <= now {
                    line.lose(sink);
                }
                return;
            }
            State::Open => {}
        }
        if line.waiting() > line.limits.max_staged {
            return line.fail(
                CloseCause::TooSlow,
                1008,
                "the worker reads too slowly",
                sink,
            );
        }
        match line.pulse.handle_timeout(now) {
            Some(Beat::Ping) => {
                line.stats.sent_pings.add(1);
                line.put(Opcode::Ping, b"");
            }
            Some(Beat::Stalled) => sink.stalled(true),
            Some(Beat::Dead) => {
                line.fail(
                    CloseCause::Silent,
                    1011,
                    "the worker did not answer pings",
                    sink,
                );
            }
            None => {}
        }
    }

    /// When [`Self::handle_timeout`] wants to be called; look again after every call of any other method.
    pub fn next_timeout(&self) -> Option<Time> {
        let line = &self.line;
        match &line.state {
            State::Closed => None,
            State::Closing { deadline, .. } => Some(*deadline),
            State::Open if line.waiting() > line.limits.max_staged => Some(Time::ZERO),
            State::Open => line.pulse.next_timeout(),
        }
    }

    /// A call may have something to write: it waits for its turn from here on.
    pub fn queue(&mut self, key: u32, wire: &mut Wire) {
        if wire.wants_turn() {
            self.line.queue.push_back(key);
        }
    }

    /// Put together what is to be written next: calls take turns, each with a little, as long as the worker reads.
    pub fn gather(&mut self, calls: &mut impl Calls) {
        let line = &mut self.line;
        if line.state != State::Open {
            return;
        }
        while line.waiting() + line.records.len() < line.limits.staged {
            let Some(key) = line.queue.pop_front() else {
                break;
            };
            let Some(wire) = calls.wire(key) else {
                continue;
            };
            if wire.take_turn(line.limits.turn, &mut line.records) {
                line.queue.push_back(key);
            }
            if line.records.len() >= line.limits.message {
                line.end_message();
            }
        }
        line.end_message();
    }

    /// What is to be written to the socket next.
    pub fn outgoing(&self) -> &[u8] {
        &self.line.staged[self.line.written..]
    }

    /// Whether [`Self::gather`] would find more.
    pub fn has_more(&self) -> bool {
        !self.line.queue.is_empty()
    }

    /// `count` bytes of [`Self::outgoing`] have been written.
    pub fn sent(&mut self, count: usize) {
        let line = &mut self.line;
        assert!(count <= line.waiting(), "more was written than there was");
        line.stats.sent_bytes.add(count as u64);
        line.written += count;
        if line.waiting() == 0 {
            line.staged.clear();
            line.written = 0;
            if line.staged.capacity() > KEEP {
                line.staged = Vec::new();
            }
        } else if line.written > line.limits.staged {
            line.staged.drain(..line.written);
            line.written = 0;
        }
    }

    /// Send a message about the worker itself.
    pub fn send_text(&mut self, text: &str) {
        if self.line.state == State::Open {
            self.line.put(Opcode::Text, text.as_bytes());
        }
    }

    /// Close after what waits; [`MuxSink::closed`] follows when the worker has answered, or soon after.
    pub fn close(&mut self, now: Time, code: u16, reason: &str) {
        let line = &mut self.line;
        if line.state != State::Open {
            return;
        }
        line.put_close(code, reason);
        line.state = State::Closing {
            deadline: now + line.limits.close_timeout,
            status: code,
            reason: reason.to_owned(),
        };
    }
}

impl Line {
    fn waiting(&self) -> usize {
        self.staged.len() - self.written
    }

    fn put(&mut self, opcode: Opcode, payload: &[u8]) {
        self.stats.sent_messages.add(1);
        websocket::encode_plain(opcode, payload, &mut self.staged);
    }

    fn put_close(&mut self, code: u16, reason: &str) {
        let (payload, length) = websocket::close_payload(code, reason);
        self.put(Opcode::Close, &payload[..length]);
    }

    /// What has been put together becomes one message.
    fn end_message(&mut self) {
        if !self.records.is_empty() {
            self.stats.sent_messages.add(1);
            websocket::encode_plain(Opcode::Binary, &self.records, &mut self.staged);
            self.records.clear();
            if self.records.capacity() > KEEP {
                self.records = Vec::new();
            }
        }
    }

    fn handle_message(&mut self, now: Time, message: Message<'_>, sink: &mut impl MuxSink) {
        self.stats.received_messages.add(1);
        match message {
            Message::Close { code, reason } => return self.handle_close(code, reason, sink),
            // After our close the worker may still be talking; only its close counts (RFC 6455 section 1.4).
            _ if self.state != State::Open => return,
            Message::Binary(records) => {
                if self.handle_records(now, records, sink) {
                    return;
                }
            }
            Message::Ping(payload) => self.put(Opcode::Pong, payload),
            Message::Pong(_) => {
                self.stats.received_pongs.add(1);
                return;
            }
            Message::Text(text) if text.len() > self.limits.max_text => {
                self.nonsense("a text message is too long", sink);
            }
            Message::Text(text) => {
                self.stats.received_texts.add(1);
                sink.text(text);
            }
        }
        self.charge(now, 1, sink);
    }

    /// Whether there was any record among them: those of calls are paid for by their calls.
    fn handle_records(&mut self, now: Time, records: &[u8], sink: &mut impl MuxSink) -> bool {
        let (mut rest, mut any, mut lost) = (records, false, 0);
        while let Some(record) = record::read(&mut rest) {
            any = true;
            match self.calls.get(&record.call) {
                Some(&key) => sink.record(key, &record),
                // For one that has ended, most likely. Long ones cost more, so that a flood of them has an end, too.
                None => lost += 1 + (record.payload.len() >> 10) as u64,
            }
        }
        self.charge(now, lost, sink);
        if !rest.is_empty() {
            self.nonsense("a binary message does not end with a record", sink);
        }
        any
    }

    fn handle_close(&mut self, code: u16, reason: &str, sink: &mut impl MuxSink) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Closed => {}
            State::Open => {
                self.put_close(code, "");
                sink.closed(WireClose {
                    cause: CloseCause::Agent,
                    status: code,
                    reason,
                    clean: true,
                });
            }
            State::Closing { status, reason, .. } => sink.closed(WireClose {
                cause: CloseCause::Requested,
                status,
                reason: &reason,
                clean: true,
            }),
        }
    }

    fn nonsense(&mut self, what: &'static str, sink: &mut impl MuxSink) {
        self.stats.received_garbage.add(1);
        self.garbage += 1;
        if self.state != State::Open {
            return;
        }
        if self.garbage > self.limits.max_garbage {
            return self.fail(CloseCause::ProtocolError, 1008, what, sink);
        }
        sink.garbage(what);
    }

    fn charge(&mut self, now: Time, count: u64, sink: &mut impl MuxSink) {
        if count > 0 && !self.frames.spend(now, count) {
            self.stats.received_flood.add(1);
            self.floods += 1;
            if self.floods > self.limits.max_flood && self.state == State::Open {
                self.fail(CloseCause::Flood, 1008, "the worker sends too much", sink);
            }
        }
    }

    fn lose(&mut self, sink: &mut impl MuxSink) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Closed => {}
            State::Open => sink.closed(WireClose {
                cause: CloseCause::Lost,
                status: 1006,
                reason: "the connection broke",
                clean: false,
            }),
            State::Closing { status, reason, .. } => sink.closed(WireClose {
                cause: CloseCause::Requested,
                status,
                reason: &reason,
                clean: false,
            }),
        }
    }

    /// End it from our side at once.
    fn fail(&mut self, cause: CloseCause, status: u16, reason: &str, sink: &mut impl MuxSink) {
        if self.state != State::Open {
            // We have asked to close already, and nothing may follow a close frame (RFC 6455 section 5.5.1).
            return self.lose(sink);
        }
        self.put_close(status, reason);
        self.state = State::Closed;
        sink.closed(WireClose {
            cause,
            status,
            reason,
            clean: false,
        });
    }
}
