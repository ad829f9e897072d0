//! A worker's connection as Python holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::command::{Command, WireCommand};
use super::error::MediaError;
use super::shared::Thread;
use crate::wire::WireStats;

/// One connection of a worker, seen from Python. Dropping it closes the connection.
pub struct MuxHandle {
    pub(super) id: u64,
    pub(super) thread: Arc<Thread>,
    pub(super) stats: Arc<WireStats>,
    pub(super) closed: AtomicBool,
}

impl MuxHandle {
    /// Unique among legs, wires and connections of the engine.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The number of its media thread.
    #[must_use]
    pub fn thread(&self) -> usize {
        self.thread.number
    }

    /// The connection's counters. Those of its calls are their wires'.
    #[must_use]
    pub fn stats(&self) -> &WireStats {
        &self.stats
    }

    /// Send a message about the worker itself.
    ///
    /// # Errors
    /// `Overloaded`.
    pub fn send_text(&self, text: &str) -> Result<(), MediaError> {
        let command = WireCommand::Text {
            text: text.into(),
            numbered: false,
        };
        self.thread.send(Command::Mux(self.id, command))
    }

    /// Close; its calls are lost. May be repeated; the first counts.
    pub fn close(&self, code: u16, reason: &str) {
        if !self.closed.swap(true, Relaxed) {
            let command = WireCommand::Close {
                code,
                reason: reason.into(),
            };
            self.thread.send_surely(Command::Mux(self.id, command));
        }
    }
}

impl Drop for MuxHandle {
    fn drop(&mut self) {
        self.close(1000, "");
    }
}
