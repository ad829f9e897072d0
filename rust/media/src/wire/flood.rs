//! How much an agent may send: budgets that refill with time.

use std::time::Duration;

use crate::clock::Time;

/// So much at once, and so much a second from then on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    burst: u64,
    per_second: u64,
    /// Spent and not yet refilled, in billionths of a unit so that short intervals count.
    spent: u128,
    at: Option<Time>,
}

const NANOS: u128 = 1_000_000_000;

impl Budget {
    pub fn new(burst: u64, per_second: u64) -> Self {
        Self {
            burst,
            per_second,
            spent: 0,
            at: None,
        }
    }

    /// Spend `amount`; `false` if that is more than there is. It is spent either way, but a debt is never greater than
    /// one burst.
    pub fn spend(&mut self, now: Time, amount: u64) -> bool {
        if let Some(at) = self.at.replace(now) {
            let refilled = now.since(at).as_nanos() * u128::from(self.per_second);
            self.spent = self.spent.saturating_sub(refilled);
        }
        let burst = u128::from(self.burst) * NANOS;
        self.spent += u128::from(amount) * NANOS;
        let enough = self.spent <= burst;
        self.spent = self.spent.min(2 * burst);
        enough
    }
}

/// How far an agent's audio is ahead of real time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    limit: Duration,
    ahead: Duration,
    at: Option<Time>,
}

impl Ahead {
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            ahead: Duration::ZERO,
            at: None,
        }
    }

    /// Take audio of `length`; `false` if it must be dropped, which leaves things as they were.
    pub fn take(&mut self, now: Time, length: Duration) -> bool {
        if let Some(at) = self.at.replace(now) {
            self.ahead = self.ahead.saturating_sub(now.since(at));
        }
        let ahead = self.ahead + length;
        if ahead > self.limit {
            return false;
        }
        self.ahead = ahead;
        true
    }

    /// All that was ahead has been thrown away.
    pub fn clear(&mut self) {
        self.ahead = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_allows_a_burst_and_then_its_rate() {
        let mut budget = Budget::new(10, 5);
        let start = Time::from_millis(1_000);
        assert!((0..10).all(|_| budget.spend(start, 1)));
        assert!(!budget.spend(start, 1));
        let later = start + Duration::from_millis(400);
        assert!(
            budget.spend(later, 1),
            "two more after 400 ms, one of them paid the debt"
        );
        assert!(!budget.spend(later, 1));
        assert!(budget.spend(later + Duration::from_secs(60), 10));
    }

    #[test]
    fn a_debt_is_paid_off_in_bounded_time() {
        let mut budget = Budget::new(10, 5);
        assert!(!budget.spend(Time::ZERO, u64::MAX));
        assert!(budget.spend(Time::from_millis(4_000), 5));
    }

    #[test]
    fn audio_may_be_ahead_up_to_the_limit() {
        let mut ahead = Ahead::new(Duration::from_secs(2));
        let second = Duration::from_secs(1);
        assert!(ahead.take(Time::ZERO, second) && ahead.take(Time::ZERO, second));
        assert!(!ahead.take(Time::ZERO, Duration::from_millis(20)));
        assert!(ahead.take(Time::from_millis(1_000), second));
        assert!(!ahead.take(Time::from_millis(1_500), second));
        ahead.clear();
        assert!(ahead.take(Time::from_millis(1_500), second));
    }
}
