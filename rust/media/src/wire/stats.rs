//! Counters of one wire, written by its media thread and read by anybody without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread counts and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The count now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Only the wire's own thread counts, so no read-modify-write is needed.
    pub(super) fn add(&self, amount: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(amount),
            Ordering::Relaxed,
        );
    }
}

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// What one wire has done since it was opened.
        #[derive(Debug, Default)]
        pub struct WireStats {
            $($(#[$meta])* pub $name: Counter,)*
        }

        impl WireStats {
            /// All counters by name, for a record or a metric.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.get()),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Messages that were queued for the agent, control frames included, those dropped later included.
    sent_messages,
    /// Bytes that were handed to the socket.
    sent_bytes,
    /// Caller audio that was queued, in microseconds.
    sent_audio_us,
    /// Caller audio that was dropped because the agent read too slowly, in microseconds.
    sent_dropped_us,
    /// Messages of caller audio that were dropped for that.
    sent_dropped_messages,
    /// Messages from the agent, control frames included.
    received_messages,
    /// Bytes from the agent's socket.
    received_bytes,
    /// Agent audio that was accepted, in microseconds.
    received_audio_us,
    /// Agent audio that was dropped because it was too far ahead of real time, in microseconds.
    received_dropped_us,
    /// Messages beyond the agent's budgets.
    received_flood,
    /// Messages from the agent that made no sense.
    received_garbage,
    /// Messages that went to Python.
    received_texts,
    /// Marks that the agent set.
    received_marks,
    /// Clears that the agent asked for.
    received_clears,
    /// Pings that we sent.
    sent_pings,
    /// Pongs that came back.
    received_pongs,
}
