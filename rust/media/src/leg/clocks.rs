//! RTP clocks of a line and the ticks that a leg counts in ([`crate::codec::TICKS`]): each is a whole number of the other.
use crate::codec::TICKS;

/// Timestamps of the peer, in ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeardClock {
    /// A timestamp as it came and what it was in ticks, where the peer's clock is quicker than ours.
    known: Option<(u32, u32)>,
}

impl HeardClock {
    /// The timestamp in ticks, of a packet whose clock has `rate` Hz. It may lie a little behind those before.
    pub fn ticks(&mut self, timestamp: u32, rate: u32) -> u32 {
        let scale = (rate / TICKS) as i32;
        if scale <= 1 {
            self.known = None;
            return timestamp;
        }
        let (came, ticks) = *self.known.get_or_insert((timestamp, timestamp));
        let later = (timestamp.wrapping_sub(came) as i32).div_euclid(scale);
        let now = ticks.wrapping_add_signed(later);
        if later > 0 {
            self.known = Some((came.wrapping_add_signed(later * scale), now));
        }
        now
    }
}

/// Our timestamps as they leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentClock {
    rate: u32,
    /// A place in ticks, and what its timestamp is.
    ticks: u32,
    timestamp: u32,
}

impl SentClock {
    /// A clock of 8 kHz that begins with this timestamp.
    pub fn new(first: u32) -> Self {
        SentClock {
            rate: TICKS,
            ticks: first,
            timestamp: first,
        }
    }

    /// The timestamp of a place in ticks.
    pub fn timestamp(&self, ticks: u32) -> u32 {
        let on = ticks.wrapping_sub(self.ticks);
        self.timestamp.wrapping_add(on.wrapping_mul(self.scale()))
    }

    /// So many ticks on this clock.
    pub fn scale(&self) -> u32 {
        self.rate / TICKS
    }

    /// Units a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// From the place `ticks` on the clock has `rate` Hz.
    pub fn set_rate(&mut self, ticks: u32, rate: u32) {
        if rate != self.rate {
            *self = SentClock {
                rate,
                ticks,
                timestamp: self.timestamp(ticks),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_48_khz_is_followed_through_its_wrap_and_disorder() {
        let mut clock = HeardClock::default();
        let first = u32::MAX - 1_000;
        let ticks =
            [0, 960, 1_920, 960, 2_880].map(|on| clock.ticks(first.wrapping_add(on), 48_000));
        let on = ticks.map(|ticks| ticks.wrapping_sub(first));
        assert_eq!(on, [0, 160, 320, 160, 480]);
        // 26 hours later the timestamps have come round.
        let mut at = first.wrapping_add(2_880);
        let mut expected = ticks[4];
        for _ in 0..5_000_000 {
            at = at.wrapping_add(960);
            expected = expected.wrapping_add(160);
            assert_eq!(clock.ticks(at, 48_000), expected);
        }
    }

    #[test]
    fn timestamps_go_on_where_the_clock_changes() {
        let mut clock = SentClock::new(1_000);
        assert_eq!(clock.timestamp(1_160), 1_160);
        clock.set_rate(1_160, 48_000);
        assert_eq!(clock.timestamp(1_160), 1_160);
        assert_eq!(clock.timestamp(1_320), 1_160 + 960);
        assert_eq!(clock.timestamp(1_152), 1_160 - 48);
        clock.set_rate(1_320, 8_000);
        assert_eq!(clock.timestamp(1_480), 1_160 + 960 + 160);
    }
}
