//! One wire of a media thread: its connection and what belongs to it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use offhook_media_sys::{Interest, Poller};

use super::command::NewWire;
use super::event::Backlog;
use super::leg_slot::LegSlot;
use super::outbox::Outbox;
use super::slots::Slots;
use super::transport::Transport;
use super::wire_sink::WireGlue;
use crate::clock::Time;
use crate::telephone_event::KeyTiming;
use crate::utterance::{Cut, Utterance};
use crate::wire::Wire;
use crate::wire::mux::Calls;
use crate::wire::record::Record;

/// The helper thread keeps the time and names the step that took too long; this is for a dial that none has begun.
const DIAL_GRACE: Duration = Duration::from_millis(500);
/// What an event weighs in its wire's backlog beside its text.
pub(super) const EVENT_WEIGHT: usize = 256;

/// One wire and what belongs to it.
pub(super) struct WireSlot {
    pub id: u64,
    /// The leg beside which it was opened.
    pub home: u64,
    /// The number of the leg that it is connected to.
    pub leg: Option<u32>,
    /// The connection, once it is there.
    pub transport: Option<Transport>,
    /// Or the number of the worker's connection that it shares.
    pub mux: Option<u32>,
    /// Until when the dial must have come to something.
    pub dial_deadline: Option<Time>,
    pub cancelled: Arc<AtomicBool>,
    /// It is over, but its connection is kept until then: closing one that has unread bytes makes the system answer with
    /// a reset, and a reset takes the reason that we gave away with it.
    pub lingers_until: Option<Time>,
    /// What it is watched for is more than reading.
    pub watches_write: bool,
    /// It is in the list of wires to be written.
    pub dirty: bool,
    /// Its agent is silent, and its first word ends a sleep.
    pub awaited: bool,
    pub ending: Option<Ending>,
    pub token: u64,
    pub wire: Wire,
    pub early: Early,
    pub backlog: Backlog,
    text_limit: usize,
    pub told_caller_audio: bool,
    /// The call is not answered: what the caller says and keys is kept from the agent, who may be heard.
    pub deaf: bool,
    /// The agent knows that the caller speaks.
    pub told_speech: bool,
    told_agent_audio: bool,
    flooded: bool,
}

/// How a wire ended.
pub(super) struct Ending {
    pub id: u64,
    pub status: u16,
    pub reason: String,
    pub clean: bool,
    pub code: Option<&'static str>,
    /// The agent closed in the ordinary way, so what it said is played to the end.
    pub normal: bool,
}

/// What its agent said before it was connected to a leg.
#[derive(Default)]
pub(super) struct Early {
    pub items: Vec<EarlyItem>,
    pub audio_bytes: usize,
    pub utterances: usize,
    pub hang_up: bool,
    /// What its last clear has dropped.
    pub cut: Option<Cut>,
}

/// One thing of that.
pub(super) enum EarlyItem {
    Audio(Vec<u8>),
    Mark(String),
    Utterance(Box<Utterance>),
    UtteranceEnd,
    Dtmf(String, KeyTiming),
}

impl WireSlot {
    pub fn new(new: NewWire, token: u64, now: Time) -> Self {
        Self {
            id: new.id,
            home: new.leg,
            leg: None,
            transport: None,
            mux: None,
            dial_deadline: Some(now + new.total_timeout + DIAL_GRACE),
            cancelled: new.cancelled,
            lingers_until: None,
            watches_write: false,
            dirty: false,
            awaited: false,
            ending: None,
            token,
            wire: new.wire,
            early: Early::default(),
            backlog: new.backlog,
            text_limit: new.text_limit,
            told_caller_audio: false,
            deaf: false,
            told_speech: false,
            told_agent_audio: false,
            flooded: false,
        }
    }

    /// Whether there is a connection, its own or a shared one.
    pub fn is_up(&self) -> bool {
        self.transport.is_some() || self.mux.is_some()
    }

    pub fn next_timeout(&self) -> Option<Time> {
        if self.lingers_until.is_some() {
            self.lingers_until
        } else if self.is_up() {
            self.wire.next_timeout()
        } else {
            self.dial_deadline
        }
    }

    /// Bytes of the agent.
    pub fn handle_bytes(
        &mut self,
        now: Time,
        bytes: &[u8],
        leg: Option<&mut LegSlot>,
        out: &mut Outbox,
    ) {
        self.with_sink(now, leg, out, |wire, sink| {
            wire.handle_bytes(now, bytes, sink)
        });
        self.judge_backlog(now);
    }

    /// A record of the agent, on a shared connection.
    pub fn handle_record(
        &mut self,
        now: Time,
        record: &Record<'_>,
        leg: Option<&mut LegSlot>,
        out: &mut Outbox,
    ) {
        self.with_sink(now, leg, out, |wire, sink| {
            wire.handle_record(now, record, sink)
        });
        self.judge_backlog(now);
    }

    fn judge_backlog(&mut self, now: Time) {
        if !self.flooded && self.backlog.load(Relaxed) > self.text_limit {
            self.flooded = true;
            self.wire.close(now, 1008, "too many messages");
        }
    }

    /// The connection has ended or failed.
    pub fn handle_eof(&mut self, now: Time, leg: Option<&mut LegSlot>, out: &mut Outbox) {
        self.with_sink(now, leg, out, |wire, sink| wire.handle_eof(sink));
    }

    pub fn handle_timeout(&mut self, now: Time, leg: Option<&mut LegSlot>, out: &mut Outbox) {
        self.with_sink(now, leg, out, |wire, sink| wire.handle_timeout(now, sink));
    }

    fn with_sink(
        &mut self,
        now: Time,
        leg: Option<&mut LegSlot>,
        out: &mut Outbox,
        action: impl FnOnce(&mut Wire, &mut WireGlue<'_>),
    ) {
        let mut sink = WireGlue {
            now,
            id: self.id,
            home: self.home,
            receive: self.wire.formats().receive,
            leg,
            early: &mut self.early,
            backlog: &self.backlog,
            told_audio: &mut self.told_agent_audio,
            flooded: self.flooded,
            ending: &mut self.ending,
            out,
        };
        action(&mut self.wire, &mut sink);
    }

    /// Write what waits; whether more waits than went is what it is watched for afterwards. An error ends it.
    pub fn flush(&mut self, poller: &mut Poller) -> std::io::Result<()> {
        let Some(transport) = &mut self.transport else {
            return Ok(());
        };
        loop {
            let bytes = self.wire.outgoing();
            let result = if bytes.is_empty() {
                transport.flush().map(|()| 0)
            } else {
                transport.write(bytes)
            };
            match result {
                Ok(0) if bytes.is_empty() => break,
                Ok(count) => self.wire.sent(count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let wants_write = transport.wants_write() || !self.wire.outgoing().is_empty();
        if wants_write != self.watches_write {
            self.watches_write = wants_write;
            let interest = if wants_write {
                Interest::BOTH
            } else {
                Interest::READ
            };
            poller.change(transport.descriptor(), self.token, interest)?;
        }
        Ok(())
    }
}

impl Calls for Slots<WireSlot> {
    fn wire(&mut self, key: u32) -> Option<&mut Wire> {
        self.get_mut(key).map(|slot| &mut slot.wire)
    }
}
