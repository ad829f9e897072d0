//! What the engine counts and holds.

use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::ports::PortStats;

/// What the media threads count together.
#[derive(Default)]
pub(super) struct Counters {
    pub legs: AtomicUsize,
    pub wires: AtomicUsize,
    pub muxes: AtomicUsize,
    pub receive_overflow: AtomicU64,
    pub send_errors: AtomicU64,
    pub icmp_errors: AtomicU64,
    pub internal_errors: AtomicU64,
    pub late_turns: AtomicU64,
    pub parked: AtomicU64,
    pub unclaimed: AtomicU64,
    pub stragglers: AtomicU64,
    pub refused: AtomicU64,
    pub collisions: AtomicU64,
}

/// The engine's counters and gauges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStats {
    /// Open legs.
    pub legs: usize,
    /// Open wires, those being dialled included.
    pub wires: usize,
    /// Open connections of workers.
    pub muxes: usize,
    /// Legs at most: the limit of legs, for on one port there is room for many that can be told apart.
    pub leg_capacity: usize,
    /// The ports: how many, what they carry, what is between their legs.
    pub ports: PortStats,
    /// Droppable events that Python was too slow for.
    pub events_dropped: u64,
    /// Packets that the system dropped because a socket's buffer was full.
    pub receive_overflow: u64,
    /// Packets that the system refused to send.
    pub send_errors: u64,
    /// ICMP errors for our packets.
    pub icmp_errors: u64,
    /// RTP packets that no leg of their port accepts.
    pub refused_packets: u64,
    /// Packets that waited because it was not known whose they are.
    pub parked_packets: u64,
    /// Those of them that nobody claimed in time.
    pub unclaimed_packets: u64,
    /// Packets for legs that had ended.
    pub straggler_packets: u64,
    /// Calls ended by a bug of ours.
    pub internal_errors: u64,
    /// Turns of a media thread that began more than 5 ms late.
    pub late_turns: u64,
    /// Whether there is a network that tells speech from noise.
    pub speech_network: bool,
    /// Chunks of 32 ms that it has judged.
    pub speech_chunks: u64,
    /// How often it had no seat for a leg, whose gate decided alone.
    pub speech_refused: u64,
    /// `linux` or `portable`.
    pub driver: &'static str,
    /// Media threads.
    pub threads: usize,
}
