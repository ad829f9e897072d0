//! The send half of a leg: the frame that is due, silence or a digit in its place, and our RTCP reports.
use std::net::SocketAddr;
use std::time::Duration;

use super::keys::Pressing;
use super::{
    KEEP_OPEN, LATE, Leg, LegEvent, LegSink, MAX_FRAMES_A_CALL, RTCP_INTERVAL, RemoteMedia,
    SentFrame,
};
use crate::clock::{Time, duration_of, samples_in};
use crate::codec::Encoder;
use crate::playout::{Frame, FrameKind, LINE_RATE, MAX_FRAME};
use crate::rtcp::{self, Outgoing, ReportBlock, SenderInfo};
use crate::rtp::{HEADER_LEN, Header};
use crate::srtp::MAX_TRAILER;
use crate::telephone_event::Event;

/// The longest payload: 60 ms of any codec.
const MAX_PAYLOAD: usize = 480;

impl Leg {
    pub(super) fn send_frames(&mut self, now: Time, sink: &mut impl LegSink) {
        let mut sound = [0; MAX_FRAME];
        for _ in 0..MAX_FRAMES_A_CALL {
            self.settle_playout();
            self.settle_passing(now);
            let frame = self.playout.poll(now, &mut sound);
            if let Some(frame) = frame {
                self.send_frame(now, frame, &mut sound, sink);
                // A mark behind keys waits for them.
                self.settle_playout();
            }
            while let Some(mark) = self.playout.fired_mark() {
                sink.mark(mark);
            }
            if frame.is_none() {
                self.begin_passing(now, sink);
                return;
            }
        }
    }

    fn send_frame(
        &mut self,
        now: Time,
        frame: Frame,
        sound: &mut [u8; MAX_FRAME],
        sink: &mut impl LegSink,
    ) {
        self.timestamp = self.timestamp.wrapping_add(frame.step);
        self.remember_own_voice(now, frame, sound);
        let mut header = Header {
            marker: frame.marker || self.paused,
            payload_type: 0,
            sequence: self.sequence,
            timestamp: self.sent_clock.timestamp(self.timestamp),
            ssrc: self.config.ssrc,
        };
        let target = self.rtp_target();
        let sends = |remote: &RemoteMedia| remote.send;
        let Some(target) = target.filter(|_| self.remote.as_ref().is_some_and(sends)) else {
            self.send_nothing(now, target, sink);
            return;
        };
        let mut pressing = Pressing::Silence;
        if frame.kind == FrameKind::Silence && self.keys.are_due(self.playout.left()) {
            pressing = self.press_key(now, &frame, sound, sink);
            self.settle_playout();
        }
        let event = match pressing {
            Pressing::Event(keyed) => {
                header.marker = keyed.marker;
                header.timestamp = self.sent_clock.timestamp(keyed.timestamp);
                Some(keyed)
            }
            Pressing::Tones | Pressing::Silence => None,
        };
        let is_music = if frame.kind == FrameKind::Silence && pressing == Pressing::Silence {
            let (wanted, format) = (self.is_held(), self.playout.format());
            self.music.play(wanted, format, &mut sound[..frame.len])
        } else {
            self.music.stop();
            false
        };
        let remote = self.remote.as_ref().expect("it says that we send");
        header.payload_type = match event {
            Some(_) => remote.dtmf_send.expect("else no event is sent"),
            None => remote.payload_type,
        };
        let mut packet = [0; HEADER_LEN + MAX_PAYLOAD + MAX_TRAILER];
        packet[..HEADER_LEN].copy_from_slice(&header.encode());
        let payload = &mut packet[HEADER_LEN..HEADER_LEN + MAX_PAYLOAD];
        let len = match event {
            Some(keyed) => {
                let lasts = u32::from(keyed.event.duration) * self.sent_clock.scale();
                let keyed = Event {
                    duration: lasts.min(0xffff) as u16,
                    ..keyed.event
                }
                .encode();
                payload[..keyed.len()].copy_from_slice(&keyed);
                keyed.len()
            }
            None => encode(&mut self.encoder, &sound[..frame.len], payload),
        };
        if len == 0 {
            // The peer asked to be sent nothing in pauses.
            self.stats.unsent_pauses.add(1);
            self.paused = true;
            self.regularity.pause();
            return;
        }
        if !self.send_rtp(target, &mut packet, HEADER_LEN + len, sink) {
            return;
        }
        if event.is_none() {
            sink.sent(SentFrame {
                timestamp: self.timestamp,
                begins: frame.marker,
                format: self.playout.format(),
                sound: &sound[..frame.len],
                tone: pressing == Pressing::Tones,
            });
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.paused = false;
        let holds = duration_of(u64::from(frame.ticks), LINE_RATE);
        self.regularity.sent(now, holds, !frame.marker);
        self.stats
            .sent_interval_p99_us
            .set(self.regularity.p99_us());
        self.stats
            .sent_interval_max_us
            .set(self.regularity.max_us());
        self.stats.sent_packets.add(1);
        self.stats.sent_bytes.add(len as u64);
        self.last_sent = Some(now);
        self.stats.last_sent_ms.set(now.as_nanos() / 1_000_000);
        self.stats
            .sent_late_packets
            .add(u64::from(frame.late >= LATE));
        match (event, frame.kind) {
            (Some(event), _) => {
                self.stats.sent_event_packets.add(1);
                self.stats.sent_digits.add(u64::from(event.marker));
            }
            (None, FrameKind::Silence) if is_music => self.stats.sent_music_packets.add(1),
            (None, FrameKind::Silence) if pressing == Pressing::Tones => {
                self.stats.sent_tone_packets.add(1);
            }
            (None, FrameKind::Silence) => self.stats.sent_silence_packets.add(1),
            (None, FrameKind::Audio) => {
                self.stats.sent_audio_packets.add(1);
                if !self.first_audio_told {
                    self.first_audio_told = true;
                    sink.event(LegEvent::FirstAudioSent);
                }
            }
        }
    }

    /// We may not send, or don't know where to. Digits wait, too: nobody would hear them.
    fn send_nothing(&mut self, now: Time, target: Option<SocketAddr>, sink: &mut impl LegSink) {
        self.keys.interrupt();
        self.stats.unsent_packets.add(1);
        self.paused = true;
        self.music.stop();
        self.regularity.pause();
        // Reports that go the same way keep it open as well.
        let is_quiet = |remote: &RemoteMedia| !remote.rtcp_mux;
        if let Some(target) = target.filter(|_| self.remote.as_ref().is_some_and(is_quiet))
            && self.last_sent.is_none_or(|last| now - last >= KEEP_OPEN)
        {
            self.last_sent = Some(now);
            sink.keep_open(target);
        }
    }

    /// What may come back as an echo.
    fn remember_own_voice(&mut self, now: Time, frame: Frame, sound: &[u8; MAX_FRAME]) {
        let format = self.playout.format();
        let sound = &sound[..frame.len];
        if frame.kind == FrameKind::Silence {
            return self.own_voice.sent_silence(now, frame.ticks as usize);
        }
        let mut pcm = [0; MAX_FRAME / 2];
        let pcm = &mut pcm[..sound.len() / format.encoding.sample_bytes()];
        format.encoding.read(sound, pcm);
        self.own_voice.sent(now, pcm, format.rate);
    }

    pub(super) fn report(&mut self, now: Time, bye: bool, sink: &mut impl LegSink) {
        let Some(target) = self.rtcp_target() else {
            return;
        };
        let sent = self.stats.sent_packets.get();
        let sender = (sent > self.sent_at_last_report).then(|| SenderInfo {
            ntp: self.ntp(now),
            rtp_timestamp: self.sent_clock.timestamp(self.timestamp_at(now)),
            packets: sent as u32,
            bytes: self.stats.sent_bytes.get() as u32,
        });
        self.sent_at_last_report = sent;
        let (last_sr, delay_since_last_sr) = self.last_report.map_or((0, 0), |last| {
            let delay = (now - last.at).as_nanos() * 65_536 / 1_000_000_000;
            (last.ntp_middle, delay.min(u128::from(u32::MAX)) as u32)
        });
        let scale = self.event_clock() / LINE_RATE;
        let block = self.reception.as_mut().map(|reception| ReportBlock {
            ssrc: reception.ssrc(),
            fraction_lost: reception.fraction_lost(),
            cumulative_lost: reception.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: reception.extended_highest(),
            jitter: reception.jitter_ticks().saturating_mul(scale),
            last_sr,
            delay_since_last_sr,
        });
        let outgoing = Outgoing {
            ssrc: self.config.ssrc,
            sender,
            block,
            cname: &self.config.cname,
            bye,
        };
        let mut packet = [0; rtcp::WRITE_LEN + MAX_TRAILER];
        let room = packet
            .first_chunk_mut()
            .expect("the packet is longer than a report");
        let len = rtcp::write(&outgoing, room);
        if self.send_rtcp(target, &mut packet, len, sink) {
            self.stats.rtcp_sent.add(1);
        }
    }

    pub(super) fn ntp(&self, now: Time) -> u64 {
        let nanos = now.as_nanos();
        let fraction = ((nanos % 1_000_000_000) << 32) / 1_000_000_000;
        self.config
            .ntp_at_zero
            .wrapping_add((nanos / 1_000_000_000) << 32)
            .wrapping_add(fraction)
    }

    /// The ticks at `now`, between those of packets too.
    fn timestamp_at(&self, now: Time) -> u32 {
        let clock = self.playout.clock();
        let ahead = samples_in(now - clock, LINE_RATE) as u32;
        let behind = samples_in(clock - now, LINE_RATE) as u32;
        self.timestamp.wrapping_add(ahead).wrapping_sub(behind)
    }

    /// Between half and one and a half times the mean (section 6.2), so that legs don't report in step.
    pub(super) fn rtcp_interval(&mut self) -> Duration {
        // xorshift64: no quality is asked of it but that legs differ.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        RTCP_INTERVAL / 2 + RTCP_INTERVAL * (self.random >> 48) as u32 / 65_536
    }
}

/// Writes a frame as the line's codec has it, and returns how many bytes it has. A codec with a memory encodes what really leaves, and nothing else.
fn encode(encoder: &mut Encoder, sound: &[u8], payload: &mut [u8]) -> usize {
    if encoder.codec().encoding().is_some() {
        payload[..sound.len()].copy_from_slice(sound);
        return sound.len();
    }
    let mut samples = [0; MAX_FRAME / 2];
    let samples = &mut samples[..sound.len() / 2];
    for (sample, pair) in samples.iter_mut().zip(sound.chunks_exact(2)) {
        *sample = i16::from_le_bytes([pair[0], pair[1]]);
    }
    encoder.encode(samples, payload)
}
