//! RTP headers (RFC 3550 section 5.1) and the little of RTCP that a phone must send.

/// Bytes of a header without extensions.
pub const HEADER: usize = 12;
/// Samples, and with G.711 bytes, of a 20 ms frame.
pub const FRAME: usize = 160;
/// Nanoseconds between frames.
pub const FRAME_NS: u64 = 20_000_000;
/// Nanoseconds of one sample at 8 kHz.
pub const SAMPLE_NS: u64 = 125_000;

/// The fields of a received packet that the measurements need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Payload type, 7 bits.
    pub payload_type: u8,
    /// The marker bit: start of a talkspurt.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in samples.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// The audio, without padding and extension.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads one packet; `None` for what is no RTP version 2 packet.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let start = header_length(bytes)?;
        let mut end = bytes.len();
        if bytes[0] & 0x20 != 0 {
            end = end.checked_sub(usize::from(bytes[end - 1]))?;
        }
        Some(Self {
            payload_type: bytes[1] & 0x7f,
            marker: bytes[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([bytes[2], bytes[3]]),
            timestamp: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            ssrc: u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
            payload: bytes.get(start..end)?,
        })
    }
}

/// Bytes of a packet's header with its contributors and extension; `None` for what is no RTP version 2 packet.
pub fn header_length(bytes: &[u8]) -> Option<usize> {
    if bytes.len() < HEADER || bytes[0] >> 6 != 2 {
        return None;
    }
    let mut length = HEADER + 4 * usize::from(bytes[0] & 0x0f);
    if bytes[0] & 0x10 != 0 {
        let words = u16::from_be_bytes([*bytes.get(length + 2)?, *bytes.get(length + 3)?]);
        length += 4 + 4 * usize::from(words);
    }
    (length <= bytes.len()).then_some(length)
}

/// Writes a header without extensions.
pub fn write_header(
    out: &mut [u8],
    payload_type: u8,
    marker: bool,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
) {
    out[0] = 0x80;
    out[1] = payload_type | u8::from(marker) << 7;
    out[2..4].copy_from_slice(&sequence.to_be_bytes());
    out[4..8].copy_from_slice(&timestamp.to_be_bytes());
    out[8..12].copy_from_slice(&ssrc.to_be_bytes());
}

/// Whether a packet on an RTP port is RTCP (RFC 5761 section 4).
pub fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.len() >= 8 && bytes[0] >> 6 == 2 && (192..=223).contains(&bytes[1])
}

/// A sender report with a CNAME (RFC 3550 sections 6.4.1 and 6.5.1); `wall` in nanoseconds since 1970.
pub fn sender_report(ssrc: u32, wall: u64, timestamp: u32, packets: u32, cname: &str) -> Vec<u8> {
    const NTP_EPOCH: u64 = 2_208_988_800;
    let seconds = ((wall / 1_000_000_000 + NTP_EPOCH) & 0xffff_ffff) as u32;
    let fraction = (((wall % 1_000_000_000) << 32) / 1_000_000_000) as u32;
    let mut out = vec![0x80, 200, 0, 6];
    for word in [
        ssrc,
        seconds,
        fraction,
        timestamp,
        packets,
        packets.wrapping_mul(FRAME as u32),
    ] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    let name = &cname.as_bytes()[..cname.len().min(255)];
    // SSRC, the item's two bytes, the name, and at least one zero to end the chunk.
    let body = (4 + 2 + name.len() + 1).next_multiple_of(4);
    out.extend_from_slice(&[0x81, 202]);
    out.extend_from_slice(&((body / 4) as u16).to_be_bytes());
    let end = out.len() + body;
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&[1, name.len() as u8]);
    out.extend_from_slice(name);
    out.resize(end, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_written_is_read_back() {
        let mut bytes = [7; HEADER + 3];
        write_header(&mut bytes, 8, true, 65_535, 0xdead_beef, 42);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(
            (packet.payload_type, packet.marker, packet.sequence),
            (8, true, 65_535)
        );
        assert_eq!(
            (packet.timestamp, packet.ssrc, packet.payload),
            (0xdead_beef, 42, &[7u8, 7, 7][..])
        );
    }

    #[test]
    fn contributors_extensions_and_padding_are_no_audio() {
        let mut bytes = vec![0x80 | 0x20 | 0x10 | 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
        bytes.extend([1, 2, 3, 4]);
        bytes.extend([0xbe, 0xde, 0, 1, 5, 5, 5, 5]);
        bytes.extend([0x55, 0x56, 0, 2]);
        assert_eq!(Packet::parse(&bytes).unwrap().payload, &[0x55, 0x56]);
    }

    #[test]
    fn garbage_is_refused() {
        assert!(Packet::parse(&[0x80; 11]).is_none());
        assert!(Packet::parse(&[0x40; 40]).is_none());
        assert!(Packet::parse(&[0x9f; 12]).is_none());
        assert!(Packet::parse(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200]).is_none());
    }

    #[test]
    fn a_sender_report_has_whole_words() {
        for name in ["a", "ab", "abc", "abcd", "bench@127.0.0.1"] {
            let report = sender_report(1, 1_700_000_000_500_000_000, 2, 3, name);
            assert!(is_rtcp(&report));
            assert_eq!(report.len() % 4, 0);
            let words = u16::from_be_bytes([report[30], report[31]]);
            assert_eq!(28 + 4 + 4 * usize::from(words), report.len());
            assert_eq!(*report.last().unwrap(), 0);
        }
    }
}
