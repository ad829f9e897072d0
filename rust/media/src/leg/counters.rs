//! The counters of a leg: what it counts itself, and what its parts have counted.
use std::sync::Arc;

use super::Leg;
use crate::clock::duration_of;
use crate::playout::LINE_RATE;
use crate::stats::{LegSnapshot, LegStats};

impl Leg {
    /// The leg's counters, to be read by any thread.
    pub fn shared_stats(&self) -> Arc<LegStats> {
        Arc::clone(&self.stats)
    }

    /// The counters now.
    pub fn stats(&self) -> LegSnapshot {
        self.stats.snapshot()
    }

    /// A packet for this leg's port came from a source that its claim refuses.
    pub fn count_refused(&self, rtcp: bool) {
        if rtcp {
            self.stats.rtcp_refused.add(1)
        } else {
            self.stats.received_wrong_source.add(1)
        }
    }

    /// An RTP packet of ours was answered by an ICMP error.
    pub fn count_unreachable(&self) {
        self.stats.sent_unreachable.add(1);
    }

    /// A packet that was counted as refused was this leg's after all.
    pub fn count_claimed(&self) {
        let refused = &self.stats.received_wrong_source;
        refused.set(refused.get().saturating_sub(1));
    }

    /// Writes the counters that other parts keep.
    pub(super) fn publish(&self) {
        let uplink = self.uplink.counts();
        self.stats.received_late.set(uplink.late);
        self.stats.received_leaps.set(uplink.jumps);
        self.stats.received_bad_comfort_noise.set(uplink.bad_noise);
        self.stats.received_bad_payloads.set(uplink.bad_payloads);
        self.stats.recovered_frames.set(uplink.recovered_frames);
        self.stats.concealed_frames.set(uplink.concealed_frames);
        self.stats.noise_frames.set(uplink.noise_frames);
        self.stats.silence_frames.set(uplink.silence_frames);
        self.stats
            .won_back_ms
            .set(uplink.won_back * 1_000 / u64::from(LINE_RATE));
        let spoken = duration_of(self.voice.spoken(), LINE_RATE);
        self.stats.speech_ms.set(spoken.as_millis() as u64);
        let noise = self.voice.noise_level().unwrap_or(0);
        self.stats.noise_level.set(noise.into());
        if let Some(passage) = &self.passage {
            let counts = passage.counts();
            let millis = |ticks: u64| ticks * 1_000 / u64::from(LINE_RATE);
            self.stats
                .jitter_delay_us
                .set(passage.delay().as_micros() as u64);
            self.stats
                .jitter_concealed_frames
                .set(counts.concealed_frames);
            self.stats.jitter_late.set(counts.late);
            self.stats.jitter_dropped.set(counts.dropped);
            self.stats.jitter_shortened_ms.set(millis(counts.shortened));
            self.stats
                .jitter_lengthened_ms
                .set(millis(counts.lengthened));
        }
        let playout = self.playout.counts();
        self.stats.playout_underruns.set(playout.underruns);
        self.stats.playout_dropped_bytes.set(playout.dropped_bytes);
        self.stats
            .playout_trimmed_frames
            .set(playout.trimmed_frames);
        self.stats.playout_peak_bytes.set(playout.peak_bytes);
        self.stats
            .playout_cushion_us
            .set(self.playout.cushion().as_micros() as u64);
    }
}
