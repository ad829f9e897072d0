//! The receive half of a leg: packets and reports of the peer in, the caller's sound and digits out.
use std::net::SocketAddr;

use super::{
    Contender, HeardClock, Kind, LastReport, Leg, LegEvent, LegSink, Overlap, SSRC_PROBATION,
    SSRC_SILENCE,
};
use crate::barge_in::{Action, Policy};
use crate::clock::Time;
use crate::order::{Content, Queued};
use crate::playout::LINE_RATE;
use crate::presses::PressedBy;
use crate::rtcp::{self, Compound, Report};
use crate::rtp::{Arrival, Packet, Reception};
use crate::tones::Likeness;
use crate::uplink::{Uplink, UplinkFrame};

impl Leg {
    /// Takes an RTP packet that the claim has accepted.
    pub fn handle_rtp(
        &mut self,
        now: Time,
        source: SocketAddr,
        packet: &[u8],
        sink: &mut impl LegSink,
    ) {
        if packet.is_empty() {
            // The peer keeps its way to us open (RFC 6263 section 4.1).
            return;
        }
        let Ok(packet) = Packet::decode(packet) else {
            self.stats.received_malformed.add(1);
            return;
        };
        let kind = self.kinds[usize::from(packet.payload_type)];
        if kind == Kind::Unknown {
            self.stats.received_wrong_payload_type.add(1);
            // It still holds its place in the sequence of a stream that we know.
            if self
                .reception
                .as_ref()
                .is_none_or(|reception| reception.ssrc() != packet.ssrc)
            {
                return;
            }
        }
        if !self.accept_ssrc(now, &packet, sink) {
            self.stats.received_wrong_ssrc.add(1);
            return;
        }
        let clock = match kind {
            Kind::Sound(codec) => codec.rtp_clock(),
            _ => self.event_clock(),
        };
        let timestamp = self.heard_clock.ticks(packet.timestamp, clock);
        let reception = self
            .reception
            .as_mut()
            .expect("accepting an SSRC makes its reception");
        let arrival = reception.receive(packet.sequence);
        if let Kind::Sound(_) = kind {
            reception.arrived(now, timestamp);
        }
        let jitter = reception.jitter();
        self.stats.received_jitter_us.set(jitter.as_micros() as u64);
        self.stats
            .received_lost
            .set((self.lost_before + reception.lost()).max(0) as u64);
        match arrival {
            Arrival::Duplicate => {
                self.stats.received_duplicates.add(1);
                return;
            }
            Arrival::Stray => {
                self.stats.received_jumps.add(1);
                return;
            }
            Arrival::Reordered => self.stats.received_reordered.add(1),
            Arrival::Forward | Arrival::Restarted => {}
        }
        if kind != Kind::Unknown {
            self.count_accepted(now, source, packet.payload.len(), sink);
        }
        if !self.is_heard() {
            // What comes on hold is the music of the peer's exchange, or somebody who doesn't know of it.
            self.stats.received_while_held.add(1);
            return;
        }
        if arrival == Arrival::Restarted {
            self.restart_events(now, sink);
        }
        let begins_anew = std::mem::take(&mut self.begins_anew) || arrival == Arrival::Restarted;
        let content = match kind {
            Kind::Sound(codec) => Content::Sound(codec),
            Kind::Event => {
                self.take_event(now, &packet, sink);
                Content::Nothing
            }
            Kind::Noise => {
                self.stats.received_comfort_noise.add(1);
                Content::Noise
            }
            Kind::Unknown => Content::Nothing,
        };
        let queued = Queued {
            sequence: packet.sequence,
            timestamp,
            marker: packet.marker,
            content,
            payload: packet.payload,
            missing: 0,
        };
        if self.started {
            self.echo_back(now, queued, begins_anew);
            sink.onward(queued, begins_anew);
        }
        self.hear(now, sink, |uplink, out| {
            uplink.set_jitter(jitter);
            if begins_anew {
                uplink.restart(now, out);
            }
            uplink.receive(now, queued, out);
        });
        self.publish();
    }

    fn count_accepted(
        &mut self,
        now: Time,
        source: SocketAddr,
        bytes: usize,
        sink: &mut impl LegSink,
    ) {
        self.stats.received_packets.add(1);
        self.stats.received_bytes.add(bytes as u64);
        self.stats.last_received_ms.set(now.as_nanos() / 1_000_000);
        if self.last_packet.is_none() {
            sink.event(LegEvent::FirstPacket { source });
            if self.release_by_packet && !self.released {
                self.release(now);
            }
        }
        self.source.get_or_insert(source);
        self.last_packet = Some(now);
        self.timeout_from = self.started.then_some(now);
    }

    /// Whether the packet's SSRC is the one we hear, or becomes it.
    fn accept_ssrc(&mut self, now: Time, packet: &Packet<'_>, sink: &mut impl LegSink) -> bool {
        match &self.reception {
            Some(reception) if reception.ssrc() == packet.ssrc => {
                self.contender = None;
                return true;
            }
            None => {}
            Some(reception) => {
                let silent = self
                    .last_packet
                    .is_none_or(|last| now - last >= SSRC_SILENCE);
                let in_sequence = match &self.contender {
                    Some(known)
                        if known.ssrc == packet.ssrc && known.next_sequence == packet.sequence =>
                    {
                        known.in_sequence + 1
                    }
                    _ => 1,
                };
                if !silent && in_sequence < SSRC_PROBATION {
                    let next_sequence = packet.sequence.wrapping_add(1);
                    self.contender = Some(Contender {
                        ssrc: packet.ssrc,
                        next_sequence,
                        in_sequence,
                    });
                    return false;
                }
                self.lost_before += reception.lost().max(0);
                self.stats.received_ssrc_changes.add(1);
                self.contender = None;
                self.last_report = None;
                self.restart_events(now, sink);
                self.begins_anew = true;
            }
        }
        self.reception = Some(Reception::new(packet.ssrc, packet.sequence, LINE_RATE));
        self.heard_clock = HeardClock::default();
        true
    }

    /// The clock of what is sent beside the sound, telephone events above all, in Hz: that of the sound (RFC 4733 section 2.1).
    pub(super) fn event_clock(&self) -> u32 {
        self.remote
            .as_ref()
            .map_or(LINE_RATE, |remote| remote.codec.rtp_clock())
    }

    /// Takes an RTCP packet that the claim has accepted. It ends nothing, BYE neither: anybody can forge it.
    pub fn handle_rtcp(
        &mut self,
        now: Time,
        _source: SocketAddr,
        packet: &[u8],
        _sink: &mut impl LegSink,
    ) {
        let Ok(compound) = Compound::decode(packet) else {
            self.stats.rtcp_refused.add(1);
            return;
        };
        self.stats.rtcp_received.add(1);
        for report in compound {
            match report {
                Report::Sender { ssrc, info, blocks } => {
                    if self
                        .reception
                        .as_ref()
                        .is_some_and(|reception| reception.ssrc() == ssrc)
                    {
                        self.last_report = Some(LastReport {
                            ntp_middle: (info.ntp >> 16) as u32,
                            at: now,
                        });
                    }
                    self.take_blocks(now, blocks);
                }
                Report::Receiver { blocks, .. } => self.take_blocks(now, blocks),
                Report::Bye { .. } => self.stats.rtcp_byes.add(1),
                Report::Other(_) => {}
            }
        }
    }

    fn take_blocks(&mut self, now: Time, blocks: rtcp::Blocks<'_>) {
        for block in blocks.filter(|block| block.ssrc == self.config.ssrc) {
            self.stats
                .remote_lost
                .set(block.cumulative_lost.max(0) as u64);
            self.stats
                .remote_fraction_lost
                .set(u64::from(block.fraction_lost));
            self.encoder.set_loss(block.fraction_lost);
            let clock = u64::from(self.sent_clock.rate());
            self.stats
                .remote_jitter_us
                .set(u64::from(block.jitter) * 1_000_000 / clock);
            if block.last_sr != 0 {
                let middle = (self.ntp(now) >> 16) as u32;
                let round_trip = middle
                    .wrapping_sub(block.last_sr)
                    .wrapping_sub(block.delay_since_last_sr);
                // Clocks are coarse: a little below zero is zero. Half a minute, or a second before we asked, is a lie.
                let round_trip = round_trip as i32;
                if (-1 << 16..30 << 16).contains(&round_trip) {
                    self.stats
                        .round_trip_us
                        .set((round_trip.max(0) as u64 * 1_000_000) >> 16);
                }
            }
        }
    }

    /// Works on the caller's timeline; its frames go to the sink.
    pub(super) fn hear(
        &mut self,
        now: Time,
        sink: &mut impl LegSink,
        work: impl FnOnce(&mut Uplink, &mut dyn FnMut(UplinkFrame<'_>)),
    ) {
        let Self {
            uplink,
            voice,
            own_voice,
            barge_in,
            barge_in_policy,
            utterances,
            prompts,
            who_answered,
            keys,
            passage,
            playout,
            stats,
            ..
        } = self;
        work(uplink, &mut |frame| {
            let heard = keys.hear(now, &frame);
            if heard.likeness > Likeness::None {
                sink.tone(heard.likeness);
            }
            sink.audio(frame);
            for keyed in heard.ended.into_iter().flatten() {
                if keys.is_new(now, PressedBy::Tone, keyed) {
                    stats.received_digits.add(1);
                    sink.event(LegEvent::Digit {
                        digit: keyed.digit,
                        duration: keyed.duration,
                        by: PressedBy::Tone,
                    });
                } else {
                    stats.received_double_digits.add(1);
                }
            }
            // A key is nobody's voice.
            let frame = if heard.likeness == Likeness::Tone {
                frame.silent()
            } else {
                frame
            };
            voice.hear_beside_own(now, &frame, own_voice, |speech| {
                sink.event(LegEvent::Speech(speech));
            });
            if let Some(listening) = who_answered {
                listening.hear(&frame, own_voice.echo_level(now), |sign| {
                    sink.event(LegEvent::WhoAnswered(sign))
                });
                if listening.is_over() {
                    *who_answered = None;
                }
            }
            let left = playout.left();
            let policy = match (utterances.policy(left), *barge_in_policy) {
                _ if passage.is_some() || prompts.contains(&left) => Policy::Off,
                (Some(Some(own)), _) | (_, Some(own)) => own,
                (Some(None), None) => Policy::default(),
                (None, None) => Policy::Off,
            };
            let speaking = playout.is_speaking();
            let action = barge_in.hear(now, &frame, voice, speaking, policy, sink.listeners());
            stats.barge_in_attempts.set(barge_in.attempts());
            stats.barge_in_by_gate.set(barge_in.by_gate());
            let told = frame.position + u64::from(frame.ticks());
            match action {
                None => {}
                Some(Action::Duck) => {
                    stats.ducks.add(1);
                    playout.duck();
                }
                Some(Action::GoOn { since, spoke }) => {
                    playout.raise();
                    if spoke {
                        stats.backchannels.add(1);
                        sink.event(LegEvent::Backchannel(Overlap { since, told }));
                    }
                }
                Some(Action::Tell { since }) => {
                    sink.event(LegEvent::BargeIn(Overlap { since, told }));
                }
                Some(Action::Interrupt { since }) => {
                    stats.interruptions.add(1);
                    sink.event(LegEvent::Interrupted(Overlap { since, told }));
                }
            }
        });
    }
}
