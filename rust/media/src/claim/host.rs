//! The hosts from which any leg of a port may learn a source.
use super::network::{Network, plain};
use super::policy::Policy;
use std::collections::HashMap;
use std::net::IpAddr;

/// Says of most strangers at once that they are nobody's, however many legs share the port.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    signalling: HashMap<IpAddr, u32>,
    networks: Vec<(Network, u32)>,
}

impl Hosts {
    pub fn add(&mut self, policy: &Policy) {
        *self.signalling.entry(plain(policy.signalling)).or_default() += 1;
        for &network in &policy.media_allow {
            match self
                .networks
                .iter_mut()
                .find(|(known, _)| *known == network)
            {
                Some((_, count)) => *count += 1,
                None => self.networks.push((network, 1)),
            }
        }
    }

    pub fn remove(&mut self, policy: &Policy) {
        let signalling = plain(policy.signalling);
        if let Some(count) = self.signalling.get_mut(&signalling) {
            *count -= 1;
            if *count == 0 {
                self.signalling.remove(&signalling);
            }
        }
        for network in &policy.media_allow {
            if let Some(at) = self.networks.iter().position(|(known, _)| known == network) {
                self.networks[at].1 -= 1;
                if self.networks[at].1 == 0 {
                    self.networks.swap_remove(at);
                }
            }
        }
    }

    /// Whether media of this host may belong to a leg; an IPv4 address in plain form.
    pub fn may_be_learned(&self, host: IpAddr) -> bool {
        self.signalling.contains_key(&host)
            || self
                .networks
                .iter()
                .any(|(network, _)| network.contains(host))
    }
}
