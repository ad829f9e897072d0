//! One worker's connection of a media thread: its socket and what belongs to it.

use std::sync::atomic::Ordering::Relaxed;

use offhook_media_sys::{Interest, Poller};

use super::command::NewMux;
use super::event::{Backlog, Event, Subject, Weight, What};
use super::leg_slot::LegSlot;
use super::outbox::Outbox;
use super::slots::Slots;
use super::transport::Transport;
use super::wire_slot::{EVENT_WEIGHT, WireSlot};
use crate::clock::Time;
use crate::wire::mux::{Mux, MuxSink};
use crate::wire::record::Record;
use crate::wire::{CloseCause, WireClose};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One connection of a worker and what belongs to it.
pub(super) struct MuxSlot {
    pub id: u64,
    pub transport: Transport,
    pub mux: Mux,
    pub token: u64,
    /// What it is watched for is more than reading.
    pub watches_write: bool,
    /// It is in the list of connections to be written.
    pub dirty: bool,
    /// How it ended, to be told.
    pub ending: Option<What>,
    /// It is over, but its connection is kept until then, so that the reason gets there; see `WireSlot`.
    pub lingers_until: Option<Time>,
    backlog: Backlog,
    text_limit: usize,
    flooded: bool,
}

/// What a connection writes to while it handles something: its calls, and events.
pub(super) struct MuxGlue<'a> {
    pub now: Time,
    pub wires: &'a mut Slots<WireSlot>,
    pub legs: &'a mut Slots<LegSlot>,
    pub out: &'a mut Outbox,
    /// The calls that said something.
    pub heard: &'a mut Vec<u32>,
    /// A bug of ours showed in the call of this leg.
    pub panic: Option<(u64, Box<dyn std::any::Any + Send>)>,
    id: u64,
    backlog: Backlog,
    flooded: bool,
    ending: &'a mut Option<What>,
}

/// The tables of a media thread that a connection's calls live in.
pub(super) struct Tables<'a> {
    pub wires: &'a mut Slots<WireSlot>,
    pub legs: &'a mut Slots<LegSlot>,
    pub out: &'a mut Outbox,
    pub heard: &'a mut Vec<u32>,
}

impl MuxSlot {
    pub fn new(new: NewMux, token: u64) -> Self {
        Self {
            id: new.id,
            transport: Transport::new(new.stream, None),
            mux: new.mux,
            token,
            watches_write: false,
            dirty: false,
            ending: None,
            lingers_until: None,
            backlog: new.backlog,
            text_limit: new.text_limit,
            flooded: false,
        }
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.lingers_until.or_else(|| self.mux.next_timeout())
    }

    /// Let the connection handle something; the panic of a call that had one is the result.
    pub fn with_sink(
        &mut self,
        now: Time,
        tables: Tables<'_>,
        action: impl FnOnce(&mut Mux, &mut MuxGlue<'_>),
    ) -> Option<(u64, Box<dyn std::any::Any + Send>)> {
        let mut sink = MuxGlue {
            now,
            wires: tables.wires,
            legs: tables.legs,
            out: tables.out,
            heard: tables.heard,
            panic: None,
            id: self.id,
            backlog: self.backlog.clone(),
            flooded: self.flooded,
            ending: &mut self.ending,
        };
        action(&mut self.mux, &mut sink);
        let panic = sink.panic;
        if !self.flooded && self.backlog.load(Relaxed) > self.text_limit {
            self.flooded = true;
            self.mux.close(now, 1008, "too many messages");
        }
        panic
    }

    /// Write what waits; whether more waits than went is what it is watched for afterwards. An error ends it.
    pub fn flush(
        &mut self,
        wires: &mut Slots<WireSlot>,
        poller: &mut Poller,
    ) -> std::io::Result<()> {
        loop {
            self.mux.gather(wires);
            let bytes = self.mux.outgoing();
            if bytes.is_empty() {
                break;
            }
            match self.transport.write(bytes) {
                Ok(count) => self.mux.sent(count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let wants_write = !self.mux.outgoing().is_empty();
        if wants_write != self.watches_write {
            self.watches_write = wants_write;
            let interest = if wants_write {
                Interest::BOTH
            } else {
                Interest::READ
            };
            poller.change(self.transport.descriptor(), self.token, interest)?;
        }
        Ok(())
    }
}

impl MuxGlue<'_> {
    fn tell(&mut self, bytes: usize, what: What) {
        self.out.events.push(Event {
            at: self.now,
            subject: Subject::Mux(self.id),
            what,
            weight: Some(Weight::new(&self.backlog, bytes + EVENT_WEIGHT)),
        });
    }
}

impl MuxSink for MuxGlue<'_> {
    fn record(&mut self, key: u32, record: &Record<'_>) {
        if self.panic.is_some() {
            return;
        }
        let Some(wire) = self.wires.get_mut(key) else {
            return;
        };
        if wire.ending.is_some() {
            return;
        }
        let leg = wire.leg.and_then(|leg| self.legs.get_mut(leg));
        let (now, out) = (self.now, &mut *self.out);
        let result = catch_unwind(AssertUnwindSafe(|| {
            wire.handle_record(now, record, leg, out)
        }));
        match result {
            Ok(()) => {
                if self.heard.last() != Some(&key) {
                    self.heard.push(key);
                }
            }
            Err(panic) => self.panic = Some((wire.home, panic)),
        }
    }

    fn text(&mut self, message: &str) {
        if !self.flooded {
            let text = message.to_owned();
            self.tell(message.len(), What::Text { text });
        }
    }

    fn garbage(&mut self, what: &'static str) {
        let detail = what.to_owned();
        self.tell(
            0,
            What::ProtocolError {
                code: "garbage",
                detail,
            },
        );
    }

    fn stalled(&mut self, stalled: bool) {
        let what = if stalled {
            What::Stalled
        } else {
            What::Recovered
        };
        self.tell(0, what);
    }

    fn closed(&mut self, close: WireClose<'_>) {
        let code = match close.cause {
            _ if self.flooded => Some("flood"),
            CloseCause::Agent => None,
            cause => cause.code(),
        };
        *self.ending = Some(What::Closed {
            status: close.status,
            reason: close.reason.to_owned(),
            clean: close.clean,
            code,
        });
    }
}
