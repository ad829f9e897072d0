//! What offer and answer came to for a leg.
use std::net::SocketAddr;

use super::MAX_PAYLOAD_TYPES;
use crate::codec::{Codec, opus};
use crate::srtp::SrtpKeys;

/// What offer and answer came to, seen from us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteMedia {
    /// The peer's address for RTP by SDP; `None` where it names none (0.0.0.0).
    pub rtp: Option<SocketAddr>,
    /// The peer's address for RTCP; `None` means the port above RTP's.
    pub rtcp: Option<SocketAddr>,
    /// RTCP goes where RTP goes, both ways (RFC 5761).
    pub rtcp_mux: bool,
    /// The codec that we send.
    pub codec: Codec,
    /// Its payload type at the peer.
    pub payload_type: u8,
    /// Payload types that we receive, at most [`MAX_PAYLOAD_TYPES`]; more are ignored.
    pub receive_types: Vec<(u8, Codec)>,
    /// Payload type of telephone events that we send.
    pub dtmf_send: Option<u8>,
    /// How the peer is told of keys that we press.
    pub dtmf_by: DtmfBy,
    /// What tones in the peer's sound are.
    pub dtmf_tones: DtmfTones,
    /// Payload types of telephone events that we receive, at most [`MAX_PAYLOAD_TYPES`]; more are ignored.
    pub dtmf_receive: Vec<u8>,
    /// Payload type of comfort noise that we may receive, 13 by RFC 3389.
    pub comfort_noise: Option<u8>,
    /// Milliseconds in a packet that we send.
    pub ptime_ms: u32,
    /// What the peer asks of Opus, where that is what we send.
    pub opus: opus::Settings,
    /// Whether we send.
    pub send: bool,
    /// Whether the peer may send to us.
    pub receive: bool,
    /// Whether the call is on hold, by either side: no time-out of media, no sound of the peer is heard, the agent's waits, and if we send,
    /// it is music.
    pub hold: bool,
    /// The keys of both directions; `None` where media goes in the clear.
    pub srtp: Option<SrtpKeys>,
}

impl RemoteMedia {
    /// One codec both ways, packets of 20 ms, in the clear: what is further agreed on is put in its place.
    pub fn plain(rtp: SocketAddr, payload_type: u8, codec: Codec) -> Self {
        RemoteMedia {
            rtp: Some(rtp),
            rtcp: None,
            rtcp_mux: false,
            codec,
            payload_type,
            receive_types: vec![(payload_type, codec)],
            dtmf_send: None,
            dtmf_by: DtmfBy::Event,
            dtmf_tones: DtmfTones::Ignored,
            dtmf_receive: Vec::new(),
            comfort_noise: None,
            ptime_ms: 20,
            opus: opus::Settings::default(),
            send: true,
            receive: true,
            hold: false,
            srtp: None,
        }
    }

    /// Whether what the peer sends is heard.
    pub(super) fn is_heard(&self) -> bool {
        self.receive && !self.hold
    }

    /// What the peer may send.
    pub(super) fn codecs(&self) -> impl Iterator<Item = Codec> {
        let types = self.receive_types.iter().take(MAX_PAYLOAD_TYPES);
        types.map(|&(_, codec)| codec)
    }

    /// Payload types that may be received, a bit each, as [`crate::claim::ClaimTable::set_remote`] wants them.
    pub fn payload_type_bits(&self) -> u128 {
        let types = self
            .receive_types
            .iter()
            .map(|&(payload_type, _)| payload_type);
        types
            .chain(self.dtmf_receive.iter().copied())
            .chain(self.comfort_noise)
            .fold(0, |bits, kind| bits | 1 << (kind & 0x7f))
    }
}

/// How the peer is told of keys that we press.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DtmfBy {
    /// By telephone events (RFC 4733), if there is a payload type for them.
    Event,
    /// By their tones in the sound.
    Tone,
    /// By SIP INFO, of which signalling takes care: [`super::LegEvent::KeyByInfo`].
    Info,
}

/// What the tones of keys in the peer's sound are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DtmfTones {
    /// Sound as any other.
    Ignored,
    /// Keys that its user presses.
    Heard,
    /// The same, and the agent is given silence in their place.
    Removed,
}
