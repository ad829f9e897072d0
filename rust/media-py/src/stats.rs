//! Snapshots of counters, with one attribute each.

use std::collections::BTreeMap;

use offhook_media::engine;
use offhook_media::stats::LegSnapshot;
use offhook_media::wire;
use pyo3::prelude::*;

macro_rules! leg_counters {
    ($($name:ident)*) => {
        /// Counters of one leg since it was opened.
        #[pyclass(frozen, get_all, module = "offhook._media")]
        pub(crate) struct MediaStats { $($name: u64,)* }

        impl From<LegSnapshot> for MediaStats {
            fn from(snapshot: LegSnapshot) -> Self {
                Self { $($name: snapshot.$name,)* }
            }
        }

        #[pymethods]
        impl MediaStats {
            fn as_dict(&self) -> BTreeMap<&'static str, u64> {
                BTreeMap::from([$((stringify!($name), self.$name),)*])
            }
        }
    };
}

macro_rules! wire_counters {
    ($($name:ident)*) => {
        /// Counters of one wire since it was opened.
        #[pyclass(frozen, get_all, module = "offhook._media")]
        pub(crate) struct WireStats { $($name: u64,)* }

        impl From<&wire::WireStats> for WireStats {
            fn from(stats: &wire::WireStats) -> Self {
                Self { $($name: stats.$name.get(),)* }
            }
        }

        #[pymethods]
        impl WireStats {
            fn as_dict(&self) -> BTreeMap<&'static str, u64> {
                BTreeMap::from([$((stringify!($name), self.$name),)*])
            }
        }
    };
}

leg_counters! {
    received_packets
    received_bytes
    received_lost
    received_duplicates
    received_reordered
    received_late
    received_jitter_us
    received_wrong_payload_type
    received_wrong_source
    received_malformed
    received_unauthenticated
    received_replayed
    received_wrong_ssrc
    received_ssrc_changes
    received_source_changes
    received_jumps
    received_leaps
    received_while_held
    received_comfort_noise
    received_bad_comfort_noise
    received_bad_payloads
    recovered_frames
    concealed_frames
    noise_frames
    silence_frames
    won_back_ms
    speech_ms
    noise_level
    barge_in_attempts
    barge_in_by_gate
    ducks
    backchannels
    interruptions
    stale_ms
    jitter_delay_us
    jitter_concealed_frames
    jitter_late
    jitter_dropped
    jitter_shortened_ms
    jitter_lengthened_ms
    received_digits
    received_double_digits
    received_bad_events
    sent_packets
    sent_bytes
    sent_audio_packets
    passed_packets
    sent_silence_packets
    sent_music_packets
    sent_event_packets
    sent_tone_packets
    sent_digits
    dropped_digits
    unsent_packets
    unsent_pauses
    sent_unreachable
    playout_underruns
    playout_dropped_bytes
    playout_trimmed_frames
    playout_peak_bytes
    playout_cushion_us
    sent_late_packets
    sent_interval_p99_us
    sent_interval_max_us
    rtcp_received
    rtcp_refused
    rtcp_unauthenticated
    rtcp_byes
    rtcp_sent
    round_trip_us
    remote_lost
    remote_fraction_lost
    remote_jitter_us
    last_received_ms
    last_sent_ms
}

wire_counters! {
    sent_messages
    sent_bytes
    sent_audio_us
    sent_dropped_us
    sent_dropped_messages
    received_messages
    received_bytes
    received_audio_us
    received_dropped_us
    received_flood
    received_garbage
    received_texts
    received_marks
    received_clears
    sent_pings
    received_pongs
}

macro_rules! engine_stats {
    ($($name:ident: $kind:ty = $value:expr,)*) => {
        /// Counters of the whole engine and its gauges.
        #[pyclass(frozen, get_all, module = "offhook._media")]
        pub(crate) struct EngineStats { $($name: $kind,)* }

        impl From<engine::EngineStats> for EngineStats {
            fn from(stats: engine::EngineStats) -> Self {
                Self { $($name: $value(&stats),)* }
            }
        }
    };
}

type Stats = engine::EngineStats;

engine_stats! {
    legs: usize = |stats: &Stats| stats.legs,
    wires: usize = |stats: &Stats| stats.wires,
    muxes: usize = |stats: &Stats| stats.muxes,
    leg_capacity: usize = |stats: &Stats| stats.leg_capacity,
    unheard_capacity: usize = |stats: &Stats| stats.ports.ipv4.max(stats.ports.ipv6),
    ports_ipv4: usize = |stats: &Stats| stats.ports.ipv4,
    ports_ipv6: usize = |stats: &Stats| stats.ports.ipv6,
    ports_in_use: usize = |stats: &Stats| stats.ports.in_use,
    ports_quarantined: usize = |stats: &Stats| stats.ports.resting,
    ports_taken: usize = |stats: &Stats| stats.ports.taken,
    legs_per_port: usize = |stats: &Stats| stats.ports.most_legs,
    collisions: u64 = |stats: &Stats| stats.ports.collisions,
    refused_packets: u64 = |stats: &Stats| stats.refused_packets,
    parked_packets: u64 = |stats: &Stats| stats.parked_packets,
    unclaimed_packets: u64 = |stats: &Stats| stats.unclaimed_packets,
    straggler_packets: u64 = |stats: &Stats| stats.straggler_packets,
    events_dropped: u64 = |stats: &Stats| stats.events_dropped,
    receive_overflow: u64 = |stats: &Stats| stats.receive_overflow,
    receive_buffer: usize = |stats: &Stats| stats.ports.receive_buffer,
    send_errors: u64 = |stats: &Stats| stats.send_errors,
    icmp_errors: u64 = |stats: &Stats| stats.icmp_errors,
    internal_errors: u64 = |stats: &Stats| stats.internal_errors,
    late_turns: u64 = |stats: &Stats| stats.late_turns,
    speech_network: bool = |stats: &Stats| stats.speech_network,
    speech_chunks: u64 = |stats: &Stats| stats.speech_chunks,
    speech_refused: u64 = |stats: &Stats| stats.speech_refused,
    driver: &'static str = |stats: &Stats| stats.driver,
    threads: usize = |stats: &Stats| stats.threads,
}
