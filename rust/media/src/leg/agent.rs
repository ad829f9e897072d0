//! The agent's side of a leg: what it says, what of that was heard, and what may interrupt it.
use super::Leg;
use crate::barge_in;
use crate::clock::Time;
use crate::playout::Playout;
use crate::utterance::{Cut, Utterance};
use crate::vad::Vad;

impl Leg {
    /// Whether any sound of the agent's waits or is being played.
    pub fn has_sound(&self) -> bool {
        self.playout.is_speaking()
            || self.playout.waiting_samples() > 0
            || !self.utterances.names(self.playout.left()).is_empty()
    }

    /// The queue towards the caller.
    pub fn playout(&mut self) -> &mut Playout {
        &mut self.playout
    }

    /// The queue towards the caller, to be looked at.
    pub fn playout_state(&self) -> &Playout {
        &self.playout
    }

    /// Whether the peer's user speaks.
    pub fn voice(&self) -> &Vad {
        &self.voice
    }

    /// What is done when the peer's user speaks over sound that doesn't say so itself. `None` is the default: utterances are lowered, then
    /// decided upon, and sound of no utterance is left alone, since its agent knows of no interruption.
    pub fn set_barge_in(&mut self, policy: Option<barge_in::Policy>) {
        self.barge_in_policy = policy;
    }

    /// Appends sound that is not the agent's: the peer's user interrupts it by nothing.
    pub fn push_prompt(&mut self, now: Time, sound: &[u8]) {
        self.break_off_partner(now);
        let begin = self.playout.end();
        if self.prompts.end <= self.playout.left() {
            self.prompts.start = begin;
        }
        self.playout.push(now, sound);
        self.prompts.end = self.playout.end();
    }

    /// Sound that is pushed from here on belongs to this. `false` if too many utterances wait.
    pub fn begin_utterance(&mut self, utterance: Utterance) -> bool {
        let (left, end) = (self.playout.left(), self.playout.end());
        self.utterances.begin(utterance, left, end)
    }

    /// The last utterance is complete: sound that is pushed from here on belongs to none.
    pub fn end_utterance(&mut self) {
        self.utterances.end(self.playout.end());
    }

    /// The name of the utterance that sound pushed now belongs to.
    pub fn open_utterance(&self) -> Option<&str> {
        self.utterances.open()
    }

    /// The name of the utterance that leaves now; empty if the sound belongs to none.
    pub fn current_utterance(&self) -> &str {
        self.utterances.current(self.playout.left())
    }

    /// The names of the utterances that wait or are being played.
    pub fn utterance_names(&self) -> Vec<String> {
        self.utterances.names(self.playout.left())
    }

    /// Sound that came after its utterance had been interrupted was dropped.
    pub fn count_stale(&mut self, millis: u64) {
        self.stats.stale_ms.add(millis);
    }

    /// What was heard of which utterance, just before [`Playout::clear`]; all utterances end. `None` if none was playing or waiting.
    pub fn cut(&mut self) -> Option<Cut> {
        self.utterances.cut(self.playout.left(), self.playout.end())
    }

    /// Tells [`super::LegEvent::Drained`] when all sound has left.
    pub fn drain(&mut self) {
        self.playout.drain();
    }
}
