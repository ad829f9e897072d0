//! The frozen values that Python makes things with.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use offhook_media::engine::{EngineSettings, LegSettings, MediaError, PortRange, WireSettings};
use pyo3::prelude::*;

use crate::error::raise;

fn address(text: &str) -> Result<IpAddr, MediaError> {
    text.parse().map_err(|_| MediaError::BadAddress(format!("`{text}` is not an IP address")))
}

fn millis(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// What the whole engine is made with.
#[pyclass(frozen, get_all, module = "offhook._media")]
pub(crate) struct EngineConfig {
    address: String,
    port_min: u16,
    port_max: u16,
    threads: usize,
    quarantine_ms: u64,
    dscp: u8,
    receive_buffer: usize,
    max_legs: usize,
    max_wires: usize,
    event_limit: usize,
    dial_threads: usize,
    dial_queue: usize,
}

#[pymethods]
impl EngineConfig {
    #[new]
    #[pyo3(signature = (*, address = "127.0.0.1".to_owned(), port_min = 40000, port_max = 41999, threads = 0,
        quarantine_ms = 2000, dscp = 46, receive_buffer = 262_144, max_legs = 4096, max_wires = 4096,
        event_limit = 65536, dial_threads = 32, dial_queue = 1024))]
    #[pyo3(text_signature = "(*, address='127.0.0.1', port_min=40000, port_max=41999, threads=0, \
        quarantine_ms=2000, dscp=46, receive_buffer=262144, max_legs=4096, max_wires=4096, \
        event_limit=65536, dial_threads=32, dial_queue=1024)")]
    #[allow(clippy::too_many_arguments)]
    fn new(
        address: String,
        port_min: u16,
        port_max: u16,
        threads: usize,
        quarantine_ms: u64,
        dscp: u8,
        receive_buffer: usize,
        max_legs: usize,
        max_wires: usize,
        event_limit: usize,
        dial_threads: usize,
        dial_queue: usize,
    ) -> Self {
        Self {
            address,
            port_min,
            port_max,
            threads,
            quarantine_ms,
            dscp,
            receive_buffer,
            max_legs,
            max_wires,
            event_limit,
            dial_threads,
            dial_queue,
        }
    }
}

impl EngineConfig {
    pub(crate) fn settings(&self) -> Result<EngineSettings, MediaError> {
        Ok(EngineSettings {
            address: address(&self.address)?,
            ports: PortRange { min: self.port_min, max: self.port_max },
            threads: self.threads,
            quarantine: millis(self.quarantine_ms),
            dscp: self.dscp,
            receive_buffer: self.receive_buffer,
            max_legs: self.max_legs,
            max_wires: self.max_wires,
            event_limit: self.event_limit,
            dial_threads: self.dial_threads,
            dial_queue: self.dial_queue,
        })
    }
}

/// What one RTP leg is made with.
#[pyclass(frozen, get_all, module = "offhook._media")]
pub(crate) struct LegConfig {
    address: Option<String>,
    playout_limit_ms: u64,
    media_timeout_ms: Option<u64>,
    cname: String,
}

#[pymethods]
impl LegConfig {
    #[new]
    #[pyo3(signature = (*, address = None, playout_limit_ms = 120_000, media_timeout_ms = Some(60_000),
        cname = String::new()))]
    #[pyo3(text_signature = "(*, address=None, playout_limit_ms=120000, media_timeout_ms=60000, cname='')")]
    fn new(address: Option<String>, playout_limit_ms: u64, media_timeout_ms: Option<u64>, cname: String) -> Self {
        Self { address, playout_limit_ms, media_timeout_ms, cname }
    }
}

impl LegConfig {
    pub(crate) fn settings(&self) -> Result<LegSettings, MediaError> {
        Ok(LegSettings {
            address: self.address.as_deref().map(address).transpose()?,
            playout_limit: millis(self.playout_limit_ms),
            media_timeout: self.media_timeout_ms.map(millis),
            cname: self.cname.clone(),
        })
    }
}

/// What one agent connection is dialled with.
#[pyclass(frozen, get_all, module = "offhook._media")]
pub(crate) struct WireConfig {
    url: String,
    dialect: String,
    values: BTreeMap<String, String>,
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
    origin: Option<String>,
    format: String,
    connect_timeout_ms: u64,
    total_timeout_ms: u64,
    ping_interval_ms: u64,
    pong_timeout_ms: u64,
    send_limit: usize,
    text_limit: usize,
}

#[pymethods]
impl WireConfig {
    #[new]
    #[pyo3(signature = (url, dialect, *, values = BTreeMap::new(), headers = Vec::new(), subprotocols = Vec::new(),
        origin = None, format = String::new(), connect_timeout_ms = 5000, total_timeout_ms = 10000,
        ping_interval_ms = 20000, pong_timeout_ms = 20000, send_limit = 65536, text_limit = 4_194_304))]
    #[pyo3(text_signature = "(url, dialect, *, values={}, headers=(), subprotocols=(), origin=None, format='', \
        connect_timeout_ms=5000, total_timeout_ms=10000, ping_interval_ms=20000, pong_timeout_ms=20000, \
        send_limit=65536, text_limit=4194304)")]
    #[allow(clippy::too_many_arguments)]
    fn new(
        url: String,
        dialect: String,
        values: BTreeMap<String, String>,
        headers: Vec<(String, String)>,
        subprotocols: Vec<String>,
        origin: Option<String>,
        format: String,
        connect_timeout_ms: u64,
        total_timeout_ms: u64,
        ping_interval_ms: u64,
        pong_timeout_ms: u64,
        send_limit: usize,
        text_limit: usize,
    ) -> Self {
        Self {
            url,
            dialect,
            values,
            headers,
            subprotocols,
            origin,
            format,
            connect_timeout_ms,
            total_timeout_ms,
            ping_interval_ms,
            pong_timeout_ms,
            send_limit,
            text_limit,
        }
    }
}

impl WireConfig {
    pub(crate) fn settings(&self) -> WireSettings {
        WireSettings {
            url: self.url.clone(),
            dialect: self.dialect.clone(),
            values: self.values.clone().into_iter().collect(),
            headers: self.headers.clone(),
            subprotocols: self.subprotocols.clone(),
            origin: self.origin.clone(),
            format: self.format.clone(),
            step_timeout: millis(self.connect_timeout_ms),
            total_timeout: millis(self.total_timeout_ms),
            ping_interval: millis(self.ping_interval_ms),
            pong_timeout: millis(self.pong_timeout_ms),
            send_limit: self.send_limit,
            text_limit: self.text_limit,
        }
    }
}
