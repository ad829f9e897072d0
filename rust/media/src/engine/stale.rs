//! What an agent still sends of an utterance that its caller has interrupted.

use std::time::Duration;

use crate::clock::Time;
use crate::convert::AudioFormat;

/// An agent that names no utterances has come to the end of what it was saying when it pauses for so long.
const PAUSE: Duration = Duration::from_millis(300);
/// Nor is its sound dropped for longer than this: perhaps it never pauses.
const LONGEST: Duration = Duration::from_secs(5);

/// Sound that is dropped until the agent says something new: another utterance, the end of this one, or `clear`.
pub(super) struct Stale {
    since: Time,
    last: Time,
    /// The agent names its utterances, so only its word ends it.
    named: bool,
    ids: Vec<String>,
    format: AudioFormat,
    bytes: usize,
}

impl Stale {
    pub fn new(now: Time, format: AudioFormat, ids: Vec<String>) -> Self {
        Self {
            since: now,
            last: now,
            named: !ids.is_empty(),
            ids,
            format,
            bytes: 0,
        }
    }

    /// Whether sound that comes now is still of what was interrupted.
    pub fn drops(&mut self, now: Time, bytes: usize) -> bool {
        if !self.named && (now - self.last >= PAUSE || now - self.since >= LONGEST) {
            return false;
        }
        self.last = now;
        self.bytes += bytes;
        true
    }

    /// Whether only the agent's word ends it.
    pub fn is_named(&self) -> bool {
        self.named
    }

    /// Whether an utterance is one that was interrupted, or waited behind that.
    pub fn is_of(&self, id: &str) -> bool {
        self.ids.iter().any(|own| own == id)
    }

    /// Whole milliseconds dropped that have not been counted yet.
    pub fn take_millis(&mut self) -> u64 {
        let millisecond = self.format.bytes_in_ms(1);
        let millis = self.bytes / millisecond;
        self.bytes %= millisecond;
        millis as u64
    }
}
