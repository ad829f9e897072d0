//! The few facts of a packet that a claim looks at.

/// The few facts of an RTP packet that a claim looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glimpse {
    /// Sequence number.
    pub sequence: u16,
    /// Source id.
    pub ssrc: u32,
    /// Payload type.
    pub payload_type: u8,
}

impl Glimpse {
    /// Looks at the fixed header only; `None` if this is no RTP.
    pub fn of(packet: &[u8]) -> Option<Self> {
        let header = packet.first_chunk::<12>()?;
        (header[0] >> 6 == 2).then(|| Glimpse {
            sequence: u16::from_be_bytes([header[2], header[3]]),
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            payload_type: header[1] & 0x7f,
        })
    }
}

/// The sender's source id, if this is RTCP by its type (RFC 5761 section 4: those that as a payload type of RTP would be 64 to 95).
pub fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let header = packet.first_chunk::<8>()?;
    let is_rtcp = header[0] >> 6 == 2 && (192..=223).contains(&header[1]);
    is_rtcp.then(|| u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}
