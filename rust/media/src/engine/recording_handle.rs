//! A recording as Python holds it.

use std::path::PathBuf;
use std::sync::Arc;

use super::command::{Command, LegCommand};
use super::error::MediaError;
use super::shared::Thread;
use crate::recorder::{Format, SealKey};

/// What a recording of a leg is made with.
#[derive(Debug, Clone)]
pub struct RecordingSettings {
    /// The file to write; there must be none yet.
    pub path: PathBuf,
    /// How sound is written.
    pub format: Format,
    /// Samples a second: 8000 or 16000.
    pub rate: u32,
    /// Encryption, if it is wanted.
    pub seal: Option<SealKey>,
}

impl RecordingSettings {
    /// Check the ranges that the types don't.
    ///
    /// # Errors
    /// `BadConfig` with the name of the setting.
    pub fn check(&self) -> Result<(), MediaError> {
        match self.rate {
            8_000 | 16_000 => Ok(()),
            _ => Err(MediaError::BadConfig("rate: 8000 or 16000".to_owned())),
        }
    }
}

/// The recording of one leg, seen from Python. Dropping it changes nothing.
pub struct RecordingHandle {
    pub(super) id: u64,
    pub(super) leg: u64,
    pub(super) thread: Arc<Thread>,
}

impl RecordingHandle {
    /// Unique among legs, wires and recordings of the engine.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// From here on nothing is recorded but silence.
    ///
    /// # Errors
    /// `Overloaded`, as all commands below.
    pub fn pause(&self) -> Result<(), MediaError> {
        self.send(LegCommand::PauseRecording(self.id, true))
    }

    /// Sound is recorded again.
    #[allow(clippy::missing_errors_doc)]
    pub fn resume(&self) -> Result<(), MediaError> {
        self.send(LegCommand::PauseRecording(self.id, false))
    }

    /// End it before its leg does.
    #[allow(clippy::missing_errors_doc)]
    pub fn stop(&self) -> Result<(), MediaError> {
        self.send(LegCommand::StopRecording(self.id))
    }

    fn send(&self, command: LegCommand) -> Result<(), MediaError> {
        self.thread.send(Command::Leg(self.leg, command))
    }
}
