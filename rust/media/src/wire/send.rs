//! What goes to the agent: audio, templates, control frames.
use std::sync::Arc;
use std::time::Duration;

use super::outgoing::Kind;
use super::receive::swap_bytes;
use super::template::{self, Filling, Template};
use super::websocket::{self, Opcode};
use super::{ByteOrder, Core, Dialect, Heard, Interruption, State, json};
use crate::clock::{Time, duration_of};

impl Core {
    pub(super) fn send_close(&mut self, code: u16, reason: &str) {
        self.stats.sent_messages.add(1);
        let (payload, length) = websocket::close_payload(code, reason);
        let Self {
            outgoing, carriage, ..
        } = self;
        outgoing.push(Kind::Control, |out| {
            carriage.write(Opcode::Close, 0, &payload[..length], out);
        });
    }

    pub(super) fn stalled_at(&self) -> Option<Time> {
        self.dropping_since.map(|since| since + self.limits.stall)
    }

    pub(super) fn timestamp_ms(&self) -> u64 {
        self.sent_before_ms + self.sent_samples * 1_000 / u64::from(self.formats.send.rate)
    }

    /// Milliseconds of caller audio that are less than a message so far.
    pub(super) fn pending_ms(&self) -> u64 {
        (self.pending.len() / self.formats.send.bytes_in_ms(1).max(1)) as u64
    }

    /// So long before the end of the caller's audio sent so far.
    pub(super) fn since_ms(&self, ago: Duration) -> u64 {
        let sent = self.timestamp_ms() + self.pending_ms();
        sent.saturating_sub(ago.as_millis() as u64)
    }

    pub(super) fn send_audio(&mut self, now: Time, audio: &[u8]) {
        if self.state != State::Open {
            return;
        }
        let frame = self.formats.send.bytes_in_ms(self.dialect.frame_ms);
        let mut rest = audio;
        if !self.pending.is_empty() {
            let take = (frame - self.pending.len()).min(rest.len());
            self.pending.extend_from_slice(&rest[..take]);
            rest = &rest[take..];
            if self.pending.len() < frame {
                return;
            }
            self.flush_pending(now);
        }
        while rest.len() >= frame {
            self.send_frame(now, &rest[..frame]);
            rest = &rest[frame..];
        }
        self.pending.extend_from_slice(rest);
    }

    pub(super) fn flush_pending(&mut self, now: Time) {
        if !self.pending.is_empty() {
            let mut pending = std::mem::take(&mut self.pending);
            self.send_frame(now, &pending);
            pending.clear();
            self.pending = pending;
        }
    }

    pub(super) fn send_frame(&mut self, now: Time, frame: &[u8]) {
        let dialect = Arc::clone(&self.dialect);
        let samples = (frame.len() / self.formats.send.encoding.sample_bytes()) as u64;
        let micros = duration_of(samples, self.formats.send.rate).as_micros() as u32;
        let timestamp_ms = self.timestamp_ms();
        self.chunk += 1;
        self.sent_samples += samples;
        let swapped = self.formats.send.encoding.sample_bytes() == 2
            && dialect.send_byte_order == ByteOrder::Big;
        let frame = if swapped {
            self.audio.clear();
            self.audio.extend_from_slice(frame);
            swap_bytes(&mut self.audio);
            &self.audio
        } else {
            frame
        };
        let (opcode, payload) = match &dialect.media {
            None => (Opcode::Binary, frame),
            Some(template) => {
                self.sequence += u64::from(template.is_numbered());
                let filling = Filling {
                    sequence: self.sequence,
                    chunk: self.chunk,
                    timestamp_ms,
                    payload: frame,
                    ..Filling::default()
                };
                self.scratch.clear();
                template.render(&filling, &self.fixed, &mut self.scratch);
                (Opcode::Text, &self.scratch[..])
            }
        };
        let carriage = &mut self.carriage;
        self.outgoing.push(Kind::Audio { micros }, |out| {
            carriage.write(opcode, timestamp_ms, payload, out);
        });
        self.stats.sent_messages.add(1);
        self.stats.sent_audio_us.add(u64::from(micros));
        while self.outgoing.audio_bytes() > self.limits.max_outgoing_audio {
            let Some(micros) = self.outgoing.drop_oldest_audio() else {
                break;
            };
            self.stats.sent_dropped_messages.add(1);
            self.stats.sent_dropped_us.add(u64::from(micros));
            self.dropping_since.get_or_insert(now);
        }
    }

    pub(super) fn send_text(&mut self, text: &str, numbered: bool) {
        const GAP: &str = "{sequence}";
        match text.find(GAP).filter(|_| numbered) {
            None => self.control(Opcode::Text, text.as_bytes()),
            Some(at) => {
                self.sequence += 1;
                let mut scratch = std::mem::take(&mut self.scratch);
                scratch.clear();
                scratch.extend_from_slice(&text.as_bytes()[..at]);
                template::number(self.sequence, &mut scratch);
                scratch.extend_from_slice(&text.as_bytes()[at + GAP.len()..]);
                self.control(Opcode::Text, &scratch);
                self.scratch = scratch;
            }
        }
    }

    pub(super) fn send_template(
        &mut self,
        pick: impl Fn(&Dialect) -> Option<&Template>,
        filling: Filling<'_>,
    ) {
        let dialect = Arc::clone(&self.dialect);
        let Some(template) = pick(&dialect) else {
            return;
        };
        if self.state != State::Open {
            return;
        }
        self.sequence += u64::from(template.is_numbered());
        let filling = Filling {
            sequence: self.sequence,
            timestamp_ms: self.timestamp_ms(),
            ..filling
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        template.render(&filling, &self.fixed, &mut scratch);
        self.control(Opcode::Text, &scratch);
        self.scratch = scratch;
    }

    pub(super) fn send_error(&mut self, code: &str, message: &str) {
        let filling = Filling {
            code,
            message,
            ..Filling::default()
        };
        self.send_template(|dialect| dialect.error.as_ref(), filling);
    }

    pub(super) fn report_cleared(&mut self, heard: Heard) {
        let mut dropped = std::mem::take(&mut self.dropped);
        let mut marks = std::mem::take(&mut self.marks);
        marks.clear();
        for name in dropped.names() {
            self.send_template(
                |dialect| dialect.dropped_mark.as_ref(),
                Filling {
                    name,
                    ..Filling::default()
                },
            );
            if !marks.is_empty() {
                marks.push(b',');
            }
            marks.push(b'"');
            json::escape_into(name, &mut marks);
            marks.push(b'"');
        }
        let Heard {
            played_ms,
            dropped_ms,
        } = heard;
        let filling = Filling {
            played_ms,
            dropped_ms,
            marks: &marks,
            ..Filling::default()
        };
        self.send_template(|dialect| dialect.cleared.as_ref(), filling);
        dropped.reset();
        self.dropped = dropped;
        self.marks = marks;
    }

    pub(super) fn send_interrupted(&mut self, interruption: &Interruption<'_>) {
        let cut = interruption.cut;
        let mut unheard = Vec::new();
        for id in &cut.unheard {
            if !unheard.is_empty() {
                unheard.push(b',');
            }
            unheard.push(b'"');
            json::escape_into(id, &mut unheard);
            unheard.push(b'"');
        }
        let filling = Filling {
            utterance: &cut.id,
            text: &cut.text,
            played_ms: cut.played_ms,
            dropped_ms: interruption.dropped_ms,
            by: interruption.by.name(),
            since_ms: self.since_ms(interruption.ago),
            unheard: &unheard,
            ..Filling::default()
        };
        self.send_template(|dialect| dialect.interrupted.as_ref(), filling);
    }

    /// Queue a message that must arrive. Once there are too many of them the wire ends at its next timeout, which is
    /// due at once, and no more are taken until then.
    pub(super) fn control(&mut self, opcode: Opcode, payload: &[u8]) {
        if self.state != State::Open || self.too_slow {
            return;
        }
        self.stats.sent_messages.add(1);
        let Self {
            outgoing, carriage, ..
        } = self;
        outgoing.push(Kind::Control, |out| {
            carriage.write(opcode, 0, payload, out);
        });
        self.too_slow |= self.outgoing.control_bytes() > self.limits.max_outgoing_control;
    }
}
