//! What an agent says: sound, marks, clear and digits to the caller, messages to Python, in the order of the stream.

use super::event::{Backlog, Event, Subject, Weight, What};
use super::leg_slot::LegSlot;
use super::outbox::Outbox;
use super::wire_slot::{EVENT_WEIGHT, Early, EarlyItem, Ending};
use crate::clock::Time;
use crate::convert::AudioFormat;
use crate::telephone_event::KeyTiming;
use crate::utterance::{Cut, MAX_PIECES, Utterance};
use crate::wire::{
    By, CloseCause, DTMF_NOT_SENT, DroppedMarks, Formats, Garbage, Heard, WireClose, WireSink,
};

/// Agent audio that came before its wire was connected to a leg, in milliseconds; later audio is dropped.
const EARLY_MS: u32 = 30_000;
/// Things of other kinds that may wait for that.
const EARLY_ITEMS: usize = 1024;

/// What a wire writes to while it handles something.
pub(super) struct WireGlue<'a> {
    pub now: Time,
    pub id: u64,
    pub home: u64,
    pub receive: AudioFormat,
    pub leg: Option<&'a mut LegSlot>,
    pub early: &'a mut Early,
    pub backlog: &'a Backlog,
    pub told_audio: &'a mut bool,
    pub flooded: bool,
    pub ending: &'a mut Option<Ending>,
    pub out: &'a mut Outbox,
}

impl WireGlue<'_> {
    /// Whether the agent has asked to hang up. What it sends after that is not waited for: an agent that says back what
    /// it hears would never come to its end.
    fn has_hung_up(&self) -> bool {
        match &self.leg {
            Some(leg) => leg.side.hang_up,
            None => self.early.hang_up,
        }
    }

    fn tell(&mut self, what: What) {
        self.out.tell(self.now, Subject::Wire(self.id), what);
    }

    fn tell_weighed(&mut self, bytes: usize, what: What) {
        let weight = Some(Weight::new(self.backlog, bytes + EVENT_WEIGHT));
        self.out.events.push(Event {
            at: self.now,
            subject: Subject::Wire(self.id),
            what,
            weight,
        });
    }
}

impl WireSink for WireGlue<'_> {
    fn audio(&mut self, audio: &[u8]) {
        if !*self.told_audio {
            *self.told_audio = true;
            self.tell(What::FirstAudioReceived);
        }
        if self.has_hung_up() {
            return;
        }
        match &mut self.leg {
            Some(leg) => leg.push_agent_audio(self.now, self.receive, audio, &mut self.out.scratch),
            None if self.early.audio_bytes + audio.len() <= self.receive.bytes_in_ms(EARLY_MS) => {
                self.early.audio_bytes += audio.len();
                if let Some(EarlyItem::Audio(waiting)) = self.early.items.last_mut() {
                    waiting.extend_from_slice(audio);
                } else if self.early.items.len() < EARLY_ITEMS {
                    self.early.items.push(EarlyItem::Audio(audio.to_vec()));
                }
            }
            None => {}
        }
    }

    fn formats(&mut self, formats: Formats) {
        // What waits was said in the format before.
        if self.receive != formats.receive {
            self.early
                .items
                .retain(|item| !matches!(item, EarlyItem::Audio(_)));
            self.early.audio_bytes = 0;
        }
        self.receive = formats.receive;
    }

    fn mark(&mut self, name: &str) {
        if self.has_hung_up() {
            return;
        }
        let kept = match &mut self.leg {
            Some(leg) => leg.push_agent_mark(self.id, name),
            None if self.early.items.len() < EARLY_ITEMS => {
                self.early.items.push(EarlyItem::Mark(name.to_owned()));
                true
            }
            None => false,
        };
        if !kept {
            let detail = "too many marks are waiting; one was dropped".to_owned();
            self.tell_weighed(
                0,
                What::ProtocolError {
                    code: "too_many_marks",
                    detail,
                },
            );
        }
    }

    fn clear(&mut self, dropped: &mut DroppedMarks) -> Heard {
        let id = self.id;
        match &mut self.leg {
            Some(leg) => leg.clear(self.now, By::Agent, self.out, |mark| {
                if mark.wire == Some(id) {
                    dropped.push(&mark.name);
                }
            }),
            None => {
                let dropped_ms = (self.early.audio_bytes / self.receive.bytes_in_ms(1)) as u64;
                let mut cut = Cut::default();
                for item in self.early.items.drain(..) {
                    match item {
                        EarlyItem::Mark(name) => dropped.push(&name),
                        EarlyItem::Utterance(utterance) => cut.unheard.push(utterance.id),
                        _ => {}
                    }
                }
                cut.unheard.dedup();
                self.early.cut = Some(cut).filter(|cut| !cut.unheard.is_empty());
                self.early.audio_bytes = 0;
                self.early.utterances = 0;
                Heard {
                    played_ms: 0,
                    dropped_ms,
                }
            }
        }
    }

    fn cut(&mut self) -> Option<Cut> {
        match &mut self.leg {
            Some(leg) => leg.side.cut.take(),
            None => self.early.cut.take(),
        }
    }

    fn utterance(&mut self, utterance: Utterance) {
        if self.has_hung_up() {
            return;
        }
        let kept = match &mut self.leg {
            Some(leg) => leg.push_agent_utterance(utterance),
            None if self.early.utterances < MAX_PIECES => {
                self.early.utterances += 1;
                let item = EarlyItem::Utterance(Box::new(utterance));
                self.early.items.push(item);
                true
            }
            None => false,
        };
        if !kept {
            let detail = "too many utterances are waiting; one has no name now".to_owned();
            self.tell_weighed(
                0,
                What::ProtocolError {
                    code: "too_many_utterances",
                    detail,
                },
            );
        }
    }

    fn utterance_end(&mut self) {
        match &mut self.leg {
            Some(leg) => leg.end_agent_utterance(),
            None if self.early.items.len() < EARLY_ITEMS => {
                self.early.items.push(EarlyItem::UtteranceEnd);
            }
            None => {}
        }
    }

    fn dtmf(&mut self, digits: &str, timing: KeyTiming) -> usize {
        if self.has_hung_up() {
            return 0;
        }
        let unsent = match &mut self.leg {
            Some(leg) => digits.len() - leg.leg.send_dtmf_timed(digits, timing),
            None if self.early.items.len() < EARLY_ITEMS => {
                let item = EarlyItem::Dtmf(digits.to_owned(), timing);
                self.early.items.push(item);
                0
            }
            None => digits.len(),
        };
        if unsent > 0 {
            let detail = format!("{unsent} of {} digits can't be sent", digits.len());
            self.tell_weighed(
                0,
                What::ProtocolError {
                    code: DTMF_NOT_SENT,
                    detail,
                },
            );
        }
        unsent
    }

    fn hang_up(&mut self, after_playout: bool) {
        match &mut self.leg {
            Some(leg) if after_playout => leg.hang_up_after_playout(),
            None if after_playout => self.early.hang_up = true,
            _ => self
                .out
                .tell(self.now, Subject::Leg(self.home), What::HangUpRequested),
        }
    }

    fn text(&mut self, message: &str) {
        if !self.flooded {
            self.tell_weighed(
                message.len(),
                What::Text {
                    text: message.to_owned(),
                },
            );
        }
    }

    fn garbage(&mut self, garbage: Garbage) {
        let what = What::ProtocolError {
            code: garbage.code(),
            detail: garbage.to_string(),
        };
        self.tell_weighed(0, what);
    }

    fn wrong_dialect(&mut self, dialect: &str) {
        self.tell(What::ProtocolError {
            code: "wrong_dialect",
            detail: dialect.to_owned(),
        });
    }

    fn closed(&mut self, close: WireClose<'_>) {
        let code = if self.flooded {
            Some("flood")
        } else {
            close.cause.code()
        };
        *self.ending = Some(Ending {
            id: self.id,
            status: close.status,
            reason: close.reason.to_owned(),
            clean: close.clean,
            code,
            normal: close.cause == CloseCause::Agent && matches!(close.status, 1000 | 1005),
        });
    }
}
