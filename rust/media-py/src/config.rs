//! The frozen values that Python makes things with.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use offhook_media::claim::{Network, Policy};
use offhook_media::codec::Codec;
use offhook_media::engine::{
    CallSettings, EngineSettings, Family, LegSettings, MediaError, PortRange, RecordingSettings,
    WireSettings,
};
use offhook_media::leg::{DtmfBy, DtmfTones, RemoteMedia as Negotiated};
use offhook_media::recorder::{Format, SealKey};
use offhook_media::rehearsal::NetworkProfile;
use offhook_media::srtp;
use pyo3::prelude::*;

use super::error::raise;

fn address(text: &str) -> Result<IpAddr, MediaError> {
    text.parse()
        .map_err(|_| MediaError::BadAddress(format!("`{text}` is not an IP address")))
}

fn millis(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// What the whole engine is made with.
#[pyclass(frozen, get_all, module = "offhook._media")]
pub(crate) struct EngineConfig {
    addresses: Vec<String>,
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
    speech_weights: Option<Vec<u8>>,
}

#[pymethods]
impl EngineConfig {
    #[new]
    #[pyo3(signature = (*, addresses = vec!["127.0.0.1".to_owned()], port_min = 40000, port_max = 41999, threads = 0,
        quarantine_ms = 2000, dscp = 46, receive_buffer = 262_144, max_legs = 4096, max_wires = 4096,
        event_limit = 65536, dial_threads = 32, dial_queue = 1024, speech_weights = None))]
    #[pyo3(
        text_signature = "(*, addresses=['127.0.0.1'], port_min=40000, port_max=41999, threads=0, \
        quarantine_ms=2000, dscp=46, receive_buffer=262144, max_legs=4096, max_wires=4096, \
        event_limit=65536, dial_threads=32, dial_queue=1024, speech_weights=None)"
    )]
    #[allow(clippy::too_many_arguments)]
    fn new(
        addresses: Vec<String>,
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
        speech_weights: Option<Vec<u8>>,
    ) -> Self {
        Self {
            addresses,
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
            speech_weights,
        }
    }
}

impl EngineConfig {
    pub(crate) fn settings(&self) -> Result<EngineSettings, MediaError> {
        Ok(EngineSettings {
            addresses: self
                .addresses
                .iter()
                .map(|text| address(text))
                .collect::<Result<_, _>>()?,
            ports: PortRange {
                min: self.port_min,
                max: self.port_max,
            },
            threads: self.threads,
            quarantine: millis(self.quarantine_ms),
            dscp: self.dscp,
            receive_buffer: self.receive_buffer,
            max_legs: self.max_legs,
            max_wires: self.max_wires,
            event_limit: self.event_limit,
            dial_threads: self.dial_threads,
            dial_queue: self.dial_queue,
            speech_weights: self.speech_weights.clone(),
        })
    }
}

/// What one RTP leg is made with.
#[pyclass(frozen, get_all, module = "offhook._media")]
pub(crate) struct LegConfig {
    remote: Option<(String, u16)>,
    signalling_address: Option<String>,
    media_allow: Vec<String>,
    nat: bool,
    allow_loopback: bool,
    family: Option<u8>,
    sdp_address: Option<String>,
    playout_limit_ms: u64,
    media_timeout_ms: Option<u64>,
    cname: String,
}

#[pymethods]
impl LegConfig {
    #[new]
    #[pyo3(signature = (*, remote = None, signalling_address = None, media_allow = Vec::new(), nat = false,
        allow_loopback = false, family = None, sdp_address = None, playout_limit_ms = 120_000,
        media_timeout_ms = Some(60_000), cname = String::new()))]
    #[pyo3(
        text_signature = "(*, remote=None, signalling_address=None, media_allow=(), nat=False, \
        allow_loopback=False, family=None, sdp_address=None, playout_limit_ms=120000, media_timeout_ms=60000, cname='')"
    )]
    #[allow(clippy::too_many_arguments)]
    fn new(
        remote: Option<(String, u16)>,
        signalling_address: Option<String>,
        media_allow: Vec<String>,
        nat: bool,
        allow_loopback: bool,
        family: Option<u8>,
        sdp_address: Option<String>,
        playout_limit_ms: u64,
        media_timeout_ms: Option<u64>,
        cname: String,
    ) -> Self {
        Self {
            remote,
            signalling_address,
            media_allow,
            nat,
            allow_loopback,
            family,
            sdp_address,
            playout_limit_ms,
            media_timeout_ms,
            cname,
        }
    }
}

impl LegConfig {
    pub(crate) fn settings(&self) -> Result<LegSettings, MediaError> {
        let family = match self.family {
            None => None,
            Some(4) => Some(Family::V4),
            Some(6) => Some(Family::V6),
            Some(_) => return Err(MediaError::BadConfig("family: 4 or 6".to_owned())),
        };
        let remote = match &self.remote {
            Some((host, port)) => socket_address(host, *port)?,
            None => None,
        };
        let signalling = self
            .signalling_address
            .as_deref()
            .map(address)
            .transpose()?;
        let policy = match signalling {
            Some(signalling) => Some(policy(
                signalling,
                &self.media_allow,
                self.nat,
                self.allow_loopback,
            )?),
            None => None,
        };
        Ok(LegSettings {
            family,
            sdp_address: self.sdp_address.as_deref().map(address).transpose()?,
            remote,
            policy,
            playout_limit: millis(self.playout_limit_ms),
            media_timeout: self.media_timeout_ms.map(millis),
            cname: self.cname.clone(),
        })
    }
}

/// An address to send to, if it is one: 0.0.0.0 and port 0 are the ways of SDP to name none.
pub(crate) fn socket_address(host: &str, port: u16) -> Result<Option<SocketAddr>, MediaError> {
    let host = address(host)?;
    Ok((port > 0 && !host.is_unspecified()).then(|| SocketAddr::new(host, port)))
}

fn policy(
    signalling: IpAddr,
    media_allow: &[String],
    nat: bool,
    allow_loopback: bool,
) -> Result<Policy, MediaError> {
    let media_allow = media_allow.iter().map(|text| network(text));
    Ok(Policy {
        signalling,
        media_allow: media_allow.collect::<Result<_, _>>()?,
        nat,
        loopback: allow_loopback || signalling.is_loopback(),
    })
}

fn codec(name: &str) -> Result<Codec, MediaError> {
    Codec::of_name(name).ok_or_else(|| {
        let known = Codec::ALL.map(Codec::name).join(", ");
        MediaError::BadConfig(format!("`{name}` is no codec of the media core: {known}"))
    })
}

fn network(text: &str) -> Result<Network, MediaError> {
    let bad =
        || MediaError::BadAddress(format!("`{text}` is not a network such as 198.51.100.0/24"));
    let (address, prefix) = text
        .split_once('/')
        .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Ok(bits), |prefix| prefix.parse().map_err(|_| bad()))?;
    if prefix > bits {
        Err(bad())
    } else {
        Ok(Network::new(address, prefix))
    }
}

/// Static payload type of comfort noise (RFC 3389), which some peers send though nobody agreed on it.
const COMFORT_NOISE: u8 = 13;

/// The keys of encrypted media, both directions; shown to nobody.
#[pyclass(frozen, eq, module = "offhook._media")]
#[derive(PartialEq)]
pub(crate) struct SrtpKeys {
    keys: srtp::SrtpKeys,
}

#[pymethods]
impl SrtpKeys {
    #[new]
    #[pyo3(signature = (suite, *, send, receive))]
    fn new(py: Python<'_>, suite: &str, send: &[u8], receive: &[u8]) -> PyResult<Self> {
        let bad = |what: String| raise(py, &MediaError::BadConfig(what));
        let known = srtp::Suite::from_name(suite)
            .ok_or_else(|| bad(format!("`{suite}` is no suite of the media core")))?;
        let keys = srtp::SrtpKeys::new(known, send, receive)
            .map_err(|error| bad(format!("{suite}: {error}")))?;
        Ok(Self { keys })
    }

    #[getter]
    fn suite(&self) -> &'static str {
        self.keys.suite().name()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.keys)
    }
}

/// What offer and answer agreed on for one leg.
#[pyclass(frozen, get_all, module = "offhook._media")]
pub(crate) struct RemoteMedia {
    address: String,
    port: u16,
    codec: String,
    payload_type: u8,
    receive_payload_types: BTreeMap<u8, String>,
    rtcp_address: Option<String>,
    rtcp_port: Option<u16>,
    rtcp_mux: bool,
    dtmf_send: Option<u8>,
    // Not `u8`: Python would see bytes.
    dtmf_receive: Vec<u16>,
    dtmf_by: String,
    dtmf_tones: String,
    comfort_noise: Option<u8>,
    ptime_ms: u32,
    send: bool,
    receive: bool,
    hold: bool,
    signalling_address: Option<String>,
    media_allow: Vec<String>,
    nat: bool,
    allow_loopback: bool,
    srtp: Option<Py<SrtpKeys>>,
}

#[pymethods]
impl RemoteMedia {
    #[new]
    #[pyo3(signature = (*, address, port, codec, payload_type, receive_payload_types, rtcp_address = None,
        rtcp_port = None, rtcp_mux = false, dtmf_send = None, dtmf_receive = Vec::new(),
        dtmf_by = "rfc4733".to_owned(), dtmf_tones = "ignored".to_owned(), comfort_noise = Some(COMFORT_NOISE), ptime_ms = 20, send = true, receive = true, hold = false, signalling_address = None,
        media_allow = Vec::new(), nat = false, allow_loopback = false, srtp = None))]
    #[pyo3(
        text_signature = "(*, address, port, codec, payload_type, receive_payload_types, rtcp_address=None, \
        rtcp_port=None, rtcp_mux=False, dtmf_send=None, dtmf_receive=(), dtmf_by='rfc4733', dtmf_tones='ignored', comfort_noise=13, ptime_ms=20, send=True, receive=True, \
        hold=False, signalling_address=None, media_allow=(), nat=False, allow_loopback=False, srtp=None)"
    )]
    #[allow(clippy::too_many_arguments)]
    fn new(
        address: String,
        port: u16,
        codec: String,
        payload_type: u8,
        receive_payload_types: BTreeMap<u8, String>,
        rtcp_address: Option<String>,
        rtcp_port: Option<u16>,
        rtcp_mux: bool,
        dtmf_send: Option<u8>,
        dtmf_receive: Vec<u8>,
        dtmf_by: String,
        dtmf_tones: String,
        comfort_noise: Option<u8>,
        ptime_ms: u32,
        send: bool,
        receive: bool,
        hold: bool,
        signalling_address: Option<String>,
        media_allow: Vec<String>,
        nat: bool,
        allow_loopback: bool,
        srtp: Option<Py<SrtpKeys>>,
    ) -> Self {
        Self {
            address,
            port,
            codec,
            payload_type,
            receive_payload_types,
            rtcp_address,
            rtcp_port,
            rtcp_mux,
            dtmf_send,
            dtmf_receive: dtmf_receive.into_iter().map(u16::from).collect(),
            dtmf_by,
            dtmf_tones,
            comfort_noise,
            ptime_ms,
            send,
            receive,
            hold,
            signalling_address,
            media_allow,
            nat,
            allow_loopback,
            srtp,
        }
    }
}

impl RemoteMedia {
    pub(crate) fn settings(&self) -> Result<(Negotiated, Policy), MediaError> {
        let host = address(&self.address)?;
        let rtp = socket_address(&self.address, self.port)?;
        let rtcp_host = self
            .rtcp_address
            .as_deref()
            .map(address)
            .transpose()?
            .unwrap_or(host);
        let rtcp = match (self.rtcp_port, &self.rtcp_address) {
            (None, None) => None,
            (port, _) => Some(SocketAddr::new(
                rtcp_host,
                port.unwrap_or(self.port.saturating_add(1)),
            )),
        };
        let signalling = self
            .signalling_address
            .as_deref()
            .map(address)
            .transpose()?
            .unwrap_or(host);
        let receive_types = self
            .receive_payload_types
            .iter()
            .map(|(number, name)| Ok((*number, codec(name)?)))
            .collect::<Result<Vec<_>, MediaError>>()?;
        let comfort_noise = self
            .comfort_noise
            .filter(|number| !self.receive_payload_types.contains_key(number));
        let media = Negotiated {
            rtp,
            rtcp,
            rtcp_mux: self.rtcp_mux,
            codec: codec(&self.codec)?,
            payload_type: self.payload_type,
            receive_types,
            dtmf_send: self.dtmf_send,
            dtmf_receive: self
                .dtmf_receive
                .iter()
                .map(|&number| number as u8)
                .collect(),
            dtmf_by: match self.dtmf_by.as_str() {
                "rfc4733" => DtmfBy::Event,
                "inband" => DtmfBy::Tone,
                "info" => DtmfBy::Info,
                other => return Err(MediaError::BadConfig(format!("dtmf_by: no way `{other}`"))),
            },
            dtmf_tones: match self.dtmf_tones.as_str() {
                "ignored" => DtmfTones::Ignored,
                "heard" => DtmfTones::Heard,
                "removed" => DtmfTones::Removed,
                other => {
                    return Err(MediaError::BadConfig(format!("dtmf_tones: no `{other}`")));
                }
            },
            comfort_noise,
            ptime_ms: self.ptime_ms,
            send: self.send,
            receive: self.receive,
            hold: self.hold,
            srtp: self.srtp.as_ref().map(|srtp| srtp.get().keys.clone()),
        };
        let policy = policy(signalling, &self.media_allow, self.nat, self.allow_loopback)?;
        Ok((media, policy))
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

/// How one leg is recorded. Its key is shown to nobody.
#[pyclass(frozen, module = "offhook._media")]
pub(crate) struct RecordingConfig {
    #[pyo3(get)]
    path: PathBuf,
    #[pyo3(get)]
    format: String,
    #[pyo3(get)]
    rate: u32,
    seal: Option<SealKey>,
}

#[pymethods]
impl RecordingConfig {
    #[new]
    #[pyo3(signature = (path, *, format = "wav".to_owned(), rate = 8000, key = None, nonce_prefix = None, header = None))]
    #[pyo3(
        text_signature = "(path, *, format='wav', rate=8000, key=None, nonce_prefix=None, header=None)"
    )]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        format: String,
        rate: u32,
        key: Option<&[u8]>,
        nonce_prefix: Option<&[u8]>,
        header: Option<&[u8]>,
    ) -> PyResult<Self> {
        let bad = |what: &str| raise(py, &MediaError::BadConfig(what.to_owned()));
        let seal = match (key, nonce_prefix, header) {
            (None, None, None) => None,
            (Some(key), Some(prefix), Some(header)) => Some(
                SealKey::new(key, prefix, header)
                    .ok_or_else(|| bad("key: 32 bytes, nonce_prefix: 7"))?,
            ),
            _ => return Err(bad("key, nonce_prefix and header belong together")),
        };
        Ok(Self {
            path,
            format,
            rate,
            seal,
        })
    }
}

impl RecordingConfig {
    pub(crate) fn settings(&self) -> Result<RecordingSettings, MediaError> {
        let format = match self.format.as_str() {
            "wav" => Format::Wav,
            "flac" => Format::Flac,
            _ => return Err(MediaError::BadConfig("format: wav or flac".to_owned())),
        };
        Ok(RecordingSettings {
            path: self.path.clone(),
            format,
            rate: self.rate,
            seal: self.seal.clone(),
        })
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

/// What the network of a rehearsed call does.
#[pyclass(frozen, get_all, module = "offhook._media")]
pub(crate) struct NetworkConfig {
    delay_ms: f64,
    jitter_ms: f64,
    loss: f64,
    burst: f64,
    reorder: f64,
    duplicate: f64,
}

#[pymethods]
impl NetworkConfig {
    #[new]
    #[pyo3(signature = (*, delay_ms = 20.0, jitter_ms = 0.0, loss = 0.0, burst = 1.0, reorder = 0.0, duplicate = 0.0))]
    #[pyo3(
        text_signature = "(*, delay_ms=20.0, jitter_ms=0.0, loss=0.0, burst=1.0, reorder=0.0, duplicate=0.0)"
    )]
    fn new(
        delay_ms: f64,
        jitter_ms: f64,
        loss: f64,
        burst: f64,
        reorder: f64,
        duplicate: f64,
    ) -> Self {
        Self {
            delay_ms,
            jitter_ms,
            loss,
            burst,
            reorder,
            duplicate,
        }
    }
}

impl NetworkConfig {
    pub(crate) fn profile(&self) -> Result<NetworkProfile, MediaError> {
        let shares = [self.loss, self.reorder, self.duplicate];
        if !shares.iter().all(|share| (0.0..=1.0).contains(share)) {
            let what = "loss, reorder and duplicate: shares from 0 to 1";
            return Err(MediaError::BadConfig(what.to_owned()));
        }
        let delays = [self.delay_ms, self.jitter_ms];
        if !delays.iter().all(|delay| (0.0..=10_000.0).contains(delay)) {
            let what = "delay_ms and jitter_ms: 0 to 10000";
            return Err(MediaError::BadConfig(what.to_owned()));
        }
        if !(1.0..=1_000.0).contains(&self.burst) {
            return Err(MediaError::BadConfig("burst: 1 to 1000".to_owned()));
        }
        Ok(NetworkProfile {
            delay: Duration::from_secs_f64(self.delay_ms / 1e3),
            jitter: Duration::from_secs_f64(self.jitter_ms / 1e3),
            loss: self.loss,
            burst: self.burst,
            reorder: self.reorder,
            duplicate: self.duplicate,
        })
    }
}
