//! An engine for rehearsals: the same legs, wires and workers' connections, but whoever made it carries its datagrams and
//! tells it the time.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use offhook_media_sys::{Carried, Driver};

use super::seeded::Seeded;
use super::watch::Watch;
use super::worker::Stepped;
use super::{Engine, EngineSettings, MediaError};
use crate::clock::Time;

impl Engine {
    /// An engine without threads, ports, a clock and chance but that of `seed`: it takes a turn when [`Engine::step`] says so,
    /// and its datagrams go through the hands of who asks. Recording and dialling have their threads as ever.
    ///
    /// # Errors
    /// `BadConfig` for a setting outside its range, `System` if a descriptor is refused.
    pub fn in_memory(settings: EngineSettings, now: Time, seed: u64) -> Result<Self, MediaError> {
        settings.check()?;
        let settings = EngineSettings {
            threads: 1,
            ..settings
        };
        let watch = Watch::Given(AtomicU64::new(now.as_nanos()));
        let (mut engine, mut workers) = Self::build(settings, Driver::Memory, watch)?;
        engine.stepped = workers.pop().map(Mutex::new);
        engine.seeded = Some(Mutex::new(Seeded::new(seed)));
        Ok(engine)
    }

    /// One turn of an engine in memory: commands are obeyed, `arrived` datagrams taken, and what is due is done. What leaves is
    /// added to `left`.
    ///
    /// # Panics
    /// If the engine is not one in memory.
    pub fn step(&self, now: Time, arrived: Vec<Carried>, left: &mut Vec<Carried>) -> Stepped {
        let worker = self.stepped.as_ref().expect("an engine in memory");
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.watch.set(now);
        worker.step(now, arrived, left)
    }
}
