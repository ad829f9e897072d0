//! How unevenly the packets of a stream come: what a playout buffer has to wait for them.

/// Packets that are remembered: 5 s of 20 ms each, so that the clocks of the two ends drift apart by no more than 1 ms meanwhile.
const REMEMBERED: usize = 256;
/// So many of a hundred packets have to be in time.
const IN_TIME_PERCENT: usize = 97;
/// What is remembered is looked through once in so many packets.
const LOOK_EVERY: u32 = 8;
/// A packet that is later than most by this much is a spike: 40 ms.
const SPIKE: i64 = 320;
/// Packets behind a spike that come late because of it: 2 s of 20 ms each at most.
const BEHIND_SPIKE: u32 = 100;

/// Watches one stream. All is in ticks of 8 kHz.
#[derive(Clone, Debug)]
pub struct Transit {
    /// Arrival less timestamp, of the last packets, from that of the first: it moves by seconds, not by days.
    seen: Box<[i32; REMEMBERED]>,
    first: i64,
    count: usize,
    next: usize,
    since_look: u32,
    base: i64,
    late: i64,
    behind_spike: u32,
    spikes: u64,
}

impl Transit {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Transit {
            seen: Box::new([0; REMEMBERED]),
            first: 0,
            count: 0,
            next: 0,
            since_look: 0,
            base: 0,
            late: 0,
            behind_spike: 0,
            spikes: 0,
        }
    }

    /// Another stream begins.
    pub fn restart(&mut self) {
        self.count = 0;
        self.next = 0;
        self.since_look = 0;
        self.behind_spike = 0;
    }

    /// Whether nothing has come yet.
    pub fn is_new(&self) -> bool {
        self.count == 0
    }

    /// A packet came: its arrival less its timestamp.
    pub fn arrived(&mut self, transit: i64) {
        if self.count == 0 {
            self.first = transit;
            self.base = transit;
            self.late = 0;
        }
        self.base = self.base.min(transit);
        if transit - self.base > self.late + SPIKE {
            self.behind_spike = self.behind_spike.saturating_add(1);
            self.spikes += u64::from(self.behind_spike == 1);
            // The packets behind it come in one heap: they are one event, not many late packets. If they come late for longer, it is no spike.
            if (2..=BEHIND_SPIKE).contains(&self.behind_spike) {
                return;
            }
        } else {
            self.behind_spike = 0;
        }
        let moved = transit - self.first;
        self.seen[self.next] = moved.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        self.next = (self.next + 1) % REMEMBERED;
        self.count = (self.count + 1).min(REMEMBERED);
        self.since_look += 1;
        if self.since_look >= LOOK_EVERY || self.count < LOOK_EVERY as usize {
            self.look();
        }
    }

    /// Arrival less timestamp of the quickest packet of late.
    pub fn base(&self) -> i64 {
        self.base
    }

    /// How much later than that most packets come: 97 of 100 no later.
    pub fn late(&self) -> i64 {
        self.late
    }

    /// Times when one packet, and those behind it, came much later than the others; cumulative.
    pub fn spikes(&self) -> u64 {
        self.spikes
    }

    fn look(&mut self) {
        self.since_look = 0;
        let mut seen = [0; REMEMBERED];
        let seen = &mut seen[..self.count];
        seen.copy_from_slice(&self.seen[..self.count]);
        let index = (self.count * IN_TIME_PERCENT / 100).min(self.count - 1);
        let (before, &mut late, _) = seen.select_nth_unstable(index);
        let base = before.iter().copied().min().unwrap_or(late);
        self.base = self.first + i64::from(base);
        self.late = i64::from(late) - i64::from(base);
    }
}

impl Default for Transit {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_stream_is_not_late_and_an_uneven_one_by_what_most_packets_are() {
        let mut transit = Transit::new();
        (0..100).for_each(|_| transit.arrived(5_000));
        assert_eq!((transit.base(), transit.late()), (5_000, 0));
        (0..300).for_each(|n| transit.arrived(5_000 + n % 100));
        assert_eq!(transit.base(), 5_000);
        assert!((94..=99).contains(&transit.late()), "{}", transit.late());
    }

    #[test]
    fn a_spike_is_one_event_and_a_lasting_change_is_learned() {
        let mut transit = Transit::new();
        (0..200).for_each(|_| transit.arrived(0));
        // 300 ms late, and the heap behind it.
        (0..15).for_each(|n| transit.arrived(2_400 - 160 * n));
        (0..50).for_each(|_| transit.arrived(0));
        assert_eq!((transit.late(), transit.spikes()), (0, 1));
        (0..400).for_each(|_| transit.arrived(1_000));
        assert_eq!((transit.base(), transit.late()), (1_000, 0));
    }

    #[test]
    fn clocks_that_drift_apart_move_the_base() {
        for drift in [-1, 1] {
            let mut transit = Transit::new();
            // A tick in 31 packets: 200 ppm.
            (0..100_000).for_each(|n| transit.arrived(drift * n / 31));
            let off = transit.base() - drift * 100_000 / 31;
            assert!(off.abs() <= 9 && transit.late() <= 9, "{off}");
        }
    }
}
