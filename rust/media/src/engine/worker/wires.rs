//! The wires of a media thread: read, written, ended.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use offhook_media_sys::Interest;

use super::super::command::{NewWire, WireCommand};
use super::super::dial::DialOutcome;
use super::super::event::{Subject, What};
use super::super::leg_slot::LegInput;
use super::super::wire_slot::{Ending, WireSlot};
use super::{Kind, READS_PER_TURN, Worker, token, wire_timer};
use crate::clock::Time;

/// How long the agent has to read why it was cut off.
const LINGER: Duration = Duration::from_secs(1);

impl Worker {
    pub(super) fn read_wire(&mut self, index: u32, now: Time) {
        let mut lost = false;
        for turn in 1.. {
            let Some(wire) = self.wires.get_mut(index) else {
                return;
            };
            let Some(transport) = &mut wire.transport else {
                return;
            };
            if wire.ending.is_some() || wire.lingers_until.is_some() {
                break;
            }
            match transport.read(&mut self.buffer) {
                Ok(0) => lost = true,
                Ok(count) => {
                    let plain_end = count < self.buffer.len() && !transport.is_tls();
                    self.feed_wire(index, count, now);
                    if plain_end {
                        break;
                    }
                    if turn == READS_PER_TURN {
                        self.unread.push(index);
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => lost = true,
            }
            if lost {
                self.lose_wire(index, now);
                break;
            }
        }
        self.attend_to(index, now);
    }

    /// Hand what was read to the wire; a panic in it ends its call alone.
    pub(super) fn feed_wire(&mut self, index: u32, count: usize, now: Time) {
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        let leg = wire.leg.and_then(|leg| self.legs.get_mut(leg));
        let (out, bytes) = (&mut self.out, &self.buffer[..count]);
        if let Err(panic) =
            catch_unwind(AssertUnwindSafe(|| wire.handle_bytes(now, bytes, leg, out)))
        {
            let home = wire.home;
            self.fail_call(home, &*panic, now);
        }
    }

    pub(super) fn lose_wire(&mut self, index: u32, now: Time) {
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        let leg = wire.leg.and_then(|leg| self.legs.get_mut(leg));
        wire.handle_eof(now, leg, &mut self.out);
    }

    pub(super) fn wire_timeout(&mut self, index: u32, now: Time) {
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        if let Some(deadline) = wire.lingers_until {
            if deadline <= now {
                self.remove_wire(index);
            }
            return;
        }
        if !wire.is_up() {
            if wire.dial_deadline.is_some_and(|deadline| deadline <= now) {
                let detail = "too many dials were waiting to reach the agent in time".to_owned();
                self.end_dial(
                    index,
                    What::Failed {
                        code: "timeout",
                        detail,
                    },
                    now,
                );
                return;
            }
        } else {
            let leg = wire.leg.and_then(|leg| self.legs.get_mut(leg));
            let out = &mut self.out;
            if let Err(panic) =
                catch_unwind(AssertUnwindSafe(|| wire.handle_timeout(now, leg, out)))
            {
                let home = wire.home;
                return self.fail_call(home, &*panic, now);
            }
        }
        self.attend_to(index, now);
    }

    /// After anything came of or to a wire: write it this turn, set its timer, and let its leg do what is due.
    pub(super) fn attend_to(&mut self, index: u32, now: Time) {
        self.mark_dirty(index);
        self.settle_wire(index);
        self.drive_leg_of(index, now);
    }

    /// What the agent has said may be due at once on its leg.
    pub(super) fn drive_leg_of(&mut self, index: u32, now: Time) {
        if let Some(leg) = self.wires.get_mut(index).and_then(|wire| wire.leg) {
            self.drive_leg(leg, LegInput::Timeout, now);
        }
    }

    /// After a wire was given anything: write it this turn, and set its timer.
    pub(super) fn settle_wire(&mut self, index: u32) {
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        if wire.lingers_until.is_some() {
            return;
        }
        // One that shares a connection waits for its turn there.
        let has_more =
            wire.mux.is_none() && !wire.watches_write && !wire.wire.outgoing().is_empty();
        if (has_more || wire.ending.is_some()) && !wire.dirty && wire.is_up() {
            wire.dirty = true;
            self.dirty.push(index);
        }
        self.timers
            .arm(wire_timer(index), wire.next_timeout().map(Time::as_nanos));
        if let Some(mux) = wire.mux {
            self.queue_call(mux, index);
        }
    }

    pub(super) fn flush_wire(&mut self, index: u32, now: Time) {
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        wire.dirty = false;
        let lost = wire.flush(&mut self.poller).is_err();
        if lost && wire.ending.is_none() {
            self.lose_wire(index, now);
        }
        let ending = self
            .wires
            .get_mut(index)
            .and_then(|wire| wire.ending.take());
        if let Some(ending) = ending {
            self.end_wire(index, ending, now);
        } else {
            self.settle_wire(index);
        }
    }

    pub(super) fn end_wire(&mut self, index: u32, ending: Ending, now: Time) {
        let cut_off = ending.code.is_some_and(|code| code != "requested");
        let leg = if cut_off {
            self.linger(index, now)
        } else {
            self.remove_wire(index)
        };
        let Ending {
            id,
            status,
            reason,
            clean,
            code,
            normal,
        } = ending;
        self.out.tell(
            now,
            Subject::Wire(id),
            What::Closed {
                status,
                reason,
                clean,
                code,
            },
        );
        if let Some(leg) = leg
            && normal
        {
            if let Some(leg) = self.legs.get_mut(leg) {
                leg.drain_after_agent();
            }
            self.drive_leg(leg, LegInput::Timeout, now);
        }
    }

    /// Let go of a wire that we ended, but keep its connection for a moment; its leg's number is the result.
    pub(super) fn linger(&mut self, index: u32, now: Time) -> Option<u32> {
        let wire = self.wires.get_mut(index)?;
        let Some(transport) = &wire.transport else {
            return self.remove_wire(index);
        };
        // Not read any more either: an agent that floods is held up, and so comes to reading.
        let _ = self.poller.remove(transport.descriptor());
        if transport.stream().shutdown(Shutdown::Write).is_err() {
            return self.remove_wire(index);
        }
        self.awaited
            .set(transport.descriptor(), false, &mut wire.awaited);
        wire.lingers_until = Some(now + LINGER);
        self.shared.counters.wires.fetch_sub(1, Relaxed);
        let leg = wire.leg.take();
        if let Some(leg) = leg.and_then(|leg| self.legs.get_mut(leg)) {
            leg.wire = None;
        }
        self.timers
            .arm(wire_timer(index), Some((now + LINGER).as_nanos()));
        leg
    }

    /// Cut a wire off without a word.
    pub(super) fn break_wire(&mut self, index: u32, now: Time) {
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        if wire.lingers_until.is_some() {
            self.remove_wire(index);
            return;
        }
        let id = wire.id;
        if !wire.is_up() {
            let detail = "an internal error ended the call".to_owned();
            return self.end_dial(
                index,
                What::Failed {
                    code: "cancelled",
                    detail,
                },
                now,
            );
        }
        if wire.mux.is_some() {
            // Its connection lives on, so its agent has to be told; a second panic could only keep it from that.
            let close = AssertUnwindSafe(|| wire.wire.close(now, 1011, "internal error"));
            let _ = catch_unwind(close);
        }
        self.remove_wire(index);
        let reason = "an internal error ended the call".to_owned();
        let what = What::Closed {
            status: 1006,
            reason,
            clean: false,
            code: Some("internal_error"),
        };
        self.out.tell(now, Subject::Wire(id), what);
    }

    /// A dial has come to nothing.
    pub(super) fn end_dial(&mut self, index: u32, what: What, now: Time) {
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        let id = wire.id;
        wire.cancelled.store(true, Relaxed);
        self.remove_wire(index);
        self.out.tell(now, Subject::Wire(id), what);
    }

    /// Let go of a wire; its leg's number is the result.
    pub(super) fn remove_wire(&mut self, index: u32) -> Option<u32> {
        let id = self.wires.get_mut(index)?.id;
        self.timers.arm(wire_timer(index), None);
        let mut wire = self.wires.remove(id)?;
        if let Some(transport) = &wire.transport {
            self.awaited
                .set(transport.descriptor(), false, &mut wire.awaited);
            let _ = self.poller.remove(transport.descriptor());
        }
        if let Some(mux) = wire.mux {
            self.leave_mux(mux, index, &mut wire.wire);
        }
        if let Some(leg) = wire.leg.and_then(|leg| self.legs.get_mut(leg)) {
            leg.wire = None;
        }
        if wire.lingers_until.is_none() {
            self.shared.counters.wires.fetch_sub(1, Relaxed);
        }
        wire.leg
    }

    pub(super) fn open_wire(&mut self, new: NewWire, now: Time) {
        let id = new.id;
        let index = self.wires.insert(id, |index, generation| {
            WireSlot::new(new, token(Kind::Wire, index, generation), now)
        });
        let home = self.wires.get_mut(index).map(|wire| wire.home);
        if home.is_none_or(|home| self.legs.find(home).is_none()) {
            let detail = "its leg has been closed".to_owned();
            return self.end_dial(
                index,
                What::Failed {
                    code: "cancelled",
                    detail,
                },
                now,
            );
        }
        self.settle_wire(index);
    }

    pub(super) fn dialled(&mut self, id: u64, outcome: DialOutcome, now: Time) {
        // A dial that was given up: its connection closes by being dropped.
        let Some(index) = self.wires.find(id) else {
            return;
        };
        let connected = match outcome {
            DialOutcome::Failed { code, detail } => {
                return self.end_dial(index, What::Failed { code, detail }, now);
            }
            DialOutcome::Refused { status, body } => {
                return self.end_dial(index, What::Refused { status, body }, now);
            }
            DialOutcome::Connected(connected) => *connected,
        };
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        let transport = connected.transport;
        if let Err(error) = self
            .poller
            .add(transport.descriptor(), wire.token, Interest::READ)
        {
            let detail = error.to_string();
            return self.end_dial(
                index,
                What::Failed {
                    code: "tcp",
                    detail,
                },
                now,
            );
        }
        // Its first word may be what the call is answered for.
        self.awaited
            .set(transport.descriptor(), true, &mut wire.awaited);
        wire.transport = Some(transport);
        wire.dial_deadline = None;
        let (address, subprotocol, timings) =
            (connected.address, connected.subprotocol, connected.timings);
        self.out.tell(
            now,
            Subject::Wire(id),
            What::Connected {
                address,
                subprotocol,
                timings,
            },
        );
        if !connected.early.is_empty() {
            let count = connected.early.len().min(self.buffer.len());
            self.buffer[..count].copy_from_slice(&connected.early[..count]);
            self.feed_wire(index, count, now);
        }
        // TLS may hold bytes that the descriptor doesn't tell of.
        self.unread.push(index);
        self.attend_to(index, now);
    }

    pub(super) fn obey_wire(&mut self, id: u64, command: WireCommand, now: Time) {
        let Some(index) = self.wires.find(id) else {
            return;
        };
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        match command {
            WireCommand::Text { text, numbered } => wire.wire.send_text(&text, numbered),
            WireCommand::Close { .. } if !wire.is_up() => {
                let detail = "the dial was given up".to_owned();
                return self.end_dial(
                    index,
                    What::Failed {
                        code: "cancelled",
                        detail,
                    },
                    now,
                );
            }
            WireCommand::Close { code, reason } => wire.wire.close(now, code, &reason),
        }
        self.settle_wire(index);
    }
}
