//! The engine: threads, sockets, ports. Everything else in this crate is told what happened and when.
//!
//! Python gives commands to handles ([`LegHandle`], [`WireHandle`]) and takes [`Event`]s from one queue. Each leg and wire
//! lives on one media thread ([`worker`]) for all its life, which it shares with nothing: no lock is taken, nothing is
//! allocated and no interpreter is asked for a packet.

mod awaited;
mod bridge_handle;
mod command;
mod dial;
mod error;
mod event;
mod in_memory;
mod leg_handle;
mod leg_sink;
mod leg_slot;
mod leg_voice;
mod marks;
mod mux_handle;
mod mux_slot;
mod open_leg;
mod open_wire;
mod outbox;
mod pace;
mod port_slot;
mod ports;
mod recorder;
mod recording_handle;
mod seeded;
mod settings;
mod shared;
mod slots;
mod stale;
mod stats;
mod timer;
mod tls;
mod transport;
mod watch;
mod wire_handle;
mod wire_sink;
mod wire_slot;
mod worker;

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use offhook_media_sys::{Driver, UdpOptions, Wake};
use rustls::crypto::SecureRandom;

pub use bridge_handle::{BridgeHandle, BridgeSettings};
pub use command::DigitMask;
pub use error::MediaError;
pub use event::{Event, Subject, Timings, What};
pub use leg_handle::LegHandle;
pub use mux_handle::MuxHandle;
pub use ports::{Family, PortRange, PortStats};
pub use recording_handle::{RecordingHandle, RecordingSettings};
pub use settings::{CallSettings, EngineSettings, LegSettings, WireSettings};
pub use stats::EngineStats;
pub use wire_handle::WireHandle;
pub use worker::Stepped;

use crate::vad::network::SpeechNetwork;
use crate::wire::Dialect;
use command::Command;
use dial::DialPool;
use event::EventQueue;
use ports::PortAllocator;
use recorder::Recorder;
pub(crate) use seeded::Seeded;
use shared::{Doorbell, Shared, Slot, Thread};
use stats::Counters;
use watch::Watch;
use worker::Worker;

/// Commands that may wait for a media thread.
const COMMAND_QUEUE: usize = 8192;

/// The media plane of one process.
pub struct Engine {
    shared: Arc<Shared>,
    settings: EngineSettings,
    workers: Vec<Arc<Thread>>,
    joins: Mutex<Vec<JoinHandle<()>>>,
    /// The one media thread of an engine in memory, which is none: it takes its turns when it is told to.
    stepped: Option<Mutex<Worker>>,
    /// Where its random values come from, so that each of its calls can be had again; others ask the system.
    seeded: Option<Mutex<Seeded>>,
    dials: DialPool,
    recorder: Recorder,
    random: &'static dyn SecureRandom,
    dialects: Mutex<Vec<(String, Arc<Dialect>)>>,
    next_id: AtomicU64,
    closed: AtomicBool,
}

impl Engine {
    /// Start the media threads.
    ///
    /// # Errors
    /// `BadConfig` for a setting outside its range, `System` if a thread or descriptor is refused.
    pub fn new(settings: EngineSettings) -> Result<Self, MediaError> {
        settings.check()?;
        // Else each call would be refused for want of a port.
        for &address in &settings.addresses {
            std::net::UdpSocket::bind((address, 0)).map_err(|error| {
                MediaError::BadAddress(match error.kind() {
                    io::ErrorKind::AddrNotAvailable => {
                        format!("{address} is no address of this machine for media")
                    }
                    _ => format!("media can't be received on {address}: {error}"),
                })
            })?;
        }
        let (engine, workers) = Self::build(settings, Driver::pick(), Watch::System)?;
        for (number, mut worker) in workers.into_iter().enumerate() {
            let join = thread::Builder::new()
                .name(format!("offhook-media{number}"))
                .spawn(move || worker.run())
                .map_err(|error| MediaError::System {
                    doing: "starting a media thread",
                    error,
                })?;
            engine.joins_now().push(join);
        }
        Ok(engine)
    }

    fn build(
        settings: EngineSettings,
        driver: Driver,
        watch: Watch,
    ) -> Result<(Self, Vec<Worker>), MediaError> {
        let weights = settings.speech_weights.as_deref();
        let speech = weights.map(SpeechNetwork::new).transpose();
        let speech = speech
            .map_err(|error| MediaError::BadConfig(format!("speech_weights: {error}")))?
            .map(Arc::new);
        let system = |doing| move |error| MediaError::System { doing, error };
        let options = UdpOptions {
            receive_buffer: settings.port_buffer(),
            dscp: settings.dscp,
        };
        let threads = settings.thread_count();
        let quarantine = settings.quarantine.as_nanos() as u64;
        let shared = Arc::new(Shared {
            driver,
            watch,
            events: EventQueue::new(settings.event_limit, driver)
                .map_err(system("making the event queue"))?,
            load: (0..threads).map(|_| AtomicUsize::new(0)).collect(),
            ports: Mutex::new(PortAllocator::new(
                &settings.addresses,
                settings.ports,
                quarantine,
                options,
                driver,
            )),
            counters: Counters::default(),
            speech,
            speech_counts: Arc::default(),
        });
        let mut handles: Vec<Arc<Thread>> = Vec::new();
        let mut workers = Vec::new();
        for number in 0..threads {
            let (commands, received) = sync_channel(COMMAND_QUEUE);
            let wake = Wake::new(driver).map_err(system("making a doorbell"))?;
            let doorbell = Arc::new(Doorbell {
                wake,
                rung: AtomicBool::new(false),
            });
            let place = (Arc::clone(&shared), number);
            let worker = Worker::new(place, received, Arc::clone(&doorbell))
                .map_err(system("making a poller"))?;
            workers.push(worker);
            handles.push(Arc::new(Thread {
                number,
                commands,
                doorbell,
            }));
        }
        for port in shared.ports().bind_small(threads) {
            handles[port.thread].send_surely(Command::OpenPort(port));
        }
        let provider = rustls::crypto::ring::default_provider();
        let engine = Self {
            dials: DialPool::new(settings.dial_threads, settings.dial_queue),
            recorder: Recorder::default(),
            shared,
            settings,
            workers: handles,
            joins: Mutex::default(),
            stepped: None,
            seeded: None,
            random: provider.secure_random,
            dialects: Mutex::default(),
            next_id: AtomicU64::new(1),
            closed: AtomicBool::new(false),
        };
        Ok((engine, workers))
    }

    /// Take up to `max` events, oldest first.
    #[must_use]
    pub fn drain_events(&self, max: usize) -> Vec<Event> {
        self.shared.events.drain(max)
    }

    /// Readable while events wait.
    #[must_use]
    pub fn wakeup_descriptor(&self) -> RawFd {
        self.shared.events.descriptor()
    }

    /// The counters now.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let counters = &self.shared.counters;
        let mut ports = self
            .shared
            .ports()
            .stats(self.shared.watch.now().as_nanos());
        ports.collisions += counters.collisions.load(Relaxed);
        EngineStats {
            legs: counters.legs.load(Relaxed),
            wires: counters.wires.load(Relaxed),
            muxes: counters.muxes.load(Relaxed),
            leg_capacity: if ports.ipv4 + ports.ipv6 == 0 {
                0
            } else {
                self.settings.max_legs
            },
            ports,
            events_dropped: self.shared.events.dropped(),
            receive_overflow: counters.receive_overflow.load(Relaxed),
            send_errors: counters.send_errors.load(Relaxed),
            icmp_errors: counters.icmp_errors.load(Relaxed),
            refused_packets: counters.refused.load(Relaxed),
            parked_packets: counters.parked.load(Relaxed),
            unclaimed_packets: counters.unclaimed.load(Relaxed),
            straggler_packets: counters.stragglers.load(Relaxed),
            internal_errors: counters.internal_errors.load(Relaxed),
            late_turns: counters.late_turns.load(Relaxed),
            speech_network: self.shared.speech.is_some(),
            speech_chunks: self.shared.speech_counts.judged.load(Relaxed),
            speech_refused: self.shared.speech_counts.refused.load(Relaxed),
            driver: self.shared.driver.name(),
            threads: self.workers.len(),
        }
    }

    /// End all legs and wires and join the media threads. What they still tell can be drained afterwards.
    pub fn close(&self) {
        if self.closed.swap(true, Relaxed) {
            return;
        }
        for worker in &self.workers {
            worker.send_surely(Command::Shutdown);
        }
        self.dials.close();
        self.join_all();
        if self.stepped.is_some() {
            // What its last datagrams say is nobody's business any more.
            self.step(self.shared.watch.now(), Vec::new(), &mut Vec::new());
        }
        // Legs have ended their recordings by now.
        self.recorder.close();
        self.shared.ports().clear();
    }

    fn join_all(&self) {
        for join in self.joins_now().drain(..) {
            // A thread that panicked outside a call has been counted by its silence; there is nobody to tell.
            let _ = join.join();
        }
    }

    fn joins_now(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.joins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_open(&self) -> Result<(), MediaError> {
        if self.closed.load(Relaxed) {
            Err(MediaError::Closed)
        } else {
            Ok(())
        }
    }

    fn take_slot<'a>(
        &self,
        count: &'a AtomicUsize,
        limit: usize,
        what: &'static str,
    ) -> Result<Slot<'a>, MediaError> {
        if count.fetch_add(1, Relaxed) >= limit {
            count.fetch_sub(1, Relaxed);
            return Err(MediaError::TooMany { what, limit });
        }
        Ok(Slot(count))
    }

    fn random_bytes<const N: usize>(&self) -> Result<[u8; N], MediaError> {
        let mut bytes = [0; N];
        if let Some(seeded) = &self.seeded {
            let mut seeded = seeded.lock().unwrap_or_else(PoisonError::into_inner);
            bytes.fill_with(|| seeded.next() as u8);
            return Ok(bytes);
        }
        self.random
            .fill(&mut bytes)
            .map_err(|_| MediaError::System {
                doing: "asking for randomness",
                error: io::Error::other("the system has none"),
            })?;
        Ok(bytes)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
