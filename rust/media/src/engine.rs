//! The engine: threads, sockets, ports. Everything else in this crate is told what happened and when.
//!
//! Python gives commands to handles ([`LegHandle`], [`WireHandle`]) and takes [`Event`]s from one queue. Each leg and wire
//! lives on one media thread ([`worker`]) for all its life, which it shares with nothing: no lock is taken, nothing is
//! allocated and no interpreter is asked for a packet.

mod awaited;
mod command;
mod dial;
mod error;
mod event;
mod in_memory;
mod leg_handle;
mod leg_sink;
mod leg_slot;
mod marks;
mod mux_handle;
mod mux_slot;
mod outbox;
mod pace;
mod port_slot;
mod ports;
mod recorder;
mod recording_handle;
mod seeded;
mod settings;
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
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use offhook_media_sys::{Driver, UdpOptions, Wake};
use rustls::crypto::SecureRandom;

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

use crate::claim::Policy;
use crate::clock::Time;
use crate::leg::{Leg, LegConfig};
use crate::playout::PlayoutConfig;
use crate::recorder::{Recording, RecordingConfig};
use crate::vad::listeners::SpeechCounts;
use crate::vad::network::SpeechNetwork;
use crate::wire::mux::{Mux, MuxLimits};
use crate::wire::upgrade::{Upgrade, UpgradeRequest};
use crate::wire::{AgentUrl, Dialect, Framing, Wire, WireConfig, WireLimits};
use command::{Command, LegCommand, NewLeg, NewMux, NewWire};
use dial::{Dial, DialPool};
use event::{Backlog, EventQueue};
use leg_handle::{Place, Spot};
use ports::{Expected, Left, PortAllocator, PortId, PortRequest};
use recorder::Recorder;
pub(crate) use seeded::Seeded;
use stats::Counters;
use tls::Trust;
use watch::Watch;
use worker::Worker;

/// Commands that may wait for a media thread.
const COMMAND_QUEUE: usize = 8192;
/// After the last frame of a drained queue the peer's own buffer plays for about so long.
const DRAIN_LINGER: Duration = Duration::from_millis(100);
/// Seconds from 1900, where NTP begins, to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;
/// Connections of workers at most.
const MAX_MUXES: usize = 1024;
/// Of many calls together more may be under way, but what waits in the system can't be dropped any more.
const MUX_SEND_BUFFER: usize = 256 << 10;
/// Bytes of messages about a worker itself that may wait for Python.
const MUX_TEXTS: usize = 1 << 20;
/// Compiled dialects that are kept for the next wire.
const KEPT_DIALECTS: usize = 16;

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

/// What the media threads and the engine's callers have in common.
struct Shared {
    driver: Driver,
    watch: Watch,
    events: EventQueue,
    ports: Mutex<PortAllocator>,
    /// Legs of each media thread.
    load: Vec<AtomicUsize>,
    counters: Counters,
    /// What tells speech from noise, for all threads.
    speech: Option<Arc<SpeechNetwork>>,
    speech_counts: Arc<SpeechCounts>,
}

/// How a media thread is told that commands wait.
struct Doorbell {
    wake: Wake,
    rung: AtomicBool,
}

struct Thread {
    number: usize,
    commands: SyncSender<Command>,
    doorbell: Arc<Doorbell>,
}

impl Doorbell {
    fn descriptor(&self) -> RawFd {
        self.wake.descriptor()
    }

    fn ring(&self) {
        if !self.rung.swap(true, AcqRel) {
            self.wake.wake();
        }
    }

    /// Before the commands are looked at, so that one that comes meanwhile rings anew.
    fn reset(&self) {
        self.wake.reset();
        self.rung.swap(false, AcqRel);
    }
}

impl Thread {
    fn send(&self, command: Command) -> Result<(), MediaError> {
        match self.commands.try_send(command) {
            Ok(()) => {
                self.doorbell.ring();
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(MediaError::Overloaded),
            // The engine has been closed, and with it all that a command could do.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }

    /// For what must not be lost: waits while the queue is full, which a media thread empties in a moment.
    fn send_surely(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.doorbell.ring();
        }
    }
}

impl Shared {
    fn ports(&self) -> MutexGuard<'_, PortAllocator> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave_port(&self, port: PortId, leg: u64, now: Time) -> Left {
        self.ports().leave(port, leg, now.as_nanos())
    }

    fn loads(&self) -> Vec<usize> {
        let load = self.load.iter();
        load.map(|legs| legs.load(Relaxed)).collect()
    }
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

    /// Give a leg a port on which it can be told apart, on the least busy media thread or that of `beside`.
    ///
    /// # Errors
    /// `NoPort`, `NoFamily`, `TooMany`, `Closed`, `Overloaded` or `System`.
    pub fn open_leg(
        &self,
        settings: &LegSettings,
        beside: Option<&LegHandle>,
    ) -> Result<LegHandle, MediaError> {
        self.check_open()?;
        let slot = self.take_slot(&self.shared.counters.legs, self.settings.max_legs, "legs")?;
        let now = self.shared.watch.now();
        let id = self.next_id.fetch_add(1, Relaxed);
        let leg = Leg::new(self.leg_config(settings, now.as_nanos())?, now);
        let stats = leg.shared_stats();
        let expected = Expected {
            remote: settings.remote,
            policy: settings.policy.clone(),
        };
        let request = PortRequest {
            leg: id,
            family: settings.family(&self.settings.addresses),
            expected: expected.clone(),
            thread: beside.map(|leg| leg.thread.number),
            load: &self.shared.loads(),
        };
        let mut ports = self.shared.ports();
        if let Some(own) = settings.sdp_address {
            ports.tell_own(own);
        }
        let placement = ports.open(request, now.as_nanos())?;
        drop(ports);
        let thread = Arc::clone(&self.workers[placement.port.thread]);
        let current = Spot::of(&placement.port);
        let new = NewLeg {
            id,
            placement,
            policy: settings.policy.clone().unwrap_or_else(Policy::nobody),
            source: settings.source(),
            leg,
        };
        self.shared.load[thread.number].fetch_add(1, Relaxed);
        if let Err(error) = thread.send(Command::OpenLeg(Box::new(new))) {
            self.shared.load[thread.number].fetch_sub(1, Relaxed);
            self.shared.leave_port(current.id, id, now);
            return Err(error);
        }
        std::mem::forget(slot);
        Ok(LegHandle {
            id,
            shared: Arc::clone(&self.shared),
            thread,
            stats,
            place: Mutex::new(Place {
                current,
                next: None,
                expected,
            }),
            closed: AtomicBool::new(false),
        })
    }

    /// Dial an agent; an event tells how it went.
    ///
    /// # Errors
    /// `BadUrl`, `BadConfig`, `TooMany`, `Closed` or `Overloaded`.
    pub fn open_wire(
        &self,
        settings: &WireSettings,
        leg: &LegHandle,
    ) -> Result<WireHandle, MediaError> {
        self.check_open()?;
        let url = AgentUrl::parse(&settings.url)
            .map_err(|error| MediaError::BadUrl(error.to_string()))?;
        let bad = |error: &dyn std::fmt::Display| MediaError::BadConfig(error.to_string());
        let dialect = self.dialect(&settings.dialect)?;
        let formats = dialect
            .formats(&settings.format)
            .map_err(|error| bad(&error))?;
        let subprotocols: Vec<&str> = if settings.subprotocols.is_empty() {
            dialect.subprotocol().into_iter().collect()
        } else {
            settings.subprotocols.iter().map(String::as_str).collect()
        };
        let headers: Vec<(&str, &str)> = settings
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let (request, upgrade) = Upgrade::request(&UpgradeRequest {
            url: &url,
            key: self.random_bytes()?,
            subprotocols: &subprotocols,
            required_subprotocol: dialect.subprotocol(),
            origin: settings.origin.as_deref(),
            headers: &headers,
            user_agent: concat!("offhook/", env!("CARGO_PKG_VERSION")),
        })
        .map_err(|error| bad(&error))?;
        let limits = WireLimits {
            max_outgoing_audio: settings.send_limit,
            ping_interval: (!settings.ping_interval.is_zero()).then_some(settings.ping_interval),
            pong_timeout: settings.pong_timeout,
            ..WireLimits::default()
        };
        let config = WireConfig {
            dialect,
            values: settings.values.clone(),
            formats,
            mask_seed: self.random_bytes()?,
            limits,
        };
        let wire = Wire::new(config, self.shared.watch.now()).map_err(|error| bad(&error))?;
        let slot = self.take_slot(
            &self.shared.counters.wires,
            self.settings.max_wires,
            "wires",
        )?;
        let id = self.next_id.fetch_add(1, Relaxed);
        let stats = Arc::clone(wire.stats());
        let cancelled = Arc::new(AtomicBool::new(false));
        let new = NewWire {
            id,
            leg: leg.id,
            wire,
            cancelled: Arc::clone(&cancelled),
            total_timeout: settings.total_timeout,
            credit_ms: None,
            backlog: Backlog::default(),
            text_limit: settings.text_limit,
        };
        leg.thread.send(Command::OpenWire(Box::new(new)))?;
        std::mem::forget(slot);
        let trust = match &settings.tls_ca {
            _ if !settings.tls_verify => Trust::Anybody,
            Some(file) => Trust::File(file.clone()),
            None => Trust::System,
        };
        let dial = Dial {
            url,
            trust,
            request,
            upgrade,
            step: settings.step_timeout,
            total: settings.total_timeout,
            cancelled,
        };
        let thread = Arc::clone(&leg.thread);
        self.dials.submit(
            dial,
            Box::new(move |outcome| thread.send_surely(Command::Dialled(id, Box::new(outcome)))),
        );
        Ok(WireHandle {
            id,
            thread: Arc::clone(&leg.thread),
            stats,
            closed: AtomicBool::new(false),
        })
    }

    /// Begin to record what a leg hears and sends, to a file that another thread writes; events tell the rest.
    ///
    /// # Errors
    /// `BadConfig`, `Closed`, `Overloaded` or `System`.
    pub fn record(
        &self,
        settings: &RecordingSettings,
        leg: &LegHandle,
    ) -> Result<RecordingHandle, MediaError> {
        self.check_open()?;
        settings.check()?;
        let id = self.next_id.fetch_add(1, Relaxed);
        let (tap, recording) = Recording::new(&RecordingConfig {
            format: settings.format,
            rate: settings.rate,
            seal: settings.seal.clone(),
        });
        // First the leg, which may have no room for the command: a tap that is let go of ends its recording.
        leg.thread
            .send(Command::Leg(leg.id, LegCommand::Record(id, Box::new(tap))))?;
        let new = recorder::New {
            id,
            path: settings.path.clone(),
            recording,
        };
        self.recorder
            .add(new, &self.shared)
            .map_err(|error| MediaError::System {
                doing: "starting the recorder's thread",
                error,
            })?;
        Ok(RecordingHandle {
            id,
            leg: leg.id,
            thread: Arc::clone(&leg.thread),
        })
    }

    /// Take over the connection of a worker whose upgrade has been judged: `answer` goes out first, then it is served on
    /// media thread number `thread`. `socket` is non-blocking from here on; it stays the caller's to close, which ends
    /// nothing.
    ///
    /// # Errors
    /// `TooMany`, `BadConfig` for a thread that isn't, `System`, `Closed` or `Overloaded`.
    pub fn open_mux(
        &self,
        socket: RawFd,
        answer: &[u8],
        thread: usize,
    ) -> Result<MuxHandle, MediaError> {
        self.check_open()?;
        let thread = self
            .workers
            .get(thread)
            .ok_or_else(|| MediaError::BadConfig(format!("there is no media thread {thread}")))?;
        let stream = offhook_media_sys::share_stream(socket)
            .and_then(|stream| stream.set_nonblocking(true).map(|()| stream))
            .map_err(|error| MediaError::System {
                doing: "taking over a worker's connection",
                error,
            })?;
        let _ = stream.set_nodelay(true);
        offhook_media_sys::shrink_send_buffer(&stream, MUX_SEND_BUFFER);
        let slot = self.take_slot(
            &self.shared.counters.muxes,
            MAX_MUXES,
            "connections of workers",
        )?;
        let id = self.next_id.fetch_add(1, Relaxed);
        let now = self.shared.watch.now();
        let mux = Mux::new(MuxLimits::default(), answer, now);
        let stats = Arc::clone(mux.stats());
        thread.send(Command::OpenMux(Box::new(NewMux {
            id,
            stream,
            mux,
            backlog: Backlog::default(),
            text_limit: MUX_TEXTS,
        })))?;
        std::mem::forget(slot);
        Ok(MuxHandle {
            id,
            thread: Arc::clone(thread),
            stats,
            closed: AtomicBool::new(false),
        })
    }

    /// Begin a call on a worker's connection; an event tells that it has begun, or why not.
    ///
    /// # Errors
    /// `WrongThread` if the connection is not on the leg's thread, `BadConfig`, `TooMany`, `Closed` or `Overloaded`.
    pub fn open_call(
        &self,
        settings: &CallSettings,
        mux: &MuxHandle,
        leg: &LegHandle,
    ) -> Result<WireHandle, MediaError> {
        self.check_open()?;
        if mux.thread.number != leg.thread.number {
            return Err(MediaError::WrongThread);
        }
        let bad = |error: &dyn std::fmt::Display| MediaError::BadConfig(error.to_string());
        let dialect = self.dialect(&settings.dialect)?;
        if dialect.framing() != Framing::Binary {
            return Err(bad(
                &"a worker's audio is binary, and this dialect's is base64",
            ));
        }
        let formats = dialect
            .formats(&settings.format)
            .map_err(|error| bad(&error))?;
        let limits = WireLimits {
            max_outgoing_audio: settings.send_limit,
            ping_interval: None,
            ..WireLimits::default()
        };
        let config = WireConfig {
            dialect,
            values: Vec::new(),
            formats,
            // Its connection is dialled by the worker, so nothing of it is masked.
            mask_seed: [0; 16],
            limits,
        };
        let wire = Wire::new(config, self.shared.watch.now()).map_err(|error| bad(&error))?;
        let slot = self.take_slot(
            &self.shared.counters.wires,
            self.settings.max_wires,
            "wires",
        )?;
        let id = self.next_id.fetch_add(1, Relaxed);
        let stats = Arc::clone(wire.stats());
        let new = NewWire {
            id,
            leg: leg.id,
            wire,
            cancelled: Arc::default(),
            total_timeout: Duration::ZERO,
            credit_ms: settings.credit_ms,
            backlog: Backlog::default(),
            text_limit: settings.text_limit,
        };
        leg.thread.send(Command::OpenCall(Box::new(new), mux.id))?;
        std::mem::forget(slot);
        Ok(WireHandle {
            id,
            thread: Arc::clone(&leg.thread),
            stats,
            closed: AtomicBool::new(false),
        })
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

    fn leg_config(&self, settings: &LegSettings, now_ns: u64) -> Result<LegConfig, MediaError> {
        let random: [u8; 34] = self.random_bytes()?;
        let word = |at: usize| {
            u32::from_be_bytes([random[at], random[at + 1], random[at + 2], random[at + 3]])
        };
        let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let zero = wall.saturating_sub(Duration::from_nanos(now_ns));
        let fraction = (u64::from(zero.subsec_nanos()) << 32) / 1_000_000_000;
        Ok(LegConfig {
            ssrc: word(0),
            // In the lower half: the first rollover is far, and SRTP counts them (RFC 3711 section 3.3.1).
            first_sequence: u16::from_be_bytes([random[4], random[5]]) & 0x7fff,
            first_timestamp: word(6),
            seed: long(10),
            // 96 random bits, which RFC 7022 section 4.2 wants of a short-lived name.
            cname: if settings.cname.is_empty() {
                format!("{:016x}{:08x}", long(18), word(26))
            } else {
                settings.cname.clone()
            },
            ntp_at_zero: (zero.as_secs() + NTP_TO_UNIX) << 32 | fraction,
            media_timeout: settings.media_timeout,
            drain_linger: DRAIN_LINGER,
            policy: settings.policy.clone().unwrap_or_else(Policy::nobody),
            playout: PlayoutConfig {
                capacity: settings.playout_limit,
                ..PlayoutConfig::default()
            },
        })
    }

    fn dialect(&self, description: &str) -> Result<Arc<Dialect>, MediaError> {
        let mut kept = self.dialects.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, dialect)) = kept.iter().find(|(known, _)| known == description) {
            return Ok(Arc::clone(dialect));
        }
        let dialect = Arc::new(
            Dialect::parse(description)
                .map_err(|error| MediaError::BadConfig(error.to_string()))?,
        );
        if kept.len() == KEPT_DIALECTS {
            kept.remove(0);
        }
        kept.push((description.to_owned(), Arc::clone(&dialect)));
        Ok(dialect)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

/// A place among the legs or wires, given back unless it is forgotten.
struct Slot<'a>(&'a AtomicUsize);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
