//! What the media threads and the engine's callers have in common, and how commands reach a thread.

use std::os::fd::RawFd;
use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offhook_media_sys::{Driver, Wake};

use super::command::Command;
use super::error::MediaError;
use super::event::EventQueue;
use super::ports::{Left, PortAllocator, PortId};
use super::stats::Counters;
use super::watch::Watch;
use crate::clock::Time;
use crate::vad::listeners::SpeechCounts;
use crate::vad::network::SpeechNetwork;

/// What the media threads and the engine's callers have in common.
pub(super) struct Shared {
    pub driver: Driver,
    pub watch: Watch,
    pub events: EventQueue,
    pub ports: Mutex<PortAllocator>,
    /// Legs of each media thread.
    pub load: Vec<AtomicUsize>,
    pub counters: Counters,
    /// What tells speech from noise, for all threads.
    pub speech: Option<Arc<SpeechNetwork>>,
    pub speech_counts: Arc<SpeechCounts>,
}

/// How a media thread is told that commands wait.
pub(super) struct Doorbell {
    pub wake: Wake,
    pub rung: AtomicBool,
}

pub(super) struct Thread {
    pub number: usize,
    pub commands: SyncSender<Command>,
    pub doorbell: Arc<Doorbell>,
}

impl Doorbell {
    pub fn descriptor(&self) -> RawFd {
        self.wake.descriptor()
    }

    pub fn ring(&self) {
        if !self.rung.swap(true, AcqRel) {
            self.wake.wake();
        }
    }

    /// Before the commands are looked at, so that one that comes meanwhile rings anew.
    pub fn reset(&self) {
        self.wake.reset();
        self.rung.swap(false, AcqRel);
    }
}

impl Thread {
    pub fn send(&self, command: Command) -> Result<(), MediaError> {
        match self.commands.try_send(command) {
            Ok(()) => {
                self.doorbell.ring();
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(MediaError::Overloaded),
            // The engine has been closed, and with it all that a command could do.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// For what must not be lost: waits while the queue is full, which a media thread empties in a moment.
    pub fn send_surely(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.doorbell.ring();
        }
    }
}

impl Shared {
    pub fn ports(&self) -> MutexGuard<'_, PortAllocator> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn leave_port(&self, port: PortId, leg: u64, now: Time) -> Left {
        self.ports().leave(port, leg, now.as_nanos())
    }

    pub fn loads(&self) -> Vec<usize> {
        let load = self.load.iter();
        load.map(|legs| legs.load(Relaxed)).collect()
    }
}

/// A place among the legs or wires, given back unless it is forgotten.
pub(super) struct Slot<'a>(pub &'a AtomicUsize);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
