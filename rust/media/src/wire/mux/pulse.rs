//! Whether anybody is there: a ping while nothing comes, then patience, then less of it.

use super::MuxLimits;
use crate::clock::Time;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// A ping is to be sent.
    Ping,
    /// Nothing has come since the ping for so long that the worker is stalled; told once.
    Stalled,
    /// And for so long that it is gone.
    Dead,
}

/// When a worker was last asked for a sign of life, and what came of it.
#[derive(Debug)]
pub(super) struct Pulse {
    limits: MuxLimits,
    next_ping: Time,
    /// The ping that nothing came after.
    asked: Option<Time>,
    stalled: bool,
}

impl Pulse {
    pub fn new(limits: &MuxLimits, now: Time) -> Self {
        Self {
            limits: *limits,
            next_ping: now + limits.ping_interval,
            asked: None,
            stalled: false,
        }
    }

    /// Something came; whether the worker was stalled until now is the result.
    pub fn came(&mut self, now: Time) -> bool {
        if self.asked.take().is_some() {
            self.next_ping = now + self.limits.ping_interval;
        }
        std::mem::take(&mut self.stalled)
    }

    pub fn next_timeout(&self) -> Option<Time> {
        Some(match self.asked {
            None => self.next_ping,
            Some(asked) if self.stalled => asked + self.limits.dead_after,
            Some(asked) => asked + self.limits.stalled_after,
        })
    }

    pub fn handle_timeout(&mut self, now: Time) -> Option<Beat> {
        if self.next_timeout().is_none_or(|at| at > now) {
            return None;
        }
        Some(match self.asked {
            None => {
                self.asked = Some(now);
                Beat::Ping
            }
            Some(_) if self.stalled => Beat::Dead,
            Some(_) => {
                self.stalled = true;
                Beat::Stalled
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pulse: &mut Pulse, millis: u64) -> Option<Beat> {
        pulse.handle_timeout(Time::from_millis(millis))
    }

    #[test]
    fn a_worker_is_asked_then_stalled_then_dead() {
        let mut pulse = Pulse::new(&MuxLimits::default(), Time::ZERO);
        assert_eq!(at(&mut pulse, 499), None);
        assert_eq!(at(&mut pulse, 500), Some(Beat::Ping));
        assert_eq!(at(&mut pulse, 1_499), None, "one ping is enough");
        assert_eq!(at(&mut pulse, 1_500), Some(Beat::Stalled));
        assert_eq!(at(&mut pulse, 20_499), None, "told once");
        assert_eq!(at(&mut pulse, 20_500), Some(Beat::Dead));
    }

    #[test]
    fn any_sign_of_life_will_do() {
        let mut pulse = Pulse::new(&MuxLimits::default(), Time::ZERO);
        assert_eq!(at(&mut pulse, 500), Some(Beat::Ping));
        assert!(!pulse.came(Time::from_millis(510)));
        assert_eq!(at(&mut pulse, 1_009), None);
        assert_eq!(at(&mut pulse, 1_010), Some(Beat::Ping));
        assert_eq!(at(&mut pulse, 2_010), Some(Beat::Stalled));
        assert!(
            pulse.came(Time::from_millis(2_500)),
            "it is back, and that is told"
        );
        assert!(!pulse.came(Time::from_millis(2_501)));
        assert_eq!(at(&mut pulse, 3_000), Some(Beat::Ping));
    }
}
