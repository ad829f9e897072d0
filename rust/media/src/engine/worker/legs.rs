//! The legs of a media thread: given inputs, ended.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;

use super::super::command::{LegCommand, NewLeg, WireCommand};
use super::super::event::{Subject, What};
use super::super::leg_slot::{Joined, LegInput, LegSlot};
use super::{Worker, leg_timer};
use crate::claim::LegKey;
use crate::clock::Time;

impl Worker {
    /// Give a leg one input; a panic in it ends this call alone.
    pub(super) fn drive_leg(&mut self, index: u32, input: LegInput<'_>, now: Time) {
        let Some(leg) = self.legs.get_mut(index) else {
            return;
        };
        let wire_index = leg.wire;
        let partner_index = leg.partner.as_ref().map(|partner| partner.index);
        // Without a partner the second is nobody.
        let (leg, partner) = self.legs.pair_mut(index, partner_index.unwrap_or(index));
        let Some(leg) = leg else { return };
        let joined = Joined {
            wire: wire_index.and_then(|wire| self.wires.get_mut(wire)),
            partner,
        };
        let out = &mut self.out;
        let result = catch_unwind(AssertUnwindSafe(|| leg.handle(now, input, joined, out)));
        if let Err(panic) = result {
            let id = leg.id;
            return self.fail_call(id, &*panic, now);
        }
        let silent = !leg.is_speaking();
        self.arm_leg(index);
        // A partner that has got something looks at it with its next frame: it wakes for each, but where packets are handed on.
        if let Some(partner) = partner_index.and_then(|partner| self.legs.get_mut(partner))
            && std::mem::take(&mut partner.moved)
        {
            let next = partner.next_timeout().map(Time::as_nanos);
            self.timers.arm(leg_timer(partner.index), next);
        }
        if let Some(wire_index) = wire_index {
            if let Some(wire) = self.wires.get_mut(wire_index)
                && let Some(transport) = &wire.transport
            {
                let descriptor = transport.descriptor();
                self.awaited.set(descriptor, silent, &mut wire.awaited);
            }
            self.settle_wire(wire_index);
        }
    }

    pub(super) fn open_leg(&mut self, new: NewLeg, now: Time) {
        let NewLeg {
            id,
            placement,
            policy,
            source,
            leg,
        } = new;
        let Some(place) = self.watch_port(&placement.port) else {
            // Out of kernel memory: without its socket watched the leg is deaf, and signalling must know.
            let port = placement.port.id;
            drop(placement);
            self.shared.leave_port(port, id, now);
            self.forget_leg();
            let place = "the leg's socket could not be watched".to_owned();
            self.out
                .tell(now, Subject::Leg(id), What::InternalError { place });
            return;
        };
        let index = self.legs.insert(id, |index, _| {
            LegSlot::new(id, index, leg, (place, placement.port), source)
        });
        if let Some(port) = self.ports.get_mut(place) {
            port.intake.open(LegKey(index), policy, placement.latch);
        }
    }

    pub(super) fn obey_leg(&mut self, id: u64, command: LegCommand, now: Time) {
        let Some(index) = self.legs.find(id) else {
            return;
        };
        match command {
            LegCommand::Close => self.close_leg(id, now),
            LegCommand::Connect { wire, deaf } => {
                if wire.is_some() {
                    self.part(index, now);
                }
                self.connect(index, wire, deaf, now);
                self.drive_leg(index, LegInput::Timeout, now);
            }
            LegCommand::Place(placement) => self.place_leg(index, placement, now),
            LegCommand::Unplace => self.unplace_leg(index, now),
            LegCommand::SetRemote(agreed) => {
                self.set_remote(index, agreed, now);
                self.tell_partner_codecs(index);
            }
            LegCommand::Echo(true) => {
                self.part(index, now);
                self.drive_leg(index, LegInput::Command(command), now);
            }
            command => self.drive_leg(index, LegInput::Command(command), now),
        }
    }

    pub(super) fn connect(&mut self, index: u32, wire: Option<u64>, deaf: bool, now: Time) {
        let wire_index = wire.and_then(|wire| self.wires.find(wire));
        let Some(leg) = self.legs.get_mut(index) else {
            return;
        };
        let before = std::mem::replace(&mut leg.wire, wire_index);
        if before == wire_index {
            let wire = wire_index.and_then(|wire| self.wires.get_mut(wire));
            if let Some(wire) = wire.filter(|wire| wire.deaf && !deaf) {
                leg.open_ears(wire);
            }
            return;
        }
        if let Some(before) = before.and_then(|before| self.wires.get_mut(before)) {
            before.leg = None;
            if let Some(transport) = &before.transport {
                self.awaited
                    .set(transport.descriptor(), false, &mut before.awaited);
            }
        }
        let Some(wire_index) = wire_index else { return };
        let Some(wire) = self.wires.get_mut(wire_index) else {
            return;
        };
        if let Some(other) = wire.leg.replace(index).filter(|other| *other != index)
            && let Some(other) = self.legs.get_mut(other)
        {
            other.wire = None;
        }
        let Some(leg) = self.legs.get_mut(index) else {
            return;
        };
        wire.deaf = deaf;
        leg.connect(now, wire, &mut self.out);
    }

    /// Python closes a leg: its wires end with it.
    pub(super) fn close_leg(&mut self, id: u64, now: Time) {
        for wire in self.wires.ids() {
            let belongs = self
                .wires
                .find(wire)
                .and_then(|index| self.wires.get_mut(index))
                .is_some_and(|wire| wire.home == id);
            if belongs {
                self.obey_wire(
                    wire,
                    WireCommand::Close {
                        code: 1000,
                        reason: "".into(),
                    },
                    now,
                );
            }
        }
        self.end_leg(id, None, now);
    }

    /// Let go of a leg; `failure` is told where it was our fault.
    pub(super) fn end_leg(&mut self, id: u64, failure: Option<String>, now: Time) {
        let Some(index) = self.legs.find(id) else {
            return;
        };
        if failure.is_none()
            && let Some(leg) = self.legs.get_mut(index)
        {
            let out = &mut self.out;
            // A panic here could only hide the last RTCP report.
            let _ = catch_unwind(AssertUnwindSafe(|| leg.end(now, out)));
        }
        self.part(index, now);
        self.timers.arm(leg_timer(index), None);
        let Some(leg) = self.legs.remove(id) else {
            return;
        };
        if let Some(wire) = leg.wire.and_then(|wire| self.wires.get_mut(wire)) {
            wire.leg = None;
        }
        for place in leg.places.all() {
            self.leave_port(place, id, LegKey(index), now);
        }
        drop(leg);
        self.forget_leg();
        if let Some(place) = failure {
            self.out
                .tell(now, Subject::Leg(id), What::InternalError { place });
        }
    }

    pub(super) fn forget_leg(&self) {
        self.shared.counters.legs.fetch_sub(1, Relaxed);
        self.shared.load[self.number].fetch_sub(1, Relaxed);
    }

    /// A bug of ours showed in a leg or its wire: the call ends, the others go on.
    pub(super) fn fail_call(&mut self, id: u64, panic: &(dyn Any + Send), now: Time) {
        self.shared.counters.internal_errors.fetch_add(1, Relaxed);
        let place = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without words".to_owned());
        for wire in self.wires.ids() {
            let index = self.wires.find(wire);
            let belongs = index
                .and_then(|index| self.wires.get_mut(index))
                .is_some_and(|wire| wire.home == id);
            if let (true, Some(index)) = (belongs, index) {
                self.break_wire(index, now);
            }
        }
        self.end_leg(id, Some(place), now);
    }
}
