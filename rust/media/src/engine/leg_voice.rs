//! What an agent says on a leg: played, cut off, and told about.

use std::time::Duration;

use super::command::Prompt;
use super::event::{Subject, What};
use super::leg_slot::{LegSlot, Side};
use super::marks::Mark;
use super::outbox::Outbox;
use super::stale::Stale;
use super::wire_slot::WireSlot;
use crate::clock::{Time, duration_of};
use crate::convert::AudioFormat;
use crate::leg::Overlap;
use crate::playout::LINE_RATE;
use crate::telephone_event::{Digit, KeyTiming};
use crate::utterance::{Cut, Utterance};
use crate::wire::{By, Heard, Interruption, SpokenOver};

impl LegSlot {
    pub fn play(&mut self, now: Time, prompt: &Prompt) {
        let mut converted = Vec::new();
        let to = self.leg.playout().format();
        let audio = self.side.prompt.convert(
            AudioFormat::pcm16(prompt.rate),
            to,
            &prompt.pcm16,
            &mut converted,
        );
        self.leg.push_prompt(now, audio);
        if let Some(name) = &prompt.mark {
            let mark = self.side.marks.add(None, name);
            self.leg.playout().push_mark(mark);
        }
    }

    /// Drop what has not left because the agent did not ask for it, and tell the agent.
    pub fn clear_and_tell(
        &mut self,
        now: Time,
        by: By,
        ago: Duration,
        wire: Option<&mut WireSlot>,
        out: &mut Outbox,
    ) {
        let mut names: Vec<String> = Vec::new();
        let owner = wire.as_ref().map(|wire| wire.id);
        let heard = self.clear(now, by, out, |mark| {
            if mark.wire.is_some() && mark.wire == owner {
                names.push(mark.name.clone());
            }
        });
        let cut = self.side.cut.take();
        if let Some(wire) = wire {
            wire.wire.cleared(heard, names.iter().map(String::as_str));
            if let Some(cut) = cut {
                wire.wire.interrupted(&Interruption {
                    cut: &cut,
                    dropped_ms: heard.dropped_ms,
                    by,
                    ago,
                });
            }
        }
    }

    /// On hold nobody hears what the agent says: it is dropped as if the caller had interrupted it, and the agent is told. What came
    /// before anybody could hear it, a greeting, waits.
    pub fn cut_unheard(&mut self, now: Time, wire: Option<&mut WireSlot>, out: &mut Outbox) {
        if self.leg.is_held() && self.leg.is_released() && self.leg.has_sound() {
            self.cut(now, By::Hold, Duration::ZERO, wire, out);
        }
    }

    /// Drop what the agent says now, and what still comes of it.
    pub fn cut(
        &mut self,
        now: Time,
        by: By,
        ago: Duration,
        wire: Option<&mut WireSlot>,
        out: &mut Outbox,
    ) {
        let names = self.leg.utterance_names();
        let more_may_come = names.is_empty() || self.leg.open_utterance().is_some();
        let format = wire.as_ref().map(|wire| wire.wire.formats().receive);
        self.clear_and_tell(now, by, ago, wire, out);
        if let Some(format) = format.filter(|_| more_may_come) {
            self.side.stale = Some(Stale::new(now, format, names));
        }
    }

    /// Tell what the caller has done to the agent's voice, and do it.
    pub fn settle(&mut self, now: Time, mut wire: Option<&mut WireSlot>, out: &mut Outbox) {
        let ago = |overlap: Overlap| duration_of(overlap.told - overlap.since, LINE_RATE);
        let over = [
            (self.side.barge_in.take(), SpokenOver::BargeIn),
            (self.side.backchannel.take(), SpokenOver::Backchannel),
        ];
        for (overlap, what) in over {
            let Some(overlap) = overlap else { continue };
            let utterance = self.leg.current_utterance().to_owned();
            if let Some(wire) = &mut wire {
                wire.wire.spoken_over(what, &utterance, ago(overlap));
            }
            let what = match what {
                SpokenOver::BargeIn => What::BargeIn { utterance },
                SpokenOver::Backchannel => What::Backchannel { utterance },
            };
            out.tell(now, Subject::Leg(self.id), what);
        }
        if let Some(overlap) = self.side.interrupted.take() {
            self.cut(now, By::Caller, ago(overlap), wire, out);
        }
    }

    /// Drop what has not left; each mark that goes with it is shown to `dropped` and told to Python, and so is what was heard of an
    /// utterance, which [`Side::cut`] then has for the agent.
    pub fn clear(
        &mut self,
        now: Time,
        by: By,
        out: &mut Outbox,
        mut dropped: impl FnMut(&Mark),
    ) -> Heard {
        let mut cut = self.leg.cut();
        self.side.stale = None;
        let Side {
            marks,
            downlink,
            prompt,
            ..
        } = &mut self.side;
        let subject = Subject::Leg(self.id);
        let mut gone = Vec::new();
        let cleared = self
            .leg
            .playout()
            .clear(now, |id| gone.extend(marks.take(id)));
        downlink.reset();
        prompt.reset();
        out.tell(
            now,
            subject,
            What::Cleared {
                played_ms: cleared.played_ms,
                dropped_ms: cleared.dropped_ms,
            },
        );
        if matches!(by, By::Caller | By::Hold) {
            // The sound belongs to no utterance, and its agent is told all the same.
            let spurt = || Cut {
                played_ms: cleared.spurt_played_ms,
                ..Cut::default()
            };
            cut.get_or_insert_with(spurt);
        }
        if let Some(cut) = &cut {
            out.tell(
                now,
                subject,
                What::Interrupted {
                    utterance: cut.id.clone(),
                    played_ms: cut.played_ms,
                    dropped_ms: cleared.dropped_ms,
                    text: cut.text.clone(),
                    by: by.name(),
                },
            );
        }
        self.side.cut = cut;
        for mark in gone {
            dropped(&mark);
            out.tell(
                now,
                subject,
                What::Mark {
                    name: mark.name,
                    played: false,
                },
            );
        }
        Heard {
            played_ms: cleared.played_ms,
            dropped_ms: cleared.dropped_ms,
        }
    }

    /// Agent audio, from the stream or from what waited for the connection.
    pub fn push_agent_audio(
        &mut self,
        now: Time,
        from: AudioFormat,
        audio: &[u8],
        scratch: &mut Vec<u8>,
    ) {
        if let Some(stale) = &mut self.side.stale {
            if stale.drops(now, audio.len()) {
                return self.leg.count_stale(stale.take_millis());
            }
            self.side.stale = None;
        }
        let playout = self.leg.playout();
        if playout.is_at_rest(now) {
            // The last two or three milliseconds of the spurt before are still in the resampler: a click now.
            self.side.downlink.begin_talkspurt();
        }
        let audio = self
            .side
            .downlink
            .convert(from, playout.format(), audio, scratch);
        playout.push(now, audio);
        self.side.spoke = true;
    }

    /// What the agent says from here on belongs to this utterance. `false` if too many wait.
    pub fn push_agent_utterance(&mut self, utterance: Utterance) -> bool {
        // More of what was interrupted is on its way until the agent has heard of that.
        if self
            .side
            .stale
            .as_ref()
            .is_some_and(|stale| stale.is_of(&utterance.id))
        {
            return true;
        }
        self.side.stale = None;
        self.leg.begin_utterance(utterance)
    }

    /// What the agent says from here on belongs to no utterance.
    pub fn end_agent_utterance(&mut self) {
        self.side.stale = None;
        self.leg.end_utterance();
    }

    /// A key that the partner's peer has pressed, for as long as a key may be.
    pub fn press_on(&mut self, digit: Digit, duration: Duration) {
        let (least, most) = KeyTiming::POSSIBLE.into_inner();
        let timing = KeyTiming {
            lasts: duration.clamp(least, most),
            gap: KeyTiming::default().gap,
        };
        let mut key = [0; 4];
        let key = digit.as_char().encode_utf8(&mut key);
        self.leg.send_dtmf_timed(key, timing);
    }

    pub fn push_agent_mark(&mut self, wire: u64, name: &str) -> bool {
        let id = self.side.marks.add(Some(wire), name);
        let kept = self.leg.playout().push_mark(id);
        if !kept {
            self.side.marks.take(id);
        }
        kept
    }

    /// Hang-up is told once what is queued has left.
    pub fn hang_up_after_playout(&mut self) {
        self.side.hang_up = true;
        self.leg.drain();
    }

    /// The agent has closed normally: what it said is played to the end and that is told.
    pub fn drain_after_agent(&mut self) {
        self.side.drain_asked = true;
        self.leg.drain();
    }
}
