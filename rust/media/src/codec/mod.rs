//! Codecs of the line and of the agent's wire.
pub mod g711;

/// How samples are written as bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Encoding {
    /// G.711 µ-law, one byte a sample.
    Pcmu,
    /// G.711 A-law, one byte a sample.
    Pcma,
    /// Linear 16 bit, little endian.
    Pcm16Le,
}

impl Encoding {
    /// The byte that fills silence: digital zero of the encoding.
    pub const fn silence(self) -> u8 {
        match self {
            Encoding::Pcmu => 0xff,
            Encoding::Pcma => 0xd5,
            Encoding::Pcm16Le => 0,
        }
    }

    /// Bytes of one sample.
    pub const fn sample_bytes(self) -> usize {
        match self {
            Encoding::Pcmu | Encoding::Pcma => 1,
            Encoding::Pcm16Le => 2,
        }
    }

    /// Whether a frame of this encoding is quieter than about -48 dBFS throughout, as
    /// pauses and muted microphones are.
    pub fn is_quiet(self, payload: &[u8]) -> bool {
        match self {
            // The lowest segment of either law.
            Encoding::Pcmu => payload.iter().all(|&byte| byte & 0x70 == 0x70),
            Encoding::Pcma => payload.iter().all(|&byte| (byte ^ 0x55) & 0x70 == 0),
            Encoding::Pcm16Le => payload
                .chunks_exact(2)
                .all(|pair| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs() < 128),
        }
    }
}
