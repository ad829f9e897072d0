//! A histogram of durations: bounded memory, quantiles within 1.6 %, exact maximum.

use serde_json::{Value, json};

const SUB_BITS: u32 = 6;
const SUB: u64 = 1 << SUB_BITS;
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUB as usize;

/// Durations in nanoseconds, counted in logarithmic buckets of 64 steps an octave.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u32>,
    total: u64,
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            sum: 0,
            max: 0,
        }
    }
}

fn bucket(value: u64) -> usize {
    if value < SUB {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - SUB_BITS;
    ((u64::from(shift) + 1) * SUB + ((value >> shift) - SUB)) as usize
}

fn upper_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SUB {
        return bucket;
    }
    let shift = bucket / SUB - 1;
    // The last bucket's edge is 2^64, which wraps to the maximum as it should.
    ((bucket % SUB + SUB + 1) << shift).wrapping_sub(1)
}

impl Histogram {
    /// Counts one duration in nanoseconds.
    pub fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
        self.sum += u128::from(value);
        self.max = self.max.max(value);
    }

    /// How many were counted.
    #[cfg(test)]
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The longest, exact.
    #[cfg(test)]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean in nanoseconds; 0 of nothing.
    pub fn mean(&self) -> u64 {
        if self.total == 0 {
            0
        } else {
            (self.sum / u128::from(self.total)) as u64
        }
    }

    /// The duration that a share `quantile` (0 to 1) of all do not exceed; 0 of nothing.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                return upper_edge(index).min(self.max);
            }
        }
        0
    }

    /// Count and the usual quantiles in milliseconds; `null` where nothing was counted.
    pub fn to_json(&self) -> Value {
        if self.total == 0 {
            return Value::Null;
        }
        json!({
            "count": self.total,
            "mean_ms": milliseconds(self.mean()),
            "p50_ms": milliseconds(self.quantile(0.50)),
            "p90_ms": milliseconds(self.quantile(0.90)),
            "p99_ms": milliseconds(self.quantile(0.99)),
            "p999_ms": milliseconds(self.quantile(0.999)),
            "max_ms": milliseconds(self.max),
        })
    }
}

/// Nanoseconds as milliseconds with three decimals.
pub fn milliseconds(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_two_percent_and_never_above_the_maximum() {
        let mut histogram = Histogram::default();
        for value in 1..=100_000 {
            histogram.record(value * 1_000);
        }
        for (quantile, exact) in [
            (0.5, 50_000_000.0),
            (0.99, 99_000_000.0),
            (0.999, 99_900_000.0),
        ] {
            let error = (histogram.quantile(quantile) as f64 - exact).abs() / exact;
            assert!(error < 0.02, "{quantile}: off by {error}");
        }
        assert_eq!(histogram.quantile(1.0), 100_000_000);
        assert_eq!(histogram.max(), 100_000_000);
        assert_eq!(histogram.count(), 100_000);
        assert_eq!(histogram.mean(), 50_000_500);
    }

    #[test]
    fn every_value_falls_into_a_bucket_that_holds_it() {
        for shift in 0..64 {
            for value in [
                1u64 << shift,
                (1u64 << shift) | 1,
                (1u64 << shift) - 1,
                u64::MAX >> (63 - shift),
            ] {
                let index = bucket(value);
                assert!(upper_edge(index) >= value);
                assert!(index == 0 || upper_edge(index - 1) < value);
            }
        }
    }

    #[test]
    fn nothing_counted_is_null() {
        assert_eq!(Histogram::default().to_json(), Value::Null);
        assert_eq!(Histogram::default().quantile(0.99), 0);
    }
}
