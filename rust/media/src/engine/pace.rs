//! When a media thread wakes: at once while little happens, once a tick when much does.

use super::timer::TICK_NS;

/// Wake-ups within one window above which waking for each packet costs more than it is worth.
const BUSY_WAKEUPS: u32 = 25;
/// The window, in nanoseconds.
const WINDOW_NS: u64 = 20 * TICK_NS;

/// Decides between waking for each packet and waking once a tick for all that has come.
///
/// A thread that serves few calls answers a packet at once. One that serves many would spend most of its time on waking: it
/// sleeps to the next millisecond instead, which nobody can hear, and finds the packets of several calls together.
#[derive(Debug)]
pub struct Pace {
    window_start: u64,
    turns: u32,
    work: u32,
    busy: bool,
}

impl Pace {
    /// Begin unhurried.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        Self {
            window_start: now_ns,
            turns: 0,
            work: 0,
            busy: false,
        }
    }

    /// A turn is over that had `work` packets and timers to handle.
    pub fn turn(&mut self, now_ns: u64, work: u32) {
        self.turns += 1;
        self.work += work;
        if now_ns.saturating_sub(self.window_start) >= WINDOW_NS {
            // While busy the turns are few by design, so the work says whether it is still worth it.
            let measure = if self.busy {
                self.work
            } else {
                self.turns.min(self.work)
            };
            self.busy = measure > BUSY_WAKEUPS;
            *self = Self {
                window_start: now_ns,
                turns: 0,
                work: 0,
                busy: self.busy,
            };
        }
    }

    /// Until when to sleep before looking for packets; `None` means to wait for them.
    #[must_use]
    pub fn sleep_until(&self, now_ns: u64) -> Option<u64> {
        self.busy.then(|| (now_ns / TICK_NS + 1) * TICK_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pace: &mut Pace, from: u64, step_ns: u64, work: u32) -> u64 {
        let mut now = from;
        while now < from + 3 * WINDOW_NS {
            now += step_ns;
            pace.turn(now, work);
        }
        now
    }

    #[test]
    fn few_packets_are_answered_at_once_and_many_are_gathered() {
        let mut pace = Pace::new(0);
        let now = run(&mut pace, 0, 5_000_000, 1);
        assert_eq!(pace.sleep_until(now), None, "200 packets a second");
        let now = run(&mut pace, now, 100_000, 1);
        assert_eq!(
            pace.sleep_until(now),
            Some((now / TICK_NS + 1) * TICK_NS),
            "10,000 a second"
        );
        let now = run(&mut pace, now, TICK_NS, 10);
        assert!(
            pace.sleep_until(now).is_some(),
            "gathered: 1,000 turns of 10 packets"
        );
        let now = run(&mut pace, now, TICK_NS, 0);
        assert_eq!(pace.sleep_until(now), None, "the calls have ended");
    }
}
