//! What a wire tells of its agent, and how much of the agent was heard.
use super::{Formats, Garbage, WireClose};
use crate::telephone_event::KeyTiming;
use crate::utterance::{Cut, Utterance};
use std::time::Duration;

/// What the agent wants, in the order in which it said so.
pub trait WireSink {
    /// Agent audio in the wire's [`Wire::formats`]`.receive`, whole samples, little-endian.
    fn audio(&mut self, audio: &[u8]);
    /// The agent chose its audio; both directions are as in `formats` from here on.
    fn formats(&mut self, formats: Formats);
    /// Tell when what was queued before has left: call [`Wire::mark_played`] then.
    fn mark(&mut self, name: &str);
    /// Drop what hasn't left. The names of the marks that were dropped go into `dropped`, oldest first.
    fn clear(&mut self, dropped: &mut DroppedMarks) -> Heard;
    /// What the last [`WireSink::clear`] has cut off of the agent's utterances, if it was any.
    fn cut(&mut self) -> Option<Cut> {
        None
    }
    /// The agent's sound belongs to this utterance from here on.
    fn utterance(&mut self, _utterance: Utterance) {}
    /// The last utterance is complete.
    fn utterance_end(&mut self) {}
    /// Send these digits (`0-9 * # A-D`, capitals) to the caller. Returns how many can't be.
    fn dtmf(&mut self, digits: &str, timing: KeyTiming) -> usize;
    /// End the call, once what is queued has left if `after_playout`.
    fn hang_up(&mut self, after_playout: bool);
    /// A message for Python. It comes after what it asks for has been done, if it is one that Rust handles.
    fn text(&mut self, message: &str);
    /// The agent said something that made no sense; it has been counted. At most [`WireLimits::max_garbage`] times.
    fn garbage(&mut self, garbage: Garbage);
    /// The agent speaks `dialect` and not the one that it was dialled with. Told once.
    fn wrong_dialect(&mut self, dialect: &str);
    /// It is over. Told once; what [`Wire::outgoing`] still has may be written, then the socket is to be closed.
    fn closed(&mut self, close: WireClose<'_>);
}

/// How much of the agent's audio the caller heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Milliseconds that had left since the clear before this one, or since the start.
    pub played_ms: u64,
    /// Milliseconds that were dropped.
    pub dropped_ms: u64,
}

/// Whose doing it is that an utterance was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The caller spoke.
    Caller,
    /// The agent asked for it.
    Agent,
    /// The gateway had something else to play.
    Gateway,
    /// The call is on hold: nobody would hear it.
    Hold,
}

impl By {
    /// Its name in messages and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Agent => "agent",
            Self::Gateway => "gateway",
            Self::Hold => "hold",
        }
    }
}

/// An utterance was cut off.
#[derive(Debug, Clone, Copy)]
pub struct Interruption<'a> {
    /// What was heard of it.
    pub cut: &'a Cut,
    /// Milliseconds that were dropped.
    pub dropped_ms: u64,
    /// Who did it.
    pub by: By,
    /// How long before the end of the caller's audio sent so far it began.
    pub ago: Duration,
}

/// What the caller did while the agent spoke on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpokenOver {
    /// It speaks, and it is for the agent to stop.
    BargeIn,
    /// It has said a word in passing.
    Backchannel,
}

/// The names of marks that a clear dropped.
#[derive(Debug, Default)]
pub struct DroppedMarks {
    names: String,
    ends: Vec<usize>,
}

impl DroppedMarks {
    /// Add the name of a mark that was dropped.
    pub fn push(&mut self, name: &str) {
        self.names.push_str(name);
        self.ends.push(self.names.len());
    }

    /// The names, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.names[start..end])
    }

    pub(super) fn reset(&mut self) {
        self.names.clear();
        self.ends.clear();
    }
}
