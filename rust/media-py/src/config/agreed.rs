//! What offer and answer came to, the keys of encrypted media with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use offhook_media::claim::Policy;
use offhook_media::codec::{Codec, opus};
use offhook_media::engine::MediaError;
use offhook_media::leg::{DtmfBy, DtmfTones, RemoteMedia as Negotiated};
use offhook_media::srtp;
use pyo3::prelude::*;

use super::{address, policy, socket_address};
use crate::error::raise;

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

/// What a peer asks of the Opus that we send it.
#[pyclass(frozen, get_all, eq, from_py_object, module = "offhook._media")]
#[derive(Clone, PartialEq)]
pub(crate) struct OpusWishes {
    bitrate: Option<u32>,
    fec: bool,
    dtx: bool,
    cbr: bool,
    max_rate: u32,
}

#[pymethods]
impl OpusWishes {
    #[new]
    #[pyo3(signature = (*, bitrate = None, fec = true, dtx = false, cbr = false, max_rate = opus::RTP_CLOCK))]
    #[pyo3(text_signature = "(*, bitrate=None, fec=True, dtx=False, cbr=False, max_rate=48000)")]
    fn new(bitrate: Option<u32>, fec: bool, dtx: bool, cbr: bool, max_rate: u32) -> Self {
        Self {
            bitrate,
            fec,
            dtx,
            cbr,
            max_rate,
        }
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.settings())
    }
}

impl OpusWishes {
    fn settings(&self) -> opus::Settings {
        opus::Settings {
            bitrate: self.bitrate.unwrap_or(opus::BITRATE),
            ceiling: self.bitrate,
            fec: self.fec,
            dtx: self.dtx,
            cbr: self.cbr,
            max_rate: self.max_rate,
        }
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
    opus: Option<OpusWishes>,
}

#[pymethods]
impl RemoteMedia {
    #[new]
    #[pyo3(signature = (*, address, port, codec, payload_type, receive_payload_types, rtcp_address = None,
        rtcp_port = None, rtcp_mux = false, dtmf_send = None, dtmf_receive = Vec::new(),
        dtmf_by = "rfc4733".to_owned(), dtmf_tones = "ignored".to_owned(), comfort_noise = Some(COMFORT_NOISE), ptime_ms = 20, send = true, receive = true, hold = false, signalling_address = None,
        media_allow = Vec::new(), nat = false, allow_loopback = false, srtp = None, opus = None))]
    #[pyo3(
        text_signature = "(*, address, port, codec, payload_type, receive_payload_types, rtcp_address=None, \
        rtcp_port=None, rtcp_mux=False, dtmf_send=None, dtmf_receive=(), dtmf_by='rfc4733', dtmf_tones='ignored', comfort_noise=13, ptime_ms=20, send=True, receive=True, \
        hold=False, signalling_address=None, media_allow=(), nat=False, allow_loopback=False, srtp=None, opus=None)"
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
        opus: Option<OpusWishes>,
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
            opus,
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
            opus: self
                .opus
                .as_ref()
                .map_or_else(opus::Settings::default, OpusWishes::settings),
            send: self.send,
            receive: self.receive,
            hold: self.hold,
            srtp: self.srtp.as_ref().map(|srtp| srtp.get().keys.clone()),
        };
        let policy = policy(signalling, &self.media_allow, self.nat, self.allow_loopback)?;
        Ok((media, policy))
    }
}

fn codec(name: &str) -> Result<Codec, MediaError> {
    Codec::of_name(name).ok_or_else(|| {
        let known = Codec::ALL.map(Codec::name).join(", ");
        MediaError::BadConfig(format!("`{name}` is no codec of the media core: {known}"))
    })
}
