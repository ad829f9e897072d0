//! Who may be confused with whom on one port.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::claim::{Policy, SharedLatch, plain_address};

/// What is known of a leg's far side when it needs a port.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The address in its SDP; `None` where our offer goes first.
    pub remote: Option<SocketAddr>,
    /// What its trunk says of its sources; `None` means that it could be anybody.
    pub policy: Option<Policy>,
}

impl Expected {
    /// Whether its source may have to be learned.
    pub fn must_learn(&self) -> bool {
        match &self.policy {
            Some(policy) => policy.must_learn(self.remote),
            None => true,
        }
    }

    fn shares_hosts(&self, other: &Expected) -> bool {
        match (&self.policy, &other.policy) {
            (Some(mine), Some(theirs)) => mine.shares_hosts(theirs),
            _ => true,
        }
    }
}

/// A leg on a port.
#[derive(Debug)]
pub(super) struct Tenant {
    /// Its id.
    pub leg: u64,
    pub expected: Expected,
    /// Where it is asked to go on to, while the answer that says so is under way.
    pub next_remote: Option<SocketAddr>,
    /// Written by the thread that reads the port.
    pub latch: Arc<SharedLatch>,
}

/// Why two legs can't share a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflict {
    /// They have the same remote address and port: no packet would tell them apart.
    Collision,
    /// Neither would it tell whose it is as long as one of them has not been heard.
    Confusion,
}

impl Tenant {
    /// What stands against a newcomer beside this leg.
    pub fn conflict(&self, newcomer: &Expected) -> Option<Conflict> {
        if newcomer.remote.is_some_and(|remote| self.is_at(remote)) {
            return Some(Conflict::Collision);
        }
        let learns = newcomer.must_learn() || self.expected.must_learn();
        let confused = learns && !self.latch.is_latched() && self.expected.shares_hosts(newcomer);
        confused.then_some(Conflict::Confusion)
    }

    /// Whether its media comes from `remote`, by SDP or as it was learned.
    pub fn is_at(&self, remote: SocketAddr) -> bool {
        let remote = plain_address(remote);
        let named = [self.expected.remote, self.next_remote];
        named
            .into_iter()
            .flatten()
            .map(plain_address)
            .any(|known| known == remote)
            || self.latch.is(remote)
    }
}
