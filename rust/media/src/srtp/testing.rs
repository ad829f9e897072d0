//! What the tests of these files share.
use super::{MAX_TRAILER, Protection, SrtpError, SrtpKeys, Suite};
use crate::clock::Time;

pub const SSRC: u32 = 0x5501_a0b2;

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

pub fn end(suite: Suite, send: &[u8], receive: &[u8]) -> Protection {
    let mut protection = Protection::default();
    let keys = SrtpKeys::new(suite, send, receive).expect("long enough");
    protection.set(Time::ZERO, Some(&keys));
    protection
}

pub fn sealed(from: &mut Protection, packet: &[u8]) -> Vec<u8> {
    let mut buffer = roomy(packet);
    let len = from.protect_rtp(&mut buffer, packet.len()).expect("sealed");
    buffer.truncate(len);
    buffer
}

pub fn sealed_rtcp(from: &mut Protection, packet: &[u8]) -> Vec<u8> {
    let mut buffer = roomy(packet);
    let len = from
        .protect_rtcp(&mut buffer, packet.len())
        .expect("sealed");
    buffer.truncate(len);
    buffer
}

pub fn open_at(to: &mut Protection, now: Time, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let opened = to.unprotect_rtp(now, &mut buffer);
    if opened.is_err() {
        assert_eq!(buffer, packet, "what is not taken is left as it came");
    }
    opened.map(|len| buffer[..len].to_vec())
}

pub fn opened(to: &mut Protection, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    open_at(to, Time::ZERO, packet)
}

pub fn opened_rtcp(to: &mut Protection, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let opened = to.unprotect_rtcp(Time::ZERO, &mut buffer);
    if opened.is_err() {
        assert_eq!(buffer, packet, "what is not taken is left as it came");
    }
    opened.map(|len| buffer[..len].to_vec())
}
