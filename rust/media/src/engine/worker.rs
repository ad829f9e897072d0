//! A media thread: it owns its calls whole, their sockets, wires and timers, and waits in one place.
//!
//! One turn is: wait, obey Python, read what is there, do what is due, write everything at once.

mod bridges;
mod legs;
mod muxes;
mod ports;
mod step;
mod wires;

pub use step::Stepped;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, TryRecvError};

use offhook_media_sys::{Interest, Poller, Ready, ReceiveBatch, monotonic_ns};

use super::awaited::Awaited;
use super::command::Command;
use super::event::What;
use super::leg_slot::{LegInput, LegSlot};
use super::mux_slot::MuxSlot;
use super::outbox::Outbox;
use super::pace::Pace;
use super::port_slot::PortSlot;
use super::shared::{Doorbell, Shared};
use super::slots::Slots;
use super::timer::TimerWheel;
use super::wire_slot::WireSlot;
use crate::clock::Time;
use crate::vad::listeners::Listeners;

/// Bytes read from a wire at once.
const READ_BYTES: usize = 64 * 1024;
/// Reads of one wire in one turn, so that a flooding agent takes no time from the others.
const READS_PER_TURN: usize = 4;
/// Commands obeyed in one turn.
const COMMANDS_PER_TURN: usize = 256;
/// A turn that begins so much later than asked for is counted.
const LATE_NS: u64 = 5_000_000;

/// What a descriptor is, in the low bits of its token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Doorbell = 0,
    Rtp = 1,
    Rtcp = 2,
    Wire = 3,
    Mux = 4,
}

fn token(kind: Kind, index: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index) << 3 | kind as u64
}

fn take_apart(token: u64) -> (Kind, u32, u32) {
    let kind = match token & 7 {
        0 => Kind::Doorbell,
        1 => Kind::Rtp,
        2 => Kind::Rtcp,
        3 => Kind::Wire,
        _ => Kind::Mux,
    };
    (kind, (token as u32) >> 3, (token >> 32) as u32)
}

/// Legs, wires, ports and workers' connections have their timers in one wheel.
fn leg_timer(index: u32) -> u32 {
    index * 4
}

fn wire_timer(index: u32) -> u32 {
    index * 4 + 1
}

fn port_timer(index: u32) -> u32 {
    index * 4 + 2
}

fn mux_timer(index: u32) -> u32 {
    index * 4 + 3
}

/// The state of a media thread.
pub(super) struct Worker {
    shared: Arc<Shared>,
    number: usize,
    commands: Receiver<Command>,
    doorbell: Arc<Doorbell>,
    poller: Poller,
    timers: TimerWheel,
    pace: Pace,
    awaited: Awaited,
    legs: Slots<LegSlot>,
    wires: Slots<WireSlot>,
    muxes: Slots<MuxSlot>,
    ports: Slots<PortSlot>,
    out: Outbox,
    /// Lent out while a socket is read.
    receive: Option<Box<ReceiveBatch>>,
    ready: Vec<Ready>,
    due: Vec<u32>,
    dirty: Vec<u32>,
    /// Workers' connections to be written.
    dirty_muxes: Vec<u32>,
    /// Calls of a worker's connection that had something to say while it was read.
    heard: Vec<u32>,
    /// Wires that may have more to read without their descriptor saying so.
    unread: Vec<u32>,
    unread_muxes: Vec<u32>,
    buffer: Vec<u8>,
    stopping: bool,
}

impl Worker {
    pub fn new(
        (shared, number): (Arc<Shared>, usize),
        commands: Receiver<Command>,
        doorbell: Arc<Doorbell>,
    ) -> std::io::Result<Self> {
        let mut poller = Poller::new(shared.driver)?;
        poller.add(
            doorbell.descriptor(),
            token(Kind::Doorbell, 0, 0),
            Interest::READ,
        )?;
        let now = shared.watch.now().as_nanos();
        let awaited = Awaited::new(shared.driver, doorbell.descriptor())?;
        let listeners = shared
            .speech
            .as_ref()
            .map(|network| Listeners::new(Arc::clone(network), Arc::clone(&shared.speech_counts)));
        Ok(Self {
            shared,
            number,
            commands,
            doorbell,
            poller,
            timers: TimerWheel::new(now),
            pace: Pace::new(now),
            awaited,
            legs: Slots::default(),
            wires: Slots::default(),
            muxes: Slots::default(),
            ports: Slots::default(),
            out: Outbox::new(listeners),
            receive: Some(Box::default()),
            ready: Vec::with_capacity(1024),
            due: Vec::with_capacity(1024),
            dirty: Vec::with_capacity(64),
            dirty_muxes: Vec::new(),
            heard: Vec::new(),
            unread: Vec::new(),
            unread_muxes: Vec::new(),
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
            Some(tick) if self.has_read_all() => {
                self.awaited.sleep_until(tick);
                Some(tick)
            }
            _ => next,
        };
        let now = monotonic_ns();
        let wait = match next {
            _ if !self.has_read_all() => Some(0),
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
        self.hear_agents(&ready, now);
        let mut work = ready.len() as u32;
        for ready in &ready {
            let (kind, index, generation) = take_apart(ready.token);
            if matches!(kind, Kind::Rtp | Kind::Rtcp) && self.ports.is_current(index, generation) {
                let packets = self.read_port(index, kind, ready.error, now);
                work += packets.saturating_sub(1);
            }
        }
        self.ready = ready;
        work += self.do_what_is_due(now);
        self.pace.turn(now_ns, work);
    }

    /// Obey Python and read the agents that have said something.
    fn hear_agents(&mut self, ready: &[Ready], now: Time) {
        // Commands first: an answer that was given before a packet came must be known when the packet is read.
        if ready
            .iter()
            .any(|ready| take_apart(ready.token).0 == Kind::Doorbell)
        {
            self.doorbell.reset();
            self.obey(now);
        }
        // Agents before callers: a caller's packet moves the clock of its leg, and what an agent has said by then belongs before that.
        for ready in ready {
            let (kind, index, generation) = take_apart(ready.token);
            if kind == Kind::Wire && self.wires.is_current(index, generation) {
                if ready.write {
                    self.mark_dirty(index);
                }
                if ready.read || ready.error {
                    self.read_wire(index, now);
                }
            } else if kind == Kind::Mux && self.muxes.is_current(index, generation) {
                if ready.write {
                    self.mark_mux(index);
                }
                if ready.read || ready.error {
                    self.read_mux(index, now);
                }
            }
        }
    }

    /// Read on where a turn was not enough, do what is due and write all that this turn has made; how much was due.
    fn do_what_is_due(&mut self, now: Time) -> u32 {
        for index in std::mem::take(&mut self.unread) {
            self.read_wire(index, now);
        }
        for index in std::mem::take(&mut self.unread_muxes) {
            self.read_mux(index, now);
        }
        let mut due = std::mem::take(&mut self.due);
        self.timers.expire(now.as_nanos(), &mut due);
        let work = due.len() as u32;
        for owner in due.drain(..) {
            let index = owner / 4;
            match owner % 4 {
                0 => self.drive_leg(index, LegInput::Timeout, now),
                1 => self.wire_timeout(index, now),
                2 => self.port_timeout(index),
                _ => self.mux_timeout(index, now),
            }
        }
        self.due = due;
        self.flush(now);
        work
    }

    /// Write all that this turn has made.
    fn flush(&mut self, now: Time) {
        self.out.send.flush();
        let failed = self.out.send.take_failed();
        if failed > 0 {
            self.shared.counters.send_errors.fetch_add(failed, Relaxed);
        }
        // Last words of calls go to the connection that they share, and one that breaks ends its calls.
        while !self.dirty.is_empty() || !self.dirty_muxes.is_empty() {
            while let Some(index) = self.dirty.pop() {
                self.flush_wire(index, now);
            }
            if let Some(index) = self.dirty_muxes.pop() {
                self.flush_mux(index, now);
            }
        }
        self.shared.events.append(&mut self.out.events);
    }

    fn has_read_all(&self) -> bool {
        self.unread.is_empty() && self.unread_muxes.is_empty()
    }

    fn mark_dirty(&mut self, index: u32) {
        if let Some(wire) = self.wires.get_mut(index)
            && !wire.dirty
            && wire.mux.is_none()
        {
            wire.dirty = true;
            self.dirty.push(index);
        }
    }

    // Python.

    fn obey(&mut self, now: Time) {
        for _ in 0..COMMANDS_PER_TURN {
            match self.commands.try_recv() {
                Ok(Command::OpenPort(port)) => {
                    // One that can't be watched is tried again with its first leg.
                    self.watch_port(&port);
                }
                Ok(Command::OpenLeg(new)) => self.open_leg(*new, now),
                Ok(Command::OpenWire(new)) => self.open_wire(*new, now),
                Ok(Command::OpenMux(new)) => self.open_mux(*new, now),
                Ok(Command::OpenCall(new, mux)) => self.open_call(*new, mux, now),
                Ok(Command::Mux(mux, command)) => self.obey_mux(mux, command, now),
                Ok(Command::Dialled(wire, outcome)) => self.dialled(wire, *outcome, now),
                Ok(Command::Bridge(new)) => self.bridge(new, now),
                Ok(Command::Unbridge { bridge, leg }) => self.unbridge(bridge, leg, now),
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
            if !wire.is_up() {
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
        for id in self.muxes.ids() {
            self.shut_mux(id, now);
        }
        for id in self.legs.ids() {
            self.end_leg(id, None, now);
        }
        self.forget_ports();
    }
}
