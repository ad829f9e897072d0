//! A wire as Python holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::command::{Command, WireCommand};
use super::error::MediaError;
use super::shared::Thread;
use crate::wire::WireStats;

/// One wire, seen from Python. Dropping it closes the wire.
pub struct WireHandle {
    pub(super) id: u64,
    pub(super) thread: Arc<Thread>,
    pub(super) stats: Arc<WireStats>,
    pub(super) closed: AtomicBool,
}

impl WireHandle {
    /// Unique among legs and wires of the engine.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The wire's counters.
    #[must_use]
    pub fn stats(&self) -> &WireStats {
        &self.stats
    }

    /// Send a message in order with the audio.
    ///
    /// # Errors
    /// `Overloaded`.
    pub fn send_text(&self, text: &str, numbered: bool) -> Result<(), MediaError> {
        self.thread.send(Command::Wire(
            self.id,
            WireCommand::Text {
                text: text.into(),
                numbered,
            },
        ))
    }

    /// Close, or give up dialling. May be repeated; the first counts.
    pub fn close(&self, code: u16, reason: &str) {
        if !self.closed.swap(true, Relaxed) {
            let command = WireCommand::Close {
                code,
                reason: reason.into(),
            };
            self.thread.send_surely(Command::Wire(self.id, command));
        }
    }
}

impl Drop for WireHandle {
    fn drop(&mut self) {
        self.close(1000, "");
    }
}
