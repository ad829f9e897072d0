//! A media thread: it owns its calls whole, their sockets, wires and timers, and waits in one place.
//!
//! One turn is: wait, obey Python, read what is there, do what is due, write everything at once.

use std::any::Any;
use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use offhook_media_sys::{Interest, Poller, Ready, ReceiveBatch, monotonic_ns};

use super::awaited::Awaited;
use super::command::{Command, LegCommand, NewLeg, NewWire, WireCommand};
use super::dial::DialOutcome;
use super::event::{Subject, What};
use super::leg_slot::{LegInput, LegSlot};
use super::outbox::Outbox;
use super::pace::Pace;
use super::slots::Slots;
use super::timer::TimerWheel;
use super::wire_slot::{Ending, WireSlot};
use super::{Doorbell, Shared};
use crate::claim::{Judged, LegKey, Verdict};
use crate::clock::Time;
use crate::srtp::Protocol;

/// Bytes read from a wire at once.
const READ_BYTES: usize = 64 * 1024;
/// Reads of one wire in one turn, so that a flooding agent takes no time from the others.
const READS_PER_TURN: usize = 4;
/// How long the agent has to read why it was cut off.
const LINGER: Duration = Duration::from_secs(1);
/// Receive calls on one socket in one turn, for the same reason.
const BATCHES_PER_TURN: usize = 8;
/// Commands obeyed in one turn.
const COMMANDS_PER_TURN: usize = 256;
/// ICMP errors read in one turn.
const ERRORS_PER_TURN: usize = 16;
/// A turn that begins so much later than asked for is counted.
const LATE_NS: u64 = 5_000_000;

/// What a descriptor is, in the low bits of its token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Doorbell = 0,
    Rtp = 1,
    Rtcp = 2,
    Wire = 3,
}

fn token(kind: Kind, index: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index) << 2 | kind as u64
}

fn take_apart(token: u64) -> (Kind, u32, u32) {
    let kind = match token & 3 {
        0 => Kind::Doorbell,
        1 => Kind::Rtp,
        2 => Kind::Rtcp,
        _ => Kind::Wire,
    };
    (kind, (token as u32) >> 2, (token >> 32) as u32)
}

/// Legs and wires have their timers in one wheel.
fn leg_timer(index: u32) -> u32 {
    index * 2
}

fn wire_timer(index: u32) -> u32 {
    index * 2 + 1
}

/// The state of a media thread.
pub(super) struct Worker {
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    doorbell: Arc<Doorbell>,
    poller: Poller,
    timers: TimerWheel,
    pace: Pace,
    awaited: Awaited,
    legs: Slots<LegSlot>,
    wires: Slots<WireSlot>,
    out: Outbox,
    /// Lent out while a socket is read.
    receive: Option<Box<ReceiveBatch>>,
    ready: Vec<Ready>,
    due: Vec<u32>,
    dirty: Vec<u32>,
    /// Wires that may have more to read without their descriptor saying so.
    unread: Vec<u32>,
    buffer: Vec<u8>,
    stopping: bool,
}

impl Worker {
    pub fn new(
        shared: Arc<Shared>,
        commands: Receiver<Command>,
        doorbell: Arc<Doorbell>,
    ) -> std::io::Result<Self> {
        let mut poller = Poller::new(shared.driver)?;
        poller.add(
            doorbell.descriptor(),
            token(Kind::Doorbell, 0, 0),
            Interest::READ,
        )?;
        let now = monotonic_ns();
        let awaited = Awaited::new(shared.driver)?;
        Ok(Self {
            shared,
            commands,
            doorbell,
            poller,
            timers: TimerWheel::new(now),
            pace: Pace::new(now),
            awaited,
            legs: Slots::default(),
            wires: Slots::default(),
            out: Outbox::new(),
            receive: Some(Box::default()),
            ready: Vec::with_capacity(1024),
            due: Vec::with_capacity(1024),
            dirty: Vec::with_capacity(64),
            unread: Vec::new(),
            buffer: vec![0; READ_BYTES],
            stopping: false,
        })
    }

    pub fn run(&mut self) {
        // Where this isn't permitted the engine works all the same.
        let _ = offhook_media_sys::raise_priority();
        while !self.stopping {
            // Each call has a guard of its own; this one is for what lies between the calls, and keeps the thread.
            if catch_unwind(AssertUnwindSafe(|| self.turn())).is_err() {
                self.shared.counters.internal_errors.fetch_add(1, Relaxed);
            }
        }
    }

    fn turn(&mut self) {
        let before = monotonic_ns();
        let next = self.timers.next();
        let planned = match self.pace.sleep_until(before) {
            Some(tick) if self.unread.is_empty() => {
                self.awaited.sleep_until(tick);
                Some(tick)
            }
            _ => next,
        };
        let now = monotonic_ns();
        let wait = match next {
            _ if !self.unread.is_empty() => Some(0),
            Some(next) => Some(next.saturating_sub(now)),
            None => None,
        };
        // While packets are gathered the sleep is over by now, so this only looks.
        let wait = if self.pace.sleep_until(before).is_some() {
            Some(0)
        } else {
            wait
        };
        let mut ready = std::mem::take(&mut self.ready);
        if self.poller.wait(&mut ready, wait).is_err() {
            // Only a programming error breaks the set; going on without it would spin, so the calls end and are told.
            self.shared.counters.internal_errors.fetch_add(1, Relaxed);
            self.shut_down(Time::from_nanos(now));
        }
        let now_ns = monotonic_ns();
        let now = Time::from_nanos(now_ns);
        if planned.is_some_and(|planned| now_ns > planned.max(before) + LATE_NS) {
            self.shared.counters.late_turns.fetch_add(1, Relaxed);
        }
        // Commands first: an answer that was given before a packet came must be known when the packet is read.
        if ready
            .iter()
            .any(|ready| take_apart(ready.token).0 == Kind::Doorbell)
        {
            self.doorbell.reset();
            self.obey(now);
        }
        // Agents before callers: a caller's packet moves the clock of its leg, and what an agent has said by then belongs before that.
        for ready in &ready {
            let (kind, index, generation) = take_apart(ready.token);
            if kind == Kind::Wire && self.wires.is_current(index, generation) {
                if ready.write {
                    self.mark_dirty(index);
                }
                if ready.read || ready.error {
                    self.read_wire(index, now);
                }
            }
        }
        for ready in &ready {
            let (kind, index, generation) = take_apart(ready.token);
            if matches!(kind, Kind::Rtp | Kind::Rtcp) && self.legs.is_current(index, generation) {
                self.read_leg(index, kind, ready.error, now);
            }
        }
        let mut work = ready.len() as u32;
        self.ready = ready;
        for index in std::mem::take(&mut self.unread) {
            self.read_wire(index, now);
        }
        let mut due = std::mem::take(&mut self.due);
        self.timers.expire(now_ns, &mut due);
        work += due.len() as u32;
        for owner in due.drain(..) {
            if owner % 2 == 0 {
                self.drive_leg(owner / 2, LegInput::Timeout, now);
            } else {
                self.wire_timeout(owner / 2, now);
            }
        }
        self.due = due;
        self.flush(now);
        self.pace.turn(now_ns, work);
    }

    /// Write all that this turn has made.
    fn flush(&mut self, now: Time) {
        self.out.send.flush();
        let failed = self.out.send.take_failed();
        if failed > 0 {
            self.shared.counters.send_errors.fetch_add(failed, Relaxed);
        }
        while let Some(index) = self.dirty.pop() {
            self.flush_wire(index, now);
        }
        self.shared.events.append(&mut self.out.events);
    }

    fn mark_dirty(&mut self, index: u32) {
        if let Some(wire) = self.wires.get_mut(index)
            && !wire.dirty
        {
            wire.dirty = true;
            self.dirty.push(index);
        }
    }

    // Legs.

    fn read_leg(&mut self, index: u32, kind: Kind, error: bool, now: Time) {
        let Some(leg) = self.legs.get_mut(index) else {
            return;
        };
        let sockets = leg.sockets.clone();
        let socket = if kind == Kind::Rtp {
            &sockets.rtp
        } else {
            &sockets.rtcp
        };
        if error {
            for _ in 0..ERRORS_PER_TURN {
                let Some(icmp) = socket.take_error() else {
                    break;
                };
                self.shared.counters.icmp_errors.fetch_add(1, Relaxed);
                if let (Kind::Rtp, Some(destination)) = (kind, icmp.destination) {
                    self.drive_leg(index, LegInput::Unreachable(destination), now);
                }
            }
        }
        let mut receive = self.receive.take().unwrap_or_default();
        for _ in 0..BATCHES_PER_TURN {
            socket.receive(&mut receive);
            if let Some(dropped) = receive.overflow() {
                self.count_overflow(index, kind, dropped);
            }
            for number in 0..receive.len() {
                let Some((source, packet)) = receive.get_mut(number) else {
                    continue;
                };
                self.take_packet(index, kind, source, packet, now);
            }
            if !receive.is_full() {
                break;
            }
        }
        self.receive = Some(receive);
    }

    /// Ask whose packet it is, and give it to that leg.
    fn take_packet(
        &mut self,
        index: u32,
        kind: Kind,
        source: SocketAddr,
        packet: &mut [u8],
        now: Time,
    ) {
        let Some(slot) = self.legs.get_mut(index) else {
            return;
        };
        // What the leg that was asked last made of the packet.
        let mut opened = None;
        let leg = &mut slot.leg;
        let mut open = |_: LegKey, protocol, packet: &mut [u8]| {
            let result = leg.open(now, protocol, packet);
            opened = Some(result);
            result.ok()
        };
        let judged = if kind == Kind::Rtp {
            slot.intake.receive_rtp(now, source, packet, &mut open)
        } else {
            Judged::Rtcp(slot.intake.receive_rtcp(source, packet, &mut open))
        };
        let (protocol, verdict) = match judged {
            Judged::Rtp(verdict) => (Protocol::Rtp, verdict),
            Judged::Rtcp(verdict) => (Protocol::Rtcp, verdict),
            Judged::Garbage(_) => {
                self.take_waited(index, now);
                return self.drive_leg(index, LegInput::Garbage(source, packet), now);
            }
        };
        let latched = matches!(verdict, Verdict::Latched(_));
        let accepted = latched || matches!(verdict, Verdict::Accepted(_));
        let result = match opened {
            Some(result) => result.map_err(Some),
            // Nobody is asked where media is plain; a key may have been given up a moment ago.
            None if accepted => leg.open(now, protocol, packet).map_err(Some),
            None => Err(None),
        };
        self.take_waited(index, now);
        let input = match result {
            Ok(len) if accepted && protocol == Protocol::Rtp => LegInput::Rtp {
                source,
                packet: &packet[..len],
                latched,
            },
            Ok(len) if accepted => LegInput::Rtcp {
                source,
                packet: &packet[..len],
                latched,
            },
            Ok(_) => LegInput::Refused {
                protocol,
                error: None,
            },
            Err(error) => LegInput::Refused { protocol, error },
        };
        self.drive_leg(index, input, now);
    }

    /// Give a leg what had to wait until it was known whose it is.
    fn take_waited(&mut self, index: u32, now: Time) {
        while let Some(waited) = self.legs.get_mut(index).and_then(|leg| leg.intake.poll()) {
            self.drive_leg(index, LegInput::Waited(waited), now);
        }
    }

    fn count_overflow(&mut self, index: u32, kind: Kind, dropped: u32) {
        if let Some(leg) = self.legs.get_mut(index) {
            let seen = &mut leg.overflow[usize::from(kind == Kind::Rtcp)];
            let more = dropped.wrapping_sub(std::mem::replace(seen, dropped));
            self.shared
                .counters
                .receive_overflow
                .fetch_add(u64::from(more), Relaxed);
        }
    }

    /// Give a leg one input; a panic in it ends this call alone.
    fn drive_leg(&mut self, index: u32, input: LegInput<'_>, now: Time) {
        let Some(leg) = self.legs.get_mut(index) else {
            return;
        };
        let wire_index = leg.wire;
        let wire = wire_index.and_then(|wire| self.wires.get_mut(wire));
        let out = &mut self.out;
        let result = catch_unwind(AssertUnwindSafe(|| leg.handle(now, input, wire, out)));
        if let Err(panic) = result {
            let id = leg.id;
            return self.fail_call(id, &*panic, now);
        }
        self.timers
            .arm(leg_timer(index), leg.next_timeout().map(Time::as_nanos));
        if let Some(wire_index) = wire_index {
            let silent = !leg.is_speaking();
            if let Some(wire) = self.wires.get_mut(wire_index)
                && let Some(transport) = &wire.transport
            {
                let descriptor = transport.descriptor();
                self.awaited.set(descriptor, silent, &mut wire.awaited);
            }
            self.settle_wire(wire_index);
        }
    }

    fn open_leg(&mut self, new: NewLeg) {
        let NewLeg { id, sockets, leg } = new;
        let mut generation = 0;
        let index = self.legs.insert(id, |index, current| {
            generation = current;
            LegSlot::new(id, index, leg, sockets.clone())
        });
        for (kind, socket) in [(Kind::Rtp, &sockets.rtp), (Kind::Rtcp, &sockets.rtcp)] {
            if self
                .poller
                .add(
                    socket.descriptor(),
                    token(kind, index, generation),
                    Interest::READ,
                )
                .is_err()
            {
                // Out of kernel memory: without its socket watched the leg is deaf, and signalling must know.
                let place = "the leg's socket could not be watched".to_owned();
                self.end_leg(id, Some(place), Time::from_nanos(monotonic_ns()));
                return;
            }
        }
    }

    fn obey_leg(&mut self, id: u64, command: LegCommand, now: Time) {
        let Some(index) = self.legs.find(id) else {
            return;
        };
        match command {
            LegCommand::Close => self.close_leg(id, now),
            LegCommand::Connect(wire) => {
                self.connect(index, wire, now);
                self.drive_leg(index, LegInput::Timeout, now);
            }
            command => {
                self.drive_leg(index, LegInput::Command(command), now);
                self.take_waited(index, now);
            }
        }
    }

    fn connect(&mut self, index: u32, wire: Option<u64>, now: Time) {
        let wire_index = wire.and_then(|wire| self.wires.find(wire));
        let Some(leg) = self.legs.get_mut(index) else {
            return;
        };
        let before = std::mem::replace(&mut leg.wire, wire_index);
        if before == wire_index {
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
        leg.connect(now, wire, &mut self.out);
    }

    /// Python closes a leg: its wires end with it.
    fn close_leg(&mut self, id: u64, now: Time) {
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
    fn end_leg(&mut self, id: u64, failure: Option<String>, now: Time) {
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
        // What still waits names the sockets that are about to close.
        self.out.send.flush();
        self.timers.arm(leg_timer(index), None);
        let Some(leg) = self.legs.remove(id) else {
            return;
        };
        if let Some(wire) = leg.wire.and_then(|wire| self.wires.get_mut(wire)) {
            wire.leg = None;
        }
        let address = leg.sockets.address;
        for socket in [&leg.sockets.rtp, &leg.sockets.rtcp] {
            let _ = self.poller.remove(socket.descriptor());
        }
        drop(leg);
        self.shared.release_ports(address, now.as_nanos());
        self.shared.counters.legs.fetch_sub(1, Relaxed);
        self.doorbell.calls.fetch_sub(1, Relaxed);
        if let Some(place) = failure {
            self.out
                .tell(now, Subject::Leg(id), What::InternalError { place });
        }
    }

    /// A bug of ours showed in a leg or its wire: the call ends, the others go on.
    fn fail_call(&mut self, id: u64, panic: &(dyn Any + Send), now: Time) {
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

    // Wires.

    fn read_wire(&mut self, index: u32, now: Time) {
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
        self.mark_dirty(index);
        self.settle_wire(index);
        self.drive_leg_of(index, now);
    }

    /// Hand what was read to the wire; a panic in it ends its call alone.
    fn feed_wire(&mut self, index: u32, count: usize, now: Time) {
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

    fn lose_wire(&mut self, index: u32, now: Time) {
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        let leg = wire.leg.and_then(|leg| self.legs.get_mut(leg));
        wire.handle_eof(now, leg, &mut self.out);
    }

    fn wire_timeout(&mut self, index: u32, now: Time) {
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        if let Some(deadline) = wire.lingers_until {
            if deadline <= now {
                self.remove_wire(index);
            }
            return;
        }
        if wire.transport.is_none() {
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
        self.mark_dirty(index);
        self.settle_wire(index);
        self.drive_leg_of(index, now);
    }

    /// What the agent has said may be due at once on its leg.
    fn drive_leg_of(&mut self, index: u32, now: Time) {
        if let Some(leg) = self.wires.get_mut(index).and_then(|wire| wire.leg) {
            self.drive_leg(leg, LegInput::Timeout, now);
        }
    }

    /// After a wire was given anything: write it this turn, and set its timer.
    fn settle_wire(&mut self, index: u32) {
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        if wire.lingers_until.is_some() {
            return;
        }
        let has_more = !wire.watches_write && !wire.wire.outgoing().is_empty();
        if (has_more || wire.ending.is_some()) && !wire.dirty && wire.transport.is_some() {
            wire.dirty = true;
            self.dirty.push(index);
        }
        self.timers
            .arm(wire_timer(index), wire.next_timeout().map(Time::as_nanos));
    }

    fn flush_wire(&mut self, index: u32, now: Time) {
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

    fn end_wire(&mut self, index: u32, ending: Ending, now: Time) {
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
    fn linger(&mut self, index: u32, now: Time) -> Option<u32> {
        let wire = self.wires.get_mut(index)?;
        let Some(transport) = &wire.transport else {
            return self.remove_wire(index);
        };
        // Not read any more either: an agent that floods is held up, and so comes to reading.
        let _ = self.poller.remove(transport.descriptor());
        if transport.stream().shutdown(Shutdown::Write).is_err() {
            return self.remove_wire(index);
        }
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
    fn break_wire(&mut self, index: u32, now: Time) {
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        if wire.lingers_until.is_some() {
            self.remove_wire(index);
            return;
        }
        let id = wire.id;
        if wire.transport.is_none() {
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
    fn end_dial(&mut self, index: u32, what: What, now: Time) {
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        let id = wire.id;
        wire.cancelled.store(true, Relaxed);
        self.remove_wire(index);
        self.out.tell(now, Subject::Wire(id), what);
    }

    /// Let go of a wire; its leg's number is the result.
    fn remove_wire(&mut self, index: u32) -> Option<u32> {
        let id = self.wires.get_mut(index)?.id;
        self.timers.arm(wire_timer(index), None);
        let mut wire = self.wires.remove(id)?;
        if let Some(transport) = &wire.transport {
            self.awaited
                .set(transport.descriptor(), false, &mut wire.awaited);
            let _ = self.poller.remove(transport.descriptor());
        }
        if let Some(leg) = wire.leg.and_then(|leg| self.legs.get_mut(leg)) {
            leg.wire = None;
        }
        if wire.lingers_until.is_none() {
            self.shared.counters.wires.fetch_sub(1, Relaxed);
        }
        wire.leg
    }

    fn open_wire(&mut self, new: NewWire, now: Time) {
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

    fn dialled(&mut self, id: u64, outcome: DialOutcome, now: Time) {
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
        self.mark_dirty(index);
        self.settle_wire(index);
        self.drive_leg_of(index, now);
    }

    fn obey_wire(&mut self, id: u64, command: WireCommand, now: Time) {
        let Some(index) = self.wires.find(id) else {
            return;
        };
        let Some(wire) = self.wires.get_mut(index) else {
            return;
        };
        match command {
            WireCommand::Text { text, numbered } => wire.wire.send_text(&text, numbered),
            WireCommand::Close { .. } if wire.transport.is_none() => {
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

    // Python.

    fn obey(&mut self, now: Time) {
        for _ in 0..COMMANDS_PER_TURN {
            match self.commands.try_recv() {
                Ok(Command::OpenLeg(new)) => self.open_leg(*new),
                Ok(Command::OpenWire(new)) => self.open_wire(*new, now),
                Ok(Command::Dialled(wire, outcome)) => self.dialled(wire, *outcome, now),
                Ok(Command::Leg(leg, command)) => self.obey_leg(leg, command, now),
                Ok(Command::Wire(wire, command)) => self.obey_wire(wire, command, now),
                Ok(Command::Shutdown) | Err(TryRecvError::Disconnected) => {
                    self.shut_down(now);
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
        }
        self.doorbell.ring();
    }

    fn shut_down(&mut self, now: Time) {
        self.stopping = true;
        for id in self.wires.ids() {
            let Some(index) = self.wires.find(id) else {
                continue;
            };
            let Some(wire) = self.wires.get_mut(index) else {
                continue;
            };
            if wire.transport.is_none() {
                let detail = "the engine is closed".to_owned();
                self.end_dial(
                    index,
                    What::Failed {
                        code: "cancelled",
                        detail,
                    },
                    now,
                );
                continue;
            }
            wire.wire.close(now, 1001, "the gateway ends");
            // One try: a slow agent does not hold up the end of the process.
            let _ = wire.flush(&mut self.poller);
            if wire.ending.is_none() {
                self.lose_wire(index, now);
            }
            if let Some(ending) = self
                .wires
                .get_mut(index)
                .and_then(|wire| wire.ending.take())
            {
                self.end_wire(index, ending, now);
            }
        }
        for id in self.legs.ids() {
            self.end_leg(id, None, now);
        }
    }
}
