//! What the tests of these files share.
use super::{MAX_TRAILER, Suite};

/// Bytes from hexadecimal digits; blanks are left out.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| (byte as char).to_digit(16).expect("a digit") as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// A master key and salt of the suite's length, different for each `fill`.
pub fn master(suite: Suite, fill: u8) -> Vec<u8> {
    let length = suite.key_len() + suite.salt_len();
    (0..length as u8)
        .map(|at| at.wrapping_mul(37) ^ fill)
        .collect()
}

/// An RTP packet with 160 bytes of payload.
pub fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = hex("8000 0000 00000000 00000000");
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    packet.extend((0..160).map(|at| at as u8 ^ sequence as u8));
    packet
}

/// A receiver report without blocks, and a name.
pub fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = hex("80c9 0001 00000000 81ca 0003 00000000 0104 74657374 0000");
    packet[4..8].copy_from_slice(&ssrc.to_be_bytes());
    packet[12..16].copy_from_slice(&ssrc.to_be_bytes());
    packet
}

/// The packet with room for its trailer.
pub fn roomy(packet: &[u8]) -> Vec<u8> {
    [packet, &[0xee; MAX_TRAILER]].concat()
}
