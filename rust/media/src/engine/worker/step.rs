//! The turns of a media thread that is none: of an engine in memory.

use std::sync::atomic::Ordering::Relaxed;

use offhook_media_sys::Carried;

use super::Worker;
use crate::clock::Time;

/// What a turn of an engine in memory came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stepped {
    /// When the next turn is due.
    pub next: Option<Time>,
    /// Python or an agent has been told something.
    pub told: bool,
}

impl Worker {
    /// One turn of an engine in memory: the time is given, datagrams come and go through the hands of who asks.
    pub fn step(&mut self, now: Time, arrived: Vec<Carried>, left: &mut Vec<Carried>) -> Stepped {
        let before = self.bytes_to_workers();
        let mut ready = std::mem::take(&mut self.ready);
        // What can't be told here is told by the next read.
        let _ = self.poller.wait(&mut ready, Some(0));
        self.hear_agents(&ready, now);
        self.ready = ready;
        for mut datagram in arrived {
            self.take_datagram(&mut datagram, now);
        }
        self.do_what_is_due(now);
        left.append(&mut self.out.send.take_carried());
        Stepped {
            next: if self.has_read_all() && !self.doorbell.rung.load(Relaxed) {
                self.timers.next().map(Time::from_nanos)
            } else {
                Some(now)
            },
            told: self.bytes_to_workers() != before || self.shared.events.has_news(),
        }
    }

    /// Bytes written so far on the connections of workers that are open.
    fn bytes_to_workers(&mut self) -> u64 {
        let mut sum = 0;
        for id in self.muxes.ids() {
            let slot = self.muxes.find(id).and_then(|mux| self.muxes.get_mut(mux));
            sum += slot.map_or(0, |slot| slot.mux.stats().sent_bytes.get());
        }
        sum
    }
}
