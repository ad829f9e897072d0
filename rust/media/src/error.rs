//! What may go wrong, as variants that can be matched and counted.
use std::fmt;

/// Why bytes from the network are no packet of the kind they claim to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PacketError {
    /// Fewer bytes than the fixed part, or than a length field inside promises.
    Short {
        /// Bytes present.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// The version is not 2 (RFC 3550 section 5.1).
    Version(u8),
    /// The padding count is zero or reaches into the header.
    Padding(u8),
    /// A length that does not fit its packet type.
    Length(u8),
    /// More than we are willing to read.
    TooLong(usize),
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PacketError::Short { have, need } => write!(f, "{have} bytes where {need} are needed"),
            PacketError::Version(version) => write!(f, "version {version} instead of 2"),
            PacketError::Padding(count) => write!(f, "impossible padding of {count} bytes"),
            PacketError::Length(kind) => write!(f, "length does not fit packet type {kind}"),
            PacketError::TooLong(have) => write!(f, "{have} bytes are too many"),
        }
    }
}

impl std::error::Error for PacketError {}
