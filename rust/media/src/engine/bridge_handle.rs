//! Two legs that hear each other, as Python holds them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Engine;
use super::command::{Command, NewBridge};
use super::error::MediaError;
use super::leg_handle::LegHandle;
use super::shared::Thread;

/// How two legs are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BridgeSettings {
    /// A digit of one leg's peer is pressed on the other, too.
    pub digits: bool,
    /// The first leg hears the second, which hears nothing.
    pub one_way: bool,
}

/// A bridge of two legs, seen from Python. Dropping it changes nothing.
pub struct BridgeHandle {
    id: u64,
    leg: u64,
    thread: Arc<Thread>,
}

impl BridgeHandle {
    /// Part the legs, unless that has happened in another way. May be repeated.
    ///
    /// # Errors
    /// `Overloaded`.
    pub fn close(&self) -> Result<(), MediaError> {
        self.thread.send(Command::Unbridge {
            bridge: self.id,
            leg: self.leg,
        })
    }
}

impl Engine {
    /// Join two legs, in place of what either was joined with.
    ///
    /// # Errors
    /// `WrongThread`, `BadConfig` for a leg and itself, `Closed` or `Overloaded`.
    pub fn bridge(
        &self,
        a: &LegHandle,
        b: &LegHandle,
        settings: BridgeSettings,
    ) -> Result<BridgeHandle, MediaError> {
        self.check_open()?;
        if a.id == b.id {
            return Err(MediaError::BadConfig(
                "a leg is not bridged with itself: that is an echo".to_owned(),
            ));
        }
        if a.thread.number != b.thread.number {
            return Err(MediaError::WrongThread);
        }
        let id = self.next_id.fetch_add(1, Relaxed);
        a.thread.send(Command::Bridge(NewBridge {
            id,
            legs: [a.id, b.id],
            settings,
        }))?;
        Ok(BridgeHandle {
            id,
            leg: a.id,
            thread: Arc::clone(&a.thread),
        })
    }
}
