//! What a peer may do wrong.

/// What the peer did that RFC 6455 forbids; [`FrameError::close_code`] is how it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A reserved bit is set although no extension was agreed on (section 5.2).
    ReservedBit,
    /// An opcode that RFC 6455 doesn't define (section 5.2).
    ReservedOpcode(u8),
    /// A server masked a frame (section 5.1).
    Masked,
    /// A client did not (section 5.1).
    Unmasked,
    /// A control frame is longer than 125 bytes or fragmented (section 5.5).
    BadControl,
    /// A continuation of nothing, or a new message inside another (section 5.4).
    BadFragment,
    /// A close frame of one byte, or with a code that may not be on the wire (section 7.4).
    BadClose,
    /// Text, or the reason of a close, is not UTF-8 (section 8.1).
    NotUtf8,
    /// The message is longer than our limit.
    TooBig {
        /// Bytes that it has come to, as far as announced; may be less than its whole length.
        bytes: u64,
        /// The limit in bytes.
        limit: usize,
    },
}

impl FrameError {
    /// The status code of section 7.4.1 that tells the peer.
    pub fn close_code(self) -> u16 {
        match self {
            Self::NotUtf8 => 1007,
            Self::TooBig { .. } => 1009,
            _ => 1002,
        }
    }
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ReservedBit => {
                f.write_str("a frame has a reserved bit set, but no extension was agreed on")
            }
            Self::ReservedOpcode(opcode) => write!(f, "a frame has the reserved opcode {opcode}"),
            Self::Masked => f.write_str("a server must not mask its frames"),
            Self::Unmasked => f.write_str("a client must mask its frames"),
            Self::BadControl => {
                f.write_str("a control frame is fragmented or longer than 125 bytes")
            }
            Self::BadFragment => f.write_str("the fragments of a message are out of order"),
            Self::BadClose => f.write_str("a close frame has a code that may not be sent"),
            Self::NotUtf8 => f.write_str("a text message is not UTF-8"),
            Self::TooBig { bytes, limit } => write!(
                f,
                "a message of {bytes} bytes or more is over the limit of {limit}"
            ),
        }
    }
}

impl std::error::Error for FrameError {}
