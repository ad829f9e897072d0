//! What the connection to an agent is made with: one that is dialled, or a call on a worker's.

use std::collections::BTreeMap;

use offhook_media::engine::{CallSettings, WireSettings};
use pyo3::prelude::*;

use super::millis;

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
    tls_verify: bool,
    tls_ca: Option<String>,
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
        origin = None, format = String::new(), tls_verify = true, tls_ca = None, connect_timeout_ms = 5000,
        total_timeout_ms = 10000, ping_interval_ms = 20000, pong_timeout_ms = 20000, send_limit = 65536, text_limit = 4_194_304))]
    #[pyo3(
        text_signature = "(url, dialect, *, values={}, headers=(), subprotocols=(), origin=None, format='', \
        tls_verify=True, tls_ca=None, connect_timeout_ms=5000, total_timeout_ms=10000, ping_interval_ms=20000, \
        pong_timeout_ms=20000, send_limit=65536, text_limit=4194304)"
    )]
    #[allow(clippy::too_many_arguments)]
    fn new(
        url: String,
        dialect: String,
        values: BTreeMap<String, String>,
        headers: Vec<(String, String)>,
        subprotocols: Vec<String>,
        origin: Option<String>,
        format: String,
        tls_verify: bool,
        tls_ca: Option<String>,
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
            tls_verify,
            tls_ca,
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
            tls_verify: self.tls_verify,
            tls_ca: self.tls_ca.as_ref().map(Into::into),
            step_timeout: millis(self.connect_timeout_ms),
            total_timeout: millis(self.total_timeout_ms),
            ping_interval: millis(self.ping_interval_ms),
            pong_timeout: millis(self.pong_timeout_ms),
            send_limit: self.send_limit,
            text_limit: self.text_limit,
        }
    }
}

/// What one call on a worker's connection is made with.
#[pyclass(frozen, get_all, module = "offhook._media")]
pub(crate) struct CallConfig {
    dialect: String,
    format: String,
    credit_ms: Option<u32>,
    send_limit: usize,
    text_limit: usize,
}

#[pymethods]
impl CallConfig {
    #[new]
    #[pyo3(signature = (dialect, *, format = String::new(), credit_ms = None, send_limit = 32768, text_limit = 4_194_304))]
    #[pyo3(
        text_signature = "(dialect, *, format='', credit_ms=None, send_limit=32768, text_limit=4194304)"
    )]
    fn new(
        dialect: String,
        format: String,
        credit_ms: Option<u32>,
        send_limit: usize,
        text_limit: usize,
    ) -> Self {
        Self {
            dialect,
            format,
            credit_ms,
            send_limit,
            text_limit,
        }
    }
}

impl CallConfig {
    pub(crate) fn settings(&self) -> CallSettings {
        CallSettings {
            dialect: self.dialect.clone(),
            format: self.format.clone(),
            credit_ms: self.credit_ms,
            send_limit: self.send_limit,
            text_limit: self.text_limit,
        }
    }
}
