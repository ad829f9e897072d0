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
mod leg_sink;
mod leg_slot;
mod marks;
mod outbox;
mod pace;
mod ports;
mod settings;
mod slots;
mod timer;
mod tls;
mod transport;
mod wire_sink;
mod wire_slot;
mod worker;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use offhook_media_sys::{Driver, UdpOptions, Wake, monotonic_ns};
use rustls::crypto::SecureRandom;

pub use error::MediaError;
pub use event::{Event, Subject, Timings, What};
pub use ports::PortRange;
pub use settings::{EngineSettings, LegSettings, WireSettings};

use crate::claim::Policy;
use crate::clock::Time;
use crate::leg::{Leg, LegConfig, RemoteMedia};
use crate::playout::PlayoutConfig;
use crate::stats::LegStats;
use crate::telephone_event::Digit;
use crate::wire::upgrade::{Upgrade, UpgradeRequest};
use crate::wire::{AgentUrl, Dialect, Wire, WireConfig, WireLimits, WireStats};
use command::{Command, LegCommand, NewLeg, NewWire, Prompt, WireCommand};
use dial::{Dial, DialPool};
use event::{Backlog, EventQueue};
use ports::{PortAllocator, PortError};
use tls::Trust;
use worker::Worker;

/// Commands that may wait for a media thread.
const COMMAND_QUEUE: usize = 8192;
/// After the last frame of a drained queue the peer's own buffer plays for about so long.
const DRAIN_LINGER: Duration = Duration::from_millis(100);
/// Seconds from 1900, where NTP begins, to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;
/// Compiled dialects that are kept for the next wire.
const KEPT_DIALECTS: usize = 16;

/// The media plane of one process.
pub struct Engine {
    shared: Arc<Shared>,
    settings: EngineSettings,
    workers: Vec<Arc<Thread>>,
    joins: Mutex<Vec<JoinHandle<()>>>,
    dials: DialPool,
    random: &'static dyn SecureRandom,
    dialects: Mutex<Vec<(String, Arc<Dialect>)>>,
    next_id: AtomicU64,
    closed: AtomicBool,
}

/// What the media threads and the engine's callers have in common.
struct Shared {
    driver: Driver,
    events: EventQueue,
    ports: Mutex<PortAllocator>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    legs: AtomicUsize,
    wires: AtomicUsize,
    receive_overflow: AtomicU64,
    receive_buffer: AtomicUsize,
    send_errors: AtomicU64,
    icmp_errors: AtomicU64,
    internal_errors: AtomicU64,
    late_turns: AtomicU64,
}

/// How a media thread is told that commands wait.
struct Doorbell {
    wake: Wake,
    rung: AtomicBool,
    /// Legs of this thread, by which the least busy one is chosen.
    calls: AtomicUsize,
}

struct Thread {
    number: usize,
    commands: SyncSender<Command>,
    doorbell: Arc<Doorbell>,
}

/// The engine's counters and gauges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStats {
    /// Open legs.
    pub legs: usize,
    /// Open wires, those being dialled included.
    pub wires: usize,
    /// Legs that the port range and the limit of legs allow per local address.
    pub leg_capacity: usize,
    /// Port pairs that rest.
    pub ports_quarantined: usize,
    /// Droppable events that Python was too slow for.
    pub events_dropped: u64,
    /// Packets that the system dropped because a socket's buffer was full.
    pub receive_overflow: u64,
    /// The smallest receive buffer that the system has given; 0 before the first leg.
    pub receive_buffer: usize,
    /// Packets that the system refused to send.
    pub send_errors: u64,
    /// ICMP errors for our packets.
    pub icmp_errors: u64,
    /// Calls ended by a bug of ours.
    pub internal_errors: u64,
    /// Turns of a media thread that began more than 5 ms late.
    pub late_turns: u64,
    /// `linux` or `portable`.
    pub driver: &'static str,
    /// Media threads.
    pub threads: usize,
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

    fn release_ports(&self, address: SocketAddr, now_ns: u64) {
        self.ports().release(address, now_ns);
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
        std::net::UdpSocket::bind((settings.address, 0)).map_err(|error| {
            MediaError::BadAddress(match error.kind() {
                io::ErrorKind::AddrNotAvailable => {
                    format!(
                        "{} is no address of this machine for media",
                        settings.address
                    )
                }
                _ => format!("media can't be received on {}: {error}", settings.address),
            })
        })?;
        let system = |doing| move |error| MediaError::System { doing, error };
        let driver = Driver::pick();
        let options = UdpOptions {
            receive_buffer: settings.receive_buffer,
            dscp: settings.dscp,
        };
        let quarantine = settings.quarantine.as_nanos() as u64;
        let shared = Arc::new(Shared {
            driver,
            events: EventQueue::new(settings.event_limit, driver)
                .map_err(system("making the event queue"))?,
            ports: Mutex::new(PortAllocator::new(
                settings.ports,
                quarantine,
                options,
                driver,
            )),
            counters: Counters::default(),
        });
        let mut workers = Vec::new();
        let mut joins = Vec::new();
        for number in 0..settings.thread_count() {
            let (commands, received) = sync_channel(COMMAND_QUEUE);
            let wake = Wake::new(driver).map_err(system("making a doorbell"))?;
            let doorbell = Arc::new(Doorbell {
                wake,
                rung: AtomicBool::new(false),
                calls: AtomicUsize::new(0),
            });
            let mut worker = Worker::new(Arc::clone(&shared), received, Arc::clone(&doorbell))
                .map_err(system("making a poller"))?;
            let join = thread::Builder::new()
                .name(format!("offhook-media{number}"))
                .spawn(move || worker.run())
                .map_err(system("starting a media thread"))?;
            joins.push(join);
            workers.push(Arc::new(Thread {
                number,
                commands,
                doorbell,
            }));
        }
        let provider = rustls::crypto::ring::default_provider();
        Ok(Self {
            dials: DialPool::new(settings.dial_threads, settings.dial_queue),
            shared,
            settings,
            workers,
            joins: Mutex::new(joins),
            random: provider.secure_random,
            dialects: Mutex::default(),
            next_id: AtomicU64::new(1),
            closed: AtomicBool::new(false),
        })
    }

    /// Bind a port pair and put a leg on the least busy media thread, or on that of `beside`.
    ///
    /// # Errors
    /// `NoPort`, `BadAddress`, `TooMany`, `Closed`, `Overloaded` or `System`.
    pub fn open_leg(
        &self,
        settings: &LegSettings,
        beside: Option<&LegHandle>,
    ) -> Result<LegHandle, MediaError> {
        self.check_open()?;
        let _slot = self.take_slot(&self.shared.counters.legs, self.settings.max_legs, "legs")?;
        let now_ns = monotonic_ns();
        let own = self.settings.address;
        let address = settings.first_choice(own).unwrap_or(own);
        let mut ports = self.shared.ports();
        let mut opened = ports.open(address, now_ns);
        if let Err(PortError::Address(_)) = opened
            && settings.address.is_none()
        {
            // SDP names an address that only a router in front of us has.
            opened = ports.open(own, now_ns);
        }
        drop(ports);
        let sockets = opened.map_err(|error| match error {
            PortError::Exhausted {
                in_use,
                quarantined,
                taken,
            } => MediaError::NoPort {
                in_use,
                quarantined,
                taken,
            },
            PortError::Address(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                MediaError::BadAddress(format!("{address} is no address of this host"))
            }
            PortError::Address(error) => MediaError::System {
                doing: "binding a media port",
                error,
            },
        })?;
        let given = sockets
            .rtp
            .receive_buffer()
            .min(sockets.rtcp.receive_buffer());
        let smallest = &self.shared.counters.receive_buffer;
        let _ = smallest.fetch_update(Relaxed, Relaxed, |seen| {
            (seen == 0 || given < seen).then_some(given)
        });
        let local = sockets.address;
        let thread = match beside {
            Some(leg) => Arc::clone(&leg.thread),
            None => {
                let least = self
                    .workers
                    .iter()
                    .min_by_key(|thread| thread.doorbell.calls.load(Relaxed));
                Arc::clone(least.expect("an engine has a thread"))
            }
        };
        let id = self.next_id.fetch_add(1, Relaxed);
        let built = self
            .leg_config(settings, now_ns)
            .map(|config| Leg::new(config, Time::from_nanos(now_ns)));
        let sent = built.and_then(|leg| {
            let stats = leg.shared_stats();
            thread.send(Command::OpenLeg(Box::new(NewLeg { id, sockets, leg })))?;
            Ok(stats)
        });
        let stats = match sent {
            Ok(stats) => stats,
            Err(error) => {
                self.shared.release_ports(local, now_ns);
                return Err(error);
            }
        };
        std::mem::forget(_slot);
        thread.doorbell.calls.fetch_add(1, Relaxed);
        Ok(LegHandle {
            id,
            local,
            thread,
            stats,
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
        let wire =
            Wire::new(config, Time::from_nanos(monotonic_ns())).map_err(|error| bad(&error))?;
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
        let ports = self.shared.ports();
        EngineStats {
            legs: counters.legs.load(Relaxed),
            wires: counters.wires.load(Relaxed),
            leg_capacity: ports.capacity().min(self.settings.max_legs),
            ports_quarantined: ports.quarantined(monotonic_ns()),
            events_dropped: self.shared.events.dropped(),
            receive_overflow: counters.receive_overflow.load(Relaxed),
            receive_buffer: counters.receive_buffer.load(Relaxed),
            send_errors: counters.send_errors.load(Relaxed),
            icmp_errors: counters.icmp_errors.load(Relaxed),
            internal_errors: counters.internal_errors.load(Relaxed),
            late_turns: counters.late_turns.load(Relaxed),
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
        for join in self
            .joins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            // A thread that panicked outside a call has been counted by its silence; there is nobody to tell.
            let _ = join.join();
        }
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
            // Who the peer is comes with `set_remote`; before that nothing is accepted or sent.
            policy: Policy {
                signalling: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                media_allow: Vec::new(),
                nat: false,
                loopback: false,
            },
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

/// One RTP leg, seen from Python. Dropping it closes the leg.
pub struct LegHandle {
    id: u64,
    local: SocketAddr,
    thread: Arc<Thread>,
    stats: Arc<LegStats>,
    closed: AtomicBool,
}

impl LegHandle {
    /// Unique among legs and wires of the engine.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where RTP is bound.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// The leg's counters.
    #[must_use]
    pub fn stats(&self) -> &LegStats {
        &self.stats
    }

    /// Set or change what was negotiated.
    ///
    /// # Errors
    /// `BadConfig` for a value outside its range, `Overloaded`.
    pub fn set_remote(&self, remote: RemoteMedia, policy: Policy) -> Result<(), MediaError> {
        let types = remote.receive_types.iter().map(|(number, _)| *number);
        let types = types
            .chain([remote.payload_type])
            .chain(remote.dtmf_send)
            .chain(remote.dtmf_receive.iter().copied());
        for number in types {
            if number > 127 {
                return Err(MediaError::BadConfig(format!(
                    "payload type {number} is above 127"
                )));
            }
        }
        if !(10..=60).contains(&remote.ptime_ms) {
            return Err(MediaError::BadConfig("ptime_ms: 10 to 60".to_owned()));
        }
        self.send(LegCommand::SetRemote(Box::new((remote, policy))))
    }

    /// Let RTP flow.
    ///
    /// # Errors
    /// `Overloaded`, as all commands below.
    pub fn start(&self, release_after: Option<Duration>) -> Result<(), MediaError> {
        self.send(LegCommand::Start { release_after })
    }

    /// Let agent audio leave.
    #[allow(clippy::missing_errors_doc)]
    pub fn release(&self) -> Result<(), MediaError> {
        self.send(LegCommand::Release)
    }

    /// Join with a wire, or part.
    ///
    /// # Errors
    /// `WrongThread`, `Overloaded`.
    pub fn connect(&self, wire: Option<&WireHandle>) -> Result<(), MediaError> {
        if wire.is_some_and(|wire| wire.thread.number != self.thread.number) {
            return Err(MediaError::WrongThread);
        }
        self.send(LegCommand::Connect(wire.map(|wire| wire.id)))
    }

    /// Play what the caller says back.
    #[allow(clippy::missing_errors_doc)]
    pub fn echo(&self, on: bool) -> Result<(), MediaError> {
        self.send(LegCommand::Echo(on))
    }

    /// Append linear audio to the playout queue.
    ///
    /// # Errors
    /// `BadConfig` for an odd number of bytes or another rate, `Overloaded`.
    pub fn play(&self, pcm16: Vec<u8>, rate: u32, mark: Option<String>) -> Result<(), MediaError> {
        if !crate::convert::AudioFormat::pcm16(rate).is_supported() {
            return Err(MediaError::BadConfig(
                "rate: 8000, 16000, 24000 or 48000".to_owned(),
            ));
        }
        if !pcm16.len().is_multiple_of(2) {
            return Err(MediaError::BadConfig(
                "pcm16: a sample has two bytes".to_owned(),
            ));
        }
        self.send(LegCommand::Play(Box::new(Prompt { pcm16, rate, mark })))
    }

    /// Drop what has not left.
    #[allow(clippy::missing_errors_doc)]
    pub fn clear(&self) -> Result<(), MediaError> {
        self.send(LegCommand::Clear)
    }

    /// Tell what the caller says.
    #[allow(clippy::missing_errors_doc)]
    pub fn tap(&self, on: bool) -> Result<(), MediaError> {
        self.send(LegCommand::Tap(on))
    }

    /// Send digits.
    ///
    /// # Errors
    /// `BadConfig` for what is no digit, `Overloaded`.
    pub fn send_dtmf(&self, digits: &str) -> Result<(), MediaError> {
        if let Some(other) = digits
            .chars()
            .find(|digit| Digit::from_char(*digit).is_none())
        {
            return Err(MediaError::BadConfig(format!("{other:?} is no digit")));
        }
        self.send(LegCommand::SendDtmf(digits.into()))
    }

    /// Tell when all that is queued has left.
    #[allow(clippy::missing_errors_doc)]
    pub fn drain(&self) -> Result<(), MediaError> {
        self.send(LegCommand::Drain)
    }

    /// Stop and free the ports. May be repeated.
    pub fn close(&self) {
        if !self.closed.swap(true, Relaxed) {
            self.thread
                .send_surely(Command::Leg(self.id, LegCommand::Close));
        }
    }

    fn send(&self, command: LegCommand) -> Result<(), MediaError> {
        self.thread.send(Command::Leg(self.id, command))
    }
}

impl Drop for LegHandle {
    fn drop(&mut self) {
        self.close();
    }
}

/// One wire, seen from Python. Dropping it closes the wire.
pub struct WireHandle {
    id: u64,
    thread: Arc<Thread>,
    stats: Arc<WireStats>,
    closed: AtomicBool,
}

impl WireHandle {
    /// Unique among legs and wires of the engine.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The wire's counters.
    #[must_use]
    pub fn stats(&self) -> &WireStats {
        &self.stats
    }

    /// Send a message in order with the audio.
    ///
    /// # Errors
    /// `Overloaded`.
    pub fn send_text(&self, text: &str, numbered: bool) -> Result<(), MediaError> {
        self.thread.send(Command::Wire(
            self.id,
            WireCommand::Text {
                text: text.into(),
                numbered,
            },
        ))
    }

    /// Close, or give up dialling. May be repeated; the first counts.
    pub fn close(&self, code: u16, reason: &str) {
        if !self.closed.swap(true, Relaxed) {
            let command = WireCommand::Close {
                code,
                reason: reason.into(),
            };
            self.thread.send_surely(Command::Wire(self.id, command));
        }
    }
}

impl Drop for WireHandle {
    fn drop(&mut self) {
        self.close(1000, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Instant;

    use crate::codec::Codec;

    fn engine(min: u16, max: u16) -> Engine {
        Engine::new(EngineSettings {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: PortRange { min, max },
            threads: 1,
            quarantine: Duration::ZERO,
            dscp: 46,
            receive_buffer: 65536,
            max_legs: 10,
            max_wires: 10,
            event_limit: 100,
            dial_threads: 2,
            dial_queue: 4,
        })
        .expect("an engine")
    }

    #[test]
    fn an_address_of_another_machine_is_told_before_any_call() {
        let mut settings = engine(31_900, 31_910).settings.clone();
        settings.address = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
        let error = Engine::new(settings).err().expect("refused");
        assert_eq!(error.code(), "bad_address");
        assert!(error.to_string().contains("203.0.113.9"), "{error}");
    }

    fn open(engine: &Engine) -> LegHandle {
        let settings = LegSettings {
            address: None,
            sdp_address: None,
            playout_limit: Duration::from_secs(60),
            media_timeout: None,
            cname: String::new(),
        };
        engine.open_leg(&settings, None).expect("a leg")
    }

    fn answer(leg: &LegHandle) -> UdpSocket {
        let peer = UdpSocket::bind("127.0.0.1:0").expect("bound");
        peer.set_read_timeout(Some(Duration::from_secs(5)))
            .expect("set");
        let remote = RemoteMedia {
            rtp: Some(peer.local_addr().expect("bound")),
            rtcp: None,
            codec: Codec::Pcmu,
            payload_type: 0,
            receive_types: vec![(0, Codec::Pcmu)],
            dtmf_send: None,
            dtmf_receive: Vec::new(),
            comfort_noise: None,
            ptime_ms: 20,
            send: true,
            receive: true,
            hold: false,
            srtp: None,
        };
        let policy = Policy {
            signalling: IpAddr::V4(Ipv4Addr::LOCALHOST),
            media_allow: Vec::new(),
            nat: false,
            loopback: true,
        };
        leg.set_remote(remote, policy).expect("taken");
        leg.start(None).expect("taken");
        peer
    }

    fn wait_for(engine: &Engine, kind: &str) -> Event {
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            if let Some(event) = engine
                .drain_events(100)
                .into_iter()
                .find(|event| event.what.kind() == kind)
            {
                return event;
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!("no {kind} came");
    }

    #[test]
    fn a_panic_in_one_call_ends_that_call_only() {
        let engine = engine(23_100, 23_119);
        let (broken, other) = (open(&engine), open(&engine));
        let (_deaf, peer) = (answer(&broken), answer(&other));
        broken.send(LegCommand::Panic).expect("taken");
        let event = wait_for(&engine, "internal_error");
        assert_eq!(event.subject, Subject::Leg(broken.id()));
        let mut packet = [0; 200];
        for _ in 0..10 {
            assert_eq!(peer.recv(&mut packet).expect("RTP goes on"), 172);
        }
        let stats = engine.stats();
        assert_eq!((stats.legs, stats.internal_errors), (1, 1));
        broken.close();
        engine
            .open_leg(
                &LegSettings {
                    address: None,
                    sdp_address: None,
                    playout_limit: Duration::from_secs(1),
                    media_timeout: None,
                    cname: String::new(),
                },
                Some(&other),
            )
            .expect("the thread is alive");
    }

    #[test]
    fn an_address_in_sdp_that_is_none_of_this_host_costs_no_call() {
        let engine = Engine::new(EngineSettings {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ..engine(23_130, 23_131).settings.clone()
        })
        .expect("an engine");
        let settings = LegSettings {
            address: None,
            sdp_address: Some("192.0.2.1".parse().expect("an address")),
            playout_limit: Duration::from_secs(1),
            media_timeout: None,
            cname: String::new(),
        };
        let leg = engine.open_leg(&settings, None).expect("a leg");
        assert!(leg.local_address().ip().is_unspecified());
    }

    #[test]
    fn closing_the_engine_ends_legs_and_frees_their_ports() {
        let engine = engine(23_120, 23_121);
        let leg = open(&engine);
        let address = leg.local_address();
        engine.close();
        UdpSocket::bind(address).expect("the port is free");
        assert!(matches!(
            engine.open_leg(
                &LegSettings {
                    address: None,
                    sdp_address: None,
                    playout_limit: Duration::from_secs(1),
                    media_timeout: None,
                    cname: String::new()
                },
                None,
            ),
            Err(MediaError::Closed)
        ));
        leg.drain().expect("ignored");
    }
}
