//! A call over a line that is nowhere: the gateway's engine and that of a telephone, both in memory, and between them a network
//! that loses and delays as a seed says. Time is an argument, so a call of minutes takes moments and is the same each time.

mod network;

use std::sync::Arc;

use offhook_media_sys::Carried;

use crate::clock::{Time, earliest};
use crate::engine::{Engine, EngineSettings, MediaError, Stepped};

pub use network::{Carriage, Network, NetworkProfile};

/// Turns that take no time at most, one after the other: more would be a circle.
const MOST_TURNS_AT_ONCE: u32 = 10_000;

/// The two engines and the network between them.
pub struct Line {
    gateway: Arc<Engine>,
    phone: Arc<Engine>,
    to_gateway: Network,
    to_phone: Network,
    now: Time,
    left: Vec<Carried>,
}

impl Line {
    /// A line whose time begins at `now`. The network is the same both ways, but for its chances.
    ///
    /// # Errors
    /// As [`Engine::in_memory`].
    pub fn new(
        gateway: EngineSettings,
        phone: EngineSettings,
        profile: NetworkProfile,
        seed: u64,
        now: Time,
    ) -> Result<Self, MediaError> {
        Ok(Self {
            gateway: Arc::new(Engine::in_memory(gateway, now, seed)?),
            phone: Arc::new(Engine::in_memory(phone, now, seed.wrapping_add(1))?),
            to_gateway: Network::new(profile, seed.wrapping_add(2)),
            to_phone: Network::new(profile, seed.wrapping_add(3)),
            now,
            left: Vec::new(),
        })
    }

    /// The engine of the gateway's side.
    pub fn gateway(&self) -> &Arc<Engine> {
        &self.gateway
    }

    /// The engine of the telephone.
    pub fn phone(&self) -> &Arc<Engine> {
        &self.phone
    }

    /// What the network has done so far: to the gateway, to the phone.
    pub fn carriage(&self) -> (Carriage, Carriage) {
        (self.to_gateway.carriage(), self.to_phone.carriage())
    }

    /// Let time go on up to `until`, or until there is something to be heard of an engine or on a worker's connection,
    /// whichever is first; the result is the time then. What has been done until now takes effect first.
    pub fn run(&mut self, until: Time) -> Time {
        let mut turns = 0;
        loop {
            let (next, told) = self.step();
            if told {
                return self.now;
            }
            match next.map(|next| next.max(self.now)) {
                Some(next) if next <= until && turns < MOST_TURNS_AT_ONCE => {
                    turns = if next == self.now { turns + 1 } else { 0 };
                    self.now = next;
                }
                _ => {
                    self.now = self.now.max(until);
                    return self.now;
                }
            }
        }
    }

    /// One turn of both engines; when the next is due, and whether there is something to be heard.
    fn step(&mut self) -> (Option<Time>, bool) {
        let now = self.now;
        let mut turn = |engine: &Engine, inward: &mut Network, outward: &mut Network| -> Stepped {
            let stepped = engine.step(now, inward.arrived(now), &mut self.left);
            self.left
                .drain(..)
                .for_each(|datagram| outward.send(now, datagram));
            stepped
        };
        let phone = turn(&self.phone, &mut self.to_phone, &mut self.to_gateway);
        let gateway = turn(&self.gateway, &mut self.to_gateway, &mut self.to_phone);
        let engines = earliest(phone.next, gateway.next);
        let network = earliest(self.to_phone.next(), self.to_gateway.next());
        (earliest(engines, network), phone.told || gateway.told)
    }
}
