//! How evenly packets leave, in a few words of memory.
use crate::clock::Time;
use std::time::Duration;

/// Classes of deviations: four an octave, from a microsecond to a second.
const CLASSES: usize = 80;

/// The distance of intervals between packets from what the first packet of each pair holds.
///
/// A percentile is kept up to date with every interval at the cost of a few comparisons, so that another thread can read it at any time.
#[derive(Debug)]
pub struct Regularity {
    last: Option<(Time, Duration)>,
    counts: [u32; CLASSES],
    total: u64,
    /// The class that holds the 99th percentile, and how many are above it.
    class: usize,
    above: u64,
    max_us: u64,
}

impl Default for Regularity {
    fn default() -> Self {
        Regularity {
            last: None,
            counts: [0; CLASSES],
            total: 0,
            class: 0,
            above: 0,
            max_us: 0,
        }
    }
}

impl Regularity {
    /// A packet that holds so much leaves. `continues` unless it begins a talkspurt, which may come at any time.
    pub fn sent(&mut self, now: Time, holds: Duration, continues: bool) {
        let before = self.last.replace((now, holds));
        if let Some((at, held)) = before.filter(|_| continues) {
            self.count((now - at).abs_diff(held));
        }
    }

    /// Nothing was sent where a packet was due: the next interval is none.
    pub fn pause(&mut self) {
        self.last = None;
    }

    fn count(&mut self, deviation: Duration) {
        let micros = deviation.as_micros() as u64;
        let class = class_of(micros);
        self.max_us = self.max_us.max(micros);
        self.counts[class] = self.counts[class].saturating_add(1);
        self.total += 1;
        self.above += u64::from(class > self.class);
        while self.above * 100 > self.total {
            self.class += 1;
            self.above -= u64::from(self.counts[self.class]).min(self.above);
        }
        while self.class > 0 {
            let above = self.above + u64::from(self.counts[self.class]);
            if above * 100 > self.total {
                break;
            }
            self.above = above;
            self.class -= 1;
        }
    }

    /// The largest deviation, in microseconds.
    pub fn max_us(&self) -> u64 {
        self.max_us
    }

    /// Of a hundred deviations ninety-nine are not above this, in microseconds; too large by a fifth at most.
    pub fn p99_us(&self) -> u64 {
        if self.total == 0 {
            0
        } else {
            top_of(self.class).min(self.max_us)
        }
    }
}

/// The class of a number: its highest bit and the two below it.
fn class_of(micros: u64) -> usize {
    if micros < 4 {
        return micros as usize;
    }
    let bit = micros.ilog2();
    let quarter = (micros >> (bit - 2)) as usize & 3;
    ((bit as usize - 1) * 4 + quarter).min(CLASSES - 1)
}

/// The largest number of a class.
fn top_of(class: usize) -> u64 {
    if class < 4 {
        return class as u64;
    }
    let (bit, quarter) = (class as u32 / 4 + 1, class as u64 % 4);
    ((5 + quarter) << (bit - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(deviations: impl Iterator<Item = u64>) -> Regularity {
        let mut regularity = Regularity::default();
        let mut now = Time::from_millis(1);
        let holds = Duration::from_millis(20);
        regularity.sent(now, holds, true);
        for deviation in deviations {
            now += holds + Duration::from_micros(deviation);
            regularity.sent(now, holds, true);
        }
        regularity
    }

    #[test]
    fn classes_meet_without_gaps() {
        for micros in 0..100_000 {
            let class = class_of(micros);
            assert!(micros <= top_of(class), "{micros}");
            assert!(class == 0 || micros > top_of(class - 1), "{micros}");
        }
        assert_eq!(class_of(u64::MAX), CLASSES - 1);
    }

    #[test]
    fn the_percentile_is_that_of_all_intervals_sorted() {
        let mut random = 7u64;
        for shape in [100, 3_000, 40_000] {
            let mut deviations: Vec<u64> = (0..5_000)
                .map(|_| {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let value = (random >> 33) % shape;
                    value * value / shape
                })
                .collect();
            let regularity = fill(deviations.iter().copied());
            deviations.sort_unstable();
            let exact = deviations[4_949];
            let found = regularity.p99_us();
            assert!(
                found >= exact && found <= exact * 5 / 4 + 1,
                "{exact} {found}"
            );
            assert_eq!(Some(&regularity.max_us()), deviations.last());
        }
    }

    #[test]
    fn one_late_packet_is_the_highest_and_moves_no_percentile() {
        let regularity = fill((0..1_000).map(|n| if n == 500 { 90_000 } else { 10 }));
        assert_eq!(regularity.max_us(), 90_000);
        assert!((10..=12).contains(&regularity.p99_us()));
    }

    #[test]
    fn neither_a_talkspurt_nor_a_pause_counts() {
        let mut regularity = Regularity::default();
        let holds = Duration::from_millis(20);
        regularity.sent(Time::from_millis(100), holds, true);
        regularity.sent(Time::from_millis(107), holds, false);
        regularity.sent(Time::from_millis(127), holds, true);
        regularity.pause();
        regularity.sent(Time::from_millis(900), holds, true);
        assert_eq!((regularity.max_us(), regularity.p99_us()), (0, 0));
        // What a packet holds is what the next is awaited after, whatever that one holds.
        regularity.sent(Time::from_millis(920), Duration::from_millis(30), true);
        regularity.sent(Time::from_millis(951), holds, true);
        assert_eq!(regularity.max_us(), 1_000);
    }
}
