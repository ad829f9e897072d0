//! RFC 6455: frames and messages, no I/O.
//!
//! Where we dialled we are the client, so what we write is masked (section 5.3) and what we read must not be; where we were
//! dialled it is the other way round. No extension is ever agreed on, so a reserved bit is an error. A message that lies
//! whole in one read is handed out without a copy, unless it has to be unmasked.

mod decoder;
mod encoder;
mod error;
mod mask;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use encoder::{encode, encode_close, encode_plain};
pub use error::FrameError;
pub use mask::MaskSource;

pub(super) use encoder::close_payload;

use std::str;

/// A longer frame header than this doesn't exist, its masking key apart (section 5.2).
const MAX_HEADER: usize = 10;

/// Bytes of a masking key.
const KEY: usize = 4;

/// The longest payload of a control frame (section 5.5).
pub const MAX_CONTROL: usize = 125;

/// The longest reason of a close frame: a control payload less the two bytes of the code.
pub const MAX_REASON: usize = MAX_CONTROL - 2;

/// A buffer that grew beyond this is given back once it is empty, so that one long message doesn't cost memory for a
/// whole call.
pub(super) const KEEP_CAPACITY: usize = 16 * 1024;

/// Frame types of section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// Goes on with a fragmented message.
    Continuation = 0x0,
    /// UTF-8 text.
    Text = 0x1,
    /// Bytes.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping, or comes unasked.
    Pong = 0xA,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Whether it is a control frame: short, never fragmented, allowed between the fragments of a message.
    pub fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// A whole message, or a control frame, from the peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message; its UTF-8 has been checked.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// Must be answered with the same bytes.
    Ping(&'a [u8]),
    /// An answer to our ping, or an unasked sign of life.
    Pong(&'a [u8]),
    /// The peer closes. `code` is 1005 if it gave none (section 7.1.5).
    Close {
        /// The status code of section 7.4.
        code: u16,
        /// Why, in the peer's words; at most 123 bytes.
        reason: &'a str,
    },
}

/// What the payload of a close frame says (section 5.5.1).
pub(super) fn read_close(payload: &[u8]) -> Result<Message<'_>, FrameError> {
    match payload {
        [] => Ok(Message::Close {
            code: 1005,
            reason: "",
        }),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !may_be_sent(code) {
                return Err(FrameError::BadClose);
            }
            let reason = str::from_utf8(reason).map_err(|_| FrameError::NotUtf8)?;
            Ok(Message::Close { code, reason })
        }
        [_] => Err(FrameError::BadClose),
    }
}

/// Whether a close frame may carry `code`: section 7.4.1, the IANA registry, and the private ranges of section 7.4.2.
pub fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
