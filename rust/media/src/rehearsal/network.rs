//! A network in one direction: what it loses, in bursts, how long it takes, and what it swaps and doubles, by chance from a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use offhook_media_sys::Carried;

use crate::clock::Time;
use crate::engine::Seeded;

/// Datagrams under way at most; more are lost.
const MOST_UNDER_WAY: usize = 4096;
/// The longest extra delay, in means of it: the tail of the exponential is cut there.
const LONGEST_JITTER: f64 = 5.0;

/// What a network does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkProfile {
    /// How long it takes at least.
    pub delay: Duration,
    /// How much longer on average; each datagram by chance, most less, few much more.
    pub jitter: Duration,
    /// The share that is lost, 0 to 1.
    pub loss: f64,
    /// How many are lost at a time on average, 1 or more.
    pub burst: f64,
    /// The share that may overtake what was sent before.
    pub reorder: f64,
    /// The share that comes twice.
    pub duplicate: f64,
}

impl Default for NetworkProfile {
    /// 20 ms, and nothing is lost.
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(20),
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: 1.0,
            reorder: 0.0,
            duplicate: 0.0,
        }
    }
}

/// What it has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carriage {
    /// Datagrams that were given to it.
    pub sent: u64,
    /// Of those, the ones that never arrive.
    pub lost: u64,
}

/// One direction of a network.
#[derive(Debug)]
pub struct Network {
    profile: NetworkProfile,
    random: Seeded,
    losing: bool,
    /// What arrives when, in the order of its time and then of its number.
    under_way: BTreeMap<(Time, u64), Carried>,
    number: u64,
    last: Time,
    carriage: Carriage,
}

impl Network {
    /// A network with nothing under way.
    pub fn new(profile: NetworkProfile, seed: u64) -> Self {
        Self {
            profile,
            random: Seeded::new(seed),
            losing: false,
            under_way: BTreeMap::new(),
            number: 0,
            last: Time::ZERO,
            carriage: Carriage::default(),
        }
    }

    /// What it has done so far.
    pub fn carriage(&self) -> Carriage {
        self.carriage
    }

    /// A datagram is sent.
    pub fn send(&mut self, now: Time, datagram: Carried) {
        self.carriage.sent += 1;
        if self.loses() || self.under_way.len() >= MOST_UNDER_WAY {
            self.carriage.lost += 1;
            return;
        }
        let more = (-(1.0 - self.random.unit()).ln()).min(LONGEST_JITTER);
        let mut at = now + self.profile.delay + self.profile.jitter.mul_f64(more);
        if self.random.unit() >= self.profile.reorder {
            at = at.max(self.last);
            self.last = at;
        }
        if self.random.unit() < self.profile.duplicate {
            self.enter(at + Duration::from_millis(1), datagram.clone());
        }
        self.enter(at, datagram);
    }

    /// What has arrived by now, in order.
    pub fn arrived(&mut self, now: Time) -> Vec<Carried> {
        let later = self.under_way.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.under_way, later)
            .into_values()
            .collect()
    }

    /// When the next datagram arrives.
    pub fn next(&self) -> Option<Time> {
        self.under_way.keys().next().map(|&(at, _)| at)
    }

    fn enter(&mut self, at: Time, datagram: Carried) {
        self.number += 1;
        self.under_way.insert((at, self.number), datagram);
    }

    /// Two states, one in which everything is lost (Gilbert): the mean share and the mean length are those of the profile.
    fn loses(&mut self) -> bool {
        let NetworkProfile { loss, burst, .. } = self.profile;
        let chance = if self.losing {
            1.0 - 1.0 / burst.max(1.0)
        } else if loss < 1.0 {
            loss / (burst.max(1.0) * (1.0 - loss))
        } else {
            1.0
        };
        // Without a loss no chance is asked: what follows is the same as on a clean line.
        self.losing = loss > 0.0 && self.random.unit() < chance;
        self.losing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(number: u32) -> Carried {
        Carried {
            from: ([192, 0, 2, 1], 4000).into(),
            to: ([192, 0, 2, 2], 4000).into(),
            bytes: number.to_be_bytes().to_vec(),
        }
    }

    fn carried(profile: NetworkProfile, seed: u64, count: u32) -> (Vec<(Time, u32)>, Carriage) {
        let mut network = Network::new(profile, seed);
        let mut came = Vec::new();
        let mut take = |network: &mut Network, until: Time| {
            while let Some(at) = network.next().filter(|at| *at <= until) {
                for datagram in network.arrived(at) {
                    let bytes = datagram.bytes.try_into().expect("four");
                    came.push((at, u32::from_be_bytes(bytes)));
                }
            }
        };
        for number in 0..count {
            let now = Time::from_millis(u64::from(number) * 20);
            take(&mut network, now);
            network.send(now, datagram(number));
        }
        take(&mut network, Time::from_nanos(u64::MAX));
        let carriage = network.carriage();
        (came, carriage)
    }

    #[test]
    fn a_clean_network_takes_its_time_and_nothing_else() {
        let (came, carriage) = carried(NetworkProfile::default(), 1, 500);
        let expected =
            (0..500).map(|number| (Time::from_millis(u64::from(number) * 20 + 20), number));
        assert!(came.into_iter().eq(expected));
        assert_eq!(carriage, Carriage { sent: 500, lost: 0 });
    }

    #[test]
    fn it_loses_its_share_in_bursts_of_its_length() {
        let profile = NetworkProfile {
            loss: 0.1,
            burst: 4.0,
            ..NetworkProfile::default()
        };
        let (came, carriage) = carried(profile, 7, 50_000);
        let lost = carriage.lost as f64 / carriage.sent as f64;
        assert!((0.085..0.115).contains(&lost), "{lost}");
        let bursts = came
            .windows(2)
            .filter(|two| two[1].1 != two[0].1 + 1)
            .count();
        let length = carriage.lost as f64 / bursts as f64;
        assert!((3.4..4.6).contains(&length), "{length}");
    }

    #[test]
    fn what_is_late_keeps_its_place_unless_it_may_be_overtaken() {
        let jitter = NetworkProfile {
            jitter: Duration::from_millis(30),
            ..NetworkProfile::default()
        };
        let in_order = |came: &[(Time, u32)]| came.windows(2).all(|two| two[0].1 < two[1].1);
        assert!(in_order(&carried(jitter, 3, 2_000).0));
        let swapped = NetworkProfile {
            reorder: 0.5,
            ..jitter
        };
        let (came, carriage) = carried(swapped, 3, 2_000);
        assert!(!in_order(&came) && carriage.lost == 0);
        let doubled = NetworkProfile {
            duplicate: 0.25,
            ..jitter
        };
        let (came, _) = carried(doubled, 3, 2_000);
        assert!((2_400..2_600).contains(&came.len()), "{}", came.len());
    }

    #[test]
    fn one_seed_is_one_network() {
        let profile = NetworkProfile {
            jitter: Duration::from_millis(30),
            loss: 0.05,
            burst: 2.0,
            reorder: 0.1,
            duplicate: 0.01,
            ..NetworkProfile::default()
        };
        assert_eq!(carried(profile, 5, 500), carried(profile, 5, 500));
        assert_ne!(carried(profile, 5, 500).0, carried(profile, 6, 500).0);
    }
}
