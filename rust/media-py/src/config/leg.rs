//! What an RTP leg is made with, before anything is agreed on.

use offhook_media::engine::{Family, LegSettings, MediaError};
use pyo3::prelude::*;

use super::{address, millis, policy, socket_address};

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
