//! Counters of a leg: written by the thread that owns the leg, read by any other without a lock.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number with one writer and any readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning thread may call this: it is a load and a store, not a locked addition.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Replaces the value.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// The value now.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counters {
    ($(#[$outer:meta])* $live:ident, $snapshot:ident { $($(#[$doc:meta])* $name:ident,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Default)]
        pub struct $live { $($(#[$doc])* pub $name: Counter,)* }

        /// The same counters as plain numbers, each read on its own.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        pub struct $snapshot { $($(#[$doc])* pub $name: u64,)* }

        impl $live {
            /// Reads all counters; a packet being handled meanwhile may show in some only.
            pub fn snapshot(&self) -> $snapshot {
                $snapshot { $($name: self.$name.get(),)* }
            }
        }

        impl $snapshot {
            /// Name and value of each counter, in order of declaration.
            pub fn fields(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// What one RTP leg has seen and done. Shared by `Arc`; see [`Counter`] for who may write.
    LegStats, LegSnapshot {
        /// RTP packets accepted from the peer.
        received_packets,
        /// Payload bytes of those.
        received_bytes,
        /// Packets that never came, by sequence number (RFC 3550 A.3), less duplicates.
        received_lost,
        /// Packets that came twice.
        received_duplicates,
        /// Packets that came in another order than sent.
        received_reordered,
        /// Packets that came after their place had been filled.
        received_late,
        /// Interarrival jitter in microseconds (RFC 3550 A.8).
        received_jitter_us,
        /// Packets with a payload type that was not negotiated.
        received_wrong_payload_type,
        /// Packets of a source that this leg does not accept.
        received_wrong_source,
        /// Packets that are no RTP.
        received_malformed,
        /// Packets that are not authentic where media is encrypted: forged, plain, or under another key.
        received_unauthenticated,
        /// Authentic or not, packets whose index came before, or is too old to tell, where media is encrypted.
        received_replayed,
        /// Packets dropped while another SSRC was being heard.
        received_wrong_ssrc,
        /// Changes of the peer's SSRC.
        received_ssrc_changes,
        /// Changes of the source address.
        received_source_changes,
        /// Packets whose sequence number leapt, and that were not taken because no second one followed it.
        received_jumps,
        /// Leaps of the timestamps that no gap explains, and gaps too long to be filled.
        received_leaps,
        /// Packets whose sound was dropped because the call was on hold, or the peer had been asked not to send.
        received_while_held,
        /// Comfort-noise packets (RFC 3389).
        received_comfort_noise,
        /// Of those, the ones that describe no noise: an empty payload, a level above 127.
        received_bad_comfort_noise,
        /// Payloads that are none of their codec.
        received_bad_payloads,
        /// Frames of lost sound that the packet behind it had a copy of (Opus).
        recovered_frames,
        /// Frames of 20 ms or less made in place of sound that was lost.
        concealed_frames,
        /// Frames of comfort noise, made while the peer pauses.
        noise_frames,
        /// Frames of silence where nothing came and nothing could be made.
        silence_frames,
        /// Milliseconds left out again, of pauses and repeats, to make up for what was filled in too early.
        won_back_ms,
        /// Milliseconds in which the peer's user spoke, short pauses included.
        speech_ms,
        /// Noise of the line in decibels below the overload point (RFC 3389 section 3.1), 0 to 127; 0 before any sound.
        noise_level,
        /// Times when the caller seemed to speak over the agent.
        barge_in_attempts,
        /// Those of them in which the gate decided alone: there was no network, or no seat at it.
        barge_in_by_gate,
        /// Times when the agent's voice was lowered because of that.
        ducks,
        /// Those of them in which it was a word in passing, and the voice came back.
        backchannels,
        /// Times when the agent's voice was cut off because the caller spoke.
        interruptions,
        /// Milliseconds of the agent's sound dropped because they came after its utterance had been interrupted.
        stale_ms,
        /// Delay in the buffer of sound that goes to another line (echo), in microseconds, its frame of 20 ms counted.
        jitter_delay_us,
        /// Frames of such sound that were made up in part, because packets were lost or late.
        jitter_concealed_frames,
        /// Packets too late for such sound.
        jitter_late,
        /// Packets of such sound dropped because too much waited.
        jitter_dropped,
        /// Milliseconds by which such sound was shortened, to follow the peer's clock and to win back delay.
        jitter_shortened_ms,
        /// Milliseconds by which such sound was lengthened.
        jitter_lengthened_ms,
        /// Digits that the peer's user has pressed, each once, whichever way it came.
        received_digits,
        /// Presses that came another way, too, and were told once.
        received_double_digits,
        /// Telephone-event packets that name no digit (event above 15 but flash, short payload), and presses that came faster than keys can be pressed.
        received_bad_events,
        /// RTP packets sent.
        sent_packets,
        /// Payload bytes of those.
        sent_bytes,
        /// Sent packets that held sound from the agent.
        sent_audio_packets,
        /// Of those, packets of a leg that it is bridged with, handed on as they came.
        passed_packets,
        /// Sent packets that held silence.
        sent_silence_packets,
        /// Sent packets that held music, while we held the peer.
        sent_music_packets,
        /// Sent packets of telephone events.
        sent_event_packets,
        /// RTP packets with the tones of a key of ours.
        sent_tone_packets,
        /// Digits sent.
        sent_digits,
        /// Digits refused because too many were waiting.
        dropped_digits,
        /// Packets not sent because no address is known, the peer holds the call, or the key is used up.
        unsent_packets,
        /// Packets not sent because they would have held silence, and the peer asked not to be sent that (Opus).
        unsent_pauses,
        /// RTP packets that the peer's host or a router answered with an ICMP error.
        sent_unreachable,
        /// Times when playout ran dry in the middle of speech.
        playout_underruns,
        /// Bytes dropped because the queue was full: one a sample of G.711, two a sample of the 16 kHz of G.722.
        playout_dropped_bytes,
        /// Quiet frames left out to win back a delay: of a person's sound, of a standstill, of clocks that differ.
        playout_trimmed_frames,
        /// Most bytes that ever waited in the queue, counted like those.
        playout_peak_bytes,
        /// The learned cushion in microseconds.
        playout_cushion_us,
        /// Packets sent late by 5 ms or more against the leg's clock.
        sent_late_packets,
        /// Of a hundred intervals between sent packets ninety-nine are no further from the packet time than this, in microseconds; those before
        /// the first packet of a talkspurt do not count.
        sent_interval_p99_us,
        /// The furthest of those, in microseconds.
        sent_interval_max_us,
        /// RTCP packets accepted.
        rtcp_received,
        /// RTCP packets that are malformed or of a wrong source.
        rtcp_refused,
        /// RTCP packets that are not authentic or came before where media is encrypted.
        rtcp_unauthenticated,
        /// RTCP BYE received; it ends nothing, since anybody can forge it.
        rtcp_byes,
        /// RTCP compound packets sent.
        rtcp_sent,
        /// Round trip in microseconds by the peer's last report (RFC 3550 6.4.1); 0 if unknown.
        round_trip_us,
        /// Packets lost on the way to the peer, by its last report.
        remote_lost,
        /// Fraction lost on the way to the peer by its last report, in 1/256.
        remote_fraction_lost,
        /// Jitter at the peer in microseconds, by its last report.
        remote_jitter_us,
        /// Monotonic milliseconds of the last accepted RTP packet; 0 if none.
        last_received_ms,
        /// Monotonic milliseconds of the last sent RTP packet; 0 if none.
        last_sent_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn another_thread_reads_what_the_owner_wrote() {
        let stats = Arc::new(LegStats::default());
        let reader = Arc::clone(&stats);
        stats.received_packets.add(3);
        stats.received_jitter_us.set(125);
        let seen = std::thread::spawn(move || reader.snapshot())
            .join()
            .expect("reader");
        assert_eq!((seen.received_packets, seen.received_jitter_us), (3, 125));
        assert!(seen.fields().any(|field| field == ("received_packets", 3)));
    }
}
