//! Workers' connections of a media thread: read, written, ended, and the calls that share them.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use offhook_media_sys::Interest;

use super::super::command::{NewMux, NewWire, WireCommand};
use super::super::event::{Subject, Timings, What};
use super::super::mux_slot::{MuxGlue, MuxSlot, Tables};
use super::super::wire_slot::WireSlot;
use super::{Kind, READS_PER_TURN, Worker, mux_timer, token};
use crate::clock::Time;
use crate::wire::Wire;
use crate::wire::mux::Mux;

/// How long a worker has to read why it was cut off.
const LINGER: Duration = Duration::from_secs(1);

impl Worker {
    pub(super) fn open_mux(&mut self, new: NewMux, now: Time) {
        let id = new.id;
        let index = self.muxes.insert(id, |index, generation| {
            MuxSlot::new(new, token(Kind::Mux, index, generation))
        });
        let Some(slot) = self.muxes.get_mut(index) else {
            return;
        };
        let descriptor = slot.transport.descriptor();
        if let Err(error) = self.poller.add(descriptor, slot.token, Interest::READ) {
            slot.ending = Some(What::Closed {
                status: 1006,
                reason: error.to_string(),
                clean: false,
                code: Some("system"),
            });
        }
        self.mark_mux(index);
        self.settle_mux(index, now);
    }

    /// A call on a worker's connection.
    pub(super) fn open_call(&mut self, new: NewWire, mux: u64, now: Time) {
        let (id, credit_ms) = (new.id, new.credit_ms);
        let index = self.wires.insert(id, |index, generation| {
            WireSlot::new(new, token(Kind::Wire, index, generation), now)
        });
        let (legs, wires) = (&self.legs, &mut self.wires);
        let Some(wire) = wires.get_mut(index) else {
            return;
        };
        let mux_index = self.muxes.find(mux);
        let slot = mux_index.and_then(|mux| self.muxes.get_mut(mux));
        let open = slot.filter(|slot| slot.mux.is_open() && slot.lingers_until.is_none());
        let (Some(mux_index), Some(slot)) = (mux_index, open) else {
            let detail = "the worker's connection has ended".to_owned();
            let code = "gone";
            return self.end_dial(index, What::Failed { code, detail }, now);
        };
        if legs.find(wire.home).is_none() {
            let detail = "its leg has been closed".to_owned();
            let code = "cancelled";
            return self.end_dial(index, What::Failed { code, detail }, now);
        }
        slot.mux.open(index, &mut wire.wire, credit_ms);
        wire.mux = Some(mux_index);
        wire.dial_deadline = None;
        let address = slot.transport.stream().peer_addr();
        let what = What::Connected {
            // One that has hung up in this moment has none.
            address: address.unwrap_or_else(|_| ([0, 0, 0, 0], 0).into()),
            subprotocol: None,
            timings: Timings::default(),
        };
        self.out.tell(now, Subject::Wire(id), what);
        self.settle_wire(index);
    }

    pub(super) fn obey_mux(&mut self, id: u64, command: WireCommand, now: Time) {
        let Some(index) = self.muxes.find(id) else {
            return;
        };
        let Some(slot) = self.muxes.get_mut(index) else {
            return;
        };
        match command {
            WireCommand::Text { text, .. } => slot.mux.send_text(&text),
            WireCommand::Close { code, reason } => slot.mux.close(now, code, &reason),
        }
        self.mark_mux(index);
        self.settle_mux(index, now);
    }

    pub(super) fn read_mux(&mut self, index: u32, now: Time) {
        for turn in 1.. {
            let Some(slot) = self.muxes.get_mut(index) else {
                return;
            };
            if slot.ending.is_some() || slot.lingers_until.is_some() {
                break;
            }
            match slot.transport.read(&mut self.buffer) {
                Ok(0) => {
                    self.run_mux(index, now, |mux, sink, _| mux.handle_eof(sink));
                    break;
                }
                Ok(count) => {
                    let whole = count < self.buffer.len();
                    self.run_mux(index, now, |mux, sink, buffer| {
                        mux.handle_bytes(now, &buffer[..count], sink);
                    });
                    if whole {
                        break;
                    }
                    if turn == READS_PER_TURN {
                        self.unread_muxes.push(index);
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.run_mux(index, now, |mux, sink, _| mux.handle_eof(sink));
                    break;
                }
            }
        }
        self.settle_mux(index, now);
    }

    pub(super) fn mux_timeout(&mut self, index: u32, now: Time) {
        let Some(slot) = self.muxes.get_mut(index) else {
            return;
        };
        if let Some(deadline) = slot.lingers_until {
            if deadline <= now {
                self.forget_mux(index);
            }
            return;
        }
        self.run_mux(index, now, |mux, sink, _| mux.handle_timeout(now, sink));
        self.settle_mux(index, now);
    }

    /// Let a connection handle something, and its calls do what that makes due. A panic in a call ends that call alone.
    fn run_mux(
        &mut self,
        index: u32,
        now: Time,
        action: impl FnOnce(&mut Mux, &mut MuxGlue<'_>, &[u8]),
    ) {
        let Some(slot) = self.muxes.get_mut(index) else {
            return;
        };
        let buffer = &self.buffer[..];
        let tables = Tables {
            wires: &mut self.wires,
            legs: &mut self.legs,
            out: &mut self.out,
            heard: &mut self.heard,
        };
        let panic = slot.with_sink(now, tables, |mux, sink| action(mux, sink, buffer));
        let mut heard = std::mem::take(&mut self.heard);
        for call in heard.drain(..) {
            self.attend_to(call, now);
        }
        self.heard = heard;
        if let Some((leg, panic)) = panic {
            self.fail_call(leg, &*panic, now);
        }
    }

    /// After anything happened to a connection: its timer is set, and it is written or ended this turn.
    fn settle_mux(&mut self, index: u32, _now: Time) {
        self.mark_mux(index);
        if let Some(slot) = self.muxes.get_mut(index) {
            self.timers
                .arm(mux_timer(index), slot.next_timeout().map(Time::as_nanos));
        }
    }

    pub(super) fn mark_mux(&mut self, index: u32) {
        if let Some(slot) = self.muxes.get_mut(index)
            && !slot.dirty
        {
            slot.dirty = true;
            self.dirty_muxes.push(index);
        }
    }

    /// A call may have something to say.
    pub(super) fn queue_call(&mut self, mux: u32, call: u32) {
        let (Some(slot), Some(wire)) = (self.muxes.get_mut(mux), self.wires.get_mut(call)) else {
            return;
        };
        slot.mux.queue(call, &mut wire.wire);
        if slot.mux.has_more() && !slot.watches_write {
            self.mark_mux(mux);
        }
    }

    /// A call has ended: its last words go out.
    pub(super) fn leave_mux(&mut self, mux: u32, call: u32, wire: &mut Wire) {
        if let Some(slot) = self.muxes.get_mut(mux) {
            slot.mux.close_call(call, wire);
            self.mark_mux(mux);
        }
    }

    pub(super) fn flush_mux(&mut self, index: u32, now: Time) {
        let Some(slot) = self.muxes.get_mut(index) else {
            return;
        };
        slot.dirty = false;
        if slot.lingers_until.is_some() {
            return;
        }
        let lost = slot.flush(&mut self.wires, &mut self.poller).is_err();
        if lost {
            self.run_mux(index, now, |mux, sink, _| mux.handle_eof(sink));
        }
        let ending = self
            .muxes
            .get_mut(index)
            .and_then(|slot| slot.ending.take());
        match ending {
            Some(ending) => self.end_mux(index, ending, now),
            None => {
                if let Some(slot) = self.muxes.get_mut(index) {
                    self.timers
                        .arm(mux_timer(index), slot.next_timeout().map(Time::as_nanos));
                }
            }
        }
    }

    /// A connection is over: its calls are lost, and then that is told.
    fn end_mux(&mut self, index: u32, ending: What, now: Time) {
        let Some(slot) = self.muxes.get_mut(index) else {
            return;
        };
        let id = slot.id;
        let calls: Vec<u32> = slot.mux.calls().collect();
        for call in calls {
            self.lose_wire(call, now);
            // Told before the connection's own end, so that each call knows its own reason.
            if let Some(ending) = self.wires.get_mut(call).and_then(|wire| wire.ending.take()) {
                self.end_wire(call, ending, now);
            }
        }
        let cut_off =
            matches!(&ending, What::Closed { code: Some(code), .. } if *code != "requested");
        if !(cut_off && self.linger_mux(index, now)) {
            self.forget_mux(index);
        }
        self.shared.counters.muxes.fetch_sub(1, Relaxed);
        self.out.tell(now, Subject::Mux(id), ending);
    }

    /// Keep the socket of a connection that we cut off for a moment; whether that could be done is the result.
    fn linger_mux(&mut self, index: u32, now: Time) -> bool {
        let Some(slot) = self.muxes.get_mut(index) else {
            return false;
        };
        let _ = self.poller.remove(slot.transport.descriptor());
        if slot.transport.stream().shutdown(Shutdown::Write).is_err() {
            return false;
        }
        slot.lingers_until = Some(now + LINGER);
        self.timers
            .arm(mux_timer(index), Some((now + LINGER).as_nanos()));
        true
    }

    fn forget_mux(&mut self, index: u32) {
        self.timers.arm(mux_timer(index), None);
        let Some(id) = self.muxes.get_mut(index).map(|slot| slot.id) else {
            return;
        };
        if let Some(slot) = self.muxes.remove(id) {
            let _ = self.poller.remove(slot.transport.descriptor());
        }
    }

    /// The engine ends.
    pub(super) fn shut_mux(&mut self, id: u64, now: Time) {
        let Some(index) = self.muxes.find(id) else {
            return;
        };
        if let Some(slot) = self.muxes.get_mut(index) {
            slot.mux.close(now, 1001, "the gateway ends");
            // One try: a slow worker does not hold up the end of the process.
            let _ = slot.flush(&mut self.wires, &mut self.poller);
        }
        self.run_mux(index, now, |mux, sink, _| mux.handle_eof(sink));
        let ending = self
            .muxes
            .get_mut(index)
            .and_then(|slot| slot.ending.take());
        if let Some(ending) = ending {
            self.end_mux(index, ending, now);
        }
    }
}
