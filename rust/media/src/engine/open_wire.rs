//! How an agent's wire is opened: dialled, or as a call on the connection of a worker.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::command::{Command, NewMux, NewWire};
use super::dial::Dial;
use super::event::Backlog;
use super::leg_handle::LegHandle;
use super::mux_handle::MuxHandle;
use super::settings::{CallSettings, WireSettings};
use super::tls::Trust;
use super::wire_handle::WireHandle;
use super::{Engine, MediaError};
use crate::wire::mux::{Mux, MuxLimits};
use crate::wire::upgrade::{Upgrade, UpgradeRequest};
use crate::wire::{AgentUrl, Dialect, Framing, Wire, WireConfig, WireLimits};

/// Connections of workers at most.
const MAX_MUXES: usize = 1024;
/// Of many calls together more may be under way, but what waits in the system can't be dropped any more.
const MUX_SEND_BUFFER: usize = 256 << 10;
/// Bytes of messages about a worker itself that may wait for Python.
const MUX_TEXTS: usize = 1 << 20;
/// Compiled dialects that are kept for the next wire.
const KEPT_DIALECTS: usize = 16;

impl Engine {
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
