//! What every leg and wire of a media thread writes to.

use offhook_media_sys::SendBatch;

use super::event::{Event, Subject, What};
use crate::clock::Time;
use crate::vad::listeners::Listeners;

/// Packets and events that wait for the end of a turn.
pub(super) struct Outbox {
    pub send: SendBatch,
    pub events: Vec<Event>,
    /// Room for audio that is converted.
    pub scratch: Vec<u8>,
    /// Who listens to what callers say over their agents.
    pub listeners: Option<Listeners>,
}

impl Outbox {
    pub fn new(listeners: Option<Listeners>) -> Self {
        Self {
            send: SendBatch::new(),
            events: Vec::with_capacity(64),
            scratch: Vec::with_capacity(4096),
            listeners,
        }
    }

    pub fn tell(&mut self, at: Time, subject: Subject, what: What) {
        self.events.push(Event {
            at,
            subject,
            what,
            weight: None,
        });
    }
}
