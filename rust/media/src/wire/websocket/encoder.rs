//! From messages to frames.

use super::mask::apply_mask;
use super::{KEY, MAX_CONTROL, MAX_HEADER, MAX_REASON, Opcode, may_be_sent};

/// Append one frame with its payload masked, as a client must (section 5.3); the message is never fragmented.
pub fn encode(opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    encode_header(opcode, payload.len(), 0x80, out);
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], mask);
}

/// Append one frame as a server must, unmasked (section 5.1); the message is never fragmented.
pub fn encode_plain(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    encode_header(opcode, payload.len(), 0, out);
    out.extend_from_slice(payload);
}

fn encode_header(opcode: Opcode, length: usize, mask_bit: u8, out: &mut Vec<u8>) {
    out.reserve(length + MAX_HEADER + KEY);
    out.push(0x80 | opcode as u8);
    match length {
        0..=125 => out.push(mask_bit | length as u8),
        126..=0xFFFF => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Append a close frame; a reason that is too long is cut at a character, and a code that may not be on the wire (1005,
/// 1006, 1015, …) leaves the payload empty.
pub fn encode_close(code: u16, reason: &str, mask: [u8; 4], out: &mut Vec<u8>) {
    let (payload, length) = close_payload(code, reason);
    encode(Opcode::Close, &payload[..length], mask, out);
}

/// What a close frame carries, and how much of the array that is; see [`encode_close`].
pub(in crate::wire) fn close_payload(code: u16, reason: &str) -> ([u8; MAX_CONTROL], usize) {
    let mut payload = [0_u8; MAX_CONTROL];
    let mut length = 0;
    if may_be_sent(code) {
        let cut = reason.floor_char_boundary_of(MAX_REASON);
        payload[..2].copy_from_slice(&code.to_be_bytes());
        payload[2..2 + cut].copy_from_slice(&reason.as_bytes()[..cut]);
        length = 2 + cut;
    }
    (payload, length)
}

/// `str::floor_char_boundary`, which is younger than the compiler that we promise to build with.
trait FloorCharBoundary {
    /// The greatest character boundary that is not above `index`.
    fn floor_char_boundary_of(&self, index: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_of(&self, index: usize) -> usize {
        if index >= self.len() {
            return self.len();
        }
        (0..=index)
            .rev()
            .find(|&at| self.is_char_boundary(at))
            .unwrap_or(0)
    }
}
